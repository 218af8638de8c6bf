//! Builders for tests of the whole: a cluster of real nodes and a gateway in this process, nodes
//! in processes of their own, raw calls, and an oracle that shares no code with the accountant.
//!
//! | to do | run |
//! |---|---|
//! | every test that needs nothing installed | `cargo test -p obscura-tests` |
//! | also those with strace and with data from outside | the same with `--features system` |
//! | more kills than the tests make | `cargo run -p obscura-tests --bin kill-campaign 200` |
//! | more releases for the attacks on time | `cargo run -p obscura-tests --bin attack-campaign 5000` |
//! | more random questions than the tests ask | `cargo run -p obscura-tests --bin differential 10000` |
//! | how much a running node leaks, as docs/audit.md tells | `cargo run -p obscura-tests --bin audit` |
//! | what a release takes end to end, as docs/performance.md tells | `cargo run --release -p obscura-tests --bin releases` |
//! | the figures of the documentation | `cargo run -p obscura-tests --bin figures` |
//!
//! Campaign, audit, releases and figures start `node-under-test` beside them: build the package first.

pub mod audit;
pub mod campaign;
pub mod clock;
pub mod cluster;
pub mod data;
pub mod differential;
pub mod figures;
pub mod fixture;
pub mod oracle;
pub mod people;
pub mod process;
pub mod raw;
pub mod releases;
