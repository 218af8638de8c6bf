//! CSV files: comma separated, quoted with ", a header in the first line, UTF-8.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};
use obscura_model::schema::Table;

use super::RawPart;
use super::build::{Builder, header};
use super::cell::{Cell, normalised_id};
use super::error::{IngestError, Place, file_name};

const NOT_TEXT: &str = "this is not UTF-8 text; export the file as UTF-8";

/// Counts quotes: an odd number means that one was never closed, as in a file that is cut off
/// inside a quoted value.
struct Quotes<R> {
    inner: R,
    odd: bool,
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let quotes = buffer.iter().take(read).filter(|b| **b == b'"').count();
        self.odd ^= quotes % 2 == 1;
        Ok(read)
    }
}

/// Reads a CSV file.
pub(super) fn read(table: &Table, path: &Path) -> Result<RawPart, IngestError> {
    let name = file_name(path);
    let opened = File::open(path).map_err(|source| IngestError::Read {
        file: name.clone(),
        source,
    })?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(false)
        .from_reader(Quotes {
            inner: opened,
            odd: false,
        });
    let mut builder = Builder::new(table, name.clone());
    let mut record = ByteRecord::new();
    let mut columns = None;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(explained(error, &name)),
        }
        let line = Place::Line(record.position().map_or(0, csv::Position::line));
        match &columns {
            None => {
                let names = names(&record).ok_or(IngestError::Form {
                    file: name.clone(),
                    place: line,
                    what: NOT_TEXT,
                })?;
                columns = Some(header(table, &names, &name)?);
            }
            Some(header) => {
                let id = text(&record, header.subject).map_err(|what| IngestError::Value {
                    file: builder.file().to_owned(),
                    place: line,
                    column: table.subject_column.clone(),
                    what,
                })?;
                builder.row(line, normalised_id(id), |position| {
                    let index = header.columns.get(position).copied().unwrap_or(usize::MAX);
                    text(&record, index).map(Cell::Text)
                })?;
            }
        }
    }
    if columns.is_none() {
        let what = "the file is empty; its first line must name the columns";
        return Err(IngestError::Form {
            file: name,
            place: Place::Line(1),
            what,
        });
    }
    if reader.get_ref().odd {
        let place = Place::Line(reader.position().line());
        let what = "a quote that was opened is never closed; the file may be cut off";
        return Err(IngestError::Form {
            file: name,
            place,
            what,
        });
    }
    builder.finish()
}

fn text(record: &ByteRecord, index: usize) -> Result<&str, &'static str> {
    let bytes = record.get(index).ok_or("the value is not there")?;
    std::str::from_utf8(bytes).map_err(|_| NOT_TEXT)
}

fn names(record: &ByteRecord) -> Option<Vec<String>> {
    record
        .iter()
        .enumerate()
        .map(|(i, bytes)| {
            let text = std::str::from_utf8(bytes).ok()?;
            // Some programs begin a file with a byte order mark.
            let text = if i == 0 {
                text.trim_start_matches('\u{feff}')
            } else {
                text
            };
            Some(text.trim().to_owned())
        })
        .collect()
}

fn explained(error: csv::Error, name: &str) -> IngestError {
    let file = name.to_owned();
    let line = |position: Option<&csv::Position>| Place::Line(position.map_or(0, |p| p.line()));
    let place = line(error.position());
    match error.into_kind() {
        ErrorKind::Io(source) => IngestError::Read { file, source },
        ErrorKind::UnequalLengths {
            pos,
            expected_len: _,
            len: _,
        } => IngestError::Form {
            file,
            place: line(pos.as_ref()),
            what: "the row has another number of values than the header; complete it, or quote \
                values that contain commas",
        },
        ErrorKind::Utf8 { pos, err: _ } => IngestError::Form {
            file,
            place: line(pos.as_ref()),
            what: NOT_TEXT,
        },
        _ => IngestError::Form {
            file,
            place,
            what: "the row cannot be read as CSV",
        },
    }
}
