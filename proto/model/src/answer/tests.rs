//! Claims about outputs that follow from noisy sums.

mod simulated;

use proptest::prelude::*;

use super::tree::{Level, consistent};
use super::*;
use crate::combine::{CannotCombine, combine};
use crate::exposure::DeltaCharge;
use crate::wire::{answer_from, numbers_to, shape_from, shape_to};

const STEP: f64 = 1.0 / 1024.0;

fn vector(what: &str, sigma: f64, parts: u32) -> VectorShape {
    VectorShape {
        what: what.to_owned(),
        step_exponent: -10,
        clip_squared: 1 << 20,
        sigma: (sigma / STEP) as u64,
        parts,
        grouped: true,
    }
}

fn answer(vectors: Vec<VectorShape>, kinds: Vec<OutputKind>, values: Vec<Vec<f64>>) -> Answer {
    let cells = values[0].len() / vectors[0].parts as usize;
    let keys = vec![Key {
        column: "k".to_owned(),
        labels: (0..cells).map(|c| c.to_string()).collect(),
        discovered: None,
    }];
    let outputs = kinds.into_iter().enumerate().map(|(i, kind)| Output {
        name: format!("o{i}"),
        unit: String::new(),
        kind,
    });
    let shape = Shape {
        keys,
        vectors,
        outputs: outputs.collect(),
        arrange: Arrange::default(),
        disclosure: Disclosure::default(),
    };
    let grid = |v: Vec<f64>| v.iter().map(|x| (x / STEP).round() as i64).collect();
    Answer::new(shape, values.into_iter().map(grid).collect()).unwrap()
}

fn count(vector: usize) -> OutputKind {
    OutputKind::Count { vector }
}

fn apply(function: Function, arguments: Vec<OutputKind>) -> OutputKind {
    OutputKind::Apply(function, arguments)
}

/// Two counts with sigma 3 and 4, and one output over them.
fn over(a: f64, b: f64, kind: OutputKind) -> Estimate {
    let vectors = vec![vector("a", 3.0, 1), vector("b", 4.0, 1)];
    let answer = answer(vectors, vec![kind], vec![vec![a], vec![b]]);
    answer.estimate(0, 0).unwrap()
}

#[test]
fn shared_sums_are_counted_once_and_exactly() {
    use Function as F;
    let close = |e: Estimate, value: f64, sd: f64| {
        assert!((e.value - value).abs() < 1e-9, "{e:?}");
        assert!((e.standard_error() - sd).abs() < 1e-9, "{e:?} {sd}");
    };
    close(
        over(100.0, 80.0, apply(F::Subtract, vec![count(0), count(1)])),
        20.0,
        5.0,
    );
    close(
        over(100.0, 80.0, apply(F::Subtract, vec![count(0), count(0)])),
        0.0,
        0.0,
    );
    close(
        over(100.0, 80.0, apply(F::Add, vec![count(0), count(0)])),
        200.0,
        6.0,
    );
    let both = apply(F::Add, vec![count(0), count(1)]);
    let share = apply(F::Divide, vec![count(0), both]);
    // d/da a/(a+b) = b/(a+b)^2, d/db = -a/(a+b)^2.
    let sd = (80.0f64 * 3.0).hypot(100.0 * 4.0) / 180.0f64.powi(2);
    close(over(100.0, 80.0, share), 100.0 / 180.0, sd);
}

#[test]
fn a_divisor_that_could_be_nothing_allows_no_statement() {
    let ratio = || apply(Function::Divide, vec![count(0), count(1)]);
    assert_eq!(over(10.0, 7.0, ratio()).margin, f64::INFINITY);
    assert!(over(10.0, 9.0, ratio()).margin.is_finite());
    assert!(over(10.0, 0.0, ratio()).is_missing());
}

#[test]
fn before_asking_a_sum_over_a_count_is_bounded_by_what_its_rows_can_add() {
    // Values up to 10, and 8 rows of one subject: clip norms 80 and 8.
    let clipped = |what: &str, sigma: f64, clip: u128| VectorShape {
        clip_squared: (clip * clip) << 20,
        ..vector(what, sigma, 1)
    };
    let vectors = [clipped("sum", 30.0, 80), clipped("count", 4.0, 8)];
    let above = OutputKind::Sum { vector: 0 };
    let said = |below| {
        margin(
            &apply(Function::Divide, vec![above.clone(), below]),
            &vectors,
            500,
        )
    };
    let (found, needs_rows) = said(count(1)).unwrap();
    let expected = Z95 * 30f64.hypot(10.0 * 4.0) / 500.0;
    assert!(
        needs_rows && (found - expected).abs() < 1e-9,
        "{found} {expected}"
    );
    // Over people, each of whom can add all of it.
    let (found, _) = said(OutputKind::Subjects { vector: 1 }).unwrap();
    let expected = Z95 * 30f64.hypot(80.0 * 4.0) / 500.0;
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}

#[test]
fn a_root_of_what_is_not_known_is_not_known() {
    let few = site(&[(1.0, 1.0), (1.5, 2.0)], (0.0, 0.0), 8.5);
    let mut shape = few.shape().clone();
    shape.vectors[5].sigma = (30.0 / STEP) as u64;
    for kind in 0..2 {
        let variance = shape.outputs[kind].kind.clone();
        shape.outputs[kind].kind = apply(Function::Sqrt, vec![variance]);
    }
    let answer = Answer::new(shape, few.values().to_vec()).unwrap();
    for output in 0..2 {
        assert_eq!(answer.estimate(output, 0).unwrap().margin, f64::INFINITY);
    }
}

#[test]
fn rounding_and_comparing_never_claim_too_little() {
    use Function as F;
    let plain = over(100.0, 80.0, count(0));
    let round = apply(F::Round, vec![count(0), OutputKind::Literal(-1.0)]);
    let rounded = over(103.0, 80.0, round);
    assert_eq!(rounded.value, 100.0);
    assert!((rounded.margin - plain.margin - 10.0).abs() < 1e-9);
    let ten = || OutputKind::Literal(10.0);
    let case = |limit: f64| {
        let above = apply(F::Greater, vec![count(0), OutputKind::Literal(limit)]);
        apply(F::Case, vec![above, ten(), OutputKind::Literal(0.0)])
    };
    // Far from the limit the arm is sure, near it the margin reaches to the other arm.
    assert_eq!(over(100.0, 80.0, case(50.0)), Estimate::within(10.0, 0.0));
    assert_eq!(over(100.0, 80.0, case(99.0)), Estimate::within(10.0, 10.0));
    let least = apply(F::Least, vec![count(0), count(1)]);
    let margin = over(81.0, 80.0, least).margin;
    assert!(margin >= over(81.0, 80.0, count(1)).margin, "{margin}");
}

#[test]
fn conditions_have_three_values() {
    use Function as F;
    let missing = || OutputKind::Missing;
    let holds = |k| over(100.0, 80.0, k).value;
    let yes = || apply(F::Greater, vec![count(0), count(1)]);
    let no = || apply(F::Less, vec![count(0), count(1)]);
    assert_eq!(holds(apply(F::And, vec![yes(), yes()])), 1.0);
    assert_eq!(holds(apply(F::And, vec![missing(), no()])), 0.0);
    assert!(holds(apply(F::And, vec![missing(), yes()])).is_nan());
    assert_eq!(holds(apply(F::Or, vec![missing(), yes()])), 1.0);
    assert_eq!(holds(apply(F::IsMissing, vec![missing()])), 1.0);
    assert_eq!(holds(apply(F::Coalesce, vec![missing(), count(1)])), 80.0);
    assert_eq!(holds(apply(F::Not, vec![no()])), 1.0);
}

/// Rows of a site as the sums that a correlation needs, about the given middles.
fn site(rows: &[(f64, f64)], (mx, my): (f64, f64), half: f64) -> Answer {
    let sum = |f: &dyn Fn(f64, f64) -> f64| vec![rows.iter().map(|(x, y)| f(*x, *y)).sum()];
    let c = half * half / 2.0;
    let values = vec![
        sum(&|x, _| x - mx),
        sum(&|x, _| (x - mx).powi(2) - c),
        sum(&|_, y| y - my),
        sum(&|_, y| (y - my).powi(2) - c),
        sum(&|x, y| (x - mx) * (y - my)),
        sum(&|_, _| 1.0),
    ];
    let centred = |sum, middle| Centred { sum, middle, half };
    let moments = |sum, middle| Moments {
        centred: centred(sum, middle),
        squares: sum + 1,
    };
    let (x, y, products, count) = (moments(0, mx), moments(2, my), 4, 5);
    let kinds = vec![
        OutputKind::Variance {
            x,
            count,
            sample: false,
        },
        OutputKind::Variance {
            x,
            count,
            sample: true,
        },
        OutputKind::Covariance {
            x: x.centred,
            y: y.centred,
            products,
            count,
            sample: true,
        },
        OutputKind::Correlation {
            x,
            y,
            products,
            count,
        },
        OutputKind::Average {
            sum: 0,
            count,
            middle: mx,
            lowest: mx - half,
            highest: mx + half,
        },
    ];
    answer(vec![vector("v", 0.01, 1); 6], kinds, values)
}

/// Variance (both ways), covariance, correlation and average, from the rows.
fn direct(rows: &[(f64, f64)]) -> [f64; 5] {
    let n = rows.len() as f64;
    let mean = |f: &dyn Fn(&(f64, f64)) -> f64| rows.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(&|r| r.0), mean(&|r| r.1));
    let vx = mean(&|r| (r.0 - x).powi(2));
    let vy = mean(&|r| (r.1 - y).powi(2));
    let cov = mean(&|r| (r.0 - x) * (r.1 - y));
    [
        vx,
        vx * n / (n - 1.0),
        cov * n / (n - 1.0),
        cov / (vx * vy).sqrt(),
        x,
    ]
}

fn rows() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let x = || (-512i32..512).prop_map(|v| f64::from(v) / 64.0);
    prop::collection::vec((x(), x(), x()), 40..120).prop_map(|rows| {
        rows.into_iter()
            .map(|(x, y, z)| (x, (y + z + x) / 3.0))
            .collect()
    })
}

proptest! {
    #[test]
    fn moments_without_noise_are_those_of_the_rows_at_one_site_and_pooled(
        a in rows(), b in rows(), middle in -2i32..3,
    ) {
        let one = site(&a, (0.0, 0.5), 8.5);
        for (output, exact) in direct(&a).into_iter().enumerate() {
            let found = one.estimate(output, 0).unwrap().value;
            prop_assert!((found - exact).abs() < 0.01, "{output}: {found} {exact}");
        }
        // The other site has other bounds, so other middles.
        let other = site(&b, (f64::from(middle), -1.0), 12.0);
        let combined = combine(&[&one, &other]).unwrap();
        let pooled: Vec<(f64, f64)> = a.iter().chain(&b).copied().collect();
        for (output, exact) in direct(&pooled).into_iter().enumerate() {
            let found = combined.rows[0].estimates[output].value;
            prop_assert!((found - exact).abs() < 0.01, "{output}: {found} {exact}");
        }
    }

    #[test]
    fn the_levels_of_a_fitted_tree_agree(
        leaves in 1usize..100,
        noise in prop::collection::vec(-50.0f64..50.0, 200),
    ) {
        let mut noise = noise.into_iter().cycle();
        let levels: Vec<Level> = Tree::sizes(leaves).into_iter().enumerate().map(|(i, size)| Level {
            counts: (0..size).map(|_| 100.0 + noise.next().unwrap()).collect(),
            variance: 1.0 + i as f64,
        }).collect();
        let fitted = consistent(&levels);
        for pair in fitted.windows(2) {
            for (parent, value) in pair[0].iter().enumerate() {
                let children = pair[1].iter().skip(4 * parent).take(4).sum::<f64>();
                prop_assert!((children - value).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn an_answer_reads_back_from_the_wire(
        values in prop::collection::vec(-1e6f64..1e6, 2), limit in prop::option::of(0u64..9),
    ) {
        use Function as F;
        let ratio = apply(F::Divide, vec![count(0), OutputKind::Literal(-2.5)]);
        let among = OutputKind::KeyAmong { key: 0, labels: vec![0, 1] };
        let kinds = vec![
            count(0),
            apply(F::Case, vec![among.clone(), ratio, OutputKind::Missing]),
            OutputKind::Coverage { vector: 0, declared: 1000 },
        ];
        let mut shape = answer(vec![vector("a", 3.0, 1)], kinds, vec![values]).shape().clone();
        shape.arrange = Arrange {
            having: Some(among),
            order: vec![OrderBy { value: OutputKind::KeyPosition(0), descending: true }],
            limit,
            offset: 1,
        };
        shape.disclosure.size = Some(0);
        shape.disclosure.minimum_cell = Some(7);
        let sent = Answer::with_suppressed(shape, vec![vec![5, 0]], vec![false, true]).unwrap();
        let shape = shape_from(Some(shape_to(sent.shape()))).unwrap();
        prop_assert_eq!(answer_from(shape, Some(numbers_to(&sent))).unwrap(), sent);
    }
}

fn tree(leaves: u32, edges: (f64, f64)) -> (Vec<VectorShape>, Tree) {
    let sizes = Tree::sizes(leaves as usize);
    let vectors = sizes
        .iter()
        .map(|s| vector("level", 2.0, *s as u32))
        .collect();
    let tree = Tree {
        levels: (0..sizes.len()).collect(),
        leaves,
        first_edge: edges.0,
        last_edge: edges.1,
        lowest: edges.0,
        highest: edges.1,
    };
    (vectors, tree)
}

#[test]
fn a_quantile_is_read_off_where_its_share_of_the_rows_ends() {
    let (vectors, cut) = tree(16, (0.0, 16.0));
    // 1,000 rows in leaf 3, 3,000 in leaf 10.
    let leaf = |i: usize| {
        [(3, 1000.0), (10, 3000.0)]
            .iter()
            .find(|l| l.0 == i)
            .map_or(0.0, |l| l.1)
    };
    let bottom: Vec<f64> = (0..16).map(leaf).collect();
    let top: Vec<f64> = bottom.chunks(4).map(|c| c.iter().sum()).collect();
    let shares = [0.125, 0.25, 0.625, 0.9];
    let kinds = shares.iter().map(|share| OutputKind::Quantile {
        tree: cut.clone(),
        share: *share,
    });
    let mut vectors = vectors;
    vectors.iter_mut().for_each(|v| v.grouped = false);
    let shape = Shape {
        keys: vec![],
        vectors,
        outputs: kinds
            .enumerate()
            .map(|(i, kind)| Output {
                name: i.to_string(),
                unit: String::new(),
                kind,
            })
            .collect(),
        arrange: Arrange::default(),
        disclosure: Disclosure::default(),
    };
    let grid = |v: Vec<f64>| {
        v.into_iter()
            .map(|x| (x / STEP) as i64)
            .collect::<Vec<i64>>()
    };
    let answer = Answer::new(shape, vec![grid(top), grid(bottom)]).unwrap();
    let read = |o: usize| answer.estimate(o, 0).unwrap();
    for (output, expected) in [(0, 3.5), (1, 4.0), (2, 10.5), (3, 10.0 + 2600.0 / 3000.0)] {
        let found = read(output);
        assert!(
            (found.value - expected).abs() < 1e-6,
            "{found:?} {expected}"
        );
        // Whole leaves, at least the one that it lies in; at a quarter, all of the gap.
        let reach = if output == 1 { 7.0 } else { 1.0 };
        assert!(
            found.margin >= reach / 2.0 && found.margin <= reach,
            "{found:?}"
        );
    }
}

#[test]
fn trees_that_are_cut_differently_do_not_combine() {
    let with = |edges| {
        let (mut vectors, tree) = tree(4, edges);
        vectors.iter_mut().for_each(|v| v.grouped = false);
        let kind = OutputKind::Quantile { tree, share: 0.5 };
        let mut a = answer(vec![vector("x", 1.0, 1)], vec![count(0)], vec![vec![1.0]]).shape;
        a.vectors = vectors;
        a.outputs[0].kind = kind;
        Answer::new(a, vec![vec![1 << 20; 4]]).unwrap()
    };
    let (a, b) = (with((0.0, 4.0)), with((0.0, 8.0)));
    assert!(combine(&[&a, &a]).is_ok());
    assert_eq!(
        combine(&[&a, &b]),
        Err(CannotCombine::Trees("o0".to_owned()))
    );
}

#[test]
fn categories_are_counted_only_where_they_surely_occur() {
    let kind = OutputKind::Categories { vector: 0 };
    let answer = answer(
        vec![vector("v", 2.0, 4)],
        vec![kind],
        vec![vec![30.0, -1.0, 5.9, 200.0]],
    );
    // The threshold is 2 sqrt(2 ln 80) = 5.92.
    assert_eq!(
        answer.estimate(0, 0),
        Some(Estimate {
            value: 2.0,
            margin: 2.0,
            lower_bound: true,
        })
    );
}

#[test]
fn without_noise_the_number_of_categories_is_what_the_rows_say_whatever_sigma_is() {
    let all = |sigma| {
        let kind = OutputKind::Categories { vector: 0 };
        let values = vec![vec![30.0, 0.0, 1.0, 200.0]];
        answer(vec![vector("v", sigma, 4)], vec![kind], values)
    };
    for sigma in [1.0, 2.0, 500.0] {
        let exact = all(sigma).without_noise();
        assert_eq!(exact.estimate(0, 0).unwrap().value, 3.0, "{sigma}");
        // With noise a value that one person has is never sure.
        assert!(all(sigma).estimate(0, 0).unwrap().value <= 2.0, "{sigma}");
    }
}

#[test]
fn only_a_number_of_categories_alone_is_a_lower_bound() {
    let bound = |kind| {
        let values = vec![vec![30.0, 0.0], vec![90.0]];
        let vectors = vec![vector("v", 2.0, 2), vector("w", 2.0, 1)];
        answer(vectors, vec![kind], values)
            .estimate(0, 0)
            .unwrap()
            .lower_bound
    };
    let categories = OutputKind::Categories { vector: 0 };
    assert!(bound(categories.clone()));
    assert!(!bound(count(1)));
    // What is computed from it may be off to either side.
    assert!(!bound(apply(Function::Negate, vec![categories])));
}

#[test]
fn cells_are_arranged_by_the_noisy_values() {
    let values = vec![vec![5.0, 90.0, -3.0, 40.0]];
    let mut shape = answer(vec![vector("v", 2.0, 1)], vec![count(0)], values.clone()).shape;
    let order = |descending| {
        vec![OrderBy {
            value: count(0),
            descending,
        }]
    };
    let positive = apply(Function::Greater, vec![count(0), OutputKind::Literal(0.0)]);
    let grid: Vec<i64> = values[0].iter().map(|v| (v / STEP) as i64).collect();
    let mut arranged = |arrange: Arrange| {
        shape.arrange = arrange;
        Answer::new(shape.clone(), vec![grid.clone()])
            .unwrap()
            .arranged()
    };
    assert_eq!(arranged(Arrange::default()), [0, 1, 2, 3]);
    let descending = Arrange {
        order: order(true),
        limit: Some(2),
        ..Arrange::default()
    };
    assert_eq!(arranged(descending), [1, 3]);
    let having = Arrange {
        having: Some(positive),
        order: order(false),
        ..Arrange::default()
    };
    assert_eq!(
        arranged(Arrange {
            offset: 1,
            ..having.clone()
        }),
        [3, 1]
    );
    assert_eq!(arranged(having), [0, 3, 1]);
}

#[test]
fn what_is_not_there_cannot_be_named() {
    let good = answer(vec![vector("v", 2.0, 1)], vec![count(0)], vec![vec![1.0]]);
    let with = |kind| {
        let mut shape = good.shape().clone();
        shape.outputs[0].kind = kind;
        Answer::new(shape, vec![vec![1024]])
    };
    assert!(with(count(0)).is_ok());
    for bad in [
        count(1),
        OutputKind::KeyPosition(1),
        OutputKind::KeyAmong {
            key: 0,
            labels: vec![1],
        },
        apply(Function::Add, vec![count(0)]),
        apply(Function::Case, vec![count(0)]),
        apply(Function::Negate, vec![count(3)]),
    ] {
        assert!(with(bad.clone()).is_err(), "{bad:?}");
    }
}

/// One site's people and rows for keys that nobody declared, with room for four of them.
fn found(labels: &[&str], people: &[i64]) -> Answer {
    let discovered = Discovered {
        gate: 0,
        per_person: 2,
        most: 4,
        characters: 5,
        delta: DeltaCharge::from_units(10_000_000_000),
    };
    let shape = Shape {
        keys: vec![Key {
            column: "k".to_owned(),
            labels: vec![String::new(); 4],
            discovered: Some(discovered),
        }],
        vectors: vec![vector("people", 3.0, 1)],
        outputs: vec![Output {
            name: "n".to_owned(),
            unit: String::new(),
            kind: OutputKind::Subjects { vector: 0 },
        }],
        arrange: Arrange::default(),
        disclosure: Disclosure::default(),
    };
    let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
    let mut values: Vec<i64> = people.iter().map(|p| p << 10).collect();
    values.resize(4, 0);
    Answer::new(shape.with_found(&labels).unwrap(), vec![values]).unwrap()
}

#[test]
fn a_discovered_answer_shows_what_was_found_and_its_bytes_do_not_tell_how_much() {
    use prost::Message as _;
    let few = found(&["a"], &[50]);
    let many = found(&["a", "bbbbb", "ccé", "d"], &[50, 60, 70, 80]);
    assert_eq!(
        (few.arranged(), many.arranged()),
        (vec![0], vec![0, 1, 2, 3])
    );
    assert!(few.estimate(0, 1).unwrap().is_missing());
    assert_eq!(many.estimate(0, 1).unwrap().value, 60.0);
    let bytes = |answer: &Answer| {
        (
            shape_to(answer.shape()).encode_to_vec(),
            numbers_to(answer).encoded_len(),
        )
    };
    assert_eq!(bytes(&few), bytes(&many));
    for answer in [few, many] {
        let shape = shape_from(Some(shape_to(answer.shape()))).unwrap();
        let read = answer_from(shape, Some(numbers_to(&answer))).unwrap();
        assert_eq!(read, answer);
    }
}

#[test]
fn labels_that_were_not_found_by_the_rule_are_refused() {
    let good = found(&["a"], &[50]);
    let with = |labels: [&str; 4]| {
        let mut shape = good.shape().clone();
        shape.keys[0].labels = labels.map(str::to_owned).to_vec();
        Answer::new(shape, vec![vec![0; 4]])
    };
    assert!(with(["a", "b", "", ""]).is_ok() && with(["", "", "", ""]).is_ok());
    for wrong in [
        ["b", "a", "", ""],
        ["a", "a", "", ""],
        ["", "a", "", ""],
        ["aaaaaa", "", "", ""],
        ["a\nb", "", "", ""],
    ] {
        assert_eq!(with(wrong), Err(InvalidAnswer), "{wrong:?}");
    }
    let mut shape = good.shape().clone();
    shape.keys[0].discovered.as_mut().unwrap().gate = 1;
    assert_eq!(Answer::new(shape, vec![vec![0; 4]]), Err(InvalidAnswer));
}

#[test]
fn a_combined_number_is_of_those_who_show_the_key_and_says_who_does_not() {
    let sites = [
        found(&["a", "b"], &[50, 60]),
        found(&["b", "c"], &[7, 8]),
        found(&["b"], &[100]),
    ];
    let sites: Vec<&Answer> = sites.iter().collect();
    let combined = combine(&sites).unwrap();
    let row = |r: usize| {
        let row = &combined.rows[r];
        (row.labels[0].as_str(), row.estimates[0], &row.not_in[..])
    };
    let one = sites[0].estimate(0, 0).unwrap();
    assert_eq!(row(0), ("a", one, &[1, 2][..]));
    assert_eq!((row(1).1.value, row(1).2), (167.0, &[][..]));
    assert!((row(1).1.margin - 3f64.sqrt() * one.margin).abs() < 1e-9);
    assert_eq!((row(2).1.value, row(2).2), (8.0, &[0, 2][..]));
    assert_eq!(combined.shown, [0, 1, 2]);
    let nothing = found(&[], &[]);
    let combined = combine(&[&nothing]).unwrap();
    assert!(combined.shown.is_empty());
}

#[test]
fn keys_are_arranged_by_the_numbers_of_those_who_show_them() {
    let with = |labels: &[&str], values: &[i64]| {
        let plain = found(labels, values);
        let mut shape = plain.shape().clone();
        shape.arrange.order = vec![OrderBy {
            value: shape.outputs[0].kind.clone(),
            descending: true,
        }];
        let limit = OutputKind::Literal(30.0);
        let above = vec![shape.outputs[0].kind.clone(), limit];
        shape.arrange.having = Some(apply(Function::Greater, above));
        Answer::new(shape, plain.values().to_vec()).unwrap()
    };
    let sites = [
        with(&["a", "b"], &[50, 60]),
        with(&["b", "c", "d"], &[7, 80, 20]),
    ];
    let combined = combine(&[&sites[0], &sites[1]]).unwrap();
    assert_eq!(combined.shown, [2, 1, 0]);
}

#[test]
fn the_threshold_is_one_person_and_what_noise_alone_passes_with_delta_at_most() {
    let answer = found(&[], &[]);
    let discovered = *answer.shape().discovered().unwrap();
    let gate = answer.shape().vectors[0].clone();
    let steps = discovered.threshold(&gate).unwrap();
    // 1 + 3 sqrt(2 ln(2 / 1e-8)) = 19.5486, by hand.
    assert!((answer.shape().threshold().unwrap() - 19.5486).abs() < 0.01);
    let above = (steps - 1024) as f64 / gate.sigma as f64;
    assert!(2.0 * (-above * above / 2.0).exp() <= 1e-8);
    let step_less = (steps - 1 - 1024) as f64 / gate.sigma as f64;
    assert!(
        2.0 * (-step_less * step_less / 2.0).exp() > 1e-8,
        "no more than needed"
    );
    let free = Discovered {
        delta: DeltaCharge::ZERO,
        ..discovered
    };
    assert_eq!(free.threshold(&gate), None);
}
