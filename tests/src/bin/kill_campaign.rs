//! `kill-campaign N [PROGRAM]`: kills a node under load N times and prints what was seen. PROGRAM
//! is `node-under-test`; the one beside this program if it is not given.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let kills = arguments.next().context("how many kills?")?.parse()?;
    let program = match arguments.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("node-under-test"),
    };
    let figures = obscura_tests::campaign::run(&program, kills).await?;
    writeln!(std::io::stdout(), "{figures:#?}")?;
    Ok(())
}
