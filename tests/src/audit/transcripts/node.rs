//! The node that the adversary plays against, and how requests reach it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::{Future as _, poll_fn};
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::ProgressBar;
use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::envelope::{Reality, SignedMessage};
use obscura_client::model::exposure::{Delta, Limit, Mode, Rho};
use obscura_client::model::ids::{
    DatasetName, GrantId, PopulationName, ProjectName, RequestId, UnixMillis,
};
use obscura_client::model::release::{AskRequest, Release, SignedRelease};
use obscura_client::model::study::ReleaseOptions;
use obscura_client::model::text::SqlText;
use obscura_client::model::wire;
use obscura_client::{Client, NewGrant, OwnerClient, OwnerExposure, Surroundings, Target};
use obscura_model::identity::Role;
use tokio::task::JoinSet;
use tonic::Code;

use super::adversary::{Adversary, Move, Way};
use super::{DELTA, EPSILON};
use crate::audit::covered;
use crate::clock::TestClock;
use crate::data::Dataset;
use crate::people::{Consortium, Person, name};
use crate::process::Lone;
use crate::raw::{ASK, Answer, Caller, Said, released};

/// How long a release may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one run saw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Played {
    pub(super) answers: u64,
    pub(super) refused: u64,
    pub(super) again: u64,
    pub(super) kills: u64,
    /// Answers to one request that are not the first, byte for byte.
    pub(super) second: u64,
    pub(super) uncovered: u64,
    /// How far the meter is from the prices of what was answered.
    pub(super) unmetered: u64,
    /// What a release that failed for good is no longer counted as.
    pub(super) returned: u64,
    /// In strict mode: what the meter has beyond the limit.
    pub(super) beyond: u64,
}

/// People with coins, in a group each, and somebody in no group that is asked.
fn sought(coins: &[bool]) -> Dataset {
    let (last, most) = (coins.len(), 2 * coins.len().max(10));
    let column = |name: &str, highest: usize, more: &str| {
        format!(
            "\n[[column]]\nname = \"{name}\"\ntype = \"integer\"\nlowest = 0\n\
             highest = {highest}\nmeaning = \"invented\"\nbounds_from = \"design\"\n{more}"
        )
    };
    let description = format!(
        "name = \"sought\"\ntitle = \"Sought\"\nabout = \"Invented.\"\nsource = \"sought.csv\"\n\
         subject = \"person\"\nsubject_unit = \"person\"\nmost_rows_per_subject = 1\n\
         subjects = [1, {most}]\ndelta = 1e-6\n{}{}",
        column("grp", last, "constant_per_subject = true\n"),
        column("x", 100, ""),
    );
    let mut csv = format!("person,grp,x\nsomebody,{last},1\n");
    for group in (0..coins.len()).filter(|g| coins.get(*g) == Some(&true)) {
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "p{group},{group},100");
    }
    Dataset {
        description,
        csv,
        file: "sought.csv".to_owned(),
        name: "sought".to_owned(),
    }
}

/// One of the two identities, with a grant in the project of the first.
struct Identity {
    person: Person,
    grant: GrantId,
    caller: Caller,
}

struct Table {
    lone: Lone,
    owner: OwnerClient,
    identities: Vec<Identity>,
    /// What every request was answered first.
    known: BTreeMap<usize, SignedRelease>,
    price: u64,
    played: Played,
}

fn caller_at(lone: &Lone, person: &Person) -> Result<Caller> {
    let (address, node) = (lone.address()?.to_string(), name(&lone.site.name)?);
    Caller::new(person, &address, (Role::Node, &node), None)
}

async fn client(lone: &Lone, person: &Person) -> Result<Client> {
    let target = Target::Node {
        address: lone.address()?.to_string(),
        name: name(&lone.site.name)?,
    };
    Ok(Client::connect_with(person.profile(target)?, Surroundings::system()).await?)
}

async fn grant(owner: &OwnerClient, person: &Person, questions: usize) -> Result<GrantId> {
    let today = TestClock::with_waits().today();
    let grant = NewGrant {
        id: owner.new_grant_id()?,
        project: ProjectName::new("ada")?,
        scientist: person.party.key,
        dataset: DatasetName::new("sought")?,
        columns: ["grp", "x"].map(str::to_owned).to_vec(),
        epsilon: 400.0,
        releases: u32::try_from(questions + 10)?,
        until: UnixMillis(today.0 + 86_400_000).date(),
        delta_keys: None,
        reason: "for tests".to_owned(),
    };
    owner.give_grant(&grant).await?;
    Ok(grant.id)
}

impl Table {
    async fn set(program: &Path, mode: Mode, coins: &[bool], asked: &Adversary) -> Result<Self> {
        let mut lone = Lone::prepare(program, sought(coins))?;
        lone.configure("slot_ms", 5)?;
        lone.start().await?;
        lone.furnish(EPSILON, mode).await?;
        let owner = lone.owner().await?;
        // Keys follow from names: this authority is the one of the node.
        let again = Consortium::new("Test", TestClock::with_waits().today())?;
        let bob = again.issue(Role::Scientist, "bob")?;
        owner.enrol(&bob.der()?).await?;
        // Two identities of one project, which is there from its first grant on.
        let project = ProjectName::new("ada")?;
        let mut identities = Vec::new();
        for person in [lone.scientist.clone(), bob] {
            if !identities.is_empty() {
                for at in client(&lone, &person).await?.join_project(&project).await {
                    at.outcome?;
                }
                owner.confirm_member(&project, person.party.key).await?;
            }
            identities.push(Identity {
                grant: grant(&owner, &person, asked.questions()).await?,
                caller: caller_at(&lone, &person)?,
                person,
            });
        }
        Ok(Self {
            lone,
            owner,
            identities,
            known: BTreeMap::new(),
            price: asked.price(),
            played: Played::default(),
        })
    }

    fn identity(&self, ada: bool) -> Result<&Identity> {
        self.identities.get(usize::from(!ada)).context("nobody")
    }

    fn message(&self, number: usize, asked: &Move) -> Result<SignedMessage> {
        let identity = self.identity(asked.ada)?;
        let weights = [("a", 1.0), ("b", 1.0), ("c", 8.0)].map(|(n, w)| (n.to_owned(), w));
        let price = Accuracy::Price(Rho::from_nano(self.price));
        let body = wire::ask_request_encode(&AskRequest {
            dataset: DatasetName::new("sought")?,
            grant: identity.grant,
            sql: SqlText::new(&asked.sql)?,
            accuracy: AccuracyRequest::whole(price)?.with_weights(BTreeMap::from(weights))?,
            options: ReleaseOptions::NONE,
            code_lists: Vec::new(),
            again: true,
        });
        let mut rest = [0; 10];
        for (to, from) in rest.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        let said = Said {
            method: ASK,
            audience: self.lone.institution()?.key,
            request_id: RequestId::from_parts(1_700_000_000_000, rest),
            now: TestClock::with_waits().today(),
            reality: Reality::Real,
        };
        Ok(identity.caller.sign(&said, body))
    }

    /// Takes in what a request was answered. The first answer is given back to learn from, and so
    /// is every other one that is not the same: it would be a second sample.
    fn take(&mut self, number: usize, answer: Answer) -> Result<Option<Release>> {
        let message = match answer {
            Ok(message) => message,
            Err((Code::FailedPrecondition, text)) if text.contains("room") => {
                self.played.refused += 1;
                return Ok(None);
            }
            Err((code, text)) => bail!("question {number}: {code:?} {text}"),
        };
        let signed = released(&message)?;
        let release = signed.open(&self.lone.institution()?.key)?;
        match self.known.get(&number) {
            Some(before) if *before == signed => {
                self.played.again += 1;
                return Ok(None);
            }
            Some(_) => self.played.second += 1,
            None => {
                self.played.answers += 1;
                self.known.insert(number, signed);
            }
        }
        self.played.uncovered += u64::from(!covered(&release));
        Ok(Some(release))
    }

    /// Carries one move out.
    async fn carry_out(&mut self, number: usize, asked: &Move) -> Result<Vec<Release>> {
        let caller = self.identity(asked.ada)?.caller.clone();
        let message = self.message(number, asked)?;
        let answers = match asked.way {
            Way::Plainly => vec![caller.send(ASK, message).await?],
            Way::Again => {
                let first = caller.send(ASK, message).await?;
                // The same body under a fresh envelope.
                vec![first, caller.send(ASK, self.message(number, asked)?).await?]
            }
            Way::Racing => {
                let mut racing = JoinSet::new();
                for _ in 0..4 {
                    let (caller, message) = (caller.clone(), message.clone());
                    racing.spawn(async move { caller.send(ASK, message).await });
                }
                racing.join_all().await.into_iter().collect::<Result<_>>()?
            }
            Way::Killed => {
                self.kill(&caller, message).await?;
                let caller = self.identity(asked.ada)?.caller.clone();
                vec![caller.send(ASK, self.message(number, asked)?).await?]
            }
        };
        let mut taken = Vec::new();
        for answer in answers {
            taken.extend(self.take(number, answer)?);
        }
        Ok(taken)
    }

    /// Sends a request, kills the process when its release has begun (if it begins), and starts it
    /// again.
    async fn kill(&mut self, caller: &Caller, message: SignedMessage) -> Result<()> {
        let mut begun = Box::pin(self.lone.begun(1));
        // It counts from its first poll on.
        let _not_yet = poll_fn(|cx| Poll::Ready(begun.as_mut().poll(cx).is_ready())).await;
        let sender = caller.clone();
        let mut sent = tokio::spawn(async move { sender.send(ASK, message).await });
        let refused = tokio::select! {
            at = tokio::time::timeout(PATIENCE, &mut begun) => {
                at??;
                false
            }
            // It never begins.
            _answer = &mut sent => true,
        };
        drop(begun);
        self.lone.kill().await?;
        self.played.kills += 1;
        if !refused {
            // Nobody answers, or what was answered just before is asked for again.
            drop(sent.await);
        }
        self.lone.start().await?;
        self.owner = self.lone.owner().await?;
        if self.owner.exposure().await?.stopped {
            let people = PopulationName::new("people")?;
            self.owner.lift(&people, "the test killed it").await?;
        }
        for identity in &mut self.identities {
            identity.caller = caller_at(&self.lone, &identity.person)?;
        }
        Ok(())
    }

    /// Compares the meter with what was answered.
    async fn settle(&mut self, mode: Mode) -> Result<()> {
        let mut prices = 0u64;
        for signed in self.known.values() {
            prices += signed.open(&self.lone.institution()?.key)?.price.nano();
        }
        let exposure = self.owner.exposure().await?;
        let meter = exposure
            .accounts
            .first()
            .context("no account")?
            .meter
            .nano();
        self.played.unmetered += meter.abs_diff(prices);
        if mode == Mode::Strict {
            let limit = Limit::new(EPSILON, Delta::new(DELTA)?)?.rho().nano();
            self.played.beyond += meter.saturating_sub(limit);
        }
        Ok(())
    }

    /// Has one more release of ada's fail for good, in a node that is too slow wherever it looks:
    /// its price must stay on the meter and on her share.
    async fn fail(&mut self, asked: &Move) -> Result<()> {
        let number = usize::MAX;
        self.lone.stop().await?;
        let site = &mut self.lone.site;
        let slow = TestClock::slow(Duration::from_secs(120));
        site.restart_with(slow).await?;
        // A failure counts like a stop, and the one that is one too many is told otherwise.
        let (owner, people) = (site.owner_client().await?, PopulationName::new("people")?);
        owner.lift(&people, "the test killed it").await?;
        let before = owner.exposure().await?;
        let address = site.address()?.to_string();
        let node = name(&site.name)?;
        let ada = self.identities.first_mut().context("nobody")?;
        ada.caller = Caller::new(&ada.person, &address, (Role::Node, &node), None)?;
        let caller = ada.caller.clone();
        let message = self.message(number, asked)?;
        let failed = caller.send(ASK, message).await?;
        let told = failed
            .err()
            .context("a release that cannot end in time has ended")?;
        ensure!(told.0 == Code::Aborted, "{told:?}");
        let after = owner.exposure().await?;
        let key = self.lone.scientist.party.key;
        let used = |seen: &OwnerExposure| {
            let mut all = seen.scientists.iter();
            let share = all
                .find(|s| s.person.key == key)
                .map(|s| s.share.used.nano());
            (share, seen.accounts.first().map(|a| a.meter.nano()))
        };
        for (before, after) in [
            (used(&before).0, used(&after).0),
            (used(&before).1, used(&after).1),
        ] {
            let (before, after) = (before.context("no share")?, after.context("no share")?);
            // The sigma of a price rounds up to the grid: a thousandth of the price.
            let least = before + self.price - self.price.div_ceil(1_000);
            self.played.returned += least.saturating_sub(after);
        }
        drop(owner);
        self.lone.site.stop().await;
        Ok(())
    }
}

/// Plays to the end.
pub(super) async fn play(
    program: &Path,
    (mode, coins): (Mode, &[bool]),
    adversary: &mut Adversary,
    progress: &ProgressBar,
) -> Result<Played> {
    let mut table = Table::set(program, mode, coins, adversary).await?;
    for number in 0..adversary.questions() {
        let asked = adversary.ask(number)?;
        for release in table.carry_out(number, &asked).await? {
            adversary.learn(&asked, &release)?;
        }
        progress.inc(1);
    }
    table.settle(mode).await?;
    // In strict mode there is no room for one more.
    if mode == Mode::Protect {
        let mut last = adversary.ask(0)?;
        (last.ada, last.way) = (true, Way::Plainly);
        table.fail(&last).await?;
    } else {
        table.lone.stop().await?;
    }
    Ok(table.played)
}
