//! Everything that an answer is besides its numbers: bytes, lengths, order, labels, errors and
//! time. Two worlds differ in one extreme person; classifiers learn from half of the answers which
//! world they came from, and are tried on the other half.
//!
//! Whoever guesses the world of an m-Gaussian private answer, both equally likely, is right with
//! probability `Phi(m / 2)` at most. More right guesses than that by an exact binomial test are an
//! alarm. Numbers are among the features too, so that the classifiers have all that an attacker
//! has.

mod classifier;
mod observed;

use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;

use self::classifier::{Centroids, Guess, Logistic, Scale};
use self::observed::{Observed, observe};
use super::bounds::{Count, normal, normal_quantile};
use super::{ALARM, Limit, Report};
use crate::fixture::timing::{Timed, Verdict, median};

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rounds: in each a release of either kind and an error, in both worlds.
    pub rounds: usize,
}

impl Size {
    /// As in docs/audit.md: twice 5,000 releases in either world.
    pub const FULL: Self = Self { rounds: 5_000 };
    /// With every run of the tests.
    pub const SMALL: Self = Self { rounds: 32 };
}

/// Two rounds for learning, then two for trying: the order of the worlds alternates from round to
/// round, so that either half has both orders.
fn learns(round: usize) -> bool {
    (round / 2).is_multiple_of(2)
}

fn guessed(seen: &[Observed], classifier: &dyn Guess, scale: &Scale) -> Count {
    let mut right = Count::default();
    for one in seen.iter().filter(|o| !learns(o.round)) {
        let guess = classifier.there(&scale.apply(&one.features));
        right.note(guess == one.there);
    }
    right
}

/// Asks two nodes in this process whose waits for slots are real.
///
/// # Errors
///
/// If a step fails.
pub async fn measure(size: Size, progress: &ProgressBar) -> Result<Report> {
    progress.set_length(size.rounds as u64);
    let (seen, rho) = observe(size.rounds, progress).await?;
    report(&seen, rho)
}

fn report(seen: &[Observed], rho: f64) -> Result<Report> {
    let mut report = Report::new("bytes");
    let learning: Vec<&Observed> = seen.iter().filter(|o| learns(o.round)).collect();
    let scale = Scale::of(learning.iter().map(|o| o.features.as_slice()))
        .context("nothing to learn from")?;
    let examples: Vec<(Vec<f64>, bool)> = learning
        .iter()
        .map(|o| (scale.apply(&o.features), o.there))
        .collect();
    // Everything that one round releases, in standard deviations.
    let best = normal((2.0 * rho).sqrt() / 2.0);
    report.add("rho", rho, Limit::None, "rho of what one round releases");
    report.add(
        "best",
        best,
        Limit::None,
        "right guesses that this rho allows",
    );
    let classifiers: [(&str, &str, Box<dyn Guess>); 2] = [
        (
            "logistic",
            "logistic regression",
            Box::new(Logistic::of(&examples)),
        ),
        (
            "centroids",
            "the nearest centroid",
            Box::new(Centroids::of(&examples)),
        ),
    ];
    for (name, what, classifier) in &classifiers {
        let right = guessed(seen, classifier.as_ref(), &scale);
        let what = format!("right of {} guesses by {what}", right.of);
        report.add(name, right.rate(), Limit::None, &what);
        let least = Limit::AtLeast(ALARM / classifiers.len() as f64);
        let what = "probability of as many or more with this rho";
        report.add(&format!("{name}_chance"), right.as_many(best), least, what);
    }
    let timed = |there: bool| -> Vec<Timed> {
        let mine = seen.iter().filter(|o| o.there == there);
        mine.map(|o| Timed {
            took: Duration::from_secs_f64(o.millis[0] / 1e3),
            size: o.noise,
            slot: o.slot,
        })
        .collect()
    };
    for (at, name) in ["slow", "keys"].into_iter().enumerate() {
        let millis: Vec<f64> = seen.iter().map(|o| o.millis[at]).collect();
        let what = format!("ms, the median time of the release '{name}'");
        report.add(name, median(&millis), Limit::None, &what);
    }
    let Verdict {
        distance,
        gap,
        late,
        rank,
        releases,
    } = Verdict::of(&timed(true), &timed(false));
    let what = "rank correlation of time and size of the noise, without its sign";
    let most = -normal_quantile(ALARM / 2.0) / (releases as f64 - 1.0).sqrt();
    report.add("rank", rank.abs(), Limit::AtMost(most), what);
    let what = "Kolmogorov-Smirnov distance of times in both worlds: 2 exp(-2 x^2) by chance";
    report.add("distance", distance, Limit::AtMost(2.7), what);
    report.add("gap", gap, Limit::None, "ms between the medians");
    let [one, other] = late;
    let late = one.abs_diff(other) as f64 / ((one + other).max(1) as f64).sqrt();
    let what = "standard deviations between numbers of late answers";
    report.add("late", late, Limit::AtMost(4.9), what);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features without information, and one that says everything if `leaks`.
    fn seen(leaks: bool) -> Vec<Observed> {
        let one = |n: usize| {
            let there = n.is_multiple_of(2);
            let hash = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            Observed {
                round: n / 2,
                there,
                features: vec![hash as f64, 7.0, f64::from(u8::from(there && leaks))],
                millis: [40.0 + hash as f64 / 1e7; 2],
                slot: Duration::from_millis(40),
                noise: ((n / 2).wrapping_mul(7919) % 5003) as f64,
            }
        };
        (0..800).map(one).collect()
    }

    #[test]
    fn a_feature_that_tells_the_world_is_an_alarm_and_others_are_none() {
        let fine = report(&seen(false), 0.01).unwrap();
        assert!(fine.alarms().is_empty(), "{fine}");
        let told = report(&seen(true), 0.01).unwrap();
        assert_eq!(told.alarms().len(), 2, "{told}");
        assert_eq!(told.value("logistic"), Some(1.0));
    }
}
