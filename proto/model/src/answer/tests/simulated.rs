//! Margins hold in 95 of 100 answers: by simulation, over rows of many shapes.
//!
//! The noise is Gaussian from a fixed seed, so that a run is the same every time. If a margin held
//! with a chance of exactly 95 in 100, a number of runs that hold below [`LEAST`] of [`RUNS`]
//! would have a chance of about 1 in 100,000 for each claim (4.3 standard deviations).

use super::super::tree::quantile;
use super::*;

const RUNS: u32 = 1000;
const LEAST: u32 = 920;

/// SplitMix64 (Steele, Lea and Flood 2014), and normal numbers by Box and Muller.
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / 2f64.powi(53)
    }

    fn normal(&mut self) -> f64 {
        let (radius, turn) = (self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }
}

/// Rows in 256 steps from 0 to 256, by name.
fn spreads() -> Vec<(&'static str, Vec<f64>)> {
    let mut chance = Chance(11);
    let mut draw = |n: usize, value: &mut dyn FnMut(f64, usize) -> f64| -> Vec<f64> {
        let one = |i| value(chance.uniform(), i).clamp(0.0, 255.999);
        (0..n).map(one).collect()
    };
    let even = draw(4000, &mut |u, _| 256.0 * u);
    let skewed = draw(4000, &mut |u, _| -20.0 * u.ln());
    let points = draw(4000, &mut |u, _| match u {
        u if u < 0.4 => 10.5,
        u if u < 0.7 => 100.25,
        _ => 200.0,
    });
    // Exactly half of the rows on either side of a wide gap.
    let gap = draw(4000, &mut |u, i| 20.0 + 30.0 * u + 170.0 * (i % 2) as f64);
    let thin = draw(4000, &mut |u, i| match i {
        0..20 => 60.0 + 130.0 * u,
        i => 20.0 + 30.0 * u + 170.0 * (i % 2) as f64,
    });
    let few = draw(150, &mut |u, _| 256.0 * u);
    let one = vec![77.7; 1000];
    let bell = draw(4000, &mut |u, _| {
        128.0 + 12.0 * (u / (1.0 - u * 0.999_999)).ln()
    });
    vec![
        ("even", even),
        ("skewed", skewed),
        ("points", points),
        ("gap", gap),
        ("thin", thin),
        ("few", few),
        ("one", one),
        ("bell", bell),
    ]
}

/// The exact levels of a tree over rows from 0 to `leaves`.
fn counted(rows: &[f64], leaves: usize, sigma: f64) -> Vec<Level> {
    let mut bottom = vec![0.0; leaves];
    rows.iter().for_each(|r| bottom[*r as usize] += 1.0);
    let sizes = Tree::sizes(leaves);
    let mut levels: Vec<Vec<f64>> = vec![bottom];
    while levels.len() < sizes.len() {
        let below = levels.last().unwrap();
        levels.push(
            below
                .chunks(Tree::BRANCHING)
                .map(|c| c.iter().sum())
                .collect(),
        );
    }
    let level = |counts| Level {
        counts,
        variance: sigma * sigma,
    };
    levels.into_iter().rev().map(level).collect()
}

/// Noisy copies of the levels, as many as there are runs.
fn noisy(exact: &[Level], sigma: f64, chance: &mut Chance) -> Vec<Level> {
    let mut level = |exact: &Level| Level {
        counts: exact
            .counts
            .iter()
            .map(|c| c + sigma * chance.normal())
            .collect(),
        variance: sigma * sigma,
    };
    exact.iter().map(&mut level).collect()
}

#[test]
fn margins_of_quantiles_hold_whatever_the_rows_are() {
    let mut chance = Chance(5);
    for (name, mut rows) in spreads() {
        rows.sort_by(f64::total_cmp);
        for (share, sigma, leaves) in [
            (0.5, 3.0, 256),
            (0.5, 15.0, 256),
            (0.9, 6.0, 256),
            (0.02, 4.0, 256),
            (0.3, 20.0, 19),
        ] {
            let (_, tree) = tree(leaves, (0.0, 256.0));
            let width = tree.leaf_width();
            let places: Vec<f64> = rows.iter().map(|r| r / width).collect();
            let exact = counted(&places, leaves as usize, sigma);
            // The value of the row, and what the tree gives without noise.
            let truths = [
                rows[(share * rows.len() as f64) as usize],
                quantile(&tree, &exact, share).0,
            ];
            let mut held = [0, 0];
            for _ in 0..RUNS {
                let (value, margin) = quantile(&tree, &noisy(&exact, sigma, &mut chance), share);
                for (held, truth) in held.iter_mut().zip(truths) {
                    *held += u32::from((value - truth).abs() <= margin);
                }
            }
            let least = held.into_iter().min().unwrap();
            assert!(
                least >= LEAST,
                "{name}, share {share}, sigma {sigma}: {held:?}"
            );
        }
    }
}

#[test]
fn what_is_said_of_a_quantile_beforehand_holds_for_an_even_spread() {
    let (vectors, tree) = tree(256, (0.0, 256.0));
    let mut chance = Chance(6);
    for (n, share) in [
        (4000, 0.5),
        (4000, 0.1),
        (400, 0.5),
        (400, 0.8),
        (400, 0.25),
    ] {
        let rows: Vec<f64> = (0..n)
            .map(|i| 256.0 * f64::from(i) / f64::from(n))
            .collect();
        // The vectors' sigma is 2.
        let exact = counted(&rows, 256, 2.0);
        let truth = quantile(&tree, &exact, share).0;
        let kind = OutputKind::Quantile {
            tree: tree.clone(),
            share,
        };
        let (before, needs_rows) = margin(&kind, &vectors, rows.len() as u64).unwrap();
        assert!(needs_rows);
        let (mut held, mut kept) = (0, 0);
        for _ in 0..RUNS {
            let (value, margin) = quantile(&tree, &noisy(&exact, 2.0, &mut chance), share);
            held += u32::from((value - truth).abs() <= before);
            kept += u32::from(margin <= before);
        }
        println!("{n} {share}: preview {before} held {held} kept {kept}");
        assert!(held >= LEAST, "{n} rows, share {share}: {held}");
        // And the margin that comes with the answer is seldom wider.
        assert!(kept >= 900, "{n} rows, share {share}: {kept}");
    }
}

/// Rows within 8.5 of 0, by name.
fn pairs(n: usize) -> Vec<(&'static str, Vec<(f64, f64)>)> {
    let mut chance = Chance(21);
    let mut draw = |value: &dyn Fn(f64, f64, f64) -> (f64, f64)| -> Vec<(f64, f64)> {
        let clip = |x: f64| x.clamp(-8.5, 8.5);
        (0..n)
            .map(|_| value(chance.uniform(), chance.normal(), chance.normal()))
            .map(|(x, y)| (clip(x), clip(y)))
            .collect()
    };
    vec![
        ("even", draw(&|u, a, _| (17.0 * u - 8.5, 4.0 * a))),
        ("related", draw(&|_, a, b| (3.0 * a, 2.5 * a + b))),
        ("same", draw(&|_, a, _| (4.0 * a, -4.0 * a))),
        ("narrow", draw(&|_, a, b| (-8.0 + 0.05 * a, 1.0 + 0.3 * b))),
        (
            "skewed",
            draw(&|u, a, _| (-8.5 - 2.0 * u.ln(), -8.5 + a * a)),
        ),
        (
            "edges",
            draw(&|u, a, _| (if u < 0.1 { 8.5 } else { -8.5 }, a.signum() * 8.5)),
        ),
    ]
}

/// The six sums of these pairs with the noise that one price for each of them gives: `s` times
/// what one row can add; and outputs over them, by name.
fn outputs(rows: &[(f64, f64)], s: f64) -> (Vec<&'static str>, Answer) {
    use Function as F;
    let half: f64 = 8.5;
    let exact = site(rows, (0.0, 0.0), half);
    let mut shape = exact.shape().clone();
    let square = half * half;
    let clips = [half, square / 2.0, half, square / 2.0, square, 1.0];
    for (vector, clip) in shape.vectors.iter_mut().zip(clips) {
        vector.sigma = (s * clip / STEP) as u64;
    }
    let of = |i: usize| shape.outputs[i].kind.clone();
    let (variance, average) = (of(0), of(4));
    let (x, y, products, n) = (
        OutputKind::Sum { vector: 0 },
        OutputKind::Sum { vector: 2 },
        OutputKind::Sum { vector: 4 },
        count(5),
    );
    let two = |f, a: &OutputKind, b: &OutputKind| apply(f, vec![a.clone(), b.clone()]);
    let one = |f, a: &OutputKind| apply(f, vec![a.clone()]);
    // Near its limit, and a little away from it.
    let case = |limit: f64, then: &OutputKind, otherwise: &OutputKind| {
        let above = two(F::Greater, &n, &OutputKind::Literal(limit));
        apply(F::Case, vec![above, then.clone(), otherwise.clone()])
    };
    let zero = OutputKind::Literal(0.0);
    let rows = rows.len() as f64;
    let more = [
        ("standard deviation", one(F::Sqrt, &of(1))),
        ("ratio to a count", two(F::Divide, &x, &n)),
        ("ratio of sums", two(F::Divide, &x, &products)),
        (
            "ratio to what can be 0",
            two(F::Divide, &n, &two(F::NullIf, &x, &zero)),
        ),
        (
            "variation",
            two(F::Divide, &one(F::Sqrt, &variance), &average),
        ),
        ("difference", two(F::Subtract, &average, &variance)),
        ("product", two(F::Multiply, &average, &n)),
        ("square", two(F::Multiply, &x, &x)),
        ("case at its limit", case(rows, &average, &zero)),
        ("case near its limit", case(rows - s, &n, &x)),
        ("least", apply(F::Least, vec![x.clone(), y, n.clone()])),
        ("rounded", two(F::Round, &average, &zero)),
        ("rounded down", one(F::Floor, &average)),
        ("size", one(F::Abs, &x)),
        ("logarithm", one(F::Ln, &n)),
        ("exponential", one(F::Exp, &average)),
    ];
    let mut names = vec![
        "variance",
        "sample variance",
        "covariance",
        "correlation",
        "average",
    ];
    for (name, kind) in more {
        names.push(name);
        shape.outputs.push(Output {
            name: name.to_owned(),
            unit: String::new(),
            kind,
        });
    }
    (names, Answer::new(shape, exact.values().to_vec()).unwrap())
}

fn with_noise(exact: &Answer, chance: &mut Chance) -> Answer {
    let vectors = exact.values().iter().zip(&exact.shape().vectors);
    let values = vectors.map(|(values, vector)| {
        let mut noise = || (vector.sigma as f64 * chance.normal()).round() as i64;
        values.iter().map(|v| v + noise()).collect()
    });
    Answer::new(exact.shape().clone(), values.collect()).unwrap()
}

#[test]
fn margins_of_moments_and_expressions_hold_also_for_few_rows_and_much_noise() {
    let mut chance = Chance(9);
    for (n, s) in [(30, 2.0), (30, 12.0), (300, 2.0), (300, 12.0), (4000, 12.0)] {
        for (rows_name, rows) in pairs(n) {
            let (names, exact) = outputs(&rows, s);
            let truths: Vec<f64> = (0..names.len())
                .map(|output| exact.estimate(output, 0).unwrap().value)
                .collect();
            let mut held = vec![0; names.len()];
            for _ in 0..RUNS {
                let noisy = with_noise(&exact, &mut chance);
                for (output, truth) in truths.iter().enumerate() {
                    let found = noisy.estimate(output, 0).unwrap();
                    // No value, or none without noise, is no claim.
                    let silent = found.is_missing() || truth.is_nan();
                    held[output] +=
                        u32::from(silent || (found.value - truth).abs() <= found.margin);
                }
            }
            for (name, held) in names.iter().zip(held) {
                assert!(
                    held >= LEAST,
                    "{name} of {n} {rows_name} rows, noise {s}: {held}"
                );
            }
        }
    }
}
