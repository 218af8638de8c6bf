//! Reading numbers from bytes that may be damaged: every step can say no, and none panics.

/// What is left of some bytes.
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Words<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (now, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(now)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn digest(&mut self) -> Option<[u8; 32]> {
        self.array()
    }

    /// Nothing, if nothing is left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// How many bytes an unsigned number takes, of those widths that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// All are the same.
    None,
    One,
    Two,
    Four,
}

impl Width {
    /// The least for numbers up to `most`, if four bytes are enough.
    pub(super) fn of(most: u64) -> Option<Self> {
        match most {
            0 => Some(Width::None),
            1..=0xff => Some(Width::One),
            0x100..=0xffff => Some(Width::Two),
            0x1_0000..=0xffff_ffff => Some(Width::Four),
            _ => None,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Width::None),
            1 => Some(Width::One),
            2 => Some(Width::Two),
            4 => Some(Width::Four),
            _ => None,
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Width::None => 0,
            Width::One => 1,
            Width::Two => 2,
            Width::Four => 4,
        }
    }

    /// Writes numbers that fit.
    pub(super) fn write(self, numbers: impl Iterator<Item = u32>, into: &mut Vec<u8>) {
        numbers.for_each(|n| {
            into.extend(n.to_le_bytes().iter().take(self.bytes()));
        });
    }

    /// So many numbers, each made into what `from` makes of it.
    pub(super) fn read<T: Clone>(
        self,
        words: &mut Words<'_>,
        count: usize,
        from: impl Fn(u32) -> T,
    ) -> Option<Vec<T>> {
        let bytes = words.bytes(count.checked_mul(self.bytes())?)?;
        Some(match self {
            Width::None => vec![from(0); count],
            Width::One => bytes.iter().map(|b| from(u32::from(*b))).collect(),
            Width::Two => {
                let (pairs, _) = bytes.as_chunks::<2>();
                let number = |b: &[u8; 2]| from(u32::from(u16::from_le_bytes(*b)));
                pairs.iter().map(number).collect()
            }
            Width::Four => {
                let (fours, _) = bytes.as_chunks::<4>();
                fours.iter().map(|b| from(u32::from_le_bytes(*b))).collect()
            }
        })
    }
}
