//! What is known of the columns of subqueries: their domains, and whether they may be missing.

use std::collections::BTreeSet;

use obscura_model::calendar;
use obscura_model::schema::{Column, Domain};

use crate::expr::{Any, Arith, Bool, Interval, Mask, Num, Printer, interval, mask};
use crate::functions::gives_whole_numbers;
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::relation::{Output, PersonAggregate, Value, number};
use crate::scope::Scope;

/// Whole numbers up to here are exact floats.
const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53

/// What is known of a subquery's column.
pub(super) fn described(output: &Output, scope: &Scope, known: &BTreeSet<usize>) -> Column {
    match &output.value {
        Value::Column(column) => {
            let mut described = scope.get(*column).cloned().unwrap_or_else(|| {
                // Positions come from this very scope.
                plain(Domain::Boolean)
            });
            described.name.clone_from(&output.name);
            described.may_be_missing &= !known.contains(column);
            described
        }
        Value::Computed(value) => Column {
            name: output.name.clone(),
            may_be_missing: mask(value, known, scope) != Mask::Everything,
            // Checked when the output was read.
            ..plain(domain(value, scope).unwrap_or(Domain::Boolean))
        },
    }
}

/// What is known of an aggregate over one subject's rows.
pub(super) fn computed(
    aggregate: &PersonAggregate,
    input: &Scope,
    known: &BTreeSet<usize>,
) -> Result<Column, Refusal> {
    let most = f64::from(input.most_rows_per_subject());
    let may_be_missing = |value: &Any| mask(value, known, input) != Mask::Everything;
    let of_number = |value: &Num| may_be_missing(&Any::Num(value.clone()));
    let count = Domain::Integer {
        lowest: 0,
        highest: i64::from(input.most_rows_per_subject()),
    };
    let (domain, may_be_missing) = match aggregate {
        PersonAggregate::Rows | PersonAggregate::Known(_) | PersonAggregate::Different(_) => {
            (count, false)
        }
        PersonAggregate::Sum(value) => {
            let Interval { low, high } = bounds(value, input)?;
            // From 1 to all of the rows may have a value.
            let all = Interval {
                low: low.min(low * most) + 0.0,
                high: high.max(high * most) + 0.0,
            };
            (numbers(all, is_whole(value, input)), of_number(value))
        }
        PersonAggregate::Average(value) => {
            (numbers(bounds(value, input)?, false), of_number(value))
        }
        PersonAggregate::Least(value) | PersonAggregate::Greatest(value) => {
            (domain(value, input)?, may_be_missing(value))
        }
        PersonAggregate::Some(value) | PersonAggregate::Every(value) => {
            let value = Any::Bool(value.clone());
            (Domain::Boolean, may_be_missing(&value))
        }
    };
    Ok(Column {
        name: aggregate.told(input),
        unit: unit(aggregate, input),
        may_be_missing,
        ..plain(domain)
    })
}

/// One value for each subject, of which nothing else is known.
fn plain(domain: Domain) -> Column {
    Column {
        name: String::new(),
        domain,
        unit: String::new(),
        meaning: String::new(),
        source: String::new(),
        may_be_missing: true,
        missing_share: 0.0,
        constant_per_subject: false,
        typical: None,
        keys: None,
    }
}

fn unit(aggregate: &PersonAggregate, input: &Scope) -> String {
    let column = match aggregate {
        PersonAggregate::Sum(Num::Column(column))
        | PersonAggregate::Average(Num::Column(column)) => Some(*column),
        PersonAggregate::Least(value) | PersonAggregate::Greatest(value) => whole_column(value),
        _ => None,
    };
    let column = column.and_then(|c| input.get(c));
    column.map_or_else(String::new, |c| c.unit.clone())
}

fn bounds(value: &Num, scope: &Scope) -> Result<Interval, Refusal> {
    // What is always missing sums to nothing.
    let found = interval(value, scope).unwrap_or(Interval {
        low: 0.0,
        high: 0.0,
    });
    if found.is_finite() {
        return Ok(found);
    }
    let text = Printer { scope }.num(value);
    Err(
        Refusal::new(format!("no bounds follow for {}", shown(&text)))
            .suggest("clip it with LEAST and GREATEST, such as LEAST(GREATEST(x, 0), 100)"),
    )
}

/// The column that a value is, if it is one.
pub(super) fn whole_column(value: &Any) -> Option<usize> {
    match (number(value), value) {
        (Some(Num::Column(column)), _)
        | (None, Any::Category(column) | Any::Bool(Bool::Column(column))) => Some(*column),
        _ => None,
    }
}

/// The domain of a computed column.
pub(super) fn domain(value: &Any, scope: &Scope) -> Result<Domain, Refusal> {
    if let Some(column) = whole_column(value) {
        let column = scope.get(column);
        return Ok(column.map_or(Domain::Boolean, |c| c.domain.clone()));
    }
    match value {
        Any::Num(value) => Ok(numbers(bounds(value, scope)?, is_whole(value, scope))),
        Any::Bool(_) => Ok(Domain::Boolean),
        Any::Date(value) => {
            let Interval { low, high } = bounds(value, scope)?;
            // A day outside the calendar is missing, so that these are bounds all the same.
            let day =
                |v: f64| v.clamp(f64::from(calendar::FIRST), f64::from(calendar::LAST)) as i32;
            Ok(Domain::Date {
                first: day(low.ceil()),
                last: day(high.floor()),
            })
        }
        _ => Err(
            Refusal::new("a computed text cannot be a column of a subquery")
                .suggest("compare it with something, or write CASE WHEN ... THEN 1 ELSE 0 END"),
        ),
    }
}

fn numbers(bounds: Interval, whole: bool) -> Domain {
    let Interval { low, high } = bounds;
    if whole && low.abs() <= EXACT && high.abs() <= EXACT {
        Domain::Integer {
            lowest: low.ceil() as i64,
            highest: high.floor() as i64,
        }
    } else {
        Domain::Number {
            lowest: low,
            highest: high,
        }
    }
}

/// Whether a number is whole on every row: proved from its form, and from bounds within which
/// sums and products are exact.
fn is_whole(value: &Num, scope: &Scope) -> bool {
    let exact = |value: &Num| {
        interval(value, scope).is_some_and(|i| i.low.abs() <= EXACT && i.high.abs() <= EXACT)
    };
    let whole = match value {
        Num::Literal(v) => v.fract() == 0.0,
        Num::Column(column) => matches!(
            scope.get(*column).map(|c| &c.domain),
            Some(Domain::Integer { .. } | Domain::Date { .. })
        ),
        Num::Day(_) => true,
        Num::Call(call) => gives_whole_numbers(call.function.name, call.arguments.len()),
        Num::Negate(inner) => is_whole(inner, scope),
        Num::Chain { first, rest } => {
            is_whole(first, scope)
                && rest
                    .iter()
                    .all(|(op, next)| !matches!(op, Arith::Divide) && is_whole(next, scope))
        }
        Num::Case(case) => {
            let results = case.arms.iter().map(|(_, r)| r);
            let mut results = results.chain(case.otherwise.as_deref());
            results.all(|r| is_whole(r, scope))
        }
        Num::Least(list) | Num::Greatest(list) => list.iter().all(|n| is_whole(n, scope)),
        _ => false,
    };
    whole && exact(value)
}
