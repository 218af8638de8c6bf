//! Clipping to the public norm, in exact integers.

/// A contribution too long to measure: its squared norm is not below 2^126. Bounds that a plan
/// may have rule this out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a contribution is too large to measure")]
pub struct TooLong;

/// Squared norms stay below this, so that the arithmetic of [`to_norm`] fits 128 bits.
const LONGEST: u128 = 1 << 126;

/// Entries below this, and at most [`FEW`] of them, have squares that add to less than 2^63.
const SHORT: u64 = 1 << 28;
const FEW: usize = 1 << 7;

/// Entries as they come, measured as long as they are short: nearly all are, and this runs for each
/// subject and vector.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lengths {
    bits: u64,
    sum: u64,
}

impl Lengths {
    /// One entry more.
    #[inline]
    pub(crate) fn add(&mut self, entry: i64) {
        let length = entry.unsigned_abs();
        self.bits |= length;
        self.sum = self.sum.wrapping_add(length.wrapping_mul(length));
    }

    /// The squared norm of all `count` entries, if none was long and there were few.
    #[inline]
    pub(crate) fn norm_squared(self, count: usize) -> Option<u128> {
        (self.bits < SHORT && count <= FEW).then_some(self.sum.into())
    }
}

/// `|q|^2`.
pub fn norm_squared(q: &[i64]) -> Result<u128, TooLong> {
    let mut lengths = Lengths::default();
    q.iter().for_each(|value| lengths.add(*value));
    lengths
        .norm_squared(q.len())
        .map_or_else(|| long_norm_squared(q), Ok)
}

fn long_norm_squared(q: &[i64]) -> Result<u128, TooLong> {
    q.iter().try_fold(0u128, |sum, value| {
        let length = u128::from(value.unsigned_abs());
        // Both are below 2^127: the sum cannot wrap before it is compared.
        Some(sum + length * length)
            .filter(|&sum| sum < LONGEST)
            .ok_or(TooLong)
    })
}

/// Scales `q` to `|q|^2 <= clip_squared`, rounding towards zero, and returns the new `|q|^2`.
/// A vector within the norm stays as it is.
///
/// Otherwise each entry becomes, with its sign, the largest integer `m` with
/// `m^2 |q|^2 <= q_j^2 C^2`, which is `q_j C / |q|` without its fraction. The squares of these add
/// up to at most `C^2`, whatever the rounding. `q` holds the cells that one subject touches; the
/// others are zero and stay so.
pub fn to_norm(q: &mut [i64], clip_squared: u128) -> Result<u128, TooLong> {
    let norm = norm_squared(q)?;
    if norm <= clip_squared {
        return Ok(norm);
    }
    for value in q.iter_mut() {
        let length = u128::from(value.unsigned_abs());
        let shorter = multiply_divide(length * length, clip_squared, norm).isqrt();
        // At most the old length, so it fits; the sign of zero is zero.
        *value = value.signum() * i64::try_from(shorter).unwrap_or(0);
    }
    norm_squared(q)
}

/// `floor(part * of / whole)` without overflow, for `part <= whole < 2^126` and `of < whole`.
fn multiply_divide(part: u128, of: u128, whole: u128) -> u128 {
    if let Some(product) = part.checked_mul(of) {
        return product / whole;
    }
    // Long multiplication and division at once, one bit of `of` after the other: always
    // part * (bits so far) = quotient * whole + rest, with rest < whole.
    let (mut quotient, mut rest) = (0u128, 0u128);
    for bit in (0..u128::BITS).rev() {
        quotient <<= 1;
        rest = (rest << 1) + if of >> bit & 1 == 1 { part } else { 0 };
        while rest >= whole {
            rest -= whole;
            quotient += 1;
        }
    }
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    #[test]
    fn a_vector_within_the_norm_stays_as_it_is() {
        let mut q = [3, -4, 0];
        assert_eq!(to_norm(&mut q, 25), Ok(25));
        assert_eq!(q, [3, -4, 0]);
    }

    proptest! {
        #[test]
        fn short_vectors_are_measured_like_long_ones(
            q in prop::collection::vec((0u32..64, any::<i64>()), 0..140),
            shift in 0u32..64,
        ) {
            let q: Vec<i64> = q.iter().map(|(own, v)| v >> own.max(&shift)).collect();
            prop_assert_eq!(norm_squared(&q), long_norm_squared(&q));
        }
    }

    #[test]
    fn scaling_that_comes_out_even_is_exact() {
        let mut q = [6, -8, 0];
        assert_eq!(to_norm(&mut q, 25), Ok(25));
        assert_eq!(q, [3, -4, 0]);
        let mut q = [3];
        assert_eq!(to_norm(&mut q, 1), Ok(1));
        assert_eq!(q, [1]);
    }

    #[test]
    fn scaling_rounds_towards_zero() {
        let mut q = [10, -10];
        // 10 * 10 / sqrt(200) = 7.07
        assert_eq!(to_norm(&mut q, 100), Ok(98));
        assert_eq!(q, [7, -7]);
        let mut q = [5, -5];
        assert_eq!(to_norm(&mut q, 0), Ok(0));
        assert_eq!(q, [0, 0]);
    }

    #[test]
    fn lengths_at_the_end_of_the_range_are_scaled_or_refused() {
        let mut q = [i64::MAX, 5];
        assert_eq!(to_norm(&mut q, 1 << 80), Ok((1 << 80) - (1 << 41) + 1));
        assert_eq!(q, [(1 << 40) - 1, 0]);
        assert_eq!(to_norm(&mut [i64::MIN, 0], 1 << 80), Err(TooLong));
        assert_eq!(to_norm(&mut [i64::MAX; 4], 1 << 80), Err(TooLong));
    }

    /// The rule in other words: floor(sqrt(q_j^2 C^2 / |q|^2)) with unbounded integers.
    fn independent(q: i64, clip_squared: u128, norm: u128) -> i64 {
        let square = BigUint::from(q.unsigned_abs()).pow(2) * clip_squared / norm;
        q.signum() * i64::try_from(square.sqrt()).unwrap()
    }

    fn long_or_short() -> impl Strategy<Value = (Vec<i64>, u128)> {
        let value = (0u32..62, any::<i64>()).prop_map(|(shift, bits)| (bits >> 3) >> shift);
        let clip = (0u32..120, any::<u128>()).prop_map(|(shift, bits)| (bits >> 6) >> shift);
        (prop::collection::vec(value, 0..12), clip)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn clipping_never_leaves_the_norm_and_never_lengthens((q, clip) in long_or_short()) {
            let (mut clipped, norm) = (q.clone(), norm_squared(&q).unwrap());
            let after = to_norm(&mut clipped, clip).unwrap();
            prop_assert!(after <= clip && after <= norm);
            prop_assert_eq!(after, norm_squared(&clipped).unwrap());
            if norm <= clip {
                prop_assert_eq!(&clipped, &q);
            }
            for (&new, &old) in clipped.iter().zip(&q) {
                prop_assert!(new.unsigned_abs() <= old.unsigned_abs());
                prop_assert!(new == 0 || new.signum() == old.signum());
            }
        }

        #[test]
        fn clipping_agrees_with_unbounded_integers((q, clip) in long_or_short()) {
            let norm = norm_squared(&q).unwrap();
            prop_assume!(norm > clip);
            let mut clipped = q.clone();
            to_norm(&mut clipped, clip).unwrap();
            for (&new, &old) in clipped.iter().zip(&q) {
                prop_assert_eq!(new, independent(old, clip, norm));
            }
        }

        #[test]
        fn clipping_keeps_the_order_of_lengths((q, clip) in long_or_short()) {
            let mut clipped = q.clone();
            to_norm(&mut clipped, clip).unwrap();
            for (i, a) in q.iter().enumerate() {
                for (j, b) in q.iter().enumerate() {
                    if a.unsigned_abs() <= b.unsigned_abs() {
                        prop_assert!(clipped[i].unsigned_abs() <= clipped[j].unsigned_abs());
                    }
                }
            }
        }
    }
}
