//! Releases of several institutions as one answer that says who is in it and who is not.

use std::collections::BTreeSet;

use obscura_model::combine::{self, Combined, CombinedRow};
use obscura_model::exposure::Rho;
use obscura_model::ids::{Digest, PartyName, ReleaseName, StudyId, UnixMillis};
use obscura_model::release::{Authority, Completeness, Release};

use crate::release::VerifiedRelease;

/// An institution that is in a combined answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// The institution.
    pub name: PartyName,
    /// What the release added to exposure there.
    pub added: Rho,
    /// Whether anybody can be missing.
    pub completeness: Completeness,
    /// The dataset's version.
    pub dataset_version: u32,
    /// Its position in the institution's journal.
    pub journal_index: u64,
    /// When it was committed.
    pub committed: UnixMillis,
    /// SHA-256 of the release's bytes.
    pub digest: Digest,
}

/// An institution that was asked but is not in a combined answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotIncluded {
    /// The institution.
    pub name: PartyName,
    /// Why not, in a sentence.
    pub reason: String,
}

/// The answers of several institutions to one question, added up.
#[derive(Debug, Clone, PartialEq)]
pub struct CombinedAnswer {
    /// The study, if all of it comes from one.
    pub study: Option<StudyId>,
    /// The name under which it was asked.
    pub release: ReleaseName,
    /// The query as the first institution ran it.
    pub canonical_sql: String,
    /// One row per group, with 95 % noise margins.
    pub combined: Combined,
    /// Who is in it, by name.
    pub included: Vec<Included>,
    /// Who is not, and why, by name.
    pub not_included: Vec<NotIncluded>,
}

/// Why releases cannot be combined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotCombine {
    /// There is none.
    #[error("no institution has answered, so there is nothing to combine")]
    Nothing,
    /// They belong to different studies, documents or release names, and are other queries.
    #[error("the releases belong to different questions: combine those of one study and name only")]
    Different,
    /// An institution stands twice, which would count its people twice.
    #[error("there are two releases of {0}: combine one of each institution only")]
    Twice(PartyName),
    /// Their groups or outputs differ.
    #[error(transparent)]
    Shape(#[from] combine::CannotCombine),
}

/// Adds releases up: sums add and their variances add, averages follow from the added sums. All
/// must be of one study document and release name, or of the very same canonical query (as answers
/// under grants are, and earlier answers that were offered again), each institution once.
///
/// # Errors
///
/// If there is none or they do not belong together.
pub fn combine(releases: &[VerifiedRelease]) -> Result<CombinedAnswer, CannotCombine> {
    let first = releases.first().ok_or(CannotCombine::Nothing)?.release();
    let mut nodes = BTreeSet::new();
    for one in releases.iter().map(VerifiedRelease::release) {
        if !same_question(one, first) {
            return Err(CannotCombine::Different);
        }
        if !nodes.insert(one.node) {
            return Err(CannotCombine::Twice(one.node_name.clone()));
        }
    }
    // By name, so that the positions in the combined rows are those of `included`.
    let mut by_name: Vec<_> = releases.iter().collect();
    by_name.sort_by(|a, b| a.node().cmp(b.node()));
    let answers: Vec<_> = by_name.iter().map(|r| &r.release().answer).collect();
    let combined = combine::combine(&answers)?;
    let included = |one: &&VerifiedRelease| {
        let release = one.release();
        Included {
            name: release.node_name.clone(),
            added: release.price,
            completeness: release.completeness,
            dataset_version: release.dataset_version,
            journal_index: release.journal_index,
            committed: release.committed,
            digest: Digest::of(&one.signed().body),
        }
    };
    let included = by_name.iter().map(included).collect();
    Ok(CombinedAnswer {
        study: releases
            .iter()
            .all(|r| r.release().authority == first.authority)
            .then(|| study_of(&first.authority))
            .flatten(),
        release: releases
            .first()
            .map_or_else(|| first.label(), |r| r.label().clone()),
        canonical_sql: first.canonical_sql.clone(),
        combined,
        included,
        not_included: Vec::new(),
    })
}

fn same_question(one: &Release, other: &Release) -> bool {
    let same_study = matches!(one.authority, Authority::Study { .. });
    (same_study && one.authority == other.authority)
        || (one.canonical_sql == other.canonical_sql && one.dataset == other.dataset)
}

fn study_of(authority: &Authority) -> Option<StudyId> {
    match authority {
        Authority::Study { study, .. } => Some(*study),
        Authority::Grant { .. } => None,
    }
}

impl CombinedAnswer {
    /// Says who was asked but is not in it. Institutions that are in it are left out.
    #[must_use]
    pub fn without(mut self, missing: impl IntoIterator<Item = NotIncluded>) -> Self {
        let inside: BTreeSet<_> = self.included.iter().map(|i| i.name.clone()).collect();
        let missing = missing.into_iter().filter(|m| !inside.contains(&m.name));
        self.not_included.extend(missing);
        self.not_included.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// The institutions whose answers are in a row's numbers, and those that do not show its key:
    /// fewer have it there than the owner's rule asks for, or nobody has. Both by name.
    #[must_use]
    pub fn shown_at(&self, row: &CombinedRow) -> (Vec<&PartyName>, Vec<&PartyName>) {
        let within = |place: &usize| !row.not_in.contains(place);
        let names = |pick: &dyn Fn(&usize) -> bool| {
            let places = self.included.iter().enumerate();
            let picked = places.filter(|(place, _)| pick(place));
            picked.map(|(_, included)| &included.name).collect()
        };
        (names(&within), names(&|place| !within(place)))
    }

    /// "5 of 6 institutions answered: a, b, c, d, e; not in it: f (declined)".
    #[must_use]
    pub fn who(&self) -> String {
        let asked = self.included.len() + self.not_included.len();
        let names: Vec<_> = self.included.iter().map(|i| i.name.as_str()).collect();
        let mut text = format!(
            "{} of {asked} institutions are in it: {}",
            self.included.len(),
            names.join(", ")
        );
        if !self.not_included.is_empty() {
            let missing = self.not_included.iter();
            let missing: Vec<_> = missing
                .map(|m| format!("{} ({})", m.name, m.reason))
                .collect();
            text.push_str("; not in it: ");
            text.push_str(&missing.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Authority, answer, verified};

    #[test]
    fn institutions_add_up_once_each() {
        let authority = Authority::new(100);
        let basel = verified(&authority, "basel", 3, answer([30, 4], [1, 2], 1));
        let cadiz = verified(&authority, "cadiz", 4, answer([10, 5], [1, 2], 1));
        let both = combine(&[cadiz.clone(), basel.clone()]).unwrap();
        assert_eq!(both.combined.rows[0].estimates[0].value, 40.0);
        let names: Vec<_> = both.included.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["basel", "cadiz"]);
        let twice = combine(&[basel.clone(), cadiz, basel.clone()]);
        assert_eq!(twice, Err(CannotCombine::Twice(basel.node().clone())));
        assert_eq!(combine(&[]), Err(CannotCombine::Nothing));
    }
}
