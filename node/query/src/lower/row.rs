//! Row expressions: what one row gives, whatever is in it.

use obscura_model::schema::Domain;
use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, UnaryOperator, Value, ValueWithSpan};
use sqlparser::tokenizer::Location;

use super::compare::Sides;
use super::{Lowering, advice, labels, not_part, place};
use crate::expr::{Any, Arith, Bool, Case, Comparison, Num, Same, Text, same};
use crate::limits::shown;
use crate::refusal::Refusal;

impl Lowering<'_> {
    /// A condition.
    pub(super) fn condition(&mut self, expr: &Expr) -> Result<Bool, Refusal> {
        let value = self.any(expr)?;
        as_condition(value, place(expr))
    }

    /// A number.
    pub(super) fn number(&mut self, expr: &Expr) -> Result<Num, Refusal> {
        let value = self.any(expr)?;
        as_number(value, place(expr))
    }

    /// Any row expression.
    pub(super) fn any(&mut self, expr: &Expr) -> Result<Any, Refusal> {
        self.depth += 1;
        let result = self
            .node(1, Location::empty())
            .and_then(|()| self.dispatch(expr));
        self.depth -= 1;
        Ok(self.decided(result?))
    }

    /// What labels decide, decided: wherever a condition stands, so that it means the same when
    /// brackets around it have gone.
    fn decided(&self, value: Any) -> Any {
        match value {
            Any::Bool(condition) => Any::Bool(labels::decided(condition, &self.scope)),
            other => other,
        }
    }

    fn dispatch(&mut self, expr: &Expr) -> Result<Any, Refusal> {
        match expr {
            Expr::Nested(inner) => self.any(inner),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                let column = self.column_of(expr)?;
                Ok(self.any_column(column))
            }
            Expr::Value(ValueWithSpan { value, span }) => plain_value(value, span.start),
            Expr::UnaryOp { op, expr: inner } => self.unary(*op, inner, expr),
            Expr::BinaryOp {
                left: _,
                op: _,
                right: _,
            } => self.binary(expr),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated),
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(expr, list, *negated),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => self.is_null(inner, false),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => self.is_null(inner, true),
            Expr::IsTrue(inner) => self.is(inner, true, false),
            Expr::IsNotTrue(inner) => self.is(inner, true, true),
            Expr::IsFalse(inner) => self.is(inner, false, false),
            Expr::IsNotFalse(inner) => self.is(inner, false, true),
            Expr::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => self.case(
                operand.as_deref(),
                conditions,
                else_result.as_deref(),
                place(expr),
            ),
            Expr::Function(function) => match self.of_person(function)? {
                Some(found) => Ok(found),
                None => self.applied(expr),
            },
            other => self.applied(other),
        }
    }

    /// A column by what its domain says it holds.
    pub(super) fn any_column(&self, column: usize) -> Any {
        match self.scope.get(column).map(|c| &c.domain) {
            Some(Domain::Category {
                values: _,
                other: _,
            }) => Any::Category(column),
            Some(Domain::Boolean) => Any::Bool(Bool::Column(column)),
            Some(Domain::Date { first: _, last: _ }) => Any::Date(Num::Column(column)),
            Some(Domain::Text { most_characters: _ }) => Any::Text(Text::Column(column)),
            Some(
                Domain::Integer {
                    lowest: _,
                    highest: _,
                }
                | Domain::Number {
                    lowest: _,
                    highest: _,
                },
            )
            | None => Any::Num(Num::Column(column)),
        }
    }

    fn unary(&mut self, op: UnaryOperator, inner: &Expr, whole: &Expr) -> Result<Any, Refusal> {
        match op {
            UnaryOperator::Minus => Ok(Any::Num(Num::negate(self.number(inner)?))),
            UnaryOperator::Plus => Ok(Any::Num(self.number(inner)?)),
            UnaryOperator::Not => Ok(Any::Bool(Bool::Not(Box::new(self.condition(inner)?)))),
            _ => Err(not_part(place(whole), &shown(&op.to_string()))),
        }
    }

    /// Walks down the left side of a chain of operators in a loop, so that a long flat text needs
    /// no deep stack, and then combines from left to right.
    fn binary(&mut self, expr: &Expr) -> Result<Any, Refusal> {
        let mut links: Vec<(&BinaryOperator, &Expr)> = Vec::new();
        let mut leftmost = expr;
        while let Expr::BinaryOp { left, op, right } = leftmost {
            // A comparison ends the walk: both of its sides matter at once.
            if Sides::of(op).is_some() {
                break;
            }
            links.push((op, right));
            leftmost = left;
        }
        let mut so_far = match leftmost {
            Expr::BinaryOp { left, op, right } => match Sides::of(op) {
                Some(sides) => {
                    let compared = self.sides(sides, left, right)?;
                    self.decided(compared)
                }
                None => return Err(not_part(place(leftmost), &shown(&op.to_string()))),
            },
            other => self.any(other)?,
        };
        let start = place(leftmost);
        for (op, right) in links.into_iter().rev() {
            self.node(1, start)?;
            so_far = self.combine(so_far, op, right, start)?;
        }
        Ok(so_far)
    }

    fn combine(
        &mut self,
        left: Any,
        op: &BinaryOperator,
        right: &Expr,
        at: Location,
    ) -> Result<Any, Refusal> {
        if let Some(arith) = arithmetic(op) {
            return self.calculated(left, arith, right, at);
        }
        if matches!(op, BinaryOperator::StringConcat) {
            return self.joined_texts(left, right, at);
        }
        let joined: fn(Bool, Bool) -> Bool = match op {
            BinaryOperator::And => Bool::and,
            BinaryOperator::Or => Bool::or,
            other => return Err(not_part(place(right), &shown(&other.to_string()))),
        };
        let left = as_condition(left, at)?;
        Ok(Any::Bool(joined(left, self.condition(right)?)))
    }

    fn calculated(
        &mut self,
        left: Any,
        arith: Arith,
        right: &Expr,
        at: Location,
    ) -> Result<Any, Refusal> {
        if let Expr::Interval(interval) = right {
            return self.interval(left, arith, interval, at);
        }
        let place = place(right);
        match (left, self.any(right)?) {
            (left @ Any::Date(_), right) | (left, right @ Any::Date(_)) => {
                self.day_arithmetic(left, arith, right, at)
            }
            (left, right) => {
                let (left, right) = (as_number(left, at)?, as_number(right, place)?);
                Ok(Any::Num(Num::chain(left, arith, right)))
            }
        }
    }

    fn is_null(&mut self, inner: &Expr, negated: bool) -> Result<Any, Refusal> {
        let value = match self.any(inner)? {
            Any::Null => Any::Num(Num::Null),
            other => other,
        };
        Ok(Any::Bool(Bool::IsNull {
            value: Box::new(value),
            negated,
        }))
    }

    fn is(&mut self, inner: &Expr, truth: bool, negated: bool) -> Result<Any, Refusal> {
        Ok(Any::Bool(Bool::Is {
            value: Box::new(self.condition(inner)?),
            truth,
            negated,
        }))
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        at: Location,
    ) -> Result<Any, Refusal> {
        let mut tests: Vec<Bool> = Vec::with_capacity(conditions.len());
        let mut results: Vec<Any> = Vec::with_capacity(conditions.len() + 1);
        for CaseWhen { condition, result } in conditions {
            tests.push(match operand {
                None => self.condition(condition)?,
                // Lowered again for each arm, so that the count of nodes sees every copy.
                Some(operand) => {
                    let equal = self.compare(Comparison::Equal, operand, condition)?;
                    match self.decided(equal) {
                        Any::Bool(condition) => condition,
                        _ => Bool::Null,
                    }
                }
            });
            results.push(self.any(result)?);
        }
        if let Some(expr) = otherwise {
            results.push(self.any(expr)?);
        }
        self.chosen(tests, results, at)
    }

    /// A CASE of lowered parts: one result more than tests is that of ELSE.
    pub(super) fn chosen(
        &self,
        tests: Vec<Bool>,
        results: Vec<Any>,
        at: Location,
    ) -> Result<Any, Refusal> {
        let last = results.len() > tests.len();
        let typed = same(results, &self.scope);
        let typed =
            typed.ok_or_else(|| Refusal::at(at, "the results of CASE are not all of one type"))?;
        Ok(match typed {
            Same::Nums(list) => Any::Num(Num::Case(assemble(tests, list, last))),
            Same::Dates(list) => Any::Date(Num::Case(assemble(tests, list, last))),
            Same::Bools(list) => Any::Bool(Bool::Case(assemble(tests, list, last))),
            Same::Texts(list) => Any::Text(Text::Case(assemble(tests, list, last))),
        })
    }
}

fn assemble<T>(tests: Vec<Bool>, mut results: Vec<T>, last: bool) -> Case<T> {
    let otherwise = if last { results.pop() } else { None };
    Case {
        arms: tests.into_iter().zip(results).collect(),
        otherwise: otherwise.map(Box::new),
    }
}

/// A value where a condition must stand.
pub(super) fn as_condition(value: Any, at: Location) -> Result<Bool, Refusal> {
    match value {
        Any::Bool(b) => Ok(b),
        Any::Null => Ok(Bool::Null),
        Any::Num(_) | Any::Date(_) | Any::Text(_) | Any::Category(_) => {
            Err(Refusal::at(at, "a condition is wanted here").suggest("compare it with something"))
        }
    }
}

/// A value where a number must stand.
pub(super) fn as_number(value: Any, at: Location) -> Result<Num, Refusal> {
    let suggestion = match value {
        Any::Num(n) => return Ok(n),
        Any::Null => return Ok(Num::Null),
        Any::Bool(_) => advice::NUMBER_FROM_TRUTH,
        Any::Date(_) => advice::NUMBER_FROM_DATE,
        Any::Text(_) => advice::NUMBER_FROM_TEXT,
        Any::Category(_) => advice::NUMBER_FROM_CATEGORY,
    };
    Err(Refusal::at(at, "a number is wanted here").suggest(suggestion))
}

pub(super) fn plain_value(value: &Value, at: Location) -> Result<Any, Refusal> {
    match value {
        Value::Number(text, false) => {
            let digits = text
                .bytes()
                .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
            match text.parse::<f64>() {
                Ok(number) if digits && number.is_finite() => Ok(Any::Num(Num::Literal(number))),
                _ => Err(Refusal::at(
                    at,
                    format!("{} is not a number in range", shown(text)),
                )),
            }
        }
        Value::Boolean(truth) => Ok(Any::Bool(Bool::Literal(*truth))),
        Value::Null => Ok(Any::Null),
        Value::SingleQuotedString(text) => Ok(Any::Text(Text::Literal(text.clone()))),
        other => Err(not_part(at, &shown(&other.to_string()))),
    }
}

fn arithmetic(op: &BinaryOperator) -> Option<Arith> {
    match op {
        BinaryOperator::Plus => Some(Arith::Add),
        BinaryOperator::Minus => Some(Arith::Subtract),
        BinaryOperator::Multiply => Some(Arith::Multiply),
        BinaryOperator::Divide => Some(Arith::Divide),
        BinaryOperator::Modulo => Some(Arith::Remainder),
        _ => None,
    }
}
