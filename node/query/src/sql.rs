//! From text to one parsed statement, within limits.

use sqlparser::ast::Statement;
use sqlparser::dialect::AnsiDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Location;

use crate::limits;
use crate::refusal::Refusal;

/// How deep the parser may recurse: several steps for each level that [`limits`] lets through.
const PARSER_DEPTH: usize = 300;

/// Parses exactly one statement.
pub(crate) fn statement(text: &str) -> Result<Statement, Refusal> {
    let tokens = limits::tokens(text)?;
    let mut parser = Parser::new(&AnsiDialect {})
        .with_recursion_limit(PARSER_DEPTH)
        .with_tokens_with_locations(tokens);
    let parsed = parser.parse_statements();
    let place = parser.peek_token_ref().span.start;
    let mut statements = parsed.map_err(|error| explained(error, place))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Refusal::new("a query is exactly one SELECT")
            .suggest("write each statement as a release of its own")),
    }
}

/// The parser's own words speak of tokens; the reason is ours, the place is the parser's.
fn explained(error: ParserError, at: Location) -> Refusal {
    match error {
        ParserError::RecursionLimitExceeded => Refusal::at(at, "the query is nested too deeply"),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let place = place_in(&text).unwrap_or(at);
            let reason = text.split(" at Line: ").next().unwrap_or(&text);
            let reason: String = reason.chars().take(120).collect();
            Refusal::at(place, format!("this does not read as a query ({reason})"))
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
