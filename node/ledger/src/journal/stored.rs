//! Reading one record at its place, without holding the journal.

use std::io;
use std::sync::Arc;

use super::frame::Frame;
use super::storage::Storage;
use super::{JournalError, Place, failed, segment};

/// A record at a place.
pub(crate) struct Stored {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) salt: [u8; 16],
    pub(super) place: Place,
}

impl Stored {
    /// Reads the record; nothing if no valid record lies there.
    pub(crate) fn read(&self) -> Result<Option<Frame>, JournalError> {
        let read = || -> io::Result<Option<Frame>> {
            let file = self.storage.open(&segment::name(self.place.segment))?;
            let room = file.length()?.saturating_sub(self.place.offset);
            if room < 8 {
                return Ok(None);
            }
            let length = Frame::length_at(&file.read(self.place.offset, 8)?);
            let Some(length) = length.filter(|length| *length as u64 <= room) else {
                return Ok(None);
            };
            let bytes = file.read(self.place.offset, length)?;
            Ok(Frame::decode_alone(&bytes, &self.salt, self.place.offset))
        };
        read().map_err(failed("read a record"))
    }
}
