//! Choosing sigmas: from a price, from an accuracy, and from the minimum price.

use obscura_model::answer::{InvalidPrice, vector_price};
use obscura_model::exposure::{NANO, Rho};

/// The largest sigma, in grid steps: noise of 60 sigmas still fits 62 bits.
pub const LARGEST_SIGMA: u64 = 1 << 56;

/// An accuracy or price that gives no sigma. Public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// There is no vector to share the price, or not one sigma for each.
    #[error("the release has nothing to price")]
    Empty,
    /// Less than a billionth for each vector.
    #[error("the price is too small to share among the release's sums; ask for a larger one")]
    PriceTooSmall,
    /// Below one grid step.
    #[error("the noise asked for is finer than the grid of the answer; ask for more noise")]
    SigmaTooSmall,
    /// Above [`LARGEST_SIGMA`], or not a number.
    #[error("the noise asked for is too large for the answer; ask for less noise")]
    SigmaTooLarge,
    /// The sigmas have no price.
    #[error("the release has no price")]
    Price(#[source] InvalidPrice),
}

/// The sigmas that share `total` equally among vectors with these squared clip norms: each the
/// smallest integer, at least 1, whose price is at most `total / n` without its fraction. (A sigma
/// that follows from a price rounds up.)
///
/// From `ceil(C^2 NANO / (2 sigma^2)) <= share`: sigma is the square root, rounded up, of
/// `ceil(C^2 NANO / (2 share))`.
pub fn share_price(total: Rho, clips_squared: &[u128]) -> Result<Vec<u64>, PriceError> {
    share_by_weight(total, clips_squared, &vec![1; clips_squared.len()])
}

/// The same with shares in proportion to `weights`, one for each vector, each above 0: vector k
/// gets `total w_k / (sum of w)` without its fraction, so that the shares never add to more.
pub fn share_by_weight(
    total: Rho,
    clips_squared: &[u128],
    weights: &[u32],
) -> Result<Vec<u64>, PriceError> {
    let whole: u64 = weights.iter().copied().map(u64::from).sum();
    if weights.is_empty() || weights.len() != clips_squared.len() || whole == 0 {
        return Err(PriceError::Empty);
    }
    let sigma = |(&clip_squared, &weight): (&u128, &u32)| {
        let share = u128::from(total.nano()) * u128::from(weight) / u128::from(whole);
        if share == 0 {
            return Err(PriceError::PriceTooSmall);
        }
        let wide = clip_squared
            .checked_mul(u128::from(NANO))
            .ok_or(PriceError::SigmaTooLarge)?;
        let square = wide.div_ceil(2 * share);
        let root = square.isqrt();
        let sigma = if root * root < square { root + 1 } else { root };
        match u64::try_from(sigma) {
            Ok(sigma) if sigma <= LARGEST_SIGMA => Ok(sigma.max(1)),
            _ => Err(PriceError::SigmaTooLarge),
        }
    };
    clips_squared.iter().zip(weights).map(sigma).collect()
}

/// The largest sigma on the grid with step `2^step_exponent` that is at most `sigma_in_units`
/// (in the vector's unit). (A sigma asked for as accuracy rounds down.)
pub fn sigma_at_most(sigma_in_units: f64, step_exponent: i32) -> Result<u64, PriceError> {
    // A power of two: exact, or far outside the range below.
    let steps = (sigma_in_units * 0.5f64.powi(step_exponent)).floor();
    if steps.is_nan() || steps > LARGEST_SIGMA as f64 {
        Err(PriceError::SigmaTooLarge)
    } else if steps < 1.0 {
        Err(PriceError::SigmaTooSmall)
    } else {
        Ok(steps as u64)
    }
}

/// The public price of these sigmas: the sum over the vectors.
pub fn price_of(sigmas: &[u64], clips_squared: &[u128]) -> Result<Rho, PriceError> {
    if sigmas.is_empty() || sigmas.len() != clips_squared.len() {
        return Err(PriceError::Empty);
    }
    sigmas
        .iter()
        .zip(clips_squared)
        .try_fold(Rho::ZERO, |sum, (&sigma, &clip_squared)| {
            let price = vector_price(clip_squared, sigma).map_err(PriceError::Price)?;
            sum.checked_add(price)
                .ok_or(PriceError::Price(InvalidPrice::OutOfRange))
        })
}

/// The least that a release of these vectors may cost when the minimum price is `minimum`: the
/// price of the sigmas that [`share_price`] gives for it. That is at most the minimum, because
/// those sigmas are rounded up to the grid, and above zero if any clip norm is: nothing is free.
pub fn least_price(minimum: Rho, clips_squared: &[u128]) -> Result<Rho, PriceError> {
    price_of(&share_price(minimum, clips_squared)?, clips_squared)
}

/// The sigmas themselves, if their price is at least [`least_price`]; otherwise the sigmas of the
/// minimum price, except that no vector gets more noise than was asked for it. A request below
/// the minimum is so answered more accurately, at the minimum price (and where it asked for
/// uneven accuracy, at less than twice that).
pub fn at_least_minimum(
    sigmas: Vec<u64>,
    clips_squared: &[u128],
    minimum: Rho,
) -> Result<Vec<u64>, PriceError> {
    if price_of(&sigmas, clips_squared)? >= least_price(minimum, clips_squared)? {
        return Ok(sigmas);
    }
    let floor = share_price(minimum, clips_squared)?;
    Ok(sigmas
        .iter()
        .zip(floor)
        .map(|(&asked, least)| asked.min(least))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rho(nano: u64) -> Rho {
        Rho::from_nano(nano)
    }

    /// Rows of a subject with at most five rows, in steps of 1/1024, for rho 0.1.
    const FIVE_ROWS: u128 = 5 * 1024 * 5 * 1024;

    #[test]
    fn the_sigma_of_a_price_is_the_least_that_fits() {
        // C sqrt(1 / (2 rho)) = 5120 * sqrt(5) = 11448.67
        assert_eq!(
            share_price(rho(100_000_000), &[FIVE_ROWS]),
            Ok(vec![11_449])
        );
        // Comes out even: 20 / (2 * 10^2) = 0.1.
        assert_eq!(share_price(rho(100_000_000), &[20]), Ok(vec![10]));
    }

    #[test]
    fn shares_follow_the_weights_and_never_pass_the_total() {
        let total = rho(100_000_000);
        let sigmas = share_by_weight(total, &[FIVE_ROWS; 2], &[3, 1]).unwrap();
        let nano = |i: usize| price_of(&sigmas[i..=i], &[FIVE_ROWS]).unwrap().nano();
        assert!((74_900_000..=75_000_000).contains(&nano(0)), "{}", nano(0));
        assert!((24_900_000..=25_000_000).contains(&nano(1)), "{}", nano(1));
        let huge = [u32::MAX; 3];
        let sigmas = share_by_weight(total, &[FIVE_ROWS; 3], &huge).unwrap();
        assert!(price_of(&sigmas, &[FIVE_ROWS; 3]).unwrap() <= total);
        assert_eq!(
            share_by_weight(total, &[FIVE_ROWS], &[0]),
            Err(PriceError::Empty)
        );
    }

    #[test]
    fn what_gives_no_sigma_is_refused() {
        assert_eq!(share_price(rho(1), &[]), Err(PriceError::Empty));
        assert_eq!(share_price(rho(1), &[1, 1]), Err(PriceError::PriceTooSmall));
        assert_eq!(
            share_price(rho(1), &[u128::MAX]),
            Err(PriceError::SigmaTooLarge)
        );
        assert_eq!(
            share_price(rho(1), &[1 << 97]),
            Err(PriceError::SigmaTooLarge)
        );
        assert_eq!(price_of(&[1], &[1, 1]), Err(PriceError::Empty));
        assert!(matches!(price_of(&[0], &[1]), Err(PriceError::Price(_))));
    }

    #[test]
    fn a_sigma_asked_for_rounds_down_to_the_grid() {
        assert_eq!(sigma_at_most(1.0, -10), Ok(1024));
        assert_eq!(sigma_at_most(1.0009, -10), Ok(1024));
        assert_eq!(sigma_at_most(48.0, 4), Ok(3));
        assert_eq!(sigma_at_most(2f64.powi(-10), -10), Ok(1));
    }

    #[test]
    fn a_sigma_outside_the_grid_is_refused() {
        for small in [
            0.0,
            -1.0,
            -f64::INFINITY,
            2f64.powi(-10) * 0.999,
            f64::MIN_POSITIVE,
        ] {
            assert_eq!(
                sigma_at_most(small, -10),
                Err(PriceError::SigmaTooSmall),
                "{small}"
            );
        }
        for large in [f64::INFINITY, f64::NAN, 1e300] {
            assert_eq!(
                sigma_at_most(large, -10),
                Err(PriceError::SigmaTooLarge),
                "{large}"
            );
        }
        assert_eq!(sigma_at_most(1.0, i32::MAX), Err(PriceError::SigmaTooSmall));
        assert_eq!(sigma_at_most(1.0, i32::MIN), Err(PriceError::SigmaTooLarge));
    }

    #[test]
    fn a_request_below_the_minimum_gets_the_sigma_of_the_minimum() {
        let clips = [FIVE_ROWS, FIVE_ROWS];
        let minimum = rho(46_307);
        let asked = share_price(rho(1_000), &clips).unwrap();
        let given = at_least_minimum(asked, &clips, minimum).unwrap();
        assert_eq!(given, share_price(minimum, &clips).unwrap());
    }

    #[test]
    fn an_uneven_request_below_the_minimum_gets_no_output_noisier() {
        let clips = [FIVE_ROWS, FIVE_ROWS];
        let minimum = rho(46_307);
        let sharp = share_price(rho(40_000), &clips[..1]).unwrap()[0];
        let given = at_least_minimum(vec![sharp, 1 << 40], &clips, minimum).unwrap();
        assert_eq!(given[0], sharp);
        assert_eq!(given[1], share_price(minimum, &clips).unwrap()[1]);
    }

    fn clips() -> impl Strategy<Value = Vec<u128>> {
        prop::collection::vec(
            (0u32..70, any::<u128>()).prop_map(|(s, c)| (c >> 48) >> s),
            1..6,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn shared_sigmas_fit_their_share_and_one_step_less_does_not(
            total in 10u64..2_000_000_000_000, clips in clips(),
        ) {
            let Ok(sigmas) = share_price(rho(total), &clips) else { return Ok(()) };
            let share = rho(total / clips.len() as u64);
            for (&sigma, &clip) in sigmas.iter().zip(&clips) {
                prop_assert!(vector_price(clip, sigma).unwrap() <= share);
                if sigma > 1 {
                    let finer = vector_price(clip, sigma - 1);
                    prop_assert!(finer.is_err() || finer.unwrap() > share);
                }
            }
            prop_assert!(price_of(&sigmas, &clips).unwrap() <= rho(total));
        }

        #[test]
        fn the_grid_never_gives_more_noise_than_asked(
            sigma in 1e-3f64..1e12, exponent in -40i32..40,
        ) {
            if let Ok(steps) = sigma_at_most(sigma, exponent) {
                let step = 2f64.powi(exponent);
                prop_assert!(steps as f64 * step <= sigma);
                // From 2^53 steps on, neighbouring numbers are further apart than steps.
                prop_assert!(steps >= 1 << 53 || (steps + 1) as f64 * step > sigma);
            }
        }

        #[test]
        fn nothing_is_below_the_least_price_and_the_minimum_is_kept_once(
            minimum in 10u64..100_000_000,
            (clips, asked) in clips().prop_flat_map(|clips| {
                let asked = prop::collection::vec(1u64..1 << 50, clips.len());
                (Just(clips), asked)
            }),
        ) {
            let minimum = rho(minimum);
            let Ok(before) = price_of(&asked, &clips) else { return Ok(()) };
            let Ok(least) = least_price(minimum, &clips) else { return Ok(()) };
            let given = at_least_minimum(asked.clone(), &clips, minimum).unwrap();
            prop_assert!(price_of(&given, &clips).unwrap() >= least);
            prop_assert!(least <= minimum);
            prop_assert!(given.iter().zip(&asked).all(|(g, a)| g <= a));
            if before >= least {
                prop_assert_eq!(&given, &asked);
            }
            let again = at_least_minimum(given.clone(), &clips, minimum).unwrap();
            prop_assert_eq!(again, given);
        }
    }
}
