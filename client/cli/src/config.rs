//! Where profiles are: the only file that reads the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// What the environment says, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// `OBSCURA_PROFILE`.
    pub(crate) profile: Option<String>,
    /// `$XDG_CONFIG_HOME/obscura`, or `~/.config/obscura`.
    pub(crate) folder: Option<PathBuf>,
}

impl Places {
    #[allow(clippy::disallowed_methods)] // this is the config module
    pub(crate) fn from_environment() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|v: &OsString| !v.is_empty());
        let config = path("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = || path("HOME").map(|home| PathBuf::from(home).join(".config"));
        Places {
            profile: path("OBSCURA_PROFILE").and_then(|p| p.into_string().ok()),
            folder: config.or_else(home).map(|c| c.join("obscura")),
        }
    }

    fn folder(&self) -> anyhow::Result<&Path> {
        let missing = "there is no HOME or XDG_CONFIG_HOME to keep profiles in: set one of them";
        self.folder.as_deref().context(missing)
    }

    /// The folder of profiles.
    pub(crate) fn profiles(&self) -> anyhow::Result<PathBuf> {
        Ok(self.folder()?.join("profiles"))
    }

    /// The file that names the chosen profile.
    pub(crate) fn chosen_file(&self) -> anyhow::Result<PathBuf> {
        Ok(self.folder()?.join("chosen"))
    }

    /// The file of a profile by name.
    pub(crate) fn file_of(&self, name: &str) -> anyhow::Result<PathBuf> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 60 || !name.chars().all(fits) {
            bail!("a profile's name has 1 to 60 letters, digits, '-' or '_', not '{name}'");
        }
        Ok(self.profiles()?.join(format!("{name}.toml")))
    }

    /// The name of the chosen profile.
    pub(crate) fn chosen(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.chosen_file().ok()?).ok()?;
        Some(text.trim().to_owned()).filter(|name| !name.is_empty())
    }

    /// The profile's file: from the argument, the environment, or the choice, in this order.
    pub(crate) fn profile(&self, argument: Option<&str>) -> anyhow::Result<PathBuf> {
        let named = argument.map(str::to_owned).or_else(|| self.profile.clone());
        let Some(name) = named.or_else(|| self.chosen()) else {
            bail!(
                "no profile is chosen: make one with `obscura profile add`, or name one with --profile"
            );
        };
        if name.contains(['/', '\\']) || name.ends_with(".toml") {
            return Ok(PathBuf::from(name));
        }
        let path = self.file_of(&name)?;
        if !path.exists() {
            bail!("there is no profile called '{name}': see `obscura profile list`");
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_goes_before_the_environment_and_that_before_the_choice() {
        let folder = tempfile::tempdir().unwrap();
        let mut places = Places {
            profile: None,
            folder: Some(folder.path().to_path_buf()),
        };
        let profiles = places.profiles().unwrap();
        std::fs::create_dir_all(&profiles).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(profiles.join(format!("{name}.toml")), "").unwrap();
        }
        assert!(places.profile(None).is_err());
        std::fs::write(places.chosen_file().unwrap(), "a\n").unwrap();
        assert_eq!(places.profile(None).unwrap(), profiles.join("a.toml"));
        places.profile = Some("b".to_owned());
        assert_eq!(places.profile(None).unwrap(), profiles.join("b.toml"));
        assert_eq!(places.profile(Some("c")).unwrap(), profiles.join("c.toml"));
        let path = PathBuf::from("x/y.toml");
        assert_eq!(places.profile(Some("x/y.toml")).unwrap(), path);
        for wrong in ["d", "..", "", "a b"] {
            assert!(places.profile(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
