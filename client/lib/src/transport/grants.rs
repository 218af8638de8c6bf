//! Standing grants, and questions under them.

use obscura_model::envelope::Reality;
use obscura_model::exposure::{Delta, DeltaCharge, Rho};
use obscura_model::ids::{DatasetName, GrantId, KeyId, ProjectName, RequestId, UnixMillis};
use obscura_model::release::AskRequest;
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::v1;

use super::owner::deciding;
use super::studies::{Ran, ran_from};
use super::{LONG, Peer, Repeat, Rpc, Transport, form};
use crate::error::Error;
use crate::grants::{Grant, GrantState, NewGrant};

impl Transport {
    pub(crate) async fn own_grants(&self, to: &Peer) -> Result<Vec<Grant>, Error> {
        self.grants(to, "/obscura.v1.Releases/ListGrants").await
    }

    pub(crate) async fn all_grants(&self, to: &Peer) -> Result<Vec<Grant>, Error> {
        self.grants(to, "/obscura.v1.Owner/ListGrants").await
    }

    async fn grants(&self, to: &Peer, path: &'static str) -> Result<Vec<Grant>, Error> {
        let rpc = Rpc::<_, v1::ListGrantsResponse>::reading(path);
        let v1::ListGrantsResponse { grants } =
            self.call(to, rpc, &v1::ListGrantsRequest {}).await?;
        let grants = grants.into_iter().map(grant_from);
        grants.collect::<Result<_, _>>().map_err(form(to))
    }

    pub(crate) async fn give_grant(&self, to: &Peer, grant: &NewGrant) -> Result<Grant, Error> {
        let rpc = deciding::<_, v1::Grant>("/obscura.v1.Owner/GiveGrant");
        let NewGrant {
            id,
            project,
            scientist,
            dataset,
            columns,
            epsilon,
            delta_keys,
            releases,
            until,
            reason,
        } = grant;
        let body = v1::GiveGrantRequest {
            grant_id: id.as_bytes().to_vec(),
            project: project.to_string(),
            scientist: scientist.as_bytes().to_vec(),
            dataset: dataset.to_string(),
            columns: columns.clone(),
            epsilon: *epsilon,
            releases: *releases,
            until: until.clone(),
            reason: reason.clone(),
            delta_keys: delta_keys.map_or(0.0, Delta::get),
        };
        grant_from(self.call(to, rpc, &body).await?).map_err(form(to))
    }

    pub(crate) async fn revoke_grant(
        &self,
        to: &Peer,
        grant: GrantId,
        reason: &str,
    ) -> Result<Grant, Error> {
        let rpc = deciding::<_, v1::Grant>("/obscura.v1.Owner/RevokeGrant");
        let body = v1::RevokeGrantRequest {
            grant_id: grant.as_bytes().to_vec(),
            reason: reason.to_owned(),
        };
        grant_from(self.call(to, rpc, &body).await?).map_err(form(to))
    }

    /// Asks under a grant; also gives the digest of the request, which a new release must name.
    pub(crate) async fn ask(
        &self,
        to: &Peer,
        asked: &AskRequest,
        id: RequestId,
    ) -> Result<Ran, Error> {
        let path = "/obscura.v1.Releases/Ask";
        let rpc = Rpc::<_, v1::RunResponse>::new(path, Reality::Real, Repeat::Safe, LONG);
        let AskRequest {
            dataset,
            grant,
            sql,
            accuracy,
            options,
            code_lists,
            again,
        } = asked;
        let body = v1::AskRequest {
            dataset: dataset.to_string(),
            grant_id: grant.as_bytes().to_vec(),
            sql: sql.to_string(),
            accuracy: Some(wire::accuracy_to(accuracy)),
            options: wire::options_to(options),
            code_lists: wire::code_lists_to(code_lists),
            again: *again,
        };
        let answer = self.call_as(to, rpc, &body, id).await;
        let (answer, digest) = answer.map_err(Error::about_a_study)?;
        ran_from(answer, digest).map_err(form(to))
    }
}

fn grant_from(grant: v1::Grant) -> Result<Grant, InvalidWire> {
    let v1::Grant {
        grant_id,
        project,
        scientist,
        dataset,
        columns,
        most_nano,
        taken_nano,
        releases,
        begun,
        expires_unix_ms,
        reason,
        state,
        keys_units,
        keys_taken_units,
    } = grant;
    let v1::Person { key, name, role: _ } = scientist.ok_or(InvalidWire::Missing("a scientist"))?;
    let state = v1::GrantState::try_from(state).unwrap_or(v1::GrantState::Unspecified);
    let state = match state {
        v1::GrantState::Unspecified => return Err(InvalidWire::Missing("a state")),
        v1::GrantState::InForce => GrantState::InForce,
        v1::GrantState::Used => GrantState::Used,
        v1::GrantState::Expired => GrantState::Expired,
        v1::GrantState::Revoked => GrantState::Revoked,
        v1::GrantState::Suspended => GrantState::Suspended,
    };
    Ok(Grant {
        id: GrantId::from_bytes(&grant_id)?,
        project: ProjectName::new(&project)?,
        scientist: KeyId::from_bytes(&key)?,
        scientist_name: name,
        dataset: DatasetName::new(&dataset)?,
        columns,
        most: Rho::from_nano(most_nano),
        taken: Rho::from_nano(taken_nano),
        keys: DeltaCharge::from_units(keys_units),
        keys_taken: DeltaCharge::from_units(keys_taken_units),
        releases,
        begun,
        expires: UnixMillis(expires_unix_ms),
        reason,
        state,
    })
}
