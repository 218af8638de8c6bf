//! Rules that an owner has signed besides differential privacy: a minimum cell size and rounding.
//!
//! They read released noisy values only, and never replace the noise.

use crate::answer::{Answer, InvalidAnswer, Shape};

/// The rules of one dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Cells whose noisy count is below this are not shown.
    pub minimum_cell: Option<u32>,
    /// Counts are rounded to multiples of this.
    pub rounding: Option<u32>,
}

/// Applies the rules to a released answer: a function of its noisy values alone.
///
/// Cells whose noisy number of subjects (of [`Disclosure::size`](crate::answer::Disclosure)) is
/// below the minimum are suppressed: all their values become 0 under a mark, so that lengths stay
/// the same, and every estimate in them is missing. With a minimum but no such vector every cell
/// is suppressed, because nothing shows that one is large enough. Then counts of rows and subjects
/// are rounded to multiples of the step; sums are not. Rounding is part of the margin.
pub fn apply(answer: Answer, rules: &Rules) -> Result<Answer, InvalidAnswer> {
    let Rules {
        minimum_cell,
        rounding,
    } = *rules;
    let shape = answer.shape();
    let cells = shape.cells();
    let mut suppressed = answer.suppressed_cells().to_vec();
    if let Some(least) = minimum_cell {
        let small: Vec<bool> = (0..cells).map(|c| is_small(&answer, c, least)).collect();
        suppressed.resize(cells, false);
        suppressed.iter_mut().zip(small).for_each(|(s, n)| *s |= n);
    }
    let mut values = answer.values().to_vec();
    let counted = shape.vectors.iter().zip(answer.counts());
    for (values, (vector, counted)) in values.iter_mut().zip(counted) {
        if let Some(step) = rounding.filter(|_| *counted) {
            let step = f64::from(step.max(1)) / vector.step();
            values.iter_mut().for_each(|v| *v = nearest(*v, step));
        }
        if vector.grouped {
            let parts = (vector.parts as usize).max(1);
            for (part, hidden) in values.chunks_mut(parts).zip(&suppressed) {
                if *hidden {
                    part.fill(0);
                }
            }
        }
    }
    let mut shape: Shape = shape.clone();
    shape.disclosure.minimum_cell = minimum_cell.or(shape.disclosure.minimum_cell);
    shape.disclosure.rounding = rounding.or(shape.disclosure.rounding);
    Answer::with_suppressed(shape, values, suppressed)
}

fn is_small(answer: &Answer, cell: usize, least: u32) -> bool {
    let size = || {
        let at = answer.shape().disclosure.size?;
        let vector = answer.shape().vectors.get(at)?;
        let value = *answer.values().get(at)?.get(vector.place(cell, 0))?;
        Some(value as f64 * vector.step())
    };
    size().is_none_or(|size| size < f64::from(least))
}

/// The nearest multiple of a step, both in grid steps; halves away from 0.
fn nearest(value: i64, step: f64) -> i64 {
    ((value as f64 / step).round() * step) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Disclosure, Key, Output, OutputKind, VectorShape};
    use crate::combine::combine;

    fn answer(counts: &[i64]) -> Answer {
        let vector = VectorShape {
            what: "COUNT(DISTINCT id)".to_owned(),
            step_exponent: -10,
            clip_squared: 1 << 20,
            sigma: 1024,
            parts: 1,
            grouped: true,
        };
        let shape = Shape {
            keys: vec![Key {
                column: "k".to_owned(),
                labels: (0..counts.len()).map(|i| i.to_string()).collect(),
                discovered: None,
            }],
            vectors: vec![vector],
            outputs: vec![Output {
                name: "n".to_owned(),
                unit: String::new(),
                kind: OutputKind::Subjects { vector: 0 },
            }],
            arrange: crate::answer::Arrange::default(),
            disclosure: Disclosure {
                size: Some(0),
                ..Disclosure::default()
            },
        };
        let values = counts.iter().map(|c| c * 1024).collect();
        Answer::new(shape, vec![values]).unwrap()
    }

    const RULES: Rules = Rules {
        minimum_cell: Some(10),
        rounding: Some(5),
    };

    #[test]
    fn a_suppressed_cell_is_marked_and_missing_and_has_no_number() {
        let ruled = apply(answer(&[3, 52, -4]), &RULES).unwrap();
        assert_eq!(ruled.suppressed_cells(), [true, false, true]);
        assert_eq!(ruled.values(), [vec![0, 50 * 1024, 0]]);
        assert!(ruled.estimate(0, 0).unwrap().is_missing());
        assert_eq!(ruled.estimate(0, 1).unwrap().value, 50.0);
        // Applying them again changes nothing.
        assert_eq!(apply(ruled.clone(), &RULES).unwrap(), ruled);
    }

    #[test]
    fn rounding_is_in_the_margin() {
        let plain = answer(&[52]);
        let ruled = apply(plain.clone(), &RULES).unwrap();
        let margins = [&plain, &ruled].map(|a| a.estimate(0, 0).unwrap().margin);
        assert!((margins[1] - margins[0] - 2.5).abs() < 1e-9, "{margins:?}");
    }

    #[test]
    fn what_is_suppressed_is_missing_when_combined_and_never_0() {
        let ruled = apply(answer(&[3, 50]), &RULES).unwrap();
        let other = answer(&[40, 60]);
        let combined = combine(&[&ruled, &other]).unwrap();
        assert!(combined.rows[0].estimates[0].is_missing());
        assert_eq!(combined.rows[1].estimates[0].value, 110.0);
    }

    #[test]
    fn without_a_number_of_subjects_every_cell_is_too_small() {
        let mut shape = answer(&[50]).shape().clone();
        shape.disclosure.size = None;
        let unknown = Answer::new(shape, vec![vec![50 * 1024]]).unwrap();
        let ruled = apply(unknown, &RULES).unwrap();
        assert_eq!(ruled.suppressed_cells(), [true]);
    }
}
