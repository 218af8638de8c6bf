//! The ledger's own encoding of values: little-endian, length-prefixed, total in both directions.
//!
//! Stored formats are described in `docs/ledger-format.md`. A decoder reads every byte it is given
//! or refuses; there is no unknown field and no default.

use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, GrantId, KeyId, PartyName, PopulationName, ProjectName,
    ReleaseName, RequestId, StudyId, UnixMillis,
};

/// Bytes that are no value of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBytes {
    /// The bytes end inside a value.
    #[error("the bytes end inside {0}")]
    Short(&'static str),
    /// Bytes are left after the last value.
    #[error("{0} bytes are left after the last value")]
    Left(usize),
    /// The bytes are there, but mean nothing.
    #[error("the bytes of {0} have no meaning")]
    Meaningless(&'static str),
    /// A kind or version that this program does not know; a newer one may.
    #[error("records of kind {kind} and version {version} are unknown to this program")]
    Unknown {
        /// The kind.
        kind: u16,
        /// The version.
        version: u16,
    },
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Goes on after these bytes.
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// What was written so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn put<T: Stored>(&mut self, value: &T) -> &mut Self {
        value.write(self);
        self
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// All of them without their number, as one block: there may be millions.
    pub(crate) fn all<T: Copy, const N: usize>(
        &mut self,
        values: &[T],
        bytes_of: impl Fn(T) -> [u8; N],
    ) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.resize(start + N * values.len(), 0);
        let room = self.bytes.get_mut(start..).unwrap_or_default();
        for (to, value) in room.as_chunks_mut::<N>().0.iter_mut().zip(values) {
            *to = bytes_of(*value);
        }
        self
    }

    /// Lengths are stored as 32 bits; the journal refuses records that come near that.
    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.raw(&length.to_le_bytes());
    }
}

/// Reads values one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a [u8], InvalidBytes> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(InvalidBytes::Short(what))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], InvalidBytes> {
        self.take(N, what)?
            .try_into()
            .map_err(|_| InvalidBytes::Short(what))
    }

    pub(crate) fn get<T: Stored>(&mut self) -> Result<T, InvalidBytes> {
        T::read(self)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn length(&mut self, what: &'static str) -> Result<usize, InvalidBytes> {
        usize::try_from(u32::from_le_bytes(self.array(what)?))
            .map_err(|_| InvalidBytes::Meaningless(what))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), InvalidBytes> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(InvalidBytes::Left(left)),
        }
    }
}

/// A value with one encoding.
pub(crate) trait Stored: Sized {
    fn write(&self, to: &mut Writer);
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes>;
}

macro_rules! stored_numbers {
    ($($number:ty),*) => {$(
        impl Stored for $number {
            fn write(&self, to: &mut Writer) {
                to.raw(&self.to_le_bytes());
            }
            fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
                Ok(<$number>::from_le_bytes(from.array("a number")?))
            }
        }
    )*};
}
stored_numbers!(u16, u32, u64);

/// Ids and digests: their bytes, checked by their own constructors.
macro_rules! stored_bytes {
    ($($name:ident: $length:literal),*) => {$(
        impl Stored for $name {
            fn write(&self, to: &mut Writer) {
                to.raw(self.as_bytes());
            }
            fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
                $name::from_bytes(from.take($length, stringify!($name))?)
                    .map_err(|_| InvalidBytes::Meaningless(stringify!($name)))
            }
        }
    )*};
}
stored_bytes!(KeyId: 32, Digest: 32, RequestId: 16, StudyId: 16, DatasetId: 16, GrantId: 16);

macro_rules! stored_names {
    ($($name:ident),*) => {$(
        impl Stored for $name {
            fn write(&self, to: &mut Writer) {
                to.length(self.as_str().len());
                to.raw(self.as_str().as_bytes());
            }
            fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
                $name::new(&from.get::<String>()?)
                    .map_err(|_| InvalidBytes::Meaningless(stringify!($name)))
            }
        }
    )*};
}
stored_names!(
    PopulationName,
    DatasetName,
    ReleaseName,
    PartyName,
    ProjectName
);

impl<const N: usize> Stored for [u8; N] {
    fn write(&self, to: &mut Writer) {
        to.raw(self);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        from.array("fixed bytes")
    }
}

impl Stored for String {
    fn write(&self, to: &mut Writer) {
        to.length(self.len());
        to.raw(self.as_bytes());
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        let length = from.length("a text")?;
        let bytes = from.take(length, "a text")?;
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidBytes::Meaningless("a text"))?;
        Ok(text.to_owned())
    }
}

/// Opaque bytes, such as a signed request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Blob {
    pub(crate) fn write_slice(bytes: &[u8], to: &mut Writer) {
        to.length(bytes.len());
        to.raw(bytes);
    }
}

impl Stored for Blob {
    fn write(&self, to: &mut Writer) {
        Self::write_slice(&self.0, to);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        let length = from.length("bytes")?;
        Ok(Blob(from.take(length, "bytes")?.to_vec()))
    }
}

impl Stored for bool {
    fn write(&self, to: &mut Writer) {
        to.raw(&[u8::from(*self)]);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        match from.array("a yes or no")? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(InvalidBytes::Meaningless("a yes or no")),
        }
    }
}

impl Stored for UnixMillis {
    fn write(&self, to: &mut Writer) {
        to.put(&self.0);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(UnixMillis(from.get()?))
    }
}

impl Stored for Rho {
    fn write(&self, to: &mut Writer) {
        to.put(&self.nano());
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(Rho::from_nano(from.get()?))
    }
}

/// Units of 10^-18.
impl Stored for DeltaCharge {
    fn write(&self, to: &mut Writer) {
        to.put(&self.units());
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(DeltaCharge::from_units(from.get()?))
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn write(&self, to: &mut Writer) {
        to.put(&self.0).put(&self.1);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok((from.get()?, from.get()?))
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, to: &mut Writer) {
        to.put(&self.is_some());
        if let Some(value) = self {
            to.put(value);
        }
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        if from.get::<bool>()? {
            Ok(Some(from.get()?))
        } else {
            Ok(None)
        }
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn write(&self, to: &mut Writer) {
        to.length(self.len());
        self.iter().for_each(|value| value.write(to));
    }
    /// Grows as values arrive, so that a wrong length cannot reserve memory.
    fn read(from: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        let length = from.length("a list")?;
        let mut values = Vec::new();
        for _ in 0..length {
            values.push(from.get()?);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            let _ = reader.get::<Vec<Option<String>>>();
            let _ = reader.get::<StudyId>();
        }

        #[test]
        fn values_read_back_as_written(a: u64, b: Option<u32>, c: String, d: Vec<u16>, e: bool) {
            let mut writer = Writer::new();
            writer.put(&a).put(&b).put(&c).put(&d).put(&e);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.get::<u64>(), Ok(a));
            prop_assert_eq!(reader.get::<Option<u32>>(), Ok(b));
            prop_assert_eq!(reader.get::<String>(), Ok(c));
            prop_assert_eq!(reader.get::<Vec<u16>>(), Ok(d));
            prop_assert_eq!(reader.get::<bool>(), Ok(e));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
