//! Where a query's rows come from.

/// Rows in subject order. Public.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Relation {
    /// A described table, by position.
    Table(usize),
}
