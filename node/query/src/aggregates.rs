//! The aggregates of the language, one row of a table each: what the page of the language is made
//! of, and which names lowering accepts.

/// One aggregate.
#[derive(Debug)]
pub(crate) struct AggregateRow {
    /// The names that are accepted, in capitals; the first is the one of canonical texts.
    pub(crate) names: &'static [&'static str],
    /// How many arguments it takes.
    pub(crate) arguments: usize,
    /// What the arguments are.
    pub(crate) takes: &'static str,
    /// What must be known of them.
    pub(crate) needs: &'static str,
    /// Which sums share the price.
    pub(crate) price: &'static str,
    /// What it gives, in a sentence, with its error.
    pub(crate) sentence: &'static str,
    /// An example.
    pub(crate) example: &'static str,
}

const BOUNDED: &str = "bounds: declared, or by LEAST and GREATEST";
const MOMENTS: &str = "three sums: of the values and of their squares, both about the middle of \
    the bounds, and the count";

/// All aggregates.
pub(crate) static AGGREGATES: &[AggregateRow] = &[
    AggregateRow {
        names: &["COUNT"],
        arguments: 1,
        takes: "*, any expression, DISTINCT with the subject column, or DISTINCT with a category",
        needs: "nothing; a category's list for DISTINCT",
        price: "one sum; equal counts of one query share it",
        sentence: "The number of matching rows, of rows in which the expression is known, or of \
            data subjects with a matching row. Of a category: how many of its declared values \
            occur, counting those whose noisy number of subjects is above a public threshold that \
            no value without any subject passes, 95 times in 100; so the result is at least that \
            sure, and may be too low.",
        example: "COUNT(DISTINCT subject_id)",
    },
    AggregateRow {
        names: &["SUM"],
        arguments: 1,
        takes: "a number",
        needs: BOUNDED,
        price: "one sum",
        sentence: "The sum of the values that are known; of none it is 0.",
        example: "SUM(LEAST(cost, 500))",
    },
    AggregateRow {
        names: &["AVG"],
        arguments: 1,
        takes: "a number",
        needs: BOUNDED,
        price: "two sums: of the values about the middle of the bounds, and the count",
        sentence: "The average, within the bounds. Its error depends on how many rows match.",
        example: "AVG(bmi)",
    },
    AggregateRow {
        names: &["VAR_SAMP", "VARIANCE", "VAR"],
        arguments: 1,
        takes: "a number",
        needs: BOUNDED,
        price: MOMENTS,
        sentence: "The variance, divided by the count less one, never below 0.",
        example: "VAR_SAMP(bmi)",
    },
    AggregateRow {
        names: &["VAR_POP"],
        arguments: 1,
        takes: "a number",
        needs: BOUNDED,
        price: MOMENTS,
        sentence: "The variance, divided by the count, never below 0.",
        example: "VAR_POP(bmi)",
    },
    AggregateRow {
        names: &["STDDEV_SAMP", "STDDEV"],
        arguments: 1,
        takes: "a number",
        needs: BOUNDED,
        price: MOMENTS,
        sentence: "The square root of VAR_SAMP, and written so in the canonical text.",
        example: "STDDEV(bmi)",
    },
    AggregateRow {
        names: &["STDDEV_POP"],
        arguments: 1,
        takes: "a number",
        needs: BOUNDED,
        price: MOMENTS,
        sentence: "The square root of VAR_POP, and written so in the canonical text.",
        example: "STDDEV_POP(bmi)",
    },
    AggregateRow {
        names: &["COVAR_SAMP"],
        arguments: 2,
        takes: "two numbers",
        needs: BOUNDED,
        price: "four sums: of both, of their products, and the count",
        sentence: "The covariance over the rows in which both are known, divided by the count \
            less one.",
        example: "COVAR_SAMP(age, bmi)",
    },
    AggregateRow {
        names: &["COVAR_POP"],
        arguments: 2,
        takes: "two numbers",
        needs: BOUNDED,
        price: "four sums: of both, of their products, and the count",
        sentence: "The covariance over the rows in which both are known, divided by the count.",
        example: "COVAR_POP(age, bmi)",
    },
    AggregateRow {
        names: &["CORR"],
        arguments: 2,
        takes: "two numbers",
        needs: BOUNDED,
        price: "six sums: of both, of their squares, of their products, and the count",
        sentence: "Pearson's correlation over the rows in which both are known, from -1 to 1. \
            With accuracy asked as `within` and `rows`, both are supposed to spread evenly over \
            their bounds.",
        example: "CORR(age, bmi)",
    },
    AggregateRow {
        names: &["MEDIAN"],
        arguments: 1,
        takes: "a number",
        needs: BOUNDED,
        price: "as APPROX_PERCENTILE_CONT",
        sentence: "APPROX_PERCENTILE_CONT(x, 0.5), and written so in the canonical text.",
        example: "MEDIAN(age)",
    },
    AggregateRow {
        names: &["APPROX_PERCENTILE_CONT", "PERCENTILE_CONT", "QUANTILE"],
        arguments: 2,
        takes: "a number, and a plain number above 0 and below 1",
        needs: BOUNDED,
        price: "one sum for each level of the tree, at most four; quantiles of one expression \
            share the tree",
        sentence: "The value below which that share of the rows lies, read off a public tree of \
            counts: the bounds are cut into 256 equal steps (whole numbers with fewer values into \
            their values), and every four neighbours are counted together again. Its margin \
            reaches over all steps that the noisy counts leave possible, 95 times in 100, whatever \
            the rows are: it is wide where few rows lie around the quantile. Before asking, the \
            values are supposed to spread evenly over their bounds.",
        example: "APPROX_PERCENTILE_CONT(age, 0.9)",
    },
];

/// Names that sum up rows in other languages, and that this one does not have for a release.
static OTHERS: [&str; 4] = ["MIN", "MAX", "STRING_AGG", "ARRAY_AGG"];

/// Every name of an aggregate.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    AGGREGATES.iter().flat_map(|a| a.names.iter().copied())
}

/// Whether a function sums up rows, here or in other languages. The name is in capitals.
pub(crate) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.iter().any(|a| a.names.contains(&name)) || OTHERS.contains(&name)
}

/// The section of the page of the language about aggregates, in Markdown.
#[must_use]
pub fn aggregates_page() -> String {
    let mut page = String::new();
    for row in AGGREGATES {
        let [name, also @ ..] = row.names else {
            continue;
        };
        page.push_str(&format!("### {name}\n\n{}\n\n", row.sentence));
        page.push_str(&format!("* takes: {}\n* needs: {}\n", row.takes, row.needs));
        page.push_str(&format!("* price: {}\n", row.price));
        if !also.is_empty() {
            page.push_str(&format!("* also written: {}\n", also.join(", ")));
        }
        page.push_str(&format!("* example: `{}`\n\n", row.example));
    }
    page
}
