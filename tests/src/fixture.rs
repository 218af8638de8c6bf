//! The fixture of the attack suite: two thousand invented patients and their visits, in three
//! worlds that differ in one person, S0042, who is extreme in every way.
//!
//! The odd values: S0007.bmi is NaN, S0008.bmi is missing, S0009.bmi is infinite, S0010.bmi is
//! -0.0, and S0011.income is the largest 64-bit integer.

mod bytes;
pub mod timing;
mod worlds;

use std::fmt::Write as _;

use crate::data::Dataset;

pub use bytes::{Mask, masked};
pub(crate) use worlds::run_body;
pub use worlds::{Seen, Setup, Told, Worlds};

/// How many subjects there are in a world with everybody.
pub const SUBJECTS: u32 = 2_000;

/// The declared codes of `dx`, in declared order; only S0042 has the last.
pub const CODES: u32 = 40;

/// The person whose presence and values must not show.
const SOUGHT: u32 = 42;

/// Which people are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// D: everybody.
    Everybody,
    /// D': S0042 is not there.
    Without,
    /// D'': S0042 has other values.
    Changed,
    /// Nobody at all.
    Nobody,
}

impl World {
    /// D, D' and D''.
    pub const ALL: [World; 3] = [World::Everybody, World::Without, World::Changed];
}

/// A number that looks random and is not (Steele, Lea and Flood 2014: the finaliser of SplitMix).
fn mixed(subject: u32, what: u32) -> u32 {
    let mut z = u64::from(subject) << 32 | u64::from(what);
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z >> 40) as u32
}

/// One of a list.
fn pick<'a>(list: &[&'a str], number: u32) -> &'a str {
    let at = number as usize % list.len().max(1);
    list.get(at).copied().unwrap_or_default()
}

fn code(number: u32) -> String {
    if number + 1 == CODES {
        "RARE1".to_owned()
    } else {
        format!("D{number:02}")
    }
}

/// The age of everybody but S0042: from 0 to 120, never 42.
fn age(subject: u32) -> u32 {
    match mixed(subject, 1) % 121 {
        42 => 43,
        age => age,
    }
}

/// The line of a patient.
fn patient(subject: u32, world: World) -> Option<String> {
    let (sex, region) = (
        pick(&["F", "M", "X"], mixed(subject, 2)),
        pick(&["N", "S", "E", "W"], mixed(subject, 3)),
    );
    let bmi = match subject {
        7 => "NaN".to_owned(),
        8 => String::new(),
        9 => "inf".to_owned(),
        10 => "-0.0".to_owned(),
        _ => format!("{}.5", 15 + mixed(subject, 4) % 30),
    };
    let income = match subject {
        11 => "9223372036854775807".to_owned(),
        _ => (mixed(subject, 5) % 200_000).to_string(),
    };
    let dx = code(mixed(subject, 6) % (CODES - 1));
    let (age, note) = (age(subject), mixed(subject, 7) % 100);
    match (subject, world) {
        (_, World::Nobody) | (SOUGHT, World::Without) => None,
        (SOUGHT, World::Everybody) => Some("S0042,42,X,ZZ,59.5,1000000,RARE1,(".to_owned()),
        (SOUGHT, World::Changed) => Some("S0042,7,F,N,,0,D05,(a+)+$".to_owned()),
        _ => Some(format!(
            "S{subject:04},{age},{sex},{region},{bmi},{income},{dx},word {note}"
        )),
    }
}

/// The lines of one person's visits.
fn visits_of(subject: u32, world: World, csv: &mut String) {
    let rows = match (subject, world) {
        (_, World::Nobody) | (SOUGHT, World::Without) => 0,
        (SOUGHT, World::Everybody) => 500,
        (SOUGHT, World::Changed) => 1,
        _ => mixed(subject, 8) % 4,
    };
    for row in 0..rows {
        let (month, day) = (
            1 + mixed(subject, 100 + row) % 12,
            1 + mixed(subject, 200 + row) % 28,
        );
        let cost = match subject {
            SOUGHT => 50_000,
            _ => mixed(subject, 300 + row) % 5_000,
        };
        let ward = pick(&["north", "south", "east"], mixed(subject, 400 + row));
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "S{subject:04},2020-{month:02}-{day:02},{cost},{ward}");
    }
}

const NUMBERED: &str = "\n[[column]]\nmeaning = \"invented\"\nbounds_from = \"design\"\n";

fn head(name: &str, rows: u32) -> String {
    format!(
        "name = \"{name}\"\ntitle = \"{name}\"\nabout = \"Invented.\"\nsource = \"{name}.csv\"\n\
         subject = \"subject_id\"\nsubject_unit = \"person\"\nmost_rows_per_subject = {rows}\n\
         subjects = [1, 3000]\ndelta = 1e-6\n"
    )
}

/// `patients(subject_id, age, sex, region, bmi, income, dx, note)`, one row a subject.
#[must_use]
pub fn patients(world: World) -> Dataset {
    let codes: Vec<String> = (0..CODES).map(|n| format!("\"{}\"", code(n))).collect();
    let columns = [
        "name = \"age\"\ntype = \"integer\"\nlowest = 0\nhighest = 120\n".to_owned(),
        "name = \"sex\"\ntype = \"category\"\nvalues = [\"F\", \"M\", \"X\"]\n".to_owned(),
        "name = \"region\"\ntype = \"category\"\nvalues = [\"N\", \"S\", \"E\", \"W\"]\n\
         may_be_missing = true\n"
            .to_owned(),
        "name = \"bmi\"\ntype = \"number\"\nlowest = 10\nhighest = 60\nmay_be_missing = true\n"
            .to_owned(),
        "name = \"income\"\ntype = \"integer\"\nlowest = 0\nhighest = 1000000\n".to_owned(),
        format!(
            "name = \"dx\"\ntype = \"category\"\nvalues = [{}]\n",
            codes.join(", ")
        ),
        "name = \"note\"\ntype = \"text\"\nmost_characters = 40\n".to_owned(),
    ];
    let mut csv = "subject_id,age,sex,region,bmi,income,dx,note\n".to_owned();
    for line in (1..=SUBJECTS).filter_map(|subject| patient(subject, world)) {
        csv.push_str(&line);
        csv.push('\n');
    }
    dataset("patients", 1, &columns, csv)
}

/// `visits(subject_id, day, cost, ward)`, declared at most ten rows a subject; S0042 has 500.
#[must_use]
pub fn visits(world: World) -> Dataset {
    let columns = [
        "name = \"day\"\ntype = \"date\"\nfirst = \"2020-01-01\"\nlast = \"2020-12-31\"\n"
            .to_owned(),
        "name = \"cost\"\ntype = \"integer\"\nlowest = 0\nhighest = 50000\n".to_owned(),
        "name = \"ward\"\ntype = \"text\"\nmost_characters = 20\n".to_owned(),
    ];
    let mut csv = "subject_id,day,cost,ward\n".to_owned();
    for subject in 1..=SUBJECTS {
        visits_of(subject, world, &mut csv);
    }
    dataset("visits", 10, &columns, csv)
}

/// [`patients`] once more as `ruled`, whose owner has signed a minimum cell and rounding as well.
#[must_use]
pub fn ruled(world: World) -> Dataset {
    let mut dataset = patients(world);
    dataset.description = dataset.description.replace("patients", "ruled");
    dataset
        .description
        .push_str("\n[disclosure]\nminimum_cell = 15\nrounding = 5\n");
    (dataset.file, dataset.name) = ("ruled.csv".to_owned(), "ruled".to_owned());
    dataset
}

/// `reasons(subject_id, reason, paid)`, at most four rows a subject, with reasons that nobody
/// declared, of every length and in letters of one to four bytes: the n-th of them has n people. In
/// D only S0042 has the reason ZZ, in D'' only S0042 has YY.
#[must_use]
pub fn reasons(world: World) -> Dataset {
    let columns = [
        "name = \"reason\"\ntype = \"text\"\nmost_characters = 20\n\
         keys = { per_person = 2, most = 50, characters = 12, delta = 1e-8 }\n"
            .to_owned(),
        "name = \"paid\"\ntype = \"integer\"\nlowest = 0\nhighest = 100\n".to_owned(),
    ];
    let mut csv = "subject_id,reason,paid\n".to_owned();
    let (mut people, mut subject) = (1, 0);
    while subject < SUBJECTS {
        let letter = pick(&["a", "\u{e9}", "\u{4e2d}", "\u{1f600}"], people);
        let reason = letter.repeat(people as usize % 10) + &people.to_string();
        for _ in 0..people {
            subject += 1;
            if subject != SOUGHT && subject <= SUBJECTS {
                // Writing to a String cannot fail.
                let _ = writeln!(csv, "S{subject:04},{reason},{}", subject % 100);
            }
        }
        people += 1;
    }
    match world {
        World::Everybody => csv.push_str("S0042,ZZ,100\nS0042,ZZ,100\nS0042,\u{e9}1,100\n"),
        World::Changed => csv.push_str("S0042,YY,0\n"),
        World::Without => {}
        World::Nobody => csv = "subject_id,reason,paid\n".to_owned(),
    }
    dataset("reasons", 4, &columns, csv)
}

/// The description of both as tables of one dataset, `clinic`: the files are those of
/// [`patients`] and [`visits`].
#[must_use]
pub fn clinic() -> String {
    let all = "name = \"clinic\"\ntitle = \"clinic\"\nabout = \"Invented.\"\n\
               subject = \"subject_id\"\nsubject_unit = \"person\"\nsubjects = [1, 3000]\n\
               delta = 1e-6\n";
    let mut description = all.to_owned();
    for table in [patients(World::Nobody), visits(World::Nobody)] {
        let (_, columns) = table
            .description
            .split_once("\n[[column]]")
            .unwrap_or_default();
        let rows = if table.name == "patients" { 1 } else { 10 };
        // Writing to a String cannot fail.
        let _ = write!(
            description,
            "\n[[table]]\nname = \"{0}\"\nsource = \"{0}.csv\"\nmost_rows_per_subject = {rows}\n\
             \n[[table.column]]{1}",
            table.name,
            columns.replace("[[column]]", "[[table.column]]")
        );
    }
    description
}

fn dataset(name: &str, rows: u32, columns: &[String], csv: String) -> Dataset {
    let mut description = head(name, rows);
    for column in columns {
        description.push_str(NUMBERED);
        description.push_str(column);
    }
    Dataset {
        description,
        csv,
        file: format!("{name}.csv"),
        name: name.to_owned(),
    }
}
