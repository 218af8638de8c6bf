use proptest::prelude::*;

use super::*;
use crate::combined::{CombinedAnswer, NotIncluded, combine};
use crate::testing::{Authority, answer, verified};
use obscura_model::answer::Estimate;
use obscura_model::combine::Whole;
use obscura_model::ids::PartyName;

fn combined(counts: [i64; 2]) -> CombinedAnswer {
    let authority = Authority::new(100);
    let releases = [
        verified(&authority, "basel", 3, answer(counts, [10, -20], 5)),
        verified(&authority, "cadiz", 4, answer([100, 50], [0, 5], 5)),
    ];
    let missing = NotIncluded {
        name: PartyName::new("delft").unwrap(),
        reason: "declined: \"no\" & <never>".to_owned(),
    };
    combine(&releases).unwrap().without([missing])
}

/// Every number in the CSV, in order: value, margin, low, high of each line.
fn csv_numbers(text: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    for line in text.lines().skip(1) {
        let tail: Vec<_> = line.rsplitn(6, ',').collect();
        numbers.extend(tail[1..5].iter().rev().map(|n| (*n).to_owned()));
    }
    numbers
}

#[test]
fn csv_json_and_svg_show_the_same_numbers() {
    let answer = combined([300, 200]);
    let figures = Figures::of(&answer);
    let (csv, json, svg) = (csv(&answer), json(&answer), svg(&answer, "T"));
    let mut from_figures = Vec::new();
    let mut from_json = Vec::new();
    for (place, row) in figures.rows.iter().enumerate() {
        for (figure, (name, _)) in row.figures.iter().zip(&figures.outputs) {
            let (low, high) = figure.ends_text();
            let texts = [figure.value_text(), figure.margin_text(), low, high];
            // The picture writes value and margin, for the eye and for screen readers.
            let shown = format!("{} ± {}", texts[0], texts[1]);
            assert_eq!(svg.matches(&shown).count(), 3, "{shown}");
            let one = &json["rows"][place]["outputs"][name];
            for (key, text) in ["value", "margin_95", "low", "high"].iter().zip(&texts) {
                let number = one[*key].as_f64().unwrap();
                assert_eq!(number, text.parse::<f64>().unwrap(), "{name} {key}");
                from_json.push(text.clone());
            }
            from_figures.extend(texts);
        }
    }
    assert_eq!(csv_numbers(&csv), from_figures);
    assert_eq!(from_figures.len(), 16);
}

#[test]
fn what_is_told_of_the_whole_stands_once_and_in_no_group() {
    let mut answer = combined([300, 200]);
    answer.combined.whole.push(Whole {
        name: "coverage".to_owned(),
        unit: "people".to_owned(),
        estimate: Estimate::within(5912.3, 60.2),
    });
    let (csv, json, svg) = (csv(&answer), json(&answer), svg(&answer, "T"));
    let line = ",coverage,people,5912,61,5851,5973,basel cadiz";
    assert_eq!(csv.lines().last(), Some(line));
    assert_eq!(csv.matches("coverage").count(), 1);
    assert_eq!(json["whole"]["coverage"]["margin_95"], 61.0);
    assert_eq!(json["rows"][0]["outputs"].get("coverage"), None);
    // Drawn once, and said once for screen readers.
    assert_eq!(svg.matches("coverage (people): 5912 ± 61").count(), 2);
}

#[test]
fn the_picture_is_labelled_and_escaped() {
    let svg = svg(&combined([300, 200]), "Visits <& more>");
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\""));
    assert!(svg.contains("<title id=\"title\">Visits &lt;&amp; more&gt;</title>"));
    assert!(svg.contains("<desc id=\"desc\">") && svg.contains("#0072B2"));
    assert!(svg.contains("95 in 100") && svg.contains("visits (visits a year)"));
    assert!(!svg.contains("<never>") && !svg.contains("<a>") && !svg.contains("<script"));
    assert_eq!(
        svg.matches("<text ").count(),
        svg.matches("</text>").count()
    );
}

#[test]
fn a_long_title_goes_on_in_a_second_line() {
    let title = "word ".repeat(30);
    let picture = svg(&combined([300, 200]), title.trim());
    let bold = "font-size=\"18\"";
    assert_eq!(picture.matches(bold).count(), 3, "{picture}");
    assert_eq!(svg(&combined([300, 200]), "Short").matches(bold).count(), 1);
}

#[test]
fn who_is_in_it_stands_everywhere() {
    let answer = combined([300, 200]);
    assert!(csv(&answer).contains("basel cadiz"));
    let svg = svg(&answer, "T");
    assert!(svg.contains("2 of 3") && svg.contains("delft"));
    assert_eq!(json(&answer)["institutions_not_in_it"][0]["name"], "delft");
    assert_eq!(
        json(&answer)["institutions"][1]["added_nano_rho"],
        100_000_000
    );
}

#[test]
fn where_the_noise_allows_no_statement_there_is_no_margin() {
    let answer = combined([-100, -50]);
    assert!(json(&answer)["rows"][0]["outputs"]["visits"]["margin_95"].is_null());
    assert!(svg(&answer, "T").contains("no margin"));
    assert!(csv(&answer).contains(",,,"));
    assert!(terminal(&answer, 1, 80).contains("no margin"));
}

#[test]
fn a_lower_bound_is_told_as_one_everywhere_and_has_no_margin() {
    let mut answer = combined([300, 200]);
    let bound = |value, margin| Estimate {
        value,
        margin,
        lower_bound: true,
    };
    answer.combined.rows[0].estimates[0] = bound(3.0, 2.0);
    answer.combined.rows[1].estimates[0] = bound(5.0, 0.0);
    assert_eq!(shown(bound(3.0, 2.0)), "at least 3 of 5");
    assert_eq!(shown(bound(5.0, 0.0)), "all 5");
    let name = &answer.combined.outputs[0].0;
    let one = &json(&answer)["rows"][0]["outputs"][name];
    assert_eq!(
        (&one["value"], &one["lower_bound"]),
        (&3.0.into(), &true.into())
    );
    assert!(one["margin_95"].is_null() && one["standard_error"].is_null());
    assert_eq!((&one["low"], &one["high"]), (&3.0.into(), &5.0.into()));
    assert!(csv(&answer).contains(",3,,3,5,basel cadiz\n"));
    for drawn in [svg(&answer, "T"), terminal(&answer, 0, 80)] {
        assert!(
            drawn.contains("at least 3 of 5") && drawn.contains("all 5"),
            "{drawn}"
        );
        assert!(!drawn.contains("3 ±"), "{drawn}");
    }
    let average = &json(&answer)["rows"][0]["outputs"][&answer.combined.outputs[1].0];
    assert_eq!(average["lower_bound"], false);
}

#[test]
fn labels_from_elsewhere_cannot_run_in_a_spreadsheet() {
    let mut answer = combined([300, 200]);
    answer.combined.rows[0].labels[0] = "=1+1".to_owned();
    assert!(csv(&answer).contains("\"'=1+1\""));
}

#[test]
fn a_chart_fits_its_width_and_shows_every_group() {
    for width in [40, 60, 80] {
        let chart = terminal(&combined([300, 200]), 0, width);
        let lines: Vec<_> = chart.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines.iter().all(|l| l.chars().count() <= width),
            "{width}\n{chart}"
        );
        assert_eq!(chart.matches('●').count(), 2);
    }
}

#[test]
fn margins_have_two_digits_also_where_rounding_adds_one() {
    for (exact, text) in [
        (0.106, "0.11"),
        (0.999, "1.0"),
        (9.96, "10"),
        (0.101, "0.11"),
        (2.15, "2.2"),
        (25.0, "25"),
        (0.0996, "0.10"),
        (123.4, "124"),
    ] {
        assert_eq!(margin(exact), text);
    }
}

proptest! {
    #[test]
    fn a_shown_interval_is_never_narrower(value in -1e6f64..1e6, exponent in -6f64..6.0) {
        let margin = 10f64.powf(exponent);
        let figure = figures::Figure::of(Estimate::within(value, margin));
        let shown = figure.margin.unwrap();
        prop_assert!(shown >= margin * (1.0 - 1e-9), "{shown} < {margin}");
        prop_assert!(shown <= margin * 1.101 || figure.decimals == 0, "{shown} > {margin}");
        let step = 10f64.powi(-(figure.decimals as i32));
        prop_assert!((figure.value - value).abs() <= step / 2.0 + value.abs() * 1e-12);
    }
}
