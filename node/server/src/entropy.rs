//! Fresh randomness from the operating system, for every batch anew. There is no way to fix a
//! seed: a forked or cloned process never repeats noise.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// The operating system gave no entropy.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no entropy")]
pub struct NoEntropy(#[source] getrandom::Error);

/// A generator for one batch of noise, seeded from the operating system now.
pub fn batch() -> Result<ChaCha20Rng, NoEntropy> {
    Ok(ChaCha20Rng::from_seed(bytes()?))
}

/// Fresh secret bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoEntropy)?;
    Ok(bytes)
}

/// Fresh secret bytes for the ledger's nonces.
#[must_use]
pub fn source() -> obscura_ledger::Entropy {
    Box::new(|buffer| getrandom::fill(buffer).map_err(std::io::Error::other))
}
