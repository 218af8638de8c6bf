//! FROM: tables, subqueries, WITH, and joins on the subject.

use sqlparser::ast::{
    BinaryOperator, Cte, Expr, Ident, Join as ParsedJoin, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart, TableAlias, TableFactor, TableWithJoins, With,
};
use sqlparser::tokenizer::Location;

use super::{Lowering, absent, body_place, means, name_place, nearest, not_part, place};
use crate::expr::{Bool, identifier};
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::relation::{Item, Join, MOST_JOINED_ROWS, MOST_TABLES, Relation, Rows};
use crate::scope::Scope;

/// What stands behind a table's place in FROM.
pub(super) fn table_place(table: &TableFactor) -> Location {
    match table {
        TableFactor::Table { name, .. } => name_place(name),
        TableFactor::Derived { subquery, .. } => body_place(&subquery.body),
        _ => Location::empty(),
    }
}

/// A name that a query may give: what a described name may be, too.
pub(super) fn given_name(ident: &Ident, what: &str) -> Result<String, Refusal> {
    let name = match ident.quote_style {
        None => ident.value.to_ascii_lowercase(),
        Some(_) => ident.value.clone(),
    };
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && name.len() <= 60 && name.bytes().all(part) {
        return Ok(name);
    }
    Err(Refusal::at(
        ident.span.start,
        format!("{} cannot name {what}", shown(&ident.value)),
    )
    .suggest("use lower-case letters, digits and '_', starting with a letter"))
}

impl Lowering<'_> {
    /// WITH: each name is a subquery that later ones and FROM may use.
    pub(super) fn with(&mut self, with: &With) -> Result<(), Refusal> {
        let With {
            with_token,
            recursive,
            cte_tables,
        } = with;
        absent(!recursive, with_token.0.span.start, "WITH RECURSIVE")?;
        for cte in cte_tables {
            let Cte {
                alias,
                query,
                from,
                materialized,
                closing_paren_token: _,
            } = cte;
            let at = alias.name.span.start;
            absent(from.is_none(), at, "FROM after WITH")?;
            absent(materialized.is_none(), at, "MATERIALIZED")?;
            let name = self.alias(alias, "a subquery")?;
            let tables = self.description.tables().iter().map(|t| &t.name);
            let known = tables.chain(self.with.iter().map(|(n, _)| n));
            if known.into_iter().any(|n| *n == name) {
                return Err(
                    Refusal::at(at, format!("there is a {} already", shown(&name)))
                        .suggest("choose another name"),
                );
            }
            let item = self.subquery(query, &name).map_err(|r| r.or_at(at))?;
            self.with.push((name, item));
        }
        Ok(())
    }

    /// FROM and its joins; from here on names mean its columns.
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Result<Relation, Refusal> {
        if from.is_empty() {
            return Err(Refusal::new("the SELECT has no FROM").suggest(self.tables_known()));
        }
        let [TableWithJoins { relation, joins }] = from else {
            let second = from.get(1).map(|t| table_place(&t.relation));
            let at = second.unwrap_or_else(Location::empty);
            return Err(
                Refusal::at(at, "tables are joined on the subject column only").suggest(format!(
                    "write FROM a JOIN b USING ({})",
                    self.subject_column()
                )),
            );
        };
        let first = self.item(relation)?;
        let mut relation = Relation {
            first,
            joins: Vec::with_capacity(joins.len()),
        };
        for join in joins {
            let at = table_place(&join.relation);
            let join = self.join(&relation, join).map_err(|r| r.or_at(at))?;
            relation.joins.push(join);
            if relation.tables() > MOST_TABLES {
                return Err(too_many_tables(at));
            }
        }
        self.scope = relation.scope().clone();
        Ok(relation)
    }

    /// The main table's subject column, for suggestions.
    fn subject_column(&self) -> String {
        identifier(self.description.subject_column())
    }

    fn alias(&self, alias: &TableAlias, what: &str) -> Result<String, Refusal> {
        let TableAlias {
            explicit: _,
            name,
            columns,
            at,
        } = alias;
        let start = name.span.start;
        absent(columns.is_empty(), start, "a list of names for columns")?;
        absent(at.is_none(), start, "AT")?;
        given_name(name, what)
    }

    fn item(&mut self, table: &TableFactor) -> Result<Item, Refusal> {
        let at = table_place(table);
        let item = match table {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                absent(args.is_none(), at, "a table function")?;
                let hints = with_hints.is_empty() && index_hints.is_empty();
                absent(hints, at, "a hint")?;
                absent(version.is_none(), at, "a version")?;
                absent(!with_ordinality, at, "WITH ORDINALITY")?;
                absent(partitions.is_empty(), at, "PARTITION")?;
                absent(json_path.is_none(), at, "a path")?;
                absent(sample.is_none(), at, "TABLESAMPLE")?;
                let item = self.named(name)?;
                match alias {
                    None => item,
                    Some(alias) => {
                        let name = self.alias(alias, "a table")?;
                        Item {
                            rows: item.rows,
                            scope: item.scope.renamed(&name),
                        }
                    }
                }
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                absent(!lateral, at, "LATERAL")?;
                absent(sample.is_none(), at, "TABLESAMPLE")?;
                let name = match alias {
                    Some(alias) => Some(self.alias(alias, "a subquery")?),
                    None => None,
                };
                let item = self.subquery(subquery, name.as_deref().unwrap_or("t"));
                let item = item.map_err(|r| r.or_at(at))?;
                if name.is_none() {
                    return Err(Refusal::at(at, "a subquery in FROM needs a name")
                        .suggest("write (SELECT ...) AS t"));
                }
                item
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: _,
            } => {
                let at = table_place(&table_with_joins.relation);
                return Err(not_part(at, "a join in parentheses")
                    .suggest("write the joins one after another, or as a subquery"));
            }
            _ => {
                return Err(Refusal::at(at, "FROM takes names of tables and subqueries")
                    .suggest(self.tables_known()));
            }
        };
        if item.tables() > MOST_TABLES {
            return Err(too_many_tables(at));
        }
        Ok(item)
    }

    /// A table or a subquery of WITH, by its name.
    fn named(&self, name: &ObjectName) -> Result<Item, Refusal> {
        let at = name_place(name);
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() {
            if let Some((_, item)) = self.with.iter().find(|(n, _)| means(ident, n)) {
                return Ok(item.clone());
            }
            let mut tables = self.description.tables().iter();
            if let Some(table) = tables.position(|t| means(ident, &t.name)) {
                return Ok(Item {
                    rows: Rows::Table(table),
                    scope: Scope::of_table(self.description, table),
                });
            }
        }
        let what = match self.description.tables() {
            [_] => "dataset",
            _ => "table",
        };
        let refusal = Refusal::at(
            at,
            format!("there is no {what} {}", shown(&name.to_string())),
        );
        Err(refusal.suggest(self.tables_known()))
    }

    fn tables_known(&self) -> String {
        match self.description.tables() {
            [one] => format!("write FROM {}", identifier(&one.name)),
            many => {
                let names: Vec<&str> = many.iter().map(|t| t.name.as_str()).collect();
                nearest("", &names, "the tables")
            }
        }
    }

    fn join(&mut self, left: &Relation, join: &ParsedJoin) -> Result<Join, Refusal> {
        let ParsedJoin {
            relation,
            global,
            join_operator,
        } = join;
        let at = table_place(relation);
        absent(!global, at, "GLOBAL")?;
        let (outer, constraint) = match join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (false, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                (true, constraint)
            }
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                return Err(
                    not_part(at, "RIGHT JOIN").suggest("swap the two sides and write LEFT JOIN")
                );
            }
            JoinOperator::CrossJoin(_) => {
                return Err(not_part(at, "CROSS JOIN").suggest(self.instead()));
            }
            _ => return Err(not_part(at, "this kind of join").suggest(self.instead())),
        };
        let item = self.item(relation)?;
        self.check_sides(left, &item, at)?;
        let scope = left.scope();
        let on = match constraint {
            JoinConstraint::Using(names) => {
                self.using(names, scope, &item.scope, at)?;
                None
            }
            JoinConstraint::On(condition) => self.on(condition, scope, &item.scope)?,
            JoinConstraint::Natural => {
                return Err(not_part(at, "NATURAL JOIN").suggest(self.instead()));
            }
            JoinConstraint::None => {
                return Err(
                    Refusal::at(at, "a join needs the subject column").suggest(self.instead())
                );
            }
        };
        let scope = scope.joined(&item.scope, outer, on.is_some());
        Ok(Join {
            item,
            outer,
            on,
            scope,
        })
    }

    fn instead(&self) -> String {
        format!("write JOIN ... USING ({})", self.subject_column())
    }

    /// Names that differ, and not too many rows.
    fn check_sides(&self, left: &Relation, item: &Item, at: Location) -> Result<(), Refusal> {
        let name = item.scope.items().first().map_or("", |i| &i.name);
        if left.scope().items().iter().any(|i| i.name == name) {
            return Err(Refusal::at(
                at,
                format!("two sides of the join are called {}", shown(name)),
            )
            .suggest(format!(
                "give one of them another name, such as {name} AS b"
            )));
        }
        let (a, b) = (
            left.scope().most_rows_per_subject(),
            item.scope.most_rows_per_subject(),
        );
        let product = a.saturating_mul(b);
        if a > 1 && b > 1 && product > MOST_JOINED_ROWS {
            return Err(Refusal::at(
                at,
                format!(
                    "the join gives up to {product} rows of one {} and the most is \
                     {MOST_JOINED_ROWS}",
                    self.description.subject_unit()
                ),
            )
            .suggest(format!(
                "join a subquery with one row for each, such as (SELECT {s}, COUNT(*) AS n FROM \
                 {name} GROUP BY {s}) AS t",
                s = self.subject_column()
            )));
        }
        Ok(())
    }

    fn using(
        &self,
        names: &[ObjectName],
        left: &Scope,
        right: &Scope,
        at: Location,
    ) -> Result<(), Refusal> {
        let subject = right.subject_column();
        let same = left.items().iter().all(|i| i.subject_column == subject);
        match names {
            [ObjectName(parts)] => match parts.as_slice() {
                [ObjectNamePart::Identifier(ident)] if means(ident, subject) && same => Ok(()),
                [ObjectNamePart::Identifier(ident)] => Err(Refusal::at(
                    ident.span.start,
                    "tables are joined on the subject column only",
                )
                .suggest(on_text(left, right))),
                _ => Err(not_part(at, "a name with a dot in USING")),
            },
            _ => Err(
                Refusal::at(at, "tables are joined on the subject column only")
                    .suggest(self.instead()),
            ),
        }
    }

    /// ON: the equality of the subjects, and what else must be TRUE.
    fn on(
        &mut self,
        condition: &Expr,
        left: &Scope,
        right: &Scope,
    ) -> Result<Option<Bool>, Refusal> {
        let (subjects, rest): (Vec<&Expr>, Vec<&Expr>) = conjuncts(condition)
            .into_iter()
            .partition(|part| is_subject_equality(part, left, right));
        if subjects.is_empty() {
            return Err(Refusal::at(
                place(condition),
                "tables are joined on the subject column only",
            )
            .suggest(on_text(left, right)));
        }
        let outside = std::mem::replace(&mut self.scope, left.joined(right, false, false));
        let mut all: Option<Bool> = None;
        for part in rest {
            let part = self.condition(part)?;
            all = Some(match all {
                Some(all) => Bool::and(all, part),
                None => part,
            });
        }
        self.scope = outside;
        Ok(all)
    }
}

fn too_many_tables(at: Location) -> Refusal {
    Refusal::at(
        at,
        format!("the query reads more than {MOST_TABLES} tables, each as often as it is named"),
    )
    .suggest("compute several values for each subject in one subquery")
}

fn on_text(left: &Scope, right: &Scope) -> String {
    let side = |scope: &Scope| {
        let first = scope.items().first();
        first.map_or_else(String::new, |i| {
            format!("{}.{}", identifier(&i.name), identifier(&i.subject_column))
        })
    };
    format!(
        "write ON {} = {}, with further conditions after AND",
        side(left),
        side(right)
    )
}

/// The parts of a chain of ANDs, from left to right; parentheses around it mean nothing.
fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    let mut parts = Vec::new();
    let mut left = bare(condition);
    while let Expr::BinaryOp {
        left: more,
        op: BinaryOperator::And,
        right,
    } = left
    {
        parts.push(right.as_ref());
        left = bare(more);
    }
    parts.push(left);
    parts.reverse();
    parts
}

fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// Whether a condition says that both sides are the same subject's.
fn is_subject_equality(condition: &Expr, left: &Scope, right: &Scope) -> bool {
    let Expr::BinaryOp {
        left: a,
        op: BinaryOperator::Eq,
        right: b,
    } = bare(condition)
    else {
        return false;
    };
    let of = |expr: &Expr, scope: &Scope| match bare(expr) {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [name, column] => {
                let mut items = scope.items().iter();
                items.any(|i| means(name, &i.name) && means(column, &i.subject_column))
            }
            _ => false,
        },
        _ => false,
    };
    (of(a, left) && of(b, right)) || (of(b, left) && of(a, right))
}
