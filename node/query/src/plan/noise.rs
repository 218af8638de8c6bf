//! From the accuracy asked for to the sigma of each vector.

mod least;

use std::collections::BTreeMap;

use obscura_model::accuracy::{Accuracy, AccuracyRequest, Z95};
use obscura_model::answer::{Output, OutputKind, Reach, reach};
use obscura_model::exposure::{Delta, Rho, rho_within};
use obscura_privacy::price::{PriceError, at_least_minimum, share_by_weight, sigma_at_most};

use super::vectors::{Drawn, Vector};
use crate::refusal::Refusal;
use least::{Wish, least_price};

/// The sigmas in grid steps, one for each vector. One that follows from a price rounds up, one
/// that was asked for rounds down.
pub(super) fn sigmas(
    drawn: &Drawn,
    accuracy: &AccuracyRequest,
    minimum: Option<Rho>,
    delta: Delta,
) -> Result<Vec<u64>, Refusal> {
    let clips: Vec<u128> = drawn.vectors.iter().map(|v| v.clip_squared).collect();
    let total = match accuracy.for_whole() {
        Some(Accuracy::Price(rho)) => Some(rho),
        Some(Accuracy::Epsilon(epsilon)) => {
            Some(rho_within(epsilon, delta).map_err(|e| Refusal::new(e.to_string()))?)
        }
        Some(Accuracy::Sigma(_) | Accuracy::Within { margin: _, rows: _ }) | None => None,
    };
    let sigmas = match total {
        Some(total) => {
            let total = total.max(minimum.unwrap_or(Rho::ZERO));
            let weights = weights(drawn, accuracy)?;
            share_by_weight(total, &clips, &weights).map_err(priced)?
        }
        None => wished(drawn, accuracy)?,
    };
    match minimum {
        Some(minimum) => at_least_minimum(sigmas, &clips, minimum).map_err(priced),
        None => Ok(sigmas),
    }
}

fn priced(error: PriceError) -> Refusal {
    Refusal::new(error.to_string())
}

/// The same where a sigma was asked for. A step above that of counts follows from wide bounds.
fn too_fine(error: PriceError, step_exponent: i32) -> Refusal {
    if error == PriceError::SigmaTooSmall && step_exponent > super::vectors::COUNT_EXPONENT {
        return Refusal::new(
            "the values may be so large that the answer cannot be as accurate as asked",
        )
        .suggest("clip them, such as SUM(LEAST(x, 500)), or ask for more noise");
    }
    priced(error)
}

/// The weight of each vector. Without weights all are equal. Otherwise an output's weight (1 where
/// none is given) is shared by its vectors, and a vector of several outputs, which is priced once,
/// has the largest of its shares.
fn weights(drawn: &Drawn, accuracy: &AccuracyRequest) -> Result<Vec<u32>, Refusal> {
    let given = accuracy.weights();
    if given.is_empty() {
        return Ok(vec![1; drawn.vectors.len()]);
    }
    known_names(drawn, given.keys(), "a weight")?;
    let mut shares = vec![0.0f64; drawn.vectors.len()];
    for output in &drawn.outputs {
        let weight = given.get(&output.name).copied().unwrap_or(1.0);
        let used = output.kind.used();
        for vector in &used {
            if let Some(share) = shares.get_mut(*vector) {
                *share = share.max(weight / used.len() as f64);
            }
        }
    }
    // What serves rules alone has the weight of one output.
    shares
        .iter_mut()
        .filter(|s| **s == 0.0)
        .for_each(|s| *s = 1.0);
    let most = shares.iter().copied().fold(0.0, f64::max);
    // Shares are from 0.001 / 6 to 1000, so that none becomes 0 here.
    Ok(shares
        .iter()
        .map(|s| (s / most * 1e9).ceil() as u32)
        .collect())
}

/// The least price at which every output is as accurate as asked.
fn wished(drawn: &Drawn, accuracy: &AccuracyRequest) -> Result<Vec<u64>, Refusal> {
    known_names(drawn, accuracy.by_output().keys(), "an accuracy")?;
    let mut wishes: Vec<Wish> = Vec::new();
    for output in &drawn.outputs {
        let named = accuracy.by_output().get(&output.name).copied();
        if named.is_none() && follows(drawn, output) {
            continue;
        }
        let Some(asked) = named.or(accuracy.for_whole()) else {
            return Err(Refusal::new(format!("'{}' has no accuracy", output.name))
                .suggest("say how accurate it should be, or one accuracy for the whole"));
        };
        wishes.extend(wish(drawn, output, asked)?);
    }
    // A vector that serves a disclosure rule or undeclared keys alone, or counts people for the
    // release as a whole, is as noisy as the noisiest count.
    let costs: Vec<f64> = drawn.vectors.iter().map(cost).collect();
    let squares = least_price(&costs, &wishes);
    let mut sigmas = Vec::with_capacity(squares.len());
    for (vector, square) in drawn.vectors.iter().zip(&squares) {
        let sigma = match square {
            Some(square) => sigma_at_most(square.sqrt(), vector.grid.exponent)
                .map_err(|error| too_fine(error, vector.grid.exponent))?,
            None => 0,
        };
        sigmas.push(sigma);
    }
    let noisiest = drawn.vectors.iter().zip(&sigmas);
    let noisiest = noisiest.filter(|(v, _)| v.counts());
    let spare = noisiest.map(|(_, s)| *s).max().filter(|s| *s > 0);
    for sigma in sigmas.iter_mut().filter(|s| **s == 0) {
        *sigma = spare.ok_or_else(|| {
            Refusal::new(
                "the number of subjects that a disclosure rule or undeclared keys need has no \
                 accuracy",
            )
            .suggest("ask for COUNT(DISTINCT ...) of the subjects too, or for a price")
        })?;
    }
    Ok(sigmas)
}

/// Whether an output (coverage, or the number of subjects cut) counts people for the release as a
/// whole beside another count: then it has that one's accuracy. What is asked of an average or a
/// sum is in another unit than people.
fn follows(drawn: &Drawn, output: &Output) -> bool {
    let whole = |v: usize| drawn.vectors.get(v).is_some_and(|v| !v.grouped);
    let beside = |other: &Output| {
        let used = other.kind.used().into_iter();
        let mut vectors = used.filter_map(|v| drawn.vectors.get(v));
        vectors.any(|v| v.grouped && v.counts())
    };
    matches!(output.kind, OutputKind::Subjects { vector } if whole(vector))
        && drawn.outputs.iter().any(beside)
}

/// C^2 / 2 in the vector's unit: the price is this over sigma^2.
fn cost(vector: &Vector) -> f64 {
    let step = 2f64.powi(vector.grid.exponent);
    vector.clip_squared as f64 * step * step / 2.0
}

fn known_names<'a>(
    drawn: &Drawn,
    mut names: impl Iterator<Item = &'a String>,
    what: &str,
) -> Result<(), Refusal> {
    let outputs: Vec<&str> = drawn.outputs.iter().map(|o| o.name.as_str()).collect();
    match names.find(|name| !outputs.contains(&name.as_str())) {
        Some(unknown) => Err(Refusal::new(format!(
            "{what} is given for {}, which the query does not release",
            crate::limits::shown(unknown)
        ))
        .suggest(crate::lower::nearest(unknown, &outputs, "the outputs"))),
        None => Ok(()),
    }
}

/// What one output asks of its vectors.
fn wish(drawn: &Drawn, output: &Output, asked: Accuracy) -> Result<Vec<Wish>, Refusal> {
    let clip = |v: usize| {
        drawn.vectors.get(v).map_or(0.0, |vector| {
            (vector.clip_squared as f64).sqrt() * 2f64.powi(vector.grid.exponent)
        })
    };
    let name = &output.name;
    match asked {
        Accuracy::Epsilon(_) | Accuracy::Price(_) => {
            Err(Refusal::new("epsilon and rho are of the whole release"))
        }
        Accuracy::Sigma(sigma) => sigma_of(drawn, output, sigma, &clip),
        Accuracy::Within { margin, rows } => {
            let Some(reach) = reach(&output.kind, &clip) else {
                return Err(Refusal::new(format!(
                    "no margin of '{name}' can be promised beforehand"
                ))
                .suggest("ask for a price (epsilon or rho), or for the accuracy of its parts"));
            };
            constant(drawn, output)?;
            Ok(vec![within(&reach, name, margin, rows)?])
        }
    }
}

/// A sum of what is the same for every row has no grid to round a sigma to.
fn constant(drawn: &Drawn, output: &Output) -> Result<(), Refusal> {
    let nothing = |v: &usize| drawn.vectors.get(*v).is_some_and(|v| v.grid.bound == 0);
    if matches!(output.kind, OutputKind::Sum { .. }) || !output.kind.used().iter().any(nothing) {
        return Ok(());
    }
    Err(
        Refusal::new(format!("'{}' is the same for every row", output.name))
            .suggest("leave it out, or ask for a price of the whole release"),
    )
}

fn within(reach: &Reach, name: &str, margin: f64, rows: Option<u64>) -> Result<Wish, Refusal> {
    if reach.needs_rows() && rows.is_none() {
        return Err(Refusal::new(format!(
            "the margin of '{name}' depends on how many rows match"
        ))
        .suggest("say rows: the number of matching rows from which on it should hold"));
    }
    let noise = margin - reach.slack;
    if noise <= 0.0 {
        return Err(Refusal::new(format!(
            "'{name}' is rounded to steps of {}, so it cannot be within {margin}",
            crate::expr::literal(reach.slack)
        ))
        .suggest("ask for a wider margin, or clip the values to narrower bounds"));
    }
    let noise = if reach.root { noise * noise } else { noise };
    let mut slopes: BTreeMap<usize, f64> = BTreeMap::new();
    for (vector, term) in &reach.slopes {
        let Some(slope) = term.at(rows.unwrap_or(1)) else {
            return Err(Refusal::new(format!(
                "the error of '{name}' grows with the number of rows, so no margin can be promised"
            ))
            .suggest("ask for a price (epsilon or rho), or for the accuracy of its parts"));
        };
        slopes.insert(*vector, slope * slope);
    }
    Ok(Wish {
        slopes,
        most: (noise / Z95).powi(2),
    })
}

/// A standard deviation: of the output itself where it is linear in its vectors; for an average,
/// as ever, of its sum, with the count's share of the price equal to it; for a tree and for
/// categories of each of their counts.
fn sigma_of(
    drawn: &Drawn,
    output: &Output,
    sigma: f64,
    clip: &dyn Fn(usize) -> f64,
) -> Result<Vec<Wish>, Refusal> {
    let single = |vector: usize, factor: f64| Wish {
        slopes: BTreeMap::from([(vector, factor * factor)]),
        most: sigma * sigma,
    };
    match &output.kind {
        OutputKind::Average { sum, count, .. } => {
            constant(drawn, output)?;
            let half = clip(*sum) / clip(*count);
            Ok(vec![single(*sum, 1.0), single(*count, half)])
        }
        OutputKind::Quantile { tree, .. } => {
            Ok(tree.levels.iter().map(|v| single(*v, 1.0)).collect())
        }
        OutputKind::Categories { vector } => Ok(vec![single(*vector, 1.0)]),
        kind => match reach(kind, clip) {
            Some(reach) if !reach.needs_rows() && reach.slack == 0.0 && !reach.root => {
                let slopes = reach.slopes.iter();
                let squares = slopes.map(|(v, s)| (*v, s.factor * s.factor));
                Ok(vec![Wish {
                    slopes: squares.collect(),
                    most: sigma * sigma,
                }])
            }
            _ => Err(Refusal::new(format!(
                "'{}' has no standard deviation of its own: its error depends on the rows",
                output.name
            ))
            .suggest("ask for within and rows, or for a price (epsilon or rho)")),
        },
    }
}
