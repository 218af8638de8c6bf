//! Time as an argument. The only place of the node that reads a clock.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use obscura_model::ids::UnixMillis;

/// What the node needs of time. Real time in the node, steered time in tests.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> UnixMillis;

    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits until [`Clock::elapsed`] is at least `at`.
    fn wait_until(&self, at: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting now.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // this is the clock
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // this is the clock
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait_until(&self, at: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let at = tokio::time::Instant::from_std(self.start + at);
        Box::pin(tokio::time::sleep_until(at))
    }
}
