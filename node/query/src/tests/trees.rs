//! Random expressions over every type and every function of the table, and rows for them.

use obscura_model::schema::Description;
use proptest::prelude::*;

use super::reference::{Field, REGEXES};
use crate::expr::{Any, Arith, Bool, Call, Case, Comparison, Num, Pattern, PatternKind, Text};
use crate::functions::{self, Function, Gives, Takes};
use crate::scope::Scope;

/// A table with a column of every type.
const RICH: &str = r#"
[[column]]
name = "day"
type = "date"
first = "2019-12-30"
last = "2024-12-31"
meaning = "day"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "born"
type = "date"
first = "0001-01-01"
last = "9999-12-31"
meaning = "born"
bounds_from = "form"

[[column]]
name = "note"
type = "text"
most_characters = 40
meaning = "note"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "dx"
type = "category"
values = ["E10", "E11.0", "E11.9", "e66", "I10", "42", "2020-02-29", "a  b", "Straße"]
meaning = "dx"
bounds_from = "form"
may_be_missing = true
"#;

pub(super) const DAY: usize = 8;
pub(super) const BORN: usize = 9;
pub(super) const NOTE: usize = 10;
pub(super) const DX: usize = 11;

/// Patients with days, texts and diagnoses.
pub(super) fn rich() -> Description {
    Description::from_toml(&format!("{}{RICH}", super::PATIENTS)).unwrap()
}

const TEXTS: [&str; 22] = [
    "E11.9",
    "e11",
    "E10",
    "",
    " ",
    "42",
    " 4.5 ",
    "-7",
    "nan",
    "inf",
    "1e999",
    "2020-02-29",
    "2021-02-29",
    "true",
    "No",
    "%",
    "a_b",
    "Straße",
    "İstanbul",
    "日本語",
    "aaaaaaaaaa",
    "it's a",
];

const LIKES: [(&str, Option<char>); 9] = [
    ("E11%", None),
    ("%1_", None),
    ("_", None),
    ("", None),
    ("%", None),
    ("a!_b", Some('!')),
    ("%!%", Some('!')),
    ("%%a%", None),
    ("STRA_e", None),
];

/// One strategy for each type.
#[derive(Clone)]
pub(super) struct Trees {
    pub(super) num: BoxedStrategy<Num>,
    pub(super) date: BoxedStrategy<Num>,
    pub(super) text: BoxedStrategy<Text>,
    pub(super) truth: BoxedStrategy<Bool>,
}

/// Expressions nested so deep at most.
pub(super) fn trees(depth: usize) -> Trees {
    (0..depth).fold(leaves(), |inner, _| grown(&inner))
}

fn leaves() -> Trees {
    let scope = Scope::of_table(&rich(), 0);
    let number = prop_oneof![
        (-5i32..130).prop_map(f64::from),
        Just(0.5),
        Just(1e300),
        Just(-1e300),
        Just(1e-300),
        -1e6f64..1e6
    ];
    let num = prop_oneof![
        4 => prop::sample::select(vec![0usize, 3, 4, 6]).prop_map(Num::Column),
        3 => number.prop_map(|v| Num::Literal(v + 0.0)),
        1 => Just(Num::Null),
    ];
    let date = prop_oneof![
        3 => prop::sample::select(vec![DAY, BORN]).prop_map(Num::Column),
        2 => prop::sample::select(vec![-719_162, 2_932_896, 0, 11_016, 18_321, 18_628])
            .prop_map(Num::Day),
        1 => (-719_162i32..=2_932_896).prop_map(Num::Day),
    ];
    let category = move |c| Text::category(c, &scope).unwrap();
    let text = prop_oneof![
        3 => Just(Text::Column(NOTE)),
        2 => prop::sample::select(vec![DX, 7usize]).prop_map(category),
        2 => prop::sample::select(TEXTS.to_vec()).prop_map(|t| Text::Literal(t.to_owned())),
    ];
    let truth = prop_oneof![Just(Bool::Column(5)), any::<bool>().prop_map(Bool::Literal)];
    Trees {
        num: num.boxed(),
        date: date.boxed(),
        text: text.boxed(),
        truth: truth.boxed(),
    }
}

fn grown(inner: &Trees) -> Trees {
    let Trees {
        num,
        date,
        text,
        truth,
    } = inner;
    let calls = |gives: Gives| calls(inner, gives);
    let number_calls = calls(Gives::Number).prop_map(Num::Call);
    let days = num.clone();
    Trees {
        num: prop_oneof![
            1 => num.clone(),
            6 => number_calls,
            2 => (num.clone(), arith(), num.clone()).prop_map(|(a, op, b)| Num::chain(a, op, b)),
            1 => num.clone().prop_map(Num::negate),
            1 => prop::collection::vec(num.clone(), 1..3).prop_map(Num::Least),
            1 => cases(truth, num).prop_map(Num::Case),
        ]
        .boxed(),
        date: prop_oneof![
            1 => date.clone(),
            5 => calls(Gives::Date).prop_map(Num::Call),
            1 => (date.clone(), days).prop_map(|(d, n)| day_plus(d, n)),
            1 => prop::collection::vec(date.clone(), 1..3).prop_map(Num::Greatest),
            1 => cases(truth, date).prop_map(Num::Case),
        ]
        .boxed(),
        text: prop_oneof![
            1 => text.clone(),
            5 => calls(Gives::Text).prop_map(Text::Call),
            1 => cases(truth, text).prop_map(Text::Case),
        ]
        .boxed(),
        truth: grown_truth(inner),
    }
}

fn grown_truth(inner: &Trees) -> BoxedStrategy<Bool> {
    let Trees {
        num,
        date,
        text,
        truth,
    } = inner;
    let pair = |s: &BoxedStrategy<Num>| (comparisons(), s.clone(), s.clone());
    let compare = |(c, a, b)| Bool::Compare(c, Box::new(not_null(a)), Box::new(not_null(b)));
    let between = |(value, low, high, negated): (Num, Num, Num, bool)| Bool::Between {
        value: Box::new(not_null(value)),
        low: Box::new(not_null(low)),
        high: Box::new(not_null(high)),
        negated,
    };
    let not = |b: &BoxedStrategy<Bool>| b.clone().prop_map(|b| Bool::Not(Box::new(b)));
    let texts = (comparisons(), text.clone(), text.clone());
    prop_oneof![
        3 => calls(inner, Gives::Truth).prop_map(Bool::Call),
        2 => pair(num).prop_map(compare),
        2 => pair(date).prop_map(compare),
        3 => texts.prop_map(|(c, a, b)| compared(c, a, b)),
        1 => (date.clone(), date.clone(), date.clone(), any::<bool>()).prop_map(between),
        1 => (num.clone(), num.clone(), num.clone(), any::<bool>()).prop_map(between),
        1 => in_days(date),
        2 => in_texts(text),
        4 => matching(text),
        1 => (truth.clone(), any::<bool>(), any::<bool>()).prop_map(|(value, truth, negated)| {
            Bool::Is { value: Box::new(value), truth, negated }
        }),
        1 => distinct(inner),
        1 => (text.clone(), any::<bool>()).prop_map(|(t, negated)| Bool::IsNull {
            value: Box::new(known(t)),
            negated,
        }),
        1 => (truth.clone(), truth.clone()).prop_map(|(a, b)| Bool::and(a, b)),
        1 => (truth.clone(), truth.clone()).prop_map(|(a, b)| Bool::or(a, b)),
        1 => not(truth),
        1 => not(&matching(text)),
        1 => not(&in_texts(text)),
        1 => cases(truth, truth).prop_map(Bool::Case),
    ]
    .boxed()
}

/// What may be compared: NULL itself is refused there.
pub(super) fn not_null(value: Num) -> Num {
    match value {
        Num::Null => Num::Literal(7.0),
        other => other,
    }
}

/// A category alone has a form of its own.
fn known(text: Text) -> Any {
    match text {
        Text::Category { column, labels: _ } => Any::Category(column),
        other => Any::Text(other),
    }
}

fn arith() -> impl Strategy<Value = Arith> {
    prop::sample::select(vec![
        Arith::Add,
        Arith::Subtract,
        Arith::Multiply,
        Arith::Divide,
        Arith::Remainder,
    ])
}

fn comparisons() -> impl Strategy<Value = Comparison> + Clone {
    prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ])
}

/// Equality of a category with a text that is not on its list is refused; order is not.
fn compared(comparison: Comparison, a: Text, b: Text) -> Bool {
    let bare = |t: &Text| matches!(t, Text::Category { .. });
    let literal = |t: &Text| matches!(t, Text::Literal(_));
    let strict = bare(&a) && literal(&b) || bare(&b) && literal(&a);
    let comparison = match comparison {
        Comparison::Equal if strict => Comparison::LessOrEqual,
        Comparison::NotEqual if strict => Comparison::Greater,
        other => other,
    };
    Bool::CompareTexts(comparison, Box::new(a), Box::new(b))
}

fn cases<T: Clone + std::fmt::Debug + 'static>(
    truth: &BoxedStrategy<Bool>,
    result: &BoxedStrategy<T>,
) -> BoxedStrategy<Case<T>> {
    let arms = prop::collection::vec((truth.clone(), result.clone()), 1..3);
    let all = (arms, prop::option::of(result.clone()));
    all.prop_map(|(arms, otherwise)| Case {
        arms,
        otherwise: otherwise.map(Box::new),
    })
    .boxed()
}

fn in_days(date: &BoxedStrategy<Num>) -> BoxedStrategy<Bool> {
    let list = prop::collection::btree_set(-3000i32..20_000, 1..4);
    (date.clone(), list, any::<bool>())
        .prop_map(|(value, list, negated)| Bool::InNumbers {
            value: Box::new(value),
            list: list.into_iter().map(f64::from).collect(),
            negated,
        })
        .boxed()
}

fn in_texts(text: &BoxedStrategy<Text>) -> BoxedStrategy<Bool> {
    let list = prop::collection::btree_set(prop::sample::select(TEXTS.to_vec()), 1..4);
    (text.clone(), list)
        .prop_map(|(value, list)| Bool::InTexts {
            // A category alone takes texts of its list only.
            value: Box::new(match value {
                bare @ Text::Category { .. } => Text::Call(Call {
                    function: functions::find("LOWER").unwrap(),
                    arguments: vec![Any::Text(bare)],
                }),
                other => other,
            }),
            list: list.into_iter().map(str::to_owned).collect(),
        })
        .boxed()
}

fn matching(text: &BoxedStrategy<Text>) -> BoxedStrategy<Bool> {
    let likes = (prop::sample::select(LIKES.to_vec()), any::<bool>());
    let likes = likes.prop_map(|((source, escape), ignore_case)| {
        let kind = PatternKind::Like {
            ignore_case,
            escape,
        };
        Pattern::new(kind, source).unwrap()
    });
    let regexes = prop::sample::select(REGEXES.to_vec()).prop_map(|(source, _)| {
        Pattern::new(PatternKind::Regex { ignore_case: false }, source).unwrap()
    });
    (text.clone(), prop_oneof![likes, regexes])
        .prop_map(|(value, pattern)| Bool::Matches {
            value: Box::new(value),
            pattern,
        })
        .boxed()
}

fn distinct(inner: &Trees) -> BoxedStrategy<Bool> {
    let pair = prop_oneof![
        (inner.num.clone(), inner.num.clone()).prop_map(|(a, b)| (Any::Num(a), Any::Num(b))),
        (inner.date.clone(), inner.date.clone()).prop_map(|(a, b)| (Any::Date(a), Any::Date(b))),
        (inner.text.clone(), inner.text.clone()).prop_map(|(a, b)| (Any::Text(a), Any::Text(b))),
    ];
    (pair, any::<bool>())
        .prop_map(|((left, right), negated)| Bool::Distinct {
            left: Box::new(left),
            right: Box::new(right),
            negated,
        })
        .boxed()
}

fn day_plus(day: Num, days: Num) -> Num {
    Num::Call(Call {
        function: functions::find("days after").unwrap(),
        arguments: vec![Any::Date(day), Any::Num(days)],
    })
}

/// Calls of every row of the table that gives this type.
fn calls(inner: &Trees, gives: Gives) -> BoxedStrategy<Call> {
    let rows = functions::all().filter(|f| f.gives == gives || f.gives == Gives::Same);
    let rows: Vec<BoxedStrategy<Call>> = rows.map(|f| call_of(f, inner, gives)).collect();
    prop::strategy::Union::new(rows).boxed()
}

fn call_of(function: &'static Function, inner: &Trees, gives: Gives) -> BoxedStrategy<Call> {
    let (fewest, most) = function.counts();
    let most = if function.many { fewest + 2 } else { most };
    let of = |count: usize| {
        let one = |i| argument(function, function.takes(i).unwrap(), i, inner, gives);
        let arguments: Vec<BoxedStrategy<Any>> = (0..count).map(one).collect();
        arguments
            .prop_map(move |arguments| Call {
                function,
                arguments,
            })
            .boxed()
    };
    prop::strategy::Union::new((fewest..=most).map(of)).boxed()
}

fn argument(
    function: &Function,
    takes: Takes,
    index: usize,
    inner: &Trees,
    gives: Gives,
) -> BoxedStrategy<Any> {
    let number = |v: f64| Any::Num(Num::Literal(v));
    match (takes, gives) {
        (Takes::Number, _) | (Takes::Same, Gives::Number) => {
            inner.num.clone().prop_map(Any::Num).boxed()
        }
        (Takes::Date, _) | (Takes::Same, Gives::Date) => {
            inner.date.clone().prop_map(Any::Date).boxed()
        }
        (Takes::Text, _) | (Takes::Same, Gives::Text) => {
            inner.text.clone().prop_map(Any::Text).boxed()
        }
        (Takes::Truth, _) | (Takes::Same, _) => inner.truth.clone().prop_map(Any::Bool).boxed(),
        (Takes::Whole(low, high), _) => (low.max(-6)..=high.min(12))
            .prop_map(move |v| number(f64::from(v)))
            .boxed(),
        // The classes of WIDTH_BUCKET have a lower end below the upper.
        (Takes::Constant, _) => {
            assert_eq!(function.name, "WIDTH_BUCKET");
            let ends = if index == 1 { -50i32..20 } else { 20..90 };
            let wide = if index == 1 { -1.5e308 } else { 1.5e308 };
            prop_oneof![4 => ends.prop_map(f64::from), 1 => Just(wide)]
                .prop_map(number)
                .boxed()
        }
        (Takes::Unit(units), _) => prop::sample::select(units.to_vec())
            .prop_map(|u| Any::Text(Text::Literal(u.to_owned())))
            .boxed(),
    }
}

/// Rows within what the description says, some values missing.
pub(super) fn rich_rows() -> impl Strategy<Value = Vec<Vec<Field>>> {
    let some = |s: BoxedStrategy<f64>| prop::option::weighted(0.85, s).prop_map(Field::Number);
    let code = |n: i32| {
        prop::option::weighted(0.85, 0..n)
            .prop_map(Field::Code)
            .boxed()
    };
    let ends = |low: i32, high: i32| {
        prop_oneof![2 => low..=high, 1 => Just(low), 1 => Just(high)]
            .prop_map(f64::from)
            .boxed()
    };
    let texts = prop::sample::select(TEXTS.to_vec());
    let row: Vec<BoxedStrategy<Field>> = vec![
        ends(0, 120).prop_map(|v| Field::Number(Some(v))).boxed(),
        code(3),
        code(4),
        some((10.0f64..=60.0).boxed()).boxed(),
        ends(0, 1_000_000)
            .prop_map(|v| Field::Number(Some(v)))
            .boxed(),
        prop::option::of(any::<bool>())
            .prop_map(Field::Truth)
            .boxed(),
        ends(1990, 1999)
            .prop_map(|v| Field::Number(Some(v)))
            .boxed(),
        (0i32..4).prop_map(|c| Field::Code(Some(c))).boxed(),
        some(ends(18_260, 20_088)).boxed(),
        ends(-719_162, 2_932_896)
            .prop_map(|v| Field::Number(Some(v)))
            .boxed(),
        prop::option::weighted(0.85, texts)
            .prop_map(Field::Text)
            .boxed(),
        code(9),
    ];
    prop::collection::vec(row, 1..6)
}
