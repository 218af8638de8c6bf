//! HAVING, ORDER BY, LIMIT and OFFSET: over the noisy answer, after everything is released.

use sqlparser::ast::{
    Expr, LimitClause, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, OrderBySort,
    Value, ValueWithSpan,
};
use sqlparser::tokenizer::Location;

use super::released::Names;
use super::{Lowering, absent, not_part, place};
use crate::query::{Aggregate, Arrangement, Released};
use crate::refusal::Refusal;

/// The clauses as the parser gives them.
pub(super) struct Clauses<'a> {
    pub(super) having: Option<&'a Expr>,
    pub(super) order_by: Option<&'a OrderBy>,
    pub(super) limit: Option<&'a LimitClause>,
    /// Where the clauses begin, for refusals.
    pub(super) at: [Location; 3],
}

impl Clauses<'_> {
    /// Refuses all of them in a query without groups, which has one answer to show.
    pub(super) fn need_groups(&self) -> Result<(), Refusal> {
        let [having, order, limit] = self.at;
        let skips = |l: &LimitClause| {
            matches!(
                l,
                LimitClause::LimitOffset {
                    limit: None,
                    offset: Some(_),
                    ..
                }
            )
        };
        let limits = if self.limit.is_some_and(skips) {
            "OFFSET"
        } else {
            "LIMIT"
        };
        for (given, at, name) in [
            (self.having.is_some(), having, "HAVING"),
            (self.order_by.is_some(), order, "ORDER BY"),
            (self.limit.is_some(), limit, limits),
        ] {
            if given {
                return Err(Refusal::at(
                    at,
                    format!("{name} needs groups: a query without them has one answer"),
                )
                .suggest("leave it out, or group by something"));
            }
        }
        Ok(())
    }
}

impl Lowering<'_> {
    pub(super) fn arrange(
        &mut self,
        clauses: &Clauses<'_>,
        names: Names<'_>,
    ) -> Result<Arrangement, Refusal> {
        let [having_at, order_at, limit_at] = clauses.at;
        let mut arrangement = Arrangement::default();
        if let Some(having) = clauses.having {
            let condition = self.condition_released(having, names)?;
            asked(&condition, names, having_at)?;
            arrangement.having = Some(condition);
        }
        if let Some(OrderBy { kind, interpolate }) = clauses.order_by {
            absent(interpolate.is_none(), order_at, "INTERPOLATE")?;
            let OrderByKind::Expressions(list) = kind else {
                return Err(not_part(order_at, "ORDER BY ALL"));
            };
            for item in list {
                arrangement.order.push(self.order(item, names, order_at)?);
            }
        }
        if let Some(clause) = clauses.limit {
            (arrangement.limit, arrangement.offset) = limits(clause, limit_at)?;
        }
        Ok(arrangement)
    }

    fn order(
        &mut self,
        item: &OrderByExpr,
        names: Names<'_>,
        at: Location,
    ) -> Result<(Released, bool), Refusal> {
        let OrderByExpr {
            expr,
            options: OrderByOptions { sort, nulls_first },
            with_fill,
        } = item;
        let here = Some(place(expr)).filter(|p| p.line > 0).unwrap_or(at);
        absent(with_fill.is_none(), here, "WITH FILL")?;
        absent(nulls_first != &Some(true), here, "NULLS FIRST")?;
        let value = match whole(expr) {
            // A position counts the groups' keys first and then the outputs, as the answer does.
            Some(position) => nth(position, names).ok_or_else(|| {
                Refusal::at(here, format!("there is no column {position} to order by"))
            })?,
            None => self.released(expr, names)?,
        };
        asked(&value, names, here)?;
        let descending = match sort {
            None | Some(OrderBySort::Asc) => false,
            Some(OrderBySort::Desc) => true,
            Some(OrderBySort::Using(_)) => return Err(not_part(here, "USING")),
        };
        Ok((value, descending))
    }
}

fn nth(position: u64, names: Names<'_>) -> Option<Released> {
    let index = usize::try_from(position).ok()?.checked_sub(1)?;
    match index.checked_sub(names.keys.len()) {
        None => Some(Released::Key(index)),
        Some(output) => names.outputs.get(output).map(|o| o.value.clone()),
    }
}

/// What is not released already would have to be added, with a price, without being shown.
fn asked(value: &Released, names: Names<'_>, at: Location) -> Result<(), Refusal> {
    let mut released: Vec<Aggregate> = Vec::new();
    for output in names.outputs {
        output.value.each(&mut |a| released.push(a.clone()));
    }
    let mut fine = true;
    value.each(&mut |a| fine &= released.contains(a));
    if fine {
        return Ok(());
    }
    Err(Refusal::at(
        at,
        "HAVING and ORDER BY use what is released, and this is not",
    )
    .suggest("add it to the outputs and name it here"))
}

fn limits(clause: &LimitClause, at: Location) -> Result<(Option<u64>, u64), Refusal> {
    let LimitClause::LimitOffset {
        limit,
        offset,
        limit_by,
    } = clause
    else {
        return Err(not_part(at, "LIMIT with a comma").suggest("write LIMIT 10 OFFSET 5"));
    };
    absent(limit_by.is_empty(), at, "LIMIT BY")?;
    let plain = |expr: &Expr| {
        whole(expr).ok_or_else(|| Refusal::at(at, "LIMIT and OFFSET take plain whole numbers"))
    };
    let limit = limit.as_ref().map(plain).transpose()?;
    let offset = match offset {
        Some(Offset { value, rows: _ }) => plain(value)?,
        None => 0,
    };
    Ok((limit, offset))
}

/// A plain whole number.
pub(super) fn whole(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::Number(text, false),
            span: _,
        }) => text.parse().ok(),
        _ => None,
    }
}
