//! What can go wrong for a client, as sentences that say what, where, and what to do.

use std::path::PathBuf;

use obscura_model::envelope::Refused;
use obscura_model::ids::{PartyName, ReleaseName};
use obscura_model::release::InvalidRelease;
use obscura_model::wire::InvalidWire;
use obscura_wire::tls::{InvalidChain, InvalidCredentials, InvalidTarget};

use crate::heads::HeadConflict;
use crate::profile::InvalidProfile;
use crate::surroundings::NoEntropy;

/// What to do about [`Error::OtherContent`].
const OTHER_CONTENT: &str = "this id was sent before with other content: give the changed study a \
                             new id, which `obscura study new` makes";

/// What kind of refusal an institution or the gateway answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The caller is not known there or may not do this.
    NotAllowed,
    /// The request itself is wrong.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The same id was used for something else, or it exists already.
    Conflict,
    /// A limit or a rate has no room.
    NoRoom,
    /// Not in this state: not approved, expired, stopped, or a limit is missing.
    NotNow,
    /// It does not know this method.
    Unsupported,
    /// It failed; the reason is in its log.
    Failed,
}

impl Code {
    /// A stable word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::NotAllowed => "not_allowed",
            Code::Invalid => "invalid",
            Code::NotFound => "not_found",
            Code::Conflict => "conflict",
            Code::NoRoom => "no_room",
            Code::NotNow => "not_now",
            Code::Unsupported => "unsupported",
            Code::Failed => "failed",
        }
    }
}

/// Why a call did not work. `who` is a node or the gateway.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The profile file.
    #[error(transparent)]
    Profile(#[from] InvalidProfile),
    /// Certificate or key in the profile.
    #[error("the profile's certificate and key cannot be used")]
    Credentials(#[from] InvalidCredentials),
    /// The certificate in the profile names nobody.
    #[error("the profile's certificate names no party of a consortium")]
    OwnCertificate(#[source] obscura_model::identity::InvalidCertificate),
    /// The profile is for a node where a gateway is needed, or the reverse.
    #[error("this profile leads to {has}, but {needs} is needed: choose another profile")]
    WrongProfile {
        /// Where it leads.
        has: &'static str,
        /// What is needed.
        needs: &'static str,
    },
    /// The name cannot be a server's.
    #[error("the profile's server name cannot be used")]
    Target(#[from] InvalidTarget),
    /// No connection, or no TLS.
    #[error("{who} cannot be reached at {address}: check the address and that it is running")]
    Connect {
        /// Who was called.
        who: String,
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The TLS handshake failed: another name, another authority, or no TLS 1.3.
    #[error("{who} at {address} is not who the profile says: check the name and the authority")]
    Handshake {
        /// Who was called.
        who: String,
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The other side's certificate is not one of this consortium.
    #[error("{who} showed a certificate that is not accepted")]
    Chain {
        /// Who was called.
        who: String,
        /// Why.
        #[source]
        source: InvalidChain,
    },
    /// The other side's certificate is for somebody else.
    #[error("{who} showed a certificate for another role or name: ask the gateway's operator")]
    WrongParty {
        /// Who was called.
        who: String,
    },
    /// Nobody answers, also not after trying again.
    #[error("{who} cannot be reached now: try again later")]
    Unreachable {
        /// Who was called.
        who: String,
    },
    /// No answer in time. The request may still be carried out; asking again is safe.
    #[error("{who} did not answer in time: asking again is safe")]
    TooSlow {
        /// Who was called.
        who: String,
    },
    /// The other side refused, and says why.
    #[error("{who}: {says}")]
    Answered {
        /// Who refused.
        who: String,
        /// What kind of refusal.
        code: Code,
        /// In its own words.
        says: String,
    },
    /// The same id was sent before with another document or request.
    #[error("{who}: {}", OTHER_CONTENT)]
    OtherContent {
        /// Who was asked.
        who: String,
    },
    /// The answer's envelope does not hold: a relay changed it, or clocks differ.
    #[error("the answer of {who} is not accepted: nothing in it was used")]
    Answer {
        /// Who was asked.
        who: String,
        /// Why.
        #[source]
        source: Refused,
    },
    /// The answer's content breaks a rule.
    #[error("the answer of {who} cannot be read: its version may differ from this program's")]
    Form {
        /// Who was asked.
        who: String,
        /// Why.
        #[source]
        source: InvalidWire,
    },
    /// A release that does not verify.
    #[error("the release of {who} is not accepted: nothing in it was used")]
    Release {
        /// Which institution.
        who: String,
        /// Why.
        #[source]
        source: InvalidRelease,
    },
    /// The node's journal head contradicts what was seen before.
    #[error("the release of {who} is not accepted: ask its owner before you go on")]
    Head {
        /// Which institution.
        who: String,
        /// In which way.
        #[source]
        source: HeadConflict,
    },
    /// The file of remembered heads.
    #[error("the file of remembered heads {path} cannot be used")]
    State {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The institution is not in the directory with the key that the study names.
    #[error(
        "{name} is not in the gateway's directory with a key that is accepted: see `obscura datasets`"
    )]
    UnknownInstitution {
        /// Which.
        name: PartyName,
    },
    /// The study asks for no such release.
    #[error("the study asks for no release called '{0}'")]
    UnknownRelease(ReleaseName),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// A draft that is no study.
    #[error(transparent)]
    Draft(#[from] crate::draft::InvalidDraft),
    /// Releases that cannot be combined.
    #[error(transparent)]
    Combine(#[from] crate::combined::CannotCombine),
    /// Not decided in the time given.
    #[error("not every owner has decided yet: ask again later with status")]
    Undecided,
    /// The task that made the call ended early.
    #[error("the call to {who} was interrupted: asking again is safe")]
    Interrupted {
        /// Who was called.
        who: String,
    },
}

impl Error {
    /// Whether the same call may work a little later: nobody answered.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Error::Unreachable { .. })
    }

    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Profile(_)
            | Error::Credentials(_)
            | Error::OwnCertificate(_)
            | Error::WrongProfile { .. }
            | Error::Target(_) => "profile",
            Error::Connect { .. } | Error::Unreachable { .. } => "unreachable",
            Error::TooSlow { .. } | Error::Interrupted { .. } => "no_answer",
            Error::Handshake { .. } | Error::Chain { .. } | Error::WrongParty { .. } => {
                "certificate"
            }
            Error::Answered { code, .. } => code.as_str(),
            Error::OtherContent { .. } => Code::Conflict.as_str(),
            Error::Answer { .. } | Error::Form { .. } => "answer",
            Error::Release { .. } => "release",
            Error::Head { .. } => "history",
            Error::State { .. } => "state_file",
            Error::UnknownInstitution { .. } | Error::UnknownRelease(_) => "not_found",
            Error::Entropy(_) => "entropy",
            Error::Draft(_) => "study",
            Error::Combine(_) => "combine",
            Error::Undecided => "undecided",
        }
    }

    /// Why, as one line, for a place that already names who was asked.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Error::Answered { says, .. } => says.clone(),
            Error::OtherContent { .. } => OTHER_CONTENT.to_owned(),
            other => other.in_full(),
        }
    }

    /// For a study or a release: a conflict means that its id stands for other content.
    pub(crate) fn about_a_study(self) -> Self {
        match self {
            Error::Answered {
                who,
                code: Code::Conflict,
                ..
            } => Error::OtherContent { who },
            other => other,
        }
    }

    /// For one of several questions: a refusal of its content says which it is.
    pub(crate) fn about_release(self, release: &ReleaseName) -> Self {
        match self {
            Error::Answered {
                who,
                code: code @ (Code::Invalid | Code::NoRoom),
                says,
            } => Error::Answered {
                who,
                code,
                says: format!("release {release}: {says}"),
            },
            other => other,
        }
    }

    /// Whether the other side answered with a refusal, rather than not at all.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Answered { .. } | Error::OtherContent { .. })
    }

    /// The error and its sources as one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_one_of_several_questions_says_which() {
        let release = ReleaseName::new("often").unwrap();
        let answered = |code| Error::Answered {
            who: "basel".to_owned(),
            code,
            says: "no column called x".to_owned(),
        };
        let refused = answered(Code::Invalid).about_release(&release);
        assert_eq!(refused.reason(), "release often: no column called x");
        // Who may not ask at all may ask none of them.
        let barred = answered(Code::NotAllowed).about_release(&release);
        assert_eq!(barred.reason(), "no column called x");
    }
}
