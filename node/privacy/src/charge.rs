//! From a squared norm to a charge, once for each subject: the same numbers as
//! [`vector_nano`] and [`CodeGrid`] give, without their divisions.
//!
//! A quotient of integers is estimated with a float, multiplied back exactly, and corrected. The
//! float only saves time: it decides nothing that is not checked with integers afterwards.

use obscura_model::exposure::{NANO, Rho};

use crate::grid::CodeGrid;
use crate::vectors::{two_sigma_squared, vector_nano};

/// Estimates stay below this: a float of four roundings, each of 2^-53, is then off by at most
/// 2^50 * 4 * 2^-53 = 1/2, and its integer part by at most 1.
const ESTIMATES: f64 = (1u64 << 50) as f64;

/// Divisors below this, twice, fit 63 bits.
const DIVISORS: u64 = 1 << 62;

/// `ceil(|q|^2 NANO / (2 sigma^2))` for one vector's sigma.
pub(crate) struct Divider {
    two_sigma_squared: u128,
    /// `2 sigma^2` and about `NANO / (2 sigma^2)`, if the former is below [`DIVISORS`].
    narrow: Option<(u64, f64)>,
}

impl Divider {
    /// Nothing if there is no noise, or too much to square.
    pub(crate) fn new(sigma: u64) -> Option<Self> {
        let two_sigma_squared = two_sigma_squared(sigma)?;
        let narrow = u64::try_from(two_sigma_squared).ok();
        let narrow = narrow.filter(|divisor| *divisor < DIVISORS);
        Some(Self {
            two_sigma_squared,
            narrow: narrow.map(|d| (d, NANO as f64 / d as f64)),
        })
    }

    /// What [`vector_nano`] gives.
    #[inline]
    pub(crate) fn nano(&self, norm_squared: u128) -> Option<u128> {
        if let (Some((divisor, factor)), Ok(norm)) = (self.narrow, i64::try_from(norm_squared)) {
            let estimate = norm as f64 * factor;
            if estimate < ESTIMATES {
                let quotient = estimate as i64 as u64;
                // What is left lies within two divisors of zero, so that its lowest 64 bits say
                // all: others need not be computed.
                let all = (norm as u64).wrapping_mul(NANO);
                let rest = all.wrapping_sub(quotient.wrapping_mul(divisor)) as i64;
                let divisor = divisor as i64;
                // The whole quotient is one less, this, or one more; then it is rounded up.
                let up =
                    i64::from(rest > 0) + i64::from(rest > divisor) - i64::from(rest <= -divisor);
                return u128::try_from(quotient as i64 + up).ok();
            }
        }
        self.plain(norm_squared)
    }

    /// Apart, so that what nearly always happens is short enough to stand where it is needed.
    #[cold]
    fn plain(&self, norm_squared: u128) -> Option<u128> {
        vector_nano(norm_squared, self.two_sigma_squared)
    }
}

/// Codes and charges of one price.
pub(crate) struct Coder {
    grid: CodeGrid,
    price: u64,
    /// About `512 / price`, if the price is below [`PRICES`].
    factor: Option<f64>,
}

/// Prices below this, shifted by nine bits, fit 61.
const PRICES: u64 = 1 << 52;
/// Shifts up to this leave a price's charge within 62 bits before it is shifted down.
const DEEPEST: u32 = 50;

impl Coder {
    pub(crate) fn new(grid: CodeGrid) -> Self {
        let price = grid.price().nano();
        Self {
            grid,
            price,
            factor: (price < PRICES).then(|| 512.0 / price as f64),
        }
    }

    /// The code of a charge, and what it stands for: [`CodeGrid::encode`] and
    /// [`CodeGrid::value`] of it.
    #[inline]
    pub(crate) fn code(&self, nano: u128) -> Option<(u16, Rho)> {
        match (u64::try_from(nano), self.factor) {
            (Ok(0), _) => Some((0, Rho::ZERO)),
            (Ok(nano), Some(factor)) if nano > 1 && nano < self.price => self
                .narrow(nano - 1, factor)
                .map_or_else(|| self.wide(nano.into()), Some),
            _ if nano >= u128::from(self.price) => {
                Some((CodeGrid::TOP, Rho::from_nano(self.price)))
            }
            _ => self.wide(nano),
        }
    }

    #[cold]
    fn wide(&self, nano: u128) -> Option<(u16, Rho)> {
        let code = self.grid.encode(nano);
        Some((code, self.grid.value(code).ok()?))
    }

    /// As [`CodeGrid::encode`] for `0 < under < price - 1`; nothing in the deepest octaves.
    #[inline]
    fn narrow(&self, under: u64, factor: f64) -> Option<(u16, Rho)> {
        // The deepest octave in which `under` doubled so often is still below the price.
        let octave = under.leading_zeros() - self.price.leading_zeros();
        let octave = octave - u32::from(under << octave >= self.price);
        if octave > DEEPEST {
            return None;
        }
        // Below the price, so that the quotient is below 512.
        let scaled = under << octave;
        let part = (scaled as f64 * factor) as u64;
        // Below 2^61, and at most 512 * 2^52.
        let rest = (scaled << 9) as i64 - (part * self.price) as i64;
        let part = part + u64::from(rest >= self.price as i64) - u64::from(rest < 0);
        let r = 511u64.saturating_sub(part).min(255);
        // At most 50 octaves of 256 codes: below the top.
        let code = CodeGrid::TOP - (octave as u16 * 256 + r as u16);
        let shift = 9 + octave;
        let nano = (self.price * (512 - r) + ((1 << shift) - 1)) >> shift;
        Some((code, Rho::from_nano(nano)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of all lengths.
    fn of_any_length() -> impl Strategy<Value = u64> {
        (0u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
    }

    fn same(norm: u128, sigma: u64) {
        // More noise than can be squared is refused.
        let Some(divider) = Divider::new(sigma) else {
            assert_eq!(two_sigma_squared(sigma), None);
            return;
        };
        let plain = vector_nano(norm, two_sigma_squared(sigma).unwrap());
        assert_eq!(divider.nano(norm), plain, "{norm} with sigma {sigma}");
    }

    #[test]
    fn quotients_without_rest_and_their_neighbours_are_exact() {
        for sigma in [
            1u64,
            2,
            3,
            10,
            1_000,
            11_449,
            31_622,
            1 << 20,
            300_000_007,
            999_999_937,
            1_500_000_001,
            1 << 31,
        ] {
            let divisor = 2 * u128::from(sigma) * u128::from(sigma);
            for times in [1u128, 2, 3, 7, 1_000, 99_991, 1_048_573, 1 << 20] {
                let norm = times * divisor;
                (norm - 1..=norm + 1).for_each(|norm| same(norm, sigma));
            }
            (0..100).for_each(|norm| same(norm, sigma));
        }
    }

    #[test]
    fn every_code_of_a_small_price_is_that_of_the_grid() {
        for price in [1, 2, 3, 255, 511, 512, 513, 46_307] {
            let grid = CodeGrid::new(Rho::from_nano(price)).unwrap();
            let coder = Coder::new(grid);
            for nano in 0..=u128::from(price) + 2 {
                let code = grid.encode(nano);
                let expected = (code, grid.value(code).unwrap());
                assert_eq!(coder.code(nano), Some(expected), "{nano} of {price}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8192))]

        #[test]
        fn charges_are_those_of_the_plain_formula(
            high in of_any_length(), low in of_any_length(), sigma in of_any_length(),
        ) {
            let sigma = sigma.max(1);
            same(low.into(), sigma);
            same(u128::from(high) << 32 | u128::from(low), sigma);
        }

        #[test]
        fn codes_are_those_of_the_grid(price in of_any_length(), nano in of_any_length()) {
            let price = price.max(1);
            let grid = CodeGrid::new(Rho::from_nano(price)).unwrap();
            let coder = Coder::new(grid);
            for nano in [nano, nano % price, (nano % price).saturating_add(1)] {
                let code = grid.encode(nano.into());
                let expected = (code, grid.value(code).unwrap());
                prop_assert_eq!(coder.code(nano.into()), Some(expected));
            }
        }
    }
}
