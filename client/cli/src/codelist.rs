//! `obscura codelist`: sign a list of codes, look at a signed one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use obscura_client::model::codelist::{CodeList as List, SignedCodeList};
use serde_json::json;

use crate::output::Report;
use crate::output::tables::{pairs, wrapped};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum CodeList {
    /// Sign a list as its author; writes FILE.codes.toml beside it, for a study's `codelists`.
    Sign {
        /// The list: TOML with name, title, source and codes.
        file: PathBuf,
    },
    /// Check the signature of a signed list and print it.
    Show {
        /// The signed list.
        file: PathBuf,
    },
}

pub(crate) fn run(session: &Session, command: &CodeList) -> anyhow::Result<Report> {
    match command {
        CodeList::Sign { file } => sign(session, file),
        CodeList::Show { file } => show(file),
    }
}

/// Reads a signed list and checks it.
pub(crate) fn read(file: &Path) -> anyhow::Result<SignedCodeList> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    SignedCodeList::from_file(&text).with_context(|| name)
}

fn sign(session: &Session, file: &Path) -> anyhow::Result<Report> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let list = List::from_toml(&text).with_context(|| name)?;
    let signed = session.profile()?.sign_code_list(list)?;
    let to = file.with_extension("codes.toml");
    let path = to.display().to_string();
    fs::write(&to, signed.to_file()).with_context(|| format!("cannot write {path}"))?;
    let text = format!(
        "{path} is signed. Name it in the study file, codelists = [\"{path}\"], and in a query:\n  \
         IN CODELIST('{}')\n",
        signed.list().reference()
    );
    let view = json!({
        "file": path,
        "reference": signed.list().reference(),
        "author": signed.author().to_string(),
    });
    Ok(Report::new(text, view))
}

fn show(file: &Path) -> anyhow::Result<Report> {
    let signed = read(file)?;
    let list = signed.list();
    let facts = [
        ("Name in queries", list.reference()),
        ("Title", list.title().to_owned()),
        ("Source", list.source().to_owned()),
        ("Author's key", signed.author().to_string()),
        ("Codes", list.codes().len().to_string()),
    ];
    let text = format!(
        "The author's signature holds.\n{}{}\n",
        pairs(&facts),
        wrapped(&list.codes().join(" "), 2)
    );
    let view = json!({
        "name": list.name(),
        "reference": list.reference(),
        "title": list.title(),
        "source": list.source(),
        "author": signed.author().to_string(),
        "digest": list.digest().to_string(),
        "codes": list.codes(),
    });
    Ok(Report::new(text, view))
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::model::identity::SigningKey;

    #[test]
    fn a_signed_list_is_shown_and_a_changed_one_is_refused() {
        let list = List::from_toml("name = \"d\"\ncodes = [\"E10\", \"E11\"]").unwrap();
        let signed = SignedCodeList::sign(&SigningKey::from_seed([1; 32]), list);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.codes.toml");
        fs::write(&path, signed.to_file()).unwrap();
        let shown = show(&path).unwrap();
        assert!(shown.text.contains("E10 E11"), "{}", shown.text);
        assert!(shown.text.contains(&signed.list().reference()));
        fs::write(&path, signed.to_file().replace("E11", "E12")).unwrap();
        let error = show(&path).unwrap_err().root_cause().to_string();
        assert!(error.contains("does not hold"), "{error}");
    }
}
