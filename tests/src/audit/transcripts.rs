//! Whole transcripts: an adversary uses a limit up and beyond, by adaptive questions, rewritten
//! texts, retries, races, kills and two identities, and then guesses from everything who was there.
//!
//! A run has as many people with coins as groups, and the adversary plays a game of its own
//! against each: in which questions a group is asked follows from what was answered about this
//! group, and the noise of groups is independent, so the games are independent transcripts of
//! adaptive adversaries. The statistic is fixed beforehand: the sum of the log-likelihood ratios of
//! all numbers, with those "there" above 0. It is taken in two ways: over the questions in which a
//! correct accountant has the person take part (*within*), and over all of them (*all*), which
//! finds an accountant that lets people take part for longer.
//!
//! Gaussian mechanisms under a filter on the sum of their squares are Gaussian differentially
//! private with that sum, also if chosen adaptively (Smith and Thakurta 2022), so that the error
//! rates bound the rho of everything together.

mod adversary;
mod node;

use std::path::Path;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use obscura_client::model::exposure::{Delta, Limit as Promise, Mode};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tokio::task::JoinSet;

use self::adversary::{Adversary, Game};
use self::node::Played;
use super::bounds::Errors;
use super::{ALARM, Limit, Report, seed, shown};

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Nodes, side by side; every other one in strict mode.
    pub runs: u32,
    /// People with coins in each run: half of them are there.
    pub people: u32,
    /// Questions of each run. In protect mode six times as many as fit the limit, in strict mode
    /// nine in ten fit.
    pub questions: u32,
    /// Kills of the process in each run.
    pub kills: u32,
    /// The share of the limit's rho that the bound must reach, at a confidence of 95 %.
    pub tight: f64,
}

impl Size {
    /// A thousand questions; about a thousand transcripts in each world and mode.
    pub const FULL: Self = Self {
        runs: 4,
        people: 1_000,
        questions: 1_000,
        kills: 20,
        tight: 0.6,
    };
    /// With every run of the tests, in protect mode.
    pub const SMALL: Self = Self {
        runs: 1,
        people: 600,
        questions: 60,
        kills: 2,
        tight: 0.35,
    };
}

/// The rho of everything is about 2 at this limit, where guesses are worth most.
pub(super) const EPSILON: f64 = 12.0;
/// The delta of the limit.
pub(super) const DELTA: f64 = 1e-6;

/// What all runs saw.
#[derive(Default)]
struct Seen {
    within: Errors,
    all: Errors,
    strict: Errors,
    played: Vec<Played>,
}

impl Seen {
    fn guesses(&mut self, mode: Mode, games: &[Game], coins: &[bool]) {
        for (game, coin) in games.iter().zip(coins) {
            match mode {
                Mode::Protect => {
                    self.within.note(*coin, game.within > 0.0);
                    self.all.note(*coin, game.all > 0.0);
                }
                Mode::Strict => self.strict.note(*coin, game.all > 0.0),
            }
        }
    }

    fn sum(&self, of: impl Fn(&Played) -> u64) -> f64 {
        self.played.iter().map(of).sum::<u64>() as f64
    }

    fn report(&self, size: Size, seed: &[u8; 32]) -> Result<Report> {
        let promise = Promise::new(EPSILON, Delta::new(DELTA)?)?;
        let rho = promise.rho().as_f64();
        let mut report = Report::new("transcripts");
        report.lists.insert("seed".to_owned(), shown(seed).into());
        report.add("rho", rho, Limit::None, "rho of the limit");
        let mut attacks = vec![
            ("within", "as far as people take part", self.within),
            ("all", "all answers", self.all),
        ];
        if self.strict != Errors::default() {
            attacks.push(("strict", "all answers in strict mode", self.strict));
        }
        let alarm = ALARM / attacks.len() as f64;
        for (name, what, errors) in &attacks {
            let [with, without] = [errors.misses.of, errors.false_alarms.of];
            let numbers = format!("rho, most likely, of {with} and {without} transcripts: {what}");
            report.add(
                &format!("{name}_likely"),
                errors.rho(),
                Limit::None,
                &numbers,
            );
            let bound = errors.rho_at_least(alarm);
            let what = "rho at least: 1 in a million to be wrong";
            report.add(&format!("{name}_at_least"), bound, Limit::AtMost(rho), what);
        }
        let share = self.within.rho_at_least(0.05) / rho;
        let what = "of the limit is reached, at a confidence of 95 %";
        report.add("share", share, Limit::AtLeast(size.tight), what);
        let none = Limit::AtMost(0.0);
        type Sum = fn(&Played) -> u64;
        let sums: [(&str, Sum, Limit, &str); 9] = [
            (
                "answers",
                |p| p.answers,
                Limit::None,
                "different requests with an answer",
            ),
            (
                "refused",
                |p| p.refused,
                Limit::None,
                "refused for lack of room",
            ),
            (
                "again",
                |p| p.again,
                Limit::None,
                "the same request again, answered",
            ),
            ("kills", |p| p.kills, Limit::None, "kills of the process"),
            (
                "second",
                |p| p.second,
                none,
                "second answers to one request",
            ),
            (
                "uncovered",
                |p| p.uncovered,
                none,
                "prices that do not cover their noise",
            ),
            (
                "unmetered",
                |p| p.unmetered,
                none,
                "billionths that the meter is off the prices",
            ),
            (
                "returned",
                |p| p.returned,
                none,
                "billionths of a failed release that were given back",
            ),
            (
                "beyond",
                |p| p.beyond,
                none,
                "billionths beyond the limit in strict mode",
            ),
        ];
        for (name, of, limit, what) in sums {
            report.add(name, self.sum(of), limit, what);
        }
        Ok(report)
    }
}

/// Plays against nodes in processes of their own; `program` is `node-under-test`.
///
/// # Errors
///
/// If a step fails.
pub async fn measure(program: &Path, size: Size, progress: &ProgressBar) -> Result<Report> {
    let seed = seed()?;
    let mut random = ChaCha20Rng::from_seed(seed);
    progress.set_length(u64::from(size.runs * size.questions));
    // Nodes wait for slots most of the time, so they do it side by side.
    let mut runs = JoinSet::new();
    for run in 0..size.runs {
        let coins: Vec<bool> = (0..size.people).map(|_| random.random_bool(0.5)).collect();
        let mode = if run % 2 == 0 {
            Mode::Protect
        } else {
            Mode::Strict
        };
        let fit = match mode {
            Mode::Protect => size.questions / 6,
            Mode::Strict => size.questions * 9 / 10,
        };
        let rho = Promise::new(EPSILON, Delta::new(DELTA)?)?.rho().nano();
        let price = rho.checked_div(u64::from(fit));
        let price = price.context("too few questions")?;
        let mut adversary = Adversary::new(size, price, &mut random);
        let (program, progress) = (program.to_owned(), progress.clone());
        runs.spawn(async move {
            let of = (mode, coins.as_slice());
            let played = node::play(&program, of, &mut adversary, &progress).await;
            (mode, coins, adversary, played)
        });
    }
    let mut seen = Seen::default();
    while let Some(run) = runs.join_next().await {
        let (mode, coins, adversary, played) = run?;
        seen.guesses(mode, adversary.games(), &coins);
        seen.played.push(played?);
    }
    seen.report(size, &seed)
}
