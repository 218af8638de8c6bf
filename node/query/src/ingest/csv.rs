//! CSV files: comma separated, quoted with ", a header in the first line, UTF-8.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use obscura_model::schema::Table;

use super::RawPart;
use super::build::{Builder, Header, header};
use super::cell::{Cell, normalised_into};
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

/// Rows that are handed on at once: so many, or so many bytes.
const BATCH_ROWS: usize = 1 << 10;
const BATCH_BYTES: usize = 1 << 18;
/// Batches that wait.
const WAITING: usize = 4;

/// Some rows, their values one after the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each value ends.
    ends: Vec<usize>,
    lines: Vec<u64>,
}

/// One row of a batch.
struct Record<'b> {
    bytes: &'b [u8],
    start: usize,
    ends: &'b [usize],
}

/// What ends a file.
enum End {
    /// It is read to its end.
    Whole,
    Wrong(IngestError),
}

/// Reads a CSV file: in one thread it is cut into values, and in this one they are checked.
pub(super) fn read(
    table: &Table,
    path: &Path,
    mut builder: Builder<'_>,
) -> Result<RawPart, IngestError> {
    let name = file_name(path);
    let opened = File::open(path).map_err(|source| IngestError::Read {
        file: name.clone(),
        source,
    })?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(false)
        .buffer_capacity(1 << 18)
        .from_reader(Quotes {
            inner: opened,
            odd: false,
        });
    let header = first(&mut reader, table, &name)?;
    std::thread::scope(|scope| {
        let (batches, taken) = sync_channel(WAITING);
        let name = &name;
        let cut = scope.spawn(move || cut(&mut reader, name, &batches));
        let mut id = String::new();
        for batch in taken {
            rows(&batch, table, &header, &mut builder, &mut id)?;
        }
        match cut.join() {
            Ok(End::Whole) => builder.finish(),
            Ok(End::Wrong(error)) => Err(error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Reads the first line.
fn first(
    reader: &mut Reader<Quotes<File>>,
    table: &Table,
    name: &str,
) -> Result<Header, IngestError> {
    let form = |place, what| IngestError::Form {
        file: name.to_owned(),
        place,
        what,
    };
    let mut record = ByteRecord::new();
    let there = reader.read_byte_record(&mut record);
    if !there.map_err(|error| explained(error, name))? {
        let what = "the file is empty; its first line must name the columns";
        return Err(form(Place::Line(1), what));
    }
    let line = Place::Line(record.position().map_or(0, csv::Position::line));
    let names = names(&record).ok_or_else(|| form(line, NOT_TEXT))?;
    header(table, &names, name)
}

/// Cuts the file into values, until nobody takes them any more.
fn cut(reader: &mut Reader<Quotes<File>>, name: &str, batches: &SyncSender<Batch>) -> End {
    let mut record = ByteRecord::new();
    let mut batch = Batch::default();
    let end = loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => batch.add(&record),
            Ok(false) => break End::Whole,
            Err(error) => break End::Wrong(explained(error, name)),
        }
        if batch.lines.len() < BATCH_ROWS && batch.bytes.len() < BATCH_BYTES {
            continue;
        }
        if batches.send(std::mem::take(&mut batch)).is_err() {
            return End::Whole;
        }
    };
    // Whoever does not take it has an error from a row before.
    let _ = batches.send(batch);
    if matches!(end, End::Whole) && reader.get_ref().odd {
        return End::Wrong(IngestError::Form {
            file: name.to_owned(),
            place: Place::Line(reader.position().line()),
            what: "a quote that was opened is never closed; the file may be cut off",
        });
    }
    end
}

fn rows(
    batch: &Batch,
    table: &Table,
    header: &Header,
    builder: &mut Builder<'_>,
    scratch: &mut String,
) -> Result<(), IngestError> {
    let each = batch.ends.len() / batch.lines.len().max(1);
    let mut start = 0;
    for (line, ends) in batch.lines.iter().zip(batch.ends.chunks(each.max(1))) {
        let record = Record {
            bytes: &batch.bytes,
            start,
            ends,
        };
        start = ends.last().copied().unwrap_or(start);
        let line = Place::Line(*line);
        let id = record.text(header.subject);
        let id = id.map_err(|what| IngestError::Value {
            file: builder.file().to_owned(),
            place: line,
            column: table.subject_column.clone(),
            what,
        })?;
        builder.row(line, normalised_into(id, scratch), |position| {
            let index = header.columns.get(position).copied().unwrap_or(usize::MAX);
            record.text(index).map(Cell::Text)
        })?;
    }
    Ok(())
}

impl Batch {
    fn add(&mut self, record: &ByteRecord) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(record.as_slice());
        let mut end = before;
        self.ends.extend(record.iter().map(|value| {
            end += value.len();
            end
        }));
        let line = record.position().map_or(0, csv::Position::line);
        self.lines.push(line);
    }
}

impl<'b> Record<'b> {
    fn text(&self, index: usize) -> Result<&'b str, &'static str> {
        let end = self.ends.get(index);
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied(),
            None => Some(self.start),
        };
        let range = start.zip(end).and_then(|(s, e)| self.bytes.get(s..*e));
        let bytes = range.ok_or("the value is not there")?;
        std::str::from_utf8(bytes).map_err(|_| NOT_TEXT)
    }
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
