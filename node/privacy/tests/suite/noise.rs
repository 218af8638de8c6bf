//! The noise: the distribution promised, and nothing else.

use crate::builders::{fold, limits, permit, shape, sparse, vector};
use obscura_model::exposure::NANO;
use obscura_privacy::{Mode, NoiseError, mock_noise};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn samples(sigma: u64, count: usize, seed: u8) -> Vec<i64> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let mut noisy = mock_noise(vec![vec![0; count]], &[vector(1, sigma)], &mut rng).unwrap();
    noisy.remove(0)
}

/// Pearson's statistic and degrees of freedom of `samples` against the exact probabilities
/// `exp(-x^2 / (2 sigma^2)) / sum`, with the tails gathered so that each class expects 20 or more.
fn chi_squared(samples: &[i64], sigma: u64) -> (f64, f64) {
    let weight = |x: i64| (-((x * x) as f64) / (2 * sigma * sigma) as f64).exp();
    let end = 12 * sigma as i64 + 12;
    let total: f64 = (-end..=end).map(weight).sum();
    let expected = |x: i64| samples.len() as f64 * weight(x) / total;
    let edge = (0..end)
        .take_while(|&x| expected(x) >= 20.0)
        .last()
        .unwrap();
    let seen = |from: i64, to: i64| samples.iter().filter(|&&x| from <= x && x <= to).count();
    let class = |from: i64, to: i64| {
        let expected: f64 = (from.max(-end)..=to.min(end)).map(expected).sum();
        (seen(from, to) as f64 - expected).powi(2) / expected
    };
    let middle: f64 = (1 - edge..edge).map(|x| class(x, x)).sum();
    let tails = class(i64::MIN, -edge) + class(edge, i64::MAX);
    (middle + tails, (2 * edge) as f64)
}

#[test]
fn samples_follow_the_exact_probabilities() {
    for (sigma, count) in [(1, 40_000), (3, 40_000), (20, 40_000)] {
        let (statistic, freedom) = chi_squared(&samples(sigma, count, 3), sigma);
        // Four standard deviations above the mean of the chi-squared distribution.
        let bound = freedom + 4.0 * (2.0 * freedom).sqrt();
        assert!(
            freedom >= 4.0 && statistic < bound,
            "sigma {sigma}: {statistic} of {freedom}"
        );
    }
}

#[test]
fn the_standard_deviation_is_the_one_promised() {
    // 40,000 samples: 1.1 % is three standard errors of a standard deviation.
    for sigma in [1u64, 3, 20, 11_449, 1 << 40] {
        let samples = samples(sigma, 40_000, 5);
        let count = samples.len() as f64;
        let mean = samples.iter().map(|&x| x as f64).sum::<f64>() / count;
        let square = samples.iter().map(|&x| (x as f64).powi(2)).sum::<f64>() / count;
        let ratio = square.sqrt() / sigma as f64;
        assert!((ratio - 1.0).abs() < 0.011, "sigma {sigma}: ratio {ratio}");
        assert!(
            mean.abs() / (sigma as f64) < 3.5 / count.sqrt(),
            "sigma {sigma}: mean {mean}"
        );
    }
}

#[test]
fn cells_of_a_release_have_uncorrelated_noise() {
    let samples = samples(20, 40_000, 9);
    for lag in [1, 2, 20] {
        let pairs = samples.iter().zip(&samples[lag..]);
        let product: f64 = pairs.map(|(&a, &b)| a as f64 * b as f64).sum();
        let correlation = product / (400.0 * (samples.len() - lag) as f64);
        assert!(correlation.abs() < 0.02, "lag {lag}: {correlation}");
    }
}

#[test]
fn mock_and_real_noise_are_the_same_computation() {
    let shape = shape(vec![vector(25, 10), vector(9, 1_000)], 3);
    let parts = vec![sparse(&[(0, 3), (2, -4)]), sparse(&[(1, 3)])];
    let sums = vec![vec![3, 0, -4], vec![0, 3, 0]];
    let vectors = shape.vectors.clone();
    let mock = mock_noise(sums, &vectors, &mut ChaCha20Rng::from_seed([2; 32])).unwrap();
    let permit = permit(shape, Mode::Strict, limits(&[NANO]));
    let admitted = fold(permit, &[(0, parts)], &[&[0]]).unwrap();
    let parts = admitted
        .add_noise(&mut ChaCha20Rng::from_seed([2; 32]))
        .unwrap()
        .into_commit();
    assert_eq!(parts.values, mock);
    assert_eq!((parts.permit.intent(), parts.charges.len()), (7, 1));
}

#[test]
fn another_seed_is_other_noise() {
    assert_ne!(samples(1 << 30, 4, 1), samples(1 << 30, 4, 2));
}

#[test]
fn noise_at_the_end_of_the_range_saturates() {
    let sigma = 1 << 56;
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let sums = vec![[i64::MAX, i64::MIN].repeat(50)];
    let noisy = mock_noise(sums, &[vector(1, sigma)], &mut rng).unwrap();
    let (high, low): (Vec<_>, Vec<_>) = noisy[0].chunks(2).map(|c| (c[0], c[1])).unzip();
    assert!(high.contains(&i64::MAX) && low.contains(&i64::MIN));
    assert!(high.iter().all(|&x| x > 0) && low.iter().all(|&x| x < 0));
}

#[test]
fn no_noise_is_refused() {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let refused = mock_noise(vec![vec![5]], &[vector(1, 0)], &mut rng);
    assert!(matches!(refused, Err(NoiseError::NoNoise)));
    let refused = mock_noise(vec![vec![5]], &[], &mut rng);
    assert!(matches!(refused, Err(NoiseError::Vectors)));
}

/// What sampler and generator gave when this was written. A change is not an error in itself, but
/// has to be noticed: a new version of the sampler must be checked again.
#[test]
fn samples_of_fixed_seeds_stay_as_they_were() {
    assert_eq!(
        samples(1, 16, 42),
        [0, 1, 0, 0, 1, 0, -1, 0, 1, 0, -1, -1, -1, -1, 1, 0]
    );
    assert_eq!(
        samples(20, 12, 42),
        [23, 5, 1, -21, 55, 19, 35, 2, 2, -18, -11, 30]
    );
    assert_eq!(
        samples(11_449, 8, 42),
        [12858, 24853, 11151, 29829, -366, -5065, -14914, 20732]
    );
    assert_eq!(
        samples(1 << 40, 4, 42),
        [238276903816, -646014410336, -1159201330379, -1078778291380]
    );
}
