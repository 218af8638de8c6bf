//! What an answer is made of: noisy vector sums on a public grid, and the outputs that follow
//! from them without touching private rows again.

mod arrange;
mod discovered;
pub(crate) mod evaluate;
mod noisy;
mod reach;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use crate::accuracy::Z95;
use crate::exposure::{NANO, Rho};

pub(crate) use arrange::arranged;
pub use arrange::{Arrange, OrderBy};
pub use discovered::Discovered;
pub(crate) use discovered::{aligned, having};
pub use reach::{Reach, Term, margin, reach};
pub use value::{Centred, Function, Moments, OutputKind, Tree};

/// The most numbers of one answer: the sum of its vectors' lengths.
pub const MOST_VALUES: u64 = 100_000;

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
    /// How many numbers a cell has, at least 1: 1 for sums and counts, the nodes for the level of
    /// a tree, the categories for counts of each of them.
    pub parts: u32,
    /// Whether there are numbers for each cell of the answer, or for the release as a whole.
    pub grouped: bool,
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

    /// How many numbers the vector has in an answer with so many cells, or nothing if that many
    /// cannot be.
    #[must_use]
    pub fn length(&self, cells: usize) -> Option<usize> {
        let cells = if self.grouped { cells } else { 1 };
        cells.checked_mul(usize::try_from(self.parts).ok()?)
    }

    /// The position of a part of a cell among the vector's numbers: the part varies fastest.
    #[must_use]
    pub fn place(&self, cell: usize, part: usize) -> usize {
        let cell = if self.grouped { cell } else { 0 };
        cell.saturating_mul(self.parts as usize)
            .saturating_add(part)
    }

    /// The most that one subject adds, in the vector's unit: the clip norm C.
    #[must_use]
    pub fn clip_in_units(&self) -> f64 {
        (self.clip_squared as f64).sqrt() * self.step()
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
    /// The labels, in declared order. Of a key that is not declared: one for each place, empty
    /// where nothing was found, or not yet.
    pub labels: Vec<String>,
    /// How the labels are found, if they are not declared.
    pub discovered: Option<Discovered>,
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
    /// Which cells are shown, in which order.
    pub arrange: Arrange,
    /// What the owner's disclosure rules need and did.
    pub disclosure: Disclosure,
}

/// Where disclosure rules look, and what they did. See [`crate::disclosure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disclosure {
    /// The vector with the number of subjects in each cell, if a minimum cell size applies.
    pub size: Option<usize>,
    /// The smallest noisy number of subjects that is shown.
    pub minimum_cell: Option<u32>,
    /// The step that counts are rounded to.
    pub rounding: Option<u32>,
}

impl Shape {
    /// How many numbers an answer has altogether, or nothing if that does not fit.
    #[must_use]
    pub fn values(&self) -> Option<u64> {
        let cells = self.cells();
        self.vectors.iter().try_fold(0u64, |sum, v| {
            sum.checked_add(u64::try_from(v.length(cells)?).ok()?)
        })
    }

    /// The position of a cell's label in the key number `key`.
    #[must_use]
    pub fn label_position(&self, cell: usize, key: usize) -> Option<usize> {
        let later = self.keys.iter().skip(key.checked_add(1)?);
        let faster: usize = later.map(|k| k.labels.len().max(1)).product();
        Some(cell / faster % self.keys.get(key)?.labels.len().max(1))
    }

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
///
/// A lower bound is read otherwise: in 95 of 100 answers the answer without noise is at least
/// `value`, and it is never more than `value + margin`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value; not a number where there is none (a division by zero, a suppressed cell).
    pub value: f64,
    /// The 95 % noise margin; infinite where the noisy values allow no statement.
    pub margin: f64,
    /// Whether the value is a lower bound: a number of categories alone.
    pub lower_bound: bool,
}

impl Estimate {
    /// No value.
    pub const MISSING: Estimate = Estimate {
        value: f64::NAN,
        margin: f64::INFINITY,
        lower_bound: false,
    };

    /// A value that may be off to either side.
    #[must_use]
    pub const fn within(value: f64, margin: f64) -> Self {
        Self {
            value,
            margin,
            lower_bound: false,
        }
    }

    /// Whether there is a value.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.value.is_nan()
    }

    /// The standard error that gives the margin: margin / 1.96. It is of the noise alone.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.margin / Z95
    }
}

/// The noisy numbers of one site: for each vector one value for each cell and part, in grid steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    shape: Shape,
    values: Vec<Vec<i64>>,
    /// By cell; empty if no rule can suppress cells.
    suppressed: Vec<bool>,
    /// The vectors that count rows or subjects.
    counts: Vec<bool>,
    /// By cell: places for keys that only others found. Empty but while combining.
    absent: Vec<bool>,
    /// Whether the numbers are sums of invented rows, as they were before noise.
    noiseless: bool,
}

/// Numbers that do not fit their shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer's numbers do not fit its shape")]
pub struct InvalidAnswer;

impl Answer {
    /// Checks that there is one value for each cell and part of each vector, and that every
    /// output names vectors and keys that exist.
    pub fn new(shape: Shape, values: Vec<Vec<i64>>) -> Result<Self, InvalidAnswer> {
        Self::with_suppressed(shape, values, Vec::new())
    }

    /// The same with marks for suppressed cells: one for each cell, or none at all.
    pub fn with_suppressed(
        shape: Shape,
        values: Vec<Vec<i64>>,
        suppressed: Vec<bool>,
    ) -> Result<Self, InvalidAnswer> {
        let cells = shape.cells();
        let fits = cells > 0
            && shape.values().is_some_and(|v| v <= MOST_VALUES)
            && values.len() == shape.vectors.len()
            && shape.vectors.iter().zip(&values).all(|(vector, values)| {
                vector.parts > 0 && vector.length(cells) == Some(values.len())
            })
            && (suppressed.is_empty() || suppressed.len() == cells)
            && shape.names_what_is_there()
            && shape.discovers_well();
        if !fits {
            return Err(InvalidAnswer);
        }
        let mut counts = vec![false; shape.vectors.len()];
        shape.each_kind(&mut |kind| {
            kind.vectors(&mut |vector, counted| {
                if let Some(count) = counts.get_mut(vector) {
                    *count |= counted;
                }
            });
        });
        if let Some(count) = shape.disclosure.size.and_then(|v| counts.get_mut(v)) {
            *count = true;
        }
        Ok(Self {
            shape,
            values,
            suppressed,
            counts,
            absent: Vec::new(),
            noiseless: false,
        })
    }

    /// Says that these are the numbers before noise, which only invented rows have outside a node:
    /// then its values are what the rows say, and do not depend on the noise of the shape. Its
    /// margins are still those that the noise would give.
    #[must_use]
    pub fn without_noise(self) -> Self {
        Self {
            noiseless: true,
            ..self
        }
    }

    /// See [`Answer::without_noise`].
    pub(crate) fn is_noiseless(&self) -> bool {
        self.noiseless
    }

    /// What the numbers mean.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The numbers in grid steps, by vector, cell and part.
    #[must_use]
    pub fn values(&self) -> &[Vec<i64>] {
        &self.values
    }

    /// The marks of suppressed cells; empty if no rule can suppress any.
    #[must_use]
    pub fn suppressed_cells(&self) -> &[bool] {
        &self.suppressed
    }

    /// Whether a cell is suppressed by the owner's rules, or an unused place: its values are
    /// missing.
    #[must_use]
    pub fn suppressed(&self, cell: usize) -> bool {
        self.suppressed.get(cell).copied().unwrap_or(false) || self.unused(cell)
    }

    /// Which vectors count rows or subjects.
    pub(crate) fn counts(&self) -> &[bool] {
        &self.counts
    }

    /// The step that a vector's values are rounded to by the owner's rules; 0 for none.
    pub(crate) fn rounding_of(&self, vector: usize) -> f64 {
        match self.shape.disclosure.rounding {
            Some(step) if self.counts.get(vector) == Some(&true) => f64::from(step),
            _ => 0.0,
        }
    }

    /// The estimate of `output` in `cell`, or nothing if there is no such output or cell. In a
    /// suppressed cell it is missing.
    #[must_use]
    pub fn estimate(&self, output: usize, cell: usize) -> Option<Estimate> {
        let kind = &self.shape.outputs.get(output)?.kind;
        if cell >= self.shape.cells() {
            return None;
        }
        if self.suppressed(cell) {
            return Some(Estimate::MISSING);
        }
        let sites = [self];
        let sites = &sites;
        Some(evaluate::estimate(&evaluate::Cell { sites, cell }, &[kind]))
    }

    /// The cells to show, in the order of the query's ORDER BY; see [`Arrange`].
    #[must_use]
    pub fn arranged(&self) -> Vec<usize> {
        arranged(&[self])
    }
}

impl Shape {
    /// Calls `each` with everything that is computed from the vectors.
    fn each_kind<'a>(&'a self, each: &mut dyn FnMut(&'a OutputKind)) {
        self.outputs.iter().for_each(|o| each(&o.kind));
        self.arrange.having.iter().for_each(&mut *each);
        self.arrange.order.iter().for_each(|o| each(&o.value));
    }

    /// Whether every vector and key that is named is there, with the parts that its use needs,
    /// and every function has as many arguments as it takes.
    fn names_what_is_there(&self) -> bool {
        let mut fine = self.disclosure.size.is_none_or(|v| self.is_single(v));
        self.each_kind(&mut |kind| fine &= self.fits(kind, 0));
        fine
    }

    fn is_single(&self, vector: usize) -> bool {
        self.vectors.get(vector).is_some_and(|v| v.parts == 1)
    }

    fn fits(&self, kind: &OutputKind, depth: usize) -> bool {
        match kind {
            OutputKind::Apply(function, arguments) => {
                let (least, most) = function.arity();
                depth < MOST_DEPTH
                    && (least..=most).contains(&arguments.len())
                    && arguments.iter().all(|a| self.fits(a, depth + 1))
            }
            OutputKind::Quantile { tree, share } => {
                let parts = |v: &usize| self.vectors.get(*v).map(|v| v.parts as usize);
                let sizes: Option<Vec<usize>> = tree.levels.iter().map(parts).collect();
                let leaves = tree.leaves as usize;
                let finite = [tree.first_edge, tree.last_edge, tree.lowest, tree.highest];
                finite.iter().all(|e| e.is_finite())
                    && tree.first_edge <= tree.last_edge
                    && tree.lowest <= tree.highest
                    && *share > 0.0
                    && *share < 1.0
                    && leaves > 0
                    && sizes == Some(Tree::sizes(leaves))
            }
            OutputKind::Categories { vector } => *vector < self.vectors.len(),
            OutputKind::KeyPosition(key) => *key < self.keys.len(),
            OutputKind::KeyAmong { key, labels } => {
                let known = self.keys.get(*key).map_or(0, |k| k.labels.len());
                labels.iter().all(|l| *l < known) && labels.is_sorted()
            }
            OutputKind::Average {
                middle,
                lowest,
                highest,
                ..
            } => middle.is_finite() && lowest <= highest && self.all_single(kind),
            other => self.all_single(other),
        }
    }

    fn all_single(&self, kind: &OutputKind) -> bool {
        let mut single = true;
        kind.vectors(&mut |vector, _| single &= self.is_single(vector));
        single
    }
}

/// The deepest nesting of an output's operations.
const MOST_DEPTH: usize = 256;
