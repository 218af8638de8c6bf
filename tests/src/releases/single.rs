//! One release at a time, waits for slots skipped, in turn directly and through a gateway, and a
//! flush of about as many bytes on the same disk before each.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::Result;

use super::world::{World, dataset, run};
use super::{Figure, figure, millis, start, times};
use crate::cluster::release_name;
use crate::process::Lone;

/// Releases before anything counts: connections are open, caches warm.
const WARM: u32 = 10;
/// About what the journal writes for an intent.
const BYTES: usize = 2_000;
const LENGTH: u64 = 4 << 20;

/// A file of the node's disk, as long as a segment.
struct Raw {
    file: File,
    next: u64,
}

impl Raw {
    fn at(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(true).write(true).open(path)?;
        file.set_len(LENGTH)?;
        written(&file)?;
        Ok(Self { file, next: 0 })
    }

    /// One write and one sync, as the journal does them.
    fn flush(&mut self) -> Result<f64> {
        let before = start();
        self.file.write_all_at(&[7; BYTES], self.next)?;
        self.file.sync_data()?;
        self.next = (self.next + BYTES as u64) % (LENGTH - BYTES as u64);
        Ok(millis(before))
    }
}

/// The blocks are there before they are written, as those of a segment.
fn written(file: &File) -> Result<()> {
    let zeros = vec![0; 1 << 16];
    for block in 0..LENGTH >> 16 {
        file.write_all_at(&zeros, block << 16)?;
    }
    Ok(file.sync_all()?)
}

pub(super) async fn measure(program: &Path, runs: u32) -> Result<Vec<Figure>> {
    let lone = Lone::prepare(program, dataset(0))?.logging("off");
    let world = World::start(lone.without_waits(), 1, 2).await?;
    let (node, mut raw) = (
        world.node()?,
        Raw::at(&world.lone.folder.path().join("raw"))?,
    );
    let clients = [
        world.direct(&world.people[0]).await?,
        world.relayed(&world.people[1]).await?,
    ];
    let mut studies = Vec::new();
    for client in &clients {
        studies.push(world.approved(client, 0).await?);
    }
    let (mut flushes, mut took) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut used = world.processor()?;
    for number in 1..=runs + WARM {
        if number == WARM {
            used = world.processor()?;
        }
        let (name, number_of_it) = run(number)?;
        let name = release_name(name)?;
        for ((client, study), took) in clients.iter().zip(&studies).zip(&mut took) {
            let flush = raw.flush()?;
            let before = start();
            client.release(study, &node, &name, number_of_it).await?;
            if number > WARM {
                took.push(millis(before));
                flushes.push(flush);
            }
        }
    }
    let used = (world.processor()? - used) / f64::from(2 * runs) * 1e3;
    world.stop().await?;
    let [direct, relayed] = took;
    let mut figures = Vec::new();
    figures.extend(times(
        "flush",
        &flushes,
        "a raw write and flush of 2 kB, on the node's disk",
    ));
    figures.extend(times(
        "release_direct",
        &direct,
        "a release of 2,000 people, waits for slots skipped",
    ));
    figures.extend(times(
        "release_gateway",
        &relayed,
        "the same through a gateway",
    ));
    figures.push(figure(
        "release_node_cpu_ms",
        used,
        "ms: on processors, the node for one release",
    ));
    Ok(figures)
}
