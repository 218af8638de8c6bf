//! `ledger compact`: less room for the same truth. The node must not be running.

use std::io::Write;
use std::path::{Path, PathBuf};

use obscura_ledger::{Compacted, Ledger};
use obscura_model::ids::KeyId;

use super::CliError;
use crate::clock::Clock;
use crate::config::Config;
use crate::{entropy, start};

/// Where the ledger lies, and whose it is.
struct Place {
    folder: PathBuf,
    journal: KeyId,
}

impl Place {
    fn of(config: &Path) -> Result<Self, CliError> {
        let config = Config::load(config)?;
        Ok(Self {
            folder: start::ledger_folder(&config),
            journal: start::journal_id(&config)?,
        })
    }

    fn failed(&self, source: obscura_ledger::Error) -> CliError {
        CliError::Ledger {
            path: self.folder.clone(),
            source,
        }
    }
}

/// Says what a compaction would do, from the files alone.
pub(super) fn rehearse(config: &Path, json: bool, out: &mut impl Write) -> Result<(), CliError> {
    let place = Place::of(config)?;
    let would = Ledger::compactable(&place.folder, place.journal);
    let would = would.map_err(|e| place.failed(e))?;
    report(&would, true, json, out)
}

/// Compacts. What fails half-way is done by the next compaction; the ledger opens at any point.
pub(super) fn compact(
    config: &Path,
    clock: &dyn Clock,
    json: bool,
    out: &mut impl Write,
) -> Result<(), CliError> {
    let Place { folder, journal } = &Place::of(config)?;
    let failed = |source| CliError::Ledger {
        path: folder.clone(),
        source,
    };
    let mut say = |what: &str| match json {
        true => Ok(()),
        false => writeln!(out, "{what}").map_err(CliError::Report),
    };
    say("Reading the ledger ...")?;
    if let Some(population) = Ledger::interrupted(folder, *journal).map_err(failed)? {
        return Err(CliError::Interrupted(population));
    }
    let now = clock.now();
    let ledger = Ledger::open(folder, *journal, entropy::source(), now).map_err(failed)?;
    say("Adding the charges up, and writing the old files again without them ...")?;
    let compacted = ledger.compact(now).map_err(failed)?;
    ledger.close().map_err(failed)?;
    report(&compacted, false, json, out)
}

fn report(
    compacted: &Compacted,
    rehearsed: bool,
    json: bool,
    out: &mut impl Write,
) -> Result<(), CliError> {
    let Compacted {
        segments,
        records,
        bytes_before,
        bytes_after,
    } = compacted;
    let written = if json {
        writeln!(
            out,
            "{{\"rehearsed\":{rehearsed},\"segments\":{segments},\"releases\":{records},\
             \"bytes_before\":{bytes_before},\"bytes_after\":{bytes_after}}}"
        )
    } else if *segments == 0 {
        writeln!(out, "There is nothing to compact; nothing was changed.")
    } else {
        let (done, end) = match rehearsed {
            true => ("would be", "Nothing was changed.\n"),
            false => ("were", ""),
        };
        writeln!(
            out,
            "{segments} old files {done} written again, without the charges of {records} releases.\n\
             {:>12} {:>16}\n{:>12} {bytes_before:>16}\n{:>12} {bytes_after:>16}\n{end}",
            "", "bytes", "before", "after"
        )
    };
    written.map_err(CliError::Report)
}
