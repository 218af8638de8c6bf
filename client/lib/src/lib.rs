//! What a program of a scientist or a data owner uses: connect, explore, preview, study, release
//! and combine.
//!
//! | to do | call |
//! |---|---|
//! | see what institutions offer | [`Client::datasets`], [`Client::dataset`] |
//! | try a question on invented rows | [`Client::sandbox`] |
//! | see accuracy and exposure before asking | [`Client::preview`], [`Client::preview_study`] |
//! | ask the owners | [`Client::draft`], [`Client::submit`], [`Client::status`] |
//! | ask at once, under a standing grant | [`Client::grants`], [`Client::ask`] |
//! | work with others | [`Client::join_project`], [`Client::projects`] |
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
mod grants;
mod heads;
mod owner;
mod profile;
mod projects;
mod question;
mod release;
mod sandbox;
mod studies;
mod subjects;
mod surroundings;
#[cfg(test)]
mod testing;
mod transport;

pub use catalogue::{
    Account, AccountLimit, Column, Dataset, Exposure, OwnRelease, Share, Source, TableRows,
};
pub use client::{AtSite, Client, Site};
pub use combined::{CannotCombine, CombinedAnswer, Included, NotIncluded, combine};
pub use draft::{Draft, InvalidDraft};
pub use error::{Code, Error};
pub use grants::{Grant, GrantState, NewGrant};
pub use heads::{HeadConflict, Heads};
pub use obscura_model as model;
pub use owner::{
    Added, AskedQuestion, Log, LogEntry, NewDataset, NewLimit, OwnerClient, OwnerExposure, Review,
    ReviewedCodeList, ReviewedRelease, ScientistExposure, ScientistLimit,
};
pub use profile::{InvalidProfile, Profile, Target};
pub use projects::{Member, Project, ProjectLimit};
pub use question::Question;
pub use release::{
    InvalidReleaseFile, VerifiedRelease, again_label, pem_certificate, request_id, run_label,
};
pub use sandbox::{MockRun, OutputMargin, Preview, StudyPreview, Takes, combined_margins};
pub use studies::{ReleaseStatus, StudyStatus};
pub use subjects::{Marking, Merging, Rekeying, SubjectIds, SubjectMark};
pub use surroundings::{Clock, Entropy, NoEntropy, Patience, Surroundings, System};
