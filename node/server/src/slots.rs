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
}
