//! Typed identifiers. Each id is its own type, so that one cannot stand for another.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::calendar;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is not a uuid of version 7.
    #[error("{what} must be a uuid of version 7, such as 01890a5d-ac96-774b-bcce-b302099a8057")]
    Uuid {
        /// Which id was wanted.
        what: &'static str,
    },
    /// The name has a wrong length or a character that names may not have.
    #[error(
        "{what} '{text}' is not a name: use 1 to 40 of a-z, 0-9, '-' and '_', starting with a letter"
    )]
    Name {
        /// Which name was wanted.
        what: &'static str,
        /// The text as given, shortened.
        text: String,
    },
    /// The bytes are not 32 long, or the text is not 64 hexadecimal digits.
    #[error("{what} must be 32 bytes (64 hexadecimal digits)")]
    Bytes32 {
        /// Which value was wanted.
        what: &'static str,
    },
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a uuid of version 7; any other version is refused.
            pub fn new(uuid: Uuid) -> Result<Self, InvalidId> {
                match uuid.get_version_num() {
                    7 => Ok(Self(uuid)),
                    _ => Err(InvalidId::Uuid { what: $what }),
                }
            }

            /// Makes an id from a time and ten bytes of entropy; both are arguments so that
            /// this crate reads neither clock nor generator.
            #[must_use]
            pub fn from_parts(unix_millis: u64, entropy: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, &entropy).into_uuid())
            }

            /// Reads 16 bytes.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidId> {
                let uuid = Uuid::from_slice(bytes).map_err(|_| InvalidId::Uuid { what: $what })?;
                Self::new(uuid)
            }

            /// The 16 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let uuid = Uuid::parse_str(text).map_err(|_| InvalidId::Uuid { what: $what })?;
                Self::new(uuid)
            }
        }
    };
}

uuid_id!(
    /// One request; chosen by the requester. The same person, id and body is the same request.
    RequestId,
    "a request id"
);
uuid_id!(
    /// One study, the same at every institution; chosen by the scientist.
    StudyId,
    "a study id"
);
uuid_id!(
    /// One standing grant at one node; chosen by the owner.
    GrantId,
    "a grant id"
);
uuid_id!(
    /// One dataset at one node; chosen by the node.
    DatasetId,
    "a dataset id"
);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 40 of `a-z`, `0-9`, `-` and `_`, starting with a letter.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let fits = (1..=40).contains(&text.len())
                    && text.starts_with(|c: char| c.is_ascii_lowercase())
                    && text.bytes().all(|b| {
                        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_'
                    });
                if fits {
                    Ok(Self(text.to_owned()))
                } else {
                    let text = text.chars().take(40).collect();
                    Err(InvalidId::Name { what: $what, text })
                }
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    };
}

name_id!(
    /// The name of a party (node, owner, scientist, gateway) inside its role.
    PartyName,
    "a party"
);
name_id!(
    /// The name of a dataset, unique at its node.
    DatasetName,
    "a dataset"
);
name_id!(
    /// The name of a population, unique at its node.
    PopulationName,
    "a population"
);
name_id!(
    /// The name of a project: the people who work on a question together. The same at every
    /// institution.
    ProjectName,
    "a project"
);
name_id!(
    /// The name of a release inside its study.
    ReleaseName,
    "a release"
);

impl ReleaseName {
    /// The name of a release that was asked under a grant: `ask-` and hexadecimal digits.
    pub(crate) fn asked(digits: &str) -> Self {
        Self(format!("ask-{digits}"))
    }
}

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Reads exactly 32 bytes.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| InvalidId::Bytes32 { what: $what })
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let wrong = || InvalidId::Bytes32 { what: $what };
                if text.len() != 64 || !text.is_ascii() {
                    return Err(wrong());
                }
                let mut bytes = [0; 32];
                for (i, byte) in bytes.iter_mut().enumerate() {
                    let pair = text.get(2 * i..2 * i + 2).ok_or_else(wrong)?;
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
                }
                Ok(Self(bytes))
            }
        }
    };
}

bytes32!(
    /// A party's Ed25519 public key; also its id.
    KeyId,
    "a key"
);
bytes32!(
    /// A SHA-256 digest.
    Digest,
    "a digest"
);

impl Digest {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// SHA-256 of several parts, each preceded by its length, so that no two lists of parts
    /// give the same input.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl fmt::Display for UnixMillis {
    /// `2026-01-31 12:00:00 UTC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{} {h:02}:{m:02}:{s:02} UTC", self.date())
    }
}

impl UnixMillis {
    /// The end of the day written `YYYY-MM-DD` (UTC), or nothing if that is no date.
    #[must_use]
    pub fn end_of_day(date: &str) -> Option<Self> {
        let days = u64::try_from(calendar::parse(date)?).ok()?;
        Some(Self((days + 1) * 86_400_000 - 1))
    }

    /// The date as `YYYY-MM-DD` (UTC).
    #[must_use]
    pub fn date(&self) -> String {
        calendar::label(i32::try_from(self.0 / 86_400_000).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_back_as_written() {
        for date in ["1970-01-01", "2000-02-29", "2026-11-23", "2099-12-31"] {
            assert_eq!(UnixMillis::end_of_day(date).unwrap().date(), date);
        }
        for wrong in [
            "2026-02-30",
            "2026-13-01",
            "26-01-01",
            "2026-1-1",
            "",
            "tomorrow",
        ] {
            assert_eq!(UnixMillis::end_of_day(wrong), None, "{wrong}");
        }
        assert_eq!(
            UnixMillis(1_000_000_000_000).to_string(),
            "2001-09-09 01:46:40 UTC"
        );
    }

    #[test]
    fn names_and_digests_refuse_what_they_are_not() {
        assert!(PartyName::new("dayton-2").is_ok());
        for wrong in ["", "Dayton", "2day", "a b", "a.b", &"x".repeat(41)] {
            assert!(PartyName::new(wrong).is_err(), "{wrong}");
        }
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("zz".repeat(32).parse::<Digest>().is_err());
        assert_ne!(
            Digest::of_parts(&[b"ab", b"c"]),
            Digest::of_parts(&[b"a", b"bc"])
        );
    }
}
