//! The public decision that a release may be computed.

use obscura_model::answer::{InvalidPrice, Shape, VectorShape};
use obscura_model::exposure::Rho;

use crate::capacity;
use crate::filter::Filter;
use crate::grid::{CodeGrid, InvalidCode};

/// Terms under which no release may be computed. Admission and planning rule all of these out;
/// they are checked again because a permit is the last gate before private rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPermit {
    /// The vectors have no price.
    #[error("the release has no price")]
    Price(#[source] InvalidPrice),
    /// The price has no grid of charges.
    #[error("the release has no grid of charges")]
    Grid(#[source] InvalidCode),
    /// There is no vector, or no cell.
    #[error("the release has nothing to sum")]
    Empty,
    /// There is no account whose limit bounds the release.
    #[error("no limit bounds the release")]
    NoAccount,
    /// Subjects are numbered with 32 bits.
    #[error("the population's index is larger than subjects can be numbered")]
    Capacity,
    /// The exact sums could leave the accumulator.
    #[error("the release's sums could grow too large: use narrower bounds or fewer rows")]
    TooLarge,
}

/// "This caller may do this now, and the intent is durable." All of it is public.
///
/// It can't be copied, and the fold consumes it, so that one intent gives at most one
/// [`Admitted`](crate::Admitted).
#[derive(Debug, PartialEq)]
pub struct Permit {
    intent: u64,
    price: Rho,
    grid: CodeGrid,
    filter: Filter,
    shape: Shape,
    nobody_dropped: bool,
    capacity: u64,
}

impl Permit {
    /// The permit of the intent at journal index `intent`. Only the ledger calls this, and only
    /// once the intent is durable; an architecture test enforces it.
    ///
    /// `filter` holds mode and limits of the moment of admission, `shape` the vectors with the
    /// sigmas that were admitted, `nobody_dropped` is the public statement that every meter
    /// concerned, this release included, is within its limit, and `capacity` is the index
    /// capacity of the population: subjects are numbered below it. Price and grid follow.
    pub fn after_durable_intent(
        intent: u64,
        filter: Filter,
        shape: Shape,
        nobody_dropped: bool,
        capacity: u64,
    ) -> Result<Self, InvalidPermit> {
        let some = |v: &VectorShape| v.length(shape.cells()).is_some_and(|length| length > 0);
        if shape.vectors.is_empty() || !shape.vectors.iter().all(some) {
            return Err(InvalidPermit::Empty);
        }
        if filter.accounts().is_empty() {
            return Err(InvalidPermit::NoAccount);
        }
        if capacity > 1 << 32 {
            return Err(InvalidPermit::Capacity);
        }
        if !shape
            .vectors
            .iter()
            .all(|v| capacity::norm_fits(v.clip_squared, capacity))
        {
            return Err(InvalidPermit::TooLarge);
        }
        let price = shape.price().map_err(InvalidPermit::Price)?;
        let grid = CodeGrid::new(price).map_err(InvalidPermit::Grid)?;
        Ok(Self {
            intent,
            price,
            grid,
            filter,
            shape,
            nobody_dropped,
            capacity,
        })
    }

    /// The journal index of the intent.
    #[must_use]
    pub const fn intent(&self) -> u64 {
        self.intent
    }

    /// The public price.
    #[must_use]
    pub const fn price(&self) -> Rho {
        self.price
    }

    /// The grid on which charges are stored.
    #[must_use]
    pub const fn grid(&self) -> CodeGrid {
        self.grid
    }

    /// Mode and limits at admission.
    #[must_use]
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What is released, with its sigmas.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether it is publicly known that no subject is left out for lack of room.
    #[must_use]
    pub const fn nobody_dropped(&self) -> bool {
        self.nobody_dropped
    }

    /// The index capacity of the population; subjects are numbered below it.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }
}
