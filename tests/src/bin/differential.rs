//! `differential N [SEED]`: asks random questions, each of two datasets that differ in one subject,
//! until N were compared and N that are changed or forbidden were refused; prints what was seen.

use std::io::Write as _;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let questions = arguments.next().context("how many questions?")?.parse()?;
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let figures = obscura_tests::differential::run(questions, seed)?;
    writeln!(std::io::stdout(), "{figures:#?}")?;
    Ok(())
}
