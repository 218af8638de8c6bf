//! Every sample file that people copy is one that the programs read.

use std::collections::BTreeSet;
use std::path::Path;

use obscura_client::model::study::{Institution, StudyFile};
use obscura_model::identity::{Role, SigningKey};
use obscura_model::ids::PartyName;
use obscura_model::schema::Description;
use obscura_tests::clock::TestClock;
use obscura_tests::data::demo_site;
use obscura_tests::people::Consortium;

use crate::source::texts;

/// Fills the places in braces of a template.
fn filled(text: &str) -> String {
    let places = [
        ("{id}", "0197d3a4-0000-7000-8000-000000000001"),
        ("{end_date}", "2099-12-31"),
        ("{within}", "0.27"),
        ("{rows}", "833"),
        ("{title}", "site 1"),
    ];
    places.iter().fold(text.to_owned(), |text, (place, value)| {
        text.replace(place, value)
    })
}

/// A gateway's configuration names files: they are made.
fn gateway(text: &str) -> Result<(), String> {
    let clock = TestClock::without_waits();
    let consortium = Consortium::new("Samples", clock.today()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hub = consortium.issue(Role::Gateway, "hub").unwrap();
    let mut table: toml::Table = text.parse().map_err(|e| format!("{e}"))?;
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        toml::Value::String(name.to_owned())
    };
    let places = table["credentials"].as_table_mut().unwrap();
    for (key, text) in [
        ("ca", consortium.ca()),
        ("certificate", &hub.certificate),
        ("key", &hub.key),
    ] {
        assert!(places.contains_key(key), "{key}");
        places.insert(key.to_owned(), write(key, text));
    }
    for node in table
        .get_mut("node")
        .and_then(|n| n.as_array_mut())
        .into_iter()
        .flatten()
    {
        let node = node.as_table_mut().unwrap();
        let name = node["name"].as_str().unwrap().to_owned();
        let issued = consortium.issue(Role::Node, &name).unwrap();
        node.insert("certificate".to_owned(), write(&name, &issued.certificate));
    }
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, table.to_string()).unwrap();
    obscura_gateway::config::Config::load(&path)
        .map(|_| ())
        .map_err(|e| format!("{e:?}"))
}

fn study(text: &str) -> Result<(), String> {
    let file = StudyFile::from_toml(&filled(text)).map_err(|e| e.to_string())?;
    let named = file.institutions().to_vec();
    let institution = |(i, name): (u8, PartyName)| Institution {
        name,
        key: SigningKey::from_seed([i; 32]).key_id(),
    };
    let directory: Vec<_> = (1..).zip(named).map(institution).collect();
    file.resolve(&directory, Vec::new())
        .map(|_| ())
        .map_err(|e| e.to_string())
}

#[test]
fn every_sample_file_is_read_by_its_program() {
    let mut read = 0;
    for (path, text) in texts(&["toml"]) {
        let place = Path::new(&path);
        let name = place.file_name().unwrap().to_str().unwrap();
        if !path.starts_with("deploy/") && !path.starts_with("docs/") {
            continue;
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&path);
        let result = match name {
            n if n.starts_with("node") => obscura_node::config::Config::load(&file)
                .map(|_| ())
                .map_err(|e| e.to_string()),
            n if n.starts_with("gateway") => gateway(&text),
            n if n.starts_with("dataset") => Description::from_toml(&filled(&text))
                .map(|_| ())
                .map_err(|e| e.to_string()),
            n if n.starts_with("study") => study(&text),
            _ => Err("no program reads a file of this name".to_owned()),
        };
        assert_eq!(result, Ok(()), "{path}");
        read += 1;
    }
    assert!(read >= 1, "the samples have moved");
}

#[test]
fn the_demo_declares_a_size_that_every_site_has_and_that_previews_can_compare_with() {
    for site in (1..=6).map(|number| demo_site(number).unwrap()) {
        let description = Description::from_toml(&site.description).unwrap();
        let rows = site.csv.lines().skip(1);
        let people: BTreeSet<_> = rows.filter_map(|line| line.split(',').next()).collect();
        let (fewest, most) = (description.fewest_subjects(), description.most_subjects());
        assert!((fewest..=most).contains(&(people.len() as u64)));
        // Wider, and a preview could not say what size of study an answer is as good as.
        assert!(most <= 2 * fewest);
    }
}

#[test]
fn the_samples_that_programs_write_are_read_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:7400".parse().unwrap();
    let clock = TestClock::without_waits();
    let name = PartyName::new("basel").unwrap();
    obscura_node::cli::prepare(folder.path(), &name, address, &clock).unwrap();
    let node = obscura_node::config::Config::load(&folder.path().join("node.toml")).unwrap();
    assert_eq!(node.name, "basel");
    gateway(&obscura_gateway::config::sample(address)).unwrap();
    // Each entry that the sample shows as a comment is right as well.
    let sample = obscura_gateway::config::sample(address);
    let shown: String = sample
        .lines()
        .map(|l| {
            l.strip_prefix("# ")
                .filter(|l| l.contains('=') || l.starts_with('['))
                .unwrap_or(l)
        })
        .filter(|l| !l.starts_with('#'))
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(shown.contains("[[node]]"));
    gateway(&shown).unwrap();
}
