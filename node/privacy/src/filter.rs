//! Who may still be in a release.

pub use obscura_model::exposure::Mode;
use obscura_model::exposure::Rho;

/// The individual filter of one release: the limits in force, one for each account concerned
/// (the population, and the dataset when it has a limit of its own).
///
/// For zero-concentrated differential privacy a plain sum per subject against a fixed limit keeps
/// the limit under adaptive questioning (Feldman and Zrnic 2021, "Individual privacy accounting
/// via a Renyi filter").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    accounts: Vec<Rho>,
    mode: Mode,
}

impl Filter {
    /// The filter of `mode` over the limits in force, in the order in which exposures will be
    /// given.
    #[must_use]
    pub fn new(mode: Mode, accounts: Vec<Rho>) -> Self {
        Self { accounts, mode }
    }

    /// The mode at admission.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The limits in force at admission, one for each account.
    #[must_use]
    pub fn accounts(&self) -> &[Rho] {
        &self.accounts
    }

    /// Whether a subject with these exposures (billionths, one for each account) takes part in a
    /// release that charges it `charge`.
    ///
    /// In protect mode: only if the sum fits the limit of every account. A sum that does not fit
    /// 64 bits fits no limit, and neither does a subject whose exposures are not all known. In
    /// strict mode always, because admission has shown that the meters, which no exposure
    /// exceeds, have room for the whole price.
    #[must_use]
    pub fn active(&self, exposures: &[u64], charge: Rho) -> bool {
        match self.mode {
            Mode::Strict => true,
            Mode::Protect => {
                exposures.len() == self.accounts.len()
                    && self
                        .accounts
                        .iter()
                        .zip(exposures)
                        .all(|(limit, &exposure)| {
                            exposure
                                .checked_add(charge.nano())
                                .is_some_and(|sum| sum <= limit.nano())
                        })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(mode: Mode, limits: &[u64]) -> Filter {
        Filter::new(
            mode,
            limits.iter().map(|&limit| Rho::from_nano(limit)).collect(),
        )
    }

    #[test]
    fn the_last_billionth_fits_and_one_more_does_not() {
        let protect = filter(Mode::Protect, &[100]);
        assert!(protect.active(&[90], Rho::from_nano(10)));
        assert!(!protect.active(&[90], Rho::from_nano(11)));
        assert!(
            !protect.active(&[u64::MAX], Rho::from_nano(1)),
            "a sum that wraps fits nothing"
        );
    }

    #[test]
    fn every_account_must_have_room() {
        let protect = filter(Mode::Protect, &[100, 50]);
        assert!(protect.active(&[90, 40], Rho::from_nano(10)));
        assert!(!protect.active(&[90, 41], Rho::from_nano(10)));
        assert!(!protect.active(&[91, 40], Rho::from_nano(10)));
        assert!(
            !protect.active(&[90], Rho::from_nano(10)),
            "an unknown exposure has no room"
        );
    }

    #[test]
    fn strict_mode_drops_nobody() {
        assert!(filter(Mode::Strict, &[100]).active(&[100], Rho::from_nano(1)));
    }

    proptest! {
        #[test]
        fn charges_under_the_filter_never_pass_a_limit(
            limits in prop::collection::vec(0u64..1_000, 1..4),
            charges in prop::collection::vec(1u64..300, 0..60),
        ) {
            let protect = filter(Mode::Protect, &limits);
            let mut exposures = vec![0u64; limits.len()];
            for charge in charges {
                if protect.active(&exposures, Rho::from_nano(charge)) {
                    exposures.iter_mut().for_each(|exposure| *exposure += charge);
                }
                prop_assert!(exposures.iter().zip(&limits).all(|(e, limit)| e <= limit));
            }
        }
    }
}
