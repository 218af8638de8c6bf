//! The wire of Obscura: generated code for package `obscura.v1`, and mutual TLS 1.3.
//!
//! Wire types are named here, in the model's `wire` module, in the servers' `rpc` modules and in
//! the client's transport, and nowhere else.

/// Generated from the `.proto` files; their comments are the documentation.
#[allow(missing_docs, unreachable_pub, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("obscura.v1");
}

pub mod tls;
