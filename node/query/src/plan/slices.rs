//! How many rows expressions are evaluated over at once, from the plan and declared lengths alone.

use super::quantity::Evaluated;
use super::{KeyColumn, KeyKind, Vector};
use crate::expr::{width_of_any, width_of_bool, width_of_num};
use crate::query::Definition;
use crate::refusal::Refusal;
use crate::scope::Scope;

/// The most rows at once.
const MOST_ROWS: u64 = 8192;

/// About the most bytes that one expression holds while it is evaluated, on one thread. An array
/// of texts can have 2^31.
const SLICE_BYTES: u64 = 1 << 27;

/// As many rows that no expression holds more than [`SLICE_BYTES`], or a refusal if one row could.
pub(super) fn rows(
    definition: &Definition,
    vectors: &[Vector],
    keys: &[KeyColumn],
) -> Result<usize, Refusal> {
    let scope = &definition.scope;
    let filter = definition.filter.iter().map(|f| width_of_bool(f, scope));
    let keys = keys.iter().map(|key| match &key.kind {
        KeyKind::Category(_) | KeyKind::Integer(_, _) | KeyKind::Coded(_, _) => 0,
        KeyKind::Listed(value, _) => width_of_num(value, scope),
    });
    let vectors = vectors.iter().map(|vector| of_vector(vector, scope));
    let widths = filter.chain(keys).chain(vectors);
    of_width(widths.fold(definition.relation.width(), u64::max))
}

fn of_width(width: u64) -> Result<usize, Refusal> {
    match usize::try_from((SLICE_BYTES / width.max(1)).min(MOST_ROWS)) {
        Ok(0) | Err(_) => Err(Refusal::new(
            "the texts of one row could take too much memory together",
        )
        .suggest("shorten them with LEFT, or put fewer of them together")),
        Ok(rows) => Ok(rows),
    }
}

fn of_vector(vector: &Vector, scope: &Scope) -> u64 {
    let widths = vector.quantity.evaluated().into_iter().map(|e| match e {
        Evaluated::Any(value) => width_of_any(value, scope),
        Evaluated::Num(value) => width_of_num(value, scope),
        Evaluated::Bool(value) => width_of_bool(value, scope),
    });
    widths.fold(0, u64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_slice_holds_more_than_its_bytes_and_none_is_empty() {
        assert_eq!(of_width(0), Ok(8192));
        for width in [1, 100, 16_384, 16_385, 160_000, SLICE_BYTES] {
            let rows = of_width(width).unwrap() as u64;
            assert!((1..=MOST_ROWS).contains(&rows) && rows * width <= SLICE_BYTES);
        }
        assert!(of_width(SLICE_BYTES + 1).is_err());
        assert!(of_width(u64::MAX).is_err());
    }
}
