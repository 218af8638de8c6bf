//! Mock rows, made from a description alone.
//!
//! A type of its own: nothing that makes or queries mock rows can be handed
//! [`PrivateRows`](crate::PrivateRows). The same description and seed give the same rows, bit for bit.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, StringArray};
use obscura_model::answer::{Answer, InvalidAnswer};
use obscura_model::ids::Digest;
use obscura_model::schema::{Column, Description, Domain, Table};
use obscura_privacy::{NoiseError, mock_noise};
use rand::distr::Distribution;
use rand::{CryptoRng, Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rand_distr::{Beta, Zipf};

use crate::batch::Batch;
use crate::fold::{FoldError, key_tally, tally};
use crate::plan::PrivatePlan;
use crate::runs::Runs;
use crate::source::{Desk, Source, Span};

/// The most mock subjects.
pub const MOST_SUBJECTS: u64 = 100_000;

/// About the most mock rows: with many rows per subject each gets fewer.
const ABOUT_MOST_ROWS: u64 = 1_000_000;

/// Rows that nobody's data went into.
#[derive(Clone)]
pub struct MockRows {
    description: Digest,
    /// By table.
    tables: Arc<Vec<Batch>>,
}

impl fmt::Debug for MockRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: usize = self.tables.iter().map(Batch::len).sum();
        write!(f, "MockRows({rows} rows)")
    }
}

/// What a query gives on mock rows: with and without noise, side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct MockAnswer {
    /// The sums themselves: these are mock rows.
    pub exact: Answer,
    /// The same with noise, drawn as for real rows.
    pub noisy: Answer,
}

/// A mock query that cannot run.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    /// Plan and rows were made from different descriptions.
    #[error("the mock rows were made from another description: make them again")]
    OtherDescription,
    /// The fold failed.
    #[error("the mock rows cannot be summed")]
    Fold(#[source] FoldError),
    /// The noise failed.
    #[error("the noise cannot be drawn")]
    Noise(#[source] NoiseError),
    /// The numbers do not fit the plan's shape.
    #[error("the mock answer does not fit its plan")]
    Answer(#[source] InvalidAnswer),
}

/// Makes mock rows: as many subjects as the geometric middle of the public size (at most
/// [`MOST_SUBJECTS`]), each with 1 to the declared most rows in the first table and 0 to the
/// declared most rows in the others, values within their domains, declared shares missing,
/// constant columns constant.
#[must_use]
pub fn rows(description: &Description, seed: u64) -> MockRows {
    some_columns(description, seed, |_, _| true)
}

/// The columns of [`rows`] that a plan reads, which are the same whatever else is made: a wide
/// description costs no more than what is asked of it.
#[must_use]
pub fn rows_for(plan: &PrivatePlan, description: &Description, seed: u64) -> MockRows {
    some_columns(description, seed, |table, column| {
        let needs = plan.needs().get(&table);
        needs.is_some_and(|columns| columns.contains(&column))
    })
}

fn some_columns(
    description: &Description,
    seed: u64,
    wanted: impl Fn(usize, usize) -> bool,
) -> MockRows {
    let middle = (description.fewest_subjects() as f64 * description.most_subjects() as f64).sqrt();
    let count = (middle.round() as u64).clamp(1, MOST_SUBJECTS);
    let tables = description.tables().iter().enumerate();
    let tables = tables.map(|(number, table)| {
        mock_table(table, number, count, seed, |column| wanted(number, column))
    });
    MockRows {
        description: description.digest(),
        tables: Arc::new(tables.collect()),
    }
}

/// Streams of the generator for one table: more than a table has columns.
const STREAMS: u64 = 1 << 20;

fn mock_table(
    table: &Table,
    number: usize,
    count: u64,
    seed: u64,
    wanted: impl Fn(usize) -> bool,
) -> Batch {
    // A generator for each table and each column: adding one leaves the others as they were.
    let generator = |stream: u64| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(number as u64 * STREAMS + stream);
        rng
    };
    let mut rng = generator(0);
    let most = u64::from(table.most_rows_per_subject);
    let most = most.min((2 * ABOUT_MOST_ROWS / count).max(1));
    let least = u64::from(number == 0);
    let mut subjects: Vec<u32> = Vec::new();
    for subject in 0..count as u32 {
        let rows = rng.random_range(least..=most);
        subjects.extend((0..rows).map(|_| subject));
    }
    let columns = table.columns.iter().enumerate().map(|(index, column)| {
        wanted(index).then(|| values(column, &subjects, &mut generator(index as u64 + 1)))
    });
    Batch {
        columns: columns.collect(),
        runs: Runs::of_rows(&subjects),
    }
}

/// Runs a plan on mock rows. The path is the one of real rows, from evaluation to noise; only
/// permit, exposures and charges are missing.
pub fn run<R: CryptoRng + ?Sized>(
    plan: &PrivatePlan,
    rows: &MockRows,
    rng: &mut R,
) -> Result<MockAnswer, MockError> {
    if plan.description_digest() != rows.description {
        return Err(MockError::OtherDescription);
    }
    let vectors = &plan.shape().vectors;
    if let Some(found) = key_tally(plan, rows).map_err(MockError::Fold)? {
        let (noisy, labels) = found.mock_noise(vectors, rng).map_err(MockError::Noise)?;
        let shape = plan.shape().clone().with_found(&labels);
        let shape = shape.map_err(MockError::Answer)?;
        let answer = |values| Answer::new(shape.clone(), values).map_err(MockError::Answer);
        return Ok(MockAnswer {
            exact: answer(found.sums_of(&labels))?,
            noisy: answer(noisy)?,
        });
    }
    let sums = tally(plan, rows).map_err(MockError::Fold)?.sums();
    let noisy = mock_noise(sums.clone(), vectors, rng).map_err(MockError::Noise)?;
    let answer = |values| Answer::new(plan.shape().clone(), values).map_err(MockError::Answer);
    Ok(MockAnswer {
        exact: answer(sums)?,
        noisy: answer(noisy)?,
    })
}

impl Source for MockRows {
    fn spans(&self, table: usize) -> Vec<Span> {
        let batch = self.tables.get(table);
        let subjects = batch.map_or(&[][..], |b| b.runs.subjects());
        match (subjects.first(), subjects.last()) {
            (Some(first), Some(last)) => vec![Span {
                first: *first,
                last: *last,
            }],
            _ => Vec::new(),
        }
    }

    fn load(
        &self,
        table: usize,
        _group: usize,
        columns: &BTreeSet<usize>,
        _desk: &mut Desk,
    ) -> Result<Batch, FoldError> {
        let batch = self.tables.get(table).ok_or(FoldError::Store)?;
        Ok(batch.only(|column| columns.contains(&column)))
    }
}

/// One value for each row; constant columns repeat the subject's first.
fn values(column: &Column, subjects: &[u32], rng: &mut ChaCha20Rng) -> ArrayRef {
    match &column.domain {
        Domain::Integer { lowest, highest } => {
            let (low, high) = (*lowest as f64, *highest as f64);
            let number = |rng: &mut ChaCha20Rng| skewed(low, high, rng).round_ties_even() + 0.0;
            Arc::new(Float64Array::from(drawn(column, subjects, rng, number)))
        }
        Domain::Number { lowest, highest } => {
            let number = |rng: &mut ChaCha20Rng| skewed(*lowest, *highest, rng) + 0.0;
            Arc::new(Float64Array::from(drawn(column, subjects, rng, number)))
        }
        Domain::Category { values, other: _ } => {
            let count = values.len();
            let code = |rng: &mut ChaCha20Rng| category(count, rng);
            Arc::new(Int32Array::from(drawn(column, subjects, rng, code)))
        }
        Domain::Boolean => {
            let truth = |rng: &mut ChaCha20Rng| rng.random::<f64>() < 0.3;
            Arc::new(BooleanArray::from(drawn(column, subjects, rng, truth)))
        }
        Domain::Date { first, last } => {
            let (first, last) = (f64::from(*first), f64::from(*last));
            let day = |rng: &mut ChaCha20Rng| {
                (first + rng.random::<f64>() * (last - first)).round_ties_even() + 0.0
            };
            Arc::new(Float64Array::from(drawn(column, subjects, rng, day)))
        }
        Domain::Text { most_characters } => {
            let text = |rng: &mut ChaCha20Rng| match column.keys {
                Some(keys) => invented_key(*most_characters, keys.most, rng),
                None => invented_text(*most_characters, rng),
            };
            let texts = drawn(column, subjects, rng, text);
            Arc::new(StringArray::from_iter(texts))
        }
    }
}

/// Letters without meaning.
fn invented_text(most_characters: u32, rng: &mut impl Rng) -> String {
    let length = rng.random_range(1..=most_characters.clamp(1, 24));
    let letter = |_| char::from(b'a' + rng.random_range(0..26u8));
    (0..length).map(letter).collect()
}

/// The most different invented texts that may become keys.
const MOST_INVENTED: u32 = 20;

/// One of a few texts, some of which many have: so that some pass as keys.
fn invented_key(most_characters: u32, most: u32, rng: &mut impl Rng) -> String {
    let count = most.saturating_mul(2).clamp(2, MOST_INVENTED);
    let rank = category(count as usize, rng);
    // MOST_INVENTED letters are enough.
    let letter = u8::try_from(rank).map_or('z', |rank| char::from(b'a' + rank.min(25)));
    let length = most_characters.clamp(1, 3) as usize;
    std::iter::repeat_n(letter, length).collect()
}

fn drawn<T: Clone>(
    column: &Column,
    subjects: &[u32],
    rng: &mut ChaCha20Rng,
    mut one: impl FnMut(&mut ChaCha20Rng) -> T,
) -> Vec<Option<T>> {
    let mut last: Option<(u32, Option<T>)> = None;
    let mut values = Vec::with_capacity(subjects.len());
    for subject in subjects {
        let value = match &last {
            Some((same, value)) if column.constant_per_subject && same == subject => value.clone(),
            _ => {
                let missing = rng.random::<f64>() < column.missing_share;
                let value = one(rng);
                (!missing).then_some(value)
            }
        };
        last = Some((*subject, value.clone()));
        values.push(value);
    }
    values
}

/// Skewed towards the lower end, as most counts and amounts are: a Beta(1.2, 4) over the bounds.
fn skewed(low: f64, high: f64, rng: &mut impl Rng) -> f64 {
    let share = Beta::new(1.2, 4.0).map_or(0.0, |beta| beta.sample(rng));
    // Not low + share * (high - low), which could overflow for the widest bounds.
    (low * (1.0 - share) + high * share).clamp(low, high)
}

/// Earlier entries of the list come more often: Zipf with exponent 0.7.
fn category(count: usize, rng: &mut impl Rng) -> i32 {
    let rank = Zipf::new(count as f64, 0.7).map_or(1.0, |zipf| zipf.sample(rng));
    (rank as i64 - 1).clamp(0, count.saturating_sub(1) as i64) as i32
}
