//! Tables for people.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
};

/// One line, below the heading.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The width where there is no terminal to ask.
const WIDTH: u16 = 100;

/// The narrowest terminal for which tables are laid out.
const NARROWEST: u16 = 40;

/// How long lines of text are: they fit the narrowest terminals.
const TEXT: usize = 77;

/// Columns of ids of this length stay in one piece, so that they can be copied.
const SHORTEST_ID: usize = 30;

/// See [`SHORTEST_ID`].
const LONGEST_WORD: usize = 40;

/// Lines of text under a heading; the columns at these positions stand to the right.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    // Some terminals say that they are 0 wide, or so narrow that no table could be read.
    if table.width().is_none_or(|width| width < NARROWEST) {
        table.set_width(WIDTH);
    }
    let whole = |column: &usize| {
        let cells = rows.iter().filter_map(|row| row.get(*column));
        let fits = |c: &String| c.len() <= LONGEST_WORD && !c.contains(' ');
        cells.clone().any(|c| c.len() >= SHORTEST_ID) && cells.clone().all(fits)
    };
    let whole: Vec<_> = (0..header.len()).filter(whole).collect();
    table.add_rows(rows);
    for column in whole {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// Names and values, one a line; long values go on below themselves.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let shown = || pairs.iter().filter(|(_, value)| !value.is_empty());
    let indent = shown().map(|(name, _)| name.chars().count()).max();
    let indent = indent.unwrap_or(0) + 2;
    shown()
        .map(|(name, value)| {
            let value = wrapped(value, indent);
            format!("{name:<indent$}{}\n", value.trim_start())
        })
        .collect()
}

/// Text in lines of at most [`TEXT`] characters, each after `indent` spaces; its own line breaks
/// stay.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let width = TEXT.saturating_sub(indent).max(20);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let longer = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && longer > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    let indent = " ".repeat(indent);
    let lines = lines.into_iter().map(|line| format!("{indent}{line}"));
    let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_one_piece_in_a_narrow_table() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        let rows = vec![vec![id.clone(), "word ".repeat(40), "more ".repeat(40)]];
        assert!(table(&["Study", "Title", "Reason"], rows, &[]).contains(&id));
    }

    #[test]
    fn long_values_go_on_below_themselves() {
        let text = pairs(&[("Why", "word ".repeat(40)), ("Empty", String::new())]);
        assert!(text.lines().count() > 1 && text.lines().all(|l| l.chars().count() <= 100));
        assert!(
            text.lines().skip(1).all(|l| l.starts_with("     word")),
            "{text}"
        );
    }
}
