//! A code list that a value may be on.

use std::collections::BTreeSet;
use std::sync::Arc;

use obscura_model::codelist::CodeList;

use super::Text;

/// The codes of a list that travels with the study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes {
    /// `name@` and the first digits of the digest.
    pub(crate) reference: String,
    /// The list's title, or its name.
    pub(crate) title: String,
    pub(crate) codes: Arc<BTreeSet<String>>,
    /// For a category: the declared positions that are on the list.
    pub(crate) positions: Option<BTreeSet<usize>>,
}

impl Codes {
    /// The codes as they bear on `value`. Codes that a category does not declare make no
    /// difference.
    pub(crate) fn of(list: &CodeList, value: &Text) -> Self {
        let codes: BTreeSet<String> = list.codes().iter().cloned().collect();
        let positions = match value {
            Text::Category { column: _, labels } => {
                let declared = labels.iter().enumerate();
                let known = declared.filter(|(_, label)| codes.contains(*label));
                Some(known.map(|(position, _)| position).collect())
            }
            Text::Null | Text::Literal(_) | Text::Column(_) | Text::Case(_) | Text::Call(_) => None,
        };
        let title = match list.title() {
            "" => list.name(),
            title => title,
        };
        Self {
            reference: list.reference(),
            title: title.to_owned(),
            codes: Arc::new(codes),
            positions,
        }
    }
}
