//! Exact bounds from counts of right and wrong guesses.
//!
//! A Gaussian mechanism whose sums differ by m standard deviations between two worlds is m-Gaussian
//! differentially private (Dong, Roth and Su 2022): whoever is wrong about the one world with
//! probability a is wrong about the other with probability at least
//! `Phi(Phi^-1(1 - a) - m)`. So error rates bound m from below, and `rho = m^2 / 2`.

/// The logarithm of the gamma function above 0 (Lanczos 1964, with g = 7 and nine terms; relative
/// error below 1e-13).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let series = |sum: f64, (n, term): (usize, &f64)| match n {
        0 => sum + term,
        n => sum + term / (x + n as f64),
    };
    let sum = TERMS.iter().enumerate().fold(0.0, series);
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularised incomplete beta function `I_x(a, b)`: the probability that a beta variable with
/// these parameters is at most x (continued fraction of DLMF 8.17.22, evaluated as by Lentz 1976).
#[must_use]
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast below this point only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let ln_front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    let away = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..100_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    ln_front.exp() * fraction / a
}

/// The least x in an interval for which `reached` holds, which holds from some point on.
fn first(mut low: f64, mut high: f64, reached: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if reached(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Something that happened in some of a number of independent trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How often.
    pub times: u64,
    /// Of how many.
    pub of: u64,
}

impl Count {
    /// One more trial.
    pub fn note(&mut self, happened: bool) {
        self.of += 1;
        self.times += u64::from(happened);
    }

    /// How often in one trial.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.times as f64 / self.of as f64
    }

    /// A probability that the true one exceeds with probability `alarm` at most (Clopper and
    /// Pearson 1934, one-sided). 1 without trials.
    #[must_use]
    pub fn at_most(self, alarm: f64) -> f64 {
        if self.times >= self.of {
            return 1.0;
        }
        let (times, rest) = (self.times as f64, (self.of - self.times) as f64);
        // P(as few or fewer) = I_{1-p}(rest, times + 1), which falls with p.
        first(0.0, 1.0, |p| {
            incomplete_beta(rest, times + 1.0, 1.0 - p) <= alarm
        })
    }

    /// The probability of as many or more if each trial has probability p.
    #[must_use]
    pub fn as_many(self, p: f64) -> f64 {
        if self.times == 0 {
            return 1.0;
        }
        let rest = (self.of - self.times) as f64;
        incomplete_beta(self.times as f64, rest + 1.0, p)
    }
}

/// The standard normal distribution function (the series of Marsaglia 2004 in the middle, the
/// continued fraction of Laplace in the tails; relative error below 1e-12).
#[must_use]
pub fn normal(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if x.abs() > 5.0 {
        let fraction = (1..=200)
            .rev()
            .fold(0.0, |f, n| f64::from(n) / (x.abs() + f));
        let tail = density / (x.abs() + fraction);
        return if x > 0.0 { 1.0 - tail } else { tail };
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        n += 2.0;
        term *= x * x / n;
        sum += term;
    }
    0.5 + density * sum
}

/// The point that a standard normal variable is below with probability p.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    first(-40.0, 40.0, |x| normal(x) >= p)
}

/// The m of two error rates: 0 of guesses that are no better than chance.
#[must_use]
pub fn gaussian(false_alarms: f64, misses: f64) -> f64 {
    // 1 - a loses the small rates: the lower tail is exact.
    (-normal_quantile(false_alarms) - normal_quantile(misses)).max(0.0)
}

/// How often one attack was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Errors {
    /// It said "there" of somebody who was not.
    pub false_alarms: Count,
    /// It said "not there" of somebody who was.
    pub misses: Count,
}

impl Errors {
    /// One more guess.
    pub fn note(&mut self, there: bool, guess: bool) {
        if there {
            self.misses.note(!guess);
        } else {
            self.false_alarms.note(guess);
        }
    }

    /// The most likely rho.
    #[must_use]
    pub fn rho(&self) -> f64 {
        gaussian(self.false_alarms.rate(), self.misses.rate()).powi(2) / 2.0
    }

    /// A rho that the true one is below with probability `alarm` at most.
    #[must_use]
    pub fn rho_at_least(&self, alarm: f64) -> f64 {
        let half = alarm / 2.0;
        let (a, b) = (self.false_alarms.at_most(half), self.misses.at_most(half));
        gaussian(a, b).powi(2) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, relative: f64) {
        assert!((a - b).abs() <= relative * b.abs(), "{a} is not {b}");
    }

    #[test]
    fn functions_have_their_known_values() {
        near(ln_gamma(10.0), 362_880f64.ln(), 1e-13);
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln(), 1e-12);
        // I_x(a, 1) = x^a, and I_x(2, 3) = 6x^2 - 8x^3 + 3x^4.
        near(incomplete_beta(3.5, 1.0, 0.3), 0.3f64.powf(3.5), 1e-12);
        near(incomplete_beta(2.0, 3.0, 0.9), 0.9963, 1e-12);
        near(incomplete_beta(50_000.0, 50_000.0, 0.5), 0.5, 1e-8);
        near(normal(1.959_963_984_540_054), 0.975, 1e-12);
        near(normal(-6.0), 9.865_876_450_376_98e-10, 1e-10);
        near(normal(-5.000_001), normal(-4.999_999), 1e-4);
        near(normal_quantile(1e-6), -4.753_424_308_822_899, 1e-9);
    }

    /// 0 of n: 1 - alarm^(1/n). The binomial sums for 3 of 20 are added up term by term.
    #[test]
    fn bounds_on_rates_are_exact() {
        let none = Count { times: 0, of: 50 };
        near(none.at_most(1e-6), 1.0 - 1e-6f64.powf(0.02), 1e-9);
        assert_eq!(Count::default().at_most(0.1), 1.0);
        let some = Count { times: 3, of: 20 };
        let term = |k: u64, p: f64| {
            let ways: f64 = (0..k).map(|i| (20 - i) as f64 / (i + 1) as f64).product();
            ways * p.powi(k as i32) * (1.0 - p).powi(20 - k as i32)
        };
        let p = some.at_most(0.01);
        near((0..=3).map(|k| term(k, p)).sum(), 0.01, 1e-9);
        near(
            some.as_many(0.2),
            (3..=20).map(|k| term(k, 0.2)).sum(),
            1e-10,
        );
    }

    #[test]
    fn error_rates_of_a_gaussian_give_its_rho_back() {
        let of = 50_000;
        let times = (of as f64 * normal(-1.0)).round() as u64;
        let count = Count { times, of };
        let errors = Errors {
            false_alarms: count,
            misses: count,
        };
        near(errors.rho(), 2.0, 1e-3);
        let (loose, tight) = (errors.rho_at_least(1e-6), errors.rho_at_least(0.05));
        assert!(
            loose < tight && tight < 2.0 && loose > 1.85,
            "{loose} {tight}"
        );
    }
}
