//! Projects at this node: joining, confirming, sharing. Every price counts for the person and for
//! the project, for ever; both limits are brakes on public values, neither is a guarantee.

use obscura_ledger::ProjectView;
use obscura_model::envelope::SignedMessage;
use obscura_model::exposure::{Delta, Rho, rho_within};
use obscura_model::ids::{KeyId, ProjectName};
use obscura_model::wire;

use crate::access::Caller;
use crate::error::Error;
use crate::node::Node;

/// A project as one caller may see it.
#[derive(Debug, Clone)]
pub struct ProjectFace {
    /// Its name.
    pub name: ProjectName,
    /// Who is in it.
    pub members: Vec<KeyId>,
    /// Who asked to be.
    pub waiting: Vec<KeyId>,
    /// What it took, and its limit, in public prices.
    pub share: (Option<Rho>, Rho),
}

/// A project's name as a message has it.
pub fn name(text: &str) -> Result<ProjectName, Error> {
    Ok(ProjectName::new(text).map_err(wire::InvalidWire::from)?)
}

/// Asks, for the caller, to join.
pub fn join(
    node: &Node,
    caller: &Caller,
    project: ProjectName,
    message: &SignedMessage,
) -> Result<ProjectFace, Error> {
    let evidence = wire::signed_encode(message);
    let ledger = &node.ledger;
    ledger.ask_to_join(project.clone(), caller.key(), evidence, node.now())?;
    seen_by(node, caller, &project)
}

/// The projects that the caller may see: all for the owner; otherwise their own, and those that
/// they asked to join.
#[must_use]
pub fn all(node: &Node, caller: &Caller) -> Vec<ProjectFace> {
    let projects = node.ledger.projects().into_iter();
    projects.filter_map(|view| face(caller, view)).collect()
}

/// Confirms somebody who asked to join.
pub fn confirm(
    node: &Node,
    caller: &Caller,
    project: ProjectName,
    person: KeyId,
    message: &SignedMessage,
) -> Result<ProjectFace, Error> {
    let evidence = wire::signed_encode(message);
    let ledger = &node.ledger;
    ledger.confirm_member(project.clone(), person, evidence, node.now())?;
    seen_by(node, caller, &project)
}

/// Takes somebody out, or turns somebody down who asked; who is gone already stays gone.
pub fn remove(
    node: &Node,
    caller: &Caller,
    (project, person): (ProjectName, KeyId),
    reason: String,
    message: &SignedMessage,
) -> Result<ProjectFace, Error> {
    if reason.trim().is_empty() {
        return Err(Error::Rule(
            "a reason is required to remove somebody from a project".into(),
        ));
    }
    let there = seen_by(node, caller, &project)?;
    if !there.members.contains(&person) && !there.waiting.contains(&person) {
        return Ok(there);
    }
    let evidence = wire::signed_encode(message);
    let ledger = &node.ledger;
    ledger.remove_member(project.clone(), person, reason, evidence, node.now())?;
    seen_by(node, caller, &project)
}

/// Sets what a project may take altogether.
pub fn set_limit(
    node: &Node,
    caller: &Caller,
    project: ProjectName,
    (epsilon, delta): (f64, f64),
    message: &SignedMessage,
) -> Result<ProjectFace, Error> {
    let rule = |error: obscura_model::exposure::InvalidExposure| Error::Rule(error.to_string());
    let rho = rho_within(epsilon, Delta::new(delta).map_err(rule)?).map_err(rule)?;
    let evidence = wire::signed_encode(message);
    let ledger = &node.ledger;
    ledger.set_project_limit(project.clone(), rho, evidence, node.now())?;
    seen_by(node, caller, &project)
}

fn seen_by(node: &Node, caller: &Caller, project: &ProjectName) -> Result<ProjectFace, Error> {
    let view = node.ledger.project(project);
    let face = view.and_then(|view| face(caller, view));
    face.ok_or_else(|| {
        Error::Rule(format!(
            "there is no project {project} here; the first study that names one opens it"
        ))
    })
}

/// Who only asked to join sees that, and nothing else.
fn face(caller: &Caller, view: ProjectView) -> Option<ProjectFace> {
    let ProjectView {
        name,
        members,
        waiting,
        taken,
        limit,
    } = view;
    let me = caller.key();
    if caller.is_owner() {
        return Some(ProjectFace {
            name,
            members,
            waiting,
            share: (limit, taken),
        });
    }
    if members.contains(&me) {
        return Some(ProjectFace {
            name,
            members,
            waiting: Vec::new(),
            share: (limit, taken),
        });
    }
    waiting.contains(&me).then(|| ProjectFace {
        name,
        members: Vec::new(),
        waiting: vec![me],
        share: (None, Rho::ZERO),
    })
}
