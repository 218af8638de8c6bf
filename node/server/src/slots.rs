//! Slots: releases of a population start and end on public boundaries.
//!
//! One task per population and one fold per slot. A second fold behind the first would begin when
//! that one ends, and its intent, which everybody sees on the meter, would tell how long the first
//! took. Answers leave at the slot's end; a run that overruns leaves at a later boundary (twice,
//! four times the length, and so on). Refusals follow from public values and leave at once, before
//! any fold of their slot. The task outlives callers who hang up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::error::Error;
use crate::limits;

/// Work for one slot: decides at once or gives an answer that has to wait for the slot's end.
pub trait Work: Send + 'static {
    /// What the caller gets.
    type Answer: Send + 'static;

    /// The public length, a multiple of the step.
    fn length(&self) -> Duration;

    /// Runs on a thread of its own; must not panic across the boundary of its own bookkeeping.
    fn run(self) -> Outcome<Self::Answer>;
}

/// When an answer may leave.
#[derive(Debug)]
pub enum Outcome<A> {
    /// It follows from public values alone.
    Now(Result<A, Error>),
    /// At the end of the slot.
    AtEnd(Result<A, Error>),
}

type Ticket<W> = (W, oneshot::Sender<Result<<W as Work>::Answer, Error>>);

/// The queue of one population.
#[derive(Debug)]
pub struct Slots<W: Work> {
    queue: mpsc::Sender<Ticket<W>>,
    overruns: Arc<AtomicU32>,
}

impl<W: Work> Slots<W> {
    /// Starts the population's task. It ends when the last handle is dropped.
    pub fn start(clock: Arc<dyn Clock>, step: Duration) -> Self {
        let (queue, waiting) = mpsc::channel(limits::WAITING_RELEASES);
        let overruns = Arc::new(AtomicU32::new(0));
        tokio::spawn(serve(waiting, clock, step, overruns.clone()));
        Self { queue, overruns }
    }

    /// How many slots of this population were overrun since the process started.
    pub fn overruns(&self) -> u32 {
        self.overruns.load(Ordering::Relaxed)
    }

    /// Joins the queue for a slot and waits for its end. If the caller goes away the work still runs.
    pub async fn run(&self, work: W) -> Result<W::Answer, Error> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send((work, answer))
            .map_err(|_| Error::Busy)?;
        answered.await.map_err(|_| Error::Stopped)?
    }
}

async fn serve<W: Work>(
    mut waiting: mpsc::Receiver<Ticket<W>>,
    clock: Arc<dyn Clock>,
    step: Duration,
    overruns: Arc<AtomicU32>,
) {
    while let Some(first) = waiting.recv().await {
        slot(first, &mut waiting, &*clock, step, &overruns).await;
    }
}

/// One slot: refusals and stored answers, up to a number, and then at most one fold.
async fn slot<W: Work>(
    first: Ticket<W>,
    waiting: &mut mpsc::Receiver<Ticket<W>>,
    clock: &dyn Clock,
    step: Duration,
    overruns: &AtomicU32,
) {
    let start = boundary(clock.elapsed(), step);
    clock.wait_until(start).await;
    let (mut next, mut sent) = (Some(first), 0);
    while let Some((work, answer)) = next.take() {
        let length = work.length().max(step);
        let outcome = tokio::task::spawn_blocking(move || work.run()).await;
        // A caller who hung up finds the release under its request id.
        match outcome {
            Ok(Outcome::Now(result)) => {
                let _gone = answer.send(result);
                sent += 1;
                if sent < limits::REFUSALS_OF_A_SLOT {
                    next = waiting.try_recv().ok();
                }
            }
            Ok(Outcome::AtEnd(result)) => {
                end(clock, start, length, overruns).await;
                let _gone = answer.send(result);
            }
            Err(_) => {
                tracing::error!("a release ended in a panic outside its own bookkeeping");
                end(clock, start, length, overruns).await;
            }
        }
    }
}

/// Waits for the end of a slot, or for the boundary at which one that was overrun ends, and counts
/// that it was.
async fn end(clock: &dyn Clock, start: Duration, length: Duration, overruns: &AtomicU32) {
    let mut end = start.saturating_add(length);
    let mut stretched = 1u32;
    while clock.elapsed() > end && stretched < u32::MAX {
        stretched = stretched.saturating_mul(2);
        end = start.saturating_add(length.saturating_mul(stretched));
    }
    if stretched > 1 {
        overruns.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            stretched,
            "a slot was overrun; its answer leaves at a later boundary"
        );
    }
    clock.wait_until(end).await;
}

/// The first multiple of `step` that is not before `now`.
fn boundary(now: Duration, step: Duration) -> Duration {
    let step = step.as_nanos().max(1);
    let nanos = now.as_nanos().div_ceil(step) * step;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::io::Write;
    use std::pin::Pin;
    use std::sync::Mutex;

    use obscura_model::ids::UnixMillis;
    use tokio::sync::watch;

    use crate::clock::SystemClock;

    #[test]
    fn boundaries_are_multiples_and_never_before_now() {
        let step = Duration::from_millis(20);
        for (now, next) in [(0, 0), (1, 20), (20, 20), (21, 40), (1999, 2000)] {
            let next = Duration::from_millis(next);
            assert_eq!(boundary(Duration::from_millis(now), step), next);
        }
    }

    #[derive(Debug)]
    struct Sleepless(Duration, bool);

    impl Work for Sleepless {
        type Answer = ();
        fn length(&self) -> Duration {
            self.0
        }
        fn run(self) -> Outcome<()> {
            if self.1 {
                Outcome::AtEnd(Ok(()))
            } else {
                Outcome::Now(Err(Error::Busy))
            }
        }
    }

    #[tokio::test]
    async fn an_answer_leaves_at_the_end_of_its_slot_and_a_refusal_at_once() {
        let clock = Arc::new(SystemClock::start());
        let step = Duration::from_millis(20);
        let slots = Slots::start(clock.clone(), step);
        slots
            .run(Sleepless(Duration::from_millis(60), true))
            .await
            .unwrap();
        // The slot began at a boundary not before zero, so it cannot have ended before 60 ms.
        assert!(clock.elapsed() >= Duration::from_millis(60));
        let before = clock.elapsed();
        assert!(
            slots
                .run(Sleepless(Duration::from_secs(5), false))
                .await
                .is_err()
        );
        assert!(clock.elapsed() - before < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_slot_has_one_fold_and_everybody_is_answered() {
        let clock = Arc::new(SystemClock::start());
        let step = Duration::from_millis(20);
        let slots = Arc::new(Slots::start(clock.clone(), step));
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..50 {
            let slots = slots.clone();
            let fold = number % 25 == 0;
            calls.spawn(async move { slots.run(Sleepless(step, fold)).await.is_ok() });
        }
        let made = calls.join_all().await;
        assert_eq!(made.len(), 50);
        assert_eq!(made.iter().filter(|made| **made).count(), 2);
        assert!(clock.elapsed() >= 2 * step);
    }

    /// A clock that stands wherever it was put, and says what was waited for.
    #[derive(Debug)]
    struct Steered {
        elapsed: watch::Sender<Duration>,
        waits: watch::Sender<Vec<Duration>>,
    }

    impl Clock for Steered {
        fn now(&self) -> UnixMillis {
            UnixMillis(0)
        }

        fn elapsed(&self) -> Duration {
            *self.elapsed.borrow()
        }

        fn wait_until(&self, at: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            self.waits.send_modify(|waits| waits.push(at));
            let mut elapsed = self.elapsed.subscribe();
            Box::pin(async move {
                elapsed.wait_for(|elapsed| *elapsed >= at).await.unwrap();
            })
        }
    }

    impl Steered {
        fn at(elapsed: Duration) -> Arc<Self> {
            let (elapsed, waits) = (watch::Sender::new(elapsed), watch::Sender::new(Vec::new()));
            Arc::new(Self { elapsed, waits })
        }

        /// The moment for which the `number`th wait is, as soon as it has begun.
        async fn wait(&self, number: usize) -> Duration {
            let mut waits = self.waits.subscribe();
            let waits = waits.wait_for(|waits| waits.len() >= number).await.unwrap();
            waits[number - 1]
        }
    }

    /// Work during which the clock gets to a moment.
    #[derive(Debug)]
    struct Slow {
        clock: Arc<Steered>,
        length: Duration,
        until: Duration,
    }

    impl Work for Slow {
        type Answer = ();
        fn length(&self) -> Duration {
            self.length
        }
        fn run(self) -> Outcome<()> {
            self.clock.elapsed.send_replace(self.until);
            Outcome::AtEnd(Ok(()))
        }
    }

    /// What is logged goes here.
    #[derive(Debug, Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const NANO: Duration = Duration::from_nanos(1);

    /// When the answer of work of 60 ms in a slot from 20 ms on leaves, if the work is done `late`
    /// after the slot began; and what is logged.
    async fn overrun(late: Duration) -> (Duration, String) {
        let (log, start) = (Log::default(), Duration::from_millis(20));
        let into = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || into.clone())
            .finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let clock = Steered::at(start - NANO);
        let slots = Slots::start(clock.clone(), start);
        let (length, until) = (Duration::from_millis(60), start + late);
        let work = Slow {
            clock: clock.clone(),
            length,
            until,
        };
        let answer = tokio::spawn(async move { slots.run(work).await });
        assert_eq!(clock.wait(1).await, start);
        assert_eq!(
            clock.elapsed(),
            start - NANO,
            "nothing runs before the slot"
        );
        clock.elapsed.send_replace(start);
        let end = clock.wait(2).await;
        assert_eq!(clock.elapsed(), until, "the work is done");
        if end > until {
            clock.elapsed.send_replace(end - NANO);
        }
        // Whoever could go on has gone on.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(answer.is_finished(), end <= until, "{late:?}");
        clock.elapsed.send_replace(end.max(until));
        answer.await.unwrap().unwrap();
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (end - start, log)
    }

    #[tokio::test]
    async fn an_answer_that_is_late_leaves_at_the_next_doubling_never_before_and_the_log_says_so() {
        let length = Duration::from_millis(60);
        let cases = [
            (NANO, 1),
            (length, 1),
            (length + NANO, 2),
            (2 * length, 2),
            (2 * length + NANO, 4),
            (3 * length, 4),
            (4 * length, 4),
            (4 * length + NANO, 8),
            (1_000 * length, 1_024),
        ];
        for (late, stretched) in cases {
            let (end, log) = overrun(late).await;
            assert_eq!(end, stretched * length, "{late:?}");
            let says = log.contains("a slot was overrun");
            assert_eq!(says, stretched > 1, "{late:?}: {log}");
            assert_eq!(
                log.contains(&format!("stretched={stretched}")),
                says,
                "{log}"
            );
            assert_eq!(log.lines().count(), usize::from(says), "{log}");
        }
    }
}
