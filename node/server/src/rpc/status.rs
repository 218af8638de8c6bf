//! The one place of the node where errors become gRPC statuses.

use tonic::{Code, Status};

use crate::error::Error;

/// The status for an error. The chain of causes goes to the log, once, here; the caller gets the
/// error's own text.
pub(super) fn refuse(method: &'static str, error: &Error) -> Status {
    let code = code(error);
    match code {
        Code::Internal | Code::Unavailable => {
            tracing::error!(method, ?code, chain = chain(error), "a call failed");
        }
        _ => tracing::info!(method, ?code, "a call was refused"),
    }
    Status::new(code, error.to_string())
}

fn code(error: &Error) -> Code {
    match error {
        Error::Envelope(_) | Error::NotAuthorised => Code::PermissionDenied,
        Error::Message(_)
        | Error::Query(_)
        | Error::StudyQuery { .. }
        | Error::Description(_)
        | Error::Ingest(_)
        | Error::NotAsked
        | Error::NotOffered
        | Error::NoProject
        | Error::Terms(_) => Code::InvalidArgument,
        Error::NoDataset(_) | Error::NoStudy | Error::NoGrant | Error::NoRelease(_) => {
            Code::NotFound
        }
        Error::Ended
        | Error::State { .. }
        | Error::OtherDocument
        | Error::PriceChanged
        | Error::Rule(_)
        | Error::PopulationStopped => Code::FailedPrecondition,
        Error::Exists(_) | Error::Conflict => Code::AlreadyExists,
        Error::Failed => Code::Aborted,
        Error::Busy | Error::TooLarge { .. } => Code::ResourceExhausted,
        Error::Stopped => Code::Unavailable,
        Error::Inside(_) => Code::Internal,
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(super) fn unknown_method() -> http::Response<tonic::body::Body> {
    Status::unimplemented("this node has no such method").into_http()
}
