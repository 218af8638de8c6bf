//! Stored rows and mock rows on their way through the fold.

use std::path::Path;

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
fn row_groups_are_cut_between_subjects() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..130_000)
        .map(|i| format!("s{},{},F,N,20,1,yes,1990,plain\n", i / 100, i % 100))
        .collect();
    let table = store(&lines, &folder);
    // 16,384 rows end within the 164th person's hundred.
    let spans = table.rows().spans(0);
    assert_eq!((spans.len(), spans[0].first, spans[0].last), (8, 0, 163));
    let plan = plan_with(
        "SELECT COUNT(*), COUNT(DISTINCT subject_id) FROM visits",
        &visits(),
    );
    let sums = sums(&plan.unwrap(), &table.rows(), 1000);
    assert_eq!(
        sums,
        [[1300 * 10 * 1024], [1300 * 1024]],
        "ten rows of each subject at most"
    );
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
