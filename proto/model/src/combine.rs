//! Answers of several institutions as one: sums add and their variances add; averages follow
//! from the added sums, never from per-site averages.
//!
//! A key that nobody declared may be shown by some institutions only. Its numbers are then those
//! of the institutions that show it, and the row says which do not: there it may be rare or not
//! occur at all, so it is never taken for 0.

use crate::answer::evaluate::{Cell, estimate};
use crate::answer::{Answer, Estimate, Key, OutputKind, Shape, Tree, aligned, arranged, having};

/// The combined answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Combined {
    /// The group keys, outermost first.
    pub keys: Vec<Key>,
    /// Names and units of the outputs that each row has, in the order of the query.
    pub outputs: Vec<(String, String)>,
    /// What is told once, for the release as a whole: how many people contributed, or were cut.
    pub whole: Vec<Whole>,
    /// One row per cell: its labels and one estimate per output.
    pub rows: Vec<CombinedRow>,
    /// The positions of the rows to show, in the order of the query's ORDER BY.
    pub shown: Vec<usize>,
}

/// A number of a combined answer as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// The output's name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// All institutions together.
    pub estimate: Estimate,
}

/// One cell of a combined answer.
#[derive(Debug, Clone, PartialEq)]
pub struct CombinedRow {
    /// The labels, outermost key first.
    pub labels: Vec<String>,
    /// One estimate per output; all are missing where a rule of an institution suppressed the
    /// cell: what is missing counts as missing, never as 0.
    pub estimates: Vec<Estimate>,
    /// The positions of the answers that do not show the row's key and so are not in its numbers;
    /// only of keys that are not declared.
    pub not_in: Vec<usize>,
}

/// Why answers cannot be combined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotCombine {
    /// No answer at all.
    #[error("there is no answer to combine")]
    Nothing,
    /// The answers have different groups.
    #[error("the answers have different groups; they were not asked the same question")]
    Keys,
    /// The answers have different outputs.
    #[error("the answers have different outputs; they were not asked the same question")]
    Outputs,
    /// The trees behind a quantile are cut differently.
    #[error(
        "the quantile '{0}' has other bounds or steps at another institution, so its counts do not add"
    )]
    Trees(String),
    /// The lists behind a number of categories differ in length.
    #[error("'{0}' counts the categories of lists of different length, so its counts do not add")]
    Categories(String),
    /// The answers would be shown in different orders.
    #[error("the answers are arranged differently; they were not asked the same question")]
    Arrangement,
}

/// Combines the answers of several institutions to one question.
pub fn combine(answers: &[&Answer]) -> Result<Combined, CannotCombine> {
    let spread = aligned(answers).transpose();
    let spread = spread.map_err(|_| CannotCombine::Keys)?;
    match spread {
        Some(spread) => combine_aligned(&spread.iter().collect::<Vec<_>>()),
        None => combine_aligned(answers),
    }
}

/// Whether two keys have the same cells. How a key is found may differ from institution to
/// institution: what each of them found is under its own owner's rule.
fn same_keys(a: &[Key], b: &[Key]) -> bool {
    let same = |(a, b): (&Key, &Key)| {
        a.column == b.column
            && a.labels == b.labels
            && a.discovered.is_some() == b.discovered.is_some()
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

fn combine_aligned(answers: &[&Answer]) -> Result<Combined, CannotCombine> {
    let first = answers.first().ok_or(CannotCombine::Nothing)?.shape();
    for answer in answers {
        let shape = answer.shape();
        if !same_keys(&shape.keys, &first.keys) {
            return Err(CannotCombine::Keys);
        }
        if shape.outputs.len() != first.outputs.len() {
            return Err(CannotCombine::Outputs);
        }
        for (a, b) in shape.outputs.iter().zip(&first.outputs) {
            let parts = |s: &Shape, v: usize| s.vectors.get(v).map(|v| v.parts);
            if a.name != b.name || a.unit != b.unit {
                return Err(CannotCombine::Outputs);
            }
            same(&a.kind, &b.kind, &|v, w| parts(shape, v) == parts(first, w))
                .map_err(|e| e.into_error(&a.name))?;
        }
        if !same_arrangement(shape, first) {
            return Err(CannotCombine::Arrangement);
        }
    }
    let (once, in_rows): (Vec<usize>, Vec<usize>) =
        (0..first.outputs.len()).partition(|output| is_whole(first, *output));
    let rows = (0..first.cells()).map(|cell| CombinedRow {
        labels: first.labels(cell).into_iter().map(str::to_owned).collect(),
        estimates: in_rows
            .iter()
            .map(|output| combine_one(answers, *output, cell))
            .collect(),
        not_in: {
            let having = having(answers, cell);
            let without = (0..answers.len()).filter(|place| !having.contains(place));
            without.collect()
        },
    });
    let outputs = in_rows.iter().filter_map(|o| first.outputs.get(*o));
    let whole = once.into_iter().filter_map(|place| {
        let output = first.outputs.get(place)?;
        Some(Whole {
            name: output.name.clone(),
            unit: output.unit.clone(),
            // Which of the cells is asked about makes no difference, nor whether it is shown.
            estimate: estimate_of(answers, place, 0),
        })
    });
    Ok(Combined {
        keys: first.keys.clone(),
        outputs: outputs.map(|o| (o.name.clone(), o.unit.clone())).collect(),
        whole: whole.collect(),
        rows: rows.collect(),
        shown: arranged(answers),
    })
}

fn combine_one(answers: &[&Answer], output: usize, cell: usize) -> Estimate {
    let places = having(answers, cell);
    let sites: Vec<&Answer> = places
        .iter()
        .filter_map(|p| answers.get(*p).copied())
        .collect();
    if sites.is_empty() || sites.iter().any(|a| a.suppressed(cell)) {
        return Estimate::MISSING;
    }
    estimate_of(&sites, output, cell)
}

fn estimate_of(sites: &[&Answer], output: usize, cell: usize) -> Estimate {
    let outputs = sites.iter().filter_map(|a| a.shape().outputs.get(output));
    let kinds: Vec<&OutputKind> = outputs.map(|o| &o.kind).collect();
    estimate(&Cell { sites, cell }, &kinds)
}

/// Whether an output is a number of people of the release as a whole, the same in every cell.
fn is_whole(shape: &Shape, output: usize) -> bool {
    let kind = shape.outputs.get(output).map(|o| &o.kind);
    match kind {
        Some(OutputKind::Subjects { vector } | OutputKind::Coverage { vector, .. }) => {
            shape.vectors.get(*vector).is_some_and(|v| !v.grouped)
        }
        _ => false,
    }
}

/// How two forms of an output differ.
enum Different {
    Form,
    Trees,
    Categories,
}

impl Different {
    fn into_error(self, output: &str) -> CannotCombine {
        match self {
            Different::Form => CannotCombine::Outputs,
            Different::Trees => CannotCombine::Trees(output.to_owned()),
            Different::Categories => CannotCombine::Categories(output.to_owned()),
        }
    }
}

/// Whether two outputs are the same but for the numbers of their vectors and for what adds up
/// all the same: middles, bounds of averages and moments, declared sizes.
fn same(
    a: &OutputKind,
    b: &OutputKind,
    parts: &dyn Fn(usize, usize) -> bool,
) -> Result<(), Different> {
    use OutputKind as K;
    let fine = |holds: bool| if holds { Ok(()) } else { Err(Different::Form) };
    match (a, b) {
        (K::Variance { sample: a, .. }, K::Variance { sample: b, .. })
        | (K::Covariance { sample: a, .. }, K::Covariance { sample: b, .. }) => fine(a == b),
        (K::Quantile { tree: a, share: p }, K::Quantile { tree: b, share: q }) => {
            fine(p.to_bits() == q.to_bits())?;
            let edges = |t: &Tree| [t.first_edge, t.last_edge, t.lowest, t.highest];
            let same = edges(a) == edges(b) && a.leaves == b.leaves;
            if same { Ok(()) } else { Err(Different::Trees) }
        }
        (K::Categories { vector: a }, K::Categories { vector: b }) => {
            if parts(*a, *b) {
                Ok(())
            } else {
                Err(Different::Categories)
            }
        }
        (K::Apply(f, left), K::Apply(g, right)) => {
            fine(f == g && left.len() == right.len())?;
            left.iter()
                .zip(right)
                .try_for_each(|(a, b)| same(a, b, parts))
        }
        (K::Literal(_) | K::KeyPosition(_) | K::KeyAmong { .. }, _) => fine(a == b),
        _ => fine(std::mem::discriminant(a) == std::mem::discriminant(b)),
    }
}

fn same_arrangement(a: &Shape, b: &Shape) -> bool {
    let parts =
        |v: usize, w: usize| a.vectors.get(v).map(|v| v.parts) == b.vectors.get(w).map(|w| w.parts);
    let (a, b) = (&a.arrange, &b.arrange);
    let having = match (&a.having, &b.having) {
        (Some(a), Some(b)) => same(a, b, &parts).is_ok(),
        (a, b) => a.is_none() && b.is_none(),
    };
    having
        && a.limit == b.limit
        && a.offset == b.offset
        && a.order.len() == b.order.len()
        && a.order
            .iter()
            .zip(&b.order)
            .all(|(a, b)| a.descending == b.descending && same(&a.value, &b.value, &parts).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::Z95;
    use crate::answer::{Arrange, Disclosure, Output, Shape, VectorShape};

    fn site(sum: i64, count: i64, middle: f64) -> Answer {
        let vector = |what: &str| VectorShape {
            what: what.to_owned(),
            step_exponent: -10,
            clip_squared: 1 << 20,
            sigma: 1024,
            parts: 1,
            grouped: true,
        };
        let average = OutputKind::Average {
            sum: 0,
            count: 1,
            middle,
            lowest: 0.0,
            highest: 2.0 * middle,
        };
        let output = |name: &str, kind| Output {
            name: name.to_owned(),
            unit: String::new(),
            kind,
        };
        let shape = Shape {
            keys: vec![],
            vectors: vec![vector("sum"), vector("count")],
            outputs: vec![
                output("mean", average),
                output("n", OutputKind::Count { vector: 1 }),
            ],
            arrange: Arrange::default(),
            disclosure: Disclosure::default(),
        };
        Answer::new(shape, vec![vec![sum * 1024], vec![count * 1024]]).unwrap()
    }

    #[test]
    fn sums_are_combined_not_averages() {
        // 100 rows averaging 5 + 1, and 300 rows averaging 5 - 1; a third site has none.
        let sites = [site(100, 100, 5.0), site(-300, 300, 5.0), site(0, 0, 5.0)];
        let combined = combine(&sites.iter().collect::<Vec<_>>()).unwrap();
        let [mean, n] = combined.rows[0].estimates[..] else {
            panic!()
        };
        assert_eq!((mean.value, n.value), (4.5, 400.0));
        assert!((n.margin - Z95 * 3f64.sqrt()).abs() < 1e-12);
        let expected = Z95 * (3.0 + 3.0 * 0.25f64).sqrt() / 400.0;
        assert!((mean.margin - expected).abs() < 1e-12);
    }

    #[test]
    fn sites_with_other_bounds_still_add() {
        // The same values described with middles 5 and 10.
        let sites = [site(100, 100, 5.0), site(-1200, 300, 10.0)];
        let combined = combine(&sites.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            combined.rows[0].estimates[0].value,
            (600.0 + 1800.0) / 400.0
        );
    }

    #[test]
    fn the_number_of_people_who_contributed_is_told_once_and_adds_up() {
        let covered = |people: i64| {
            let mut shape = site(0, 0, 5.0).shape().clone();
            shape.keys = vec![Key {
                column: "grp".to_owned(),
                labels: vec!["a".to_owned(), "b".to_owned()],
                discovered: None,
            }];
            let mut vector = shape.vectors[0].clone();
            vector.grouped = false;
            shape.vectors.push(vector);
            shape.outputs.push(Output {
                name: "coverage".to_owned(),
                unit: "people".to_owned(),
                kind: OutputKind::Subjects { vector: 2 },
            });
            // A rule hides the first group, which does not hide who contributed.
            let values = vec![vec![0, 0], vec![1024, 2048], vec![people * 1024]];
            Answer::with_suppressed(shape, values, vec![true, false]).unwrap()
        };
        let sites = [covered(300), covered(140)];
        let combined = combine(&sites.iter().collect::<Vec<_>>()).unwrap();
        let names: Vec<_> = combined.outputs.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["mean", "n"]);
        assert!(combined.rows.iter().all(|r| r.estimates.len() == 2));
        let [coverage] = &combined.whole[..] else {
            panic!()
        };
        assert_eq!(
            (coverage.name.as_str(), coverage.estimate.value),
            ("coverage", 440.0)
        );
        assert!((coverage.estimate.margin - Z95 * 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn other_questions_are_refused() {
        assert_eq!(combine(&[]), Err(CannotCombine::Nothing));
        let (a, mut b) = (site(1, 1, 5.0), site(1, 1, 5.0).shape().clone());
        b.outputs.pop();
        let b = Answer::new(b, vec![vec![0], vec![0]]).unwrap();
        assert_eq!(combine(&[&a, &b]), Err(CannotCombine::Outputs));
    }
}
