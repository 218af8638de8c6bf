//! How the demo speaks: numbered steps, wrapped paragraphs, the commands that would do the same,
//! and tables, on standard output.

use std::io::{self, IsTerminal as _};

use crate::output::{self, tables};

/// How wide a line may be.
const WIDTH: usize = 80;

/// What stands before every line but the titles.
const INDENT: &str = "   ";

/// A narrator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Say {
    terminal: bool,
    details: bool,
}

impl Say {
    /// Bold and dim are used on a terminal only. `details`: also says epsilon and rho.
    pub(super) fn new(details: bool) -> Self {
        Say {
            terminal: io::stdout().is_terminal(),
            details,
        }
    }

    /// One line, as it is.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        output::say(&format!("{text}\n"))
    }

    /// The title of a step.
    pub(super) fn step(&self, number: u8, title: &str) -> io::Result<()> {
        self.line("")?;
        self.line(&self.bold(&format!("{number}  {title}")))
    }

    /// A title without a number.
    pub(super) fn title(&self, title: &str) -> io::Result<()> {
        self.line("")?;
        self.line(&format!("{INDENT}{}", self.bold(title)))
    }

    /// A paragraph.
    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        for line in wrapped(text, WIDTH - INDENT.len()) {
            self.line(&format!("{INDENT}{line}"))?;
        }
        Ok(())
    }

    /// A paragraph behind a short label, which the following lines leave free.
    pub(super) fn labelled(&self, label: &str, text: &str) -> io::Result<()> {
        const LABEL: usize = 10;
        for (place, line) in wrapped(text, WIDTH - INDENT.len() - LABEL)
            .iter()
            .enumerate()
        {
            let label = if place == 0 { label } else { "" };
            self.line(&format!("{INDENT}{label:<LABEL$}{line}"))?;
        }
        Ok(())
    }

    /// A command that would do the same, where it teaches something.
    pub(super) fn command(&self, command: &str) -> io::Result<()> {
        self.line(&format!("{INDENT}{}", self.dim(&format!("$ {command}"))))
    }

    /// Said only when asked for details.
    pub(super) fn detail(&self, text: &str) -> io::Result<()> {
        if !self.details {
            return Ok(());
        }
        for line in wrapped(&format!("details: {text}"), WIDTH - INDENT.len()) {
            self.line(&format!("{INDENT}{}", self.dim(&line)))?;
        }
        Ok(())
    }

    /// Lines that are laid out already.
    pub(super) fn block(&self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            self.line(format!("{INDENT}{line}").trim_end())?;
        }
        Ok(())
    }

    /// Lines that are laid out for the whole width.
    pub(super) fn wide(&self, text: &str) -> io::Result<()> {
        output::say(text)
    }

    /// A table: the first column stands to the left, the others to the right.
    pub(super) fn table(&self, head: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let right: Vec<_> = (1..head.len()).collect();
        self.block(&tables::table(head, rows, &right))
    }

    /// Whether to say epsilon and rho.
    pub(super) fn details(&self) -> bool {
        self.details
    }

    /// A question without a line feed behind it.
    pub(super) fn ask(&self, question: &str) -> io::Result<()> {
        let lines = wrapped(question, WIDTH - INDENT.len());
        let lines: Vec<_> = lines
            .iter()
            .map(|l| format!("{INDENT}{}", self.bold(l)))
            .collect();
        output::say(&format!("{} ", lines.join("\n")))
    }

    fn bold(&self, text: &str) -> String {
        self.marked("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.marked("2", text)
    }

    fn marked(&self, code: &str, text: &str) -> String {
        if self.terminal {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_wrapped_between_words_and_lose_none() {
        let text = "one two three four five six seven";
        let lines = wrapped(text, 11);
        assert!(lines.iter().all(|l| l.chars().count() <= 11), "{lines:?}");
        assert_eq!(lines.join(" "), text);
    }
}
