//! Exposure arithmetic: the one place where rho, epsilon and delta meet.
//!
//! Inside, exposure is counted in rho (zero-concentrated differential privacy) as integers in
//! billionths. Epsilon only shows it. Charges, prices and shown epsilons round up; a limit given
//! as (epsilon, delta) becomes rho once, rounding down.

use std::fmt;

/// Billionths in one unit of rho.
pub const NANO: u64 = 1_000_000_000;

/// The largest rho that any limit, price or request may name: 1,000.
pub const HIGHEST_RHO: Rho = Rho(1_000 * NANO);

/// A number that is not an exposure, limit or probability of the wanted kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidExposure {
    /// Not a number above zero and at most the highest rho.
    #[error("rho must be a number above 0 and at most 1000, not {0}")]
    Rho(String),
    /// Not a finite number above zero.
    #[error("epsilon must be a number above 0 and at most 500, not {0}")]
    Epsilon(String),
    /// Not a probability that can serve as delta.
    #[error("delta must be above 0 and at most 0.01, not {0}")]
    Delta(String),
    /// The limit is so small that it converts to no exposure at all.
    #[error("epsilon {epsilon} at delta {delta} allows no release at all; choose a larger epsilon")]
    NoRoom {
        /// The epsilon asked for.
        epsilon: f64,
        /// The delta asked for.
        delta: f64,
    },
}

/// Exposure, price or charge in billionths of rho.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rho(u64);

impl Rho {
    /// No exposure.
    pub const ZERO: Rho = Rho(0);

    /// From billionths.
    #[must_use]
    pub const fn from_nano(nano: u64) -> Self {
        Rho(nano)
    }

    /// In billionths.
    #[must_use]
    pub const fn nano(self) -> u64 {
        self.0
    }

    /// The sum, or nothing if it does not fit 64 bits.
    #[must_use]
    pub const fn checked_add(self, other: Rho) -> Option<Rho> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Rho(sum)),
            None => None,
        }
    }

    /// The difference, never below zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Rho) -> Rho {
        Rho(self.0.saturating_sub(other.0))
    }

    /// `times` of it, or nothing if that does not fit 64 bits.
    #[must_use]
    pub const fn checked_mul(self, times: u64) -> Option<Rho> {
        match self.0.checked_mul(times) {
            Some(product) => Some(Rho(product)),
            None => None,
        }
    }

    /// A price that somebody asks for, rounded down to billionths so that no more is added to
    /// exposure than was asked. Above 0 and at most [`HIGHEST_RHO`]; a positive number below one
    /// billionth gives zero, which admission raises to the minimum price.
    pub fn asked(rho: f64) -> Result<Self, InvalidExposure> {
        if rho > 0.0 && rho <= 1000.0 {
            Ok(Rho((rho * NANO as f64).floor() as u64))
        } else {
            Err(InvalidExposure::Rho(rho.to_string()))
        }
    }

    /// As a plain number, for display and for formulas that only show.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / NANO as f64
    }
}

impl fmt::Display for Rho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:09}", self.0 / NANO, self.0 % NANO);
        let trimmed = text.trim_end_matches('0').trim_end_matches('.');
        f.pad(trimmed)
    }
}

/// What happens near a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A subject at the limit no longer contributes, and nothing is refused for lack of room.
    Protect,
    /// A release that does not fit for everybody is refused; nobody is ever dropped.
    Strict,
}

impl Mode {
    /// The word in files and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Protect => "protect",
            Mode::Strict => "strict",
        }
    }
}

/// A failure probability: above 0 and at most 0.01.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Delta(f64);

impl Delta {
    /// Checks the range.
    pub fn new(delta: f64) -> Result<Self, InvalidExposure> {
        if delta > 0.0 && delta <= 0.01 && delta.is_normal() {
            Ok(Delta(delta))
        } else {
            Err(InvalidExposure::Delta(delta.to_string()))
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// This delta shared by `rungs` declared rungs.
    #[must_use]
    pub fn per_rung(self, rungs: u32) -> Delta {
        Delta((self.0 / f64::from(rungs.max(1))).max(f64::MIN_POSITIVE))
    }
}

/// A delta that is charged or held as a limit: whole units of 10^-18, so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct DeltaCharge(u64);

impl DeltaCharge {
    /// Nothing.
    pub const ZERO: DeltaCharge = DeltaCharge(0);
    /// Units in 1.
    const UNITS: f64 = 1e18;

    /// So many units of 10^-18.
    #[must_use]
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// The units of 10^-18.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// What `delta` charges: rounded up.
    #[must_use]
    pub fn charge(delta: Delta) -> Self {
        // At most 10^16 units: the product is below 2^54, and one unit more covers its rounding.
        Self((delta.get() * Self::UNITS).ceil() as u64 + 1)
    }

    /// What `delta` allows as a limit: rounded down.
    #[must_use]
    pub fn limit(delta: Delta) -> Self {
        Self(((delta.get() * Self::UNITS).floor() as u64).saturating_sub(1))
    }

    /// The units that somebody means who writes `delta`: the nearest, at least 1. For what is
    /// defined by its units from then on, so that ten releases of 1e-8 fit a limit of 1e-7: the
    /// threshold of keys is made for these very units, and a limit is shown as these very units.
    #[must_use]
    pub fn meant(delta: Delta) -> Self {
        // At most 10^16 units, far within 64 bits.
        Self(((delta.get() * Self::UNITS).round() as u64).max(1))
    }

    /// The sum, unless it leaves 64 bits.
    #[must_use]
    pub const fn checked_add(self, more: Self) -> Option<Self> {
        match self.0.checked_add(more.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// What is left after `taken`, at least nothing.
    #[must_use]
    pub const fn saturating_sub(self, taken: Self) -> Self {
        Self(self.0.saturating_sub(taken.0))
    }

    /// As a number between 0 and 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0 as f64 / Self::UNITS
    }
}

/// A relative slack that covers the rounding of the few floating-point operations below, so that
/// a shown epsilon is never under the true one.
const UP: f64 = 1.0 + 1e-12;

/// The epsilon of `rho` at `delta`, rounded up.
///
/// The minimum over alpha > 1 of `alpha rho + ln(1/(alpha delta))/(alpha-1) + ln(1-1/alpha)`
/// (Canonne, Kamath and Steinke 2020, proposition 12), at least 0. Every alpha gives a valid
/// epsilon, so an inexact minimum errs towards more exposure.
#[must_use]
pub fn epsilon(rho: Rho, delta: Delta) -> f64 {
    if rho == Rho::ZERO {
        return 0.0;
    }
    let (rho, ln_inverse_delta) = (rho.as_f64() * UP, -delta.get().ln());
    // With t = ln(alpha - 1) the bound has one valley: a golden-section search finds it.
    let bound = |t: f64| {
        let excess = t.exp();
        let alpha = 1.0 + excess;
        alpha * rho + (ln_inverse_delta - alpha.ln()) / excess + (excess / alpha).ln()
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-12.0, 40.0);
    for _ in 0..120 {
        let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
        if bound(a) <= bound(b) {
            high = b;
        } else {
            low = a;
        }
    }
    let best = bound((low + high) / 2.0);
    (best + best.abs() * 1e-12 + 1e-12).max(0.0)
}

/// The largest rho, in whole billionths, whose epsilon at `delta` is at most `epsilon`: how a
/// limit or a request given as (epsilon, delta) becomes rho, rounding down.
pub fn rho_within(wanted: f64, delta: Delta) -> Result<Rho, InvalidExposure> {
    if !(wanted > 0.0 && wanted <= 500.0) {
        return Err(InvalidExposure::Epsilon(wanted.to_string()));
    }
    let (mut fits, mut over) = (0u64, HIGHEST_RHO.0 + 1);
    while over - fits > 1 {
        let middle = fits + (over - fits) / 2;
        if epsilon(Rho(middle), delta) <= wanted {
            fits = middle;
        } else {
            over = middle;
        }
    }
    if fits == 0 {
        return Err(InvalidExposure::NoRoom {
            epsilon: wanted,
            delta: delta.get(),
        });
    }
    Ok(Rho(fits))
}

/// A limit as its owner set it, with the rho it became.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    epsilon: f64,
    delta: Delta,
    rho: Rho,
}

impl Limit {
    /// Converts once, rounding down.
    pub fn new(epsilon: f64, delta: Delta) -> Result<Self, InvalidExposure> {
        Ok(Limit {
            epsilon,
            delta,
            rho: rho_within(epsilon, delta)?,
        })
    }

    /// A limit that was converted before: a stored rho is never converted again, so that a change
    /// of arithmetic cannot move a limit in force.
    #[must_use]
    pub const fn as_stored(epsilon: f64, delta: Delta, rho: Rho) -> Self {
        Limit {
            epsilon,
            delta,
            rho,
        }
    }

    /// The epsilon that the owner chose.
    #[must_use]
    pub const fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// The delta that the owner chose.
    #[must_use]
    pub const fn delta(&self) -> Delta {
        self.delta
    }

    /// What is enforced.
    #[must_use]
    pub const fn rho(&self) -> Rho {
        self.rho
    }

    /// The most that one release may add: a quarter of the limit.
    #[must_use]
    pub const fn largest_release(&self) -> Rho {
        Rho(self.rho.0 / 4)
    }

    /// The least that one release adds: a ten-thousandth of the limit, at least one billionth.
    #[must_use]
    pub const fn smallest_release(&self) -> Rho {
        let share = self.rho.0.div_ceil(10_000);
        if share == 0 { Rho(1) } else { Rho(share) }
    }

    /// How many equal rungs the way to the limit has, for showing exposure so far.
    pub const RUNGS: u32 = 8;

    /// The next rung at or above `exposure` as a share of the limit (1 to [`Self::RUNGS`], 0 for
    /// no exposure), and its epsilon at delta divided by the number of rungs. Exposure so far is
    /// shown this way only, because questioning may stop at a moment of its choosing.
    #[must_use]
    pub fn rung(&self, exposure: Rho) -> (u32, f64) {
        if exposure == Rho::ZERO {
            return (0, 0.0);
        }
        let rungs = u64::from(Self::RUNGS);
        let wide = u128::from(exposure.0) * u128::from(rungs);
        let rung = wide
            .div_ceil(u128::from(self.rho.0.max(1)))
            .min(u128::from(u32::MAX));
        let top = (u128::from(self.rho.0) * rung).div_ceil(u128::from(rungs));
        let top = Rho(u64::try_from(top).unwrap_or(u64::MAX));
        (rung as u32, epsilon(top, self.delta.per_rung(Self::RUNGS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delta(value: f64) -> Delta {
        Delta::new(value).unwrap()
    }

    /// Reference values computed with 60 significant digits (mpmath) from the same formula.
    #[test]
    fn epsilon_agrees_with_high_precision_references_and_is_never_below() {
        let text = include_str!("../tests/epsilon_reference.csv");
        let mut rows = 0;
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let mut parts = line.split(',');
            let rho: u64 = parts.next().unwrap().parse().unwrap();
            let d: f64 = parts.next().unwrap().parse().unwrap();
            let reference: f64 = parts.next().unwrap().parse().unwrap();
            let shown = epsilon(Rho(rho), delta(d));
            assert!(shown >= reference, "{rho} {d}: {shown} < {reference}");
            assert!(
                shown <= reference * (1.0 + 1e-9) + 1e-9,
                "{rho} {d}: {shown} > {reference}"
            );
            rows += 1;
        }
        assert!(rows >= 60, "only {rows} reference rows");
    }

    #[test]
    fn the_demo_limit_is_as_published() {
        let limit = Limit::new(5.0, delta(1e-6)).unwrap();
        assert_eq!(limit.rho(), Rho(463_064_990));
    }

    #[test]
    fn ten_keyed_releases_of_a_tenth_of_the_limit_fit_it() {
        let meant = |value| DeltaCharge::meant(delta(value));
        for exponent in 3..17 {
            let one = meant(10f64.powi(-exponent - 1));
            assert_eq!(one.units() * 10, meant(10f64.powi(-exponent)).units());
        }
        assert_eq!(meant(1e-30).units(), 1);
        assert_eq!(meant(0.01).units(), 10_000_000_000_000_000);
    }

    #[test]
    fn wrong_numbers_are_refused() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(Rho::asked(wrong).is_err());
            assert!(rho_within(wrong, delta(1e-6)).is_err());
            assert!(Delta::new(wrong).is_err());
        }
        assert_eq!(Rho::asked(1e-300), Ok(Rho::ZERO));
        assert_eq!(Rho::asked(0.1), Ok(Rho(100_000_000)));
    }

    proptest! {
        #[test]
        fn a_limit_is_the_largest_rho_that_fits(eps in 0.001f64..50.0, exp in 2f64..12.0) {
            let d = delta(10f64.powf(-exp));
            if let Ok(rho) = rho_within(eps, d) {
                prop_assert!(epsilon(rho, d) <= eps);
                prop_assert!(epsilon(Rho(rho.0 + 1), d) > eps);
            }
        }

        #[test]
        fn more_rho_is_more_epsilon(a in 1u64..5_000_000_000, b in 1u64..5_000_000_000) {
            let d = delta(1e-6);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(epsilon(Rho(low), d) <= epsilon(Rho(high), d) + 1e-9);
        }

        #[test]
        fn the_rung_is_never_below_the_exposure(nano in 1u64..463_000_000) {
            let limit = Limit::new(5.0, delta(1e-6)).unwrap();
            let (rung, shown) = limit.rung(Rho(nano));
            prop_assert!((1..=Limit::RUNGS).contains(&rung));
            prop_assert!(shown >= epsilon(Rho(nano), limit.delta()));
        }
    }
}
