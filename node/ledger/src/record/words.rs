//! Records in words, for the owner's log: public facts only.

use super::{Account, Decision, Intent, Record, Role};
use obscura_privacy::Mode;

/// A short name of the record's kind, and one sentence about it.
pub(crate) fn describe(record: &Record) -> (&'static str, String) {
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
        Record::LimitSet(_)
        | Record::ScientistLimitSet { .. }
        | Record::Enrolled { .. }
        | Record::Dismissed { .. }
        | Record::StopCounted { .. }
        | Record::PopulationStopped { .. }
        | Record::Lifted { .. } => describe_rule(record),
        Record::StudySubmitted(_)
        | Record::StudyDecided { .. }
        | Record::StudyWithdrawn { .. }
        | Record::StudySuspended { .. } => describe_study(record),
        Record::IntentOpened(_)
        | Record::FoldRestarted { .. }
        | Record::ReleaseCommitted { .. }
        | Record::IntentPoisoned { .. } => describe_release(record),
    }
}

/// What owners set, and stops.
fn describe_rule(record: &Record) -> (&'static str, String) {
    match record {
        Record::LimitSet(set) => (
            "limit set",
            format!(
                "The limit of {} was set to epsilon {} at delta {} (rho {}), {}: {}",
                account(&set.account),
                set.limit.epsilon(),
                set.limit.delta().get(),
                set.limit.rho(),
                mode(set.mode),
                set.reason
            ),
        ),
        Record::ScientistLimitSet {
            person: Some(person),
            rho,
            ..
        } => (
            "scientist limit set",
            format!("The limit of scientist {person} was set to rho {rho}."),
        ),
        Record::ScientistLimitSet {
            person: None, rho, ..
        } => (
            "scientist limit set",
            format!("The limit of every scientist was set to rho {rho}."),
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
            format!("The person with key {person} was dismissed."),
        ),
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
        Record::Lifted { population, .. } => (
            "stop lifted",
            format!("The stop of population {population} was lifted by its owner."),
        ),
        _ => ("", String::new()),
    }
}

fn describe_study(record: &Record) -> (&'static str, String) {
    match record {
        Record::StudySubmitted(study) => (
            "study submitted",
            format!("Study {} was submitted by {}.", study.id, study.scientist),
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
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            (kind, format!("Study {study} was {did}{reason}."))
        }
        Record::StudyWithdrawn { study, .. } => (
            "study withdrawn",
            format!("Study {study} was withdrawn by its scientist."),
        ),
        Record::StudySuspended { study, why } => (
            "study suspended",
            format!("Study {study} was suspended by the node: {why}."),
        ),
        _ => ("", String::new()),
    }
}

fn describe_release(record: &Record) -> (&'static str, String) {
    match record {
        Record::IntentOpened(intent) => ("release begun", describe_intent(intent)),
        Record::FoldRestarted { intent } => (
            "release rerun",
            format!("The release begun at entry {intent} was run again."),
        ),
        Record::ReleaseCommitted { intent, .. } => (
            "release made",
            format!("The release begun at entry {intent} was made."),
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

fn describe_intent(intent: &Intent) -> String {
    let accounts: Vec<String> = intent
        .accounts
        .iter()
        .map(|a| account(&a.account))
        .collect();
    format!(
        "Release {} of study {} was begun for request {} of {}; it adds rho {} to the exposure of {}.",
        intent.release,
        intent.study,
        intent.key.request,
        intent.key.person,
        intent.price,
        accounts.join(" and ")
    )
}

fn account(account: &Account) -> String {
    match account {
        Account::Population(name) => format!("population {name}"),
        Account::Dataset(id) => format!("dataset {id}"),
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Strict => "strict",
        Mode::Protect => "protect",
    }
}
