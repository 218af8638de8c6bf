//! SVG: for each output a panel with one dot and interval per group. Drawn here, without any
//! script, font or reference to elsewhere; text is at least 14 px; meaning does not hang on colour.

use std::fmt::Write as _;

use super::figures::{Figure, FigureRow, Figures, heading};
use crate::combined::CombinedAnswer;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 590.0;
const ROW: f64 = 30.0;
/// Where the title stands, and how far below it the first panel begins.
const TITLE: f64 = 30.0;
const BELOW_TITLE: f64 = 26.0;
const TITLE_LINE: f64 = 24.0;
/// How many characters of the title fit a line, and of the caption.
const TITLE_CHARACTERS: usize = 66;
const CAPTION_CHARACTERS: usize = 96;
/// Okabe and Ito's blue: 5.2 to 1 on white.
const BLUE: &str = "#0072B2";

/// The answer as an SVG picture with a title for people.
#[must_use]
pub fn svg(answer: &CombinedAnswer, title: &str) -> String {
    let figures = Figures::of(answer);
    let panel = ROW * figures.rows.len() as f64 + 84.0;
    let caption = caption(answer, &figures);
    let mut titles = Vec::new();
    wrap(&mut titles, title, TITLE_CHARACTERS);
    let top = TITLE + TITLE_LINE * titles.len().saturating_sub(1) as f64 + BELOW_TITLE;
    let height = top + panel * figures.outputs.len() as f64 + 22.0 * caption.len() as f64 + 8.0;
    let mut text = String::new();
    open(&mut text, height, title, &figures, &caption);
    for (place, line) in titles.iter().enumerate() {
        let y = TITLE + TITLE_LINE * place as f64;
        let bold = "font-size=\"18\" font-weight=\"600\"";
        put(&mut text, 16.0, y, "start", bold, line);
    }
    let mut y = top;
    for output in 0..figures.outputs.len() {
        draw_panel(&mut text, &figures, output, y);
        y += panel;
    }
    for line in &caption {
        put(&mut text, 16.0, y, "start", "", line);
        y += 22.0;
    }
    text.push_str("</svg>\n");
    text
}

fn open(text: &mut String, height: f64, title: &str, figures: &Figures, caption: &[String]) {
    let mut said = String::new();
    for (place, output) in figures.outputs.iter().enumerate() {
        let _ = write!(said, "{}: ", heading(output));
        for row in &figures.rows {
            if let Some(figure) = row.figures.get(place) {
                let _ = write!(said, "{} {}; ", row.label(), row.in_words(figure));
            }
        }
    }
    said.push_str(&caption.join(" "));
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
         aria-labelledby=\"title desc\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"14\" \
         fill=\"#1a1a1a\">\n<title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escaped(title),
        escaped(&said)
    );
}

fn caption(answer: &CombinedAnswer, figures: &Figures) -> Vec<String> {
    let mut lines = vec![
        "Dot: released value. Bar: noise margin; 95 in 100 answers land within it of the answer"
            .to_owned(),
        "without added noise. Sampling adds its own uncertainty, which is not drawn.".to_owned(),
    ];
    for said in figures.whole_in_words() {
        wrap(&mut lines, &said, CAPTION_CHARACTERS);
    }
    wrap(&mut lines, &answer.who(), CAPTION_CHARACTERS);
    lines
}

fn wrap(lines: &mut Vec<String>, text: &str, width: usize) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
}

fn draw_panel(text: &mut String, figures: &Figures, output: usize, top: f64) {
    let Some(name) = figures.outputs.get(output) else {
        return;
    };
    let (low, high) = figures.range(output);
    let x = |value: f64| LEFT + (value - low) / (high - low) * (RIGHT - LEFT);
    let weight = "font-weight=\"600\"";
    put(text, 16.0, top + 16.0, "start", weight, &heading(name));
    let first = top + 30.0;
    let bottom = first + ROW * figures.rows.len() as f64;
    for tick in ticks(low, high) {
        let at = x(tick);
        let _ = writeln!(
            text,
            "<line x1=\"{at:.1}\" y1=\"{first:.1}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\" \
             stroke=\"#d0d0d0\"/>"
        );
        put(text, at, bottom + 18.0, "middle", "", &tick_text(tick));
    }
    for (place, row) in figures.rows.iter().enumerate() {
        if let Some(figure) = row.figures.get(output) {
            let y = first + ROW * (place as f64 + 0.5);
            draw_row(text, row, figure, y, x);
        }
    }
}

fn draw_row(text: &mut String, row: &FigureRow, figure: &Figure, y: f64, x: impl Fn(f64) -> f64) {
    put(text, LEFT - 12.0, y + 5.0, "end", "", &short(&row.label()));
    if let Some((low, high)) = figure.ends() {
        let (a, b) = (x(low), x(high));
        let _ = writeln!(
            text,
            "<path d=\"M{a:.1} {y:.1}H{b:.1}M{a:.1} {:.1}V{:.1}M{b:.1} {:.1}V{:.1}\" \
             stroke=\"{BLUE}\" stroke-width=\"3\" fill=\"none\"/>",
            y - 7.0,
            y + 7.0,
            y - 7.0,
            y + 7.0
        );
    }
    let words = row.in_words(figure);
    if !figure.is_missing() {
        let said = escaped(&format!("{}: {words}", row.label()));
        let _ = writeln!(
            text,
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"{BLUE}\"><title>{said}</title></circle>",
            x(figure.value),
        );
    }
    put(text, RIGHT + 14.0, y + 5.0, "start", "", &words);
}

fn short(label: &str) -> String {
    if label.chars().count() <= 20 {
        return label.to_owned();
    }
    let mut text: String = label.chars().take(19).collect();
    text.push('…');
    text
}

/// Round numbers within the range, two to seven of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps.into_iter().map(|s| s * power).find(|s| *s >= rough);
    let step = step.unwrap_or(power * 10.0);
    let (from, to) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (from..=to.min(from.saturating_add(20)))
        .map(|i| i as f64 * step)
        .collect()
}

fn tick_text(tick: f64) -> String {
    let text = format!("{tick:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

fn put(text: &mut String, x: f64, y: f64, anchor: &str, more: &str, words: &str) {
    let _ = writeln!(
        text,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{}</text>",
        escaped(words)
    );
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
