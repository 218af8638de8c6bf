//! What bounds a query text before anything recursive looks at it.
//!
//! The tokens are taken one after another without recursion; only their number, their nesting and
//! the kinds that the language has are let through to the parser.

use sqlparser::dialect::AnsiDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use crate::refusal::Refusal;

/// The most tokens, white space aside.
pub(crate) const MOST_TOKENS: usize = 4_000;
/// The deepest nesting of parentheses, CASE, NOT and signs.
pub(crate) const MOST_DEPTH: usize = 50;
/// The deepest nesting of SELECT, the outer one included.
pub(crate) const MOST_SELECTS: usize = 10;
/// The most operators.
pub(crate) const MOST_OPERATORS: usize = 1_000;

/// The limits on the text, for the page of the language.
pub(crate) const SIZES: [(&str, usize); 3] = [
    ("words and signs", MOST_TOKENS),
    ("operators", MOST_OPERATORS),
    ("nesting", MOST_DEPTH),
];

/// The tokens of a text within the limits.
pub(crate) fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, Refusal> {
    // Cheap and before the tokeniser: more marks than tokens are allowed is too many.
    let marks = text
        .bytes()
        .filter(|b| b"()+-*/=<>,%|~".contains(b))
        .count();
    if marks > MOST_TOKENS {
        return Err(too_many_tokens());
    }
    let tokens = Tokenizer::new(&AnsiDialect {}, text)
        .tokenize_with_location()
        .map_err(|e| Refusal::at(e.location, "a quote or comment is not closed here"))?;
    let mut meter = Meter::default();
    for token in &tokens {
        meter.take(token)?;
    }
    Ok(tokens)
}

fn too_many_tokens() -> Refusal {
    Refusal::new(format!(
        "the query has more than {MOST_TOKENS} words and signs"
    ))
    .suggest("split it into several releases")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Parenthesis,
    Case,
}

#[derive(Default)]
struct Meter {
    tokens: usize,
    operators: usize,
    /// One entry for each open parenthesis or CASE: the signs and NOTs in front of it.
    open: Vec<(Bracket, usize)>,
    /// For each SELECT that is not closed yet, how many parentheses and CASEs are open around it.
    selects: Vec<usize>,
    /// Signs and NOTs in a row just before this token.
    run: usize,
    depth: usize,
    after_operand: bool,
}

impl Meter {
    fn take(&mut self, token: &TokenWithSpan) -> Result<(), Refusal> {
        let place = token.span.start;
        if matches!(token.token, Token::Whitespace(_) | Token::EOF) {
            return Ok(());
        }
        let begins = [Keyword::SELECT, Keyword::WITH];
        if self.tokens == 0 && !begins.iter().any(|word| is_word(&token.token, *word)) {
            return Err(Refusal::at(place, "a query is one SELECT")
                .suggest("start with SELECT, such as SELECT COUNT(*) FROM the dataset"));
        }
        self.tokens += 1;
        if self.tokens > MOST_TOKENS {
            return Err(too_many_tokens());
        }
        self.measure(&token.token, place)?;
        if self.depth + self.run > MOST_DEPTH {
            return Err(Refusal::at(
                place,
                format!("the query is nested more than {MOST_DEPTH} deep"),
            ));
        }
        if self.operators > MOST_OPERATORS {
            return Err(Refusal::at(
                place,
                format!("the query has more than {MOST_OPERATORS} operators"),
            ));
        }
        Ok(())
    }

    fn measure(&mut self, token: &Token, place: Location) -> Result<(), Refusal> {
        match token {
            Token::LParen => self.enter(Bracket::Parenthesis),
            Token::RParen => self.leave(Bracket::Parenthesis),
            // A tilde in front of something reads as a sign.
            Token::Plus | Token::Minus | Token::Tilde => {
                self.operators += 1;
                if !self.after_operand {
                    self.run += 1;
                }
                self.after_operand = false;
            }
            Token::Mul
            | Token::Div
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::Mod
            | Token::StringConcat
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk => self.operator(),
            Token::Comma => self.other(false),
            Token::Number(_, _)
            | Token::SingleQuotedString(_)
            | Token::Period
            | Token::SemiColon => self.other(true),
            Token::Word(word) => self.word(word, place)?,
            other => {
                let reason = format!(
                    "{} is not part of the query language",
                    shown(&other.to_string())
                );
                let refusal = Refusal::at(place, reason);
                return Err(match other {
                    Token::DoubleEq => refusal.suggest("write ="),
                    Token::DoubleColon => {
                        refusal.suggest("write CAST(x AS VARCHAR), or another type")
                    }
                    _ => refusal,
                });
            }
        }
        Ok(())
    }

    fn word(&mut self, word: &Word, place: Location) -> Result<(), Refusal> {
        if !matches!(word.quote_style, None | Some('"')) {
            return Err(Refusal::at(place, "names are quoted with \" only"));
        }
        match word.keyword {
            Keyword::NOT => {
                self.operators += 1;
                self.run += 1;
                self.after_operand = false;
            }
            Keyword::SELECT => {
                self.selects.push(self.open.len());
                if self.selects.len() > MOST_SELECTS {
                    let reason = format!("SELECT is nested more than {MOST_SELECTS} deep");
                    return Err(Refusal::at(place, reason));
                }
                self.other(false);
            }
            Keyword::CASE => self.enter(Bracket::Case),
            Keyword::END => self.leave(Bracket::Case),
            Keyword::AND
            | Keyword::OR
            | Keyword::IN
            | Keyword::BETWEEN
            | Keyword::IS
            | Keyword::LIKE
            | Keyword::ILIKE => {
                self.operator();
            }
            Keyword::NoKeyword => self.other(true),
            // Any other keyword may be followed by an operand: a sign after it counts as nesting,
            // which errs towards refusing.
            _ => self.other(false),
        }
        Ok(())
    }

    fn enter(&mut self, bracket: Bracket) {
        self.open.push((bracket, self.run));
        self.depth += self.run + 1;
        self.run = 0;
        self.after_operand = false;
    }

    fn leave(&mut self, bracket: Bracket) {
        // One that closes nothing is the parser's to refuse, and lessens no depth here.
        if self.open.last().is_some_and(|(open, _)| *open == bracket)
            && let Some((_, run)) = self.open.pop()
        {
            self.depth -= run + 1;
            self.selects.retain(|around| *around <= self.open.len());
        }
        self.other(true);
    }

    fn operator(&mut self) {
        self.operators += 1;
        self.other(false);
    }

    fn other(&mut self, operand: bool) {
        self.run = 0;
        self.after_operand = operand;
    }
}

fn is_word(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword && word.quote_style.is_none())
}

/// A piece of the query, quoted and cut to a length that a sentence bears.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("'{cut}'")
}
