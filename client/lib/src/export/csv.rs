//! CSV: one line per group and output, in the order of the answer.

use super::figures::Figures;
use crate::combined::CombinedAnswer;

/// The answer as CSV (RFC 4180 with line feeds). Columns: the group keys, `output`, `unit`,
/// `value`, `margin_95`, `low`, `high`, `institutions` (those whose answers are in the line). An
/// empty margin means that the noise allows no statement, or with `low` and `high` that the value is a
/// lower bound: the answer without noise is at least `low`, 95 times in 100, and at most `high`. What is told once, for the release as a
/// whole, has lines of its own at the end, with empty keys.
#[must_use]
pub fn csv(answer: &CombinedAnswer) -> String {
    let figures = Figures::of(answer);
    let mut text = String::new();
    let fixed = [
        "output",
        "unit",
        "value",
        "margin_95",
        "low",
        "high",
        "institutions",
    ];
    let head = figures.keys.iter().map(String::as_str).chain(fixed);
    line(&mut text, head);
    for row in &figures.rows {
        let institutions = row.shown_at.join(" ");
        for ((name, unit), figure) in figures.outputs.iter().zip(&row.figures) {
            let (low, high) = figure.ends_text();
            let (value, margin) = (figure.value_text(), figure.margin_text());
            let fields = [name, unit, &value, &margin, &low, &high, &institutions];
            let labels = row.labels.iter();
            line(
                &mut text,
                labels.chain(fixed_order(&fields)).map(String::as_str),
            );
        }
    }
    let included = answer.included.iter().map(|i| i.name.as_str());
    let institutions = included.collect::<Vec<_>>().join(" ");
    for (name, unit, figure) in &figures.whole {
        let (low, high) = figure.ends_text();
        let (value, margin) = (figure.value_text(), figure.margin_text());
        let fields = [name, unit, &value, &margin, &low, &high, &institutions];
        let keys = figures.keys.iter().map(|_| "");
        line(
            &mut text,
            keys.chain(fixed_order(&fields).map(String::as_str)),
        );
    }
    text
}

fn fixed_order<'a>(fields: &[&'a String; 7]) -> impl Iterator<Item = &'a String> {
    (*fields).into_iter()
}

fn line<'a>(text: &mut String, fields: impl Iterator<Item = &'a str>) {
    for (place, field) in fields.enumerate() {
        if place > 0 {
            text.push(',');
        }
        let quoted = field.contains([',', '"', '\n', '\r']) || starts_a_formula(field);
        if quoted {
            text.push('"');
            if starts_a_formula(field) {
                // A spreadsheet would run it.
                text.push('\'');
            }
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(field);
        }
    }
    text.push('\n');
}

fn starts_a_formula(field: &str) -> bool {
    field.starts_with(['=', '+', '-', '@']) && field.parse::<f64>().is_err()
}
