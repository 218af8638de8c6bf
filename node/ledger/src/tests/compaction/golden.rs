//! Golden files of a compacted ledger.
