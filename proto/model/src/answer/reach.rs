//! How far an output can be off before anything is asked: from sigmas, bounds and a number of rows.
//!
//! For each vector the largest slope that the output can have, times a power of the number n of
//! rows that match; from these follow the margins of a preview and, the other way round, the
//! sigmas that a wanted margin needs. For counts, sums and what is linear in them this is exact.

use std::collections::BTreeMap;

use super::VectorShape;
use super::value::{Centred, Function, Moments, OutputKind, Tree};
use crate::accuracy::Z95;

/// `factor * n^power`, an upper bound of a slope or a size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// The factor, at least 0.
    pub factor: f64,
    /// The power of n.
    pub power: i32,
}

impl Term {
    fn new(factor: f64, power: i32) -> Self {
        Self { factor, power }
    }

    /// n is at least 1, so the higher power bounds both.
    fn plus(self, other: Term) -> Self {
        Self::new(self.factor + other.factor, self.power.max(other.power))
    }

    fn times(self, other: Term) -> Self {
        Self::new(self.factor * other.factor, self.power + other.power)
    }

    fn most(self, other: Term) -> Self {
        Self::new(self.factor.max(other.factor), self.power.max(other.power))
    }

    /// The bound for `rows` rows or more; nothing if it grows with them.
    #[must_use]
    pub fn at(&self, rows: u64) -> Option<f64> {
        let power = if self.factor == 0.0 { 0 } else { self.power };
        (power <= 0).then(|| self.factor * (rows.max(1) as f64).powi(power))
    }
}

/// The reach of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// The largest size of the value.
    size: Term,
    /// For each vector the largest slope.
    pub slopes: BTreeMap<usize, Term>,
    /// What is added to the margin whatever the noise (steps of rounding, leaves of a tree).
    pub slack: f64,
    /// Whether the margin is that of the square: the output is the square root of something that
    /// can be near 0.
    pub root: bool,
}

impl Reach {
    /// Whether a margin can be said only for a number of rows.
    #[must_use]
    pub fn needs_rows(&self) -> bool {
        self.slopes.values().any(|s| s.power != 0)
    }

    /// The margin that these sigmas (by vector, in units) give if at least `rows` rows match.
    #[must_use]
    pub fn margin(&self, sigma: impl Fn(usize) -> f64, rows: u64) -> Option<f64> {
        let mut variance = 0.0;
        for (vector, slope) in &self.slopes {
            variance += (slope.at(rows)? * sigma(*vector)).powi(2);
        }
        let noise = Z95 * variance.sqrt();
        Some(if self.root { noise.sqrt() } else { noise } + self.slack)
    }

    fn of(size: Term, slopes: impl IntoIterator<Item = (usize, Term)>) -> Self {
        let mut all: BTreeMap<usize, Term> = BTreeMap::new();
        for (vector, slope) in slopes {
            let known = all.entry(vector).or_insert(Term::new(0.0, slope.power));
            *known = known.plus(slope);
        }
        Self {
            size,
            slopes: all,
            slack: 0.0,
            root: false,
        }
    }

    fn scaled(&self, by: Term) -> impl Iterator<Item = (usize, Term)> + '_ {
        self.slopes.iter().map(move |(v, s)| (*v, s.times(by)))
    }
}

/// The margin of an output if at least `rows` rows match in the cell, or nothing if none can be
/// said beforehand; and whether it depends on the rows.
#[must_use]
pub fn margin(kind: &OutputKind, vectors: &[VectorShape], rows: u64) -> Option<(f64, bool)> {
    let reach = reach(kind, &|v| {
        vectors.get(v).map_or(0.0, VectorShape::clip_in_units)
    })?;
    let sigma = |v: usize| vectors.get(v).map_or(0.0, VectorShape::sigma_in_units);
    Some((reach.margin(sigma, rows)?, reach.needs_rows()))
}

/// The reach of an output, or nothing if none follows from bounds and rows alone. `clip` gives
/// each vector's clip norm in its unit.
///
/// A quotient needs a count below the line, and supposes that at least n rows are in that count
/// and that no count above the line is larger. A quantile supposes that the values spread evenly
/// over their bounds, and a correlation that both columns do, about the middle of theirs.
#[must_use]
pub fn reach(kind: &OutputKind, clip: &dyn Fn(usize) -> f64) -> Option<Reach> {
    use OutputKind as K;
    let one = Term::new(1.0, 0);
    let mean = |factor: f64| Term::new(factor, -1);
    match kind {
        K::Count { vector } | K::Subjects { vector } => {
            Some(Reach::of(Term::new(1.0, 1), [(*vector, one)]))
        }
        K::Sum { vector } => Some(Reach::of(Term::new(clip(*vector), 1), [(*vector, one)])),
        K::Average {
            sum,
            count,
            middle,
            lowest,
            highest,
        } => {
            let half = (highest - middle).max(middle - lowest);
            let size = Term::new(lowest.abs().max(highest.abs()), 0);
            Some(Reach::of(size, [(*sum, mean(1.0)), (*count, mean(half))]))
        }
        K::Variance { x, count, .. } => Some(variance(x, *count)),
        K::Covariance {
            x,
            y,
            products,
            count,
            ..
        } => Some(covariance((x, y), *products, *count)),
        K::Correlation {
            x,
            y,
            products,
            count,
        } => Some(correlation((x, y), *products, *count)),
        K::Quantile { tree, share } => Some(quantile(tree, *share)),
        K::Categories { .. } | K::Missing => None,
        K::Coverage { vector, declared } => {
            let share = Term::new(1.0 / (*declared).max(1) as f64, 0);
            Some(Reach::of(one, [(*vector, share)]))
        }
        K::Literal(value) => Some(Reach::of(Term::new(value.abs(), 0), [])),
        K::KeyPosition(_) | K::KeyAmong { .. } => Some(Reach::of(one, [])),
        K::Apply(function, arguments) => apply(*function, arguments, clip),
    }
}

/// With u the mean and v the mean square about the middle, both over n rows, h half the bounds:
/// the slopes of v - u^2 are 1/n, -2u/n and (-(v - h^2/2) + 2u^2)/n; |u| <= h and u^2 <= v <= h^2.
fn variance(x: &Moments, count: usize) -> Reach {
    let half = x.centred.half;
    let slopes = [
        (x.squares, Term::new(1.0, -1)),
        (x.centred.sum, Term::new(2.0 * half, -1)),
        (count, Term::new(1.5 * half * half, -1)),
    ];
    Reach::of(Term::new(half * half, 0), slopes)
}

fn covariance((x, y): (&Centred, &Centred), products: usize, count: usize) -> Reach {
    let slopes = [
        (products, Term::new(1.0, -1)),
        (x.sum, Term::new(y.half, -1)),
        (y.sum, Term::new(x.half, -1)),
        (count, Term::new(3.0 * x.half * y.half, -1)),
    ];
    Reach::of(Term::new(x.half * y.half, 0), slopes)
}

/// For values that spread evenly over their bounds (variance h^2/3) with means within a quarter
/// of h from the middle: the slopes of cov / sqrt(var_x var_y) at correlations from -1 to 1.
fn correlation((x, y): (&Moments, &Moments), products: usize, count: usize) -> Reach {
    let (a, b) = (
        x.centred.half.max(f64::MIN_POSITIVE),
        y.centred.half.max(f64::MIN_POSITIVE),
    );
    let slopes = [
        (products, Term::new(3.0 / (a * b), -1)),
        (x.squares, Term::new(1.5 / (a * a), -1)),
        (y.squares, Term::new(1.5 / (b * b), -1)),
        (x.centred.sum, Term::new(1.5 / a, -1)),
        (y.centred.sum, Term::new(1.5 / b, -1)),
        (count, Term::new(1.5, -1)),
    ];
    Reach::of(Term::new(1.0, 0), slopes)
}

/// With R the rows before an edge of a leaf and T all of them, `(1 - share) R - share (T - R)` adds
/// up whole nodes: on either side at most three of each level, the others are cut finer by the next.
/// (Of both sides together there are no more than three, but the margin of an answer is that of the
/// further end of an interval, and so a little wider than its standard deviation says.) An even
/// spread has n / (high - low) rows for each unit.
fn quantile(tree: &Tree, share: f64) -> Reach {
    let range = tree.last_edge - tree.first_edge;
    let weight = share.hypot(1.0 - share);
    let slope = Term::new(3f64.sqrt() * weight * range, -1);
    let slopes: Vec<(usize, Term)> = tree.levels.iter().map(|v| (*v, slope)).collect();
    let size = tree.lowest.abs().max(tree.highest.abs());
    let mut reach = Reach::of(Term::new(size, 0), slopes);
    reach.slack = tree.leaf_width();
    reach
}

fn apply(
    function: Function,
    arguments: &[OutputKind],
    clip: &dyn Fn(usize) -> f64,
) -> Option<Reach> {
    use Function as F;
    let of = |i: usize| reach(arguments.get(i)?, clip).filter(|r| !r.root);
    match function {
        F::Add | F::Subtract => Some(together(&of(0)?, &of(1)?, Term::plus)),
        F::Least | F::Greatest => {
            let first = of(0)?;
            (1..arguments.len()).try_fold(first, |r, i| Some(together(&r, &of(i)?, Term::most)))
        }
        F::Negate | F::Abs => of(0),
        F::Multiply => {
            let (a, b) = (of(0)?, of(1)?);
            let slopes: Vec<_> = a.scaled(b.size).chain(b.scaled(a.size)).collect();
            Some(Reach::of(a.size.times(b.size), slopes)).filter(|_| a.slack + b.slack == 0.0)
        }
        F::Divide => divide(arguments.first()?, arguments.get(1)?, clip),
        F::Round | F::Floor | F::Ceil => {
            let mut rounded = of(0)?;
            rounded.slack += match (function, arguments.get(1)) {
                (F::Round, Some(OutputKind::Literal(d))) => {
                    10f64.powi(-(d.clamp(-15.0, 15.0) as i32))
                }
                _ => 1.0,
            };
            Some(rounded)
        }
        // |sqrt(a) - sqrt(b)| <= sqrt(|a - b|), which near 0 is all that can be said.
        F::Sqrt => {
            let mut root = of(0).filter(|r| r.slack == 0.0)?;
            root.root = true;
            Some(root)
        }
        _ => None,
    }
}

fn together(a: &Reach, b: &Reach, join: fn(Term, Term) -> Term) -> Reach {
    let mut slopes = a.slopes.clone();
    for (vector, slope) in &b.slopes {
        let known = slopes.entry(*vector).or_insert(Term::new(0.0, slope.power));
        *known = join(*known, *slope);
    }
    Reach {
        size: join(a.size, b.size),
        slopes,
        slack: a.slack + b.slack,
        root: false,
    }
}

fn divide(above: &OutputKind, below: &OutputKind, clip: &dyn Fn(usize) -> f64) -> Option<Reach> {
    // Over a number of rows what counts is how much one row can add, not one subject: the clip norm
    // of a sum is that of its rows times the most rows of a subject, which a count's clip norm is.
    let rows = match below {
        OutputKind::Count { vector } => clip(*vector).max(1.0),
        _ => 1.0,
    };
    let above = reach(above, &|v| clip(v) / rows).filter(|r| !r.root)?;
    match below {
        OutputKind::Literal(v) if *v != 0.0 => {
            let by = Term::new(1.0 / v.abs(), 0);
            let mut quotient = Reach::of(above.size.times(by), above.scaled(by));
            quotient.slack = above.slack / v.abs();
            Some(quotient)
        }
        OutputKind::Count { .. } | OutputKind::Subjects { .. } if above.slack == 0.0 => {
            let (by, twice) = (Term::new(1.0, -1), Term::new(1.0, -2));
            let below = reach(below, clip)?;
            let from_below = below.scaled(above.size.times(twice)).collect::<Vec<_>>();
            let slopes: Vec<_> = above.scaled(by).chain(from_below).collect();
            Some(Reach::of(above.size.times(by), slopes))
        }
        _ => None,
    }
}
