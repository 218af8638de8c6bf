//! Owners' files: what is moved to a bound, what is missing, what is refused and where.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use obscura_model::schema::Description;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::{PATIENTS, patients};
use crate::ingest::{RawColumn, RawTable, Secrets, SortError, read_rows, sort, subject_hash};

const HEAD: &str = "subject_id,age,sex,region,bmi,income,smoker,year,ward,note\n";

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read_csv(body: &str) -> Result<RawTable, String> {
    let (_folder, path) = file("p.csv", format!("{HEAD}{body}").as_bytes());
    read_rows(&patients(), &path).map_err(|e| e.to_string())
}

/// Ids and columns of the rows as read.
struct Read(Vec<String>, Vec<RawColumn>);

fn columns(table: RawTable) -> Read {
    let (ids, columns) = table.columns(0);
    Read(ids, columns)
}

fn numbers(Read(_, columns): &Read, column: usize) -> Vec<Option<f64>> {
    match &columns[column] {
        RawColumn::Number(v) => v.clone(),
        _ => panic!("not a number"),
    }
}

fn codes(Read(_, columns): &Read, column: usize) -> Vec<Option<i32>> {
    match &columns[column] {
        RawColumn::Category(v) => v.clone(),
        _ => panic!("not a category"),
    }
}

#[test]
fn values_are_bounded_and_what_is_no_value_is_missing() {
    let table = read_csv(
        "S1,42,F,N,NaN,9223372036854775807,yes,1990,plain,(\n\
         S2,-7,M,ZZ,,-3,0,1995,nowhere,\n\
         S3,999,X,S,+inf,5e5,T,1999,it's,\n\
         S4,0,X,E,-0.0,-0.0,NULL,1999,\"a\"\"b\",x\n",
    )
    .unwrap();
    let table = columns(table);
    assert_eq!(table.0, ["s1", "s2", "s3", "s4"]);
    assert_eq!(
        numbers(&table, 0),
        [Some(42.0), Some(0.0), Some(120.0), Some(0.0)]
    );
    assert_eq!(
        codes(&table, 2),
        [Some(0), None, Some(1), Some(2)],
        "off the list is missing"
    );
    assert_eq!(numbers(&table, 3), [None, None, Some(60.0), Some(10.0)]);
    assert_eq!(
        numbers(&table, 4),
        [Some(1e6), Some(0.0), Some(5e5), Some(0.0)]
    );
    assert!(
        numbers(&table, 4)
            .iter()
            .flatten()
            .all(|v| v.is_sign_positive())
    );
    assert_eq!(
        codes(&table, 7),
        [Some(2), Some(3), Some(0), Some(1)],
        "off the list is other"
    );
}

#[test]
fn rows_without_an_id_are_left_out_and_ids_have_one_form() {
    let table = read_csv(
        " s0042 ,1,F,N,,1,,1990,plain,\n,1,F,N,,1,,1990,plain,\nNULL,1,F,N,,1,,1990,plain,\n\
         S0042,2,F,N,,1,,1990,plain,\n",
    )
    .unwrap();
    assert_eq!((table.rows(), table.rows_without_id()), (2, 2));
    assert_eq!(columns(table).0, ["s0042", "s0042"]);
    let secret = [7; 32];
    assert_eq!(
        subject_hash(&secret, " S0042"),
        subject_hash(&secret, "s0042")
    );
    assert_ne!(
        subject_hash(&secret, "s0042"),
        subject_hash(&[8; 32], "s0042")
    );
}

#[test]
fn a_wrong_row_is_named_by_line_and_column_and_never_shown() {
    let good = "S1,42,F,N,20,1,yes,1990,plain,\n";
    for (bad, says) in [
        (
            "S2,4.5,F,N,20,1,yes,1990,plain,\n",
            "p.csv, line 3, column 'age': this is not a whole",
        ),
        (
            "S2,secret,F,N,20,1,yes,1990,plain,\n",
            "line 3, column 'age': this is not a number",
        ),
        (
            "S2,,F,N,20,1,yes,1990,plain,\n",
            "line 3, column 'age': the value is missing",
        ),
        (
            "S2,4,F,N,20,1,maybe,1990,plain,\n",
            "column 'smoker': this is neither true nor false",
        ),
        (
            "S2,4,F,N,20\n",
            "line 3: the row has another number of values",
        ),
        ("S2,4,F,N,20,1,yes,1990,plain,\"secret\n", "never closed"),
        (
            "S1,4,F,S,20,1,yes,1990,plain,\n",
            "line 3, column 'region': differs",
        ),
    ] {
        let error = read_csv(&format!("{good}{bad}")).unwrap_err();
        assert!(error.contains(says), "{error}");
        assert!(
            !error.contains("secret") && !error.contains("maybe"),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_no_table_is_refused() {
    let error = |name: &str, bytes: &[u8]| {
        let (_folder, path) = file(name, bytes);
        read_rows(&patients(), &path).unwrap_err().to_string()
    };
    assert!(error("p.csv", b"").contains("empty"));
    assert!(error("p.csv", b"subject_id,age\n").contains("no column 'sex'"));
    assert!(error("p.csv", b"age,sex\n").contains("no column 'subject_id'"));
    let twice = format!("age,{HEAD}");
    assert!(error("p.csv", twice.as_bytes()).contains("'age' is there twice"));
    assert!(error("p.txt", b"x").contains("only .csv and .parquet"));
    assert!(error("p.parquet", b"PAR1 not really").contains("cut off or damaged"));
    let mut latin = format!("{HEAD}S1,42,F,N,20,1,yes,1990,caf").into_bytes();
    latin.extend_from_slice(b"\xe9,\n");
    assert!(error("p.csv", &latin).contains("line 2, column 'ward': this is not UTF-8"));
    assert!(
        read_rows(&patients(), std::path::Path::new("/nowhere/p.csv"))
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
}

#[test]
fn a_byte_order_mark_and_other_capitals_in_the_header_do_no_harm() {
    let text = format!(
        "\u{feff}{}S1,42,F,N,20,1,yes,1990,plain,\n",
        HEAD.to_uppercase()
    );
    let (_folder, path) = file("p.csv", text.as_bytes());
    assert_eq!(read_rows(&patients(), &path).unwrap().rows(), 1);
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> (TempDir, PathBuf) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    file("p.parquet", &writer.into_inner().unwrap())
}

fn small() -> Description {
    let columns = ["age", "sex", "bmi", "smoker"];
    let mut parts = PATIENTS.split("[[column]]");
    let mut text = parts.next().unwrap().replace("patients.csv", "p.parquet");
    for part in parts {
        if columns
            .iter()
            .any(|c| part.contains(&format!("name = \"{c}\"")))
        {
            text.push_str("[[column]]");
            text.push_str(part);
        }
    }
    Description::from_toml(&text).unwrap()
}

#[test]
fn parquet_is_read_like_csv() {
    let (_folder, path) = parquet(vec![
        (
            "subject_id",
            Arc::new(Int64Array::from(vec![Some(7), None, Some(-9)])) as ArrayRef,
        ),
        ("age", Arc::new(Int64Array::from(vec![i64::MAX, 3, 4]))),
        ("sex", Arc::new(StringArray::from(vec!["F", "F", "??"]))),
        (
            "bmi",
            Arc::new(Float64Array::from(vec![
                Some(f64::NAN),
                None,
                Some(f64::INFINITY),
            ])),
        ),
        (
            "smoker",
            Arc::new(BooleanArray::from(vec![Some(true), None, None])),
        ),
    ]);
    let table = columns(read_rows(&small(), &path).unwrap());
    assert_eq!(table.0, ["7", "-9"]);
    assert_eq!(numbers(&table, 0), [Some(120.0), Some(4.0)]);
    assert_eq!(codes(&table, 1), [Some(0), None]);
    assert_eq!(numbers(&table, 2), [None, Some(60.0)]);
}

#[test]
fn a_parquet_column_of_another_type_is_refused() {
    let (_folder, path) = parquet(vec![
        (
            "subject_id",
            Arc::new(Int64Array::from(vec![7])) as ArrayRef,
        ),
        ("age", Arc::new(StringArray::from(vec!["secret"]))),
        ("sex", Arc::new(StringArray::from(vec!["F"]))),
        ("bmi", Arc::new(Float64Array::from(vec![1.0]))),
        ("smoker", Arc::new(BooleanArray::from(vec![true]))),
    ]);
    let error = read_rows(&small(), &path).unwrap_err().to_string();
    assert_eq!(
        error,
        "p.parquet, column 'age': its type Utf8 cannot be read as an integer"
    );
    let bytes = std::fs::read(&path).unwrap();
    let (_folder, cut) = file("p.parquet", &bytes[..bytes.len() / 2]);
    assert!(
        read_rows(&small(), &cut)
            .unwrap_err()
            .to_string()
            .contains("cut off or damaged")
    );
}

#[test]
fn a_full_index_and_another_description_stop_the_sorting() {
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    let table = || read_csv("S1,42,F,N,20,1,yes,1990,plain,\n").unwrap();
    let mut beyond = |_: [u8; 16]| Ok::<u32, Infallible>(4096);
    assert!(matches!(
        sort(table(), &patients(), &secrets, &mut beyond),
        Err(SortError::Full)
    ));
    let mut zero = |_: [u8; 16]| Ok::<u32, Infallible>(0);
    assert!(matches!(
        sort(table(), &super::visits(), &secrets, &mut zero),
        Err(SortError::OtherDescription)
    ));
}

#[test]
fn the_index_is_asked_once_for_each_subject_in_an_order_of_its_own() {
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    let mut asked = BTreeMap::new();
    let mut order = Vec::new();
    let table = read_csv(
        "S1,42,F,N,20,1,yes,1990,plain,\nS2,42,F,N,20,1,yes,1990,plain,\n\
         s1 ,43,F,N,20,1,yes,1990,plain,\n",
    )
    .unwrap();
    let mut index = |hash: [u8; 16]| {
        order.push(hash);
        let next = asked.len() as u32;
        Ok::<u32, Infallible>(*asked.entry(hash).or_insert(next))
    };
    let sorted = sort(table, &patients(), &secrets, &mut index).unwrap();
    assert_eq!(order.len(), 2);
    assert!(order.is_sorted());
    assert_eq!(sorted.rows(), 3);
}

#[test]
fn a_person_with_two_ids_has_one_value_of_what_is_constant() {
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    let stored = |lines: &str, people: u32| {
        let mut next = 0;
        let mut index = |_: [u8; 16]| {
            next += 1;
            Ok::<u32, Infallible>(next % people)
        };
        sort(read_csv(lines).unwrap(), &patients(), &secrets, &mut index)
    };
    let (same, other) = (
        "S1,42,F,N,20,1,yes,1990,plain,\nS2,40,F,N,21,1,no,1990,plain,\n",
        "S1,42,F,N,20,1,yes,1990,plain,\nS2,42,F,S,20,1,yes,1990,plain,\n",
    );
    assert!(stored(same, 1).is_ok());
    assert!(stored(other, 2).is_ok());
    let refused = stored(other, 1).expect_err("one person in two regions");
    assert_eq!(
        refused.to_string(),
        "in the table 'patients' the rows of somebody with several ids have different values of \
         'region', and the description says that it is constant per subject: correct it or change \
         the description"
    );
}
