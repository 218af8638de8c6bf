//! What the accountant should have done, computed again from the CSV by code that shares nothing
//! with it: no crate of the product is used here, only whole numbers and the published rules.

use std::collections::BTreeMap;

/// Billionths in one unit of rho.
const NANO: u128 = 1_000_000_000;

/// One row as it stands in a CSV file without quotation marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    fields: Vec<String>,
}

/// A CSV text without quotation marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    header: Vec<String>,
    /// The rows, in the order of the file.
    pub rows: Vec<Row>,
}

impl Table {
    /// Splits at line ends and commas.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let split = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines().filter(|l| !l.is_empty());
        let header = lines.next().map(split).unwrap_or_default();
        Self {
            header,
            rows: lines.map(|l| Row { fields: split(l) }).collect(),
        }
    }

    /// The text of a cell; empty if there is none.
    #[must_use]
    pub fn text<'a>(&self, row: &'a Row, column: &str) -> &'a str {
        let at = self.header.iter().position(|h| h == column);
        at.and_then(|at| row.fields.get(at))
            .map_or("", String::as_str)
    }

    /// The number in a cell, if it is one.
    #[must_use]
    pub fn number(&self, row: &Row, column: &str) -> Option<f64> {
        self.text(row, column).parse().ok()
    }
}

/// Something of a row.
pub type OfRow<T> = Box<dyn Fn(&Table, &Row) -> T>;

/// What one vector sums.
pub enum Sums {
    /// 1 for each row.
    Rows,
    /// 1 in each cell where the subject has a row.
    Subjects {
        /// In how many cells one subject can be.
        cells_per_subject: u64,
    },
    /// A value between two bounds, minus a middle.
    Values {
        /// The value of a row.
        value: OfRow<Option<f64>>,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
        /// What is taken off.
        middle: f64,
    },
}

/// A question: which rows, into which cell, and what is summed.
pub struct Question {
    /// WHERE.
    pub matches: OfRow<bool>,
    /// GROUP BY: a cell's number.
    pub cell: OfRow<Option<usize>>,
    /// How many cells there are.
    pub cells: usize,
    /// The vectors, in the order of the plan.
    pub vectors: Vec<Sums>,
}

/// The grid and clip norm of one vector, from the published rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The step is 2 to the power of this.
    pub exponent: i32,
    /// The most that one row adds, in steps.
    pub bound: u128,
    /// The square of the clip norm, in steps.
    pub clip_squared: u128,
}

const COUNT_STEPS: u128 = 1024;

impl Sums {
    /// The grid, for at most `most_rows` rows of one subject.
    #[must_use]
    pub fn grid(&self, most_rows: u128) -> Grid {
        match self {
            Sums::Rows => Grid {
                exponent: -10,
                bound: COUNT_STEPS,
                clip_squared: (COUNT_STEPS * most_rows).pow(2),
            },
            Sums::Subjects { cells_per_subject } => Grid {
                exponent: -10,
                bound: COUNT_STEPS,
                clip_squared: u128::from(*cells_per_subject) * COUNT_STEPS.pow(2),
            },
            Sums::Values {
                low, high, middle, ..
            } => {
                let bound = (high - middle).max(middle - low);
                let exponent = bound.log2().floor() as i32 - 20;
                let steps = u128::try_from(quantise(bound, 0.0, exponent)).unwrap_or(0);
                Grid {
                    exponent,
                    bound: steps,
                    clip_squared: (steps * most_rows).pow(2),
                }
            }
        }
    }
}

/// A float as `mantissa * 2^exponent`, exactly.
fn exact(value: f64) -> (i128, i32) {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let (mantissa, exponent) = if exponent == 0 {
        (fraction, -1074)
    } else {
        (fraction | 1 << 52, exponent - 1075)
    };
    let sign = if value.is_sign_negative() { -1 } else { 1 };
    // Trailing zeros go into the exponent, so that nothing below is shifted far.
    let zeros = mantissa.trailing_zeros().min(60) as i32;
    if mantissa == 0 {
        (0, 0)
    } else {
        (sign * (mantissa >> zeros), exponent + zeros)
    }
}

/// `round_ties_even((value - middle) * 2^-exponent)` in whole numbers: nothing is rounded on the
/// way. For values and middles of everyday size.
#[must_use]
pub fn quantise(value: f64, middle: f64, exponent: i32) -> i128 {
    let ((a, ea), (b, eb)) = (exact(value), exact(middle));
    let common = ea.min(eb);
    let difference = (a << (ea - common)) - (b << (eb - common));
    let down = exponent - common;
    if down <= 0 {
        return difference << -down;
    }
    let (floor, rest) = (difference >> down, difference & ((1 << down) - 1));
    let half = 1i128 << (down - 1);
    match rest.cmp(&half) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + (floor & 1),
    }
}

/// What one subject adds to every vector, by cell.
pub type Contribution = Vec<BTreeMap<usize, i128>>;

/// Every subject's contribution. Nobody may have more rows than the declared most, because which
/// rows are left out is a secret of the node.
#[must_use]
pub fn contributions(
    table: &Table,
    subject: &str,
    question: &Question,
    most_rows: u128,
) -> BTreeMap<String, Contribution> {
    let mut found = BTreeMap::new();
    for row in &table.rows {
        let id = table.text(row, subject).trim().to_lowercase();
        let empty = || vec![BTreeMap::new(); question.vectors.len()];
        let mine: &mut Contribution = found.entry(id).or_insert_with(empty);
        let inside = (question.matches)(table, row);
        let Some(cell) = (question.cell)(table, row).filter(|_| inside) else {
            continue;
        };
        for (sums, part) in question.vectors.iter().zip(mine) {
            let grid = sums.grid(most_rows);
            match sums {
                Sums::Rows => *part.entry(cell).or_insert(0) += COUNT_STEPS as i128,
                Sums::Subjects { .. } => {
                    part.insert(cell, COUNT_STEPS as i128);
                }
                Sums::Values {
                    value,
                    low,
                    high,
                    middle,
                } => {
                    if let Some(x) = value(table, row) {
                        let q = quantise(x.clamp(*low, *high), *middle, grid.exponent);
                        *part.entry(cell).or_insert(0) += q;
                    }
                }
            }
        }
    }
    found
}

/// The sum of the squares.
#[must_use]
pub fn norm_squared(part: &BTreeMap<usize, i128>) -> u128 {
    part.values().map(|q| q.unsigned_abs().pow(2)).sum()
}

/// `ceil(norm * 10^9 / (2 sigma^2))`.
#[must_use]
pub fn rho_nano(norm_squared: u128, sigma: u128) -> u128 {
    (norm_squared * NANO).div_ceil(2 * sigma * sigma)
}

/// Every charge that a release of this price can store, ascending: `ceil(P (512 - r) / (512 2^e))`
/// for r below 256 and e below 64.
#[must_use]
pub fn code_grid(price: u128) -> Vec<u128> {
    let octaves = (0..64u32).flat_map(|e| (0..256u128).map(move |r| (e, r)));
    let mut grid: Vec<u128> = octaves
        .map(|(e, r)| (price * (512 - r)).div_ceil(512 << e))
        .collect();
    grid.sort_unstable();
    grid.dedup();
    grid
}

/// What one release did, according to the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The price.
    pub price: u128,
    /// The charge of every active subject that is charged.
    pub charges: BTreeMap<String, u128>,
    /// Who was left out for lack of room.
    pub dropped: Vec<String>,
    /// The exact sums of the active subjects, by vector and cell.
    pub sums: Vec<Vec<i128>>,
}

/// Runs a release with these sigmas (in grid steps): who is active, what they are charged, what
/// they add up to. `exposures` are those before the release; with limits in protect mode.
#[must_use]
pub fn release(
    contributions: &BTreeMap<String, Contribution>,
    question: &Question,
    sigmas: &[u128],
    most_rows: u128,
    exposures: &BTreeMap<String, u128>,
    limits: Option<&[u128]>,
) -> Outcome {
    let grids: Vec<Grid> = question.vectors.iter().map(|v| v.grid(most_rows)).collect();
    let price = grids
        .iter()
        .zip(sigmas)
        .map(|(g, s)| rho_nano(g.clip_squared, *s))
        .sum();
    let codes = code_grid(price);
    let mut sums = vec![vec![0i128; question.cells]; question.vectors.len()];
    let (mut charges, mut dropped) = (BTreeMap::new(), Vec::new());
    for (id, parts) in contributions {
        let exact: u128 = parts
            .iter()
            .zip(sigmas)
            .map(|(part, s)| rho_nano(norm_squared(part), *s))
            .sum();
        if exact == 0 {
            continue;
        }
        let above = codes.partition_point(|code| *code < exact);
        let charge = codes.get(above).copied().unwrap_or(price).min(price);
        let exposure = exposures.get(id).copied().unwrap_or(0);
        let room = |limit: &u128| exposure + charge <= *limit;
        if !limits.is_none_or(|limits| limits.iter().all(room)) {
            dropped.push(id.clone());
            continue;
        }
        charges.insert(id.clone(), charge);
        for (sum, part) in sums.iter_mut().zip(parts) {
            for (cell, q) in part {
                if let Some(total) = sum.get_mut(*cell) {
                    *total += q;
                }
            }
        }
    }
    Outcome {
        price,
        charges,
        dropped,
        sums,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_even_at_a_tie() {
        assert_eq!(quantise(0.5, 0.0, 0), 0);
        assert_eq!(quantise(1.5, 0.0, 0), 2);
        assert_eq!(quantise(-0.5, 0.0, 0), 0);
        assert_eq!(quantise(-1.5, 0.0, 0), -2);
        assert_eq!(quantise(48.78706, 100.0, -14), -839_073);
        assert_eq!(quantise(3.0, 5.0, -18), -(2 << 18));
    }

    #[test]
    fn the_grid_of_codes_ends_at_the_price_and_is_fine() {
        let grid = code_grid(100_000_000);
        assert_eq!(grid.last(), Some(&100_000_000));
        assert_eq!(grid.first(), Some(&1));
        let steps = grid.windows(2).filter(|w| w[0] > 1000);
        assert!(steps.into_iter().all(|w| (w[1] - w[0]) * 100 < w[1]));
    }
}
