//! Slots: releases of a population start and end on public boundaries.
//!
//! One task per population. Several releases share a slot: its members are those who wait at its
//! start, up to a public number and length, and its length is the sum of their public worst cases.
//! All of them are decided on and their intents durable before the first fold, because an intent
//! in between, which everybody sees on the meter, would tell how long the fold before it took. The
//! folds come one after the other, in the order of the intents. Answers leave together at the
//! slot's end; if the slot overruns, together at a later boundary (twice, four times the length,
//! and so on). Refusals follow from public values and leave at once, before any fold of their
//! slot. The task outlives callers who hang up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::error::Error;
use crate::limits;

/// Work for a slot, which it may share.
pub trait Work: Sized + Send + 'static {
    /// What the caller gets.
    type Answer: Send + 'static;
    /// Work that has been admitted.
    type Begun: Send + 'static;

    /// The public worst case.
    fn length(&self) -> Duration;

    /// Whether it needs what `earlier` comes to, so that it waits for the slot after that one's.
    fn follows(&self, earlier: &Self) -> bool;

    /// Decides on the members of a slot at its start: one decision for each, in their order, from
    /// public values alone.
    fn begin(members: Vec<Self>) -> Vec<Decision<Self>>;

    /// Runs on a thread of its own, after what was begun before it; must not panic across the
    /// boundary of its own bookkeeping.
    fn run(begun: Self::Begun) -> Result<Self::Answer, Error>;
}

/// What becomes of work at the start of its slot.
#[derive(Debug)]
pub enum Decision<W: Work> {
    /// It has an answer already, or is refused.
    Now(Result<W::Answer, Error>),
    /// It runs, and its answer leaves at the end of the slot.
    AtEnd(W::Begun),
}

type Answered<W> = oneshot::Sender<Result<<W as Work>::Answer, Error>>;
type Ticket<W> = (W, Answered<W>);
/// Admitted work with its length.
type Member<W> = (<W as Work>::Begun, Duration, Answered<W>);

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
        let queue_here = Queue {
            waiting,
            kept: None,
            clock,
            step,
            overruns: overruns.clone(),
        };
        tokio::spawn(queue_here.serve());
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

/// What waits for slots, and what they need.
struct Queue<W: Work> {
    waiting: mpsc::Receiver<Ticket<W>>,
    /// The next one, if it did not go together with the members of the slot before.
    kept: Option<Ticket<W>>,
    clock: Arc<dyn Clock>,
    step: Duration,
    overruns: Arc<AtomicU32>,
}

impl<W: Work> Queue<W> {
    async fn serve(mut self) {
        let mut ended = None;
        loop {
            let (first, start) = match self.next() {
                Some(first) => (first, self.start_after(ended)),
                None => match self.waiting.recv().await {
                    Some(first) => (first, boundary(self.clock.elapsed(), self.step)),
                    None => return,
                },
            };
            self.clock.wait_until(start).await;
            ended = self.slot(first, start).await;
        }
    }

    fn next(&mut self) -> Option<Ticket<W>> {
        let kept = self.kept.take();
        kept.or_else(|| self.waiting.try_recv().ok())
    }

    /// The slot of those who waited already when one ended begins where that one ended, unless so
    /// much has passed that it could become too short.
    fn start_after(&self, ended: Option<Duration>) -> Duration {
        let now = self.clock.elapsed();
        let late = ended.map(|ended| now.saturating_sub(ended));
        match ended {
            Some(ended) if late <= Some(self.step / 4) => ended,
            _ => boundary(now, self.step),
        }
    }

    /// One slot: refusals and stored answers, up to a number, and then the folds of its members.
    /// Gives its end, if it had any.
    async fn slot(&mut self, first: Ticket<W>, start: Duration) -> Option<Duration> {
        let (mut next, mut sent) = (Some(first), 0);
        while let Some(first) = next.take() {
            let (works, answers): (Vec<_>, Vec<_>) = self.members(first).into_iter().unzip();
            let lengths: Vec<Duration> = works.iter().map(Work::length).collect();
            let Ok(decided) = tokio::task::spawn_blocking(move || W::begin(works)).await else {
                tracing::error!("the start of a slot ended in a panic");
                return Some(self.end(start, lengths.into_iter().sum()).await);
            };
            let mut members = Vec::new();
            for ((decision, answer), length) in decided.into_iter().zip(answers).zip(lengths) {
                match decision {
                    // A caller who hung up finds the release under its request id.
                    Decision::Now(result) => {
                        let _gone = answer.send(result);
                        sent += 1;
                    }
                    Decision::AtEnd(begun) => members.push((begun, length, answer)),
                }
            }
            if !members.is_empty() {
                return Some(self.run(members, start).await);
            }
            if sent < limits::REFUSALS_OF_A_SLOT {
                next = self.next();
            }
        }
        None
    }

    /// Who shares a slot with `first`: those who wait, in their order, up to the first who does not
    /// go together with them.
    fn members(&mut self, first: Ticket<W>) -> Vec<Ticket<W>> {
        let mut together = first.0.length();
        let mut members = vec![first];
        while members.len() < limits::MEMBERS_OF_A_SLOT {
            let Some(next) = self.next() else { break };
            together = together.saturating_add(next.0.length());
            let apart = together > limits::SHARED_SLOT
                || members.iter().any(|(work, _)| next.0.follows(work));
            if apart {
                self.kept = Some(next);
                break;
            }
            members.push(next);
        }
        members
    }

    /// Runs the members one after the other, waits for the slot's end, and lets all answers leave.
    async fn run(&mut self, members: Vec<Member<W>>, start: Duration) -> Duration {
        let mut together = Duration::ZERO;
        let mut made = Vec::new();
        for (begun, length, answer) in members {
            together = together.saturating_add(length);
            match tokio::task::spawn_blocking(move || W::run(begun)).await {
                Ok(result) => made.push((result, answer)),
                Err(_) => {
                    tracing::error!("a release ended in a panic outside its own bookkeeping");
                    made.push((Err(Error::Stopped), answer));
                }
            }
        }
        let end = self.end(start, together).await;
        for (result, answer) in made {
            let _gone = answer.send(result);
        }
        end
    }

    /// Waits for the end of a slot of `length`, rounded up to steps.
    async fn end(&mut self, start: Duration, length: Duration) -> Duration {
        let length = boundary(length, self.step).max(self.step);
        end(&*self.clock, start, length, &self.overruns).await
    }
}

/// Waits for the end of a slot, or for the boundary at which one that was overrun ends, and counts
/// that it was.
async fn end(
    clock: &dyn Clock,
    start: Duration,
    length: Duration,
    overruns: &AtomicU32,
) -> Duration {
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
            "a slot was overrun; its answers leave at a later boundary"
        );
    }
    clock.wait_until(end).await;
    end
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

    /// Whoever runs, when, and how long it may take.
    #[derive(Debug, Clone)]
    struct Sleepless {
        name: u32,
        length: Duration,
        admitted: bool,
        follows: Option<u32>,
        said: Arc<Mutex<Vec<String>>>,
    }

    impl Sleepless {
        fn of(length: Duration, admitted: bool) -> Self {
            Self {
                name: 0,
                length,
                admitted,
                follows: None,
                said: Arc::default(),
            }
        }

        fn says(&self, what: &str) {
            let line = format!("{} {what}", self.name);
            self.said.lock().unwrap().push(line);
        }
    }

    impl Work for Sleepless {
        type Answer = ();
        type Begun = Self;
        fn length(&self) -> Duration {
            self.length
        }
        fn follows(&self, earlier: &Self) -> bool {
            self.follows == Some(earlier.name)
        }
        fn begin(members: Vec<Self>) -> Vec<Decision<Self>> {
            let decide = |work: Self| {
                work.says("is decided on");
                if work.admitted {
                    Decision::AtEnd(work)
                } else {
                    Decision::Now(Err(Error::Busy))
                }
            };
            members.into_iter().map(decide).collect()
        }
        fn run(begun: Self) -> Result<(), Error> {
            begun.says("runs");
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_answer_leaves_at_the_end_of_its_slot_and_a_refusal_at_once() {
        let clock = Arc::new(SystemClock::start());
        let step = Duration::from_millis(20);
        let slots = Slots::start(clock.clone(), step);
        let sixty = Sleepless::of(Duration::from_millis(60), true);
        slots.run(sixty).await.unwrap();
        // The slot began at a boundary not before zero, so it cannot have ended before 60 ms.
        assert!(clock.elapsed() >= Duration::from_millis(60));
        let before = clock.elapsed();
        let long = Sleepless::of(Duration::from_secs(5), false);
        assert!(slots.run(long).await.is_err());
        assert!(clock.elapsed() - before < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn everybody_is_answered_and_refusals_do_not_run() {
        let clock = Arc::new(SystemClock::start());
        let step = Duration::from_millis(20);
        let slots = Arc::new(Slots::start(clock.clone(), step));
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..50 {
            let slots = slots.clone();
            let work = Sleepless::of(step, number % 25 == 0);
            calls.spawn(async move { slots.run(work).await.is_ok() });
        }
        let made = calls.join_all().await;
        assert_eq!(made.len(), 50);
        assert_eq!(made.iter().filter(|made| **made).count(), 2);
    }

    /// The waits of slots of these, who all wait when the first slot begins, at 20 ms; what was
    /// said; and who has an answer at each wait.
    async fn shared(works: Vec<Sleepless>) -> (Vec<Duration>, Vec<String>, Vec<Vec<bool>>) {
        let (step, said) = (Duration::from_millis(20), works[0].said.clone());
        let clock = Steered::at(step - NANO);
        let slots = Arc::new(Slots::start(clock.clone(), step));
        let mut answers = Vec::new();
        for work in works {
            let slots = slots.clone();
            answers.push(tokio::spawn(async move { slots.run(work).await }));
            tokio::task::yield_now().await;
        }
        let mut left = Vec::new();
        for wait in 1.. {
            let until = clock.wait(wait).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            left.push(answers.iter().map(|answer| answer.is_finished()).collect());
            clock.elapsed.send_replace(until.max(clock.elapsed()));
            while clock.waits.borrow().len() == wait {
                if answers.iter().all(|answer| answer.is_finished()) {
                    let said = said.lock().unwrap().clone();
                    return (clock.waits.borrow().clone(), said, left);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        unreachable!()
    }

    fn named(lengths: &[u64]) -> Vec<Sleepless> {
        let said = Arc::default();
        let named = |(length, name): (&u64, u32)| Sleepless {
            name,
            said: Arc::clone(&said),
            ..Sleepless::of(Duration::from_millis(*length), true)
        };
        lengths.iter().zip(0..).map(named).collect()
    }

    fn millis(waits: &[Duration]) -> Vec<u128> {
        waits.iter().map(Duration::as_millis).collect()
    }

    #[tokio::test]
    async fn who_waits_together_shares_a_slot_as_long_as_the_sum_and_all_leave_at_its_end() {
        let (waits, said, left) = shared(named(&[11, 13, 12])).await;
        // 36 ms are two steps.
        assert_eq!(millis(&waits), [20, 60]);
        assert_eq!(left, [[false; 3]; 2]);
        let decided = (0..3).map(|name| format!("{name} is decided on"));
        let ran = (0..3).map(|name| format!("{name} runs"));
        assert_eq!(said, decided.chain(ran).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_slot_of_those_who_waited_begins_where_the_one_before_ended() {
        let mut works = named(&[11, 11, 11]);
        works[1].follows = Some(0);
        let (waits, said, left) = shared(works).await;
        assert_eq!(millis(&waits), [20, 40, 40, 80]);
        assert_eq!(left[2..], [[true, false, false]; 2]);
        let expected = [
            "0 is decided on",
            "0 runs",
            "1 is decided on",
            "2 is decided on",
            "1 runs",
            "2 runs",
        ];
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn what_is_longer_than_a_shared_slot_has_one_of_its_own() {
        let longest = u64::try_from(limits::SHARED_SLOT.as_millis()).unwrap();
        let (waits, _, left) = shared(named(&[11, longest, 11])).await;
        let (first, second) = (40, 40 + u128::from(longest));
        let expected = [20, first, first, second, second, second + 20];
        assert_eq!(millis(&waits), expected);
        assert_eq!(left[4], [true, true, false]);
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
        type Begun = Self;
        fn length(&self) -> Duration {
            self.length
        }
        fn follows(&self, _: &Self) -> bool {
            false
        }
        fn begin(members: Vec<Self>) -> Vec<Decision<Self>> {
            members.into_iter().map(Decision::AtEnd).collect()
        }
        fn run(begun: Self) -> Result<(), Error> {
            begun.clock.elapsed.send_replace(begun.until);
            Ok(())
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
