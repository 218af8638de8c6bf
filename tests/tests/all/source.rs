//! The workspace as text, for rules about it.

use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    /// From the workspace's folder, with `/`.
    pub(crate) path: String,
    /// Everything in it.
    pub(crate) text: String,
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every file below the workspace's folder with one of these endings, but what was built.
pub(crate) fn texts(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "target" && (!name.starts_with('.') || name == ".ci") {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|e| endings.contains(&e.to_str().unwrap()))
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// Every source file that is part of a product crate or of this one.
pub(crate) fn sources() -> Vec<Source> {
    let rust = texts(&["rs"])
        .into_iter()
        .map(|(path, text)| Source { path, text });
    rust.filter(|s| !s.is_test_file()).collect()
}

impl Source {
    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    pub(crate) fn at(&self, number: usize) -> String {
        format!("{}:{number}", self.path)
    }

    /// Files that are compiled for tests only: `tests/`, `tests.rs`, `testing.rs`.
    fn is_test_file(&self) -> bool {
        let in_tests = |p: &str| p == "tests" || p == "tests.rs" || p == "testing.rs";
        let ours = self.path.starts_with("tests/src/");
        let fuzz = self.path.starts_with("fuzz/");
        fuzz || !ours && self.path.split('/').any(in_tests)
    }

    /// The text up to an unnamed end: unit tests stand last in a file.
    fn product(&self) -> &str {
        let inside = self
            .text
            .match_indices("#[cfg(test)]")
            .find(|(at, marker)| {
                let next = self.text[at + marker.len()..].trim_start();
                next.starts_with("mod ") && next.lines().next().is_some_and(|l| l.ends_with('{'))
            });
        inside.map_or(&self.text, |(at, _)| &self.text[..at])
    }

    /// Numbered lines of product code without comments.
    pub(crate) fn code_lines(&self) -> Vec<(usize, &str)> {
        let code = |line: &'_ str| -> usize {
            match line.find("//") {
                // Not inside an address such as "https://".
                Some(at) if !line[..at].ends_with(':') => at,
                _ => line.len(),
            }
        };
        let lines = self.product().lines().enumerate();
        lines
            .map(|(i, line)| (i + 1, &line[..code(line)]))
            .collect()
    }

    pub(crate) fn lines_without_tests(&self) -> usize {
        self.product().lines().count()
    }
}

/// Text between quotation marks in product code, with the number of its first line.
pub(crate) fn literals(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in source.code_lines() {
        let mut escaped = false;
        for c in line.chars() {
            match (&mut open, c) {
                (Some((_, text)), c) if escaped => {
                    escaped = false;
                    text.push(c);
                }
                (Some(_), '\\') => escaped = true,
                (Some(_), '"') => found.extend(open.take()),
                (Some((_, text)), c) => text.push(c),
                (None, '"') => open = Some((number, String::new())),
                (None, _) => {}
            }
        }
        if let Some((_, text)) = &mut open {
            text.push(' ');
        }
    }
    found
}

#[test]
fn literals_and_comments_are_told_apart() {
    let text = "// \"a\"\nlet x = \"b \\\" c\"; // \"d\"\n#[cfg(test)]\nmod tests {\n\"e\"\n}\n";
    let source = Source {
        path: "x.rs".to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(literals(&source), [(2, "b \" c".to_owned())]);
    assert_eq!(source.lines_without_tests(), 2);
}
