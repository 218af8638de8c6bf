//! The private plan: what is summed for each row, on which grid, within which bounds, with how
//! much noise. Public, a function of text, description and accuracy.

mod noise;
mod quantity;
mod slices;
mod vectors;
mod warnings;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::answer::{Discovered, Key, Shape, VectorShape};
use obscura_model::exposure::{Delta, Rho};
use obscura_model::ids::Digest;
use obscura_model::schema::{Description, Domain, TextKeys};
use obscura_privacy::{KeyWork, RowWork, capacity};

use crate::expr::{Bool, Num};
use crate::lower::keys;
use crate::query::{Definition, KeyDefinition, KeyValue, ValidatedQuery};
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::scope::Scope;
use crate::source::Needs;

pub(crate) use quantity::Quantity;
pub(crate) use vectors::{COUNT_SCALE, Vector};

/// What a signed request asks for besides its query and accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanOptions {
    /// Whether the share of the declared number of subjects who are active is released too, for a
    /// price of its own.
    pub coverage: bool,
    /// Whether the number of subjects who lost rows or parts of values is released too, for a
    /// price of its own.
    pub count_clipped: bool,
    /// The owner's minimum cell size: it needs the number of subjects in every cell, which is
    /// released, priced and charged unless the query asks for it anyway.
    pub minimum_cell: Option<u32>,
}

/// One group key: where its number comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyColumn {
    /// The number of groups.
    pub(crate) count: u32,
    pub(crate) kind: KeyKind,
}

/// How a row gets a key's number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeyKind {
    /// The stored code of a column.
    Category(usize),
    /// A column's value minus this.
    Integer(usize, i64),
    /// By the stored code of a column; last of a missing one. Nothing is no group.
    Coded(usize, Vec<Option<u32>>),
    /// The place of the value in this list, which ascends.
    Listed(Num, Vec<(f64, u32)>),
}

/// A plan that can be priced, signed, and, with a permit, run. Public.
#[derive(Debug, Clone, PartialEq)]
pub struct PrivatePlan {
    description: Digest,
    canonical: String,
    filter: Option<Bool>,
    /// The declared keys.
    keys: Vec<KeyColumn>,
    found: Option<(usize, TextKeys)>,
    vectors: Vec<Vector>,
    relation: Relation,
    reads: BTreeSet<usize>,
    of_matching: Option<BTreeSet<usize>>,
    needs: Needs,
    most_rows: u32,
    slice_rows: usize,
    capacity: u64,
    work: RowWork,
    shape: Shape,
    price: Rho,
    warnings: Vec<String>,
}

impl PrivatePlan {
    pub(crate) fn make(
        query: &ValidatedQuery,
        description: &Description,
        accuracy: &AccuracyRequest,
        minimum: Option<Rho>,
        delta: Delta,
        options: &PlanOptions,
    ) -> Result<Self, Refusal> {
        let definition = query.definition();
        let drawn = vectors::draw(definition, options)?;
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
        let sigmas = noise::sigmas(&drawn, accuracy, minimum, delta)?;
        let vectors = drawn
            .vectors
            .iter()
            .zip(sigmas)
            .map(|(v, sigma)| VectorShape {
                what: v.what.clone(),
                step_exponent: v.grid.exponent,
                clip_squared: v.clip_squared,
                sigma,
                parts: v.parts,
                grouped: v.grouped,
            });
        let shape = Shape {
            keys: definition.keys.iter().map(|k| key(k, drawn.gate)).collect(),
            vectors: vectors.collect(),
            outputs: drawn.outputs,
            arrange: drawn.arrange,
            disclosure: drawn.disclosure,
        };
        let price = shape.price().map_err(|e| Refusal::new(e.to_string()))?;
        let canonical = query.canonical();
        let needs = needs(definition, &drawn.vectors, description);
        let work = work::of_rows(definition, &drawn.vectors, &needs, description, &canonical)?;
        let scope = &definition.scope;
        let keys = definition.keys.iter().filter_map(|k| key_column(k, scope));
        let keys: Vec<KeyColumn> = keys.collect();
        let slice_rows = slices::rows(definition, &drawn.vectors, &keys)?;
        let plan = Self {
            description: description.digest(),
            filter: definition.filter.clone(),
            of_matching: of_matching(definition, &drawn.vectors),
            keys,
            found: found(&definition.keys),
            warnings: warnings::of(definition, &shape),
            relation: definition.relation.clone(),
            needs,
            vectors: drawn.vectors,
            reads: definition.columns(),
            most_rows,
            slice_rows,
            capacity,
            work,
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
        if let Some((_, keys)) = &self.found {
            let keys = self.key_work(keys)?;
            return obscura_privacy::slot_with_keys(
                cells,
                &self.shape.vectors,
                &self.work,
                &keys,
                step_millis,
            )
            .map_err(|e| Refusal::new(e.to_string()));
        }
        obscura_privacy::slot(cells, &self.shape.vectors, &self.work, step_millis)
            .map_err(|e| Refusal::new(e.to_string()))
    }

    /// What finding keys takes at most: everybody may have keys that nobody else has.
    fn key_work(&self, keys: &TextKeys) -> Result<KeyWork, Refusal> {
        if self.shape.threshold().is_none() {
            return Err(
                Refusal::new("the noise is too large for keys that nobody declared")
                    .suggest("ask for less noise, or group by a declared column"),
            );
        }
        let vectors = &self.shape.vectors;
        let discovered = self.shape.discovered();
        let gate = discovered.and_then(|d| vectors.get(d.gate));
        let grouped = vectors.iter().filter(|v| v.grouped);
        Ok(KeyWork {
            keys: self.capacity.saturating_mul(keys.per_person.into()),
            gate_sigma: gate.map_or(u64::MAX, |g| g.sigma),
            label_bytes: discovered.map_or(u64::MAX, |d| d.label_bytes() as u64),
            numbers: grouped.map(|v| u64::from(v.parts)).sum(),
        })
    }

    /// The digest of all that decides what is run: canonical text, description, and each vector's
    /// grid, clip norm, sigma and form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut vectors = Vec::new();
        for v in &self.shape.vectors {
            vectors.extend_from_slice(&v.step_exponent.to_le_bytes());
            vectors.extend_from_slice(&v.clip_squared.to_le_bytes());
            vectors.extend_from_slice(&v.sigma.to_le_bytes());
            vectors.extend_from_slice(&v.parts.to_le_bytes());
            vectors.push(u8::from(v.grouped));
            vectors.extend_from_slice(Digest::of(v.what.as_bytes()).as_bytes());
        }
        Digest::of_parts(&[
            b"obscura plan 2",
            self.canonical.as_bytes(),
            self.description.as_bytes(),
            &vectors,
        ])
    }

    /// What public hints say against the query, in sentences; empty if nothing.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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

    /// The names of all tables whose rows are read, also of those of which it only matters whether
    /// or how often somebody is there, in declared order; nothing if the dataset has one table.
    #[must_use]
    pub fn tables_read(&self, description: &Description) -> Vec<String> {
        match description.tables() {
            [_] => Vec::new(),
            tables => {
                let read = self.needs.keys().filter_map(|table| tables.get(*table));
                read.map(|table| table.name.clone()).collect()
            }
        }
    }

    /// How many subjects the index has room for, by the description.
    #[must_use]
    pub fn index_capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn filter(&self) -> Option<&Bool> {
        self.filter.as_ref()
    }

    /// The column in which keys are found, and their rule, if they are not declared.
    pub(crate) fn found(&self) -> Option<(usize, TextKeys)> {
        self.found
    }

    pub(crate) fn keys(&self) -> &[KeyColumn] {
        &self.keys
    }

    /// Whether subjects without a row in the relation add something too.
    pub(crate) fn counts_everybody(&self) -> bool {
        counts_everybody(&self.vectors)
    }

    pub(crate) fn vectors(&self) -> &[Vector] {
        &self.vectors
    }

    pub(crate) fn reads(&self) -> &BTreeSet<usize> {
        &self.reads
    }

    /// The columns that are read of rows that match, if there is a condition and the rows for which
    /// it is not TRUE say nothing.
    pub(crate) fn of_matching(&self) -> Option<&BTreeSet<usize>> {
        self.of_matching.as_ref()
    }

    /// Where the rows come from.
    pub(crate) fn relation(&self) -> &Relation {
        &self.relation
    }

    /// The columns of tables that are read.
    pub(crate) fn needs(&self) -> &Needs {
        &self.needs
    }

    pub(crate) fn most_rows(&self) -> u32 {
        self.most_rows
    }

    #[cfg(test)]
    pub(crate) fn row_work(&self) -> &RowWork {
        &self.work
    }

    /// The most rows that an expression is evaluated over at once.
    pub(crate) fn slice_rows(&self) -> usize {
        self.slice_rows
    }
}

/// The columns that are read, by table: of every table at least who has rows in it if everybody is
/// counted.
fn needs(definition: &Definition, vectors: &[Vector], description: &Description) -> Needs {
    let mut needs = definition.relation.needs(&definition.columns());
    if counts_everybody(vectors) {
        for table in 0..description.tables().len() {
            needs.entry(table).or_default();
        }
    }
    needs
}

/// The columns that are read of rows that match, if others need not be looked at.
fn of_matching(definition: &Definition, vectors: &[Vector]) -> Option<BTreeSet<usize>> {
    let all = |v: &Vector| matches!(v.quantity, Quantity::Everybody | Quantity::Cut(_));
    let needed = definition.filter.is_some() && !vectors.iter().any(all);
    needed.then(|| definition.columns_of_matching())
}

fn counts_everybody(vectors: &[Vector]) -> bool {
    vectors.iter().any(|v| v.quantity == Quantity::Everybody)
}

fn key(key: &KeyDefinition, gate: Option<usize>) -> Key {
    let discovered = |(gate, keys): (usize, TextKeys)| {
        let TextKeys {
            per_person,
            most,
            characters,
            delta,
        } = keys;
        Discovered {
            gate,
            per_person,
            most,
            characters,
            delta,
        }
    };
    Key {
        column: key.name.clone(),
        labels: key.labels.clone(),
        discovered: gate.zip(key.value.found()).map(discovered),
    }
}

/// The column in which keys are found, and their rule.
fn found(keys: &[KeyDefinition]) -> Option<(usize, TextKeys)> {
    keys.iter().find_map(|k| match &k.value {
        KeyValue::Found { column, keys } => Some((*column, *keys)),
        _ => None,
    })
}

fn key_column(key: &KeyDefinition, scope: &Scope) -> Option<KeyColumn> {
    let listed = |value: Num, values: &[f64]| {
        // At most as many as cells, far below 32 bits.
        let mut places: Vec<(f64, u32)> = values.iter().copied().zip(0u32..).collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        KeyKind::Listed(value, places)
    };
    let kind = match &key.value {
        KeyValue::Found { column: _, keys: _ } => return None,
        KeyValue::Category(column) => KeyKind::Category(*column),
        KeyValue::Truth(condition) => listed(keys::truth(condition), &[0.0, 1.0]),
        KeyValue::Number { value, values } => {
            let lowest = match value {
                Num::Column(column) => match scope.get(*column).map(|c| &c.domain) {
                    Some(Domain::Integer { lowest, highest: _ }) => Some((*column, *lowest)),
                    Some(Domain::Date { first, last: _ }) => Some((*column, i64::from(*first))),
                    _ => None,
                },
                _ => None,
            };
            match lowest {
                Some((column, lowest)) => KeyKind::Integer(column, lowest),
                None => listed(value.clone(), values),
            }
        }
        KeyValue::Made {
            value: _,
            column,
            texts,
        } => {
            // At most as many as cells, far below 32 bits.
            let places: BTreeMap<&String, u32> = key.labels.iter().zip(0u32..).collect();
            let place = |text: &Option<String>| places.get(text.as_ref()?).copied();
            KeyKind::Coded(*column, texts.iter().map(place).collect())
        }
        KeyValue::Texts(case) => {
            let numbers: Vec<f64> = (0..key.labels.len()).map(|i| i as f64).collect();
            listed(keys::numbered(case, &key.labels), &numbers)
        }
    };
    Some(KeyColumn {
        count: u32::try_from(key.labels.len()).unwrap_or(u32::MAX),
        kind,
    })
}
