//! Invented people with diagnoses, prescriptions and hospital stays, and the files that an owner
//! would hand over. Calendar and numbers are made here, with nothing of the product.

use std::fmt::Write as _;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

/// A day, counted from 1970-01-01.
pub(super) type Day = i32;

/// One person with everything that is known about them.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) born: Day,
    pub(super) sex: &'static str,
    pub(super) region: &'static str,
    /// Under observation from `entry` to `leaving`, both included.
    pub(super) entry: Day,
    pub(super) leaving: Day,
    pub(super) diagnoses: Vec<Diagnosis>,
    pub(super) prescriptions: Vec<Prescription>,
    pub(super) stays: Vec<Stay>,
}

/// A coded diagnosis.
#[derive(Debug, Clone)]
pub(super) struct Diagnosis {
    pub(super) code: &'static str,
    pub(super) day: Day,
}

/// A dispensed drug; `dose` is the amount dispensed, in defined daily doses.
#[derive(Debug, Clone)]
pub(super) struct Prescription {
    pub(super) drug: &'static str,
    pub(super) day: Day,
    pub(super) dose: f64,
}

/// A hospital stay.
#[derive(Debug, Clone)]
pub(super) struct Stay {
    pub(super) admitted: Day,
    pub(super) discharged: Day,
    pub(super) ward: &'static str,
    pub(super) cost: f64,
}

pub(super) const SEXES: [&str; 2] = ["female", "male"];
pub(super) const REGIONS: [&str; 3] = ["north", "south", "west"];
const WARDS: [&str; 3] = ["medicine", "surgery", "heart"];
/// The description's maxima; the generator never exceeds them.
const MOST: (usize, usize, usize) = (12, 24, 8);

/// The day of a date of the Gregorian calendar.
pub(super) fn day(year: i32, month: u32, of_month: u32) -> Day {
    // Leap years before a year, and 477 of them before 1970.
    let leaps = |y: i32| (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;
    let mut days = 365 * (year - 1970) + leaps(year) - 477;
    for m in 1..month {
        days += length(year, m) as i32;
    }
    days + of_month as i32 - 1
}

pub(super) fn leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i32, month: u32) -> u32 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of the month.
pub(super) fn date(of: Day) -> (i32, u32, u32) {
    // Early enough: no year is shorter than 365 days.
    let mut year = 1970 + of.div_euclid(365) - 1;
    while day(year + 1, 1, 1) <= of {
        year += 1;
    }
    let (mut month, mut rest) = (1, (of - day(year, 1, 1)) as u32);
    while rest >= length(year, month) {
        rest -= length(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

fn iso(of: Day) -> String {
    let (year, month, of_month) = date(of);
    format!("{year:04}-{month:02}-{of_month:02}")
}

/// So many people; the same seed gives the same people.
pub(super) fn people(count: usize, seed: u64) -> Vec<Person> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut people: Vec<Person> = (0..count).map(|n| person(n, &mut rng)).collect();
    people.chunks_mut(50).for_each(edges);
    people
}

/// Some of fifty people have something on the very day that decides.
fn edges(people: &mut [Person]) {
    for (number, p) in people.iter_mut().enumerate() {
        match number {
            0 if p.diagnoses.len() < MOST.0 => p.diagnoses.push(Diagnosis {
                code: "I21.9",
                day: p.entry,
            }),
            1 if p.entry <= day(2017, 6, 1) && p.leaving >= day(2018, 6, 1) => {
                let statin = |day| Prescription {
                    drug: "statin",
                    day,
                    dose: 90.0,
                };
                p.prescriptions = vec![statin(day(2017, 6, 1)), statin(day(2018, 6, 1))];
            }
            2..12 if p.stays.len() < MOST.2 => {
                let metformin = p.prescriptions.iter().filter(|d| d.drug == "metformin");
                let start = metformin.map(|d| d.day).min();
                let start = start.filter(|s| p.entry <= *s && s + 2 <= p.leaving);
                p.stays.extend(start.map(|start| Stay {
                    admitted: start,
                    discharged: start + 2,
                    ward: WARDS[0],
                    cost: 5000.0,
                }));
            }
            _ => {}
        }
    }
}

fn person(number: usize, rng: &mut ChaCha20Rng) -> Person {
    let born = rng.random_range(day(1925, 1, 1)..=day(2004, 12, 31));
    let entry = rng.random_range(day(2015, 1, 1)..=day(2019, 12, 31));
    let end = day(2024, 12, 31);
    let leaving = match rng.random_range(0..10) {
        0..6 => end,
        _ => rng.random_range(entry..=end),
    };
    let mut person = Person {
        id: format!("P{number:06}"),
        born,
        sex: SEXES[rng.random_range(0..2)],
        region: REGIONS[[0, 0, 0, 1, 1, 2][rng.random_range(0..6)]],
        entry,
        leaving,
        diagnoses: Vec::new(),
        prescriptions: Vec::new(),
        stays: Vec::new(),
    };
    let age = f64::from(day(2018, 1, 1) - born) / 365.25;
    drugs(&mut person, age, rng);
    illness(&mut person, age, rng);
    stays(&mut person, age, rng);
    // Files come in no order.
    for i in (1..person.diagnoses.len()).rev() {
        person.diagnoses.swap(i, rng.random_range(0..=i));
    }
    person.diagnoses.truncate(MOST.0);
    person.prescriptions.truncate(MOST.1);
    person.stays.truncate(MOST.2);
    person
}

fn drugs(person: &mut Person, age: f64, rng: &mut ChaCha20Rng) {
    for (drug, share, usual) in [
        ("statin", age / 160.0, 90.0),
        ("metformin", age / 400.0, 60.0),
    ] {
        if !rng.random_bool(share.clamp(0.0, 1.0)) {
            continue;
        }
        // Some began long before they came under observation, some later.
        let mut next = person.entry + rng.random_range(-900..900);
        let strength = [0.5, 1.0, 2.0][rng.random_range(0..3)];
        for _ in 0..rng.random_range(1..=10) {
            if next > person.leaving {
                break;
            }
            let dose = (usual * strength * rng.random_range(0.8..1.2f64)).round();
            person.prescriptions.push(Prescription {
                drug,
                day: next,
                dose,
            });
            // Mostly every three months, sometimes after a long pause.
            next += match rng.random_range(0..8) {
                0 => rng.random_range(300..800),
                _ => rng.random_range(70..110),
            };
        }
    }
}

fn illness(person: &mut Person, age: f64, rng: &mut ChaCha20Rng) {
    let mut at = |rng: &mut ChaCha20Rng, code, day| {
        person.diagnoses.push(Diagnosis { code, day });
        day + rng.random_range(1..400)
    };
    let (from, to) = (day(2010, 1, 1), person.leaving);
    for (code, share) in [
        ("E10.9", 0.01),
        ("E11.9", age / 500.0),
        ("E11.6", age / 900.0),
        ("I10", age / 180.0),
        ("J44.9", age / 700.0),
        ("N18.3", age / 800.0),
        ("Z00.0", 0.3),
    ] {
        if rng.random_bool(f64::clamp(share, 0.0, 1.0)) {
            let first = rng.random_range(from..=to);
            let second = at(rng, code, first);
            if second <= to && rng.random_bool(0.5) {
                at(rng, code, second);
            }
        }
    }
    let treated = person.prescriptions.iter().any(|p| p.drug == "statin");
    let risk = age / if treated { 900.0 } else { 500.0 };
    if rng.random_bool(f64::clamp(risk, 0.0, 1.0)) {
        let first = rng.random_range(from..=to);
        let code = ["I21.0", "I21.9"][rng.random_range(0..2)];
        person.diagnoses.push(Diagnosis { code, day: first });
        // Heart failure follows a third of infarctions, at times on the same day or at day 90.
        if rng.random_bool(0.4) {
            let after = [0, 1, 90, 91, rng.random_range(2..300)][rng.random_range(0..5)];
            if first + after <= to {
                person.diagnoses.push(Diagnosis {
                    code: "I50.9",
                    day: first + after,
                });
            }
        }
    }
}

fn stays(person: &mut Person, age: f64, rng: &mut ChaCha20Rng) {
    let mut next = person.entry + rng.random_range(0..1200);
    while rng.random_bool((0.25 + age / 250.0).clamp(0.0, 0.9)) {
        let discharged = next + rng.random_range(0..15);
        if discharged > person.leaving {
            break;
        }
        let cents = rng.random_range(40_000..1_500_000 + 40_000 * age as i64) as f64;
        person.stays.push(Stay {
            admitted: next,
            discharged,
            ward: WARDS[rng.random_range(0..3)],
            cost: cents / 100.0,
        });
        next = discharged
            + match rng.random_range(0..5) {
                0 => [1, 30, 31, rng.random_range(2..30)][rng.random_range(0..4)],
                _ => rng.random_range(1..700),
            };
    }
}

/// The files, by name.
pub(super) fn files(people: &[Person]) -> Vec<(&'static str, String)> {
    let mut all = [
        "person,born,sex,region,entry,leaving\n".to_owned(),
        "person,code,day\n".to_owned(),
        "person,drug,day,dose\n".to_owned(),
        "person,admitted,discharged,ward,cost\n".to_owned(),
    ];
    let [persons, diagnoses, prescriptions, stays] = &mut all;
    for p in people {
        let (born, entry, leaving) = (iso(p.born), iso(p.entry), iso(p.leaving));
        writeln!(
            persons,
            "{},{born},{},{},{entry},{leaving}",
            p.id, p.sex, p.region
        )
        .unwrap();
        for d in &p.diagnoses {
            writeln!(diagnoses, "{},{},{}", p.id, d.code, iso(d.day)).unwrap();
        }
        for d in &p.prescriptions {
            writeln!(
                prescriptions,
                "{},{},{},{}",
                p.id,
                d.drug,
                iso(d.day),
                d.dose
            )
            .unwrap();
        }
        for s in &p.stays {
            let (admitted, discharged) = (iso(s.admitted), iso(s.discharged));
            writeln!(
                stays,
                "{},{admitted},{discharged},{},{}",
                p.id, s.ward, s.cost
            )
            .unwrap();
        }
    }
    let names = [
        "people.csv",
        "diagnoses.csv",
        "prescriptions.csv",
        "stays.csv",
    ];
    names.into_iter().zip(all).collect()
}
