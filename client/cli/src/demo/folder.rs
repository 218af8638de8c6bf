//! The folder that the demo works in.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use obscura_gateway::files;
use tempfile::TempDir;

/// A folder that is removed at the end, or one that somebody chose and that stays.
#[derive(Debug)]
pub(super) enum Folder {
    /// Removed at the end.
    Temporary(TempDir),
    /// Stays.
    Chosen(PathBuf),
}

impl Folder {
    /// `chosen` must be new or empty.
    pub(super) fn make(chosen: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = chosen else {
            let folder = tempfile::Builder::new().prefix("obscura-demo-").tempdir();
            return Ok(Folder::Temporary(
                folder.context("cannot make a temporary folder")?,
            ));
        };
        let empty = match path.read_dir() {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        anyhow::ensure!(
            empty,
            "{} is not empty: choose a new folder",
            path.display()
        );
        files::make_folder(&path)?;
        let path = path.canonicalize().context("the folder went away")?;
        Ok(Folder::Chosen(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Chosen(path) => path,
        }
    }

    /// Removes it if it is temporary.
    pub(super) fn close(self) -> anyhow::Result<()> {
        match self {
            Folder::Temporary(folder) => {
                let path = folder.path().to_owned();
                let what = || format!("{} could not be removed", path.display());
                folder.close().with_context(what)
            }
            Folder::Chosen(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = folder.path().join("new");
        assert!(Folder::make(Some(chosen.clone())).is_ok());
        std::fs::write(chosen.join("file"), "x").unwrap();
        assert!(Folder::make(Some(chosen.clone())).is_err());
        assert!(chosen.join("file").exists());
    }

    #[test]
    fn a_temporary_folder_is_gone_at_the_end_and_a_chosen_one_stays() {
        let folder = Folder::make(None).unwrap();
        let path = folder.path().to_owned();
        folder.close().unwrap();
        assert!(!path.exists());
    }
}
