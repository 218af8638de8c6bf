//! Expressions over aggregates: what is computed from released numbers.

use std::collections::BTreeSet;

use obscura_model::answer::Function;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArgExpr, Ident, UnaryOperator, Value, ValueWithSpan,
};
use sqlparser::tokenizer::Location;

use super::aggregate::{Call, call, expression};
use super::compare::never_matches;
use super::{Lowering, advice, means, not_part, place};
use crate::limits::shown;
use crate::query::released::NAMED;
use crate::query::{KeyDefinition, OutputDefinition, Released};
use crate::refusal::Refusal;

/// What names mean beside aggregates.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) keys: &'a [KeyDefinition],
    /// The outputs that can be named: all in HAVING and ORDER BY, none in an output.
    pub(super) outputs: &'a [OutputDefinition],
}

impl Lowering<'_> {
    /// A released number or a condition over released numbers.
    pub(super) fn released(&mut self, expr: &Expr, names: Names<'_>) -> Result<Released, Refusal> {
        self.depth += 1;
        let result = self
            .node(1, place(expr))
            .and_then(|()| self.released_node(expr, names));
        self.depth -= 1;
        result
    }

    fn released_node(&mut self, expr: &Expr, names: Names<'_>) -> Result<Released, Refusal> {
        match expr {
            Expr::Nested(inner) => self.released(inner, names),
            Expr::Value(ValueWithSpan { value, span }) => released_value(value, span.start),
            Expr::Identifier(ident) => self.released_name(ident, names),
            Expr::CompoundIdentifier(_) => {
                let column = self.column_of(expr)?;
                Err(self.alone(place(expr), column))
            }
            Expr::Function(function) => {
                let call = call(function)?;
                self.released_call(call, names, place(expr))
            }
            Expr::UnaryOp { op, expr: inner } => self.released_unary(*op, inner, names),
            Expr::BinaryOp { left, op, right } => self.released_pair(left, op, right, names),
            Expr::IsNull(inner) => {
                let value = self.released(inner, names)?;
                Ok(Released::Apply(Function::IsMissing, vec![value]))
            }
            Expr::IsNotNull(inner) => {
                let value = self.released(inner, names)?;
                let missing = Released::Apply(Function::IsMissing, vec![value]);
                Ok(Released::Apply(Function::Not, vec![missing]))
            }
            Expr::Between {
                expr: value,
                negated,
                low,
                high,
            } => {
                if let Some(above) =
                    self.key_compared(value, Function::GreaterOrEqual, low, names)?
                {
                    let below = self.key_compared(value, Function::LessOrEqual, high, names)?;
                    let both = match below {
                        Some(below) => join(Function::And, above, below),
                        None => above,
                    };
                    return Ok(negate(both, *negated));
                }
                let value = self.compared(value, *negated, names)?;
                let low = self.compared(low, *negated, names)?;
                let high = self.compared(high, *negated, names)?;
                let above = Released::Apply(Function::GreaterOrEqual, vec![value.clone(), low]);
                let below = Released::Apply(Function::LessOrEqual, vec![value, high]);
                Ok(negate(join(Function::And, above, below), *negated))
            }
            Expr::InList {
                expr: value,
                list,
                negated,
            } => self.released_in(value, list, *negated, names),
            Expr::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => self.released_case(
                operand.as_deref(),
                conditions,
                else_result.as_deref(),
                names,
            ),
            _ => Err(self.without_rule(expr)),
        }
    }

    fn number_released(&mut self, expr: &Expr, names: Names<'_>) -> Result<Released, Refusal> {
        let value = self.released(expr, names)?;
        if value.is_condition() {
            return Err(Refusal::at(place(expr), "a number is wanted here")
                .suggest("write CASE WHEN ... THEN 1 ELSE 0 END"));
        }
        if matches!(value, Released::Key(_)) {
            return Err(
                Refusal::at(place(expr), "a group key is no number beside aggregates")
                    .suggest("compare it with its labels, such as region IN ('N', 'S')"),
            );
        }
        Ok(value)
    }

    /// A number that is compared with another.
    fn compared(
        &mut self,
        expr: &Expr,
        negated: bool,
        names: Names<'_>,
    ) -> Result<Released, Refusal> {
        match self.number_released(expr, names)? {
            Released::Missing => Err(never_matches(expr, negated)),
            value => Ok(value),
        }
    }

    pub(super) fn condition_released(
        &mut self,
        expr: &Expr,
        names: Names<'_>,
    ) -> Result<Released, Refusal> {
        let value = self.released(expr, names)?;
        if value.is_condition() || value == Released::Missing {
            return Ok(value);
        }
        Err(Refusal::at(place(expr), "a condition is wanted here")
            .suggest("compare it with something"))
    }

    fn released_name(&mut self, ident: &Ident, names: Names<'_>) -> Result<Released, Refusal> {
        if let Some(key) = names.keys.iter().position(|k| means(ident, &k.name)) {
            return Ok(Released::Key(key));
        }
        if let Some(output) = names.outputs.iter().find(|o| means(ident, &o.name)) {
            return Ok(output.value.clone());
        }
        let at = ident.span.start;
        let column = self.column(ident)?;
        Err(self.alone(at, column))
    }

    /// A column beside aggregates that is no key.
    fn alone(&self, at: Location, column: usize) -> Refusal {
        let name = self.scope.get(column).map_or("", |c| c.name.as_str());
        Refusal::at(
            at,
            format!("'{name}' stands alone, and rows themselves are never released"),
        )
        .suggest(format!(
            "group by it, or ask for an aggregate such as COUNT({name})"
        ))
    }

    fn released_call(
        &mut self,
        call: Call<'_>,
        names: Names<'_>,
        at: Location,
    ) -> Result<Released, Refusal> {
        if let Some(aggregate) = self.aggregate(&call, at)? {
            let value = Released::Aggregate(aggregate);
            return Ok(if call.name.starts_with("STDDEV") {
                Released::Apply(Function::Sqrt, vec![value])
            } else {
                value
            });
        }
        let Some((_, function)) = NAMED.iter().find(|(name, _)| *name == call.name) else {
            return Err(not_part(at, &format!("the function {}", shown(&call.name)))
                .suggest(advice::output(&call.name)));
        };
        if call.distinct {
            return Err(not_part(at, "DISTINCT here"));
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            let argument: &FunctionArgExpr = argument;
            let expr = expression(argument).map_err(|r| r.or_at(at))?;
            arguments.push(self.number_released(expr, names)?);
        }
        if *function == Function::Round {
            digits(&mut arguments).ok_or_else(|| {
                Refusal::at(at, "ROUND takes a number and how many digits to keep")
                    .suggest("write the digits as a plain whole number, such as ROUND(x, 2)")
            })?;
        }
        let (least, most) = function.arity();
        if !(least..=most).contains(&arguments.len()) {
            let words = if most == 1 { "one value" } else { "two values" };
            return Err(Refusal::at(at, format!("{} takes {words}", call.name)));
        }
        Ok(Released::Apply(*function, arguments))
    }

    fn released_unary(
        &mut self,
        op: UnaryOperator,
        inner: &Expr,
        names: Names<'_>,
    ) -> Result<Released, Refusal> {
        match op {
            UnaryOperator::Minus => Ok(match self.number_released(inner, names)? {
                Released::Literal(v) => Released::Literal(0.0 - v),
                other => Released::Apply(Function::Negate, vec![other]),
            }),
            UnaryOperator::Plus => self.number_released(inner, names),
            UnaryOperator::Not => {
                let condition = self.condition_released(inner, names)?;
                Ok(Released::Apply(Function::Not, vec![condition]))
            }
            _ => Err(not_part(place(inner), &shown(&op.to_string()))),
        }
    }

    fn released_pair(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        names: Names<'_>,
    ) -> Result<Released, Refusal> {
        use Function as F;
        let function = match op {
            BinaryOperator::Plus => F::Add,
            BinaryOperator::Minus => F::Subtract,
            BinaryOperator::Multiply => F::Multiply,
            BinaryOperator::Divide => F::Divide,
            BinaryOperator::Eq => F::Equal,
            BinaryOperator::NotEq => F::NotEqual,
            BinaryOperator::Lt => F::Less,
            BinaryOperator::LtEq => F::LessOrEqual,
            BinaryOperator::Gt => F::Greater,
            BinaryOperator::GtEq => F::GreaterOrEqual,
            BinaryOperator::And => F::And,
            BinaryOperator::Or => F::Or,
            other => return Err(not_part(place(right), &shown(&other.to_string()))),
        };
        if matches!(function, F::And | F::Or) {
            let left = self.condition_released(left, names)?;
            let right = self.condition_released(right, names)?;
            return Ok(join(function, left, right));
        }
        if let Some(among) = self.key_compared(left, function, right, names)? {
            return Ok(among);
        }
        let mut side = |expr| match function {
            F::Add | F::Subtract | F::Multiply | F::Divide => self.number_released(expr, names),
            _ => self.compared(expr, function == F::NotEqual, names),
        };
        let sides = vec![side(left)?, side(right)?];
        Ok(Released::Apply(function, sides))
    }

    /// A key compared with a label or a number, decided for every label now.
    fn key_compared(
        &mut self,
        left: &Expr,
        function: Function,
        right: &Expr,
        names: Names<'_>,
    ) -> Result<Option<Released>, Refusal> {
        let Expr::Identifier(ident) = left else {
            return Ok(None);
        };
        let Some(key) = names.keys.iter().position(|k| means(ident, &k.name)) else {
            return Ok(None);
        };
        declared(names, key, left)?;
        let known = names.keys.get(key).map_or(&[][..], |k| &k.labels);
        let fits = |label: &String, order: fn(std::cmp::Ordering) -> bool, value: f64| {
            label
                .parse::<f64>()
                .is_ok_and(|l| order(l.total_cmp(&value)))
        };
        let labels: BTreeSet<usize> = match (text(right), function) {
            (Some(text), Function::Equal | Function::NotEqual) => {
                let position = label(known, text, right)?;
                let wanted = function == Function::Equal;
                (0..known.len())
                    .filter(|l| (*l == position) == wanted)
                    .collect()
            }
            (None, function) => {
                let Released::Literal(value) = self.released(right, names)? else {
                    return Err(Refusal::at(
                        place(right),
                        "a group key is compared with a label or a plain number",
                    ));
                };
                let order: fn(std::cmp::Ordering) -> bool = match function {
                    Function::Equal => std::cmp::Ordering::is_eq,
                    Function::NotEqual => std::cmp::Ordering::is_ne,
                    Function::Less => std::cmp::Ordering::is_lt,
                    Function::LessOrEqual => std::cmp::Ordering::is_le,
                    Function::Greater => std::cmp::Ordering::is_gt,
                    Function::GreaterOrEqual => std::cmp::Ordering::is_ge,
                    _ => return Ok(None),
                };
                let all = known.iter().enumerate();
                all.filter(|(_, l)| fits(l, order, value + 0.0))
                    .map(|(i, _)| i)
                    .collect()
            }
            _ => {
                return Err(Refusal::at(
                    place(right),
                    "a label can only be equal to a group's or not",
                ));
            }
        };
        Ok(Some(among(key, labels)))
    }

    fn released_in(
        &mut self,
        value: &Expr,
        list: &[Expr],
        negated: bool,
        names: Names<'_>,
    ) -> Result<Released, Refusal> {
        self.node(list.len(), place(value))?;
        let of = self.released(value, names)?;
        if let Released::Key(key) = of {
            declared(names, key, value)?;
            let known = names.keys.get(key).map_or(&[][..], |k| &k.labels);
            let mut labels = BTreeSet::new();
            for item in list {
                match text(item) {
                    Some(text) => {
                        labels.insert(label(known, text, item)?);
                    }
                    None => match self.key_compared(value, Function::Equal, item, names)? {
                        Some(Released::KeyAmong {
                            key: _,
                            labels: one,
                        }) => labels.extend(one),
                        _ => return Err(Refusal::at(place(item), "a label is wanted here")),
                    },
                }
            }
            if negated {
                labels = (0..known.len()).filter(|l| !labels.contains(l)).collect();
            }
            return Ok(among(key, labels));
        }
        if of == Released::Missing {
            return Err(never_matches(value, negated));
        }
        let mut any: Option<Released> = None;
        for item in list {
            let item = self.compared(item, negated, names)?;
            let equal = Released::Apply(Function::Equal, vec![of.clone(), item]);
            any = Some(match any {
                Some(any) => join(Function::Or, any, equal),
                None => equal,
            });
        }
        any.map(|any| negate(any, negated))
            .ok_or_else(|| Refusal::at(place(value), "IN needs a list"))
    }

    fn released_case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        names: Names<'_>,
    ) -> Result<Released, Refusal> {
        let mut parts = Vec::with_capacity(2 * conditions.len() + 1);
        for CaseWhen { condition, result } in conditions {
            parts.push(match operand {
                None => self.condition_released(condition, names)?,
                Some(operand) => {
                    self.released_pair(operand, &BinaryOperator::Eq, condition, names)?
                }
            });
            parts.push(self.number_released(result, names)?);
        }
        if let Some(otherwise) = otherwise {
            parts.push(self.number_released(otherwise, names)?);
        }
        Ok(Released::Apply(Function::Case, parts))
    }
}

/// No label at all is a condition that never holds.
/// What nobody declared cannot be decided when the query is checked.
fn declared(names: Names<'_>, key: usize, at: &Expr) -> Result<(), Refusal> {
    match names.keys.get(key) {
        Some(key) if key.value.found().is_some() => Err(Refusal::at(
            place(at),
            format!(
                "nobody declared the values of {}, so groups cannot be chosen by them",
                key.name
            ),
        )
        .suggest("compare the column in WHERE instead")),
        _ => Ok(()),
    }
}

fn among(key: usize, labels: BTreeSet<usize>) -> Released {
    if labels.is_empty() {
        let (one, two) = (Released::Literal(1.0), Released::Literal(2.0));
        return Released::Apply(Function::Equal, vec![one, two]);
    }
    Released::KeyAmong { key, labels }
}

fn label(known: &[String], text: &str, at: &Expr) -> Result<usize, Refusal> {
    known.iter().position(|l| l == text).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Refusal::at(place(at), format!("no group is called {}", shown(text)))
            .suggest(super::nearest(text, &known, "the groups"))
    })
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            span: _,
        }) => Some(text),
        Expr::Nested(inner) => text(inner),
        _ => None,
    }
}

/// AND and OR are flat.
fn join(function: Function, left: Released, right: Released) -> Released {
    let mut all = Vec::new();
    for part in [left, right] {
        match part {
            Released::Apply(same, parts) if same == function => all.extend(parts),
            other => all.push(other),
        }
    }
    Released::Apply(function, all)
}

fn negate(condition: Released, negated: bool) -> Released {
    if negated {
        Released::Apply(Function::Not, vec![condition])
    } else {
        condition
    }
}

/// ROUND's second argument: 0 if it is left out, otherwise a plain whole number.
fn digits(arguments: &mut Vec<Released>) -> Option<()> {
    match arguments.as_slice() {
        [_] => {
            arguments.push(Released::Literal(0.0));
            Some(())
        }
        [_, Released::Literal(d)] => (d.fract() == 0.0 && d.abs() <= 15.0).then_some(()),
        _ => None,
    }
}

fn released_value(value: &Value, at: Location) -> Result<Released, Refusal> {
    match super::row::plain_value(value, at)? {
        crate::expr::Any::Num(crate::expr::Num::Literal(v)) => Ok(Released::Literal(v)),
        crate::expr::Any::Null => Ok(Released::Missing),
        _ => Err(Refusal::at(at, "a number is wanted here")),
    }
}
