//! Data subjects who leave, come back or get new ids. Every message carries fresh random bytes, so
//! that the digest of it that a node keeps tells nothing about the ids.

use obscura_model::envelope::Reality;
use obscura_model::wire;
use obscura_wire::v1;

use super::catalogue::account_from;
use super::{LONG, Peer, Repeat, Rpc, Transport, form};
use crate::catalogue::Account;
use crate::error::Error;
use crate::subjects::{Marking, Merging, Rekeying, SubjectMark};

/// Reads many ids, so it may take long; not tried again by itself.
const fn many<Q, A>(path: &'static str) -> Rpc<Q, A> {
    Rpc::new(path, Reality::Real, Repeat::Never, LONG)
}

impl Transport {
    /// How many of the ids the population knows.
    pub(crate) async fn mark_subjects(&self, to: &Peer, marking: &Marking) -> Result<u64, Error> {
        let rpc = many::<_, v1::MarkSubjectsResponse>("/obscura.v1.Owner/MarkSubjects");
        let Marking {
            dataset,
            mark,
            ids,
            reason,
        } = marking;
        let mark = match mark {
            SubjectMark::Exclude => v1::SubjectMark::Exclude,
            SubjectMark::Erase => v1::SubjectMark::Erase,
            SubjectMark::Readmit => v1::SubjectMark::Readmit,
        };
        let body = v1::MarkSubjectsRequest {
            dataset: dataset.to_string(),
            mark: mark.into(),
            ids: ids.ids().to_vec(),
            reason: reason.clone(),
            salt: self.salt()?,
        };
        let v1::MarkSubjectsResponse { matched } = self.call(to, rpc, &body).await?;
        Ok(matched)
    }

    /// How many people the old ids are of.
    pub(crate) async fn rekey(&self, to: &Peer, rekeying: &Rekeying) -> Result<u64, Error> {
        let rpc = many::<_, v1::RekeyResponse>("/obscura.v1.Owner/Rekey");
        let Rekeying {
            population,
            pairs,
            reason,
        } = rekeying;
        let pair = |(old, new): &(String, String)| v1::IdPair {
            old: old.clone(),
            new: new.clone(),
        };
        let body = v1::RekeyRequest {
            population: population.to_string(),
            pairs: pairs.iter().map(pair).collect(),
            reason: reason.clone(),
            salt: self.salt()?,
        };
        let v1::RekeyResponse { matched } = self.call(to, rpc, &body).await?;
        Ok(matched)
    }

    pub(crate) async fn merge(&self, to: &Peer, merging: &Merging) -> Result<Account, Error> {
        let rpc = many::<_, v1::Account>("/obscura.v1.Owner/Merge");
        let Merging {
            keep,
            gone,
            ids,
            epsilon,
            delta,
            mode,
            reason,
        } = merging;
        let body = v1::MergeRequest {
            keep: keep.to_string(),
            gone: gone.to_string(),
            ids: ids.ids().to_vec(),
            epsilon: *epsilon,
            delta: delta.get(),
            mode: wire::mode_to(*mode).into(),
            reason: reason.clone(),
            salt: self.salt()?,
        };
        account_from(self.call(to, rpc, &body).await?).map_err(form(to))
    }

    /// 32 random bytes.
    pub(super) fn salt(&self) -> Result<Vec<u8>, Error> {
        let mut salt = vec![0; 32];
        self.around().entropy.fill(&mut salt)?;
        Ok(salt)
    }
}
