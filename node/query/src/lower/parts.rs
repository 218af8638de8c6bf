//! The parts of a SELECT that the language has; all others must be absent.

use sqlparser::ast::{Expr, GroupByExpr, Select, SelectFlavor, SelectItem, TableWithJoins};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Location;

use super::absent;
use crate::refusal::Refusal;

/// What a SELECT may have, the outer one and a subquery's.
pub(super) struct Parts<'s> {
    pub(super) at: Location,
    pub(super) projection: &'s [SelectItem],
    pub(super) from: &'s [TableWithJoins],
    pub(super) selection: Option<&'s Expr>,
    pub(super) group_by: &'s GroupByExpr,
    pub(super) having: Option<&'s Expr>,
}

impl<'s> Parts<'s> {
    /// The parts of this SELECT. `distinct_is` is what DISTINCT is called in it, and `of` tells where
    /// the clause that begins with a keyword is.
    pub(super) fn of(
        select: &'s Select,
        distinct_is: &str,
        of: impl Fn(Keyword) -> Location,
    ) -> Result<Self, Refusal> {
        let at = select.select_token.0.span.start;
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify,
            value_table_mode,
            flavor,
        } = select;
        let top_is_absent = top.is_none() && !top_before_distinct;
        let window_is_absent = named_window.is_empty() && !window_before_qualify;
        let standard = matches!(flavor, SelectFlavor::Standard);
        for (holds, at, what) in [
            (optimizer_hints.is_empty(), at, "a hint"),
            (distinct.is_none(), of(Keyword::DISTINCT), distinct_is),
            (select_modifiers.is_none(), at, "a modifier of SELECT"),
            (top_is_absent, of(Keyword::TOP), "TOP"),
            (exclude.is_none(), at, "EXCLUDE"),
            (into.is_none(), of(Keyword::INTO), "INTO"),
            (lateral_views.is_empty(), at, "LATERAL VIEW"),
            (prewhere.is_none(), at, "PREWHERE"),
            (connect_by.is_empty(), at, "CONNECT BY"),
            (cluster_by.is_empty(), at, "CLUSTER BY"),
            (distribute_by.is_empty(), at, "DISTRIBUTE BY"),
            (sort_by.is_empty(), at, "SORT BY"),
            (window_is_absent, of(Keyword::WINDOW), "WINDOW"),
            (qualify.is_none(), of(Keyword::QUALIFY), "QUALIFY"),
            (value_table_mode.is_none(), at, "AS VALUE"),
            (standard, at, "a SELECT without outputs first"),
        ] {
            absent(holds, at, what)?;
        }
        Ok(Self {
            at,
            projection,
            from,
            selection: selection.as_ref(),
            group_by,
            having: having.as_ref(),
        })
    }
}
