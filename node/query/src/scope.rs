//! What row expressions can name: the columns of the rows that a query reads.
//!
//! The rows come from a [`Relation`](crate::relation::Relation). Expressions name their columns by
//! position here, so that nothing above the relation knows which table a column came from.

use obscura_model::schema::{Column, Description};

/// The visible columns, and what is known of each subject's rows. Public.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scope {
    columns: Vec<ScopeColumn>,
    subject_column: String,
    subject_unit: String,
    most_rows: u32,
}

/// One visible column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScopeColumn {
    /// The table, or the name that the query gave it, that the column belongs to.
    pub(crate) qualifier: String,
    /// Name, domain, unit, and whether it may be missing.
    pub(crate) column: Column,
}

impl Scope {
    /// The columns of one described table, by its own name.
    pub(crate) fn of_table(description: &Description, table: usize) -> Self {
        let described = description.tables().get(table);
        let columns = described.into_iter().flat_map(|t| {
            t.columns.iter().map(|column| ScopeColumn {
                qualifier: t.name.clone(),
                column: column.clone(),
            })
        });
        Self {
            columns: columns.collect(),
            subject_column: described.map_or_else(String::new, |t| t.subject_column.clone()),
            subject_unit: description.subject_unit().to_owned(),
            most_rows: described.map_or(1, |t| t.most_rows_per_subject),
        }
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

    /// The column that says whose row it is.
    pub(crate) fn subject_column(&self) -> &str {
        &self.subject_column
    }

    /// Who is protected, in the singular.
    pub(crate) fn subject_unit(&self) -> &str {
        &self.subject_unit
    }

    /// At most this many rows of one subject count.
    pub(crate) fn most_rows_per_subject(&self) -> u32 {
        self.most_rows
    }
}
