//! Claims about sizes that rows could reach and that no answer may depend on.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use obscura_model::schema::Description;
use tempfile::TempDir;

use super::plan_with;
use crate::fold::tally;
use crate::ingest::{Secrets, read_rows, sort};
use crate::{PrivatePlan, PrivateTable};

/// The tables of a description, as a node keeps them.
fn stored(description: &Description, folder: &Path) -> PrivateTable {
    let parquet = folder.join("stored.parquet");
    let raw = read_rows(description, &folder.join(description.source_file())).unwrap();
    let mut map = BTreeMap::new();
    let mut index = |hash: [u8; 16]| {
        let next = map.len() as u32;
        Ok::<u32, Infallible>(*map.entry(hash).or_insert(next))
    };
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    let sorted = sort(raw, description, &secrets, &mut index).unwrap();
    PrivateTable::write(&sorted, description, &parquet).unwrap();
    PrivateTable::open(&parquet, description).unwrap()
}

/// Four tables of ten rows each for one person.
fn four() -> Description {
    let mut text = r#"
name = "four"
title = "Four tables"
subject = "id"
subject_unit = "patient"
subjects = [20, 55]
delta = 1e-6
"#
    .to_owned();
    for t in ["a", "b", "c", "d"] {
        text.push_str(&format!(
            r#"
[[table]]
name = "t{t}"
source = "t{t}.csv"
most_rows_per_subject = 10

[[table.column]]
name = "x{t}"
type = "integer"
lowest = 0
highest = 100
unit = "EUR"
meaning = "x"
bounds_from = "form"
"#
        ));
    }
    Description::from_toml(&text).unwrap()
}

#[test]
fn long_texts_are_evaluated_over_as_many_joined_rows_as_people_give() {
    let description = four();
    let folder = TempDir::new().unwrap();
    // With one text for each joined row there would be more than 2^31 bytes of them.
    for t in ["a", "b", "c", "d"] {
        let rows = (0..55).flat_map(|p| (0..10).map(move |x| format!("p{p},{x}\n")));
        let text = format!("id,x{t}\n{}", rows.collect::<String>());
        std::fs::write(folder.path().join(format!("t{t}.csv")), text).unwrap();
    }
    let rows = stored(&description, folder.path()).rows();
    let sql = format!(
        "SELECT COUNT(*) AS n FROM ta JOIN tb ON ta.id = tb.id JOIN tc ON ta.id = tc.id JOIN td \
         ON ta.id = td.id AND CASE WHEN ta.xa < td.xd THEN '{}' ELSE 'b' END = 'b'",
        "y".repeat(3_930)
    );
    let plan = plan_with(&sql, &description).unwrap();
    let (bytes, slice) = (3_930, plan.slice_rows());
    assert!(slice * bytes <= 1 << 27 && slice >= 1_000, "{slice}");
    let sums = tally(&plan, &rows).unwrap().sums();
    // Of 100 pairs of numbers from 0 to 9, 55 are not ascending.
    assert_eq!(sums[0], [55 * 5_500 * 1024]);
}

const NOTES: &str = r#"
name = "notes"
title = "Notes"
source = "notes.csv"
subject = "id"
subject_unit = "patient"
most_rows_per_subject = 10
subjects = [20, 50]
delta = 1e-6

[[column]]
name = "note"
type = "text"
most_characters = 20
meaning = "a note"
bounds_from = "form"
"#;

/// Two people with ten rows each, and one with so many.
fn with_many(description: &Description, many: usize, folder: &Path) -> crate::ingest::SortedTable {
    let rows = (0..10).map(|x| format!("p1,a{x}\np2,a{x}\n"));
    let rows = rows.chain((0..many).map(|x| format!("target,b{x}\n")));
    let path = folder.join(description.source_file());
    std::fs::write(&path, format!("id,note\n{}", rows.collect::<String>())).unwrap();
    let mut map = BTreeMap::new();
    let mut index = |hash: [u8; 16]| {
        let next = map.len() as u32;
        Ok::<u32, Infallible>(*map.entry(hash).or_insert(next))
    };
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    sort(
        read_rows(description, &path).unwrap(),
        description,
        &secrets,
        &mut index,
    )
    .unwrap()
}

#[test]
fn of_one_person_ten_times_as_many_rows_as_count_are_kept_and_the_rest_is_reported() {
    let description = Description::from_toml(NOTES).unwrap();
    let folder = TempDir::new().unwrap();
    for (many, kept) in [(0, 0), (10, 10), (100, 100), (101, 100), (5_000, 100)] {
        let sorted = with_many(&description, many, folder.path());
        assert_eq!(sorted.rows(), 20 + kept, "{many} rows");
        assert_eq!(sorted.rows_beyond(), many as u64 - kept, "{many} rows");
    }
}

#[test]
fn rows_that_are_kept_follow_from_the_rows_and_not_from_the_order_of_the_file() {
    let description = Description::from_toml(NOTES).unwrap();
    let folder = TempDir::new().unwrap();
    let notes = |reversed: bool| {
        let mut lines: Vec<String> = (0..300).map(|x| format!("target,b{x}\n")).collect();
        if reversed {
            lines.reverse();
        }
        let path = folder.path().join("notes.csv");
        std::fs::write(&path, format!("id,note\n{}", lines.concat())).unwrap();
        let table = stored(&description, folder.path());
        let plan = plan_with(
            "SELECT COUNT(*) AS n FROM notes WHERE note LIKE 'b1%'",
            &description,
        )
        .unwrap();
        (table.digest(), tally(&plan, &table.rows()).unwrap().sums())
    };
    assert_eq!(notes(false), notes(true));
}

#[test]
fn texts_of_one_persons_rows_fit_an_array_however_many_rows_count() {
    let text = NOTES.replace("= 10\nsub", "= 1000000\nsub");
    let text = text.replace("most_characters = 20", "most_characters = 10000");
    let description = Description::from_toml(&text).unwrap();
    let folder = TempDir::new().unwrap();
    let sorted = with_many(&description, 30_000, folder.path());
    assert_eq!(sorted.rows(), 20 + (1 << 30) / 40_000);
}

#[test]
fn the_slot_has_room_for_one_person_with_all_rows_that_are_kept() {
    let slot = |subjects: u32| {
        let text = NOTES.replace("[20, 50]", &format!("[1, {subjects}]"));
        let description = Description::from_toml(&text).unwrap();
        let plan: PrivatePlan = plan_with("SELECT COUNT(*) AS n FROM notes", &description).unwrap();
        plan.row_work().rows
    };
    // Ten rows each in the table, and a hundred of one more.
    assert_eq!(slot(50), 50 * 10 + 100);
    assert_eq!(slot(1_000), 1_000 * 10 + 100);
}
