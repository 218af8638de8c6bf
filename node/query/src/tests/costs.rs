//! What the constants of slots stand for, measured on demand, in time on a processor:
//! `cargo test -p obscura-query --lib costs -- --ignored --nocapture`.

use obscura_model::schema::Description;
use obscura_privacy::{KeyTally, Sparse};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::plan_with;
use crate::expr::{Pattern, PatternKind};

const LIKE: PatternKind = PatternKind::Like {
    ignore_case: false,
    escape: None,
};
const ILIKE: PatternKind = PatternKind::Like {
    ignore_case: true,
    escape: None,
};
const REGEX: PatternKind = PatternKind::Regex { ignore_case: false };
const REGEX_ANY_CASE: PatternKind = PatternKind::Regex { ignore_case: true };

/// Nanoseconds of this thread on a processor, where the system tells them, in its steps.
fn on_processor() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The mean of many runs, in nanoseconds.
fn nanos(mut run: impl FnMut()) -> f64 {
    let before = on_processor();
    let mut runs = 0u32;
    loop {
        // Many, because asking for the time takes some itself.
        (0..64).for_each(|_| run());
        runs += 64;
        let taken = on_processor() - before;
        if taken > 20_000_000 {
            return taken as f64 / f64::from(runs);
        }
    }
}

fn random(letters: &str, length: usize) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let mut rng = ChaCha20Rng::seed_from_u64(length as u64);
    let letter = |_| letters[rng.random_range(0..letters.len())];
    (0..length).map(letter).collect()
}

/// Nanoseconds for 32 characters of the worst of some texts.
fn worst(pattern: &Pattern) -> f64 {
    let letters = ["ab", "abéö中文𝄞", "abc Xéß1", "𝄞𝄢"];
    let texts = letters
        .iter()
        .flat_map(|l| [32, 1_000, 10_000].map(|n| random(l, n)));
    let each = texts.map(|text| {
        let pieces = text.chars().count().div_ceil(32) as f64;
        nanos(|| {
            std::hint::black_box(pattern.matches(std::hint::black_box(&text)));
        }) / pieces
    });
    each.fold(0.0, f64::max)
}

#[test]
#[ignore = "measures"]
fn what_patterns_take() {
    let mut patterns: Vec<(PatternKind, String)> = vec![
        (LIKE, "%foo%".to_owned()),
        (ILIKE, "%ab%ba%abab%".to_owned()),
        (LIKE, "E1__%ab%".to_owned()),
        (REGEX, "foo|ab(c|aab|bba)|zz".to_owned()),
        (REGEX, "^a[a-c].b$".to_owned()),
        (REGEX_ANY_CASE, "aaab|babab".to_owned()),
        (REGEX, r"\bab\w+q".to_owned()),
        (REGEX, "[0-9]{3}".to_owned()),
        (REGEX, "a.*b.*q".to_owned()),
        (REGEX_ANY_CASE, r"(\w\s?)q".to_owned()),
    ];
    for n in [5, 20, 80, 400] {
        patterns.push((LIKE, format!("%a{}", "_".repeat(n))));
        patterns.push((REGEX, format!("(a|b)*a(a|b){{{n}}}q")));
        patterns.push((REGEX, format!(r"\b(a|b)*a(a|b){{{n}}}\bq")));
        patterns.push((REGEX, format!("(a.{{0,{n}}}){{2}}q")));
    }
    for (kind, source) in patterns {
        let Ok(pattern) = Pattern::new(kind, &source) else {
            println!("refused: {source}");
            continue;
        };
        let (cost, taken) = (pattern.cost() * 10, worst(&pattern));
        println!("{cost:8} ns for 32 characters, measured {taken:8.0}: {source}");
    }
}

#[test]
#[ignore = "measures"]
fn what_keys_take() {
    let text = super::keys::CLINIC.replace("subjects = [500, 1000]", "subjects = [500, 2000]");
    let description = Description::from_toml(&text).unwrap();
    let plan = plan_with(super::keys::QUERY, &description).unwrap();
    let mut parts = vec![Sparse::new(); plan.vectors().len()];
    parts.iter_mut().for_each(|p| p.set(0, 1024));
    let filled = |keys: u32, seed: u64| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut tally = KeyTally::new(plan.shape()).unwrap();
        for _ in 0..keys {
            let key = format!("{:08x}", rng.random::<u32>());
            tally.add(&[&key], &parts).unwrap();
        }
        tally
    };
    let before = on_processor();
    let (one, other) = (filled(500_000, 1), filled(500_000, 2));
    let added = on_processor();
    let merged = one.merge(other).unwrap();
    let end = on_processor();
    println!("added: {} ns a key", (added - before) / 1_000_000);
    println!("merged: {} ns a key of the second", (end - added) / 500_000);
    drop(merged);
    let few = filled(5_000, 3);
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let before = on_processor();
    few.mock_noise(&plan.shape().vectors, &mut rng).unwrap();
    println!("noise: {} ns a key", (on_processor() - before) / 5_000);
}
