//! Reading quantiles off a noisy tree of counts.
//!
//! The levels count the same rows, so their noisy counts are first made to agree: weighted least
//! squares, which for a tree is one pass up and one down (Hay, Rastogi, Miklau and Suciu 2010,
//! "Boosting the accuracy of differentially private histograms through consistency", here with a
//! variance for each node so that levels may have different noise and the last node of a level
//! fewer children). Then the quantile is read off from the top, following the share of the rows.
//!
//! Its margin is a confidence interval by inverting tests (Woodruff 1952, "Confidence intervals
//! for medians and other position measures", JASA 47), see [`interval`]. Reading the noisy tree
//! off at a higher and a lower share instead holds too rarely: noise in the counts on the way
//! between the shares moves both ends, and where few rows lie it decides how far they reach.

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

/// Each node's best estimate from itself and what is below it, with its variance, level by level.
fn upwards(levels: &[Level]) -> Vec<Vec<(f64, f64)>> {
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
    best
}

/// The counts that fit all levels best, level by level, from [`upwards`].
fn downwards(best: &[Vec<(f64, f64)>]) -> Vec<Vec<f64>> {
    // What a node knows better than the sum of its children is shared among them.
    let mut fitted: Vec<Vec<f64>> = Vec::with_capacity(best.len());
    for row in best {
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

/// The counts that fit all levels best, level by level.
#[cfg(test)]
pub(super) fn consistent(levels: &[Level]) -> Vec<Vec<f64>> {
    downwards(&upwards(levels))
}

/// Where a share of the rows ends, in leaves from the first edge. Noisy counts below 0 count as 0;
/// where nothing is left the leaves share evenly.
fn read_off(fitted: &[Vec<f64>], share: f64) -> f64 {
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
    node as f64 + share
}

/// The variance of `R - share T` by the fitted counts, R being the rows before leaf number `edge`
/// and T all of them: that of `(1 - share) R - share (T - R)`. From the leaf upwards, the variance
/// of the part of it below a node and its covariance with the node's count; a node's own noisy
/// count of variance v, beside that of its children with variance s, takes `k^2 / (s + v)` off the
/// variance and leaves `v / (s + v)` of the covariance k (the update of a Kalman filter, which for
/// one further independent measurement is least squares).
fn rank_variance(levels: &[Level], best: &[Vec<(f64, f64)>], edge: usize, share: f64) -> f64 {
    let (mut node, mut variance, mut covariance) = (edge, 0.0, 0.0);
    for (depth, row) in best.iter().enumerate().rev() {
        let part = |place: usize| row.get(place).map_or(0.0, |n| n.1);
        if depth + 1 == best.len() {
            variance = share * share * part(node);
            covariance = -share * part(node);
        }
        let range = match depth {
            0 => 0..row.len(),
            _ => children(node / Tree::BRANCHING, row.len()),
        };
        let mut together = part(node);
        for place in range.filter(|p| *p != node) {
            let weight = if place < node { 1.0 - share } else { -share };
            variance += weight * weight * part(place);
            covariance += weight * part(place);
            together += part(place);
        }
        if let Some(above) = depth.checked_sub(1).and_then(|d| levels.get(d)) {
            let all = together + above.variance;
            variance -= covariance * covariance / all;
            covariance *= above.variance / all;
        }
        node /= Tree::BRANCHING;
    }
    variance.max(0.0)
}

/// The leaves, first and last, in which the quantile of the rows lies in 95 of 100 answers, at
/// least.
///
/// With R the rows before an edge between leaves and T all of them, `D = R - share T` is at most 0
/// at the lower edge of the quantile's leaf and at least 0 at its upper edge, whatever the rows.
/// The noisy D is off by Gaussian noise of known variance, so in at most 25 of 1,000 answers it is
/// above 1.96 sigma at the lower edge, and in as many below -1.96 sigma at the upper one. Every
/// leaf of which neither is so may be the one; the interval reaches from the first to the last of
/// them. (The outermost edges need no test: 0 and all rows lie before them.) Only one leaf, the
/// quantile's own, has to pass, so that many leaves make the statement no weaker.
fn interval(
    levels: &[Level],
    best: &[Vec<(f64, f64)>],
    leaves: &[f64],
    share: f64,
) -> (usize, usize) {
    let total: f64 = leaves.iter().sum();
    let (mut first, mut last) = (0, 0);
    let mut below = true;
    let mut before = 0.0;
    for (edge, count) in (1..leaves.len()).zip(leaves) {
        before += count;
        let apart = before - share * total;
        let margin = Z95 * rank_variance(levels, best, edge, share).sqrt();
        below &= apart < -margin;
        if below {
            first = edge;
        }
        // What cannot be compared cannot be ruled out.
        let above = apart > margin;
        if !above {
            last = edge;
        }
    }
    (first, last)
}

/// The quantile and its 95 % half-width: to the further end of [`interval`], whose leaves count as
/// a whole, because the tree knows no more than the leaf.
pub(super) fn quantile(tree: &Tree, levels: &[Level], share: f64) -> (f64, f64) {
    let best = upwards(levels);
    let fitted = downwards(&best);
    let width = tree.leaf_width();
    let place = |at: f64| (tree.first_edge + at * width).clamp(tree.lowest, tree.highest);
    let value = place(read_off(&fitted, share));
    let (total, variance) = best.first().map_or((0.0, 0.0), |top| {
        top.iter().fold((0.0, 0.0), |(t, v), n| (t + n.0, v + n.1))
    });
    if total <= (Z95 * variance.sqrt()).max(1.0) {
        return (value, f64::INFINITY);
    }
    let leaves = fitted.last().map_or(&[][..], Vec::as_slice);
    let (first, last) = interval(levels, &best, leaves, share);
    let (low, high) = (place(first as f64), place(last as f64 + 1.0));
    (value, (value - low).max(high - value))
}
