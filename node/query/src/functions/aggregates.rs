//! The aggregates, for the page of the language.

/// One aggregate.
pub(super) struct Aggregate {
    /// Its name in SQL.
    pub(super) name: &'static str,
    /// How it is written, and what it tells.
    pub(super) form: &'static str,
    pub(super) sentence: &'static str,
}

/// What an output can be.
pub(super) static AGGREGATES: [Aggregate; 5] = [
    Aggregate {
        name: "COUNT",
        form: "COUNT(*)",
        sentence: "How many rows match.",
    },
    Aggregate {
        name: "COUNT",
        form: "COUNT(x)",
        sentence: "How many matching rows have a value for x, of any type.",
    },
    Aggregate {
        name: "COUNT",
        form: "COUNT(DISTINCT subject)",
        sentence: "How many data subjects have a matching row; `subject` is the subject column.",
    },
    Aggregate {
        name: "SUM",
        form: "SUM(x)",
        sentence: "The sum of a number. Bounds must follow from the expression.",
    },
    Aggregate {
        name: "AVG",
        form: "AVG(x)",
        sentence: "The average of a number. Bounds must follow from the expression.",
    },
];

/// Names that sum up rows, also those that the language does not have.
static OTHERS: [&str; 14] = [
    "MIN",
    "MAX",
    "MEDIAN",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "VARIANCE",
    "VAR_POP",
    "VAR_SAMP",
    "CORR",
    "COVAR_POP",
    "COVAR_SAMP",
    "STRING_AGG",
    "ARRAY_AGG",
];

/// Whether a function sums up rows.
pub(crate) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.iter().any(|a| a.name == name) || OTHERS.contains(&name)
}
