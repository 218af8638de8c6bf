//! Named limits of every queue and size.

use std::time::Duration;

/// Releases of one population that may wait for a slot.
pub const WAITING_RELEASES: usize = 256;

/// Releases that share one slot at most ...
pub const MEMBERS_OF_A_SLOT: usize = 16;

/// ... and the longest slot that is shared: a short release does not wait for a long one's end.
pub const SHARED_SLOT: Duration = Duration::from_millis(200);

/// Refusals and stored answers that leave at the start of one slot, before its fold.
pub const REFUSALS_OF_A_SLOT: usize = 16;

/// After this many lengths of its public slot a fold is given up ...
pub const SLOTS_OF_A_FOLD: u32 = 8;

/// ... but not before this: a busy machine or a slow disk is no reason to fail a short release.
pub const LEAST_OF_A_FOLD: Duration = Duration::from_secs(10);

/// Calls of one caller under way, releases that wait for their slot included. More are refused, so
/// that one caller cannot crowd out the others; it is enough for 64 requests at once.
pub const CALLS_OF_A_CALLER: usize = 96;

/// Mock runs of one caller under way.
pub const MOCK_RUNS_OF_A_CALLER: usize = 8;

/// Calls that work at the same time; others wait.
pub const WORKING_CALLS: usize = 32;

/// The largest body of a message, in bytes, unless its method says otherwise. A few bytes on the
/// wire can become a hundred in memory, so that this is well below what a node has.
pub const BODY_BYTES: usize = 128 * 1024;

/// The largest study, in bytes.
pub const STUDY_BYTES: usize = 512 * 1024;

/// Studies of one scientist that may wait for the owner's decision.
pub const UNDECIDED_STUDIES: usize = 100;

/// The most rows that a dataset may be declared to have: the most subjects times the most rows of
/// each. With more no query could end within the longest slot, and the exposures of so many
/// subjects would not fit the memory of a node.
pub const DECLARED_ROWS: u64 = 190_000_000;

/// The largest message that the node reads, in bytes.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// How long an answer of the node is valid.
pub const ANSWER_VALIDITY: Duration = Duration::from_secs(60);

/// Mock runs at the same time.
pub const MOCK_RUNS: usize = 2;

/// Log entries of one answer.
pub const LOG_ENTRIES: usize = 1000;

/// How long a node waits for open calls when it stops.
pub const DRAIN: Duration = Duration::from_secs(5);

/// How often the node looks whether its ledger still serves.
pub const HEALTH_CHECK: Duration = Duration::from_millis(500);
