//! Parquet files: flat columns of numbers, texts and booleans.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use obscura_model::schema::{Domain, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::RawPart;
use super::build::{Builder, Header, header};
use super::cell::{Cell, normalised_into};
use super::error::{IngestError, Place, file_name};

/// Rows of a batch, unless texts are long, and the bytes of its texts by their declared length.
const BATCH_ROWS: usize = 1 << 13;
const BATCH_BYTES: usize = 1 << 24;
/// Batches that wait.
const WAITING: usize = 2;

/// Reads a Parquet file: in one thread it is decoded, and in this one values are checked.
pub(super) fn read(
    table: &Table,
    path: &Path,
    mut builder: Builder<'_>,
) -> Result<RawPart, IngestError> {
    let name = file_name(path);
    let file = File::open(path).map_err(|source| IngestError::Read {
        file: name.clone(),
        source,
    })?;
    let damaged = || IngestError::Damaged { file: name.clone() };
    // The file's own types, without what a program noted beside them.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let opened = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|_| damaged())?;
    let fields = opened.schema().fields().clone();
    let names: Vec<String> = fields.iter().map(|f| f.name().clone()).collect();
    let mut found = header(table, &names, &name)?;
    let type_of = |index: usize| fields.get(index).map_or(&DataType::Null, |f| f.data_type());
    check_types(table, &found, &name, type_of)?;
    let needed: BTreeSet<usize> = found
        .columns
        .iter()
        .copied()
        .chain([found.subject])
        .collect();
    // Of a batch that has these alone, in the file's order.
    let place = |index: &usize| needed.range(..index).count();
    found.columns = found.columns.iter().map(place).collect();
    found.subject = place(&found.subject);
    let mask = ProjectionMask::roots(opened.parquet_schema(), needed.iter().copied());
    let reader = opened
        .with_projection(mask)
        .with_batch_size(batch_rows(table));
    let reader = reader.build().map_err(|_| damaged())?;
    std::thread::scope(|scope| {
        let (batches, taken) = sync_channel(WAITING);
        scope.spawn(move || {
            let mut reader = reader;
            // Whoever does not take them any more has an error from a row before.
            reader.all(|batch| batch.is_ok() & batches.send(batch).is_ok())
        });
        let mut row = 0u64;
        for batch in taken {
            rows(
                &batch.map_err(|_| damaged())?,
                &found,
                &mut row,
                &mut builder,
            )?;
        }
        builder.finish()
    })
}

fn batch_rows(table: &Table) -> usize {
    let most = table.columns.iter().map(|c| match &c.domain {
        Domain::Text { most_characters } => 4 * *most_characters as usize,
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Category { .. }
        | Domain::Boolean
        | Domain::Date { .. } => 0,
    });
    BATCH_ROWS
        .min(BATCH_BYTES / most.sum::<usize>().max(1))
        .max(1)
}

fn rows(
    batch: &RecordBatch,
    header: &Header,
    row: &mut u64,
    builder: &mut Builder<'_>,
) -> Result<(), IngestError> {
    let mut scratch = String::new();
    for i in 0..batch.num_rows() {
        *row = row.saturating_add(1);
        let id = id(batch, header.subject, i, &mut scratch);
        builder.row(Place::Row(*row), id, |position| {
            let index = header.columns.get(position).copied().unwrap_or(usize::MAX);
            cell(batch, index, i).ok_or("the value cannot be read")
        })?;
    }
    Ok(())
}

fn is_whole(kind: &DataType) -> bool {
    kind.is_integer()
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn check_types<'t>(
    table: &Table,
    header: &Header,
    file: &str,
    type_of: impl Fn(usize) -> &'t DataType,
) -> Result<(), IngestError> {
    let check = |column: &str, kind: &DataType, fits: bool, wanted: &'static str| {
        if fits {
            return Ok(());
        }
        let (file, column, found) = (file.to_owned(), column.to_owned(), kind.to_string());
        Err(IngestError::Type {
            file,
            column,
            found,
            wanted,
        })
    };
    let kind = type_of(header.subject);
    let fits = is_whole(kind) || is_text(kind);
    check(
        &table.subject_column,
        kind,
        fits,
        "a subject id (text or integer)",
    )?;
    for (column, index) in table.columns.iter().zip(&header.columns) {
        let kind = type_of(*index);
        let number = is_whole(kind) || matches!(kind, DataType::Float32 | DataType::Float64);
        let truth = *kind == DataType::Boolean;
        let (fits, wanted) = match &column.domain {
            Domain::Integer { .. } => (number, "an integer"),
            Domain::Number { .. } => (number, "a number"),
            Domain::Category { .. } => (is_text(kind) || is_whole(kind) || truth, "a category"),
            Domain::Boolean => (truth || is_whole(kind) || is_text(kind), "a boolean"),
            Domain::Date { .. } => (*kind == DataType::Date32 || is_text(kind), "a date"),
            Domain::Text { .. } => (is_text(kind) || is_whole(kind), "a text"),
        };
        check(&column.name, kind, fits, wanted)?;
    }
    Ok(())
}

fn id<'s>(
    batch: &RecordBatch,
    index: usize,
    row: usize,
    scratch: &'s mut String,
) -> Option<&'s str> {
    let array = batch.columns().get(index)?;
    if array.is_null(row) {
        return None;
    }
    let number = match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        _ => return normalised_into(text(array, row)?, scratch),
    };
    written(number, scratch);
    Some(scratch)
}

/// A whole number in decimal.
fn written(number: i128, into: &mut String) {
    into.clear();
    let mut digits = [0u8; 20];
    // Those of 64 bits have at most 20 digits.
    let mut rest = u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX);
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        first = at;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        into.push('-');
    }
    into.extend(digits.iter().skip(first).map(|digit| char::from(*digit)));
}

fn text(array: &dyn Array, row: usize) -> Option<&str> {
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    }
}

fn whole(array: &dyn Array, row: usize) -> Option<f64> {
    Some(match array.data_type() {
        DataType::Int8 => f64::from(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => f64::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => f64::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::UInt8 => f64::from(array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => f64::from(array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => f64::from(array.as_primitive::<UInt32Type>().value(row)),
        // Beyond 2^53 a number is outside every integer's bounds and moved to them anyway.
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row) as f64,
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row) as f64,
        _ => return None,
    })
}

fn cell(batch: &RecordBatch, index: usize, row: usize) -> Option<Cell<'_>> {
    let array = batch.columns().get(index)?;
    if array.is_null(row) {
        return Some(Cell::Missing);
    }
    match array.data_type() {
        DataType::Boolean => Some(Cell::Truth(array.as_boolean().value(row))),
        DataType::Float32 => Some(Cell::Number(f64::from(
            array.as_primitive::<Float32Type>().value(row),
        ))),
        DataType::Float64 => Some(Cell::Number(array.as_primitive::<Float64Type>().value(row))),
        kind if is_text(kind) => text(array, row).map(Cell::Text),
        DataType::Date32 => Some(Cell::Day(array.as_primitive::<Date32Type>().value(row))),
        _ => whole(array, row).map(Cell::Number),
    }
}
