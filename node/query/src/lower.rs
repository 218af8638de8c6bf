//! From the parser's tree to the typed query. Only lowering accepts.
//!
//! Every node is destructured field by field; a field that the language has no rule for must be
//! empty, and a node without a rule is refused at its place. There is no list of what is
//! forbidden: what has no rule here cannot be said.

mod advice;
mod aggregate;
mod arrange;
mod call;
mod cast;
mod compare;
mod days;
mod domain;
mod join;
pub(crate) mod keys;
mod labels;
mod outputs;
mod parts;
mod person;
mod relation;
mod released;
mod row;
mod select;
mod shown;
mod subquery;
mod texts;

use obscura_model::codelist::CodeLists;
use obscura_model::schema::Description;
use sqlparser::ast::{Expr, Function, Ident, ObjectName, ObjectNamePart, SetExpr};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Location;

use crate::limits::shown;
use crate::places::Places;
use crate::refusal::Refusal;
use crate::relation::Item;
use crate::scope::Scope;

pub(crate) use select::select;

/// The deepest nesting of typed nodes. The limits on the text bound it already; this one does not
/// depend on how the parser shapes its tree.
const MOST_DEPTH: usize = 200;

/// The most typed nodes: a simple CASE repeats what it compares in each arm.
const MOST_NODES: usize = 10_000;

/// The limits on expressions, for the page of the language.
pub(crate) const SIZES: [(&str, usize); 4] = [
    ("parts of expressions, each copy counted", MOST_NODES),
    (
        "characters of a text that is put together",
        call::MOST_CHARACTERS as usize,
    ),
    (
        "characters of a pattern",
        crate::expr::MOST_PATTERN_CHARACTERS,
    ),
    ("patterns", MOST_NODES / texts::NODES_PER_PATTERN),
];

/// What is refused and what to do instead, for the page of the language.
pub(crate) fn refused() -> impl Iterator<Item = (String, &'static str)> {
    advice::page()
}

struct Lowering<'a> {
    description: &'a Description,
    lists: &'a CodeLists,
    /// What names mean in the SELECT at hand.
    scope: Scope,
    /// The subqueries of WITH so far, by name.
    with: Vec<(String, Item)>,
    /// Set while the outputs of a SELECT that groups by the subject are read.
    grouping: Option<person::Grouping>,
    /// Set while the columns of a subquery that does not group are read.
    row_by_row: bool,
    places: &'a Places,
    depth: usize,
    nodes: usize,
}

/// Refuses unless a part of the tree that the language has no rule for is absent.
fn absent(holds: bool, at: Location, what: &str) -> Result<(), Refusal> {
    if holds {
        Ok(())
    } else {
        Err(not_part(at, what))
    }
}

/// The refusal of what the language does not have, with what to write instead.
pub(crate) fn not_part(at: Location, what: &str) -> Refusal {
    let refusal = Refusal::at(at, format!("{what} is not part of the query language"));
    match advice::instead(what) {
        Some(instead) => refusal.suggest(instead),
        None => refusal,
    }
}

/// Where an expression begins, or nowhere. The parser's own spans recurse; this walks down the
/// left side in a loop, because a long flat text is a deep tree there.
fn place(expr: &Expr) -> Location {
    let mut leftmost = expr;
    loop {
        leftmost = match leftmost {
            Expr::BinaryOp {
                left,
                op: _,
                right: _,
            } => left,
            Expr::Nested(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::UnaryOp { op: _, expr: inner }
            | Expr::Between { expr: inner, .. }
            | Expr::InList { expr: inner, .. }
            | Expr::InSubquery { expr: inner, .. }
            | Expr::Like { expr: inner, .. }
            | Expr::ILike { expr: inner, .. }
            | Expr::SimilarTo { expr: inner, .. }
            | Expr::Extract { expr: inner, .. }
            | Expr::Ceil { expr: inner, .. }
            | Expr::Floor { expr: inner, .. }
            | Expr::Substring { expr: inner, .. }
            | Expr::Trim { expr: inner, .. }
            | Expr::Position { expr: inner, .. }
            | Expr::Convert { expr: inner, .. }
            | Expr::Overlay { expr: inner, .. }
            | Expr::Cast { expr: inner, .. } => inner,
            Expr::Identifier(ident) => return ident.span.start,
            Expr::CompoundIdentifier(parts) => {
                return parts.first().map_or_else(Location::empty, |i| i.span.start);
            }
            Expr::Value(value) => return value.span.start,
            Expr::TypedString(typed) => return typed.value.span.start,
            Expr::Interval(interval) => &interval.value,
            Expr::Function(function) => return function_place(function),
            Expr::Case { case_token, .. } => return case_token.0.span.start,
            Expr::Subquery(query)
            | Expr::Exists {
                subquery: query,
                negated: _,
            } => return body_place(&query.body),
            _ => return Location::empty(),
        };
    }
}

fn function_place(function: &Function) -> Location {
    name_place(&function.name)
}

fn name_place(name: &ObjectName) -> Location {
    match name.0.first() {
        Some(ObjectNamePart::Identifier(ident)) => ident.span.start,
        _ => Location::empty(),
    }
}

fn body_place(body: &SetExpr) -> Location {
    match body {
        SetExpr::Select(select) => select.select_token.0.span.start,
        _ => Location::empty(),
    }
}

/// What an expression without a rule is called in a refusal.
fn kind(expr: &Expr) -> &'static str {
    match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => "a query in a query",
        Expr::Cast { .. } => "a cast",
        Expr::Convert { .. } => "the function 'CONVERT'",
        Expr::Position { .. } => "the function 'POSITION'",
        Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. } => {
            "matching texts by a pattern"
        }
        Expr::Tuple(_) => "a list of values here",
        Expr::Interval(_) => "an interval here",
        Expr::TypedString(_) | Expr::AtTimeZone { .. } => "a time",
        Expr::Wildcard(_) | Expr::QualifiedWildcard(_, _) => "* here",
        _ => "this expression",
    }
}

/// Whether a written name means `name`: unquoted ones fold to lower case, quoted ones are exact.
fn means(ident: &Ident, name: &str) -> bool {
    let Ident {
        value,
        quote_style,
        span: _,
    } = ident;
    match quote_style {
        None => value.to_ascii_lowercase() == name,
        Some(_) => value == name,
    }
}

impl Lowering<'_> {
    /// Refuses an expression without a rule, at the word that makes it one.
    fn without_rule(&self, expr: &Expr) -> Refusal {
        let begins = place(expr);
        let at = match expr {
            Expr::Cast { .. } => self.places.before(begins, Keyword::CAST),
            Expr::Convert { .. } => self.places.before(begins, Keyword::CONVERT),
            Expr::Position { .. } => self.places.before(begins, Keyword::POSITION),
            Expr::SimilarTo { .. } => self.places.after(begins, &[Keyword::SIMILAR]),
            Expr::Like { .. } => self.places.after(begins, &[Keyword::LIKE]),
            Expr::InSubquery { subquery, .. } => body_place(&subquery.body),
            _ => begins,
        };
        let refusal = not_part(at, kind(expr));
        match expr {
            Expr::Convert { .. } => refusal.suggest(advice::function("CONVERT")),
            Expr::Position { .. } => refusal.suggest(advice::function("POSITION")),
            _ => refusal,
        }
    }

    fn node(&mut self, count: usize, at: Location) -> Result<(), Refusal> {
        self.nodes = self.nodes.saturating_add(count);
        if self.nodes > MOST_NODES || self.depth > MOST_DEPTH {
            return Err(
                Refusal::at(at, "the query is too large").suggest("split it into several releases")
            );
        }
        Ok(())
    }

    fn is_subject(&self, ident: &Ident) -> bool {
        self.subject_side(&Expr::Identifier(ident.clone()))
            .is_some()
    }

    /// The position of a column that is named, alone or after its table's name.
    fn column_of(&self, expr: &Expr) -> Result<usize, Refusal> {
        let at = place(expr);
        match expr {
            _ if self.grouping.is_some() => Err(self.ungrouped(expr)),
            Expr::Identifier(ident) => self.column(ident),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] => self.qualified(table, column),
                _ => Err(not_part(at, "a name with two dots")),
            },
            _ => Err(Refusal::at(at, "a column is wanted here")),
        }
    }

    /// A column beside GROUP BY the subject.
    fn ungrouped(&self, expr: &Expr) -> Refusal {
        let name = shown(&expr.to_string());
        Refusal::at(
            place(expr),
            format!("{name} may have several values for one subject"),
        )
        .suggest("say which, such as MIN or MAX of it, or BOOL_OR of a condition")
    }

    /// The position of a column that is named alone.
    fn column(&self, ident: &Ident) -> Result<usize, Refusal> {
        let at = ident.span.start;
        let columns = self.scope.qualified().iter().enumerate();
        let found: Vec<_> = columns
            .filter(|(_, c)| means(ident, &c.column.name))
            .collect();
        let side = self.subject_side(&Expr::Identifier(ident.clone()));
        let tables = found.iter().map(|(_, c)| c.qualifier.as_str());
        match (found.as_slice(), side) {
            ([(position, _)], None) => Ok(*position),
            ([], Some(side)) => Err(self.only_counted(at, side)),
            ([], None) => Err(self.no_column(ident, None)),
            (several, side) => {
                let items = self.scope.items();
                let subject = side.and_then(|s| items.get(s)).map(|i| i.name.as_str());
                let tables: Vec<&str> = tables.chain(subject).collect();
                let name = several.first().map_or("", |(_, c)| c.column.name.as_str());
                let quoted: Vec<String> = tables.iter().map(|t| format!("'{t}'")).collect();
                let whole: Vec<String> = tables.iter().map(|t| format!("{t}.{name}")).collect();
                Err(Refusal::at(
                    at,
                    format!(
                        "{} is in {}",
                        shown(name),
                        crate::expr::join(&quoted, "and")
                    ),
                )
                .suggest(format!("write {}", crate::expr::join(&whole, "or"))))
            }
        }
    }

    /// The position of a column after its table's name.
    fn qualified(&self, table: &Ident, column: &Ident) -> Result<usize, Refusal> {
        let items = self.scope.items();
        let Some(side) = items.iter().position(|i| means(table, &i.name)) else {
            let names: Vec<&str> = items.iter().map(|i| i.name.as_str()).collect();
            return Err(Refusal::at(
                table.span.start,
                format!("FROM has no table {}", shown(&table.value)),
            )
            .suggest(nearest(&table.value, &names, "the tables")));
        };
        let name = items.get(side).map_or("", |i| &i.name);
        let mut columns = self.scope.qualified().iter();
        let found = columns.position(|c| c.qualifier == name && means(column, &c.column.name));
        match found {
            Some(position) => Ok(position),
            None if items
                .get(side)
                .is_some_and(|i| means(column, &i.subject_column)) =>
            {
                Err(self.only_counted(table.span.start, side))
            }
            None => Err(self.no_column(column, Some(name))),
        }
    }

    fn only_counted(&self, at: Location, side: usize) -> Refusal {
        let subject = self.scope.items().get(side);
        let subject = crate::expr::identifier(subject.map_or("", |i| &i.subject_column));
        Refusal::at(
            at,
            format!("{subject} says whose row it is and can only be counted"),
        )
        .suggest(format!("write COUNT(DISTINCT {subject})"))
    }

    fn no_column(&self, ident: &Ident, table: Option<&str>) -> Refusal {
        let columns = self.scope.qualified().iter();
        let names: Vec<&str> = columns
            .filter(|c| table.is_none_or(|t| c.qualifier == t))
            .map(|c| c.column.name.as_str())
            .collect();
        let tables: Vec<&str> = match table {
            Some(table) => vec![table],
            None => self.scope.items().iter().map(|i| i.name.as_str()).collect(),
        };
        let none = match tables.as_slice() {
            [one] => format!("{one} has no column {}", shown(&ident.value)),
            many => {
                let many: Vec<String> = many.iter().map(|t| (*t).to_owned()).collect();
                let tables = crate::expr::join(&many, "nor");
                format!("neither {tables} has a column {}", shown(&ident.value))
            }
        };
        Refusal::at(ident.span.start, none).suggest(nearest(&ident.value, &names, "the columns"))
    }
}

/// "did you mean", or the whole of a short list.
pub(crate) fn nearest(written: &str, known: &[&str], what: &str) -> String {
    close(written, known).unwrap_or_else(|| {
        let some: Vec<String> = known.iter().take(8).map(|k| format!("'{k}'")).collect();
        let dots = if known.len() > 8 { " and others" } else { "" };
        format!("{what} are {}{dots}", some.join(", "))
    })
}

/// "did you mean", if something known is written nearly so.
fn close(written: &str, known: &[&str]) -> Option<String> {
    let wanted = written.to_lowercase();
    let mut ranked: Vec<(usize, &str)> = known
        .iter()
        .map(|k| (distance(&wanted, &k.to_lowercase()), *k))
        .collect();
    ranked.sort_by_key(|(d, _)| *d);
    let close: Vec<String> = ranked
        .iter()
        .take(3)
        .filter(|(d, k)| *d <= 2 || *d * 3 <= k.chars().count())
        .map(|(_, k)| format!("'{k}'"))
        .collect();
    (!close.is_empty()).then(|| format!("did you mean {}?", crate::expr::join(&close, "or")))
}

/// Edit distance (Levenshtein 1966), of the first 40 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(40).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(x != *y))
                .min(*cell + 1)
                .min(left + 1);
            diagonal = *cell;
            *cell = here;
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
