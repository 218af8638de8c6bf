//! The ten answers once more, in plain loops over people: a second opinion that shares no code
//! with the product.

use std::collections::BTreeMap;

use super::people::{Day, Person, REGIONS, SEXES, date, day, leap};

/// The outputs of every group.
pub(super) type Table = BTreeMap<Vec<String>, Vec<f64>>;

/// What a pattern is checked against.
pub(super) struct Expected {
    /// The groups and outputs; a missing average is not a number.
    pub(super) table: Table,
    /// How far each output may be away for the rounding to the public grid, in its units.
    pub(super) near: Vec<f64>,
}

/// The pattern with this number on the page.
pub(super) fn of(number: usize, people: &[Person]) -> Expected {
    match number {
        1 => incidence(people),
        2 => strata(people),
        3 => new_users(people),
        4 => after_infarction(people),
        5 => readmission(people),
        6 => prevalence(people),
        7 => first_age(people),
        8 => pairs(people),
        9 => before_and_after(people),
        10 => dose_groups(people),
        _ => panic!("the page has ten patterns"),
    }
}

fn first(person: &Person, starts: &str) -> Option<Day> {
    let of = person
        .diagnoses
        .iter()
        .filter(|d| d.code.starts_with(starts));
    of.map(|d| d.day).min()
}

/// Completed years of age; somebody born on 29 February has a birthday on the 28th otherwise.
pub(super) fn age(born: Day, on: Day) -> i32 {
    let ((year, month, mut of_month), (now, m, d)) = (date(born), date(on));
    if month == 2 && of_month == 29 && !leap(now) {
        of_month = 28;
    }
    now - year - i32::from((m, d) < (month, of_month))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn key(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|l| (*l).to_owned()).collect()
}

fn incidence(people: &[Person]) -> Expected {
    let mut table = Table::new();
    for sex in SEXES {
        let (mut events, mut days) = (0.0, 0.0);
        for p in people.iter().filter(|p| p.sex == sex) {
            let first = first(p, "I21");
            if first.is_some_and(|f| f <= p.entry) {
                continue;
            }
            match first {
                Some(f) if f <= p.leaving => {
                    events += 1.0;
                    days += f64::from(f - p.entry);
                }
                _ => days += f64::from(p.leaving - p.entry),
            }
        }
        let years = days / 365.25;
        table.insert(key(&[sex]), vec![events, years, 1000.0 * events / years]);
    }
    Expected {
        table,
        near: vec![1e-6, 5.0, 0.01],
    }
}

fn strata(people: &[Person]) -> Expected {
    let mut table = Table::new();
    for region in REGIONS {
        for band in ["under 50", "50 to 64", "65 to 79", "80 and over"] {
            table.insert(key(&[region, band]), vec![0.0, 0.0]);
        }
    }
    let on = day(2018, 1, 1);
    for p in people.iter().filter(|p| p.entry <= on && on <= p.leaving) {
        let band = match age(p.born, on) {
            ..50 => "under 50",
            50..65 => "50 to 64",
            65..80 => "65 to 79",
            _ => "80 and over",
        };
        let row = table.get_mut(&key(&[p.region, band])).unwrap();
        row[0] += 1.0;
        let in_year = |s: &super::people::Stay| date(s.admitted).0 == 2018;
        row[1] += f64::from(u8::from(p.stays.iter().any(in_year)));
    }
    Expected {
        table,
        near: vec![1e-6, 1e-6],
    }
}

fn new_users(people: &[Person]) -> Expected {
    let mut table = Table::new();
    for year in 2018..=2022 {
        table.insert(key(&[&year.to_string()]), vec![0.0]);
    }
    for p in people {
        let days = || {
            p.prescriptions
                .iter()
                .filter(|d| d.drug == "statin")
                .map(|d| d.day)
        };
        let in_time = |d: &Day| (2018..=2022).contains(&date(*d).0);
        let Some(start) = days().filter(in_time).min() else {
            continue;
        };
        let washed = !days().any(|d| d < start && start - d <= 365);
        if washed && p.entry + 365 <= start {
            table.get_mut(&key(&[&date(start).0.to_string()])).unwrap()[0] += 1.0;
        }
    }
    Expected {
        table,
        near: vec![1e-6],
    }
}

fn after_infarction(people: &[Person]) -> Expected {
    let mut table = Table::new();
    for sex in SEXES {
        let (mut all, mut failed) = (0.0, 0.0);
        for p in people.iter().filter(|p| p.sex == sex) {
            let Some(f) = first(p, "I21").filter(|f| f + 90 <= p.leaving) else {
                continue;
            };
            all += 1.0;
            let within =
                |d: &super::people::Diagnosis| d.code == "I50.9" && (1..=90).contains(&(d.day - f));
            failed += f64::from(u8::from(p.diagnoses.iter().any(within)));
        }
        table.insert(key(&[sex]), vec![all, failed, 100.0 * failed / all]);
    }
    Expected {
        table,
        near: vec![1e-6; 3],
    }
}

fn readmission(people: &[Person]) -> Expected {
    let (mut home, mut back) = (0.0, 0.0);
    for p in people {
        let mut discharges: Vec<Day> = p.stays.iter().map(|s| s.discharged).collect();
        discharges.retain(|d| (2018..=2022).contains(&date(*d).0));
        discharges.sort_unstable();
        let Some(first) = discharges.first().filter(|d| **d + 30 <= p.leaving) else {
            continue;
        };
        home += 1.0;
        let again = p
            .stays
            .iter()
            .any(|s| (1..=30).contains(&(s.admitted - first)));
        back += f64::from(u8::from(again));
    }
    let table = Table::from([(Vec::new(), vec![home, back, 100.0 * back / home])]);
    Expected {
        table,
        near: vec![1e-6; 3],
    }
}

fn prevalence(people: &[Person]) -> Expected {
    let on = day(2019, 12, 31);
    let mut counts = BTreeMap::from([(0, (0.0, 0.0)), (20, (0.0, 0.0)), (40, (0.0, 0.0))]);
    counts.extend([(60, (0.0, 0.0)), (80, (0.0, 0.0))]);
    for p in people.iter().filter(|p| p.entry <= on && on <= p.leaving) {
        let row = counts.get_mut(&(age(p.born, on) / 20 * 20)).unwrap();
        row.0 += 1.0;
        let diabetes = |d: &super::people::Diagnosis| {
            matches!(d.code, "E10.9" | "E11.6" | "E11.9") && d.day <= on
        };
        row.1 += f64::from(u8::from(p.diagnoses.iter().any(diabetes)));
    }
    let row = |(band, (all, ill)): (i32, (f64, f64))| {
        (vec![band.to_string()], vec![all, ill, 100.0 * ill / all])
    };
    Expected {
        table: counts.into_iter().map(row).collect(),
        near: vec![1e-6; 3],
    }
}

fn first_age(people: &[Person]) -> Expected {
    let mut table = Table::new();
    for sex in SEXES {
        let mut ages: Vec<f64> = Vec::new();
        for p in people.iter().filter(|p| p.sex == sex) {
            let f = first(p, "I21").filter(|f| p.entry < *f && *f <= p.leaving);
            ages.extend(f.map(|f| f64::from(age(p.born, f).clamp(30, 95))));
        }
        ages.sort_by(f64::total_cmp);
        let median = ages[ages.len() / 2];
        table.insert(key(&[sex]), vec![mean(&ages), median]);
    }
    Expected {
        table,
        near: vec![0.01, 1.0],
    }
}

fn pairs(people: &[Person]) -> Expected {
    let mut table = Table::new();
    for bits in 0..16 {
        let truth = |bit: i32| (bits >> bit & 1 == 1).to_string();
        table.insert((0..4).map(truth).collect(), vec![0.0]);
    }
    for p in people {
        let has = |start: &str| p.diagnoses.iter().any(|d| d.code.starts_with(start));
        let any = [has("E1"), has("I10"), has("J44"), has("N18")];
        let row = any.iter().map(ToString::to_string).collect::<Vec<_>>();
        table.get_mut(&row).unwrap()[0] += 1.0;
    }
    Expected {
        table,
        near: vec![1e-6],
    }
}

fn before_and_after(people: &[Person]) -> Expected {
    let (mut befores, mut afters, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for p in people {
        let metformin = p.prescriptions.iter().filter(|d| d.drug == "metformin");
        let Some(start) = metformin.map(|d| d.day).min() else {
            continue;
        };
        if p.entry > start - 365 || p.leaving < start + 365 {
            continue;
        }
        let (mut before, mut after) = (0.0, 0.0);
        for s in &p.stays {
            match s.admitted - start {
                -365..0 => before += s.cost,
                0..365 => after += s.cost,
                _ => {}
            }
        }
        befores.push(f64::min(before, 20_000.0));
        afters.push(f64::min(after, 20_000.0));
        changes.push(f64::clamp(after - before, -10_000.0, 10_000.0));
    }
    let n = befores.len() as f64;
    let row = vec![n, mean(&befores), mean(&afters), mean(&changes)];
    let table = Table::from([(Vec::new(), row)]);
    Expected {
        table,
        near: vec![1e-6, 0.1, 0.1, 0.1],
    }
}

fn dose_groups(people: &[Person]) -> Expected {
    let mut table = Table::new();
    for group in ["none", "low", "middle", "high"] {
        table.insert(key(&[group]), vec![0.0, 0.0]);
    }
    for p in people {
        let landmark = p.entry + 180;
        if p.leaving < landmark {
            continue;
        }
        let mut dose = 0.0;
        for d in p.prescriptions.iter().filter(|d| d.drug == "statin") {
            if p.entry <= d.day && d.day < landmark {
                dose += d.dose;
            }
        }
        let group = match dose {
            d if d <= 0.0 => "none",
            d if d < 90.0 => "low",
            d if d < 180.0 => "middle",
            _ => "high",
        };
        let end = p.leaving.min(landmark + 1825);
        let admitted = p.stays.iter().map(|s| s.admitted);
        let event = admitted.filter(|a| landmark < *a && *a <= end).min();
        let row = table.get_mut(&key(&[group])).unwrap();
        row[0] += f64::from(u8::from(event.is_some()));
        row[1] += f64::from(event.unwrap_or(end) - landmark) / 365.25;
    }
    for row in table.values_mut() {
        row.push(1000.0 * row[0] / row[1]);
    }
    Expected {
        table,
        near: vec![1e-6, 5.0, 0.01],
    }
}
