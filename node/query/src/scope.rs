//! What row expressions can name: the columns of the rows that a query reads.
//!
//! The rows come from a [`Relation`](crate::relation::Relation). Expressions name their columns by
//! position here, so that nothing above the relation knows which table a column came from.

use obscura_model::schema::{Column, Description};

use crate::expr::identifier;

/// The visible columns, and what is known of each subject's rows. Public.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scope {
    /// What FROM and its joins name, in order.
    items: Vec<ScopeItem>,
    columns: Vec<ScopeColumn>,
    subject_unit: String,
    most_rows: u32,
}

/// One table or subquery that is visible by a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScopeItem {
    /// Its name in this query.
    pub(crate) name: String,
    /// Its column that says whose row it is.
    pub(crate) subject_column: String,
}

/// One visible column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScopeColumn {
    /// The table, or the name that the query gave it, that the column belongs to.
    pub(crate) qualifier: String,
    /// Name, domain, unit, and whether it may be missing.
    pub(crate) column: Column,
    /// The SQL text of a value that has no name, such as `SUM(cost)`.
    pub(crate) sql: Option<String>,
}

impl Scope {
    /// The columns of one described table, by its own name.
    pub(crate) fn of_table(description: &Description, table: usize) -> Self {
        let described = description.tables().get(table);
        let columns = described.into_iter().flat_map(|t| t.columns.clone());
        Self::of_item(
            described.map_or("", |t| &t.name),
            described.map_or("", |t| &t.subject_column),
            columns.collect(),
            description.subject_unit(),
            described.map_or(1, |t| t.most_rows_per_subject),
        )
    }

    /// The columns of one table or subquery.
    pub(crate) fn of_item(
        name: &str,
        subject_column: &str,
        columns: Vec<Column>,
        subject_unit: &str,
        most_rows: u32,
    ) -> Self {
        let column = |column| ScopeColumn {
            qualifier: name.to_owned(),
            column,
            sql: None,
        };
        Self {
            items: vec![ScopeItem {
                name: name.to_owned(),
                subject_column: subject_column.to_owned(),
            }],
            columns: columns.into_iter().map(column).collect(),
            subject_unit: subject_unit.to_owned(),
            most_rows,
        }
    }

    /// One table or subquery by another name.
    pub(crate) fn renamed(mut self, name: &str) -> Self {
        self.items.iter_mut().for_each(|i| i.name = name.to_owned());
        let qualify = |c: &mut ScopeColumn| c.qualifier = name.to_owned();
        self.columns.iter_mut().for_each(qualify);
        self
    }

    /// The columns of this, and then those of `other`, for the rows of a join.
    ///
    /// Of a side with one row for each subject every column has one value for each subject: rows
    /// beyond the first never reach a join. With `outer` the columns of `other` may be missing;
    /// `conditional`: whether a match depends on more than the subject, so that on some rows of a
    /// subject they are.
    pub(crate) fn joined(&self, other: &Scope, outer: bool, conditional: bool) -> Self {
        let mut left = self.columns.clone();
        let mut right = other.columns.clone();
        for (side, columns) in [(self, &mut left), (other, &mut right)] {
            if side.most_rows == 1 {
                let constant = |c: &mut ScopeColumn| c.column.constant_per_subject = true;
                columns.iter_mut().for_each(constant);
            }
        }
        if outer {
            for ScopeColumn { column, .. } in &mut right {
                column.may_be_missing = true;
                column.constant_per_subject &= !conditional;
            }
        }
        left.append(&mut right);
        Self {
            items: self.items.iter().chain(&other.items).cloned().collect(),
            columns: left,
            subject_unit: self.subject_unit.clone(),
            most_rows: self.most_rows.saturating_mul(other.most_rows),
        }
    }

    /// Adds a value without a name.
    pub(crate) fn push(&mut self, column: Column, sql: String) {
        let qualifier = self
            .items
            .first()
            .map_or_else(String::new, |i| i.name.clone());
        self.columns.push(ScopeColumn {
            qualifier,
            column,
            sql: Some(sql),
        });
    }

    /// The columns, in order.
    pub(crate) fn columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.columns.iter().map(|c| &c.column)
    }

    /// The column at a position.
    pub(crate) fn get(&self, column: usize) -> Option<&Column> {
        self.columns.get(column).map(|c| &c.column)
    }

    /// The columns with the tables they belong to, in order.
    pub(crate) fn qualified(&self) -> &[ScopeColumn] {
        &self.columns
    }

    /// What FROM and its joins name, in order.
    pub(crate) fn items(&self) -> &[ScopeItem] {
        &self.items
    }

    /// The column that says whose row it is.
    pub(crate) fn subject_column(&self) -> &str {
        self.items.first().map_or("", |i| &i.subject_column)
    }

    /// Who is protected, in the singular.
    pub(crate) fn subject_unit(&self) -> &str {
        &self.subject_unit
    }

    /// At most this many rows of one subject count.
    pub(crate) fn most_rows_per_subject(&self) -> u32 {
        self.most_rows
    }

    /// A column as SQL: its name alone if that means nothing else here, after its table's name
    /// otherwise.
    pub(crate) fn sql(&self, column: usize) -> String {
        let Some(named) = self.columns.get(column) else {
            return String::new();
        };
        let name = &named.column.name;
        match &named.sql {
            Some(sql) => sql.clone(),
            None if self.is_clear(name) => identifier(name),
            None => format!("{}.{}", identifier(&named.qualifier), identifier(name)),
        }
    }

    /// A column for people.
    pub(crate) fn told(&self, column: usize) -> String {
        let Some(named) = self.columns.get(column) else {
            return String::new();
        };
        let name = &named.column.name;
        if named.sql.is_some() || self.is_clear(name) {
            name.clone()
        } else {
            format!("{}.{name}", named.qualifier)
        }
    }

    /// Whether a column's name means one thing only.
    fn is_clear(&self, name: &str) -> bool {
        let same = self.columns.iter().filter(|c| c.column.name == name);
        same.count() == 1 && self.items.iter().all(|i| i.subject_column != name)
    }
}
