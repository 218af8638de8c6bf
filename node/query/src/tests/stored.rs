//! Tables as a node keeps them, from files as an owner has them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use obscura_model::schema::Description;

use crate::PrivateTable;
use crate::ingest::{Secrets, SortedTable, read_rows, sort};

pub(super) const SECRETS: Secrets = Secrets {
    subject: [5; 32],
    rows: [6; 32],
};

/// The main table's file; further ones stand beside it.
pub(super) const STORED: &str = "d-1.table";

/// Who has which index.
pub(super) type Indexes = BTreeMap<[u8; 16], u32>;

/// Reads and sorts the files in the folder that the description names.
pub(super) fn sorted(description: &Description, folder: &Path, map: &mut Indexes) -> SortedTable {
    let raw = read_rows(description, &folder.join(description.source_file())).unwrap();
    let mut index = |hash: [u8; 16]| {
        let next = map.len() as u32;
        Ok::<u32, Infallible>(*map.entry(hash).or_insert(next))
    };
    sort(raw, description, &SECRETS, &mut index).unwrap()
}

/// Stores them in the same folder. The map knows who has which index, and learns it of others.
pub(super) fn stored_with(
    description: &Description,
    folder: &Path,
    map: &mut Indexes,
) -> PrivateTable {
    let sorted = sorted(description, folder, map);
    let path = folder.join(STORED);
    let digest = PrivateTable::write(&sorted, description, &path).unwrap();
    let table = PrivateTable::open(&path, description).unwrap();
    assert_eq!(table.digest(), digest);
    table
}

/// Stores them where nobody has an index yet.
pub(super) fn stored(description: &Description, folder: &Path) -> PrivateTable {
    stored_with(description, folder, &mut Indexes::new())
}
