//! The public description of a dataset: what its owner types in from what they know.
//!
//! Nothing here is ever inferred from rows. A [`Description`] is read from a TOML file, checked
//! once, and is then the only source of bounds, categories, row maxima and sizes.

mod file;

use std::collections::BTreeSet;

use crate::calendar;
use crate::disclosure::Rules;
use crate::exposure::{Delta, DeltaCharge};
use crate::ids::{DatasetName, Digest, PopulationName};

pub use file::InvalidDescription;
pub use file::place;

/// The largest upper end of a public size. A node keeps a few numbers for every place of the
/// index, so this bounds what one record can make it hold in memory.
pub const MOST_SUBJECTS: u64 = 100_000_000;

/// How many places an index has for so many subjects: the next multiple of 1,024.
#[must_use]
pub const fn index_capacity(most_subjects: u64) -> u64 {
    most_subjects.div_ceil(1024) * 1024
}

/// What values a column may have. Bounds and categories are public.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Whole numbers from `lowest` to `highest`, both within 2^53.
    Integer {
        /// The smallest sensible value.
        lowest: i64,
        /// The largest sensible value, at least `lowest`.
        highest: i64,
    },
    /// Numbers from `lowest` to `highest`, both finite.
    Number {
        /// The smallest sensible value.
        lowest: f64,
        /// The largest sensible value, at least `lowest`.
        highest: f64,
    },
    /// One of a list of texts, in declared order (1 to 10,000, all different).
    Category {
        /// The list, including `other` if there is one.
        values: Vec<String>,
        /// The position in `values` that stands for every value not on the list.
        other: Option<usize>,
    },
    /// True or false.
    Boolean,
    /// Calendar days from `first` to `last`, as days since 1970-01-01.
    Date {
        /// The earliest sensible day.
        first: i32,
        /// The latest sensible day, at least `first`.
        last: i32,
    },
    /// Free text of at most so many characters. A group key only by [`TextKeys`].
    Text {
        /// The most characters (1 to 10,000); a longer value is refused at ingest.
        most_characters: u32,
    },
}

impl Domain {
    /// The largest number of values that a column may have to be a group key.
    pub const MOST_KEYS: u64 = 10_000;

    /// How many different keys grouping by this column gives, in declared order, or nothing if
    /// the column cannot be a key.
    #[must_use]
    pub fn key_count(&self) -> Option<u64> {
        let count = match self {
            Domain::Integer { lowest, highest } => highest.abs_diff(*lowest).checked_add(1)?,
            Domain::Number { .. } | Domain::Text { .. } => return None,
            Domain::Category { values, .. } => values.len() as u64,
            Domain::Boolean => 2,
            Domain::Date { first, last } => u64::from(last.abs_diff(*first)) + 1,
        };
        (count <= Self::MOST_KEYS).then_some(count)
    }

    /// The text of key number `index` (0 is the first), as answers show it.
    #[must_use]
    pub fn key_label(&self, index: u64) -> Option<String> {
        if index >= self.key_count()? {
            return None;
        }
        match self {
            Domain::Integer { lowest, .. } => Some((lowest + index as i64).to_string()),
            Domain::Number { .. } | Domain::Text { .. } => None,
            Domain::Date { first, .. } => Some(calendar::label(first.saturating_add(index as i32))),
            Domain::Category { values, .. } => values.get(index as usize).cloned(),
            Domain::Boolean => Some(if index == 0 { "false" } else { "true" }.to_owned()),
        }
    }
}

/// How the values of a text column may become group keys although nobody declared them: only
/// values that enough people have are shown (PRIVACY.md, section 5). Off unless the owner says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextKeys {
    /// One person supports at most this many keys (1 to 10).
    pub per_person: u32,
    /// At most this many keys are shown (1 to 1,000); answers are padded to it.
    pub most: u32,
    /// Keys are cut to this many characters (1 to 200).
    pub characters: u32,
    /// What each such release takes of delta, from everybody.
    pub delta: DeltaCharge,
}

/// One described column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name in queries and in the data file: letters, digits and `_`, lower case.
    pub name: String,
    /// What values it may have.
    pub domain: Domain,
    /// The unit, such as `visits`; may be empty.
    pub unit: String,
    /// What the column means, in a sentence.
    pub meaning: String,
    /// Where the bounds or the list come from (a form, a guideline, an instrument).
    pub source: String,
    /// Whether rows may have no value. If not, a missing value is refused at ingest.
    pub may_be_missing: bool,
    /// The share of missing values in mock rows, 0 to 1.
    pub missing_share: f64,
    /// Whether all rows of a subject have the same value; checked at ingest.
    pub constant_per_subject: bool,
    /// Between which values most rows are, as public knowledge: a hint that warns before a clip
    /// cuts many, and decides nothing.
    pub typical: Option<(f64, f64)>,
    /// For text: how its values may become group keys; nothing unless the owner turned it on.
    pub keys: Option<TextKeys>,
}

/// One table of a dataset. All tables of a dataset have the same subjects.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name in queries; the dataset's own for a dataset of one table.
    pub name: String,
    /// The data file's name inside the node's import folder; ends in `.csv` or `.parquet`.
    pub source_file: String,
    /// The column that says whose row it is. Not a queryable column.
    pub subject_column: String,
    /// At most this many rows of one subject count (1 to 1,000,000).
    pub most_rows_per_subject: u32,
    /// The queryable columns, in declared order.
    pub columns: Vec<Column>,
}

/// Terms of a study that an owner can make mandatory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StudyTerm {
    /// The controller.
    Controller,
    /// The legal basis.
    LegalBasis,
    /// The reference of the ethics decision.
    EthicsReference,
    /// The contract number.
    ContractNumber,
    /// The end date.
    EndDate,
}

impl StudyTerm {
    /// All terms, in the order of the study file.
    pub const ALL: [StudyTerm; 5] = [
        StudyTerm::Controller,
        StudyTerm::LegalBasis,
        StudyTerm::EthicsReference,
        StudyTerm::ContractNumber,
        StudyTerm::EndDate,
    ];

    /// The name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            StudyTerm::Controller => "controller",
            StudyTerm::LegalBasis => "legal_basis",
            StudyTerm::EthicsReference => "ethics_reference",
            StudyTerm::ContractNumber => "contract_number",
            StudyTerm::EndDate => "end_date",
        }
    }
}

/// A checked description. Made by [`Description::from_toml`] only.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    text: String,
    name: DatasetName,
    title: String,
    about: String,
    subject_unit: String,
    population: PopulationName,
    fewest_subjects: u64,
    most_subjects: u64,
    delta: Delta,
    tables: Vec<Table>,
    required_terms: BTreeSet<StudyTerm>,
    disclosure: Rules,
}

impl Description {
    /// Reads and checks a description file. Errors name the line and column, and what to do.
    pub fn from_toml(text: &str) -> Result<Self, InvalidDescription> {
        file::read(text)
    }

    /// The file's exact text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the file's text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The dataset's name.
    #[must_use]
    pub fn name(&self) -> &DatasetName {
        &self.name
    }

    /// A title for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What the dataset is, in sentences.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The data file's name inside the node's import folder; ends in `.csv` or `.parquet`.
    #[must_use]
    pub fn source_file(&self) -> &str {
        &self.main_table().source_file
    }

    /// The column that says whose row it is. Not a queryable column.
    #[must_use]
    pub fn subject_column(&self) -> &str {
        &self.main_table().subject_column
    }

    /// Who is protected, in the singular: `person`, `patient`, `household`.
    #[must_use]
    pub fn subject_unit(&self) -> &str {
        &self.subject_unit
    }

    /// The population that the subjects belong to.
    #[must_use]
    pub fn population(&self) -> &PopulationName {
        &self.population
    }

    /// At most this many rows of one subject count (1 to 1,000,000).
    #[must_use]
    pub fn most_rows_per_subject(&self) -> u32 {
        self.main_table().most_rows_per_subject
    }

    /// The lower end of the public size.
    #[must_use]
    pub fn fewest_subjects(&self) -> u64 {
        self.fewest_subjects
    }

    /// The upper end of the public size: N, at most [`MOST_SUBJECTS`].
    #[must_use]
    pub fn most_subjects(&self) -> u64 {
        self.most_subjects
    }

    /// How many subjects the index has room for: N rounded up to a multiple of 1,024, so that
    /// stored lengths depend on public numbers only.
    #[must_use]
    pub fn index_capacity(&self) -> u64 {
        index_capacity(self.most_subjects)
    }

    /// The delta of limits on this dataset, below 1/N.
    #[must_use]
    pub fn delta(&self) -> Delta {
        self.delta
    }

    /// The queryable columns, in declared order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.main_table().columns
    }

    /// All tables; there is at least one, and the first is the main one.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    fn main_table(&self) -> &Table {
        // Made with at least one table, by the only constructor.
        &self.tables[0]
    }

    /// Finds a column of the main table by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns()
            .iter()
            .enumerate()
            .find(|(_, c)| c.name == name)
    }

    /// The owner's rules for released numbers, besides noise.
    #[must_use]
    pub fn disclosure(&self) -> Rules {
        self.disclosure
    }

    /// The terms that a study must state.
    #[must_use]
    pub fn required_terms(&self) -> &BTreeSet<StudyTerm> {
        &self.required_terms
    }
}
