//! What a plan's rows take, from the plan and declared sizes alone.

use std::collections::BTreeSet;

use obscura_model::schema::Description;
use obscura_privacy::RowWork;

use super::{Quantity, Vector, needs};
use crate::expr::{Mask, Num, Printer, cost_of_any, cost_of_bool, cost_of_num, cost_of_stored};
use crate::ingest::KEPT_TIMES;
use crate::limits;
use crate::query::Definition;
use crate::refusal::Refusal;

/// The work on rows of the worst case.
pub(super) fn of_rows(
    definition: &Definition,
    vectors: &[Vector],
    description: &Description,
    canonical: &str,
) -> Result<RowWork, Refusal> {
    // Each expression once, as it is written; what is beyond its words is added.
    let mut operators = limits::tokens(canonical)?.len() as u64;
    let scope = &definition.scope;
    let filter = definition.filter.as_ref();
    let keys = definition.keys.iter().map(|key| key.value.cost(scope));
    let beyond = [
        filter.map_or(0, |f| cost_of_bool(f, scope)),
        keys.fold(0, u64::saturating_add),
        definition.relation.cost(&definition.columns()),
    ];
    for part in beyond {
        operators = operators.saturating_add(part);
    }
    for vector in vectors {
        operators = operators.saturating_add(evaluated(vector, definition));
    }
    operators = operators.saturating_add(stored(definition, vectors, description));
    let of_one = rows_of_one(definition, vectors, description);
    Ok(RowWork {
        // Somebody may have more rows than count, and has to fit too.
        rows: (description.most_subjects().saturating_add(KEPT_TIMES)).saturating_mul(of_one),
        most_of_one: scope.most_rows_per_subject(),
        operators,
    })
}

/// What a vector takes from each row costs its words and what is beyond them: vectors of one
/// expression, such as the levels of a tree, evaluate it once each.
fn evaluated(vector: &Vector, definition: &Definition) -> u64 {
    let scope = &definition.scope;
    let printer = Printer { scope };
    let number = |value: &Num| words(&printer.num(value)).saturating_add(cost_of_num(value, scope));
    match &vector.quantity {
        Quantity::Rows(Mask::Expression(value)) => {
            words(&printer.any(value)).saturating_add(cost_of_any(value, scope))
        }
        Quantity::Rows(Mask::Everything | Mask::Columns(_))
        | Quantity::Subjects
        | Quantity::Present(_)
        | Quantity::Everybody => 0,
        Quantity::Sum {
            value,
            low: _,
            high: _,
            middle: _,
        }
        | Quantity::Leaf {
            value,
            first_edge: _,
            width: _,
            leaves: _,
            together: _,
        } => number(value),
        Quantity::Cut(conditions) => conditions
            .iter()
            .map(|c| words(&printer.bool(c)).saturating_add(cost_of_bool(c, scope)))
            .fold(0, u64::saturating_add),
    }
}

/// The words and signs of an expression, or at least as many.
fn words(text: &str) -> u64 {
    let tokens = limits::tokens(&format!("SELECT {text}"));
    // A value about its middle, squared, can be longer than a query may be.
    tokens.map_or(text.len(), |tokens| tokens.len()) as u64
}

/// What reading the texts of a row costs, each column once.
fn stored(definition: &Definition, vectors: &[Vector], description: &Description) -> u64 {
    let tables = description.tables();
    let read = needs(definition, vectors, description).into_iter();
    let columns = read.flat_map(|(table, columns)| {
        let own = tables.get(table).map(|t| t.columns.as_slice());
        let own = own.unwrap_or_default();
        columns.into_iter().filter_map(|column| own.get(column))
    });
    let each = columns.map(|column| cost_of_stored(&column.domain));
    each.fold(0, u64::saturating_add)
}

/// How many rows of one subject are handled at most: those of the relation, and those of the
/// further tables that are read only for who is in them.
fn rows_of_one(definition: &Definition, vectors: &[Vector], description: &Description) -> u64 {
    let own = definition.relation.needs(&definition.columns());
    let all = needs(definition, vectors, description);
    let further: BTreeSet<usize> = all.into_keys().filter(|t| !own.contains_key(t)).collect();
    let tables = description.tables();
    let rows = further
        .iter()
        .filter_map(|t| tables.get(*t))
        .map(|t| u64::from(t.most_rows_per_subject));
    rows.fold(definition.relation.work(), u64::saturating_add)
}
