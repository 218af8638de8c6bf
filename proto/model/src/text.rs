//! Query text, limited before anything parses it.

use std::fmt;

/// Why a query text was refused before parsing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing but white space.
    #[error("the query is empty")]
    Empty,
    /// Longer than [`SqlText::MOST_BYTES`].
    #[error("the query has {0} bytes; the most is {most}", most = SqlText::MOST_BYTES)]
    TooLong(usize),
    /// A character that could make the text read differently from what it says.
    #[error(
        "character {position} of the query (U+{code:04X}) is not allowed: use plain text without control or direction marks"
    )]
    Character {
        /// Position in characters, from 1.
        position: usize,
        /// The code point.
        code: u32,
    },
}

/// The text of one query: at most 64 KiB, without control or direction-changing characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SqlText(String);

impl SqlText {
    /// The most bytes a query may have.
    pub const MOST_BYTES: usize = 64 * 1024;

    /// Checks length and characters.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        if text.len() > Self::MOST_BYTES {
            return Err(InvalidText::TooLong(text.len()));
        }
        if text.trim().is_empty() {
            return Err(InvalidText::Empty);
        }
        let refused = |c: char| {
            (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
                || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
                || matches!(c, '\u{2066}'..='\u{2069}')
        };
        match text.chars().enumerate().find(|(_, c)| refused(*c)) {
            Some((index, c)) => Err(InvalidText::Character {
                position: index + 1,
                code: u32::from(c),
            }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SqlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
