//! Vectors, grids, clips and sigmas.

use std::collections::BTreeMap;

use obscura_model::accuracy::{Accuracy, AccuracyRequest, Z95};
use obscura_model::answer::OutputKind;
use obscura_model::exposure::Rho;

use super::{delta, parse_with, patients, plan, plan_with, price, visits};
use crate::{PlanOptions, PrivatePlan};

fn with(sql: &str, accuracy: &AccuracyRequest) -> Result<PrivatePlan, crate::Refusal> {
    let description = visits();
    parse_with(sql, &description)?.plan(
        &description,
        accuracy,
        None,
        delta(),
        &PlanOptions::default(),
    )
}

fn each(list: &[(&str, Accuracy)]) -> AccuracyRequest {
    let outputs: BTreeMap<String, Accuracy> = list
        .iter()
        .map(|(name, a)| ((*name).to_owned(), *a))
        .collect();
    AccuracyRequest::new(None, outputs).unwrap()
}

fn clips(sql: &str) -> Vec<(String, u128)> {
    let plan = plan_with(sql, &visits()).unwrap();
    plan.shape()
        .vectors
        .iter()
        .map(|v| (v.what.clone(), v.clip_squared))
        .collect()
}

#[test]
fn a_subject_is_bounded_by_all_of_its_rows() {
    let square = |n: u128| n * n;
    assert_eq!(
        clips("SELECT COUNT(*), COUNT(DISTINCT subject_id), SUM(age) FROM visits GROUP BY sex"),
        [
            ("COUNT(*)".to_owned(), square(10 * 1024)),
            // Three cells, and ten rows to be in them.
            ("COUNT(DISTINCT subject_id)".to_owned(), 3 * square(1024)),
            // 120 is from 2^6 to 2^7: the step is 2^-14.
            ("SUM(age)".to_owned(), square(10 * (120 << 14))),
        ]
    );
    let constant = clips("SELECT COUNT(DISTINCT subject_id) FROM visits GROUP BY region");
    assert_eq!(
        constant[0].1,
        square(1024),
        "a constant key bounds a subject to one cell"
    );
    let many = clips("SELECT COUNT(DISTINCT subject_id) FROM visits GROUP BY age");
    assert_eq!(many[0].1, 10 * square(1024));
    let one = clips("SELECT COUNT(DISTINCT subject_id) FROM visits");
    assert_eq!(one[0].1, square(1024));
}

#[test]
fn masks_that_are_provably_equal_share_a_count() {
    let vectors = |sql: &str| plan(sql).unwrap().shape().vectors.len();
    assert_eq!(
        vectors("SELECT COUNT(*), COUNT(age), AVG(age), AVG(age * 2) AS b FROM patients"),
        3
    );
    assert_eq!(
        vectors("SELECT COUNT(bmi), AVG(bmi), AVG(bmi - 1) AS b FROM patients"),
        3
    );
    assert_eq!(vectors("SELECT COUNT(*), AVG(bmi) FROM patients"), 3);
    assert_eq!(
        vectors("SELECT COUNT(*), AVG(bmi) FROM patients WHERE bmi > 20"),
        2
    );
    assert_eq!(
        vectors("SELECT COUNT(*), AVG(bmi) FROM patients WHERE bmi > 20 OR age > 3"),
        3
    );
    assert_eq!(
        vectors("SELECT COUNT(*), COUNT(sex) FROM patients"),
        2,
        "off the list is missing"
    );
    assert_eq!(
        vectors("SELECT COUNT(*), COUNT(ward) FROM patients"),
        1,
        "off the list is other"
    );
    let both = "SELECT SUM(bmi - 35) AS a, AVG(bmi) AS b FROM patients";
    assert_eq!(vectors(both), 2, "an average's sum is the centred sum");
}

#[test]
fn an_average_is_centred_on_the_middle_of_its_bounds() {
    let plan = plan("SELECT AVG(bmi) FROM patients").unwrap();
    let OutputKind::Average {
        sum,
        count,
        middle,
        lowest,
        highest,
    } = plan.shape().outputs[0].kind
    else {
        panic!("not an average")
    };
    assert_eq!(
        (sum, count, middle, lowest, highest),
        (0, 1, 35.0, 10.0, 60.0)
    );
    assert_eq!(plan.shape().vectors[0].what, "SUM(bmi - 35)");
    assert_eq!(
        plan.shape().vectors[1].what,
        "COUNT(*) WHERE bmi IS NOT NULL"
    );
    assert_eq!(plan.shape().outputs[0].unit, "kg/m2");
}

#[test]
fn a_price_is_shared_equally_and_never_passed() {
    let plan = plan("SELECT COUNT(*), SUM(income), AVG(bmi) FROM patients").unwrap();
    let tenth = Rho::asked(0.1).unwrap();
    assert!(plan.price() <= tenth && plan.price().nano() > 99_000_000);
    let parts: Vec<u64> = plan
        .shape()
        .vectors
        .iter()
        .map(|v| v.price().unwrap().nano())
        .collect();
    assert!(
        parts.iter().all(|p| *p <= 25_000_000 && *p > 24_900_000),
        "{parts:?}"
    );
    assert_eq!(plan.shape().price().unwrap(), plan.price());
}

#[test]
fn asked_sigmas_round_down_and_the_smallest_wins() {
    let asked = each(&[("a", Accuracy::Sigma(3.0)), ("b", Accuracy::Sigma(2.00001))]);
    let plan = with("SELECT COUNT(*) AS a, COUNT(age) AS b FROM visits", &asked).unwrap();
    assert_eq!(plan.shape().vectors.len(), 1);
    assert_eq!(plan.shape().vectors[0].sigma, 2048);
    let within = each(&[(
        "a",
        Accuracy::Within {
            margin: 50.0,
            rows: None,
        },
    )]);
    let plan = with("SELECT COUNT(*) AS a FROM visits", &within).unwrap();
    let sigma = plan.shape().vectors[0].sigma_in_units();
    assert!(sigma <= 50.0 / Z95 && sigma > 50.0 / Z95 - 0.001);
}

#[test]
fn an_average_within_a_margin_keeps_it_at_the_worst_value() {
    let asked = each(&[(
        "a",
        Accuracy::Within {
            margin: 0.5,
            rows: Some(1000),
        },
    )]);
    let plan = with("SELECT AVG(bmi) AS a FROM visits", &asked).unwrap();
    let [sum, count] = plan.shape().vectors.as_slice() else {
        panic!("two vectors")
    };
    let half_width = 25.0;
    let worst =
        (sum.sigma_in_units().powi(2) + (half_width * count.sigma_in_units()).powi(2)).sqrt();
    let margin = Z95 * worst / 1000.0;
    assert!(margin <= 0.5 && margin > 0.499, "{margin}");
    let (a, b) = (
        sum.price().unwrap().nano() as f64,
        count.price().unwrap().nano() as f64,
    );
    assert!((a / b - 1.0).abs() < 0.01, "equal shares: {a} {b}");
    let without = each(&[(
        "a",
        Accuracy::Within {
            margin: 0.5,
            rows: None,
        },
    )]);
    let refusal = with("SELECT AVG(bmi) AS a FROM visits", &without).unwrap_err();
    assert!(refusal.to_string().contains("say rows"));
}

#[test]
fn contradicting_accuracies_are_refused() {
    let unknown = each(&[("x", Accuracy::Sigma(3.0))]);
    assert!(with("SELECT COUNT(*) AS a FROM visits", &unknown).is_err());
    let partly = each(&[("a", Accuracy::Sigma(3.0))]);
    assert!(with("SELECT COUNT(*) AS a, SUM(age) AS b FROM visits", &partly).is_err());
    let fine = each(&[("a", Accuracy::Sigma(1e-9))]);
    assert!(with("SELECT COUNT(*) AS a FROM visits", &fine).is_err());
    let same = each(&[("a", Accuracy::Sigma(3.0))]);
    assert!(with("SELECT AVG(3) AS a FROM visits", &same).is_err());
}

#[test]
fn nothing_is_cheaper_than_the_minimum() {
    let description = patients();
    let query = parse_with("SELECT COUNT(*), SUM(age) FROM patients", &description).unwrap();
    let minimum = Rho::from_nano(1_000_000);
    for request in [
        price(1e-9),
        AccuracyRequest::whole(Accuracy::Sigma(1e6)).unwrap(),
        AccuracyRequest::whole(Accuracy::Epsilon(1e-3)).unwrap(),
    ] {
        let plan = query
            .plan(
                &description,
                &request,
                Some(minimum),
                delta(),
                &PlanOptions::default(),
            )
            .unwrap();
        let nano = plan.price().nano();
        assert!((990_000..=1_000_000).contains(&nano), "{nano}");
    }
}

#[test]
fn sums_that_could_overflow_are_refused() {
    let text = super::PATIENTS
        .replace(
            "most_rows_per_subject = 1",
            "most_rows_per_subject = 1000000",
        )
        .replace("[1000, 4000]", "[1000, 100000000]")
        .replace("1e-6", "1e-10");
    let description = obscura_model::schema::Description::from_toml(&text).unwrap();
    let refusal = plan_with("SELECT SUM(income) FROM patients", &description).unwrap_err();
    assert!(refusal.to_string().contains("too large"), "{refusal}");
}

#[test]
fn wide_and_empty_bounds_give_a_grid() {
    for (low, high, fits) in [
        ("0", "0", true),
        ("-1e270", "1e270", true),
        ("0", "1e300", false),
        ("0", "1e-310", true),
    ] {
        let text = super::PATIENTS.replace(
            "lowest = 10\nhighest = 60",
            &format!("lowest = {low}\nhighest = {high}"),
        );
        let description = obscura_model::schema::Description::from_toml(&text).unwrap();
        let planned = plan_with("SELECT SUM(bmi), AVG(bmi) FROM patients", &description);
        assert_eq!(planned.is_ok(), fits, "{low} {high}: {planned:?}");
    }
}

#[test]
fn the_digest_changes_with_anything_that_is_run() {
    let digest = |sql: &str, rho: f64| {
        let description = patients();
        parse_with(sql, &description)
            .unwrap()
            .plan(
                &description,
                &price(rho),
                None,
                delta(),
                &PlanOptions::default(),
            )
            .unwrap()
            .digest()
    };
    let base = digest("SELECT COUNT(*) FROM patients", 0.1);
    assert_eq!(base, digest("select  count(*) as count from patients", 0.1));
    assert_ne!(base, digest("SELECT COUNT(*) FROM patients", 0.2));
    assert_ne!(
        base,
        digest("SELECT COUNT(*) FROM patients WHERE age > 1", 0.1)
    );
}

#[test]
fn slots_are_multiples_of_the_step_and_follow_from_public_numbers() {
    let plan = plan("SELECT COUNT(*) FROM patients").unwrap();
    assert_eq!(plan.slot(20).unwrap() % 20, 0);
}

#[test]
fn values_that_are_too_large_for_the_accuracy_asked_are_to_be_clipped() {
    let asked = |sql: &str, sigma: f64| {
        let accuracy = AccuracyRequest::whole(Accuracy::Sigma(sigma)).unwrap();
        with(sql, &accuracy)
    };
    let refusal = asked("SELECT SUM(EXP(bmi)) AS s FROM visits", 10.0).unwrap_err();
    let text = refusal.to_string();
    assert!(text.contains("LEAST"), "{text}");
    assert!(asked("SELECT SUM(EXP(LEAST(bmi, 12))) AS s FROM visits", 1e6).is_ok());
    let refusal = asked("SELECT COUNT(*) AS n FROM visits", 1e-9).unwrap_err();
    assert!(!refusal.to_string().contains("LEAST"), "{refusal}");
}

#[test]
fn coverage_is_asked_for_in_people_and_has_the_accuracy_of_the_count_beside_it() {
    let description = visits();
    let sigmas = |sql: &str, accuracy: &AccuracyRequest| {
        let options = PlanOptions {
            coverage: true,
            count_clipped: true,
            minimum_cell: None,
        };
        let query = parse_with(sql, &description).unwrap();
        let plan = query.plan(&description, accuracy, None, delta(), &options);
        let shape = plan.unwrap().shape().clone();
        let [.., coverage, cut] = &shape.outputs[..] else {
            panic!()
        };
        assert_eq!(coverage.unit, cut.unit);
        let [.., coverage, cut] = &shape.vectors[..] else {
            panic!()
        };
        assert!(!coverage.grouped && !cut.grouped);
        let first = shape.vectors[0].sigma_in_units();
        [first, coverage.sigma_in_units(), cut.sigma_in_units()]
    };
    let within = |margin, rows| Accuracy::Within { margin, rows };
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.01;
    let whole = |accuracy| AccuracyRequest::whole(accuracy).unwrap();
    // 60 people, whatever the declared number; also beside groups.
    for sql in [
        "SELECT COUNT(*) AS n FROM visits",
        "SELECT COUNT(*) AS n FROM visits GROUP BY sex",
    ] {
        let found = sigmas(sql, &whole(within(60.0, None)));
        assert!(found.iter().all(|s| near(*s, 60.0 / Z95)), "{found:?}");
    }
    // A third of a year is no number of people: the average's own count says how accurate.
    let sql = "SELECT AVG(age) AS a FROM visits";
    let [_, coverage, cut] = sigmas(sql, &whole(within(0.3, Some(800))));
    assert!(coverage > 1.0 && near(coverage, cut), "{coverage}");
    // A sum has no count beside it: what is asked is taken in people.
    let sql = "SELECT SUM(LEAST(income, 1500)) AS s FROM visits";
    let [_, coverage, _] = sigmas(sql, &whole(within(60.0, None)));
    assert!(near(coverage, 60.0 / Z95), "{coverage}");
    // Or it is said by name.
    let named = BTreeMap::from([("coverage".to_owned(), within(20.0, None))]);
    let both = AccuracyRequest::new(Some(within(60.0, None)), named).unwrap();
    let [first, coverage, _] = sigmas("SELECT COUNT(*) AS n FROM visits", &both);
    assert!(near(coverage, 20.0 / Z95) && near(first, 60.0 / Z95));
}
