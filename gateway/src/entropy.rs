//! The one place where the gateway asks the operating system for randomness.

/// 32 secret bytes from the operating system, for one key.
///
/// # Errors
///
/// If the operating system has no randomness to give.
pub fn seed() -> Result<[u8; 32], Unavailable> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Unavailable)?;
    Ok(seed)
}

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness, so no key can be made")]
pub struct Unavailable(#[source] getrandom::Error);
