//! A clock that tests steer. Waiting takes no time, and days can be skipped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use obscura_model::ids::UnixMillis;

/// How the time since the start goes on.
#[derive(Debug)]
struct Running {
    since: Instant,
    /// What had passed by then.
    before: Duration,
    /// How much passes in one real second, in seconds.
    pace: f64,
}

/// The machine's clock, ahead by what was skipped. Nodes and clients share one.
#[derive(Debug)]
pub struct TestClock {
    running: Mutex<Running>,
    /// When the last two waits end.
    waits: Mutex<[Duration; 2]>,
    waited: Mutex<Duration>,
    ahead: AtomicU64,
    real_waits: bool,
    /// What every look at it takes.
    look: Duration,
    still: Option<UnixMillis>,
}

impl TestClock {
    /// Waits for slots are skipped.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // this is a clock
    pub fn without_waits() -> Self {
        Self {
            running: Mutex::new(Running {
                since: Instant::now(),
                before: Duration::ZERO,
                pace: 1.0,
            }),
            waits: Mutex::default(),
            waited: Mutex::default(),
            ahead: AtomicU64::new(0),
            real_waits: false,
            look: Duration::ZERO,
            still: None,
        }
    }

    /// Waits for slots are skipped, and whatever looks how late it is has taken this long: a node
    /// with this clock is slow wherever it looks.
    #[must_use]
    pub fn slow(look: Duration) -> Self {
        Self {
            look,
            ..Self::without_waits()
        }
    }

    /// Waits for slots are skipped, and the calendar stands still.
    #[must_use]
    pub fn standing_still() -> Self {
        let clock = Self::without_waits();
        Self {
            still: Some(clock.today()),
            ..clock
        }
    }

    /// Waits for slots are real.
    #[must_use]
    pub fn with_waits() -> Self {
        Self {
            real_waits: true,
            ..Self::without_waits()
        }
    }

    /// Skips some time of the calendar.
    pub fn skip(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ahead.fetch_add(millis, Ordering::SeqCst);
    }

    /// From now on so many times as much time passes for who waits for slots: a slot of 60 ms is
    /// over after 6 real ones at a pace of 10.
    #[allow(clippy::disallowed_methods)] // this is a clock
    pub fn go_at(&self, pace: f64) {
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        *running = Running {
            before: running.passed(),
            since: Instant::now(),
            pace,
        };
    }

    /// When the last two waits end or ended: of a node that made one release, where its slot
    /// began and where it ended.
    #[must_use]
    pub fn last_waits(&self) -> [Duration; 2] {
        *self.waits.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The wall clock and what was skipped.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // this is a clock
    pub fn today(&self) -> UnixMillis {
        if let Some(UnixMillis(still)) = self.still {
            return UnixMillis(still.saturating_add(self.ahead.load(Ordering::SeqCst)));
        }
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        UnixMillis(now.saturating_add(self.ahead.load(Ordering::SeqCst)))
    }

    /// Real time since the start and every wait that was skipped.
    #[must_use]
    pub fn since_start(&self) -> Duration {
        let running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        running.passed() + *self.waited.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Running {
    fn passed(&self) -> Duration {
        self.before + self.since.elapsed().mul_f64(self.pace)
    }
}

impl obscura_node::clock::Clock for TestClock {
    fn now(&self) -> UnixMillis {
        self.today()
    }

    fn elapsed(&self) -> Duration {
        *self.waited.lock().unwrap_or_else(|e| e.into_inner()) += self.look;
        self.since_start()
    }

    fn wait_until(&self, at: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let left = at.saturating_sub(self.since_start());
        let mut waits = self.waits.lock().unwrap_or_else(|e| e.into_inner());
        *waits = [waits[1], at];
        if self.real_waits {
            let running = self.running.lock().unwrap_or_else(|e| e.into_inner());
            return Box::pin(tokio::time::sleep(left.div_f64(running.pace)));
        }
        *self.waited.lock().unwrap_or_else(|e| e.into_inner()) += left;
        Box::pin(std::future::ready(()))
    }
}

impl obscura_client::Clock for TestClock {
    fn now(&self) -> UnixMillis {
        self.today()
    }
}
