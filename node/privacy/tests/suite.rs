//! The accountant's promises, tested from outside the crate. One binary for all of them.

// Builders of tests may unwrap like the tests themselves.
#![allow(clippy::unwrap_used)]

#[path = "suite/builders.rs"]
mod builders;
#[path = "suite/fold.rs"]
mod fold;
#[path = "suite/keys.rs"]
mod keys;
#[path = "suite/many.rs"]
mod many;
#[path = "suite/noise.rs"]
mod noise;
#[path = "suite/promise.rs"]
mod promise;
