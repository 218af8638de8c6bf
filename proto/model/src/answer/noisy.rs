//! A released value with all that is known of its error.
//!
//! Every base value (one number of one vector at one site) carries independent noise of a known
//! standard deviation. A value computed from them carries, for each base value, its first
//! derivative times that standard deviation (forward differentiation), so that vectors shared by
//! several parts of an expression are counted exactly: variance = sum of squares. What first
//! derivatives cannot tell (rounding, an undecided comparison, curvature) is a further half-width
//! that is added to the margin as it is.

use std::collections::BTreeMap;

use crate::accuracy::Z95;

/// Site, vector, position.
pub(super) type Base = (usize, usize, usize);

/// A value, its slopes in standard deviations of the base values, and a further half-width.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Noisy {
    pub(super) value: f64,
    slopes: BTreeMap<Base, f64>,
    pub(super) slack: f64,
}

/// A function counts as straight if, a margin away, it is off its tangent by at most this share.
const STRAIGHT: f64 = 0.1;

impl Noisy {
    pub(super) fn exact(value: f64) -> Self {
        Self {
            value,
            slopes: BTreeMap::new(),
            slack: 0.0,
        }
    }

    pub(super) fn base(at: Base, value: f64, sigma: f64, slack: f64) -> Self {
        Self {
            value,
            slopes: BTreeMap::from([(at, sigma)]),
            slack,
        }
    }

    pub(super) fn within(value: f64, half_width: f64) -> Self {
        Self {
            slack: half_width,
            ..Self::exact(value)
        }
    }

    /// A condition over noisy values; undecided if the noise could turn it.
    pub(super) fn truth(holds: bool, decided: bool) -> Self {
        Self::within(f64::from(u8::from(holds)), if decided { 0.0 } else { 1.0 })
    }

    pub(super) fn holds(&self) -> bool {
        self.value != 0.0
    }

    pub(super) fn decided(&self) -> bool {
        self.slack == 0.0
    }

    pub(super) fn variance(&self) -> f64 {
        self.slopes.values().map(|s| s * s).sum()
    }

    /// The 95 % margin.
    pub(super) fn margin(&self) -> f64 {
        Z95 * self.variance().sqrt() + self.slack
    }

    /// `self + factor * other`.
    pub(super) fn plus(mut self, other: &Noisy, factor: f64) -> Self {
        self.value += factor * other.value;
        for (base, slope) in &other.slopes {
            *self.slopes.entry(*base).or_insert(0.0) += factor * slope;
        }
        if other.slack > 0.0 {
            self.slack += factor.abs() * other.slack;
        }
        self
    }

    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            slopes: self.slopes.iter().map(|(b, s)| (*b, s * factor)).collect(),
            slack: if self.slack > 0.0 {
                self.slack * factor.abs()
            } else {
                0.0
            },
        }
    }

    /// The product, with the product of the margins for what the first derivatives leave out.
    pub(super) fn times(&self, other: &Noisy) -> Self {
        let (a, b) = (self.value, other.value);
        let mut product = Noisy::exact(0.0).plus(self, b).plus(other, a);
        product.value = a * b;
        let both = self.margin() * other.margin();
        // An exact 0 times something without a margin has none to add.
        product.slack += if both.is_nan() { 0.0 } else { both };
        product
    }

    /// The quotient by what is not 0. Where the divisor is not above its own margin there is no
    /// finite margin.
    pub(super) fn over(&self, divisor: &Noisy) -> Option<Self> {
        if divisor.value == 0.0 {
            return None;
        }
        let value = self.value / divisor.value;
        let mut quotient = self
            .clone()
            .plus(divisor, -value)
            .scaled(1.0 / divisor.value);
        quotient.value = value;
        if divisor.value.abs() <= divisor.margin() {
            quotient.slack = f64::INFINITY;
        }
        Some(quotient)
    }

    /// A total over a count, clamped: below one row the value is that of one row, and unless the
    /// count is above its own margin there is no finite margin.
    pub(super) fn mean(&self, count: &Noisy, lowest: f64, highest: f64) -> Self {
        let value = (self.value / count.value.max(1.0)).clamp(lowest, highest);
        if count.value <= count.margin().max(1.0) {
            return Noisy::within(value, f64::INFINITY);
        }
        let mut mean = self.clone().plus(count, -value).scaled(1.0 / count.value);
        mean.value = value;
        mean
    }

    /// A monotone function: by its slope where it is straight over the margin, otherwise by its
    /// values at the margin's ends.
    pub(super) fn curved(&self, f: impl Fn(f64) -> f64, slope: f64) -> Option<Self> {
        let value = f(self.value);
        if !value.is_finite() {
            return None;
        }
        let margin = self.margin();
        if margin == 0.0 {
            return Some(Noisy::exact(value));
        }
        let ends = [f(self.value - margin), f(self.value + margin)];
        let furthest = ends
            .map(|e| (e - value).abs())
            .into_iter()
            .fold(0.0, f64::max);
        let straight = (slope * margin).abs();
        if !ends.iter().all(|e| e.is_finite()) || !slope.is_finite() {
            let finite = furthest.is_finite() && ends.iter().all(|e| !e.is_nan());
            return Some(Noisy::within(
                value,
                if finite { furthest } else { f64::INFINITY },
            ));
        }
        if furthest <= straight * (1.0 + STRAIGHT) {
            let mut tangent = self.scaled(slope);
            tangent.value = value;
            Some(tangent)
        } else {
            Some(Noisy::within(value, furthest))
        }
    }

    pub(super) fn clamped(mut self, lowest: f64, highest: f64) -> Self {
        self.value = self.value.clamp(lowest, highest);
        self
    }
}
