//! What is summed, and what has to be evaluated for it.

use crate::expr::{Any, Bool, Mask, Num};

/// What a vector sums over the matching rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Quantity {
    /// 1 for each row inside the mask.
    Rows(Mask),
    /// 1 in each cell in which the subject has a matching row.
    Subjects,
    /// Values, clamped, minus the middle.
    Sum {
        value: Num,
        low: f64,
        high: f64,
        middle: f64,
    },
    /// 1 for each row with a value, in the part that the value's leaf belongs to: leaves of one
    /// width from the first edge on, `together` of them in one part.
    Leaf {
        value: Num,
        first_edge: f64,
        width: f64,
        leaves: u32,
        together: u32,
    },
    /// 1 in each cell and category in which the subject has a matching row.
    Present(usize),
    /// 1 for each subject with any row at all, matching or not.
    Everybody,
    /// 1 for each subject that lost matching rows to the most rows that count, or has a row in
    /// which one of these conditions is TRUE.
    Cut(Vec<Bool>),
}

/// An expression that is evaluated for each row.
pub(super) enum Evaluated<'a> {
    Any(&'a Any),
    Num(&'a Num),
    Bool(&'a Bool),
}

impl Quantity {
    /// The expressions that are evaluated for each row. Anything else is read off as it is stored.
    pub(super) fn evaluated(&self) -> Vec<Evaluated<'_>> {
        match self {
            Self::Rows(Mask::Expression(value)) => vec![Evaluated::Any(value)],
            Self::Rows(Mask::Everything | Mask::Columns(_))
            | Self::Subjects
            | Self::Present(_)
            | Self::Everybody => Vec::new(),
            Self::Sum {
                value,
                low: _,
                high: _,
                middle: _,
            }
            | Self::Leaf {
                value,
                first_edge: _,
                width: _,
                leaves: _,
                together: _,
            } => vec![Evaluated::Num(value)],
            Self::Cut(conditions) => conditions.iter().map(Evaluated::Bool).collect(),
        }
    }
}
