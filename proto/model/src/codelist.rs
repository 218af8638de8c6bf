//! Code lists: named lists of codes (diagnoses, drugs, procedures) that travel with a study.
//!
//! A query names one as `IN CODELIST('name@digest')`, the digest being the first 16 hexadecimal
//! digits or more of the SHA-256 of the list's text, so that what was signed and approved is what
//! runs.

mod signed;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::ids::Digest;
use crate::schema::place;

pub use signed::{InvalidSignedCodeList, SignedCodeList};

/// The most codes of one list.
pub const MOST_CODES: usize = 10_000;
/// The most bytes of one list's text.
pub const MOST_BYTES: usize = 512 * 1024;
/// The fewest hexadecimal digits of a digest in a reference.
const FEWEST_DIGITS: usize = 16;

/// Why a code list was refused. The text says what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCodeList {
    /// Too long a text.
    #[error("the code list has {0} bytes and the most is 524288: split it")]
    Long(usize),
    /// Not TOML of the expected form.
    #[error("code list, line {line}, column {column}: {what}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// A name that is no name.
    #[error("the code list's name '{0}' must be 1 to 60 letters, digits, '-', '_' or '.'")]
    Name(String),
    /// No codes, or too many.
    #[error("code list '{name}' has {count} codes; it must have 1 to 10000")]
    Count {
        /// The list.
        name: String,
        /// How many it has.
        count: usize,
    },
    /// A code that is empty, too long or there twice.
    #[error("code list '{name}', code {position}: a code is 1 to 200 characters and there once")]
    Code {
        /// The list.
        name: String,
        /// Which code, from 1.
        position: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    source: String,
    codes: Vec<String>,
}

/// A checked code list. Made by [`CodeList::from_toml`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeList {
    text: String,
    name: String,
    title: String,
    source: String,
    codes: Vec<String>,
}

impl CodeList {
    /// Reads and checks a list: TOML with `name`, `title`, `source` and `codes`.
    pub fn from_toml(text: &str) -> Result<Self, InvalidCodeList> {
        if text.len() > MOST_BYTES {
            return Err(InvalidCodeList::Long(text.len()));
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let (line, column) = place(text, error.span().map_or(0, |s| s.start));
            InvalidCodeList::Form {
                line,
                column,
                what: error.message().trim().to_owned(),
            }
        })?;
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=60).contains(&file.name.len()) || !file.name.chars().all(part) {
            let name = file.name.chars().take(60).collect();
            return Err(InvalidCodeList::Name(name));
        }
        if !(1..=MOST_CODES).contains(&file.codes.len()) {
            return Err(InvalidCodeList::Count {
                name: file.name,
                count: file.codes.len(),
            });
        }
        let mut seen = BTreeSet::new();
        for (position, code) in file.codes.iter().enumerate() {
            let fits = (1..=200).contains(&code.chars().count());
            if !fits || !seen.insert(code.as_str()) {
                return Err(InvalidCodeList::Code {
                    name: file.name,
                    position: position + 1,
                });
            }
        }
        Ok(Self {
            text: text.to_owned(),
            name: file.name,
            title: file.title,
            source: file.source,
            codes: file.codes,
        })
    }

    /// The file's exact text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A title for people; may be empty.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where the list comes from; may be empty.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The codes, in the order of the file.
    #[must_use]
    pub fn codes(&self) -> &[String] {
        &self.codes
    }

    /// How queries name it: `name@` and the first 16 digits of the digest.
    #[must_use]
    pub fn reference(&self) -> String {
        let digest = self.digest().to_string();
        format!("{}@{}", self.name, &digest[..FEWEST_DIGITS])
    }
}

/// The code lists of a study, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeLists(BTreeMap<String, CodeList>);

impl CodeLists {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// These, each once.
    pub fn new(lists: impl IntoIterator<Item = CodeList>) -> Self {
        Self(lists.into_iter().map(|l| (l.reference(), l)).collect())
    }

    /// All, in the order of their references.
    pub fn iter(&self) -> impl Iterator<Item = &CodeList> {
        self.0.values()
    }

    /// The list that `name@digest` names: the name exactly, and at least 16 digits with which its
    /// digest begins.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<&CodeList> {
        let (name, digits) = reference.split_once('@')?;
        let long_enough = digits.len() >= FEWEST_DIGITS;
        self.0
            .values()
            .find(|l| long_enough && l.name == name && l.digest().to_string().starts_with(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"diabetes\"\ncodes = [\"E10\", \"E11\"]\n";

    #[test]
    fn a_list_is_found_by_its_reference_only() {
        let list = CodeList::from_toml(GOOD).unwrap();
        let reference = list.reference();
        let lists = CodeLists::new([list.clone()]);
        assert_eq!(lists.find(&reference), Some(&list));
        let whole = format!("diabetes@{}", list.digest());
        assert_eq!(lists.find(&whole), Some(&list));
        for other in [
            "diabetes",
            "diabetes@",
            &reference[..20],
            "other@0000000000000000",
        ] {
            assert_eq!(lists.find(other), None, "{other}");
        }
    }

    #[test]
    fn wrong_lists_say_what_and_where() {
        for (text, says) in [
            ("name = \"a b\"\ncodes = [\"x\"]", "must be 1 to 60"),
            ("name = \"a\"\ncodes = []", "has 0 codes"),
            ("name = \"a\"\ncodes = [\"x\", \"x\"]", "code 2"),
            ("name = \"a\"\nkodes = []", "line 2, column 1"),
        ] {
            let error = CodeList::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
