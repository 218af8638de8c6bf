//! What to write instead of something that the language does not have. Help only: it decides
//! nothing.

const DECLARED_ORDER: &str =
    "every group is answered, in declared order; choose among the answers after the release";
const INNER: &str = "release the inner result first and write its number here, or join a subquery \
     that groups by the subject column";
const ANY_ORDER: &str = "rows have no order here: choose them with WHERE, or take MIN and MAX in a \
     subquery that groups by the subject column";

/// Parts of a query that have no rule, by what a refusal calls them.
const INSTEAD: &[(&[&str], &str)] = &[
    (&["FETCH", "TOP", "QUALIFY"], DECLARED_ORDER),
    (
        &["SELECT DISTINCT"],
        "group by the column instead: each value is answered once",
    ),
    (&["a query in a query"], INNER),
    (
        &["ORDER BY in a subquery", "LIMIT in a subquery"],
        ANY_ORDER,
    ),
    (
        &["SELECT DISTINCT in a subquery"],
        "group by the subject column and take COUNT(DISTINCT x)",
    ),
    (&["a cast"], CASTS),
    (
        &["matching texts by a pattern"],
        "use LIKE with % and _, or REGEXP_LIKE(x, 'pattern')",
    ),
    (
        &["a time"],
        "write a day as DATE '2020-01-31'; there is no time of day",
    ),
    (
        &["an interval here"],
        "add it to a day, such as d + INTERVAL '3' MONTH",
    ),
    (
        &["OVER", "WINDOW"],
        "write a subquery that groups by the subject column, or join a table with itself",
    ),
    (&["FILTER"], "use CASE inside the function, or WHERE"),
    (&["NOTNULL"], "write x IS NOT NULL"),
    (&["DISTINCT in SUM or AVG"], "leave DISTINCT out"),
    (&["INTO"], "the answer comes back to you; nothing is stored"),
];

/// For a part of a query that has no rule, by what a refusal calls it.
pub(super) fn instead(what: &str) -> Option<&'static str> {
    of(INSTEAD, what).or_else(|| of(FUNCTIONS, what))
}

fn of(table: &[(&[&str], &'static str)], what: &str) -> Option<&'static str> {
    let found = table.iter().find(|(names, _)| names.contains(&what));
    found.map(|(_, instead)| *instead)
}

/// All of it, for the page of the language.
pub(super) fn page() -> impl Iterator<Item = (String, &'static str)> {
    let tables = [INSTEAD, FUNCTIONS, NEVER];
    let rows = tables.into_iter().flat_map(|table| table.iter());
    rows.map(|(names, instead)| (names.join(", "), *instead))
}

/// For a function that is not available as an output.
pub(super) fn output(name: &str) -> String {
    match name {
        "MIN" | "MAX" | "FIRST_VALUE" | "LAST_VALUE" | "ANY_VALUE" => {
            "it would show one person's value: ask for a count or an average, or for a quantile"
                .to_owned()
        }
        "PERCENTILE_DISC" => "write APPROX_PERCENTILE_CONT(x, 0.9)".to_owned(),
        "AVERAGE" | "MEAN" => "write AVG(x)".to_owned(),
        _ => match (never(name).or_else(|| of(FUNCTIONS, name)), slip(name)) {
            (Some(instead), _) => instead.to_owned(),
            (None, Some(meant)) => meant,
            (None, None) => {
                "an output is an aggregate such as COUNT, SUM or AVG, or computed from aggregates"
                    .to_owned()
            }
        },
    }
}

/// "did you mean", if a function has nearly this name.
fn slip(name: &str) -> Option<String> {
    let known: Vec<&str> = crate::aggregates::names()
        .chain(crate::functions::all().map(|f| f.name))
        .filter(|known| {
            known
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
        .collect();
    super::close(name, &known)
}

/// Functions that are not available in an expression.
const FUNCTIONS: &[(&[&str], &str)] = &[
    (&["SQUARE"], "write x * x, or POWER(x, 2)"),
    (&["ISNULL"], "write x IS NULL, or COALESCE(x, 0)"),
    (
        &["CHARINDEX", "POSITION", "STRPOS", "INSTR", "LOCATE"],
        "use LIKE with %, or REGEXP_LIKE(x, 'pattern')",
    ),
    (
        &[
            "REPLACE",
            "TRANSLATE",
            "REGEXP_REPLACE",
            "REGEXP_SUBSTR",
            "SPLIT_PART",
            "RIGHT",
            "REVERSE",
            "LPAD",
            "RPAD",
        ],
        "take a part with SUBSTR(x, start, length), or compare with LIKE",
    ),
    (
        &[
            "CONVERT",
            "TRY_CONVERT",
            "ARROW_CAST",
            "TO_NUMBER",
            "TO_CHAR",
            "TO_DATE",
            "TO_TIMESTAMP",
            "DATE_PARSE",
            "STRPTIME",
        ],
        "write CAST(x AS ...) to BIGINT, DOUBLE, BOOLEAN, DATE or VARCHAR",
    ),
    (
        &["DATE_ADD", "DATEADD", "DATE_SUB"],
        "write d + 30, or d + INTERVAL '3' MONTH",
    ),
    (
        &["AGE", "TIMESTAMPDIFF", "MONTHS_BETWEEN"],
        "write DATEDIFF('year', a, b), or b - a for days",
    ),
    (
        &[
            "SIN", "COS", "TAN", "ASIN", "ACOS", "ATAN", "ATAN2", "RADIANS", "PI",
        ],
        "there are no angles in the query language",
    ),
];

/// For a function that is not available in an expression.
pub(super) fn function(name: &str) -> String {
    let listed = "the functions are listed on the page of the query language";
    match of(FUNCTIONS, name) {
        Some(instead) => instead.to_owned(),
        None => slip(name).unwrap_or_else(|| listed.to_owned()),
    }
}

/// Functions that no query may have, each with the reason.
pub(super) const NEVER: &[(&[&str], &str)] = &[
    (
        &[
            "NOW",
            "CURRENT_DATE",
            "CURRENT_TIME",
            "CURRENT_TIMESTAMP",
            "LOCALTIME",
            "LOCALTIMESTAMP",
            "GETDATE",
            "SYSDATE",
            "TODAY",
        ],
        "a signed query means the same whenever it runs: write the day itself, such as DATE \
         '2020-01-31'",
    ),
    (
        &[
            "RANDOM",
            "RAND",
            "UUID",
            "GEN_RANDOM_UUID",
            "NEWID",
            "SETSEED",
        ],
        "a query means the same whenever it runs, and noise is added by the node itself",
    ),
    (
        &[
            "CURRENT_USER",
            "SESSION_USER",
            "USER",
            "CURRENT_SCHEMA",
            "CURRENT_CATALOG",
            "VERSION",
            "INPUT_FILE_NAME",
            "FILE_ROW_INDEX",
            "ROW_NUMBER",
            "RANK",
        ],
        "a row's value follows from that row alone",
    ),
];

/// Why a function can never be part of a query.
pub(super) fn never(name: &str) -> Option<&'static str> {
    of(NEVER, name)
}

/// Whether a function sums up rows.
pub(super) fn is_aggregate(name: &str) -> bool {
    crate::aggregates::is_aggregate(name)
}

/// Whether a function sums up the rows of one person, in a subquery that groups by the subject.
pub(super) fn is_of_person(name: &str) -> bool {
    ["COUNT", "SUM", "AVG", "MIN", "MAX", "BOOL_OR", "BOOL_AND"].contains(&name)
}

/// What sums up the rows of one person.
pub(super) const OF_PERSON: &str = "use COUNT, SUM, AVG, MIN, MAX, BOOL_OR or BOOL_AND there";

/// For an aggregate inside an expression.
pub(super) const INSIDE: &str = "release it as an output and compute with the released number";

/// What to write where a number is wanted.
pub(super) const NUMBER_FROM_TRUTH: &str = "write CASE WHEN ... THEN 1 ELSE 0 END";
pub(super) const NUMBER_FROM_DATE: &str =
    "count days from a day, such as d - DATE '2020-01-01', or take a part, such as YEAR(d)";
pub(super) const NUMBER_FROM_TEXT: &str = "write CAST(x AS DOUBLE); what is no number is missing";
pub(super) const NUMBER_FROM_CATEGORY: &str =
    "a category is compared with texts from its list only, or cast: CAST(x AS DOUBLE)";

/// What to write where a text is wanted.
pub(super) const TEXT_FROM_OTHER: &str = "write CAST(x AS VARCHAR)";

/// What casts there are.
pub(super) const CASTS: &str = "cast to BIGINT, INTEGER, SMALLINT, TINYINT, DOUBLE, BOOLEAN, DATE \
                                or VARCHAR, without a length";
