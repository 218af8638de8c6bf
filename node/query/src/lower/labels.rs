//! Conditions on one category alone are decided for each of its labels when the query is checked,
//! and become a list of labels: `LOWER(dx) LIKE 'e11%'` is `dx IN ('E11.0', 'E11.9')`. In the same
//! way a text made of one category has a finite domain.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array};
use obscura_model::schema::Domain;

use crate::batch::Batch;
use crate::eval::Row;
use crate::expr::{Any, Bool, Text, cost_of_any, cost_of_bool};
use crate::query::KeyValue;
use crate::runs::Runs;
use crate::scope::Scope;

/// The most labels that a condition is written out as.
const MOST_LABELS: usize = 200;

/// The most work, in operators on labels. What is more stays as it was written. Depends on the
/// condition alone, so that the canonical text means the same when it is read again.
const MOST_WORK: u64 = 1_000_000;

/// The same for one pattern, of which a query has few.
const MOST_PATTERN_WORK: u64 = 5_000_000;

/// The condition as a list of labels, if it is one; otherwise the condition.
pub(super) fn decided(condition: Bool, scope: &Scope) -> Bool {
    match positions(&condition, scope) {
        Some(list) => list,
        None => condition,
    }
}

fn positions(condition: &Bool, scope: &Scope) -> Option<Bool> {
    if !is_about_texts(condition) {
        return None;
    }
    let mut columns = BTreeSet::new();
    condition.columns(&mut columns);
    let most = match condition {
        Bool::Matches {
            value: _,
            pattern: _,
        } => MOST_PATTERN_WORK,
        _ => MOST_WORK,
    };
    let (column, batch) = each(&columns, cost_of_bool(condition, scope), most, scope)?;
    let found = Row { batch: &batch }.bool(condition).ok()?;
    // A list is TRUE or FALSE for every label, and missing where the category is.
    let last = found.len().checked_sub(1)?;
    if found.null_count() != 1 || found.is_valid(last) {
        return None;
    }
    let (yes, no): (BTreeSet<usize>, BTreeSet<usize>) = (0..last).partition(|i| found.value(*i));
    let negated = no.len() < yes.len();
    let positions = if negated { no } else { yes };
    (1..=MOST_LABELS)
        .contains(&positions.len())
        .then_some(Bool::Among {
            column,
            positions,
            negated,
        })
}

/// The one category among the columns, with each of its labels once and a missing value last.
/// Nothing if it is not the only column, or if its labels together cost more than `most`.
fn each(columns: &BTreeSet<usize>, cost: u64, most: u64, scope: &Scope) -> Option<(usize, Batch)> {
    let mut columns = columns.iter();
    let (Some(&column), None) = (columns.next(), columns.next()) else {
        return None;
    };
    let Domain::Category { values, other: _ } = &scope.get(column)?.domain else {
        return None;
    };
    let labels = u32::try_from(values.len()).ok()?;
    if cost.saturating_add(1).saturating_mul(labels.into()) > most {
        return None;
    }
    let codes: Int32Array = (0..i32::try_from(labels).ok()?)
        .map(Some)
        .chain([None])
        .collect();
    let mut arrays: Vec<Option<ArrayRef>> = vec![None; scope.columns().len()];
    *arrays.get_mut(column)? = Some(Arc::new(codes));
    let batch = Batch {
        runs: Runs::new((0..labels.checked_add(1)?).map(|label| (label, 1))),
        columns: arrays,
    };
    Some((column, batch))
}

/// A text made of one category as a key: found by evaluating it for each label.
pub(super) fn made(value: Text, scope: &Scope) -> Option<KeyValue> {
    let mut columns = BTreeSet::new();
    value.columns(&mut columns);
    let cost = cost_of_any(&Any::Text(value.clone()), scope);
    let (column, batch) = each(&columns, cost, MOST_WORK, scope)?;
    let found = Row { batch: &batch }.text(&value).ok()?;
    let texts: Vec<Option<String>> = found.iter().map(|t| t.map(str::to_owned)).collect();
    texts.iter().any(Option::is_some).then_some(KeyValue::Made {
        value,
        column,
        texts,
    })
}

/// Whether a condition is one that texts may be part of, and not a combination of others.
fn is_about_texts(condition: &Bool) -> bool {
    match condition {
        Bool::CompareTexts(_, _, _)
        | Bool::InTexts { value: _, list: _ }
        | Bool::Matches {
            value: _,
            pattern: _,
        }
        | Bool::Compare(_, _, _)
        | Bool::Between {
            value: _,
            low: _,
            high: _,
            negated: _,
        }
        | Bool::InNumbers {
            value: _,
            list: _,
            negated: _,
        }
        | Bool::Call(_) => true,
        // A code list is shown as what it is.
        Bool::InCodes { value: _, codes: _ }
        | Bool::Null
        | Bool::Literal(_)
        | Bool::Column(_)
        | Bool::Among {
            column: _,
            positions: _,
            negated: _,
        }
        | Bool::Is {
            value: _,
            truth: _,
            negated: _,
        }
        | Bool::Distinct {
            left: _,
            right: _,
            negated: _,
        }
        | Bool::IsNull {
            value: _,
            negated: _,
        }
        | Bool::All(_)
        | Bool::Either(_)
        | Bool::Not(_)
        | Bool::Case(_) => false,
    }
}
