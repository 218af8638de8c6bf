//! What can be done with a network that stays.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use obscura_model::study::Study;

use super::DATASET;
use super::say::Say;

/// The file that is there while the network runs.
const READY: &str = "ready";

/// Prints commands to play with and writes the ready marker.
pub(super) fn invite(
    say: &Say,
    folder: &Path,
    study: &Study,
    took: Duration,
) -> anyhow::Result<()> {
    let profiles = folder.join("profiles");
    let ada = format!("obscura --profile {}", profiles.join("ada.toml").display());
    let owner = format!(
        "obscura --profile {}",
        profiles.join("owner-1.toml").display()
    );
    say.line("")?;
    say.text(&format!(
        "That was all of it, in {:.1} seconds.",
        took.as_secs_f64()
    ))?;
    say.title("The network stays until Ctrl-C. Some commands to play with")?;
    let program = std::env::current_exe().context("this program does not find itself")?;
    if let Some(place) = program.parent() {
        say.command(&format!("export PATH=\"{}:$PATH\"", place.display()))?;
    }
    let study_file = folder.join("study.toml");
    for command in [
        format!("{ada} datasets"),
        format!("{ada} dataset show site-1/{DATASET}"),
        format!(
            "{ada} sandbox site-1/{DATASET} \"SELECT COUNT(*) FROM {DATASET}\" --within 50 --within 10"
        ),
        format!("{ada} study status {}", study_file.display()),
        format!("{ada} exposure"),
        format!("{owner} owner review {}", study.id()),
        format!("{owner} owner exposure"),
        format!("{owner} owner log"),
    ] {
        say.command(&command)?;
    }
    let ready = folder.join(READY);
    let profile = profiles.join("ada.toml");
    fs::write(&ready, format!("{}\n", profile.display()))
        .with_context(|| format!("cannot write {}", ready.display()))?;
    say.text(&format!(
        "A script can wait for {}, which holds the path of ada's profile.",
        ready.display()
    ))?;
    Ok(())
}

/// Takes the marker away.
pub(super) fn end(folder: &Path) {
    // If it is not there, nothing waits for it.
    let _missing = fs::remove_file(folder.join(READY));
}
