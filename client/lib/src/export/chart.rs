//! The same picture in a terminal: a line per group with dot and interval.

use super::figures::{Figure, Figures, heading};
use crate::combined::CombinedAnswer;

/// The narrowest track that still shows something.
const NARROWEST: usize = 12;

/// One output of an answer as a chart, at most `width` characters wide (at least 40).
#[must_use]
pub fn terminal(answer: &CombinedAnswer, output: usize, width: usize) -> String {
    let mut text = terminal_lines(&Figures::of(answer), output, width).join("\n");
    text.push('\n');
    text
}

/// The lines of [`terminal`]: a heading, one line per group, and the ends of the scale.
#[must_use]
pub fn terminal_lines(figures: &Figures, output: usize, width: usize) -> Vec<String> {
    let Some(name) = figures.outputs.get(output) else {
        return Vec::new();
    };
    let width = width.max(40);
    let rows: Vec<_> = figures
        .rows
        .iter()
        .filter_map(|r| Some((r, r.label(), r.figures.get(output)?)))
        .collect();
    let texts: Vec<_> = rows.iter().map(|(r, _, f)| r.in_words(f)).collect();
    let text_width = texts.iter().map(|t| t.chars().count()).max().unwrap_or(0);
    let widest = rows
        .iter()
        .map(|(_, l, _)| l.chars().count())
        .max()
        .unwrap_or(0);
    // Two spaces of margin, and two between the columns.
    let label_width = widest
        .min(width.saturating_sub(text_width + NARROWEST + 6))
        .max(3);
    let track = width
        .saturating_sub(label_width + text_width + 6)
        .max(NARROWEST);
    let (low, high) = figures.range(output);
    let mut lines = vec![heading(name)];
    for ((_, label, figure), text) in rows.iter().zip(&texts) {
        let drawn = draw(figure, low, high, track);
        let label = cut(label, label_width);
        lines.push(
            format!("  {label:<label_width$}  {drawn}  {text}")
                .trim_end()
                .to_owned(),
        );
    }
    let (low, high) = (end(low, high - low), end(high, high - low));
    let gap = track.saturating_sub(low.chars().count());
    let indent = label_width + 4;
    lines.push(format!("{:indent$}{low}{high:>gap$}", ""));
    lines
}

fn draw(figure: &Figure, low: f64, high: f64, track: usize) -> String {
    let last = track.saturating_sub(1) as f64;
    let place = |value: f64| {
        ((value - low) / (high - low) * last)
            .round()
            .clamp(0.0, last) as usize
    };
    let mut cells = vec![' '; track];
    let mut set = |at: usize, c: char| {
        if let Some(cell) = cells.get_mut(at) {
            *cell = c;
        }
    };
    if let Some((from, to)) = figure.ends() {
        let (from, to) = (place(from), place(to));
        (from..=to).for_each(|at| set(at, '─'));
        set(from, '├');
        set(to, '┤');
    }
    if !figure.is_missing() {
        set(place(figure.value), '●');
    }
    cells.into_iter().collect()
}

fn cut(label: &str, width: usize) -> String {
    if label.chars().count() <= width {
        return label.to_owned();
    }
    let mut text: String = label.chars().take(width.saturating_sub(1)).collect();
    text.push('…');
    text
}

/// An end of the scale with as many digits as the scale's length needs.
fn end(value: f64, length: f64) -> String {
    let decimals = super::figures::decimals(length, 2);
    format!("{value:.decimals$}")
}
