//! Projects, grants, and subjects that come and go, in words.

use obscura_model::exposure::DeltaCharge;

use super::{Names, because};
use crate::record::{Mark, Record};

pub(super) fn describe_project(record: &Record, names: &Names) -> (&'static str, String) {
    match record {
        Record::ProjectOpened { project, first } => (
            "project opened",
            format!(
                "Project {project} was opened with {} as its first member.",
                names.person(first)
            ),
        ),
        Record::JoinAsked {
            project, person, ..
        } => (
            "asked to join",
            format!("{} asked to join project {project}.", names.person(person)),
        ),
        Record::MemberConfirmed {
            project, person, ..
        } => (
            "member confirmed",
            format!(
                "{} was confirmed as a member of project {project}.",
                names.person(person)
            ),
        ),
        Record::MemberRemoved {
            project,
            person,
            reason,
            ..
        } => (
            "member removed",
            format!(
                "{} was removed from project {project}{}.",
                names.person(person),
                because(reason)
            ),
        ),
        Record::ProjectLimitSet { project, .. } => (
            "project limit set",
            format!("What the members of project {project} may take together was set."),
        ),
        Record::GrantGiven(_) | Record::GrantRevoked { .. } | Record::GrantSuspended { .. } => {
            describe_grant(record, names)
        }
        _ => ("", String::new()),
    }
}

fn describe_grant(record: &Record, names: &Names) -> (&'static str, String) {
    match record {
        Record::GrantGiven(grant) => {
            let dataset = names.datasets.get(&grant.dataset);
            let dataset = dataset.map_or_else(|| grant.dataset.to_string(), |n| n.to_string());
            let keys = if grant.delta_keys == DeltaCharge::ZERO {
                ""
            } else {
                " and with keys that are not declared"
            };
            let text = format!(
                "Grant {} was given to {} for project {}: at most {} releases about {} of \
                 dataset {dataset}{keys}, until {}{}.",
                grant.id,
                names.person(&grant.scientist),
                grant.project,
                grant.releases,
                grant.columns.join(", "),
                grant.expires.date(),
                because(&grant.reason)
            );
            ("grant given", text)
        }
        Record::GrantRevoked { grant, reason, .. } => (
            "grant revoked",
            format!("Grant {grant} was taken back{}.", because(reason)),
        ),
        Record::GrantSuspended { grant, why } => (
            "grant suspended",
            format!("Grant {grant} was suspended by the node{}.", because(why)),
        ),
        _ => ("", String::new()),
    }
}

/// How many were meant, and whom, stays private.
pub(super) fn describe_subjects(record: &Record) -> (&'static str, String) {
    match record {
        Record::SubjectsMarked {
            population,
            mark,
            reason,
            ..
        } => {
            let (kind, did) = match mark {
                Mark::Excluded => ("people excluded", "excluded from"),
                Mark::Erased => ("people erased", "erased from"),
            };
            let text = format!(
                "The people on a list were {did} population {population}{}.",
                because(reason)
            );
            (kind, text)
        }
        Record::SubjectsReadmitted {
            population, reason, ..
        } => (
            "people readmitted",
            format!(
                "The people on a list were readmitted to population {population}{}.",
                because(reason)
            ),
        ),
        Record::SubjectsRekeyed { population, .. } => (
            "ids changed",
            format!("Ids of population {population} were changed; exposure was carried over."),
        ),
        Record::PopulationsMerged { keep, gone, .. } => (
            "populations merged",
            format!(
                "Population {gone} was merged into population {keep}; exposures and meters were \
                 added."
            ),
        ),
        _ => ("", String::new()),
    }
}
