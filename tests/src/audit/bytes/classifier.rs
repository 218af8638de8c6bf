//! Two small classifiers.

/// Says which of two worlds an example is from.
pub(super) trait Guess {
    /// Whether the person is there.
    fn there(&self, features: &[f64]) -> bool;
}

/// Brings features to mean 0 and standard deviation 1.
pub(super) struct Scale {
    means: Vec<f64>,
    widths: Vec<f64>,
}

impl Scale {
    /// Of the examples to learn from; nothing if there is none.
    pub(super) fn of<'a>(examples: impl Iterator<Item = &'a [f64]>) -> Option<Self> {
        let examples: Vec<&[f64]> = examples.collect();
        let (n, width) = (examples.len() as f64, examples.first()?.len());
        let column = |at: usize| examples.iter().filter_map(move |e| e.get(at));
        let mean = |at: usize| column(at).sum::<f64>() / n;
        let means: Vec<f64> = (0..width).map(mean).collect();
        let squares = |(at, mean): (usize, &f64)| {
            let square: f64 = column(at).map(|x| (x - mean).powi(2)).sum();
            let deviation = (square / n).sqrt();
            // What never changes says nothing, and must not blow up if it does later.
            if deviation > 1e-9 { deviation } else { 1.0 }
        };
        let widths = means.iter().enumerate().map(squares).collect();
        Some(Self { means, widths })
    }

    /// One example.
    pub(super) fn apply(&self, features: &[f64]) -> Vec<f64> {
        let scaled = features.iter().zip(&self.means).zip(&self.widths);
        // One wild value must not drown all others.
        let one = |((x, mean), width): ((&f64, &f64), &f64)| ((x - mean) / width).clamp(-8.0, 8.0);
        scaled.map(one).collect()
    }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Logistic regression with a small penalty on squares.
pub(super) struct Logistic {
    weights: Vec<f64>,
    offset: f64,
}

impl Logistic {
    const STEPS: u32 = 300;
    const RATE: f64 = 0.5;
    const PENALTY: f64 = 1e-3;

    /// By descent along the gradient.
    pub(super) fn of(examples: &[(Vec<f64>, bool)]) -> Self {
        let width = examples.first().map_or(0, |(e, _)| e.len());
        let mut this = Self {
            weights: vec![0.0; width],
            offset: 0.0,
        };
        let n = examples.len().max(1) as f64;
        for _ in 0..Self::STEPS {
            let (mut slope, mut shift) = (vec![0.0; width], 0.0);
            for (features, there) in examples {
                let odds = this.odds(features);
                let off = 1.0 / (1.0 + (-odds).exp()) - f64::from(u8::from(*there));
                shift += off / n;
                let each = slope.iter_mut().zip(features);
                each.for_each(|(s, x)| *s += off * x / n);
            }
            this.offset -= Self::RATE * shift;
            for (weight, slope) in this.weights.iter_mut().zip(slope) {
                *weight -= Self::RATE * (slope + Self::PENALTY * *weight);
            }
        }
        this
    }

    fn odds(&self, features: &[f64]) -> f64 {
        self.offset + product(&self.weights, features)
    }
}

impl Guess for Logistic {
    fn there(&self, features: &[f64]) -> bool {
        self.odds(features) > 0.0
    }
}

/// The nearer of the two means.
pub(super) struct Centroids {
    with: Vec<f64>,
    without: Vec<f64>,
}

impl Centroids {
    /// The means of both worlds.
    pub(super) fn of(examples: &[(Vec<f64>, bool)]) -> Self {
        let mean = |wanted: bool| {
            let mine = || examples.iter().filter(|(_, there)| *there == wanted);
            let n = mine().count().max(1) as f64;
            let width = examples.first().map_or(0, |(e, _)| e.len());
            let mut sum = vec![0.0; width];
            for (features, _) in mine() {
                sum.iter_mut().zip(features).for_each(|(s, x)| *s += x / n);
            }
            sum
        };
        Self {
            with: mean(true),
            without: mean(false),
        }
    }
}

impl Guess for Centroids {
    fn there(&self, features: &[f64]) -> bool {
        let far = |mean: &[f64]| -> f64 {
            let pairs = mean.iter().zip(features);
            pairs.map(|(m, x)| (m - x).powi(2)).sum()
        };
        far(&self.with) < far(&self.without)
    }
}
