//! Which names sum up rows.

use crate::aggregates::AGGREGATES;

/// Names that sum up rows in other languages, and that this one does not have for a release.
static OTHERS: [&str; 4] = ["MIN", "MAX", "STRING_AGG", "ARRAY_AGG"];

/// Whether a function sums up rows.
pub(crate) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.iter().any(|a| a.names.contains(&name)) || OTHERS.contains(&name)
}
