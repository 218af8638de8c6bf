//! Collects checked rows, whatever kind of file they come from.

use obscura_model::schema::{Column, Table};

use super::RawPart;
use super::cell::{Cell, Labels, checked, labels};
use super::constants::Constants;
use super::error::{IngestError, Place};
use super::ids::Ids;
use super::row::Layout;
use super::run::{Collector, Room};

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
    ids: &'a mut Ids,
    layout: Layout,
    rows: Collector,
    labels: Vec<Labels<'a>>,
    constants: Constants,
    counts: Vec<u32>,
    read: u64,
    without_id: u64,
}

impl<'a> Builder<'a> {
    pub(super) fn new(table: &'a Table, file: String, ids: &'a mut Ids, room: &Room) -> Self {
        let layout = Layout::of(table);
        Self {
            table,
            file,
            ids,
            rows: Collector::new(room.clone(), &layout),
            layout,
            labels: table.columns.iter().map(labels).collect(),
            constants: Constants::of(table),
            counts: Vec::new(),
            read: 0,
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
        id: Option<&str>,
        mut cell: impl FnMut(usize) -> Result<Cell<'c>, &'static str>,
    ) -> Result<(), IngestError> {
        let Some(id) = id else {
            self.without_id = self.without_id.saturating_add(1);
            return Ok(());
        };
        let number = self.ids.number(id).ok_or_else(|| IngestError::Ids {
            file: self.file.clone(),
        })?;
        let (file, table, labels) = (&self.file, self.table, &self.labels);
        let (layout, constants) = (&self.layout, &mut self.constants);
        self.rows.piece().add(number, |bytes| {
            let start = layout.begin(bytes);
            for (position, (column, labels)) in table.columns.iter().zip(labels).enumerate() {
                let value = cell(position).and_then(|cell| checked(column, labels, &cell));
                let value = value.map_err(|what| refused(file, place, column, what))?;
                if column.constant_per_subject {
                    constants.see(number, position, value.as_ref(), place);
                }
                if let Some(value) = value {
                    layout.put(bytes, start, position, &value);
                }
            }
            Ok::<(), IngestError>(())
        })?;
        self.read = self.read.saturating_add(1);
        self.count(number);
        Ok(self.rows.added()?)
    }

    fn count(&mut self, number: u32) {
        let at = number as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Says what is wrong among several rows of a subject.
    pub(super) fn finish(self) -> Result<RawPart, IngestError> {
        if let Some((place, position)) = self.constants.differs
            && let Some(column) = self.table.columns.get(position)
        {
            let what = "differs from the subject's earlier rows, and the description says \
                that it is constant per subject; correct it or change the description";
            return Err(refused(&self.file, place, column, what));
        }
        Ok(RawPart {
            rows: self.rows.finish()?,
            layout: self.layout,
            constants: self.constants,
            counts: self.counts,
            read: self.read,
            without_id: self.without_id,
        })
    }
}

fn refused(file: &str, place: Place, column: &Column, what: &'static str) -> IngestError {
    IngestError::Value {
        file: file.to_owned(),
        place,
        column: column.name.clone(),
        what,
    }
}
