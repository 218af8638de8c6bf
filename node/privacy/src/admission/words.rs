//! Prices and rooms in words: shares of a limit, never rho. Prices round up and rooms down, so
//! that nothing is said to fit that does not.

use obscura_model::exposure::Rho;

/// How much of a limit an exposure is, such as "12 %", rounded up: to tenths below 10 %, to the
/// next whole per cent above.
#[must_use]
pub fn share(part: Rho, limit: Rho) -> String {
    match limit.nano() {
        0 => "more than all".to_owned(),
        // In tenths of a per cent; 64 bits times a thousand fit 128.
        limit => {
            let tenths = (u128::from(part.nano()) * 1_000).div_ceil(u128::from(limit));
            let whole = if tenths < 100 {
                tenths
            } else {
                tenths.div_ceil(10) * 10
            };
            format!("{} %", in_tenths(whole))
        }
    }
}

/// What a limit leaves, rounded down.
pub(super) fn room(room: Rho, limit: Rho) -> String {
    let tenths = (u128::from(room.nano()) * 1_000).checked_div(u128::from(limit.nano()));
    match tenths {
        _ if room == Rho::ZERO => "nothing".to_owned(),
        None | Some(0) => "less than 0.1 %".to_owned(),
        Some(tenths) if tenths < 100 => format!("{} %", in_tenths(tenths)),
        Some(tenths) => format!("{} %", tenths / 10),
    }
}

/// How many times `most` a price is, rounded up.
pub(super) fn times(price: Rho, most: Rho) -> String {
    match most.nano() {
        0 => "many".to_owned(),
        most => {
            let tenths = (u128::from(price.nano()) * 10).div_ceil(u128::from(most));
            let whole = if tenths < 100 {
                tenths
            } else {
                tenths.div_ceil(10) * 10
            };
            in_tenths(whole)
        }
    }
}

/// How many times as wide the margins have to be for a price to come down to `most`, rounded up:
/// a price falls with the square of its margins.
pub(super) fn wider(price: Rho, most: Rho) -> String {
    match most.nano() {
        0 => "many".to_owned(),
        most => {
            let square = (u128::from(price.nano()) * 100).div_ceil(u128::from(most));
            let root = square.isqrt();
            in_tenths(if root * root < square { root + 1 } else { root })
        }
    }
}

/// What to do about a price for which there is no room.
pub(super) fn remedy(price: Rho, room: Rho) -> String {
    if room == Rho::ZERO {
        return "ask the data owner".to_owned();
    }
    format!(
        "ask for a margin about {} times as wide, or ask the data owner",
        wider(price, room)
    )
}

fn in_tenths(tenths: u128) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        tenth => format!("{}.{tenth}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rho(nano: u64) -> Rho {
        Rho::from_nano(nano)
    }

    #[test]
    fn shares_round_up_and_rooms_round_down() {
        assert_eq!(share(rho(1), rho(1_000_000)), "0.1 %");
        assert_eq!(share(rho(99_901), rho(1_000_000)), "10 %");
        assert_eq!(share(rho(120_001), rho(1_000_000)), "13 %");
        assert_eq!(share(rho(2_660_000), rho(1_000_000)), "266 %");
        assert_eq!(room(rho(999), rho(1_000_000)), "less than 0.1 %");
        assert_eq!(room(rho(99_999), rho(1_000_000)), "9.9 %");
        assert_eq!(room(rho(349_999), rho(1_000_000)), "34 %");
        assert_eq!(room(Rho::ZERO, rho(1_000_000)), "nothing");
    }

    #[test]
    fn a_price_falls_with_the_square_of_its_margins() {
        let (price, most) = (rho(8_337_832_902), rho(115_766_247));
        assert_eq!(times(price, most), "73");
        assert_eq!(wider(price, most), "8.5");
        assert_eq!(times(rho(11), rho(10)), "1.1");
        assert_eq!(wider(rho(4), rho(1)), "2");
    }

    proptest! {
        #[test]
        fn no_numbers_overflow_or_divide_by_zero(a in any::<u64>(), b in any::<u64>()) {
            for (a, b) in [(a, b), (a, 0), (0, b), (u64::MAX, 1)] {
                for text in [share, room, times, wider].map(|f| f(rho(a), rho(b))) {
                    prop_assert!(!text.is_empty() && text.len() < 45);
                }
            }
        }
    }
}
