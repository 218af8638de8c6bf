//! SIGKILLs of a node under load, and what must hold afterwards: nothing that was answered is
//! lost or changed, nothing is priced twice, no request id has two answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use obscura_client::model::exposure::Mode;
use obscura_client::model::ids::PopulationName;
use obscura_client::model::release::SignedRelease;
use obscura_client::model::study::{Study, StudyState, Verdict};
use obscura_client::{Client, Error, OwnerClient, StudyStatus};
use obscura_ledger::Ledger;
use tokio::task::JoinSet;

use crate::cluster::{ask, release_name, study, terms};
use crate::data::visits;
use crate::process::Lone;

/// Callers at the same time.
const CALLERS: usize = 8;
/// Kills at any moment come at most this long after the callers began.
const LONGEST: Duration = Duration::from_millis(60);
/// How long a release may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);
/// Runs that one study may make.
const RUNS: u32 = 1000;

/// What a campaign saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Kills.
    pub kills: u32,
    /// Of them with a begun release under way.
    pub inside_a_release: u32,
    /// Stops that the owner lifted.
    pub lifts: u32,
    /// Different requests.
    pub requests: usize,
    /// Of them with an answer.
    pub answered: usize,
    /// Of them answered by what an earlier study had made.
    pub offered: usize,
    /// Of them given up for good after two interrupted runs.
    pub given_up: usize,
    /// Answers that came a second time, all of them the same.
    pub repeated: usize,
}

/// One request: a study by its place, and a run.
type Job = (usize, u32);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// Asked; no answer has arrived.
    Asked,
    Answer(SignedRelease),
    /// The answer to another request, offered for the same question: nothing was begun.
    Offered(SignedRelease),
    /// A fixed error for ever.
    GivenUp,
}

#[derive(Default)]
struct Book {
    known: BTreeMap<Job, Known>,
    studies: Vec<Study>,
    next: u32,
    turn: usize,
    repeated: usize,
}

impl Book {
    /// Every third job is an old one.
    fn job(&mut self) -> Job {
        self.turn += 1;
        let current = self.studies.len().saturating_sub(1);
        if self.turn.is_multiple_of(3) && !self.known.is_empty() {
            let old = self.known.keys().nth((self.turn * 7919) % self.known.len());
            if let Some(old) = old {
                return *old;
            }
        }
        self.next += 1;
        self.known.insert((current, self.next), Known::Asked);
        (current, self.next)
    }

    /// Notes what came back; a second answer must be the first.
    fn note(&mut self, job: Job, came: Known) -> Result<()> {
        match self.known.get(&job) {
            Some(before) if *before == came => self.repeated += 1,
            Some(Known::Asked) => {
                self.known.insert(job, came);
            }
            before => bail!("{job:?} had the outcome {before:?} and now has {came:?}"),
        }
        Ok(())
    }

    fn count(&self, wanted: impl Fn(&Known) -> bool) -> usize {
        self.known.values().filter(|k| wanted(k)).count()
    }
}

/// Asks once. Nothing is known if nobody answered or it was refused for now.
async fn ask_once(client: &Client, node: &Node, job: Job, study: &Study) -> Result<Option<Known>> {
    let answer = client
        .release(study, &node.name, &release_name("n")?, job.1)
        .await;
    Ok(match answer {
        Ok(release) if release.is_earlier() => Some(Known::Offered(release.signed().clone())),
        Ok(release) => Some(Known::Answer(release.signed().clone())),
        Err(error) if error.in_full().contains("failed and was not made") => Some(Known::GivenUp),
        Err(Error::Answered { .. } | Error::Unreachable { .. } | Error::Connect { .. }) => None,
        Err(other) => return Err(other).with_context(|| format!("{job:?}")),
    })
}

#[derive(Clone)]
struct Node {
    name: obscura_client::model::ids::PartyName,
}

/// Asks one thing after the other until the node is gone.
async fn call_until_killed(client: Client, node: Node, book: Arc<Mutex<Book>>) -> Result<()> {
    loop {
        let (job, study) = {
            let mut book = book.lock().unwrap_or_else(|e| e.into_inner());
            let job = book.job();
            (job, book.studies.get(job.0).cloned().context("a study")?)
        };
        match ask_once(&client, &node, job, &study).await? {
            Some(came) => book
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .note(job, came)?,
            None => {
                if client.datasets().await.iter().any(|at| at.outcome.is_err()) {
                    return Ok(());
                }
            }
        }
    }
}

async fn approve_new(client: &Client, owner: &OwnerClient, lone: &Lone) -> Result<Study> {
    let sql = "SELECT grp, AVG(amount) AS a FROM visits WHERE day < 6 GROUP BY grp";
    let asks = [ask("n", sql, 1_000_000).times(RUNS)];
    let new = study(client, "visits", &asks, terms(), vec![lone.institution()?])?;
    for at in client.submit(&new).await {
        at.outcome?;
    }
    let review = owner.review(new.id()).await?;
    owner.decide(&review, Verdict::Approve, "").await?;
    Ok(new)
}

async fn status(client: &Client, study: &Study) -> Result<StudyStatus> {
    let mut all = client.status(study).await;
    ensure!(all.len() == 1, "one institution was asked");
    Ok(all.remove(0).outcome?)
}

/// Makes a node with the program at `program` and kills it so many times.
///
/// # Errors
///
/// If anything was lost, changed or priced twice, or a step fails.
pub async fn run(program: &Path, kills: u32) -> Result<Figures> {
    let mut lone = Lone::prepare(program, visits(3_000, 20, 4))?;
    lone.configure("slot_ms", 5)?;
    lone.start().await?;
    lone.furnish(150.0, Mode::Protect).await?;
    let node = Node {
        name: lone.institution()?.name,
    };
    let book = Arc::new(Mutex::new(Book::default()));
    let mut figures = Figures::default();
    for kill in 0..kills {
        if lone.id().is_none() {
            lone.start().await?;
        }
        settle(&lone, &book, &mut figures).await?;
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let client = lone.client(1).await?;
            callers.spawn(call_until_killed(client, node.clone(), book.clone()));
        }
        if kill.is_multiple_of(2) {
            // Inside a release, when the next one, the one after it, or the third has begun.
            tokio::time::timeout(PATIENCE, lone.begun(kill / 2 % 3 + 1)).await??;
        } else {
            // Any moment will do; it is another each time and the same in every campaign.
            let moment = u64::from(kill) * 2_654_435_761 % LONGEST.as_micros() as u64;
            tokio::time::sleep(Duration::from_micros(moment)).await;
        }
        lone.kill().await?;
        figures.kills += 1;
        while let Some(done) = callers.join_next().await {
            done??;
        }
    }
    lone.start().await?;
    settle(&lone, &book, &mut figures).await?;
    finish(&mut lone, &node, &book, &mut figures).await?;
    Ok(figures)
}

/// After a start: stops are lifted, and there is a study that runs.
async fn settle(lone: &Lone, book: &Arc<Mutex<Book>>, figures: &mut Figures) -> Result<()> {
    let (owner, client) = (lone.owner().await?, lone.client(3).await?);
    let exposure = owner.exposure().await?;
    if exposure.stopped {
        // As the owner would, after looking into it.
        figures.inside_a_release += exposure.stops;
        figures.lifts += 1;
        owner
            .lift(&PopulationName::new("people")?, "the test killed it")
            .await?;
    }
    let (current, begun) = {
        let book = book.lock().unwrap_or_else(|e| e.into_inner());
        (book.studies.last().cloned(), book.next)
    };
    let runs = match &current {
        // Half of its runs are more than the callers ask for between two kills.
        Some(study) if begun < RUNS / 2 => {
            status(&client, study).await?.state == StudyState::Approved
        }
        _ => false,
    };
    if !runs {
        let new = approve_new(&client, &owner, lone).await?;
        let mut book = book.lock().unwrap_or_else(|e| e.into_inner());
        book.studies.push(new);
        book.next = 0;
    }
    Ok(())
}

/// Everything is asked again, and the sums must come out.
async fn finish(
    lone: &mut Lone,
    node: &Node,
    book: &Arc<Mutex<Book>>,
    figures: &mut Figures,
) -> Result<()> {
    let (client, owner) = (lone.client(3).await?, lone.owner().await?);
    let (jobs, studies) = {
        let book = book.lock().unwrap_or_else(|e| e.into_inner());
        (
            book.known.keys().copied().collect::<Vec<_>>(),
            book.studies.clone(),
        )
    };
    for job in jobs {
        let study = studies.get(job.0).context("a study")?;
        let Some(came) = ask_once(&client, node, job, study).await? else {
            // Only a study that was suspended before this run began leaves it without an outcome.
            let state = status(&client, study).await?.state;
            let book = book.lock().unwrap_or_else(|e| e.into_inner());
            let asked = book.known.get(&job) == Some(&Known::Asked);
            ensure!(asked && state == StudyState::Suspended, "{job:?} was lost");
            continue;
        };
        book.lock()
            .unwrap_or_else(|e| e.into_inner())
            .note(job, came)?;
    }
    let mut total = 0;
    for (place, study) in studies.iter().enumerate() {
        let status = status(&client, study).await?;
        let begun = status.releases.first().context("a release")?;
        let book = book.lock().unwrap_or_else(|e| e.into_inner());
        let begun_here = |(job, known): &(&Job, &Known)| {
            job.0 == place && matches!(known, Known::Answer(_) | Known::GivenUp)
        };
        let ours = book.known.iter().filter(begun_here).count();
        ensure!(
            ours == begun.runs as usize,
            "study {place}: {ours} requests have an outcome of their own, {} were begun",
            begun.runs
        );
        total += begun.price.nano() * u64::from(begun.runs);
    }
    let exposure = owner.exposure().await?;
    figures.inside_a_release += exposure.stops;
    let meter = exposure.accounts.first().context("an account")?.meter;
    ensure!(
        meter.nano() == total,
        "the meter has {}, the requests {total}",
        meter.nano()
    );
    let journal = obscura_model::ids::KeyId::from_bytes(lone.institution()?.key.as_bytes())?;
    lone.stop().await?;
    Ledger::verify(&lone.ledger(), journal)?;
    let book = book.lock().unwrap_or_else(|e| e.into_inner());
    for offered in book.known.values() {
        let Known::Offered(release) = offered else {
            continue;
        };
        let made = Known::Answer(release.clone());
        ensure!(
            book.known.values().any(|k| *k == made),
            "what was offered was made for no other request"
        );
    }
    figures.offered = book.count(|k| matches!(k, Known::Offered(_)));
    figures.requests = book.known.len();
    figures.answered = book.count(|k| matches!(k, Known::Answer(_)));
    figures.given_up = book.count(|k| *k == Known::GivenUp);
    figures.repeated = book.repeated;
    Ok(())
}
