//! The fold against a computation of its own: from the owner's lines, with nothing of the crate
//! but its published rules.

#![allow(clippy::unwrap_used)] // helpers of tests, outside test functions

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::codelist::CodeLists;
use obscura_model::exposure::{Delta, Rho};
use obscura_model::schema::Description;
use obscura_model::text::SqlText;
use obscura_privacy::{Filter, Known, Mode, Permit};
use obscura_query::ingest::{Secrets, read_rows, sort};
use obscura_query::{
    Contributions, FoldError, PlanOptions, PrivatePlan, PrivateTable, ValidatedQuery,
};
use proptest::prelude::*;
use sha2::Sha256;

const DESCRIPTION: &str = r#"
name = "visits"
title = "Visits"
source = "visits.csv"
subject = "person"
subject_unit = "person"
most_rows_per_subject = 3
subjects = [10, 100000]
delta = 1e-6

[[column]]
name = "cost"
type = "number"
lowest = 0
highest = 300
meaning = "cost"
bounds_from = "price list"
may_be_missing = true

[[column]]
name = "ward"
type = "category"
values = ["A", "B", "C"]
meaning = "ward"
bounds_from = "list"

[[column]]
name = "urgent"
type = "boolean"
meaning = "urgent"
bounds_from = "form"
"#;

const QUERY: &str = "SELECT ward, COUNT(*), COUNT(cost), COUNT(DISTINCT person), SUM(cost), \
    AVG(LEAST(cost, 100)) AS clipped FROM visits WHERE urgent OR cost > 50 GROUP BY ward";

const SECRETS: Secrets = Secrets {
    subject: [3; 32],
    rows: [4; 32],
};

#[derive(Debug, Clone, PartialEq)]
struct Visit {
    person: u32,
    cost: Option<f64>,
    ward: Option<usize>,
    urgent: bool,
}

fn description() -> Description {
    Description::from_toml(DESCRIPTION).unwrap()
}

fn plan(sql: &str) -> PrivatePlan {
    let accuracy = AccuracyRequest::whole(Accuracy::Price(Rho::asked(0.1).unwrap())).unwrap();
    let description = description();
    ValidatedQuery::parse(
        &SqlText::new(sql).unwrap(),
        &description,
        &CodeLists::none(),
    )
    .unwrap()
    .plan(
        &description,
        &accuracy,
        None,
        Delta::new(1e-6).unwrap(),
        &PlanOptions::default(),
    )
    .unwrap()
}

fn csv(visits: &[Visit]) -> String {
    let mut text = "urgent,person,ward,cost\n".to_owned();
    for v in visits {
        let cost = v.cost.map_or(String::new(), |c| c.to_string());
        let ward = v.ward.map_or("elsewhere", |w| ["A", "B", "C"][w]);
        text.push_str(&format!("{},P{},{ward},{cost}\n", v.urgent, v.person));
    }
    text
}

fn store(visits: &[Visit], folder: &Path) -> PrivateTable {
    std::fs::write(folder.join("visits.csv"), csv(visits)).unwrap();
    let raw = read_rows(&description(), &folder.join("visits.csv")).unwrap();
    let mut map = BTreeMap::new();
    let mut index = |hash: [u8; 16]| {
        let next = map.len() as u32;
        Ok::<u32, Infallible>(*map.entry(hash).or_insert(next))
    };
    let sorted = sort(raw, &description(), &SECRETS, &mut index).unwrap();
    PrivateTable::write(&sorted, &description(), &folder.join("table.parquet")).unwrap();
    PrivateTable::open(&folder.join("table.parquet"), &description()).unwrap()
}

/// As many subjects as the index has room for.
const CAPACITY: u64 = 131_072;

fn nobody_barred<'a>(accounts: &'a [&'a [u64]]) -> Known<'a> {
    let barred = &[false; CAPACITY as usize];
    Known { accounts, barred }
}

fn fold(plan: &PrivatePlan, table: &PrivateTable, threads: usize) -> Vec<Vec<i64>> {
    let filter = Filter::new(Mode::Protect, vec![Rho::asked(1.0).unwrap()]);
    let permit =
        Permit::after_durable_intent(1, filter, plan.shape().clone(), true, CAPACITY).unwrap();
    let exposures = vec![0u64; CAPACITY as usize];
    Contributions::bind(permit, plan.clone(), table.rows())
        .fold(nobody_barred(&[&exposures]), threads)
        .unwrap()
        .exact_sums_for_audit()
        .to_vec()
}

/// The keyed hash of a row, by the published rule.
fn row_hash(visit: &Visit, ordinal: u64) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRETS.rows).unwrap();
    match visit.cost {
        Some(cost) => {
            mac.update(&[1]);
            mac.update(&cost.to_le_bytes());
        }
        None => mac.update(&[0]),
    }
    match visit.ward {
        Some(ward) => {
            mac.update(&[2, 1, 0, 0, 0]);
            mac.update(["A", "B", "C"][ward].as_bytes());
        }
        None => mac.update(&[0]),
    }
    mac.update(&[3, u8::from(visit.urgent)]);
    mac.update(&ordinal.to_le_bytes());
    mac.finalize().into_bytes()[..16].to_vec()
}

/// Counts in 1024ths; costs up to 300 in steps of 2^-12, centred clipped ones (half width 50) in
/// steps of 2^-15.
fn by_hand(visits: &[Visit]) -> Vec<Vec<i64>> {
    let mut people: BTreeMap<u32, Vec<(Vec<u8>, &Visit)>> = BTreeMap::new();
    for visit in visits {
        let rows = people.entry(visit.person).or_default();
        let ordinal = rows.iter().filter(|(_, other)| *other == visit).count() as u64;
        rows.push((row_hash(visit, ordinal), visit));
    }
    let mut sums = vec![vec![0i64; 3]; 5];
    for rows in people.values_mut() {
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let matching = rows
            .iter()
            .map(|(_, v)| v)
            .filter(|v| v.urgent || v.cost.is_some_and(|c| c > 50.0));
        let mut wards = BTreeSet::new();
        for visit in matching.take(3) {
            let Some(ward) = visit.ward else { continue };
            wards.insert(ward);
            sums[0][ward] += 1024;
            if let Some(cost) = visit.cost {
                sums[1][ward] += 1024;
                sums[3][ward] += (cost * 4096.0).round_ties_even() as i64;
                sums[4][ward] += ((cost.min(100.0) - 50.0) * 32768.0).round_ties_even() as i64;
            }
        }
        wards.into_iter().for_each(|ward| sums[2][ward] += 1024);
    }
    sums
}

fn visits() -> impl Strategy<Value = Vec<Visit>> {
    let cost = prop_oneof![
        (0u32..3).prop_map(|c| Some(f64::from(c) * 75.0)),
        (0.0f64..300.0).prop_map(Some),
        Just(None),
    ];
    let visit = (
        0u32..20,
        cost,
        prop::option::weighted(0.9, 0usize..3),
        any::<bool>(),
    )
        .prop_map(|(person, cost, ward, urgent)| Visit {
            person,
            cost,
            ward,
            urgent,
        });
    prop::collection::vec(visit, 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_fold_agrees_with_a_computation_by_hand(visits in visits()) {
        let folder = tempfile::tempdir().unwrap();
        let sums = fold(&plan(QUERY), &store(&visits, folder.path()), 1);
        prop_assert_eq!(sums, by_hand(&visits));
    }

    #[test]
    fn row_order_and_threads_change_nothing(
        (visits, shuffled) in visits().prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        threads in 1usize..17,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(QUERY);
        let expected = fold(&plan, &store(&visits, folder.path()), 1);
        prop_assert_eq!(fold(&plan, &store(&shuffled, folder.path()), threads), expected);
    }
}

#[test]
fn many_row_groups_on_many_threads_give_the_same_sums() {
    let visits: Vec<Visit> = (0..300_000)
        .map(|i| Visit {
            person: i / 4,
            cost: (i % 7 != 0).then(|| f64::from(i % 301)),
            ward: Some((i % 3) as usize),
            urgent: i % 2 == 0,
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let table = store(&visits, folder.path());
    let plan = plan(QUERY);
    let expected = by_hand(&visits);
    for threads in [1, 2, 3, 16] {
        assert_eq!(fold(&plan, &table, threads), expected, "{threads} threads");
    }
}

#[test]
fn one_subject_more_changes_nothing_that_is_public() {
    let base: Vec<Visit> = (0..30)
        .map(|i| Visit {
            person: i,
            cost: Some(10.0),
            ward: Some(0),
            urgent: true,
        })
        .collect();
    let mut more = base.clone();
    // The subject with a value off every list, a missing cost, and far too many rows.
    more.extend((0..500).map(|i| Visit {
        person: 42,
        cost: (i % 2 == 0).then_some(299.0),
        ward: (i % 3 != 0).then_some(2),
        urgent: true,
    }));
    let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plan = plan(QUERY);
    let without = fold(&plan, &store(&base, folders.0.path()), 2);
    let with = fold(&plan, &store(&more, folders.1.path()), 2);
    let form = |sums: &Vec<Vec<i64>>| sums.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(form(&with), form(&without));
    for (vector, (with, without)) in plan.shape().vectors.iter().zip(with.iter().zip(&without)) {
        let difference: Vec<i64> = with.iter().zip(without).map(|(a, b)| a - b).collect();
        let norm: u128 = difference
            .iter()
            .map(|d| u128::from(d.unsigned_abs()).pow(2))
            .sum();
        assert!(
            norm <= vector.clip_squared,
            "{}: {difference:?}",
            vector.what
        );
    }
}

#[test]
fn a_fold_that_is_told_to_stop_gives_nothing_and_says_nothing_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let visits = [Visit {
        person: 1,
        ward: Some(0),
        cost: Some(3.0),
        urgent: true,
    }];
    let table = store(&visits, folder.path());
    let plan = plan(QUERY);
    for stopped in [true, false] {
        let filter = Filter::new(Mode::Protect, vec![Rho::asked(1.0).unwrap()]);
        let permit =
            Permit::after_durable_intent(1, filter, plan.shape().clone(), true, CAPACITY).unwrap();
        let result = Contributions::bind(permit, plan.clone(), table.rows()).fold_until(
            nobody_barred(&[&[0; CAPACITY as usize]]),
            2,
            &|| stopped,
        );
        match result {
            Err(late @ FoldError::Late) if stopped => {
                assert_eq!(late.to_string(), "the fold took longer than it may");
            }
            other => assert!(!stopped && other.is_ok(), "{:?}", other.err()),
        }
    }
}

#[test]
fn a_permit_for_another_plan_folds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let table = store(&[], folder.path());
    let (mine, other) = (plan(QUERY), plan("SELECT COUNT(*) FROM visits"));
    let filter = Filter::new(Mode::Protect, vec![Rho::asked(1.0).unwrap()]);
    let permit =
        Permit::after_durable_intent(1, filter, other.shape().clone(), true, CAPACITY).unwrap();
    let result = Contributions::bind(permit, mine, table.rows())
        .fold(nobody_barred(&[&[0; CAPACITY as usize]]), 1);
    assert!(matches!(result, Err(FoldError::Mismatch)));
}
