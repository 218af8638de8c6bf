//! Step 3: each owner describes the data, sets limits and enrols the scientist.

use std::fs;

use anyhow::Context as _;
use obscura_client::{Account, Added, NewLimit, OwnerClient, ScientistLimit};
use obscura_model::exposure::{Delta, Mode};
use obscura_model::ids::DatasetName;
use obscura_model::odds;

use super::data::{self, Row};
use super::network::{Network, Site};
use super::say::Say;
use super::{DATASET, all};
use crate::output::progress;

/// What every owner says about the data; see `deploy/demo/README.md`.
const DESCRIPTION: &str = include_str!("../../../../deploy/demo/dataset.toml");

/// The illustrative limit: epsilon.
const EPSILON: f64 = 5.0;

/// The illustrative limit: delta.
const DELTA: f64 = 1e-6;

/// Everything that one owner did.
struct Described {
    client: OwnerClient,
    added: Added,
    account: Account,
}

/// Does it at all six, and returns the owners' connections.
pub(super) async fn describe(
    say: &Say,
    network: &Network,
    rows: &[Row],
) -> anyhow::Result<Vec<OwnerClient>> {
    say.step(3, "Six owners describe their data and set limits")?;
    say.text(
        "Each hospital's IT puts its own rows into its node's import folder. The owner, who talks \
         to their own node only, describes the columns, sets a limit for everybody's releases \
         together and a share for ada, and enrols ada's key.",
    )?;
    say.command("obscura owner dataset add dataset.toml")?;
    say.command(&format!(
        "obscura owner limit {DATASET} --epsilon {EPSILON} --delta {DELTA:e} --reason \"...\""
    ))?;
    say.command("obscura owner enrol ada.pem")?;
    let ada = &network.certificate;
    let mut work = Vec::new();
    for (place, site) in network.sites.iter().enumerate() {
        put_rows(site, rows, place + 1)?;
        work.push(one(site.owner.clone(), description(place + 1), ada.clone()));
    }
    let described = progress("six nodes read their rows", all(work)).await?;
    table(say, network, &described)?;
    let first = described.first().context("there is no institution")?;
    promise(say, &first.account)?;
    Ok(described.into_iter().map(|d| d.client).collect())
}

fn description(number: usize) -> String {
    DESCRIPTION.replace("{title}", &format!("site {number}"))
}

fn put_rows(site: &Site, rows: &[Row], number: usize) -> anyhow::Result<()> {
    let path = site.folder.join("import").join("rand_hie.csv");
    fs::write(&path, data::csv_of(rows, number)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let path = site.folder.join("dataset.toml");
    fs::write(&path, description(number))
        .with_context(|| format!("cannot write {}", path.display()))
}

async fn one(
    profile: obscura_client::Profile,
    description: String,
    ada: Vec<u8>,
) -> anyhow::Result<Described> {
    let client = OwnerClient::connect(profile).await?;
    let added = client.add_dataset(&description).await?;
    let limit = NewLimit {
        dataset: DatasetName::new(DATASET)?,
        dataset_only: false,
        epsilon: EPSILON,
        delta: Delta::new(DELTA)?,
        delta_keys: None,
        mode: Mode::Protect,
        reason: "an illustrative limit for the demo".to_owned(),
    };
    let account = client.set_limit(&limit).await?;
    client.enrol(&ada).await?;
    client.set_scientist_limit(&share()?).await?;
    Ok(Described {
        client,
        added,
        account,
    })
}

fn share() -> anyhow::Result<ScientistLimit> {
    Ok(ScientistLimit {
        // Everybody's, which is also that of projects: ada's is the only one.
        scientist: None,
        epsilon: EPSILON,
        delta: Delta::new(DELTA)?,
        reason: "the only scientist of the demo".to_owned(),
    })
}

fn table(say: &Say, network: &Network, described: &[Described]) -> anyhow::Result<()> {
    let row = |(site, d): (&Site, &Described)| {
        let key = d.client.node().key.to_string();
        vec![
            site.name.to_string(),
            d.added.rows.to_string(),
            d.added.subjects.to_string(),
            key.chars().take(12).collect(),
        ]
    };
    let rows: Vec<_> = network.sites.iter().zip(described).map(row).collect();
    say.table(&["node", "person-years", "people", "journal key"], rows)?;
    say.text(
        "The counts are computed from private rows, so each owner sees their own only; you see \
         all six because you play everybody.",
    )?;
    Ok(())
}

/// What the limit promises, as the owner reads it.
fn promise(say: &Say, account: &Account) -> anyhow::Result<()> {
    let limit = account.limit.context("the node did not take the limit")?;
    say.text(
        "The limit of this demo is illustrative; the product has no default, each owner chooses. \
         What it promises, whatever is asked, by whomever, for ever:",
    )?;
    let presence = odds::presence(limit.guarantee).presence_sentence("person");
    let value = odds::value(limit.guarantee).value_sentence("person");
    say.labelled("presence", &presence)?;
    say.labelled("value", &value)?;
    say.detail(&format!(
        "epsilon {} at delta {:e}, rho {:.3}; near the limit the node protects: who is at it no \
         longer contributes",
        limit.epsilon,
        limit.delta.get(),
        limit.rho.as_f64()
    ))?;
    Ok(())
}
