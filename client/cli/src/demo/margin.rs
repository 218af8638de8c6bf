//! The one thing that the stranger is asked: how accurate should the answer be?

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::say::Say;

/// Without an answer: a margin of 0.107 visits, for which visits add as much as dollars, rho 0.1.
pub(super) const DEFAULT: f64 = 0.107;

/// For how many person-years over all sites the margin is asked.
pub(super) const PERSON_YEARS: u64 = 5_000;

/// A smaller one fits no limit by far.
const SMALLEST: f64 = 0.01;

/// The average is between 0 and 10, so a larger margin says nothing.
const LARGEST: f64 = 5.0;

/// The question as it is asked.
fn question() -> String {
    format!(
        "Within how many visits should the average be right, 95 times in 100, for a group of {} \
         person-years over all sites? [{DEFAULT}]",
        thousands(PERSON_YEARS)
    )
}

fn thousands(number: u64) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}

/// The margin from the command line, from the terminal, or the default.
pub(super) async fn chosen(say: &Say, given: Option<f64>) -> anyhow::Result<f64> {
    if let Some(margin) = given {
        return Ok(margin);
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        say.text(&format!(
            "{} Nobody is at a terminal, so {DEFAULT} it is.",
            question()
        ))?;
        return Ok(DEFAULT);
    }
    loop {
        say.ask(&question())?;
        let line = read_line().await?;
        match parsed(&line) {
            Ok(margin) => return Ok(margin),
            Err(what) => say.text(&format!("Please {what}."))?,
        }
    }
}

/// Reads the margin that somebody typed; nothing typed is the default.
pub(super) fn parsed(text: &str) -> Result<f64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(DEFAULT);
    }
    match text.replace(',', ".").parse::<f64>() {
        Ok(margin) if (SMALLEST..=LARGEST).contains(&margin) => Ok(margin),
        Ok(_) | Err(_) => Err(format!(
            "type a number from {SMALLEST} to {LARGEST}, such as 0.2, or nothing for {DEFAULT}"
        )),
    }
}

/// A line from the terminal. It is read by a thread that nobody waits for, so that Ctrl-C ends
/// the demo also while it asks.
async fn read_line() -> anyhow::Result<String> {
    let (send, line) = oneshot::channel();
    std::thread::Builder::new()
        .name("question".to_owned())
        .spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            let _gone = send.send(read.map(|_| line));
        })
        .context("cannot start a thread")?;
    let line = line.await.context("nothing was typed")?;
    line.context("the terminal cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_a_number_above_zero_and_nothing_is_the_default() {
        assert_eq!(parsed("\n"), Ok(DEFAULT));
        assert_eq!(parsed(" 0.2 \n"), Ok(0.2));
        assert_eq!(parsed("0,2"), Ok(0.2));
        for wrong in ["0", "-1", "6", "NaN", "inf", "many"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
