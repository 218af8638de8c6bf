//! The order of a release. This file reads as the flow of the house:
//!
//! `SqlText -> ValidatedQuery -> PrivatePlan -> Permit -> Contributions -> Admitted -> Noised ->
//! Committed -> SignedRelease`
//!
//! Up to the permit everything is public. From the durable intent on, the work runs in a task of
//! its own, so that a caller who hangs up changes nothing.

mod deadline;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use obscura_ledger::{
    Admission, AdmitRequest, AfterFailure, CommitContext, Committed, OfferRequest, OpenIntent,
    RequestKey,
};
use obscura_model::answer::Answer;
use obscura_model::disclosure;
use obscura_model::envelope::SignedMessage;
use obscura_model::ids::{Digest, UnixMillis};
use obscura_model::release::{Authority, Completeness, Release, SignedRelease};
use obscura_model::study::canonical_digest;
use obscura_model::wire;
use obscura_privacy::Permit;
use obscura_query::{Contributions, PrivateTable};

use crate::access::Caller;
use crate::asked::{Asked, Planned};
use crate::entropy;
use crate::error::Error;
use crate::node::{DatasetFace, Node, signed_evidence};
use crate::slots::{Decision, Work};
use crate::turns::{Place, Turn};
use crate::veil::{Drawn, Hidden, Made, Veiled};
use deadline::Deadline;

/// What a request for a release is answered with.
#[derive(Debug)]
pub struct Answered {
    /// The release.
    pub release: SignedRelease,
    /// It was made for an earlier request of this person: this one added nothing.
    pub earlier: bool,
}

impl Answered {
    fn to_this(release: SignedRelease) -> Self {
        Self {
            release,
            earlier: false,
        }
    }

    /// What the ledger has for a request: made for it, or for an earlier one.
    fn stored(node: &Node, key: &RequestKey, committed: Committed) -> Self {
        Self {
            earlier: committed.key() != *key,
            release: sign(node, committed),
        }
    }
}

/// Runs one release of an approved study or under a grant: the answer that was stored for this
/// request, an earlier answer of this person to the same question, or a new one.
pub async fn release(
    node: &Arc<Node>,
    caller: Caller,
    message: SignedMessage,
    turn: Turn,
) -> Result<Answered, Error> {
    let here = node.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(here, &caller, &message, turn));
    match prepared.await.map_err(Error::inside)?? {
        Prepared::Stored(answered) => Ok(answered),
        Prepared::Run(run) => {
            let slots = node.slots(&run.planned.face.view.population);
            slots.run(*run).await.map(Veiled::take)
        }
    }
}

/// What a request comes to before anything is decided.
enum Prepared {
    Stored(Answered),
    Run(Box<Run>),
}

fn prepare(
    node: Arc<Node>,
    caller: &Caller,
    message: &SignedMessage,
    turn: Turn,
) -> Result<Prepared, Error> {
    let asked = Asked::decode(&caller.envelope().method, &message.body)?;
    let key = RequestKey {
        person: caller.key(),
        request: caller.envelope().request_id,
    };
    let body_digest = caller.envelope().body_digest;
    if let Some(stored) = stored(&node, &key, &body_digest)? {
        return Ok(Prepared::Stored(stored));
    }
    // For ever the same, whatever became of study and limits since.
    match node.ledger.given_up(&key) {
        Some(digest) if node.veil.hides(&key) || digest != body_digest => {}
        Some(_) => return Err(Error::Failed),
        None => {}
    }
    let planned = Planned::of(&node, &key.person, &asked)?;
    Ok(Prepared::Run(Box::new(Run {
        key,
        body_digest,
        again: asked.again(),
        length: planned.worst_case()?,
        evidence: wire::signed_encode(message),
        planned,
        node,
        _place: turn.rest(),
    })))
}

/// Reruns, once and before anything else, what was under way when the process stopped.
pub fn rerun_interrupted(node: &Arc<Node>) -> Result<(), Error> {
    let _alone = node.rerunning.lock().unwrap_or_else(|e| e.into_inner());
    for intent in node.ledger.reruns() {
        tracing::warn!(
            intent = intent.index,
            "running again what the last stop interrupted"
        );
        match rerun(node, &intent, node.now()) {
            Ok(_) => tracing::info!(intent = intent.index, "the interrupted release is made"),
            Err(error) => {
                log_failure(intent.index, &error);
                node.ledger.poison(intent.index, node.now())?;
            }
        }
    }
    Ok(())
}

/// The stored release of this request, if there is one and its slot is over. (It is looked up
/// first: the veil is drawn before anything is stored.)
fn stored(node: &Node, key: &RequestKey, digest: &Digest) -> Result<Option<Answered>, Error> {
    let found = node.ledger.release(key)?;
    let Some(committed) = found.filter(|_| !node.veil.hides(key)) else {
        return Ok(None);
    };
    if node.ledger.asked(key) == Some(*digest) {
        Ok(Some(Answered::stored(node, key, committed)))
    } else {
        Err(Error::Conflict)
    }
}

fn sign(node: &Node, committed: Committed) -> SignedRelease {
    SignedRelease::sign(&node.identity.key, committed.into_body())
}

/// One release on its way through a slot.
#[derive(Debug)]
pub struct Run {
    node: Arc<Node>,
    key: RequestKey,
    body_digest: Digest,
    /// A new release is wanted even if the question was answered before.
    again: bool,
    length: Duration,
    evidence: Vec<u8>,
    planned: Planned,
    _place: Place,
}

impl Run {
    /// The newest release that answers the same question of this person on the same version of
    /// the data, unless a new one is wanted; that it does is durable before it leaves. What
    /// decides is public: who asks, the plan, the version, and what was answered to this person.
    /// Called at the start of a slot of the population, where no release of it is under way, so
    /// that of two requests at once the second has the answer of the first.
    fn earlier(&self, now: UnixMillis) -> Result<Option<Answered>, Error> {
        if self.again || !self.planned.may_repeat(&self.node, &self.key.person) {
            return Ok(None);
        }
        let offer = OfferRequest {
            key: self.key,
            body_digest: self.body_digest,
            plan: self.planned.digest,
            dataset: self.planned.face.view.which,
        };
        let found = self.node.ledger.offer(offer, now)?;
        Ok(found.map(|committed| Answered::stored(&self.node, &self.key, committed)))
    }
}

/// A release whose intent is durable.
#[derive(Debug)]
pub struct Begun {
    node: Arc<Node>,
    permit: Permit,
    planned: Planned,
    drawn: Drawn,
    now: UnixMillis,
    _place: Place,
}

impl Work for Run {
    type Answer = Veiled<Answered>;
    type Begun = Begun;

    fn length(&self) -> Duration {
        self.length
    }

    /// The same request again, and the same question of this person, have the answer of the first.
    fn follows(&self, earlier: &Self) -> bool {
        let same = |one: &Self| {
            let planned = &one.planned;
            (one.key.person, planned.digest, planned.face.view.which)
        };
        self.key == earlier.key || (!self.again && same(self) == same(earlier))
    }

    fn begin(members: Vec<Self>) -> Vec<Decision<Self>> {
        let Some(node) = members.first().map(|run| run.node.clone()) else {
            return Vec::new();
        };
        // The start of the slot is public and the end of a fold is not: whatever these runs
        // write carries the time of its start.
        let now = node.now();
        let earlier: Vec<_> = members.iter().map(|run| run.earlier(now)).collect();
        let asking = members.iter().zip(&earlier);
        let asking = asking.filter(|(_, earlier)| matches!(earlier, Ok(None)));
        let requests = asking.map(|(run, _)| run.request()).collect();
        let mut admitted = match node.ledger.admit_together(requests, now) {
            Ok(admitted) => admitted.into_iter(),
            Err(error) => vec![Err(error)].into_iter(),
        };
        let decide = |(run, earlier): (Self, _)| match earlier {
            Ok(None) => match admitted.next() {
                Some(admission) => run.admitted(admission.map_err(Error::from), now),
                None => Decision::Now(Err(Error::Stopped)),
            },
            Ok(Some(answered)) => Decision::Now(Ok(Veiled::open(answered))),
            Err(refused) => Decision::Now(Err(refused)),
        };
        members.into_iter().zip(earlier).map(decide).collect()
    }

    fn run(begun: Begun) -> Result<Veiled<Answered>, Error> {
        let Begun {
            node,
            permit,
            planned,
            drawn,
            now,
            _place,
        } = begun;
        let intent = permit.intent();
        let made = attempt(&node, permit, planned, now);
        let made = made.or_else(|error| again(&node, intent, &error, now));
        made.map(|made| Veiled::until_taken(Answered::to_this(made), drawn))
    }
}

impl Run {
    fn request(&self) -> AdmitRequest {
        let planned = &self.planned;
        AdmitRequest {
            key: self.key,
            body_digest: self.body_digest,
            authority: planned.ledger_authority(),
            dataset: planned.face.view.which,
            shape: planned.plan.shape().clone(),
            plan: planned.digest,
            canonical: canonical_digest(planned.plan.canonical()),
            columns: planned.columns.clone(),
            tables: planned.tables.clone(),
            require_complete: planned.options.require_complete,
            delta_keys: planned.plan.shape().delta_keys(),
            evidence: self.evidence.clone(),
        }
    }

    /// What the ledger's decision comes to. Called before any fold of the slot.
    fn admitted(self, admission: Result<Admission, Error>, now: UnixMillis) -> Decision<Self> {
        let (node, planned) = (self.node, self.planned);
        Decision::Now(match admission {
            Err(refused) => Err(refused),
            Ok(Admission::Known(committed)) => {
                let answered = Answered::stored(&node, &self.key, committed);
                Ok(Veiled::open(answered))
            }
            Ok(Admission::Conflict) => Err(Error::Conflict),
            Ok(Admission::Poisoned) => Err(Error::Failed),
            Ok(Admission::Running | Admission::Busy) => Err(Error::Busy),
            Ok(Admission::Granted(permit)) => {
                tracing::info!(intent = permit.intent(), "the intent is durable");
                // As it is now: other runs may have been made while this one waited.
                let drawn = node.veil.draw(Hidden {
                    key: self.key,
                    study: made_before(&node, &planned, now),
                });
                return Decision::AtEnd(Begun {
                    node,
                    permit,
                    planned,
                    drawn,
                    now,
                    _place: self._place,
                });
            }
        })
    }
}

/// How often a release of a study was made so far.
fn made_before(node: &Node, planned: &Planned, now: UnixMillis) -> Option<Made> {
    let Authority::Study { study, release, .. } = &planned.authority else {
        return None;
    };
    let view = node.ledger.study(*study, now)?;
    let mut runs = view.releases.iter();
    let runs = runs.find(|runs| runs.release.name == *release);
    Some(Made {
        study: *study,
        release: release.clone(),
        committed: runs.map_or(0, |runs| runs.committed),
    })
}

/// A run that failed: once more, then never again.
fn again(
    node: &Arc<Node>,
    intent: u64,
    error: &Error,
    now: UnixMillis,
) -> Result<SignedRelease, Error> {
    log_failure(intent, error);
    let _alone = node.rerunning.lock().unwrap_or_else(|e| e.into_inner());
    match node.ledger.failed(intent, now)? {
        AfterFailure::Poisoned => Err(Error::Failed),
        AfterFailure::Waits => Err(Error::PopulationStopped),
        AfterFailure::Rerun(intent) => rerun(node, &intent, now).or_else(|error| {
            log_failure(intent.index, &error);
            node.ledger.poison(intent.index, now)?;
            Err(Error::Failed)
        }),
    }
}

/// The log learns that a run failed, and nothing of the rows.
fn log_failure(intent: u64, error: &Error) {
    tracing::error!(intent, %error, "a release failed after its intent");
}

fn rerun(node: &Arc<Node>, intent: &OpenIntent, now: UnixMillis) -> Result<SignedRelease, Error> {
    let person = &intent.intent.key.person;
    let message = signed_evidence(&intent.intent.evidence)?;
    let envelope = message.open_document(person).map_err(Error::inside)?;
    let asked = Asked::decode(&envelope.method, &message.body)?;
    let planned = Planned::of(node, person, &asked)?;
    let permit = node
        .ledger
        .rerun(intent.index, planned.plan.shape().clone(), now)?;
    attempt(node, permit, planned, now)
}

/// From the permit to the signed release. A panic is an error like any other.
fn attempt(
    node: &Arc<Node>,
    permit: Permit,
    planned: Planned,
    now: UnixMillis,
) -> Result<SignedRelease, Error> {
    #[derive(Debug, thiserror::Error)]
    #[error("the release panicked")]
    struct Panicked;
    catch_unwind(AssertUnwindSafe(|| make(node, permit, planned, now)))
        .unwrap_or_else(|_| Err(Error::inside(Panicked)))
}

fn make(
    node: &Node,
    permit: Permit,
    planned: Planned,
    now: UnixMillis,
) -> Result<SignedRelease, Error> {
    let late = Deadline::of(node, &planned)?;
    let Planned {
        authority,
        permission: _,
        face,
        canonical_sql,
        columns: _,
        tables: _,
        options,
        digest: _,
        plan,
    } = planned;
    let path = node.settings.datasets.join(file_name(&face));
    let table = node.table(face.view.which, || registered(&path, &face))?;
    let rows = table.rows();
    let shape = plan.shape().clone();
    let completeness = if permit.nobody_dropped() {
        Completeness::NobodyDropped
    } else {
        Completeness::SubjectsMayBeMissing
    };
    let price = permit.price();
    let exposures = node.ledger.exposures(&permit)?;
    let slices = exposures.slices();
    let admitted = Contributions::bind(permit, plan, rows)
        .fold_until(exposures.known(&slices), node.settings.threads, &|| {
            late.passed(node)
        })
        .map_err(Error::inside)?;
    drop(exposures);
    let noised = admitted
        .add_noise(&mut entropy::batch().map_err(Error::inside)?)
        .map_err(Error::inside)?;
    let rules = face.description.disclosure();
    let body = |context: &CommitContext, values: Vec<Vec<i64>>| {
        let intent = &context.intent.intent;
        // The values come from the very shape they are put back into, and the rules keep it.
        #[allow(clippy::expect_used)]
        let answer = shape
            .with_found(&context.found)
            .and_then(|shape| Answer::new(shape, values))
            .and_then(|answer| disclosure::apply(answer, &rules))
            .expect("values have the shape of their plan");
        wire::encode_release(&Release {
            node: node.identity.party.key,
            node_name: node.identity.party.name.clone(),
            requester: intent.key.person,
            request_id: intent.key.request,
            request_digest: intent.body_digest,
            authority,
            options,
            dataset_id: face.view.which.id,
            dataset: face.view.name.clone(),
            dataset_version: face.view.which.version,
            canonical_sql,
            answer,
            price,
            completeness,
            journal_index: context.index,
            head_size: context.head_before.size,
            head_root: Digest::new(context.head_before.root),
            committed: context.time,
        })
    };
    let committed = node.ledger.commit(noised, now, body)?;
    look_after(node, now);
    Ok(sign(node, committed))
}

/// Has the ledger compacted where it is time for that, by a thread for which nobody waits. When it
/// is time follows from public sizes.
fn look_after(node: &Node, now: UnixMillis) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current()
        && node.ledger.wants_tending()
    {
        let ledger = Arc::clone(&node.ledger);
        runtime.spawn_blocking(move || match ledger.tend(now) {
            Ok(0) => {}
            Ok(segments) => tracing::info!(segments, "the ledger was compacted"),
            Err(error) => tracing::error!(%error, "the ledger could not be compacted"),
        });
    }
}

/// The stored rows, if they are still the very bytes that were registered.
fn registered(path: &Path, face: &DatasetFace) -> Result<PrivateTable, Error> {
    #[derive(Debug, thiserror::Error)]
    #[error("the stored rows are not those that were registered: restore or ingest them again")]
    struct Changed;
    let table = PrivateTable::open(path, &face.description).map_err(Error::inside)?;
    if *table.digest().as_bytes() == face.view.file_sha256 {
        Ok(table)
    } else {
        Err(Error::inside(Changed))
    }
}

/// The file that holds one version of a dataset: named by its id, not by its content.
#[must_use]
pub fn file_name(face: &DatasetFace) -> String {
    data_file(face.view.which)
}

/// The file name of one version of a dataset.
#[must_use]
pub fn data_file(which: obscura_ledger::DatasetVersion) -> String {
    format!("{}-{}.table", which.id, which.version)
}
