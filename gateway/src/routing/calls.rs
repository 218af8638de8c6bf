//! Counting the calls under way: in all, by caller and by node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use obscura_model::ids::{KeyId, PartyName};

use crate::limits::{MOST_CALLS, MOST_CALLS_OF_CALLER, MOST_CALLS_TO_NODE};
use crate::rpc::status::Refusal;

/// The calls under way. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    callers: BTreeMap<KeyId, usize>,
    nodes: BTreeMap<PartyName, usize>,
}

impl Calls {
    /// Counts one more call of whoever has the key `caller`, whatever certificates it has, until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// If that would be more than `limits` allows.
    pub(crate) fn begin(&self, caller: KeyId, node: &PartyName) -> Result<Call, Refusal> {
        let mut counts = self.counts();
        let of = counts.callers.get(&caller).copied().unwrap_or(0);
        let to = counts.nodes.get(node).copied().unwrap_or(0);
        if of >= MOST_CALLS_OF_CALLER {
            return Err(Refusal::CallerBusy);
        }
        if to >= MOST_CALLS_TO_NODE {
            return Err(Refusal::NodeBusy(node.clone()));
        }
        if counts.all >= MOST_CALLS {
            return Err(Refusal::GatewayBusy);
        }
        counts.all += 1;
        counts.callers.insert(caller, of + 1);
        counts.nodes.insert(node.clone(), to + 1);
        Ok(Call {
            calls: self.clone(),
            caller,
            node: node.clone(),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing between lock and unlock can panic, and counts are right at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Calls,
    caller: KeyId,
    node: PartyName,
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut counts = self.calls.counts();
        counts.all = counts.all.saturating_sub(1);
        one_less(&mut counts.callers, &self.caller);
        one_less(&mut counts.nodes, &self.node);
    }
}

/// Keys without calls are forgotten, so that the maps never grow beyond the calls under way.
fn one_less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
