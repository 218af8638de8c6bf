//! From SQL text to a typed private plan, and from private rows to bounded sums.
//!
//! ```text
//! SqlText -> ValidatedQuery -> PrivatePlan -> (Permit) -> Contributions -> Admitted
//! ```
//!
//! [`ValidatedQuery`] and [`PrivatePlan`] are functions of the text, the description and the
//! accuracy asked for: public. [`Contributions`] binds a plan and a permit to [`PrivateRows`] and
//! folds them once. Mock rows are another type with a path of their own, [`mock::run`], which has
//! no way to private rows. This crate alone knows the SQL parser, Arrow and Parquet, and it knows
//! no ledger, no network and no clock.

mod aggregates;
mod batch;
mod eval;
mod expr;
mod fold;
mod functions;
mod limits;
mod lower;
mod places;
mod plan;
mod query;
mod refusal;
mod relation;
mod runs;
mod scope;
mod source;
mod sql;
mod table;
#[cfg(test)]
mod tests;

pub mod ingest;
pub mod mock;

pub use aggregates::aggregates_page;
pub use fold::{Contributions, FoldError};
pub use functions::page as language_page;
pub use mock::{MockAnswer, MockRows};
pub use plan::{PlanOptions, PrivatePlan};
pub use query::ValidatedQuery;
pub use refusal::Refusal;
pub use table::{PrivateRows, PrivateTable, TableError};
