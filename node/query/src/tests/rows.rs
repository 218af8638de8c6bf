//! Stored rows and mock rows on their way through the fold.

use std::path::Path;

use obscura_model::schema::Description;
use obscura_privacy::Tally;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tempfile::TempDir;

use super::stored::{STORED, stored};
use super::{patients, plan, plan_with, visits};
use crate::fold::{FoldError, pieces, walk};
use crate::source::Source;
use crate::{PrivatePlan, PrivateTable, TableError, mock};

const HEAD: &str = "subject_id,age,sex,region,bmi,income,smoker,year,ward\n";

fn store(lines: &[String], folder: &TempDir) -> PrivateTable {
    let csv = folder.path().join(visits().source_file());
    std::fs::write(csv, format!("{HEAD}{}", lines.concat())).unwrap();
    stored(&visits(), folder.path())
}

fn sums(plan: &PrivatePlan, source: &impl Source, batch: usize) -> Vec<Vec<i64>> {
    let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
    walk(source, 0..pieces(source, plan), plan, batch, &mut tally).unwrap();
    tally.sums()
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = (0u32..12, 0u32..121, 0usize..4, 100u32..600, 0u32..3).prop_map(
        |(subject, age, sex, bmi, smoker)| {
            let sex = ["F", "M", "X", "?"][sex];
            let bmi = if bmi % 5 == 0 {
                String::new()
            } else {
                format!("{}.{}", bmi / 10, bmi % 10)
            };
            let smoker = ["yes", "no", ""][smoker as usize];
            format!(
                "s{subject},{age},{sex},N,{bmi},{}.25,{smoker},1990,plain\n",
                age * 7
            )
        },
    );
    prop::collection::vec(line, 1..200)
}

const QUERY: &str = "SELECT COUNT(*), COUNT(DISTINCT subject_id), SUM(age), AVG(bmi), \
    SUM(income * 0.1) AS i FROM visits WHERE age < 100 OR smoker GROUP BY sex, smoker";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sums_do_not_depend_on_row_order_or_batch_size(
        lines in lines(),
        seed in any::<u64>(),
        batch in 1usize..300,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan_with(QUERY, &visits()).unwrap();
        let expected = sums(&plan, &store(&lines, &folder).rows(), 8192);
        let mut shuffled = lines.clone();
        shuffled.sort_by_key(|line| (obscura_model::ids::Digest::of(line.as_bytes()), seed));
        if seed % 2 == 0 {
            shuffled.reverse();
        }
        let again = store(&shuffled, &folder);
        prop_assert_eq!(&sums(&plan, &again.rows(), batch), &expected);
        prop_assert_eq!(&sums(&plan, &again.rows(), 1), &expected);
    }
}

/// 2^53 and a thousand ones, whose sum in floating point depends on the order: each a person's, or
/// all of them one person's.
fn big(kind: &str, rows: u32) -> Description {
    let text = format!(
        "name = \"big\"\ntitle = \"Big\"\nsource = \"big.csv\"\nsubject = \"person\"\n\
         subject_unit = \"person\"\nmost_rows_per_subject = {rows}\nsubjects = [1, 3000]\n\
         delta = 1e-6\n[[column]]\nname = \"x\"\ntype = \"{kind}\"\nlowest = 0\n\
         highest = 9007199254740992\nmeaning = \"x\"\nbounds_from = \"design\"\n"
    );
    Description::from_toml(&text).unwrap()
}

#[test]
fn a05_two_to_the_53_and_ones_add_up_alike_in_any_order_and_any_batches() {
    let values: Vec<u64> = std::iter::once(1 << 53).chain([1; 1000]).collect();
    let folder = tempfile::tempdir().unwrap();
    for (kind, rows) in [
        ("integer", 1),
        ("number", 1),
        ("integer", 1001),
        ("number", 1001),
    ] {
        let description = big(kind, rows);
        let person = |row: usize| if rows == 1 { row } else { 0 };
        let forward: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(row, value)| format!("p{},{value}\n", person(row)))
            .collect();
        let table = |lines: &[String]| {
            let text = format!("person,x\n{}", lines.concat());
            std::fs::write(folder.path().join("big.csv"), text).unwrap();
            stored(&description, folder.path())
        };
        let backward: Vec<String> = forward.iter().rev().cloned().collect();
        // The same values in the other order, so that they are other people's.
        let moved: Vec<String> = values
            .iter()
            .rev()
            .enumerate()
            .map(|(row, value)| format!("p{},{value}\n", person(row)))
            .collect();
        let plan = plan_with("SELECT SUM(x) AS s FROM big", &description).unwrap();
        let expected = sums(&plan, &table(&forward).rows(), 8192);
        assert_ne!(expected, [[0]], "{kind} {rows}");
        for lines in [forward, backward, moved] {
            let table = table(&lines);
            for batch in [1, 2, 7, 500, 1000, 1001, 8191, 8192] {
                let found = sums(&plan, &table.rows(), batch);
                assert_eq!(found, expected, "{kind}, {rows} rows, batches of {batch}");
            }
        }
    }
}

#[test]
fn a_file_in_anothers_place_is_noticed_whatever_is_read() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let table = |ward: &str, folder| {
        let line = |i| format!("s{i},{i},F,N,20,1,yes,1990,{ward}\n");
        store(&(0..50).map(line).collect::<Vec<_>>(), folder)
    };
    let [one, _other] = [table("plain", &folders[0]), table("it's", &folders[1])];
    let plan = plan_with(QUERY, &visits()).unwrap();
    sums(&plan, &one.rows(), 8192);
    // What the query reads is the same in both.
    let [path, other] = folders.each_ref().map(|f| f.path().join(STORED));
    std::fs::copy(other, path).unwrap();
    let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
    let folded = walk(&one.rows(), 0..1, &plan, 8192, &mut tally);
    assert!(matches!(folded, Err(FoldError::Store)));
}

#[test]
fn a_damaged_store_is_found_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..50)
        .map(|i| format!("s{i},{i},F,N,20,1,yes,1990,plain\n"))
        .collect();
    let table = store(&lines, &folder);
    let path = folder.path().join(STORED);
    let bytes = std::fs::read(&path).unwrap();
    let plan = plan_with(QUERY, &visits()).unwrap();
    let whole = sums(&plan, &table.rows(), 8192);
    let mut found = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        // When a chunk is read, it is compared with the directory as it was opened.
        let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
        let folded = walk(&table.rows(), 0..1, &plan, 8192, &mut tally);
        // When the file is opened, its head and its directory are looked at.
        let opened = PrivateTable::open(&path, &visits());
        match folded {
            Err(FoldError::Store) => found += 1,
            result => assert!(result.is_ok() && tally.sums() == whole, "byte {at}"),
        }
        match opened {
            Ok(opened) => assert_eq!(opened.digest(), table.digest(), "byte {at}: a chunk"),
            Err(TableError::Damaged { .. } | TableError::OtherFormat { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    // Region, year and ward are not read.
    assert!(found > 100, "{found} of {}", bytes.len());
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(
        PrivateTable::open(&path, &visits()),
        Err(TableError::Damaged { .. })
    ));
    std::fs::write(&path, b"PAR1 and more").unwrap();
    let former = PrivateTable::open(&path, &visits()).unwrap_err();
    assert!(
        former.to_string().ends_with("ingest the dataset again"),
        "{former}"
    );
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path.with_extension("parquet"), b"PAR1").unwrap();
    let former = PrivateTable::open(&path, &visits());
    assert!(matches!(former, Err(TableError::OtherFormat { .. })));
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        PrivateTable::open(&path, &patients()),
        Err(TableError::OtherDescription { .. })
    ));
    assert!(matches!(
        PrivateTable::open(Path::new("/nowhere"), &visits()),
        Err(TableError::Read { .. })
    ));
}

#[test]
fn an_empty_dataset_answers_every_cell() {
    let folder = tempfile::tempdir().unwrap();
    let table = store(&[], &folder);
    let plan = plan_with(QUERY, &visits()).unwrap();
    let sums = sums(&plan, &table.rows(), 10);
    assert!(sums.iter().all(|cells| cells == &[0; 6]));
}

#[test]
fn mock_rows_are_a_function_of_description_and_seed() {
    let plan = plan_with(QUERY, &visits()).unwrap();
    let of = |seed| sums(&plan, &mock::rows(&visits(), seed), 777);
    assert_eq!(of(5), of(5));
    assert_ne!(of(5), of(6));
    // The columns that a plan does not read make no difference.
    let few = mock::rows_for(&plan, &visits(), 5);
    assert_eq!(sums(&plan, &few, 777), of(5));
}

#[test]
fn a_mock_answer_shows_the_sums_with_and_without_noise() {
    let plan = plan(
        "SELECT COUNT(*), COUNT(DISTINCT subject_id), AVG(bmi), COUNT(bmi) AS b FROM patients",
    )
    .unwrap();
    let rows = mock::rows(&patients(), 1);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let answer = mock::run(&plan, &rows, &mut rng).unwrap();
    let exact = |o| answer.exact.estimate(o, 0).unwrap().value;
    // 2,000 is the geometric middle of 1,000 and 4,000.
    assert_eq!((exact(0), exact(1)), (2000.0, 2000.0));
    assert!((10.0..60.0).contains(&exact(2)));
    assert!(
        (1500.0..1700.0).contains(&exact(3)),
        "a fifth is missing: {}",
        exact(3)
    );
    assert_ne!(answer.exact.values(), answer.noisy.values());
    let off = answer.noisy.estimate(0, 0).unwrap();
    assert!((off.value - 2000.0).abs() < 5.0 * off.margin);
    let other = plan_with("SELECT COUNT(*) FROM visits", &visits()).unwrap();
    assert!(mock::run(&other, &rows, &mut rng).is_err());
}

#[test]
fn mock_rows_keep_constant_columns_constant() {
    // With a constant key a subject is in one cell, so that subjects by region add up to all.
    let by_region = plan_with(
        "SELECT COUNT(DISTINCT subject_id) FROM visits GROUP BY region",
        &visits(),
    );
    let sums = sums(&by_region.unwrap(), &mock::rows(&visits(), 9), 100);
    assert_eq!(sums[0].iter().sum::<i64>(), 2000 * 1024);
    assert!(sums[0].iter().all(|n| *n > 0));
}

/// What this version of the node reads, any node that says format 3 has written.
#[test]
fn the_stored_bytes_of_format_3_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..40u32)
        .map(|i| {
            let bmi = if i % 4 == 0 {
                String::new()
            } else {
                format!("{}.{}", 20 + i % 9, i % 10)
            };
            let smoker = ["yes", "no", ""][(i % 3) as usize];
            let (sex, income) = (["F", "M"][(i % 2) as usize], f64::from(i) / 3.0);
            format!(
                "s{},{i},{sex},N,{bmi},{income},{smoker},1991,plain\n",
                i / 3
            )
        })
        .collect();
    store(&lines, &folder);
    let bytes = std::fs::read(folder.path().join(STORED)).unwrap();
    let digest = obscura_model::ids::Digest::of(&bytes).to_string();
    let expected = "2f2e2203facf966e409f200abe812ef2bcee421e2b1fa3c03ca64df3d70dcfd7";
    assert_eq!((bytes.len(), digest.as_str()), (1080, expected));
}
