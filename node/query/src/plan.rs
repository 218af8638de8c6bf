//! The private plan: what is summed for each row, on which grid, within which bounds, with how
//! much noise. Public, a function of text, description and accuracy.

mod noise;
mod vectors;

use std::collections::BTreeSet;

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::answer::{Key, Shape, VectorShape};
use obscura_model::exposure::{Delta, Rho};
use obscura_model::ids::Digest;
use obscura_model::schema::{Column, Description, Domain};
use obscura_privacy::capacity;

use crate::expr::{Bool, Mask, cost_of_any, cost_of_bool, cost_of_num};
use crate::limits;
use crate::query::{Definition, ValidatedQuery};
use crate::refusal::Refusal;
use crate::scope::Scope;

pub(crate) use vectors::{COUNT_SCALE, Quantity, Vector};

/// One group key: where its code comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyColumn {
    pub(crate) column: usize,
    /// The number of keys.
    pub(crate) count: u32,
    pub(crate) kind: KeyKind,
}

/// How a stored value becomes a key's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum KeyKind {
    /// The stored code.
    Category,
    /// false is 0, true is 1.
    Boolean,
    /// The value minus this.
    Integer(i64),
}

/// A plan that can be priced, signed, and, with a permit, run. Public.
#[derive(Debug, Clone, PartialEq)]
pub struct PrivatePlan {
    description: Digest,
    canonical: String,
    filter: Option<Bool>,
    keys: Vec<KeyColumn>,
    vectors: Vec<Vector>,
    reads: BTreeSet<usize>,
    most_rows: u32,
    capacity: u64,
    rows_upper: u64,
    operators: u64,
    shape: Shape,
    price: Rho,
}

impl PrivatePlan {
    pub(crate) fn make(
        query: &ValidatedQuery,
        description: &Description,
        accuracy: &AccuracyRequest,
        minimum: Option<Rho>,
        delta: Delta,
    ) -> Result<Self, Refusal> {
        let definition = query.definition();
        let drawn = vectors::draw(definition)?;
        let capacity = description.index_capacity();
        let most_rows = definition.scope.most_rows_per_subject();
        for vector in &drawn.vectors {
            if !capacity::fits(vector.grid.bound, most_rows, capacity) {
                return Err(
                    Refusal::new("the sums could grow too large for this dataset's size")
                        .suggest("clip the values with LEAST and GREATEST"),
                );
            }
        }
        let sigmas = noise::sigmas(&drawn, accuracy, minimum, delta, most_rows)?;
        let vectors = drawn
            .vectors
            .iter()
            .zip(sigmas)
            .map(|(v, sigma)| VectorShape {
                what: v.what.clone(),
                step_exponent: v.grid.exponent,
                clip_squared: v.clip_squared,
                sigma,
            });
        let shape = Shape {
            keys: definition
                .keys
                .iter()
                .filter_map(|k| key(*k, &definition.scope))
                .collect(),
            vectors: vectors.collect(),
            outputs: drawn.outputs,
        };
        let price = shape.price().map_err(|e| Refusal::new(e.to_string()))?;
        let canonical = query.canonical();
        let words = limits::tokens(&canonical)?.len() as u64;
        let operators = words.saturating_add(extra_cost(definition, &drawn.vectors));
        let plan = Self {
            description: description.digest(),
            filter: definition.filter.clone(),
            keys: definition
                .keys
                .iter()
                .filter_map(|k| key_column(*k, &definition.scope))
                .collect(),
            vectors: drawn.vectors,
            reads: definition.columns(),
            most_rows,
            capacity,
            rows_upper: description
                .most_subjects()
                .saturating_mul(u64::from(most_rows)),
            operators,
            canonical,
            shape,
            price,
        };
        // A plan whose worst case is over the limits is refused here, before anything private.
        plan.slot(1)?;
        Ok(plan)
    }

    /// The public form of the answer, with grid, clip norms and sigmas.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What the release adds to exposure at most.
    #[must_use]
    pub fn price(&self) -> Rho {
        self.price
    }

    /// The public slot length in milliseconds, a multiple of `step_millis`, from the plan and the
    /// declared sizes alone. Refused if the worst case takes too long.
    pub fn slot(&self, step_millis: u64) -> Result<u64, Refusal> {
        let cells = self.shape.cells();
        obscura_privacy::slot(
            cells,
            &self.shape.vectors,
            self.rows_upper,
            self.operators,
            step_millis,
        )
        .map_err(|e| Refusal::new(e.to_string()))
    }

    /// The digest of all that decides what is run: canonical text, description, and each vector's
    /// grid, clip norm and sigma.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut vectors = Vec::new();
        for v in &self.shape.vectors {
            vectors.extend_from_slice(&v.step_exponent.to_le_bytes());
            vectors.extend_from_slice(&v.clip_squared.to_le_bytes());
            vectors.extend_from_slice(&v.sigma.to_le_bytes());
            vectors.extend_from_slice(Digest::of(v.what.as_bytes()).as_bytes());
        }
        Digest::of_parts(&[
            b"obscura plan 1",
            self.canonical.as_bytes(),
            self.description.as_bytes(),
            &vectors,
        ])
    }

    /// The canonical SQL that the plan came from.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The digest of the description that the plan was made with.
    #[must_use]
    pub fn description_digest(&self) -> Digest {
        self.description
    }

    /// How many subjects the index has room for, by the description.
    #[must_use]
    pub fn index_capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn filter(&self) -> Option<&Bool> {
        self.filter.as_ref()
    }

    pub(crate) fn keys(&self) -> &[KeyColumn] {
        &self.keys
    }

    pub(crate) fn vectors(&self) -> &[Vector] {
        &self.vectors
    }

    pub(crate) fn reads(&self) -> &BTreeSet<usize> {
        &self.reads
    }

    pub(crate) fn most_rows(&self) -> u32 {
        self.most_rows
    }
}

/// What the expressions cost on each row beyond their words and signs.
fn extra_cost(definition: &Definition, vectors: &[Vector]) -> u64 {
    let scope = &definition.scope;
    let of = |vector: &Vector| match &vector.quantity {
        Quantity::Rows(Mask::Expression(value)) => cost_of_any(value, scope),
        Quantity::Rows(Mask::Everything | Mask::Columns(_)) | Quantity::Subjects => 0,
        Quantity::Sum {
            value,
            low: _,
            high: _,
            middle: _,
        } => cost_of_num(value, scope),
    };
    let filter = definition.filter.as_ref();
    let filter = filter.map_or(0, |f| cost_of_bool(f, scope));
    vectors.iter().map(of).fold(filter, u64::saturating_add)
}

fn key(column: usize, scope: &Scope) -> Option<Key> {
    let Column { name, domain, .. } = scope.get(column)?;
    let labels = (0..domain.key_count()?)
        .filter_map(|i| domain.key_label(i))
        .collect();
    Some(Key {
        column: name.clone(),
        labels,
    })
}

fn key_column(column: usize, scope: &Scope) -> Option<KeyColumn> {
    let domain = &scope.get(column)?.domain;
    let kind = match domain {
        Domain::Category {
            values: _,
            other: _,
        } => KeyKind::Category,
        Domain::Boolean => KeyKind::Boolean,
        Domain::Integer { lowest, highest: _ } => KeyKind::Integer(*lowest),
        Domain::Date { first, last: _ } => KeyKind::Integer(i64::from(*first)),
        Domain::Number { .. } | Domain::Text { .. } => return None,
    };
    Some(KeyColumn {
        column,
        count: u32::try_from(domain.key_count()?).ok()?,
        kind,
    })
}
