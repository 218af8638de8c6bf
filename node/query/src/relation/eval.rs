//! The rows of a relation, for some subjects at a time. Every step is over arrays; what it gives
//! for a subject follows from that subject's rows alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_buffer::BooleanBuffer;

use super::{Item, Join, Person, Relation, Rows, Select, Value, number};
use crate::batch::{Batch, missing};
use crate::eval::{BadRows, Slices};
use crate::expr::{Any, Bool};
use crate::runs::Runs;
use crate::scope::Scope;
use crate::source::Chunk;

/// No row of the other side.
const NONE: u32 = u32::MAX;

impl Relation {
    /// All rows of the subjects of a chunk, with these columns. Expressions are evaluated over
    /// `slice` rows at once: a join can have many more.
    pub(crate) fn rows(
        &self,
        chunk: &Chunk,
        wanted: &BTreeSet<usize>,
        slice: usize,
    ) -> Result<Batch, BadRows> {
        let all = self.with_conditions(wanted);
        let mut offset = self.first.scope.columns().len();
        let mut rows = self.first.rows(chunk, &within(&all, 0, offset), slice)?;
        let mut scope = &self.first.scope;
        for join in &self.joins {
            let end = offset + join.item.scope.columns().len();
            let other = join.item.rows(chunk, &within(&all, offset, end), slice)?;
            rows = join.rows(rows, scope, other, slice)?;
            (offset, scope) = (end, &join.scope);
        }
        Ok(rows.only(|column| wanted.contains(&column)))
    }
}

/// The positions of one item's columns among its own.
fn within(all: &BTreeSet<usize>, start: usize, end: usize) -> BTreeSet<usize> {
    all.range(start..end).map(|c| c - start).collect()
}

impl Item {
    fn rows(
        &self,
        chunk: &Chunk,
        wanted: &BTreeSet<usize>,
        slice: usize,
    ) -> Result<Batch, BadRows> {
        match &self.rows {
            Rows::Table(table) => Ok(match chunk.get(table) {
                Some(batch) => batch.only(|column| wanted.contains(&column)),
                None => nothing(&self.scope, wanted),
            }),
            Rows::Select(select) => select.rows(chunk, wanted, slice),
        }
    }
}

fn nothing(scope: &Scope, wanted: &BTreeSet<usize>) -> Batch {
    let columns = scope.columns().enumerate();
    Batch::empty(columns.map(|(c, column)| wanted.contains(&c).then_some(&column.domain)))
}

impl Select {
    fn rows(
        &self,
        chunk: &Chunk,
        wanted: &BTreeSet<usize>,
        slice: usize,
    ) -> Result<Batch, BadRows> {
        let from = self.from.rows(chunk, &self.wanted(wanted), slice)?;
        let rows = filtered(from, self.filter.as_ref(), slice)?;
        let rows = match &self.person {
            None => rows,
            Some(person) => {
                let most = self.from.scope().most_rows_per_subject();
                person.rows(&rows.cut(most)?, slice)?
            }
        };
        let outputs = self.outputs.iter().enumerate();
        let columns = outputs.map(|(o, output)| match wanted.contains(&o) {
            true => value(&rows, &output.value, slice).map(Some),
            false => Ok(None),
        });
        Ok(Batch {
            columns: columns.collect::<Result<_, _>>()?,
            runs: rows.runs.clone(),
        })
    }
}

impl Person {
    fn rows(&self, rows: &Batch, slice: usize) -> Result<Batch, BadRows> {
        let columns = self.aggregates.iter().zip(self.scope.columns());
        let columns = columns.map(|(a, c)| a.values(rows, &c.domain, slice).map(Some));
        let persons = Batch {
            runs: rows.runs.with_rows(|_| 1),
            columns: columns.collect::<Result<_, _>>()?,
        };
        filtered(persons, self.having.as_ref(), slice)
    }
}

fn filtered(rows: Batch, condition: Option<&Bool>, slice: usize) -> Result<Batch, BadRows> {
    match condition {
        None => Ok(rows),
        Some(condition) => {
            let matches = over(&rows, slice).matches(condition)?;
            rows.filtered(&matches)
        }
    }
}

fn over(batch: &Batch, rows: usize) -> Slices<'_> {
    Slices { batch, rows }
}

/// A value for each row.
fn value(rows: &Batch, value: &Value, slice: usize) -> Result<ArrayRef, BadRows> {
    let row = over(rows, slice);
    match value {
        Value::Column(column) => rows.column(*column).cloned(),
        Value::Computed(value) => match (number(value), value) {
            (Some(n), _) => Ok(Arc::new(row.num(n)?)),
            (None, Any::Bool(b)) => Ok(Arc::new(row.bool(b)?)),
            (None, Any::Category(column)) => rows.column(*column).cloned(),
            _ => Err(BadRows),
        },
    }
}

impl Join {
    fn rows(
        &self,
        left: Batch,
        scope: &Scope,
        right: Batch,
        slice: usize,
    ) -> Result<Batch, BadRows> {
        let (most_left, most_right) = (
            scope.most_rows_per_subject(),
            self.item.scope.most_rows_per_subject(),
        );
        let both = most_left > 1 && most_right > 1;
        let cut = |rows: Batch, most: u32| {
            if most == 1 || both {
                rows.cut(most)
            } else {
                Ok(rows)
            }
        };
        let (left, right) = (cut(left, most_left)?, cut(right, most_right)?);
        let pairs = pairs(&left, &right, self.outer && self.on.is_none());
        let Some(on) = &self.on else {
            return together(&left, &right, &self.item.scope, &pairs);
        };
        let matched = together(&left, &right, &self.item.scope, &pairs)?;
        let matches = over(&matched, slice).matches(on)?;
        if self.outer {
            let kept = with_unmatched(&left, &pairs, &matches);
            together(&left, &right, &self.item.scope, &kept)
        } else {
            matched.filtered(&matches)
        }
    }
}

/// Rows of the left side, each with one of the right side or none.
#[derive(Default)]
struct Pairs {
    left: Vec<u32>,
    right: Vec<u32>,
    /// Whose they are, and how many rows each has.
    people: Vec<(u32, usize)>,
}

impl Pairs {
    fn push(&mut self, left: usize, right: u32) {
        // A chunk has far fewer rows than 32 bits.
        self.left.push(left as u32);
        self.right.push(right);
    }

    /// The pairs from `before` on are this subject's.
    fn close(&mut self, subject: u32, before: usize) {
        if self.left.len() > before {
            self.people.push((subject, self.left.len() - before));
        }
    }
}

/// A merge on the subject: all pairs, by the left side's rows first.
fn pairs(left: &Batch, right: &Batch, outer: bool) -> Pairs {
    let mut rights = right.runs.iter().peekable();
    let mut pairs = Pairs::default();
    for (subject, run) in left.runs.iter() {
        let before = pairs.left.len();
        while rights.next_if(|(other, _)| *other < subject).is_some() {}
        match rights.peek().filter(|(other, _)| *other == subject) {
            Some((_, others)) => {
                for row in run {
                    others.clone().for_each(|o| pairs.push(row, o as u32));
                }
            }
            None if outer => run.for_each(|row| pairs.push(row, NONE)),
            None => {}
        }
        pairs.close(subject, before);
    }
    pairs
}

/// The pairs that match, and each left row without one.
fn with_unmatched(left: &Batch, pairs: &Pairs, matches: &BooleanBuffer) -> Pairs {
    let mut kept = Pairs::default();
    let mut next = 0;
    for (subject, run) in left.runs.iter() {
        let before = kept.left.len();
        for row in run {
            let mut found = false;
            while pairs.left.get(next).is_some_and(|l| *l as usize == row) {
                if matches.value(next) {
                    found = true;
                    kept.push(row, pairs.right.get(next).copied().unwrap_or(NONE));
                }
                next += 1;
            }
            if !found {
                kept.push(row, NONE);
            }
        }
        kept.close(subject, before);
    }
    kept
}

fn together(
    left: &Batch,
    right: &Batch,
    right_scope: &Scope,
    pairs: &Pairs,
) -> Result<Batch, BadRows> {
    let mut columns = taken(left, &pairs.left)?;
    if right.len() == 0 {
        // Nothing to take from: every position is missing.
        let rows = pairs.right.len();
        let kinds = right.columns.iter().zip(right_scope.columns());
        columns.extend(kinds.map(|(a, c)| a.as_ref().map(|_| missing(&c.domain, rows))));
    } else {
        columns.extend(taken(right, &pairs.right)?);
    }
    Ok(Batch {
        runs: Runs::new(pairs.people.iter().copied()),
        columns,
    })
}

/// The rows at these positions; [`NONE`] gives missing values.
fn taken(from: &Batch, rows: &[u32]) -> Result<Vec<Option<ArrayRef>>, BadRows> {
    let as_they_are = from.len() == rows.len() && rows.iter().copied().eq(0..rows.len() as u32);
    if as_they_are {
        return Ok(from.columns.clone());
    }
    let positions = if rows.contains(&NONE) {
        UInt32Array::from_iter(rows.iter().map(|r| (*r != NONE).then_some(*r)))
    } else {
        UInt32Array::from(rows.to_vec())
    };
    from.taken(&positions)
}
