//! Sets of byte ranges.

use std::ops::Range;

/// Bytes of a blob: ranges that ascend, with a gap between any two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// The bytes of one range.
    pub fn of(range: Range<u64>) -> Ranges {
        let mut ranges = Ranges::default();
        ranges.insert(range);
        ranges
    }

    /// Adds a range, whatever is there already.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // Those that overlap the new range or touch it.
        let from = self.0.partition_point(|other| other.end < range.start);
        let to = self.0.partition_point(|other| other.start <= range.end);
        let start = self.0[from..to].first().map_or(range.start, |other| other.start.min(range.start));
        let end = self.0[from..to].last().map_or(range.end, |other| other.end.max(range.end));
        self.0.splice(from..to, std::iter::once(start..end));
    }

    /// Removes the first bytes, at most `most` that follow each other, and returns them.
    pub fn take_first(&mut self, most: u64) -> Option<Range<u64>> {
        let first = self.0.first_mut()?;
        let taken = first.start..first.end.min(first.start.saturating_add(most));
        first.start = taken.end;
        if first.is_empty() {
            self.0.remove(0);
        }
        Some(taken)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// How many bytes of `range` are among them.
    pub fn overlap(&self, range: Range<u64>) -> u64 {
        let from = self.0.partition_point(|other| other.end <= range.start);
        let common = |other: &Range<u64>| other.end.min(range.end).saturating_sub(other.start.max(range.start));
        self.0[from..].iter().take_while(|other| other.start < range.end).map(common).sum()
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_behave_like_a_set_of_numbers(inserts in proptest::collection::vec((0..60_u64, 0..12_u64), 0..12),
                                             takes in proptest::collection::vec(1..20_u64, 0..4),
                                             ask in (0..70_u64, 0..30_u64)) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for (start, bytes) in inserts {
                ranges.insert(start..start + bytes);
                set.extend(start..start + bytes);
            }
            for most in takes {
                let expect: Vec<u64> =
                    set.iter().copied().enumerate().take_while(|(n, x)| *n < most as usize && x - *n as u64 == *set.first().unwrap()).map(|(_, x)| x).collect();
                let taken = ranges.take_first(most);
                prop_assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), expect.clone());
                expect.iter().for_each(|x| { set.remove(x); });
            }
            prop_assert_eq!(ranges.bytes(), set.len() as u64);
            prop_assert_eq!(ranges.is_empty(), set.is_empty());
            prop_assert_eq!(ranges.overlap(ask.0..ask.0 + ask.1), set.range(ask.0..ask.0 + ask.1).count() as u64);
            prop_assert!(ranges.0.is_sorted_by(|a, b| a.end < b.start) && ranges.iter().all(|range| !range.is_empty()));
            prop_assert_eq!(ranges.iter().cloned().flatten().collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
        }
    }
}
