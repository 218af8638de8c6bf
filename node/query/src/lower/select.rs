//! The one SELECT: its clauses, its group keys, its outputs.

use sqlparser::ast::{Query, Select, SetExpr, Statement};

use obscura_model::codelist::CodeLists;
use obscura_model::schema::Description;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Location;

use super::arrange::Clauses;
use super::parts::Parts;
use super::released::Names;
use super::{Lowering, absent, body_place};
use crate::places::Places;
use crate::query::Definition;
use crate::refusal::Refusal;
use crate::scope::Scope;

/// Lowers a parsed statement.
pub(crate) fn select(
    statement: &Statement,
    places: &Places,
    description: &Description,
    lists: &CodeLists,
) -> Result<Definition, Refusal> {
    let Statement::Query(query) = statement else {
        return Err(Refusal::new("a query is one SELECT"));
    };
    Lowering {
        description,
        lists,
        scope: Scope::of_table(description, 0),
        with: Vec::new(),
        grouping: None,
        row_by_row: false,
        places,
        depth: 0,
        nodes: 0,
    }
    .query(query)
}

impl Lowering<'_> {
    fn query(&mut self, query: &Query) -> Result<Definition, Refusal> {
        let at = body_place(&query.body);
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if let Some(with) = with {
            self.with(with).map_err(|r| r.or_at(at))?;
        }
        let of = |keywords: &[Keyword]| self.at(keywords, at);
        absent(fetch.is_none(), of(&[Keyword::FETCH]), "FETCH")?;
        absent(locks.is_empty(), of(&[Keyword::FOR]), "a lock")?;
        absent(for_clause.is_none(), of(&[Keyword::FOR]), "FOR")?;
        absent(settings.is_none(), at, "SETTINGS")?;
        absent(format_clause.is_none(), at, "FORMAT")?;
        absent(pipe_operators.is_empty(), at, "a pipe")?;
        match body.as_ref() {
            SetExpr::Select(select) => {
                let clauses = Clauses {
                    having: select.having.as_ref(),
                    order_by: order_by.as_ref(),
                    limit: limit_clause.as_ref(),
                    at: [
                        of(&[Keyword::HAVING]),
                        of(&[Keyword::ORDER]),
                        of(&[Keyword::LIMIT, Keyword::OFFSET]),
                    ],
                };
                self.select(select, &clauses)
            }
            _ => {
                let joins = [Keyword::UNION, Keyword::EXCEPT, Keyword::INTERSECT];
                Err(Refusal::at(of(&joins), "a query is one SELECT")
                    .suggest("write each SELECT as a release of its own"))
            }
        }
    }

    /// Where a clause begins, or what it belongs to if that is not known.
    fn at(&self, keywords: &[Keyword], whole: Location) -> Location {
        match self.places.clause(keywords) {
            unknown if unknown == Location::empty() => whole,
            known => known,
        }
    }

    fn select(&mut self, select: &Select, clauses: &Clauses<'_>) -> Result<Definition, Refusal> {
        let start = select.select_token.0.span.start;
        let Parts {
            at,
            projection,
            from,
            selection,
            group_by,
            // Among the clauses.
            having: _,
        } = Parts::of(select, "SELECT DISTINCT", |keyword| {
            self.at(&[keyword], start)
        })?;
        let relation = self.from(from).map_err(|r| r.or_at(at))?;
        let keys = self.keys(group_by, projection)?;
        if keys.is_empty() {
            clauses.need_groups()?;
        }
        let outputs = self.outputs(projection, &keys).map_err(|r| r.or_at(at))?;
        let filter = match selection {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let names = Names {
            keys: &keys,
            outputs: &outputs,
        };
        let arrangement = self.arrange(clauses, names)?;
        Ok(Definition {
            relation,
            scope: self.scope.clone(),
            keys,
            outputs,
            filter,
            arrangement,
        })
    }
}
