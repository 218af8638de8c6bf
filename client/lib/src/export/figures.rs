//! The numbers of a combined answer as texts: the one source of table, chart and files.
//!
//! A margin is rounded up to two significant digits and the value to the same decimals, so
//! that nothing suggests more precision than the noise allows. The signed releases hold the exact
//! noisy numbers.

use obscura_model::answer::Estimate;
use obscura_model::ids::PartyName;

use crate::combined::CombinedAnswer;

/// How many significant digits of a margin are shown.
const DIGITS: i32 = 2;

/// One number with its 95 % noise margin, or a lower bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Half the width of the interval; nothing where the noise allows no statement, and for a lower
    /// bound.
    pub margin: Option<f64>,
    /// Of a lower bound: what the answer without noise is at most.
    pub at_most: Option<f64>,
    /// How many digits to write after the point.
    pub decimals: usize,
}

impl Figure {
    /// Rounds an estimate: the margin up to two significant digits, the value to the same decimals.
    #[must_use]
    pub fn of(estimate: Estimate) -> Self {
        let Estimate {
            value,
            margin,
            lower_bound,
        } = estimate;
        if lower_bound {
            // Numbers of categories: whole as they are.
            return Figure {
                value,
                margin: None,
                at_most: Some(value + margin),
                decimals: 0,
            };
        }
        // A hair is taken off first, so that an exact margin is not rounded up by its own error.
        let rounded = |scale: f64| (margin * scale * (1.0 - 1e-12)).ceil() / scale;
        let scale = |decimals: usize| 10f64.powi(decimals as i32);
        let first = decimals(margin, DIGITS);
        // 0.999 becomes 1.0 and not 1.00: a digit before the point needs none behind it.
        let decimals = decimals(rounded(scale(first)), DIGITS).min(first);
        let scale = scale(decimals);
        let up = rounded(scale);
        Figure {
            // What is missing stays so.
            value: (value * scale).round() / scale,
            margin: margin.is_finite().then_some(up),
            at_most: None,
            decimals,
        }
    }

    /// Whether there is a value: not in a suppressed cell, nor after a division by zero.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.value.is_nan()
    }

    /// The value as text; empty where there is none.
    #[must_use]
    pub fn value_text(&self) -> String {
        if self.is_missing() {
            return String::new();
        }
        text(self.value, self.decimals)
    }

    /// The margin as text; empty where there is none.
    #[must_use]
    pub fn margin_text(&self) -> String {
        self.margin
            .map_or_else(String::new, |m| text(m, self.decimals))
    }

    /// A lower bound in words: "at least 3 of 5", or "all 5". Nothing for what is none.
    fn bound_in_words(&self) -> Option<String> {
        let most = self.at_most?;
        let (value, most_text) = (self.value_text(), text(most, self.decimals));
        Some(if self.value >= most {
            format!("all {most_text}")
        } else {
            format!("at least {value} of {most_text}")
        })
    }

    /// The ends of the interval: of a lower bound itself, and what there is at most.
    #[must_use]
    pub fn ends(&self) -> Option<(f64, f64)> {
        if let Some(most) = self.at_most {
            return Some((self.value, most));
        }
        let margin = self.margin?;
        Some((self.value - margin, self.value + margin))
    }

    /// The ends of the interval as texts; empty where there are none.
    #[must_use]
    pub fn ends_text(&self) -> (String, String) {
        self.ends().map_or_else(Default::default, |(low, high)| {
            (text(low, self.decimals), text(high, self.decimals))
        })
    }
}

fn text(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // Never "-0.00".
    let zero = text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
    if zero {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

/// How many digits after the point show a margin with `digits` significant digits (0 to 12).
pub(super) fn decimals(margin: f64, digits: i32) -> usize {
    if !(margin.is_finite() && margin > 0.0) {
        return 2;
    }
    let wanted = digits - 1 - margin.log10().floor() as i32;
    wanted.clamp(0, 12) as usize
}

/// A margin alone, rounded up as everywhere: "0.042".
#[must_use]
pub fn margin(margin: f64) -> String {
    Figure::of(Estimate::within(0.0, margin)).margin_text()
}

/// "2.731 ± 0.042", rounded as everywhere; a lower bound is "at least 3 of 5", or "all 5".
#[must_use]
pub fn shown(estimate: Estimate) -> String {
    if estimate.is_missing() {
        return "no value: suppressed or undefined".to_owned();
    }
    if !estimate.margin.is_finite() {
        return "no statement: too much noise".to_owned();
    }
    let figure = Figure::of(estimate);
    let plain = || format!("{} ± {}", figure.value_text(), figure.margin_text());
    figure.bound_in_words().unwrap_or_else(plain)
}

/// One group with one number per output.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureRow {
    /// The group's labels, outermost key first.
    pub labels: Vec<String>,
    /// One number per output.
    pub figures: Vec<Figure>,
    /// The institutions whose answers are in the numbers.
    pub shown_at: Vec<String>,
    /// Those that do not show the row's key.
    pub not_shown_at: Vec<String>,
}

impl FigureRow {
    /// "of 2 institutions; not shown at delft", if any does not show the row's key.
    #[must_use]
    pub fn of_whom(&self) -> Option<String> {
        let institutions = match self.shown_at.len() {
            1 => "1 institution".to_owned(),
            n => format!("{n} institutions"),
        };
        let without = self.not_shown_at.join(", ");
        (!without.is_empty()).then(|| format!("of {institutions}; not shown at {without}"))
    }

    /// A number of the row in words: "2.731 ± 0.042" or "at least 3 of 5", and "(of 2 of 3)" behind
    /// it if it is not of all institutions.
    #[must_use]
    pub fn in_words(&self, figure: &Figure) -> String {
        let mut text = match figure.margin {
            _ if figure.is_missing() => "no value".to_owned(),
            Some(_) => format!("{} ± {}", figure.value_text(), figure.margin_text()),
            None => figure
                .bound_in_words()
                .unwrap_or_else(|| format!("{}, no margin", figure.value_text())),
        };
        if !self.not_shown_at.is_empty() {
            let shown = self.shown_at.len();
            text.push_str(&format!(
                " (of {shown} of {})",
                shown + self.not_shown_at.len()
            ));
        }
        text
    }

    /// The labels as one text; "all" without groups.
    #[must_use]
    pub fn label(&self) -> String {
        if self.labels.is_empty() {
            "all".to_owned()
        } else {
            self.labels.join(", ")
        }
    }
}

/// The numbers of a combined answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The keys' columns, outermost first.
    pub keys: Vec<String>,
    /// Each output's name and unit.
    pub outputs: Vec<(String, String)>,
    /// One row per group that the query shows, in its order; all in declared order by default.
    pub rows: Vec<FigureRow>,
    /// Name, unit and number of what is told once, for the release as a whole.
    pub whole: Vec<(String, String, Figure)>,
}

impl Figures {
    /// The same for terminal, files and picture.
    #[must_use]
    pub fn of(answer: &CombinedAnswer) -> Self {
        let combined = &answer.combined;
        let shown = combined.shown.iter().filter_map(|r| combined.rows.get(*r));
        let rows = shown.map(|row| {
            let (within, without) = answer.shown_at(row);
            FigureRow {
                labels: row.labels.clone(),
                figures: row.estimates.iter().map(|e| Figure::of(*e)).collect(),
                shown_at: texts(&within),
                not_shown_at: texts(&without),
            }
        });
        Figures {
            keys: combined.keys.iter().map(|k| k.column.clone()).collect(),
            outputs: combined.outputs.clone(),
            rows: rows.collect(),
            whole: combined
                .whole
                .iter()
                .map(|w| (w.name.clone(), w.unit.clone(), Figure::of(w.estimate)))
                .collect(),
        }
    }

    /// What is told once, in sentences: "coverage (people): 5912 ± 61".
    #[must_use]
    pub fn whole_in_words(&self) -> Vec<String> {
        let whole = self.whole.iter().map(|(name, unit, figure)| {
            let heading = heading(&(name.clone(), unit.clone()));
            let (value, margin) = (figure.value_text(), figure.margin_text());
            format!("{heading}: {value} ± {margin}, of the release as a whole")
        });
        whole.collect()
    }

    /// The range that the intervals (or, without one, the values) of an output cover, a little
    /// widened so that no end touches the frame.
    #[must_use]
    pub fn range(&self, output: usize) -> (f64, f64) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let figures = self.rows.iter().filter_map(|r| r.figures.get(output));
        for figure in figures.filter(|f| !f.is_missing()) {
            let (a, b) = figure.ends().unwrap_or((figure.value, figure.value));
            (low, high) = (low.min(a), high.max(b));
        }
        if !(low.is_finite() && high.is_finite()) {
            return (0.0, 1.0);
        }
        let air = if high > low {
            (high - low) * 0.05
        } else {
            high.abs().max(1.0) * 0.05
        };
        (low - air, high + air)
    }
}

/// "stays (days)", or the name alone without a unit of another name.
pub(super) fn heading((name, unit): &(String, String)) -> String {
    if unit.is_empty() || unit == name {
        name.clone()
    } else {
        format!("{name} ({unit})")
    }
}

fn texts(names: &[&PartyName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
