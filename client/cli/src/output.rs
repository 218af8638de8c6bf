//! Everything that is written to the terminal goes through here.
//!
//! | module | makes |
//! |---|---|
//! | `tables` | tables for people |
//! | `answers` | the table, chart and sentences of a combined answer |
//! | `words` | sentences about exposure and limits |
//! | `views` | JSON with stable field names |

pub(crate) mod answers;
pub(crate) mod supposed;
pub(crate) mod tables;
pub(crate) mod views;
pub(crate) mod words;

use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

/// How long work may take before a sign of life is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a command has to say, in both forms.
#[derive(Debug)]
pub(crate) struct Report {
    /// For people; ends with a line break or is empty.
    pub(crate) text: String,
    /// For programs.
    pub(crate) json: Value,
    /// Whether everything that was asked for was done.
    pub(crate) complete: bool,
}

impl Report {
    pub(crate) fn new(text: String, json: Value) -> Self {
        Report {
            text,
            json,
            complete: true,
        }
    }

    pub(crate) fn nothing() -> Self {
        Report::new(String::new(), Value::Null)
    }

    /// Not everything was done: the exit code says so.
    pub(crate) fn complete(self, complete: bool) -> Self {
        Report { complete, ..self }
    }
}

/// Writes a report to standard output.
pub(crate) fn report(report: Report, json: bool) -> io::Result<()> {
    let mut text = if json {
        serde_json::to_string_pretty(&report.json)?
    } else {
        harmless(&report.text)
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    say(&text)
}

/// Writes text to standard output at once.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes an error: what, where, what to do, in one sentence on standard error.
pub(crate) fn failure(error: &anyhow::Error, json: bool) -> ExitCode {
    let sentence = sentence(error);
    let client = error.downcast_ref::<obscura_client::Error>();
    let code = client.map_or("failed", obscura_client::Error::code);
    if json {
        let document = json!({ "error": { "code": code, "message": sentence } });
        // If nobody listens any more there is nothing left to say.
        let _ = say(&format!("{document:#}\n"));
    }
    let _ = writeln!(io::stderr().lock(), "obscura: {}", harmless(&sentence));
    ExitCode::FAILURE
}

/// The error and its causes; a cause that the text before it already tells is not told twice.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

/// Asks a yes-or-no question on the terminal; without one the answer is no.
pub(crate) fn confirmed(shown: &str, question: &str) -> anyhow::Result<bool> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        anyhow::bail!("nobody is at a terminal to confirm this: add --yes once you have read it");
    }
    let mut err = io::stderr().lock();
    write!(err, "{}\n{question} Type yes to go on: ", harmless(shown))?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

/// Waits for work; after a second a spinner on standard error shows that it goes on.
pub(crate) async fn progress<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    // Draws on standard error, and only if that is a terminal.
    let spinner = indicatif::ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(120));
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// Text without characters that could steer a terminal or turn the direction of reading: parts
/// of it come from institutions.
pub(crate) fn harmless(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = anyhow::anyhow!("the id is wrong").context("id: the id is wrong");
        let error = cause.context("study.toml");
        assert_eq!(sentence(&error), "study.toml: id: the id is wrong");
    }

    #[test]
    fn text_from_institutions_cannot_steer_the_terminal() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\n\u{202e}c"),
            "a\u{fffd}[2Jb\n\u{fffd}c"
        );
    }
}
