//! A node of Obscura: an institution's own data, its own ledger, its own accountant.
//!
//! [`pipeline`] reads as the order of a release. Everything that lasts is in the ledger; every
//! call is authorised by the envelope that [`access`] checks before anything else.

pub mod access;
pub mod asked;
pub mod cli;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod error;
pub mod grants;
pub mod limits;
pub mod node;
pub mod owner;
pub mod pipeline;
pub mod projects;
pub mod question;
pub mod rpc;
pub mod sandbox;
pub mod serve;
pub mod slots;
pub mod start;
pub mod studies;
pub mod subjects;
pub mod turns;
pub mod veil;
