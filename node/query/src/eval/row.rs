//! One rule for each node of the typed expressions.

mod call;
mod text;

use std::collections::BTreeSet;

use arrow_arith::{arity, boolean, numeric};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Datum, Float64Array, Scalar};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_ord::cmp;
use arrow_select::filter::prep_null_mask_filter;
use arrow_select::zip::zip;

use super::{BadRows, Batch};
use crate::expr::{Any, Arith, Bool, Case, Comparison, Num, Text};

/// Evaluates over one batch.
pub(crate) struct Row<'a> {
    pub(crate) batch: &'a Batch,
}

/// An operand of a kernel; a literal needs no array of its own.
enum Operand {
    Array(Float64Array),
    Literal(Scalar<Float64Array>, f64),
}

impl Operand {
    fn datum(&self) -> &dyn Datum {
        match self {
            Operand::Array(array) => array,
            Operand::Literal(scalar, _) => scalar,
        }
    }

    fn is_zero(&self, i: usize) -> bool {
        match self {
            Operand::Array(array) => array.values().get(i).is_some_and(|v| *v == 0.0),
            Operand::Literal(_, v) => *v == 0.0,
        }
    }
}

impl Row<'_> {
    fn len(&self) -> usize {
        self.batch.len()
    }

    /// A number for each row.
    pub(crate) fn num(&self, value: &Num) -> Result<Float64Array, BadRows> {
        match value {
            Num::Null => Ok(Float64Array::new_null(self.len())),
            Num::Literal(v) => Ok(Float64Array::from_value(*v, self.len())),
            Num::Day(day) => Ok(Float64Array::from_value(f64::from(*day), self.len())),
            Num::Call(call) => self.number_of(call),
            Num::Column(column) => self
                .batch
                .column(*column)?
                .as_primitive_opt::<Float64Type>()
                .cloned()
                .ok_or(BadRows),
            Num::Negate(inner) => Ok(arity::unary(&self.num(inner)?, |v| 0.0 - v)),
            Num::Chain { first, rest } => {
                let mut so_far = self.num(first)?;
                for (op, next) in rest {
                    so_far = apply(*op, &so_far, &self.operand(next)?)?;
                }
                Ok(so_far)
            }
            Num::Case(case) => {
                let none = Float64Array::new_null(self.len());
                let chosen = self.case(case, &none, |n| Ok(Box::new(self.num(n)?)))?;
                chosen
                    .as_primitive_opt::<Float64Type>()
                    .cloned()
                    .ok_or(BadRows)
            }
            Num::Least(list) => self.extreme(list, f64::min),
            Num::Greatest(list) => self.extreme(list, f64::max),
        }
    }

    fn operand(&self, value: &Num) -> Result<Operand, BadRows> {
        match value {
            Num::Literal(v) => Ok(Operand::Literal(Float64Array::new_scalar(*v), *v)),
            Num::Day(day) => {
                let day = f64::from(*day);
                Ok(Operand::Literal(Float64Array::new_scalar(day), day))
            }
            other => Ok(Operand::Array(self.num(other)?)),
        }
    }

    /// No value is NaN here, so `f64::min` and `max` are plain; missing if any is missing.
    fn extreme(&self, list: &[Num], pick: fn(f64, f64) -> f64) -> Result<Float64Array, BadRows> {
        let mut parts = list.iter();
        let mut so_far = self.num(parts.next().ok_or(BadRows)?)?;
        for part in parts {
            so_far = match part {
                Num::Literal(v) => arity::unary(&so_far, |x| pick(x, *v)),
                other => arity::binary(&so_far, &self.num(other)?, pick).map_err(|_| BadRows)?,
            };
        }
        Ok(so_far)
    }

    /// All conditions and results are computed; the first TRUE condition decides.
    fn case<T>(
        &self,
        case: &Case<T>,
        none: &dyn Array,
        result: impl Fn(&T) -> Result<Box<dyn Array>, BadRows>,
    ) -> Result<ArrayRef, BadRows> {
        let mut chosen: ArrayRef = match &case.otherwise {
            Some(otherwise) => result(otherwise)?.slice(0, self.len()),
            None => none.slice(0, self.len()),
        };
        for (condition, value) in case.arms.iter().rev() {
            let condition = true_only(self.bool(condition)?);
            let value: ArrayRef = result(value)?.slice(0, self.len());
            chosen = zip(&condition, &value, &chosen).map_err(|_| BadRows)?;
        }
        Ok(chosen)
    }

    /// TRUE, FALSE or missing for each row.
    pub(crate) fn bool(&self, value: &Bool) -> Result<BooleanArray, BadRows> {
        match value {
            Bool::Null => Ok(BooleanArray::new_null(self.len())),
            Bool::Literal(truth) => Ok(self.all(*truth)),
            Bool::Column(column) => self
                .batch
                .column(*column)?
                .as_boolean_opt()
                .cloned()
                .ok_or(BadRows),
            Bool::Compare(comparison, left, right) => {
                compare(*comparison, &self.num(left)?, &self.operand(right)?)
            }
            Bool::Between {
                value,
                low,
                high,
                negated,
            } => negate_if(*negated, self.between(value, low, high)?),
            Bool::InNumbers {
                value,
                list,
                negated,
            } => negate_if(*negated, self.in_numbers(value, list)?),
            Bool::Among {
                column,
                positions,
                negated,
            } => negate_if(*negated, self.among(*column, positions)?),
            Bool::CompareTexts(comparison, left, right) => {
                self.compare_texts(*comparison, left, right)
            }
            Bool::InTexts { value, list } => self.each_text(value, |t| list.contains(t)),
            Bool::Matches { value, pattern } => self.each_text(value, |t| pattern.matches(t)),
            Bool::InCodes { value, codes } => match (value.as_ref(), &codes.positions) {
                (Text::Category { column, labels: _ }, Some(positions)) => {
                    self.among(*column, positions)
                }
                (value, _) => self.each_text(value, |t| codes.codes.contains(t)),
            },
            Bool::Is {
                value,
                truth,
                negated,
            } => self.is(value, *truth, *negated),
            Bool::Distinct {
                left,
                right,
                negated,
            } => negate_if(*negated, self.distinct(left, right)?),
            Bool::Call(call) => self.truth_of(call),
            Bool::IsNull { value, negated } => negate_if(!*negated, self.known(value)?),
            Bool::All(list) => self.joined(list, boolean::and_kleene),
            Bool::Either(list) => self.joined(list, boolean::or_kleene),
            Bool::Not(inner) => negate_if(true, self.bool(inner)?),
            Bool::Case(case) => {
                let none = BooleanArray::new_null(self.len());
                let chosen = self.case(case, &none, |b| Ok(Box::new(self.bool(b)?)))?;
                chosen.as_boolean_opt().cloned().ok_or(BadRows)
            }
        }
    }

    fn all(&self, truth: bool) -> BooleanArray {
        let all = if truth {
            BooleanBuffer::new_set
        } else {
            BooleanBuffer::new_unset
        };
        BooleanArray::new(all(self.len()), None)
    }

    fn between(&self, value: &Num, low: &Num, high: &Num) -> Result<BooleanArray, BadRows> {
        let value = self.num(value)?;
        let above = compare(Comparison::GreaterOrEqual, &value, &self.operand(low)?)?;
        let below = compare(Comparison::LessOrEqual, &value, &self.operand(high)?)?;
        boolean::and_kleene(&above, &below).map_err(|_| BadRows)
    }

    fn in_numbers(&self, value: &Num, list: &[f64]) -> Result<BooleanArray, BadRows> {
        let values = self.num(value)?;
        let listed = |i: usize| {
            values
                .values()
                .get(i)
                .is_some_and(|v| list.binary_search_by(|l| l.total_cmp(v)).is_ok())
        };
        let found = BooleanBuffer::collect_bool(self.len(), listed);
        Ok(BooleanArray::new(found, values.nulls().cloned()))
    }

    fn among(&self, column: usize, positions: &BTreeSet<usize>) -> Result<BooleanArray, BadRows> {
        let codes = self
            .batch
            .column(column)?
            .as_primitive_opt::<Int32Type>()
            .ok_or(BadRows)?;
        let size = positions.last().map_or(0, |last| last + 1);
        let table: Vec<bool> = (0..size).map(|p| positions.contains(&p)).collect();
        let listed = |i: usize| {
            let code = codes.values().get(i).and_then(|c| usize::try_from(*c).ok());
            code.and_then(|c| table.get(c)).copied().unwrap_or(false)
        };
        let found = BooleanBuffer::collect_bool(self.len(), listed);
        Ok(BooleanArray::new(found, codes.nulls().cloned()))
    }

    fn joined(
        &self,
        list: &[Bool],
        join: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow_schema::ArrowError>,
    ) -> Result<BooleanArray, BadRows> {
        let mut parts = list.iter();
        let mut so_far = self.bool(parts.next().ok_or(BadRows)?)?;
        for part in parts {
            so_far = join(&so_far, &self.bool(part)?).map_err(|_| BadRows)?;
        }
        Ok(so_far)
    }

    /// Never missing: whether a condition is TRUE, or FALSE, and not the contrary or missing.
    fn is(&self, value: &Bool, truth: bool, negated: bool) -> Result<BooleanArray, BadRows> {
        let found = negate_if(!truth, self.bool(value)?)?;
        negate_if(negated, true_only(found))
    }

    /// Whether a value is not missing, for each row.
    pub(crate) fn known(&self, value: &Any) -> Result<BooleanArray, BadRows> {
        let known = match value {
            Any::Num(n) | Any::Date(n) => boolean::is_not_null(&self.num(n)?),
            Any::Text(t) => boolean::is_not_null(&self.text(t)?),
            Any::Bool(b) => boolean::is_not_null(&self.bool(b)?),
            Any::Category(column) => boolean::is_not_null(self.batch.column(*column)?),
            Any::Null => return Err(BadRows),
        };
        known.map_err(|_| BadRows)
    }
}

/// Missing conditions decide nothing.
fn true_only(condition: BooleanArray) -> BooleanArray {
    if condition.nulls().is_some() {
        prep_null_mask_filter(&condition)
    } else {
        condition
    }
}

fn negate_if(negated: bool, value: BooleanArray) -> Result<BooleanArray, BadRows> {
    if negated {
        boolean::not(&value).map_err(|_| BadRows)
    } else {
        Ok(value)
    }
}

fn apply(op: Arith, left: &Float64Array, right: &Operand) -> Result<Float64Array, BadRows> {
    let kernel = match op {
        Arith::Add => numeric::add_wrapping,
        Arith::Subtract => numeric::sub_wrapping,
        Arith::Multiply => numeric::mul_wrapping,
        Arith::Divide => numeric::div,
        Arith::Remainder => numeric::rem,
    };
    let raw = kernel(left, right.datum()).map_err(|_| BadRows)?;
    let raw = raw.as_primitive_opt::<Float64Type>().ok_or(BadRows)?;
    let divides = matches!(op, Arith::Divide | Arith::Remainder);
    let undefined = |i: usize, v: f64| v.is_nan() || (divides && right.is_zero(i));
    let values = raw.values();
    let defined = BooleanBuffer::collect_bool(values.len(), |i| {
        values.get(i).is_some_and(|v| !undefined(i, *v))
    });
    let nulls = NullBuffer::union(raw.nulls(), Some(&NullBuffer::new(defined)));
    let values = values.iter().map(|v| v + 0.0).collect::<Vec<f64>>();
    Ok(Float64Array::new(values.into(), nulls))
}

fn compare(
    comparison: Comparison,
    left: &Float64Array,
    right: &Operand,
) -> Result<BooleanArray, BadRows> {
    let kernel = match comparison {
        Comparison::Equal => cmp::eq,
        Comparison::NotEqual => cmp::neq,
        Comparison::Less => cmp::lt,
        Comparison::LessOrEqual => cmp::lt_eq,
        Comparison::Greater => cmp::gt,
        Comparison::GreaterOrEqual => cmp::gt_eq,
    };
    kernel(left, right.datum()).map_err(|_| BadRows)
}
