//! Trying out: previews and runs on invented rows. Nothing here adds to exposure.

use std::time::Duration;

use obscura_model::accuracy::Z95;
use obscura_model::answer::{Answer, OutputKind, Shape, margin};
use obscura_model::exposure::{Mode, Rho};
use obscura_model::ids::ReleaseName;

use crate::catalogue::{Account, AccountLimit, Share};

/// What a release would be like: from query, description and accuracy, without reading a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Groups, vectors and outputs.
    pub shape: Shape,
    /// What it would add to exposure.
    pub price: Rho,
    /// The epsilon of the release on its own, rounded up, at the limit's delta; nothing without a
    /// limit.
    pub epsilon: Option<f64>,
    /// The query as it would be signed, reviewed and run.
    pub canonical_sql: String,
    /// The query in words.
    pub words: String,
    /// The time after which the answer leaves.
    pub slot: Duration,
    /// The limits concerned, before this release.
    pub accounts: Vec<Account>,
    /// The caller's share.
    pub share: Share,
    /// Why it would be refused now; nothing if it would be admitted.
    pub refusal: Option<String>,
    /// What to look at twice, from public hints only.
    pub warnings: Vec<String>,
    /// The version of the dataset that it is about.
    pub dataset_version: u32,
    /// The declared size of the dataset.
    pub size: DeclaredSize,
}

/// How large a dataset is by its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeclaredSize {
    /// The lower end of its number of subjects.
    pub fewest_subjects: u64,
    /// The upper end.
    pub most_subjects: u64,
    /// At most this many rows of one subject count.
    pub most_rows_per_subject: u32,
}

/// One question on invented rows.
#[derive(Debug, Clone, PartialEq)]
pub struct MockRun {
    /// What a release of it would be like.
    pub preview: Preview,
    /// Without noise: allowed, because the rows are invented.
    pub exact: Answer,
    /// With the noise that a release would have.
    pub noisy: Answer,
}

/// The 95 % noise margin that one output will have in every cell.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputMargin {
    /// The output's name.
    pub output: String,
    /// Its unit; may be empty.
    pub unit: String,
    /// The margin; with `rows` it holds if at least so many rows match. Infinite for none.
    pub margin: f64,
    /// The standard error from the noise alone: the margin over 1.96. For counts and sums it is the
    /// sigma of the noise.
    pub standard_error: f64,
    /// The number of people of whom a simple random sample would be as uncertain as the noise makes
    /// this, at best: the true number follows from private rows and is not larger. Nothing where the
    /// public size is not known, where it has no such meaning, or where there are groups.
    pub like_a_study_of: Option<u64>,
    /// Where the error depends on the rows: the number that the margin supposes.
    pub rows: Option<u64>,
}

impl Preview {
    /// The margin of every output: where it depends on the rows that match, the worst over all
    /// values between the bounds if at least `rows` rows do (see [`obscura_model::answer::reach`]
    /// for what is supposed of quotients, quantiles and correlations). Infinite where none can be
    /// said beforehand.
    #[must_use]
    pub fn margins(&self, rows: u64) -> Vec<OutputMargin> {
        let one = |output: &obscura_model::answer::Output| {
            let found = margin(&output.kind, &self.shape.vectors, rows);
            let (margin, needs_rows) = found.unwrap_or((f64::INFINITY, false));
            OutputMargin {
                output: output.name.clone(),
                unit: output.unit.clone(),
                margin,
                standard_error: margin / Z95,
                like_a_study_of: self.like_a_study_of(&output.kind),
                rows: needs_rows.then_some(rows.max(1)),
            }
        };
        self.shape.outputs.iter().map(one).collect()
    }

    /// See [`like_a_study_of`]; for counts and averages over the whole dataset.
    fn like_a_study_of(&self, kind: &OutputKind) -> Option<u64> {
        // How many people a group has is not public, and a study would have few of them.
        if !self.shape.keys.is_empty() {
            return None;
        }
        let people = self.size.known()?;
        let sigma = |v: usize| self.shape.vectors.get(v).map(|v| v.sigma_in_units());
        let rows = f64::from(self.size.most_rows_per_subject.max(1));
        match *kind {
            // Who contributes is not estimated from a sample.
            OutputKind::Subjects { vector } if !self.shape.vectors.get(vector)?.grouped => None,
            OutputKind::Subjects { vector } => like_a_study_of(people, sigma(vector)?, 0.5),
            OutputKind::Count { vector } => like_a_study_of(people, sigma(vector)?, rows / 2.0),
            OutputKind::Average {
                sum,
                count,
                middle,
                lowest,
                highest,
            } => {
                // The total that the average rests on, as the sum over people of centred values.
                let half = (highest - middle).max(middle - lowest);
                let variance = sigma(sum)?.powi(2) + (half * sigma(count)?).powi(2);
                like_a_study_of(people, variance.sqrt(), half * rows)
            }
            // What else there is has no such meaning, or depends on more than a spread.
            _ => None,
        }
    }

    /// Whether a draft should propose coverage: some limit in protect mode is so near that with
    /// this release people may be left out.
    #[must_use]
    pub fn proposes_coverage(&self) -> bool {
        self.accounts.iter().any(|account| {
            let protects = account.limit.is_some_and(|l| l.mode == Mode::Protect);
            protects && account.room().is_some_and(|room| self.price > room)
        })
    }

    /// What one release like this takes of the tightest limit concerned.
    #[must_use]
    pub fn takes(&self) -> Option<Takes> {
        Takes::of(self.price, &self.accounts)
    }
}

impl DeclaredSize {
    /// The number of people, if it is declared to within a factor of two: the lower end, so that
    /// what follows from it is not too good.
    #[must_use]
    pub fn known(&self) -> Option<u64> {
        let close = self.most_subjects <= self.fewest_subjects.saturating_mul(2);
        (close && self.fewest_subjects > 1).then_some(self.fewest_subjects)
    }
}

/// The size n of the simple random sample, of N people, whose estimate of a total is as uncertain
/// as noise of standard deviation `s` makes the exact total.
///
/// A sample of n without replacement estimates the total of N values with standard deviation d by
/// N times the sample's mean; its variance is N^2 (d^2 / n) (N - n) / (N - 1) (Cochran 1977,
/// theorem 2.2, with d^2 over N). Setting it equal to s^2 and solving for n gives
///
/// n = N / (1 + s^2 (N - 1) / (N^2 d^2)).
///
/// With d^2 = p (1 - p) and N - 1 taken as N this is the effective size n / (1 + s_noise^2 /
/// s_sampling^2) of a count. What d is depends on private rows, so that it is taken as half of the
/// public range: the value when half of the people are at either end, and so the largest that it can
/// be. Every other d gives a smaller n. Nothing if the range is empty.
fn like_a_study_of(people: u64, s: f64, d: f64) -> Option<u64> {
    let n = people as f64;
    let size = n / (1.0 + s.powi(2) * (n - 1.0) / (n * d).powi(2));
    // Between 0 and the number of people, rounded down.
    (d > 0.0 && size.is_finite()).then_some(size as u64)
}

/// The margin of every output of the combined answer, if every institution of `previews` answers
/// and at least `rows` rows match at each: independent noise adds up as the root of the sum of
/// squares, and an average is the added sums over the added counts. Of what else depends on the
/// rows the largest margin of a site is given: more rows make it smaller. Nothing if the outputs
/// differ.
#[must_use]
pub fn combined_margins(previews: &[&Preview], rows: u64) -> Vec<OutputMargin> {
    let sites: Vec<_> = previews.iter().map(|p| p.margins(rows)).collect();
    let Some(first) = sites.first() else {
        return Vec::new();
    };
    let same = |other: &Vec<OutputMargin>| {
        other.len() == first.len() && other.iter().zip(first).all(|(a, b)| a.output == b.output)
    };
    if !sites.iter().all(same) {
        return Vec::new();
    }
    let combined = |(place, output): (usize, &OutputMargin)| {
        let each = sites.iter().filter_map(|s| s.get(place));
        let largest = each.clone().map(|m| m.margin).fold(0.0, f64::max);
        let root = each.map(|m| m.margin.powi(2)).sum::<f64>().sqrt();
        let count = sites.len() as f64;
        let kind = previews.first().and_then(|p| p.shape.outputs.get(place));
        let average = kind.is_some_and(|o| matches!(o.kind, OutputKind::Average { .. }));
        let margin = match output.rows {
            None => root,
            Some(_) if average => root / count,
            Some(_) => largest,
        };
        OutputMargin {
            margin,
            standard_error: margin / Z95,
            like_a_study_of: None,
            rows: output.rows.map(|r| r.saturating_mul(sites.len() as u64)),
            ..output.clone()
        }
    };
    first.iter().enumerate().map(combined).collect()
}

/// What an addition takes of the tightest limit concerned: public numbers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// The share of the limit in per cent, rounded up.
    pub percent: u64,
    /// Whether it is less than one per cent.
    pub under_one: bool,
    /// How many additions of this size fit now, this one included.
    pub fit: u64,
    /// Whether every limit without room for it is in protect mode: then it is not refused for
    /// that, and people at the limit are left out of it.
    pub leaves_out: bool,
}

impl Takes {
    /// Of the limits of `accounts` the one that `price` takes most of, and the one with the least
    /// room. Nothing if any of them has no limit yet, or if nothing would be added.
    #[must_use]
    pub fn of(price: Rho, accounts: &[Account]) -> Option<Takes> {
        let mut takes: Option<Takes> = None;
        for account in accounts {
            let AccountLimit {
                rho: limit, mode, ..
            } = account.limit?;
            let room = account.room()?;
            let percent =
                (u128::from(price.nano()) * 100).div_ceil(u128::from(limit.nano().max(1)));
            let percent = u64::try_from(percent).unwrap_or(u64::MAX);
            let under_one = u128::from(price.nano()) * 100 < u128::from(limit.nano());
            let fit = room.nano().checked_div(price.nano())?;
            let leaves_out = fit > 0 || mode == Mode::Protect;
            takes = Some(match takes {
                None => Takes {
                    percent,
                    under_one,
                    fit,
                    leaves_out,
                },
                Some(t) => Takes {
                    percent: t.percent.max(percent),
                    under_one: t.under_one && under_one,
                    fit: t.fit.min(fit),
                    leaves_out: t.leaves_out && leaves_out,
                },
            });
        }
        takes
    }

    /// "less than 1", or the per cent.
    #[must_use]
    pub fn percent_in_words(&self) -> String {
        if self.under_one {
            "less than 1".to_owned()
        } else {
            self.percent.to_string()
        }
    }

    /// "takes 48 % of this site's lifetime limit; one more like it fits".
    #[must_use]
    pub fn sentence(&self) -> String {
        let more = match self.fit {
            0 if self.leaves_out && self.percent <= 100 => {
                "people at the limit would be left out of it".to_owned()
            }
            0 => "it does not fit".to_owned(),
            1 => "nothing more like it fits".to_owned(),
            2 => "one more like it fits".to_owned(),
            n => format!("{} more like it fit", n - 1),
        };
        format!(
            "takes {} % of this site's lifetime limit; {more}",
            self.percent_in_words()
        )
    }
}

/// A whole study at one site.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyPreview {
    /// Each release with how often it may run.
    pub releases: Vec<(ReleaseName, u32, Preview)>,
    /// What everything together would add: prices times runs; nothing if that does not fit a
    /// number.
    pub price: Option<Rho>,
}

impl StudyPreview {
    /// Adds prices up.
    #[must_use]
    pub fn new(releases: Vec<(ReleaseName, u32, Preview)>) -> Self {
        let price = releases.iter().try_fold(Rho::ZERO, |sum, (_, times, p)| {
            sum.checked_add(p.price.checked_mul(u64::from(*times))?)
        });
        StudyPreview { releases, price }
    }

    /// What the whole study takes of the tightest limit concerned.
    #[must_use]
    pub fn takes(&self) -> Option<Takes> {
        let (_, _, first) = self.releases.first()?;
        Takes::of(self.price?, &first.accounts)
    }

    /// The first reason for which a release would be refused now.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let mut refusals = self.releases.iter().map(|(_, _, p)| p.refusal.as_deref());
        refusals.find_map(|r| r)
    }

    /// The release that [`StudyPreview::refusal`] is about.
    #[must_use]
    pub fn refused_release(&self) -> Option<&ReleaseName> {
        let mut refused = self.releases.iter().filter(|(_, _, p)| p.refusal.is_some());
        refused.next().map(|(name, _, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_model::exposure::{Delta, DeltaCharge};

    fn account(meter: u64, reserved: u64) -> Account {
        let nano = Rho::from_nano;
        Account {
            name: "population people".to_owned(),
            limit: Some(AccountLimit {
                mode: Mode::Protect,
                epsilon: 5.0,
                delta: Delta::new(1e-6).unwrap(),
                rho: nano(463_064_990),
                largest_release: nano(115_766_247),
                smallest_release: nano(46_307),
                guarantee: nano(463_064_990),
                keys: DeltaCharge::ZERO,
                keys_guarantee: DeltaCharge::ZERO,
            }),
            meter: nano(meter),
            reserved: nano(reserved),
            keys_taken: DeltaCharge::ZERO,
        }
    }

    fn preview(sigma: u64) -> Preview {
        Preview {
            shape: crate::testing::answer([0, 0], [0, 0], sigma)
                .shape()
                .clone(),
            price: Rho::ZERO,
            epsilon: None,
            canonical_sql: String::new(),
            words: String::new(),
            slot: Duration::ZERO,
            accounts: Vec::new(),
            share: Share {
                limit: None,
                used: Rho::ZERO,
            },
            refusal: None,
            warnings: Vec::new(),
            dataset_version: 1,
            size: DeclaredSize::default(),
        }
    }

    #[test]
    fn noise_is_like_a_smaller_study_as_the_published_table_says() {
        // 2,000 patients, 240 with a diagnosis: d^2 = p (1 - p); noise margins 62, 31 and 9.8.
        let d = (0.12f64 * 0.88).sqrt();
        for (s, n) in [(31.62, 349), (15.81, 916), (5.0, 1788)] {
            let got = like_a_study_of(2000, s, d).unwrap();
            assert!(got.abs_diff(n) <= 1, "{s}: {got}");
        }
        assert_eq!(like_a_study_of(2000, 0.0, d), Some(2000));
        assert_eq!(like_a_study_of(2000, 5.0, 0.0), None);
        let size = |fewest_subjects, most_subjects| DeclaredSize {
            fewest_subjects,
            most_subjects,
            most_rows_per_subject: 1,
        };
        assert_eq!(size(100, 200).known(), Some(100));
        assert_eq!(size(99, 200).known(), None);
        let mut preview = preview(5);
        assert_eq!(preview.margins(1)[0].like_a_study_of, None);
        preview.size = size(2000, 2000);
        preview.shape.keys.clear();
        assert_eq!(preview.margins(1)[0].like_a_study_of, Some(1904));
        preview.shape.keys = vec![obscura_model::answer::Key {
            column: "sex".to_owned(),
            labels: vec!["F".to_owned(), "M".to_owned()],
            discovered: None,
        }];
        assert_eq!(preview.margins(1)[0].like_a_study_of, None);
        assert!(like_a_study_of(2000, 5.0, 0.3) < like_a_study_of(2000, 5.0, 0.5));
        assert!((preview.margins(1)[0].standard_error - 5.0).abs() < 1e-9);
    }

    #[test]
    fn coverage_is_proposed_when_this_release_passes_a_limit_that_leaves_people_out() {
        let mut preview = preview(5);
        preview.price = Rho::from_nano(100);
        for (meter, strict, proposed) in [
            (463_064_890, false, false),
            (463_064_891, false, true),
            (463_064_891, true, false),
        ] {
            let mut account = account(meter, 0);
            if strict {
                account.limit.as_mut().unwrap().mode = Mode::Strict;
            }
            preview.accounts = vec![account];
            assert_eq!(preview.proposes_coverage(), proposed, "{meter} {strict}");
        }
    }

    #[test]
    fn noise_of_several_sites_adds_up_as_the_combined_answer_says() {
        use crate::combined::combine;
        use crate::testing::{Authority, answer, verified};
        let authority = Authority::new(100);
        let rows = 5000;
        // Centred sums of zero and the values in the middle: for those the worst case over values
        // and the combined answer's own margin differ by the count's share alone.
        let one = |name, seed, sigma| {
            let answer = answer([rows, rows], [0, 0], sigma);
            verified(&authority, name, seed, answer)
        };
        let released = combine(&[one("basel", 3, 30), one("cadiz", 4, 40)]).unwrap();
        let (a, b) = (preview(30), preview(40));
        let expected = combined_margins(&[&a, &b], rows.unsigned_abs());
        let margin = |output: usize| released.combined.rows[0].estimates[output].margin;
        assert!((expected[0].margin - margin(0)).abs() < 1e-9, "counts");
        assert_eq!((expected[0].rows, expected[1].rows), (None, Some(10_000)));
        // The worst case adds (half-range)^2 = 25 times the count's variance.
        let worst = margin(1) * 26f64.sqrt();
        assert!((expected[1].margin - worst).abs() < 1e-9, "averages");
        assert!(combined_margins(&[], 1).is_empty());
    }

    #[test]
    fn the_sentence_says_what_is_taken_and_how_many_more_fit() {
        let price = Rho::from_nano(220_000_000);
        let says = |accounts: &[Account]| Takes::of(price, accounts).map(|t| t.sentence());
        let start = "takes 48 % of this site's lifetime limit; ";
        for (account, more) in [
            (account(0, 0), "one more like it fits"),
            (account(220_000_000, 0), "nothing more like it fits"),
            (account(0, 220_000_000), "nothing more like it fits"),
            (
                account(463_064_990, 0),
                "people at the limit would be left out of it",
            ),
        ] {
            assert_eq!(says(&[account]).unwrap(), format!("{start}{more}"));
        }
        let tight = [account(0, 0), account(400_000_000, 0)];
        assert!(says(&tight).unwrap().ends_with("would be left out of it"));
        let mut strict = account(400_000_000, 0);
        strict.limit.as_mut().unwrap().mode = Mode::Strict;
        let tight = [account(400_000_000, 0), strict];
        assert!(says(&tight).unwrap().ends_with("it does not fit"));
        let little = Takes::of(Rho::from_nano(92_300), &[account(0, 0)]).unwrap();
        let expected = "takes less than 1 % of this site's lifetime limit; 5015 more like it fit";
        assert_eq!(little.sentence(), expected);
        let huge = Takes::of(Rho::from_nano(500_000_000), &[account(0, 0)]).unwrap();
        assert!(huge.sentence().ends_with("limit; it does not fit"));
        let mut open = account(0, 0);
        open.limit = None;
        assert_eq!(says(&[account(0, 0), open]), None);
        assert_eq!(says(&[]), None);
    }
}
