//! Standing grants at this node: releases without a study, for chosen columns, up to a total, a
//! number and a date. A grant reserves nothing, and its releases are counted like any other.

use obscura_ledger::{GrantView, NewGrant};
use obscura_model::envelope::SignedMessage;
use obscura_model::exposure::rho_within;
use obscura_model::ids::{GrantId, KeyId, ProjectName, UnixMillis};
use obscura_model::schema::Table;
use obscura_model::wire;

use crate::access::Caller;
use crate::error::Error;
use crate::node::Node;
use crate::owner;

/// A grant as the owner's message asks for it.
#[derive(Debug, Clone)]
pub struct WantedGrant {
    /// Chosen by the owner: the same again changes nothing.
    pub id: GrantId,
    /// The project whose share its releases count towards.
    pub project: ProjectName,
    /// To whom.
    pub scientist: KeyId,
    /// The dataset's name.
    pub dataset: String,
    /// The columns that questions may read.
    pub columns: Vec<String>,
    /// The total, at the delta of the dataset's description.
    pub epsilon: f64,
    /// What its releases may take altogether of delta for keys that are not declared; 0: no
    /// question may have such keys.
    pub delta_keys: f64,
    /// The most releases.
    pub releases: u32,
    /// The last day, `YYYY-MM-DD`.
    pub until: String,
    /// Why.
    pub reason: String,
}

/// A grant with the name of its dataset.
#[derive(Debug, Clone)]
pub struct GrantFace {
    /// What the ledger knows.
    pub view: GrantView,
    /// The dataset's name.
    pub dataset: String,
}

/// Gives a grant.
pub fn give(node: &Node, wanted: WantedGrant, message: &SignedMessage) -> Result<GrantFace, Error> {
    let face = node.dataset(&wanted.dataset)?;
    let description = &face.description;
    let unknown = |column: &&String| !names_a_column(description.tables(), column);
    if let Some(column) = wanted.columns.iter().find(unknown) {
        let several = match description.tables() {
            [_] => "",
            _ => ", and name its table too, as in table.column",
        };
        return Err(Error::Rule(format!(
            "the dataset {} has no column called {column}: look at it with dataset show{several}",
            description.name()
        )));
    }
    if wanted.reason.trim().is_empty() {
        return Err(Error::Rule("a reason is required for a grant".into()));
    }
    let expires = UnixMillis::end_of_day(&wanted.until);
    let expires = expires.ok_or_else(|| {
        Error::Rule("until must be a date like 2027-12-31: the grant's last day".into())
    })?;
    let most = rho_within(wanted.epsilon, description.delta());
    let grant = NewGrant {
        id: wanted.id,
        project: wanted.project,
        scientist: wanted.scientist,
        dataset: face.view.which.id,
        columns: wanted.columns,
        most: most.map_err(|error| Error::Rule(error.to_string()))?,
        delta_keys: owner::delta_for_keys(wanted.delta_keys)?,
        releases: wanted.releases,
        expires,
        reason: wanted.reason,
        evidence: wire::signed_encode(message),
    };
    node.ledger.give_grant(grant, node.now())?;
    one(node, wanted.id)
}

/// Whether a grant may name this column. Of several tables with the table's name before it, and
/// then also the one that says whose row it is: who may join a table for its rows alone is granted
/// that.
fn names_a_column(tables: &[Table], column: &str) -> bool {
    match tables {
        [table] => table.columns.iter().any(|c| c.name == column),
        _ => tables.iter().any(|table| {
            let rest = column.strip_prefix(table.name.as_str());
            let name = rest.and_then(|rest| rest.strip_prefix('.'));
            name.is_some_and(|name| {
                name == table.subject_column || table.columns.iter().any(|c| c.name == name)
            })
        }),
    }
}

/// Takes a grant back; again changes nothing.
pub fn revoke(
    node: &Node,
    grant: GrantId,
    reason: String,
    message: &SignedMessage,
) -> Result<GrantFace, Error> {
    if reason.trim().is_empty() {
        return Err(Error::Rule("a reason is required to revoke a grant".into()));
    }
    let evidence = wire::signed_encode(message);
    node.ledger
        .revoke_grant(grant, reason, evidence, node.now())?;
    one(node, grant)
}

/// The grants that the caller may see: all for the owner, otherwise their own.
#[must_use]
pub fn all(node: &Node, caller: &Caller) -> Vec<GrantFace> {
    let mine = |view: &GrantView| caller.is_owner() || view.scientist == caller.key();
    let grants = node.ledger.grants(node.now()).into_iter().filter(mine);
    grants.map(|view| face(node, view)).collect()
}

fn one(node: &Node, grant: GrantId) -> Result<GrantFace, Error> {
    let view = node.ledger.grant(grant, node.now());
    view.map(|view| face(node, view)).ok_or(Error::NoGrant)
}

fn face(node: &Node, view: GrantView) -> GrantFace {
    let datasets = node.ledger.datasets(node.now());
    let mut datasets = datasets.into_iter();
    let dataset = datasets.find(|dataset| dataset.which.id == view.dataset);
    GrantFace {
        dataset: dataset.map(|d| d.name.to_string()).unwrap_or_default(),
        view,
    }
}
