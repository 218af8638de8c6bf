//! How precise an answer should be, asked in one of four ways.

use std::collections::BTreeMap;

use crate::exposure::Rho;

/// The share of answers that a margin holds for: 95 in 100.
pub const MARGIN_SHARE: f64 = 0.95;

/// The two-sided 95 % point of the standard normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// One way to ask for accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Accuracy {
    /// The standard deviation of the noise, in the output's unit (for an average: of its sum).
    Sigma(f64),
    /// The epsilon of the whole release, at the limit's delta.
    Epsilon(f64),
    /// The price of the whole release.
    Price(Rho),
    /// "Within `margin`, 95 times in 100", in the output's unit. For what depends on the number of
    /// rows (averages, variances, quotients, quantiles) the margin holds if at least `rows` rows
    /// match in the cell; for counts and sums `rows` is not needed.
    Within {
        /// Half the width of the interval, above zero.
        margin: f64,
        /// For averages: the number of matching rows from which on the margin holds.
        rows: Option<u64>,
    },
}

/// A request for accuracy that contradicts itself or is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidAccuracy {
    /// A number that is not finite and above zero.
    #[error("{what} must be a number above 0, not {value}")]
    Number {
        /// Which number.
        what: &'static str,
        /// The value as given.
        value: f64,
    },
    /// Single outputs were named next to a price for the whole release.
    #[error(
        "accuracy for single outputs ({0}) cannot stand next to epsilon or rho for the whole release: keep one of them"
    )]
    Mixed(String),
    /// A weight that is out of range.
    #[error("a weight must be from 0.001 to 1000, not {0}")]
    Weight(f64),
    /// Weights without a price for the whole release.
    #[error("weights share a price among outputs: give epsilon or rho for the whole release too")]
    Weights,
    /// Neither the whole nor any output has an accuracy.
    #[error("say how accurate the answer should be: sigma, epsilon, rho or within")]
    Missing,
}

impl Accuracy {
    /// Checks the ranges.
    pub fn checked(self) -> Result<Self, InvalidAccuracy> {
        let positive = |what, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(InvalidAccuracy::Number { what, value })
            }
        };
        match self {
            Accuracy::Sigma(sigma) => positive("sigma", sigma)?,
            Accuracy::Epsilon(epsilon) => positive("epsilon", epsilon)?,
            Accuracy::Price(_) => {}
            Accuracy::Within { margin, rows } => {
                positive("within", margin)?;
                if rows == Some(0) {
                    return Err(InvalidAccuracy::Number {
                        what: "rows",
                        value: 0.0,
                    });
                }
            }
        }
        Ok(self)
    }
}

/// What a release asks for: one accuracy for the whole, or one for each of some outputs (the
/// others follow the whole).
#[derive(Debug, Clone, PartialEq)]
pub struct AccuracyRequest {
    whole: Option<Accuracy>,
    outputs: BTreeMap<String, Accuracy>,
    weights: BTreeMap<String, f64>,
}

impl AccuracyRequest {
    /// One accuracy for every output.
    pub fn whole(accuracy: Accuracy) -> Result<Self, InvalidAccuracy> {
        Self::new(Some(accuracy), BTreeMap::new())
    }

    /// Checks ranges, and that single outputs are not named next to a price for the whole.
    pub fn new(
        whole: Option<Accuracy>,
        outputs: BTreeMap<String, Accuracy>,
    ) -> Result<Self, InvalidAccuracy> {
        let priced = |a: &Accuracy| matches!(a, Accuracy::Epsilon(_) | Accuracy::Price(_));
        if let Some(accuracy) = whole {
            accuracy.checked()?;
        } else if outputs.is_empty() {
            return Err(InvalidAccuracy::Missing);
        }
        for (name, accuracy) in &outputs {
            accuracy.checked()?;
            if priced(accuracy) || whole.as_ref().is_some_and(priced) {
                return Err(InvalidAccuracy::Mixed(name.clone()));
            }
        }
        Ok(Self {
            whole,
            outputs,
            weights: BTreeMap::new(),
        })
    }

    /// Shares the price of the whole among outputs by these weights; an output without one has
    /// weight 1. Only next to an epsilon or a rho for the whole.
    pub fn with_weights(self, weights: BTreeMap<String, f64>) -> Result<Self, InvalidAccuracy> {
        let priced = matches!(self.whole, Some(Accuracy::Epsilon(_) | Accuracy::Price(_)));
        if !weights.is_empty() && !priced {
            return Err(InvalidAccuracy::Weights);
        }
        // Beyond a million to one the shares would leave the grid of prices.
        match weights.values().find(|w| !(**w >= 1e-3 && **w <= 1e3)) {
            Some(&value) => Err(InvalidAccuracy::Weight(value)),
            None => Ok(Self { weights, ..self }),
        }
    }

    /// The weights of named outputs; empty for equal shares.
    #[must_use]
    pub fn weights(&self) -> &BTreeMap<String, f64> {
        &self.weights
    }

    /// The accuracy of outputs that are not named.
    #[must_use]
    pub fn for_whole(&self) -> Option<Accuracy> {
        self.whole
    }

    /// The accuracy of each named output.
    #[must_use]
    pub fn by_output(&self) -> &BTreeMap<String, Accuracy> {
        &self.outputs
    }
}
