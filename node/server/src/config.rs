//! The node's configuration file. Reading it has no side effects.

use std::path::{Path, PathBuf};

use obscura_model::schema::place;
use serde::Deserialize;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has a wrong form.
    #[error("{path}, line {line}, column {column}: {what}")]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// A number is out of range.
    #[error("the configuration {path} is wrong: {key} must be from {least} to {most}")]
    Range {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
}

/// The configuration. Holds paths to secrets, never secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The node's name, as in its certificate.
    pub name: String,
    /// Where to listen: `address:port`.
    pub listen: String,
    /// The folder of journal, index and ingested data.
    pub data: PathBuf,
    /// The folder that dataset files are read from.
    pub import: PathBuf,
    /// The consortium authority's certificate (PEM).
    pub ca: PathBuf,
    /// The node's certificate (PEM).
    pub certificate: PathBuf,
    /// The node's private key (PEM).
    pub key: PathBuf,
    /// The certificates of the data owners (PEM).
    pub owners: Vec<PathBuf>,
    /// The step of slots in milliseconds (20): every answer leaves at a multiple of it.
    #[serde(default = "default_slot")]
    pub slot_ms: u64,
    /// Threads of one fold (the number of cores, at most 8).
    #[serde(default = "default_threads")]
    pub threads: usize,
}

fn default_slot() -> u64 {
    20
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(8))
}

impl Config {
    /// Reads a file; relative paths in it are relative to its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let form = |error: toml::de::Error| {
            let (line, column) = place(&text, error.span().map_or(0, |s| s.start));
            let (path, what) = (path.to_owned(), error.message().trim().to_owned());
            ConfigError::Form {
                path,
                line,
                column,
                what,
            }
        };
        let mut config: Config = toml::from_str(&text).map_err(form)?;
        let base = path.parent().unwrap_or(Path::new("."));
        let own = [
            &mut config.data,
            &mut config.import,
            &mut config.ca,
            &mut config.certificate,
            &mut config.key,
        ];
        for relative in own.into_iter().chain(&mut config.owners) {
            *relative = base.join(&*relative);
        }
        let range = |key, least, most| ConfigError::Range {
            path: path.to_owned(),
            key,
            least,
            most,
        };
        if !(5..=10_000).contains(&config.slot_ms) {
            return Err(range("slot_ms", 5, 10_000));
        }
        if !(1..=64).contains(&config.threads) {
            return Err(range("threads", 1, 64));
        }
        Ok(config)
    }
}
