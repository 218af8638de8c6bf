//! The demo as a stranger starts it: a process that starts seven others, and leaves nothing behind.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a failed check is a panic, also in the functions of tests

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The pause between two looks at something that happens in its own time.
const PAUSE: Duration = Duration::from_millis(50);

/// How often to look before giving up: two minutes, for a busy machine.
const LOOKS: usize = 2400;

/// Looks until `look` sees something.
fn patiently<T>(what: &str, log: &Path, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::sleep(PAUSE);
    }
    let log = fs::read_to_string(log).unwrap_or_default();
    panic!("{what} did not happen; the demo said:\n{log}");
}

/// A running demo. Killed if a check fails: then its own processes end by themselves.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _unknown = self.0.wait();
    }
}

impl Demo {
    /// Starts `obscura demo ARGUMENTS` without a terminal; what it says goes to `log`.
    fn start(arguments: &[&str], temporary: &Path, log: &Path) -> Self {
        let out = File::create(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_obscura"))
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn();
        Demo(child.unwrap())
    }

    fn ended(&mut self, log: &Path) -> ExitStatus {
        patiently("the end", log, || self.0.try_wait().unwrap())
    }

    fn interrupt(&self) {
        let id = self.0.id();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -INT {id}")])
            .status();
        assert!(sent.unwrap().success());
    }
}

/// The arguments of every process that has `place` in them, by process id.
fn processes_about(place: &str) -> BTreeMap<u32, Vec<String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // A process that has just ended has none.
        let text = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let arguments: Vec<_> = text.split('\0').map(str::to_owned).collect();
        if arguments.iter().any(|a| a.contains(place)) {
            found.insert(id, arguments);
        }
    }
    found
}

/// The rows of the printed table whose heading has these columns, cells split at blanks.
fn table(said: &str, columns: &str) -> Vec<Vec<String>> {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = said.lines().skip_while(|l| squeezed(l) != columns);
    let rows = lines.skip(2).take_while(|l| !l.trim().is_empty());
    rows.map(|l| l.split_whitespace().map(str::to_owned).collect())
        .take(7)
        .collect()
}

#[test]
fn six_nodes_and_a_gateway_are_processes_of_their_own_and_end_with_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let (network, log) = (folder.path().join("network"), folder.path().join("log"));
    let place = network.to_str().unwrap();
    let mut demo = Demo::start(&["--keep", "--dir", place], folder.path(), &log);
    patiently("the ready marker", &log, || {
        let ended = demo.0.try_wait().unwrap();
        let said = || fs::read_to_string(&log).unwrap();
        assert!(ended.is_none(), "it ended early:\n{}", said());
        network.join("ready").exists().then_some(())
    });
    let said = fs::read_to_string(&log).unwrap();

    // The processes of now, by configuration file: each its own process.
    let mut children = processes_about(place);
    children.remove(&demo.0.id()).unwrap();
    let mut configurations = BTreeSet::new();
    for arguments in children.values() {
        assert_eq!(arguments[2], "--config", "{arguments:?}");
        configurations.insert((arguments[1].clone(), arguments[3].clone()));
    }
    assert_eq!((children.len(), configurations.len()), (7, 7));
    let nodes = configurations.iter().filter(|(kind, _)| kind == "__node");
    assert_eq!(nodes.count(), 6);

    // The table that a person sees names them; one node was killed and started again since.
    let listed = table(&said, "who process listens at");
    assert_eq!(listed.len(), 7, "{listed:?}");
    let ids: BTreeSet<u32> = listed.iter().map(|row| row[1].parse().unwrap()).collect();
    let addresses: BTreeSet<_> = listed.iter().map(|row| &row[2]).collect();
    assert_eq!((ids.len(), addresses.len()), (7, 7));
    let alive = ids.iter().filter(|id| children.contains_key(id)).count();
    assert_eq!(alive, 6, "{ids:?} {children:?}");

    let keys = table(&said, "node person-years people journal key");
    let keys: BTreeSet<_> = keys.iter().take(6).map(|row| row[3].clone()).collect();
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(keys.iter().all(|key| key.len() >= 12), "{keys:?}");

    the_same_numbers_in_every_file(&network);

    demo.interrupt();
    let status = demo.ended(&log);
    assert_eq!(
        status.code(),
        Some(0),
        "{}",
        fs::read_to_string(&log).unwrap()
    );
    assert_eq!(processes_about(place), BTreeMap::new());
    assert!(!network.join("ready").exists(), "nobody waits for the dead");
    assert!(
        network.join("results.csv").exists(),
        "a chosen folder stays"
    );
}

/// Twelve figures, each with value, margin and both ends.
fn the_same_numbers_in_every_file(folder: &Path) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (csv, svg) = (read("results.csv"), read("results.svg"));
    let answers: Vec<Value> = serde_json::from_str(&read("results.json")).unwrap();
    let mut lines = csv::Reader::from_reader(csv.as_bytes());
    let lines: Vec<BTreeMap<String, String>> =
        lines.deserialize().collect::<Result<_, _>>().unwrap();
    let mut figures = 0;
    for answer in &answers {
        for row in answer["rows"].as_array().unwrap() {
            let group = row["group"]["cost_share"].as_str().unwrap();
            for (output, figure) in row["outputs"].as_object().unwrap() {
                let same = |l: &&BTreeMap<_, _>| l["cost_share"] == group && l["output"] == *output;
                let line = lines.iter().find(same).unwrap();
                for part in ["value", "margin_95", "low", "high"] {
                    let number: f64 = line[part].parse().unwrap();
                    assert_eq!(
                        figure[part].as_f64(),
                        Some(number),
                        "{output} {group} {part}"
                    );
                }
                let drawn = format!("{group}: {} ± {}<", line["value"], line["margin_95"]);
                assert!(svg.contains(&drawn), "{drawn}");
                figures += 1;
            }
        }
    }
    assert_eq!((figures, lines.len()), (12, 12));
}

#[test]
fn without_a_terminal_it_tells_the_whole_story_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (temporary, log) = (folder.path().join("temporary"), folder.path().join("log"));
    fs::create_dir(&temporary).unwrap();
    let mut demo = Demo::start(&[], &temporary, &log);
    let status = demo.ended(&log);
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    for part in [
        "Nobody is at a terminal",
        "Because this data set is public: the exact figures",
        "Four things going right",
        "The same request again: the same bytes, and nothing is added",
        "A question that nobody approved: refused",
        "One owner declines: five of six answer, and the answer says so",
        "A node killed in the middle of a release: answered once, counted once",
        "Every process is stopped.",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let exact = ["2.731", "2.415", "2.343", "1.987"];
    let dollars = ["47.73", "42.18", "38.20", "32.90"];
    for figure in exact.into_iter().chain(dollars) {
        let alone = |word: &str| word == figure;
        assert!(said.split_whitespace().any(alone), "{figure}\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours without a terminal");
    assert_eq!(
        fs::read_dir(&temporary).unwrap().count(),
        0,
        "it is removed"
    );
    let place = temporary.to_str().unwrap();
    assert_eq!(processes_about(place), BTreeMap::new());
}
