//! Exact figures, computed from the public file. No crate of a node contains anything like it:
//! only the demo may do this, because this data set is public.

use std::collections::BTreeSet;

use super::data::{LEVELS, Row};

/// The most visits of a year that count in the study.
const MOST_VISITS: f64 = 10.0;

/// The most dollars of a year that count in the study.
const MOST_DOLLARS: f64 = 200.0;

/// The exact figures of one level of cost sharing, over all sites.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact {
    /// The average of visits, each year's cut at 10.
    pub(super) visits: f64,
    /// The average of dollars, each year's cut at 200.
    pub(super) dollars: f64,
    /// How many people.
    pub(super) people: f64,
}

/// One [`Exact`] for each of [`LEVELS`].
pub(super) fn figures(rows: &[Row]) -> Vec<Exact> {
    LEVELS.iter().map(|level| of_level(rows, level)).collect()
}

fn of_level(rows: &[Row], level: &str) -> Exact {
    let here: Vec<&Row> = rows.iter().filter(|r| r.level == level).collect();
    let average = |value: &dyn Fn(&Row) -> f64| {
        here.iter().map(|r| value(r)).sum::<f64>() / here.len().max(1) as f64
    };
    let people: BTreeSet<&str> = here.iter().map(|r| r.person.as_str()).collect();
    Exact {
        visits: average(&|r| r.visits.min(MOST_VISITS)),
        dollars: average(&|r| r.dollars.min(MOST_DOLLARS)),
        people: people.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::data;

    #[test]
    fn the_exact_figures_are_the_published_ones() {
        let figures = figures(&data::rows().unwrap());
        let visits: Vec<_> = figures.iter().map(|f| format!("{:.3}", f.visits)).collect();
        let dollars: Vec<_> = figures
            .iter()
            .map(|f| format!("{:.2}", f.dollars))
            .collect();
        assert_eq!(visits, ["2.731", "2.415", "2.343", "1.987"]);
        assert_eq!(dollars, ["47.73", "42.18", "38.20", "32.90"]);
        // Families stayed on their plan, so every person is at one level.
        assert_eq!(figures.iter().map(|f| f.people).sum::<f64>(), 5_912.0);
    }
}
