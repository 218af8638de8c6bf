//! Figures with what they may be at most or must be at least.

use std::fmt;

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Anything: it is told, and nothing follows from it.
    None,
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name in JSON.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// What it may be.
    pub limit: Limit,
    /// What it is, in words.
    pub what: String,
}

impl Line {
    /// Whether the figure is within its limit. What is no number never is.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.limit {
            Limit::None => true,
            Limit::AtMost(most) => self.value <= most,
            Limit::AtLeast(least) => self.value >= least,
        }
    }
}

/// What one part of the audit saw.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The part.
    pub title: String,
    /// Its figures.
    pub lines: Vec<Line>,
    /// Lists that other programs read.
    pub lists: serde_json::Map<String, serde_json::Value>,
}

impl Report {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a figure.
    pub fn add(&mut self, name: &str, value: f64, limit: Limit, what: &str) {
        self.lines.push(Line {
            name: name.to_owned(),
            value,
            limit,
            what: what.to_owned(),
        });
    }

    /// A figure.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        let mut lines = self.lines.iter();
        lines.find(|l| l.name == name).map(|l| l.value)
    }

    /// The figures that are beyond their limits, in words; none if all is well.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let wrong = self.lines.iter().filter(|l| !l.holds());
        wrong.map(|l| format!("{}: {l}", self.title)).collect()
    }

    /// All of it, for other programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let line = |l: &Line| {
            let (most, least) = match l.limit {
                Limit::None => (None, None),
                Limit::AtMost(most) => (Some(most), None),
                Limit::AtLeast(least) => (None, Some(least)),
            };
            serde_json::json!({
                "name": l.name, "value": l.value, "at_most": most, "at_least": least,
                "holds": l.holds(), "what": l.what,
            })
        };
        let figures: Vec<_> = self.lines.iter().map(line).collect();
        serde_json::json!({ "part": self.title, "figures": figures, "lists": self.lists })
    }
}

/// A number with five digits or so, whatever its size.
fn number(value: f64) -> String {
    match value.abs() {
        v if v != 0.0 && !(1e-3..1e7).contains(&v) => format!("{value:.3e}"),
        _ if value.fract() == 0.0 => format!("{value}"),
        v if v < 100.0 => format!("{value:.4}"),
        _ => format!("{value:.1}"),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12} {}", number(self.value), self.what)?;
        match self.limit {
            Limit::None => {}
            Limit::AtMost(most) => write!(f, " (at most {})", number(most))?,
            Limit::AtLeast(least) => write!(f, " (at least {})", number(least))?,
        }
        if self.holds() {
            Ok(())
        } else {
            write!(f, " <- ALARM")
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_its_limit_or_no_number_is_an_alarm() {
        let mut report = Report::new("part");
        report.add("a", 1.0, Limit::AtMost(2.0), "fine");
        report.add("b", 3.0, Limit::AtMost(2.0), "high");
        report.add("c", f64::NAN, Limit::AtLeast(0.0), "none");
        report.add("d", f64::NAN, Limit::None, "told");
        let alarms = report.alarms();
        assert_eq!(alarms.len(), 2, "{alarms:?}");
        assert!(alarms[0].contains("high") && alarms[0].contains("ALARM"));
        assert_eq!(report.value("a"), Some(1.0));
        assert_eq!(report.to_json()["figures"][1]["holds"], false);
    }
}
