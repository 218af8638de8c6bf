//! The same question again: the earlier answer is offered, and adds nothing.

use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::codelist::{CodeList, SignedCodeList};
use obscura_client::model::envelope::{Reality, SignedMessage};
use obscura_client::model::exposure::Rho;
use obscura_client::model::ids::{
    DatasetName, Digest, GrantId, PartyName, ProjectName, RequestId, UnixMillis,
};
use obscura_client::model::text::SqlText;
use obscura_client::{Client, NewGrant, Question};
use obscura_model::identity::Role;
use obscura_model::release::{AskRequest, RunRequest};
use obscura_model::study::{ReleaseOptions, Study};
use obscura_model::wire;
use obscura_tests::cluster::{Cluster, ask, release_name, terms};
use obscura_tests::data::visits;
use obscura_tests::raw::{Caller, RUN, Said};
use obscura_wire::v1;
use prost::Message as _;
use tonic::Code;

use crate::support::VISITS;

const PRICE: u64 = 9_000_000;

fn site_1() -> PartyName {
    PartyName::new("site-1").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_question_is_answered_by_the_earlier_release_unless_again_is_said() {
    let builder = Cluster::builder().site(visits(60, 3, 1)).scientist("bob");
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let (site, n) = (site_1(), release_name("n").unwrap());
    let meter = || cluster.sites[0].meter().unwrap();
    let asks = |name| [ask(name, VISITS, PRICE).times(3)];
    let first = cluster.approved(&ada, &asks("n")).await.unwrap();
    let made = ada.release(&first, &site, &n, 1).await.unwrap();
    assert!(!made.is_earlier());
    let once = meter();
    // Its own request again is the stored answer, and no offer.
    let same = ada.release(&first, &site, &n, 1).await.unwrap();
    assert_eq!(same, made);
    // Another study with the same question, under another name and written otherwise.
    let sql = "select grp, count(*) as n from visits group by grp";
    let second = cluster
        .approved(&ada, &[ask("m", sql, PRICE).times(3)])
        .await
        .unwrap();
    let m = release_name("m").unwrap();
    let offered = ada.release(&second, &site, &m, 1).await.unwrap();
    assert!(offered.is_earlier());
    assert_eq!(offered.signed(), made.signed());
    assert_eq!(offered.label(), &m);
    assert_eq!(meter(), once, "an offer adds nothing");
    let status = ada.status(&second).await.remove(0).outcome.unwrap();
    assert_eq!(status.releases[0].runs, 0, "and takes no run");
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let review = owner.review(second.id()).await.unwrap();
    let known = |warning: &String| warning.contains("was already released");
    assert!(
        review.warnings.iter().any(known),
        "another spelling is the same question"
    );
    // Again is a new release; saying it twice is one request.
    let again = ada.release_again(&second, &site, &m).await.unwrap();
    assert!(!again.is_earlier() && again.signed() != made.signed());
    let twice = meter();
    assert_eq!(twice.nano(), 2 * once.nano());
    let retried = ada.release_again(&second, &site, &m).await.unwrap();
    assert_eq!((retried.signed(), meter()), (again.signed(), twice));
    // A run with a number of its own is a new release too.
    let run = ada.release(&second, &site, &m, 2).await.unwrap();
    assert!(!run.is_earlier());
    // Each has a name of its own, so that the files can stand in one folder.
    let names = [&offered, &again, &run].map(|r| r.label().to_string());
    assert_eq!(names, ["m", "m-again", "m-run-2"]);
    // The newest is offered from then on; requests that were answered keep their answer.
    let kept = ada.release(&second, &site, &m, 1).await.unwrap();
    assert!(kept.is_earlier());
    assert_eq!(kept.signed(), made.signed());
    let more = cluster.approved(&ada, &asks("o")).await.unwrap();
    let o = release_name("o").unwrap();
    let newest = ada.release(&more, &site, &o, 1).await.unwrap();
    assert!(newest.is_earlier());
    assert_eq!(newest.signed(), run.signed());
    let kept = ada.release(&first, &site, &n, 1).await.unwrap();
    assert_eq!(kept, made);
    // Another accuracy is another question; and so is somebody else's.
    let before = meter();
    let third = cluster
        .approved(&ada, &[ask("n", VISITS, PRICE + 1_000_000)])
        .await
        .unwrap();
    assert!(
        !ada.release(&third, &site, &n, 1)
            .await
            .unwrap()
            .is_earlier()
    );
    let bob = cluster.client("bob").await.unwrap();
    let bobs = cluster.approved(&bob, &asks("n")).await.unwrap();
    assert!(!bob.release(&bobs, &site, &n, 1).await.unwrap().is_earlier());
    assert!(meter() > before);
    // What is not approved is not offered either.
    let undecided = cluster.study(&ada, &asks("n")).unwrap();
    ada.submit(&undecided).await;
    assert!(ada.release(&undecided, &site, &n, 1).await.is_err());
    cluster.stop().await;
}

/// Ada, choosing her request ids herself. `Ok` is the release's bytes and whether it is an earlier
/// one.
struct Raw<'a> {
    cluster: &'a Cluster,
    caller: Caller,
}

const ASK: &str = "/obscura.v1.Releases/Ask";

impl<'a> Raw<'a> {
    fn ada(cluster: &'a Cluster) -> Self {
        let person = cluster.scientist("ada").unwrap();
        let address = cluster.sites[0].address().unwrap().to_string();
        let to = (Role::Node, &cluster.sites[0].institution().unwrap().name);
        let caller = Caller::new(person, &address, to, None).unwrap();
        Self { cluster, caller }
    }

    fn message(&self, method: &'static str, id: u8, body: Vec<u8>) -> SignedMessage {
        let now = self.cluster.clock.today();
        let said = Said {
            method,
            audience: self.cluster.sites[0].institution().unwrap().key,
            request_id: RequestId::from_parts(1_700_000_000_000, [id; 10]),
            now,
            reality: Reality::Real,
        };
        self.caller.sign(&said, body)
    }

    async fn send(&self, method: &'static str, id: u8, body: Vec<u8>) -> Answered {
        let message = self.message(method, id, body);
        let answer = self.caller.send(method, message).await.unwrap()?;
        let answer = v1::RunResponse::decode(answer.body.as_slice()).unwrap();
        let release = answer.release.unwrap();
        Ok(([release.body, release.signature].concat(), answer.earlier))
    }
}

type Answered = Result<(Vec<u8>, bool), (Code, String)>;

fn run_body(study: &Study, name: &str) -> Vec<u8> {
    wire::run_request_encode(&RunRequest {
        study: study.id(),
        study_digest: Digest::of(&wire::study_encode(study)),
        release: release_name(name).unwrap(),
        again: false,
    })
}

fn ask_body(grant: GrantId) -> Vec<u8> {
    wire::ask_request_encode(&AskRequest {
        dataset: DatasetName::new("visits").unwrap(),
        grant,
        sql: SqlText::new(VISITS).unwrap(),
        accuracy: AccuracyRequest::whole(Accuracy::Price(Rho::from_nano(PRICE))).unwrap(),
        options: ReleaseOptions::NONE,
        code_lists: Vec::new(),
        again: false,
    })
}

async fn granted(cluster: &Cluster, ada: &Client) -> GrantId {
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let grant = NewGrant {
        id: owner.new_grant_id().unwrap(),
        project: ProjectName::new("ada").unwrap(),
        scientist: ada.me().key,
        dataset: DatasetName::new("visits").unwrap(),
        columns: vec!["grp".to_owned()],
        epsilon: 2.0,
        delta_keys: None,
        releases: 5,
        until: UnixMillis(cluster.clock.today().0 + 86_400_000).date(),
        reason: "monitoring".to_owned(),
    };
    owner.give_grant(&grant).await.unwrap();
    grant.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_answered_earlier_keeps_that_answer_after_a_new_version_and_a_restart() {
    let builder = Cluster::builder().site(visits(60, 3, 1));
    let mut cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster.approved(&ada, &[ask("n", VISITS, PRICE)]).await;
    let study = study.unwrap();
    let grant = granted(&cluster, &ada).await;
    let raw = Raw::ada(&cluster);
    let (run, asked) = (run_body(&study, "n"), ask_body(grant));
    let (made, earlier) = raw.send(RUN, 1, run.clone()).await.unwrap();
    assert!(!earlier);
    let meter = cluster.sites[0].meter().unwrap();
    let offered = raw.send(ASK, 2, asked.clone()).await.unwrap();
    assert_eq!(offered, (made.clone(), true));
    // Another body under that id is a conflict, now and later.
    let conflict = raw.send(RUN, 2, run.clone()).await.unwrap_err();
    assert_eq!(conflict.0, Code::AlreadyExists, "{}", conflict.1);
    // The question would be a new one on the next version of the data; the request is not.
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let description = cluster.sites[0].dataset.description.clone();
    owner.add_dataset(&description).await.unwrap();
    assert_eq!(raw.send(ASK, 2, asked.clone()).await.unwrap(), offered);
    drop(raw);
    cluster.sites[0].restart().await.unwrap();
    let raw = Raw::ada(&cluster);
    assert_eq!(raw.send(ASK, 2, asked.clone()).await.unwrap(), offered);
    assert_eq!(raw.send(RUN, 2, run).await.unwrap_err(), conflict);
    assert_eq!(
        cluster.sites[0].meter().unwrap(),
        meter,
        "nothing was added"
    );
    let (fresh, earlier) = raw.send(ASK, 3, asked).await.unwrap();
    assert!(!earlier && fresh != made);
    drop(raw);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_identical_questions_at_once_the_second_gets_the_answer_of_the_first() {
    let builder = Cluster::builder().site(visits(60, 3, 1));
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, PRICE).times(9)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let raw = Raw::ada(&cluster);
    let run = |id| raw.send(RUN, id, run_body(&study, "n"));
    let answers = tokio::join!(run(1), run(2), run(3), run(4), run(5));
    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4];
    let answers = answers.map(Result::unwrap);
    assert_eq!(answers.iter().filter(|(_, earlier)| !earlier).count(), 1);
    assert!(answers.iter().all(|(release, _)| *release == answers[0].0));
    assert!(cluster.sites[0].meter().unwrap().nano() <= PRICE);
    drop(raw);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_makes_it_a_new_question_and_grants_offer_too() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let (site, n) = (site_1(), release_name("n").unwrap());
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, PRICE)])
        .await
        .unwrap();
    let made = ada.release(&study, &site, &n, 1).await.unwrap();
    let grant = granted(&cluster, &ada).await;
    let question = Question::new(
        DatasetName::new("visits").unwrap(),
        SqlText::new(VISITS).unwrap(),
        AccuracyRequest::whole(Accuracy::Price(Rho::from_nano(PRICE))).unwrap(),
    );
    let meter = cluster.sites[0].meter().unwrap();
    let offered = ada.ask(&site, grant, &question, false).await.unwrap();
    assert!(offered.is_earlier());
    assert_eq!(offered.signed(), made.signed());
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    // The next version: what was known of the old one is no answer.
    owner
        .add_dataset(&cluster.sites[0].dataset.description)
        .await
        .unwrap();
    let fresh = ada.ask(&site, grant, &question, false).await.unwrap();
    assert!(!fresh.is_earlier());
    assert_eq!(fresh.release().dataset_version, 2);
    // The study is about the old version still, and its answer is known there.
    let more = cluster.sites[0].meter().unwrap();
    let kept = ada.release(&study, &site, &n, 1).await.unwrap();
    assert_eq!((kept, cluster.sites[0].meter().unwrap()), (made, more));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_list_travels_with_its_study_and_is_refused_if_its_signature_does_not_hold() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let person = cluster.scientist("ada").unwrap();
    let list = "name = \"days\"\ntitle = \"Weekend\"\ncodes = [\"6\", \"7\"]\n";
    let list = CodeList::from_toml(list).unwrap();
    let signed = SignedCodeList::sign(&person.signing_key().unwrap(), list);
    let study = ada
        .draft("Lists", "visits")
        .unwrap()
        .project("ada")
        .purpose("To see")
        .terms(terms())
        .code_list(signed.clone())
        .release("n", VISITS, Accuracy::Price(Rho::from_nano(PRICE)))
        .ask(&cluster.institutions().unwrap())
        .unwrap();
    ada.submit(&study).await.remove(0).outcome.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let review = owner.review(study.id()).await.unwrap();
    assert_eq!(review.code_lists.len(), 1);
    let seen = &review.code_lists[0];
    assert_eq!(seen.reference, signed.list().reference());
    assert_eq!((seen.codes, seen.author.as_str()), (2, "ada"));
    // Changed on the way, in a document that ada signs.
    let mut document = wire::study_to(&study);
    document.study_id = ada.new_study_id().unwrap().as_bytes().to_vec();
    document.code_lists[0].text.push('\n');
    let node = cluster.sites[0].institution().unwrap();
    let address = cluster.sites[0].address().unwrap().to_string();
    let caller = Caller::new(person, &address, (Role::Node, &node.name), None).unwrap();
    let said = Said {
        method: "/obscura.v1.Studies/Submit",
        audience: node.key,
        request_id: RequestId::from_parts(cluster.clock.today().0, [7; 10]),
        now: cluster.clock.today(),
        reality: Reality::Real,
    };
    let message = caller.sign(&said, document.encode_to_vec());
    let refused = caller
        .send(said.method, message)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(refused.0, Code::InvalidArgument);
    assert!(refused.1.contains("does not hold"), "{}", refused.1);
    cluster.stop().await;
}
