//! Shapes, numbers and accuracies.

mod expression;
mod found;

use std::collections::BTreeMap;

use obscura_wire::v1;

use crate::accuracy::{Accuracy, AccuracyRequest, InvalidAccuracy};
use crate::answer::{Answer, InvalidAnswer, Output, OutputKind, Shape, VectorShape};
use crate::codelist::InvalidSignedCodeList;
use crate::exposure::{Mode, Rho};
use crate::ids::InvalidId;
use crate::study::InvalidStudy;
use crate::text::InvalidText;

/// A message whose fields break a rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidWire {
    /// Not an encoded message of the wanted type.
    #[error("the message cannot be read")]
    Form,
    /// A field that must be there is not, or has no known value.
    #[error("the message lacks {0}")]
    Missing(&'static str),
    /// An id or name.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A query text.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// An accuracy.
    #[error(transparent)]
    Accuracy(#[from] InvalidAccuracy),
    /// A study.
    #[error(transparent)]
    Study(#[from] InvalidStudy),
    /// A code list, or its author's signature.
    #[error(transparent)]
    CodeList(#[from] InvalidSignedCodeList),
    /// Numbers that do not fit their shape.
    #[error(transparent)]
    Answer(#[from] InvalidAnswer),
}

fn one_to(accuracy: &Accuracy) -> v1::Accuracy {
    use v1::accuracy::Way;
    let way = match accuracy {
        Accuracy::Sigma(sigma) => Way::Sigma(*sigma),
        Accuracy::Epsilon(epsilon) => Way::Epsilon(*epsilon),
        Accuracy::Price(price) => Way::PriceNano(price.nano()),
        Accuracy::Within { margin, rows } => Way::Within(v1::Within {
            margin: *margin,
            rows: rows.unwrap_or(0),
        }),
    };
    v1::Accuracy { way: Some(way) }
}

fn one_from(accuracy: v1::Accuracy) -> Result<Accuracy, InvalidWire> {
    use v1::accuracy::Way;
    let v1::Accuracy { way } = accuracy;
    Ok(match way.ok_or(InvalidWire::Missing("an accuracy"))? {
        Way::Sigma(sigma) => Accuracy::Sigma(sigma),
        Way::Epsilon(epsilon) => Accuracy::Epsilon(epsilon),
        Way::PriceNano(nano) => Accuracy::Price(Rho::from_nano(nano)),
        Way::Within(v1::Within { margin, rows }) => Accuracy::Within {
            margin,
            rows: (rows > 0).then_some(rows),
        },
    })
}

/// To the wire.
#[must_use]
pub fn accuracy_to(request: &AccuracyRequest) -> v1::AccuracyRequest {
    let outputs = request
        .by_output()
        .iter()
        .map(|(output, accuracy)| v1::OutputAccuracy {
            output: output.clone(),
            accuracy: Some(one_to(accuracy)),
        });
    let weights = request
        .weights()
        .iter()
        .map(|(output, weight)| v1::OutputWeight {
            output: output.clone(),
            weight: *weight,
        });
    v1::AccuracyRequest {
        whole: request.for_whole().as_ref().map(one_to),
        outputs: outputs.collect(),
        weights: weights.collect(),
    }
}

/// From the wire.
pub fn accuracy_from(request: Option<v1::AccuracyRequest>) -> Result<AccuracyRequest, InvalidWire> {
    let v1::AccuracyRequest {
        whole,
        outputs,
        weights,
    } = request.ok_or(InvalidWire::Missing("an accuracy"))?;
    let whole = whole.map(one_from).transpose()?;
    let mut by_output = BTreeMap::new();
    for v1::OutputAccuracy { output, accuracy } in outputs {
        let accuracy = one_from(accuracy.ok_or(InvalidWire::Missing("an accuracy"))?)?;
        by_output.insert(output, accuracy);
    }
    let weights = weights
        .into_iter()
        .map(|v1::OutputWeight { output, weight }| (output, weight))
        .collect();
    Ok(AccuracyRequest::new(whole, by_output)?.with_weights(weights)?)
}

/// To the wire.
#[must_use]
pub fn shape_to(shape: &Shape) -> v1::Shape {
    let Shape {
        keys,
        vectors,
        outputs,
        arrange,
        disclosure,
    } = shape;
    v1::Shape {
        keys: keys.iter().map(found::key_to).collect(),
        vectors: vectors
            .iter()
            .map(
                |VectorShape {
                     what,
                     step_exponent,
                     clip_squared,
                     sigma,
                     parts,
                     grouped,
                 }| v1::Vector {
                    what: what.clone(),
                    step_exponent: *step_exponent,
                    clip_squared: clip_squared.to_be_bytes().to_vec(),
                    sigma: *sigma,
                    // As before there were parts, so that old and new bytes of a sum are equal.
                    parts: if *parts == 1 { 0 } else { *parts },
                    whole: !grouped,
                },
            )
            .collect(),
        outputs: outputs.iter().map(output_to).collect(),
        arrange: expression::arrange_to(arrange),
        disclosure: expression::disclosure_to(disclosure),
    }
}

fn output_to(output: &Output) -> v1::Output {
    use v1::output::Kind;
    // Positions are below the number of vectors, which is far below 2^32.
    let place = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
    let kind = match &output.kind {
        OutputKind::Count { vector } => Kind::Count(place(*vector)),
        OutputKind::Subjects { vector } => Kind::Subjects(place(*vector)),
        OutputKind::Sum { vector } => Kind::Sum(place(*vector)),
        OutputKind::Average {
            sum,
            count,
            middle,
            lowest,
            highest,
        } => Kind::Average(v1::Average {
            sum: place(*sum),
            count: place(*count),
            middle: *middle,
            lowest: *lowest,
            highest: *highest,
        }),
        other => Kind::Expression(expression::to(other)),
    };
    v1::Output {
        name: output.name.clone(),
        unit: output.unit.clone(),
        kind: Some(kind),
    }
}

fn output_from(output: v1::Output) -> Result<Output, InvalidWire> {
    use v1::output::Kind;
    let v1::Output { name, unit, kind } = output;
    let kind = match kind.ok_or(InvalidWire::Missing("the kind of an output"))? {
        Kind::Count(vector) => OutputKind::Count {
            vector: vector as usize,
        },
        Kind::Subjects(vector) => OutputKind::Subjects {
            vector: vector as usize,
        },
        Kind::Sum(vector) => OutputKind::Sum {
            vector: vector as usize,
        },
        Kind::Average(average) => average_from(average)?,
        Kind::Expression(expression) => expression::from(expression)?,
    };
    Ok(Output { name, unit, kind })
}

fn average_from(average: v1::Average) -> Result<OutputKind, InvalidWire> {
    let v1::Average {
        sum,
        count,
        middle,
        lowest,
        highest,
    } = average;
    let finite = middle.is_finite() && lowest.is_finite() && highest.is_finite();
    if !finite || lowest > highest {
        return Err(InvalidWire::Missing("proper bounds of an average"));
    }
    Ok(OutputKind::Average {
        sum: sum as usize,
        count: count as usize,
        middle,
        lowest,
        highest,
    })
}

/// From the wire.
pub fn shape_from(shape: Option<v1::Shape>) -> Result<Shape, InvalidWire> {
    let v1::Shape {
        keys,
        vectors,
        outputs,
        arrange,
        disclosure,
    } = shape.ok_or(InvalidWire::Missing("a shape"))?;
    let vector = |v1::Vector {
                      what,
                      step_exponent,
                      clip_squared,
                      sigma,
                      parts,
                      whole,
                  }: v1::Vector| {
        let clip: [u8; 16] = clip_squared
            .try_into()
            .map_err(|_| InvalidWire::Missing("a clip norm"))?;
        let usable = sigma > 0 && (-1000..=1000).contains(&step_exponent);
        if !usable {
            return Err(InvalidWire::Missing("a usable grid"));
        }
        let clip_squared = u128::from_be_bytes(clip);
        Ok(VectorShape {
            what,
            step_exponent,
            clip_squared,
            sigma,
            parts: parts.max(1),
            grouped: !whole,
        })
    };
    Ok(Shape {
        keys: keys
            .into_iter()
            .map(found::key_from)
            .collect::<Result<_, _>>()?,
        vectors: vectors.into_iter().map(vector).collect::<Result<_, _>>()?,
        outputs: outputs
            .into_iter()
            .map(output_from)
            .collect::<Result<_, _>>()?,
        arrange: expression::arrange_from(arrange)?,
        disclosure: expression::disclosure_from(disclosure),
    })
}

/// To the wire.
#[must_use]
pub fn numbers_to(answer: &Answer) -> v1::Numbers {
    let vectors = answer
        .values()
        .iter()
        .map(|v| v1::VectorNumbers { values: v.clone() });
    v1::Numbers {
        vectors: vectors.collect(),
        suppressed: answer
            .suppressed_cells()
            .iter()
            .map(|s| u8::from(*s))
            .collect(),
        found: found::labels_to(answer),
    }
}

/// From the wire.
pub fn answer_from(shape: Shape, numbers: Option<v1::Numbers>) -> Result<Answer, InvalidWire> {
    let v1::Numbers {
        vectors,
        suppressed,
        found,
    } = numbers.ok_or(InvalidWire::Missing("numbers"))?;
    let values = vectors
        .into_iter()
        .map(|v1::VectorNumbers { values }| values)
        .collect();
    let suppressed = suppressed.into_iter().map(|s| s != 0).collect();
    let shape = found::shape_with(shape, &found)?;
    Ok(Answer::with_suppressed(shape, values, suppressed)?)
}

/// To the wire.
#[must_use]
pub fn mode_to(mode: Mode) -> v1::Mode {
    match mode {
        Mode::Protect => v1::Mode::Protect,
        Mode::Strict => v1::Mode::Strict,
    }
}

/// From the wire.
pub fn mode_from(mode: i32) -> Result<Mode, InvalidWire> {
    match v1::Mode::try_from(mode) {
        Ok(v1::Mode::Protect) => Ok(Mode::Protect),
        Ok(v1::Mode::Strict) => Ok(Mode::Strict),
        Ok(v1::Mode::Unspecified) | Err(_) => Err(InvalidWire::Missing("a mode")),
    }
}
