//! Sixteen clients, each of whom asks for the next release as soon as it has one, through a gateway,
//! slots included.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use obscura_client::Client;
use obscura_client::model::study::Study;
use obscura_model::ids::PartyName;
use tokio::task::JoinSet;

use super::world::{World, dataset, processor, run};
use super::{Figure, Size, figure, millis, start, times};
use crate::cluster::release_name;
use crate::process::Lone;

const CLIENTS: u32 = 16;
const WARM: u32 = 2;

pub(super) async fn measure(program: &Path, size: &Size, populations: u32) -> Result<Vec<Figure>> {
    let lone = Lone::prepare(program, dataset(0))?.logging("obscura_node=warn");
    lone.configure("slot_ms", size.step)?;
    let world = World::start(lone, populations, CLIENTS).await?;
    let mut ready = Vec::new();
    for (person, number) in world.people.iter().zip(0..) {
        let client = world.relayed(person).await?;
        let study = world.approved(&client, number % populations).await?;
        for number in 1..=WARM {
            once(&client, &study, &world.node()?, number).await?;
        }
        ready.push((client, study));
    }
    let own = Path::new("/proc/self/stat");
    let (before, used) = (start(), (world.processor()?, processor(own)?));
    let until = before + Duration::from_secs(size.seconds);
    let mut asking = JoinSet::new();
    for (client, study) in ready {
        let node = world.node()?;
        asking.spawn(async move {
            let mut took = Vec::new();
            let mut number = WARM;
            while start() < until {
                number += 1;
                let before = start();
                once(&client, &study, &node, number).await?;
                took.push(millis(before));
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = asking.join_next().await {
        took.extend(done??);
    }
    let seconds = millis(before) / 1e3;
    let used = (world.processor()? - used.0, processor(own)? - used.1);
    let late = world.lone.log();
    let late = late
        .iter()
        .filter(|line| line.contains("a slot was overrun"));
    let late = late.count() as f64;
    world.stop().await?;
    let (prefix, made) = (format!("many_{populations}"), took.len() as f64);
    let mut figures = vec![figure(
        &format!("{prefix}_releases_per_second"),
        made / seconds,
        &format!("releases a second of {CLIENTS} clients over {populations} populations"),
    )];
    figures.extend(times(&prefix, &took, "each of them, slots included"));
    let each = [
        (
            "node_cpu_ms",
            used.0 / made * 1e3,
            "ms: on processors, the node for each",
        ),
        (
            "rest_cpu_ms",
            used.1 / made * 1e3,
            "ms: on processors, clients and gateway for each",
        ),
        ("overruns", late, "slots were overrun"),
    ];
    figures
        .extend(each.map(|(name, value, what)| figure(&format!("{prefix}_{name}"), value, what)));
    Ok(figures)
}

async fn once(client: &Client, study: &Study, node: &PartyName, number: u32) -> Result<()> {
    let (name, number) = run(number)?;
    client
        .release(study, node, &release_name(name)?, number)
        .await?;
    Ok(())
}
