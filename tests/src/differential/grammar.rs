//! Random questions, written from what is publicly known of the dataset `cases`.
//!
//! A rule has a name and its alternatives; a name in braces is replaced by one of them. The first
//! alternative of a rule ends it: it is taken when a text has grown deep. What is there twice
//! comes twice as often. A new function, aggregate or join is one more line.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha20Rng;

/// Inside the language, but for public limits.
const RULES: &[(&str, &[&str])] = &[
    (
        "question",
        &[
            "SELECT {outputs} FROM {from}",
            "SELECT {outputs} FROM {from} WHERE {bool}",
            "SELECT {outputs} FROM {from} WHERE {bool} GROUP BY {keys}",
            "SELECT {outputs} FROM {from} GROUP BY {keys}",
            "SELECT {outputs} FROM {from} GROUP BY {key_expression}",
            "SELECT {outputs} FROM {from} WHERE {bool} GROUP BY {keys} {arranged}",
            "SELECT {outputs}, {of_person} FROM cases {join} {people} USING (person) WHERE {paired}",
            "WITH p AS {people_alone} SELECT {over_people} FROM p",
            "SELECT {over_pairs} FROM cases AS a {join} cases AS b USING (person) WHERE {close}",
        ],
    ),
    ("from", &["cases", "Cases", "\"cases\""]),
    (
        "outputs",
        &[
            "{output}",
            "{output}, {output}",
            "{output}, {output}, {output}",
        ],
    ),
    (
        "output",
        &[
            "{aggregate} AS o{#}",
            "{aggregate} AS o{#}",
            "{released} AS o{#}",
        ],
    ),
    (
        "released",
        &[
            "COUNT(*) + 1",
            "{aggregate} / COUNT(*)",
            "ROUND({aggregate}, 1)",
            "({aggregate} - {aggregate}) * 100",
            "CASE WHEN COUNT(*) > 5 THEN {aggregate} ELSE 0 END",
            "GREATEST({aggregate}, 0)",
        ],
    ),
    (
        "arranged",
        &[
            "LIMIT 3",
            "HAVING COUNT(*) > 2",
            "ORDER BY COUNT(*) DESC LIMIT 2 OFFSET 1",
        ],
    ),
    ("join", &["JOIN", "LEFT JOIN"]),
    (
        "people",
        &[
            "(SELECT person, {per_person} FROM cases GROUP BY person) AS p",
            "(SELECT person, {per_person} FROM cases WHERE {bool} GROUP BY person) AS p",
        ],
    ),
    (
        "people_alone",
        &["(SELECT person, {per_person} FROM cases GROUP BY person)"],
    ),
    (
        "per_person",
        &[
            "COUNT(*) AS n, MIN(day) AS first_day, MAX(age) AS oldest, SUM(income) AS total, \
           AVG(bmi) AS mean, BOOL_OR(smoker) AS ever, COUNT(DISTINCT ward) AS wards",
        ],
    ),
    (
        "of_person",
        &[
            "SUM(n) AS ofn",
            "AVG(p.total) AS oft, COUNT(DISTINCT person) AS ofc",
            "COUNT(first_day) AS off",
        ],
    ),
    (
        "paired",
        &[
            "n > 1",
            "day - first_day <= 30 AND ever",
            "oldest >= age OR mean > 30",
            "first_day IS NULL OR day > first_day",
            "wards = 2 AND {bool}",
        ],
    ),
    (
        "over_people",
        &[
            "COUNT(*) AS a, COUNT(DISTINCT person) AS b",
            "AVG(oldest) AS a, SUM(LEAST(total, 100000)) AS b",
            "SUM(CASE WHEN ever THEN n ELSE 0 END) AS a, STDDEV(mean) AS b",
        ],
    ),
    (
        "over_pairs",
        &[
            "COUNT(*) AS x, COUNT(DISTINCT person) AS y",
            "SUM(a.age - b.age) AS x, AVG(b.day - a.day) AS y",
        ],
    ),
    (
        "close",
        &[
            "b.day > a.day AND b.day <= a.day + 90",
            "a.ward = 'plain' AND b.ward <> 'plain'",
        ],
    ),
    (
        "key_expression",
        &[
            "FLOOR(age / 10)",
            "FLOOR(bmi / 5) * 5",
            "WIDTH_BUCKET(income, 0, 1000000, 10)",
            "EXTRACT(MONTH FROM day)",
            "DATE_TRUNC('quarter', day)",
            "CASE WHEN {bool} THEN 'a' WHEN {bool} THEN 'b' ELSE 'c' END",
            "age > 40, smoker",
            "age - 10",
        ],
    ),
    (
        "aggregate",
        &[
            "COUNT(*)",
            "COUNT(DISTINCT person)",
            "COUNT({column})",
            "COUNT({num})",
            "SUM({bounded})",
            "SUM({bounded})",
            "AVG({bounded})",
            "VAR_SAMP({number_column})",
            "STDDEV_POP({bounded})",
            "MEDIAN({number_column})",
            "APPROX_PERCENTILE_CONT({number_column}, 0.9)",
            "CORR({number_column}, {number_column})",
            "COVAR_SAMP({number_column}, {number_column})",
            "COUNT(DISTINCT {listed})",
            "COUNT({text})",
            "COUNT({date})",
        ],
    ),
    (
        "keys",
        &[
            "{key}",
            "sex, region",
            "region, ward",
            "smoker, year",
            "sex, smoker, region",
        ],
    ),
    ("key", &["sex", "region", "smoker", "year", "ward", "age"]),
    (
        "column",
        &["age", "bmi", "income", "sex", "smoker", "ward", "region"],
    ),
    (
        "bounded",
        &[
            "{number_column}",
            "LEAST(GREATEST({num}, {literal}), {literal})",
            "{number_column} {sign} {number_column}",
            "{number_column} / {positive}",
            "CASE WHEN {bool} THEN {bounded} ELSE {bounded} END",
            "CASE WHEN {bool} THEN {literal} END",
            "-({bounded})",
        ],
    ),
    ("number_column", &["age", "bmi", "income", "year"]),
    (
        "num",
        &[
            "{number_column}",
            "{literal}",
            "({num} {sign} {num})",
            "({num} / {num})",
            "-({num})",
            "LEAST({num}, {num})",
            "GREATEST({num}, {num}, {literal})",
            "CASE WHEN {bool} THEN {num} WHEN {bool} THEN {num} ELSE {num} END",
            "CASE WHEN {bool} THEN {num} END",
            "ABS({num})",
            "ROUND({num}, 2)",
            "FLOOR({num})",
            "LN({num})",
            "EXP({num})",
            "SQRT({num})",
            "POWER({num}, 2)",
            "COALESCE({num}, {literal})",
            "NULLIF({num}, {literal})",
            "LENGTH({text})",
            "{date} - DATE '2020-03-01'",
            "EXTRACT(DOY FROM {date})",
            "DATEDIFF('month', DATE '2019-12-31', {date})",
            "CAST({text} AS DOUBLE)",
            "WIDTH_BUCKET({num}, 0, 100, 7)",
            "SIGN({num})",
        ],
    ),
    ("listed", &["sex", "region", "ward"]),
    (
        "text",
        &[
            "note",
            "LOWER(note)",
            "SUBSTR({text}, 2, 3)",
            "TRIM({text}) || '!'",
            "ward",
            "UPPER(region)",
            "CAST(age AS VARCHAR)",
            "CASE WHEN {bool} THEN {text} ELSE 'x' END",
        ],
    ),
    (
        "date",
        &[
            "day",
            "day + 30",
            "DATE_TRUNC('month', day)",
            "day - INTERVAL '1' MONTH",
            "CAST(note AS DATE)",
            "COALESCE(day, DATE '2020-06-30')",
        ],
    ),
    ("sign", &["+", "-", "*", "%"]),
    ("positive", &["2", "0.5", "1000", "3e5"]),
    (
        "literal",
        &["0", "1", "42", "-7", "0.1", "1e6", "-1e-9", "100"],
    ),
    (
        "bool",
        &[
            "{number_column} > {literal}",
            "smoker",
            "{num} {compare} {num}",
            "{category}",
            "({bool} AND {bool})",
            "({bool} OR {bool})",
            "NOT ({bool})",
            "{number_column} BETWEEN {literal} AND {literal}",
            "{number_column} NOT IN ({literal}, {literal})",
            "{column} IS NULL",
            "{column} IS NOT NULL",
            "smoker = TRUE",
            "{text} LIKE '%a_'",
            "REGEXP_LIKE({text}, '^[a-m]+(x|y)?')",
            "{text} > 'k'",
            "{text} IN ('a', 'b', 'plain')",
            "note IN CODELIST('{@}')",
            "{date} >= DATE '2020-02-29'",
            "{date} BETWEEN DATE '2020-01-15' AND DATE '2020-09-01'",
            "{num} IS DISTINCT FROM {num}",
            "({bool}) IS NOT TRUE",
            "STARTS_WITH({text}, 'p')",
            "CASE WHEN {bool} THEN {bool} ELSE {bool} END",
        ],
    ),
    ("compare", &["=", "<>", "<", "<=", ">", ">="]),
    (
        "category",
        &[
            "sex = 'F'",
            "sex <> 'X'",
            "region IN ('N', 'W')",
            "ward = 'it''s'",
            "ward NOT IN ('rest')",
            "LOWER(region) = 'n'",
            "ward LIKE '%l%'",
            "ward IN CODELIST('{@}')",
            "ward NOT IN CODELIST('{@}')",
        ],
    ),
];

/// Outside the language, whatever the rest of the text is.
const FORBIDDEN: &[&str] = &[
    "SELECT * FROM cases",
    "SELECT {column} FROM cases WHERE {bool}",
    "SELECT person, COUNT(*) FROM cases GROUP BY person",
    "SELECT COUNT(*) FROM cases GROUP BY bmi",
    "SELECT MAX({number_column}) AS x FROM cases",
    "SELECT MIN({num}) AS x FROM cases WHERE {bool}",
    "SELECT array_agg({column}) AS x FROM cases",
    "SELECT SUM(1 / {number_column} * 1e300 * 1e300) AS x FROM cases",
    "SELECT COUNT(person) AS x FROM cases WHERE {bool}",
    "SELECT COUNT(*) AS x FROM cases WHERE person = 'p7'",
    "SELECT COUNT(*) AS x FROM cases WHERE COALESCE(person, 'p7') = 'p7'",
    "SELECT COUNT(*) AS x FROM cases WHERE {bool} OR random() < 0.5",
    "SELECT COUNT(*) AS x FROM cases WHERE {num} > (SELECT AVG({num}) FROM cases)",
    "SELECT COUNT(*) AS x FROM cases WHERE EXISTS (SELECT 1 FROM cases WHERE {bool})",
    "SELECT COUNT(*) OVER () AS x FROM cases",
    "SELECT COUNT(*) AS x FROM cases a, cases b WHERE {bool}",
    "SELECT COUNT(*) AS x FROM cases CROSS JOIN cases",
    "SELECT COUNT(*) AS x FROM cases a JOIN cases b ON a.age = b.age",
    "SELECT COUNT(*) AS x FROM cases UNION ALL SELECT COUNT(*) FROM cases",
    "SELECT COUNT(*) AS x FROM generate_series(1, 1000000)",
    "SELECT COUNT(*) AS x FROM '/etc/passwd' WHERE {bool}",
    "SELECT COUNT(*) AS x FROM information_schema.tables",
    "EXPLAIN {question}",
    "{question}; {question}",
    "INSERT INTO cases {question}",
    "COPY cases TO 'x.csv'",
    "SELECT COUNT(*) AS x FROM cases TABLESAMPLE (10) WHERE {bool}",
    "SELECT COUNT(*) AS x FROM (SELECT * FROM cases LIMIT 1) AS t",
    "SELECT COUNT(*) AS x FROM cases GROUP BY ROLLUP(sex, region)",
    "SELECT COUNT(*) AS x FROM cases GROUP BY note",
    "SELECT COUNT(*) AS x FROM cases a JOIN cases b ON a.ward = b.ward AND {number_column} > 1",
    "SELECT COUNT(*) AS x FROM cases a FULL JOIN cases b USING (person)",
    "SELECT COUNT(*) AS x FROM (SELECT 'p' AS person, age FROM cases) AS t",
    "SELECT COUNT(*) AS x FROM (SELECT sex, COUNT(*) AS n FROM cases GROUP BY sex) AS t",
    "SELECT COUNT(*) AS x FROM cases JOIN (SELECT ward, AVG(age) AS m FROM cases GROUP BY ward) AS t USING (ward)",
    "SELECT COUNT(*) AS x FROM cases WHERE note = (SELECT MAX(note) FROM cases)",
    "SELECT COUNT(*) AS x FROM cases WHERE REGEXP_LIKE('a', note)",
    "SELECT SUM(POWER({number_column}, 400)) AS x FROM cases",
    "SELECT AVG(day) AS x FROM cases",
    "SELECT COUNT(*) AS x FROM cases WHERE day < NOW()",
    "SELECT LAG(age) OVER (ORDER BY day) AS x FROM cases",
];

/// What a changed text may get anywhere.
const PIECES: &[&str] = &[
    "(",
    ")",
    ",",
    ";",
    "'",
    "\"",
    "--",
    "/*",
    "*/",
    "*",
    "/ 0",
    "% 2",
    "::text",
    "|| 'a'",
    "-",
    "NOT",
    "NULL",
    "person",
    "note",
    "SELECT",
    "FROM cases",
    "WHERE",
    "GROUP BY sex",
    "HAVING COUNT(*) > 1",
    "ORDER BY 1",
    "LIMIT 1",
    "DISTINCT",
    "OVER ()",
    "MAX",
    "RANDOM()",
    "1e999",
    "9e307",
    "0x1F",
    "é",
    "ｆ",
    "AND",
    "OR TRUE",
    "AS o0",
    "IN (1)",
    "LIKE 'a%'",
    "CASE",
    "END",
    "UNION",
    "JOIN cases",
    "\n",
];

/// How deep a text may grow before every rule is ended.
const DEEPEST: u32 = 7;

/// Makes texts.
pub struct Grammar<'a> {
    rng: &'a mut ChaCha20Rng,
    list: &'a str,
    outputs: u32,
}

impl<'a> Grammar<'a> {
    /// Texts chosen by this generator, with a reference to one list of codes.
    pub fn new(rng: &'a mut ChaCha20Rng, list: &'a str) -> Self {
        Self {
            rng,
            list,
            outputs: 0,
        }
    }

    /// A question inside the language.
    #[must_use]
    pub fn question(&mut self) -> String {
        self.fill("{question}", 0)
    }

    /// A text with a construct that the language does not have.
    #[must_use]
    pub fn forbidden(&mut self) -> String {
        let form = FORBIDDEN.choose(self.rng).copied().unwrap_or_default();
        self.fill(form, 1)
    }

    /// The form with every name in braces replaced.
    fn fill(&mut self, form: &str, depth: u32) -> String {
        let mut text = String::new();
        let mut rest = form;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            rest = after;
            if name == "@" {
                text.push_str(self.list);
                continue;
            }
            if name == "#" {
                text.push_str(&self.outputs.to_string());
                self.outputs += 1;
                continue;
            }
            let alternatives = RULES
                .iter()
                .find(|(rule, _)| *rule == name)
                .map(|(_, a)| *a);
            let alternatives = alternatives.unwrap_or_default();
            let plain = |form: &&&str| !form.contains('{');
            let plain: Vec<_> = alternatives.iter().filter(plain).collect();
            let next = if depth <= DEEPEST {
                alternatives.choose(self.rng)
            } else {
                plain.choose(self.rng).copied().or(alternatives.first())
            };
            let next = self.fill(next.copied().unwrap_or_default(), depth + 1);
            text.push_str(&next);
        }
        text.push_str(rest);
        text
    }
}

/// The text with one to three of its words removed, doubled, swapped or replaced.
#[must_use]
pub fn changed(text: &str, rng: &mut ChaCha20Rng) -> String {
    let mut words: Vec<&str> = text.split_inclusive([' ', '(', ')', ',']).collect();
    for _ in 0..rng.random_range(1..=3) {
        if words.is_empty() {
            break;
        }
        let (at, other) = (
            rng.random_range(0..words.len()),
            rng.random_range(0..words.len()),
        );
        match rng.random_range(0..5) {
            0 => drop(words.remove(at)),
            1 => words.swap(at, other),
            2 => words.insert(at, words.get(other).copied().unwrap_or_default()),
            3 => words.insert(at, PIECES.choose(rng).copied().unwrap_or_default()),
            _ => words
                .splice(at..=at, PIECES.choose(rng).copied())
                .for_each(drop),
        }
    }
    words.concat()
}

/// Names in braces that no rule explains, and forms that no text has; for a test.
#[must_use]
pub fn unexplained() -> Vec<String> {
    let forms = RULES
        .iter()
        .flat_map(|(_, forms)| forms.iter())
        .chain(FORBIDDEN);
    let names = forms.flat_map(|form| form.split('{').skip(1).filter_map(|p| p.split_once('}')));
    let known =
        |name: &str| ["#", "@"].contains(&name) || RULES.iter().any(|(rule, _)| *rule == name);
    names
        .map(|(name, _)| name.to_owned())
        .filter(|name| !known(name))
        .collect()
}
