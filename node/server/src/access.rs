//! Who may call what. Permission is a value that is held, not a flag that is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use obscura_ledger::Ledger;
use obscura_model::envelope::{Envelope, LONGEST_VALIDITY, Reality, SignedMessage};
use obscura_model::identity::Party;
use obscura_model::ids::{Digest, KeyId, UnixMillis};

use crate::error::Error;

/// Whom a method is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Enrolled scientists.
    Scientists,
    /// Enrolled scientists and the owners.
    Everybody,
    /// Owners; nothing is changed.
    Owners,
    /// Owners; something is decided, so that the very same envelope is accepted only once.
    OwnersDeciding,
}

/// A caller whose envelope was checked, and who may call the method.
#[derive(Debug, Clone)]
pub struct Caller {
    envelope: Envelope,
    owner: bool,
}

impl Caller {
    /// The caller's key, which is also their id.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.envelope.sender
    }

    /// Whether the caller is an owner of this node.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.owner
    }

    /// The checked envelope.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

/// The door: checks every envelope before anything else is looked at.
#[derive(Debug)]
pub struct Door {
    me: KeyId,
    owners: BTreeMap<KeyId, Party>,
    started: UnixMillis,
    decided: Mutex<BTreeSet<(UnixMillis, Digest)>>,
}

/// The most decisions remembered at once; more than an owner makes in five minutes.
const MOST_DECISIONS: usize = 10_000;

impl Door {
    /// A door of the node `me` with these owners, opened at `started`.
    #[must_use]
    pub fn new(me: KeyId, owners: Vec<Party>, started: UnixMillis) -> Self {
        let owners = owners.into_iter().map(|o| (o.key, o)).collect();
        Self {
            me,
            owners,
            started,
            decided: Mutex::default(),
        }
    }

    /// The owner with this key.
    #[must_use]
    pub fn owner(&self, key: &KeyId) -> Option<&Party> {
        self.owners.get(key)
    }

    /// Checks envelope, method, reality, time and caller. Whatever is wrong, the caller learns
    /// only that they are not authorised.
    pub fn open(
        &self,
        message: &SignedMessage,
        method: &str,
        whom: For,
        reality: Reality,
        ledger: &Ledger,
        now: UnixMillis,
    ) -> Result<Caller, Error> {
        let envelope = message
            .open_request(&self.me, method, now)
            .map_err(Error::Envelope)?;
        if envelope.reality != reality {
            return Err(Error::NotAuthorised);
        }
        let owner = self.owners.contains_key(&envelope.sender);
        let scientist = || ledger.person(&envelope.sender).is_some_and(|p| p.enrolled);
        let allowed = match whom {
            // Nobody decides about their own requests: a key is an owner's or a scientist's.
            For::Scientists => !owner && scientist(),
            For::Everybody => owner || scientist(),
            For::Owners | For::OwnersDeciding => owner,
        };
        if !allowed {
            return Err(Error::NotAuthorised);
        }
        if whom == For::OwnersDeciding {
            self.once(&envelope, message.envelope_digest(), now)?;
        }
        Ok(Caller { envelope, owner })
    }

    /// Accepts a deciding envelope once. What was signed before this process started is refused,
    /// because its memory of what was decided began then.
    fn once(&self, envelope: &Envelope, digest: Digest, now: UnixMillis) -> Result<(), Error> {
        if envelope.issued < self.started {
            return Err(Error::NotAuthorised);
        }
        let mut decided = self.decided.lock().unwrap_or_else(|e| e.into_inner());
        let old = UnixMillis(now.0.saturating_sub(LONGEST_VALIDITY));
        *decided = decided.split_off(&(old, Digest::new([0; 32])));
        if decided.len() >= MOST_DECISIONS || !decided.insert((envelope.expires, digest)) {
            return Err(Error::NotAuthorised);
        }
        Ok(())
    }
}
