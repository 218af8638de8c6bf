//! Where a query's rows come from: tables, per-subject subqueries, and joins on the subject.
//!
//! Every relation delivers rows in subject order, and a subject's rows follow from that subject's
//! stored rows alone, in an order that depends on the stored order only:
//!
//! * a table: its rows in stored order;
//! * a SELECT over rows: those rows of its input for which WHERE is TRUE;
//! * a SELECT that groups by the subject: one row for each subject with a matching row, computed
//!   from the first so many matching rows, by the bound of its input;
//! * a join: for each row of the left side, in order, the matching rows of the right side, in
//!   order. A side with a bound of one row is cut to it first; if both sides have larger bounds,
//!   both are cut to theirs first. A side with a larger bound than one beside a side of one row is
//!   not cut, so that WHERE chooses among all of its rows.
//!
//! The worst case of the work is public: at most [`MOST_JOINED_ROWS`] rows of a subject from a
//! join of two sides that both have several. Rows that are stored beyond the declared maximum, at
//! most [`KEPT_TIMES`](crate::ingest::KEPT_TIMES) times as many, are read and filtered, and cut
//! before they meet another side with several.

mod cost;
mod eval;
mod person;
mod print;
mod width;

use std::collections::BTreeSet;

use obscura_model::schema::Domain;

use crate::expr::{Any, Bool, Num};
use crate::scope::Scope;
use crate::source::Needs;

/// The most rows of one subject that a join of two sides with several rows each may give.
pub(crate) const MOST_JOINED_ROWS: u32 = 10_000;

/// The most tables that one query reads, each as often as it is named.
pub(crate) const MOST_TABLES: usize = 16;

/// About the most bytes that a join gives at once, on one thread; one subject may need more.
const CHUNK_BYTES: u64 = 1 << 27;

/// Rows in subject order: FROM with its joins. Public.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relation {
    pub(crate) first: Item,
    pub(crate) joins: Vec<Join>,
}

/// A table or a subquery by the name that the query gives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) rows: Rows,
    /// The columns that it shows, all under its name.
    pub(crate) scope: Scope,
}

/// Where the rows of an item come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rows {
    /// A described table, by position.
    Table(usize),
    /// A subquery.
    Select(Box<Select>),
}

/// One more side, joined on the subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Join {
    pub(crate) item: Item,
    /// LEFT JOIN: rows of the left side without a match stay, with missing values.
    pub(crate) outer: bool,
    /// What must be TRUE besides, over `scope`.
    pub(crate) on: Option<Bool>,
    /// The columns of all sides so far and of this one.
    pub(crate) scope: Scope,
}

/// A subquery.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Select {
    pub(crate) from: Relation,
    pub(crate) filter: Option<Bool>,
    /// GROUP BY the subject, if it does.
    pub(crate) person: Option<Person>,
    /// The side of `from` whose subject column is named.
    pub(crate) subject: usize,
    /// Over the columns of `from`, or over those of `person`.
    pub(crate) outputs: Vec<Output>,
}

/// One row for each subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Person {
    pub(crate) aggregates: Vec<PersonAggregate>,
    /// The aggregates as columns, which have no names.
    pub(crate) scope: Scope,
    pub(crate) having: Option<Bool>,
}

/// What is computed from one subject's rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PersonAggregate {
    /// COUNT(*).
    Rows,
    /// COUNT(x).
    Known(Any),
    /// COUNT(DISTINCT x) of a number or a category.
    Different(Any),
    Sum(Num),
    Average(Num),
    /// MIN and MAX of a number, a day or a category (in declared order).
    Least(Any),
    Greatest(Any),
    /// BOOL_OR and BOOL_AND: missing conditions count neither way.
    Some(Bool),
    Every(Bool),
}

/// A column that a subquery shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// What an output shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A column as it is.
    Column(usize),
    /// An expression.
    Computed(Any),
}

/// The number that a value is kept as, if it is kept as one.
pub(crate) fn number(value: &Any) -> Option<&Num> {
    match value {
        Any::Num(n) | Any::Date(n) => Some(n),
        _ => None,
    }
}

impl Relation {
    /// The columns after all joins.
    pub(crate) fn scope(&self) -> &Scope {
        self.joins.last().map_or(&self.first.scope, |j| &j.scope)
    }

    /// Everything that FROM and its joins name.
    fn items(&self) -> impl Iterator<Item = &Item> {
        std::iter::once(&self.first).chain(self.joins.iter().map(|j| &j.item))
    }

    /// How often tables are read.
    pub(crate) fn tables(&self) -> usize {
        self.items().map(Item::tables).sum()
    }

    /// The columns of tables that are read if these columns of the relation are.
    pub(crate) fn needs(&self, wanted: &BTreeSet<usize>) -> Needs {
        let mut needs = Needs::new();
        self.add_needs(wanted, &mut needs);
        needs
    }

    fn add_needs(&self, wanted: &BTreeSet<usize>, needs: &mut Needs) {
        let all = self.with_conditions(wanted);
        let mut offset = 0;
        for item in self.items() {
            let end = offset + item.scope.columns().len();
            let own = all.range(offset..end).map(|c| c - offset).collect();
            offset = end;
            match &item.rows {
                Rows::Table(table) => needs.entry(*table).or_default().extend(own),
                Rows::Select(select) => {
                    let inner = select.wanted(&own);
                    select.from.add_needs(&inner, needs);
                }
            }
        }
    }

    /// How many rows of one subject are handled at most, over all steps: what the slot is computed
    /// from.
    pub(crate) fn work(&self) -> u64 {
        let items = self.items().map(|item| match &item.rows {
            Rows::Table(_) => u64::from(item.scope.most_rows_per_subject()),
            Rows::Select(select) => {
                let from = select.from.scope().most_rows_per_subject();
                select.from.work().saturating_add(from.into())
            }
        });
        let joins = self
            .joins
            .iter()
            .map(|j| u64::from(j.scope.most_rows_per_subject()));
        items.chain(joins).fold(0, u64::saturating_add)
    }

    /// About how many rows of a table may be looked at together, so that joins of them fit the
    /// memory: from declared bounds alone.
    pub(crate) fn chunk_rows(&self, wanted: &BTreeSet<usize>) -> usize {
        let rows = CHUNK_BYTES / self.widest(wanted).max(1);
        usize::try_from(rows).unwrap_or(usize::MAX).max(1)
    }

    /// The most bytes that any join gives for one subject.
    fn widest(&self, wanted: &BTreeSet<usize>) -> u64 {
        let all = self.with_conditions(wanted);
        let mut offset = 0;
        let mut widest = 0;
        for item in self.items() {
            let end = offset + item.scope.columns().len();
            if let Rows::Select(select) = &item.rows {
                let own = all.range(offset..end).map(|c| c - offset).collect();
                widest = widest.max(select.from.widest(&select.wanted(&own)));
            }
            offset = end;
        }
        for join in &self.joins {
            let columns = all.iter().filter_map(|c| join.scope.get(*c));
            let row = columns.map(|c| width(&c.domain)).sum::<u64>() + 8;
            let rows = u64::from(join.scope.most_rows_per_subject());
            widest = widest.max(row.saturating_mul(rows));
        }
        widest
    }

    /// These columns and those that joins look at.
    fn with_conditions(&self, wanted: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = wanted.clone();
        let conditions = self.joins.iter().flat_map(|j| &j.on);
        conditions.for_each(|on| on.columns(&mut all));
        all
    }
}

/// The most bytes of one value.
fn width(domain: &Domain) -> u64 {
    match domain {
        Domain::Text { most_characters } => 4 * u64::from(*most_characters),
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Category { .. }
        | Domain::Boolean
        | Domain::Date { .. } => 8,
    }
}

impl Item {
    pub(crate) fn tables(&self) -> usize {
        match &self.rows {
            Rows::Table(_) => 1,
            Rows::Select(select) => select.from.tables(),
        }
    }
}

impl Select {
    /// The columns that outputs and conditions are over.
    pub(crate) fn scope(&self) -> &Scope {
        match &self.person {
            Some(person) => &person.scope,
            None => self.from.scope(),
        }
    }

    /// The columns of `from` that are read if these outputs are.
    fn wanted(&self, outputs: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut wanted = BTreeSet::new();
        if let Some(filter) = &self.filter {
            filter.columns(&mut wanted);
        }
        match &self.person {
            Some(person) => person
                .aggregates
                .iter()
                .for_each(|a| a.columns(&mut wanted)),
            None => wanted.extend(self.read(outputs)),
        }
        wanted
    }

    /// The columns that these outputs read.
    fn read(&self, outputs: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut read = BTreeSet::new();
        for output in outputs.iter().filter_map(|o| self.outputs.get(*o)) {
            match &output.value {
                Value::Column(column) => {
                    read.insert(*column);
                }
                Value::Computed(value) => value.columns(&mut read),
            }
        }
        read
    }
}

impl PersonAggregate {
    fn columns(&self, into: &mut BTreeSet<usize>) {
        match self {
            PersonAggregate::Rows => {}
            PersonAggregate::Known(value)
            | PersonAggregate::Different(value)
            | PersonAggregate::Least(value)
            | PersonAggregate::Greatest(value) => value.columns(into),
            PersonAggregate::Sum(value) | PersonAggregate::Average(value) => value.columns(into),
            PersonAggregate::Some(value) | PersonAggregate::Every(value) => value.columns(into),
        }
    }
}
