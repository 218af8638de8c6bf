//! The only place where the gateway makes a gRPC status.

use obscura_model::ids::PartyName;
use tonic::{Code, Status};

/// Everything that the gateway itself may answer instead of passing a call on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The metadata `obscura-node` is there, but is no name, or is there twice.
    InvalidNodeName,
    /// Nobody of that name is in the directory.
    UnknownNode(PartyName),
    /// The node does not answer.
    Unreachable(PartyName),
    /// The connection to the node ended during the call.
    ConnectionLost(PartyName),
    /// Too many calls of this caller are under way.
    CallerBusy,
    /// Too many calls to this node are under way.
    NodeBusy(PartyName),
    /// Too many calls are under way.
    GatewayBusy,
    /// The gateway itself has no such method.
    UnknownMethod,
    /// Envelope, sender or connection are not what they should be. The reason stays in the log.
    NotAuthorised,
    /// The envelope is right and its body cannot be read.
    InvalidBody,
}

impl Refusal {
    /// The gRPC code.
    #[must_use]
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::InvalidNodeName | Self::InvalidBody => Code::InvalidArgument,
            Self::UnknownNode(_) => Code::NotFound,
            Self::Unreachable(_) | Self::ConnectionLost(_) => Code::Unavailable,
            Self::CallerBusy | Self::NodeBusy(_) | Self::GatewayBusy => Code::ResourceExhausted,
            Self::UnknownMethod => Code::Unimplemented,
            Self::NotAuthorised => Code::PermissionDenied,
        }
    }

    /// The sentence for the caller.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        match self {
            Self::InvalidNodeName => {
                "the metadata obscura-node must hold the name of one node".to_owned()
            }
            Self::UnknownNode(name) => {
                format!("the gateway knows no node named {name}: look at the list of nodes")
            }
            Self::Unreachable(name) => {
                format!("the gateway cannot reach the node {name} at the moment: try again later")
            }
            Self::ConnectionLost(name) => format!(
                "the connection to the node {name} ended during the call: \
                 repeat the same request with the same request id"
            ),
            Self::CallerBusy => {
                "too many of your calls are under way: wait until some have ended".to_owned()
            }
            Self::NodeBusy(name) => {
                format!("too many calls to the node {name} are under way: try again later")
            }
            Self::GatewayBusy => {
                "too many calls are under way at the gateway: try again later".to_owned()
            }
            Self::UnknownMethod => {
                "the gateway has no such method: name a node in the metadata obscura-node"
                    .to_owned()
            }
            Self::NotAuthorised => "this call is not authorised".to_owned(),
            Self::InvalidBody => "the message in the envelope cannot be read".to_owned(),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Status::new(refusal.code(), refusal.text())
    }
}
