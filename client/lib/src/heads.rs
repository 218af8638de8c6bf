//! The journal heads that nodes showed, remembered so that a node restored from an old backup,
//! or one that shows two histories, is found out.
//!
//! A release carries the head before it (size and Merkle root) and its time. A stored release
//! comes back with its old head, which is no contradiction; so what must hold is that heads of one
//! node are one history: the same size has the same root, and of two heads the larger is not the
//! earlier one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use obscura_model::ids::{Digest, KeyId, UnixMillis};
use obscura_model::release::Release;
use serde::{Deserialize, Serialize};

/// The most heads remembered of one node: the largest ones.
const MOST_PER_NODE: usize = 256;

/// How a head contradicts the ones seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadConflict {
    /// A later release with a smaller head: records are gone.
    #[error(
        "this node shows an older history than before; it may have been restored from a backup"
    )]
    Older,
    /// Another root at the same size: two histories.
    #[error("this node shows another history than before")]
    Another,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    #[serde(with = "hex")]
    root: [u8; 32],
    committed: u64,
}

type Nodes = BTreeMap<String, BTreeMap<u64, Seen>>;

/// The heads seen so far, by node.
#[derive(Debug, Default)]
pub struct Heads {
    path: Option<PathBuf>,
    nodes: Mutex<Nodes>,
}

impl Heads {
    /// In memory only.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Kept in a file, which is made when the first head is seen.
    ///
    /// # Errors
    ///
    /// If there is a file that cannot be read.
    pub fn in_file(path: &Path) -> io::Result<Self> {
        let nodes = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Nodes::new(),
            Err(error) => return Err(error),
        };
        Ok(Heads {
            path: Some(path.to_path_buf()),
            nodes: Mutex::new(nodes),
        })
    }

    /// Where they are kept.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The size and root of the largest head seen of a node.
    #[must_use]
    pub fn largest(&self, node: &KeyId) -> Option<(u64, Digest)> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let (size, seen) = nodes.get(&node.to_string())?.last_key_value()?;
        Some((*size, Digest::new(seen.root)))
    }

    /// Checks a release's head against the ones seen and remembers it.
    ///
    /// # Errors
    ///
    /// The outer error says that the file could not be written, the inner one that the head
    /// contradicts an earlier one; a head that contradicts is not remembered.
    pub fn see(&self, release: &Release) -> io::Result<Result<(), HeadConflict>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = nodes.entry(release.node.to_string()).or_default();
        let (root, committed) = (release.head_root, release.committed);
        match observe(seen, release.head_size, root, committed) {
            Err(conflict) => Ok(Err(conflict)),
            Ok(false) => Ok(Ok(())),
            Ok(true) => {
                if let Some(path) = &self.path {
                    write(path, &nodes)?;
                }
                Ok(Ok(()))
            }
        }
    }
}

/// Whether something new was seen.
fn observe(
    seen: &mut BTreeMap<u64, Seen>,
    size: u64,
    root: Digest,
    committed: UnixMillis,
) -> Result<bool, HeadConflict> {
    let new = Seen {
        root: *root.as_bytes(),
        committed: committed.0,
    };
    if let Some(known) = seen.get(&size) {
        return if known.root == new.root {
            Ok(false)
        } else {
            Err(HeadConflict::Another)
        };
    }
    let earlier_but_larger = seen.range(size..).any(|(_, s)| s.committed < new.committed);
    let later_but_smaller = seen.range(..size).any(|(_, s)| s.committed > new.committed);
    if earlier_but_larger || later_but_smaller {
        return Err(HeadConflict::Older);
    }
    seen.insert(size, new);
    if seen.len() > MOST_PER_NODE {
        seen.pop_first();
    }
    Ok(true)
}

/// Writes a new file beside the old one, then puts it in its place.
fn write(path: &Path, nodes: &Nodes) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    serde_json::to_writer_pretty(&mut file, nodes)?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(&new, path)
}

mod hex {
    use obscura_model::ids::Digest;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Digest::new(*bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let digest: Digest = text.parse().map_err(serde::de::Error::custom)?;
        Ok(*digest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(seen: &mut BTreeMap<u64, Seen>, size: u64, at: u64) -> Result<bool, HeadConflict> {
        observe(seen, size, Digest::of(&size.to_le_bytes()), UnixMillis(at))
    }

    #[test]
    fn a_stored_release_may_come_again_and_in_any_order() {
        let mut seen = BTreeMap::new();
        for (size, at) in [(5, 50), (9, 90), (7, 70), (5, 50)] {
            assert!(see(&mut seen, size, at).is_ok(), "{size}");
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn a_later_release_with_a_smaller_head_is_an_older_history() {
        let mut seen = BTreeMap::new();
        see(&mut seen, 9, 90).unwrap();
        assert_eq!(see(&mut seen, 6, 100), Err(HeadConflict::Older));
        assert_eq!(seen.len(), 1, "it is not remembered");
    }

    #[test]
    fn another_root_at_the_same_size_is_another_history() {
        let mut seen = BTreeMap::new();
        see(&mut seen, 9, 90).unwrap();
        let other = observe(&mut seen, 9, Digest::of(b"x"), UnixMillis(90));
        assert_eq!(other, Err(HeadConflict::Another));
    }

    #[test]
    fn heads_survive_in_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.heads.json");
        let heads = Heads::in_file(&path).unwrap();
        {
            let mut nodes = heads.nodes.lock().unwrap();
            let seen = nodes.entry(KeyId::new([1; 32]).to_string()).or_default();
            see(seen, 9, 90).unwrap();
            write(&path, &nodes).unwrap();
        }
        let again = Heads::in_file(&path).unwrap();
        let largest = again.largest(&KeyId::new([1; 32]));
        assert_eq!(largest, Some((9, Digest::of(&9u64.to_le_bytes()))));
        fs::write(&path, "{").unwrap();
        assert!(
            Heads::in_file(&path).is_err(),
            "a damaged file is not an empty one"
        );
    }
}
