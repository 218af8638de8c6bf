//! A code list with its author's signature, as a file and as it travels with a study.

use serde::{Deserialize, Serialize};

use super::{CodeList, InvalidCodeList};
use crate::identity::{self, SigningKey};
use crate::ids::KeyId;

const DOMAIN: &str = "obscura.v1 codelist";
const FORMAT: &str = "obscura codelist 1";
const HEAD: &str =
    "# A code list with its author's signature. To change it, sign the list again.\n";

/// Why a signed code list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignedCodeList {
    /// Not the text of a signed code list.
    #[error("this is no signed code list: make one with `obscura codelist sign`")]
    File,
    /// A form from another time.
    #[error("this signed code list has a form that this program does not know")]
    Format,
    /// The signature is not its author's, or the text was changed.
    #[error("the author's signature on code list '{0}' does not hold: ask its author for it again")]
    Signature(String),
    /// The list itself.
    #[error(transparent)]
    List(#[from] InvalidCodeList),
}

/// A code list whose author's signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCodeList {
    author: KeyId,
    signature: Vec<u8>,
    list: CodeList,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    author: String,
    signature: String,
    text: String,
}

impl SignedCodeList {
    /// Signs a list as its author. The same key and list give the same signature.
    #[must_use]
    pub fn sign(key: &SigningKey, list: CodeList) -> Self {
        let signature = key.sign(DOMAIN, list.text().as_bytes()).to_vec();
        Self {
            author: key.key_id(),
            signature,
            list,
        }
    }

    /// Checks author, signature and list.
    pub fn check(
        author: KeyId,
        signature: Vec<u8>,
        text: &str,
    ) -> Result<Self, InvalidSignedCodeList> {
        let list = CodeList::from_toml(text)?;
        identity::verify(&author, DOMAIN, text.as_bytes(), &signature)
            .map_err(|_| InvalidSignedCodeList::Signature(list.name().to_owned()))?;
        Ok(Self {
            author,
            signature,
            list,
        })
    }

    /// Reads and checks the text of a signed file.
    pub fn from_file(text: &str) -> Result<Self, InvalidSignedCodeList> {
        let file: File = toml::from_str(text).map_err(|_| InvalidSignedCodeList::File)?;
        if file.format != FORMAT {
            return Err(InvalidSignedCodeList::Format);
        }
        let author = file.author.parse();
        let author = author.map_err(|_| InvalidSignedCodeList::File)?;
        let signature = from_hex(&file.signature).ok_or(InvalidSignedCodeList::File)?;
        Self::check(author, signature, &file.text)
    }

    /// The text of its file.
    #[must_use]
    pub fn to_file(&self) -> String {
        let file = File {
            format: FORMAT.to_owned(),
            author: self.author.to_string(),
            signature: self.signature.iter().map(|b| format!("{b:02x}")).collect(),
            text: self.list.text().to_owned(),
        };
        // A struct of texts is always written.
        #[allow(clippy::expect_used)]
        let body = toml::to_string(&file).expect("texts can be written");
        format!("{HEAD}{body}")
    }

    /// Who signed it.
    #[must_use]
    pub fn author(&self) -> KeyId {
        self.author
    }

    /// The author's signature over the text.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The list.
    #[must_use]
    pub fn list(&self) -> &CodeList {
        &self.list
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "name = \"d\"\r\ntitle = '''a \"b\" \\ c'''\ncodes = [\"E10\", \"é\"]\n\n";

    fn signed() -> SignedCodeList {
        let key = SigningKey::from_seed([1; 32]);
        SignedCodeList::sign(&key, CodeList::from_toml(LIST).unwrap())
    }

    #[test]
    fn a_file_holds_the_text_byte_for_byte() {
        let file = signed().to_file();
        let read = SignedCodeList::from_file(&file).unwrap();
        assert_eq!(read, signed());
        assert_eq!(read.list().text(), LIST);
        assert_eq!(read.to_file(), file);
    }

    #[test]
    fn another_text_author_or_signature_is_refused() {
        let good = signed();
        let text = LIST.replace("E10", "E11");
        let wrong = SignedCodeList::check(good.author, good.signature.clone(), &text);
        assert!(matches!(wrong, Err(InvalidSignedCodeList::Signature(_))));
        let other = SigningKey::from_seed([2; 32]).key_id();
        assert!(SignedCodeList::check(other, good.signature.clone(), LIST).is_err());
        for place in 0..good.signature.len() {
            let mut signature = good.signature.clone();
            signature[place] ^= 1;
            assert!(SignedCodeList::check(good.author, signature, LIST).is_err());
        }
        let unsigned = SignedCodeList::from_file(LIST).unwrap_err();
        assert!(unsigned.to_string().contains("obscura codelist sign"));
    }
}
