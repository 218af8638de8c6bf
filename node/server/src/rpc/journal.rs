//! The journal in words, for the owner: records, what was typed in the signed requests that they
//! keep, and the questions that were asked under grants.

use obscura_ledger::{DatasetVersion, LogEntry, Said};
use obscura_model::wire;
use obscura_wire::v1;
use prost::Message;

use crate::error::Error;
use crate::node::{Node, signed_evidence};
use crate::question::Question;

/// The journal in words.
pub(super) fn log(node: &Node, from: u64, most: usize) -> Result<v1::LogResponse, Error> {
    let entry = |e: LogEntry| {
        let (question_sql, question_words) = match &e.said {
            Some(Said::Asked { dataset, evidence }) => question(node, *dataset, evidence),
            _ => Default::default(),
        };
        v1::LogEntry {
            index: e.index,
            time_unix_ms: e.time.0,
            kind: e.kind.to_owned(),
            text: match e.said.as_ref().and_then(typed) {
                Some(typed) => format!("{} {typed}", e.text),
                None => e.text,
            },
            question_sql,
            question_words,
        }
    };
    let head = node.ledger.head();
    let entries = node.ledger.entries(from, most)?;
    Ok(v1::LogResponse {
        entries: entries.into_iter().map(entry).collect(),
        head_size: head.size,
        head_root: head.root.to_vec(),
    })
}

/// What was asked under a grant: the query as it is run, and in words. A request that today's
/// language does not read is given as it was typed.
fn question(node: &Node, dataset: DatasetVersion, evidence: &[u8]) -> (String, String) {
    let asked = signed_evidence(evidence).and_then(|signed| {
        let asked = wire::ask_request_decode(&signed.body)?;
        Ok((asked, node.dataset_version(dataset)?))
    });
    let Ok((asked, face)) = asked else {
        return Default::default();
    };
    let question = Question {
        sql: &asked.sql,
        accuracy: &asked.accuracy,
        options: asked.options,
        code_lists: &asked.code_lists,
    };
    match question.validated(&face) {
        Ok(query) => (query.canonical(), query.in_words()),
        Err(_) => (asked.sql.as_str().to_owned(), String::new()),
    }
}

/// What the owner typed, from the signed request that the record keeps.
fn typed(said: &Said) -> Option<String> {
    let body = |evidence| wire::signed_decode(evidence).map(|message| message.body);
    match said {
        Said::ScientistLimit(evidence) => {
            let v1::SetScientistLimitRequest {
                scientist: _,
                epsilon,
                delta,
                reason,
            } = v1::SetScientistLimitRequest::decode(body(evidence)?.as_slice()).ok()?;
            Some(share(epsilon, delta, &reason))
        }
        Said::Lift(evidence) => {
            let v1::LiftRequest {
                population: _,
                reason,
            } = v1::LiftRequest::decode(body(evidence)?.as_slice()).ok()?;
            because(&reason)
        }
        Said::ProjectLimit(evidence) => {
            let v1::SetProjectLimitRequest {
                project: _,
                epsilon,
                delta,
                reason,
            } = v1::SetProjectLimitRequest::decode(body(evidence)?.as_slice()).ok()?;
            Some(share(epsilon, delta, &reason))
        }
        Said::Grant(evidence) => {
            let given = v1::GiveGrantRequest::decode(body(evidence)?.as_slice()).ok()?;
            let mut text = format!("Together they add at most epsilon {}", given.epsilon);
            if given.delta_keys > 0.0 {
                let keys = given.delta_keys;
                text.push_str(&format!(
                    " and take at most {keys:e} of delta for such keys"
                ));
            }
            Some(text + ".")
        }
        Said::Asked { .. } => None,
    }
}

fn share(epsilon: f64, delta: f64, reason: &str) -> String {
    let text = format!("It is epsilon {epsilon} at delta {delta}.");
    match because(reason) {
        Some(reason) => format!("{text} {reason}"),
        None => text,
    }
}

fn because(reason: &str) -> Option<String> {
    let reason = reason.trim().trim_end_matches('.');
    (!reason.is_empty()).then(|| format!("The reason given: {reason}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_model::envelope::SignedMessage;

    fn evidence(body: Vec<u8>) -> Vec<u8> {
        wire::signed_encode(&SignedMessage {
            envelope: Vec::new(),
            signature: Vec::new(),
            body,
        })
    }

    #[test]
    fn the_log_gives_what_the_owner_typed_and_why() {
        let lift = v1::LiftRequest {
            population: "people".into(),
            reason: "the power is back. ".into(),
        };
        assert_eq!(
            typed(&Said::Lift(evidence(lift.encode_to_vec()))).as_deref(),
            Some("The reason given: the power is back.")
        );
        let limit = v1::SetScientistLimitRequest {
            scientist: Vec::new(),
            epsilon: 2.5,
            delta: 1e-6,
            reason: String::new(),
        };
        assert_eq!(
            typed(&Said::ScientistLimit(evidence(limit.encode_to_vec()))).as_deref(),
            Some("It is epsilon 2.5 at delta 0.000001.")
        );
        let project = v1::SetProjectLimitRequest {
            project: "p".into(),
            epsilon: 2.0,
            delta: 1e-6,
            reason: "a share".into(),
        };
        assert_eq!(
            typed(&Said::ProjectLimit(evidence(project.encode_to_vec()))).as_deref(),
            Some("It is epsilon 2 at delta 0.000001. The reason given: a share.")
        );
        let grant = v1::GiveGrantRequest {
            epsilon: 1.5,
            ..Default::default()
        };
        assert_eq!(
            typed(&Said::Grant(evidence(grant.encode_to_vec()))).as_deref(),
            Some("Together they add at most epsilon 1.5.")
        );
        assert_eq!(typed(&Said::Lift(b"no message".to_vec())), None);
    }
}
