//! Small worlds for the tests: vectors, permits and subjects.

use obscura_model::answer::{Key, Shape, VectorShape};
use obscura_model::exposure::Rho;
use obscura_privacy::{Accumulator, Admitted, Filter, FoldError, Known, Mode, Permit, Sparse};

/// A vector of a release.
pub(crate) fn vector(clip_squared: u128, sigma: u64) -> VectorShape {
    VectorShape {
        what: "rows".into(),
        step_exponent: 0,
        clip_squared,
        sigma,
        parts: 1,
        grouped: true,
    }
}

/// A release of these vectors in `cells` cells.
pub(crate) fn shape(vectors: Vec<VectorShape>, cells: usize) -> Shape {
    let labels = (0..cells).map(|cell| cell.to_string()).collect();
    let keys = vec![Key {
        column: "group".into(),
        labels,
        discovered: None,
    }];
    Shape {
        keys,
        vectors,
        outputs: vec![],
        arrange: Default::default(),
        disclosure: Default::default(),
    }
}

/// Limits in billionths.
pub(crate) fn limits(nano: &[u64]) -> Vec<Rho> {
    nano.iter().map(|&nano| Rho::from_nano(nano)).collect()
}

/// A permit for intent 7 in a population of up to 1,000 subjects.
pub(crate) fn permit(shape: Shape, mode: Mode, limits: Vec<Rho>) -> Permit {
    Permit::after_durable_intent(7, Filter::new(mode, limits), shape, true, 1_000).unwrap()
}

/// One vector's part: (cell, value) in any order.
pub(crate) fn sparse(entries: &[(u32, i64)]) -> Sparse {
    let mut part = Sparse::new();
    for &(cell, value) in entries {
        part.add(cell, value).unwrap();
    }
    part
}

/// A subject and what it contributes to each vector.
pub(crate) type Subject = (u32, Vec<Sparse>);

/// Exposures, and nobody barred.
pub(crate) fn nobody_barred<'a>(accounts: &'a [&'a [u64]]) -> Known<'a> {
    let barred = &[false; 1_000];
    Known { accounts, barred }
}

/// Folds ascending subjects with one accumulator.
pub(crate) fn fold(
    permit: Permit,
    subjects: &[Subject],
    exposures: &[&[u64]],
) -> Result<Admitted, FoldError> {
    let mut accumulator = Accumulator::new(&permit, permit.shape().cells());
    for (subject, parts) in subjects {
        accumulator.add(*subject, parts, nobody_barred(exposures))?;
    }
    accumulator.finish(permit)
}
