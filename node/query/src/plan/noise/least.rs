//! The least price that meets several accuracies at once.
//!
//! With s the noise variance of each vector, c its C^2/2 and a the squares of an output's slopes,
//! the price is `sum c / s` and every output asks `sum a s <= m`. That is convex. At the least
//! price there is a weight w >= 0 for each output with `s = sqrt(c / sum w a)` (the derivative of
//! price plus weighted accuracies is 0), where an output that is more accurate than it asks has
//! weight 0.

use std::collections::BTreeMap;

/// `sum over vectors of slope * variance <= most`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    /// For each vector the square of the output's slope.
    pub(super) slopes: BTreeMap<usize, f64>,
    /// The largest variance of the output.
    pub(super) most: f64,
}

/// Rounds of the iteration: each multiplies every weight by how much of its accuracy is used
/// (squared in the first rounds, which is exact for a single output).
const ROUNDS: usize = 60;

/// The variances, one for each vector; none for a vector that no output asks anything of. All
/// wishes hold exactly, whatever the iteration has come to: at the end every vector is made as
/// accurate as the least content output that uses it needs.
pub(super) fn least_price(costs: &[f64], wishes: &[Wish]) -> Vec<Option<f64>> {
    let mut weights: Vec<f64> = wishes.iter().map(|w| start(costs, w)).collect();
    let mut squares = variances(costs, wishes, &weights);
    for round in 0..ROUNDS {
        for (weight, wish) in weights.iter_mut().zip(wishes) {
            let used = used(wish, &squares);
            let factor = if round < 10 { used * used } else { used };
            *weight = (*weight * factor.clamp(1e-6, 1e6)).clamp(1e-300, 1e300);
        }
        squares = variances(costs, wishes, &weights);
    }
    let mut shrink = vec![1.0f64; costs.len()];
    for wish in wishes {
        let used = used(wish, &squares);
        for vector in wish.slopes.keys() {
            if let Some(shrink) = shrink.get_mut(*vector) {
                *shrink = shrink.max(used);
            }
        }
    }
    let pairs = squares.iter().zip(shrink);
    pairs
        .map(|(square, shrink)| square.map(|s| s / shrink))
        .collect()
}

/// The weight that is right for an output alone: with `s = sqrt(c / (w a))` the sum of `a s` is
/// `sum sqrt(a c) / sqrt(w)`.
fn start(costs: &[f64], wish: &Wish) -> f64 {
    let parts = wish.slopes.iter();
    let sum: f64 = parts
        .filter_map(|(v, a)| Some((a * costs.get(*v)?).sqrt()))
        .sum();
    (sum / wish.most).powi(2).clamp(1e-300, 1e300)
}

fn variances(costs: &[f64], wishes: &[Wish], weights: &[f64]) -> Vec<Option<f64>> {
    let one = |(vector, cost): (usize, &f64)| {
        let asks = wishes.iter().zip(weights);
        let pull: f64 = asks
            .filter_map(|(wish, weight)| Some(wish.slopes.get(&vector)? * weight))
            .sum();
        (pull > 0.0).then(|| (cost / pull).sqrt())
    };
    costs.iter().enumerate().map(one).collect()
}

/// Which part of its variance an output uses.
fn used(wish: &Wish, squares: &[Option<f64>]) -> f64 {
    let parts = wish.slopes.iter();
    let sum: f64 = parts
        .filter_map(|(v, a)| Some(a * squares.get(*v).copied().flatten()?))
        .sum();
    sum / wish.most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish(slopes: &[(usize, f64)], most: f64) -> Wish {
        Wish {
            slopes: slopes.iter().copied().collect(),
            most,
        }
    }

    fn price(costs: &[f64], squares: &[Option<f64>]) -> f64 {
        let pairs = costs.iter().zip(squares);
        pairs.filter_map(|(c, s)| s.map(|s| c / s)).sum()
    }

    #[test]
    fn one_output_of_two_vectors_shares_the_price_as_calculus_says() {
        // Least c1/s1 + c2/s2 with a1 s1 + a2 s2 = m is (sqrt(a1 c1) + sqrt(a2 c2))^2 / m.
        let squares = least_price(&[8.0, 2.0], &[wish(&[(0, 1.0), (1, 16.0)], 5.0)]);
        let best = (8f64.sqrt() + 32f64.sqrt()).powi(2) / 5.0;
        assert!((price(&[8.0, 2.0], &squares) / best - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_output_that_is_content_anyway_changes_nothing() {
        let costs = [8.0, 2.0];
        let ask = wish(&[(0, 1.0), (1, 16.0)], 5.0);
        let alone = least_price(&costs, std::slice::from_ref(&ask));
        let both = least_price(&costs, &[ask, wish(&[(1, 1.0)], 100.0)]);
        assert!((price(&costs, &both) / price(&costs, &alone) - 1.0).abs() < 1e-3);
        assert_eq!(least_price(&[1.0], &[]), [None]);
    }

    proptest! {
        #[test]
        fn every_wish_holds_and_no_step_to_the_side_is_cheaper(
            costs in prop::array::uniform3(0.01f64..100.0),
            slopes in prop::array::uniform3(prop::array::uniform3(0.1f64..10.0)),
            most in prop::array::uniform3(0.1f64..10.0),
            to in prop::array::uniform3(0.5f64..2.0),
        ) {
            let wishes: Vec<Wish> = (0..3)
                .map(|o| wish(&[(0, slopes[o][0]), (1, slopes[o][1]), (2, slopes[o][2])], most[o]))
                .collect();
            let squares = least_price(&costs, &wishes);
            for wish in &wishes {
                prop_assert!(used(wish, &squares) <= 1.0 + 1e-9);
            }
            // Any other point, scaled until it is allowed, costs at least about as much.
            let other: Vec<Option<f64>> =
                squares.iter().zip(to).map(|(s, t)| s.map(|s| s * t)).collect();
            let worst = wishes.iter().map(|w| used(w, &other)).fold(0.0, f64::max);
            let allowed: Vec<Option<f64>> = other.iter().map(|s| s.map(|s| s / worst)).collect();
            prop_assert!(price(&costs, &squares) <= price(&costs, &allowed) * 1.05);
        }
    }
}
