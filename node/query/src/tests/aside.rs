//! Rows that are set aside while a dataset is ingested make no difference to what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef};
use hmac::{Hmac, KeyInit, Mac};
use obscura_model::schema::Description;
use proptest::prelude::*;
use sha2::Sha256;

use super::stored::SECRETS;
use crate::PrivateTable;
use crate::ingest::{Room, clear, read_rows_within, sort, subject_hash};
use crate::source::{Desk, Source};

const DESCRIPTION: &str = r#"
name = "two"
title = "Two tables"
subject = "id"
subject_unit = "patient"
subjects = [1, 60]
delta = 1e-6

[[table]]
name = "ta"
source = "ta.csv"
most_rows_per_subject = 2

[[table.column]]
name = "x"
type = "number"
lowest = 0
highest = 100
unit = "EUR"
meaning = "x"
bounds_from = "form"
may_be_missing = true

[[table.column]]
name = "c"
type = "category"
values = ["aa", "b", "ccc"]
meaning = "c"
bounds_from = "list"
may_be_missing = true

[[table.column]]
name = "t"
type = "text"
most_characters = 12
meaning = "t"
bounds_from = "form"
may_be_missing = true

[[table.column]]
name = "b"
type = "boolean"
meaning = "b"
bounds_from = "form"
may_be_missing = true

[[table]]
name = "tb"
source = "tb.csv"
most_rows_per_subject = 2

[[table.column]]
name = "y"
type = "integer"
lowest = 0
highest = 9
unit = "EUR"
meaning = "y"
bounds_from = "form"
"#;

fn description() -> Description {
    Description::from_toml(DESCRIPTION).unwrap()
}

/// A row of the first table: whose it is and its values.
type Row = (
    u32,
    Option<u32>,
    Option<usize>,
    Option<String>,
    Option<bool>,
);

fn row() -> impl Strategy<Value = Row> {
    let text = prop::option::of("[ab\u{e9}]{1,3}");
    let number = prop::option::of(0u32..6);
    let code = prop::option::of(0usize..3);
    (0u32..9, number, code, text, prop::option::of(any::<bool>()))
}

fn files(folder: &Path, rows: &[Row], others: &[(u32, u32)]) {
    let mut text = "id,x,c,t,b\n".to_owned();
    for (id, x, c, t, b) in rows {
        let x = x.map_or(String::new(), |x| (f64::from(x) / 4.0).to_string());
        let c = c.map_or("", |c| ["aa", "b", "ccc"][c]);
        let b = b.map_or(String::new(), |b| b.to_string());
        text.push_str(&format!(
            "{},{x},{c},{},{b}\n",
            name(*id),
            t.as_deref().unwrap_or("")
        ));
    }
    std::fs::write(folder.join("ta.csv"), text).unwrap();
    let lines: String = others
        .iter()
        .map(|(id, y)| format!("{},{y}\n", name(*id)))
        .collect();
    std::fs::write(folder.join("tb.csv"), format!("id,y\n{lines}")).unwrap();
}

/// Some ids are longer than others.
fn name(id: u32) -> String {
    format!("p{}{id}", "-".repeat(4 * id as usize))
}

/// Two ids are one person's, and one is left out.
fn index(map: &mut BTreeMap<[u8; 16], u32>, hash: [u8; 16]) -> Option<u32> {
    let of = |id| subject_hash(&SECRETS.subject, &name(id));
    if hash == of(3) {
        return None;
    }
    let person = if hash == of(1) { of(2) } else { hash };
    let next = map.len() as u32;
    Some(*map.entry(person).or_insert(next))
}

/// The bytes of both files, or why there are none.
fn stored(folder: &Path, room: &Room) -> Result<[Vec<u8>; 2], String> {
    let mut map = BTreeMap::new();
    let mut index = |hash: [u8; 16]| Ok::<_, Infallible>(index(&mut map, hash));
    let raw = read_rows_within(&description(), &folder.join("ta.csv"), room).unwrap();
    let sorted = sort(raw, &description(), &SECRETS, &mut index).map_err(|e| e.to_string())?;
    let path = folder.join("two.table");
    PrivateTable::write(&sorted, &description(), &path).unwrap();
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    Ok([bytes("two.table"), bytes("two-1.table")])
}

/// What is in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The stored rows of the first table, in words.
fn told(folder: &Path) -> Vec<(u32, String)> {
    let table = PrivateTable::open(&folder.join("two.table"), &description()).unwrap();
    let rows = table.rows();
    let mut told = Vec::new();
    for group in 0..rows.spans(0).len() {
        let all = (0..4).collect();
        let batch = rows.load(0, group, &all, &mut Desk::default()).unwrap();
        let column = |at: usize| batch.columns[at].clone().unwrap();
        let [x, c, t, b] = [0, 1, 2, 3].map(column);
        let there = |a: &ArrayRef, row| a.is_valid(row);
        for (subject, run) in batch.runs.iter() {
            for row in run {
                let x = there(&x, row).then(|| x.as_primitive::<Float64Type>().value(row));
                let c = there(&c, row).then(|| c.as_primitive::<Int32Type>().value(row) as usize);
                let t = there(&t, row).then(|| t.as_string::<i32>().value(row).to_owned());
                let b = there(&b, row).then(|| b.as_boolean().value(row));
                told.push((subject, format!("{x:?} {c:?} {t:?} {b:?}")));
            }
        }
    }
    told
}

/// The same by plain sorting, as the documentation of `sort` says it.
fn expected(rows: &[Row], others: &[(u32, u32)]) -> Vec<(u32, String)> {
    let hash = |id: u32| subject_hash(&SECRETS.subject, &name(id));
    let ids = rows.iter().map(|r| r.0).chain(others.iter().map(|r| r.0));
    let hashes: BTreeSet<[u8; 16]> = ids.map(hash).collect();
    let mut map = BTreeMap::new();
    let indices: BTreeMap<[u8; 16], Option<u32>> = hashes
        .into_iter()
        .map(|h| (h, index(&mut map, h)))
        .collect();
    let mut seen: BTreeMap<(u32, Vec<u8>), u64> = BTreeMap::new();
    let mut keyed: Vec<(u32, [u8; 16], String)> = Vec::new();
    for (id, x, c, t, b) in rows {
        let Some(subject) = indices[&hash(*id)] else {
            continue;
        };
        let x = x.map(|x| f64::from(x) / 4.0);
        let mut content = Vec::new();
        let text =
            |tag: u8, t: &str| [&[tag], &(t.len() as u32).to_le_bytes()[..], t.as_bytes()].concat();
        content.extend(x.map_or(vec![0], |x| [&[1], &x.to_le_bytes()[..]].concat()));
        content.extend(c.map_or(vec![0], |c| text(2, ["aa", "b", "ccc"][c])));
        content.extend(t.as_ref().map_or(vec![0], |t| text(4, t)));
        content.extend(b.map_or(vec![0], |b| vec![3, u8::from(b)]));
        let ordinal = seen.entry((subject, content.clone())).or_insert(0);
        let mut mac = Hmac::<Sha256>::new_from_slice(&SECRETS.rows).unwrap();
        mac.update(&content);
        mac.update(&ordinal.to_le_bytes());
        *ordinal += 1;
        let first = *mac.finalize().into_bytes().first_chunk().unwrap();
        keyed.push((subject, first, format!("{x:?} {c:?} {t:?} {b:?}")));
    }
    keyed.sort();
    let mut counts = BTreeMap::new();
    keyed.retain(|(subject, ..)| {
        let count = counts.entry(*subject).or_insert(0);
        *count += 1;
        *count <= 20
    });
    keyed
        .into_iter()
        .map(|(subject, _, row)| (subject, row))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_stored_does_not_depend_on_what_is_set_aside(
        rows in prop::collection::vec(row(), 0..160),
        others in prop::collection::vec((0u32..9, 0u32..10), 0..60),
        bytes in prop::sample::select(vec![1usize, 100, 700, 3_000, 20_000]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        files(folder.path(), &rows, &others);
        let whole = stored(folder.path(), &Room::in_memory());
        let aside = Room::beside(&folder.path().join("aside"), bytes);
        prop_assert_eq!(&stored(folder.path(), &aside), &whole);
        if whole.is_ok() {
            prop_assert_eq!(told(folder.path()), expected(&rows, &others));
        }
        let mut left = names(folder.path());
        if left.remove("aside") {
            prop_assert!(names(&folder.path().join("aside")).is_empty());
        }
        left.retain(|name| !name.ends_with(".csv"));
        prop_assert_eq!(left.len(), if whole.is_ok() { 2 } else { 0 });
    }
}

#[test]
fn one_persons_many_rows_are_cut_alike_however_they_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    // More than are held of one person at once; most are there twice, some thrice.
    let rows: Vec<Row> = (0..40_000u32)
        .map(|n| {
            (
                u32::from(n % 7 == 0),
                Some(n % 400),
                None,
                Some(format!("n{}", n % 15_000)),
                None,
            )
        })
        .collect();
    files(folder.path(), &rows, &[]);
    let whole = stored(folder.path(), &Room::in_memory()).unwrap();
    assert_eq!(told(folder.path()), expected(&rows, &[]));
    let room = Room::beside(folder.path(), 300_000);
    assert_eq!(stored(folder.path(), &room).unwrap(), whole);
}

#[test]
fn nothing_is_set_aside_while_memory_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    files(
        folder.path(),
        &[(1, None, None, None, None), (2, Some(1), None, None, None)],
        &[],
    );
    let nowhere = folder.path().join("ta.csv").join("no folder");
    let enough = stored(folder.path(), &Room::beside(&nowhere, 10_000));
    assert!(enough.is_ok());
    // Otherwise the folder is needed.
    let room = Room::beside(&nowhere, 10);
    let error = read_rows_within(&description(), &folder.path().join("ta.csv"), &room);
    let error = error.expect_err("there is no such folder").to_string();
    assert!(error.starts_with("rows cannot be set aside in"), "{error}");
}

#[test]
fn what_a_crash_left_is_removed_and_the_dataset_can_be_added_again() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..50u32)
        .map(|n| (n % 5, Some(n), None, None, None))
        .collect();
    files(folder.path(), &rows, &[]);
    let expected = stored(folder.path(), &Room::in_memory()).unwrap();
    let before = names(folder.path());
    // In the moments in which a file has a name.
    for left in [
        "rows-0.aside",
        "rows-1.aside",
        "two.writing",
        "two-1.writing",
    ] {
        std::fs::write(folder.path().join(left), b"half").unwrap();
    }
    let room = Room::beside(folder.path(), 200);
    assert_eq!(stored(folder.path(), &room).unwrap(), expected);
    clear(folder.path()).unwrap();
    assert_eq!(names(folder.path()), before);
    assert_eq!(stored(folder.path(), &room).unwrap(), expected);
    assert!(clear(&folder.path().join("nowhere")).is_ok());
}
