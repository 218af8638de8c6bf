//! Which cells are shown, in which order: HAVING, ORDER BY, LIMIT and OFFSET over the answer.
//!
//! Unused places of keys that are not declared are never shown.
//!
//! Every cell is released and priced whatever stands here. What is not shown is released all the
//! same; this is for readers, and reads noisy values only.

use super::Answer;
use super::discovered::having as having_key;
use super::evaluate::{Cell, estimate, holds};
use super::value::OutputKind;

/// The arrangement of an answer. The default shows every cell in declared order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arrange {
    /// Only cells for which this is true are shown.
    pub having: Option<OutputKind>,
    /// What the cells are ordered by, the first deciding first; ties stay in declared order.
    pub order: Vec<OrderBy>,
    /// At most so many cells are shown.
    pub limit: Option<u64>,
    /// So many cells are left out at the beginning.
    pub offset: u64,
}

/// One thing to order by.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderBy {
    /// The value; a missing one comes last.
    pub value: OutputKind,
    /// From the greatest to the least.
    pub descending: bool,
}

impl Arrange {
    /// Whether every cell is shown in declared order.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// The cells to show, in order, of answers with the same groups.
pub(crate) fn arranged(sites: &[&Answer]) -> Vec<usize> {
    let Some(first) = sites.first() else {
        return Vec::new();
    };
    let cells = 0..first.shape().cells();
    let cells = cells.filter(|cell| !sites.iter().all(|s| s.unused(*cell)));
    if first.shape().arrange.is_plain() {
        return cells.collect();
    }
    let arrange = |pick: &dyn Fn(&Arrange) -> Option<&OutputKind>| -> Vec<_> {
        let mut kinds = Vec::new();
        for site in sites {
            kinds.extend(pick(&site.shape().arrange).cloned());
        }
        kinds
    };
    let having = arrange(&|a| a.having.as_ref());
    let orders: Vec<(Vec<OutputKind>, bool)> = first
        .shape()
        .arrange
        .order
        .iter()
        .enumerate()
        .map(|(i, o)| (arrange(&|a| a.order.get(i).map(|o| &o.value)), o.descending))
        .collect();
    let mut rows: Vec<(usize, Vec<f64>)> = Vec::new();
    for cell in cells {
        // The number is that of the sites that have the key.
        let places = having_key(sites, cell);
        let sites: Vec<&Answer> = places
            .iter()
            .filter_map(|p| sites.get(*p).copied())
            .collect();
        let at = Cell {
            sites: &sites,
            cell,
        };
        let hidden = sites.iter().any(|s| s.suppressed(cell));
        let condition = of(&places, &having);
        if !having.is_empty() && (hidden || !holds(&at, &condition)) {
            continue;
        }
        let rank = |(kinds, descending): &(Vec<OutputKind>, bool)| {
            let kinds = of(&places, kinds);
            let key = kinds
                .first()
                .is_some_and(|k| matches!(k, OutputKind::KeyPosition(_)));
            match estimate(&at, &kinds).value {
                value if value.is_nan() || (hidden && !key) => f64::INFINITY,
                value if *descending => 0.0 - value,
                value => value,
            }
        };
        rows.push((cell, orders.iter().map(rank).collect()));
    }
    rows.sort_by(|a, b| {
        let pairs = a.1.iter().zip(&b.1);
        let different = pairs.map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne());
        different.unwrap_or(std::cmp::Ordering::Equal)
    });
    let arrange = &first.shape().arrange;
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let shown = rows
        .into_iter()
        .map(|(cell, _)| cell)
        .skip(count(arrange.offset));
    shown
        .take(arrange.limit.map_or(usize::MAX, count))
        .collect()
}

fn of<'a>(places: &[usize], kinds: &'a [OutputKind]) -> Vec<&'a OutputKind> {
    places.iter().filter_map(|p| kinds.get(*p)).collect()
}
