//! How precise an answer should be, as options.

use clap::Args;
use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::exposure::Rho;

/// Give one, or several to compare them side by side.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Wanted {
    /// Within this much, 95 times in 100, in the output's unit.
    #[arg(long, value_name = "MARGIN", allow_negative_numbers = true)]
    within: Vec<f64>,
    /// For averages: the margin holds if at least this many rows match.
    #[arg(long, value_name = "ROWS", requires = "within")]
    rows: Option<u64>,
    /// The standard deviation of the noise, in the output's unit.
    #[arg(long, value_name = "SIGMA", allow_negative_numbers = true)]
    sigma: Vec<f64>,
    /// The epsilon of the whole release.
    #[arg(long, value_name = "EPSILON", allow_negative_numbers = true)]
    epsilon: Vec<f64>,
    /// The rho of the whole release.
    #[arg(long, value_name = "RHO", allow_negative_numbers = true)]
    rho: Vec<f64>,
}

impl Wanted {
    /// Each wish with its words, in the order within, sigma, epsilon, rho.
    pub(crate) fn each(&self) -> anyhow::Result<Vec<(String, AccuracyRequest)>> {
        let rows = self.rows;
        let mut all = Vec::new();
        for &margin in &self.within {
            let wish = Accuracy::Within { margin, rows };
            let words = match rows {
                Some(rows) => format!("within {margin} if {rows} rows match"),
                None => format!("within {margin}"),
            };
            all.push((words, wish));
        }
        for &sigma in &self.sigma {
            all.push((format!("sigma {sigma}"), Accuracy::Sigma(sigma)));
        }
        for &epsilon in &self.epsilon {
            all.push((format!("epsilon {epsilon}"), Accuracy::Epsilon(epsilon)));
        }
        for &rho in &self.rho {
            all.push((format!("rho {rho}"), Accuracy::Price(Rho::asked(rho)?)));
        }
        if all.is_empty() {
            anyhow::bail!(
                "say how precise the answer should be: --within 50 (or --sigma, --epsilon, --rho)"
            );
        }
        let check = |(words, wish): (String, Accuracy)| Ok((words, AccuracyRequest::whole(wish)?));
        all.into_iter().map(check).collect()
    }

    /// How many rows the margins of averages suppose.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_wishes_stand_side_by_side_and_none_is_refused() {
        let wanted = Wanted {
            within: vec![50.0, 20.0],
            rho: vec![0.02],
            ..Wanted::default()
        };
        let words: Vec<_> = wanted.each().unwrap().into_iter().map(|w| w.0).collect();
        assert_eq!(words, ["within 50", "within 20", "rho 0.02"]);
        assert!(Wanted::default().each().is_err());
        let wrong = Wanted {
            within: vec![-1.0],
            ..Wanted::default()
        };
        assert!(wrong.each().is_err());
    }
}
