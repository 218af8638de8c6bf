//! Keys that nobody declared, from the text of the query to what is summed for each of them.

use std::collections::{BTreeMap, BTreeSet};

use obscura_model::schema::Description;
use obscura_privacy::KeyTally;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tempfile::TempDir;

use super::stored::stored;
use super::{delta, parse_with, plan_with, price};
use crate::fold::key_tally;
use crate::{PlanOptions, PrivatePlan, PrivateTable, Refusal, mock};

pub(super) const CLINIC: &str = r#"
name = "clinic"
title = "Clinic"
source = "clinic.csv"
subject = "id"
subject_unit = "patient"
most_rows_per_subject = 6
subjects = [500, 1000]
delta = 1e-6

[[column]]
name = "reason"
type = "text"
most_characters = 40
meaning = "why, in the patient's words"
bounds_from = "form"
may_be_missing = true
keys = { per_person = 2, most = 5, characters = 8, delta = 1e-8 }

[[column]]
name = "note"
type = "text"
most_characters = 40
meaning = "a note"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "sex"
type = "category"
values = ["F", "M"]
meaning = "sex"
bounds_from = "form"

[[column]]
name = "cost"
type = "integer"
lowest = 0
highest = 100
unit = "EUR"
meaning = "cost"
bounds_from = "form"
"#;

pub(super) const QUERY: &str = "SELECT reason, COUNT(DISTINCT id) AS people, COUNT(*) AS n, SUM(cost) AS c \
    FROM clinic GROUP BY reason ORDER BY n DESC";

fn clinic() -> Description {
    Description::from_toml(CLINIC).unwrap()
}

fn plan(sql: &str) -> Result<PrivatePlan, Refusal> {
    plan_with(sql, &clinic())
}

/// Lines of `id,reason,note,sex,cost`.
fn store(lines: &[String], folder: &TempDir) -> PrivateTable {
    let csv = folder.path().join(clinic().source_file());
    std::fs::write(csv, format!("id,reason,note,sex,cost\n{}", lines.concat())).unwrap();
    stored(&clinic(), folder.path())
}

fn tally(plan: &PrivatePlan, lines: &[String]) -> KeyTally {
    let folder = tempfile::tempdir().unwrap();
    let table = store(lines, &folder);
    key_tally(plan, &table.rows()).unwrap().unwrap()
}

/// The sums under one key, in counts and in units of cost: people, rows, cost.
fn under(plan: &PrivatePlan, tally: &KeyTally, key: &str) -> [f64; 3] {
    let sums = tally.sums_of(&[key.to_owned()]);
    let vectors = plan.shape().vectors.iter().zip(&sums);
    let of = |what: &str| {
        let mut found = vectors.clone().filter(|(v, _)| v.what.starts_with(what));
        found
            .next()
            .map_or(f64::NAN, |(v, s)| s[0] as f64 * v.step())
    };
    [of("COUNT(DISTINCT"), of("COUNT(*)"), of("SUM(")]
}

#[test]
fn the_rule_is_in_the_shape_and_the_words_and_the_text_reads_back() {
    let query = parse_with(QUERY, &clinic()).unwrap();
    assert_eq!(parse_with(&query.canonical(), &clinic()).unwrap(), query);
    let words = query.in_words();
    assert!(
        words.contains("reason that enough people have (at most 5 groups)"),
        "{words}"
    );
    assert!(
        words.contains("at most 2 groups") && words.contains("8 characters"),
        "{words}"
    );
    let plan = plan(QUERY).unwrap();
    let shape = plan.shape();
    let rule = shape.discovered().unwrap();
    assert_eq!((rule.per_person, rule.most, rule.characters), (2, 5, 8));
    assert_eq!(shape.delta_keys().units(), 10_000_000_000);
    let gate = &shape.vectors[rule.gate];
    // At most one person in each of two keys.
    assert_eq!(gate.clip_squared, 2 * 1024 * 1024);
    assert_eq!(gate.what, "COUNT(DISTINCT id)");
    assert_eq!(
        shape.vectors.len(),
        3,
        "the gate is the output's own vector"
    );
    let [warning] = plan.warnings() else {
        panic!("{:?}", plan.warnings())
    };
    let people = shape.threshold().unwrap().ceil();
    assert!(
        warning.contains(&format!("fewer than about {people} data subjects")),
        "{warning}"
    );
    assert!(warning.contains("1e-8 of delta"), "{warning}");
}

#[test]
fn a_gate_is_priced_where_nobody_asks_for_people() {
    let plan = plan("SELECT reason, COUNT(*) AS n FROM clinic GROUP BY reason").unwrap();
    let shape = plan.shape();
    assert_eq!((shape.vectors.len(), shape.outputs.len()), (2, 1));
    assert_eq!(shape.discovered().unwrap().gate, 1);
}

#[test]
fn what_is_not_by_the_rule_is_refused_with_advice() {
    for (sql, says) in [
        (
            "SELECT note, COUNT(*) AS n FROM clinic GROUP BY note",
            "'note' has no declared list",
        ),
        (
            "SELECT reason, sex, COUNT(*) AS n FROM clinic GROUP BY reason, sex",
            "must be the only key",
        ),
        (
            "SELECT sex, reason, COUNT(*) AS n FROM clinic GROUP BY sex, reason",
            "must be the only key",
        ),
        (
            "SELECT LOWER(reason) AS r, COUNT(*) AS n FROM clinic GROUP BY LOWER(reason)",
            "no declared list",
        ),
        (
            "SELECT reason, COUNT(*) AS n FROM clinic GROUP BY reason HAVING reason = 'zz'",
            "nobody declared the values of reason",
        ),
        (
            "SELECT reason, COUNT(*) AS n FROM clinic GROUP BY reason HAVING reason IN ('a', 'b')",
            "nobody declared the values of reason",
        ),
        (
            "SELECT reason, APPROX_PERCENTILE_CONT(cost, 0.5) AS m FROM clinic GROUP BY reason",
            "need groups that are declared",
        ),
        (
            "SELECT reason, COUNT(DISTINCT sex) AS m FROM clinic GROUP BY reason",
            "need groups that are declared",
        ),
    ] {
        let refusal = plan(sql).unwrap_err().to_string();
        assert!(refusal.contains(says), "{sql}: {refusal}");
    }
}

#[test]
fn a_dataset_with_too_many_possible_keys_is_refused_by_its_declared_size() {
    let text = CLINIC.replace("subjects = [500, 1000]", "subjects = [500, 900000]");
    let description = Description::from_toml(&text).unwrap();
    let refusal = plan_with(QUERY, &description).unwrap_err().to_string();
    assert!(
        refusal.contains("too large for keys that are not declared"),
        "{refusal}"
    );
}

#[test]
fn texts_are_trimmed_cut_and_cleaned_and_empty_ones_are_no_key() {
    let line = |id: &str, reason: &str| format!("{id},{reason},,F,7\n");
    let lines = [
        line("a", "  fever "),
        line("b", "fever"),
        line("c", "headaches since May"),
        line("d", "headachesomething"),
        line("e", "   "),
        line("f", ""),
        line("g", "a\u{7}b"),
    ];
    let plan = plan(QUERY).unwrap();
    let tally = tally(&plan, &lines);
    assert_eq!(under(&plan, &tally, "fever"), [2.0, 2.0, 14.0]);
    assert_eq!(under(&plan, &tally, "headache"), [2.0, 2.0, 14.0]);
    assert_eq!(under(&plan, &tally, "a b"), [1.0, 1.0, 7.0]);
    assert_eq!(under(&plan, &tally, ""), [0.0; 3]);
}

#[test]
fn the_key_after_the_last_that_a_person_supports_is_ignored() {
    let keys = ["k1", "k2", "k3", "k4"];
    let lines: Vec<String> = keys.iter().map(|k| format!("a,{k},,F,9\n")).collect();
    let plan = plan(QUERY).unwrap();
    let tally = tally(&plan, &lines);
    let supported = keys.iter().filter(|k| under(&plan, &tally, k)[0] > 0.0);
    let supported: Vec<_> = supported.collect();
    assert_eq!(supported.len(), 2, "{supported:?}");
    for key in keys {
        let expected = if supported.contains(&&key) {
            [1.0, 1.0, 9.0]
        } else {
            [0.0; 3]
        };
        assert_eq!(under(&plan, &tally, key), expected, "{key}");
    }
    // By the stored order, not by that of the file.
    let reversed: Vec<String> = lines.iter().rev().cloned().collect();
    let again = self::tally(&plan, &reversed);
    for key in keys {
        assert_eq!(under(&plan, &again, key), under(&plan, &tally, key));
    }
}

#[test]
fn mock_rows_have_keys_that_pass_and_go_the_same_way() {
    let query = parse_with(QUERY, &clinic()).unwrap();
    let plan = query.plan(
        &clinic(),
        &price(2.0),
        None,
        delta(),
        &PlanOptions::default(),
    );
    let plan = plan.unwrap();
    let rows = mock::rows_for(&plan, &clinic(), 3);
    let answer = mock::run(&plan, &rows, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let found = answer.noisy.found();
    assert!((1..=5).contains(&found.len()), "{found:?}");
    assert_eq!(answer.exact.found(), found);
    assert_eq!(answer.noisy.arranged().len(), found.len());
    for cell in answer.noisy.arranged() {
        let (exact, noisy) = (
            answer.exact.estimate(0, cell),
            answer.noisy.estimate(0, cell),
        );
        let (exact, noisy) = (exact.unwrap(), noisy.unwrap());
        assert!((exact.value - noisy.value).abs() < 4.0 * noisy.margin);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// An oracle that shares nothing: maps of sets, for people with no more keys than count.
    #[test]
    fn sums_by_key_are_those_of_an_independent_computation(
        people in prop::collection::vec(
            (0usize..5, 0usize..5, prop::collection::vec((any::<bool>(), 0u32..101, any::<bool>()), 0..6)),
            1..40,
        ),
    ) {
        const KEYS: [&str; 5] = ["flu", "fall", "burn", "cough", ""];
        let mut lines = Vec::new();
        let mut expected: BTreeMap<&str, (BTreeSet<usize>, f64, f64)> = BTreeMap::new();
        for (id, (one, other, rows)) in people.iter().enumerate() {
            for (first, cost, woman) in rows {
                let key = KEYS[if *first { *one } else { *other }];
                let sex = if *woman { "F" } else { "M" };
                lines.push(format!("p{id},{key},x,{sex},{cost}\n"));
                if *woman && !key.is_empty() {
                    let entry = expected.entry(key).or_default();
                    entry.0.insert(id);
                    entry.1 += 1.0;
                    entry.2 += f64::from(*cost);
                }
            }
        }
        let plan = plan(&QUERY.replace("GROUP BY", "WHERE sex = 'F' GROUP BY")).unwrap();
        let tally = tally(&plan, &lines);
        for key in &KEYS[..4] {
            let (ids, rows, cost) = expected.remove(key).unwrap_or_default();
            prop_assert_eq!(under(&plan, &tally, key), [ids.len() as f64, rows, cost]);
        }
    }
}

proptest! {
    #[test]
    fn a_key_is_the_beginning_of_the_text_without_blanks_around_it(
        text in "[ \\t\\n\u{1}\u{85}\u{3000}aß𝄞]{0,24}",
        characters in 1u32..10,
    ) {
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let cut: String = plain.trim().chars().take(characters as usize).collect();
        let cut = Some(cut.trim_end().to_owned()).filter(|key| !key.is_empty());
        prop_assert_eq!(crate::fold::key_of(&text, characters), cut);
    }
}
