//! Patterns that texts may match: LIKE and regular expressions, always literal, compiled when the
//! query is checked. Matching takes a time that is linear in the text (no backtracking).
//!
//! How steep depends on whether the text can bring about many different sets of places in the
//! pattern at once. After an open beginning, letters alone cannot: the set follows from the longest
//! end of the text that the pattern has somewhere (Aho and Corasick 1975). A sequence that begins
//! where the text does is at one place at a time. `%a____` can be at any set of its places.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// How a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatternKind {
    /// `%` is any text, `_` any one character, taken literally after the escape character.
    Like {
        ignore_case: bool,
        escape: Option<char>,
    },
    /// A regular expression that is found anywhere in the text.
    Regex { ignore_case: bool },
}

/// Why a pattern was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatternError {
    /// More characters than [`MOST_CHARACTERS`], or too large when compiled.
    Large,
    /// Not a regular expression of this language.
    Form,
    /// A property class, such as `\\p{Greek}`.
    Property,
    /// The escape character at the end, or before something that needs no escape.
    Escape,
}

/// The most characters of a pattern.
pub(crate) const MOST_CHARACTERS: usize = 1_000;

/// Compiled sizes in kilobytes, smallest first. The largest is the limit.
const SIZES: [u16; 7] = [1, 2, 4, 8, 16, 32, 64];

/// What matching 32 characters costs, in operators, with a small automaton whose states are few
/// whatever the text. At least twice what is measured.
const STEADY: u64 = 100;

/// The most kilobytes of such a pattern.
const MOST_STEADY: u16 = 8;

/// The same where the text can make the automaton's states too many to keep, so that it is
/// followed state by state: once, and for each kilobyte. At least twice what is measured on the
/// worst texts.
const FOLLOWED: u64 = 2_000;
const FOLLOWED_KILOBYTE: u64 = 1_000;

/// The cache of the lazy automaton, in bytes. Beyond it matching goes on, more slowly.
const CACHE: usize = 1 << 20;

/// The deepest nesting of groups and repetitions.
const MOST_NESTING: u32 = 20;

/// A compiled pattern. Equal if written the same.
#[derive(Clone)]
pub(crate) struct Pattern {
    kind: PatternKind,
    source: String,
    regex: Regex,
    cost: u64,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.source == other.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?}, {:?})", self.kind, self.source)
    }
}

impl Pattern {
    /// Compiles a pattern within the limits.
    pub(crate) fn new(kind: PatternKind, source: &str) -> Result<Self, PatternError> {
        if source.chars().count() > MOST_CHARACTERS {
            return Err(PatternError::Large);
        }
        let (expression, ignore_case) = match kind {
            PatternKind::Like {
                ignore_case,
                escape,
            } => (of_like(source, escape)?, ignore_case),
            PatternKind::Regex { ignore_case } if has_property(source) => {
                let _ = ignore_case;
                return Err(PatternError::Property);
            }
            PatternKind::Regex { ignore_case } => (source.to_owned(), ignore_case),
        };
        let like = matches!(kind, PatternKind::Like { .. });
        let steady = match kind {
            PatternKind::Like {
                ignore_case: _,
                escape,
            } => is_steady_like(source, escape),
            PatternKind::Regex { ignore_case: _ } => is_steady_regex(source),
        };
        for size in SIZES {
            let built = RegexBuilder::new(&expression)
                .case_insensitive(ignore_case)
                .dot_matches_new_line(like)
                .nest_limit(MOST_NESTING)
                .size_limit(usize::from(size) << 10)
                .dfa_size_limit(CACHE)
                .build();
            match built {
                Ok(regex) => {
                    let cost = match steady && size <= MOST_STEADY {
                        true => STEADY,
                        false => FOLLOWED + FOLLOWED_KILOBYTE * u64::from(size),
                    };
                    return Ok(Self {
                        kind,
                        source: source.to_owned(),
                        regex,
                        cost,
                    });
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(_) => return Err(PatternError::Form),
            }
        }
        Err(PatternError::Large)
    }

    pub(crate) fn kind(&self) -> PatternKind {
        self.kind
    }

    /// As written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// What matching 32 characters costs, in operators.
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// A LIKE pattern as an anchored regular expression.
fn of_like(source: &str, escape: Option<char>) -> Result<String, PatternError> {
    let mut expression = r"\A".to_owned();
    let mut characters = source.chars();
    let mut any = false;
    while let Some(c) = characters.next() {
        if c == '%' && escape != Some('%') {
            // A run of % is one: it matches the same.
            if !any {
                expression.push_str(".*");
            }
            any = true;
            continue;
        }
        any = false;
        if Some(c) == escape {
            match characters.next() {
                Some(c) if c == '%' || c == '_' || Some(c) == escape => {
                    expression.push_str(&regex::escape(&c.to_string()));
                }
                _ => return Err(PatternError::Escape),
            }
        } else if c == '_' {
            expression.push('.');
        } else {
            expression.push_str(&regex::escape(&c.to_string()));
        }
    }
    expression.push_str(r"\z");
    Ok(expression)
}

/// Whether no `_` comes after a `%`.
fn is_steady_like(source: &str, escape: Option<char>) -> bool {
    let mut characters = source.chars();
    let mut open = false;
    while let Some(c) = characters.next() {
        if Some(c) == escape {
            characters.next();
        } else if c == '%' {
            open = true;
        } else if c == '_' && open {
            return false;
        }
    }
    true
}

/// Whether an expression is made of letters and alternatives of them, or is one sequence of single
/// characters that begins where the text does.
fn is_steady_regex(source: &str) -> bool {
    let (rooted, rest) = match source.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, source),
    };
    let rest = rest.strip_suffix('$').unwrap_or(rest);
    let mut characters = rest.chars().peekable();
    let (mut choices, mut classes) = (false, false);
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(c) if c.is_ascii_punctuation() && !matches!(c, '<' | '>') => {}
                Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => classes = true,
                _ => return false,
            },
            '|' | ')' => choices = true,
            '(' if characters.peek() != Some(&'?') => choices = true,
            '.' => classes = true,
            '[' => {
                classes = true;
                // A class within a class, or an escape, is not looked into.
                let end = characters.by_ref().find(|c| matches!(c, '[' | '\\' | ']'));
                if end != Some(']') {
                    return false;
                }
            }
            '*' | '+' | '?' | '{' | '}' | '^' | '$' | '(' | ']' => return false,
            _ => {}
        }
    }
    !classes || (rooted && !choices)
}

/// Whether a class by Unicode property is asked for. Which of them exist depends on how the
/// library was built, so none does here.
fn has_property(source: &str) -> bool {
    let mut characters = source.chars();
    while let Some(c) = characters.next() {
        if c == '\\' && matches!(characters.next(), Some('p' | 'P')) {
            return true;
        }
    }
    false
}
