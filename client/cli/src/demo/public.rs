//! The end of step 6: released figures beside exact ones. Only the demo does this, and only
//! because its data set is public.

use obscura_client::export::shown;
use obscura_model::accuracy::Z95;
use obscura_model::answer::Estimate;

use super::answer::Fetched;
use super::data::{LEVELS, Row};
use super::exact::{self, Exact};
use super::say::Say;

/// A released value this many margins from the exact one is no bad luck any more.
const TOO_FAR: f64 = 5.0;

/// One figure in both forms.
struct Pair {
    exact: f64,
    released: Estimate,
}

impl Pair {
    /// How far the released value is from the exact one, in margins.
    fn margins_off(&self) -> f64 {
        (self.released.value - self.exact).abs() / self.released.margin
    }
}

/// One output with a [`Pair`] for each level, and how to write its exact figures.
struct Output {
    name: &'static str,
    decimals: usize,
    pairs: Vec<Pair>,
}

/// Prints the block and checks the released figures against the exact ones.
pub(super) fn compare(say: &Say, rows: &[Row], fetched: &[Fetched]) -> anyhow::Result<()> {
    let exact = exact::figures(rows);
    let outputs = outputs(&exact, fetched)?;
    say.title("Because this data set is public: the exact figures")?;
    say.text(
        "Computed from the public file by the demo itself. No node has code for this; with your own \
         data nobody would see the column \"exact\".",
    )?;
    for output in &outputs {
        table(say, output)?;
    }
    let all = || outputs.iter().flat_map(|o| &o.pairs);
    let within = all().filter(|p| p.margins_off() <= 1.0).count();
    say.text(&format!(
        "{within} of {} released figures lie within their margin of the exact one; 19 in 20 are \
         expected to.",
        all().count()
    ))?;
    for output in outputs.iter().filter(|o| o.name != "people") {
        conclusion(say, output)?;
    }
    let worst = all().map(Pair::margins_off).fold(0.0, f64::max);
    anyhow::ensure!(
        worst <= TOO_FAR,
        "a released figure is {worst:.1} margins from the exact one: that is no bad luck but a bug"
    );
    Ok(())
}

fn outputs(exact: &[Exact], fetched: &[Fetched]) -> anyhow::Result<Vec<Output>> {
    type Read = fn(&Exact) -> f64;
    let kinds: [(&'static str, usize, Read); 3] = [
        ("visits", 3, |e| e.visits),
        ("dollars", 2, |e| e.dollars),
        ("people", 0, |e| e.people),
    ];
    let mut outputs = Vec::new();
    for ((name, decimals, read), fetched) in kinds.into_iter().zip(fetched) {
        let rows = &fetched.answer.combined.rows;
        let labels: Vec<_> = rows.iter().map(|r| r.labels.join("")).collect();
        anyhow::ensure!(
            labels == LEVELS,
            "the release '{name}' has other groups: {labels:?}"
        );
        let released = rows.iter().filter_map(|r| r.estimates.first());
        let pair = |(e, r): (&Exact, &Estimate)| Pair {
            exact: read(e),
            released: *r,
        };
        outputs.push(Output {
            name,
            decimals,
            pairs: exact.iter().zip(released).map(pair).collect(),
        });
    }
    Ok(outputs)
}

fn table(say: &Say, output: &Output) -> anyhow::Result<()> {
    let row = |(level, pair): (&&str, &Pair)| {
        vec![
            format!("{level:<13}"),
            format!("{:.*}", output.decimals, pair.exact),
            shown(pair.released),
            format!("{:.1} margins", pair.margins_off()),
        ]
    };
    let rows: Vec<_> = LEVELS.iter().zip(&output.pairs).map(row).collect();
    say.table(&[output.name, "exact", "released", "off by"], rows)?;
    say.line("")?;
    Ok(())
}

/// Free care against 95 % must differ by more than the margins, and 25 % lie between. With the
/// default margin that is nearly certain; with a wide one the noise may hide it, and then this
/// says so.
fn conclusion(say: &Say, output: &Output) -> anyhow::Result<()> {
    let [free, quarter, _, most] = output.pairs.as_slice() else {
        anyhow::bail!("the study has four levels");
    };
    let name = output.name;
    let (f, q, m) = (free.released, quarter.released, most.released);
    let apart = f.value - m.value > f.margin + m.margin;
    let between = m.value < q.value && q.value < f.value;
    if apart && between {
        say.text(&format!(
            "{name}: families with free care have more than families who pay 95 %, by more than \
             both margins together, and 25 % lies between: as in the exact figures."
        ))?;
        return Ok(());
    }
    let expected = [
        hidden(free.exact - most.exact - f.margin - m.margin, &[f, m]),
        hidden(free.exact - quarter.exact, &[f, q]),
        hidden(quarter.exact - most.exact, &[q, m]),
    ];
    // Any of the three is enough, so their sum is an upper bound.
    let chance = (expected.iter().sum::<f64>().min(1.0) * 100.0).ceil();
    say.text(&format!(
        "{name}: the noise of this run hides that free care means more than 95 %, with 25 % \
         between. With these margins that happens in at most {chance} of 100 runs: ask for a \
         smaller margin."
    ))?;
    Ok(())
}

/// The chance that noise turns a difference around that is `by` without noise.
fn hidden(by: f64, parts: &[Estimate]) -> f64 {
    let variance: f64 = parts.iter().map(|e| (e.margin / Z95).powi(2)).sum();
    let z = by / variance.sqrt();
    if z.is_nan() { 1.0 } else { upper_tail(z) }
}

/// The chance that a standard normal number is above `z`, to about seven digits (Abramowitz and
/// Stegun 1964, formula 26.2.17).
fn upper_tail(z: f64) -> f64 {
    const B: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let sum = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let tail = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum;
    if z >= 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_tail_agrees_with_tables() {
        for (z, tail) in [
            (0.0, 0.5),
            (1.0, 0.158_655_3),
            (1.96, 0.024_997_9),
            (3.0, 0.001_349_9),
        ] {
            assert!((upper_tail(z) - tail).abs() < 1e-6, "{z}");
            assert!((upper_tail(-z) - (1.0 - tail)).abs() < 1e-6, "-{z}");
        }
    }

    #[test]
    fn a_figure_one_margin_off_says_so() {
        let released = Estimate::within(2.5, 0.25);
        let pair = Pair {
            exact: 2.25,
            released,
        };
        assert!((pair.margins_off() - 1.0).abs() < 1e-12);
    }
}
