//! Turns: how much one caller, and all callers together, may have under way.
//!
//! A turn goes with the work and not with the call, so that a caller who hangs up and calls again
//! does not get more work done at once than one who waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use obscura_model::ids::KeyId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// A number of turns for all, and a number for each caller.
#[derive(Debug, Clone)]
pub struct Turns {
    callers: Arc<Mutex<BTreeMap<KeyId, usize>>>,
    of_a_caller: usize,
    working: Arc<Semaphore>,
}

/// A place among a caller's calls under way, until it is dropped.
#[derive(Debug)]
pub struct Place {
    callers: Arc<Mutex<BTreeMap<KeyId, usize>>>,
    caller: KeyId,
}

/// The right to work, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _working: OwnedSemaphorePermit,
    place: Place,
}

impl Turn {
    /// Ends the work and keeps the place.
    #[must_use]
    pub fn rest(self) -> Place {
        self.place
    }
}

impl Turns {
    /// At most `working` at the same time, and at most `of_a_caller` of one caller, waiting ones
    /// included.
    #[must_use]
    pub fn new(working: usize, of_a_caller: usize) -> Self {
        Self {
            callers: Arc::default(),
            of_a_caller,
            working: Arc::new(Semaphore::new(working)),
        }
    }

    fn place(&self, caller: KeyId) -> Result<Place, Error> {
        let mut callers = count(&self.callers);
        let under_way = callers.entry(caller).or_insert(0);
        if *under_way >= self.of_a_caller {
            return Err(Error::Busy);
        }
        *under_way += 1;
        Ok(Place {
            callers: self.callers.clone(),
            caller,
        })
    }

    /// Waits for a turn, first come, first served.
    ///
    /// # Errors
    /// If the caller has too many calls under way.
    pub async fn turn(&self, caller: KeyId) -> Result<Turn, Error> {
        let place = self.place(caller)?;
        let working = self.working.clone().acquire_owned().await;
        Ok(Turn {
            _working: working.map_err(|_| Error::Stopped)?,
            place,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut callers = count(&self.callers);
        if let Some(under_way) = callers.get_mut(&self.caller) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

fn count(callers: &Mutex<BTreeMap<KeyId, usize>>) -> MutexGuard<'_, BTreeMap<KeyId, usize>> {
    // Nothing between lock and unlock can panic.
    callers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_caller_who_takes_all_places_leaves_the_others_theirs() {
        let turns = Turns::new(10, 2);
        let (ada, bob) = (KeyId::new([1; 32]), KeyId::new([2; 32]));
        let (first, _second) = (
            turns.turn(ada).await.unwrap(),
            turns.turn(ada).await.unwrap(),
        );
        assert!(matches!(turns.turn(ada).await, Err(Error::Busy)));
        assert!(turns.turn(bob).await.is_ok());
        drop(first);
        assert!(turns.turn(ada).await.is_ok());
    }
}
