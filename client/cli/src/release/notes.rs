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

    /// Those of one answer under a grant: what is noted beside it already stays.
    pub(super) fn of_answer(folder: &Path, release: &ReleaseName, limits: &Limits) -> Self {
        let none = || Notes {
            study: String::new(),
            title: String::new(),
            release: release.to_string(),
            not_included: Vec::new(),
            limits_nano_rho: BTreeMap::new(),
        };
        // The answer counts, and notes that cannot be read would be of no use later either.
        let known = Self::load(folder, release).ok().flatten();
        let mut notes = known.unwrap_or_else(none);
        let limits = limits.iter().map(|(n, l)| (n.to_string(), l.nano()));
        notes.limits_nano_rho.extend(limits);
        notes
    }

    /// The notes in all of these folders as one; nothing if there are none. The first folder's title
    /// stands, and the limits that it knows.
    pub(super) fn of(folders: &[PathBuf], release: &ReleaseName) -> anyhow::Result<Option<Self>> {
        let mut all: Option<Self> = None;
        for folder in folders {
            let Some(more) = Self::load(folder, release)? else {
                continue;
            };
            all = Some(match all {
                None => more,
                Some(notes) => notes.with(more),
            });
        }
        Ok(all)
    }

    fn with(mut self, more: Self) -> Self {
        for (name, limit) in more.limits_nano_rho {
            self.limits_nano_rho.entry(name).or_insert(limit);
        }
        // Who is missing belongs to a study.
        if more.study == self.study {
            let known = |m: &Missing| {
                self.not_included
                    .iter()
                    .any(|k| k.institution == m.institution)
            };
            let new: Vec<_> = more
                .not_included
                .into_iter()
                .filter(|m| !known(m))
                .collect();
            self.not_included.extend(new);
        }
        if self.title.is_empty() {
            self.title = more.title;
        }
        self
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

    /// Nothing for a question without a study.
    pub(super) fn title(&self) -> Option<&str> {
        (!self.title.is_empty()).then_some(self.title.as_str())
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

/// The folders that notes are in: those named, and those of the files, each once.
pub(super) fn folders(from: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for path in from {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = if path.is_dir() {
            path.as_path()
        } else {
            parent.unwrap_or(Path::new("."))
        };
        if !folders.iter().any(|known| known == folder) {
            folders.push(folder.to_path_buf());
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(sites: &[(&str, u64)]) -> Limits {
        let one =
            |(name, nano): &(&str, u64)| (PartyName::new(name).unwrap(), Rho::from_nano(*nano));
        sites.iter().map(one).collect()
    }

    #[test]
    fn single_answers_in_one_folder_or_in_several_are_combined_with_the_limits_of_all() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = ReleaseName::new("asked-01020304").unwrap();
        let keep = |folder: &Path, site: &str, nano: u64| {
            let notes = Notes::of_answer(folder, &name, &limits(&[(site, nano)]));
            notes.save(folder).unwrap();
        };
        keep(one.path(), "basel", 5);
        keep(one.path(), "cadiz", 6);
        keep(two.path(), "delft", 7);
        let folders = folders(&[
            one.path().to_path_buf(),
            one.path().join("basel.asked-01020304.release"),
            two.path().join("delft.asked-01020304.release"),
        ]);
        assert_eq!(folders, [one.path(), two.path()]);
        let notes = Notes::of(&folders, &name).unwrap().unwrap();
        let all = limits(&[("basel", 5), ("cadiz", 6), ("delft", 7)]);
        assert_eq!(notes.limits(), all);
        assert_eq!(notes.title(), None);
        let other = ReleaseName::new("other").unwrap();
        assert!(Notes::of(&folders, &other).unwrap().is_none());
    }
}
