//! From outputs to the vectors that they follow from, each on its public grid.
//!
//! The rule by which a row's value becomes an integer: with bounds `low`, `high`, a public
//! `middle` (0 for a sum) and a grid step of 2 to the power of `exponent`,
//!
//! ```text
//! q = round_ties_even((clamp(x, low, high) - middle) * 2^-exponent)
//! ```
//!
//! and nothing where x is missing. Counts add 1024 for each row, in steps of 1/1024.

mod outputs;

use obscura_model::answer::{Arrange, Disclosure, Output};

use super::PlanOptions;
use super::quantity::Quantity;
use crate::expr::{Any, Arith, Bool, Comparison, Interval, Mask, Num, Printer, identifier};
use crate::expr::{interval, known_from, mask};
use crate::query::{Aggregate, Definition, KeyDefinition, Released};
use crate::refusal::Refusal;
use crate::scope::Scope;

pub(super) use outputs::{clipped, summed};

/// Counts are in steps of 2^-10, finer than one row.
pub(super) const COUNT_EXPONENT: i32 = -10;
/// One row in count steps.
pub(crate) const COUNT_SCALE: i32 = 1024;
/// One row or subject.
const COUNT_GRID: Grid = Grid {
    exponent: COUNT_EXPONENT,
    bound: COUNT_SCALE as u64,
};
/// A bound is from 2^20 up to 2^21 steps.
const BOUND_BITS: i32 = 20;
/// Bounds beyond 2 to the power of this (or steps below minus this) leave the range in which
/// scaled sums are exact floats.
const MOST_EXPONENT: i32 = 900;

impl Vector {
    /// Whether it counts rows or subjects, rather than summing values.
    pub(crate) fn counts(&self) -> bool {
        !matches!(self.quantity, Quantity::Sum { .. })
    }
}

/// The public grid of a vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Grid {
    /// The step is 2 to the power of this.
    pub(crate) exponent: i32,
    /// The most that one row adds, in steps.
    pub(crate) bound: u64,
}

/// One vector before noise is chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vector {
    pub(crate) what: String,
    pub(crate) quantity: Quantity,
    pub(crate) grid: Grid,
    pub(crate) clip_squared: u128,
    /// How many numbers a cell has.
    pub(crate) parts: u32,
    /// Whether there are numbers for each cell, or for the release as a whole.
    pub(crate) grouped: bool,
}

/// The vectors of a query, each once, and how the outputs follow from them.
pub(crate) struct Drawn {
    pub(crate) vectors: Vec<Vector>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) arrange: Arrange,
    pub(crate) disclosure: Disclosure,
    /// The number of subjects of each key, where keys are found in the rows.
    pub(crate) gate: Option<usize>,
}

struct Draft<'a> {
    definition: &'a Definition,
    scope: &'a Scope,
    known: std::collections::BTreeSet<usize>,
    vectors: Vec<Vector>,
}

/// The name of the output with the coverage.
const COVERAGE: &str = "coverage";
/// The name of the output with the number of subjects that were cut.
const CUT: &str = "subjects_cut";

/// Draws the vectors of all outputs. Equal ones are shared.
pub(crate) fn draw(definition: &Definition, options: &PlanOptions) -> Result<Drawn, Refusal> {
    let scope = &definition.scope;
    let known = known_from(definition.filter.as_ref());
    let mut draft = Draft {
        definition,
        scope,
        known,
        vectors: Vec::new(),
    };
    let mut outputs = Vec::with_capacity(definition.outputs.len());
    for output in &definition.outputs {
        outputs.push(Output {
            name: output.name.clone(),
            unit: draft.unit_of(&output.value),
            kind: draft.kind(&output.value, &output.name)?,
        });
    }
    let arrange = draft.arrange()?;
    if options.coverage {
        outputs.push(draft.coverage());
    }
    if options.count_clipped {
        outputs.push(draft.cut());
    }
    for name in [COVERAGE, CUT] {
        if outputs.iter().filter(|o| o.name == name).count() > 1 {
            return Err(
                Refusal::new(format!("an output is called '{name}' already"))
                    .suggest("give it another name with AS"),
            );
        }
    }
    // The rule is about people, so it reads a number of people: rows would say too much of one
    // who has many.
    let size = options.minimum_cell.map(|_| draft.subjects());
    // A key is shown by the number of people who have it.
    let found = definition.keys.iter().find_map(|k| k.value.found());
    let gate = found.map(|_| draft.subjects());
    if gate.is_some() && draft.vectors.iter().any(|v| v.parts != 1) {
        return Err(Refusal::new(
            "quantiles and numbers of categories need groups that are declared",
        )
        .suggest("ask for counts, sums and averages, or group by a declared column"));
    }
    Ok(Drawn {
        gate,
        vectors: draft.vectors,
        outputs,
        arrange,
        disclosure: Disclosure {
            size,
            minimum_cell: options.minimum_cell,
            rounding: None,
        },
    })
}

impl Draft<'_> {
    fn push(&mut self, vector: Vector) -> usize {
        match self.vectors.iter().position(|v| v.what == vector.what) {
            Some(found) => found,
            None => {
                self.vectors.push(vector);
                self.vectors.len() - 1
            }
        }
    }

    fn rows(&mut self, mask: Mask) -> usize {
        let grid = COUNT_GRID;
        let what = self.what("COUNT(*)", self.present(&mask));
        let clip_squared = self.clip(grid.bound, self.scope.most_rows_per_subject().into());
        self.push(Vector {
            what,
            quantity: Quantity::Rows(mask),
            grid,
            clip_squared,
            parts: 1,
            grouped: true,
        })
    }

    fn known(&mut self, value: &Any) -> usize {
        self.rows(mask(value, &self.known, self.scope))
    }

    fn subjects(&mut self) -> usize {
        let grid = COUNT_GRID;
        let subject = identifier(self.scope.subject_column());
        let what = self.what(&format!("COUNT(DISTINCT {subject})"), None);
        // At most 1 in each of m cells has the norm sqrt(m).
        let scale = u128::from(grid.bound);
        let clip_squared = u128::from(self.cells_per_subject()) * scale * scale;
        self.push(Vector {
            what,
            quantity: Quantity::Subjects,
            grid,
            clip_squared,
            parts: 1,
            grouped: true,
        })
    }

    /// In how many cells one subject can be.
    fn cells_per_subject(&self) -> u64 {
        let keys = &self.definition.keys;
        if keys.iter().all(|k| {
            let mut columns = std::collections::BTreeSet::new();
            k.value.columns(&mut columns);
            columns.iter().all(|c| self.is_constant(*c))
        }) {
            return 1;
        }
        let groups = |k: &KeyDefinition| match k.value.found() {
            Some(found) => u64::from(found.per_person),
            None => k.labels.len() as u64,
        };
        let cells: u64 = keys.iter().map(groups).product();
        cells.min(self.scope.most_rows_per_subject().into())
    }

    fn is_constant(&self, column: usize) -> bool {
        self.scope
            .get(column)
            .is_some_and(|c| c.constant_per_subject)
    }

    fn sum(&mut self, value: &Num, bounds: Interval, middle: f64) -> usize {
        let Interval { low, high } = bounds;
        let bound = (high - middle).max(middle - low).abs();
        let grid = sum_grid(bound);
        let shown = if middle == 0.0 {
            value.clone()
        } else {
            Num::chain(value.clone(), Arith::Subtract, Num::Literal(middle))
        };
        let printer = Printer { scope: self.scope };
        let what = self.what(&format!("SUM({})", printer.num(&shown)), None);
        let clip_squared = self.clip(grid.bound, self.scope.most_rows_per_subject().into());
        let quantity = Quantity::Sum {
            value: value.clone(),
            low,
            high,
            middle,
        };
        self.push(Vector {
            what,
            quantity,
            grid,
            clip_squared,
            parts: 1,
            grouped: true,
        })
    }

    /// (rows times bound)^2: all of a subject's rows may fall into one cell. A vector that is
    /// always 0 is priced as if one step could be added.
    fn clip(&self, bound: u64, rows: u64) -> u128 {
        let norm = u128::from(bound) * u128::from(rows);
        (norm * norm).max(1)
    }

    fn bounds(&self, value: &Num, output: &str) -> Result<Interval, Refusal> {
        // An expression that is always missing sums to nothing.
        let found = interval(value, self.scope).unwrap_or(Interval {
            low: 0.0,
            high: 0.0,
        });
        let largest = 2f64.powi(MOST_EXPONENT);
        if found.is_finite() && found.low.abs() < largest && found.high.abs() < largest {
            return Ok(found);
        }
        Err(self.unbounded(value, output))
    }

    fn unbounded(&self, value: &Num, output: &str) -> Refusal {
        let text = Printer { scope: self.scope }.num(value);
        let short = crate::limits::shown(&text);
        Refusal::new(format!("no bounds follow for {short} in '{output}'"))
            .suggest("clip it with LEAST and GREATEST, such as LEAST(GREATEST(x, 0), 100)")
    }

    fn present(&self, mask: &Mask) -> Option<Bool> {
        let known = |value: Any| Bool::IsNull {
            value: Box::new(value),
            negated: true,
        };
        match mask {
            Mask::Everything => None,
            Mask::Columns(columns) => columns
                .iter()
                .map(|c| known(Any::Num(Num::Column(*c))))
                .reduce(Bool::and),
            Mask::Expression(value) => Some(known(value.as_ref().clone())),
        }
    }

    /// The canonical words of a vector: what is summed, and over which rows.
    fn what(&self, summed: &str, present: Option<Bool>) -> String {
        let filter = self.definition.filter.clone();
        let rows = match (filter, present) {
            (Some(filter), Some(present)) => Some(Bool::and(filter, present)),
            (filter, present) => filter.or(present),
        };
        match rows {
            Some(rows) => {
                let printer = Printer { scope: self.scope };
                format!("{summed} WHERE {}", printer.bool(&rows))
            }
            None => summed.to_owned(),
        }
    }

    /// The unit of an expression: that of its only column where it keeps it.
    fn unit(&self, value: &Num) -> String {
        let mut columns = std::collections::BTreeSet::new();
        value.columns(&mut columns);
        let mut units = columns
            .iter()
            .filter_map(|c| self.scope.get(*c))
            .map(|c| c.unit.clone());
        match (units.next(), units.next(), keeps_unit(value)) {
            (Some(unit), None, true) => unit,
            _ => String::new(),
        }
    }
}

/// Whether a value is its column, clipped at most.
fn keeps_unit(value: &Num) -> bool {
    match value {
        Num::Column(_) | Num::Literal(_) | Num::Null => true,
        Num::Least(list) | Num::Greatest(list) => list.iter().all(keeps_unit),
        Num::Negate(_)
        | Num::Chain { first: _, rest: _ }
        | Num::Case(_)
        | Num::Day(_)
        | Num::Call(_) => false,
    }
}

/// The grid on which `bound` is from 2^20 up to 2^21 steps, so that the grid is always far finer
/// than the noise and sums stay small. A bound of 0 has one step and nothing in it.
fn sum_grid(bound: f64) -> Grid {
    if bound == 0.0 {
        return Grid {
            exponent: 0,
            bound: 0,
        };
    }
    // The exponent of a float, from its bits (IEEE 754 binary64); subnormal numbers read as -1023
    // and are far below the smallest step.
    let bits = ((bound.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let exponent = (bits - BOUND_BITS).max(-MOST_EXPONENT);
    let steps = (bound * 2f64.powi(-exponent)).round_ties_even();
    Grid {
        exponent,
        bound: steps as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grids_of_known_bounds() {
        assert_eq!(
            sum_grid(10.0),
            Grid {
                exponent: -17,
                bound: 10 << 17
            }
        );
        assert_eq!(
            sum_grid(1.0),
            Grid {
                exponent: -20,
                bound: 1 << 20
            }
        );
        assert_eq!(
            sum_grid(0.0),
            Grid {
                exponent: 0,
                bound: 0
            }
        );
        assert_eq!(
            sum_grid(1e-320),
            Grid {
                exponent: -900,
                bound: 0
            }
        );
    }

    proptest! {
        #[test]
        fn a_bound_is_from_20_to_21_bits(bound in 1e-200f64..1e200) {
            let grid = sum_grid(bound);
            prop_assert!((1 << 20..=1 << 21).contains(&grid.bound));
            let steps = bound / 2f64.powi(grid.exponent);
            prop_assert!((1048576.0..2097152.0).contains(&steps));
        }
    }
}
