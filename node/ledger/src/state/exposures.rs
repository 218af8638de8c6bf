//! Adding the charges of a release to exposures.

use std::sync::Arc;

use obscura_model::exposure::Rho;
use obscura_privacy::CodeGrid;

use super::InvalidHistory;

/// The charges of one release: a code for each subject index, and what each code that occurs
/// stands for. Whatever the codes are, adding them is the same work.
pub(crate) struct Charges<'a> {
    codes: &'a [u16],
    /// Billionths by code. Only code 0 stands for nothing, so a 0 elsewhere is a code that does
    /// not occur.
    values: Vec<u64>,
}

impl<'a> Charges<'a> {
    /// Reads the codes of all subject indexes on the grid of the release's price.
    pub(crate) fn of(price: Rho, codes: &'a [u16]) -> Result<Self, InvalidHistory> {
        let unknown = |_| InvalidHistory::Range("a charge");
        let grid = CodeGrid::new(price).map_err(unknown)?;
        // Many subjects share few codes: each code is computed once.
        let mut values = vec![0; usize::from(CodeGrid::TOP) + 1];
        for code in codes {
            let value = values.get_mut(usize::from(*code));
            let value = value.ok_or(InvalidHistory::Range("a charge"))?;
            if *value == 0 && *code != 0 {
                *value = grid.value(*code).map_err(unknown)?.nano();
            }
        }
        Ok(Charges { codes, values })
    }

    /// What a code stands for. Every code was looked up before; one that was not fits nowhere.
    fn value(&self, code: u16) -> u64 {
        let value = self.values.get(usize::from(code));
        value.copied().unwrap_or(u64::MAX)
    }

    /// Adds them exactly.
    pub(crate) fn add_to(&self, exposures: &mut Arc<Vec<u64>>) -> Result<(), InvalidHistory> {
        let exposures = Arc::make_mut(exposures);
        if exposures.len() < self.codes.len() {
            return Err(InvalidHistory::Unknown("a subject"));
        }
        for (exposure, code) in exposures.iter_mut().zip(self.codes) {
            *exposure = exposure
                .checked_add(self.value(*code))
                .ok_or(InvalidHistory::Range("an exposure"))?;
        }
        Ok(())
    }

    /// Whether every exposure with its charge is within `limit`. Who is charged nothing may be
    /// above it: it may have been lowered.
    pub(crate) fn fit(&self, exposures: &[u64], limit: Rho) -> bool {
        let fits = |(exposure, code): (&u64, &u16)| {
            let sum = exposure.checked_add(self.value(*code));
            (*code == 0) | sum.is_some_and(|sum| sum <= limit.nano())
        };
        exposures.len() >= self.codes.len() && exposures.iter().zip(self.codes).all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Rho = Rho::from_nano(1_000);

    #[test]
    fn charges_add_up_and_only_who_is_charged_has_to_fit() {
        let codes = [0, CodeGrid::TOP, CodeGrid::TOP - 256, 1];
        let charges = Charges::of(PRICE, &codes).unwrap();
        let mut exposures = Arc::new(vec![9_000, 0, 5, 7]);
        assert!(charges.fit(&exposures, PRICE));
        assert!(!charges.fit(&exposures, Rho::from_nano(999)));
        charges.add_to(&mut exposures).unwrap();
        assert_eq!(*exposures, [9_000, 1_000, 505, 8]);
        assert!(!charges.fit(&exposures, PRICE));
    }

    #[test]
    fn codes_that_no_grid_has_and_subjects_that_nobody_is_are_refused() {
        assert!(Charges::of(PRICE, &[0, CodeGrid::TOP + 1]).is_err());
        assert!(Charges::of(Rho::ZERO, &[0]).is_err());
        let charges = Charges::of(PRICE, &[1, 1]).unwrap();
        assert!(!charges.fit(&[0], PRICE));
        assert!(charges.add_to(&mut Arc::new(vec![0])).is_err());
        assert!(charges.add_to(&mut Arc::new(vec![0, u64::MAX])).is_err());
    }
}
