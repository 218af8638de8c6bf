//! Single releases: a thousand people are there or not by coins, and attacks that know everything
//! else guess from a hundred releases of a thousand groups which of them are.
//!
//! All noise of a correct node is independent, so every guess of one attack is a trial of its own:
//! the shares of wrong guesses bound rho from below. Three attacks, with thresholds that are fixed
//! before anything is asked:
//!
//! * *alone*: the group's own number is above the middle between both worlds;
//! * *others*: the same after the mean noise of all other groups of the release is taken off,
//!   which helps if groups share noise. (For independent noise these guesses are negatively
//!   associated within a release, so that their number varies less than that of independent ones.)
//! * *reference*: the same after the noise of the same group in a release that does not match the
//!   person is taken off, which helps if noise repeats. Every such release is used once.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use obscura_client::model::answer::VectorShape;
use obscura_client::model::exposure::Mode;
use obscura_client::model::ids::PartyName;
use obscura_client::model::study::Study;
use obscura_client::{Client, VerifiedRelease};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

use super::bounds::{Errors, normal_quantile};
use super::{ALARM, Limit, Report, approved, covered, seed, shown};
use crate::cluster::{ask, release_name};
use crate::data::Dataset;
use crate::process::Lone;

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// People with a coin, one in each group.
    pub groups: u32,
    /// Releases of all groups.
    pub releases: u32,
    /// Releases that match nobody with a coin.
    pub references: u32,
    /// Releases that cut every group in two.
    pub halves: u32,
    /// The share of the declared rho that the bound must reach, at a confidence of 95 %.
    pub tight: f64,
}

impl Size {
    /// As in docs/audit.md.
    pub const FULL: Self = Self {
        groups: 1_000,
        releases: 100,
        references: 20,
        halves: 10,
        tight: 0.95,
    };
    /// With every run of the tests. Twenty thousand guesses are enough for each planted bug.
    pub const SMALL: Self = Self {
        groups: 1_000,
        releases: 20,
        references: 10,
        halves: 5,
        tight: 0.8,
    };
}

/// Rows of one person that count at most; whoever has a coin has twice as many.
const MOST_ROWS: u32 = 4;
/// Steps of a count to one row.
const SCALE: f64 = 1024.0;
/// The price of every release: sums differ by two standard deviations, where guesses are worth
/// most.
const NANO: u64 = 2_000_000_000;
/// Another price, near it, that comes out at no whole number of billionths: it has to round up.
const UNEVEN: u64 = 1_999_000_000;
/// Room for 179 of them.
const EPSILON: f64 = 500.0;

const MAIN: &str = "SELECT grp, COUNT(*) AS n FROM planted GROUP BY grp";
const REFERENCE: &str = "SELECT grp, COUNT(*) AS n FROM planted WHERE sought = 0 GROUP BY grp";
const HALVES: &str = "SELECT grp, half, COUNT(*) AS n FROM planted GROUP BY grp, half";

/// Somebody with one row in every group, and whoever the coins put there.
fn planted(coins: &[bool]) -> Dataset {
    let last = coins.len().saturating_sub(1);
    let most = 3 * coins.len();
    let column = |name: &str, lowest: u32, highest: usize, more: &str| {
        format!(
            "\n[[column]]\nname = \"{name}\"\ntype = \"integer\"\nlowest = {lowest}\n\
             highest = {highest}\nmeaning = \"invented\"\nbounds_from = \"design\"\n{more}"
        )
    };
    let constant = "constant_per_subject = true\n";
    let description = format!(
        "name = \"planted\"\ntitle = \"Planted\"\nabout = \"Invented.\"\n\
         source = \"planted.csv\"\nsubject = \"person\"\nsubject_unit = \"person\"\n\
         most_rows_per_subject = {MOST_ROWS}\nsubjects = [1, {most}]\ndelta = 1e-6\n{}{}{}",
        column("grp", 0, last, constant),
        column("sought", 0, 1, constant),
        column("half", 1, 2, ""),
    );
    let mut csv = "person,grp,sought,half\n".to_owned();
    for (group, coin) in coins.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "known{group},{group},0,1");
        for row in 0..if *coin { 2 * MOST_ROWS } else { 0 } {
            let _ = writeln!(csv, "sought{group},{group},1,{}", row % 2 + 1);
        }
    }
    Dataset {
        description,
        csv,
        file: "planted.csv".to_owned(),
        name: "planted".to_owned(),
    }
}

/// What an attack sees of one release: for each cell the number above what others are known to
/// add, in standard deviations.
struct View {
    scores: Vec<f64>,
    sigma_rows: f64,
}

impl View {
    /// `known` rows of others in cell c.
    fn of(release: &VerifiedRelease, known: impl Fn(usize) -> f64) -> Result<Self> {
        let answer = &release.release().answer;
        let vector: &VectorShape = answer.shape().vectors.first().context("no vector")?;
        let values = answer.values().first().context("no numbers")?;
        let sigma = vector.sigma as f64;
        let score = |(cell, value): (usize, &i64)| (*value as f64 - SCALE * known(cell)) / sigma;
        Ok(Self {
            scores: values.iter().enumerate().map(score).collect(),
            sigma_rows: sigma / SCALE,
        })
    }

    /// Two in a row added up, each in standard deviations.
    fn pairs(&self) -> Vec<f64> {
        let pairs = self.scores.chunks(2);
        pairs.map(|two| two.iter().sum::<f64>()).collect()
    }
}

/// The mean of some numbers with and without a coin.
#[derive(Default)]
struct Means {
    sums: [f64; 2],
    numbers: [f64; 2],
}

impl Means {
    fn note(&mut self, coin: bool, value: f64) {
        self.sums[usize::from(coin)] += value;
        self.numbers[usize::from(coin)] += 1.0;
    }

    /// How far the means are apart, and the standard deviation of that for numbers of one each.
    fn apart(&self) -> (f64, f64) {
        let [without, with] = self.numbers;
        let apart = self.sums[1] / with - self.sums[0] / without;
        (apart, (1.0 / with + 1.0 / without).sqrt())
    }
}

struct Node {
    ada: Client,
    study: Study,
    name: PartyName,
}

impl Node {
    async fn run(&self, release: &str, run: u32) -> Result<VerifiedRelease> {
        let name = release_name(release)?;
        Ok(self
            .ada
            .release(&self.study, &self.name, &name, run)
            .await?)
    }
}

/// Everything seen, so far.
#[derive(Default)]
struct Seen {
    alone: Errors,
    others: Errors,
    reference: Errors,
    rows: Means,
    halves: Means,
    uncovered: u32,
    /// In rows; of one release like any other.
    sigma_rows: f64,
    price: f64,
}

impl Seen {
    fn main(&mut self, view: &View, coins: &[bool], reference: Option<&View>) {
        // What somebody adds, and half of it: the middle between both worlds.
        let middle = f64::from(MOST_ROWS) / view.sigma_rows / 2.0;
        let total: f64 = view.scores.iter().sum();
        let shift: f64 = coins.iter().filter(|c| **c).count() as f64 * 2.0 * middle;
        let others = coins.len() as f64 - 1.0;
        self.sigma_rows = view.sigma_rows;
        for (group, (score, coin)) in view.scores.iter().zip(coins).enumerate() {
            self.alone.note(*coin, *score > middle);
            // The attack knows everybody else's coin.
            let own = if *coin { 2.0 * middle } else { 0.0 };
            let shared = (total - score - (shift - own)) / others;
            self.others.note(*coin, score - shared > middle);
            let noise = reference.and_then(|r| r.scores.get(group));
            if let Some(noise) = noise {
                self.reference.note(*coin, score - noise > middle);
            }
            self.rows.note(*coin, score * view.sigma_rows);
        }
    }

    fn check(&mut self, release: &VerifiedRelease) {
        self.uncovered += u32::from(!covered(release.release()));
    }

    fn report(&self, size: Size, seed: &[u8; 32]) -> Report {
        let mut report = Report::new("releases");
        // What the numbers can tell, worked out from the description and not from what the node
        // says of itself.
        let declared = (f64::from(MOST_ROWS) / self.sigma_rows).powi(2) / 2.0;
        report.lists.insert("seed".to_owned(), shown(seed).into());
        let told = Limit::None;
        let guesses = self.alone.misses.of + self.alone.false_alarms.of;
        report.add(
            "guesses",
            guesses as f64,
            told,
            "guesses of the attack 'alone'",
        );
        report.add("rho", self.price, told, "rho of one release, as it says");
        let attacks = [
            ("alone", &self.alone),
            ("others", &self.others),
            ("reference", &self.reference),
        ];
        for (name, errors) in attacks {
            let what = format!("rho, most likely, by the attack '{name}'");
            report.add(&format!("{name}_likely"), errors.rho(), told, &what);
            let what = format!("rho at least, by '{name}': 1 in a million to be wrong");
            let least = errors.rho_at_least(ALARM / attacks.len() as f64);
            let most = Limit::AtMost(self.price);
            report.add(&format!("{name}_at_least"), least, most, &what);
        }
        let share = self.alone.rho_at_least(0.05) / self.price;
        let what = "of the declared rho is reached, at a confidence of 95 %";
        report.add("share", share, Limit::AtLeast(size.tight), what);
        let what = "rho of what one person may add and this noise, over the price";
        // The sigma of a price rounds up to the grid.
        report.add(
            "declared",
            declared / self.price,
            Limit::AtMost(1.0 + 1e-9),
            what,
        );
        // Two-sided, for each of both.
        let far = -normal_quantile(ALARM / 4.0);
        for (name, means, deviation) in [
            ("rows", &self.rows, self.sigma_rows),
            ("halves", &self.halves, self.sigma_rows * 2f64.sqrt()),
        ] {
            let (apart, unit) = means.apart();
            let off = (apart - f64::from(MOST_ROWS)).abs() / (unit * deviation);
            let what = format!("rows that one person adds ('{name}'); {MOST_ROWS} are declared");
            report.add(name, apart, told, &what);
            let what = "standard deviations from that";
            report.add(&format!("{name}_off"), off, Limit::AtMost(far), what);
        }
        let what = "releases whose price does not cover their noise";
        report.add(
            "uncovered",
            f64::from(self.uncovered),
            Limit::AtMost(0.0),
            what,
        );
        report
    }
}

/// Asks a node in a process of its own; `program` is `node-under-test`.
///
/// # Errors
///
/// If a step fails.
pub async fn measure(program: &Path, size: Size, progress: &ProgressBar) -> Result<Report> {
    let seed = seed()?;
    let mut random = ChaCha20Rng::from_seed(seed);
    let coins: Vec<bool> = (0..size.groups).map(|_| random.random_bool(0.5)).collect();
    let mut lone = Lone::prepare(program, planted(&coins))?;
    lone.configure("slot_ms", 5)?;
    lone.start().await?;
    lone.furnish(EPSILON, Mode::Protect).await?;
    let ada = lone.client(3).await?;
    let asks = [
        ask("main", MAIN, NANO).times(size.releases),
        ask("reference", REFERENCE, NANO).times(size.references),
        ask("halves", HALVES, UNEVEN).times(size.halves),
    ];
    let node = Node {
        study: approved(&lone, &ada, &asks).await?,
        name: lone.institution()?.name,
        ada,
    };
    progress.set_length(u64::from(size.releases + size.references + size.halves));
    let mut seen = Seen::default();
    for run in 1..=size.releases {
        let mut reference = None;
        if run <= size.references {
            let release = node.run("reference", run).await?;
            seen.check(&release);
            reference = Some(View::of(&release, |_| 1.0)?);
            progress.inc(1);
        }
        let release = node.run("main", run).await?;
        seen.check(&release);
        seen.price = release.release().price.as_f64();
        seen.main(&View::of(&release, |_| 1.0)?, &coins, reference.as_ref());
        progress.inc(1);
    }
    for run in 1..=size.halves {
        let release = node.run("halves", run).await?;
        seen.check(&release);
        // Whoever is known has the one row in the first half.
        let view = View::of(&release, |cell| f64::from(cell % 2 == 0))?;
        for (pair, coin) in view.pairs().into_iter().zip(&coins) {
            seen.halves.note(*coin, pair * view.sigma_rows);
        }
        progress.inc(1);
    }
    lone.stop().await?;
    Ok(seen.report(size, &seed))
}
