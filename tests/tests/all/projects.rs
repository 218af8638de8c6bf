//! Projects: a second member, one confirmation per owner, and one share for all.

use obscura_client::model::exposure::{Delta, Rho, rho_within};
use obscura_client::model::ids::{PartyName, ProjectName};
use obscura_client::model::study::Study;
use obscura_client::{Client, ProjectLimit, Question, VerifiedRelease};
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;

use crate::support::{VISITS, outcome};

async fn two_sites() -> Cluster {
    let builder = Cluster::builder()
        .site(visits(60, 3, 1))
        .site(visits(60, 3, 1))
        .scientist("bob");
    builder.build().await.unwrap()
}

async fn run(
    client: &Client,
    study: &Study,
    site: usize,
    run: u32,
) -> Result<VerifiedRelease, obscura_client::Error> {
    let site = PartyName::new(&format!("site-{site}")).unwrap();
    let name = release_name("n").unwrap();
    client.release(study, &site, &name, run).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_member_runs_after_one_confirmation_per_owner_and_the_share_does_not_grow() {
    let cluster = two_sites().await;
    let ada = cluster.client("ada").await.unwrap();
    let bob = cluster.client("bob").await.unwrap();
    let (project, delta) = (ProjectName::new("ada").unwrap(), Delta::new(1e-6).unwrap());
    let whole = rho_within(1.0, delta).unwrap();
    // Two of these fit the project's share, three do not.
    let price = whole.nano() * 2 / 5;
    let asks = [ask("n", VISITS, price).times(5)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let limit = ProjectLimit {
        project: project.clone(),
        epsilon: 1.0,
        delta,
        reason: "for tests".to_owned(),
    };
    owner.set_project_limit(&limit).await.unwrap();
    // Nobody's member sees and runs nothing, and confirming takes asking first.
    assert_eq!(outcome(run(&bob, &study, 1, 1).await).0, "not_found");
    let key = bob.me().key;
    let early = outcome(owner.confirm_member(&project, key).await);
    assert_eq!(early.0, "not_now", "{}", early.1);
    for _ in 0..2 {
        let asked = bob.join_project(&project).await;
        assert!(asked.iter().all(|s| s.outcome.is_ok()));
    }
    // Who only asked sees nobody else, and no numbers.
    let seen = bob.projects().await.remove(0).outcome.unwrap().remove(0);
    assert_eq!(seen.members.len(), 1);
    assert!(!seen.members[0].confirmed && seen.share.limit.is_none());
    assert_eq!(outcome(run(&bob, &study, 1, 1).await).0, "not_found");
    for _ in 0..2 {
        owner.confirm_member(&project, key).await.unwrap();
    }
    // From then on, without a new approval; but not at the other institution.
    let listed = bob.studies().await;
    assert_eq!(listed[0].outcome.as_ref().unwrap().len(), 1);
    assert!(listed[1].outcome.as_ref().unwrap().is_empty());
    let bobs = run(&bob, &study, 1, 1).await.unwrap();
    assert_eq!(outcome(run(&bob, &study, 2, 1).await).0, "not_found");
    // The answer stays with its requester: ada's own run is a release of her own.
    let adas = run(&ada, &study, 1, 1).await.unwrap();
    assert!(!adas.is_earlier());
    assert_ne!(adas.signed(), bobs.signed());
    // Together they have taken two fifths twice; neither gets a third.
    for client in [&ada, &bob] {
        let refused = outcome(run(client, &study, 1, 2).await);
        assert_eq!(refused.0, "not_now", "{}", refused.1);
    }
    let meter = cluster.sites[0].meter().unwrap();
    let projects = owner.projects().await.unwrap();
    assert_eq!(projects.len(), 1);
    assert_eq!(projects[0].share.used, meter);
    assert_eq!(projects[0].share.limit, Some(whole));
    // Leaving takes nothing back, and ends it; saying it twice is no error.
    for _ in 0..2 {
        let after = owner.remove_member(&project, key, "left").await.unwrap();
        assert_eq!((after.members.len(), after.share.used), (1, meter));
    }
    assert_eq!(outcome(run(&bob, &study, 1, 3).await).0, "not_found");
    assert!(bob.projects().await.remove(0).outcome.unwrap().is_empty());
    assert_ne!(meter, Rho::ZERO);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_in_somebody_elses_project_is_not_taken_in() {
    let cluster = two_sites().await;
    let ada = cluster.client("ada").await.unwrap();
    let bob = cluster.client("bob").await.unwrap();
    let asks = [ask("n", VISITS, 9_000_000)];
    cluster.approved(&ada, &asks).await.unwrap();
    let institutions = cluster.institutions().unwrap();
    let draft = |project: &str| {
        let draft = bob.draft("Mine", "visits").unwrap().purpose("To see");
        let way = obscura_client::model::accuracy::Accuracy::Price(Rho::from_nano(9_000_000));
        draft.project(project).release("n", VISITS, way)
    };
    let taken = draft("ada").ask(&institutions).unwrap();
    let refused = outcome(bob.submit(&taken).await.remove(0).outcome);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    let own = draft("bob").ask(&institutions).unwrap();
    assert_eq!(outcome(bob.submit(&own).await.remove(0).outcome).0, "ok");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_says_what_the_limit_of_a_project_would_refuse_to_its_members_only() {
    let cluster = two_sites().await;
    let ada = cluster.client("ada").await.unwrap();
    let bob = cluster.client("bob").await.unwrap();
    let (project, delta) = (ProjectName::new("ada").unwrap(), Delta::new(1e-6).unwrap());
    let price = rho_within(1.0, delta).unwrap().nano() * 2 / 5;
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, price).times(5)])
        .await
        .unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let site = PartyName::new("site-1").unwrap();
    let mut question = Question::of(&study, &study.releases()[0]);
    let preview = async |client: &Client, question: &Question| {
        let preview = client.preview_of(&site, question).await.unwrap();
        preview.refusal
    };
    assert_eq!(preview(&ada, &question).await, None);
    run(&ada, &study, 1, 1).await.unwrap();
    let limit = ProjectLimit {
        project: project.clone(),
        epsilon: 0.8,
        delta,
        reason: "for tests".to_owned(),
    };
    owner.set_project_limit(&limit).await.unwrap();
    // Named or not: it is ada's only project there. What is previewed is what happens.
    let refused = outcome(run(&ada, &study, 1, 2).await);
    for named in [Some(project.clone()), None] {
        question.project = named;
        let said = preview(&ada, &question).await.unwrap();
        assert!(said.contains("the project's limit"), "{said}");
        assert!(refused.1.contains(&said), "{refused:?}");
    }
    // A new project would have room, and so has the other institution.
    question.project = Some(ProjectName::new("another").unwrap());
    assert_eq!(preview(&ada, &question).await, None);
    question.project = None;
    let there = PartyName::new("site-2").unwrap();
    assert_eq!(
        ada.preview_of(&there, &question).await.unwrap().refusal,
        None
    );
    // Who is no member learns no number, and has room without the project.
    assert_eq!(preview(&bob, &question).await, None);
    question.project = Some(project);
    let said = preview(&bob, &question).await.unwrap();
    assert!(said.contains("member") && !said.contains("room"), "{said}");
    cluster.stop().await;
}
