//! Random questions to two datasets that differ in one subject: everything but the noise must be
//! equal, and what the subject adds before the noise must be as small as was priced.
//!
//! The questions come from [`grammar`]; a text outside the language must be refused before any
//! row is looked at. `differential N [SEED]` goes on until N of each kind were compared or refused.

pub mod grammar;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context as _, Result, bail, ensure};
use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::codelist::CodeLists;
use obscura_model::exposure::{Delta, NANO, Rho};
use obscura_model::text::SqlText;
use obscura_query::{PlanOptions, PrivatePlan, Refusal, ValidatedQuery};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

use grammar::Grammar;
use world::{Side, World};

/// Questions to one pair of datasets.
const PER_WORLD: u32 = 25;
/// The longest refusal, in bytes.
const LONGEST_REFUSAL: usize = 1_000;
/// The largest minimum cell size that is tried.
const MOST_MINIMUM: u32 = 20;
/// The step of slots.
const STEP: u64 = 20;
/// Of so many questions of the grammar at most one may be over a public limit.
const OVER_LIMITS: u32 = 5;

/// What a run saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Questions of the grammar that were planned, folded on both sides and compared.
    pub compared: u32,
    /// Of them with a subject that added something.
    pub with_difference: u32,
    /// Questions of the grammar that a public limit refused (bounds, size, noise).
    pub over_limits: u32,
    /// Changed texts that were refused.
    pub refused: u32,
    /// Changed texts that were still questions; compared like the others.
    pub still_valid: u32,
    /// Forbidden constructs, all refused.
    pub forbidden: u32,
}

/// Asks until `questions` random valid questions were compared on both sides, and as many texts
/// refused that are changed or forbidden. What is over a public limit, and what was changed and is
/// still a question, is counted by itself and takes nobody's place.
///
/// # Errors
///
/// At the first question for which something does not hold; the error has its text.
pub fn run(questions: u32, seed: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    for number in 0.. {
        let world_seed = seed.wrapping_add(number * u64::from(PER_WORLD));
        let mut rng = ChaCha20Rng::seed_from_u64(world_seed);
        let world = World::random(&mut rng)?;
        for _ in 0..PER_WORLD {
            let wanted = [
                figures.compared < questions,
                figures.refused + figures.forbidden < questions,
            ];
            if wanted == [false; 2] {
                return Ok(figures);
            }
            one(&world, &mut rng, wanted, &mut figures)
                .with_context(|| format!("in the world of seed {world_seed}"))?;
        }
        ensure!(
            figures.over_limits <= figures.compared / (OVER_LIMITS - 1) + 5,
            "the grammar makes too many questions that are refused: {figures:?}"
        );
    }
    Ok(figures)
}

/// One question of the grammar if one is wanted, and one that is changed or forbidden.
fn one(
    world: &World,
    rng: &mut ChaCha20Rng,
    [valid, invalid]: [bool; 2],
    figures: &mut Figures,
) -> Result<()> {
    let text = Grammar::new(rng, &world.list).question();
    if valid && ask(world, rng, &text, figures)? {
        figures.compared += 1;
    } else if valid {
        figures.over_limits += 1;
    }
    if !invalid {
        return Ok(());
    }
    if rng.random_ratio(1, 4) {
        let text = Grammar::new(rng, &world.list).forbidden();
        let valid = ask(world, rng, &text, figures)?;
        ensure!(!valid, "this was not refused: {text}");
        figures.forbidden += 1;
        return Ok(());
    }
    let changed = grammar::changed(&text, rng);
    if ask(world, rng, &changed, figures)? {
        figures.still_valid += 1;
    } else {
        figures.refused += 1;
    }
    Ok(())
}

/// Whether the text is a question; if it is, everything was compared.
fn ask(world: &World, rng: &mut ChaCha20Rng, text: &str, figures: &mut Figures) -> Result<bool> {
    let asked = accuracy(rng)?;
    let options = options(rng);
    let noise = rng.random();
    let question = || match plans(world, text, &asked, &options)? {
        None => Ok(None),
        Some(plans) => compare(world, plans, noise).map(Some),
    };
    match catch_unwind(AssertUnwindSafe(question)) {
        Err(_) => bail!("a panic at: {text} with {options:?}"),
        Ok(Err(error)) => Err(error.context(format!("at: {text} with {options:?}"))),
        Ok(Ok(None)) => Ok(false),
        Ok(Ok(Some(added))) => {
            figures.with_difference += u32::from(added);
            Ok(true)
        }
    }
}

fn accuracy(rng: &mut ChaCha20Rng) -> Result<AccuracyRequest> {
    let nano = rng.random_range(2_000_000..200_000_000);
    let way = match rng.random_range(0..3) {
        0 => Accuracy::Epsilon(rng.random_range(0.1..2.0)),
        _ => Accuracy::Price(Rho::from_nano(nano)),
    };
    Ok(AccuracyRequest::whole(way)?)
}

/// Half of the releases have none of what may be released beside the question.
fn options(rng: &mut ChaCha20Rng) -> PlanOptions {
    if rng.random() {
        return PlanOptions::default();
    }
    PlanOptions {
        coverage: rng.random(),
        count_clipped: rng.random(),
        minimum_cell: rng
            .random::<bool>()
            .then(|| rng.random_range(1..=MOST_MINIMUM)),
    }
}

/// The plan on both sides, or nothing if the text is refused: on both sides with the same words,
/// and with a place that lies in the text.
fn plans(
    world: &World,
    text: &str,
    asked: &AccuracyRequest,
    options: &PlanOptions,
) -> Result<Option<[PrivatePlan; 2]>> {
    let Ok(sql) = SqlText::new(text) else {
        return Ok(None);
    };
    let plan = |side: &Side| plan(side, &world.lists, &sql, asked, options);
    match (plan(&world.with)?, plan(&world.without)?) {
        (Ok(with), Ok(without)) => Ok(Some([with, without])),
        (Err(with), Err(without)) => {
            ensure!(with == without, "refused differently: {with} / {without}");
            placed(&with, text)?;
            Ok(None)
        }
        _ => bail!("refused on one side only"),
    }
}

fn plan(
    side: &Side,
    lists: &CodeLists,
    sql: &SqlText,
    asked: &AccuracyRequest,
    options: &PlanOptions,
) -> Result<Result<PrivatePlan, Refusal>> {
    let (description, delta) = (&side.description, Delta::new(1e-6)?);
    let parse = |sql: &SqlText| ValidatedQuery::parse(sql, description, lists);
    let query = match parse(sql) {
        Ok(query) => query,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let canonical = query.canonical();
    let again = parse(&SqlText::new(&canonical)?);
    ensure!(
        again.as_ref() == Ok(&query),
        "another meaning as {canonical}: {again:?}"
    );
    Ok(query.plan(
        description,
        asked,
        Some(Rho::from_nano(1_000_000)),
        delta,
        options,
    ))
}

fn placed(refusal: &Refusal, text: &str) -> Result<()> {
    let said = refusal.to_string();
    ensure!(
        said.len() <= LONGEST_REFUSAL,
        "{} bytes: {said}",
        said.len()
    );
    let (Some(line), Some(column)) = (refusal.line, refusal.column) else {
        ensure!(refusal.line == refusal.column, "half a place: {said}");
        return Ok(());
    };
    let found = line
        .checked_sub(1)
        .and_then(|l| text.split('\n').nth(l as usize));
    let length = found.map_or(0, |l| l.chars().count() + 1);
    ensure!(
        (1..=length).contains(&(column as usize)),
        "a place outside the text: {said}"
    );
    Ok(())
}

/// Runs both plans and compares all that can be seen; then what only a test can see. Says whether
/// the subject added anything.
fn compare(world: &World, plans: [PrivatePlan; 2], noise: [u8; 32]) -> Result<bool> {
    let [mine, other] = plans;
    ensure!(mine == other, "two plans of one text");
    ensure!(mine.digest() == other.digest() && mine.canonical() == other.canonical());
    ensure!(mine.slot(STEP) == other.slot(STEP), "two slots");
    let (shape, price) = (mine.shape().clone(), mine.price());
    let with = world.release(&world.with, mine, noise)?;
    let without = world.release(&world.without, other, noise.map(|byte| byte ^ 0x5a))?;
    ensure!(
        with.message.len() == without.message.len(),
        "messages of two lengths"
    );
    // What only a test can see.
    let mut least = 0u128;
    let mut added = false;
    let exact = with.exact.iter().zip(&without.exact);
    for (vector, (with, without)) in shape.vectors.iter().zip(exact) {
        let length = vector.length(shape.cells()).context("too many numbers")?;
        ensure!(with.len() == length && without.len() == length);
        let difference = with.iter().zip(without).map(|(a, b)| a.abs_diff(*b));
        let norm: u128 = difference.map(|d| u128::from(d).pow(2)).sum();
        ensure!(
            norm <= vector.clip_squared,
            "'{}': {norm} apart and {} were claimed",
            vector.what,
            vector.clip_squared
        );
        let sigma = u128::from(vector.sigma);
        least += (norm * u128::from(NANO)).div_ceil(2 * sigma * sigma);
        added |= norm > 0;
    }
    let (mut mine, others): (Vec<_>, Vec<_>) = with
        .charges
        .iter()
        .partition(|(subject, _)| *subject == world.subject);
    let without: Vec<_> = without.charges.to_vec();
    ensure!(others == without, "somebody else's charge is another");
    let charge = mine.pop().map_or(0, |(_, nano)| nano);
    ensure!(u128::from(charge) >= least, "{charge} charged for {least}");
    ensure!(
        charge <= price.nano(),
        "{charge} charged above the price of {}",
        price.nano()
    );
    let exposure = world
        .exposures
        .get(world.subject as usize)
        .copied()
        .unwrap_or(0);
    ensure!(
        exposure + charge <= world.limit.nano(),
        "the limit was passed"
    );
    Ok(added)
}
