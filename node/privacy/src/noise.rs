//! Discrete Gaussian noise from an exact sampler (Canonne, Kamath and Steinke 2020, algorithm 3,
//! as implemented in the crate `prio`). The generator is an argument.

use num_traits::{Signed, ToPrimitive};
use obscura_model::answer::VectorShape;
use prio::dp::distributions::DiscreteGaussian;
use prio::dp::{DpError, Rational};
use rand::CryptoRng;
use rand::distr::Distribution;

/// Noise that cannot be drawn. Public: follows from the plan.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// The sampler would add nothing for a sigma of zero.
    #[error("the noise of a release must have a standard deviation above 0")]
    NoNoise,
    /// Not one list of sums for each vector.
    #[error("the sums do not fit the vectors of the release")]
    Vectors,
    /// The gate of keys that are not declared has no threshold.
    #[error("the keys of the release have no threshold")]
    Threshold,
    /// The sampler refuses its parameter.
    #[error("the noise sampler refuses its standard deviation")]
    Sampler(#[source] DpError),
}

/// Adds noise to exact sums of mock data, exactly as it is added to real ones.
pub fn mock_noise<R: CryptoRng + ?Sized>(
    mut sums: Vec<Vec<i64>>,
    vectors: &[VectorShape],
    rng: &mut R,
) -> Result<Vec<Vec<i64>>, NoiseError> {
    add(&mut sums, vectors, rng)?;
    Ok(sums)
}

/// Adds to every sum one sample with its vector's sigma; results saturate to 64 bits.
pub(crate) fn add<R: CryptoRng + ?Sized>(
    sums: &mut [Vec<i64>],
    vectors: &[VectorShape],
    rng: &mut R,
) -> Result<(), NoiseError> {
    if sums.len() != vectors.len() {
        return Err(NoiseError::Vectors);
    }
    for (values, vector) in sums.iter_mut().zip(vectors) {
        add_to(values, vector.sigma, rng)?;
    }
    Ok(())
}

/// Adds to every value one sample with this sigma.
pub(crate) fn add_to<R: CryptoRng + ?Sized>(
    values: &mut [i64],
    sigma: u64,
    rng: &mut R,
) -> Result<(), NoiseError> {
    if sigma == 0 {
        return Err(NoiseError::NoNoise);
    }
    let sigma = Rational::from_unsigned(sigma, 1).map_err(NoiseError::Sampler)?;
    let sampler = DiscreteGaussian::new(sigma).map_err(NoiseError::Sampler)?;
    for value in values {
        let noisy = sampler.sample(rng) + *value;
        let end = if noisy.is_negative() {
            i64::MIN
        } else {
            i64::MAX
        };
        *value = noisy.to_i64().unwrap_or(end);
    }
    Ok(())
}
