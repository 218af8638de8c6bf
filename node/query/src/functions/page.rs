//! The page of the language, from the tables.

use std::fmt::Write;

use super::operators::OPERATORS;
use super::{FUNCTIONS, Form, Function, Gives, Missing, Takes};
use crate::aggregates::aggregates_page;
use crate::{limits, lower};

const HEAD: &str = "\
# The query language

<!-- Made from the tables in node/query/src/functions by a test of that crate. Do not edit. -->

A query is one SQL `SELECT` over one dataset. It asks for aggregates of rows, and never for rows.
What is not on this page is refused, with the place in the text and what to write instead. The one
canonical form of a query is what is signed, approved, shown and run.

    SELECT sex, COUNT(*) AS visits, AVG(LEAST(cost, 500)) AS cost
    FROM visits
    WHERE day >= DATE '2020-01-01' AND dx LIKE 'E11%'
    GROUP BY sex

Names without quotes are lower case; names in double quotes are exact; texts stand in single quotes.

## Rows: FROM, JOIN, WITH

`FROM` names a table of the dataset. Tables are joined on the subject column only, `JOIN b USING
(person)` or `ON a.person = b.person AND ...` with further conditions, inner or `LEFT`. A table may be
joined with itself under two names, to pair events of one person.

A subquery that groups by the subject column gives one row for each person, computed from that
person's rows alone. Inside it are COUNT, SUM, AVG, MIN, MAX, BOOL_OR and BOOL_AND, and HAVING.

    WITH onset AS (
        SELECT person, MIN(day) AS first_day FROM diagnoses
        WHERE code LIKE 'E11%' GROUP BY person)
    SELECT COUNT(DISTINCT v.person) AS soon
    FROM visits v JOIN onset o USING (person)
    WHERE v.day BETWEEN o.first_day AND o.first_day + 90

A subquery that does not group renames, computes and chooses rows. The subject column keeps its name
everywhere, and can be joined on and counted with COUNT(DISTINCT ...), nothing else.

**Rows of one person.** Of each person at most the declared most rows of a table count, after `WHERE`
and joins; which ones is fixed by a secret rule, not by order. Where two sides of a join both have
several rows, each is cut to its declared most first, and the result may have their product. More rows
mean more noise, so bring a table to one row per person first where the question allows it.

## Groups: GROUP BY

A key is a category, a condition, a whole number or a day with declared bounds, or an expression whose
values follow from such bounds: `FLOOR(age / 10) * 10`, `WIDTH_BUCKET(bmi, 15, 45, 6)`,
`EXTRACT(YEAR FROM day)`, `DATE_TRUNC('month', day)`, or `CASE WHEN age < 18 THEN 'child' ELSE 'adult'
END`. So does a text made of one category: `SUBSTR(dx, 1, 3)` has the groups that it makes of the declared
labels, in their order, each once. Every group is answered, also the empty ones, in declared order; several
keys give their product, at most 10,000 groups. A row outside the list belongs to no group.

**Groups that nobody declared.** If the owner allows it for a text column, a query may group by that column
itself, alone: `SELECT drug, COUNT(DISTINCT person) AS n FROM visits GROUP BY drug`. The answer then has the
values that enough people have, found with noise, in the order of their texts; a value that few have is not
shown at all, and nothing says that there was one. How many people are enough follows from the noise, and
the preview says it. Of each person at most a declared number of values counts, and values are cut to a
declared length. Such a release also takes a share of delta, from everybody, whatever it finds. Outputs
are counts, sums, averages, variances and what follows from them, not quantiles or numbers of
categories. Numbers just above the threshold are too high on average.

## Outputs

An output is an aggregate, or an expression over aggregates: `SUM(cost) / COUNT(DISTINCT person)`,
differences, ROUND, CASE and the like. Such expressions are computed from the noisy numbers, add no
exposure, and their standard errors follow from those of the parts; an aggregate that is used twice is released once.
A quotient is best where the number below the line is far above its noise; where it is not, the answer has a
value and no margin.

`HAVING`, `ORDER BY`, `LIMIT` and `OFFSET` look at noisy numbers. They choose what is shown and in which
order. Every group is released all the same.

## Values

| type | what it holds |
| --- | --- |
| number | 64-bit floating point; whole numbers are exact up to 2^53 |
| day | a day of the years 1 to 9999, without a time; never summed or averaged |
| text | Unicode; compared by code points |
| category | one of a declared list of texts; counts as a text in functions |
| condition | TRUE or FALSE |

Every value may be missing (`NULL`). No row makes an error: what has no result is missing, such as a
division by zero, a logarithm of 0, or a cast that fails. An operation with a missing part is missing
unless its row below says otherwise. `WHERE` keeps the rows for which the condition is TRUE. A missing
value, and one that is not a number, adds nothing to a sum. Infinity stays until something clips it.

**Bounds.** What is summed must have bounds, and they follow from the declared bounds of columns by
the rules below. Where none follow, clip: `LEAST(GREATEST(x, 0), 500)`. Tighter bounds mean
less noise at the same exposure.

**Categories.** A condition on the texts of one category is decided over its declared list when the
query is checked, and becomes a list of values: `LOWER(dx) LIKE 'e11%'` is shown as
`dx IN ('E11.0', 'E11.9')`.
";

/// The page about the query language, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Aggregates\n\n");
    page.push_str(aggregates_page().trim_end());
    page.push_str("\n\n## Operators\n");
    for operator in &OPERATORS {
        section(
            &mut page,
            operator.form,
            &format!("Takes {}.", operator.types),
            operator.bounded,
            operator.sentence,
            operator.example,
        );
    }
    for (title, table) in FUNCTIONS {
        let _ = write!(page, "\n## {title}\n");
        for function in table {
            section(
                &mut page,
                &form(function),
                &types(function),
                function.bounded,
                function.sentence,
                function.example,
            );
        }
    }
    sizes(&mut page);
    refused(&mut page);
    page
}

fn section(
    page: &mut String,
    form: &str,
    types: &str,
    bounded: &str,
    sentence: &str,
    (text, result): (&str, &str),
) {
    let _ = write!(page, "\n### `{form}`\n\n{sentence} {types}\n");
    if !bounded.is_empty() {
        let _ = write!(page, "\n* Bounds: {bounded}.\n");
    } else if !text.is_empty() {
        page.push('\n');
    }
    if !text.is_empty() {
        let _ = writeln!(page, "* Example: `{text}` is {}.", shown(result));
    }
}

fn shown(result: &str) -> String {
    match result {
        "missing" => result.to_owned(),
        value => code(value),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn row(page: &mut String, cells: &[&str]) {
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

/// How the function is written, with a name for each argument.
fn form(function: &Function) -> String {
    let letter = |takes: &Takes| match takes {
        Takes::Number => "x",
        Takes::Date => "d",
        Takes::Text => "t",
        Takes::Truth => "a",
        Takes::Whole(_, _) => "n",
        Takes::Constant => "c",
        Takes::Unit(_) => "'unit'",
        Takes::Same => "v",
    };
    let mut letters: Vec<String> = Vec::new();
    for takes in function.takes {
        let plain = letter(takes).to_owned();
        let again = letters.iter().filter(|l| l.starts_with(&plain)).count();
        letters.push(if again == 0 {
            plain
        } else {
            format!("{plain}{}", again + 1)
        });
    }
    let named: Vec<&str> = letters.iter().map(String::as_str).collect();
    match (function.form, named.as_slice()) {
        (Form::Infix(sign), [a, b]) => format!("{a} {sign} {b}"),
        (Form::Cast(name), [a, ..]) => format!("CAST({a} AS {name})"),
        (Form::Extract, [_, day]) => format!("EXTRACT(UNIT FROM {day})"),
        (Form::Call | Form::Infix(_) | Form::Cast(_) | Form::Extract, names) => {
            let kept = names.len() - function.optional;
            let (kept, left) = names.split_at(kept);
            let left: String = left.iter().map(|name| format!(" [, {name}]")).collect();
            let more = if function.many { ", ..." } else { "" };
            format!("{}({}{left}{more})", function.name, kept.join(", "))
        }
    }
}

/// What it takes and gives, its other names, and when it is missing.
fn types(function: &Function) -> String {
    let takes: Vec<String> = function.takes.iter().map(taken).collect();
    let gives = match function.gives {
        Gives::Number => "a number",
        Gives::Date => "a day",
        Gives::Text => "a text",
        Gives::Truth => "a condition",
        Gives::Same => "the same type",
    };
    let mut text = format!("Takes {}; gives {gives}.", takes.join(", "));
    if !function.also.is_empty() {
        let _ = write!(text, " Also called {}.", function.also.join(", "));
    }
    text.push_str(match function.missing {
        Missing::WithArguments => " Missing only with an argument.",
        Missing::Sometimes => " Missing with an argument, and where there is no result.",
        Missing::WithAll => " Missing only if all arguments are.",
        Missing::IfEqual => " Missing if the first argument is, or if both are equal.",
    });
    text
}

fn taken(takes: &Takes) -> String {
    match takes {
        Takes::Number => "a number".to_owned(),
        Takes::Date => "a day".to_owned(),
        Takes::Text => "a text".to_owned(),
        Takes::Truth => "a condition".to_owned(),
        Takes::Whole(low, high) => format!("a plain whole number from {low} to {high}"),
        Takes::Constant => "a plain number".to_owned(),
        Takes::Unit(units) => format!("one of {}", units.join(", ")),
        Takes::Same => "any type".to_owned(),
    }
}

fn sizes(page: &mut String) {
    page.push_str("\n## Sizes\n\n| what | the most |\n| --- | --- |\n");
    for (what, most) in limits::SIZES.iter().chain(&lower::SIZES) {
        row(page, &[what, &most.to_string()]);
    }
}

fn refused(page: &mut String) {
    page.push_str("\n## What is refused, and what to do instead\n\n| | |\n| --- | --- |\n");
    for (what, instead) in lower::refused() {
        row(page, &[&what, instead]);
    }
}
