//! Data subjects who leave, come back, or get new ids. Nothing here prints an id.

use std::fmt;

use obscura_model::exposure::{Delta, Mode};
use obscura_model::ids::{DatasetName, PopulationName};

/// What becomes of data subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectMark {
    /// They contribute no more, until they are readmitted.
    Exclude,
    /// They contribute no more, and their rows go with the next version.
    Erase,
    /// They contribute again, with the exposure of before.
    Readmit,
}

/// Ids as they stand in the data. Private: shows how many, never which.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectIds(Vec<String>);

impl SubjectIds {
    /// One id a line; empty lines are passed over.
    #[must_use]
    pub fn from_lines(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        Self(lines.map(str::to_owned).collect())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn ids(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Debug for SubjectIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectIds")
    }
}

/// Data subjects to be marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marking {
    /// A dataset of the population that is meant.
    pub dataset: DatasetName,
    /// What becomes of them.
    pub mark: SubjectMark,
    /// Who.
    pub ids: SubjectIds,
    /// Why; without facts about single people.
    pub reason: String,
}

/// New ids for the people of a population.
#[derive(Clone, PartialEq, Eq)]
pub struct Rekeying {
    /// The population.
    pub population: PopulationName,
    /// Old and new id of each.
    pub pairs: Vec<(String, String)>,
    /// Why.
    pub reason: String,
}

impl fmt::Debug for Rekeying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rekeying")
            .field("population", &self.population)
            .finish_non_exhaustive()
    }
}

/// Two populations that become one.
#[derive(Debug, Clone, PartialEq)]
pub struct Merging {
    /// The one that stays.
    pub keep: PopulationName,
    /// The one that goes into it.
    pub gone: PopulationName,
    /// The ids of everybody in the one that goes.
    pub ids: SubjectIds,
    /// The limit of both together: at least each of theirs.
    pub epsilon: f64,
    /// See `epsilon`.
    pub delta: Delta,
    /// What happens near it.
    pub mode: Mode,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_one_a_line_and_never_shown() {
        let ids = SubjectIds::from_lines("p1\n\n  p2 \r\n");
        assert_eq!(ids.len(), 2);
        assert_eq!(ids.ids(), ["p1", "p2"]);
        assert!(!format!("{ids:?}").contains("p1"));
        let rekeying = Rekeying {
            population: PopulationName::new("people").unwrap(),
            pairs: vec![("p1".into(), "q1".into())],
            reason: String::new(),
        };
        assert!(!format!("{rekeying:?}").contains("q1"));
    }
}
