//! Exposures as they were at a head, so that opening need not add up every charge again.
//!
//! A checkpoint is a convenience: a missing, damaged or foreign one is ignored. Every chunk has a
//! hash that is bound to the head, the account and its place.

use std::collections::BTreeMap;
use std::io;

use obscura_model::ids::Digest;

use crate::codec::{InvalidBytes, Reader, Writer};
use crate::journal::merkle::Head;
use crate::journal::segment::UNFINISHED;
use crate::journal::storage::{self, Storage};
use crate::record::Account;
use crate::state::AccountEntry;

const NAME: &str = "exposures.checkpoint";
const MAGIC: &[u8; 8] = b"obscuraX";
const FORMAT: u16 = 1;
/// Numbers lie open. Room for a scheme and its key is there.
const NOT_ENCRYPTED: u16 = 0;
/// Exposures in one chunk.
const CHUNK: usize = 8_192;

/// The exposures of all accounts at one head.
#[derive(Debug, PartialEq)]
pub(crate) struct Checkpoint {
    pub(crate) head: Head,
    pub(crate) exposures: BTreeMap<Account, Vec<u64>>,
}

/// Writes a checkpoint beside the journal, replacing the one before only when it is whole.
pub(crate) fn write(
    storage: &dyn Storage,
    head: Head,
    accounts: &BTreeMap<Account, AccountEntry>,
) -> io::Result<()> {
    place(storage, NAME, &encode(head, accounts))
}

/// The bytes of the file.
pub(crate) fn encode(head: Head, accounts: &BTreeMap<Account, AccountEntry>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .raw(MAGIC)
        .put(&FORMAT)
        .put(&NOT_ENCRYPTED)
        .raw(&[0; 32]);
    writer
        .put(&head.size)
        .put(&head.root)
        .put(&(accounts.len() as u32));
    for (account, entry) in accounts {
        writer.put(account).put(&(entry.exposures.len() as u64));
        for (number, chunk) in (0u64..).zip(entry.exposures.chunks(CHUNK)) {
            let mut bytes = Writer::new();
            let bytes = bytes.all(chunk, u64::to_le_bytes).bytes();
            writer
                .put(&chunk_digest(&head, account, number, bytes))
                .raw(bytes);
        }
    }
    writer.into_bytes()
}

/// Gives a file its name only when it is whole and durable.
pub(crate) fn place(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = format!("{name}{UNFINISHED}");
    let file = storage.create(&unfinished, bytes.len() as u64)?;
    file.write(0, bytes)?;
    file.sync()?;
    storage.rename(&unfinished, name)?;
    storage.sync_folder()
}

/// The checkpoint, if there is a whole one.
pub(crate) fn read(storage: &dyn Storage) -> Option<Checkpoint> {
    let bytes = storage::read_all(storage, NAME).ok()?;
    decode(&bytes).ok().flatten()
}

/// Nothing if a chunk is damaged or the format is unknown.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Checkpoint>, InvalidBytes> {
    let mut reader = Reader::new(bytes);
    let magic = reader.array::<8>("a checkpoint")?;
    let (format, scheme, key) = (
        reader.get::<u16>()?,
        reader.get::<u16>()?,
        reader.get::<[u8; 32]>()?,
    );
    if (&magic, format, scheme, key) != (MAGIC, FORMAT, NOT_ENCRYPTED, [0; 32]) {
        return Ok(None);
    }
    let head = Head {
        size: reader.get()?,
        root: reader.get()?,
    };
    let mut exposures = BTreeMap::new();
    for _ in 0..reader.get::<u32>()? {
        let account: Account = reader.get()?;
        let Some(array) = decode_array(&mut reader, &head, &account)? else {
            return Ok(None);
        };
        exposures.insert(account, array);
    }
    reader.end()?;
    Ok(Some(Checkpoint { head, exposures }))
}

fn decode_array(
    reader: &mut Reader<'_>,
    head: &Head,
    account: &Account,
) -> Result<Option<Vec<u64>>, InvalidBytes> {
    let mut left = usize::try_from(reader.get::<u64>()?).unwrap_or(usize::MAX);
    let mut array = Vec::new();
    for number in 0u64.. {
        if left == 0 {
            break;
        }
        let here = left.min(CHUNK);
        let digest = reader.get::<Digest>()?;
        let bytes = reader.take(here * size_of::<u64>(), "a chunk")?;
        if digest != chunk_digest(head, account, number, bytes) {
            return Ok(None);
        }
        array.extend(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| u64::from_le_bytes(*bytes)),
        );
        left -= here;
    }
    Ok(Some(array))
}

fn chunk_digest(head: &Head, account: &Account, number: u64, bytes: &[u8]) -> Digest {
    let mut place = Writer::new();
    place
        .put(&head.size)
        .put(&head.root)
        .put(account)
        .put(&number);
    Digest::of_parts(&[b"obscura.v1 exposures", &place.into_bytes(), bytes])
}
