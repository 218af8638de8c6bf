//! What somebody who sees every release could conclude about one person, rounded against
//! privacy.
//!
//! The sentences must hold for everything a rho-zCDP ledger can hold, not for Gaussian noise
//! alone, so they use a bound that follows from zCDP itself: the Kullback-Leibler divergence
//! between the two worlds is at most rho in both directions (the Renyi divergence of order alpha
//! is at most alpha rho; alpha towards 1). For a guess that is right with probability b in one
//! world and wrong with probability 1-b in the other, data processing gives
//! (2b-1) ln(b/(1-b)) <= rho, and no other guess does better on average.

use crate::exposure::Rho;

/// Two chances in whole hundredths, rounded outward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Odds {
    /// Out of 100 possible releases, how many would make them think so if it is not so.
    pub without: u32,
    /// Out of 100 possible releases, how many would make them think so if it is so.
    pub with: u32,
}

/// The odds of guessing whether a person's record was used, after exposure `rho`.
#[must_use]
pub fn presence(rho: Rho) -> Odds {
    odds(rho.as_f64())
}

/// The odds of guessing which of two values a person has: remove plus add, so 4 rho.
#[must_use]
pub fn value(rho: Rho) -> Odds {
    odds(4.0 * rho.as_f64())
}

fn odds(rho: f64) -> Odds {
    let divergence = |t: f64| t * ((1.0 + t) / (1.0 - t)).ln();
    let (mut low, mut high) = (0.0, 1.0 - 1e-15);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if divergence(middle) <= rho {
            low = middle;
        } else {
            high = middle;
        }
    }
    // The upper end of the search, rounded up: never flattering.
    let with = (((1.0 + high) / 2.0) * 100.0 - 1e-9).ceil().min(100.0) as u32;
    Odds {
        without: 100 - with,
        with,
    }
}

impl Odds {
    /// The sentence for presence.
    #[must_use]
    pub fn presence_sentence(&self, person: &str) -> String {
        format!(
            "Imagine someone who already knows everyone else's records and sees every result ever released. If this {person}'s record was not used, {} out of 100 possible releases would make them think it was. If it was used, {} out of 100 would. Without any release it is 50 and 50.",
            self.without, self.with
        )
    }

    /// The sentence for value.
    #[must_use]
    pub fn value_sentence(&self, person: &str) -> String {
        format!(
            "If they try to tell which of two values this {person} has, {} out of 100 possible releases would point to the wrong one's side and {} out of 100 to the right one.",
            self.without, self.with
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_exposure_is_fifty_fifty_and_odds_only_widen() {
        assert_eq!(
            presence(Rho::ZERO),
            Odds {
                without: 50,
                with: 50
            }
        );
        let mut last = 50;
        for nano in (0..3_000).map(|i| i * 1_000_000) {
            let now = presence(Rho::from_nano(nano));
            assert!(now.with >= last && now.with + now.without == 100);
            last = now.with;
        }
    }

    #[test]
    fn never_below_what_gaussian_noise_gives() {
        // Phi(mu/2) with mu = sqrt(2 rho), to three digits from tables.
        for (rho, gaussian) in [(0.005, 0.520), (0.125, 0.599), (0.5, 0.692), (2.0, 0.842)] {
            let shown = presence(Rho::asked(rho).unwrap());
            assert!(
                f64::from(shown.with) >= 100.0 * gaussian,
                "{rho}: {shown:?}"
            );
        }
    }

    #[test]
    fn value_uses_four_times_the_exposure() {
        let rho = Rho::from_nano(115_000_000);
        assert_eq!(value(rho), presence(Rho::from_nano(460_000_000)));
        assert_eq!(
            presence(Rho::from_nano(463_064_990)),
            Odds {
                without: 26,
                with: 74
            }
        );
    }

    /// What one line of the page says about an epsilon, computed anew.
    fn line(epsilon: f64) -> String {
        use crate::exposure::{Delta, rho_within};
        let rho = rho_within(epsilon, Delta::new(1e-6).unwrap()).unwrap();
        let (p, v) = (presence(rho), value(rho));
        // A count's margin m is z sigma and its price 1/(2 sigma^2): rho = z^2/(2 m^2).
        let z = crate::accuracy::Z95;
        let counts = |margin: f64| (rho.as_f64() * 2.0 * margin * margin / (z * z)).floor();
        format!(
            "| {epsilon} | {:.4} | {} and {} | {} and {} | {} | {} | {} |",
            (rho.as_f64() * 1e4).floor() / 1e4,
            p.without,
            p.with,
            v.without,
            v.with,
            counts(10.0),
            counts(25.0),
            counts(50.0)
        )
    }

    #[test]
    fn the_owners_page_says_what_the_program_computes() {
        let page = include_str!("../../../docs/owner-limits.md");
        for epsilon in [0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0] {
            let line = line(epsilon);
            assert!(page.contains(&line), "the page should say: {line}");
        }
    }
}
