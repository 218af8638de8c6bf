//! A dataset of several tables, from the import folder to a release.

use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;

use crate::support::outcome;

const TABLES: &str = r#"name = "visits"
title = "People and stays"
subject = "person"
subject_unit = "person"
subjects = [1, 50]
delta = 1e-6

[[table]]
name = "people"
source = "people.csv"
most_rows_per_subject = 1

[[table.column]]
name = "grp"
type = "integer"
lowest = 0
highest = 1
meaning = "group"
bounds_from = "design"

[[table]]
name = "stays"
source = "stays.csv"
most_rows_per_subject = 3

[[table.column]]
name = "cost"
type = "number"
lowest = 0
highest = 100
meaning = "cost"
bounds_from = "design"
"#;

const QUERY: &str = "WITH t AS (SELECT person, SUM(cost) AS total FROM stays GROUP BY person) \
    SELECT grp, COUNT(*) AS n, AVG(total) AS mean FROM people JOIN t USING (person) GROUP BY grp";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_of_several_tables_is_ingested_and_answered_and_its_damage_is_found() {
    let cluster = Cluster::builder()
        .site(visits(50, 2, 1))
        .limit(1.0)
        .build()
        .await
        .unwrap();
    let here = &cluster.sites[0];
    let people: String = (0..50).map(|p| format!("p{p},{}\n", p % 2)).collect();
    let stays: String = (0..150)
        .map(|s| format!("p{},{}\n", s % 50, s % 90))
        .collect();
    let import = here.folder.join("import");
    std::fs::write(import.join("people.csv"), format!("person,grp\n{people}")).unwrap();
    let owner = here.owner_client().await.unwrap();
    // One file is not there yet: the version does not come to be.
    let (_, text) = outcome(owner.add_dataset(TABLES).await);
    assert!(text.contains("stays.csv"), "{text}");
    std::fs::write(import.join("stays.csv"), format!("person,cost\n{stays}")).unwrap();
    let added = owner.add_dataset(TABLES).await.unwrap();
    assert_eq!(added.dataset.version, 2);
    assert_eq!(added.rows, 200);

    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", QUERY, 100_000).times(2)])
        .await
        .unwrap();
    let site = here.institution().unwrap().name;
    let name = release_name("n").unwrap();
    let release = ada.release(&study, &site, &name, 1).await.unwrap();
    assert!(
        release
            .release()
            .canonical_sql
            .contains("(SELECT person, SUM(cost) AS total")
    );

    // The other table's file is damaged: found, and told in fixed words.
    let stored = std::fs::read_dir(here.folder.join("data/datasets")).unwrap();
    let other = stored
        .map(|f| f.unwrap().path())
        .find(|p| p.to_string_lossy().ends_with("-2-1.table"))
        .unwrap();
    let mut bytes = std::fs::read(&other).unwrap();
    // In the first chunk, which says whose rows they are.
    bytes[20] ^= 1;
    std::fs::write(&other, bytes).unwrap();
    let (_, text) = outcome(ada.release(&study, &site, &name, 2).await);
    assert!(
        text.contains("this release failed and was not made"),
        "{text}"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coverage_is_of_everybody_in_the_dataset_whichever_table_is_asked() {
    let cluster = Cluster::builder()
        .site(visits(50, 2, 1))
        .limit(100.0)
        .build()
        .await
        .unwrap();
    let here = &cluster.sites[0];
    // 30 people, 25 with stays of whom 10 are among them, 45 together.
    let people: String = (0..30).map(|p| format!("p{p},{}\n", p % 2)).collect();
    let stays: String = (40..90)
        .map(|s| format!("p{},{}\n", s / 2, s % 90))
        .collect();
    let import = here.folder.join("import");
    std::fs::write(import.join("people.csv"), format!("person,grp\n{people}")).unwrap();
    std::fs::write(import.join("stays.csv"), format!("person,cost\n{stays}")).unwrap();
    let owner = here.owner_client().await.unwrap();
    owner.add_dataset(TABLES).await.unwrap();

    let asked = [
        ("people", "SELECT COUNT(*) AS n FROM people", 30.0),
        ("stays", "SELECT COUNT(*) AS n FROM stays", 50.0),
        (
            "both",
            "SELECT COUNT(DISTINCT person) AS n FROM people JOIN stays USING (person)",
            10.0,
        ),
        (
            "per-person",
            "SELECT COUNT(*) AS n FROM people LEFT JOIN (SELECT person, SUM(cost) AS total \
             FROM stays GROUP BY person) AS t USING (person) WHERE total IS NULL",
            20.0,
        ),
    ];
    let asks = asked.map(|(name, sql, _)| {
        let mut ask = ask(name, sql, 4_000_000_000);
        ask.options.coverage = true;
        ask
    });
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let site = here.institution().unwrap().name;
    for (name, sql, rows) in asked {
        let name = release_name(name).unwrap();
        let release = ada.release(&study, &site, &name, 1).await.unwrap();
        let answer = &release.release().answer;
        // Both within six standard deviations of their noise, of which a margin is two.
        let [found, coverage] = [0, 1].map(|output| answer.estimate(output, 0).unwrap());
        let off = (found.value - rows).abs();
        assert!(off < 3.0 * found.margin + 0.1, "{sql}: {off}");
        let people = coverage.value;
        assert!((people - 45.0).abs() < 4.0, "{sql}: {people}");
    }
    cluster.stop().await;
}
