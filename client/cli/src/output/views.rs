//! JSON with stable field names. Exposure is in billionths of rho (`_nano_rho`), times in
//! milliseconds since 1970 (`_unix_ms`).

use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::answer::{Answer, VectorShape};
use obscura_client::model::calendar;
use obscura_client::model::exposure::Rho;
use obscura_client::model::schema::Domain;
use obscura_client::{
    Account, AtSite, Column, Dataset, Error, MockRun, OutputMargin, Preview, Share, StudyStatus,
};
use serde_json::{Map, Value, json};

/// One answer per institution: `{"institution": ..., KEY: ...}` or with an `error`.
pub(crate) fn sites<T>(sites: &[AtSite<T>], key: &str, view: impl Fn(&T) -> Value) -> Value {
    let one = |site: &AtSite<T>| {
        let (key, value) = match &site.outcome {
            Ok(value) => (key, view(value)),
            Err(error) => ("error", self::error(error)),
        };
        json!({ "institution": site.name().as_str(), key: value })
    };
    sites.iter().map(one).collect()
}

pub(crate) fn error(error: &Error) -> Value {
    json!({ "code": error.code(), "message": error.in_full() })
}

pub(crate) fn dataset(dataset: &Dataset) -> Value {
    let terms = dataset.required_terms.iter().map(|t| t.as_str());
    json!({
        "id": dataset.id.to_string(),
        "name": dataset.name.as_str(),
        "version": dataset.version,
        "title": dataset.title,
        "about": dataset.about,
        "subject_unit": dataset.subject_unit,
        "subject_column": dataset.subject_column,
        "most_rows_per_subject": dataset.most_rows_per_subject,
        "tables": dataset.tables.iter().map(|table| json!({
            "name": table.name, "most_rows_per_subject": table.most_rows_per_subject,
        })).collect::<Vec<_>>(),
        "fewest_subjects": dataset.fewest_subjects,
        "most_subjects": dataset.most_subjects,
        "columns": dataset.columns.iter().map(column).collect::<Vec<_>>(),
        "required_terms": terms.collect::<Vec<_>>(),
        "accounts": accounts(&dataset.accounts),
        "description_digest": dataset.description_digest.to_string(),
    })
}

fn column(column: &Column) -> Value {
    let mut view = json!({
        "name": column.name,
        "unit": column.unit,
        "meaning": column.meaning,
        "source": column.source,
        "may_be_missing": column.may_be_missing,
        "constant_per_subject": column.constant_per_subject,
        "typical": column.typical.map(|(low, high)| [low, high]),
    });
    let domain = match &column.domain {
        Domain::Integer { lowest, highest } => {
            json!({ "type": "integer", "lowest": lowest, "highest": highest })
        }
        Domain::Number { lowest, highest } => {
            json!({ "type": "number", "lowest": lowest, "highest": highest })
        }
        Domain::Category { values, .. } => json!({ "type": "category", "values": values }),
        Domain::Boolean => json!({ "type": "boolean" }),
        Domain::Date { first, last } => json!({
            "type": "date", "first": calendar::label(*first), "last": calendar::label(*last)
        }),
        Domain::Text { most_characters } => {
            json!({ "type": "text", "most_characters": most_characters })
        }
    };
    if let (Some(view), Value::Object(domain)) = (view.as_object_mut(), domain) {
        view.extend(domain);
    }
    if let (Some(view), Some(keys)) = (view.as_object_mut(), column.keys) {
        let keys = json!({
            "per_person": keys.per_person, "most": keys.most, "characters": keys.characters,
            "delta": keys.delta.get(),
        });
        view.insert("keys".to_owned(), keys);
    }
    view
}

pub(crate) fn accounts(accounts: &[Account]) -> Value {
    accounts.iter().map(account).collect()
}

pub(crate) fn account(account: &Account) -> Value {
    let limit = account.limit.map(|limit| {
        json!({
            "mode": limit.mode.as_str(),
            "epsilon": limit.epsilon,
            "delta": limit.delta.get(),
            "nano_rho": limit.rho.nano(),
            "largest_release_nano_rho": limit.largest_release.nano(),
            "smallest_release_nano_rho": limit.smallest_release.nano(),
            "guarantee_nano_rho": limit.guarantee.nano(),
            "delta_keys": limit.keys.get(),
            "guarantee_delta_keys": limit.keys_guarantee.get(),
        })
    });
    json!({
        "name": account.name,
        "limit": limit,
        "meter_nano_rho": account.meter.nano(),
        "reserved_nano_rho": account.reserved.nano(),
        "delta_keys_taken": account.keys_taken.get(),
    })
}

pub(crate) fn share(share: &Share) -> Value {
    json!({
        "limit_nano_rho": share.limit.map(Rho::nano),
        "used_nano_rho": share.used.nano(),
    })
}

pub(crate) fn preview(preview: &Preview, rows: u64) -> Value {
    let margin = |m: &OutputMargin| {
        json!({
            "output": m.output,
            "unit": m.unit,
            "margin_95": finite(m.margin),
            "standard_error": finite(m.standard_error),
            "like_a_study_of": m.like_a_study_of,
            "if_at_least_rows": m.rows,
        })
    };
    let takes = preview
        .takes()
        .map(|t| json!({ "percent_of_limit": t.percent, "fit": t.fit }));
    json!({
        "adds_nano_rho": preview.price.nano(),
        "sigmas": preview.shape.vectors.iter().map(sigma).collect::<Vec<_>>(),
        "epsilon": preview.epsilon,
        "takes": takes,
        "margins": preview.margins(rows).iter().map(margin).collect::<Vec<_>>(),
        "query": preview.canonical_sql,
        "words": preview.words,
        "slot_ms": u64::try_from(preview.slot.as_millis()).unwrap_or(u64::MAX),
        "accounts": accounts(&preview.accounts),
        "scientist": share(&preview.share),
        "refusal": preview.refusal,
        "warnings": preview.warnings,
        "groups_shown_from_people": preview.shape.threshold(),
        "delta_keys": preview.shape.delta_keys().get(),
        "dataset_version": preview.dataset_version,
        "proposes_coverage": preview.proposes_coverage(),
    })
}

fn sigma(vector: &VectorShape) -> Value {
    json!({ "vector": vector.what, "sigma": finite(vector.sigma_in_units()) })
}

pub(crate) fn mock(wish: &AccuracyRequest, run: &MockRun, rows: u64) -> Value {
    json!({
        "accuracy": accuracy(wish),
        "preview": preview(&run.preview, rows),
        "without_noise": answer(&run.exact, false),
        "with_noise": answer(&run.noisy, true),
    })
}

fn accuracy(wish: &AccuracyRequest) -> Value {
    let mut view = whole(wish);
    if let (Some(view), false) = (view.as_object_mut(), wish.weights().is_empty()) {
        view.insert("weights".to_owned(), json!(wish.weights()));
    }
    view
}

fn whole(wish: &AccuracyRequest) -> Value {
    match wish.for_whole() {
        None => Value::Null,
        Some(Accuracy::Sigma(sigma)) => json!({ "sigma": sigma }),
        Some(Accuracy::Epsilon(epsilon)) => json!({ "epsilon": epsilon }),
        Some(Accuracy::Price(rho)) => json!({ "nano_rho": rho.nano() }),
        Some(Accuracy::Within { margin, rows }) => json!({ "within": margin, "rows": rows }),
    }
}

fn answer(answer: &Answer, noisy: bool) -> Value {
    let shape = answer.shape();
    let row = |cell: usize| {
        let labels = shape.labels(cell);
        let group: Map<_, _> = shape
            .keys
            .iter()
            .zip(labels)
            .map(|(key, label)| (key.column.clone(), Value::from(label)))
            .collect();
        let outputs = shape.outputs.iter().enumerate();
        let outputs: Map<_, _> = outputs
            .filter_map(|(place, output)| {
                let estimate = answer.estimate(place, cell)?;
                let mut view = json!({ "value": finite(estimate.value) });
                if noisy {
                    let bound = estimate.lower_bound;
                    let unless = |number: f64| if bound { Value::Null } else { finite(number) };
                    view["margin_95"] = unless(estimate.margin);
                    view["standard_error"] = unless(estimate.standard_error());
                    view["lower_bound"] = bound.into();
                }
                Some((output.name.clone(), view))
            })
            .collect();
        json!({ "group": group, "outputs": outputs })
    };
    answer.arranged().into_iter().map(row).collect()
}

/// Null for what is no finite number.
fn finite(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
}

pub(crate) fn status(status: &StudyStatus) -> Value {
    let releases = status.releases.iter().map(|r| {
        json!({
            "name": r.name.as_str(),
            "adds_nano_rho": r.price.nano(),
            "times": r.times,
            "runs": r.runs,
        })
    });
    json!({
        "study": status.id.to_string(),
        "digest": status.digest.to_string(),
        "title": status.title,
        "state": status.state.in_words(),
        "reason": status.reason,
        "releases": releases.collect::<Vec<_>>(),
        "expires_unix_ms": status.expires.0,
        "changed_unix_ms": status.changed.0,
        "dataset": status.dataset.as_str(),
        "dataset_version": status.dataset_version,
        "scientist": status.scientist,
        "project": status.project.as_str(),
    })
}
