//! Releases that were checked, and their files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use obscura_model::answer::Shape;
use obscura_model::identity::{InvalidCertificate, Party, Role};
use obscura_model::ids::{DatasetName, Digest, KeyId, PartyName, ReleaseName, RequestId, StudyId};
use obscura_model::release::{Authority, InvalidRelease, Release, SignedRelease};
use obscura_model::study::Institution;
use obscura_wire::tls::{self, InvalidChain, UnixTime, Usage};
use serde::{Deserialize, Serialize};

/// The request id of run number `run` (from 1) of a release at one node.
///
/// It follows from what is asked, so that the same run is the same request for ever, from any
/// machine, with nothing to store: the study id's time, and the first ten bytes of a digest of
/// study, node, release name and run.
#[must_use]
pub fn request_id(study: &StudyId, node: &KeyId, release: &ReleaseName, run: u32) -> RequestId {
    derived_id(study, node, release, &run.to_le_bytes())
}

/// The request id of a first run for which a new release was asked in so many words: another
/// request than the first run that may be answered by an earlier release.
pub(crate) fn request_id_again(study: &StudyId, node: &KeyId, release: &ReleaseName) -> RequestId {
    derived_id(study, node, release, b"again")
}

/// What run number `run` (from 1) of a release is called in files and pictures: its own name for
/// the first, `NAME-run-2` for the second.
#[must_use]
pub fn run_label(release: &ReleaseName, run: u32) -> ReleaseName {
    match run {
        0 | 1 => release.clone(),
        run => behind(release, &format!("run-{run}")),
    }
}

/// What a first run that was wanted anew is called in files and pictures: `NAME-again`.
#[must_use]
pub fn again_label(release: &ReleaseName) -> ReleaseName {
    behind(release, "again")
}

/// A name that would be too long stays as it is: files of one name stand side by side too.
fn behind(release: &ReleaseName, what: &str) -> ReleaseName {
    ReleaseName::new(&format!("{release}-{what}")).unwrap_or_else(|_| release.clone())
}

fn derived_id(study: &StudyId, node: &KeyId, release: &ReleaseName, run: &[u8]) -> RequestId {
    let bytes = study.as_bytes();
    let millis = bytes
        .iter()
        .take(6)
        .fold(0u64, |sum, b| (sum << 8) | u64::from(*b));
    let name = release.as_str().as_bytes();
    let digest = Digest::of_parts(&[bytes, node.as_bytes(), name, run]);
    let mut entropy = [0; 10];
    for (to, from) in entropy.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    RequestId::from_parts(millis, entropy)
}

/// A release whose node's signature was checked against a key that the consortium's authority
/// vouches for.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedRelease {
    release: Release,
    signed: SignedRelease,
    certificate: Vec<u8>,
    label: ReleaseName,
    earlier: bool,
}

/// What a release must be to answer one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) node: &'a Institution,
    pub(crate) requester: KeyId,
    pub(crate) request_id: RequestId,
    pub(crate) request_digest: Digest,
    pub(crate) authority: &'a Authority,
}

/// What a release must be to answer a question that was asked before: the same question about the
/// same version of the data, and ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpectedEarlier<'a> {
    pub(crate) node: &'a Institution,
    pub(crate) requester: KeyId,
    pub(crate) dataset: &'a DatasetName,
    pub(crate) dataset_version: u32,
    pub(crate) canonical_sql: &'a str,
    pub(crate) shape: &'a Shape,
}

impl VerifiedRelease {
    /// Checks a release that a node answered with. `certificate` (DER) was checked already.
    pub(crate) fn check(
        signed: SignedRelease,
        certificate: Vec<u8>,
        expected: &Expected<'_>,
    ) -> Result<Self, InvalidRelease> {
        let release = signed.open(&expected.node.key)?;
        let same = release.node_name == expected.node.name
            && release.requester == expected.requester
            && release.request_id == expected.request_id
            && release.request_digest == expected.request_digest
            && release.authority == *expected.authority;
        if !same {
            return Err(InvalidRelease::Other);
        }
        Ok(VerifiedRelease {
            label: release.label(),
            earlier: false,
            release,
            signed,
            certificate,
        })
    }

    /// Checks an earlier release that a node offered. `label` is what it was asked as this time.
    pub(crate) fn check_earlier(
        signed: SignedRelease,
        certificate: Vec<u8>,
        expected: &ExpectedEarlier<'_>,
        label: Option<ReleaseName>,
    ) -> Result<Self, InvalidRelease> {
        let release = signed.open(&expected.node.key)?;
        let same = release.node_name == expected.node.name
            && release.requester == expected.requester
            && release.dataset == *expected.dataset
            && release.dataset_version == expected.dataset_version
            && release.canonical_sql == expected.canonical_sql
            && release.answer.shape() == expected.shape;
        if !same {
            return Err(InvalidRelease::Other);
        }
        Ok(VerifiedRelease {
            label: label.unwrap_or_else(|| release.label()),
            earlier: true,
            release,
            signed,
            certificate,
        })
    }

    /// Whether this was made for an earlier request of ours: asking added nothing this time.
    #[must_use]
    pub fn is_earlier(&self) -> bool {
        self.earlier
    }

    /// The same under another name for files and pictures, so that it stands beside other answers
    /// to its question.
    pub(crate) fn called(mut self, label: ReleaseName) -> Self {
        self.label = label;
        self
    }

    /// The name under which it was asked, for files and pictures: that of the study, with `-run-2`
    /// behind it for a second run, and `-again` for a first run that was wanted anew.
    #[must_use]
    pub fn label(&self) -> &ReleaseName {
        &self.label
    }

    /// The content.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The bytes and the signature, as they stand in the node's journal.
    #[must_use]
    pub fn signed(&self) -> &SignedRelease {
        &self.signed
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &PartyName {
        &self.release.node_name
    }

    /// The name for its file: `NODE.RELEASE.release`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}.release", self.release.node_name, self.label)
    }

    /// The text of its file: node certificate, bytes and signature, verifiable for years.
    #[must_use]
    pub fn to_file(&self) -> String {
        let file = File {
            format: FORMAT.to_owned(),
            node_certificate: hex_to(&self.certificate),
            body: hex_to(&self.signed.body),
            signature: hex_to(&self.signed.signature),
            asked_as: (self.label != self.release.label()).then(|| self.label.to_string()),
        };
        // A struct of four texts always has a JSON form.
        serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
    }

    /// Whether `folder` has this very release already: then nothing was added for it this time.
    #[must_use]
    pub fn is_kept_in(&self, folder: &Path) -> bool {
        self.is_in(&folder.join(self.file_name())) || self.is_in(&folder.join(self.spare_name()))
    }

    /// The name for its file if another release has the first: `NODE.RELEASE.INDEX.release`.
    fn spare_name(&self) -> String {
        let (node, index) = (&self.release.node_name, self.release.journal_index);
        format!("{node}.{}.{index}.release", self.label)
    }

    fn is_in(&self, path: &Path) -> bool {
        let Ok(text) = fs::read_to_string(path) else {
            return false;
        };
        let file: Option<File> = serde_json::from_str(&text).ok();
        file.is_some_and(|file| {
            file.body == hex_to(&self.signed.body)
                && file.signature == hex_to(&self.signed.signature)
        })
    }

    /// Writes its file into `folder`; a file that is there already is left as it is. If it is
    /// another release's, this one's place in the journal is added to the name: what was released
    /// is never thrown away.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or another release is there under both names.
    pub fn save(&self, folder: &Path) -> io::Result<PathBuf> {
        for name in [self.file_name(), self.spare_name()] {
            let path = folder.join(name);
            if self.is_in(&path) {
                return Ok(path);
            }
            if !path.try_exists()? {
                fs::write(&path, self.to_file())?;
                return Ok(path);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Reads a file's text and checks everything that can be checked without the network: that
    /// the authority `ca` (PEM) issued the node's certificate, valid when the release was
    /// committed, and that the node signed the bytes.
    ///
    /// # Errors
    ///
    /// Names the step that failed.
    pub fn from_file(text: &str, ca: &str) -> Result<Self, InvalidReleaseFile> {
        let file: File = serde_json::from_str(text).map_err(InvalidReleaseFile::Form)?;
        if file.format != FORMAT {
            return Err(InvalidReleaseFile::Format);
        }
        let bytes = |text: &str| hex_from(text).ok_or(InvalidReleaseFile::Hex);
        let certificate = bytes(&file.node_certificate)?;
        let signed = SignedRelease {
            body: bytes(&file.body)?,
            signature: bytes(&file.signature)?,
        };
        let party =
            Party::from_certificate(&certificate).map_err(InvalidReleaseFile::Certificate)?;
        let release = signed
            .open(&party.key)
            .map_err(InvalidReleaseFile::Release)?;
        if party.role != Role::Node || party.name != release.node_name {
            return Err(InvalidReleaseFile::Party);
        }
        let authority = pem_certificate(ca).ok_or(InvalidReleaseFile::Ca)?;
        let committed = std::time::Duration::from_millis(release.committed.0);
        let committed = UnixTime::since_unix_epoch(committed);
        tls::check_chain(&authority, &certificate, committed, Usage::Server)
            .map_err(InvalidReleaseFile::Chain)?;
        let label = match file.asked_as {
            Some(name) => ReleaseName::new(&name).map_err(|_| InvalidReleaseFile::Format)?,
            None => release.label(),
        };
        Ok(VerifiedRelease {
            release,
            signed,
            certificate,
            label,
            earlier: false,
        })
    }
}

/// Why a release file is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReleaseFile {
    /// Not JSON of the expected form.
    #[error("this is not a release file")]
    Form(#[source] serde_json::Error),
    /// Another format or version.
    #[error("this release file has a form that this program does not know")]
    Format,
    /// Bytes that are no hexadecimal text.
    #[error("this release file is damaged")]
    Hex,
    /// The node's certificate in it.
    #[error("the node's certificate in the release file cannot be read")]
    Certificate(#[source] InvalidCertificate),
    /// The certificate is another party's.
    #[error("the certificate in the release file is another party's")]
    Party,
    /// The authority's certificate that was given.
    #[error("the authority's certificate cannot be read: give it in PEM form")]
    Ca,
    /// Another authority, or out of date when the release was committed.
    #[error("the node's certificate in the release file is not accepted")]
    Chain(#[source] InvalidChain),
    /// The signature or the bytes.
    #[error("the release in the file is not accepted")]
    Release(#[source] InvalidRelease),
}

const FORMAT: &str = "obscura release 1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    node_certificate: String,
    body: String,
    signature: String,
    /// The name it was asked as, if another release answered it. Not signed: for people only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_as: Option<String>,
}

/// The first certificate in a PEM text, as DER; nothing if there is none.
#[must_use]
pub fn pem_certificate(pem: &str) -> Option<Vec<u8>> {
    tls::certificate_from_pem(pem).ok()
}

fn hex_to(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, b| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{b:02x}");
        text
    })
}

fn hex_from(text: &str) -> Option<Vec<u8>> {
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
    use crate::testing::{Authority, answer, release, study_id, verified};
    use obscura_model::ids::UnixMillis;
    use obscura_model::wire;

    #[test]
    fn the_same_run_has_the_same_id_and_every_part_of_it_matters() {
        let (study, node) = (study_id(), KeyId::new([1; 32]));
        let name = |n: &str| ReleaseName::new(n).unwrap();
        let id = request_id(&study, &node, &name("visits"), 1);
        assert_eq!(id, request_id(&study, &node, &name("visits"), 1));
        assert_eq!(
            id.as_bytes()[..6],
            study.as_bytes()[..6],
            "the study id's time"
        );
        let other = StudyId::from_parts(1, [7; 10]);
        for another in [
            request_id(&other, &node, &name("visits"), 1),
            request_id(&study, &KeyId::new([2; 32]), &name("visits"), 1),
            request_id(&study, &node, &name("visit"), 1),
            request_id(&study, &node, &name("visits"), 2),
        ] {
            assert_ne!(id, another);
        }
    }

    #[test]
    fn a_flipped_byte_anywhere_in_a_file_is_refused() {
        let authority = Authority::new(100);
        let release = verified(&authority, "basel", 3, answer([3, 4], [1, 2], 1));
        let text = release.to_file();
        let same = VerifiedRelease::from_file(&text, &authority.pem).unwrap();
        assert_eq!(same, release);
        let mut file: File = serde_json::from_str(&text).unwrap();
        for part in 0..3 {
            let length = [&file.node_certificate, &file.body, &file.signature][part].len();
            for place in 0..length {
                let field = [
                    &mut file.node_certificate,
                    &mut file.body,
                    &mut file.signature,
                ]
                .into_iter()
                .nth(part)
                .unwrap();
                let good = field.clone();
                let flipped = if good.as_bytes()[place] == b'0' {
                    "1"
                } else {
                    "0"
                };
                field.replace_range(place..=place, flipped);
                let text = serde_json::to_string(&file).unwrap();
                let read = VerifiedRelease::from_file(&text, &authority.pem);
                assert!(read.is_err(), "part {part}, place {place}");
                *[
                    &mut file.node_certificate,
                    &mut file.body,
                    &mut file.signature,
                ]
                .into_iter()
                .nth(part)
                .unwrap() = good;
            }
        }
    }

    #[test]
    fn a_file_of_another_consortium_is_refused() {
        let release = verified(&Authority::new(100), "basel", 3, answer([3, 4], [1, 2], 1));
        let other = Authority::new(101).pem;
        let refused = VerifiedRelease::from_file(&release.to_file(), &other).unwrap_err();
        assert!(matches!(refused, InvalidReleaseFile::Chain(_)));
    }

    #[test]
    fn a_release_can_be_read_long_after_its_certificate_ran_out() {
        let authority = Authority::new(100);
        let papers = authority.issue_for(Role::Node, "basel", 3, (2010, 2012));
        let at = |committed| {
            let mut release = release("basel", papers.key.key_id(), answer([3, 4], [1, 2], 1));
            release.committed = UnixMillis(committed);
            VerifiedRelease {
                signed: SignedRelease::sign(&papers.key, wire::encode_release(&release)),
                certificate: papers.certificate.clone(),
                label: release.label(),
                earlier: false,
                release,
            }
        };
        let read = |release: &VerifiedRelease| {
            VerifiedRelease::from_file(&release.to_file(), &authority.pem)
        };
        // The first of January of 2011 and of 2013.
        let (inside, after) = (at(1_293_840_000_000), at(1_356_998_400_000));
        assert_eq!(read(&inside).unwrap(), inside);
        assert!(matches!(read(&after), Err(InvalidReleaseFile::Chain(_))));
    }

    #[test]
    fn a_kept_file_is_never_replaced_by_another_and_neither_is_lost() {
        let authority = Authority::new(100);
        let folder = tempfile::tempdir().unwrap();
        let one = verified(&authority, "basel", 3, answer([3, 4], [1, 2], 1));
        let two = verified(&authority, "basel", 3, answer([5, 4], [1, 2], 1));
        assert!(!one.is_kept_in(folder.path()));
        let path = one.save(folder.path()).unwrap();
        assert_eq!(one.save(folder.path()).unwrap(), path);
        assert!(one.is_kept_in(folder.path()) && !two.is_kept_in(folder.path()));
        let beside = two.save(folder.path()).unwrap();
        assert_ne!(beside, path);
        assert_eq!(two.save(folder.path()).unwrap(), beside);
        for (release, path) in [(&one, path), (&two, beside)] {
            assert!(release.is_kept_in(folder.path()));
            let text = fs::read_to_string(path).unwrap();
            let read = VerifiedRelease::from_file(&text, &authority.pem).unwrap();
            assert_eq!(read, *release);
        }
    }

    #[test]
    fn a_later_run_has_a_file_and_a_name_of_its_own() {
        let authority = Authority::new(100);
        let first = verified(&authority, "basel", 3, answer([3, 4], [1, 2], 1));
        let name = first.label().clone();
        let second = first.clone().called(run_label(&name, 2));
        assert_eq!(second.file_name(), format!("basel.{name}-run-2.release"));
        let read = VerifiedRelease::from_file(&second.to_file(), &authority.pem).unwrap();
        assert_eq!(read.label(), second.label());
        assert_eq!(run_label(&name, 1), name);
        assert_eq!(again_label(&name).as_str(), format!("{name}-again"));
        let longest = |n: usize| ReleaseName::new(&"a".repeat(n)).ok();
        let long = (1..=200).rev().find_map(longest).unwrap();
        assert_eq!(run_label(&long, 2), long);
    }

    #[test]
    fn an_earlier_release_is_taken_only_if_it_is_ours_and_of_this_very_question() {
        let authority = Authority::new(100);
        let known = verified(&authority, "basel", 3, answer([3, 4], [1, 2], 1));
        let release = known.release().clone();
        let node = Institution {
            name: release.node_name.clone(),
            key: release.node,
        };
        let other_shape = answer([3, 4], [1, 2], 2).shape().clone();
        let good = ExpectedEarlier {
            node: &node,
            requester: release.requester,
            dataset: &release.dataset,
            dataset_version: 1,
            canonical_sql: &release.canonical_sql,
            shape: release.answer.shape(),
        };
        let asked = ReleaseName::new("asked").unwrap();
        let check = |expected: &ExpectedEarlier<'_>| {
            let (signed, certificate) = (known.signed.clone(), known.certificate.clone());
            VerifiedRelease::check_earlier(signed, certificate, expected, Some(asked.clone()))
        };
        let taken = check(&good).unwrap();
        assert!(taken.is_earlier() && !known.is_earlier());
        assert_eq!(taken.file_name(), "basel.asked.release");
        let read = VerifiedRelease::from_file(&taken.to_file(), &authority.pem).unwrap();
        assert_eq!(read.label(), &asked);
        let other_dataset = DatasetName::new("other").unwrap();
        for wrong in [
            ExpectedEarlier {
                requester: KeyId::new([8; 32]),
                ..good
            },
            ExpectedEarlier {
                dataset: &other_dataset,
                ..good
            },
            ExpectedEarlier {
                dataset_version: 2,
                ..good
            },
            ExpectedEarlier {
                canonical_sql: "SELECT COUNT(*) AS n FROM people",
                ..good
            },
            ExpectedEarlier {
                shape: &other_shape,
                ..good
            },
        ] {
            assert_eq!(check(&wrong), Err(InvalidRelease::Other));
        }
    }
}
