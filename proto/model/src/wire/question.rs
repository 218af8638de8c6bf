//! What is added to a question: options and code lists.

use obscura_wire::v1;

use super::answer::InvalidWire;
use crate::codelist::SignedCodeList;
use crate::ids::KeyId;
use crate::study::ReleaseOptions;

/// To the wire. Nothing at all is written for options that are all off, so that documents of the
/// first form keep their bytes.
#[must_use]
pub fn options_to(options: &ReleaseOptions) -> Option<v1::ReleaseOptions> {
    let ReleaseOptions {
        require_complete,
        coverage,
        count_clipped,
    } = *options;
    (*options != ReleaseOptions::NONE).then_some(v1::ReleaseOptions {
        require_complete,
        coverage,
        count_clipped,
    })
}

/// From the wire.
#[must_use]
pub fn options_from(options: Option<v1::ReleaseOptions>) -> ReleaseOptions {
    let v1::ReleaseOptions {
        require_complete,
        coverage,
        count_clipped,
    } = options.unwrap_or_default();
    ReleaseOptions {
        require_complete,
        coverage,
        count_clipped,
    }
}

/// To the wire.
#[must_use]
pub fn code_lists_to(lists: &[SignedCodeList]) -> Vec<v1::SignedCodeList> {
    let one = |list: &SignedCodeList| v1::SignedCodeList {
        author: list.author().as_bytes().to_vec(),
        signature: list.signature().to_vec(),
        text: list.list().text().to_owned(),
    };
    lists.iter().map(one).collect()
}

/// From the wire: a list whose signature does not hold is refused.
pub fn code_lists_from(lists: Vec<v1::SignedCodeList>) -> Result<Vec<SignedCodeList>, InvalidWire> {
    let most = crate::study::MOST_CODE_LISTS;
    if lists.len() > most {
        return Err(crate::study::InvalidStudy::CodeLists.into());
    }
    let one = |list: v1::SignedCodeList| {
        let v1::SignedCodeList {
            author,
            signature,
            text,
        } = list;
        let author = KeyId::from_bytes(&author)?;
        Ok(SignedCodeList::check(author, signature, &text)?)
    };
    lists.into_iter().map(one).collect()
}
