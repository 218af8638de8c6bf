//! Answers of several institutions as one: sums add and their variances add; averages follow
//! from the added sums, never from per-site averages.

use crate::accuracy::Z95;
use crate::answer::{Answer, AveragePart, Estimate, Key, OutputKind, average};

/// The combined answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Combined {
    /// The group keys, outermost first.
    pub keys: Vec<Key>,
    /// Output names and units, in the order of the query.
    pub outputs: Vec<(String, String)>,
    /// One row per cell: its labels and one estimate per output.
    pub rows: Vec<CombinedRow>,
}

/// One cell of a combined answer.
#[derive(Debug, Clone, PartialEq)]
pub struct CombinedRow {
    /// The labels, outermost key first.
    pub labels: Vec<String>,
    /// One estimate per output.
    pub estimates: Vec<Estimate>,
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
}

/// Combines the answers of several institutions to one question.
pub fn combine(answers: &[&Answer]) -> Result<Combined, CannotCombine> {
    let first = answers.first().ok_or(CannotCombine::Nothing)?.shape();
    for answer in answers {
        let shape = answer.shape();
        if shape.keys != first.keys {
            return Err(CannotCombine::Keys);
        }
        let same = shape.outputs.len() == first.outputs.len()
            && shape.outputs.iter().zip(&first.outputs).all(|(a, b)| {
                a.name == b.name
                    && a.unit == b.unit
                    && std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
            });
        if !same {
            return Err(CannotCombine::Outputs);
        }
    }
    let rows = (0..first.cells())
        .map(|cell| CombinedRow {
            labels: first.labels(cell).into_iter().map(str::to_owned).collect(),
            estimates: (0..first.outputs.len())
                .map(|output| combine_one(answers, output, cell))
                .collect(),
        })
        .collect();
    let outputs = first
        .outputs
        .iter()
        .map(|o| (o.name.clone(), o.unit.clone()))
        .collect();
    Ok(Combined {
        keys: first.keys.clone(),
        outputs,
        rows,
    })
}

fn combine_one(answers: &[&Answer], output: usize, cell: usize) -> Estimate {
    let (mut value, mut variance) = (0.0, 0.0);
    let mut parts = Vec::new();
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for answer in answers {
        let shape = answer.shape();
        // Answer::new has checked that every output names vectors that exist.
        let read = |v: usize| {
            let step = shape.vectors[v].step();
            (
                answer.values()[v][cell] as f64 * step,
                shape.vectors[v].sigma_in_units().powi(2),
            )
        };
        match shape.outputs[output].kind {
            OutputKind::Count { vector }
            | OutputKind::Subjects { vector }
            | OutputKind::Sum { vector } => {
                let (v, s) = read(vector);
                value += v;
                variance += s;
            }
            OutputKind::Average {
                sum,
                count,
                middle,
                lowest,
                highest,
            } => {
                parts.push(AveragePart {
                    sum: read(sum),
                    count: read(count),
                    middle,
                });
                low = low.min(lowest);
                high = high.max(highest);
            }
        }
    }
    if parts.is_empty() {
        Estimate {
            value,
            margin: Z95 * variance.sqrt(),
        }
    } else {
        average(&parts, low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Output, Shape, VectorShape};

    fn site(sum: i64, count: i64, middle: f64) -> Answer {
        let vector = |what: &str| VectorShape {
            what: what.to_owned(),
            step_exponent: -10,
            clip_squared: 1 << 20,
            sigma: 1024,
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
    fn other_questions_are_refused() {
        assert_eq!(combine(&[]), Err(CannotCombine::Nothing));
        let (a, mut b) = (site(1, 1, 5.0), site(1, 1, 5.0).shape().clone());
        b.outputs.pop();
        let b = Answer::new(b, vec![vec![0], vec![0]]).unwrap();
        assert_eq!(combine(&[&a, &b]), Err(CannotCombine::Outputs));
    }
}
