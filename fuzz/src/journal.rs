//! The ledger's stored bytes: any segment is verified or named as damaged.
//!
//! Checksums would refuse nearly every changed byte, so the harness puts them right: it walks the
//! frames by their lengths and writes every checksum anew, by `docs/ledger-format.md` alone.

use std::path::Path;
use std::sync::OnceLock;

use obscura_ledger::Ledger;
use obscura_model::ids::KeyId;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const HEADER: usize = 512;
const MARKER: [u8; 4] = [0xb1, 0x0b, 0x5c, 0xa1];

/// The journal of the ledger's golden file.
const JOURNAL: KeyId = KeyId::new([7; 32]);

fn folder() -> &'static TempDir {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // In memory where there is such a folder.
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() {
            TempDir::new_in(memory)
        } else {
            TempDir::new()
        };
        let made = made.unwrap();
        std::fs::create_dir(made.path().join("journal")).unwrap();
        made
    })
}

/// The first byte says whether checksums are put right; the rest is the first segment.
pub fn check(bytes: &[u8]) {
    let Some((mode, segment)) = bytes.split_first() else {
        return;
    };
    let mut segment = segment.to_vec();
    if mode % 8 != 0 {
        repair(&mut segment);
    }
    let folder = folder().path();
    std::fs::write(folder.join("journal/seg-00000001.journal"), &segment).unwrap();
    let Ok(verified) = Ledger::verify(folder, JOURNAL) else {
        return;
    };
    assert_eq!(verified.segments, 1);
    // A frame has at least 108 bytes.
    assert!(verified.head.size as usize <= segment.len() / 108);
    let again = Ledger::verify(folder, JOURNAL).expect("verifying changes nothing");
    assert_eq!(again, verified);
}

fn repair(segment: &mut [u8]) {
    if segment.len() < HEADER {
        return;
    }
    let length = segment.len() as u64;
    segment[..8].copy_from_slice(b"obscuraJ");
    segment[44..76].copy_from_slice(JOURNAL.as_bytes());
    segment[76..80].copy_from_slice(&1u32.to_le_bytes());
    segment[80..88].fill(0);
    segment[88..120].copy_from_slice(&Sha256::digest(b""));
    segment[120..128].copy_from_slice(&length.to_le_bytes());
    let digest = Sha256::digest(&segment[..HEADER - 32]);
    segment[HEADER - 32..HEADER].copy_from_slice(&digest);
    let salt: [u8; 16] = segment[128..144].try_into().unwrap();
    let (mut offset, mut index) = (HEADER, 0u64);
    while let Some(frame) = segment.get_mut(offset..) {
        if frame.len() < 108 || !frame.starts_with(&MARKER) {
            return;
        }
        let claimed = u32::from_le_bytes(frame[4..8].try_into().unwrap()) as usize;
        let length = claimed.clamp(108, frame.len());
        let frame = &mut frame[..length];
        frame[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        frame[12..20].copy_from_slice(&index.to_le_bytes());
        parts(frame);
        let mut checksum = crc32c::crc32c(&salt);
        checksum = crc32c::crc32c_append(checksum, &(offset as u64).to_le_bytes());
        checksum = crc32c::crc32c_append(checksum, &frame[4..8]);
        checksum = crc32c::crc32c_append(checksum, &frame[12..]);
        frame[8..12].copy_from_slice(&checksum.to_le_bytes());
        offset += length;
        index += 1;
    }
}

/// Makes the lengths of the two parts add up to the frame's.
fn parts(frame: &mut [u8]) {
    let room = frame.len() - 108;
    let public = u32::from_le_bytes(frame[68..72].try_into().unwrap()) as usize;
    let public = public.min(room);
    frame[68..72].copy_from_slice(&(public as u32).to_le_bytes());
    let at = 72 + public + 32;
    frame[at..at + 4].copy_from_slice(&((room - public) as u32).to_le_bytes());
}
