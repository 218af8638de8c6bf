//! The body of an answer on its way from a node to a caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use obscura_model::ids::PartyName;
use tonic::Status;

use super::calls::Call;
use crate::rpc::status::Refusal;

/// Passes frames on as they are. If the connection to the node ends before the answer does, the
/// caller gets trailers that say so, and never an answer that looks complete.
pub(super) struct Relayed {
    body: Incoming,
    node: PartyName,
    /// Counts this call for as long as its answer is under way.
    call: Option<Call>,
}

impl Relayed {
    pub(super) fn new(body: Incoming, node: PartyName, call: Call) -> Self {
        Self {
            body,
            node,
            call: Some(call),
        }
    }

    fn lost(&self) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        let status = Status::from(Refusal::ConnectionLost(self.node.clone()));
        // Fails only for texts that no header can carry; ours is plain.
        let _ = status.add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.call.is_none() {
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                tracing::info!(node = %self.node, %error, "an answer was cut off");
                self.call = None;
                Poll::Ready(Some(Ok(self.lost())))
            }
            None => {
                self.call = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
