//! The page of the language is the one that the tables make.

use std::path::Path;

/// Set to write the page instead of comparing it.
const UPDATE: &str = "UPDATE_LANGUAGE";

#[test]
#[allow(clippy::disallowed_methods)] // a test's own switch, read nowhere else
fn the_page_of_the_language_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/language.md");
    let made = obscura_query::language_page();
    if std::env::var(UPDATE).is_ok() {
        std::fs::write(&path, &made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = found.lines().zip(made.lines()).enumerate();
    if let Some((at, (old, new))) = lines.find(|(_, (old, new))| old != new) {
        panic!(
            "docs/language.md, line {}:\n- {old}\n+ {new}\nset {UPDATE}=1",
            at + 1
        );
    }
    assert_eq!(
        found, made,
        "docs/language.md ends differently: set {UPDATE}=1"
    );
}
