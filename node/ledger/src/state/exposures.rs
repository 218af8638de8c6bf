//! Adding the charges of a release to exposures.

use std::sync::Arc;

use obscura_model::exposure::Rho;
use obscura_privacy::CodeGrid;

use super::InvalidHistory;

/// The charges of one release in billionths: `(subject, charge)`, without zeros.
pub(crate) struct Charges(Vec<(u32, u64)>);

impl Charges {
    /// Reads the codes of all subject indexes on the grid of the release's price.
    pub(crate) fn of(price: Rho, codes: &[u16]) -> Result<Self, InvalidHistory> {
        let unknown = |_| InvalidHistory::Range("a charge");
        let grid = CodeGrid::new(price).map_err(unknown)?;
        // Many subjects share few codes: each code is computed once.
        let mut values = vec![None; usize::from(CodeGrid::TOP) + 1];
        let mut charges = Vec::new();
        for (code, subject) in codes.iter().zip(0u32..).filter(|(code, _)| **code != 0) {
            let value = values.get_mut(usize::from(*code));
            let value = value.ok_or(InvalidHistory::Range("a charge"))?;
            let charge = match *value {
                Some(charge) => charge,
                None => *value.insert(grid.value(*code).map_err(unknown)?.nano()),
            };
            charges.push((subject, charge));
        }
        Ok(Charges(charges))
    }

    /// Adds them exactly.
    pub(crate) fn add_to(&self, exposures: &mut Arc<Vec<u64>>) -> Result<(), InvalidHistory> {
        let exposures = Arc::make_mut(exposures);
        for (subject, charge) in &self.0 {
            let exposure = exposures
                .get_mut(*subject as usize)
                .ok_or(InvalidHistory::Unknown("a subject"))?;
            *exposure = exposure
                .checked_add(*charge)
                .ok_or(InvalidHistory::Range("an exposure"))?;
        }
        Ok(())
    }

    /// Whether every exposure with its charge is within `limit`.
    pub(crate) fn fit(&self, exposures: &[u64], limit: Rho) -> bool {
        self.0.iter().all(|(subject, charge)| {
            let sum = exposures
                .get(*subject as usize)
                .and_then(|e| e.checked_add(*charge));
            sum.is_some_and(|sum| sum <= limit.nano())
        })
    }
}
