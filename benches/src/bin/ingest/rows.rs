//! Made visits (person, region, age, cost, day), each of a person at random, as CSV or Parquet.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::{ArrayRef, Date32Array, Float64Array, Int32Array, RecordBatch, StringArray};
use obscura_model::calendar;
use obscura_model::schema::Description;
use parquet::arrow::arrow_writer::ArrowWriter;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::Kind;

const REGIONS: u32 = 20;
/// Rows that are written at once.
const BATCH: u64 = 100_000;

/// The table's description.
pub(crate) fn description(kind: Kind, rows: u64, subjects: u32) -> anyhow::Result<Description> {
    let regions: Vec<String> = (0..REGIONS).map(|r| format!("\"R{r:02}\"")).collect();
    let regions = regions.join(", ");
    // Of few people by chance more are kept than these.
    let each = (rows / u64::from(subjects)).max(1) * 2;
    let source = name(kind, rows, subjects);
    let text = format!(
        r#"
name = "visits"
title = "Visits"
source = "{source}"
subject = "person"
subject_unit = "person"
most_rows_per_subject = {each}
subjects = [{subjects}, {subjects}]
delta = 1e-9

[[column]]
name = "region"
type = "category"
values = [{regions}]
meaning = "where"
bounds_from = "list"

[[column]]
name = "age"
type = "integer"
lowest = 0
highest = 120
unit = "years"
meaning = "age"
bounds_from = "form"

[[column]]
name = "cost"
type = "number"
lowest = 0
highest = 500
unit = "EUR"
meaning = "cost"
bounds_from = "price list"

[[column]]
name = "day"
type = "date"
first = "2020-01-01"
last = "2029-12-31"
meaning = "day"
bounds_from = "study"
"#
    );
    Description::from_toml(&text).context("the description")
}

fn name(kind: Kind, rows: u64, subjects: u32) -> String {
    format!("rows-{rows}-{subjects}.{}", kind.end())
}

#[derive(Default)]
struct Rows {
    persons: Vec<i32>,
    regions: Vec<String>,
    ages: Vec<i32>,
    costs: Vec<f64>,
    days: Vec<i32>,
}

/// The file, which is made if it is not there.
pub(crate) fn written(
    folder: &Path,
    kind: Kind,
    rows: u64,
    subjects: u32,
) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(name(kind, rows, subjects));
    if path.exists() {
        return Ok(path);
    }
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let batches = (0..rows).step_by(BATCH as usize).map(|start| {
        let mut batch = Rows::default();
        for _ in start..rows.min(start + BATCH) {
            batch.persons.push(rng.random_range(0..subjects as i32));
            batch
                .regions
                .push(format!("R{:02}", rng.random_range(0..REGIONS)));
            batch.ages.push(rng.random_range(0..100));
            batch
                .costs
                .push(f64::from(rng.random_range(0..50_000u32)) / 100.0);
            batch.days.push(rng.random_range(18_262..21_900));
        }
        batch
    });
    let temporary = path.with_extension("made");
    let file = File::create(&temporary)?;
    match kind {
        Kind::Csv => csv(batches, file)?,
        Kind::Parquet => parquet(batches, file)?,
    }
    std::fs::rename(temporary, &path)?;
    Ok(path)
}

fn csv(batches: impl Iterator<Item = Rows>, file: File) -> anyhow::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, file);
    writeln!(file, "person,region,age,cost,day")?;
    for batch in batches {
        let values = batch.persons.iter().zip(&batch.regions).zip(&batch.ages);
        let values = values.zip(&batch.costs).zip(&batch.days);
        for ((((person, region), age), cost), day) in values {
            writeln!(
                file,
                "{person},{region},{age},{cost},{}",
                calendar::label(*day)
            )?;
        }
    }
    Ok(file.flush()?)
}

fn parquet(batches: impl Iterator<Item = Rows>, file: File) -> anyhow::Result<()> {
    let mut writer: Option<ArrowWriter<File>> = None;
    for batch in batches {
        let batch = RecordBatch::try_from_iter([
            (
                "person",
                Arc::new(Int32Array::from(batch.persons)) as ArrayRef,
            ),
            ("region", Arc::new(StringArray::from(batch.regions))),
            ("age", Arc::new(Int32Array::from(batch.ages))),
            ("cost", Arc::new(Float64Array::from(batch.costs))),
            ("day", Arc::new(Date32Array::from(batch.days))),
        ])?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(ArrowWriter::try_new(
                file.try_clone()?,
                batch.schema(),
                None,
            )?),
        };
        writer.write(&batch)?;
    }
    writer.context("there is nothing to write")?.close()?;
    Ok(())
}
