//! From text to one parsed statement, within limits.

use sqlparser::ast::Statement;
use sqlparser::dialect::AnsiDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Location;

use crate::limits;
use crate::places::{self, Places};
use crate::refusal::Refusal;

/// How deep the parser may recurse: several steps for each level that [`limits`] lets through.
const PARSER_DEPTH: usize = 300;

/// Parses exactly one statement, and tells where its words stand.
pub(crate) fn statement(text: &str) -> Result<(Statement, Places), Refusal> {
    let tokens = limits::tokens(text)?;
    let (places, unclosed) = (Places::of(&tokens), places::unclosed(&tokens));
    let mut parser = Parser::new(&AnsiDialect {})
        .with_recursion_limit(PARSER_DEPTH)
        .with_tokens_with_locations(tokens);
    let parsed = parser.parse_statements();
    let place = parser.peek_token_ref().span.start;
    let mut statements = parsed.map_err(|error| match unclosed {
        // Whatever the parser fell over, this is the likelier slip.
        Some((at, what)) => Refusal::at(at, what),
        None => explained(error, place, &places),
    })?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok((statement, places)),
        _ => Err(Refusal::new("a query is exactly one SELECT")
            .suggest("write each statement as a release of its own")),
    }
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
