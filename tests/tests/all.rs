//! Every integration test of the workspace, in one binary.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "all/architecture.rs"]
mod architecture;
#[path = "all/attacks.rs"]
mod attacks;
#[path = "all/audit.rs"]
mod audit;
#[path = "all/blind_gateway.rs"]
mod blind_gateway;
#[path = "all/compact_command.rs"]
mod compact_command;
#[path = "all/cookbook.rs"]
mod cookbook;
#[path = "all/differential.rs"]
mod differential;
#[path = "all/grants.rs"]
mod grants;
#[path = "all/index_deleted.rs"]
mod index_deleted;
#[path = "all/keys.rs"]
mod keys;
#[path = "all/kills.rs"]
mod kills;
#[path = "all/ledger_oracle.rs"]
mod ledger_oracle;
#[path = "all/limits.rs"]
mod limits;
#[path = "all/neighbours.rs"]
mod neighbours;
#[path = "all/noise.rs"]
mod noise;
#[path = "all/offers.rs"]
mod offers;
#[path = "all/projects.rs"]
mod projects;
#[path = "all/races.rs"]
mod races;
#[path = "all/refusals.rs"]
mod refusals;
#[path = "all/samples.rs"]
mod samples;
#[path = "all/source.rs"]
mod source;
#[path = "all/subjects.rs"]
mod subjects;
#[path = "all/support.rs"]
mod support;
#[cfg(feature = "system")]
#[path = "all/system.rs"]
mod system;
#[path = "all/tables.rs"]
mod tables;
#[path = "all/tampering.rs"]
mod tampering;
#[path = "all/whole_path.rs"]
mod whole_path;
