//! Reading quantiles off a noisy tree of counts.
//!
//! The levels count the same rows, so their noisy counts are first made to agree: weighted least
//! squares, which for a tree is one pass up and one down (Hay, Rastogi, Miklau and Suciu 2010,
//! "Boosting the accuracy of differentially private histograms through consistency", here with a
//! variance for each node so that levels may have different noise and the last node of a level
//! fewer children). Then the quantile is read off from the top, following the share of the rows.

use super::value::Tree;
use crate::accuracy::Z95;

/// One level: noisy counts, and the noise variance of each of them.
pub(super) struct Level {
    pub(super) counts: Vec<f64>,
    pub(super) variance: f64,
}

fn children(parent: usize, of: usize) -> std::ops::Range<usize> {
    let first = parent * Tree::BRANCHING;
    first..(first + Tree::BRANCHING).min(of)
}

/// The counts that fit all levels best, level by level.
pub(super) fn consistent(levels: &[Level]) -> Vec<Vec<f64>> {
    // Upwards: each node's best estimate from itself and what is below it.
    let mut best: Vec<Vec<(f64, f64)>> = Vec::with_capacity(levels.len());
    for level in levels.iter().rev() {
        let below = best.last();
        let estimate = |(place, own): (usize, &f64)| match below {
            None => (*own, level.variance),
            Some(below) => {
                let parts = below.get(children(place, below.len())).unwrap_or(&[]);
                let sum: f64 = parts.iter().map(|p| p.0).sum();
                let variance: f64 = parts.iter().map(|p| p.1).sum();
                let weight = variance / (variance + level.variance);
                let value = weight * own + (1.0 - weight) * sum;
                (value, weight * level.variance)
            }
        };
        let row = level.counts.iter().enumerate().map(estimate).collect();
        best.push(row);
    }
    best.reverse();
    // Downwards: what a node knows better than the sum of its children is shared among them.
    let mut fitted: Vec<Vec<f64>> = Vec::with_capacity(levels.len());
    for row in &best {
        let mut values: Vec<f64> = row.iter().map(|n| n.0).collect();
        if let Some(above) = fitted.last() {
            for (parent, known) in above.iter().enumerate() {
                let range = children(parent, row.len());
                let parts = row.get(range.clone()).unwrap_or(&[]);
                let sum: f64 = parts.iter().map(|p| p.0).sum();
                let variance: f64 = parts.iter().map(|p| p.1).sum();
                for place in range {
                    if let (Some(value), Some(part)) = (values.get_mut(place), row.get(place)) {
                        *value += (known - sum) * part.1 / variance;
                    }
                }
            }
        }
        fitted.push(values);
    }
    fitted
}

/// Where a share of the rows ends, in leaves from the first edge, and the number of the leaf.
/// Noisy counts below 0 count as 0; where nothing is left the leaves share evenly.
fn read_off(fitted: &[Vec<f64>], share: f64) -> (f64, usize) {
    let leaves = fitted.last().map_or(1, Vec::len);
    let mut share = share.clamp(0.0, 1.0);
    let mut node = 0;
    for (depth, row) in fitted.iter().enumerate() {
        let range = if depth == 0 {
            0..row.len()
        } else {
            children(node, row.len())
        };
        let weight = |i: usize| row.get(i).map_or(0.0, |w| w.max(0.0));
        let total: f64 = range.clone().map(weight).sum();
        let part = |i: usize| {
            if total > 0.0 {
                weight(i) / total
            } else {
                1.0 / range.len().max(1) as f64
            }
        };
        let mut before = 0.0;
        let mut found = None;
        for place in range.clone() {
            let own = part(place);
            // The last node with anything in it takes what rounding leaves over.
            if own > 0.0 {
                found = Some((place, before, own));
                if share <= before + own {
                    break;
                }
            }
            before += own;
        }
        let (place, before, own) = found.unwrap_or((range.start, 0.0, 1.0));
        node = place;
        share = ((share - before) / own).clamp(0.0, 1.0);
    }
    (node as f64 + share, node.min(leaves.saturating_sub(1)))
}

/// The variance of the number of rows before a leaf and from it on, each as the sum of the fewest
/// nodes that make it up. The fitted counts are the best linear estimates, so theirs is no larger.
fn rank_variances(levels: &[Level], leaf: usize) -> (f64, f64) {
    let (mut before, mut after) = (0.0, 0.0);
    let mut node = leaf;
    for (depth, level) in levels.iter().enumerate().rev() {
        let first = if depth == 0 {
            0
        } else {
            node - node % Tree::BRANCHING
        };
        let end = if depth == 0 {
            level.counts.len()
        } else {
            (first + Tree::BRANCHING).min(level.counts.len())
        };
        before += (node - first) as f64 * level.variance;
        after += end.saturating_sub(node + 1) as f64 * level.variance;
        if depth + 1 == levels.len() {
            // The leaf itself may belong to either side.
            before += level.variance;
            after += level.variance;
        }
        node /= Tree::BRANCHING;
    }
    (before, after)
}

/// The quantile and its 95 % half-width. With T rows and R of them below, the noise of
/// `R - share T` is that of `(1 - share) R - share (T - R)`; it is carried over to values by
/// reading off at `share +- 1.96 sigma / T`. The further of the two ends counts, and the width of
/// a leaf is added, because the tree knows no more than the leaf.
pub(super) fn quantile(tree: &Tree, levels: &[Level], share: f64) -> (f64, f64) {
    let fitted = consistent(levels);
    let width = tree.leaf_width();
    let place = |at: f64| (tree.first_edge + at * width).clamp(tree.lowest, tree.highest);
    let total: f64 = fitted.first().map_or(0.0, |top| top.iter().sum());
    let total_variance = levels
        .first()
        .map_or(0.0, |top| top.counts.len() as f64 * top.variance);
    let (at, leaf) = read_off(&fitted, share);
    let value = place(at);
    if total <= (Z95 * total_variance.sqrt()).max(1.0) {
        return (value, f64::INFINITY);
    }
    let (before, after) = rank_variances(levels, leaf);
    let sigma = ((1.0 - share).powi(2) * before + share.powi(2) * after).sqrt();
    let reach = Z95 * sigma / total;
    let ends = [share - reach, share + reach].map(|s| place(read_off(&fitted, s).0));
    let furthest = ends
        .map(|e| (e - value).abs())
        .into_iter()
        .fold(0.0, f64::max);
    (value, furthest + width)
}
