//! What the fuzz targets check, as functions of bytes. A claim that does not hold is a panic.

pub mod documents;
pub mod journal;
pub mod query;
pub mod texts;
