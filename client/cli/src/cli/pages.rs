//! Every command that the pages for people show is one that this program understands.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use super::Cli;

/// What stands for something in the pages, and something that fits there.
const PLACES: [(&str, &str); 7] = [
    ("STUDY", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ("$id", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ("NODE/DATASET", "basel/visits"),
    ("NAME@HOST:PORT", "basel@localhost:7443"),
    ("DATASET", "visits"),
    ("NAME", "ada"),
    ("POPULATION", "people"),
];

/// A command in a page.
struct Shown {
    /// Where it stands.
    place: String,
    words: Vec<String>,
    /// A line to be typed, rather than a name in running text, which may leave arguments out.
    whole: bool,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<_> = docs.map(|page| page.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    pages.extend(Some(root.join("README.md")).filter(|page| page.exists()));
    pages.sort();
    pages
}

/// The words of a shell line up to a pipe, a redirection or a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut quoted) = (None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some(_), c) => words.last_mut().unwrap().push(c),
            (None, '"' | '\'') => (quote, quoted) = (Some(c), true),
            (None, '|' | '>' | '&' | ';' | '#') => break,
            (None, c) if c.is_whitespace() => {
                if !words.last().unwrap().is_empty() || quoted {
                    words.push(String::new());
                }
                quoted = false;
            }
            (None, c) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The arguments of `obscura`, if the line calls it.
fn called(line: &str) -> Option<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ");
    let rest = match line.strip_prefix("obscura ") {
        Some(rest) => rest,
        // The alias runs `obscura demo`.
        None => line
            .strip_prefix("cargo ")
            .filter(|r| r.starts_with("demo"))?,
    };
    Some(words(rest))
}

fn shown(page: &Path) -> Vec<Shown> {
    let text = fs::read_to_string(page).unwrap().replace("\\\n", " ");
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let (mut shown, mut fenced) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}, about line {}: {line}", number + 1);
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let words = called(line);
            shown.extend(words.map(|words| Shown {
                place,
                words,
                whole: true,
            }));
        } else {
            let spans = line.split('`').skip(1).step_by(2).filter_map(called);
            shown.extend(spans.map(|words| Shown {
                place: place.clone(),
                words,
                whole: false,
            }));
        }
    }
    shown
}

/// The word itself, or what fits where it stands for something.
fn filled(word: &str) -> String {
    let place = PLACES.iter().find(|(place, _)| *place == word);
    place.map_or(word, |(_, value)| value).to_owned()
}

/// Whether the program understands it; a name in running text may leave out what must be said.
fn understood(shown: &Shown) -> Result<(), String> {
    let words = shown.words.iter().map(|word| filled(word));
    match Cli::try_parse_from(std::iter::once("obscura".to_owned()).chain(words)) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                if !shown.whole =>
            {
                Ok(())
            }
            // `obscura help COMMAND` names no command.
            ErrorKind::InvalidSubcommand if shown.words.ends_with(&["COMMAND".to_owned()]) => {
                Ok(())
            }
            _ => Err(format!("{}\n{error}", shown.place)),
        },
    }
}

#[test]
fn every_command_in_the_pages_is_understood() {
    let all: Vec<_> = pages().iter().flat_map(|page| shown(page)).collect();
    assert!(all.len() > 10, "only {} commands found", all.len());
    let wrong: Vec<_> = all.iter().filter_map(|s| understood(s).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_command_in_a_page_is_found() {
    let line = |text: &str, whole| Shown {
        place: text.to_owned(),
        words: called(text).unwrap(),
        whole,
    };
    for wrong in [
        "obscura studies",
        "$ obscura study new a.toml # without a dataset",
        "obscura owner limit visits --epsilon 3 --epsilom 2",
        "cargo demo --kep",
    ] {
        assert!(understood(&line(wrong, true)).is_err(), "{wrong}");
    }
    assert!(understood(&line("obscura study new", false)).is_ok());
    assert!(understood(&line("obscura study renew", false)).is_err());
    let quoted = line(
        "obscura preview a/b \"SELECT 'x y'\" --within 3 > out",
        true,
    );
    assert_eq!(quoted.words[2], "SELECT 'x y'");
    assert!(understood(&quoted).is_ok());
    assert!(Cli::command().get_subcommands().count() > 5);
}
