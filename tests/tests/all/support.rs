//! What several tests need.

use obscura_client::Error;

/// A question about the dataset `visits`.
pub(crate) const VISITS: &str = "SELECT grp, COUNT(*) AS n FROM visits GROUP BY grp";

/// The word and the text of a refusal.
pub(crate) fn outcome<T>(result: Result<T, Error>) -> (&'static str, String) {
    match result {
        Ok(_) => ("ok", String::new()),
        Err(error) => (error.code(), error.in_full()),
    }
}
