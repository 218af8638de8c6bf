//! Step 7: four things that go right when something else does not.

use std::time::Duration;

use anyhow::Context as _;
use obscura_client::{Account, Client, Draft, OwnerClient, Patience, Surroundings};
use obscura_model::accuracy::Accuracy;
use obscura_model::exposure::Rho;
use obscura_model::ids::{PartyName, ReleaseName, StudyId};
use obscura_model::study::{Institution, Study, StudyState, Terms, Verdict};

use super::answer::{self, Fetched};
use super::network::Network;
use super::say::Say;
use super::{DATASET, study};
use crate::output::progress;

/// How long a node may take to begin a release.
const BEGIN: Duration = Duration::from_secs(20);

/// The site whose owner declines the second study.
const DECLINES: usize = 2;

/// The site whose node is killed.
const KILLED: usize = 3;

/// The kind of the journal's record of a release that is made after a restart.
const RERUN: &str = "release rerun";

/// How often that is tried.
const ATTEMPTS: u32 = 3;

/// Everything that step 7 needs.
pub(super) struct Scene<'a> {
    /// The scientist.
    pub(super) client: &'a Client,
    /// The owners, in the order of the sites.
    pub(super) owners: &'a [OwnerClient],
    /// The study of steps 5 and 6.
    pub(super) study: &'a Study,
    /// Its releases.
    pub(super) fetched: &'a [Fetched],
}

/// Shows all four.
pub(super) async fn show(
    say: &Say,
    network: &mut Network,
    scene: &Scene<'_>,
) -> anyhow::Result<()> {
    say.step(7, "Four things going right")?;
    same_again(say, scene).await?;
    not_approved(say, scene).await?;
    declined(say, scene).await?;
    killed(say, network, scene).await
}

/// The public meters of every institution.
async fn meters(client: &Client) -> anyhow::Result<Vec<Rho>> {
    let mut meters = Vec::new();
    for site in client.exposure().await {
        let name = site.name().to_string();
        let exposure = site
            .outcome
            .with_context(|| format!("{name} shows no exposure"))?;
        meters.push(meter(&exposure.accounts)?);
    }
    Ok(meters)
}

fn meter(accounts: &[Account]) -> anyhow::Result<Rho> {
    Ok(accounts.first().context("there is no limit")?.meter)
}

async fn same_again(say: &Say, scene: &Scene<'_>) -> anyhow::Result<()> {
    say.title("The same request again: the same bytes, and nothing is added")?;
    let before = meters(scene.client).await?;
    let first = scene.fetched.first().context("nothing was released")?;
    let name = &first.answer.release;
    let again = answer::fetch(scene.client, scene.study, name).await?;
    let bytes: usize = again.releases.iter().map(|r| r.signed().body.len()).sum();
    let same = again.releases.len() == first.releases.len()
        && again
            .releases
            .iter()
            .zip(&first.releases)
            .all(|(a, b)| a.signed() == b.signed());
    anyhow::ensure!(same, "the same request gave another answer");
    anyhow::ensure!(
        meters(scene.client).await? == before,
        "the same request added to exposure"
    );
    say.text(&format!(
        "Ada asks for '{name}' once more. Six nodes return the stored releases, {bytes} bytes, \
         identical to the last; six meters have not moved. Noise cannot be averaged away by \
         asking again."
    ))?;
    Ok(())
}

async fn not_approved(say: &Say, scene: &Scene<'_>) -> anyhow::Result<()> {
    say.title("A question that nobody approved: refused")?;
    let before = meters(scene.client).await?;
    let node = PartyName::new("site-1")?;
    let name = ReleaseName::new("visits")?;
    // The approved study's id, with one number of the question changed.
    let sql =
        "SELECT cost_share, AVG(LEAST(mdvis, 100)) AS visits FROM rand_hie GROUP BY cost_share";
    let changed = Draft::new(scene.study.id(), scene.study.title(), DATASET)
        .project(scene.study.project().as_str())
        .purpose(scene.study.purpose())
        .terms(scene.study.terms().clone())
        .release(name.as_str(), sql, Accuracy::Price(Rho::asked(0.01)?))
        .ask(scene.study.institutions())?;
    let refused = match scene.client.release(&changed, &node, &name, 2).await {
        Err(error) => error,
        Ok(_) => anyhow::bail!("a question that was not approved was answered"),
    };
    anyhow::ensure!(
        meters(scene.client).await? == before,
        "a refusal added to exposure"
    );
    say.text(
        "Ada takes the approved study, counts up to 100 visits a year in place of 10, and asks \
         under its id. The node compares digests, and answers:",
    )?;
    say.labelled("", &refused.in_full())?;
    Ok(())
}

/// A study with one release.
fn small(
    id: StudyId,
    model: &Study,
    institutions: &[Institution],
    title: &str,
    (name, sql): (&str, &str),
) -> anyhow::Result<Study> {
    let terms: Terms = model.terms().clone();
    let accuracy = Accuracy::Price(Rho::asked(0.01)?);
    let draft = Draft::new(id, title, DATASET)
        .project(model.project().as_str())
        .purpose(title)
        .terms(terms);
    Ok(draft.release(name, sql, accuracy).ask(institutions)?)
}

async fn declined(say: &Say, scene: &Scene<'_>) -> anyhow::Result<()> {
    say.title("One owner declines: five of six answer, and the answer says so")?;
    let client = scene.client;
    let question = (
        "often",
        "SELECT COUNT(*) AS person_years FROM rand_hie WHERE mdvis >= 10",
    );
    let title = "In how many years did somebody see a doctor ten times or more?";
    let id = client.new_study_id()?;
    let small = small(id, scene.study, scene.study.institutions(), title, question)?;
    study::submitted(client.submit(&small).await)?;
    for (place, owner) in scene.owners.iter().enumerate() {
        let review = study::review(owner, id).await?;
        let (verdict, reason, state) = if place == DECLINES {
            (
                Verdict::Decline,
                "our ethics board meets next month",
                StudyState::Declined,
            )
        } else {
            (Verdict::Approve, "", StudyState::Approved)
        };
        let status = owner.decide(&review, verdict, reason).await?;
        anyhow::ensure!(status.state == state, "the decision was not taken");
    }
    let name = ReleaseName::new(question.0)?;
    let fetched = answer::fetch(client, &small, &name).await?;
    let answer = &fetched.answer;
    anyhow::ensure!(answer.included.len() == 5, "{}", answer.who());
    let estimate = answer
        .combined
        .rows
        .first()
        .and_then(|r| r.estimates.first());
    let estimate = estimate.context("the answer is empty")?;
    say.text(&format!("A second, small study: \"{title}\""))?;
    say.labelled(
        "answer",
        &format!("{} person-years", obscura_client::export::shown(*estimate)),
    )?;
    say.labelled("who", &answer.who())?;
    Ok(())
}

/// A release that was interrupted.
struct Interrupted {
    study: Study,
    name: ReleaseName,
    /// The meter before it.
    before: Rho,
    /// How many records the journal had before it.
    records: u64,
    /// What the scientist saw.
    failed: String,
}

async fn killed(say: &Say, network: &mut Network, scene: &Scene<'_>) -> anyhow::Result<()> {
    say.title("A node killed in the middle of a release: answered once, counted once")?;
    let site = network.site(KILLED)?.name.clone();
    let interrupted = interrupt(network, scene).await?;
    let Interrupted {
        study,
        name,
        before,
        records,
        failed,
    } = interrupted;
    say.text(&format!(
        "Ada asks {site} for one more approved release. As soon as its intent is on the disk, the \
         node's process gets SIGKILL. She sees:"
    ))?;
    say.labelled("", &failed)?;
    let answered = scene.client.release(&study, &site, &name, 1).await?;
    let same = scene.client.release(&study, &site, &name, 1).await?;
    anyhow::ensure!(
        answered.signed() == same.signed(),
        "the request has two answers"
    );
    let owner = OwnerClient::connect(network.site(KILLED)?.owner.clone()).await?;
    let after = meter(&owner.exposure().await?.accounts)?;
    let price = answered.release().price;
    anyhow::ensure!(
        before.checked_add(price) == Some(after),
        "the interrupted release was not counted once: {before} and {price} made {after}"
    );
    let journal = owner.log(records, 20).await?.entries;
    let open = journal.iter().any(|entry| entry.kind == RERUN);
    let what = if open {
        "The node starts again, finds the open intent and finishes that release before it serves \
         anybody."
    } else {
        "The release had just reached the disk and had not been sent; the node starts again and \
         has it."
    };
    say.text(&format!(
        "{what} She sends the same request: answered, a second time with the same bytes, and the \
         meter moved by exactly one release. What the journal says:"
    ))?;
    say.command("obscura owner log")?;
    for entry in journal {
        say.labelled("", &format!("{}  {}", entry.index, entry.kind))?;
    }
    say.detail(&format!("rho {before} + {price} = {after}"))?;
    Ok(())
}

/// Kills a node while it makes a release, and starts it again. On a busy machine the answer may
/// be faster than the signal; then once more, with a new study.
async fn interrupt(network: &mut Network, scene: &Scene<'_>) -> anyhow::Result<Interrupted> {
    for _ in 0..ATTEMPTS {
        let owner = OwnerClient::connect(network.site(KILLED)?.owner.clone()).await?;
        let (study, name) = one_more_study(network, scene, &owner).await?;
        let before = meter(&owner.exposure().await?.accounts)?;
        let records = owner.log(0, 1).await?.head_size;
        let failed = kill(network, &study, &name).await?;
        let again = network.site(KILLED)?.start_again();
        progress("the node starts again", again).await?;
        if let Some(failed) = failed {
            return Ok(Interrupted {
                study,
                name,
                before,
                records,
                failed,
            });
        }
    }
    anyhow::bail!("no release could be interrupted: this machine is very busy, try again")
}

/// A study for the one site, submitted and approved.
async fn one_more_study(
    network: &mut Network,
    scene: &Scene<'_>,
    owner: &OwnerClient,
) -> anyhow::Result<(Study, ReleaseName)> {
    let question = (
        "years",
        "SELECT year, COUNT(*) AS person_years FROM rand_hie GROUP BY year",
    );
    let title = "How many person-years are there in each year of the study?";
    let site = network.site(KILLED)?.name.clone();
    let mut asked = scene.study.institutions().iter();
    let there = asked.find(|i| i.name == site);
    let there = there.context("the study does not ask everybody")?;
    let id = scene.client.new_study_id()?;
    let small = small(
        id,
        scene.study,
        std::slice::from_ref(there),
        title,
        question,
    )?;
    study::submitted(scene.client.submit(&small).await)?;
    let review = study::review(owner, id).await?;
    owner.decide(&review, Verdict::Approve, "").await?;
    Ok((small, ReleaseName::new(question.0)?))
}

/// Asks for a release and kills the node while it makes it. Returns what the scientist sees, or
/// nothing if the answer was faster.
async fn kill(
    network: &mut Network,
    study: &Study,
    name: &ReleaseName,
) -> anyhow::Result<Option<String>> {
    // A client that does not try again by itself, so that the failure is seen.
    let once = Surroundings {
        patience: Patience {
            attempts: 1,
            ..Patience::default()
        },
        ..Surroundings::system()
    };
    let impatient = Client::connect_with(network.scientist.clone(), once).await?;
    let site = network.site(KILLED)?;
    let node = site.name.clone();
    let intents = site.intents()?;
    let (request, killed) = tokio::join!(
        impatient.release(study, &node, name, 1),
        site.kill_in_the_middle(intents, BEGIN)
    );
    killed?;
    Ok(request.err().map(|error| error.in_full()))
}
