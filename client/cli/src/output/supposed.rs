//! What a preview supposes, and what is not in it: sentences beside its margins.

use obscura_client::Preview;
use obscura_client::model::answer::{Function, OutputKind, Shape};

const QUANTILE: &str = "The margin of a median or quantile supposes that values spread evenly \
    between their bounds. Where few rows lie around it the answer is wider; the answer says how wide.";

const CORRELATION: &str = "The margin of a correlation supposes that both columns spread evenly \
    between their bounds.";

const PER_ROW: &str = "The margin of a quotient supposes the worst: that every row has the largest \
    value that its bounds allow, and that nothing above the line counts more rows than are below. The \
    answer's own margin is narrower as a rule. For an average ask for AVG.";

const PER_PERSON: &str = "The margin of a quotient over people supposes the worst: that each of \
    them has as many rows as count, all with the largest value that their bounds allow. The answer's \
    own margin is narrower as a rule. To narrow it beforehand, clip each person's total in a subquery.";

const CATEGORIES: &str = "A number of different values is told as \"at least\", without a margin: only \
    values that surely occur are counted, 95 times in 100 none that does not. More noise counts fewer.";

/// What the margins of a preview suppose.
pub(super) fn of(shape: &Shape) -> Vec<String> {
    let mut notes = Vec::new();
    for output in &shape.outputs {
        each(&output.kind, &mut notes);
    }
    notes.into_iter().map(str::to_owned).collect()
}

fn each(kind: &OutputKind, notes: &mut Vec<&'static str>) {
    match kind {
        OutputKind::Quantile { .. } => notes.push(QUANTILE),
        OutputKind::Correlation { .. } => notes.push(CORRELATION),
        OutputKind::Categories { .. } => notes.push(CATEGORIES),
        OutputKind::Apply(function, arguments) => {
            if *function == Function::Divide
                && let [above, below] = arguments.as_slice()
                && sums(above)
            {
                match below {
                    OutputKind::Count { .. } => notes.push(PER_ROW),
                    OutputKind::Subjects { .. } => notes.push(PER_PERSON),
                    _ => {}
                }
            }
            arguments.iter().for_each(|a| each(a, notes));
        }
        _ => {}
    }
}

fn sums(kind: &OutputKind) -> bool {
    match kind {
        OutputKind::Sum { .. } => true,
        OutputKind::Apply(_, arguments) => arguments.iter().any(sums),
        _ => false,
    }
}

/// From how many people on a group that nobody declared is shown: "about 45 people".
pub(crate) fn shown_from(shape: &Shape) -> Option<String> {
    Some(format!("about {} people", shape.threshold()?.ceil()))
}

/// How many releases with groups that nobody declared the owners' limits still allow.
pub(super) fn more_keys(preview: &Preview) -> Option<String> {
    let each = preview.shape.delta_keys().units();
    let fits = |account: &obscura_client::Account| {
        let allowed = account.limit?.keys.units();
        let room = allowed.saturating_sub(account.keys_taken.units());
        room.checked_div(each)
    };
    let rooms: Option<Vec<u64>> = preview.accounts.iter().map(fits).collect();
    let fit = match rooms?.into_iter().min()? {
        0 => "no further release like this is".to_owned(),
        1 => "1 release like this is".to_owned(),
        n => format!("{n} releases like this are"),
    };
    Some(format!(
        "Groups that nobody declared: {fit} allowed, whoever asks. One counts whatever it finds, \
         also if it shows no group at all."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_of_sums_says_what_it_supposes() {
        let quotient = |below| {
            let above = OutputKind::Sum { vector: 0 };
            let mut notes = Vec::new();
            each(
                &OutputKind::Apply(Function::Divide, vec![above, below]),
                &mut notes,
            );
            notes
        };
        assert_eq!(quotient(OutputKind::Count { vector: 1 }), [PER_ROW]);
        assert_eq!(quotient(OutputKind::Subjects { vector: 1 }), [PER_PERSON]);
        assert!(quotient(OutputKind::Literal(100.0)).is_empty());
        let categories = OutputKind::Categories { vector: 2 };
        assert_eq!(quotient(categories), [CATEGORIES]);
    }
}
