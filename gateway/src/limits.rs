//! Every bound of the gateway, with its reason.
//!
//! The gateway never reads bodies, so it bounds what it holds of them by flow control: of one
//! request or answer it has at most one window in memory. All calls together hold at most
//! [`MOST_CALLS`] windows in each direction, that is 128 MiB; a connection of an unfriendly caller
//! at most [`CONNECTION_WINDOW`].

use std::time::Duration;

/// The most calls under way through this gateway.
pub const MOST_CALLS: usize = 2048;

/// The most calls under way of one caller, so that one cannot crowd out the others.
pub const MOST_CALLS_OF_CALLER: usize = 128;

/// The most calls under way to one node: what a node takes on one connection.
pub const MOST_CALLS_TO_NODE: usize = 256;

/// The most bytes of one request or answer that are on their way unread.
pub const STREAM_WINDOW: u32 = 64 * 1024;

/// The most bytes of requests on their way unread on one connection of a caller.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The most bytes of answers on their way unread on the connection to a node: every call's
/// window, so that a caller who does not read holds up nobody else.
pub const NODE_WINDOW: u32 = 256 * STREAM_WINDOW;

/// The most bytes of headers that a node's answer may have.
pub const MOST_HEADER_BYTES: u32 = 16 * 1024;

/// How often a silent connection to a node is asked whether it is alive.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long that answer may take.
pub const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(10);

/// How long the directory waits for a node before it calls it not reachable.
pub const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// How long calls under way may go on after the gateway was asked to stop.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The most bytes of a request to the gateway's own services.
pub const MOST_OWN_REQUEST_BYTES: usize = 64 * 1024;

/// The most nodes in a directory.
pub const MOST_NODES: usize = 1000;
