//! The exposure that one subject's integers add.

use obscura_model::answer::VectorShape;
use obscura_model::exposure::NANO;

/// `rho_i` in billionths: the sum over a release's vectors of `ceil(|q|^2 * NANO / (2 sigma^2))`,
/// from the very integers added and the very sigma given to the sampler (Canonne, Kamath and
/// Steinke 2020, theorem 4, for each coordinate). `norms_squared` holds `|q|^2` in grid steps for
/// each vector of `shape`.
///
/// Nothing is returned if the numbers do not fit or there is no noise; a permit rules that out.
#[must_use]
pub fn rho_nano(norms_squared: &[u128], shape: &[VectorShape]) -> Option<u128> {
    if norms_squared.len() != shape.len() {
        return None;
    }
    let mut parts = norms_squared.iter().zip(shape);
    parts.try_fold(0u128, |sum, (&norm, vector)| {
        sum.checked_add(vector_nano(norm, two_sigma_squared(vector.sigma)?)?)
    })
}

/// `2 sigma^2`, or nothing if it is zero or does not fit.
pub(crate) fn two_sigma_squared(sigma: u64) -> Option<u128> {
    let sigma = u128::from(sigma);
    sigma
        .checked_mul(sigma)?
        .checked_mul(2)
        .filter(|&twice| twice > 0)
}

/// One vector's part. The division is by 64-bit numbers where they suffice, which they nearly
/// always do, because this runs once per subject.
pub(crate) fn vector_nano(norm_squared: u128, two_sigma_squared: u128) -> Option<u128> {
    let wide = norm_squared.checked_mul(u128::from(NANO))?;
    match (u64::try_from(wide), u64::try_from(two_sigma_squared)) {
        (Ok(wide), Ok(divisor)) if divisor > 0 => Some(u128::from(wide.div_ceil(divisor))),
        _ if two_sigma_squared > 0 => Some(wide.div_ceil(two_sigma_squared)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_model::answer::Shape;
    use proptest::prelude::*;

    fn vector(clip_squared: u128, sigma: u64) -> VectorShape {
        VectorShape {
            what: "rows".into(),
            step_exponent: 0,
            clip_squared,
            sigma,
            parts: 1,
            grouped: true,
        }
    }

    #[test]
    fn parts_round_up_one_by_one() {
        // 1 / (2 * 9) and 4 / (2 * 49) in billionths: 55,555,555.5.. and 40,816,326.5..
        let shape = [vector(100, 3), vector(100, 7)];
        assert_eq!(rho_nano(&[1, 4], &shape), Some(55_555_556 + 40_816_327));
        assert_eq!(rho_nano(&[0, 0], &shape), Some(0));
    }

    #[test]
    fn numbers_without_an_exposure_give_none() {
        assert_eq!(rho_nano(&[1], &[vector(1, 0)]), None);
        assert_eq!(rho_nano(&[u128::MAX], &[vector(1, 1)]), None);
        assert_eq!(rho_nano(&[1, 1], &[vector(1, 1)]), None);
    }

    proptest! {
        #[test]
        fn whoever_is_at_the_clip_norm_pays_the_price(
            clips in prop::collection::vec((1u128..1 << 80, 1u64..1 << 50), 1..5),
            shares in prop::collection::vec(0.0f64..=1.0, 5),
        ) {
            let vectors: Vec<_> = clips.iter().map(|&(c, s)| vector(c, s)).collect();
            let norms: Vec<u128> = clips.iter().map(|&(c, _)| c).collect();
            let less: Vec<u128> =
                norms.iter().zip(shares).map(|(&c, s)| c.min((c as f64 * s) as u128)).collect();
            let shape = Shape {
                keys: vec![],
                vectors,
                outputs: vec![],
                arrange: Default::default(),
                disclosure: Default::default(),
            };
            let Ok(price) = shape.price() else { return Ok(()) };
            let price = u128::from(price.nano());
            prop_assert_eq!(rho_nano(&norms, &shape.vectors), Some(price));
            prop_assert!(rho_nano(&less, &shape.vectors).unwrap() <= price);
        }
    }
}
