//! Releases of two worlds, as their caller sees them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use obscura_client::model::exposure::{Delta, Mode};
use obscura_client::model::ids::DatasetName;
use obscura_client::model::study::Study;
use obscura_client::{NewDataset, SubjectIds};

use crate::cluster::{Site, ask};
use crate::data::Dataset;
use crate::fixture::{Setup, Told, World, Worlds};
use crate::raw::RUN;

/// One round in one world.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) round: usize,
    /// Whether the person is in this world.
    pub(super) there: bool,
    /// Everything that can be seen, as numbers.
    pub(super) features: Vec<f64>,
    /// How long the slow release took, and the one by keys.
    pub(super) millis: [f64; 2],
    /// How long its slot was in the end.
    pub(super) slot: Duration,
    /// The size of its noise, in standard deviations.
    pub(super) noise: f64,
}

/// With the sought person, and without.
const WORLDS: [World; 2] = [World::Everybody, World::Without];
/// Of both populations: room for all rounds.
const EPSILON: f64 = 500.0;
/// Runs that one study has.
const RUNS: usize = 1_000;
/// Places for labels and texts, which are counted by a hash.
const PLACES: usize = 24;
/// What the slow question adds up to without the person, and what the person adds.
const TRUTH: [f64; 2] = [1999.0, 9.0];

const KEYS: &str = "SELECT reason, COUNT(DISTINCT subject_id) AS people, SUM(paid) AS paid \
                    FROM few GROUP BY reason";
/// How many people have each reason: a key for all of them, one near the threshold, and so on.
const REASONS: [usize; 4] = [60, 24, 10, 2];

/// `few(subject_id, reason, paid)`, with reasons that nobody declared; only the sought person has
/// ZZ. As few people as make keys pass: everybody who could be there draws noise for a key, and
/// that decides how long a slot is.
fn few(world: World) -> Dataset {
    let description = "name = \"few\"\ntitle = \"few\"\nabout = \"Invented.\"\npopulation = \"few\"\nsource = \"few.csv\"\n\
         subject = \"subject_id\"\nsubject_unit = \"person\"\nmost_rows_per_subject = 2\n\
         subjects = [1, 100]\ndelta = 1e-6\n\
         \n[[column]]\nmeaning = \"invented\"\nbounds_from = \"design\"\n\
         name = \"reason\"\ntype = \"text\"\nmost_characters = 20\n\
         keys = { per_person = 1, most = 20, characters = 12, delta = 1e-8 }\n\
         \n[[column]]\nmeaning = \"invented\"\nbounds_from = \"design\"\n\
         name = \"paid\"\ntype = \"integer\"\nlowest = 0\nhighest = 100\n";
    let reasons = REASONS.iter().enumerate();
    let people = reasons.flat_map(|(reason, people)| std::iter::repeat_n(reason, *people));
    let lines = people
        .enumerate()
        .map(|(n, reason)| format!("S{n:04},reason {reason},{}\n", n % 100));
    let mut csv = format!("subject_id,reason,paid\n{}", lines.collect::<String>());
    if world == World::Everybody {
        csv.push_str("SOUGHT,ZZ,100\nSOUGHT,ZZ,100\n");
    }
    Dataset {
        description: description.to_owned(),
        csv,
        file: "few.csv".to_owned(),
        name: "few".to_owned(),
    }
}

/// Much work for the rows of one person alone.
fn slow() -> String {
    format!(
        "SELECT SUM(CASE WHEN age = 42 THEN LEAST(GREATEST(bmi{}, 0), 9) ELSE 1 END) AS s \
         FROM patients",
        " * 1.01 / 1.02".repeat(40)
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
    /// What was said instead of an answer.
    refused: Option<String>,
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
    let (mut noise, mut rho, mut refused) = (0.0, 0.0, None);
    match told.answers().first().context("no answer")? {
        Err((code, text)) => {
            put(format!("{code:?}").as_bytes());
            put(text.as_bytes());
            features[1] = text.len() as f64;
            refused = Some(format!("{code:?} {text}"));
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
        refused,
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
            .approved("few", &[ask("n", KEYS, 30_000_000).times(times)])
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

/// Adds the few people, who are a population of their own, with a limit.
async fn furnish(site: &Site, few: &Dataset) -> Result<()> {
    std::fs::write(site.folder.join("import").join(&few.file), &few.csv)?;
    let owner = site.owner_client().await?;
    let new = NewDataset {
        description: few.description.clone(),
        apart: true,
        opt_out: SubjectIds::from_lines(""),
    };
    owner.add(&new).await?;
    let mut limit = site.limit(EPSILON, 1e-6, Mode::Protect)?;
    limit.dataset = DatasetName::new(&few.name)?;
    limit.delta_keys = Some(Delta::new(1e-4)?);
    owner.set_limit(&limit).await?;
    Ok(())
}

/// So many rounds in both worlds, in an order that changes from round to round; and the rho of
/// what one round releases.
pub(super) async fn observe(rounds: usize, progress: &ProgressBar) -> Result<(Vec<Observed>, f64)> {
    let setup = Setup {
        worlds: WORLDS.to_vec(),
        epsilon: EPSILON,
        waits: true,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await?;
    for (site, world) in worlds.sites().zip(WORLDS) {
        furnish(site, &few(world)).await?;
    }
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
        // Forwards and backwards in turn.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        let [one, other] = order.map(|world| (world, world == 0));
        let slow = [
            call(&worlds, one, &slow, TRUTH).await?,
            call(&worlds, other, &slow, TRUTH).await?,
        ];
        // Their slots are long: both worlds wait at once.
        let (first, second) = tokio::join!(
            call(&worlds, one, &keys, [0.0, 0.0]),
            call(&worlds, other, &keys, [0.0, 0.0]),
        );
        let keys = [first?, second?];
        let wrong = [
            call(&worlds, one, &wrong, [0.0, 0.0]).await?,
            call(&worlds, other, &wrong, [0.0, 0.0]).await?,
        ];
        let both = slow.into_iter().zip(keys).zip(wrong).zip([one, other]);
        for (((slow, keys), wrong), (_, there)) in both {
            let refused = [&slow.refused, &keys.refused].map(Option::as_deref);
            ensure!(refused == [None; 2], "a release was refused: {refused:?}");
            ensure!(wrong.rho == 0.0, "an unknown release was answered");
            rho = rho.max(slow.rho + keys.rho);
            seen.push(Observed {
                round,
                there,
                millis: [slow.millis, keys.millis],
                slot: slow.slot,
                noise: slow.noise,
                features: [slow.features, keys.features, wrong.features].concat(),
            });
        }
        progress.inc(1);
    }
    worlds.stop().await;
    Ok((seen, rho))
}
