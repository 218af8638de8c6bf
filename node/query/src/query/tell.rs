//! What people are told about a query: its outputs, groups and arrangement.

use obscura_model::answer::Function;
use obscura_model::schema::Description;

use super::{Aggregate, Arrangement, Definition, OutputDefinition, Released};
use crate::expr::{Num, Words, interval, join, literal};
use crate::scope::Scope;

/// One sentence for each output.
pub(super) fn sentences(definition: &Definition) -> Vec<String> {
    let scope = &definition.scope;
    let words = Words { scope };
    let told = |output: &OutputDefinition| match &output.value {
        Released::Aggregate(aggregate) => long(aggregate, &words, scope),
        other => format!(
            "{}; computed from released numbers only",
            other.words(&words, scope, &definition.keys)
        ),
    };
    let outputs = definition.outputs.iter();
    outputs
        .map(|o| format!("{}: {}.", o.name, told(o)))
        .collect()
}

fn long(aggregate: &Aggregate, words: &Words<'_>, scope: &Scope) -> String {
    let unit = scope.subject_unit();
    match aggregate {
        Aggregate::Rows => "how many rows match".to_owned(),
        Aggregate::Known(value) => {
            format!(
                "how many matching rows have a value for {}",
                words.any(value)
            )
        }
        Aggregate::Subjects => {
            format!("how many data subjects (each a {unit}) have at least one matching row")
        }
        Aggregate::Categories(_) => format!(
            "{}, counting those that surely occur: too few rather than too many",
            short(aggregate, words, scope)
        ),
        Aggregate::Sum(value) | Aggregate::Average(value) => {
            format!("{}{}", short(aggregate, words, scope), range(value, scope))
        }
        Aggregate::Variance { value, sample: _ } | Aggregate::Quantile { value, share: _ } => {
            format!("{}{}", short(aggregate, words, scope), range(value, scope))
        }
        Aggregate::Covariance { .. } | Aggregate::Correlation { .. } => format!(
            "{}, over the matching rows that have both",
            short(aggregate, words, scope)
        ),
    }
}

fn range(value: &Num, scope: &Scope) -> String {
    match interval(value, scope) {
        Some(i) if i.is_finite() => format!(
            ", each value from {} to {}",
            literal(i.low),
            literal(i.high)
        ),
        _ => String::new(),
    }
}

/// The whole query in a few sentences.
pub(super) fn summary(definition: &Definition, description: &Description) -> String {
    let scope = &definition.scope;
    let words = Words { scope };
    let mut text = format!("From '{}': ", description.title());
    let outputs = definition.outputs.iter();
    let outputs: Vec<String> = outputs
        .map(|o| o.value.words(&words, scope, &definition.keys))
        .collect();
    text.push_str(&join(&outputs, "and"));
    if !definition.keys.is_empty() {
        let keys = definition.keys.iter().map(|k| {
            let groups = k.labels.len();
            match k.value.column() {
                Some(_) if k.value.found().is_some() => format!(
                    "{} that enough people have (at most {groups} groups)",
                    k.value.words(&words)
                ),
                Some(_) => format!("{} ({groups} groups)", k.value.words(&words)),
                None => format!("{} ({groups} groups: {})", k.name, k.value.words(&words)),
            }
        });
        let keys: Vec<String> = keys.collect();
        text.push_str(&format!(", for each {}", join(&keys, "and each")));
    }
    text.push('.');
    match &definition.filter {
        Some(filter) => text.push_str(&format!(" Only rows where {}.", words.bool(filter))),
        None => text.push_str(" All rows."),
    }
    if let Some(rows) = definition.relation.in_words(description) {
        text.push_str(&format!(" {rows}"));
    }
    let rows = scope.most_rows_per_subject();
    let plural = if rows == 1 { "row" } else { "rows" };
    let unit = scope.subject_unit();
    text.push_str(&format!(
        " At most {rows} matching {plural} of each {unit} count."
    ));
    text.push_str(&found(definition));
    text.push_str(&arranged(definition, &words));
    text
}

/// How keys that nobody declared are found.
fn found(definition: &Definition) -> String {
    let found = definition.keys.iter().find_map(|k| k.value.found());
    found.map_or_else(String::new, |keys| {
        let plural = if keys.per_person == 1 {
            "group"
        } else {
            "groups"
        };
        format!(
            " Each {} counts in at most {} {plural}. Values are cut to {} characters, and one that \
             few have is not shown at all.",
            definition.scope.subject_unit(),
            keys.per_person,
            keys.characters
        )
    })
}

/// What is shown of the answer; the release is the same.
fn arranged(definition: &Definition, words: &Words<'_>) -> String {
    let scope = &definition.scope;
    let Arrangement {
        having,
        order,
        limit,
        offset,
    } = &definition.arrangement;
    let tell = |r: &Released| r.words(words, scope, &definition.keys);
    let mut parts = Vec::new();
    if let Some(having) = having {
        parts.push(format!("only groups where {} are shown", tell(having)));
    }
    if !order.is_empty() {
        let by: Vec<String> = order
            .iter()
            .map(|(value, descending)| {
                let from = if *descending {
                    ", from the greatest"
                } else {
                    ""
                };
                format!("{}{from}", tell(value))
            })
            .collect();
        parts.push(format!("ordered by {}", join(&by, "and then")));
    }
    match (limit, offset) {
        (None, 0) => {}
        (Some(limit), 0) => parts.push(format!("the first {limit} are shown")),
        (Some(limit), skip) => parts.push(format!("{limit} are shown after the first {skip}")),
        (None, skip) => parts.push(format!("the first {skip} are not shown")),
    }
    if parts.is_empty() {
        return String::new();
    }
    format!(
        " Of the noisy answer, {}. Every group is released and adds to exposure, shown or not.",
        parts.join("; ")
    )
}

/// An aggregate in a few words.
pub(super) fn short(aggregate: &Aggregate, words: &Words<'_>, scope: &Scope) -> String {
    match aggregate {
        Aggregate::Rows => "the number of rows".to_owned(),
        Aggregate::Known(value) => format!("the number of rows with {}", words.any(value)),
        Aggregate::Subjects => {
            format!(
                "the number of data subjects (each a {})",
                scope.subject_unit()
            )
        }
        Aggregate::Categories(column) => {
            let name = scope.get(*column).map_or("", |c| c.name.as_str());
            format!("at least how many different values of {name} occur")
        }
        Aggregate::Sum(value) => format!("the sum of {}", words.num(value)),
        Aggregate::Average(value) => format!("the average of {}", words.num(value)),
        Aggregate::Variance { value, sample } => {
            format!("the {}variance of {}", estimated(*sample), words.num(value))
        }
        Aggregate::Covariance { x, y, sample } => format!(
            "the {}covariance of {} and {}",
            estimated(*sample),
            words.num(x),
            words.num(y)
        ),
        Aggregate::Correlation { x, y } => {
            format!("the correlation of {} and {}", words.num(x), words.num(y))
        }
        Aggregate::Quantile { value, share } if *share == 0.5 => {
            format!("the median of {}", words.num(value))
        }
        Aggregate::Quantile { value, share } => format!(
            "the value of {} below which {} % of the rows lie",
            words.num(value),
            literal(share * 100.0)
        ),
    }
}

fn estimated(sample: bool) -> &'static str {
    if sample { "sample " } else { "" }
}

/// Post-processing in words.
pub(super) fn apply(function: Function, told: &[String]) -> String {
    use Function as F;
    let first = told.first().map_or("", String::as_str);
    let infix = |words: &str| told.join(&format!(" {words} "));
    match function {
        F::Add => infix("plus"),
        F::Subtract => infix("minus"),
        F::Multiply => infix("times"),
        F::Divide => infix("divided by"),
        F::Negate => format!("minus {first}"),
        F::Round => match told.get(1).map(String::as_str) {
            Some("0") | None => format!("{first}, rounded"),
            Some("1") => format!("{first}, rounded to 1 digit"),
            Some(digits) => format!("{first}, rounded to {digits} digits"),
        },
        F::Floor => format!("{first}, rounded down"),
        F::Ceil => format!("{first}, rounded up"),
        F::Abs => format!("the size of {first}"),
        F::Sqrt => format!("the square root of {first}"),
        F::Ln => format!("the natural logarithm of {first}"),
        F::Exp => format!("e to the power of {first}"),
        F::Least => format!("the least of {}", join(told, "and")),
        F::Greatest => format!("the greatest of {}", join(told, "and")),
        F::Coalesce => format!("the first known of {}", join(told, "and")),
        F::NullIf => infix("unless it is"),
        F::Equal => infix("is"),
        F::NotEqual => infix("is not"),
        F::Less => infix("is below"),
        F::LessOrEqual => infix("is at most"),
        F::Greater => infix("is above"),
        F::GreaterOrEqual => infix("is at least"),
        F::And => infix("and"),
        F::Or => infix("or"),
        F::Not => format!("it is not so that {first}"),
        F::IsMissing => format!("{first} is missing"),
        F::Case => {
            let arms = told.chunks(2).map(|pair| match pair {
                [condition, value] => format!("{value} if {condition}"),
                rest => format!("otherwise {}", rest.join(" ")),
            });
            arms.collect::<Vec<_>>().join(", ")
        }
    }
}
