//! What to write instead of something that the language does not have. Help only: it decides
//! nothing.

const DECLARED_ORDER: &str =
    "every group is answered, in declared order; choose among the answers after the release";
const INNER: &str = "release the inner result first and write its number here, or join a subquery \
     that groups by the subject column";
const ANY_ORDER: &str = "rows have no order here: choose them with WHERE, or take MIN and MAX in a \
     subquery that groups by the subject column";

/// For a part of a query that has no rule, by what a refusal calls it.
pub(super) fn instead(what: &str) -> Option<&'static str> {
    Some(match what {
        "ORDER BY" => "answers come in declared order; sort them after the release",
        "LIMIT" | "OFFSET" | "FETCH" | "TOP" | "HAVING" | "QUALIFY" => DECLARED_ORDER,
        "SELECT DISTINCT" => "group by the column instead: each value is answered once",
        "a query in a query" => INNER,
        "ORDER BY in a subquery" | "LIMIT in a subquery" => ANY_ORDER,
        "SELECT DISTINCT in a subquery" => "group by the subject column and take COUNT(DISTINCT x)",
        "a cast" => "columns have their declared types already: write the column alone",
        "matching texts by a pattern" => "list the wanted values with IN",
        "OVER" | "WINDOW" => {
            "write a subquery that groups by the subject column, or join a table with itself"
        }
        "FILTER" => "use CASE inside the function, or WHERE",
        "DISTINCT in SUM or AVG" => "leave DISTINCT out",
        "INTO" => "the answer comes back to you; nothing is stored",
        _ => return None,
    })
}

/// For a function that is not available as an output.
pub(super) fn aggregate(name: &str) -> &'static str {
    match name {
        "MIN" | "MAX" | "FIRST_VALUE" | "LAST_VALUE" | "ANY_VALUE" => {
            "it would show one person's value: ask for a count or an average"
        }
        "MEDIAN" | "PERCENTILE_CONT" | "PERCENTILE_DISC" | "QUANTILE" => {
            "ask how many are below some values, such as SUM(CASE WHEN x < 5 THEN 1 ELSE 0 END)"
        }
        "STDDEV" | "STDDEV_POP" | "STDDEV_SAMP" | "VARIANCE" | "VAR_POP" | "VAR_SAMP" => {
            "ask for AVG(x) and AVG(x * x) and compute it from the two"
        }
        _ => "an output is COUNT, SUM or AVG, or a group key",
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
