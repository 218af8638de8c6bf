//! Collects checked rows, whatever kind of file they come from.

use std::collections::HashMap;

use obscura_model::schema::{Column, Table};

use super::cell::{Cell, Labels, labels};
use super::error::{IngestError, Place};
use super::{RawColumn, RawPart};

/// The positions, in a file's header, of the subject and of each described column.
pub(super) struct Header {
    pub(super) subject: usize,
    pub(super) columns: Vec<usize>,
}

/// Finds the described columns in a header: by exact name, or else by a name that differs in
/// upper and lower case only. Other columns are ignored.
pub(super) fn header(table: &Table, names: &[String], file: &str) -> Result<Header, IngestError> {
    let find = |wanted: &str| {
        let exact: Vec<usize> = (0..names.len())
            .filter(|i| names.get(*i).is_some_and(|n| n == wanted))
            .collect();
        let loose = || {
            let same = |n: &String| n.eq_ignore_ascii_case(wanted);
            (0..names.len())
                .filter(|i| names.get(*i).is_some_and(same))
                .collect()
        };
        let found: Vec<usize> = if exact.is_empty() { loose() } else { exact };
        let (file, column) = (file.to_owned(), wanted.to_owned());
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(IngestError::NoColumn { file, column }),
            _ => Err(IngestError::TwoColumns { file, column }),
        }
    };
    Ok(Header {
        subject: find(&table.subject_column)?,
        columns: table
            .columns
            .iter()
            .map(|c| find(&c.name))
            .collect::<Result<_, _>>()?,
    })
}

/// Rows so far.
pub(super) struct Builder<'a> {
    table: &'a Table,
    file: String,
    ids: Vec<String>,
    places: Vec<Place>,
    columns: Vec<RawColumn>,
    labels: Vec<Labels<'a>>,
    without_id: u64,
}

impl<'a> Builder<'a> {
    pub(super) fn new(table: &'a Table, file: String) -> Self {
        let columns = table
            .columns
            .iter()
            .map(|c| RawColumn::of(&c.domain))
            .collect();
        let labels = table.columns.iter().map(labels).collect();
        let (ids, places) = (Vec::new(), Vec::new());
        Self {
            table,
            file,
            ids,
            places,
            columns,
            labels,
            without_id: 0,
        }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// A row of a subject; the id is normalised. One without an id is only counted.
    pub(super) fn row<'c>(
        &mut self,
        place: Place,
        id: Option<String>,
        mut cell: impl FnMut(usize) -> Result<Cell<'c>, &'static str>,
    ) -> Result<(), IngestError> {
        let Some(id) = id else {
            self.without_id = self.without_id.saturating_add(1);
            return Ok(());
        };
        let described = self.table.columns.iter().zip(&self.labels);
        let described = described.zip(&mut self.columns).enumerate();
        for (position, ((column, labels), values)) in described {
            cell(position)
                .and_then(|c| values.push(column, labels, &c))
                .map_err(|what| IngestError::Value {
                    file: self.file.clone(),
                    place,
                    column: column.name.clone(),
                    what,
                })?;
        }
        self.ids.push(id);
        self.places.push(place);
        Ok(())
    }

    /// Checks what concerns several rows of a subject.
    pub(super) fn finish(self) -> Result<RawPart, IngestError> {
        self.constants()?;
        Ok(RawPart {
            ids: self.ids,
            columns: self.columns,
            without_id: self.without_id,
        })
    }

    fn constants(&self) -> Result<(), IngestError> {
        let constant: Vec<(&Column, &RawColumn)> = self
            .table
            .columns
            .iter()
            .zip(&self.columns)
            .filter(|(c, _)| c.constant_per_subject)
            .collect();
        if constant.is_empty() {
            return Ok(());
        }
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (row, (id, place)) in self.ids.iter().zip(&self.places).enumerate() {
            let first = *first.entry(id).or_insert(row);
            for (column, values) in &constant {
                if !values.same(first, row) {
                    return Err(IngestError::Value {
                        file: self.file.clone(),
                        place: *place,
                        column: column.name.clone(),
                        what: "differs from the subject's earlier rows, and the description says \
                            that it is constant per subject; correct it or change the description",
                    });
                }
            }
        }
        Ok(())
    }
}
