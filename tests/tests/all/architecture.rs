//! The house as DESIGN.md draws it, checked on the source text: who depends on whom, who may name
//! what, where clocks and randomness are read, how long files are, which words people read.
//!
//! Every rule gives the list of its offenders, so that one run shows them all.

use std::path::{Path, PathBuf};

use crate::source::{Source, literals, root, sources, texts};

/// `crate folder -> crates of the workspace it may depend on`. A line that is not here is a new
/// dependency between our crates, which needs a reason and a commit of its own.
const IMPORTS: [(&str, &[&str]); 10] = [
    ("proto/wire", &[]),
    ("proto/model", &["obscura-wire"]),
    ("node/privacy", &["obscura-model"]),
    ("node/query", &["obscura-privacy", "obscura-model"]),
    ("node/ledger", &["obscura-privacy", "obscura-model"]),
    (
        "node/server",
        &[
            "obscura-query",
            "obscura-ledger",
            "obscura-privacy",
            "obscura-model",
            "obscura-wire",
        ],
    ),
    ("gateway", &["obscura-model", "obscura-wire"]),
    ("client/lib", &["obscura-model", "obscura-wire"]),
    // The demo starts node and gateway through their library entry points.
    (
        "client/cli",
        &[
            "obscura-client",
            "obscura-model",
            "obscura-node",
            "obscura-gateway",
        ],
    ),
    (
        "benches",
        &["obscura-query", "obscura-privacy", "obscura-model"],
    ),
];

/// Libraries that only some crates may know.
const KEPT: [(&str, &[&str]); 10] = [
    ("sled", &["node/ledger"]),
    ("sqlparser", &["node/query"]),
    // The benches make Parquet files to ingest.
    ("arrow", &["node/query", "benches"]),
    ("parquet", &["node/query", "benches"]),
    ("blake3", &["node/query"]),
    ("prio", &["node/privacy"]),
    // Mock data only.
    ("rand_distr", &["node/query"]),
    (
        "tonic",
        &[
            "proto/wire",
            "node/server",
            "gateway",
            "client/lib",
            "tests",
        ],
    ),
    ("datafusion", &[]),
    ("obscura-tests", &[]),
];

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn members() -> Vec<String> {
    let workspace = manifest("");
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|m| m.as_str().unwrap().to_owned())
        .collect()
}

/// The names of a table of dependencies, of every target.
fn dependencies(folder: &str, table: &str) -> Vec<String> {
    let manifest = manifest(folder);
    let targets = manifest
        .get("target")
        .and_then(|t| t.as_table())
        .cloned()
        .unwrap_or_default();
    let everywhere = targets.values().filter_map(|t| t.get(table));
    let all = manifest.get(table).into_iter().chain(everywhere);
    all.flat_map(|t| t.as_table().unwrap().keys().cloned())
        .collect()
}

#[test]
fn dependencies_between_crates_run_one_way() {
    let mut wrong = Vec::new();
    for folder in members().iter().filter(|m| *m != "tests") {
        let Some((_, allowed)) = IMPORTS.iter().find(|(f, _)| f == folder) else {
            wrong.push(format!("{folder} is in no line of the table"));
            continue;
        };
        for table in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let ours = dependencies(folder, table)
                .into_iter()
                .filter(|d| d.starts_with("obscura"));
            wrong.extend(
                ours.filter(|d| !allowed.contains(&d.as_str()))
                    .map(|d| format!("{folder}: {table} has {d}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_are_known_only_where_they_belong() {
    let mut wrong = Vec::new();
    for folder in members() {
        for table in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for name in dependencies(&folder, table) {
                let kept = |k: &str| name == k || name.starts_with(&format!("{k}-"));
                let rule = KEPT.iter().find(|(library, _)| kept(library));
                if rule.is_some_and(|(_, places)| !places.contains(&folder.as_str())) {
                    wrong.push(format!("{folder}: {table} has {name}"));
                }
            }
        }
    }
    // The same by name in the text: a re-export would go around the manifests.
    for source in sources() {
        for (library, places) in KEPT {
            let here = places.iter().any(|p| source.is_under(p));
            for (number, line) in source.code_lines() {
                let named = [
                    "::",
                    "_array::",
                    "_arith::",
                    "_select::",
                    "_schema::",
                    "_ord::",
                ]
                .iter()
                .any(|end| line.contains(&format!("{library}{end}")));
                if named && !here && !library.contains('-') && !inside_word(line, library) {
                    wrong.push(source.at(number));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether every `name::` in the line is only the end of a longer name.
fn inside_word(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name)
        .all(|(at, _)| line[..at].ends_with(word))
}

fn offenders(
    allowed: impl Fn(&Source) -> bool,
    wrong: impl Fn(&Source, &str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| !allowed(s)) {
        let lines = source
            .code_lines()
            .into_iter()
            .filter(|(_, line)| wrong(source, line));
        found.extend(lines.map(|(number, line)| format!("{}: {}", source.at(number), line.trim())));
    }
    found
}

#[test]
fn wire_types_stop_at_their_places() {
    let places = [
        "proto/wire/",
        "proto/model/src/wire",
        "node/server/src/rpc",
        "gateway/src/rpc",
        "client/lib/src/transport",
        // Raw calls, which no client would make.
        "tests/src/raw.rs",
    ];
    let wrong = offenders(
        |s| places.iter().any(|p| s.path.starts_with(p)),
        |_, line| {
            // Servers put generated services together (`..._server::...`); messages they don't name.
            let names = line.contains("obscura_wire::v1") || has_word(line, "v1::");
            names && !line.contains("_server::")
        },
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(joins))
}

/// `Status::name(` with a small letter is a constructor; `Status::from(` of the closed enum is the
/// conversion that the one file holds.
fn makes_status(line: &str) -> bool {
    line.match_indices("Status::").any(|(at, _)| {
        let before = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &line[at + "Status::".len()..];
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let call = rest[name.len()..].starts_with('(');
        let small = name.starts_with(|c: char| c.is_lowercase());
        !before && call && small && name != "from"
    })
}

#[test]
fn a_status_is_built_in_one_file_of_each_binary() {
    let folders = ["node/server", "gateway", "client/lib", "client/cli"];
    let makers = |folder: &str| {
        let mine = |s: &&Source| s.is_under(folder);
        let made = |s: &Source| s.code_lines().iter().any(|(_, line)| makes_status(line));
        let all = sources();
        let files = all
            .iter()
            .filter(mine)
            .filter(|s| made(s))
            .map(|s| s.path.clone());
        files.collect::<Vec<_>>()
    };
    assert_eq!(makers(folders[0]), ["node/server/src/rpc/status.rs"]);
    assert_eq!(makers(folders[1]), ["gateway/src/rpc/status.rs"]);
    assert_eq!(makers(folders[2]), ["client/lib/src/transport/status.rs"]);
    assert!(makers(folders[3]).is_empty());
}

#[test]
fn only_the_ledger_grants_permits_and_opens_what_is_noised() {
    let wrong = offenders(
        // The differential tests and the benches make releases without a ledger.
        |s| {
            s.is_under("benches")
                || s.is_under("node/ledger")
                || s.is_under("node/privacy")
                || s.is_under("tests/src/differential")
        },
        |_, line| line.contains("after_durable_intent") || line.contains("into_commit("),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn exact_sums_are_read_by_tests_only() {
    let defined = "node/privacy/src/admitted.rs";
    let wrong = offenders(
        |s| s.path == defined || s.is_under("tests/src/differential"),
        |_, line| line.contains("exact_sums_for_audit"),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn mock_data_cannot_reach_private_rows() {
    let private = [
        "PrivateRows",
        "PrivateTable",
        "Contributions",
        "Permit",
        "Admitted",
    ];
    let mock = |s: &Source| s.path.contains("sandbox") || s.path.contains("/mock");
    let reached = sources().iter().filter(|s| mock(s)).count();
    assert!(reached >= 3, "the sandbox has moved: {reached} files");
    let wrong = offenders(
        |s| !mock(s),
        |_, line| private.iter().any(|p| has_word(line, p)),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn clock_randomness_and_environment_are_arguments() {
    let readers = [
        "clock.rs",
        "main.rs",
        "config.rs",
        "entropy.rs",
        "surroundings.rs",
        "build.rs",
    ];
    let ambient = [
        "SystemTime::now",
        "Instant::now",
        "rand::rng(",
        "thread_rng",
        "OsRng",
        "getrandom::",
        "env::var",
        "now_v7(",
    ];
    let wrong = offenders(
        |s| s.is_under("tests") || readers.iter().any(|r| s.path.ends_with(&format!("/{r}"))),
        |_, line| ambient.iter().any(|a| line.contains(a)),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|s| (s.path.clone(), s.lines_without_tests()))
        .filter(|(_, lines)| *lines > 500)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn there_is_no_mod_rs() {
    let wrong: Vec<_> = sources()
        .into_iter()
        .map(|s| s.path)
        .filter(|p| p.ends_with("/mod.rs"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Exposure is never money: what was released cannot be had back.
#[test]
fn no_word_for_people_speaks_of_money() {
    let banned = [
        "budget", "spend", "spent", "recharge", "refill", "top up", "top-up",
    ];
    // What people paid is a column of the demo's data; a peer's own term may be explained.
    let subjects = ["outpatient spending", "\"privacy budget\""];
    let says = |text: &str| {
        let text = subjects
            .iter()
            .fold(text.to_lowercase(), |text, s| text.replace(s, ""));
        banned.into_iter().find(|word| {
            let starts = |at: usize| !text[..at].ends_with(char::is_alphabetic);
            text.match_indices(word).any(|(at, _)| starts(at))
        })
    };
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_under("tests")) {
        for (number, literal) in literals(source) {
            if let Some(word) = says(&literal) {
                wrong.push(format!("{}: '{word}'", source.at(number)));
            }
        }
    }
    for (path, text) in texts(&["md", "toml", "proto", "html"]) {
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = says(line) {
                wrong.push(format!("{path}:{}: '{word}'", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Who reads the code later was not there when it was written.
#[test]
fn nothing_points_at_where_it_was_written() {
    let words = ["/work/", "/root/", "/home/", "registry/src"];
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|s| !s.path.ends_with("architecture.rs"))
    {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|w| line.contains(w)) {
                wrong.push(source.at(number + 1));
            }
        }
    }
    for (path, text) in texts(&["md", "toml", "proto"]) {
        let lines = text.lines().enumerate();
        let found = lines.filter(|(_, line)| words.iter().any(|w| line.contains(w)));
        wrong.extend(found.map(|(number, _)| format!("{path}:{}", number + 1)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The path of every file that a rule looks at exists: rules do not go stale in silence.
#[test]
fn the_rules_look_at_what_is_there() {
    let named = IMPORTS
        .iter()
        .map(|(folder, _)| *folder)
        .chain(KEPT.iter().flat_map(|(_, f)| *f).copied());
    for folder in named {
        assert!(root().join(folder).join("Cargo.toml").exists(), "{folder}");
    }
    let places: [&str; 4] = [
        "proto/model/src/wire",
        "node/server/src/rpc",
        "gateway/src/rpc",
        "client/lib/src/transport",
    ];
    for place in places {
        assert!(Path::new(&root()).join(place).is_dir(), "{place}");
    }
    let all: Vec<PathBuf> = sources().iter().map(|s| PathBuf::from(&s.path)).collect();
    assert!(all.len() > 150, "only {} files were found", all.len());
}
