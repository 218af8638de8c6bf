//! What the adversary asks, and what it makes of the answers.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use obscura_client::model::exposure::{Delta, Limit};
use obscura_client::model::release::Release;
use rand::RngExt as _;
use rand_chacha::ChaCha20Rng;

use super::{DELTA, EPSILON, Size};

/// The game against one person.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Game {
    /// The sum over the questions in which a correct accountant has the person take part.
    pub(super) within: f64,
    /// The sum over all questions in which the group was asked.
    pub(super) all: f64,
    /// Answers so far.
    taken: u64,
    /// What the last answer said.
    last: f64,
}

/// How one question is put.
#[derive(Debug, Clone)]
pub(super) struct Move {
    /// The text.
    pub(super) sql: String,
    /// Groups that are not asked this time.
    skipped: Vec<bool>,
    /// Whether ada asks, or bob.
    pub(super) ada: bool,
    /// How the request is made.
    pub(super) way: Way,
}

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Once.
    Plainly,
    /// And the same bytes again afterwards.
    Again,
    /// Four times at once.
    Racing,
    /// And the process is killed when the release has begun; then the same request again.
    Killed,
}

/// The adversary of one run.
pub(super) struct Adversary {
    games: Vec<Game>,
    moves: Vec<(bool, Way, usize)>,
    /// How often somebody takes part if the accountant is right.
    fits: u64,
    price: u64,
}

/// The same question in different words. (Outputs keep their order.)
const FROM: [&str; 3] = ["FROM sought", "FROM sought AS s", "from  SOUGHT"];

impl Adversary {
    /// Draws what does not depend on answers.
    pub(super) fn new(size: Size, price: u64, random: &mut ChaCha20Rng) -> Self {
        let every = size.questions / (size.kills + 1);
        let one = |number: u32, random: &mut ChaCha20Rng| {
            let way = match number {
                n if n % every.max(1) == every / 2 && n / every.max(1) < size.kills => Way::Killed,
                _ if random.random_bool(0.15) => Way::Again,
                _ if random.random_bool(0.1) => Way::Racing,
                _ => Way::Plainly,
            };
            (
                random.random_bool(0.5),
                way,
                random.random_range(0..FROM.len()),
            )
        };
        let limit = Delta::new(DELTA)
            .ok()
            .and_then(|d| Limit::new(EPSILON, d).ok());
        let rho = limit.map_or(0, |limit| limit.rho().nano());
        Self {
            games: vec![Game::default(); size.people as usize],
            moves: (0..size.questions).map(|n| one(n, random)).collect(),
            fits: rho / price.max(1),
            price,
        }
    }

    /// How many questions there will be.
    pub(super) fn questions(&self) -> usize {
        self.moves.len()
    }

    /// The price of each.
    pub(super) fn price(&self) -> u64 {
        self.price
    }

    pub(super) fn games(&self) -> &[Game] {
        &self.games
    }

    /// The next question: a group whose last answer spoke for the person is let rest every other
    /// time, and one that seems decided every fourth.
    pub(super) fn ask(&self, number: usize) -> Result<Move> {
        let (ada, way, words) = *self.moves.get(number).context("no move")?;
        let rests = |game: &Game| {
            (game.last > 0.0 && number % 2 == 1)
                || (game.within.abs() > 4.0 && number.is_multiple_of(4))
        };
        let skipped: Vec<bool> = self.games.iter().map(rests).collect();
        let mut list = String::new();
        for group in (0..skipped.len()).filter(|g| skipped.get(*g) == Some(&true)) {
            // Writing to a String cannot fail.
            let _ = write!(list, "{}{group}", if list.is_empty() { "" } else { ", " });
        }
        let from = FROM.get(words).context("no words")?;
        let place = if list.is_empty() {
            String::new()
        } else {
            format!(" WHERE grp NOT IN ({list})")
        };
        let sql = format!(
            "SELECT grp, COUNT(*) AS a, COUNT(DISTINCT person) AS b, SUM(x) AS c {from}{place} \
             GROUP BY grp"
        );
        Ok(Move {
            sql,
            skipped,
            ada,
            way,
        })
    }

    /// Takes an answer in: for every group that was asked the log-likelihood ratio of its numbers,
    /// with the person who adds the clip norm to each vector against nobody.
    pub(super) fn learn(&mut self, asked: &Move, release: &Release) -> Result<()> {
        let answer = &release.answer;
        let vectors = &answer.shape().vectors;
        ensure!(vectors.len() == 3, "three vectors were asked for");
        let asked = self.games.iter_mut().zip(&asked.skipped).enumerate();
        for (group, (game, skipped)) in asked {
            if *skipped {
                continue;
            }
            let mut ratio = 0.0;
            for (vector, values) in vectors.iter().zip(answer.values()) {
                let value = *values.get(group).context("no number")? as f64;
                let (clip, sigma) = ((vector.clip_squared as f64).sqrt(), vector.sigma as f64);
                ratio += clip * (value - clip / 2.0) / (sigma * sigma);
            }
            game.taken += 1;
            game.last = ratio;
            game.all += ratio;
            if game.taken <= self.fits {
                game.within += ratio;
            }
        }
        Ok(())
    }
}
