//! Trying things out: mock runs and previews. Nothing here can reach a private row: the types that
//! hold them are not named in this file.

use obscura_ledger::Refusal;
use obscura_model::answer::{Answer, Shape};
use obscura_model::disclosure;
use obscura_model::exposure::{Rho, epsilon};
use obscura_model::ids::{KeyId, ProjectName};
use obscura_model::study::ReleaseOptions;
use obscura_privacy::admission::{self, Account, Scope};
use obscura_query::{PrivatePlan, ValidatedQuery, mock};

use crate::entropy;
use crate::error::Error;
use crate::node::{DatasetFace, Node};
use crate::question::{Posed, Question};

/// What a release would be, from public values alone.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Its vectors and outputs.
    pub shape: Shape,
    /// What it would add to exposure.
    pub price: Rho,
    /// Its own epsilon at the dataset's delta, rounded up.
    pub epsilon: f64,
    /// The canonical query.
    pub canonical_sql: String,
    /// The query in words.
    pub words: String,
    /// After how many milliseconds an answer leaves.
    pub slot_ms: u64,
    /// The dataset, with the accounts that it would count towards.
    pub dataset: DatasetFace,
    /// The caller's limit and use.
    pub scientist: (Option<Rho>, Rho),
    /// Why it would not be admitted now, if so.
    pub refusal: Option<String>,
    /// What to look at twice, from public hints only.
    pub warnings: Vec<String>,
}

/// One question on invented rows.
#[derive(Debug, Clone)]
pub struct MockRun {
    /// What a release would be.
    pub preview: Preview,
    /// The answer without noise; the rows are invented.
    pub exact: Answer,
    /// The answer with the noise that a release would have.
    pub noisy: Answer,
}

/// Previews a question for a caller, for one project or for any of theirs.
pub fn preview(
    node: &Node,
    caller: &KeyId,
    project: Option<&ProjectName>,
    face: DatasetFace,
    question: Question<'_>,
) -> Result<Preview, Error> {
    let posed = question.pose(&face)?;
    let preview = describe(node, caller, &face, question, &posed)?;
    let refusal = preview
        .refusal
        .or_else(|| no_room_in_project(node, caller, project, preview.price));
    Ok(Preview { refusal, ..preview })
}

/// Runs a question on mock rows made from the description and `seed`.
pub fn run_mock(
    node: &Node,
    caller: &KeyId,
    face: DatasetFace,
    question: Question<'_>,
    seed: u64,
) -> Result<MockRun, Error> {
    let posed = question.pose(&face)?;
    let preview = describe(node, caller, &face, question, &posed)?;
    let rows = mock::rows_for(&posed.plan, &face.description, seed);
    let mut noise = entropy::batch().map_err(Error::inside)?;
    let answer = mock::run(&posed.plan, &rows, &mut noise).map_err(Error::inside)?;
    let rules = face.description.disclosure();
    Ok(MockRun {
        preview,
        exact: answer.exact,
        noisy: disclosure::apply(answer.noisy, &rules).map_err(Error::inside)?,
    })
}

fn describe(
    node: &Node,
    caller: &KeyId,
    face: &DatasetFace,
    question: Question<'_>,
    posed: &Posed,
) -> Result<Preview, Error> {
    let Posed { query, plan } = posed;
    let step = u64::try_from(node.settings.slot.as_millis()).unwrap_or(u64::MAX);
    let scientist = node.scientist_share(caller);
    Ok(Preview {
        shape: plan.shape().clone(),
        price: plan.price(),
        epsilon: epsilon(plan.price(), face.description.delta()),
        canonical_sql: query.canonical(),
        words: words(face, query, plan, question),
        slot_ms: plan.slot(step)?,
        dataset: face.clone(),
        scientist,
        refusal: refusal(face, plan.shape(), scientist, question.options),
        warnings: plan.warnings().to_vec(),
    })
}

/// The query in words; and, where less accuracy was asked for than the least that a release may
/// add gives, that it is so.
fn words(
    face: &DatasetFace,
    query: &ValidatedQuery,
    plan: &PrivatePlan,
    question: Question<'_>,
) -> String {
    let words = query.in_words();
    let description = &face.description;
    // Noise too wide to be planned without the minimum is wider than the minimum's too.
    let asked = query.plan(
        description,
        question.accuracy,
        None,
        description.delta(),
        &face.plan_options(question.options),
    );
    if face.minimum().is_none() || asked.is_ok_and(|asked| asked.price() == plan.price()) {
        return words;
    }
    format!(
        "{words} This is the least that a release may add here, so the answer is more accurate \
         than was asked."
    )
}

/// What admission would say to a release of this shape now.
fn refusal(
    face: &DatasetFace,
    shape: &Shape,
    scientist: (Option<Rho>, Rho),
    options: ReleaseOptions,
) -> Option<String> {
    let mut accounts = Vec::new();
    let (mut largest, mut smallest) = (Rho::from_nano(u64::MAX), Rho::from_nano(u64::MAX));
    for account in &face.accounts {
        let Some(set) = &account.limit else {
            return Some(admission::Refusal::NoLimit.to_string());
        };
        largest = largest.min(set.limit.largest_release());
        smallest = smallest.min(set.limit.smallest_release());
        accounts.push(Account {
            scope: match account.account {
                obscura_ledger::Account::Population(_) => Scope::Population,
                obscura_ledger::Account::Dataset(_) => Scope::Dataset,
            },
            mode: set.mode,
            limit: set.limit.rho(),
            meter: account.meter,
            reserved_by_others: account.reserved,
        });
    }
    let (Some(scientist_limit), scientist_used) = scientist else {
        return Some("the owner has set no scientist limit for you yet".to_owned());
    };
    let request = admission::Request {
        vectors: &shape.vectors,
        largest,
        smallest,
        scientist_used,
        scientist_limit,
        accounts: &accounts,
    };
    match admission::admit(&request) {
        Err(refusal) => Some(refusal.to_string()),
        Ok(decision) if options.require_complete && !decision.nobody_dropped => {
            Some(Refusal::NotComplete.to_string())
        }
        Ok(_) if !keys_fit(face, shape) => Some(Refusal::NoRoomForKeys.to_string()),
        Ok(_) => None,
    }
}

/// Why the project's limit would refuse a release of this price, if so. Without a project's name:
/// if none of the caller's has room. Whose project it is not learns nothing of what it took.
fn no_room_in_project(
    node: &Node,
    caller: &KeyId,
    project: Option<&ProjectName>,
    price: Rho,
) -> Option<String> {
    let said = |name: &ProjectName, taken: Rho| {
        let Some(limit) = node.ledger.project_limit(name) else {
            return Some(Refusal::NoProjectLimit(name.clone()).to_string());
        };
        let fits = admission::within_project_limit(price, taken, limit);
        fits.err().map(|refusal| refusal.to_string())
    };
    if let Some(name) = project {
        return match node.ledger.project(name) {
            Some(view) if !view.members.contains(caller) => {
                Some(Refusal::NotAMember(name.clone()).to_string())
            }
            Some(view) => said(name, view.taken),
            None => said(name, Rho::ZERO),
        };
    }
    let projects = node.ledger.projects().into_iter();
    let own = projects.filter(|view| view.members.contains(caller));
    let said: Vec<_> = own.map(|view| said(&view.name, view.taken)).collect();
    // With none yet, or room in one, it may run.
    let refused: Option<Vec<String>> = said.into_iter().collect();
    refused?.into_iter().next()
}

/// Whether there is room of delta for keys that are not declared, in every account.
fn keys_fit(face: &DatasetFace, shape: &Shape) -> bool {
    face.accounts.iter().all(|account| {
        let limit = account.limit.as_ref().map(|set| set.delta_keys);
        admission::keys_fit(
            shape.delta_keys(),
            account.meter_keys,
            limit.unwrap_or_default(),
        )
    })
}
