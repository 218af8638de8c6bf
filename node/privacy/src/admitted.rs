//! Exact sums on their way to the ledger: no stage here can be read.

use std::fmt;

use rand::CryptoRng;

use crate::accumulate::Sums;
use crate::keys::{KeyTally, Shown};
use crate::noise::{self, NoiseError};
use crate::permit::Permit;

/// What one run of the fold makes: exact sums of the active subjects and their charges. Private,
/// so there is no getter: noise is the only way on.
pub struct Admitted {
    permit: Permit,
    sums: Exact,
    charges: Vec<(u32, u16)>,
}

/// By vector and cell, or by key where keys were found in the rows.
enum Exact {
    Cells(Vec<Vec<i64>>),
    Keys(KeyTally),
}

impl Admitted {
    /// Made by the accumulator alone; `charges` are sorted by subject.
    pub(crate) fn new(permit: Permit, sums: Sums, charges: Vec<(u32, u16)>) -> Self {
        let sums = match sums {
            Sums::Cells(tally) => Exact::Cells(tally.sums()),
            Sums::Keys(tally) => Exact::Keys(tally),
        };
        Self {
            permit,
            sums,
            charges,
        }
    }

    /// Adds to every sum one sample of the discrete Gaussian with its vector's sigma. The
    /// generator is seeded anew from the operating system for every batch of releases, by whoever
    /// calls this.
    pub fn add_noise<R: CryptoRng + ?Sized>(self, rng: &mut R) -> Result<Noised, NoiseError> {
        let Admitted {
            permit,
            sums,
            charges,
        } = self;
        let vectors = &permit.shape().vectors;
        let shown = match sums {
            Exact::Cells(mut values) => {
                noise::add(&mut values, vectors, rng)?;
                let found = Vec::new();
                Shown { values, found }
            }
            Exact::Keys(tally) => tally.show(vectors, rng)?,
        };
        Ok(Noised {
            permit,
            values: shown.values,
            found: shown.found,
            charges,
        })
    }

    /// The exact sums, for tests that compare them with an independent computation. Tests only:
    /// an architecture test allows the name in `tests/` and nowhere else.
    #[doc(hidden)]
    #[must_use]
    pub fn exact_sums_for_audit(&self) -> &[Vec<i64>] {
        match &self.sums {
            Exact::Cells(sums) => sums,
            Exact::Keys(_) => &[],
        }
    }

    /// The same for keys that were found in the rows: all of them with their exact sums, one
    /// after the other as the vectors with numbers for each key have them. Tests only.
    #[doc(hidden)]
    #[must_use]
    pub fn exact_sums_for_audit_by_key(&self) -> Vec<(&str, &[i64])> {
        match &self.sums {
            Exact::Cells(_) => Vec::new(),
            Exact::Keys(tally) => tally.all(),
        }
    }
}

/// Private: shows nothing.
impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admitted")
    }
}

/// Noisy values that are not committed yet, so nobody may see them. No getter.
pub struct Noised {
    permit: Permit,
    values: Vec<Vec<i64>>,
    found: Vec<String>,
    charges: Vec<(u32, u16)>,
}

impl Noised {
    /// Opens it to write release and charges in one atomic durable step. The ledger only; an
    /// architecture test enforces it.
    #[must_use]
    pub fn into_commit(self) -> CommitParts {
        CommitParts {
            permit: self.permit,
            values: self.values,
            found: self.found,
            charges: self.charges,
        }
    }
}

/// Not yet public: shows nothing.
impl fmt::Debug for Noised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noised")
    }
}

/// What the ledger writes in one step.
pub struct CommitParts {
    /// The permit, used up: its intent is closed by this commit.
    pub permit: Permit,
    /// The noisy values by vector and cell, in grid steps. Public once the commit is durable.
    pub values: Vec<Vec<i64>>,
    /// The labels that were found for a key that is not declared, in the order of their texts.
    /// Public once the commit is durable.
    pub found: Vec<String>,
    /// The active subjects with the codes of their charges on the permit's grid, sorted by
    /// subject, each once. Private for ever.
    pub charges: Vec<(u32, u16)>,
}

/// Private: shows nothing.
impl fmt::Debug for CommitParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitParts")
    }
}
