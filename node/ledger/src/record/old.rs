//! Records as the first version of their kind was written. Nothing writes them any more.

use obscura_model::exposure::DeltaCharge;
use obscura_model::ids::{KeyId, ProjectName};

use super::fields::get_blob;
use super::{Authority, Intent, LimitSet, NewGrant, NewStudy, StudyRelease};
use crate::codec::{InvalidBytes, Reader};

/// The project of a study from before studies named one: the scientist's own, so that nobody
/// else's releases are counted with theirs. 32 of the 64 digits of a key tell keys apart.
pub(crate) fn own_project(scientist: &KeyId) -> Result<ProjectName, InvalidBytes> {
    ProjectName::new(&format!("unnamed-{:.32}", scientist.to_string()))
        .map_err(|_| InvalidBytes::Meaningless("a project"))
}

/// A limit without keys that are not declared.
pub(super) fn limit_set(from: &mut Reader<'_>) -> Result<LimitSet, InvalidBytes> {
    Ok(LimitSet {
        account: from.get()?,
        limit: from.get()?,
        mode: from.get()?,
        largest_share: from.get()?,
        delta_keys: DeltaCharge::ZERO,
        reason: from.get()?,
        evidence: get_blob(from)?,
    })
}

/// A study without a project, whose releases ran whether or not somebody could be left out.
pub(super) fn study(from: &mut Reader<'_>) -> Result<NewStudy, InvalidBytes> {
    let (id, digest, scientist) = (from.get()?, from.get()?, from.get()?);
    let (dataset, number) = (from.get()?, from.get::<u32>()?);
    let mut releases = Vec::new();
    for _ in 0..number {
        releases.push(StudyRelease {
            name: from.get()?,
            price: from.get()?,
            times: from.get()?,
            require_complete: false,
            delta_keys: DeltaCharge::ZERO,
            canonical: StudyRelease::NO_CANONICAL,
        });
    }
    Ok(NewStudy {
        id,
        digest,
        scientist,
        project: own_project(&scientist)?,
        dataset,
        releases,
        expires: from.get()?,
        evidence: get_blob(from)?,
    })
}

/// A study whose releases do not say how their queries are read.
pub(super) fn second_study(from: &mut Reader<'_>) -> Result<NewStudy, InvalidBytes> {
    let (id, digest, scientist) = (from.get()?, from.get()?, from.get()?);
    let (project, dataset, number) = (from.get()?, from.get()?, from.get::<u32>()?);
    let mut releases = Vec::new();
    for _ in 0..number {
        releases.push(StudyRelease {
            name: from.get()?,
            price: from.get()?,
            times: from.get()?,
            require_complete: from.get()?,
            delta_keys: from.get()?,
            canonical: StudyRelease::NO_CANONICAL,
        });
    }
    Ok(NewStudy {
        id,
        digest,
        scientist,
        project,
        dataset,
        releases,
        expires: from.get()?,
        evidence: get_blob(from)?,
    })
}

/// A grant without keys that are not declared.
pub(super) fn grant(from: &mut Reader<'_>) -> Result<NewGrant, InvalidBytes> {
    Ok(NewGrant {
        id: from.get()?,
        project: from.get()?,
        scientist: from.get()?,
        dataset: from.get()?,
        columns: from.get()?,
        most: from.get()?,
        delta_keys: DeltaCharge::ZERO,
        releases: from.get()?,
        expires: from.get()?,
        reason: from.get()?,
        evidence: get_blob(from)?,
    })
}

/// An intent of a study, without the digest of its plan.
pub(super) fn intent(from: &mut Reader<'_>) -> Result<Intent, InvalidBytes> {
    Ok(Intent {
        key: from.get()?,
        body_digest: from.get()?,
        authority: Authority::Study {
            study: from.get()?,
            release: from.get()?,
        },
        plan: Intent::NO_PLAN,
        dataset: from.get()?,
        population: from.get()?,
        price: from.get()?,
        delta_keys: DeltaCharge::ZERO,
        sigmas: from.get()?,
        accounts: from.get()?,
        nobody_dropped: from.get()?,
        evidence: get_blob(from)?,
    })
}
