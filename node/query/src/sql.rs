//! From text to one parsed statement, within limits.
//!
//! Two things that the parser reads otherwise are written so that it reads them as meant, in the
//! list of tokens. (Its hook for dialects hands out a tree to copy, and copying recurses as deep as
//! a flat text is long.)
//!
//! * `x IN CODELIST('name@digest')` becomes `x IN (CODELIST('name@digest'))`.
//! * `IS DISTINCT FROM` becomes one operator that binds as other comparisons do; the parser's own
//!   rule takes everything after it, also an AND. The two operators cannot be written otherwise:
//!   they are no signs of the language.

use sqlparser::ast::{BinaryOperator, Statement};
use sqlparser::dialect::AnsiDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::limits;
use crate::lower;
use crate::places::{self, Places};
use crate::refusal::Refusal;

/// How deep the parser may recurse: several steps for each level that [`limits`] lets through.
const PARSER_DEPTH: usize = 300;

/// Parses exactly one statement, and tells where its words stand.
pub(crate) fn statement(text: &str) -> Result<(Statement, Places), Refusal> {
    let tokens = limits::tokens(text)?;
    let (places, unclosed) = (Places::of(&tokens), places::unclosed(&tokens));
    let other = places::of_other_languages(&tokens);
    let mut parser = Parser::new(&AnsiDialect {})
        .with_recursion_limit(PARSER_DEPTH)
        .with_tokens_with_locations(rewritten(tokens));
    let parsed = parser.parse_statements();
    let place = parser.peek_token_ref().span.start;
    let mut statements = parsed.map_err(|error| match (unclosed, other) {
        // Whatever the parser fell over, this is the likelier slip.
        (Some((at, what)), _) => Refusal::at(at, what),
        (None, Some((at, what))) => lower::not_part(at, what),
        (None, None) => explained(error, place, &places),
    })?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok((statement, places)),
        _ => Err(Refusal::new("a query is exactly one SELECT")
            .suggest("write each statement as a release of its own")),
    }
}

/// What follows IN where a code list is meant.
pub(crate) const CODE_LIST: &str = "CODELIST";

/// Whether an operator stands for IS DISTINCT FROM, or for IS NOT DISTINCT FROM.
pub(crate) fn distinct(op: &BinaryOperator) -> Option<bool> {
    match op {
        BinaryOperator::PGLikeMatch => Some(true),
        BinaryOperator::Spaceship => Some(false),
        _ => None,
    }
}

/// The tokens as the parser is to read them, without white space.
fn rewritten(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let tokens = tokens
        .into_iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)));
    let mut new: Vec<TokenWithSpan> = Vec::new();
    // The code list's parenthesis that is to be closed twice.
    let mut depth = 0usize;
    let mut lists: Vec<usize> = Vec::new();
    for token in tokens {
        let span = token.span;
        let after = new.last().is_some_and(|last| is(last, Keyword::IN));
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(w) if after && w.quote_style.is_none() && is_code_list(&w.value) => {
                new.push(TokenWithSpan::new(Token::LParen, span));
                lists.push(depth);
            }
            Token::Word(_) if is(&token, Keyword::FROM) => {
                if let Some((operator, span)) = distinction(&mut new) {
                    new.push(TokenWithSpan::new(operator, span));
                    continue;
                }
            }
            _ => {}
        }
        let closes = token.token == Token::RParen && lists.pop_if(|d| *d == depth).is_some();
        new.push(token);
        if closes {
            new.push(TokenWithSpan::new(Token::RParen, span));
        }
    }
    new
}

/// Takes IS [NOT] DISTINCT from the end of the list and gives the operator instead.
fn distinction(new: &mut Vec<TokenWithSpan>) -> Option<(Token, Span)> {
    let (rest, operator, begin) = match new.as_slice() {
        [rest @ .., begin, not, distinct]
            if is(begin, Keyword::IS)
                && is(not, Keyword::NOT)
                && is(distinct, Keyword::DISTINCT) =>
        {
            (rest.len(), Token::Spaceship, begin.span)
        }
        [rest @ .., begin, distinct]
            if is(begin, Keyword::IS) && is(distinct, Keyword::DISTINCT) =>
        {
            (rest.len(), Token::DoubleTilde, begin.span)
        }
        _ => return None,
    };
    new.truncate(rest);
    Some((operator, begin))
}

fn is(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(w) if w.keyword == keyword && w.quote_style.is_none())
}

fn is_code_list(word: &str) -> bool {
    word.eq_ignore_ascii_case(CODE_LIST)
}

/// The parser's own words speak of tokens and alternatives; of them only the word that it fell
/// over is shown, and its place.
fn explained(error: ParserError, at: Location, places: &Places) -> Refusal {
    match error {
        ParserError::RecursionLimitExceeded => Refusal::at(at, "the query is nested too deeply"),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let place = place_in(&text).unwrap_or(at);
            let reason = text.split(" at Line: ").next().unwrap_or(&text);
            match reason.split_once("found: ").map(|(_, found)| found) {
                Some("EOF") => Refusal::at(
                    places.end(),
                    "this does not read as a query: it ends where something is missing",
                ),
                Some(found) => {
                    let found = limits::shown(found);
                    let reason =
                        format!("this does not read as a query: {found} cannot stand here");
                    Refusal::at(place, reason)
                        .suggest("look for a word, a comma or a number missing before it")
                }
                None => Refusal::at(place, "this does not read as a query"),
            }
        }
    }
}

fn place_in(text: &str) -> Option<Location> {
    let (_, rest) = text.rsplit_once(" at Line: ")?;
    let (line, column) = rest.split_once(", Column: ")?;
    Some(Location::new(
        line.trim().parse().ok()?,
        column.trim().parse().ok()?,
    ))
}
