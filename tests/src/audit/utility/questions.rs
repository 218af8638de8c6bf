//! Ten questions for each of two data sets, with the least that one person adds.

use super::data::{Patient, Row};

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Different people.
    People,
    /// Rows.
    Rows,
    /// A sum.
    Sum,
    /// An average.
    Mean,
}

/// What the best noise follows from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Best {
    /// The least clip norm that public knowledge allows.
    Sum(f64),
    /// Of the sum of values above the middle, and of their number.
    Mean { sum: f64, count: f64, middle: f64 },
}

/// One question.
pub(super) struct Question<T> {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
    pub(super) kind: Kind,
    pub(super) cells: usize,
    /// The cell and the value of a row; nothing if it is not in the question.
    pub(super) of: fn(&T) -> Option<(usize, f64)>,
    pub(super) best: Best,
    /// Why a node may be further from the best than a twentieth.
    pub(super) reason: Option<&'static str>,
}

/// The share of the price that the sum gets follows from public bounds. The best share follows
/// from the mean.
const SHARES: Option<&str> =
    Some("the best way to share rho between sum and count follows from the private mean");

const YEARLY: Option<&str> =
    Some("a description cannot say that a person has one row a year: ask for COUNT(DISTINCT zper)");

fn plan(row: &Row) -> usize {
    match row.cost_share.as_str() {
        "free" => 0,
        "25 %" => 1,
        "50 %" => 2,
        _ => 3,
    }
}

fn year(row: &Row) -> usize {
    usize::try_from(row.year - 1).unwrap_or(usize::MAX)
}

/// Of the RAND Health Insurance Experiment, at most five rows a person.
pub(super) fn rand_hie() -> Vec<Question<Row>> {
    vec![
        Question {
            id: "rand_people",
            name: "people in the first year",
            sql: "SELECT COUNT(DISTINCT zper) AS n FROM rand_hie WHERE year = 1",
            kind: Kind::People,
            cells: 1,
            of: |r| (r.year == 1).then_some((0, 1.0)),
            best: Best::Sum(1.0),
            reason: None,
        },
        Question {
            id: "rand_plans",
            name: "people by plan",
            sql: "SELECT cost_share, COUNT(DISTINCT zper) AS n FROM rand_hie GROUP BY cost_share",
            kind: Kind::People,
            cells: 4,
            of: |r| Some((plan(r), 1.0)),
            best: Best::Sum(1.0),
            reason: None,
        },
        Question {
            id: "rand_years",
            name: "person-years by plan",
            sql: "SELECT cost_share, COUNT(*) AS n FROM rand_hie GROUP BY cost_share",
            kind: Kind::Rows,
            cells: 4,
            of: |r| Some((plan(r), 1.0)),
            best: Best::Sum(5.0),
            reason: None,
        },
        Question {
            id: "rand_followed",
            name: "people by year",
            sql: "SELECT year, COUNT(DISTINCT zper) AS n FROM rand_hie GROUP BY year",
            kind: Kind::People,
            cells: 5,
            of: |r| Some((year(r), 1.0)),
            // One in each of five cells.
            best: Best::Sum(2.236_067_977_499_79),
            reason: None,
        },
        Question {
            id: "rand_rows",
            name: "person-years by year",
            sql: "SELECT year, COUNT(*) AS n FROM rand_hie GROUP BY year",
            kind: Kind::Rows,
            cells: 5,
            of: |r| Some((year(r), 1.0)),
            best: Best::Sum(2.236_067_977_499_79),
            reason: YEARLY,
        },
        Question {
            id: "rand_visits",
            name: "visits by plan, at most 10 a year",
            sql: "SELECT cost_share, SUM(LEAST(mdvis, 10)) AS v FROM rand_hie GROUP BY cost_share",
            kind: Kind::Sum,
            cells: 4,
            of: |r| Some((plan(r), r.mdvis.min(10.0))),
            best: Best::Sum(50.0),
            reason: None,
        },
        Question {
            id: "rand_bills",
            name: "outpatient bills, at most 500 a year",
            sql: "SELECT SUM(LEAST(outpdol, 500)) AS v FROM rand_hie",
            kind: Kind::Sum,
            cells: 1,
            of: |r| Some((0, r.outpdol.min(500.0))),
            best: Best::Sum(2_500.0),
            reason: None,
        },
        Question {
            id: "rand_children",
            name: "visits of children with free care",
            sql: "SELECT SUM(LEAST(mdvis, 10)) AS v FROM rand_hie \
                  WHERE age < 18 AND cost_share = 'free'",
            kind: Kind::Sum,
            cells: 1,
            of: |r| (r.age < 18 && plan(r) == 0).then_some((0, r.mdvis.min(10.0))),
            best: Best::Sum(50.0),
            reason: None,
        },
        Question {
            id: "rand_average",
            name: "average visits by plan",
            sql: "SELECT cost_share, AVG(LEAST(mdvis, 10)) AS v FROM rand_hie GROUP BY cost_share",
            kind: Kind::Mean,
            cells: 4,
            of: |r| Some((plan(r), r.mdvis.min(10.0))),
            best: Best::Mean {
                sum: 25.0,
                count: 5.0,
                middle: 5.0,
            },
            reason: SHARES,
        },
        Question {
            id: "rand_share",
            name: "share of person-years with a visit, by site",
            sql: "SELECT site, AVG(CASE WHEN mdvis > 0 THEN 1 ELSE 0 END) AS v FROM rand_hie \
                  GROUP BY site",
            kind: Kind::Mean,
            cells: 6,
            of: |r| {
                let site = usize::try_from(r.site - 1).ok()?;
                Some((site, f64::from(u8::from(r.mdvis > 0.0))))
            },
            best: Best::Mean {
                sum: 2.5,
                count: 5.0,
                middle: 0.5,
            },
            reason: SHARES,
        },
    ]
}

/// A field as it is clamped to its bounds.
fn clamped(patient: &Patient, at: usize, low: f64, high: f64) -> Option<f64> {
    patient.get(at).map(|x| x.clamp(low, high))
}

fn place(patient: &Patient, at: usize, lowest: f64) -> Option<usize> {
    patient.get(at).map(|x| (x - lowest) as usize)
}

/// Of the heart disease data, one row a patient.
pub(super) fn heart() -> Vec<Question<Patient>> {
    vec![
        Question {
            id: "heart_diseased",
            name: "patients with a diagnosis",
            sql: "SELECT COUNT(*) AS n FROM heart WHERE num > 0",
            kind: Kind::Rows,
            cells: 1,
            of: |p| (p.get(13)? > 0.0).then_some((0, 1.0)),
            best: Best::Sum(1.0),
            reason: None,
        },
        Question {
            id: "heart_pain",
            name: "patients by kind of pain",
            sql: "SELECT cp, COUNT(*) AS n FROM heart GROUP BY cp",
            kind: Kind::Rows,
            cells: 4,
            of: |p| Some((place(p, 2, 1.0)?, 1.0)),
            best: Best::Sum(1.0),
            reason: None,
        },
        Question {
            id: "heart_sites",
            name: "patients by hospital and sex",
            sql: "SELECT site, sex, COUNT(*) AS n FROM heart GROUP BY site, sex",
            kind: Kind::Rows,
            cells: 8,
            of: |p| Some((2 * (p.site - 1) + place(p, 1, 0.0)?, 1.0)),
            best: Best::Sum(1.0),
            reason: None,
        },
        Question {
            id: "heart_years",
            name: "years of life, all patients",
            sql: "SELECT SUM(age) AS v FROM heart",
            kind: Kind::Sum,
            cells: 1,
            of: |p| Some((0, clamped(p, 0, 0.0, 120.0)?)),
            best: Best::Sum(120.0),
            reason: None,
        },
        Question {
            id: "heart_chol",
            name: "cholesterol, at most 400",
            sql: "SELECT SUM(LEAST(chol, 400)) AS v FROM heart",
            kind: Kind::Sum,
            cells: 1,
            of: |p| Some((0, clamped(p, 4, 80.0, 400.0)?)),
            best: Best::Sum(400.0),
            reason: None,
        },
        Question {
            id: "heart_rate",
            name: "heart rates of those with angina",
            sql: "SELECT SUM(thalach) AS v FROM heart WHERE exang = 1",
            kind: Kind::Sum,
            cells: 1,
            of: |p| {
                let rate = clamped(p, 7, 40.0, 220.0)?;
                (p.get(8)? > 0.5).then_some((0, rate))
            },
            best: Best::Sum(220.0),
            reason: None,
        },
        Question {
            id: "heart_st",
            name: "ST depression from 0 to 5, by diagnosis",
            sql: "SELECT num, SUM(LEAST(GREATEST(oldpeak, 0), 5)) AS v FROM heart GROUP BY num",
            kind: Kind::Sum,
            cells: 5,
            of: |p| Some((place(p, 13, 0.0)?, clamped(p, 9, 0.0, 5.0)?)),
            best: Best::Sum(5.0),
            reason: None,
        },
        Question {
            id: "heart_age",
            name: "average age by sex",
            sql: "SELECT sex, AVG(age) AS v FROM heart GROUP BY sex",
            kind: Kind::Mean,
            cells: 2,
            of: |p| Some((place(p, 1, 0.0)?, clamped(p, 0, 0.0, 120.0)?)),
            best: Best::Mean {
                sum: 60.0,
                count: 1.0,
                middle: 60.0,
            },
            reason: SHARES,
        },
        Question {
            id: "heart_pressure",
            name: "average blood pressure",
            sql: "SELECT AVG(trestbps) AS v FROM heart",
            kind: Kind::Mean,
            cells: 1,
            of: |p| Some((0, clamped(p, 3, 60.0, 250.0)?)),
            best: Best::Mean {
                sum: 95.0,
                count: 1.0,
                middle: 155.0,
            },
            reason: SHARES,
        },
        Question {
            id: "heart_share",
            name: "share with a diagnosis, by sex",
            sql: "SELECT sex, AVG(CASE WHEN num > 0 THEN 1 ELSE 0 END) AS v FROM heart GROUP BY sex",
            kind: Kind::Mean,
            cells: 2,
            of: |p| {
                let diseased = p.get(13)? > 0.0;
                Some((place(p, 1, 0.0)?, f64::from(u8::from(diseased))))
            },
            best: Best::Mean {
                sum: 0.5,
                count: 1.0,
                middle: 0.5,
            },
            reason: SHARES,
        },
    ]
}
