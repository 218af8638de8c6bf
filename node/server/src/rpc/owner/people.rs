//! The owner's decisions about people: members, grants, data subjects. Decode, call, encode.

use std::sync::Arc;

use obscura_model::ids::{GrantId, KeyId};
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::v1;

use super::super::{Opened, encode};
use crate::error::Error;
use crate::grants::{self, WantedGrant};
use crate::node::Node;
use crate::projects;
use crate::subjects::{self, Wish};

fn key(bytes: &[u8]) -> Result<KeyId, Error> {
    Ok(KeyId::from_bytes(bytes).map_err(InvalidWire::from)?)
}

fn grant_id(bytes: &[u8]) -> Result<GrantId, Error> {
    Ok(GrantId::from_bytes(bytes).map_err(InvalidWire::from)?)
}

pub(super) fn projects(
    node: &Arc<Node>,
    opened: Opened<v1::ListProjectsRequest>,
) -> Result<v1::ListProjectsResponse, Error> {
    let v1::ListProjectsRequest {} = opened.body;
    Ok(encode::projects(node, &projects::all(node, &opened.caller)))
}

pub(super) fn confirm(
    node: &Arc<Node>,
    opened: Opened<v1::MemberRequest>,
) -> Result<v1::Project, Error> {
    let v1::MemberRequest {
        project,
        person,
        reason: _,
    } = opened.body;
    let (project, person) = (projects::name(&project)?, key(&person)?);
    let face = projects::confirm(node, &opened.caller, project, person, &opened.message)?;
    Ok(encode::project(node, &face))
}

pub(super) fn remove(
    node: &Arc<Node>,
    opened: Opened<v1::MemberRequest>,
) -> Result<v1::Project, Error> {
    let v1::MemberRequest {
        project,
        person,
        reason,
    } = opened.body;
    let who = (projects::name(&project)?, key(&person)?);
    let face = projects::remove(node, &opened.caller, who, reason, &opened.message)?;
    Ok(encode::project(node, &face))
}

pub(super) fn limit(
    node: &Arc<Node>,
    opened: Opened<v1::SetProjectLimitRequest>,
) -> Result<v1::Project, Error> {
    let v1::SetProjectLimitRequest {
        project,
        epsilon,
        delta,
        reason: _,
    } = opened.body;
    let (project, limit) = (projects::name(&project)?, (epsilon, delta));
    let face = projects::set_limit(node, &opened.caller, project, limit, &opened.message)?;
    Ok(encode::project(node, &face))
}

pub(super) fn grants(
    node: &Arc<Node>,
    opened: Opened<v1::ListGrantsRequest>,
) -> Result<v1::ListGrantsResponse, Error> {
    let v1::ListGrantsRequest {} = opened.body;
    Ok(encode::grants(node, &grants::all(node, &opened.caller)))
}

pub(super) fn give(
    node: &Arc<Node>,
    opened: Opened<v1::GiveGrantRequest>,
) -> Result<v1::Grant, Error> {
    let v1::GiveGrantRequest {
        grant_id: id,
        project,
        scientist,
        dataset,
        columns,
        epsilon,
        releases,
        until,
        reason,
        delta_keys,
    } = opened.body;
    let wanted = WantedGrant {
        id: grant_id(&id)?,
        project: projects::name(&project)?,
        scientist: key(&scientist)?,
        dataset,
        columns,
        epsilon,
        delta_keys,
        releases,
        until,
        reason,
    };
    let face = grants::give(node, wanted, &opened.message)?;
    Ok(encode::grant(node, &face))
}

pub(super) fn revoke(
    node: &Arc<Node>,
    opened: Opened<v1::RevokeGrantRequest>,
) -> Result<v1::Grant, Error> {
    let v1::RevokeGrantRequest {
        grant_id: id,
        reason,
    } = opened.body;
    let face = grants::revoke(node, grant_id(&id)?, reason, &opened.message)?;
    Ok(encode::grant(node, &face))
}

pub(super) fn mark(
    node: &Arc<Node>,
    opened: Opened<v1::MarkSubjectsRequest>,
) -> Result<v1::MarkSubjectsResponse, Error> {
    let v1::MarkSubjectsRequest {
        dataset,
        mark,
        ids,
        reason,
        salt,
    } = opened.body;
    let mark = v1::SubjectMark::try_from(mark).unwrap_or(v1::SubjectMark::Unspecified);
    let wish = match mark {
        v1::SubjectMark::Unspecified => return Err(InvalidWire::Missing("a mark").into()),
        v1::SubjectMark::Exclude => Wish::Exclude,
        v1::SubjectMark::Erase => Wish::Erase,
        v1::SubjectMark::Readmit => Wish::Readmit,
    };
    let who = (ids.as_slice(), salt.as_slice());
    let matched = subjects::mark(node, &dataset, wish, who, &reason, &opened.message)?;
    Ok(v1::MarkSubjectsResponse { matched })
}

pub(super) fn rekey(
    node: &Arc<Node>,
    opened: Opened<v1::RekeyRequest>,
) -> Result<v1::RekeyResponse, Error> {
    let v1::RekeyRequest {
        population,
        pairs,
        reason,
        salt,
    } = opened.body;
    let pairs = pairs.into_iter().map(|v1::IdPair { old, new }| (old, new));
    let pairs: Vec<_> = pairs.collect();
    let why = (reason.as_str(), salt.as_slice());
    let matched = subjects::rekey(node, &population, &pairs, why, &opened.message)?;
    Ok(v1::RekeyResponse { matched })
}

pub(super) fn merge(
    node: &Arc<Node>,
    opened: Opened<v1::MergeRequest>,
) -> Result<v1::Account, Error> {
    let v1::MergeRequest {
        keep,
        gone,
        ids,
        epsilon,
        delta,
        mode,
        reason,
        salt,
    } = opened.body;
    let wanted = subjects::Merge {
        keep,
        gone,
        epsilon,
        delta,
        mode: wire::mode_from(mode)?,
        reason,
    };
    let who = (ids.as_slice(), salt.as_slice());
    let face = subjects::merge(node, &wanted, who, &opened.message)?;
    let account = encode::accounts(&face).into_iter().next();
    account.ok_or(Error::Message(InvalidWire::Missing("an account")))
}
