//! Notes beside release files: who was asked, who is missing and why, and the public limits at
//! that time, so that combining needs no network. Notes are not signed, and nothing in an
//! answer's numbers depends on them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use obscura_client::model::exposure::Rho;
use obscura_client::model::ids::{PartyName, ReleaseName};
use obscura_client::model::study::Study;
use obscura_client::{Client, CombinedAnswer, NotIncluded};
use serde::{Deserialize, Serialize};

use crate::output::words;

/// The tightest limit at each institution.
pub(super) type Limits = BTreeMap<PartyName, Rho>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notes {
    study: String,
    title: String,
    release: String,
    not_included: Vec<Missing>,
    limits_nano_rho: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Missing {
    institution: String,
    reason: String,
}

/// The public limits of the study's dataset at its institutions; those that do not answer are
/// left out.
pub(super) async fn limits(client: &Client, study: &Study) -> Limits {
    let mut limits = Limits::new();
    for site in client.datasets().await {
        let Ok(datasets) = &site.outcome else {
            continue;
        };
        let dataset = datasets.iter().find(|d| d.name == *study.dataset());
        if let Some(limit) = dataset.and_then(|d| words::tightest(&d.accounts)) {
            limits.insert(site.name().clone(), limit.rho);
        }
    }
    limits
}

impl Notes {
    pub(super) fn new(study: &Study, release: &ReleaseName, limits: &Limits) -> Self {
        let limits = limits.iter().map(|(n, l)| (n.to_string(), l.nano()));
        Notes {
            study: study.id().to_string(),
            title: study.title().to_owned(),
            release: release.to_string(),
            not_included: Vec::new(),
            limits_nano_rho: limits.collect(),
        }
    }

    pub(super) fn missing(&mut self, missing: &NotIncluded) {
        self.not_included.push(Missing {
            institution: missing.name.to_string(),
            reason: missing.reason.clone(),
        });
    }

    pub(super) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let path = path(folder, &self.release);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Nothing if there are none.
    pub(super) fn load(folder: &Path, release: &ReleaseName) -> anyhow::Result<Option<Self>> {
        let path = path(folder, release.as_str());
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
            Ok(text) => {
                let notes = serde_json::from_str(&text);
                let broken = || format!("{} is damaged: delete it", path.display());
                notes.map(Some).with_context(broken)
            }
        }
    }

    pub(super) fn is_about(&self, answer: &CombinedAnswer) -> bool {
        let study = answer.study.map(|study| study.to_string());
        study.is_none_or(|study| study == self.study) && self.release == answer.release.as_str()
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn not_included(&self) -> Vec<NotIncluded> {
        let missing = self.not_included.iter().filter_map(|m| {
            Some(NotIncluded {
                name: PartyName::new(&m.institution).ok()?,
                reason: m.reason.clone(),
            })
        });
        missing.collect()
    }

    pub(super) fn limits(&self) -> Limits {
        let limits = self.limits_nano_rho.iter();
        limits
            .filter_map(|(name, nano)| Some((PartyName::new(name).ok()?, Rho::from_nano(*nano))))
            .collect()
    }
}

fn path(folder: &Path, release: &str) -> PathBuf {
    folder.join(format!("{release}.asked.json"))
}

/// The folder that the notes are in: the first folder named, or that of the first file.
pub(super) fn folder(from: &[PathBuf]) -> PathBuf {
    let first = from.first().cloned().unwrap_or_default();
    if first.is_dir() {
        return first;
    }
    let parent = first.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_path_buf()
}
