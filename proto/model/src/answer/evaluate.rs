//! Outputs from noisy sums of one site or of several: one evaluation for both, so that combining
//! is always adding sums and never averaging averages.
//!
//! The sites' outputs are walked side by side. Linear base values add (after moving moments to
//! one middle where the sites' differ), trees add node by node, and the same expression is
//! evaluated once over the added values. Nothing but released numbers, sigmas and public
//! parameters is read.

use super::noisy::Noisy;
use super::tree::{Level, quantile};
use super::value::{Centred, Function, Moments, OutputKind};
use super::{Answer, Estimate};

/// One cell of the answers of some sites, at least one.
pub(crate) struct Cell<'a> {
    pub(crate) sites: &'a [&'a Answer],
    pub(crate) cell: usize,
}

/// The estimate of one output, given each site's form of it.
pub(crate) fn estimate(cell: &Cell<'_>, kinds: &[&OutputKind]) -> Estimate {
    match cell.value(kinds) {
        Some(noisy) if noisy.value.is_finite() => Estimate {
            value: noisy.value,
            margin: match noisy.margin() {
                margin if margin.is_nan() => f64::INFINITY,
                margin => margin,
            },
            lower_bound: matches!(kinds, [OutputKind::Categories { .. }, ..]),
        },
        _ => Estimate::MISSING,
    }
}

/// Whether an output that is a condition holds.
pub(crate) fn holds(cell: &Cell<'_>, kinds: &[&OutputKind]) -> bool {
    cell.value(kinds).is_some_and(|n| n.holds())
}

/// Each site's part of a form, or nothing if a site has another form.
macro_rules! parts {
    ($kinds:expr, $pattern:pat => $part:expr) => {
        $kinds
            .iter()
            .map(|kind| match kind {
                $pattern => Some($part),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
    };
}

impl Cell<'_> {
    /// One number of one vector of one site, in the vector's unit.
    fn part(&self, site: usize, vector: usize, part: usize) -> Option<Noisy> {
        let answer = self.sites.get(site)?;
        let shape = answer.shape().vectors.get(vector)?;
        let place = shape.place(self.cell, part);
        let value = *answer.values().get(vector)?.get(place)? as f64 * shape.step();
        let rounding = answer.rounding_of(vector) / 2.0;
        let at = (site, vector, place);
        Some(Noisy::base(at, value, shape.sigma_in_units(), rounding))
    }

    fn sum(&self, vectors: &[usize]) -> Option<Noisy> {
        let mut total = Noisy::exact(0.0);
        for (site, vector) in vectors.iter().enumerate() {
            total = total.plus(&self.part(site, *vector, 0)?, 1.0);
        }
        Some(total)
    }

    /// What an output gives; nothing where it is missing.
    fn value(&self, kinds: &[&OutputKind]) -> Option<Noisy> {
        use OutputKind as K;
        match *kinds.first()? {
            K::Count { .. } => self.sum(&parts!(kinds, K::Count { vector } => *vector)?),
            K::Subjects { .. } => self.sum(&parts!(kinds, K::Subjects { vector } => *vector)?),
            K::Sum { .. } => self.sum(&parts!(kinds, K::Sum { vector } => *vector)?),
            K::Average { .. } => self.average(kinds),
            K::Variance { sample, .. } => {
                let of = parts!(kinds, K::Variance { x, count, .. } => (x, *count))?;
                let (x, counts): (Vec<&Moments>, Vec<usize>) = of.into_iter().unzip();
                let count = self.sum(&counts)?;
                let spread = self.spread(&x, &counts)?;
                Some(corrected(spread, &count, *sample)).map(|v| v.clamped(0.0, f64::MAX))
            }
            K::Covariance { sample, .. } => {
                let of = parts!(kinds, K::Covariance { x, y, products, count, .. } =>
                    (x, y, *products, *count))?;
                let covariance = self.covariance(&of)?;
                let counts: Vec<usize> = of.iter().map(|p| p.3).collect();
                Some(corrected(covariance, &self.sum(&counts)?, *sample))
            }
            K::Correlation { .. } => self.correlation(kinds),
            K::Quantile { share, .. } => self.quantile(kinds, *share),
            K::Categories { .. } => self.categories(kinds),
            K::Coverage { .. } => {
                let of = parts!(kinds, K::Coverage { vector, declared } => (*vector, *declared))?;
                let (vectors, declared): (Vec<usize>, Vec<u64>) = of.into_iter().unzip();
                let all = declared.iter().map(|d| *d as f64).sum::<f64>().max(1.0);
                Some(self.sum(&vectors)?.scaled(1.0 / all))
            }
            K::Literal(value) => Some(Noisy::exact(*value)),
            K::Missing => None,
            K::KeyPosition(key) => Some(Noisy::exact(self.label(*key)? as f64)),
            K::KeyAmong { key, labels } => {
                let among = labels.binary_search(&self.label(*key)?).is_ok();
                Some(Noisy::truth(among, true))
            }
            K::Apply(function, _) => {
                let lists = parts!(kinds, K::Apply(_, arguments) => arguments)?;
                let count = lists.iter().map(|l| l.len()).min()?;
                let argument = |i: usize| {
                    let each: Vec<&OutputKind> = lists.iter().filter_map(|l| l.get(i)).collect();
                    self.value(&each)
                };
                let arguments: Vec<Option<Noisy>> = (0..count).map(argument).collect();
                apply(*function, &arguments)
            }
        }
    }

    fn label(&self, key: usize) -> Option<usize> {
        self.sites.first()?.shape().label_position(self.cell, key)
    }

    /// Sums and counts add; the value lies between the outermost bounds.
    fn average(&self, kinds: &[&OutputKind]) -> Option<Noisy> {
        let of = parts!(kinds, OutputKind::Average { sum, count, middle, lowest, highest } =>
            (*sum, *count, *middle, *lowest, *highest))?;
        let (mut total, mut count) = (Noisy::exact(0.0), Noisy::exact(0.0));
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (site, (sum, rows, middle, lowest, highest)) in of.into_iter().enumerate() {
            let rows = self.part(site, rows, 0)?;
            total = total
                .plus(&self.part(site, sum, 0)?, 1.0)
                .plus(&rows, middle);
            count = count.plus(&rows, 1.0);
            (low, high) = (low.min(lowest), high.max(highest));
        }
        Some(total.mean(&count, low, high))
    }

    /// The mean of (value - middle) with the first site's middle, and its bound.
    fn centred_mean(&self, x: &[&Centred], counts: &[usize]) -> Option<(Noisy, f64)> {
        let origin = x.first()?.middle;
        let (mut total, mut bound) = (Noisy::exact(0.0), 0.0f64);
        for (site, (x, count)) in x.iter().zip(counts).enumerate() {
            let moved = x.middle - origin;
            let rows = self.part(site, *count, 0)?;
            total = total
                .plus(&self.part(site, x.sum, 0)?, 1.0)
                .plus(&rows, moved);
            bound = bound.max(x.half + moved.abs());
        }
        Some((total.mean(&self.sum(counts)?, -bound, bound), bound))
    }

    /// The mean square about the mean. With d the distance of a site's middle from the first
    /// one's: sum (x - m + d)^2 = sum (x - m)^2 + 2 d sum (x - m) + d^2 n.
    fn spread(&self, x: &[&Moments], counts: &[usize]) -> Option<Noisy> {
        let centred: Vec<&Centred> = x.iter().map(|x| &x.centred).collect();
        let (mean, bound) = self.centred_mean(&centred, counts)?;
        let origin = x.first()?.centred.middle;
        let mut total = Noisy::exact(0.0);
        for (site, (x, count)) in x.iter().zip(counts).enumerate() {
            let moved = x.centred.middle - origin;
            let half_square = x.centred.half * x.centred.half / 2.0;
            let rows = self.part(site, *count, 0)?;
            let sums = self.part(site, x.centred.sum, 0)?;
            total = total
                .plus(&self.part(site, x.squares, 0)?, 1.0)
                .plus(&rows, half_square + moved * moved)
                .plus(&sums, 2.0 * moved);
        }
        let squares = total.mean(&self.sum(counts)?, 0.0, bound * bound);
        let spread = squares.plus(&mean.times(&mean), -1.0);
        Some(spread.clamped(0.0, bound * bound))
    }

    /// The mean product about the means. With d and e the distances of a site's middles from the
    /// first one's: sum (x - m + d)(y - l + e) = sum (x - m)(y - l) + d sum (y - l)
    /// + e sum (x - m) + d e n.
    fn covariance(&self, of: &[(&Centred, &Centred, usize, usize)]) -> Option<Noisy> {
        let counts: Vec<usize> = of.iter().map(|p| p.3).collect();
        let xs: Vec<&Centred> = of.iter().map(|p| p.0).collect();
        let ys: Vec<&Centred> = of.iter().map(|p| p.1).collect();
        let (mean_x, bound_x) = self.centred_mean(&xs, &counts)?;
        let (mean_y, bound_y) = self.centred_mean(&ys, &counts)?;
        let (first_x, first_y) = (xs.first()?.middle, ys.first()?.middle);
        let mut total = Noisy::exact(0.0);
        for (site, (x, y, products, count)) in of.iter().enumerate() {
            let (d, e) = (x.middle - first_x, y.middle - first_y);
            total = total
                .plus(&self.part(site, *products, 0)?, 1.0)
                .plus(&self.part(site, y.sum, 0)?, d)
                .plus(&self.part(site, x.sum, 0)?, e)
                .plus(&self.part(site, *count, 0)?, d * e);
        }
        let most = bound_x * bound_y;
        let products = total.mean(&self.sum(&counts)?, -most, most);
        let covariance = products.plus(&mean_x.times(&mean_y), -1.0);
        Some(covariance.clamped(-most, most))
    }

    fn correlation(&self, kinds: &[&OutputKind]) -> Option<Noisy> {
        let of = parts!(kinds, OutputKind::Correlation { x, y, products, count } =>
            (x, y, *products, *count))?;
        let counts: Vec<usize> = of.iter().map(|p| p.3).collect();
        let xs: Vec<&Moments> = of.iter().map(|p| p.0).collect();
        let ys: Vec<&Moments> = of.iter().map(|p| p.1).collect();
        let centred: Vec<_> = of
            .iter()
            .map(|p| (&p.0.centred, &p.1.centred, p.2, p.3))
            .collect();
        let covariance = self.covariance(&centred)?;
        let product = self
            .spread(&xs, &counts)?
            .times(&self.spread(&ys, &counts)?);
        let scale = root(&product)?;
        // Without any spread there is no direction: 0, and no statement.
        match covariance.over(&scale) {
            Some(ratio) => Some(ratio.clamped(-1.0, 1.0)),
            None => Some(Noisy::within(0.0, f64::INFINITY)),
        }
    }

    fn quantile(&self, kinds: &[&OutputKind], share: f64) -> Option<Noisy> {
        let trees = parts!(kinds, OutputKind::Quantile { tree, .. } => tree)?;
        let first = *trees.first()?;
        let level = |depth: usize| {
            let vector = *first.levels.get(depth)?;
            let parts = self.sites.first()?.shape().vectors.get(vector)?.parts;
            let (mut counts, mut variance) = (vec![0.0; parts as usize], 0.0);
            for (site, tree) in trees.iter().enumerate() {
                let vector = *tree.levels.get(depth)?;
                for (part, count) in counts.iter_mut().enumerate() {
                    *count += self.part(site, vector, part)?.value;
                }
                // A rounded count is off by at most half a step, evenly: a twelfth of its square.
                let rounding = self.sites.get(site)?.rounding_of(vector);
                variance += self.part(site, vector, 0)?.variance() + rounding * rounding / 12.0;
            }
            Some(Level { counts, variance })
        };
        let levels: Vec<Level> = (0..first.levels.len()).map(level).collect::<Option<_>>()?;
        let (value, half_width) = quantile(first, &levels, share);
        Some(Noisy::within(value, half_width))
    }

    /// Counts the categories above the threshold `sigma sqrt(2 ln(20 k))`: of k empty categories
    /// at most one in twenty answers has any above it (the discrete Gaussian is subgaussian, so
    /// P(noise > t) <= exp(-t^2 / (2 sigma^2)), and k such chances add to 1/20). Without noise those
    /// that anybody has.
    fn categories(&self, kinds: &[&OutputKind]) -> Option<Noisy> {
        let vectors = parts!(kinds, OutputKind::Categories { vector } => *vector)?;
        let first = self.sites.first()?.shape().vectors.get(*vectors.first()?)?;
        let categories = first.parts as usize;
        let noiseless = self.sites.iter().all(|site| site.is_noiseless());
        let mut found = 0.0;
        for category in 0..categories {
            let mut total = Noisy::exact(0.0);
            for (site, vector) in vectors.iter().enumerate() {
                total = total.plus(&self.part(site, *vector, category)?, 1.0);
            }
            let sigmas = (2.0 * (20.0 * categories as f64).ln()).sqrt();
            let threshold = total.variance().sqrt() * sigmas + total.slack;
            if total.value > if noiseless { 0.0 } else { threshold } {
                found += 1.0;
            }
        }
        // At least so many, and at most all.
        Some(Noisy::within(found, categories as f64 - found))
    }
}

fn root(value: &Noisy) -> Option<Noisy> {
    let slope = 0.5 / value.value.max(0.0).sqrt();
    value.curved(|v| v.max(0.0).sqrt(), slope)
}

/// Divided by the count less one instead of the count, where there are two or more.
fn corrected(value: Noisy, count: &Noisy, sample: bool) -> Noisy {
    let less_one = count.clone().plus(&Noisy::exact(1.0), -1.0);
    match count.over(&less_one) {
        Some(factor) if sample && less_one.value > 0.0 => value.times(&factor),
        _ => value,
    }
}

fn apply(function: Function, arguments: &[Option<Noisy>]) -> Option<Noisy> {
    use Function as F;
    let known = || arguments.iter().cloned().collect::<Option<Vec<Noisy>>>();
    match function {
        F::Coalesce => arguments.iter().flatten().next().cloned(),
        F::IsMissing => Some(Noisy::truth(arguments.first()?.is_none(), true)),
        F::Case => case(arguments),
        F::And => all(arguments, true),
        F::Or => all(arguments, false),
        F::NullIf => {
            let same = match (arguments.first()?, arguments.get(1)?) {
                (Some(a), Some(b)) => a.value == b.value,
                _ => false,
            };
            arguments.first()?.clone().filter(|_| !same)
        }
        F::Least => extreme(&known()?, |a, b| a < b),
        F::Greatest => extreme(&known()?, |a, b| a > b),
        _ => plain(function, &known()?),
    }
}

/// Functions of one or two known values.
fn plain(function: Function, known: &[Noisy]) -> Option<Noisy> {
    use Function as F;
    let a = known.first()?;
    let b = || known.get(1);
    match function {
        F::Add => Some(a.clone().plus(b()?, 1.0)),
        F::Subtract => Some(a.clone().plus(b()?, -1.0)),
        F::Multiply => Some(a.times(b()?)),
        F::Divide => a.over(b()?),
        F::Negate => Some(a.scaled(-1.0)),
        F::Round => {
            let scale = 10f64.powi(b()?.value.clamp(-15.0, 15.0) as i32);
            stepped(a, (a.value * scale).round() / scale, 1.0 / scale)
        }
        F::Floor => stepped(a, a.value.floor(), 1.0),
        F::Ceil => stepped(a, a.value.ceil(), 1.0),
        F::Abs => Some(a.scaled(if a.value < 0.0 { -1.0 } else { 1.0 })),
        F::Sqrt => root(a),
        F::Ln => a.curved(f64::ln, 1.0 / a.value).filter(|_| a.value > 0.0),
        F::Exp => a.curved(f64::exp, a.value.exp()),
        F::Equal => Some(compare(a, b()?, |a, b| a == b)),
        F::NotEqual => Some(compare(a, b()?, |a, b| a != b)),
        F::Less => Some(compare(a, b()?, |a, b| a < b)),
        F::LessOrEqual => Some(compare(a, b()?, |a, b| a <= b)),
        F::Greater => Some(compare(a, b()?, |a, b| a > b)),
        F::GreaterOrEqual => Some(compare(a, b()?, |a, b| a >= b)),
        F::Not => Some(Noisy::truth(!a.holds(), a.decided())),
        _ => None,
    }
}

/// A rounded value. The answer without added noise is rounded too, so that two rounded values can
/// be up to a whole step further apart than what was rounded; and the margin never claims less.
fn stepped(of: &Noisy, value: f64, step: f64) -> Option<Noisy> {
    let mut rounded = of.clone();
    rounded.value = value;
    rounded.slack += step;
    value.is_finite().then_some(rounded)
}

fn compare(a: &Noisy, b: &Noisy, holds: impl Fn(f64, f64) -> bool) -> Noisy {
    let apart = a.clone().plus(b, -1.0);
    let margin = apart.margin();
    Noisy::truth(
        holds(a.value, b.value),
        margin == 0.0 || apart.value.abs() > margin,
    )
}

/// AND (`full`) or OR in three-valued logic: one part can decide it, all of them must otherwise.
fn all(arguments: &[Option<Noisy>], full: bool) -> Option<Noisy> {
    let deciding = || arguments.iter().flatten().filter(|a| a.holds() != full);
    if deciding().next().is_some() {
        return Some(Noisy::truth(!full, deciding().any(Noisy::decided)));
    }
    let known = arguments.iter().cloned().collect::<Option<Vec<_>>>()?;
    Some(Noisy::truth(full, known.iter().all(Noisy::decided)))
}

/// The least or greatest. If the noise leaves open which one it is, the largest of the margins.
fn extreme(list: &[Noisy], better: fn(f64, f64) -> bool) -> Option<Noisy> {
    let first = list.first()?;
    let best = list.iter().fold(
        first,
        |best, n| if better(n.value, best.value) { n } else { best },
    );
    let sure = list.iter().all(|other| {
        let apart = other.clone().plus(best, -1.0);
        std::ptr::eq(other, best) || apart.value.abs() > apart.margin()
    });
    if sure {
        return Some(best.clone());
    }
    let margin = list.iter().map(Noisy::margin).fold(0.0, f64::max);
    Some(Noisy::within(best.value, margin))
}

/// The value of the first arm whose condition holds. If the noise leaves open which arm that is,
/// the margin reaches to the margin of every arm that it could be.
fn case(arguments: &[Option<Noisy>]) -> Option<Noisy> {
    let mut others: Vec<Option<&Noisy>> = Vec::new();
    let mut open = true;
    let mut result: Option<Option<Noisy>> = None;
    for pair in arguments.chunks(2) {
        if !open {
            break;
        }
        match pair {
            [condition, value] => {
                let holds = condition.as_ref().is_some_and(Noisy::holds);
                let decided = condition.as_ref().is_none_or(Noisy::decided);
                if holds && result.is_none() {
                    result = Some(value.clone());
                } else if holds || !decided {
                    others.push(value.as_ref());
                }
                open = !(holds && decided);
            }
            [otherwise] => match result {
                None => result = Some(otherwise.clone()),
                Some(_) => others.push(otherwise.as_ref()),
            },
            _ => {}
        }
    }
    let chosen = result.flatten()?;
    let mut reach = chosen.margin();
    if others.is_empty() {
        return Some(chosen);
    }
    for other in others.into_iter().flatten() {
        reach = reach.max((other.value - chosen.value).abs() + other.margin());
    }
    Some(Noisy::within(chosen.value, reach))
}
