//! What public hints say against a query before anything is asked for real.

use std::collections::BTreeSet;

use super::vectors::{clipped, summed};
use obscura_model::answer::Shape;

use crate::expr::{Num, literal};
use crate::query::Definition;
use crate::scope::Scope;

/// Sentences about clips that, by the description's hints, would cut many.
/// And one about keys that nobody declared.
pub(super) fn of(definition: &Definition, shape: &Shape) -> Vec<String> {
    let mut warnings: BTreeSet<String> = BTreeSet::new();
    for output in &definition.outputs {
        output.value.each(&mut |aggregate| {
            for value in summed(aggregate) {
                warn(value, &definition.scope, &mut warnings);
            }
        });
    }
    warnings.extend(hidden(definition, shape));
    warnings.into_iter().collect()
}

/// What is not shown of keys that nobody declared, and what such a release takes besides.
fn hidden(definition: &Definition, shape: &Shape) -> Option<String> {
    let key = shape.keys.iter().find(|k| k.discovered.is_some())?;
    let people = shape.threshold()?.ceil();
    Some(format!(
        "values of {} that fewer than about {} data subjects (each a {}) have will not be shown, \
         and numbers near that are too high on average; the release takes {:e} of delta, from \
         everybody, whatever it finds",
        key.column,
        literal(people),
        definition.scope.subject_unit(),
        shape.delta_keys().get()
    ))
}

fn warn(value: &Num, scope: &Scope, into: &mut BTreeSet<String>) {
    let (list, above) = match value {
        Num::Least(list) => (list, true),
        Num::Greatest(list) => (list, false),
        _ => return,
    };
    let (Some(inner), Some(end)) = clipped(list) else {
        return;
    };
    if let Num::Column(column) = innermost(inner)
        && let Some(column) = scope.get(*column)
        && let Some((low, high)) = column.typical
    {
        let name = &column.name;
        if above && end < high {
            into.insert(format!(
                "the clip of {name} at {} is below {}, up to where most values are said to be: \
                 people who contribute a lot would be cut",
                literal(end),
                literal(high)
            ));
        }
        if !above && end > low {
            into.insert(format!(
                "the clip of {name} at {} is above {}, down to where most values are said to be: \
                 people who contribute little would be raised",
                literal(end),
                literal(low)
            ));
        }
    }
    warn(inner, scope, into);
}

/// What is inside all clips.
fn innermost(value: &Num) -> &Num {
    match value {
        Num::Least(list) | Num::Greatest(list) => match clipped(list) {
            (Some(inner), Some(_)) => innermost(inner),
            _ => value,
        },
        _ => value,
    }
}
