//! Public slot lengths: how long a release takes, from its plan and declared sizes alone.

use obscura_model::answer::{MOST_VALUES, VectorShape};

/// The longest worst case that is admitted, in milliseconds.
pub const LONGEST_MILLIS: u64 = 60_000;

/// Reading one row, adding it, and its subject's share of the commit. Measured: 6 to 16
/// nanoseconds a row for the fold, 70 more for each subject.
const NANOS_PER_ROW: u64 = 300;

/// One operator of the query's expressions on one row.
const NANOS_PER_OPERATOR: u64 = 10;

/// Taking a row's value for one vector and adding it to the subject's, beside evaluating it.
const NANOS_PER_VECTOR: u64 = 20;

/// Moving a thousand of the subject's places in a vector to make room for one between them.
const NANOS_PER_THOUSAND_PLACES: u64 = 2_000;

/// One noise sample of sigma 1, and more for every doubling of sigma (arXiv 2112.05307). Measured
/// means are 8 to 45 microseconds; single samples took up to five times as long.
const NANOS_PER_SAMPLE: u64 = 100_000;
const NANOS_PER_SAMPLE_BIT: u64 = 4_000;

/// Finding and merging one key of one subject, beside its noise. Measured with a million keys: 3.2
/// microseconds to find and 0.9 to merge.
const NANOS_PER_KEY: u64 = 9_000;

/// The most bytes of a table of keys that are found in the rows.
const MOST_KEY_BYTES: u64 = 1 << 29;

/// A row of that table beside its label and its numbers.
const KEY_BYTES: u64 = 128;

/// Start of the fold, flush of the commit.
const NANOS_PER_RELEASE: u64 = 10_000_000;

/// A plan whose worst case is over the limits. Public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Over [`LONGEST_MILLIS`].
    #[error(
        "the release could take longer than {} seconds: use fewer groups or outputs",
        LONGEST_MILLIS / 1000
    )]
    TooLong,
    /// So many keys could be found in the rows that time or memory would not do.
    #[error(
        "so many different keys could occur that the release could take too long or too much \
         memory: the dataset is too large for keys that are not declared; group by declared values"
    )]
    TooManyKeys,
    /// Over [`MOST_VALUES`].
    #[error("the release has more than {MOST_VALUES} numbers: use fewer groups or outputs")]
    TooLarge,
}

/// What the rows of a plan take: all of it from the plan and declared sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowWork {
    /// The most rows over all steps: the declared most subjects times the most rows of each.
    pub rows: u64,
    /// The most rows of one subject that are added, each to at most one place of a vector.
    pub most_of_one: u32,
    /// The operators that are evaluated on each row.
    pub operators: u64,
}

/// What finding keys in the rows adds to a plan: all of it from declared sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyWork {
    /// The most keys that all subjects together can support: the index capacity times the keys of
    /// one person. Every one of them draws noise of the gate's sigma.
    pub keys: u64,
    /// The gate's sigma, in grid steps.
    pub gate_sigma: u64,
    /// The most bytes of a label.
    pub label_bytes: u64,
    /// The numbers of one key: the parts of all vectors that have some for each key.
    pub numbers: u64,
}

impl KeyWork {
    /// What it takes of time in the worst case, in milliseconds rounded up, or why it may not.
    fn millis(&self) -> Result<u64, SlotError> {
        let row = self.numbers.checked_mul(8);
        let row = row.and_then(|b| b.checked_add(self.label_bytes)?.checked_add(KEY_BYTES));
        let bytes = row.and_then(|b| b.checked_mul(self.keys));
        if bytes.is_none_or(|bytes| bytes > MOST_KEY_BYTES) {
            return Err(SlotError::TooManyKeys);
        }
        let each = sample_nanos(self.gate_sigma) + NANOS_PER_KEY;
        let nanos = self.keys.checked_mul(each).ok_or(SlotError::TooManyKeys)?;
        Ok(nanos.div_ceil(1_000_000))
    }
}

/// The slot of a plan whose keys are found in the rows; otherwise as [`slot`].
pub fn slot_with_keys(
    cells: usize,
    vectors: &[VectorShape],
    work: &RowWork,
    keys: &KeyWork,
    step_millis: u64,
) -> Result<u64, SlotError> {
    let rest = slot(cells, vectors, work, 1)?;
    let millis = keys.millis()?.checked_add(rest);
    match millis.filter(|millis| *millis <= LONGEST_MILLIS) {
        Some(millis) => Ok(millis.next_multiple_of(step_millis.clamp(1, LONGEST_MILLIS))),
        None => Err(SlotError::TooManyKeys),
    }
}

fn sample_nanos(sigma: u64) -> u64 {
    let bits = u64::from(sigma.checked_ilog2().unwrap_or(0));
    NANOS_PER_SAMPLE + bits * NANOS_PER_SAMPLE_BIT
}

/// The slot of a plan in milliseconds: a multiple of `step_millis`, long enough for nearly every
/// run.
///
/// `cells` is the number of cells of the answer. Nothing here depends on data.
pub fn slot(
    cells: usize,
    vectors: &[VectorShape],
    work: &RowWork,
    step_millis: u64,
) -> Result<u64, SlotError> {
    let lengths: Option<Vec<u64>> = vectors.iter().map(|v| length(v, cells)).collect();
    let lengths = lengths.ok_or(SlotError::TooLarge)?;
    let values = lengths.iter().try_fold(0u64, |sum, l| sum.checked_add(*l));
    if values.is_none_or(|values| values > MOST_VALUES) {
        return Err(SlotError::TooLarge);
    }
    let nanos = worst_nanos(&lengths, vectors, work).ok_or(SlotError::TooLong)?;
    let millis = nanos.div_ceil(1_000_000);
    if millis > LONGEST_MILLIS {
        return Err(SlotError::TooLong);
    }
    Ok(millis.next_multiple_of(step_millis.clamp(1, LONGEST_MILLIS)))
}

fn length(vector: &VectorShape, cells: usize) -> Option<u64> {
    u64::try_from(vector.length(cells)?).ok()
}

/// Adding one row to a vector of this length: a subject's places are kept in order.
fn added_nanos(length: u64, most_of_one: u32) -> Option<u64> {
    let places = length.min(most_of_one.into());
    let moved = places.checked_mul(NANOS_PER_THOUSAND_PLACES)?;
    moved.div_ceil(1_000).checked_add(NANOS_PER_VECTOR)
}

fn worst_nanos(lengths: &[u64], vectors: &[VectorShape], work: &RowWork) -> Option<u64> {
    let operators = work.operators.checked_mul(NANOS_PER_OPERATOR)?;
    let added = lengths.iter().try_fold(0u64, |sum, length| {
        sum.checked_add(added_nanos(*length, work.most_of_one)?)
    })?;
    let row = operators.checked_add(NANOS_PER_ROW)?.checked_add(added)?;
    let rows = work.rows.checked_mul(row)?;
    let noise = vectors
        .iter()
        .zip(lengths)
        .try_fold(0u64, |sum, (vector, length)| {
            sum.checked_add(sample_nanos(vector.sigma).checked_mul(*length)?)
        })?;
    rows.checked_add(noise)?.checked_add(NANOS_PER_RELEASE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP: u64 = 20;

    fn vectors(count: usize, sigma: u64) -> Vec<VectorShape> {
        let vector = VectorShape {
            what: "rows".into(),
            step_exponent: 0,
            clip_squared: 1,
            sigma,
            parts: 1,
            grouped: true,
        };
        vec![vector; count]
    }

    fn work(rows: u64, operators: u64) -> RowWork {
        RowWork {
            rows,
            most_of_one: 5,
            operators,
        }
    }

    #[test]
    fn a_small_study_has_a_slot_of_one_or_two_steps() {
        // Two vectors in four cells, 2,000 people with at most five rows.
        assert_eq!(slot(4, &vectors(2, 11_449), &work(10_000, 3), STEP), Ok(20));
        assert_eq!(slot(4, &vectors(2, 11_449), &work(30_000, 3), STEP), Ok(40));
    }

    #[test]
    fn plans_whose_worst_case_is_over_the_limits_are_refused() {
        let refused = |cells, count, rows, operators| {
            slot(cells, &vectors(count, 1), &work(rows, operators), STEP).unwrap_err()
        };
        assert_eq!(refused(100_001, 1, 1, 1), SlotError::TooLarge);
        assert_eq!(refused(10_000, 11, 1, 1), SlotError::TooLarge);
        assert_eq!(refused(usize::MAX, 2, 1, 1), SlotError::TooLarge);
        assert_eq!(refused(1, 1, 10_000_000, 1_000), SlotError::TooLong);
        assert_eq!(refused(1, 1, u64::MAX, u64::MAX), SlotError::TooLong);
    }

    #[test]
    fn every_vector_and_its_places_take_time_on_every_row() {
        let slot = |count, most_of_one| {
            let work = RowWork {
                most_of_one,
                ..work(1_000_000, 0)
            };
            slot(1_000, &vectors(count, 1), &work, 1).unwrap()
        };
        // 1,000 samples of 0.1 milliseconds each beside.
        assert_eq!(slot(2, 1) - slot(1, 1), 100 + 22);
        assert_eq!(slot(2, 500) - slot(1, 500), 100 + 20 + 1_000);
        assert_eq!(
            slot(2, 9_999) - slot(2, 1_000),
            0,
            "no more places than numbers"
        );
    }

    #[test]
    fn parts_count_as_numbers_and_what_is_of_the_whole_release_counts_once() {
        let mut tree = vectors(1, 1);
        tree[0].parts = 256;
        assert_eq!(
            slot(391, &tree, &work(1, 1), STEP),
            Err(SlotError::TooLarge)
        );
        let one = slot(1, &tree, &work(1, 1), STEP).unwrap();
        tree[0].grouped = false;
        assert_eq!(slot(391, &tree, &work(1, 1), STEP), Ok(one));
    }

    #[test]
    fn keys_in_the_rows_take_the_time_of_as_many_as_there_could_be() {
        let found = |keys| KeyWork {
            keys,
            gate_sigma: 1024,
            label_bytes: 160,
            numbers: 2,
        };
        let slot =
            |keys| slot_with_keys(4, &vectors(2, 1024), &work(10_000, 3), &found(keys), STEP);
        // 140 microseconds of noise and 9 for the rest, 10,000 times, and 15 milliseconds besides.
        assert_eq!(slot(10_000), Ok(1_520));
        assert_eq!(slot(1_000_000), Err(SlotError::TooManyKeys), "too long");
        let mut wide = found(100_000);
        wide.numbers = 1_000;
        assert_eq!(
            wide.millis(),
            Err(SlotError::TooManyKeys),
            "too much memory"
        );
        assert_eq!(slot(u64::MAX), Err(SlotError::TooManyKeys));
    }

    #[test]
    fn every_number_and_every_bit_of_its_noise_takes_time() {
        let slot = |cells, sigma| slot(cells, &vectors(1, sigma), &work(1, 1), 1).unwrap();
        assert!(slot(10_000, 1 << 10) >= 9 * slot(1_000, 1 << 10));
        assert!(slot(1_000, 1 << 40) > slot(1_000, 1 << 10));
    }

    #[test]
    fn a_step_of_zero_or_of_hours_is_no_fault() {
        assert_eq!(slot(1, &vectors(1, 1), &work(1, 1), 0), Ok(11));
        assert_eq!(
            slot(1, &vectors(1, 1), &work(1, 1), u64::MAX),
            Ok(LONGEST_MILLIS)
        );
    }

    proptest! {
        #[test]
        fn a_slot_is_a_multiple_of_the_step_and_never_shorter_for_more_work(
            cells in 1usize..2_000, count in 1usize..8, rows in 0u64..10_000_000,
            operators in 0u64..100, sigma in 1u64.., step in 1u64..100,
            more in (0usize..50, 0u64..1_000, 0u64..5, 0u32..100),
        ) {
            let less = slot(cells, &vectors(count, sigma), &work(rows, operators), step);
            let more = slot(
                cells + more.0,
                &vectors(count, sigma),
                &RowWork { most_of_one: 5 + more.3, ..work(rows + more.1, operators + more.2) },
                step,
            );
            if let (Ok(less), Ok(more)) = (less, more) {
                prop_assert!(less > 0 && less % step == 0 && less <= more);
            } else {
                prop_assert!(more.is_err());
            }
        }
    }
}
