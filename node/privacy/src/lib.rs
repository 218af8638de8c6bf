//! The accountant's arithmetic: what a release costs, who may still be in it, and its noise.
//!
//! Everything here is pure. There is no input or output, no clock and no ambient randomness: the
//! exposures of the subjects and the generator of the noise are arguments. The stages of a
//! release are types, each consuming the one before:
//!
//! ```text
//! Permit -> (query: Contributions) -> Admitted -> Noised -> (ledger: Committed)
//! ```
//!
//! A [`Permit`] is made by the ledger after the intent is durable, [`Accumulator`]s fold subjects
//! under it into [`Admitted`], [`Admitted::add_noise`] gives [`Noised`], and only the ledger opens
//! that, with [`Noised::into_commit`]. Mock data goes through [`Tally`] and [`mock_noise`], which
//! never see a permit.

pub mod admission;
pub mod capacity;
pub mod clip;
pub mod price;
pub mod slot;

mod accumulate;
mod admitted;
mod charge;
mod filter;
mod grid;
pub mod keys;
mod many;
mod noise;
mod permit;
mod sparse;
mod tally;
mod vectors;

pub use accumulate::{Accumulator, Known};
pub use admitted::{Admitted, CommitParts, Noised};
pub use filter::{Filter, Mode};
pub use grid::{CodeGrid, InvalidCode};
pub use keys::KeyTally;
pub use many::{Many, NOWHERE};
pub use noise::{NoiseError, mock_noise};
pub use permit::{InvalidPermit, Permit};
pub use slot::{KeyWork, RowWork, slot, slot_with_keys};
pub use sparse::Sparse;
pub use tally::{FoldError, Tally};
pub use vectors::rho_nano;
