//! The code grid of a price: how one subject's charge is stored in two bytes.
//!
//! # Stored format
//!
//! A journal record of a release holds one 16-bit code per subject. What a code means depends on
//! the release's public price `P` (billionths of rho) alone, and must never change for stored
//! records:
//!
//! * code 0: no charge;
//! * codes 1 to [`CodeGrid::TOP`] = 16,384: with `d = TOP - code`, `e = d / 256` (0 to 63) and
//!   `r = d % 256`, the charge is `ceil(P * (512 - r) / (512 * 2^e))` billionths;
//! * any other code is damage.
//!
//! So the top code is exactly the price, the price halves every 256 codes, and neighbouring codes
//! differ by less than 0.4 %. The quotient is positive and rounded up, so every code from 1 on
//! charges at least one billionth. Where neighbouring codes coincide (in the lowest codes, and
//! everywhere for a price of a few hundred billionths), writing uses the top code for the price
//! and the smallest code for any other charge; reading accepts each.

use obscura_model::exposure::Rho;

/// A price without a grid, or a stored code that no grid has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCode {
    /// A price of zero has no grid: nothing is free.
    #[error("a release must have a price above 0")]
    NoPrice,
    /// The stored code lies above the grid's top.
    #[error("a stored charge is not on the grid of its price; the record is damaged")]
    Unknown,
}

/// The code grid of one price; see the module for the stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeGrid {
    price: Rho,
}

/// Codes in one halving of the price.
const OCTAVE: u16 = 256;

/// Halvings of the price.
const OCTAVES: u16 = 64;

impl CodeGrid {
    /// The highest code, which stands for exactly the price.
    pub const TOP: u16 = OCTAVE * OCTAVES;

    /// The grid of `price`, which must be above zero.
    pub fn new(price: Rho) -> Result<Self, InvalidCode> {
        if price == Rho::ZERO {
            Err(InvalidCode::NoPrice)
        } else {
            Ok(Self { price })
        }
    }

    /// The price that the grid belongs to.
    #[must_use]
    pub const fn price(&self) -> Rho {
        self.price
    }

    /// The smallest code whose charge is at least `nano` billionths of rho, capped at the top: the
    /// stored charge is the smaller of the price and `nano` rounded up to the grid. Only 0 gives
    /// code 0.
    #[must_use]
    pub fn encode(&self, nano: u128) -> u16 {
        let price = u128::from(self.price.nano());
        if nano == 0 {
            return 0;
        }
        if nano >= price {
            return Self::TOP;
        }
        // A code's charge reaches nano exactly if P * (512 - r) > (nano - 1) * 512 * 2^e. First
        // the deepest octave whose r = 0 does, then the deepest r in it.
        let under = nano - 1;
        let deepest = u32::from(OCTAVES - 1);
        let octave = match (price - 1).checked_div(under) {
            Some(halvings) => halvings.ilog2().min(deepest),
            None => deepest,
        };
        let part = (under << (9 + octave)) / price;
        let r = (2 * u128::from(OCTAVE) - 1 - part).min(u128::from(OCTAVE - 1)) as u16;
        Self::TOP - (octave as u16 * OCTAVE + r)
    }

    /// The charge that `code` stands for; codes above the top are refused.
    pub fn value(&self, code: u16) -> Result<Rho, InvalidCode> {
        if code == 0 {
            return Ok(Rho::ZERO);
        }
        let depth = Self::TOP.checked_sub(code).ok_or(InvalidCode::Unknown)?;
        let (octave, r) = (depth / OCTAVE, depth % OCTAVE);
        let wide = u128::from(self.price.nano()) * u128::from(2 * OCTAVE - r);
        let nano = wide.div_ceil(1 << (9 + octave));
        u64::try_from(nano)
            .map(Rho::from_nano)
            .map_err(|_| InvalidCode::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(price: u64) -> CodeGrid {
        CodeGrid::new(Rho::from_nano(price)).unwrap()
    }

    fn value(price: u64, code: u16) -> u64 {
        grid(price).value(code).unwrap().nano()
    }

    /// Computed with arbitrary-precision integers from the formula in the module's text.
    #[test]
    fn stored_codes_keep_their_meaning() {
        let codes = [
            0, 1, 255, 4096, 8192, 12345, 16000, 16128, 16129, 16383, 16384,
        ];
        let cases: [(u64, [u64; 11]); 3] = [
            (
                100_000_000,
                [
                    0,
                    1,
                    1,
                    1,
                    1,
                    1866,
                    37_500_000,
                    50_000_000,
                    50_195_313,
                    99_804_688,
                    100_000_000,
                ],
            ),
            (1, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
            (
                1_000_000_000_000,
                [
                    0,
                    1,
                    1,
                    1,
                    233,
                    18_656_254,
                    375_000_000_000,
                    500_000_000_000,
                    501_953_125_000,
                    998_046_875_000,
                    1_000_000_000_000,
                ],
            ),
        ];
        for (price, values) in cases {
            assert_eq!(
                codes.map(|code| value(price, code)),
                values,
                "price {price}"
            );
        }
    }

    #[test]
    fn a_price_of_zero_and_codes_above_the_top_are_refused() {
        assert_eq!(CodeGrid::new(Rho::ZERO), Err(InvalidCode::NoPrice));
        for code in [CodeGrid::TOP + 1, u16::MAX] {
            assert_eq!(grid(1_000).value(code), Err(InvalidCode::Unknown));
        }
    }

    #[test]
    fn every_code_of_a_price_is_in_order_between_one_billionth_and_the_price() {
        for price in [
            1,
            2,
            3,
            255,
            511,
            512,
            46_307,
            100_000_000,
            1 << 40,
            u64::MAX,
        ] {
            let mut before = 0;
            for code in 1..=CodeGrid::TOP {
                let now = value(price, code);
                assert!(
                    now >= before && now >= 1 && now <= price,
                    "price {price}, code {code}"
                );
                before = now;
            }
            assert_eq!(before, price);
        }
    }

    fn price_and_part() -> impl Strategy<Value = (u64, u128)> {
        let price = (0u32..64, any::<u64>()).prop_map(|(shift, bits)| (bits >> shift).max(1));
        (price, 0u32..64, any::<u64>())
            .prop_map(|(price, shift, bits)| (price, u128::from((bits >> shift) % price) + 1))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_charge_is_the_least_on_the_grid_that_is_never_below(
            (price, nano) in price_and_part(),
        ) {
            let code = grid(price).encode(nano);
            prop_assert!(u128::from(value(price, code)) >= nano);
            let smaller = u128::from(value(price, code - 1));
            prop_assert!(smaller < nano || nano == u128::from(price));
        }

        #[test]
        fn over_charging_is_under_one_percent_and_a_billionth((price, nano) in price_and_part()) {
            let charge = u128::from(value(price, grid(price).encode(nano)));
            // The grid has 64 halvings; below its lowest step a charge is two billionths at most.
            prop_assert!((charge - nano) * 100 < nano + 100 || charge <= 2, "{charge} for {nano}");
        }

        #[test]
        fn more_exposure_is_never_a_smaller_code(
            (price, nano) in price_and_part(), more in 0u128..1_000_000_000,
        ) {
            prop_assert!(grid(price).encode(nano) <= grid(price).encode(nano + more));
        }

        #[test]
        fn only_nothing_is_free_and_nothing_costs_more_than_the_price(
            price in 1u64.., over in 0u128..,
        ) {
            prop_assert_eq!(grid(price).encode(0), 0);
            prop_assert_eq!(grid(price).encode(1).max(1), grid(price).encode(1));
            let whole = grid(price).encode(u128::from(price).saturating_add(over));
            prop_assert_eq!(whole, CodeGrid::TOP);
            prop_assert_eq!(value(price, whole), price);
        }
    }
}
