//! Whether a plan's exact sums fit the accumulator, whatever the data are.

/// Sums stay below this in absolute value; what is left of 64 bits is headroom for noise.
pub const LARGEST_SUM: u128 = 1 << 62;

/// Whether sums of at most `rows` rows of each of `capacity` subjects fit, with each row adding
/// at most `per_row_bound_grid` grid steps in absolute value. `capacity` is the index capacity: an
/// upper end for all subjects that will ever be in the population, not a count.
#[must_use]
pub fn fits(per_row_bound_grid: u64, rows: u32, capacity: u64) -> bool {
    let subject = u128::from(per_row_bound_grid) * u128::from(rows);
    subject
        .checked_mul(u128::from(capacity))
        .is_some_and(|sum| sum < LARGEST_SUM)
}

/// Whether sums of `capacity` subjects fit, each clipped to the square root of `clip_squared`
/// grid steps. Follows from [`fits`] for every plan whose clip norm is at most bound times rows.
#[must_use]
pub fn norm_fits(clip_squared: u128, capacity: u64) -> bool {
    let root = clip_squared.isqrt();
    let longest = if root * root < clip_squared {
        root + 1
    } else {
        root
    };
    longest
        .checked_mul(u128::from(capacity))
        .is_some_and(|sum| sum < LARGEST_SUM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sums_that_could_reach_the_end_are_refused() {
        assert!(fits(1 << 21, 10, 1_000_000));
        assert!(!fits(1 << 62, 1, 1));
        assert!(fits((1 << 62) - 1, 1, 1));
        assert!(!fits(u64::MAX, u32::MAX, u64::MAX));
        assert!(!norm_fits(u128::MAX, u64::MAX));
        assert!(norm_fits(u128::MAX, 0));
    }

    proptest! {
        #[test]
        fn a_plan_that_fits_by_rows_fits_by_norm(
            bound in 0u64..1 << 40, rows in 0u32..10_000, capacity in 0u64..1 << 33,
        ) {
            let norm = u128::from(bound) * u128::from(rows);
            prop_assert_eq!(norm_fits(norm * norm, capacity), fits(bound, rows, capacity));
        }
    }
}
