//! What a plan's rows take, from the plan and declared sizes alone.

use obscura_model::schema::Description;
use obscura_privacy::RowWork;

use super::Vector;
use super::quantity::Evaluated;
use crate::expr::{Printer, cost_of_any, cost_of_bool, cost_of_num, cost_of_stored};
use crate::ingest::KEPT_TIMES;
use crate::limits;
use crate::query::Definition;
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::source::Needs;

/// The work on rows of the worst case.
pub(super) fn of_rows(
    definition: &Definition,
    vectors: &[Vector],
    needs: &Needs,
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
        operators = operators.saturating_add(evaluated(vector, scope));
    }
    operators = operators.saturating_add(stored(needs, description));
    let of_one = rows_of_one(definition, needs, description);
    Ok(RowWork {
        // Somebody may have more rows than count, and has to fit too.
        rows: (description.most_subjects().saturating_add(KEPT_TIMES)).saturating_mul(of_one),
        most_of_one: scope.most_rows_per_subject(),
        operators,
    })
}

/// What a vector takes from each row costs its words and what is beyond them: vectors of one
/// expression, such as the levels of a tree, evaluate it once each.
fn evaluated(vector: &Vector, scope: &Scope) -> u64 {
    let printer = Printer { scope };
    let costs = vector.quantity.evaluated().into_iter().map(|e| match e {
        Evaluated::Any(v) => words(&printer.any(v)).saturating_add(cost_of_any(v, scope)),
        Evaluated::Num(v) => words(&printer.num(v)).saturating_add(cost_of_num(v, scope)),
        Evaluated::Bool(v) => words(&printer.bool(v)).saturating_add(cost_of_bool(v, scope)),
    });
    costs.fold(0, u64::saturating_add)
}

/// The words and signs of an expression, or at least as many.
fn words(text: &str) -> u64 {
    let tokens = limits::tokens(&format!("SELECT {text}"));
    // A value about its middle, squared, can be longer than a query may be.
    tokens.map_or(text.len(), |tokens| tokens.len()) as u64
}

/// What reading the texts of a row costs, each column once.
fn stored(needs: &Needs, description: &Description) -> u64 {
    let tables = description.tables();
    let columns = needs.iter().flat_map(|(table, columns)| {
        let own = tables.get(*table).map(|t| t.columns.as_slice());
        let own = own.unwrap_or_default();
        columns.iter().filter_map(|column| own.get(*column))
    });
    let each = columns.map(|column| cost_of_stored(&column.domain));
    each.fold(0, u64::saturating_add)
}

/// How many rows of one subject are handled at most: those of the relation, and those of the
/// further tables that are read only for who is in them.
fn rows_of_one(definition: &Definition, needs: &Needs, description: &Description) -> u64 {
    let own = definition.relation.needs(&definition.columns());
    let further = needs.keys().filter(|t| !own.contains_key(t));
    let tables = description.tables();
    let rows = further
        .filter_map(|t| tables.get(*t))
        .map(|t| u64::from(t.most_rows_per_subject));
    rows.fold(definition.relation.work(), u64::saturating_add)
}
