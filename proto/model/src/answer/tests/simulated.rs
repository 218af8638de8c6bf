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
    let bell = draw(4000, &mut |u, _| 128.0 + 12.0 * (u / (1.0 - u * 0.999_999)).ln());
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
        levels.push(below.chunks(Tree::BRANCHING).map(|c| c.iter().sum()).collect());
    }
    let level = |counts| Level { counts, variance: sigma * sigma };
    levels.into_iter().rev().map(level).collect()
}

/// Noisy copies of the levels, as many as there are runs.
fn noisy(exact: &[Level], sigma: f64, chance: &mut Chance) -> Vec<Level> {
    let mut level = |exact: &Level| Level {
        counts: exact.counts.iter().map(|c| c + sigma * chance.normal()).collect(),
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
            assert!(least >= LEAST, "{name}, share {share}, sigma {sigma}: {held:?}");
        }
    }
}

#[test]
fn margins_of_quantiles_are_as_narrow_as_the_noise_allows() {
    let (vectors, tree) = tree(256, (0.0, 256.0));
    let (_, rows) = spreads().swap_remove(0);
    let mut chance = Chance(6);
    for share in [0.1, 0.25, 0.5, 0.9] {
        // The vectors' sigma is 2.
        let exact = counted(&rows, 256, 2.0);
        let truth = quantile(&tree, &exact, share).0;
        let kind = OutputKind::Quantile { tree: tree.clone(), share };
        let (before, needs_rows) = margin(&kind, &vectors, rows.len() as u64).unwrap();
        assert!(needs_rows);
        let (mut held, mut kept) = (0, 0);
        let mut stated = Vec::new();
        for _ in 0..RUNS {
            let (value, margin) = quantile(&tree, &noisy(&exact, 2.0, &mut chance), share);
            held += u32::from((value - truth).abs() <= before);
            kept += u32::from(margin <= before);
            stated.push(margin);
        }
        println!("{share}: preview {before} held {held} kept {kept}");
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
        ("skewed", draw(&|u, a, _| (-8.5 - 2.0 * u.ln(), -8.5 + a * a))),
        ("edges", draw(&|u, a, _| (if u < 0.1 { 8.5 } else { -8.5 }, a.signum() * 8.5))),
    ]
}

#[test]
fn margins_of_moments_and_expressions_hold() {
    use Function as F;
    let half = 8.5;
    let mut chance = Chance(9);
    for n in [30, 300, 4000] {
        for (name, rows) in pairs(n) {
            for s in [2.0, 12.0] {
                let mut template = site(&rows, (0.0, 0.0), half).shape().clone();
                let sigmas = [half, half * half / 2.0, half, half * half / 2.0, half * half, 1.0];
                for (vector, sigma) in template.vectors.iter_mut().zip(sigmas) {
                    vector.sigma = (s * sigma / STEP) as u64;
                }
                let of = |i: usize| template.outputs[i].kind.clone();
                let sum = |vector| OutputKind::Sum { vector };
                let lit = OutputKind::Literal;
                let average = of(4);
                let cell = |i: usize| count(i);
                let truth_n = n as f64;
                let more = vec![
                    ("stddev", apply(F::Sqrt, vec![of(1)])),
                    ("ratio", apply(F::Divide, vec![sum(0), count(5)])),
                    ("ratio of sums", apply(F::Divide, vec![sum(0), sum(4)])),
                    ("difference", apply(F::Subtract, vec![average.clone(), of(0)])),
                    ("product", apply(F::Multiply, vec![average.clone(), cell(5)])),
                    ("case", apply(F::Case, vec![
                        apply(F::Greater, vec![count(5), lit(truth_n)]), average.clone(), lit(0.0),
                    ])),
                    ("case near", apply(F::Case, vec![
                        apply(F::Greater, vec![count(5), lit(truth_n - s)]), count(5), sum(0),
                    ])),
                    ("least", apply(F::Least, vec![sum(0), sum(2), count(5)])),
                    ("round", apply(F::Round, vec![average.clone(), lit(0.0)])),
                    ("floor", apply(F::Floor, vec![average.clone()])),
                    ("abs", apply(F::Abs, vec![sum(0)])),
                    ("ln", apply(F::Ln, vec![count(5)])),
                    ("exp", apply(F::Exp, vec![average.clone()])),
                    ("square", apply(F::Multiply, vec![sum(0), sum(0)])),
                    ("cv", apply(F::Divide, vec![apply(F::Sqrt, vec![of(0)]), average.clone()])),
                    ("nullif", apply(F::Divide, vec![count(5), apply(F::NullIf, vec![sum(0), lit(0.0)])])),
                ];
                let mut names = vec!["var_pop", "var_samp", "covar", "corr", "avg"];
                for (name, kind) in more {
                    names.push(name);
                    template.outputs.push(Output { name: name.to_owned(), unit: String::new(), kind });
                }
                let exact = Answer::new(template.clone(), site(&rows, (0.0, 0.0), half).values().to_vec()).unwrap();
                let mut held = vec![0; names.len()];
                let mut open = vec![0; names.len()];
                for _ in 0..RUNS {
                    let values = exact.values().iter().zip(&template.vectors).map(|(v, shape)| {
                        v.iter().map(|v| v + (shape.sigma as f64 * chance.normal()).round() as i64).collect()
                    });
                    let noisy = Answer::new(template.clone(), values.collect()).unwrap();
                    for output in 0..names.len() {
                        let truth = exact.estimate(output, 0).unwrap().value;
                        let found = noisy.estimate(output, 0).unwrap();
                        let missing = found.is_missing() || truth.is_nan();
                        held[output] += u32::from(missing || (found.value - truth).abs() <= found.margin);
                        open[output] += u32::from(!found.margin.is_finite());
                        if names[output] == "stddev" && false {
                            println!("{truth} {found:?} {:?} {:?} n {:?}", noisy.estimate(1, 0), exact.estimate(1, 0), noisy.values()[5][0] as f64 * STEP);
                        }
                    }
                }
                for (output, what) in names.iter().enumerate() {
                    if held[output] < 940 {
                        println!("{n} {name} s={s} {what}: {} held, {} open", held[output], open[output]);
                    }
                }
            }
        }
    }
}
