//! The steps of a release, each called for itself with what the one before it gave, on a node in
//! this process: the calls that the node makes, in its order.

use anyhow::{Context as _, Result, bail};
use obscura_ledger::{Admission, AdmitRequest, Ledger, RequestKey};
use obscura_model::envelope::{Envelope, Reality, SignedMessage};
use obscura_model::ids::{Digest, RequestId, UnixMillis};
use obscura_model::release::{RunRequest, SignedRelease};
use obscura_model::study::canonical_digest;
use obscura_model::wire;
use obscura_node::asked::{self, Asked, Planned};
use obscura_node::node::Node;
use obscura_node::{entropy, pipeline};
use obscura_privacy::Permit;
use obscura_query::{Contributions, PrivateTable};

use super::world::{EPSILON, asks, dataset};
use super::{Figure, millis, start, times};
use crate::cluster::{Cluster, release_name};

const WARM: u32 = 5;

/// The steps in their order.
const STEPS: [(&str, &str); 8] = [
    ("step_ask", "the client signs the request"),
    ("step_check", "the node checks the signature"),
    ("step_plan", "reading, validating and planning"),
    ("step_intent", "admission and the intent, with its flush"),
    (
        "step_fold",
        "the fold with its filter, chunks compared with their digests",
    ),
    ("step_noise", "the noise"),
    ("step_commit", "the commit, with its flush"),
    ("step_sign", "signing the release"),
];

pub(super) async fn measure(runs: u32) -> Result<Vec<Figure>> {
    let dataset = dataset(0);
    let asks = asks(&dataset.name);
    let builder = Cluster::builder().site(dataset).limit(EPSILON);
    let cluster = builder.build().await?;
    let ada = cluster.client("ada").await?;
    let study = cluster.approved(&ada, &asks).await?;
    let site = cluster.sites.first().context("a site")?;
    let name = release_name("a")?;
    let party = obscura_model::ids::PartyName::new(&site.name)?;
    // Its body stands in for those that are not made here.
    let made = ada.release(&study, &party, &name, 1).await?;
    let person = cluster.scientist("ada")?;
    let node = site.node()?;
    let view = node.ledger().study(study.id(), cluster.clock.today());
    let face = node.dataset(&site.dataset.name)?;
    let file = site
        .folder
        .join("data/datasets")
        .join(pipeline::file_name(&face));
    let bench = Bench {
        node,
        key: person.signing_key()?,
        me: person.party.key,
        audience: site.institution()?.key,
        request: RunRequest {
            study: study.id(),
            study_digest: view.context("the study")?.digest,
            release: name,
            again: true,
        },
        table: PrivateTable::open(&file, &face.description)?,
        body: made.signed().body.clone(),
        now: cluster.clock.today(),
    };
    let mut took = STEPS.map(|_| Vec::new());
    for number in 0..runs.min(900) + WARM {
        let one = bench.release(u64::from(number))?;
        if number >= WARM {
            for (all, one) in took.iter_mut().zip(one) {
                all.push(one);
            }
        }
    }
    cluster.stop().await;
    let steps = STEPS.iter().zip(&took);
    Ok(steps
        .flat_map(|((name, what), took)| times(name, took, what))
        .collect())
}

struct Bench<'a> {
    node: &'a Node,
    key: obscura_model::identity::SigningKey,
    me: obscura_model::ids::KeyId,
    audience: obscura_model::ids::KeyId,
    request: RunRequest,
    table: PrivateTable,
    body: Vec<u8>,
    now: UnixMillis,
}

impl Bench<'_> {
    /// The times of one release's steps.
    fn release(&self, number: u64) -> Result<[f64; 8]> {
        let id = RequestId::from_parts(self.now.0 + number, [3; 10]);
        let before = start();
        let message = self.message(id);
        let ask = millis(before);

        let before = start();
        let envelope = message.open_request(&self.audience, asked::RUN, self.now)?;
        let check = millis(before);

        let before = start();
        let asked = Asked::decode(&envelope.method, &message.body)?;
        let planned = Planned::of(self.node, &self.me, &asked)?;
        let plan = millis(before);

        let before = start();
        let permit = self.admit(&message, &planned, envelope.body_digest, id)?;
        let intent = millis(before);

        let ledger: &Ledger = self.node.ledger();
        let before = start();
        let exposures = ledger.exposures(&permit)?;
        let slices = exposures.slices();
        let folded = Contributions::bind(permit, planned.plan, self.table.rows())
            .fold(exposures.known(&slices), 2)?;
        drop(exposures);
        let fold = millis(before);

        let before = start();
        let noised = folded.add_noise(&mut entropy::batch()?)?;
        let noise = millis(before);

        let before = start();
        let committed = ledger.commit(noised, self.now, |_, _| self.body.clone())?;
        let commit = millis(before);

        let before = start();
        let _signed = SignedRelease::sign(&self.key, committed.into_body());
        let sign = millis(before);
        Ok([ask, check, plan, intent, fold, noise, commit, sign])
    }

    fn message(&self, id: RequestId) -> SignedMessage {
        let body = wire::run_request_encode(&self.request);
        let envelope = Envelope {
            method: asked::RUN.to_owned(),
            audience: self.audience,
            sender: self.me,
            body_digest: Digest::of(&body),
            request_id: id,
            issued: self.now,
            expires: UnixMillis(self.now.0 + 60_000),
            reality: Reality::Real,
            answers: None,
        };
        SignedMessage::sign(&self.key, envelope, body)
    }

    fn admit(
        &self,
        message: &SignedMessage,
        planned: &Planned,
        body_digest: Digest,
        request: RequestId,
    ) -> Result<Permit> {
        let shape = planned.plan.shape();
        let admission = self.node.ledger().admit(
            AdmitRequest {
                key: RequestKey {
                    person: self.me,
                    request,
                },
                body_digest,
                authority: planned.ledger_authority(),
                dataset: planned.face.view.which,
                shape: shape.clone(),
                plan: planned.digest,
                canonical: canonical_digest(planned.plan.canonical()),
                columns: planned.columns.clone(),
                tables: planned.tables.clone(),
                require_complete: false,
                delta_keys: shape.delta_keys(),
                evidence: wire::signed_encode(message),
            },
            self.now,
        )?;
        match admission {
            Admission::Granted(permit) => Ok(permit),
            other => bail!("not admitted: {other:?}"),
        }
    }
}
