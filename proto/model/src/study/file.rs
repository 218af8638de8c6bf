//! The study file: TOML that a scientist writes, unknown keys refused.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Institution, InvalidStudy, ReleaseOptions, Study, StudyContent, StudyRelease, Terms,
    UNNAMED_PROJECT,
};
use crate::accuracy::{Accuracy, AccuracyRequest, InvalidAccuracy};
use crate::codelist::SignedCodeList;
use crate::exposure::{InvalidExposure, Rho};
use crate::ids::{DatasetName, InvalidId, PartyName, ProjectName, ReleaseName, StudyId};
use crate::schema::place;
use crate::text::{InvalidText, SqlText};

/// Why a study file was refused. The text says what, where, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidStudyFile {
    /// Not TOML of the expected form.
    #[error("line {line}, column {column}: {what}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// A name or id that is none.
    #[error("{field}: {source}")]
    Id {
        /// The key in the file.
        field: &'static str,
        /// Why.
        #[source]
        source: InvalidId,
    },
    /// A query text that is refused before parsing.
    #[error("release '{release}': {source}")]
    Text {
        /// Which release.
        release: String,
        /// Why.
        #[source]
        source: InvalidText,
    },
    /// An accuracy that is out of range or contradicts itself.
    #[error("release '{release}': {source}")]
    Accuracy {
        /// Which release.
        release: String,
        /// Why.
        #[source]
        source: InvalidAccuracy,
    },
    /// A price out of range.
    #[error("release '{release}': {source}")]
    Price {
        /// Which release.
        release: String,
        /// Why.
        #[source]
        source: InvalidExposure,
    },
    /// The accuracy names no way, or several.
    #[error(
        "release '{release}': accuracy must be one of {{ within = 25 }}, {{ within = 0.3, rows = 800 }}, {{ sigma = 10 }}, {{ epsilon = 0.5 }} or {{ rho = 0.02 }}"
    )]
    Way {
        /// Which release.
        release: String,
    },
    /// Names institutions that are not in the directory.
    #[error("where: no institution is called '{name}'; known are {known}")]
    Unknown {
        /// As written.
        name: PartyName,
        /// The names in the directory.
        known: String,
    },
    /// The study names no project.
    #[error(
        "project is missing: name the people who work on this together, such as project = \"cost-sharing\"; owners confirm each of them once"
    )]
    NoProject,
    /// A rule about the whole.
    #[error(transparent)]
    Study(#[from] InvalidStudy),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    project: Option<String>,
    title: String,
    purpose: String,
    dataset: String,
    #[serde(default)]
    codelists: Vec<String>,
    #[serde(rename = "where")]
    institutions: Vec<String>,
    #[serde(default)]
    terms: FileTerms,
    release: Vec<FileRelease>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileTerms {
    #[serde(default)]
    controller: String,
    #[serde(default)]
    legal_basis: String,
    #[serde(default)]
    ethics_reference: String,
    #[serde(default)]
    contract_number: String,
    #[serde(default)]
    end_date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRelease {
    name: String,
    sql: String,
    accuracy: Option<FileAccuracy>,
    #[serde(default)]
    accuracy_of: BTreeMap<String, FileAccuracy>,
    #[serde(default = "once")]
    times: u32,
    #[serde(default = "yes")]
    require_complete: bool,
    #[serde(default)]
    coverage: bool,
    #[serde(default)]
    count_clipped: bool,
}

fn once() -> u32 {
    1
}

fn yes() -> bool {
    ReleaseOptions::PROPOSED.require_complete
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAccuracy {
    sigma: Option<f64>,
    epsilon: Option<f64>,
    rho: Option<f64>,
    within: Option<f64>,
    rows: Option<u64>,
}

/// A study as its file has it: institutions by name, not yet by key.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyFile {
    id: StudyId,
    project: ProjectName,
    code_lists: Vec<String>,
    title: String,
    purpose: String,
    terms: Terms,
    dataset: DatasetName,
    releases: Vec<StudyRelease>,
    institutions: Vec<PartyName>,
}

impl StudyFile {
    /// Reads and checks a study file.
    pub fn from_toml(text: &str) -> Result<Self, InvalidStudyFile> {
        let file: File = toml::from_str(text).map_err(|error| {
            let (line, column) = place(text, error.span().map_or(0, |s| s.start));
            InvalidStudyFile::Form {
                line,
                column,
                what: error.message().trim().to_owned(),
            }
        })?;
        let id = |field| move |source| InvalidStudyFile::Id { field, source };
        let institutions = file.institutions.iter().map(|n| PartyName::new(n));
        let terms = Terms {
            controller: file.terms.controller,
            legal_basis: file.terms.legal_basis,
            ethics_reference: file.terms.ethics_reference,
            contract_number: file.terms.contract_number,
            end_date: file.terms.end_date,
        };
        let project = file.project.unwrap_or_default();
        if project.is_empty() || project == UNNAMED_PROJECT {
            return Err(InvalidStudyFile::NoProject);
        }
        Ok(StudyFile {
            id: file.id.parse().map_err(id("id"))?,
            project: ProjectName::new(&project).map_err(id("project"))?,
            code_lists: file.codelists,
            title: file.title,
            purpose: file.purpose,
            terms,
            dataset: DatasetName::new(&file.dataset).map_err(id("dataset"))?,
            releases: file
                .release
                .into_iter()
                .map(release)
                .collect::<Result<_, _>>()?,
            institutions: institutions
                .collect::<Result<_, _>>()
                .map_err(id("where"))?,
        })
    }

    /// The institutions named; `all` stands for everybody in the directory.
    #[must_use]
    pub fn institutions(&self) -> &[PartyName] {
        &self.institutions
    }

    /// The dataset's name.
    #[must_use]
    pub fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// The releases asked for.
    #[must_use]
    pub fn releases(&self) -> &[StudyRelease] {
        &self.releases
    }

    /// The study's id.
    #[must_use]
    pub fn id(&self) -> StudyId {
        self.id
    }

    /// The title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The paths of its signed code lists, relative to the study file.
    #[must_use]
    pub fn code_lists(&self) -> &[String] {
        &self.code_lists
    }

    /// Looks every institution's key up in `directory`, and takes the code lists that were read
    /// from [`StudyFile::code_lists`].
    pub fn resolve(
        self,
        directory: &[Institution],
        code_lists: Vec<SignedCodeList>,
    ) -> Result<Study, InvalidStudyFile> {
        let everybody = self.institutions.iter().any(|n| n.as_str() == "all");
        let institutions = if everybody {
            directory.to_vec()
        } else {
            self.institutions
                .iter()
                .map(|name| {
                    directory
                        .iter()
                        .find(|i| i.name == *name)
                        .cloned()
                        .ok_or_else(|| {
                            let known: Vec<_> = directory.iter().map(|i| i.name.as_str()).collect();
                            InvalidStudyFile::Unknown {
                                name: name.clone(),
                                known: known.join(", "),
                            }
                        })
                })
                .collect::<Result<_, _>>()?
        };
        Ok(Study::new(StudyContent {
            id: self.id,
            project: self.project,
            title: self.title,
            purpose: self.purpose,
            terms: self.terms,
            dataset: self.dataset,
            code_lists,
            releases: self.releases,
            institutions,
        })?)
    }
}

fn release(file: FileRelease) -> Result<StudyRelease, InvalidStudyFile> {
    let label = file.name.clone();
    let name = ReleaseName::new(&file.name).map_err(|source| InvalidStudyFile::Id {
        field: "release name",
        source,
    })?;
    let sql = SqlText::new(&file.sql).map_err(|source| InvalidStudyFile::Text {
        release: label.clone(),
        source,
    })?;
    let whole = file.accuracy.map(|a| accuracy(&label, &a)).transpose()?;
    let outputs = file
        .accuracy_of
        .iter()
        .map(|(output, a)| Ok((output.clone(), accuracy(&label, a)?)))
        .collect::<Result<_, InvalidStudyFile>>()?;
    let accuracy =
        AccuracyRequest::new(whole, outputs).map_err(|source| InvalidStudyFile::Accuracy {
            release: label,
            source,
        })?;
    Ok(StudyRelease {
        name,
        sql,
        accuracy,
        times: file.times,
        options: ReleaseOptions {
            require_complete: file.require_complete,
            coverage: file.coverage,
            count_clipped: file.count_clipped,
        },
    })
}

fn accuracy(release: &str, file: &FileAccuracy) -> Result<Accuracy, InvalidStudyFile> {
    let way = || InvalidStudyFile::Way {
        release: release.to_owned(),
    };
    if file.rows.is_some() && file.within.is_none() {
        return Err(way());
    }
    match (file.sigma, file.epsilon, file.rho, file.within) {
        (Some(sigma), None, None, None) => Ok(Accuracy::Sigma(sigma)),
        (None, Some(epsilon), None, None) => Ok(Accuracy::Epsilon(epsilon)),
        (None, None, Some(rho), None) => {
            Rho::asked(rho)
                .map(Accuracy::Price)
                .map_err(|source| InvalidStudyFile::Price {
                    release: release.to_owned(),
                    source,
                })
        }
        (None, None, None, Some(margin)) => Ok(Accuracy::Within {
            margin,
            rows: file.rows,
        }),
        _ => Err(way()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::KeyId;

    const GOOD: &str = r#"
id = "01890a5d-ac96-774b-bcce-b302099a8057"
project = "cost-sharing"
title = "Does cost sharing change visits?"
purpose = "To learn."
dataset = "rand_hie"
where = ["dayton"]

[terms]
controller = "RAND"
end_date = "2027-12-31"

[[release]]
name = "visits"
sql = "SELECT COUNT(*) FROM rand_hie"
accuracy = { within = 0.3, rows = 800 }
"#;

    #[test]
    fn a_good_file_becomes_a_study() {
        let file = StudyFile::from_toml(GOOD).unwrap();
        let dayton = Institution {
            name: PartyName::new("dayton").unwrap(),
            key: KeyId::new([1; 32]),
        };
        let study = file.resolve(&[dayton], Vec::new()).unwrap();
        assert_eq!(study.project().as_str(), "cost-sharing");
        assert_eq!(study.releases()[0].options, ReleaseOptions::PROPOSED);
        assert_eq!(study.releases()[0].times, 1);
        assert_eq!(study.expires(UnixMillisNow).date(), "2027-12-31");
    }

    #[allow(non_upper_case_globals)]
    const UnixMillisNow: crate::ids::UnixMillis = crate::ids::UnixMillis(1_800_000_000_000);

    #[test]
    fn every_wrong_file_says_what_and_where() {
        for (from, to, says) in [
            ("01890a5d-ac96-7", "01890a5d-ac96-4", "uuid of version 7"),
            ("title =", "titel =", "line 4, column 1"),
            ("project = \"cost-sharing\"\n", "", "project is missing"),
            ("cost-sharing", "unnamed", "project is missing"),
            ("cost-sharing", "Cost sharing", "not a name"),
            (
                "{ within = 0.3, rows = 800 }",
                "{ within = 0.3, sigma = 1 }",
                "accuracy must be one",
            ),
            (
                "{ within = 0.3, rows = 800 }",
                "{ within = -0.3 }",
                "above 0",
            ),
            ("{ within = 0.3, rows = 800 }", "{ rho = 0 }", "above 0"),
            ("name = \"visits\"", "name = \"Visits!\"", "not a name"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let error = StudyFile::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
        let nobody = StudyFile::from_toml(GOOD)
            .unwrap()
            .resolve(&[], Vec::new())
            .unwrap_err();
        assert!(
            nobody
                .to_string()
                .contains("no institution is called 'dayton'")
        );
    }
}
