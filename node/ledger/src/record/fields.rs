//! How the parts of records are encoded.

use obscura_model::exposure::{Delta, Limit};
use obscura_model::schema::{MOST_SUBJECTS, index_capacity};
use obscura_privacy::Mode;

use super::{
    Account, AccountInForce, Authority, DatasetVersion, Decision, Intent, LimitSet, Mark, NewGrant,
    NewStudy, RequestKey, Role, Secrets, StudyRelease,
};
use crate::codec::{Blob, InvalidBytes, Reader, Stored, Writer};

/// Structs: their fields in order.
macro_rules! stored_structs {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Stored for $name {
            fn write(&self, to: &mut Writer) {
                let $name { $($field),* } = self;
                $(to.put($field);)*
            }
            fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
                $(let $field = from.get()?;)*
                Ok($name { $($field),* })
            }
        }
    )*};
}
stored_structs! {
    DatasetVersion { id, version }
    RequestKey { person, request }
    StudyRelease { name, price, times, require_complete, delta_keys, canonical }
    AccountInForce { account, limit, mode }
    Secrets { subject, row }
}

/// Enums without content: one byte.
macro_rules! stored_choices {
    ($($name:ident { $($choice:ident = $code:literal),* })*) => {$(
        impl Stored for $name {
            fn write(&self, to: &mut Writer) {
                to.raw(&[match self { $($name::$choice => $code),* }]);
            }
            fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
                match from.array(stringify!($name))? {
                    $([$code] => Ok($name::$choice),)*
                    _ => Err(InvalidBytes::Meaningless(stringify!($name))),
                }
            }
        }
    )*};
}
stored_choices! {
    Role { Scientist = 1, Owner = 2 }
    Mode { Strict = 1, Protect = 2 }
    Decision { Approve = 1, Decline = 2, AskForChanges = 3, Revoke = 4, Suspend = 5 }
    Mark { Excluded = 1, Erased = 2 }
}

impl Stored for Account {
    fn write(&self, to: &mut Writer) {
        match self {
            Account::Population(name) => to.raw(&[1]).put(name),
            Account::Dataset(id) => to.raw(&[2]).put(id),
        };
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        match from.array("an account")? {
            [1] => Ok(Account::Population(from.get()?)),
            [2] => Ok(Account::Dataset(from.get()?)),
            _ => Err(InvalidBytes::Meaningless("an account")),
        }
    }
}

impl Stored for Authority {
    fn write(&self, to: &mut Writer) {
        match self {
            Authority::Study { study, release } => to.raw(&[1]).put(study).put(release),
            Authority::Grant { grant } => to.raw(&[2]).put(grant),
        };
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        match from.array("an authority")? {
            [1] => Ok(Authority::Study {
                study: from.get()?,
                release: from.get()?,
            }),
            [2] => Ok(Authority::Grant { grant: from.get()? }),
            _ => Err(InvalidBytes::Meaningless("an authority")),
        }
    }
}

/// Epsilon and delta as the bits of their numbers; rho as it was converted then.
impl Stored for Limit {
    fn write(&self, to: &mut Writer) {
        to.put(&self.epsilon().to_bits())
            .put(&self.delta().get().to_bits())
            .put(&self.rho());
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        let epsilon = f64::from_bits(from.get()?);
        let delta = Delta::new(f64::from_bits(from.get()?));
        let delta = delta.map_err(|_| InvalidBytes::Meaningless("delta"))?;
        let rho = from.get()?;
        if epsilon.is_finite() && epsilon > 0.0 {
            Ok(Limit::as_stored(epsilon, delta, rho))
        } else {
            Err(InvalidBytes::Meaningless("epsilon"))
        }
    }
}

impl Stored for LimitSet {
    fn write(&self, to: &mut Writer) {
        let LimitSet {
            account,
            limit,
            mode,
            largest_share,
            delta_keys,
            reason,
            evidence,
        } = self;
        to.put(account)
            .put(limit)
            .put(mode)
            .put(largest_share)
            .put(delta_keys)
            .put(reason);
        put_blob(to, evidence);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(LimitSet {
            account: from.get()?,
            limit: from.get()?,
            mode: from.get()?,
            largest_share: from.get()?,
            delta_keys: from.get()?,
            reason: from.get()?,
            evidence: get_blob(from)?,
        })
    }
}

impl Stored for NewStudy {
    fn write(&self, to: &mut Writer) {
        let NewStudy {
            id,
            digest,
            scientist,
            project,
            dataset,
            releases,
            expires,
            evidence,
        } = self;
        to.put(id)
            .put(digest)
            .put(scientist)
            .put(project)
            .put(dataset)
            .put(releases)
            .put(expires);
        put_blob(to, evidence);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(NewStudy {
            id: from.get()?,
            digest: from.get()?,
            scientist: from.get()?,
            project: from.get()?,
            dataset: from.get()?,
            releases: from.get()?,
            expires: from.get()?,
            evidence: get_blob(from)?,
        })
    }
}

impl Stored for NewGrant {
    fn write(&self, to: &mut Writer) {
        let NewGrant {
            id,
            project,
            scientist,
            dataset,
            columns,
            most,
            delta_keys,
            releases,
            expires,
            reason,
            evidence,
        } = self;
        to.put(id).put(project).put(scientist).put(dataset);
        to.put(columns).put(most).put(delta_keys).put(releases);
        put_blob(to.put(expires).put(reason), evidence);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(NewGrant {
            id: from.get()?,
            project: from.get()?,
            scientist: from.get()?,
            dataset: from.get()?,
            columns: from.get()?,
            most: from.get()?,
            delta_keys: from.get()?,
            releases: from.get()?,
            expires: from.get()?,
            reason: from.get()?,
            evidence: get_blob(from)?,
        })
    }
}

impl Stored for Intent {
    fn write(&self, to: &mut Writer) {
        let Intent {
            key,
            body_digest,
            authority,
            plan,
            dataset,
            population,
            price,
            delta_keys,
            sigmas,
            accounts,
            nobody_dropped,
            evidence,
        } = self;
        to.put(key).put(body_digest).put(authority).put(plan);
        to.put(dataset).put(population).put(price).put(delta_keys);
        put_blob(to.put(sigmas).put(accounts).put(nobody_dropped), evidence);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(Intent {
            key: from.get()?,
            body_digest: from.get()?,
            authority: from.get()?,
            plan: from.get()?,
            dataset: from.get()?,
            population: from.get()?,
            price: from.get()?,
            delta_keys: from.get()?,
            sigmas: from.get()?,
            accounts: from.get()?,
            nobody_dropped: from.get()?,
            evidence: get_blob(from)?,
        })
    }
}

/// Opaque bytes.
pub(super) fn put_blob(to: &mut Writer, bytes: &[u8]) {
    Blob::write_slice(bytes, to);
}

/// Opaque bytes.
pub(super) fn get_blob(from: &mut Reader<'_>) -> Result<Vec<u8>, InvalidBytes> {
    Ok(from.get::<Blob>()?.0)
}

/// How many places an index has.
pub(super) fn get_capacity(from: &mut Reader<'_>) -> Result<u32, InvalidBytes> {
    let capacity: u32 = from.get()?;
    if u64::from(capacity) > index_capacity(MOST_SUBJECTS) {
        return Err(InvalidBytes::Meaningless("capacity"));
    }
    Ok(capacity)
}
