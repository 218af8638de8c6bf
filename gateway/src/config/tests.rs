use super::*;

fn written(text: &str) -> Result<Written, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn the_sample_is_a_configuration_and_so_is_the_block_that_it_explains() {
    let sample = sample("127.0.0.1:7443".parse().unwrap());
    assert_eq!(written(&sample).unwrap().node.len(), 0);
    let marker = "# [[node]]";
    let (before, block) = sample.split_at(sample.find(marker).unwrap());
    let block: String = block
        .lines()
        .map(|line| format!("{}\n", &line[2..]))
        .collect();
    let read = written(&format!("{before}{block}")).unwrap();
    assert_eq!(read.node.len(), 1);
    assert_eq!(read.node[0].name, "basel");
}

#[test]
fn a_word_that_means_nothing_is_refused() {
    let sample = sample("127.0.0.1:7443".parse().unwrap());
    for extra in ["lissten = 1\n", "[credentials]\nca = \"x\"\n"] {
        assert!(written(&format!("{extra}{sample}")).is_err(), "{extra}");
    }
    let node = "[[node]]\nname = \"a\"\naddress = \"b:1\"\ncertificate = \"c\"\ntrusted = true\n";
    assert!(written(&format!("{sample}{node}")).is_err());
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let error = Config::load(&path).unwrap_err();
    assert!(error.to_string().contains("gateway.toml"), "{error}");
    std::fs::write(&path, sample("127.0.0.1:0".parse().unwrap())).unwrap();
    let error = Config::load(&path).unwrap_err();
    assert!(error.to_string().contains("ca.pem"), "{error}");
    std::fs::write(&path, "listen = 7\n").unwrap();
    let error = Config::load(&path).unwrap_err();
    assert!(matches!(error, Error::Form { .. }));
}
