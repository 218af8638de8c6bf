//! From the accuracy asked for to the sigma of each vector.

use std::f64::consts::SQRT_2;

use obscura_model::accuracy::{Accuracy, AccuracyRequest, Z95};
use obscura_model::answer::OutputKind;
use obscura_model::exposure::{Delta, Rho, rho_within};
use obscura_privacy::price::{PriceError, at_least_minimum, share_price, sigma_at_most};

use super::vectors::{Drawn, Vector};
use crate::refusal::Refusal;

/// The sigmas in grid steps, one for each vector. One that follows from a price rounds up, one
/// that was asked for rounds down; a vector that serves several outputs gets the smallest.
pub(super) fn sigmas(
    drawn: &Drawn,
    accuracy: &AccuracyRequest,
    minimum: Option<Rho>,
    delta: Delta,
    most_rows: u32,
) -> Result<Vec<u64>, Refusal> {
    let clips: Vec<u128> = drawn.vectors.iter().map(|v| v.clip_squared).collect();
    let sigmas = match accuracy.for_whole() {
        Some(Accuracy::Price(rho)) => shared(rho, minimum, &clips)?,
        Some(Accuracy::Epsilon(epsilon)) => {
            let rho = rho_within(epsilon, delta).map_err(|e| Refusal::new(e.to_string()))?;
            shared(rho, minimum, &clips)?
        }
        Some(Accuracy::Sigma(_) | Accuracy::Within { margin: _, rows: _ }) | None => {
            wished(drawn, accuracy, most_rows)?
        }
    };
    match minimum {
        Some(minimum) => at_least_minimum(sigmas, &clips, minimum).map_err(priced),
        None => Ok(sigmas),
    }
}

fn shared(rho: Rho, minimum: Option<Rho>, clips: &[u128]) -> Result<Vec<u64>, Refusal> {
    share_price(rho.max(minimum.unwrap_or(Rho::ZERO)), clips).map_err(priced)
}

fn priced(error: PriceError) -> Refusal {
    Refusal::new(error.to_string())
}

fn wished(drawn: &Drawn, accuracy: &AccuracyRequest, most_rows: u32) -> Result<Vec<u64>, Refusal> {
    known_names(drawn, accuracy)?;
    let mut wishes: Vec<Option<u64>> = vec![None; drawn.vectors.len()];
    let mut wish = |vector: usize, sigma: u64| {
        if let Some(slot) = wishes.get_mut(vector) {
            *slot = Some(slot.map_or(sigma, |s| s.min(sigma)));
        }
    };
    for output in &drawn.outputs {
        let asked = accuracy
            .by_output()
            .get(&output.name)
            .copied()
            .or(accuracy.for_whole());
        let Some(asked) = asked else {
            return Err(Refusal::new(format!("'{}' has no accuracy", output.name))
                .suggest("say how accurate it should be, or one accuracy for the whole"));
        };
        match output.kind {
            OutputKind::Count { vector }
            | OutputKind::Subjects { vector }
            | OutputKind::Sum { vector } => wish(vector, single(drawn, vector, asked)?),
            OutputKind::Average { sum, count, .. } => {
                let pair = average(drawn, (sum, count), asked, most_rows, &output.name)?;
                wish(sum, pair.0);
                wish(count, pair.1);
            }
        }
    }
    wishes
        .into_iter()
        .collect::<Option<Vec<u64>>>()
        .ok_or_else(|| Refusal::new("an output has no accuracy"))
}

fn known_names(drawn: &Drawn, accuracy: &AccuracyRequest) -> Result<(), Refusal> {
    let outputs: Vec<&str> = drawn.outputs.iter().map(|o| o.name.as_str()).collect();
    match accuracy
        .by_output()
        .keys()
        .find(|name| !outputs.contains(&name.as_str()))
    {
        Some(unknown) => Err(Refusal::new(format!(
            "an accuracy is given for {}, which the query does not release",
            crate::limits::shown(unknown)
        ))
        .suggest(crate::lower::nearest(unknown, &outputs, "the outputs"))),
        None => Ok(()),
    }
}

fn vector(drawn: &Drawn, index: usize) -> Result<&Vector, Refusal> {
    drawn
        .vectors
        .get(index)
        .ok_or_else(|| Refusal::new("an output has no vector"))
}

/// A count, a number of subjects or a sum: sigma, or margin / z.
fn single(drawn: &Drawn, index: usize, asked: Accuracy) -> Result<u64, Refusal> {
    let sigma = match asked {
        Accuracy::Sigma(sigma) => sigma,
        Accuracy::Within { margin, rows: _ } => margin / Z95,
        Accuracy::Epsilon(_) | Accuracy::Price(_) => {
            return Err(Refusal::new("epsilon and rho are of the whole release"));
        }
    };
    sigma_at_most(sigma, vector(drawn, index)?.grid.exponent).map_err(priced)
}

/// An average, whose noise has two parts. To first order the error of (sum over n) is
/// `sqrt(sigma_sum^2 + (value - middle)^2 sigma_count^2) / n`, and `|value - middle| <= B`. Equal
/// shares of the price make `sigma_sum = K B t` and `sigma_count = K t`, so that the margin is at
/// most `z sqrt(2) K B t / n`.
fn average(
    drawn: &Drawn,
    (sum, count): (usize, usize),
    asked: Accuracy,
    most_rows: u32,
    name: &str,
) -> Result<(u64, u64), Refusal> {
    let (sum, count) = (vector(drawn, sum)?, vector(drawn, count)?);
    let sigma_sum = match asked {
        Accuracy::Sigma(sigma) => sigma,
        Accuracy::Within {
            margin,
            rows: Some(rows),
        } => margin * rows as f64 / (Z95 * SQRT_2),
        Accuracy::Within {
            margin: _,
            rows: None,
        } => {
            return Err(Refusal::new(format!(
                "the margin of the average '{name}' depends on how many rows match"
            ))
            .suggest("say rows: the number of matching rows from which on it should hold"));
        }
        Accuracy::Epsilon(_) | Accuracy::Price(_) => {
            return Err(Refusal::new("epsilon and rho are of the whole release"));
        }
    };
    if sum.grid.bound == 0 {
        return Err(Refusal::new(format!("'{name}' is the same for every row"))
            .suggest("leave it out, or ask for a price of the whole release"));
    }
    let sum_steps = sigma_at_most(sigma_sum, sum.grid.exponent).map_err(priced)?;
    // C_count / sigma_count = C_sum / sigma_sum, in whole steps, rounded down.
    let clip_count = u128::from(count.grid.bound) * u128::from(most_rows);
    let clip_sum = u128::from(sum.grid.bound) * u128::from(most_rows);
    let steps = u128::from(sum_steps)
        .checked_mul(clip_count)
        .and_then(|wide| wide.checked_div(clip_sum))
        .and_then(|steps| u64::try_from(steps).ok())
        .ok_or_else(|| priced(PriceError::SigmaTooLarge))?;
    if steps == 0 {
        return Err(priced(PriceError::SigmaTooSmall));
    }
    Ok((sum_steps, steps))
}
