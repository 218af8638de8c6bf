//! From the catalogue to a combined answer over three institutions, through the gateway.

use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::ids::{DatasetName, PartyName};
use obscura_client::model::release::Completeness;
use obscura_client::model::study::{StudyState, Verdict};
use obscura_client::model::text::SqlText;
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::{demo_site, visits};
use obscura_tests::oracle::Table;

use crate::support::{VISITS, outcome};

const LEVELS: [&str; 4] = ["free", "25 %", "50 %", "95 % and over"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_goes_from_the_catalogue_to_one_combined_answer() {
    let cluster = Cluster::builder()
        .demo_sites(3)
        .unwrap()
        .limit(5.0)
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let (site, dataset) = (
        PartyName::new("site-2").unwrap(),
        DatasetName::new("rand_hie").unwrap(),
    );

    // The catalogue: three sites, in order, with limit and no exposure.
    assert_eq!(ada.sites().len(), 3);
    for at in ada.datasets().await {
        let [face] = at.outcome.unwrap().try_into().unwrap();
        assert_eq!((face.name.as_str(), face.version), ("rand_hie", 1));
        assert_eq!(face.accounts[0].meter.nano(), 0);
        assert!(face.accounts[0].limit.is_some());
    }

    // Practice: the same question and seed give the same invented rows, and nothing is added.
    let sql = SqlText::new("SELECT cost_share, COUNT(*) AS n FROM rand_hie GROUP BY cost_share");
    let (sql, accuracy) = (
        sql.unwrap(),
        AccuracyRequest::whole(Accuracy::Sigma(20.0)).unwrap(),
    );
    let mock = ada
        .sandbox(&site, &dataset, &sql, &accuracy, 7)
        .await
        .unwrap();
    let again = ada
        .sandbox(&site, &dataset, &sql, &accuracy, 7)
        .await
        .unwrap();
    assert_eq!(mock.exact, again.exact);
    assert_ne!(mock.noisy.values(), mock.exact.values());
    let preview = ada.preview(&site, &dataset, &sql, &accuracy).await.unwrap();
    assert_eq!(preview.price, mock.preview.price);
    assert_eq!(preview.refusal, None);
    assert_eq!(cluster.sites[1].meter().unwrap().nano(), 0);

    // The study: each owner reviews and approves; then everything asked for runs once.
    let visits = "SELECT cost_share, AVG(LEAST(mdvis, 10)) AS visits FROM rand_hie GROUP BY \
                  cost_share";
    let people = "SELECT cost_share, COUNT(DISTINCT zper) AS people FROM rand_hie GROUP BY \
                  cost_share";
    let asks = [
        ask("visits", visits, 100_000_000),
        ask("people", people, 20_000_000),
    ];
    let study = ada.draft("Does cost sharing matter?", "rand_hie").unwrap();
    drop(study);
    let study = cluster.study(&ada, &asks).unwrap();
    let previews = ada.preview_study(&study).await;
    assert!(
        previews
            .iter()
            .all(|p| p.outcome.as_ref().is_ok_and(|p| p.price.is_some()))
    );
    assert!(ada.submit(&study).await.iter().all(|s| s.outcome.is_ok()));
    for site in &cluster.sites {
        let owner = site.owner_client().await.unwrap();
        let [waiting] = owner.requests().await.unwrap().try_into().unwrap();
        assert_eq!(waiting.state, StudyState::Submitted);
        let review = owner.review(study.id()).await.unwrap();
        assert_eq!(review.releases.len(), 2);
        assert_eq!(review.scientist, "ada");
        assert!(review.price.nano() <= 120_000_000 && review.price.nano() > 119_000_000);
        owner.decide(&review, Verdict::Approve, "").await.unwrap();
    }
    let status = ada.status(&study).await;
    assert!(
        status
            .iter()
            .all(|s| s.outcome.as_ref().unwrap().state == StudyState::Approved)
    );

    let combined = ada
        .answer(&study, &release_name("visits").unwrap())
        .await
        .unwrap();
    assert_eq!(combined.included.len(), 3);
    assert!(combined.not_included.is_empty());
    assert!(
        combined
            .included
            .iter()
            .all(|i| i.completeness == Completeness::NobodyDropped)
    );
    check_visits(&combined.combined);
    let people = ada
        .answer(&study, &release_name("people").unwrap())
        .await
        .unwrap();
    assert_eq!(people.combined.rows.len(), 4);
    let added = combined.included[0]
        .added
        .checked_add(people.included[0].added)
        .unwrap();
    assert_eq!(cluster.sites[0].meter().unwrap(), added);
    let status = ada.status(&study).await;
    assert!(
        status
            .iter()
            .all(|s| s.outcome.as_ref().unwrap().state == StudyState::Completed)
    );
    cluster.stop().await;
}

/// Each average lies within five margins of what the public table gives.
fn check_visits(combined: &obscura_client::model::combine::Combined) {
    let tables: Vec<_> = (1..=3)
        .map(|s| Table::parse(&demo_site(s).unwrap().csv))
        .collect();
    for (row, level) in combined.rows.iter().zip(LEVELS) {
        let (mut sum, mut rows) = (0.0, 0.0);
        for table in &tables {
            let here = table
                .rows
                .iter()
                .filter(|r| table.text(r, "cost_share") == level);
            for r in here {
                sum += table.number(r, "mdvis").unwrap().min(10.0);
                rows += 1.0;
            }
        }
        let estimate = row.estimates[0];
        let off = (estimate.value - sum / rows).abs();
        assert!(
            off < 5.0 / 1.96 * estimate.margin,
            "{level}: {off} with {estimate:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_combined_answer_says_who_declined_and_why() {
    let mut builder = Cluster::builder();
    for _ in 0..3 {
        builder = builder.site(visits(60, 3, 1));
    }
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .study(&ada, &[ask("n", VISITS, 10_000_000)])
        .unwrap();
    ada.submit(&study).await;
    cluster.sites[0]
        .decide(&study, Verdict::Approve, "")
        .await
        .unwrap();
    // A decision against needs a reason, and it reaches the scientist.
    assert!(
        cluster.sites[1]
            .decide(&study, Verdict::Decline, " ")
            .await
            .is_err()
    );
    cluster.sites[1]
        .decide(&study, Verdict::Decline, "too broad")
        .await
        .unwrap();
    cluster.sites[2]
        .decide(&study, Verdict::Approve, "")
        .await
        .unwrap();
    let status = ada.status(&study).await.remove(1).outcome.unwrap();
    assert_eq!(
        (status.state, status.reason.as_str()),
        (StudyState::Declined, "too broad")
    );
    let answer = ada
        .answer(&study, &release_name("n").unwrap())
        .await
        .unwrap();
    assert_eq!(answer.included.len(), 2);
    let [missing] = answer.not_included.as_slice() else {
        panic!("{:?}", answer.not_included)
    };
    assert_eq!(missing.name.as_str(), "site-2");
    assert!(answer.who().contains("2 of 3"), "{}", answer.who());
    assert_eq!(cluster.sites[1].meter().unwrap().nano(), 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_again_is_the_same_bytes_and_adds_nothing() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 10_000_000).times(2)])
        .await
        .unwrap();
    let (site, name) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    let first = ada.release(&study, &site, &name, 1).await.unwrap();
    let meter = cluster.sites[0].meter().unwrap();
    assert_eq!(meter, first.release().price);
    // From another connection, and after the study is over.
    let elsewhere = cluster.client("ada").await.unwrap();
    let second = elsewhere.release(&study, &site, &name, 1).await.unwrap();
    assert_eq!(first.signed(), second.signed());
    ada.withdraw(&study).await;
    let third = ada.release(&study, &site, &name, 1).await.unwrap();
    assert_eq!(first.signed(), third.signed());
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    // A new id is a new release: here it comes too late.
    let late = outcome(ada.release(&study, &site, &name, 2).await);
    assert_eq!(late.0, "not_now", "{}", late.1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_of_the_data_changes_no_answer_that_was_given() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 10_000_000)])
        .await
        .unwrap();
    let (site, name) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    let before = ada.release(&study, &site, &name, 1).await.unwrap();
    let here = &cluster.sites[0];
    std::fs::write(here.folder.join("import/visits.csv"), visits(50, 3, 1).csv).unwrap();
    let owner = here.owner_client().await.unwrap();
    let added = owner.add_dataset(&here.dataset.description).await.unwrap();
    assert_eq!(added.dataset.version, 2);
    let after = ada.release(&study, &site, &name, 1).await.unwrap();
    assert_eq!(before.signed(), after.signed());
    assert_eq!(here.meter().unwrap(), before.release().price);
    cluster.stop().await;
}
