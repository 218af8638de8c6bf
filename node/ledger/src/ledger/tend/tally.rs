//! Exposures alone, added up from records: as the state does it, without all else.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Past;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::journal;
use crate::journal::frame::Frame;
use crate::ledger::open;
use crate::record::{Account, Intent, Record};
use crate::state::{AccountEntry, Charges, InvalidHistory};

/// Exposures of every account, and the intents whose end is not seen yet.
pub(super) struct Tally {
    accounts: BTreeMap<Account, AccountEntry>,
    intents: BTreeMap<u64, Intent>,
}

impl Tally {
    /// At the head of a base, or before the first record.
    pub(super) fn begin(base: Option<Checkpoint>) -> Self {
        let mut tally = Tally {
            accounts: BTreeMap::new(),
            intents: BTreeMap::new(),
        };
        let arrays = base.map(|base| base.exposures).unwrap_or_default();
        for (account, exposures) in arrays {
            tally.insert(account, exposures);
        }
        tally
    }

    pub(super) fn accounts(&self) -> &BTreeMap<Account, AccountEntry> {
        &self.accounts
    }

    fn insert(&mut self, account: Account, exposures: Vec<u64>) {
        let entry = AccountEntry {
            exposures: Arc::new(exposures),
            ..AccountEntry::default()
        };
        self.accounts.insert(account, entry);
    }

    /// Takes one record in; no if what it changes cannot be told without everything else: it moves
    /// exposures, or a later record does, so that an account was another one then.
    pub(super) fn add(&mut self, frame: Frame, past: &Past) -> Result<bool, Error> {
        let index = frame.index;
        Ok(match open::decode(&frame)? {
            Record::SubjectsRekeyed { .. } | Record::PopulationsMerged { .. } => false,
            Record::PopulationCreated { name, .. } => self.open(Account::Population(name), past),
            Record::LimitSet(limit) => self.open(limit.account, past),
            Record::IntentOpened(intent) => {
                self.intents.insert(index, intent);
                true
            }
            Record::ReleaseCommitted { intent, codes, .. } => {
                let intent = match self.intents.remove(&intent) {
                    Some(intent) => intent,
                    None => earlier(intent, past)?,
                };
                self.charge(&intent, &codes).is_ok()
            }
            _ => true,
        })
    }

    /// An account begins with nobody exposed.
    fn open(&mut self, account: Account, past: &Past) -> bool {
        if self.accounts.contains_key(&account) {
            return true;
        }
        let capacity = past.capacities.get(&account);
        if let Some(capacity) = capacity {
            self.insert(account, vec![0; *capacity]);
        }
        capacity.is_some()
    }

    fn charge(&mut self, intent: &Intent, codes: &[u16]) -> Result<(), InvalidHistory> {
        let charges = Charges::of(intent.price, codes)?;
        for account in &intent.accounts {
            let entry = self.accounts.get_mut(&account.account);
            let entry = entry.ok_or(InvalidHistory::Unknown("an account"))?;
            if codes.len() != entry.exposures.len() {
                return Err(InvalidHistory::Range("the number of charges"));
            }
            charges.add_to(&mut entry.exposures)?;
        }
        Ok(())
    }
}

/// An intent from before the last mark's head.
fn earlier(index: u64, past: &Past) -> Result<Intent, Error> {
    let mut found = None;
    let range = index..index.saturating_add(1);
    journal::walk::<Error>(&*past.storage, &past.segments, range, &mut |_, frame| {
        if let Record::IntentOpened(intent) = open::decode(&frame)? {
            found = Some(intent);
        }
        Ok(())
    })?;
    let source = InvalidHistory::Unknown("an intent");
    found.ok_or(Error::History { index, source })
}
