//! Parquet files: flat columns of numbers, texts and booleans.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use obscura_model::schema::{Domain, Table};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::RawPart;
use super::build::{Builder, Header, header};
use super::cell::{Cell, normalised_id};
use super::error::{IngestError, Place, file_name};

/// Reads a Parquet file.
pub(super) fn read(table: &Table, path: &Path) -> Result<RawPart, IngestError> {
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
    let found = header(table, &names, &name)?;
    let type_of = |index: usize| fields.get(index).map_or(&DataType::Null, |f| f.data_type());
    check_types(table, &found, &name, type_of)?;
    let mut builder = Builder::new(table, name.clone());
    let mut row = 0u64;
    for batch in opened.build().map_err(|_| damaged())? {
        let batch = batch.map_err(|_| damaged())?;
        for i in 0..batch.num_rows() {
            row = row.saturating_add(1);
            let id = id(&batch, found.subject, i);
            builder.row(Place::Row(row), id, |position| {
                let index = found.columns.get(position).copied().unwrap_or(usize::MAX);
                cell(&batch, index, i).ok_or("the value cannot be read")
            })?;
        }
    }
    builder.finish()
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

fn id(batch: &RecordBatch, index: usize, row: usize) -> Option<String> {
    let array = batch.columns().get(index)?;
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::UInt64 => Some(array.as_primitive::<UInt64Type>().value(row).to_string()),
        kind if is_whole(kind) => {
            // At most 32 bits: exact as a float, and printed without a fraction.
            whole(array, row).map(|v| format!("{v:.0}"))
        }
        _ => normalised_id(text(array, row)?),
    }
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
