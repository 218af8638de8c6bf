//! What a refusal means: every gRPC code becomes one of our own.

use std::error::Error as _;

use obscura_model::identity::Role;
use tonic::{Code as Grpc, Status};

use crate::error::{Code, Error};

/// The most characters of another side's text that are shown.
const LONGEST: usize = 600;

/// What a node says to everybody whom it does not know, and to envelopes that do not hold.
const NOT_AUTHORISED: &str = "not authorised";

/// The error that a status of `who` is for a caller of this role.
pub(super) fn error(who: &str, me: Role, status: &Status) -> Error {
    let who = who.to_owned();
    let code = match status.code() {
        Grpc::Unavailable => return Error::Unreachable { who },
        // A source means that the status was made here, because the connection broke.
        Grpc::Unknown | Grpc::Cancelled | Grpc::Internal if status.source().is_some() => {
            return Error::Unreachable { who };
        }
        Grpc::DeadlineExceeded => return Error::TooSlow { who },
        Grpc::Cancelled => return Error::Interrupted { who },
        Grpc::PermissionDenied | Grpc::Unauthenticated => Code::NotAllowed,
        Grpc::InvalidArgument | Grpc::OutOfRange => Code::Invalid,
        Grpc::NotFound => Code::NotFound,
        Grpc::AlreadyExists => Code::Conflict,
        Grpc::ResourceExhausted => Code::NoRoom,
        Grpc::FailedPrecondition => Code::NotNow,
        Grpc::Unimplemented => Code::Unsupported,
        // A node aborts a request for good: it failed twice and never gets an answer.
        Grpc::Ok | Grpc::Unknown | Grpc::Aborted | Grpc::Internal | Grpc::DataLoss => Code::Failed,
    };
    let says = match plain(status.message()) {
        text if text.is_empty() => format!("refused without a reason ({})", code.as_str()),
        text if text == NOT_AUTHORISED => format!("{text}: {}", what_to_check(me)),
        text => text,
    };
    Error::Answered { who, code, says }
}

/// What to do where nothing more is said.
const fn what_to_check(me: Role) -> &'static str {
    match me {
        Role::Scientist => {
            "ask its data owner whether your key is enrolled, and check this machine's clock"
        }
        Role::Owner | Role::Node | Role::Gateway => {
            "check that the profile is of the one who may do this, and this machine's clock"
        }
    }
}

/// The channel could not be made ready: the server does not answer.
pub(super) fn not_ready(error: tonic::transport::Error) -> Status {
    Status::from_error(Box::new(error))
}

/// Text from elsewhere, without what could steer a terminal, and not too long.
fn plain(text: &str) -> String {
    let space = |c: char| if c.is_whitespace() { ' ' } else { c };
    let text = text.chars().map(space).filter(|c| !c.is_control());
    text.take(LONGEST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for code in (0..17).map(Grpc::from_i32) {
            let passing = error("x", Role::Owner, &Status::new(code, "why")).is_passing();
            assert_eq!(passing, code == Grpc::Unavailable, "{code:?}");
        }
        let broken = Status::from_error(Box::new(std::io::Error::other("gone")));
        assert!(error("x", Role::Owner, &broken).is_passing());
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_a_terminal() {
        let status = Status::invalid_argument("a\u{1b}[2Jb\nc");
        let error = error("x", Role::Owner, &status);
        assert_eq!(error.to_string(), "x: a[2Jb c");
    }

    #[test]
    fn a_scientist_who_is_not_known_hears_whom_to_ask() {
        let status = Status::permission_denied("not authorised");
        let says = |role| error("basel", role, &status).to_string();
        assert!(says(Role::Scientist).contains("ask its data owner whether your key is enrolled"));
        assert!(!says(Role::Owner).contains("enrolled"));
    }
}
