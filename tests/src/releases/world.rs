//! A node with several populations, a gateway, and people with approved studies.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use obscura_client::model::exposure::{Delta, Mode};
use obscura_client::model::study::{Study, Verdict};
use obscura_client::{
    Client, NewDataset, NewLimit, OwnerClient, ScientistLimit, SubjectIds, Surroundings, Target,
};
use obscura_gateway::Parts;
use obscura_model::identity::Role;
use obscura_model::ids::{DatasetName, PartyName};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cluster::{Ask, ask, study, terms};
use crate::data::{Dataset, visits};
use crate::people::{Person, name};
use crate::process::Lone;

/// People of each population, each with this many rows.
pub(super) const PEOPLE: u32 = 2_000;
const ROWS: u32 = 5;
/// Just above the least that a release may take of the limit.
pub(super) const NANO: u64 = 5_000_000;
pub(super) const EPSILON: f64 = 100.0;
/// The most releases of one name in a study.
const TIMES: u32 = 1_000;

/// The rows of population `number`.
pub(super) fn dataset(number: u32) -> Dataset {
    let plain = visits(PEOPLE, 4, ROWS);
    let (name, file) = (format!("visits{number}"), format!("visits{number}.csv"));
    let named = format!("name = \"{name}\"\npopulation = \"people{number}\"\n");
    let description = plain.description.replacen("name = \"visits\"\n", &named, 1);
    Dataset {
        description: description.replacen("visits.csv", &file, 1),
        file,
        name,
        ..plain
    }
}

/// What is asked: a count and a mean in four groups.
pub(super) fn asks(dataset: &str) -> Vec<Ask> {
    let sql = format!("SELECT grp, COUNT(*) AS n, AVG(amount) AS paid FROM {dataset} GROUP BY grp");
    let named = ["a", "b", "c", "d"].map(|name| ask(name, &sql, NANO).times(TIMES));
    named.to_vec()
}

/// The name and the number of a run, from 1 on.
pub(super) fn run(number: u32) -> Result<(&'static str, u32)> {
    let names = ["a", "b", "c", "d"];
    let name = names.get((number.saturating_sub(1) / TIMES) as usize);
    Ok((
        name.context("no more runs were approved")?,
        (number.saturating_sub(1)) % TIMES + 1,
    ))
}

pub(super) struct World {
    pub(super) lone: Lone,
    pub(super) people: Vec<Person>,
    gateway: SocketAddr,
    relaying: JoinHandle<()>,
}

impl World {
    /// Starts everything. `prepared` is the node's folder with the first dataset.
    pub(super) async fn start(mut lone: Lone, populations: u32, people: u32) -> Result<Self> {
        for number in 1..populations {
            let Dataset { file, csv, .. } = dataset(number);
            std::fs::write(lone.site.folder.join("import").join(file), csv)?;
        }
        lone.start().await?;
        let owner = lone.owner().await?;
        for number in 0..populations {
            register(&owner, &dataset(number)).await?;
        }
        let delta = Delta::new(1e-6)?;
        owner
            .set_scientist_limit(&ScientistLimit {
                scientist: None,
                epsilon: 500.0,
                delta,
                reason: "for tests".to_owned(),
            })
            .await?;
        let person = |number| {
            let who = format!("scientist-{number}");
            lone.consortium.issue(Role::Scientist, &who)
        };
        let people = (0..people).map(person).collect::<Result<Vec<_>>>()?;
        for person in &people {
            owner.enrol(&person.der()?).await?;
        }
        let (gateway, relaying) = gateway(&lone).await?;
        Ok(Self {
            lone,
            people,
            gateway,
            relaying,
        })
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        self.relaying.abort();
        self.lone.stop().await
    }

    pub(super) fn node(&self) -> Result<PartyName> {
        name(&self.lone.site.name)
    }

    /// A connection to the node itself.
    pub(super) async fn direct(&self, person: &Person) -> Result<Client> {
        let target = Target::Node {
            address: self.lone.address()?.to_string(),
            name: self.node()?,
        };
        connect(person, target).await
    }

    /// A connection through the gateway.
    pub(super) async fn relayed(&self, person: &Person) -> Result<Client> {
        let target = Target::Gateway {
            address: self.gateway.to_string(),
            name: name("hub")?,
        };
        connect(person, target).await
    }

    /// An approved study of the dataset of population `number`.
    pub(super) async fn approved(&self, client: &Client, number: u32) -> Result<Study> {
        let dataset = format!("visits{number}");
        let institutions = vec![self.lone.institution()?];
        let study = study(client, &dataset, &asks(&dataset), terms(), institutions)?;
        for at in client.submit(&study).await {
            at.outcome?;
        }
        let owner = self.lone.owner().await?;
        let review = owner.review(study.id()).await?;
        owner.decide(&review, Verdict::Approve, "").await?;
        Ok(study)
    }

    /// What the node's process has used of processors, in seconds.
    pub(super) fn processor(&self) -> Result<f64> {
        let process = self.lone.id().context("it runs")?;
        processor(Path::new(&format!("/proc/{process}/stat")))
    }
}

/// User and system time of a process, in steps of 10 ms.
pub(super) fn processor(stat: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(stat)?;
    let (_, after) = text.rsplit_once(')').context("no name")?;
    let ticks = after.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

async fn connect(person: &Person, target: Target) -> Result<Client> {
    let mut around = Surroundings::system();
    around.patience.attempts = 1;
    Ok(Client::connect_with(person.profile(target)?, around).await?)
}

async fn register(owner: &OwnerClient, dataset: &Dataset) -> Result<()> {
    let new = NewDataset {
        description: dataset.description.clone(),
        apart: true,
        opt_out: SubjectIds::from_lines(""),
    };
    owner.add(&new).await?;
    owner
        .set_limit(&NewLimit {
            dataset: DatasetName::new(&dataset.name)?,
            dataset_only: false,
            epsilon: EPSILON,
            delta: Delta::new(1e-6)?,
            delta_keys: None,
            mode: Mode::Protect,
            reason: "for tests".to_owned(),
        })
        .await?;
    Ok(())
}

async fn gateway(lone: &Lone) -> Result<(SocketAddr, JoinHandle<()>)> {
    let today = crate::clock::TestClock::with_waits();
    let node = obscura_gateway::Node {
        name: name(&lone.site.name)?,
        address: lone.address()?.to_string(),
        certificate: lone.site.certificate().to_vec(),
    };
    let parts = Parts {
        credentials: lone.consortium.issue(Role::Gateway, "hub")?.credentials()?,
        nodes: vec![node],
        clock: Arc::new(move || today.today()),
    };
    let gateway = obscura_gateway::build(parts)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let relaying = tokio::spawn(async move {
        // Without it the next call fails.
        drop(gateway.run(listener, std::future::pending()).await);
    });
    Ok((address, relaying))
}
