//! The outputs: group keys and named aggregates.

use std::collections::BTreeSet;

use sqlparser::ast::{Expr, Ident, SelectItem};

use super::released::Names;
use super::{Lowering, means, place};
use crate::limits::shown;
use crate::query::{Aggregate, KeyDefinition, OutputDefinition, Released};
use crate::refusal::Refusal;

/// The most outputs of one query.
const MOST_OUTPUTS: usize = 100;

impl Lowering<'_> {
    pub(super) fn outputs(
        &mut self,
        projection: &[SelectItem],
        keys: &[KeyDefinition],
    ) -> Result<Vec<OutputDefinition>, Refusal> {
        let mut outputs: Vec<OutputDefinition> = Vec::new();
        for item in projection {
            let (expr, alias) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, None),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
                SelectItem::Wildcard(all) | SelectItem::QualifiedWildcard(_, all) => {
                    let at = all.wildcard_token.0.span.start;
                    return Err(Refusal::at(at, "rows themselves are never released")
                        .suggest("ask for counts, sums or averages, such as COUNT(*)"));
                }
                SelectItem::ExprWithAliases {
                    expr: _,
                    aliases: _,
                } => {
                    return Err(Refusal::new("an output has one name"));
                }
            };
            let at = place(expr);
            if self.is_key(expr, alias, keys)? {
                continue;
            }
            let value = self
                .released(expr, Names { keys, outputs: &[] })
                .map_err(|r| r.or_at(at))?;
            let name = match alias {
                Some(alias) => output_name(alias)?,
                None => self.default_name(&value, outputs.len() + 1),
            };
            self.check_new(&name, &outputs, keys)
                .map_err(|r| r.or_at(at))?;
            check_value(&value).map_err(|r| r.or_at(at))?;
            outputs.push(OutputDefinition { name, value });
        }
        match outputs.len() {
            0 => Err(Refusal::new("the query asks for no count, sum or average")
                .suggest("add an output such as COUNT(*)")),
            n if n > MOST_OUTPUTS => Err(Refusal::new(format!(
                "the query has {n} outputs; the most is {MOST_OUTPUTS}"
            ))),
            _ => Ok(outputs),
        }
    }

    /// Whether an item of SELECT is one of the group keys. Keys are lowered before outputs, with
    /// the names that SELECT gives them.
    fn is_key(
        &mut self,
        expr: &Expr,
        alias: Option<&Ident>,
        keys: &[KeyDefinition],
    ) -> Result<bool, Refusal> {
        if keys.is_empty() {
            return Ok(false);
        }
        let Some(value) = self.key_value(expr) else {
            return Ok(false);
        };
        let Some(key) = keys.iter().find(|k| k.value == value) else {
            return Ok(false);
        };
        match alias {
            Some(alias) if !means(alias, &key.name) => Err(Refusal::at(
                alias.span.start,
                "a group key has one name, and this one has two",
            )),
            _ => Ok(true),
        }
    }

    fn check_new(
        &self,
        name: &str,
        outputs: &[OutputDefinition],
        keys: &[KeyDefinition],
    ) -> Result<(), Refusal> {
        let key_names = keys.iter().map(|k| &k.name);
        let taken = outputs
            .iter()
            .map(|o| &o.name)
            .chain(key_names)
            .any(|n| n == name);
        if taken {
            return Err(Refusal::new(format!("two outputs are called '{name}'"))
                .suggest("give one of them another name with AS"));
        }
        Ok(())
    }

    /// The name of an output without AS: `count`, `subjects`, or the function and the one column
    /// that it reads (`sum_x`, `avg_x`, `count_x`); the function alone if it reads several; and
    /// `value_2` for the second output if it is an expression.
    fn default_name(&self, value: &Released, position: usize) -> String {
        let mut columns = BTreeSet::new();
        value.columns(&mut columns);
        let (aggregate, root) = match value {
            Released::Aggregate(aggregate) => (aggregate, false),
            Released::Apply(obscura_model::answer::Function::Sqrt, list) => match list.as_slice() {
                [Released::Aggregate(aggregate @ Aggregate::Variance { .. })] => (aggregate, true),
                _ => return format!("value_{position}"),
            },
            _ => return format!("value_{position}"),
        };
        let function = match aggregate {
            Aggregate::Rows => "count",
            Aggregate::Subjects => "subjects",
            Aggregate::Known(_) => "count",
            Aggregate::Categories(_) => "categories",
            Aggregate::Sum(_) => "sum",
            Aggregate::Average(_) => "avg",
            Aggregate::Variance { .. } if root => "stddev",
            Aggregate::Variance { .. } => "var",
            Aggregate::Covariance { .. } => "covar",
            Aggregate::Correlation { .. } => "corr",
            Aggregate::Quantile { value: _, share } if *share == 0.5 => "median",
            Aggregate::Quantile { .. } => "quantile",
        };
        let mut names = columns.iter().filter_map(|c| self.scope.get(*c));
        match (names.next(), names.next()) {
            (Some(only), None) => format!("{function}_{}", only.name),
            _ => function.to_owned(),
        }
    }
}

/// An output is a number that tells something of the data.
fn check_value(value: &Released) -> Result<(), Refusal> {
    if value.is_condition() {
        return Err(Refusal::new("an output is a number, not a condition")
            .suggest("write CASE WHEN ... THEN 1 ELSE 0 END"));
    }
    let mut aggregates = 0;
    value.each(&mut |_| aggregates += 1);
    if aggregates == 0 {
        return Err(Refusal::new("an output without an aggregate tells nothing")
            .suggest("leave it out, or ask for a count, a sum or an average"));
    }
    Ok(())
}

pub(super) fn output_name(alias: &Ident) -> Result<String, Refusal> {
    let Ident {
        value,
        quote_style,
        span,
    } = alias;
    let proper = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.len() <= 80
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !proper {
        return Err(Refusal::at(
            span.start,
            format!("{} cannot name an output", shown(value)),
        )
        .suggest("use letters, digits and '_', starting with a letter"));
    }
    Ok(if quote_style.is_none() {
        value.to_ascii_lowercase()
    } else {
        value.clone()
    })
}
