//! Records in words, for the owner's log: public facts only.

use std::collections::{BTreeMap, BTreeSet};

use obscura_model::ids::{DatasetId, DatasetName, KeyId, PopulationName};
use obscura_privacy::{Mode, admission};

use super::{Account, Authority, Decision, Intent, LimitSet, Record, Role};
use crate::views::Said;

mod new;

/// What people and datasets are called, and which lifts ended a stop.
pub(crate) struct Names {
    pub(crate) people: BTreeMap<KeyId, String>,
    pub(crate) datasets: BTreeMap<DatasetId, DatasetName>,
    /// The dataset of each population that has just one.
    pub(crate) soles: BTreeMap<PopulationName, DatasetName>,
    /// The records of lifts that ended a stop.
    pub(crate) ended: BTreeSet<u64>,
}

impl Names {
    fn person(&self, key: &KeyId) -> String {
        let called = self.people.get(key).cloned();
        called.unwrap_or_else(|| format!("key {key}"))
    }

    fn account(&self, account: &Account) -> String {
        match account {
            Account::Population(name) => match self.soles.get(name) {
                Some(sole) => format!("population {name} (dataset {sole})"),
                None => format!("population {name}"),
            },
            Account::Dataset(id) => match self.datasets.get(id) {
                Some(name) => format!("dataset {name} alone"),
                None => format!("dataset {id} alone"),
            },
        }
    }
}

/// The signed request behind a record that does not hold all that was said in it.
pub(crate) fn said(record: Record) -> Option<Said> {
    match record {
        Record::ScientistLimitSet { evidence, .. } => Some(Said::ScientistLimit(evidence)),
        Record::Lifted { evidence, .. } => Some(Said::Lift(evidence)),
        Record::ProjectLimitSet { evidence, .. } => Some(Said::ProjectLimit(evidence)),
        Record::GrantGiven(grant) => Some(Said::Grant(grant.evidence)),
        Record::IntentOpened(Intent {
            authority: Authority::Grant { .. },
            dataset,
            evidence,
            ..
        }) => Some(Said::Asked { dataset, evidence }),
        _ => None,
    }
}

/// A short name of the record's kind, and one sentence about it.
pub(crate) fn describe(record: &Record, index: u64, names: &Names) -> (&'static str, String) {
    match record {
        Record::Genesis { journal, .. } => (
            "ledger begun",
            format!("The ledger of node {journal} was begun."),
        ),
        Record::PopulationCreated {
            name,
            most_subjects,
            capacity,
            ..
        } => (
            "population added",
            format!(
                "Population {name} was added: at most {most_subjects} people declared, room for \
                 {capacity}."
            ),
        ),
        Record::SubjectsAdded { population, .. } => (
            "subjects added",
            format!("The subject index of population {population} was brought up to date."),
        ),
        Record::DatasetAdded {
            which,
            name,
            population,
            ..
        } => (
            "dataset added",
            format!(
                "Version {} of dataset {name} was added to population {population}.",
                which.version
            ),
        ),
        Record::Compacted(mark) => (
            "ledger compacted",
            format!(
                "The charges of the releases before entry {} were added up and their list was \
                 dropped; every exposure stays what it was.",
                mark.up_to.size
            ),
        ),
        Record::LimitSet(_)
        | Record::ScientistLimitSet { .. }
        | Record::Enrolled { .. }
        | Record::Dismissed { .. } => describe_rule(record, names),
        Record::StopCounted { .. } | Record::PopulationStopped { .. } | Record::Lifted { .. } => {
            describe_stop(record, names.ended.contains(&index))
        }
        Record::StudySubmitted(_)
        | Record::StudyDecided { .. }
        | Record::StudyWithdrawn { .. }
        | Record::StudySuspended { .. } => describe_study(record, names),
        Record::IntentOpened(_)
        | Record::FoldRestarted { .. }
        | Record::ReleaseCommitted { .. }
        | Record::AnsweredEarlier { .. }
        | Record::IntentPoisoned { .. } => describe_release(record, names),
        Record::ProjectOpened { .. }
        | Record::JoinAsked { .. }
        | Record::MemberConfirmed { .. }
        | Record::MemberRemoved { .. }
        | Record::ProjectLimitSet { .. }
        | Record::GrantGiven(_)
        | Record::GrantRevoked { .. }
        | Record::GrantSuspended { .. } => new::describe_project(record, names),
        Record::SubjectsMarked { .. }
        | Record::SubjectsReadmitted { .. }
        | Record::SubjectsRekeyed { .. }
        | Record::PopulationsMerged { .. } => new::describe_subjects(record),
    }
}

/// What owners set.
fn describe_rule(record: &Record, names: &Names) -> (&'static str, String) {
    match record {
        Record::LimitSet(set) => ("limit set", describe_limit(set, names)),
        Record::ScientistLimitSet {
            person: Some(person),
            ..
        } => (
            "scientist limit set",
            format!("The scientist limit of {} was set.", names.person(person)),
        ),
        Record::ScientistLimitSet { person: None, .. } => (
            "scientist limit set",
            "The scientist limit of everybody without one of their own was set.".to_owned(),
        ),
        Record::Enrolled {
            person, role, name, ..
        } => {
            let role = match role {
                Role::Scientist => "scientist",
                Role::Owner => "owner",
            };
            (
                "person enrolled",
                format!("The {role} {name} was enrolled with key {person}."),
            )
        }
        Record::Dismissed { person, .. } => (
            "person dismissed",
            format!("{} was dismissed.", names.person(person)),
        ),
        _ => ("", String::new()),
    }
}

fn describe_limit(set: &LimitSet, names: &Names) -> String {
    let mode = match set.mode {
        Mode::Strict => "strict, so that a release that does not fit is refused",
        Mode::Protect => "protect, so that a person at the limit is left out of later releases",
    };
    format!(
        "The limit of {} was set to epsilon {} at delta {}, in the mode {mode}{}.",
        names.account(&set.account),
        set.limit.epsilon(),
        set.limit.delta().get(),
        because(&set.reason),
    )
}

/// A reason at the end of a sentence.
fn because(reason: &str) -> String {
    match reason.trim().trim_end_matches('.') {
        "" => String::new(),
        reason => format!(": {reason}"),
    }
}

/// Stops, and whether a lift ended one.
fn describe_stop(record: &Record, ended: bool) -> (&'static str, String) {
    match record {
        Record::StopCounted { population } => (
            "stop counted",
            format!("A release of population {population} was interrupted; its price stands."),
        ),
        Record::PopulationStopped { population } => (
            "population stopped",
            format!(
                "Population {population} stopped after too many interrupted releases; its owner can lift this."
            ),
        ),
        Record::Lifted { population, .. } if !ended => (
            "count begun anew",
            format!(
                "The interrupted releases of population {population} are counted anew, as its \
                 owner asked; it was not stopped."
            ),
        ),
        Record::Lifted { population, .. } => (
            "stop lifted",
            format!("The stop of population {population} was lifted by its owner."),
        ),
        _ => ("", String::new()),
    }
}

fn describe_study(record: &Record, names: &Names) -> (&'static str, String) {
    match record {
        Record::StudySubmitted(study) => (
            "study submitted",
            format!(
                "Study {} was submitted by {}.",
                study.id,
                names.person(&study.scientist)
            ),
        ),
        Record::StudyDecided {
            study,
            decision,
            reason,
            ..
        } => {
            let (kind, did) = match decision {
                Decision::Approve => ("study approved", "approved"),
                Decision::Decline => ("study declined", "declined"),
                Decision::AskForChanges => ("changes requested", "sent back for changes"),
                Decision::Revoke => ("study revoked", "revoked"),
                Decision::Suspend => ("study suspended", "suspended"),
            };
            let text = format!("Study {study} was {did}{}.", because(reason));
            (kind, text)
        }
        Record::StudyWithdrawn { study, .. } => (
            "study withdrawn",
            format!("Study {study} was withdrawn by its scientist."),
        ),
        Record::StudySuspended { study, why } => (
            "study suspended",
            format!("Study {study} was suspended by the node{}.", because(why)),
        ),
        _ => ("", String::new()),
    }
}

fn describe_release(record: &Record, names: &Names) -> (&'static str, String) {
    match record {
        Record::IntentOpened(intent) => ("release begun", describe_intent(intent, names)),
        Record::FoldRestarted { intent } => (
            "release rerun",
            format!("The release begun at entry {intent} was run again."),
        ),
        Record::ReleaseCommitted { intent, .. } => (
            "release made",
            format!("The release begun at entry {intent} was made."),
        ),
        Record::AnsweredEarlier { key, release, .. } => (
            "answered again",
            format!(
                "Request {} of {} was answered by the release made at entry {release}; it adds \
                 nothing.",
                key.request,
                names.person(&key.person)
            ),
        ),
        Record::IntentPoisoned { intent } => (
            "release given up",
            format!(
                "The release begun at entry {intent} failed twice and was given up; its price stands."
            ),
        ),
        _ => ("", String::new()),
    }
}

fn describe_intent(intent: &Intent, names: &Names) -> String {
    let shares = intent.accounts.iter().map(|a| {
        let share = admission::share(intent.price, a.limit);
        format!("{share} of the limit of {}", names.account(&a.account))
    });
    let what = match &intent.authority {
        Authority::Study { study, release } => format!("Release {release} of study {study}"),
        Authority::Grant { grant } => format!("A release under grant {grant}"),
    };
    format!(
        "{what} was begun for {} (request {}); it adds {}.",
        names.person(&intent.key.person),
        intent.key.request,
        shares.collect::<Vec<_>>().join(" and ")
    )
}
