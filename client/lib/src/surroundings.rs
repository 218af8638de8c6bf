//! The clock, the entropy and the patience that a client works with: arguments, so that tests can
//! steer them. The only file that reads the machine's clock and generator.

use std::sync::Arc;
use std::time::Duration;

use obscura_model::ids::UnixMillis;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 (UTC).
    fn now(&self) -> UnixMillis;
}

/// Makes bytes nobody can predict.
pub trait Entropy: Send + Sync {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// If the source has none.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The operating system gives no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes for a new id")]
pub struct NoEntropy;

/// The machine's own clock and generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[allow(clippy::disallowed_methods)] // this is the clock module
    fn now(&self) -> UnixMillis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 reads as 1970: every envelope is then refused as out of date.
        let millis = since.map_or(0, |d| d.as_millis());
        UnixMillis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

impl Entropy for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}

/// How often and how long a call that may be repeated is tried again while a node or the gateway
/// cannot be reached. Every repetition carries the same request id, so nothing is priced twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The most times one call is made, at least 1.
    pub attempts: u32,
    /// The wait before the second time; it doubles from then on.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

/// The tries of one call.
#[derive(Debug)]
pub(crate) struct Tries {
    patience: Patience,
    made: u32,
    wait: Duration,
}

impl Patience {
    /// The tries of a call that is about to be made for the first time.
    pub(crate) fn tries(self) -> Tries {
        Tries {
            patience: self,
            made: 1,
            wait: self.first_wait,
        }
    }
}

impl Tries {
    /// Waits for the next try, longer each time; false, at once, when all were made.
    pub(crate) async fn next(&mut self) -> bool {
        if self.made >= self.patience.attempts {
            return false;
        }
        tokio::time::sleep(self.wait.min(self.patience.longest_wait)).await;
        (self.made, self.wait) = (self.made + 1, self.wait.saturating_mul(2));
        true
    }
}

impl Default for Patience {
    /// Five times within about a second and a half.
    fn default() -> Self {
        Patience {
            attempts: 5,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(2),
        }
    }
}

/// Everything a client takes from the outside but its profile and the network.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells when envelopes are signed and whether answers are in date.
    pub clock: Arc<dyn Clock>,
    /// Makes request ids and study ids.
    pub entropy: Arc<dyn Entropy>,
    /// How long to try.
    pub patience: Patience,
}

impl Surroundings {
    /// The machine's clock and generator, and the default patience.
    #[must_use]
    pub fn system() -> Self {
        Surroundings {
            clock: Arc::new(System),
            entropy: Arc::new(System),
            patience: Patience::default(),
        }
    }

    /// Ten random bytes for an id.
    pub(crate) fn id_entropy(&self) -> Result<[u8; 10], NoEntropy> {
        let mut bytes = [0; 10];
        self.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
