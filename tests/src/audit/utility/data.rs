//! The public data sets of the utility questions.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::data::Dataset;

/// A person-year of the RAND Health Insurance Experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The person.
    pub person: String,
    /// One of six.
    pub site: i64,
    /// The study year, 1 to 5.
    pub year: i64,
    /// In whole years, that year.
    pub age: i64,
    /// What the family pays.
    pub cost_share: String,
    /// Visits to a physician.
    pub mdvis: f64,
    /// Outpatient bills, in dollars.
    pub outpdol: f64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("audit")
}

/// The rows of `rand_hie.csv.gz`, all six sites.
///
/// # Errors
///
/// If the file is not there or not what it should be.
pub fn rows() -> Result<Vec<Row>> {
    let path = folder().join("rand_hie.csv.gz");
    let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text)?;
    let one = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [person, site, year, age, cost_share, mdvis, outpdol] = fields.as_slice() else {
            anyhow::bail!("a line of another length: {line}")
        };
        Ok(Row {
            person: (*person).to_owned(),
            site: site.parse()?,
            year: year.parse()?,
            age: age.parse()?,
            cost_share: (*cost_share).to_owned(),
            mdvis: mdvis.parse()?,
            outpdol: outpdol.parse()?,
        })
    };
    text.lines().skip(1).map(one).collect()
}

fn column(name: &str, kind: &str, more: &str) -> String {
    format!(
        "\n[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\nmeaning = \"{name}\"\n\
         bounds_from = \"protocol and professional judgement\"\n{more}\n"
    )
}

fn range(lowest: i64, highest: i64) -> String {
    format!("lowest = {lowest}\nhighest = {highest}")
}

/// All sites as one dataset, `rand_hie`, at most five rows a person.
#[must_use]
pub fn rand_hie(rows: &[Row]) -> Dataset {
    let constant = |text: &str| format!("{text}\nconstant_per_subject = true");
    let plans = "values = [\"free\", \"25 %\", \"50 %\", \"95 % and over\"]";
    let description = [
        "name = \"rand_hie\"\ntitle = \"RAND Health Insurance Experiment\"\n\
         about = \"Person-years.\"\nsource = \"rand_hie.csv\"\nsubject = \"zper\"\n\
         subject_unit = \"person\"\nmost_rows_per_subject = 5\nsubjects = [4000, 8000]\n\
         delta = 1e-6\n"
            .to_owned(),
        column("site", "integer", &constant(&range(1, 6))),
        column("year", "integer", &range(1, 5)),
        column("age", "integer", &range(0, 70)),
        column("cost_share", "category", &constant(plans)),
        column("mdvis", "integer", &range(0, 100)),
        column("outpdol", "number", &range(0, 5_000)),
    ];
    let mut csv = "zper,site,year,age,cost_share,mdvis,outpdol\n".to_owned();
    for row in rows {
        let Row {
            person,
            site,
            year,
            age,
            cost_share,
            mdvis,
            outpdol,
        } = row;
        csv += &format!("{person},{site},{year},{age},{cost_share},{mdvis},{outpdol}\n");
    }
    Dataset {
        description: description.concat(),
        csv,
        file: "rand_hie.csv".to_owned(),
        name: "rand_hie".to_owned(),
    }
}

/// A patient of one of the four hospitals of the UCI Heart Disease data.
#[derive(Debug, Clone, PartialEq)]
pub struct Patient {
    /// One of four.
    pub site: usize,
    /// The fourteen numbers of the file; nothing where one is missing.
    pub fields: Vec<Option<f64>>,
}

impl Patient {
    /// A field of the file.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<f64> {
        self.fields.get(at).copied().flatten()
    }
}

/// The columns that are registered: their place in the file and their bounds.
const HEART: [(&str, usize, &str, i64, i64); 9] = [
    ("age", 0, "integer", 0, 120),
    ("sex", 1, "integer", 0, 1),
    ("cp", 2, "integer", 1, 4),
    ("trestbps", 3, "number", 60, 250),
    ("chol", 4, "number", 80, 600),
    ("thalach", 7, "number", 40, 220),
    ("exang", 8, "integer", 0, 1),
    ("oldpeak", 9, "number", -5, 10),
    ("num", 13, "integer", 0, 4),
];

/// The patients of the four files in a folder, in their order.
///
/// # Errors
///
/// If a file is not there or not what it should be.
pub fn patients(folder: &Path) -> Result<Vec<Patient>> {
    let mut patients = Vec::new();
    for (site, name) in (1..).zip(["cleveland", "hungarian", "switzerland", "va"]) {
        let path = folder.join(format!("processed.{name}.data"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for line in text.lines() {
            let fields = line.split(',').map(|f| f.parse().ok()).collect();
            patients.push(Patient { site, fields });
        }
    }
    Ok(patients)
}

/// All four hospitals as one dataset, `heart`, one row a patient.
#[must_use]
pub fn heart(patients: &[Patient]) -> Dataset {
    let mut description = "name = \"heart\"\ntitle = \"Heart disease\"\nsource = \"heart.csv\"\n\
                           subject = \"patient\"\nsubject_unit = \"patient\"\n\
                           most_rows_per_subject = 1\nsubjects = [500, 2000]\ndelta = 1e-6\n"
        .to_owned();
    description += &column("site", "integer", &range(1, 4));
    let mut csv = "patient,site".to_owned();
    for (name, _, kind, lowest, highest) in HEART {
        let more = format!("{}\nmay_be_missing = true", range(lowest, highest));
        description += &column(name, kind, &more);
        csv += &format!(",{name}");
    }
    csv.push('\n');
    for (number, patient) in patients.iter().enumerate() {
        csv += &format!("p{number},{}", patient.site);
        for (_, at, ..) in HEART {
            csv += &patient.get(at).map_or(",".to_owned(), |x| format!(",{x}"));
        }
        csv.push('\n');
    }
    Dataset {
        description,
        csv,
        file: "heart.csv".to_owned(),
        name: "heart".to_owned(),
    }
}
