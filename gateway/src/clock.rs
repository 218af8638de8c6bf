//! The one place where the gateway reads the clock.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use obscura_model::ids::UnixMillis;

/// Tells the time. A test hands in one of its own.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The clock of this machine.
#[must_use]
pub fn system() -> Clock {
    Arc::new(now)
}

/// The time on this machine. A clock set before 1970 reads 1970, at which nothing is valid.
#[must_use]
pub fn now() -> UnixMillis {
    #[allow(clippy::disallowed_methods)]
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX))
}
