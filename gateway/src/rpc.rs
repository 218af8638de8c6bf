//! The gateway's own services, and the words in which it refuses.

pub(crate) mod directory;
pub(crate) mod status;
