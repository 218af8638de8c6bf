//! The gateway: a directory of the consortium's nodes, and blind routing to them.
//!
//! It is trusted with nothing. It passes bytes on by the name of a node and cannot read or alter
//! what a signed envelope protects; it learns who talks to whom and how much. It holds no private
//! state, so any number of gateways can run side by side.
//!
//! [`build`] makes a [`Gateway`] from its [`Parts`]; [`Gateway::run`] serves on a listener that the
//! caller has bound. [`ca`] is the consortium's certificate authority, for those who have none.

pub mod ca;
pub mod cli;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod files;
pub mod limits;

mod directory;
mod gateway;
mod own;
mod routing;
mod rpc;
#[cfg(test)]
mod testing;

pub use directory::{InvalidDirectory, Node};
pub use gateway::{BuildError, Gateway, Parts, build};
