//! One call at many institutions.

use std::future::Future;
use std::sync::Arc;

use obscura_model::ids::PartyName;
use obscura_model::study::Institution;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{AtSite, Client, Site};
use crate::error::Error;
use crate::transport::Peer;

/// How many institutions are called at the same time.
const AT_ONCE: usize = 8;

impl Client {
    pub(super) fn site(&self, institution: &Institution) -> Result<&Site, Error> {
        let mut sites = self.0.sites.iter();
        let site = sites.find(|s| s.institution == *institution);
        site.ok_or_else(|| Error::UnknownInstitution {
            name: institution.name.clone(),
        })
    }

    pub(super) fn named(&self, node: &PartyName) -> Result<Peer, Error> {
        let mut sites = self.0.sites.iter();
        let site = sites.find(|s| s.institution.name == *node);
        let site = site.ok_or_else(|| Error::UnknownInstitution { name: node.clone() })?;
        Ok(self.peer(site))
    }

    pub(super) fn peer(&self, site: &Site) -> Peer {
        let name = &site.institution.name;
        Peer {
            who: name.to_string(),
            key: site.institution.key,
            route: (!self.0.direct).then(|| name.clone()),
        }
    }

    /// Makes one call at each institution, a few at a time, and keeps their order. An institution
    /// that is not in the directory with the same key is not called.
    pub(super) async fn everywhere<T, F, R>(
        &self,
        institutions: Vec<Institution>,
        call: F,
    ) -> Vec<AtSite<T>>
    where
        T: Send + 'static,
        F: Fn(Client, Peer, PartyName) -> R,
        R: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        let mut outcomes: Vec<Option<Result<T, Error>>> = Vec::new();
        for (place, institution) in institutions.iter().enumerate() {
            outcomes.push(None);
            match self.site(institution) {
                Err(error) => outcomes[place] = Some(Err(error)),
                Ok(site) => {
                    let name = institution.name.clone();
                    let (gate, work) = (gate.clone(), call(self.clone(), self.peer(site), name));
                    tasks.spawn(async move {
                        // The gate is never closed; without a permit the call is made all the same.
                        let _permit = gate.acquire().await.ok();
                        (place, work.await)
                    });
                }
            }
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok((place, outcome)) = done {
                outcomes[place] = Some(outcome);
            }
        }
        let at = |(institution, outcome): (Institution, Option<Result<T, Error>>)| {
            let interrupted = || Error::Interrupted {
                who: institution.name.to_string(),
            };
            let outcome = outcome.unwrap_or_else(|| Err(interrupted()));
            AtSite {
                institution,
                outcome,
            }
        };
        institutions.into_iter().zip(outcomes).map(at).collect()
    }
}
