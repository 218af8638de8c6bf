//! Relations against plain loops over people and rows, on random tables and random trees.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use hmac::{Hmac, KeyInit, Mac};
use obscura_model::schema::{Description, Domain, Table};
use obscura_privacy::Tally;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::Sha256;

use super::reference::{self, Field};
use super::relations::clinic;
use super::stored::{SECRETS, STORED, stored};
use super::{parse_with, plan_with};
use crate::batch::Batch;
use crate::expr::{Any, Bool};
use crate::fold::{FoldError, pieces, walk};
use crate::plan::{KeyKind, Quantity};
use crate::relation::{Item, PersonAggregate, Relation, Rows, Select, Value};
use crate::source::{Reader, Source, cuts};
use crate::{PrivatePlan, PrivateTable, TableError, mock};

pub(super) type Row = Vec<Field>;
/// By table, then by row.
pub(super) type PersonRows = Vec<Vec<Row>>;

// ---- random tables

fn field(domain: &Domain, missing: bool, rng: &mut ChaCha20Rng) -> Field {
    let known = !(missing && rng.random_range(0..4) == 0);
    match domain {
        // Quarters, so that sums are exact in any order.
        Domain::Number { highest, .. } => {
            let value = f64::from(rng.random_range(0..=(*highest as u32) * 4)) / 4.0;
            Field::Number(known.then_some(value))
        }
        Domain::Integer { highest, .. } => {
            let most = (*highest).min(200) as u32;
            Field::Number(known.then(|| f64::from(rng.random_range(0..=most))))
        }
        Domain::Category { values, .. } => {
            Field::Code(Some(rng.random_range(0..values.len() as i32)))
        }
        Domain::Boolean => Field::Truth(known.then(|| rng.random())),
        other => panic!("no {other:?} here"),
    }
}

/// Some people, of whom some are in some tables only, and some have too many rows.
pub(super) fn people(seed: u64) -> BTreeMap<u32, PersonRows> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let description = clinic();
    (0..rng.random_range(1..25u32))
        .map(|person| {
            let rows = description.tables().iter().map(|table| {
                let rows = rng.random_range(0..=table.most_rows_per_subject + 2);
                let row = |rng: &mut ChaCha20Rng| -> Row {
                    let columns = table.columns.iter();
                    columns
                        .map(|c| field(&c.domain, c.may_be_missing, rng))
                        .collect()
                };
                (0..rows).map(|_| row(&mut rng)).collect()
            });
            (person, rows.collect())
        })
        .collect()
}

fn written(table: &Table, person: u32, row: &Row) -> String {
    let cells = row
        .iter()
        .zip(&table.columns)
        .map(|(field, column)| match field {
            Field::Number(v) => v.map_or(String::new(), |v| v.to_string()),
            Field::Truth(v) => v.map_or(String::new(), |v| v.to_string()),
            Field::Code(v) => match (&column.domain, v) {
                (Domain::Category { values, .. }, Some(v)) => values[*v as usize].clone(),
                _ => String::new(),
            },
            #[allow(unreachable_patterns)]
            _ => panic!("no such field here"),
        });
    let cells: Vec<String> = cells.collect();
    format!("{},P{person}\n", cells.join(","))
}

/// Stores the tables, their lines in an order that follows from `order`.
pub(super) fn store(people: &BTreeMap<u32, PersonRows>, order: u64, folder: &Path) -> PrivateTable {
    let description = clinic();
    written_out(people, order, folder);
    stored(&description, folder)
}

/// Writes the tables as an owner has them.
pub(super) fn written_out(people: &BTreeMap<u32, PersonRows>, order: u64, folder: &Path) {
    let description = clinic();
    for (number, table) in description.tables().iter().enumerate() {
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        let head = format!("{},{}\n", names.join(","), table.subject_column);
        let mut lines: Vec<String> = people
            .iter()
            .flat_map(|(person, rows)| rows[number].iter().map(|r| written(table, *person, r)))
            .collect();
        lines.sort_by_cached_key(|line| {
            obscura_model::ids::Digest::of(format!("{order}{line}").as_bytes())
        });
        std::fs::write(folder.join(&table.source_file), head + &lines.concat()).unwrap();
    }
}

// ---- the published order of rows

fn hash(number: usize, table: &Table, row: &Row, ordinal: u64) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRETS.rows).unwrap();
    if number > 0 {
        mac.update(&[5, table.name.len() as u8, 0, 0, 0]);
        mac.update(table.name.as_bytes());
    }
    for (field, column) in row.iter().zip(&table.columns) {
        match (field, &column.domain) {
            (Field::Number(Some(v)), _) => {
                mac.update(&[1]);
                mac.update(&v.to_le_bytes());
            }
            (Field::Code(Some(code)), Domain::Category { values, .. }) => {
                let label = &values[*code as usize];
                mac.update(&[2, label.len() as u8, 0, 0, 0]);
                mac.update(label.as_bytes());
            }
            (Field::Truth(Some(truth)), _) => mac.update(&[3, u8::from(*truth)]),
            _ => mac.update(&[0]),
        }
    }
    mac.update(&ordinal.to_le_bytes());
    mac.finalize().into_bytes()[..16].to_vec()
}

pub(super) fn in_stored_order(rows: &PersonRows) -> PersonRows {
    let description = clinic();
    let tables = description.tables().iter().enumerate();
    let sorted = tables.map(|(number, table)| {
        let mut keyed: Vec<(Vec<u8>, Row)> = Vec::new();
        for (i, row) in rows[number].iter().enumerate() {
            let same = |other: &&Row| format!("{other:?}") == format!("{row:?}");
            let ordinal = rows[number][..i].iter().filter(same).count() as u64;
            keyed.push((hash(number, table, row, ordinal), row.clone()));
        }
        keyed.sort_by(|a, b| a.0.cmp(&b.0));
        keyed.into_iter().map(|(_, row)| row).collect()
    });
    sorted.collect()
}

// ---- relations, one person and one row at a time

fn is_true(condition: &Option<Bool>, row: &Row) -> bool {
    condition
        .as_ref()
        .is_none_or(|c| reference::bool(c, row) == Some(true))
}

fn of_item(item: &Item, tables: &PersonRows) -> Vec<Row> {
    match &item.rows {
        Rows::Table(table) => tables[*table].clone(),
        Rows::Select(select) => of_select(select, tables),
    }
}

pub(super) fn of_relation(relation: &Relation, tables: &PersonRows) -> Vec<Row> {
    let mut rows = of_item(&relation.first, tables);
    let mut bound = relation.first.scope.most_rows_per_subject() as usize;
    for join in &relation.joins {
        let mut other = of_item(&join.item, tables);
        let other_bound = join.item.scope.most_rows_per_subject() as usize;
        if bound == 1 || other_bound > 1 {
            rows.truncate(bound);
        }
        if other_bound == 1 || bound > 1 {
            other.truncate(other_bound);
        }
        bound *= other_bound;
        let mut joined = Vec::new();
        for left in &rows {
            let pairs = other
                .iter()
                .map(|right| [left.clone(), right.clone()].concat());
            let found: Vec<Row> = pairs.filter(|row| is_true(&join.on, row)).collect();
            if found.is_empty() && join.outer {
                let nothing = join.item.scope.columns().map(|c| match c.domain {
                    Domain::Category { .. } => Field::Code(None),
                    Domain::Boolean => Field::Truth(None),
                    _ => Field::Number(None),
                });
                joined.push(left.iter().copied().chain(nothing).collect());
            }
            joined.extend(found);
        }
        rows = joined;
    }
    rows
}

fn of_select(select: &Select, tables: &PersonRows) -> Vec<Row> {
    let mut rows = of_relation(&select.from, tables);
    rows.retain(|row| is_true(&select.filter, row));
    if let Some(person) = &select.person {
        rows.truncate(select.from.scope().most_rows_per_subject() as usize);
        if rows.is_empty() {
            return rows;
        }
        let one: Row = person
            .aggregates
            .iter()
            .map(|a| of_person(a, &rows))
            .collect();
        rows = vec![one];
        rows.retain(|row| is_true(&person.having, row));
    }
    let output = |row: &Row| {
        let outputs = select.outputs.iter().map(|o| match &o.value {
            Value::Column(column) => row[*column],
            Value::Computed(value) => of_value(value, row),
        });
        outputs.collect()
    };
    rows.iter().map(output).collect()
}

fn of_value(value: &Any, row: &Row) -> Field {
    match value {
        Any::Num(n) => Field::Number(reference::num(n, row)),
        Any::Bool(b) => Field::Truth(reference::bool(b, row)),
        Any::Category(column) => row[*column],
        other => panic!("no {other:?} here"),
    }
}

fn known(field: Field) -> Option<f64> {
    match field {
        Field::Number(v) => v,
        Field::Code(v) => v.map(f64::from),
        Field::Truth(v) => v.map(|v| f64::from(u8::from(v))),
        #[allow(unreachable_patterns)]
        _ => panic!("no such field here"),
    }
}

fn of_person(aggregate: &PersonAggregate, rows: &[Row]) -> Field {
    let all = |value: &Any| -> Vec<f64> {
        rows.iter()
            .filter_map(|r| known(of_value(value, r)))
            .collect()
    };
    let numbers = |value: &crate::expr::Num| -> Vec<f64> {
        rows.iter()
            .filter_map(|r| reference::num(value, r))
            .collect()
    };
    let truths = |value: &Bool| -> Vec<bool> {
        rows.iter()
            .filter_map(|r| reference::bool(value, r))
            .collect()
    };
    let extreme = |value: &Any, wanted: Option<f64>| match value {
        Any::Category(_) => Field::Code(wanted.map(|v| v as i32)),
        _ => Field::Number(wanted),
    };
    let some = |list: &[f64], v: f64| (!list.is_empty()).then_some(v);
    match aggregate {
        PersonAggregate::Rows => Field::Number(Some(rows.len() as f64)),
        PersonAggregate::Known(value) => Field::Number(Some(all(value).len() as f64)),
        PersonAggregate::Different(value) => {
            let mut different: Vec<u64> = all(value).iter().map(|v| v.to_bits()).collect();
            different.sort_unstable();
            different.dedup();
            Field::Number(Some(different.len() as f64))
        }
        PersonAggregate::Sum(value) => {
            let list = numbers(value);
            Field::Number(some(&list, list.iter().sum()))
        }
        PersonAggregate::Average(value) => {
            let list = numbers(value);
            Field::Number(some(&list, list.iter().sum::<f64>() / list.len() as f64))
        }
        PersonAggregate::Least(value) => {
            let list = all(value);
            extreme(value, list.iter().copied().reduce(f64::min))
        }
        PersonAggregate::Greatest(value) => {
            let list = all(value);
            extreme(value, list.iter().copied().reduce(f64::max))
        }
        PersonAggregate::Some(value) => {
            let list = truths(value);
            Field::Truth((!list.is_empty()).then(|| list.contains(&true)))
        }
        PersonAggregate::Every(value) => {
            let list = truths(value);
            Field::Truth((!list.is_empty()).then(|| !list.contains(&false)))
        }
    }
}

// ---- random queries

struct Writer {
    rng: ChaCha20Rng,
    names: usize,
}

/// A random query over the clinic's tables.
pub(super) fn random_query(seed: u64) -> String {
    let rng = ChaCha20Rng::seed_from_u64(seed);
    Writer { rng, names: 0 }.query()
}

/// A piece of FROM: its text, its name, its subject column, its numbers, and its categories.
struct Piece {
    sql: String,
    name: String,
    subject: &'static str,
    numbers: Vec<String>,
    codes: Vec<String>,
    bound: u32,
}

impl Writer {
    fn pick(&mut self, most: usize) -> usize {
        self.rng.random_range(0..most)
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("q{}", self.names)
    }

    fn table(&mut self) -> Piece {
        let name = self.name();
        let (table, subject, numbers, codes, bound) = match self.pick(3) {
            0 => ("people", "person", vec!["age", "entry"], vec!["region"], 1),
            1 => ("visits", "person", vec!["day", "cost"], vec!["code"], 3),
            _ => ("drugs", "patient", vec!["day", "dose"], vec![], 2),
        };
        let owned = |list: Vec<&str>| list.into_iter().map(|c| format!("{name}.{c}")).collect();
        Piece {
            sql: format!("{table} AS {name}"),
            subject,
            numbers: owned(numbers),
            codes: owned(codes),
            bound,
            name,
        }
    }

    fn number(&mut self, of: &Piece) -> String {
        let column = of.numbers[self.pick(of.numbers.len())].clone();
        let other = of.numbers[self.pick(of.numbers.len())].clone();
        match self.pick(5) {
            0 => format!("{column} - {other}"),
            1 => format!("LEAST({column}, 20)"),
            2 => format!("CASE WHEN {other} > 30 THEN {column} END"),
            _ => column,
        }
    }

    fn condition(&mut self, of: &Piece) -> String {
        let limit = self.pick(150);
        let number = self.number(of);
        match (self.pick(4), of.codes.first()) {
            (0, Some(code)) => format!("{code} IS NOT NULL AND {number} < {limit}"),
            (1, _) => format!("{number} IS NULL"),
            (2, _) => format!("NOT ({number} < {limit})"),
            _ => format!("{number} > {limit}"),
        }
    }

    fn from(&mut self, depth: usize) -> Piece {
        let mut left = self.item(depth);
        for _ in 0..self.pick(3) {
            let mut right = self.item(depth.saturating_sub(1));
            if left.bound * right.bound > 10_000 {
                break;
            }
            let kind = if self.pick(2) == 0 {
                "JOIN"
            } else {
                "LEFT JOIN"
            };
            let (a, b) = (left.name.clone(), right.name.clone());
            let mut on = format!("{a}.{} = {b}.{}", left.subject, right.subject);
            left.numbers.append(&mut right.numbers);
            left.codes.append(&mut right.codes);
            if self.pick(2) == 0 {
                let condition = self.condition(&left);
                on = format!("{on} AND {condition}");
            }
            left.sql = format!("{} {kind} {} ON {on}", left.sql, right.sql);
            left.bound *= right.bound;
        }
        left
    }

    fn item(&mut self, depth: usize) -> Piece {
        let kind = if depth == 0 { 0 } else { self.pick(4) };
        if kind == 0 {
            return self.table();
        }
        let from = self.from(depth - 1);
        let name = self.name();
        let subject = format!("{}.{}", from.name, from.subject);
        let filter = match self.pick(2) {
            0 => format!(" WHERE {}", self.condition(&from)),
            _ => String::new(),
        };
        let (mut numbers, mut codes) = (Vec::new(), Vec::new());
        let mut list = Vec::new();
        let mut put = |text: String, code: bool| {
            let column = format!("c{}", list.len());
            list.push(format!("{text} AS {column}"));
            let into = if code { &mut codes } else { &mut numbers };
            into.push(format!("{name}.{column}"));
        };
        let tail = if kind == 1 {
            put(self.number(&from), false);
            put(self.number(&from), false);
            from.codes.iter().for_each(|code| put(code.clone(), true));
            String::new()
        } else {
            let x = self.number(&from);
            let condition = self.condition(&from);
            for text in [
                format!("SUM({x})"),
                "COUNT(*)".to_owned(),
                format!("COUNT({x})"),
                format!("MIN({x})"),
                format!("MAX({x}) - MIN({x})"),
                format!("AVG({x})"),
                format!("CASE WHEN BOOL_OR({condition}) THEN 1 WHEN BOOL_AND({x} > 9) THEN 2 END"),
            ] {
                if self.pick(2) == 0 {
                    put(text, false);
                }
            }
            put(format!("COUNT(DISTINCT {x})"), false);
            if let Some(code) = from.codes.first() {
                put(format!("MAX({code})"), true);
            }
            let having = match self.pick(3) {
                0 => format!(" HAVING COUNT(*) > 1 OR MIN({x}) > 50"),
                _ => String::new(),
            };
            format!(" GROUP BY {subject}{having}")
        };
        Piece {
            sql: format!(
                "(SELECT {subject}, {} FROM {}{filter}{tail}) AS {name}",
                list.join(", "),
                from.sql
            ),
            bound: if kind == 1 { from.bound } else { 1 },
            subject: from.subject,
            name,
            numbers,
            codes,
        }
    }

    fn query(&mut self) -> String {
        let from = self.from(2);
        let x = self.number(&from);
        let filter = match self.pick(2) {
            0 => format!(" WHERE {}", self.condition(&from)),
            _ => String::new(),
        };
        let key = from.codes.last().cloned();
        let (first, tail) = match key {
            Some(key) if self.pick(2) == 0 => (format!("{key}, "), format!(" GROUP BY {key}")),
            _ => Default::default(),
        };
        format!(
            "SELECT {first}COUNT(*), COUNT(DISTINCT {}.{}) AS people, SUM({x}) AS s \
             FROM {}{filter}{tail}",
            from.name, from.subject, from.sql
        )
    }
}

// ---- claims

fn fields(batch: &Batch, row: usize, columns: usize) -> Row {
    let column = |c: usize| {
        let array = batch.column(c).unwrap();
        let known = array.is_valid(row);
        if let Some(values) = array.as_primitive_opt::<Float64Type>() {
            Field::Number(known.then(|| values.value(row)))
        } else if let Some(codes) = array.as_primitive_opt::<Int32Type>() {
            Field::Code(known.then(|| codes.value(row)))
        } else {
            Field::Truth(known.then(|| array.as_boolean().value(row)))
        }
    };
    (0..columns).map(column).collect()
}

/// All rows, in the order of delivery.
fn delivered(relation: &Relation, rows: &impl Source, chunk_rows: usize) -> Vec<(u32, Row)> {
    let columns = relation.scope().columns().len();
    let all = (0..columns).collect();
    let needs = relation.needs(&all);
    let cuts = cuts(rows, &needs);
    let mut reader = Reader::new(rows, &needs);
    let mut found = Vec::new();
    for (i, from) in cuts.iter().enumerate() {
        let end = cuts.get(i + 1).map_or(1 << 32, |c| u64::from(*c));
        let mut piece = reader.piece(u64::from(*from), end).unwrap();
        while let Some(chunk) = piece.chunk(chunk_rows) {
            let batch = relation.rows(&chunk, &all, chunk_rows).unwrap();
            for (subject, run) in batch.runs.iter() {
                found.extend(run.map(|row| (subject, fields(&batch, row, columns))));
            }
        }
    }
    found
}

pub(super) fn sums(plan: &PrivatePlan, rows: &impl Source, batch_rows: usize) -> Vec<Vec<i64>> {
    let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
    walk(rows, 0..pieces(rows, plan), plan, batch_rows, &mut tally).unwrap();
    tally.sums()
}

pub(super) fn by_hand(plan: &PrivatePlan, people: &[Vec<Row>]) -> Vec<Vec<i64>> {
    let cells = plan.shape().cells();
    let mut sums = vec![vec![0i64; cells]; plan.vectors().len()];
    for rows in people {
        let filter = plan.filter().cloned();
        let rows = rows.iter().filter(|r| is_true(&filter, r));
        let mut touched = vec![false; cells];
        for row in rows.take(plan.most_rows() as usize) {
            let cell = match plan.keys() {
                [] => Some(0),
                [key] => match (&key.kind, row) {
                    (KeyKind::Category(column), row) => match row[*column] {
                        Field::Code(code) => code.map(|c| c as usize),
                        _ => panic!("a category has codes"),
                    },
                    _ => panic!("keys are categories here"),
                },
                _ => panic!("one key at most here"),
            };
            let Some(cell) = cell else { continue };
            for (vector, sums) in plan.vectors().iter().zip(&mut sums) {
                sums[cell] += match &vector.quantity {
                    Quantity::Rows(crate::expr::Mask::Everything) => 1024,
                    Quantity::Sum { value, .. } => {
                        let steps = 2f64.powi(-vector.grid.exponent);
                        let value = reference::num(value, row).unwrap_or(0.0);
                        (value * steps).round_ties_even() as i64
                    }
                    _ if touched[cell] => 0,
                    _ => 1024,
                };
            }
            touched[cell] = true;
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn relations_agree_with_plain_loops(seed in any::<u64>(), chunk in 1usize..40) {
        let sql = random_query(seed);
        let query = parse_with(&sql, &clinic()).unwrap_or_else(|r| panic!("{sql}: {r}"));
        let canonical = query.canonical();
        let again = parse_with(&canonical, &clinic()).unwrap_or_else(|r| panic!("{canonical}: {r}"));
        prop_assert_eq!(&again, &query, "{}", canonical);
        prop_assert!(query.in_words().contains("The rows are those of"));

        let people = people(seed);
        let folder = tempfile::tempdir().unwrap();
        let table = store(&people, 0, folder.path());
        let plan = plan_with(&sql, &clinic()).unwrap();
        let mut expected: Vec<Vec<Row>> = people
            .values()
            .map(|rows| of_relation(plan.relation(), &in_stored_order(rows)))
            .collect();
        prop_assert_eq!(sums(&plan, &table.rows(), chunk), by_hand(&plan, &expected), "{}", sql);

        // Row by row, in order; people stand in the order of their index.
        let mut by_subject: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
        for (subject, row) in delivered(plan.relation(), &table.rows(), chunk) {
            by_subject.entry(subject).or_default().push(row);
        }
        let text = |rows: &Vec<Row>| format!("{rows:?}");
        let mut found: Vec<String> = by_subject.values().map(text).collect();
        expected.retain(|rows| !rows.is_empty());
        let mut expected: Vec<String> = expected.iter().map(text).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected, "{}", sql);

        // A bound holds for every subject, before the last cut where it must.
        let shuffled = store(&people, seed, folder.path());
        let expected = sums(&plan, &table.rows(), 8192);
        prop_assert_eq!(&sums(&plan, &shuffled.rows(), 1), &expected, "{}", sql);
        prop_assert_eq!(&sums(&plan, &shuffled.rows(), chunk), &expected, "{}", sql);
    }

    #[test]
    fn mock_rows_go_the_same_way(seed in any::<u64>()) {
        let sql = random_query(seed);
        let plan = plan_with(&sql, &clinic()).unwrap();
        let rows = mock::rows_for(&plan, &clinic(), seed);
        let expected = sums(&plan, &mock::rows(&clinic(), seed), 8192);
        prop_assert_eq!(&sums(&plan, &rows, 7), &expected, "{}", sql);
    }
}

#[test]
fn mock_subjects_may_have_no_row_in_other_tables() {
    let count = |sql: &str| {
        let plan = plan_with(sql, &clinic()).unwrap();
        sums(&plan, &mock::rows(&clinic(), 3), 100)[0][0] / 1024
    };
    // The geometric middle of 10 and 1,000.
    assert_eq!(count("SELECT COUNT(DISTINCT person) FROM people"), 100);
    let seen = count("SELECT COUNT(DISTINCT person) FROM people JOIN visits USING (person)");
    assert!((50..100).contains(&seen), "{seen}");
}

#[test]
fn a_version_is_all_of_its_tables_together() {
    let folder = tempfile::tempdir().unwrap();
    let table = store(&people(8), 0, folder.path());
    let main = folder.path().join(STORED);
    let other = folder.path().join("d-1-1.table");
    assert!(main.exists() && other.exists() && folder.path().join("d-1-2.table").exists());
    let bytes = std::fs::read(&other).unwrap();
    // Another version's file in its place: whole, but not the one that was registered.
    let elsewhere = tempfile::tempdir().unwrap();
    store(&people(9), 0, elsewhere.path());
    std::fs::copy(elsewhere.path().join("d-1-1.table"), &other).unwrap();
    let reopened = PrivateTable::open(&main, &clinic()).unwrap();
    assert_ne!(reopened.digest(), table.digest());
    // Damage after opening is found when the rows are read.
    let plan = plan_with(
        "SELECT SUM(cost) AS s FROM people JOIN visits USING (person)",
        &clinic(),
    )
    .unwrap();
    std::fs::write(&other, &bytes).unwrap();
    let whole = sums(&plan, &table.rows(), 8192);
    let mut found = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&other, &damaged).unwrap();
        let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
        match walk(&table.rows(), 0..1, &plan, 8192, &mut tally) {
            Err(FoldError::Store) => found += 1,
            // Another column, or the directory, which was read before.
            result => assert!(result.is_ok() && tally.sums() == whole),
        }
    }
    assert!(
        found > 8,
        "{found} bytes of whose rows they are and what they cost"
    );
    std::fs::remove_file(&other).unwrap();
    assert!(matches!(
        PrivateTable::open(&main, &clinic()),
        Err(TableError::Read { .. })
    ));
}

#[test]
fn groups_of_several_tables_are_cut_into_the_same_pieces() {
    // Visits fill more groups than people; some people have no visit, and some visits come before
    // the first of the people.
    let folder = tempfile::tempdir().unwrap();
    let description = Description::from_toml(
        &super::relations::CLINIC.replace("subjects = [10, 1000]", "subjects = [10, 60000]"),
    )
    .unwrap();
    let people: String = (0..50_000)
        .filter(|p| p % 10 != 0)
        .map(|p| format!("P{p},{},N,{}\n", p % 100, p % 365))
        .collect();
    let visits: String = (0..50_000)
        .filter(|p| p % 7 != 0)
        .flat_map(|p| (0..4).map(move |v| format!("P{p},{v},{v},I21,true\n")))
        .collect();
    let write = |name: &str, head: &str, body: &str| {
        std::fs::write(folder.path().join(name), format!("{head}\n{body}")).unwrap();
    };
    write("people.csv", "person,age,region,entry", &people);
    write("visits.csv", "person,day,cost,code,urgent", &visits);
    write("drugs.csv", "patient,day,dose", "");
    let rows = stored(&description, folder.path()).rows();
    assert!(rows.spans(1).len() > rows.spans(0).len());
    let both = (0..50_000).filter(|p| p % 10 != 0 && p % 7 != 0).count() as i64;
    let neither = (0..50_000).filter(|p| p % 10 != 0 && p % 7 == 0).count() as i64;
    let plan = plan_with(
        "SELECT COUNT(*), COUNT(DISTINCT person) FROM people JOIN visits USING (person)",
        &description,
    );
    let plan = plan.unwrap();
    assert!(pieces(&rows, &plan) > 1);
    assert_eq!(sums(&plan, &rows, 1000), [[3 * both * 1024], [both * 1024]]);
    // Each piece on its own, as threads have them.
    let mut apart = 0;
    for piece in 0..pieces(&rows, &plan) {
        let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
        walk(&rows, piece..piece + 1, &plan, 8192, &mut tally).unwrap();
        apart += tally.sums()[1][0];
    }
    assert_eq!(apart, both * 1024);
    let plan = plan_with(
        "SELECT COUNT(*) FROM people LEFT JOIN visits USING (person) WHERE cost IS NULL",
        &description,
    );
    assert_eq!(sums(&plan.unwrap(), &rows, 8192), [[neither * 1024]]);
}
