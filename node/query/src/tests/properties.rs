//! Rules that hold for every expression and every row.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array, StringArray};
use obscura_model::codelist::CodeLists;
use obscura_model::schema::Domain;
use proptest::prelude::*;

use super::reference::{self, Field};
use super::trees::not_null;
use super::{parse, patients, plan};
use crate::batch::Batch;
use crate::eval::{Amounts, evaluate};
use crate::expr::{Any, Arith, Bool, Case, Comparison, Mask, Num, Printer};
use crate::expr::{Interval, interval, known_from, mask};
use crate::plan::Quantity;
use crate::runs::Runs;
use crate::scope::Scope;

const NUMBERS: [usize; 4] = [0, 3, 4, 6];

fn literal() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-5i32..130).prop_map(f64::from),
        Just(0.0),
        Just(0.1),
        Just(1e300),
        Just(-1e300),
        Just(1e-300),
        -1e6f64..1e6,
    ]
}

fn nums() -> impl Strategy<Value = Num> {
    let leaf = prop_oneof![
        4 => prop::sample::select(NUMBERS.to_vec()).prop_map(Num::Column),
        3 => literal().prop_map(|v| Num::Literal(v + 0.0)),
        1 => Just(Num::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let op = prop::sample::select(vec![
            Arith::Add,
            Arith::Subtract,
            Arith::Multiply,
            Arith::Divide,
            Arith::Remainder,
        ]);
        let list = prop::collection::vec(inner.clone(), 1..4);
        let arms = prop::collection::vec((simple_bools(inner.clone()), inner.clone()), 1..3);
        prop_oneof![
            4 => (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| Num::chain(a, op, b)),
            1 => inner.clone().prop_map(Num::negate),
            1 => list.clone().prop_map(Num::Least),
            1 => list.prop_map(Num::Greatest),
            1 => (arms, prop::option::of(inner)).prop_map(|(arms, otherwise)| {
                Num::Case(Case { arms, otherwise: otherwise.map(Box::new) })
            }),
        ]
    })
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ])
}

fn simple_bools(num: impl Strategy<Value = Num> + Clone + 'static) -> BoxedStrategy<Bool> {
    let boxed = num.clone().prop_map(|n| Box::new(not_null(n)));
    prop_oneof![
        (comparisons(), boxed.clone(), boxed.clone()).prop_map(|(c, a, b)| Bool::Compare(c, a, b)),
        (boxed.clone(), boxed.clone(), boxed.clone(), any::<bool>()).prop_map(
            |(value, low, high, negated)| Bool::Between {
                value,
                low,
                high,
                negated
            }
        ),
        (
            boxed,
            prop::collection::btree_set(-3i32..9, 1..4),
            any::<bool>()
        )
            .prop_map(|(value, list, negated)| Bool::InNumbers {
                value,
                list: list.into_iter().map(f64::from).collect(),
                negated
            }),
        (
            prop::collection::btree_set(0usize..3, 1..3),
            prop::sample::select(vec![1usize, 2, 7]),
            any::<bool>()
        )
            .prop_map(|(positions, column, negated)| Bool::Among {
                column,
                positions,
                negated
            }),
        Just(Bool::Column(5)),
        Just(Bool::Null),
        any::<bool>().prop_map(Bool::Literal),
        (num, any::<bool>()).prop_map(|(n, negated)| Bool::IsNull {
            value: Box::new(Any::Num(n)),
            negated
        }),
        any::<bool>().prop_map(|negated| Bool::IsNull {
            value: Box::new(Any::Category(1)),
            negated
        }),
    ]
    .boxed()
}

fn bools() -> impl Strategy<Value = Bool> {
    simple_bools(nums().boxed()).prop_recursive(3, 16, 3, |inner| {
        let truth = (inner.clone(), Just(Bool::Column(5)));
        let arms = prop::collection::vec(truth, 1..3);
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Bool::and(a, b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Bool::or(a, b)),
            inner.clone().prop_map(|b| Bool::Not(Box::new(b))),
            (arms, prop::option::of(inner)).prop_map(|(arms, otherwise)| {
                Bool::Case(Case {
                    arms,
                    otherwise: otherwise.map(Box::new),
                })
            }),
        ]
    })
}

fn rows() -> impl Strategy<Value = Vec<Vec<Field>>> {
    let description = patients();
    let field = |domain: &Domain| -> BoxedStrategy<Field> {
        match domain {
            Domain::Integer { lowest, highest } => {
                let whole = (*lowest..=*highest).prop_map(|v| v as f64);
                prop::option::weighted(0.8, whole)
                    .prop_map(Field::Number)
                    .boxed()
            }
            Domain::Number { lowest, highest } => prop::option::weighted(0.8, *lowest..=*highest)
                .prop_map(Field::Number)
                .boxed(),
            Domain::Category { values, .. } => {
                let codes = 0..values.len() as i32;
                prop::option::weighted(0.8, codes)
                    .prop_map(Field::Code)
                    .boxed()
            }
            Domain::Boolean => prop::option::of(any::<bool>())
                .prop_map(Field::Truth)
                .boxed(),
            Domain::Date { .. } | Domain::Text { .. } => Just(Field::Number(None)).boxed(),
        }
    };
    let row: Vec<BoxedStrategy<Field>> = description
        .columns()
        .iter()
        .map(|c| field(&c.domain))
        .collect();
    prop::collection::vec(row, 1..6)
}

pub(super) fn batch(rows: &[Vec<Field>]) -> Batch {
    let columns = (0..rows[0].len()).map(|c| {
        let cells = rows.iter().map(|r| r[c]);
        let array: ArrayRef = match rows[0][c] {
            Field::Number(_) => Arc::new(Float64Array::from_iter(cells.map(|f| match f {
                Field::Number(v) => v,
                _ => None,
            }))),
            Field::Code(_) => Arc::new(Int32Array::from_iter(cells.map(|f| match f {
                Field::Code(v) => v,
                _ => None,
            }))),
            Field::Truth(_) => Arc::new(BooleanArray::from_iter(cells.map(|f| match f {
                Field::Truth(v) => v,
                _ => None,
            }))),
            Field::Text(_) => Arc::new(StringArray::from_iter(cells.map(|f| match f {
                Field::Text(v) => v,
                _ => None,
            }))),
        };
        Some(array)
    });
    Batch {
        runs: Runs::new((0..rows.len() as u32).map(|subject| (subject, 1))),
        columns: columns.collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn parsing_a_canonical_text_gives_the_same_tree(n in nums(), b in bools()) {
        let description = patients();
        let scope = Scope::of_table(&description, 0);
        let printer = Printer { scope: &scope };
        let sql = format!(
            "SELECT SUM({}) AS s, COUNT(*) AS count FROM patients WHERE {}",
            printer.num(&n),
            printer.bool(&b)
        );
        // Some trees are deeper than texts may be.
        if let Ok(query) = parse(&sql) {
            prop_assert_eq!(query.definition().filter.as_ref(), Some(&b), "{}", sql);
            prop_assert_eq!(query.canonical(), sql.clone());
            prop_assert_eq!(parse(&query.canonical()).unwrap(), query);
        } else {
            let refusal = parse(&sql).unwrap_err().to_string();
            let deep = refusal.contains("nested") || refusal.contains("bounds");
            prop_assert!(deep, "{}: {}", sql, refusal);
        }
    }

    #[test]
    fn every_value_lies_within_the_interval(n in nums(), rows in rows()) {
        let description = patients();
        let scope = Scope::of_table(&description, 0);
        for row in &rows {
            if let Some(value) = reference::num(&n, row) {
                let bounds = interval(&n, &scope);
                prop_assert!(bounds.is_some_and(|i| i.holds(value)), "{:?} {}", bounds, value);
            }
        }
    }

    #[test]
    fn an_operation_on_two_intervals_holds_all_results(
        ends in prop::array::uniform4(prop_oneof![-100.0f64..100.0, Just(0.0), Just(1e308)]),
        shares in prop::array::uniform2(0.0f64..=1.0),
    ) {
        let from = |a: f64, b: f64| Interval { low: a.min(b), high: a.max(b) };
        let (a, b) = (from(ends[0], ends[1]), from(ends[2], ends[3]));
        let inside = |i: Interval, share: f64| {
            (i.low * (1.0 - share) + i.high * share).clamp(i.low, i.high)
        };
        let points = |i: Interval, share| [i.low, i.high, inside(i, share)];
        for x in points(a, shares[0]) {
            for y in points(b, shares[1]) {
                let held = |op, value: f64| value.is_nan() || a.apply(op, b).holds(value);
                prop_assert!(held(Arith::Add, x + y));
                prop_assert!(held(Arith::Subtract, x - y));
                prop_assert!(held(Arith::Multiply, x * y));
                prop_assert!(y == 0.0 || held(Arith::Divide, x / y));
                prop_assert!(y == 0.0 || held(Arith::Remainder, x % y));
            }
        }
    }

    #[test]
    fn batches_evaluate_like_single_rows(n in nums(), b in bools(), rows in rows()) {
        let batch = batch(&rows);
        let row = crate::eval::Row { batch: &batch };
        let (values, truths) = (row.num(&n).unwrap(), row.bool(&b).unwrap());
        for (i, fields) in rows.iter().enumerate() {
            let value = values.is_valid(i).then(|| values.value(i));
            prop_assert_eq!(value, reference::num(&n, fields));
            if let Some(value) = value {
                prop_assert!(!value.is_nan() && (value != 0.0 || value.is_sign_positive()));
            }
            let truth = truths.is_valid(i).then(|| truths.value(i));
            prop_assert_eq!(truth, reference::bool(&b, fields));
        }
    }

    #[test]
    fn a_mask_says_exactly_when_a_value_is_there(n in nums(), b in bools(), rows in rows()) {
        let description = patients();
        let scope = Scope::of_table(&description, 0);
        let known = known_from(Some(&b));
        let mask = mask(&Any::Num(n.clone()), &known, &scope);
        for row in rows.iter().filter(|r| reference::bool(&b, r) == Some(true)) {
            let missing = |c: &usize| match row[*c] {
                Field::Number(v) => v.is_none(),
                Field::Code(v) => v.is_none(),
                Field::Truth(v) => v.is_none(),
                Field::Text(v) => v.is_none(),
            };
            // What the description says is never missing is not, in a stored table.
            let promised = description.columns().iter().enumerate().all(|(i, c)| {
                c.may_be_missing
                    || matches!(c.domain, Domain::Category { other: None, .. })
                    || !missing(&i)
            });
            if !promised {
                continue;
            }
            prop_assert!(known.iter().all(|c| !missing(c)));
            let there = reference::num(&n, row).is_some();
            match &mask {
                Mask::Everything => prop_assert!(there),
                Mask::Columns(c) => prop_assert_eq!(there, !c.iter().any(missing)),
                Mask::Expression(_) => {}
            }
        }
    }

    #[test]
    fn a_row_never_adds_more_than_its_grids_bound(n in nums(), rows in rows()) {
        let description = patients();
        let scope = Scope::of_table(&description, 0);
        let printer = Printer { scope: &scope };
        let text = printer.num(&n);
        let sql = format!("SELECT AVG({text}) AS a, SUM({text}) AS s FROM patients");
        if let Ok(plan) = plan(&sql) {
            let evaluated = evaluate(&plan, &batch(&rows)).unwrap();
            for (vector, amounts) in plan.vectors().iter().zip(&evaluated.amounts) {
                if let Amounts::Steps(steps) = amounts {
                    let most = vector.grid.bound;
                    prop_assert!(steps.iter().all(|s| u64::from(s.unsigned_abs()) <= most));
                }
            }
            for (i, row) in rows.iter().enumerate() {
                for (vector, amounts) in plan.vectors().iter().zip(&evaluated.amounts) {
                    let Quantity::Sum { value: _, low, high, middle } = &vector.quantity else {
                        continue;
                    };
                    let Amounts::Steps(steps) = amounts else { panic!("not steps") };
                    let expected = reference::num(&n, row).map_or(0, |x| {
                        let step = 2f64.powi(vector.grid.exponent);
                        ((x.clamp(*low, *high) - middle) / step).round_ties_even() as i64
                    });
                    prop_assert_eq!(i64::from(steps[i]), expected);
                }
            }
        }
    }

    #[test]
    fn no_text_panics_or_hangs(text in "[ -~]{0,80}") {
        if let Ok(text) = obscura_model::text::SqlText::new(&format!("SELECT {text}")) {
            let _ = crate::ValidatedQuery::parse(&text, &patients(), &CodeLists::none());
        }
    }
}

#[test]
fn integer_and_boolean_keys_give_cells_in_declared_order() {
    let plan = plan("SELECT COUNT(*) FROM patients GROUP BY smoker, \"year\", region").unwrap();
    let mut fields = vec![Field::Number(Some(3.0)); 8];
    fields[1] = Field::Code(Some(0));
    fields[2] = Field::Code(Some(3));
    fields[5] = Field::Truth(Some(true));
    fields[6] = Field::Number(Some(1992.0));
    fields[7] = Field::Code(None);
    let mut outside = fields.clone();
    outside[2] = Field::Code(None);
    let cells = evaluate(&plan, &batch(&[fields, outside])).unwrap().cells;
    assert_eq!(cells, [40 + 2 * 4 + 3, crate::eval::NO_CELL]);
    assert_eq!(plan.shape().labels(51), ["true", "1992", "W"]);
    assert_eq!(plan.reads(), &BTreeSet::from([2, 5, 6]));
}

#[test]
fn what_is_not_a_number_is_missing_and_infinity_is_clamped() {
    let endless = "1e300 * 1e300";
    for (sql, expected) in [
        (format!("{endless} - {endless}"), None),
        (format!("{endless} * 0"), None),
        (format!("{endless} / ({endless})"), None),
        ("age / 0".to_owned(), None),
        (format!("LEAST({endless}, 40)"), Some(40.0)),
        (format!("GREATEST(0 - {endless}, -40)"), Some(-40.0)),
        ("LEAST(bmi, 40)".to_owned(), None),
        ("0 * -1".to_owned(), Some(0.0)),
    ] {
        let clipped = format!("LEAST(GREATEST({sql}, -50), 50)");
        let query = parse(&format!("SELECT SUM({clipped}) AS s FROM patients")).unwrap();
        let crate::query::Released::Aggregate(crate::query::Aggregate::Sum(value)) =
            &query.definition().outputs[0].value
        else {
            panic!("not a sum")
        };
        let mut row = vec![Field::Number(Some(3.0)); 8];
        row[3] = Field::Number(None);
        let batch = batch(&[row]);
        let values = crate::eval::Row { batch: &batch }.num(value).unwrap();
        let found = values.is_valid(0).then(|| values.value(0));
        assert_eq!(found, expected, "{sql}");
        assert!(
            found.is_none_or(|v| v != 0.0 || v.is_sign_positive()),
            "{sql}"
        );
    }
}
