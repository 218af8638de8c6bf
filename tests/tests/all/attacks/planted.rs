//! Each attack has a planted bug that a test must notice, or a clause that says why none fits. Here
//! the table of both in `tests/mutants/README.md` is held against the bugs themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::{faults, index, ledger};
use crate::source::root;

const NONE: &str = "none: ";

/// The rows that need one or the other.
fn wanted() -> BTreeSet<&'static str> {
    let others = ledger::INDEX.iter().chain(faults::INDEX);
    let others = others.map(|(id, _, _)| *id).chain(["F04"]);
    index::IDS.iter().copied().chain(others).collect()
}

/// What a rule names of attacks: a letter and two digits.
fn named(rule: &str) -> BTreeSet<&str> {
    let words = rule.split(|c: char| !c.is_ascii_alphanumeric());
    let id = |word: &&str| {
        let (letter, digits) = word.split_at(word.len().min(1));
        letter.chars().all(|c| c.is_ascii_uppercase())
            && digits.len() == 2
            && digits.bytes().all(|b| b.is_ascii_digit())
    };
    words.filter(id).collect()
}

/// The number of each planted bug, and its rule.
fn planted() -> BTreeMap<String, String> {
    let mut planted = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("tests/mutants")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "patch") {
            let text = std::fs::read_to_string(&path).unwrap();
            let rule = text.lines().find_map(|l| l.strip_prefix("# rule: "));
            let name = path.file_name().unwrap().to_str().unwrap();
            let (number, _) = name.split_once('-').unwrap();
            let rule = rule.unwrap_or_else(|| panic!("{name} names no rule"));
            let before = planted.insert(number.to_owned(), rule.to_owned());
            assert!(before.is_none(), "two bugs are number {number}");
        }
    }
    planted
}

/// What the table says of each row.
fn table(readme: &str) -> BTreeMap<&str, &str> {
    let mut table = BTreeMap::new();
    for line in readme.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", row, what, ""] = cells.as_slice()
            && named(row).contains(row)
        {
            assert!(table.insert(*row, *what).is_none(), "{row} is there twice");
        }
    }
    table
}

/// What is wrong with the table.
fn faults_of(table: &BTreeMap<&str, &str>, planted: &BTreeMap<String, String>) -> Vec<String> {
    let (mut faults, wanted) = (Vec::new(), wanted());
    for row in table.keys().filter(|row| !wanted.contains(**row)) {
        faults.push(format!("{row} is no row of these sections"));
    }
    for row in wanted {
        let naming = planted.iter().filter(|(_, rule)| named(rule).contains(row));
        let naming: BTreeSet<&str> = naming.map(|(number, _)| number.as_str()).collect();
        let Some(what) = table.get(row) else {
            faults.push(format!("{row} is not in the table; {naming:?} name it"));
            continue;
        };
        if let Some(why) = what.strip_prefix(NONE) {
            if !naming.is_empty() || why.split(' ').count() < 5 {
                faults.push(format!(
                    "{row}: {naming:?} name it, and why none is: '{why}'"
                ));
            }
            continue;
        }
        let listed: BTreeSet<&str> = what.split(", ").collect();
        if listed.is_empty() || listed != naming {
            faults.push(format!("{row} lists {listed:?} and is named by {naming:?}"));
        }
    }
    faults
}

#[test]
fn every_attack_has_a_planted_bug_or_a_reason_why_none_fits() {
    let readme = std::fs::read_to_string(root().join("tests/mutants/README.md")).unwrap();
    let faults = faults_of(&table(&readme), &planted());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_row_without_either_or_with_another_bug_is_noticed() {
    let readme = std::fs::read_to_string(root().join("tests/mutants/README.md")).unwrap();
    let (good, planted) = (table(&readme), planted());
    for (row, what) in &good {
        let mut bad = good.clone();
        bad.remove(row);
        assert_eq!(faults_of(&bad, &planted).len(), 1, "{row} is gone");
        for other in ["", "999", "none: so", "none: it is not easy to find one"] {
            bad.insert(row, other);
            let none_fits = what.starts_with(NONE) && other.len() > 10;
            assert_eq!(faults_of(&bad, &planted).is_empty(), none_fits, "{row}");
        }
    }
    let mut bad = good;
    bad.insert("Z99", "01");
    assert_eq!(faults_of(&bad, &planted).len(), 1);
}
