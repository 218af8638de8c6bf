//! What an answer is made of: noisy vector sums on a public grid, and the outputs that follow
//! from them without touching private rows again.

use crate::accuracy::Z95;
use crate::exposure::{NANO, Rho};

/// One vector of a release, as public as the query it follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorShape {
    /// What is summed, in the plan's canonical words. Equal texts are the same vector.
    pub what: String,
    /// The grid step is 2 to the power of this, in the vector's unit.
    pub step_exponent: i32,
    /// The square of the clip norm C, in grid steps.
    pub clip_squared: u128,
    /// The standard deviation of the noise, in grid steps; at least 1.
    pub sigma: u64,
}

/// Numbers that would give no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrice {
    /// Sigma is zero, or the price does not fit 64 bits.
    #[error("the noise is too small for what one subject can add")]
    OutOfRange,
}

/// The price of one vector: C^2 / (2 sigma^2), rounded up to billionths (Bun and Steinke 2016,
/// proposition 6; for the discrete Gaussian Canonne, Kamath and Steinke 2020, theorem 4).
pub fn vector_price(clip_squared: u128, sigma: u64) -> Result<Rho, InvalidPrice> {
    let denominator = u128::from(sigma) * u128::from(sigma);
    let denominator = denominator.checked_mul(2).ok_or(InvalidPrice::OutOfRange)?;
    let numerator = clip_squared
        .checked_mul(u128::from(NANO))
        .ok_or(InvalidPrice::OutOfRange)?;
    if denominator == 0 {
        return Err(InvalidPrice::OutOfRange);
    }
    let price = numerator.div_ceil(denominator);
    u64::try_from(price)
        .map(Rho::from_nano)
        .map_err(|_| InvalidPrice::OutOfRange)
}

impl VectorShape {
    /// The grid step, in the vector's unit.
    #[must_use]
    pub fn step(&self) -> f64 {
        2f64.powi(self.step_exponent)
    }

    /// The standard deviation of the noise, in the vector's unit.
    #[must_use]
    pub fn sigma_in_units(&self) -> f64 {
        self.sigma as f64 * self.step()
    }

    /// See [`vector_price`].
    pub fn price(&self) -> Result<Rho, InvalidPrice> {
        vector_price(self.clip_squared, self.sigma)
    }
}

/// One group key: the column and its labels in declared order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The column's name.
    pub column: String,
    /// The labels, in declared order.
    pub labels: Vec<String>,
}

/// How an output follows from vectors (positions in [`Shape::vectors`]).
#[derive(Debug, Clone, PartialEq)]
pub enum OutputKind {
    /// A number of rows.
    Count {
        /// The count vector.
        vector: usize,
    },
    /// A number of subjects.
    Subjects {
        /// The count vector.
        vector: usize,
    },
    /// A sum.
    Sum {
        /// The sum vector.
        vector: usize,
    },
    /// An average: `middle` plus the centred sum over the count, clamped to the bounds.
    Average {
        /// The vector of sums of (value - middle).
        sum: usize,
        /// The vector of counts.
        count: usize,
        /// The middle of the bounds.
        middle: f64,
        /// The lower bound.
        lowest: f64,
        /// The upper bound.
        highest: f64,
    },
}

/// One output column of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the query.
    pub name: String,
    /// Its unit; may be empty.
    pub unit: String,
    /// How it follows from the vectors.
    pub kind: OutputKind,
}

/// Everything about an answer but its numbers. Public: a function of the query, the description
/// and the accuracy asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The group keys, outermost first. Cells are their product, the last key fastest.
    pub keys: Vec<Key>,
    /// The vectors.
    pub vectors: Vec<VectorShape>,
    /// The outputs, in the order of the query.
    pub outputs: Vec<Output>,
}

impl Shape {
    /// How many cells there are: the product of the keys' sizes, 1 without keys.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.keys.iter().map(|k| k.labels.len()).product()
    }

    /// The labels of cell number `cell`, outermost key first.
    #[must_use]
    pub fn labels(&self, cell: usize) -> Vec<&str> {
        let mut rest = cell;
        let mut labels: Vec<&str> = Vec::with_capacity(self.keys.len());
        for key in self.keys.iter().rev() {
            let size = key.labels.len().max(1);
            labels.push(key.labels.get(rest % size).map_or("", String::as_str));
            rest /= size;
        }
        labels.reverse();
        labels
    }

    /// The public price of the release: the sum over its vectors.
    pub fn price(&self) -> Result<Rho, InvalidPrice> {
        self.vectors.iter().try_fold(Rho::ZERO, |sum, v| {
            sum.checked_add(v.price()?).ok_or(InvalidPrice::OutOfRange)
        })
    }
}

/// A released value with its noise margin: 95 of 100 answers land within `margin` of the answer
/// without added noise. Sampling, clipping and truncation are not in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The 95 % noise margin; infinite where the noisy count allows no statement.
    pub margin: f64,
}

/// The noisy numbers of one site: one value for each vector and cell, in grid steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    shape: Shape,
    values: Vec<Vec<i64>>,
}

/// Numbers that do not fit their shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer's numbers do not fit its shape")]
pub struct InvalidAnswer;

impl Answer {
    /// Checks that there is one value for each vector and cell, and that every output names
    /// vectors that exist.
    pub fn new(shape: Shape, values: Vec<Vec<i64>>) -> Result<Self, InvalidAnswer> {
        let cells = shape.cells();
        let known = |v: usize| v < shape.vectors.len();
        let outputs_fit = shape.outputs.iter().all(|o| match o.kind {
            OutputKind::Count { vector }
            | OutputKind::Subjects { vector }
            | OutputKind::Sum { vector } => known(vector),
            OutputKind::Average { sum, count, .. } => known(sum) && known(count),
        });
        let values_fit =
            values.len() == shape.vectors.len() && values.iter().all(|v| v.len() == cells);
        if outputs_fit && values_fit && cells > 0 {
            Ok(Self { shape, values })
        } else {
            Err(InvalidAnswer)
        }
    }

    /// What the numbers mean.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The numbers in grid steps, by vector and cell.
    #[must_use]
    pub fn values(&self) -> &[Vec<i64>] {
        &self.values
    }

    /// The estimate of `output` in `cell`, or nothing if there is no such output or cell.
    #[must_use]
    pub fn estimate(&self, output: usize, cell: usize) -> Option<Estimate> {
        let shape = &self.shape;
        let read = |v: usize| {
            let vector = shape.vectors.get(v)?;
            let value = *self.values.get(v)?.get(cell)? as f64 * vector.step();
            Some((value, vector.sigma_in_units().powi(2)))
        };
        match shape.outputs.get(output)?.kind {
            OutputKind::Count { vector }
            | OutputKind::Subjects { vector }
            | OutputKind::Sum { vector } => {
                let (value, variance) = read(vector)?;
                Some(Estimate {
                    value,
                    margin: Z95 * variance.sqrt(),
                })
            }
            OutputKind::Average {
                sum,
                count,
                middle,
                lowest,
                highest,
            } => {
                let (sum, count) = (read(sum)?, read(count)?);
                Some(average(
                    &[AveragePart { sum, count, middle }],
                    lowest,
                    highest,
                ))
            }
        }
    }
}

/// One site's part of an average: noisy centred sum and noisy count, each with its variance.
#[derive(Debug, Clone, Copy)]
pub struct AveragePart {
    /// The noisy sum of (value - middle) and its noise variance.
    pub sum: (f64, f64),
    /// The noisy count and its noise variance.
    pub count: (f64, f64),
    /// The middle that was taken off.
    pub middle: f64,
}

/// The average over parts: sums and counts add, never per-site averages.
///
/// With S_k the centred sums, N_k the counts and m_k the middles, the value is
/// `sum(S_k + m_k N_k) / sum(N_k)` clamped to the bounds, and its noise variance to first order
/// `sum(var S_k + (value - m_k)^2 var N_k) / N^2`. Where the noisy count is not above its own
/// margin there is no finite margin.
#[must_use]
pub fn average(parts: &[AveragePart], lowest: f64, highest: f64) -> Estimate {
    let count: f64 = parts.iter().map(|p| p.count.0).sum();
    let count_margin = Z95 * parts.iter().map(|p| p.count.1).sum::<f64>().sqrt();
    let total: f64 = parts.iter().map(|p| p.sum.0 + p.middle * p.count.0).sum();
    let value = (total / count.max(1.0)).clamp(lowest, highest);
    let variance: f64 = parts
        .iter()
        .map(|p| p.sum.1 + (value - p.middle).powi(2) * p.count.1)
        .sum();
    let margin = if count > count_margin.max(1.0) {
        Z95 * variance.sqrt() / count
    } else {
        f64::INFINITY
    };
    Estimate { value, margin }
}
