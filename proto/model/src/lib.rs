//! The shared vocabulary of Obscura as validated types.
//!
//! Everything here is pure: no input or output, no clock, no randomness of its own. Every type
//! with a rule has private fields and one fallible constructor, so holding a value means that the
//! rule holds. Exposure arithmetic exists once, in [`exposure`] and [`answer`]. Only the [`wire`]
//! module knows generated protocol types.

pub mod accuracy;
pub mod answer;
pub mod calendar;
pub mod codelist;
pub mod combine;
pub mod disclosure;
pub mod envelope;
pub mod exposure;
pub mod identity;
pub mod ids;
pub mod odds;
pub mod release;
pub mod schema;
pub mod study;
pub mod text;
pub mod wire;
