//! What to write instead of something that the language does not have. Help only: it decides
//! nothing.

const DECLARED_ORDER: &str =
    "every group is answered, in declared order; choose among the answers after the release";
const INNER: &str = "release the inner result first and write its number here";

/// For a part of a query that has no rule, by what a refusal calls it.
pub(super) fn instead(what: &str) -> Option<&'static str> {
    Some(match what {
        "FETCH" | "TOP" | "QUALIFY" => DECLARED_ORDER,
        "SELECT DISTINCT" => "group by the column instead: each value is answered once",
        "WITH" | "a query in a query" => INNER,
        "a join" => "ask each dataset in a release of its own",
        "a cast" => "columns have their declared types already: write the column alone",
        "matching texts by a pattern" => "list the wanted values with IN",
        "OVER" | "WINDOW" => "use GROUP BY",
        "FILTER" => "use CASE inside the function, or WHERE",
        "DISTINCT in SUM or AVG" => "leave DISTINCT out",
        "another name for the dataset" => "write the dataset's own name, and columns alone",
        "INTO" => "the answer comes back to you; nothing is stored",
        _ => return None,
    })
}

/// For a function that is not available as an output.
pub(super) fn aggregate(name: &str) -> &'static str {
    match name {
        "MIN" | "MAX" | "FIRST_VALUE" | "LAST_VALUE" | "ANY_VALUE" => {
            "it would show one person's value: ask for a count or an average, or for a quantile"
        }
        "PERCENTILE_DISC" => "write APPROX_PERCENTILE_CONT(x, 0.9)",
        _ => "an output is an aggregate such as COUNT, SUM or AVG, or computed from aggregates",
    }
}

/// For a function that is not available in an expression.
pub(super) fn function(name: &str) -> &'static str {
    match name {
        "ABS" => "write GREATEST(x, -x)",
        "COALESCE" | "IFNULL" | "NVL" => "write CASE WHEN x IS NULL THEN 0 ELSE x END",
        "IF" | "IIF" => "write CASE WHEN ... THEN ... ELSE ... END",
        "POWER" | "POW" | "SQUARE" => "write x * x",
        _ => "there are + - * /, comparisons, CASE, LEAST and GREATEST",
    }
}
