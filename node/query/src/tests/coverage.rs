//! Coverage counts all subjects of the dataset version, whichever of its tables a query reads.

use std::collections::{BTreeMap, BTreeSet};

use obscura_model::schema::Description;
use obscura_privacy::{Filter, Known, Many, Mode, Permit, Sparse, Tally};
use proptest::prelude::*;

use super::relations::{CLINIC, clinic};
use super::stored::{Indexes, stored, stored_with};
use super::subjects::{
    PersonRows, by_hand, in_stored_order, of_relation, people, random_query, store, sums,
    written_out,
};
use super::{delta, parse_with, plan_with, price};
use crate::fold::{Contributions, FoldError, Sink, pieces, walk};
use crate::source::Source;
use crate::{PlanOptions, PrivatePlan, PrivateTable};

/// One subject in steps of the coverage.
const ONE: i64 = 1024;

/// The same query with the coverage as one more vector, the last.
fn covering(sql: &str, description: &Description) -> PrivatePlan {
    let options = PlanOptions {
        coverage: true,
        ..PlanOptions::default()
    };
    let query = parse_with(sql, description).unwrap_or_else(|r| panic!("{sql}: {r}"));
    query
        .plan(description, &price(0.1), None, delta(), &options)
        .unwrap()
}

/// Whom the fold visits, in order, with what each adds.
#[derive(Default, PartialEq, Debug)]
struct Visits(Vec<(u32, Vec<Sparse>)>);

impl Sink for Visits {
    fn take(&mut self, subject: u32, _: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        self.0.push((subject, parts.to_vec()));
        Ok(())
    }

    fn take_many(&mut self, many: &mut Many) -> Result<(), FoldError> {
        many.one_by_one(|subject, parts| {
            self.0.push((subject, parts.to_vec()));
            Ok(())
        })
        .map_err(FoldError::Sums)
    }
}

fn visits(plan: &PrivatePlan, rows: &impl Source, batch_rows: usize) -> Visits {
    let mut visits = Visits::default();
    walk(rows, 0..pieces(rows, plan), plan, batch_rows, &mut visits).unwrap();
    visits
}

/// The sums of the real fold, in which everybody has room.
fn folded(
    plan: &PrivatePlan,
    table: &PrivateTable,
    threads: usize,
    batch_rows: usize,
) -> Vec<Vec<i64>> {
    let room = plan.index_capacity();
    let filter = Filter::new(Mode::Protect, vec![plan.price()]);
    let permit = Permit::after_durable_intent(1, filter, plan.shape().clone(), true, room).unwrap();
    let exposures = vec![0u64; room as usize];
    let known = Known {
        accounts: &[&exposures],
        barred: &vec![false; room as usize],
    };
    Contributions::bind(permit, plan.clone(), table.rows())
        .fold_in(known, threads, batch_rows, &|| false)
        .unwrap()
        .exact_sums_for_audit()
        .to_vec()
}

/// The queries that most people are missing from, besides random ones.
const SPARSE: [&str; 7] = [
    "SELECT COUNT(*) FROM visits",
    "SELECT COUNT(*) FROM drugs WHERE dose > 49",
    "SELECT SUM(cost) AS s FROM people JOIN visits USING (person)",
    "SELECT COUNT(*) FROM visits JOIN drugs ON visits.person = drugs.patient AND dose < 0",
    "SELECT COUNT(*) FROM people LEFT JOIN drugs ON people.person = drugs.patient \
     WHERE dose IS NULL",
    "SELECT SUM(n) AS a FROM (SELECT person, COUNT(*) AS n FROM visits GROUP BY person \
     HAVING COUNT(*) > 1) AS t",
    "SELECT region, COUNT(*) FROM people JOIN (SELECT patient, SUM(dose) AS d FROM drugs \
     GROUP BY patient) AS t ON people.person = t.patient WHERE d > 20 GROUP BY region",
];

fn query(seed: u64) -> String {
    match SPARSE.get((seed % 16) as usize) {
        Some(sql) => (*sql).to_owned(),
        None => random_query(seed),
    }
}

fn in_any_table(rows: &PersonRows) -> bool {
    rows.iter().any(|table| !table.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everybody_is_counted_once_whatever_is_asked(
        seed in any::<u64>(), batch_rows in 1usize..40, threads in 1usize..5,
    ) {
        let people = people(seed);
        let everybody = people.values().filter(|rows| in_any_table(rows)).count() as i64;
        let folder = tempfile::tempdir().unwrap();
        let table = store(&people, 0, folder.path());
        let sql = query(seed);
        let plan = covering(&sql, &clinic());
        let plain = plan_with(&sql, &clinic()).unwrap();
        let joined: Vec<_> = people
            .values()
            .map(|rows| of_relation(plain.relation(), &in_stored_order(rows)))
            .collect();
        let mut expected = by_hand(&plain, &joined);
        expected.push(vec![everybody * ONE]);
        prop_assert_eq!(&sums(&plan, &table.rows(), batch_rows), &expected, "{}", sql);
        prop_assert_eq!(&folded(&plan, &table, threads, batch_rows), &expected, "{}", sql);

        // Each once, in order, with a whole count.
        let visits = visits(&plan, &table.rows(), batch_rows);
        prop_assert!(visits.0.is_sorted_by(|a, b| a.0 < b.0), "{}", sql);
        let mut one = Sparse::new();
        one.set(0, ONE);
        prop_assert!(visits.0.iter().all(|(_, parts)| parts.last() == Some(&one)), "{}", sql);
    }

    #[test]
    fn nobody_elses_visit_follows_from_one_persons_rows(
        seed in any::<u64>(), batch_rows in 1usize..40, moved in 0usize..25,
    ) {
        let with = people(seed);
        let one = *with.keys().nth(moved % with.len()).unwrap();
        let plan = covering(&query(seed), &clinic());
        let folder = tempfile::tempdir().unwrap();
        // Everybody keeps the index that the first of these gives them.
        let mut indices = Indexes::new();
        let mut world = |people: &BTreeMap<u32, PersonRows>, batch_rows| {
            written_out(people, 0, folder.path());
            let table = stored_with(&clinic(), folder.path(), &mut indices);
            visits(&plan, &table.rows(), batch_rows)
        };
        let before = world(&with, 8192);
        // Rows in one table only, in turn; then none at all.
        for kept in 0..=with[&one].len() {
            let mut changed = with.clone();
            let rows = changed.get_mut(&one).unwrap();
            for (table, rows) in rows.iter_mut().enumerate() {
                rows.truncate(if table == kept { 1 } else { 0 });
            }
            let stays = in_any_table(&changed[&one]);
            let after = world(&changed, batch_rows);
            let subjects = |visits: &Visits| -> BTreeSet<u32> {
                visits.0.iter().map(|(s, _)| *s).collect()
            };
            let gone: Vec<u32> = subjects(&before).difference(&subjects(&after)).copied().collect();
            let counted = in_any_table(&with[&one]);
            prop_assert_eq!(gone.len(), usize::from(counted && !stays));
            let others = |visits: &Visits, but: &BTreeSet<u32>| -> Vec<(u32, Vec<Sparse>)> {
                visits.0.iter().filter(|(s, _)| !but.contains(s)).cloned().collect()
            };
            let differ: BTreeSet<u32> = before
                .0
                .iter()
                .filter(|visit| !after.0.contains(visit))
                .chain(after.0.iter().filter(|visit| !before.0.contains(visit)))
                .map(|(s, _)| *s)
                .collect();
            prop_assert!(differ.len() <= 1, "{:?}", differ);
            prop_assert_eq!(others(&before, &differ), others(&after, &differ));
        }
    }
}

/// Many people whose rows fill several groups of one table and begin in another.
fn large(folder: &std::path::Path) -> (Description, PrivateTable) {
    let sizes = CLINIC.replace("subjects = [10, 1000]", "subjects = [10, 60000]");
    let description = Description::from_toml(&sizes).unwrap();
    let lines = |wanted: fn(&u32) -> bool, line: fn(u32) -> String| -> String {
        (0..50_000).filter(wanted).map(line).collect()
    };
    let write = |name: &str, head: &str, body: &str| {
        std::fs::write(folder.join(name), format!("{head}\n{body}")).unwrap();
    };
    // Who is in the first table is so by the third's leave: everybody else comes before or after.
    let people = lines(
        |p| (10_000..20_000).contains(p),
        |p| format!("P{p},1,N,5\n"),
    );
    write("people.csv", "person,age,region,entry", &people);
    let visits = lines(
        |p| p % 3 == 0,
        |p| (0..9).map(|v| format!("P{p},{v},1,I21,true\n")).collect(),
    );
    write("visits.csv", "person,day,cost,code,urgent", &visits);
    let drugs = lines(|p| p % 7 == 0 || *p > 49_000, |p| format!("P{p},1,10\n"));
    write("drugs.csv", "patient,day,dose", &drugs);
    let table = stored(&description, folder);
    (description, table)
}

#[test]
fn people_at_the_borders_of_groups_chunks_and_threads_are_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let (description, table) = large(folder.path());
    let rows = table.rows();
    let in_people = |p: u32| (10_000..20_000).contains(&p);
    let in_drugs = |p: u32| p.is_multiple_of(7) || p > 49_000;
    let everybody = (0..50_000)
        .filter(|p| in_people(*p) || p % 3 == 0 || in_drugs(*p))
        .count() as i64;
    assert!(rows.spans(1).len() > 1);
    for (sql, answer) in [
        ("SELECT COUNT(*) FROM people", 10_000),
        (
            "SELECT COUNT(*) FROM drugs",
            (0..50_000).filter(|p| in_drugs(*p)).count() as i64,
        ),
        (
            "SELECT COUNT(DISTINCT person) FROM people JOIN visits USING (person) WHERE day < 1",
            (0..50_000).filter(|p| in_people(*p) && p % 3 == 0).count() as i64,
        ),
        ("SELECT COUNT(*) FROM people WHERE age > 1", 0),
    ] {
        let plan = covering(sql, &description);
        assert!(pieces(&rows, &plan) > 1, "{sql}");
        let expected = [vec![answer * ONE], vec![everybody * ONE]];
        for (threads, batch_rows) in [(1, 8192), (3, 1000), (64, 7)] {
            let found = folded(&plan, &table, threads, batch_rows);
            assert_eq!(
                found, expected,
                "{sql}, {threads} threads of {batch_rows} rows"
            );
        }
        let mut apart = 0;
        for piece in 0..pieces(&rows, &plan) {
            let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
            walk(&rows, piece..piece + 1, &plan, 100, &mut tally).unwrap();
            apart += tally.sums()[1][0];
        }
        assert_eq!(apart, everybody * ONE, "{sql}");
    }
}

#[test]
fn a_fold_over_rows_that_the_relation_does_not_have_can_be_stopped_too() {
    let folder = tempfile::tempdir().unwrap();
    let rows = BTreeMap::from([(0, vec![vec![], vec![], vec![]])]);
    let mut people = people(1);
    people.extend(rows);
    let table = store(&people, 0, folder.path());
    // An inner join that never holds.
    let plan = covering(SPARSE[3], &clinic());
    let room = plan.index_capacity() as usize;
    let filter = Filter::new(Mode::Protect, vec![plan.price()]);
    let permit =
        Permit::after_durable_intent(1, filter, plan.shape().clone(), true, room as u64).unwrap();
    let known = Known {
        accounts: &[&vec![0u64; room]],
        barred: &vec![false; room],
    };
    let result = Contributions::bind(permit, plan, table.rows()).fold_until(known, 1, &|| true);
    assert!(matches!(result, Err(FoldError::Late)));
}

#[test]
fn the_slot_has_room_for_tables_that_are_read_for_coverage_alone() {
    let sizes = CLINIC.replace("subjects = [10, 1000]", "subjects = [10, 900000]");
    let description = Description::from_toml(&sizes).unwrap();
    let slot = |plan: &PrivatePlan| plan.slot(1).unwrap();
    // (FROM, the most rows of one person in the other tables)
    for (from, further) in [
        ("people", 5),
        ("visits", 3),
        ("drugs", 4),
        ("people JOIN visits USING (person)", 2),
        (
            "people JOIN visits USING (person) JOIN drugs ON people.person = drugs.patient",
            0,
        ),
    ] {
        let sql = format!("SELECT COUNT(*) FROM {from}");
        let plain = plan_with(&sql, &description).unwrap();
        let longer = slot(&covering(&sql, &description)) - slot(&plain);
        // At least what reading 900,000 people's rows takes, by the slot's own constant.
        assert!(longer >= 270 * further, "{from}: {longer}");
    }
}

#[test]
fn coverage_reads_every_table_for_who_is_in_it() {
    let sql = "SELECT COUNT(*) AS n FROM people";
    let alone = plan_with(sql, &clinic()).unwrap();
    assert_eq!(alone.tables_read(&clinic()), ["people"]);
    let all: Vec<String> = clinic().tables().iter().map(|t| t.name.clone()).collect();
    assert!(all.len() > 1);
    assert_eq!(covering(sql, &clinic()).tables_read(&clinic()), all);
}
