//! Row expressions: what one row gives, whatever is in it.

use obscura_model::schema::Domain;
use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, UnaryOperator, Value, ValueWithSpan};
use sqlparser::tokenizer::Location;

use super::aggregate::{Call, call, expression};
use super::{Lowering, advice, not_part, place};
use crate::expr::{Any, Arith, Bool, Case, Comparison, Num};
use crate::limits::shown;
use crate::refusal::Refusal;

impl Lowering<'_> {
    /// A condition.
    pub(super) fn condition(&mut self, expr: &Expr) -> Result<Bool, Refusal> {
        match self.any(expr)? {
            Any::Bool(b) => Ok(b),
            Any::Null => Ok(Bool::Null),
            Any::Num(_) | Any::Category(_) => {
                Err(Refusal::at(place(expr), "a condition is wanted here")
                    .suggest("compare it with something"))
            }
        }
    }

    fn number(&mut self, expr: &Expr) -> Result<Num, Refusal> {
        match self.any(expr)? {
            Any::Num(n) => Ok(n),
            Any::Null => Ok(Num::Null),
            Any::Bool(_) => Err(Refusal::at(place(expr), "a number is wanted here")
                .suggest("write CASE WHEN ... THEN 1 ELSE 0 END")),
            Any::Category(_) => Err(Refusal::at(place(expr), "a number is wanted here")
                .suggest("a category is compared with texts from its list only")),
        }
    }

    fn boxed(&mut self, expr: &Expr) -> Result<Box<Num>, Refusal> {
        self.number(expr).map(Box::new)
    }

    /// Any row expression.
    pub(super) fn any(&mut self, expr: &Expr) -> Result<Any, Refusal> {
        self.depth += 1;
        let result = self
            .node(1, Location::empty())
            .and_then(|()| self.dispatch(expr));
        self.depth -= 1;
        result
    }

    fn dispatch(&mut self, expr: &Expr) -> Result<Any, Refusal> {
        match expr {
            Expr::Nested(inner) => self.any(inner),
            Expr::Identifier(ident) => {
                let column = self.column(ident)?;
                Ok(match self.scope.get(column).map(|c| &c.domain) {
                    Some(Domain::Category {
                        values: _,
                        other: _,
                    }) => Any::Category(column),
                    Some(Domain::Boolean) => Any::Bool(Bool::Column(column)),
                    _ => Any::Num(Num::Column(column)),
                })
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
            } => Ok(Any::Bool(Bool::Between {
                value: self.boxed(expr)?,
                low: self.boxed(low)?,
                high: self.boxed(high)?,
                negated: *negated,
            })),
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(expr, list, *negated),
            Expr::IsNull(inner) => self.is_null(inner, false),
            Expr::IsNotNull(inner) => self.is_null(inner, true),
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
            Expr::Function(function) => self.function(call(function)?, place(expr)),
            Expr::CompoundIdentifier(_) => Err(Refusal::at(
                place(expr),
                "a name with a dot is not part of the query language",
            )
            .suggest("write the column's name alone")),
            _ => Err(self.without_rule(expr)),
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
            if comparison(op).is_some() {
                break;
            }
            links.push((op, right));
            leftmost = left;
        }
        let mut so_far = match leftmost {
            Expr::BinaryOp { left, op, right } => match comparison(op) {
                Some(comparison) => self.compare(comparison, left, right)?,
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
            let left = match left {
                Any::Num(n) => n,
                Any::Null => Num::Null,
                Any::Bool(_) | Any::Category(_) => {
                    return Err(Refusal::at(at, "a number is wanted here"));
                }
            };
            return Ok(Any::Num(Num::chain(left, arith, self.number(right)?)));
        }
        let joined: fn(Bool, Bool) -> Bool = match op {
            BinaryOperator::And => Bool::and,
            BinaryOperator::Or => Bool::or,
            other => return Err(not_part(place(right), &shown(&other.to_string()))),
        };
        let left = match left {
            Any::Bool(b) => b,
            Any::Null => Bool::Null,
            Any::Num(_) | Any::Category(_) => {
                return Err(Refusal::at(at, "a condition is wanted here"));
            }
        };
        Ok(Any::Bool(joined(left, self.condition(right)?)))
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

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        at: Location,
    ) -> Result<Any, Refusal> {
        let mut arms: Vec<(Bool, Any)> = Vec::with_capacity(conditions.len());
        for CaseWhen { condition, result } in conditions {
            let condition = match operand {
                None => self.condition(condition)?,
                // Lowered again for each arm, so that the count of nodes sees every copy.
                Some(operand) => match self.compare(Comparison::Equal, operand, condition)? {
                    Any::Bool(b) => b,
                    _ => Bool::Null,
                },
            };
            arms.push((condition, self.any(result)?));
        }
        let otherwise = match otherwise {
            Some(expr) => Some(self.any(expr)?),
            None => None,
        };
        let results = arms.iter().map(|(_, r)| r).chain(otherwise.as_ref());
        let truth = results.clone().any(|r| matches!(r, Any::Bool(_)));
        if results.clone().any(|r| matches!(r, Any::Category(_))) {
            return Err(Refusal::at(
                at,
                "CASE gives numbers or conditions, not categories",
            ));
        }
        if truth {
            assemble(arms, otherwise, as_bool).map(|c| Any::Bool(Bool::Case(c)))
        } else {
            assemble(arms, otherwise, as_num).map(|c| Any::Num(Num::Case(c)))
        }
        .ok_or_else(|| Refusal::at(at, "the results of CASE are not all of one type"))
    }

    fn function(&mut self, call: Call<'_>, at: Location) -> Result<Any, Refusal> {
        let Call {
            name,
            distinct,
            arguments,
        } = call;
        let make: fn(Vec<Num>) -> Num = match name.as_str() {
            "LEAST" => Num::Least,
            "GREATEST" => Num::Greatest,
            "COUNT" | "SUM" | "AVG" => {
                return Err(
                    Refusal::at(at, format!("{name} cannot stand inside an expression"))
                        .suggest("release it as an output and compute with the released number"),
                );
            }
            other => {
                let refusal = not_part(at, &format!("the function {}", shown(other)));
                return Err(refusal.suggest(advice::function(other)));
            }
        };
        if distinct {
            return Err(not_part(at, "DISTINCT here"));
        }
        if arguments.is_empty() {
            return Err(Refusal::at(at, format!("{name} needs numbers")));
        }
        let mut numbers = Vec::with_capacity(arguments.len());
        for argument in arguments {
            numbers.push(self.number(expression(argument)?)?);
        }
        Ok(Any::Num(make(numbers)))
    }
}

fn assemble<T>(
    arms: Vec<(Bool, Any)>,
    otherwise: Option<Any>,
    typed: fn(Any) -> Option<T>,
) -> Option<Case<T>> {
    let arms = arms
        .into_iter()
        .map(|(condition, result)| Some((condition, typed(result)?)))
        .collect::<Option<Vec<_>>>()?;
    let otherwise = match otherwise {
        Some(value) => Some(Box::new(typed(value)?)),
        None => None,
    };
    Some(Case { arms, otherwise })
}

fn as_num(value: Any) -> Option<Num> {
    match value {
        Any::Num(n) => Some(n),
        Any::Null => Some(Num::Null),
        Any::Bool(_) | Any::Category(_) => None,
    }
}

fn as_bool(value: Any) -> Option<Bool> {
    match value {
        Any::Bool(b) => Some(b),
        Any::Null => Some(Bool::Null),
        Any::Num(_) | Any::Category(_) => None,
    }
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
        Value::SingleQuotedString(_) => Err(Refusal::at(
            at,
            "a text can only be compared with a category column",
        )),
        other => Err(not_part(at, &shown(&other.to_string()))),
    }
}

fn arithmetic(op: &BinaryOperator) -> Option<Arith> {
    match op {
        BinaryOperator::Plus => Some(Arith::Add),
        BinaryOperator::Minus => Some(Arith::Subtract),
        BinaryOperator::Multiply => Some(Arith::Multiply),
        BinaryOperator::Divide => Some(Arith::Divide),
        _ => None,
    }
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    match op {
        BinaryOperator::Eq => Some(Comparison::Equal),
        BinaryOperator::NotEq => Some(Comparison::NotEqual),
        BinaryOperator::Lt => Some(Comparison::Less),
        BinaryOperator::LtEq => Some(Comparison::LessOrEqual),
        BinaryOperator::Gt => Some(Comparison::Greater),
        BinaryOperator::GtEq => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}
