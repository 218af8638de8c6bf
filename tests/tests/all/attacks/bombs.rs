//! Section F, the part about queries. F08 is in `attacks`.

#![allow(clippy::disallowed_methods)] // how long a refusal takes is what is measured

use std::time::{Duration, Instant};

use obscura_tests::fixture::{Setup, World, Worlds};
use obscura_wire::v1;
use prost::Message as _;
use tonic::Code;

use super::PREVIEW;
use super::worlds::{previewed, refused_once};

const P: &str = "patients";

async fn pair() -> Worlds {
    let setup = Setup {
        worlds: vec![World::Everybody, World::Without],
        ..Setup::default()
    };
    Worlds::build(setup).await.unwrap()
}

fn count(condition: &str) -> String {
    format!("SELECT COUNT(*) AS n FROM patients WHERE {condition}")
}

/// Each is refused in all worlds alike, soon, and the node answers the next question.
async fn bombs(queries: Vec<String>) {
    let worlds = pair().await;
    for sql in &queries {
        refused_once(&worlds, P, sql).await;
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            assert!(previewed(&worlds, P, sql).await.is_err());
            fastest = fastest.min(start.elapsed());
        }
        let short: String = sql.chars().take(60).collect();
        // Two worlds, two signatures, a gateway, and other tests on the same cores.
        assert!(fastest < Duration::from_millis(250), "{short}: {fastest:?}");
    }
    assert!(previewed(&worlds, P, &count("age = 1")).await.is_ok());
    assert_eq!(super::worlds::begun(&worlds.alike().await.unwrap()), 0);
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_long_flat_expressions() {
    bombs(vec![
        format!("SELECT 1{} FROM patients", "+1".repeat(2_000)),
        format!("SELECT 1{} FROM patients", "+1".repeat(20_000)),
        count(&format!("age = 1{}", " OR age = 1".repeat(5_000))),
        count(&format!("age = 1{}", " OR age = 1".repeat(20_000))),
        count(&format!("age = 1{}", " AND age <> 1".repeat(4_000))),
        count(&format!("age = 1{}", "*1".repeat(15_000))),
        count(&format!("dx = 'D01'{}", "||'x'".repeat(10_000))),
        count(&format!("age{} = 1", "::int".repeat(10_000))),
        count(&format!("age{}", " IS NOT NULL".repeat(4_000))),
        count(&format!("age{}", " COLLATE x".repeat(5_000))),
        count(&format!("age{}", ".x".repeat(20_000))),
        count(&format!("age{}", "[1]".repeat(15_000))),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_deep_nesting() {
    let n = 5_000;
    bombs(vec![
        count(&format!(
            "{}age{} = 1",
            "(".repeat(10_000),
            ")".repeat(10_000)
        )),
        count(&format!("{}age = 1", "NOT ".repeat(n))),
        count(&format!(
            "{} 1 {} = 1",
            "CASE WHEN TRUE THEN ".repeat(2_000),
            "END ".repeat(2_000)
        )),
        count(&format!("{} = 1", "CASE ".repeat(n))),
        count(&format!("age = {}1", "- ".repeat(n))),
        count(&format!("age = {}1", "+".repeat(n))),
        count(&format!("{}age{} = 1", "ABS(".repeat(n), ")".repeat(n))),
        count(&format!("{}age{} = 1", "LEAST(1,".repeat(n), ")".repeat(n))),
        count(&format!(
            "{}age{} = 1",
            "CAST(".repeat(n),
            " AS INT)".repeat(n)
        )),
        count(&format!("age IN {}1{}", "(".repeat(n), ")".repeat(n))),
        count(&format!("age = 1 {}", "AND (age = 1 ".repeat(n))),
        count(&format!(
            "age BETWEEN {}1",
            "1 AND 1 BETWEEN ".repeat(2_000)
        )),
        count(&"EXISTS (SELECT 1 FROM patients WHERE ".repeat(500)),
        format!(
            "SELECT COUNT(*) FROM {}patients{}",
            "(SELECT * FROM ".repeat(500),
            ")".repeat(500)
        ),
        format!(
            "SELECT COUNT(*) FROM {}patients{}",
            "(".repeat(n),
            ")".repeat(n)
        ),
        format!(
            "SELECT COUNT(*) FROM patients{}",
            " UNION ALL SELECT 1".repeat(2_500)
        ),
        format!(
            "SELECT COUNT(*) FROM patients{}",
            " UNION ALL SELECT 1".repeat(5_000)
        ),
        format!("{}SELECT 1", "WITH a AS (".repeat(3_000)),
        "SELECT (".repeat(5_000),
        "((((((((((".repeat(6_000),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f03_wide_queries() {
    bombs(vec![
        count(&format!("age IN ({}1)", "1,".repeat(30_000))),
        count(&format!("age IN ({}1)", "1,".repeat(200_000))),
        format!(
            "SELECT {}COUNT(*) FROM patients",
            "COUNT(*), ".repeat(10_000)
        ),
        format!(
            "SELECT {}COUNT(*) FROM patients",
            "COUNT(*), ".repeat(5_000)
        ),
        format!(
            "SELECT COUNT(*) FROM patients GROUP BY {}age",
            "age,".repeat(10_000)
        ),
        count(&format!("dx = '{}'", "x".repeat(65_000))),
        count(&format!("age = {}", "9".repeat(60_000))),
        count(&format!("{} = 1", "a".repeat(60_000))),
        count(&format!("age = 1{}", " ".repeat(65 * 1024))),
        count(&format!("age = 1 /*{}*/", "x".repeat(65 * 1024))),
        count(&format!("LEAST({}age) = 1", "age,".repeat(15_000))),
        count(&format!(
            "CASE {}END = 1",
            "WHEN age = 1 THEN 1 ".repeat(3_000)
        )),
    ])
    .await;
    // 64 MB do not even reach the parser.
    let worlds = pair().await;
    let body = v1::PreviewRequest {
        dataset: P.to_owned(),
        sql: count(&format!("age IN ({}1)", "1,".repeat(32 << 20))),
        ..v1::PreviewRequest::default()
    };
    let told = worlds.call(PREVIEW, body.encode_to_vec()).await.unwrap();
    let (code, text) = told.alike().unwrap().unwrap_err();
    let expected = matches!(code, Code::OutOfRange | Code::ResourceExhausted);
    assert!(expected, "{code:?} {text}");
    assert!(previewed(&worlds, P, &count("age = 1")).await.is_ok());
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_cross_joins() {
    bombs(vec![
        "SELECT COUNT(*) FROM patients a, patients b, patients c, patients d".to_owned(),
        "SELECT COUNT(*) FROM patients a CROSS JOIN patients b CROSS JOIN patients c".to_owned(),
        "SELECT COUNT(*) FROM patients a JOIN patients b ON 1 = 1".to_owned(),
        "SELECT COUNT(*) FROM patients a LEFT JOIN patients b ON a.sex = b.sex".to_owned(),
        format!("SELECT COUNT(*) FROM patients{}", ", patients".repeat(500)),
        format!(
            "SELECT COUNT(*) FROM patients{}",
            " NATURAL JOIN patients".repeat(500)
        ),
        format!(
            "SELECT COUNT(*) FROM patients a0{}",
            (1..300)
                .map(|n| format!(" JOIN patients a{n} USING (subject_id)"))
                .collect::<String>()
        ),
    ])
    .await;
}
