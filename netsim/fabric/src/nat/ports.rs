//! Which ports of an external address are free.

use alloc::vec::Vec;

/// Ports below are left to services (RFC 4787, section 4.2.1).
pub(super) const FIRST_PORT: u16 = 1024;

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Range {
    /// All ports a NAT may assign.
    pub(super) const ALL: Range = Range { first: FIRST_PORT, last: u16::MAX };

    /// How many ports it has.
    pub(super) fn size(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    /// Port number `n` of it, counted around.
    pub(super) fn port(self, n: u64) -> u16 {
        self.first + (n % self.size()) as u16
    }

    /// `port` itself where it lies in the range, else one that stands in for it.
    pub(super) fn nearest(self, port: u16) -> u16 {
        if (self.first..=self.last).contains(&port) { port } else { self.port(port.into()) }
    }
}

/// A set of ports, one bit each.
#[derive(Debug)]
pub(super) struct PortSet {
    words: Vec<u64>,
}

impl Default for PortSet {
    fn default() -> PortSet {
        PortSet { words: alloc::vec![0; 65_536 / 64] }
    }
}

impl PortSet {
    pub(super) fn insert(&mut self, port: u16) {
        self.words[usize::from(port / 64)] |= 1 << (port % 64);
    }

    pub(super) fn remove(&mut self, port: u16) {
        self.words[usize::from(port / 64)] &= !(1 << (port % 64));
    }

    /// The first port of `range` from `from` on, wrapping around, that is not in the set and of `from`'s parity if that
    /// matters.
    pub(super) fn next_free(&self, from: u16, range: Range, same_parity: bool) -> Option<u16> {
        let skip = match (same_parity, from % 2) {
            (false, _) => 0,
            // Bits of the other parity count as taken.
            (true, 0) => 0xaaaa_aaaa_aaaa_aaaa,
            (true, _) => 0x5555_5555_5555_5555,
        };
        self.first_free(from, range.last, skip).or_else(|| self.first_free(range.first, from, skip))
    }

    fn first_free(&self, first: u16, last: u16, skip: u64) -> Option<u16> {
        (first / 64..=last / 64).find_map(|word| {
            let mut taken = self.words[usize::from(word)] | skip;
            if word == first / 64 {
                taken |= !(u64::MAX << (first % 64));
            }
            if word == last / 64 {
                taken |= (u64::MAX << (last % 64)) << 1;
            }
            (taken != u64::MAX).then(|| word * 64 + taken.trailing_ones() as u16)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_free_port_is_the_next_free_port() {
        let mut set = PortSet::default();
        for port in [1024, 1025, 1026, 1028, 65_535, 5000, 5001] {
            set.insert(port);
        }
        let small = Range { first: 5000, last: 5003 };
        for (from, range, parity, expect) in [
            (1024, Range::ALL, false, Some(1027)),
            (1024, Range::ALL, true, Some(1030)),
            (1025, Range::ALL, true, Some(1027)),
            (65_535, Range::ALL, false, Some(1027)),
            (5000, small, false, Some(5002)),
            (5003, small, false, Some(5003)),
            (5001, small, true, Some(5003)),
            (5001, Range { first: 5000, last: 5001 }, false, None),
        ] {
            assert_eq!(set.next_free(from, range, parity), expect, "from {from} in {range:?}, parity {parity}");
        }
    }
}
