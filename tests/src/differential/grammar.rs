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
    ("output", &["{aggregate} AS o{#}"]),
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
        ],
    ),
    ("sign", &["+", "-", "*"]),
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
    outputs: u32,
}

impl<'a> Grammar<'a> {
    /// Texts chosen by this generator.
    pub fn new(rng: &'a mut ChaCha20Rng) -> Self {
        Self { rng, outputs: 0 }
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
    let known = |name: &str| name == "#" || RULES.iter().any(|(rule, _)| *rule == name);
    names
        .map(|(name, _)| name.to_owned())
        .filter(|name| !known(name))
        .collect()
}
