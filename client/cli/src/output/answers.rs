//! A combined answer for people: table, chart, who is in it, what it added where. Also runs on
//! practice data side by side.

use std::collections::BTreeMap;

use obscura_client::model::answer::{Answer, Estimate};
use obscura_client::model::exposure::Rho;
use obscura_client::model::ids::PartyName;
use obscura_client::model::release::Completeness;
use obscura_client::{CombinedAnswer, Included, MockRun, export};

use super::supposed::shown_from;
use super::tables::{table, wrapped};
use super::words;

/// The widest chart.
const CHART: usize = 80;

/// One row per group, one column per output, with margins; and whose number it is, if not that
/// of all.
pub(crate) fn numbers(answer: &CombinedAnswer) -> String {
    let combined = &answer.combined;
    let mut header: Vec<_> = combined.keys.iter().map(|k| k.column.clone()).collect();
    let groups = header.len();
    header.extend(
        combined
            .outputs
            .iter()
            .map(|(name, unit)| heading(name, unit)),
    );
    let right: Vec<_> = (groups..header.len()).collect();
    let figures = export::Figures::of(answer);
    let some = figures.rows.iter().any(|r| !r.not_shown_at.is_empty());
    if some {
        header.push(String::new());
    }
    let shown = combined.shown.iter().filter_map(|r| combined.rows.get(*r));
    let rows = shown.zip(&figures.rows).map(|(row, figures)| {
        let mut cells = row.labels.clone();
        cells.extend(row.estimates.iter().map(|e| export::shown(*e)));
        if some {
            let of = figures.of_whom();
            cells.push(of.map_or_else(String::new, |of| format!("({of})")));
        }
        cells
    });
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let mut text = table(&header, rows.collect(), &right);
    for said in figures.whole_in_words() {
        text.push_str(&format!("{said}\n"));
    }
    text
}

/// "stays (days)", or the name alone without a unit of another name.
pub(crate) fn heading(name: &str, unit: &str) -> String {
    if unit.is_empty() || unit == name {
        name.to_owned()
    } else {
        format!("{name} ({unit})")
    }
}

/// One chart per output, at most 80 characters wide.
pub(crate) fn charts(answer: &CombinedAnswer) -> String {
    let outputs = 0..answer.combined.outputs.len();
    let charts: Vec<_> = outputs
        .map(|o| export::terminal(answer, o, CHART))
        .collect();
    charts.join("\n")
}

/// What the release added at each institution, and whether anybody can be missing there.
pub(crate) fn added(
    answer: &CombinedAnswer,
    limits: &BTreeMap<PartyName, Rho>,
    details: bool,
) -> String {
    let complete = |i: &Included| i.completeness == Completeness::NobodyDropped;
    let all = answer.included.iter().all(complete);
    let row = |i: &Included| {
        let limit = limits.get(&i.name).copied();
        let mut row = vec![
            i.name.to_string(),
            words::added(i.added, limit, details),
            i.committed.to_string(),
        ];
        if !all {
            let people = if complete(i) {
                "nobody was left out"
            } else {
                "some may be missing"
            };
            row.push(people.to_owned());
        }
        row
    };
    let rows = answer.included.iter().map(row).collect();
    let mut header = vec!["Institution", "This release added", "Released"];
    if all {
        let text = table(&header, rows, &[]);
        return format!("{text}Nobody was left out at any limit.\n");
    }
    header.push("At the limit");
    table(&header, rows, &[])
}

/// Everything about a combined answer.
pub(crate) fn whole(
    answer: &CombinedAnswer,
    limits: &BTreeMap<PartyName, Rho>,
    details: bool,
) -> String {
    let who = format!(
        "{}.\nMargins: 95 in 100 answers land within ± of the answer without added noise; \
         sampling adds its own uncertainty.",
        answer.who()
    );
    format!(
        "{}: {}\n{}\n{}\n{}\n\n{}\n{}\n",
        words::RELEASED,
        answer.release,
        numbers(answer),
        charts(answer),
        wrapped(&who, 0),
        added(answer, limits, details),
        wrapped(words::PERMANENT, 0)
    )
}

/// The cell of another answer that has the label of this one's: keys that nobody declared are
/// found anew in every run.
fn same_cell(of: &Answer, cell: usize, other: &Answer) -> Option<usize> {
    match of.shape().discovered() {
        None => Some(cell),
        Some(_) => other.found().binary_search(of.found().get(cell)?).ok(),
    }
}

/// Runs on practice data, one column for each accuracy.
pub(crate) fn side_by_side(runs: &[(String, MockRun)], details: bool) -> String {
    let Some((_, first)) = runs.first() else {
        return String::new();
    };
    let shape = first.exact.shape();
    let mut header: Vec<_> = shape.keys.iter().map(|k| k.column.as_str()).collect();
    header.extend(["output", "without noise"]);
    let fixed = header.len();
    header.extend(runs.iter().map(|(words, _)| words.as_str()));
    let mut rows = Vec::new();
    for (place, output) in shape.outputs.iter().enumerate() {
        for cell in first.noisy.arranged() {
            let mut row: Vec<_> = shape.labels(cell).into_iter().map(str::to_owned).collect();
            row.push(heading(&output.name, &output.unit));
            row.push(
                first
                    .exact
                    .estimate(place, cell)
                    .map_or_else(String::new, plain),
            );
            let noisy = runs.iter().map(|(_, run)| {
                run.noisy
                    .estimate(place, same_cell(&first.noisy, cell, &run.noisy)?)
            });
            let none = || "not shown".to_owned();
            row.extend(noisy.map(|e| e.map_or_else(none, export::shown)));
            rows.push(row);
        }
    }
    let right: Vec<_> = (fixed - 1..header.len()).collect();
    let mut last = |name: &str, each: &dyn Fn(&MockRun) -> String| {
        let mut row = vec![String::new(); fixed - 1];
        row.push(name.to_owned());
        row.extend(runs.iter().map(|(_, run)| each(run)));
        rows.push(row);
    };
    let found = shape.discovered().is_some();
    if found {
        let from = |run: &MockRun| shown_from(run.noisy.shape()).unwrap_or_default();
        last("shown from", &from);
    }
    last("would add", &|run| would_add(run, details));
    let table = table(&header, rows, &right);
    let keys = if found { FOUND } else { "" };
    format!("{}\n{table}{keys}{}", words::PRACTICE, refusals(runs))
}

/// Beside practice runs with groups that nobody declared.
const FOUND: &str = "The groups are those that enough invented people have in the first run. Real \
    ones have other names,\nand a group that too few people have is not shown.\n";

/// Which of the runs would be refused as releases, and why.
fn refusals(runs: &[(String, MockRun)]) -> String {
    let refused = runs.iter().filter_map(|(words, run)| {
        let refusal = run.preview.refusal.as_ref()?;
        let text = format!("A release {words} would be refused now: {refusal}.");
        Some(wrapped(&text, 0) + "\n")
    });
    refused.collect()
}

fn would_add(run: &MockRun, details: bool) -> String {
    let preview = &run.preview;
    let mut text = match preview.takes() {
        Some(takes) => format!("{} % of the limit", takes.percent_in_words()),
        None => "no limit is set yet".to_owned(),
    };
    if preview.refusal.is_some() {
        text.push_str(": refused");
    }
    if details {
        text.push_str(&format!(", rho {}", preview.price));
        if let Some(epsilon) = preview.epsilon {
            text.push_str(&format!(", epsilon {}", words::up(epsilon)));
        }
    }
    text
}

/// A value without noise: at most four digits after the point.
fn plain(estimate: Estimate) -> String {
    if estimate.is_missing() {
        return "no value".to_owned();
    }
    let text = format!("{:.4}", estimate.value);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::NotIncluded;
    use obscura_client::model::answer::Key;
    use obscura_client::model::combine::{Combined, CombinedRow, Whole};
    use obscura_client::model::ids::{Digest, ReleaseName, StudyId, UnixMillis};

    fn answer() -> CombinedAnswer {
        let row = |label: &str, value, margin| CombinedRow {
            labels: vec![label.to_owned()],
            estimates: vec![Estimate::within(value, margin)],
            not_in: vec![],
        };
        let included = |name: &str| Included {
            name: PartyName::new(name).unwrap(),
            added: Rho::from_nano(100_000_000),
            completeness: Completeness::NobodyDropped,
            dataset_version: 1,
            journal_index: 5,
            committed: UnixMillis(1_800_000_000_000),
            digest: Digest::of(b"x"),
        };
        CombinedAnswer {
            study: Some(StudyId::from_parts(1_800_000_000_000, [1; 10])),
            release: ReleaseName::new("visits").unwrap(),
            canonical_sql: String::new(),
            combined: Combined {
                keys: vec![Key {
                    column: "cost_share".to_owned(),
                    labels: vec!["free".to_owned(), "95 %".to_owned()],
                    discovered: None,
                }],
                outputs: vec![("visits".to_owned(), "a year".to_owned())],
                whole: vec![Whole {
                    name: "coverage".to_owned(),
                    unit: "people".to_owned(),
                    estimate: Estimate::within(5912.0, 61.0),
                }],
                rows: vec![
                    row("free", 2.731_4, 0.041_2),
                    row("95 %", 1.987, f64::INFINITY),
                ],
                shown: vec![0, 1],
            },
            included: vec![included("basel"), included("cadiz")],
            not_included: vec![NotIncluded {
                name: PartyName::new("delft").unwrap(),
                reason: "declined".to_owned(),
            }],
        }
    }

    #[test]
    fn a_key_that_an_institution_does_not_show_names_it_beside_the_number() {
        let mut answer = answer();
        assert!(!numbers(&answer).contains("not shown"));
        answer.combined.rows[0].not_in = vec![1];
        let text = numbers(&answer);
        let line = text.lines().find(|l| l.contains("free")).unwrap();
        let cells: Vec<_> = line.split("  ").map(str::trim).collect();
        assert!(cells.contains(&"2.731 ± 0.042"), "{text}");
        let of = "(of 1 institution; not shown at cadiz)";
        assert!(line.trim_end().ends_with(of), "{text}");
        assert_eq!(text.matches("not shown").count(), 1);
        assert!(charts(&answer).contains("2.731 ± 0.042 (of 1 of 2)"));
        let view = export::json(&answer);
        assert_eq!(
            view["rows"][0]["institutions"],
            serde_json::json!(["basel"])
        );
        assert_eq!(
            view["rows"][0]["not_shown_at"],
            serde_json::json!(["cadiz"])
        );
        assert_eq!(view["rows"][1]["not_shown_at"], serde_json::json!([]));
    }

    #[test]
    fn an_answer_shows_margins_who_is_in_it_and_what_it_added() {
        let basel = PartyName::new("basel").unwrap();
        let limits = BTreeMap::from([(basel, Rho::from_nano(463_064_990))]);
        let text = whole(&answer(), &limits, false);
        for part in [
            "2.731 ± 0.042",
            "no statement: too much noise",
            "2 of 3 institutions are in it: basel, cadiz; not in it: delft (declined)",
            "22 % of its lifetime limit",
            "a limit not known here; --details shows rho",
            "Once released, this exposure is permanent.",
            "Nobody was left out",
            "coverage (people): 5912 ± 61, of the release as a whole",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("epsilon"));
        assert_eq!(
            text.matches("coverage").count(),
            1,
            "in no row and no chart"
        );
        let widest = text.lines().map(|l| l.chars().count()).max();
        assert!(
            charts(&answer())
                .lines()
                .all(|l| l.chars().count() <= CHART)
        );
        assert!(widest.unwrap() > 0);
        assert!(whole(&answer(), &limits, true).contains("rho 0.1"));
    }
}
