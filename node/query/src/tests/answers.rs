//! Every aggregate against an independent computation, with and without noise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array};
use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::answer::Answer;
use obscura_model::exposure::Rho;
use obscura_privacy::{Many, Sparse, Tally, mock_noise};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{delta, parse_with, plan_with, price, visits};
use crate::batch::Batch;
use crate::fold::{FoldError, Sink, tally, walk};
use crate::runs::Runs;
use crate::source::{Desk, Source, Span};
use crate::{PlanOptions, PrivatePlan};

/// A row: subject, age, sex, region, bmi, income, smoker, year, ward.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    subject: u32,
    age: f64,
    sex: Option<i32>,
    region: i32,
    bmi: Option<f64>,
    income: f64,
    smoker: Option<bool>,
    year: f64,
}

struct Rows(Vec<Row>);

impl Source for Rows {
    fn spans(&self, _table: usize) -> Vec<Span> {
        let ends = self.0.first().zip(self.0.last());
        let span = ends.map(|(a, b)| Span {
            first: a.subject,
            last: b.subject,
        });
        span.into_iter().collect()
    }

    fn load(
        &self,
        _table: usize,
        _group: usize,
        columns: &BTreeSet<usize>,
        _desk: &mut Desk,
    ) -> Result<Batch, FoldError> {
        let rows = &self.0;
        let of = |f: &dyn Fn(&Row) -> Option<f64>| -> Option<ArrayRef> {
            Some(Arc::new(Float64Array::from_iter(rows.iter().map(f))))
        };
        let codes = |f: &dyn Fn(&Row) -> Option<i32>| -> Option<ArrayRef> {
            Some(Arc::new(Int32Array::from_iter(rows.iter().map(f))))
        };
        let smoker = BooleanArray::from_iter(rows.iter().map(|r| r.smoker));
        let all = Batch {
            runs: Runs::of_rows(&rows.iter().map(|r| r.subject).collect::<Vec<_>>()),
            columns: vec![
                of(&|r| Some(r.age)),
                codes(&|r| r.sex),
                codes(&|r| Some(r.region)),
                of(&|r| r.bmi),
                of(&|r| Some(r.income)),
                Some(Arc::new(smoker)),
                of(&|r| Some(r.year)),
                codes(&|_| Some(0)),
            ],
        };
        Ok(all.only(|column| columns.contains(&column)))
    }
}

/// Up to three rows of each of `subjects` subjects, with bmi that rises with age.
fn rows(subjects: u32, seed: u64) -> Rows {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut rows = Vec::new();
    for subject in 0..subjects {
        let region = rng.random_range(0..4);
        for _ in 0..rng.random_range(1..=3) {
            let age = f64::from(rng.random_range(0..=120));
            let bmi = (20.0 + age / 5.0 + rng.random_range(-6.0..6.0f64)).clamp(10.0, 60.0);
            rows.push(Row {
                subject,
                age,
                sex: Some(rng.random_range(0..4)).filter(|s| *s < 3),
                region,
                bmi: (rng.random_range(0..5) > 0).then_some(bmi),
                income: rng.random_range(0.0..1e6),
                smoker: [None, Some(false), Some(true)][rng.random_range(0..3)],
                year: f64::from(rng.random_range(1990..=1999)),
            });
        }
    }
    Rows(rows)
}

fn exact(plan: &PrivatePlan, rows: &Rows) -> Answer {
    let sums = tally(plan, rows).unwrap().sums();
    Answer::new(plan.shape().clone(), sums).unwrap()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn covariance(pairs: &[(f64, f64)]) -> f64 {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (a, b) = (mean(&x), mean(&y));
    mean(
        &pairs
            .iter()
            .map(|(x, y)| (x - a) * (y - b))
            .collect::<Vec<_>>(),
    )
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let twice = |f: &dyn Fn(&(f64, f64)) -> f64| {
        covariance(&pairs.iter().map(|p| (f(p), f(p))).collect::<Vec<_>>())
    };
    covariance(pairs) / (twice(&|p| p.0) * twice(&|p| p.1)).sqrt()
}

const EVERYTHING: &str = "SELECT COUNT(*) AS n, VAR_POP(bmi) AS v, STDDEV(age) AS sd, \
    COVAR_POP(age, bmi) AS c, CORR(age, bmi) AS r, MEDIAN(age) AS m, QUANTILE(bmi, 0.9) AS q, \
    COUNT(DISTINCT sex) AS k, SUM(income) / COUNT(*) AS i, \
    100 * COUNT(bmi) / COUNT(*) AS share FROM visits";

/// The outputs of [`EVERYTHING`] from the rows.
fn direct(rows: &Rows) -> Vec<f64> {
    let ages: Vec<f64> = rows.0.iter().map(|r| r.age).collect();
    let mut sorted = ages.clone();
    sorted.sort_by(f64::total_cmp);
    let mut bmis: Vec<f64> = rows.0.iter().filter_map(|r| r.bmi).collect();
    bmis.sort_by(f64::total_cmp);
    let pairs: Vec<(f64, f64)> = rows
        .0
        .iter()
        .filter_map(|r| Some((r.age, r.bmi?)))
        .collect();
    let same = |v: &[f64]| covariance(&v.iter().map(|x| (*x, *x)).collect::<Vec<_>>());
    let n = ages.len() as f64;
    let at = |v: &[f64], share: f64| v[(share * v.len() as f64) as usize];
    vec![
        n,
        same(&bmis),
        (same(&ages) * n / (n - 1.0)).sqrt(),
        covariance(&pairs),
        correlation(&pairs),
        at(&sorted, 0.5),
        at(&bmis, 0.9),
        3.0,
        rows.0.iter().map(|r| r.income).sum::<f64>() / n,
        100.0 * bmis.len() as f64 / n,
    ]
}

#[test]
fn every_aggregate_agrees_with_an_independent_computation() {
    let plan = plan_with(EVERYTHING, &visits()).unwrap();
    let rows = rows(4000, 1);
    let answer = exact(&plan, &rows);
    // In units of each output; quantiles to a step of their tree.
    let near = [1e-9, 1e-2, 1e-3, 1e-2, 1e-4, 1.0, 0.25, 0.0, 1.0, 1e-9];
    for ((output, expected), near) in direct(&rows).into_iter().enumerate().zip(near) {
        let found = answer.estimate(output, 0).unwrap().value;
        assert!(
            (found - expected).abs() <= near,
            "{output}: {found} and not {expected}"
        );
    }
}

#[test]
fn margins_hold_95_times_in_100() {
    let request = price(0.5);
    let description = visits();
    let query = parse_with(EVERYTHING, &description).unwrap();
    let options = PlanOptions::default();
    let plan = query
        .plan(&description, &request, None, delta(), &options)
        .unwrap();
    let rows = rows(4000, 2);
    let sums = tally(&plan, &rows).unwrap().sums();
    let shape = plan.shape();
    let noiseless = Answer::new(shape.clone(), sums.clone()).unwrap();
    let runs = 300;
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut held = [0; 10];
    let mut errors = vec![Vec::new(); 10];
    let mut squares = vec![Vec::new(); 10];
    for _ in 0..runs {
        let noisy = mock_noise(sums.clone(), &shape.vectors, &mut rng).unwrap();
        let noisy = Answer::new(shape.clone(), noisy).unwrap();
        for output in 0..10 {
            let truth = noiseless.estimate(output, 0).unwrap().value;
            let found = noisy.estimate(output, 0).unwrap();
            assert!(found.margin.is_finite(), "{output}");
            held[output] += u32::from((found.value - truth).abs() <= found.margin);
            errors[output].push(found.value - truth);
            squares[output].push(found.standard_error());
        }
    }
    for output in 0..10 {
        // 95 % of 300 is 285; four standard errors below that is 270.
        assert!(held[output] >= 270, "{output}: {} of {runs}", held[output]);
        if [0, 1, 2, 3, 4, 8, 9].contains(&output) {
            // Not too wide either, and without bias: the error's spread is the one stated.
            let sd = mean(&errors[output].iter().map(|e| e * e).collect::<Vec<_>>()).sqrt();
            let stated = mean(&squares[output]);
            assert!(
                (sd / stated - 1.0).abs() < 0.2,
                "{output}: {sd} for {stated}"
            );
            let bias = mean(&errors[output]).abs();
            assert!(
                bias < 4.0 * stated / f64::from(runs).sqrt(),
                "{output}: bias {bias}"
            );
        }
    }
}

/// Keeps each subject's contribution.
#[derive(Default)]
struct Kept(BTreeMap<u32, Vec<Sparse>>);

impl Sink for Kept {
    fn take(&mut self, subject: u32, _: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        self.0.insert(subject, parts.to_vec());
        Ok(())
    }

    fn take_many(&mut self, many: &mut Many) -> Result<(), FoldError> {
        many.one_by_one(|subject, parts| {
            self.0.insert(subject, parts.to_vec());
            Ok(())
        })
        .map_err(FoldError::Sums)
    }
}

/// The squared length of one subject's part of each vector, unclipped.
fn lengths(plan: &PrivatePlan, parts: &[Sparse]) -> Vec<u128> {
    let mut shapes = plan.shape().vectors.clone();
    shapes
        .iter_mut()
        .for_each(|v| v.clip_squared = u128::MAX >> 4);
    let mut tally = Tally::new(&shapes, plan.shape().cells());
    tally.add(parts).unwrap();
    let square = |v: Vec<i64>| v.iter().map(|x| u128::from(x.unsigned_abs()).pow(2)).sum();
    tally.sums().into_iter().map(square).collect()
}

#[test]
fn no_subject_adds_more_than_the_clip_norm_of_any_vector() {
    // The most rows, all alike and all at an end of their bounds, or all different.
    let extreme = |spread: bool, high: bool| {
        let row = |i: u32| Row {
            subject: 0,
            age: if high { 120.0 } else { 0.0 } + if spread { -f64::from(i) } else { 0.0 }.abs(),
            sex: Some(if spread { (i % 3) as i32 } else { 0 }),
            region: 2,
            bmi: Some(if high { 60.0 } else { 10.0 }),
            income: if high { 1e6 } else { 0.0 },
            smoker: Some(spread && i.is_multiple_of(2)),
            year: 1990.0 + if spread { f64::from(i % 10) } else { 0.0 },
        };
        Rows((0..25).map(row).collect())
    };
    let keys = [
        "",
        " GROUP BY sex",
        " GROUP BY region, year",
        " GROUP BY smoker, sex",
    ];
    let options = PlanOptions {
        coverage: true,
        count_clipped: true,
        minimum_cell: Some(5),
    };
    let description = visits();
    for key in keys {
        let query = parse_with(&format!("{EVERYTHING}{key}"), &description).unwrap();
        let plan = query
            .plan(&description, &price(0.1), None, delta(), &options)
            .unwrap();
        let mut all = vec![rows(300, 3)];
        for (spread, high) in [(false, false), (false, true), (true, false), (true, true)] {
            all.push(extreme(spread, high));
        }
        for rows in all {
            let mut kept = Kept::default();
            walk(&rows, 0..1, &plan, 7, &mut kept).unwrap();
            for parts in kept.0.values() {
                for (length, vector) in lengths(&plan, parts).into_iter().zip(&plan.shape().vectors)
                {
                    assert!(
                        length <= vector.clip_squared,
                        "{} {length}{key}",
                        vector.what
                    );
                }
            }
        }
    }
}

#[test]
fn one_subject_more_changes_the_sums_by_what_it_adds_and_no_more() {
    let plan = plan_with(&format!("{EVERYTHING} GROUP BY sex"), &visits()).unwrap();
    let all = rows(200, 4);
    let without = Rows(all.0.iter().filter(|r| r.subject != 77).cloned().collect());
    let (a, b) = (
        tally(&plan, &all).unwrap().sums(),
        tally(&plan, &without).unwrap().sums(),
    );
    for ((a, b), vector) in a.iter().zip(&b).zip(&plan.shape().vectors) {
        let pairs = a.iter().zip(b);
        let apart: u128 = pairs.map(|(a, b)| u128::from(a.abs_diff(*b)).pow(2)).sum();
        assert!(apart <= vector.clip_squared, "{}", vector.what);
    }
}

#[test]
fn coverage_counts_everybody_and_cut_counts_who_lost_something() {
    let description = visits();
    let sql = "SELECT SUM(LEAST(income, 500)) AS s FROM visits WHERE age > 50";
    let query = parse_with(sql, &description).unwrap();
    let options = PlanOptions {
        coverage: true,
        count_clipped: true,
        minimum_cell: None,
    };
    let plan = query
        .plan(&description, &price(0.1), None, delta(), &options)
        .unwrap();
    let person = |subject, age, income| Row {
        subject,
        age,
        sex: None,
        region: 0,
        bmi: None,
        income,
        smoker: None,
        year: 1990.0,
    };
    // One matches nothing, one is cut, one is not, one has twelve rows of which ten count.
    let mut rows = vec![
        person(0, 20.0, 900.0),
        person(1, 60.0, 900.0),
        person(2, 60.0, 400.0),
    ];
    rows.extend((0..12).map(|_| person(3, 60.0, 1.0)));
    let answer = exact(&plan, &Rows(rows));
    let names: Vec<&str> = plan
        .shape()
        .outputs
        .iter()
        .map(|o| o.name.as_str())
        .collect();
    assert_eq!(names, ["s", "coverage", "subjects_cut"]);
    let value = |output| answer.estimate(output, 0).unwrap().value;
    assert_eq!(value(1), 4.0, "people, not a share of the declared number");
    assert_eq!(value(2), 2.0);
    assert!(!plan.shape().vectors[1].grouped && !plan.shape().vectors[2].grouped);
    let plain = plan_with(sql, &description).unwrap();
    assert_eq!(
        plain.shape().vectors.len(),
        1,
        "nothing is added that was not asked for"
    );
}

#[test]
fn a_minimum_cell_size_has_its_own_priced_count_of_people() {
    let description = visits();
    let with = |sql: &str| {
        let query = parse_with(sql, &description).unwrap();
        let options = PlanOptions {
            minimum_cell: Some(10),
            ..PlanOptions::default()
        };
        query
            .plan(&description, &price(0.1), None, delta(), &options)
            .unwrap()
    };
    let shape = |sql: &str| with(sql).shape().clone();
    let rows = shape("SELECT COUNT(*) FROM visits");
    assert_eq!((rows.vectors.len(), rows.disclosure.size), (2, Some(1)));
    let people = shape("SELECT COUNT(DISTINCT subject_id) FROM visits");
    assert_eq!((people.vectors.len(), people.disclosure.size), (1, Some(0)));
}

#[test]
fn weights_share_the_price_among_outputs() {
    let description = visits();
    let query = parse_with(
        "SELECT COUNT(*) AS a, AVG(age) AS b FROM visits",
        &description,
    )
    .unwrap();
    let shares = |weights: &[(&str, f64)]| -> Vec<f64> {
        let weights = weights.iter().map(|(n, w)| ((*n).to_owned(), *w)).collect();
        let request = price(0.09).with_weights(weights).unwrap();
        let options = PlanOptions::default();
        let plan = query
            .plan(&description, &request, None, delta(), &options)
            .unwrap();
        assert!(plan.price() <= Rho::asked(0.09).unwrap());
        let vectors = plan.shape().vectors.iter();
        vectors.map(|v| v.price().unwrap().as_f64()).collect()
    };
    let near = |found: &[f64], wanted: &[f64]| {
        let pairs = found.iter().zip(wanted);
        assert!(
            pairs.clone().all(|(a, b)| (a / b - 1.0).abs() < 1e-3),
            "{found:?}"
        );
    };
    // The count, which the average uses too, and the centred sum.
    near(&shares(&[]), &[0.045, 0.045]);
    near(&shares(&[("a", 1.0)]), &[0.06, 0.03]);
    near(&shares(&[("a", 1.0), ("b", 4.0)]), &[0.045, 0.045]);
    let unknown = price(0.1)
        .with_weights(BTreeMap::from([("x".to_owned(), 1.0)]))
        .unwrap();
    let options = PlanOptions::default();
    assert!(
        query
            .plan(&description, &unknown, None, delta(), &options)
            .is_err()
    );
    let within = Accuracy::Within {
        margin: 5.0,
        rows: None,
    };
    let within = AccuracyRequest::whole(within).unwrap();
    assert!(
        within
            .with_weights(BTreeMap::from([("a".to_owned(), 1.0)]))
            .is_err()
    );
}

#[test]
fn what_is_asked_within_a_margin_keeps_it_on_rows_like_those_supposed() {
    let description = visits();
    for (output, margin) in [
        ("VAR_POP(bmi)", 5.0),
        ("COVAR_POP(age, bmi)", 20.0),
        ("COUNT(bmi) / COUNT(*)", 0.02),
        ("COUNT(*) - COUNT(bmi)", 30.0),
        ("MEDIAN(age)", 8.0),
        ("ROUND(AVG(age), 1)", 1.0),
    ] {
        let query = parse_with(&format!("SELECT {output} AS o FROM visits"), &description).unwrap();
        let rows = rows(4000, 5);
        let count = rows.0.iter().filter(|r| r.bmi.is_some()).count() as u64;
        let within = Accuracy::Within {
            margin,
            rows: Some(count),
        };
        let request = AccuracyRequest::whole(within).unwrap();
        let options = PlanOptions::default();
        let plan = query
            .plan(&description, &request, None, delta(), &options)
            .unwrap();
        let found = exact(&plan, &rows).estimate(0, 0).unwrap();
        assert!(found.margin <= margin * 1.001, "{output}: {found:?}");
        let (expected, _) = obscura_model::answer::margin(
            &plan.shape().outputs[0].kind,
            &plan.shape().vectors,
            count,
        )
        .unwrap();
        assert!(expected <= margin * 1.0001, "{output}: preview {expected}");
    }
    for refused in ["CORR(age, bmi)", "VAR_POP(age)", "MEDIAN(age)"] {
        let query =
            parse_with(&format!("SELECT {refused} AS o FROM visits"), &description).unwrap();
        let within = Accuracy::Within {
            margin: 3.0,
            rows: None,
        };
        let request = AccuracyRequest::whole(within).unwrap();
        let options = PlanOptions::default();
        let refusal = query
            .plan(&description, &request, None, delta(), &options)
            .unwrap_err();
        assert!(
            refusal.to_string().contains("say rows"),
            "{refused}: {refusal}"
        );
    }
}

#[test]
fn keys_are_expressions_with_finite_domains() {
    let labels = |keys: &str| {
        let sql = format!("SELECT COUNT(*) AS n FROM visits GROUP BY {keys}");
        let plan = plan_with(&sql, &visits()).unwrap();
        plan.shape()
            .keys
            .iter()
            .map(|k| k.labels.clone())
            .collect::<Vec<_>>()
    };
    let band = "CASE WHEN bmi < 25 THEN 'lean' WHEN bmi >= 30 THEN 'large' ELSE 'other' END";
    assert_eq!(labels(band), [["lean", "large", "other"]]);
    assert_eq!(labels("age > 65"), [["false", "true"]]);
    assert_eq!(labels("(year - 1990) * 2")[0][..3], ["0", "2", "4"]);
    assert_eq!(labels("GREATEST(year, 1997)"), [["1997", "1998", "1999"]]);
    assert_eq!(
        labels("CASE WHEN bmi > 30 THEN 2 WHEN bmi > 20 THEN 1 END"),
        [["2", "1"]]
    );
    let doubled = "CASE WHEN bmi > 30 THEN 2 ELSE 1 END * 10";
    assert_eq!(labels(doubled), [["10", "20"]]);
    assert_eq!(labels("region, smoker").len(), 2);
    // What a text function makes of the declared labels, in their order, each once.
    assert_eq!(labels("LOWER(region)"), [["n", "s", "e", "w"]]);
    assert_eq!(
        labels("SUBSTR(ward, 1, 2)"),
        [["it", "a\"", "pl", "re"]],
        "also of what is outside the list"
    );
    assert_eq!(
        labels("CASE WHEN ward LIKE 'r%' THEN 'rest' ELSE SUBSTR(ward, 99, 1) END"),
        [["", "rest"]]
    );
    assert_eq!(
        labels("COALESCE(NULLIF(UPPER(region), 'S'), 'none')"),
        [["N", "none", "E", "W"]]
    );
    assert_eq!(labels("NULLIF(LOWER(region), 's')"), [["n", "e", "w"]]);
}

#[test]
fn a_text_is_a_key_only_if_it_is_made_of_one_category() {
    for key in [
        "region || ward",
        "UPPER('x')",
        "NULLIF(SUBSTR(region, 1, 0), '')",
    ] {
        let sql = format!("SELECT COUNT(*) AS n FROM visits GROUP BY {key}");
        let refusal = plan_with(&sql, &visits()).unwrap_err().to_string();
        assert!(refusal.contains("group by"), "{key}: {refusal}");
    }
}

#[test]
fn rows_fall_into_the_group_that_a_text_function_makes_of_their_label() {
    // Of a missing label a text can be made too.
    let key = "COALESCE(SUBSTR(LOWER(sex), 1, 1), 'unknown')";
    let sql = format!("SELECT {key} AS k, COUNT(*) AS n FROM visits WHERE age > 9 GROUP BY k");
    let plan = plan_with(&sql, &visits()).unwrap();
    assert!(
        plan.canonical()
            .contains("GROUP BY COALESCE(SUBSTR(LOWER(sex), 1, 1), 'unknown')")
    );
    assert_eq!(plan.shape().keys[0].labels, ["f", "m", "x", "unknown"]);
    let rows = rows(1000, 7);
    let answer = exact(&plan, &rows);
    for (cell, code) in [Some(0), Some(1), Some(2), None].into_iter().enumerate() {
        let here = rows.0.iter().filter(|r| r.age > 9.0 && r.sex == code);
        let expected = here.count() as f64;
        assert!(expected > 0.0, "{code:?}");
        assert_eq!(
            answer.estimate(0, cell).unwrap().value,
            expected,
            "{code:?}"
        );
    }
}

#[test]
fn every_row_falls_into_the_group_of_its_key_and_none_outside() {
    let band = "CASE WHEN bmi < 25 THEN 'lean' WHEN bmi >= 30 THEN 'large' END";
    let sql = format!(
        "SELECT {band} AS band, age > 60 AS old, COUNT(*) AS n FROM visits GROUP BY band, 2"
    );
    let plan = plan_with(&sql, &visits()).unwrap();
    let rows = rows(1000, 6);
    let answer = exact(&plan, &rows);
    let names: Vec<&str> = plan
        .shape()
        .keys
        .iter()
        .map(|k| k.column.as_str())
        .collect();
    assert_eq!(names, ["band", "old"]);
    for cell in 0..4 {
        let labels = plan.shape().labels(cell);
        let inside = |r: &&Row| {
            let band = match r.bmi {
                Some(b) if b < 25.0 => "lean",
                Some(b) if b >= 30.0 => "large",
                _ => return false,
            };
            band == labels[0] && (r.age > 60.0).to_string() == labels[1]
        };
        let expected = rows.0.iter().filter(inside).count() as f64;
        assert_eq!(
            answer.estimate(0, cell).unwrap().value,
            expected,
            "{labels:?}"
        );
    }
}

#[test]
fn a_query_written_out_reads_back_as_itself() {
    for sql in [
        EVERYTHING,
        "SELECT region, COUNT(*) AS n, AVG(age) AS a FROM visits GROUP BY region \
         HAVING n > 10 AND region <> 'N' ORDER BY a DESC, region LIMIT 3 OFFSET 1",
        "SELECT CASE WHEN age < 18 THEN 'child' ELSE 'grown' END AS who, COUNT(*) FROM visits \
         GROUP BY who ORDER BY 2 DESC",
        "SELECT year - 1990 AS since, SUM(income) / NULLIF(COUNT(*), 0) FROM visits GROUP BY 1 \
         HAVING since BETWEEN 2 AND 4 OR since > 7",
        "SELECT (COUNT(*) - COUNT(bmi)) * -2 / (COUNT(*) + 1) - 3 AS x FROM visits",
        "SELECT CASE WHEN NOT (COUNT(*) > 3 OR AVG(bmi) IS NULL) THEN 1 ELSE ROUND(AVG(bmi), 2) \
         END AS x FROM visits",
        "SELECT year AS y, COALESCE(AVG(bmi), 0) AS a FROM visits GROUP BY year HAVING y IN (1990)",
        "SELECT region, COUNT(*) AS n FROM visits GROUP BY region HAVING n BETWEEN 3 AND 9",
        "SELECT smoker, COUNT(*) AS n FROM visits GROUP BY smoker HAVING smoker = 'true' OR NOT n = 3",
    ] {
        let description = visits();
        let query = parse_with(sql, &description).unwrap_or_else(|r| panic!("{sql}: {r}"));
        let canonical = query.canonical();
        let again =
            parse_with(&canonical, &description).unwrap_or_else(|r| panic!("{canonical}: {r}"));
        assert_eq!(again, query, "{canonical}");
        assert_eq!(again.canonical(), canonical);
    }
}

#[test]
fn groups_that_are_not_shown_are_released_and_the_words_say_so() {
    let description = visits();
    let sql = "SELECT region, COUNT(*) AS n FROM visits GROUP BY region HAVING n > 100 \
               ORDER BY n DESC LIMIT 2";
    let query = parse_with(sql, &description).unwrap();
    assert!(
        query
            .in_words()
            .contains("Every group is released and adds to exposure")
    );
    let plan = plan_with(sql, &description).unwrap();
    assert_eq!(plan.shape().cells(), 4);
    let answer = exact(&plan, &rows(500, 8));
    assert_eq!(answer.values()[0].len(), 4);
    let n = |cell: &usize| answer.estimate(0, *cell).unwrap().value;
    let shown = answer.arranged();
    assert!(shown.len() == 2 && n(&shown[0]) >= n(&shown[1]));
}

#[test]
fn nothing_that_is_empty_is_divided_by_or_left_out() {
    let sql = "SELECT region, AVG(bmi) AS a, COUNT(bmi) AS n, SUM(bmi) AS s, VAR_POP(bmi) AS v, \
               MEDIAN(bmi) AS m FROM visits WHERE bmi IS NULL GROUP BY region";
    let plan = plan_with(sql, &visits()).unwrap();
    let sums = tally(&plan, &rows(50, 9)).unwrap().sums();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for _ in 0..20 {
        let noisy = mock_noise(sums.clone(), &plan.shape().vectors, &mut rng).unwrap();
        let answer = Answer::new(plan.shape().clone(), noisy).unwrap();
        for cell in 0..4 {
            for output in 0..5 {
                let found = answer.estimate(output, cell).unwrap();
                assert!(found.value.is_finite(), "{output} {found:?}");
            }
            let average = answer.estimate(0, cell).unwrap().value;
            assert!(
                (10.0..=60.0).contains(&average),
                "clamped to the bounds: {average}"
            );
        }
    }
}

#[test]
fn a_clip_below_what_is_typical_is_warned_of() {
    let text = super::PATIENTS.replace(
        "name = \"income\"",
        "name = \"income\"\ntypical = [100, 40000]",
    );
    let Ok(description) = obscura_model::schema::Description::from_toml(&text) else {
        panic!("the description has a hint")
    };
    let warnings = |sql: &str| plan_with(sql, &description).unwrap().warnings().to_vec();
    let found = warnings("SELECT SUM(LEAST(GREATEST(income, 50), 20)) AS s FROM patients");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("at 20 is below 40000"), "{found:?}");
    assert!(warnings("SELECT SUM(LEAST(income, 50000)) AS s FROM patients").is_empty());
}

#[test]
fn the_page_has_an_example_of_every_aggregate_that_is_accepted() {
    for row in crate::aggregates::AGGREGATES {
        let sql = format!(
            "SELECT {} AS x FROM visits",
            row.example.replace("cost", "income")
        );
        assert!(plan_with(&sql, &visits()).is_ok(), "{sql}");
    }
    assert!(crate::aggregates_page().contains("### CORR"));
}
