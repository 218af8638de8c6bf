//! JSON: the answer, who is in it, and what it added where.

use serde_json::{Map, Number, Value, json as value};

use super::figures::{Figure, FigureRow, Figures};
use crate::combined::{CombinedAnswer, Included, NotIncluded};
use obscura_model::accuracy::Z95;
use obscura_model::release::Completeness;

/// The answer as JSON. Field names are stable; exposure is in billionths of rho. A `lower_bound` has
/// no margin: the answer without noise is at least `value`, 95 times in 100, and at most `high`.
#[must_use]
pub fn json(answer: &CombinedAnswer) -> Value {
    let figures = Figures::of(answer);
    let rows: Vec<_> = figures.rows.iter().map(|r| row(&figures, r)).collect();
    let whole: Map<_, _> = figures
        .whole
        .iter()
        .map(|(name, unit, figure)| (name.clone(), one(unit, figure)))
        .collect();
    let included: Vec<_> = answer.included.iter().map(included).collect();
    let not_included = answer.not_included.iter();
    let not_included: Vec<_> = not_included
        .map(|NotIncluded { name, reason }| value!({ "name": name.as_str(), "reason": reason }))
        .collect();
    value!({
        "study": answer.study.map(|s| s.to_string()),
        "release": answer.release.as_str(),
        "query": answer.canonical_sql,
        "margins": "95 of 100 answers land within the margin of the answer without added noise; \
                    sampling is not in it",
        "rows": rows,
        "whole": whole,
        "institutions": included,
        "institutions_not_in_it": not_included,
    })
}

fn row(figures: &Figures, row: &FigureRow) -> Value {
    let groups: Map<_, _> = figures
        .keys
        .iter()
        .zip(&row.labels)
        .map(|(k, l)| (k.clone(), Value::from(l.as_str())))
        .collect();
    let outputs: Map<_, _> = figures
        .outputs
        .iter()
        .zip(&row.figures)
        .map(|((name, unit), figure)| (name.clone(), one(unit, figure)))
        .collect();
    value!({
        "group": groups,
        "outputs": outputs,
        "institutions": row.shown_at,
        "not_shown_at": row.not_shown_at,
    })
}

fn one(unit: &str, figure: &Figure) -> Value {
    let (low, high) = figure.ends_text();
    value!({
        "unit": unit,
        "value": number(&figure.value_text()),
        "margin_95": number(&figure.margin_text()),
        "standard_error": figure.margin.map(|m| m / Z95),
        "low": number(&low),
        "high": number(&high),
        "lower_bound": figure.at_most.is_some(),
    })
}

/// The number that a text shows; null for none.
fn number(text: &str) -> Value {
    let number = text.parse::<f64>().ok().and_then(Number::from_f64);
    number.map_or(Value::Null, Value::Number)
}

fn included(included: &Included) -> Value {
    let Included {
        name,
        added,
        completeness,
        dataset_version,
        journal_index,
        committed,
        digest,
    } = included;
    value!({
        "name": name.as_str(),
        "added_nano_rho": added.nano(),
        "subjects_may_be_missing": *completeness == Completeness::SubjectsMayBeMissing,
        "dataset_version": dataset_version,
        "journal_index": journal_index,
        "committed_unix_ms": committed.0,
        "release_digest": digest.to_string(),
    })
}
