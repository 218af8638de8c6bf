//! The outputs: group keys and named aggregates.

use std::collections::BTreeSet;

use sqlparser::ast::{Expr, Ident, SelectItem};

use super::{Lowering, means, place};
use crate::limits::shown;
use crate::query::{Aggregate, OutputDefinition};
use crate::refusal::Refusal;

/// The most outputs of one query.
const MOST_OUTPUTS: usize = 100;

impl Lowering<'_> {
    pub(super) fn outputs(
        &mut self,
        projection: &[SelectItem],
        keys: &[usize],
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
            if self.key(expr, alias, keys)? {
                continue;
            }
            let aggregate = self.aggregate(expr).map_err(|r| r.or_at(at))?;
            let name = match alias {
                Some(alias) => output_name(alias)?,
                None => self.default_name(&aggregate),
            };
            self.check_new(&name, &outputs, keys)
                .map_err(|r| r.or_at(at))?;
            outputs.push(OutputDefinition { name, aggregate });
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

    /// Whether an output is one of the group keys; a column that is no key is refused.
    fn key(&self, expr: &Expr, alias: Option<&Ident>, keys: &[usize]) -> Result<bool, Refusal> {
        let (Expr::Identifier(_) | Expr::CompoundIdentifier(_)) = expr else {
            return Ok(false);
        };
        let column = self.column_of(expr)?;
        let name = self.scope.get(column).map_or("", |c| c.name.as_str());
        if !keys.contains(&column) {
            return Err(Refusal::at(
                place(expr),
                format!("'{name}' stands alone, and rows themselves are never released"),
            )
            .suggest(format!(
                "group by it, or ask for an aggregate such as COUNT({name})"
            )));
        }
        match alias {
            Some(alias) if !means(alias, name) => Err(Refusal::at(
                alias.span.start,
                "a group key keeps its column's name",
            )),
            _ => Ok(true),
        }
    }

    fn check_new(
        &self,
        name: &str,
        outputs: &[OutputDefinition],
        keys: &[usize],
    ) -> Result<(), Refusal> {
        let key_names = keys
            .iter()
            .filter_map(|k| self.scope.get(*k))
            .map(|c| &c.name);
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
    /// that it reads (`sum_x`, `avg_x`, `count_x`); the function alone if it reads several.
    fn default_name(&self, aggregate: &Aggregate) -> String {
        let mut columns = BTreeSet::new();
        let function = match aggregate {
            Aggregate::Rows => "count",
            Aggregate::Subjects => "subjects",
            Aggregate::Known(value) => {
                value.columns(&mut columns);
                "count"
            }
            Aggregate::Sum(value) => {
                value.columns(&mut columns);
                "sum"
            }
            Aggregate::Average(value) => {
                value.columns(&mut columns);
                "avg"
            }
        };
        let mut names = columns.iter().filter_map(|c| self.scope.get(*c));
        match (names.next(), names.next()) {
            (Some(only), None) => format!("{function}_{}", only.name),
            _ => function.to_owned(),
        }
    }
}

fn output_name(alias: &Ident) -> Result<String, Refusal> {
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
