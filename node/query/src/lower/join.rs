//! Joins: on the subject column, and what else must be TRUE.

use sqlparser::ast::{
    BinaryOperator, Expr, Join as ParsedJoin, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart,
};
use sqlparser::tokenizer::Location;

use super::relation::table_place;
use super::{Lowering, absent, means, not_part, place};
use crate::expr::{Bool, identifier};
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::relation::{Item, Join, MOST_JOINED_ROWS, Relation};
use crate::scope::Scope;

impl Lowering<'_> {
    /// One more side of FROM.
    pub(super) fn join(&mut self, left: &Relation, join: &ParsedJoin) -> Result<Join, Refusal> {
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
