//! Releases of two worlds, as their caller sees them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use obscura_client::model::exposure::Mode;
use obscura_client::model::study::Study;

use crate::cluster::ask;
use crate::fixture::{Setup, Told, World, Worlds, reasons};
use crate::raw::RUN;

/// One round in one world.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) round: usize,
    /// Whether the person is in this world.
    pub(super) there: bool,
    /// Everything that can be seen, as numbers.
    pub(super) features: Vec<f64>,
    /// How long the slow release took.
    pub(super) millis: f64,
    /// How long its slot was in the end.
    pub(super) slot: Duration,
    /// The size of its noise, in standard deviations.
    pub(super) noise: f64,
}

/// Runs that one study has.
const RUNS: usize = 1_000;
/// Places for labels and texts, which are counted by a hash.
const PLACES: usize = 24;
/// What the slow question adds up to without the person, and what the person adds.
const TRUTH: [f64; 2] = [1999.0, 9.0];

const KEYS: &str = "SELECT reason, COUNT(DISTINCT subject_id) AS people, SUM(paid) AS paid \
                    FROM reasons WHERE paid > 97 GROUP BY reason";

/// Much work for the rows of one person alone.
fn slow() -> String {
    format!(
        "SELECT SUM(CASE WHEN age = 42 THEN LEAST(GREATEST(bmi{}, 0), 9) ELSE 1 END) AS s \
         FROM patients",
        " * 1.01 / 1.02".repeat(200)
    )
}

/// 64-bit FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What one call shows.
struct Shown {
    features: Vec<f64>,
    millis: f64,
    slot: Duration,
    noise: f64,
    rho: f64,
}

/// The first number, above what everybody else adds, in standard deviations.
fn look(
    told: &Told,
    worlds: &Worlds,
    took: Duration,
    truth: [f64; 2],
    there: bool,
) -> Result<Shown> {
    let millis = took.as_secs_f64() * 1e3;
    let [begin, end] = worlds.clock.last_waits();
    let mut places = vec![0.0; PLACES];
    let mut put = |text: &[u8]| {
        if let Some(place) = places.get_mut(hash(text) as usize % PLACES) {
            *place += 1.0;
        }
    };
    let mut features = vec![millis, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let (mut noise, mut rho) = (0.0, 0.0);
    match told.answers().first().context("no answer")? {
        Err((code, text)) => {
            put(format!("{code:?}").as_bytes());
            put(text.as_bytes());
            features[1] = text.len() as f64;
        }
        Ok(message) => {
            let releases = told.releases(worlds)?;
            let release = releases.first().context("no release")?;
            let answer = &release.answer;
            let vector = answer.shape().vectors.first().context("no vector")?;
            let values = answer.values().first().context("no numbers")?;
            let value = *values.first().context("no number")? as f64 * vector.step();
            let sigma = vector.sigma_in_units();
            noise = (value - truth[0] - if there { truth[1] } else { 0.0 }).abs() / sigma;
            rho = release.price.as_f64();
            let labels = answer.shape().keys.iter().flat_map(|k| &k.labels);
            for (place, label) in labels.enumerate() {
                put(label.as_bytes());
                put(format!("{place} {label}").as_bytes());
                features[3] += f64::from(u8::from(!label.is_empty()));
                features[4] += label.len() as f64;
            }
            features[1] = message.body.len() as f64;
            features[2] = (message.envelope.len() + message.signature.len()) as f64;
            features[5] = (value - truth[0]) / sigma;
            features[6] = values.iter().filter(|v| **v == 0).count() as f64;
        }
    }
    features.extend(places);
    Ok(Shown {
        features,
        millis,
        slot: end.saturating_sub(begin),
        noise,
        rho,
    })
}

struct Studies {
    slow: Study,
    keys: Study,
}

async fn studies(worlds: &Worlds) -> Result<Studies> {
    let times = u32::try_from(RUNS)?;
    Ok(Studies {
        slow: worlds
            .approved("patients", &[ask("n", &slow(), 1_000_000).times(times)])
            .await?,
        keys: worlds
            .approved("reasons", &[ask("n", KEYS, 20_000_000).times(times)])
            .await?,
    })
}

/// One call to one world.
#[allow(clippy::disallowed_methods)] // how long it takes is what is measured
async fn call(
    worlds: &Worlds,
    (world, there): (usize, bool),
    message: &obscura_client::model::envelope::SignedMessage,
    truth: [f64; 2],
) -> Result<Shown> {
    let start = Instant::now();
    let told = worlds.send_to(world, RUN, message.clone()).await?;
    look(&told, worlds, start.elapsed(), truth, there)
}

/// So many rounds in both worlds, in an order that changes from round to round; and the rho of
/// what one round releases.
pub(super) async fn observe(rounds: usize, progress: &ProgressBar) -> Result<(Vec<Observed>, f64)> {
    const EPSILON: f64 = 500.0;
    let setup = Setup {
        worlds: vec![World::Everybody, World::Without],
        epsilon: EPSILON,
        waits: true,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await?;
    worlds.add(reasons).await?;
    worlds.room_for_keys((EPSILON, Mode::Protect), 1e-4).await?;
    let (mut seen, mut rho, mut asked) = (Vec::new(), 0.0f64, None);
    for round in 0..rounds {
        if round % RUNS == 0 {
            asked = Some(studies(&worlds).await?);
        }
        let asked = asked.as_ref().context("no studies")?;
        let body = |study: &Study, release: &str| {
            let body = crate::fixture::run_body(study, release)?;
            worlds.sign(RUN, worlds.fresh(), body)
        };
        let (slow, keys) = (body(&asked.slow, "n")?, body(&asked.keys, "n")?);
        let wrong = body(&asked.keys, "unknown")?;
        for step in [0, 1] {
            // Forwards and backwards in turn.
            let world = if round % 2 == 0 { step } else { 1 - step };
            let there = world == 0;
            let at = (world, there);
            let parts = [
                call(&worlds, at, &slow, TRUTH).await?,
                call(&worlds, at, &keys, [0.0, 0.0]).await?,
                call(&worlds, at, &wrong, [0.0, 0.0]).await?,
            ];
            let [first, second, third] = &parts;
            ensure!(first.rho > 0.0 && second.rho > 0.0 && third.rho == 0.0);
            rho = rho.max(parts.iter().map(|p| p.rho).sum());
            seen.push(Observed {
                round,
                there,
                millis: first.millis,
                slot: first.slot,
                noise: first.noise,
                features: parts.iter().flat_map(|p| p.features.clone()).collect(),
            });
        }
        progress.inc(1);
    }
    worlds.stop().await;
    Ok((seen, rho))
}
