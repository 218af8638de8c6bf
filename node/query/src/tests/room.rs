//! As many rows as slots have room for, and one more.

use std::collections::BTreeMap;
use std::convert::Infallible;

use obscura_model::schema::Description;
use tempfile::TempDir;

use super::{plan_with, visits};
use crate::PrivateTable;
use crate::fold::tally;
use crate::ingest::{Secrets, SortError, SortedTable, read_rows, sort};
use crate::source::Source;

/// Visits of at most so many people, of each of whom ten rows count.
fn of_people(most: u32) -> Description {
    let text = visits().text().replace("4000]", &format!("{most}]"));
    let text = text.replace("[1000,", "[1,");
    Description::from_toml(&text).unwrap()
}

/// So many people with so many rows each.
fn lines(people: usize, rows: usize) -> String {
    let each = (0..people).flat_map(|p| (0..rows).map(move |x| (p, x)));
    each.map(|(p, x)| format!("s{p},{},F,N,20,1,yes,1990,plain,n{x}\n", x % 100))
        .collect()
}

fn sorted(
    description: &Description,
    lines: &str,
    folder: &TempDir,
) -> Result<SortedTable, SortError<Infallible>> {
    let path = folder.path().join(description.source_file());
    let head = "subject_id,age,sex,region,bmi,income,smoker,year,ward,note\n";
    std::fs::write(&path, format!("{head}{lines}")).unwrap();
    let mut map = BTreeMap::new();
    let mut index = |hash: [u8; 16]| {
        let next = map.len() as u32;
        Ok::<u32, Infallible>(*map.entry(hash).or_insert(next))
    };
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    let raw = read_rows(description, &path).unwrap();
    sort(raw, description, &secrets, &mut index)
}

#[test]
fn more_rows_than_slots_have_room_for_are_refused_however_many_people_share_them() {
    let description = of_people(50);
    let folder = TempDir::new().unwrap();
    let plan = plan_with("SELECT COUNT(*) AS n FROM visits", &description).unwrap();
    let full = sorted(&description, &lines(50, 12), &folder).unwrap();
    assert_eq!(full.rows(), plan.row_work().rows);
    let one_more = lines(51, 1).lines().last().unwrap().to_owned();
    for (people, rows, more) in [(50, 12, one_more.as_str()), (7, 90, ""), (50, 1_000, "")] {
        let refused = sorted(&description, &(lines(people, rows) + more), &folder);
        let error = refused.expect_err("more than 600 rows are kept");
        assert_eq!(
            error.to_string(),
            "the table 'visits' has more rows than answers have time for, which is 10 for each of \
             50 people and ten times as many for one more: raise most_rows_per_subject, or leave \
             rows out"
        );
    }
    // What is beyond ten times as many rows of one person takes no room.
    assert!(sorted(&description, &lines(6, 1_000), &folder).is_ok());
}

#[test]
fn row_groups_are_cut_between_subjects() {
    let description = of_people(14_000);
    let folder = TempDir::new().unwrap();
    let sorted = sorted(&description, &lines(1_300, 100), &folder).unwrap();
    let path = folder.path().join("v.parquet");
    PrivateTable::write(&sorted, &description, &path).unwrap();
    let table = PrivateTable::open(&path, &description).unwrap();
    // 16,384 rows end within the 164th person's hundred.
    let spans = table.rows().spans(0);
    assert_eq!((spans.len(), spans[0].first, spans[0].last), (8, 0, 163));
    let plan = plan_with(
        "SELECT COUNT(*), COUNT(DISTINCT subject_id) FROM visits",
        &description,
    );
    let sums = tally(&plan.unwrap(), &table.rows()).unwrap().sums();
    assert_eq!(
        sums,
        [[1300 * 10 * 1024], [1300 * 1024]],
        "ten rows of each subject at most"
    );
}
