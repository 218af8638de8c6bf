//! Made rows: visits of people, mostly in their home region, and the people themselves.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::{ArrayRef, Date32Array, Float64Array, Int32Array, RecordBatch, StringArray};
use obscura_model::schema::Description;
use obscura_query::PrivateTable;
use obscura_query::ingest::{Secrets, read_rows, sort};
use parquet::arrow::arrow_writer::ArrowWriter;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// How large the world is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) subjects: u32,
    pub(crate) rows_each: u32,
}

const REGIONS: u32 = 20;

const SECRETS: Secrets = Secrets {
    subject: [1; 32],
    rows: [2; 32],
};

/// Rows that are written at once.
const BATCH: u32 = 100_000;

/// The tables `visits` (person, region, age, cost, day) and `people` (person, home).
pub(crate) fn description(size: Size) -> anyhow::Result<Description> {
    let regions: Vec<String> = (0..REGIONS).map(|r| format!("\"R{r:02}\"")).collect();
    let regions = regions.join(", ");
    let Size {
        subjects,
        rows_each,
    } = size;
    let text = format!(
        r#"
name = "clinic"
title = "Visits"
subject = "person"
subject_unit = "person"
subjects = [{subjects}, {subjects}]
delta = 1e-9

[[table]]
name = "visits"
source = "visits.parquet"
most_rows_per_subject = {rows_each}

[[table.column]]
name = "region"
type = "category"
values = [{regions}]
meaning = "where"
bounds_from = "list"

[[table.column]]
name = "age"
type = "integer"
lowest = 0
highest = 120
unit = "years"
meaning = "age"
bounds_from = "form"

[[table.column]]
name = "cost"
type = "number"
lowest = 0
highest = 500
unit = "EUR"
meaning = "cost"
bounds_from = "price list"

[[table.column]]
name = "day"
type = "date"
first = "2020-01-01"
last = "2029-12-31"
meaning = "day"
bounds_from = "study"

[[table]]
name = "people"
source = "people.parquet"
most_rows_per_subject = 1

[[table.column]]
name = "home"
type = "category"
values = [{regions}]
meaning = "home"
bounds_from = "list"
"#
    );
    Description::from_toml(&text).context("the description")
}

/// Writes both tables as Parquet, if they are not there, and stores them.
pub(crate) fn stored(folder: &Path, size: Size) -> anyhow::Result<PrivateTable> {
    let description = description(size)?;
    let path = folder.join("world.table");
    if let Ok(table) = PrivateTable::open(&path, &description) {
        return Ok(table);
    }
    let visits = written(folder, size)?;
    let raw = read_rows(&description, &visits)?;
    let mut next = 0;
    let mut index = |_hash: [u8; 16]| {
        next += 1;
        Ok::<u32, Infallible>(next - 1)
    };
    let sorted = sort(raw, &description, &SECRETS, &mut index)?;
    PrivateTable::write(&sorted, &description, &path)?;
    Ok(PrivateTable::open(&path, &description)?)
}

/// The Parquet files; the path of the first table's.
pub(crate) fn written(folder: &Path, size: Size) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let visits = folder.join("visits.parquet");
    let people = folder.join("people.parquet");
    if visits.exists() && people.exists() {
        return Ok(visits);
    }
    let starts = || (0..size.subjects).step_by(BATCH as usize);
    let home = |person: u32| (person.wrapping_mul(2_654_435_761) >> 8) % REGIONS;
    let name = |region: u32| format!("R{region:02}");
    let persons = |start: u32| start..(start + BATCH).min(size.subjects);
    write(&people, starts(), |start| {
        let all = || persons(start).map(|p| p as i32);
        let homes = persons(start).map(|p| name(home(p)));
        Ok(RecordBatch::try_from_iter([
            (
                "person",
                Arc::new(Int32Array::from_iter_values(all())) as ArrayRef,
            ),
            ("home", Arc::new(StringArray::from_iter_values(homes))),
        ])?)
    })?;
    let all = (0..size.rows_each).flat_map(|_| starts());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    write(&visits, all, |start| {
        let (mut ids, mut regions) = (Vec::new(), Vec::new());
        let (mut ages, mut costs, mut days) = (Vec::new(), Vec::new(), Vec::new());
        for person in persons(start) {
            let at_home = rng.random_range(0..5) < 4;
            ids.push(person as i32);
            regions.push(name(if at_home {
                home(person)
            } else {
                rng.random_range(0..REGIONS)
            }));
            ages.push(rng.random_range(0..100i32));
            costs.push(f64::from(rng.random_range(0..50_000u32)) / 100.0);
            days.push(rng.random_range(18_262..21_900i32));
        }
        Ok(RecordBatch::try_from_iter([
            ("person", Arc::new(Int32Array::from(ids)) as ArrayRef),
            ("region", Arc::new(StringArray::from_iter_values(regions))),
            ("age", Arc::new(Int32Array::from(ages))),
            ("cost", Arc::new(Float64Array::from(costs))),
            ("day", Arc::new(Date32Array::from(days))),
        ])?)
    })?;
    Ok(visits)
}

fn write(
    path: &Path,
    starts: impl Iterator<Item = u32>,
    mut batch: impl FnMut(u32) -> anyhow::Result<RecordBatch>,
) -> anyhow::Result<()> {
    let temporary = path.with_extension("writing");
    let file = std::fs::File::create(&temporary)?;
    let mut writer: Option<ArrowWriter<std::fs::File>> = None;
    for start in starts {
        let batch = batch(start)?;
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
    Ok(std::fs::rename(temporary, path)?)
}
