//! What a program of a scientist or a data owner uses: connect, explore, preview, study, release
//! and combine.
//!
//! | to do | call |
//! |---|---|
//! | see what institutions offer | [`Client::datasets`], [`Client::dataset`] |
//! | try a question on invented rows | [`Client::sandbox`] |
//! | see accuracy and exposure before asking | [`Client::preview`], [`Client::preview_study`] |
//! | ask the owners | [`Client::draft`], [`Client::submit`], [`Client::status`] |
//! | fetch, check and combine | [`Client::answer`], or [`Client::releases_everywhere`] and [`combine`] |
//! | decide, describe and limit as an owner | [`OwnerClient`] |
//!
//! The gateway is trusted with nothing: keys come from certificates that the consortium's
//! authority signed, every answer is checked against the key of the institution that was asked,
//! and releases stay verifiable as files. Clock and entropy are arguments ([`Surroundings`]).

mod catalogue;
mod client;
mod combined;
mod draft;
mod error;
pub mod export;
mod heads;
mod owner;
mod profile;
mod release;
mod sandbox;
mod studies;
mod surroundings;
#[cfg(test)]
mod testing;
mod transport;

pub use catalogue::{Account, AccountLimit, Column, Dataset, Exposure, OwnRelease, Share};
pub use client::{AtSite, Client, Site};
pub use combined::{CannotCombine, CombinedAnswer, Included, NotIncluded, combine};
pub use draft::{Draft, InvalidDraft};
pub use error::{Code, Error};
pub use heads::{HeadConflict, Heads};
pub use obscura_model as model;
pub use owner::{
    Added, Log, LogEntry, NewLimit, OwnerClient, OwnerExposure, Review, ReviewedRelease,
    ScientistExposure, ScientistLimit,
};
pub use profile::{InvalidProfile, Profile, Target};
pub use release::{InvalidReleaseFile, VerifiedRelease, pem_certificate, request_id};
pub use sandbox::{MockRun, OutputMargin, Preview, StudyPreview, Takes, combined_margins};
pub use studies::{ReleaseStatus, StudyStatus};
pub use surroundings::{Clock, Entropy, NoEntropy, Patience, Surroundings, System};
