//! What is written with signs and words of its own, for the page of the language.

/// One operator.
pub(super) struct Operator {
    /// How it is written.
    pub(super) form: &'static str,
    pub(super) types: &'static str,
    pub(super) bounded: &'static str,
    pub(super) sentence: &'static str,
    /// An expression, and what it gives.
    pub(super) example: (&'static str, &'static str),
}

/// All of them.
pub(super) static OPERATORS: [Operator; 17] = [
    Operator {
        form: "x + y, x - y, x * y, -x",
        types: "numbers",
        bounded: "from those of both",
        sentence: "64-bit floating point, from left to right. What is not a number is missing.",
        example: ("1 + 2 * 3", "7"),
    },
    Operator {
        form: "x / y",
        types: "numbers",
        bounded: "from those of both, if y cannot be 0",
        sentence: "A division by zero is missing. Whole numbers are not cut: 7 / 2 is 3.5.",
        example: ("7 / 2", "3.5"),
    },
    Operator {
        form: "x % y, MOD(x, y)",
        types: "numbers",
        bounded: "no larger than either",
        sentence: "What the division leaves, with the sign of x; missing if y is 0.",
        example: ("-7 % 3", "-1"),
    },
    Operator {
        form: "x = y, <>, <, <=, >, >=",
        types: "two numbers, two days, or two texts",
        bounded: "",
        sentence: "Texts are ordered by the bytes of UTF-8, which is the order of Unicode code \
                   points: capitals come before small letters. A text beside a day is read as a \
                   day. A text beside a category must be on its list. \
                   NULL beside it would never match and is refused: write IS NULL.",
        example: ("'B' < 'a'", "TRUE"),
    },
    Operator {
        form: "x BETWEEN a AND b, NOT BETWEEN",
        types: "three numbers, days or texts",
        bounded: "",
        sentence: "Whether a <= x and x <= b.",
        example: ("3 BETWEEN 1 AND 3", "TRUE"),
    },
    Operator {
        form: "x IN (a, b), NOT IN",
        types: "a number, a day, a category or a text, and literals",
        bounded: "",
        sentence: "Whether x is on the list.",
        example: ("3 IN (1, 2)", "FALSE"),
    },
    Operator {
        form: "x IN CODELIST('name@digest'), NOT IN",
        types: "a category or a text",
        bounded: "",
        sentence: "Whether x is on a code list that travels with the study, named with the first \
                   16 digits of its digest or more. Codes that a category does not declare make \
                   no difference.",
        example: ("", ""),
    },
    Operator {
        form: "x LIKE 'pattern' [ESCAPE 'c'], NOT LIKE, ILIKE",
        types: "a category or a text, and a literal",
        bounded: "",
        sentence: "% is any text, _ any one character. No character escapes unless ESCAPE names \
                   it. ILIKE takes capitals and small letters as the same.",
        example: ("'E11.9' LIKE 'E11%'", "TRUE"),
    },
    Operator {
        form: "REGEXP_LIKE(x, 'pattern' [, 'i']), x ~ 'pattern', ~*, !~, !~*",
        types: "a category or a text, and a literal",
        bounded: "",
        sentence: "Whether the regular expression is found anywhere in x; 'i' and * take capitals \
                   and small letters as the same. There are no references back and no looking \
                   ahead, so that the time is linear.",
        example: ("REGEXP_LIKE('E11.9', '^E1[01]')", "TRUE"),
    },
    Operator {
        form: "x || y",
        types: "texts",
        bounded: "as CONCAT",
        sentence: "The same as CONCAT(x, y).",
        example: ("'a' || 'b'", "'ab'"),
    },
    Operator {
        form: "a AND b, a OR b, NOT a",
        types: "conditions",
        bounded: "",
        sentence: "Three-valued: FALSE AND missing is FALSE, TRUE OR missing is TRUE.",
        example: ("NULL OR TRUE", "TRUE"),
    },
    Operator {
        form: "x IS NULL, IS NOT NULL",
        types: "anything",
        bounded: "",
        sentence: "Whether x is missing. Never missing itself.",
        example: ("1 / 0 IS NULL", "TRUE"),
    },
    Operator {
        form: "a IS TRUE, IS NOT TRUE, IS FALSE, IS NOT FALSE",
        types: "a condition",
        bounded: "",
        sentence: "Never missing: a missing condition is neither TRUE nor FALSE.",
        example: ("(1 / 0 > 1) IS NOT TRUE", "TRUE"),
    },
    Operator {
        form: "x IS DISTINCT FROM y, IS NOT DISTINCT FROM",
        types: "two of one type",
        bounded: "",
        sentence: "Whether they differ; two missing values do not. Binds as other comparisons do.",
        example: ("NULL IS DISTINCT FROM 3", "TRUE"),
    },
    Operator {
        form: "CASE WHEN a THEN x [...] [ELSE y] END, CASE z WHEN ..., IF(a, x, y)",
        types: "conditions, and results of one type",
        bounded: "those of all results together",
        sentence: "The result of the first condition that is TRUE; missing if none is and there \
                   is no ELSE. All parts are computed for every row.",
        example: ("CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END", "'b'"),
    },
    Operator {
        form: "LEAST(x, y), GREATEST(x, y)",
        types: "numbers, or days",
        bounded: "the least, or greatest, of their ends",
        sentence: "The least, or greatest; missing if one is missing. LEAST(x, 500) clips x: the \
                   bound follows, and with it less noise at the same exposure.",
        example: ("LEAST(700, 500)", "500"),
    },
    Operator {
        form: "d + INTERVAL '3' MONTH, d - INTERVAL '2' YEAR (DAY, WEEK, MONTH, YEAR)",
        types: "a day and a literal",
        bounded: "those of d, moved",
        sentence: "Days and weeks are days; months and years are as ADD_MONTHS, and end with a \
                   shorter month.",
        example: (
            "DATE '2020-03-31' - INTERVAL '1' MONTH",
            "DATE '2020-02-29'",
        ),
    },
];
