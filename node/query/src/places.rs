//! Where the words of a query stand. The parser's tree does not say it for every clause, and a
//! refusal should point at what it is about.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// The keywords of a text in order, each with how many parentheses are open around it.
pub(crate) struct Places {
    words: Vec<(Keyword, Location, usize)>,
    end: Location,
}

impl Places {
    pub(crate) fn of(tokens: &[TokenWithSpan]) -> Self {
        let mut places = Self {
            words: Vec::new(),
            end: Location::empty(),
        };
        let mut depth = 0usize;
        for token in tokens {
            match &token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                Token::Word(word) if word.keyword != Keyword::NoKeyword => {
                    places.words.push((word.keyword, token.span.start, depth));
                }
                _ => {}
            }
            if !matches!(token.token, Token::Whitespace(_) | Token::EOF) {
                places.end = token.span.end;
            }
        }
        places
    }

    /// Just after the last word or sign.
    pub(crate) fn end(&self) -> Location {
        self.end
    }

    /// The first of these keywords outside all parentheses, or nowhere.
    pub(crate) fn clause(&self, keywords: &[Keyword]) -> Location {
        let mut words = self.words.iter();
        words
            .find(|(word, _, depth)| *depth == 0 && keywords.contains(word))
            .map_or_else(Location::empty, |(_, at, _)| *at)
    }

    /// The first of these keywords that belongs to the SELECT at a place, or the place itself.
    pub(crate) fn clause_in(&self, select: Location, keywords: &[Keyword]) -> Location {
        let mut words = self.words.iter().skip_while(|(_, at, _)| *at < select);
        let Some((_, _, depth)) = words.next().filter(|(_, at, _)| *at == select) else {
            return select;
        };
        words
            .take_while(|(_, _, there)| there >= depth)
            .find(|(word, _, there)| there == depth && keywords.contains(word))
            .map_or(select, |(_, at, _)| *at)
    }

    /// The last of these keywords before a place, or the place itself.
    pub(crate) fn before(&self, at: Location, keyword: Keyword) -> Location {
        let mut words = self.words.iter().rev();
        words
            .find(|(word, there, _)| *word == keyword && *there < at)
            .map_or(at, |(_, there, _)| *there)
    }

    /// The first of these keywords after a place, or the place itself.
    pub(crate) fn after(&self, at: Location, keywords: &[Keyword]) -> Location {
        let mut words = self.words.iter();
        words
            .find(|(word, there, _)| keywords.contains(word) && *there > at)
            .map_or(at, |(_, there, _)| *there)
    }
}

/// The first parenthesis or CASE that is never closed, or the parenthesis that closes nothing.
pub(crate) fn unclosed(tokens: &[TokenWithSpan]) -> Option<(Location, &'static str)> {
    const OPEN: &str = "the parenthesis that opens here is never closed";
    const CASE: &str = "the CASE that begins here has no END";
    let mut open: Vec<(Location, &'static str)> = Vec::new();
    for token in tokens {
        let at = token.span.start;
        match &token.token {
            Token::LParen => open.push((at, OPEN)),
            Token::RParen => match open.pop() {
                Some((_, OPEN)) => {}
                Some(case) => return Some(case),
                None => return Some((at, "this parenthesis closes nothing")),
            },
            Token::Word(word) if word.keyword == Keyword::CASE => open.push((at, CASE)),
            Token::Word(word) if word.keyword == Keyword::END => {
                open.pop_if(|(_, what)| *what == CASE);
            }
            _ => {}
        }
    }
    open.pop()
}

/// The first word that stands where other dialects of SQL have it and the parser has no rule:
/// FILTER behind an aggregate, ISNULL and NOTNULL behind a value.
pub(crate) fn of_other_languages(tokens: &[TokenWithSpan]) -> Option<(Location, &'static str)> {
    let mut tokens = tokens
        .iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
        .peekable();
    let mut closed = false;
    while let Some(token) = tokens.next() {
        let opens = tokens.peek().is_some_and(|t| t.token == Token::LParen);
        if let Token::Word(word) = &token.token
            && word.quote_style.is_none()
        {
            let found = match word.value.to_ascii_uppercase().as_str() {
                "FILTER" if closed && opens => Some("FILTER"),
                "ISNULL" if !opens => Some("ISNULL"),
                "NOTNULL" if !opens => Some("NOTNULL"),
                _ => None,
            };
            if let Some(what) = found {
                return Some((token.span.start, what));
            }
        }
        closed = token.token == Token::RParen;
    }
    None
}
