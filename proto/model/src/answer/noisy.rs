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
/// (What is too wide on one side is too narrow on the other: a tenth takes 2 in 1,000 off 95 %.)
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
        let margin = Z95 * self.variance().sqrt() + self.slack;
        // What cannot be computed is no statement, never a narrow one.
        if margin.is_nan() {
            f64::INFINITY
        } else {
            margin
        }
    }

    fn covariance(&self, other: &Noisy) -> f64 {
        let shared = |(base, slope): (&Base, &f64)| other.slopes.get(base).map(|o| o * slope);
        self.slopes.iter().filter_map(shared).sum()
    }

    /// `self + factor * other`.
    pub(super) fn plus(mut self, other: &Noisy, factor: f64) -> Self {
        self.value += factor * other.value;
        for (base, slope) in &other.slopes {
            *self.slopes.entry(*base).or_insert(0.0) += factor * slope;
        }
        self.slack += widened(other.slack, factor);
        self
    }

    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            slopes: self.slopes.iter().map(|(b, s)| (*b, s * factor)).collect(),
            slack: widened(self.slack, factor),
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
        Some(self.quotient(divisor))
    }

    /// A total over a count, clamped: below one row the value is that of one row, and unless the
    /// count is above its own margin there is no finite margin.
    pub(super) fn mean(&self, count: &Noisy, lowest: f64, highest: f64) -> Self {
        if count.value <= count.margin().max(1.0) {
            let value = (self.value / count.value.max(1.0)).clamp(lowest, highest);
            return Noisy::within(value, f64::INFINITY);
        }
        self.quotient(count).clamped(lowest, highest)
    }

    /// A quotient a / b. Its margin reaches to the further end of Fieller's interval (Fieller 1954,
    /// "Some problems in interval estimation", JRSS B 16): all r for which a - r b is within 1.96
    /// of its own standard deviations (and what else may be off) of 0. For the r without noise it
    /// is so in 95 of 100 answers, however near b is to 0; a tangent alone holds less often there.
    fn quotient(&self, divisor: &Noisy) -> Self {
        let value = self.value / divisor.value;
        let mut quotient = self
            .clone()
            .plus(divisor, -value)
            .scaled(1.0 / divisor.value);
        quotient.value = value;
        if divisor.value.abs() <= divisor.margin() {
            quotient.slack = f64::INFINITY;
            return quotient;
        }
        let both = self.covariance(divisor);
        let (own, below) = (self.variance(), divisor.variance());
        let possible = |ratio: f64| {
            let variance = own - 2.0 * ratio * both + ratio * ratio * below;
            let margin = Z95 * variance.max(0.0).sqrt();
            let further = self.slack + ratio.abs() * divisor.slack;
            (self.value - ratio * divisor.value).abs() <= margin + further
        };
        let straight = quotient.margin();
        let furthest = [1.0, -1.0]
            .map(|side| furthest(straight, |away| possible(value + side * away)))
            .into_iter()
            .fold(0.0, f64::max);
        quotient.bent(furthest)
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
        let known = margin.is_finite() && !ends.iter().any(|e| e.is_nan());
        let furthest = ends.into_iter().map(|e| (e - value).abs());
        let furthest = furthest.fold(0.0, f64::max);
        if !known || !slope.is_finite() {
            let reach = if known { furthest } else { f64::INFINITY };
            return Some(Noisy::within(value, reach));
        }
        let mut tangent = self.scaled(slope);
        tangent.value = value;
        Some(tangent.bent(furthest))
    }

    /// What a tangent makes of a value that may be this far off: itself where it is straight, with
    /// what is missing in its margin where it is not, and less where it reaches too far.
    fn bent(mut self, furthest: f64) -> Self {
        let straight = self.margin();
        if furthest > straight * (1.0 + STRAIGHT) {
            self.slack += furthest - straight;
        } else if furthest < straight * (1.0 - STRAIGHT) {
            return Noisy::within(self.value, furthest);
        }
        self
    }

    pub(super) fn clamped(mut self, lowest: f64, highest: f64) -> Self {
        self.value = self.value.clamp(lowest, highest);
        self
    }
}

/// A half-width times a factor. Nothing times 0 widens, not even what is without limit.
fn widened(slack: f64, factor: f64) -> f64 {
    if slack > 0.0 && factor != 0.0 {
        slack * factor.abs()
    } else {
        0.0
    }
}

/// How far from a value others are possible, if those further away than an impossible one are
/// impossible too: about `near` as a rule, so that it is enough to know that it is not much more.
fn furthest(near: f64, possible: impl Fn(f64) -> bool) -> f64 {
    /// Enough for any float.
    const DOUBLINGS: usize = 2100;
    const HALVINGS: usize = 40;
    if near == 0.0 || !near.is_finite() {
        return near;
    }
    if !possible(near * (1.0 + STRAIGHT)) && possible(near * (1.0 - STRAIGHT)) {
        return near;
    }
    let mut doubled = std::iter::successors(Some(near), |far| Some(far * 2.0)).take(DOUBLINGS);
    let Some(mut beyond) = doubled.find(|far| !possible(*far)) else {
        return f64::INFINITY;
    };
    let mut within = 0.0;
    for _ in 0..HALVINGS {
        let middle = within + (beyond - within) / 2.0;
        if possible(middle) {
            within = middle;
        } else {
            beyond = middle;
        }
    }
    beyond
}
