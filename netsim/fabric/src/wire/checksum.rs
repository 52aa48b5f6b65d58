//! Incremental one's-complement arithmetic (RFC 1624).

/// The difference between new and old 16-bit words, as a one's-complement sum.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delta(u32);

impl Delta {
    /// One 16-bit word changes.
    pub(super) fn word(&mut self, old: u16, new: u16) {
        self.0 = u32::from(fold(self.0 + u32::from(!old) + u32::from(new)));
    }

    /// An even number of bytes changes.
    pub(super) fn bytes(&mut self, old: &[u8], new: &[u8]) {
        for (old, new) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
            self.word(u16::from_be_bytes([old[0], old[1]]), u16::from_be_bytes([new[0], new[1]]));
        }
    }

    /// An even number of bytes leaves, another even number comes in.
    pub(super) fn replace(&mut self, old: &[u8], new: &[u8]) {
        for old in old.chunks_exact(2) {
            self.word(u16::from_be_bytes([old[0], old[1]]), 0);
        }
        for new in new.chunks_exact(2) {
            self.word(0, u16::from_be_bytes([new[0], new[1]]));
        }
    }

    /// Applies the change to a finished checksum field: `~(~HC + ~m + m')`.
    pub(super) fn patch(self, checksum: u16) -> u16 {
        !fold(u32::from(!checksum) + self.0)
    }

    /// Applies the change to a plain sum, as a partial checksum field holds it.
    pub(super) fn patch_partial(self, sum: u16) -> u16 {
        fold(u32::from(sum) + self.0)
    }
}

/// The internet checksum (RFC 1071) of `parts` one after the other; all but the last have even lengths.
pub(super) fn internet(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words.map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum();
    // 64 KiB of words cannot overflow 32 bits.
    !fold(sum as u32)
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The one's-complement sum of `bytes`, on top of `sum` (RFC 1071). Not yet inverted.
pub(super) fn sum(sum: u16, bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words = words.iter().fold(u64::from(sum), |sum, word| sum + u64::from(u16::from_be_bytes(*word)));
    let mut sum = words + rest.first().map_or(0, |last| u64::from(*last) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
