//! Claims about sizes that rows could reach and that no answer may depend on.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use obscura_model::schema::Description;
use tempfile::TempDir;

use super::plan_with;
use crate::PrivateTable;
use crate::fold::tally;
use crate::ingest::{Secrets, read_rows, sort};

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
subjects = [20, 100]
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
    assert_eq!(sums[0], [55 * 5_500]);
}
