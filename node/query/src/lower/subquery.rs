//! Subqueries: rows of a table with fewer or computed columns, or one row for each subject.

use sqlparser::ast::{Expr, GroupByExpr, Query, Select as ParsedSelect, SetExpr};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Location;

use super::domain::described;
use super::parts::Parts;
use super::person::Grouping;
use super::{Lowering, absent, body_place, means, not_part, place};
use crate::expr::{identifier, known_from};
use crate::refusal::Refusal;
use crate::relation::{Item, Person, Rows, Select};
use crate::scope::Scope;

impl Lowering<'_> {
    /// A SELECT in FROM or WITH, as a table called `name`.
    pub(super) fn subquery(&mut self, query: &Query, name: &str) -> Result<Item, Refusal> {
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
        let of = |keywords: &[Keyword]| self.places.clause_in(at, keywords);
        let whole = with.is_none();
        absent(whole, at, "WITH in a subquery")
            .map_err(|r| r.suggest("write every WITH at the start of the query"))?;
        absent(
            order_by.is_none(),
            of(&[Keyword::ORDER]),
            "ORDER BY in a subquery",
        )?;
        let limit = of(&[Keyword::LIMIT, Keyword::OFFSET]);
        absent(limit_clause.is_none(), limit, "LIMIT in a subquery")?;
        absent(fetch.is_none(), of(&[Keyword::FETCH]), "FETCH")?;
        absent(locks.is_empty(), at, "a lock")?;
        absent(for_clause.is_none(), at, "FOR")?;
        absent(settings.is_none(), at, "SETTINGS")?;
        absent(format_clause.is_none(), at, "FORMAT")?;
        absent(pipe_operators.is_empty(), at, "a pipe")?;
        let SetExpr::Select(select) = body.as_ref() else {
            return Err(Refusal::at(at, "a subquery is one SELECT")
                .suggest("write one SELECT with a condition for both parts"));
        };
        self.node(1, at)?;
        self.depth += 1;
        let outside = self.scope.clone();
        let select = self.subselect(select)?;
        self.scope = outside;
        self.depth -= 1;
        Ok(self.item_of(select, name))
    }

    fn subselect(&mut self, select: &ParsedSelect) -> Result<Select, Refusal> {
        let start = select.select_token.0.span.start;
        let of = |keyword: Keyword| self.places.clause_in(start, &[keyword]);
        let Parts {
            at,
            projection,
            from,
            selection,
            group_by,
            having,
        } = Parts::of(select, "SELECT DISTINCT in a subquery", of)?;
        let (group_place, having_place) = (of(Keyword::GROUP), of(Keyword::HAVING));
        let from = self.from(from).map_err(|r| r.or_at(at))?;
        let filter = match selection {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let grouped = self.grouped(group_by, group_place)?;
        if grouped {
            self.grouping = Some(Grouping {
                input: self.scope.clone(),
                known: known_from(filter.as_ref()),
                aggregates: Vec::new(),
            });
            let columns = Vec::new();
            self.scope = Scope::of_item("", "", columns, self.description.subject_unit(), 1);
        }
        self.row_by_row = !grouped;
        let outputs = self.shown(projection, &from, at);
        self.row_by_row = false;
        let having = match (&outputs, having) {
            (Ok(_), Some(condition)) if grouped => self.condition(condition).map(Some),
            (Ok(_), Some(_)) => Err(Refusal::at(having_place, "HAVING needs GROUP BY")
                .suggest("write the condition after WHERE")),
            _ => Ok(None),
        };
        // Taken back before anything is refused: names mean something else from here on.
        let grouping = self.grouping.take();
        let (subject, outputs) = outputs?;
        let having = having?;
        let person = grouping.map(|grouping| Person {
            aggregates: grouping.aggregates,
            scope: self.scope.clone(),
            having,
        });
        Ok(Select {
            from,
            filter,
            person,
            subject,
            outputs,
        })
    }

    /// Whether a subquery groups by the subject; nothing else can be grouped by there.
    fn grouped(&self, group_by: &GroupByExpr, at: Location) -> Result<bool, Refusal> {
        let GroupByExpr::Expressions(list, modifiers) = group_by else {
            return Err(not_part(at, "GROUP BY ALL").suggest("name the subject column"));
        };
        absent(modifiers.is_empty(), at, "a modifier of GROUP BY")?;
        match list.as_slice() {
            [] => Ok(false),
            [one] if self.subject_side(one).is_some() => Ok(true),
            [.., last] => {
                let subject = identifier(self.scope.subject_column());
                let at = place(last);
                Err(
                    Refusal::at(at, "a subquery groups by the subject column alone").suggest(
                        format!(
                            "write GROUP BY {subject}; group by other columns in the outer SELECT"
                        ),
                    ),
                )
            }
        }
    }

    /// The side of FROM whose subject column an expression names.
    pub(super) fn subject_side(&self, expr: &Expr) -> Option<usize> {
        let scope = match &self.grouping {
            Some(grouping) => &grouping.input,
            None => &self.scope,
        };
        let mut items = scope.items().iter();
        match expr {
            Expr::Identifier(ident) => items.position(|i| means(ident, &i.subject_column)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [name, column] => {
                    items.position(|i| means(name, &i.name) && means(column, &i.subject_column))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A subquery as a table: what its columns are called and what is known of them.
    fn item_of(&self, select: Select, name: &str) -> Item {
        let from = select.from.scope();
        let scope = select.scope();
        let known = match &select.person {
            None => known_from(select.filter.as_ref()),
            Some(person) => known_from(person.having.as_ref()),
        };
        let columns = select.outputs.iter();
        let columns = columns.map(|o| described(o, scope, &known)).collect();
        let subject = from.items().get(select.subject);
        let most_rows = match &select.person {
            Some(_) => 1,
            None => from.most_rows_per_subject(),
        };
        let scope = Scope::of_item(
            name,
            subject.map_or("", |i| &i.subject_column),
            columns,
            self.description.subject_unit(),
            most_rows,
        );
        Item {
            rows: Rows::Select(Box::new(select)),
            scope,
        }
    }
}
