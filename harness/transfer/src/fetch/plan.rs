//! Who fetches what: the missing bytes are cut into pieces, and what a slow provider still owes is given to a fast one.
//!
//! Each provider is given two pieces at a time: one that arrives, and the next, so that it never waits for an order.
//! When all pieces are given out, whoever is idle takes over a part of the piece that would be complete last: as much as
//! makes both end together, or all of it from a provider that has fallen silent. Verified bytes are never fetched again.
//!
//! Pure: time is passed in, as the time since any moment.

use std::ops::Range;
use std::time::Duration;

use crate::ranges::Ranges;
use crate::verified::GROUP_BYTES;

/// A piece that is complete sooner is not worth taking over.
const WORTH: Duration = Duration::from_millis(100);

/// A provider that has sent nothing for so long is taken to be dead, or as good as.
const SILENCE: Duration = Duration::from_secs(1);

/// Less than this is never shared, only taken over as a whole.
const SHAREABLE_BYTES: u64 = 4 * GROUP;

const GROUP: u64 = GROUP_BYTES as u64;

/// Names a piece that was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u64);

/// A piece that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: Id,
    pub(super) range: Range<u64>,
}

/// What is missing, and who fetches which part.
#[derive(Debug)]
pub(super) struct Plan {
    unclaimed: Ranges,
    /// An empty blob has no bytes that could be missing, but the provider has to prove that it has it.
    unproven: bool,
    claims: Vec<Claim>,
    owners: Vec<Owner>,
    piece_bytes: u64,
    /// Only one provider at a time, and from the front.
    pub(super) in_order: bool,
    next: u64,
}

#[derive(Debug)]
struct Claim {
    id: Id,
    owner: usize,
    /// What has not been verified yet.
    range: Range<u64>,
    proves: bool,
    begun: bool,
}

/// A provider and how fast it is.
#[derive(Debug, Clone, Copy, Default)]
struct Owner {
    /// Bytes and time of the piece before.
    before: (u64, Duration),
    /// Bytes of this piece, and when it began.
    bytes: u64,
    begun: Duration,
    /// When something came from it last, or was asked of it.
    heard: Duration,
}

impl Owner {
    /// Bytes per second, as far as that can be told.
    fn speed(&self, now: Duration) -> Option<f64> {
        let time = self.before.1 + now.saturating_sub(self.begun);
        let bytes = self.before.0 + self.bytes;
        (bytes > 0 && !time.is_zero()).then(|| bytes as f64 / time.as_secs_f64())
    }

    fn is_silent(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) > SILENCE
    }
}

impl Plan {
    /// A plan for some providers to fetch what is missing of a blob of `size` bytes, in pieces of whole groups.
    pub(super) fn new(missing: Ranges, size: u64, providers: usize, piece_bytes: u64) -> Plan {
        Plan {
            unclaimed: missing,
            unproven: size == 0,
            claims: Vec::new(),
            owners: vec![Owner::default(); providers],
            piece_bytes: piece_bytes.next_multiple_of(GROUP),
            in_order: false,
            next: 0,
        }
    }

    /// Whether everything is verified.
    pub(super) fn is_done(&self) -> bool {
        self.unclaimed.is_empty()
            && !self.unproven
            && self.claims.iter().all(|claim| claim.range.is_empty() && !claim.proves)
    }

    /// Gives a provider a piece, if there is one for it now.
    pub(super) fn claim(&mut self, owner: usize, now: Duration) -> Option<Piece> {
        if self.unproven {
            self.unproven = false;
            return Some(self.give(owner, 0..0, true, now));
        }
        let taken = self.claims.iter().any(|claim| !claim.range.is_empty());
        let fresh = if self.in_order && taken { None } else { self.unclaimed.take_first(self.piece_bytes) };
        let range = fresh.or_else(|| self.take_over(owner, now))?;
        Some(self.give(owner, range, false, now))
    }

    fn give(&mut self, owner: usize, range: Range<u64>, proves: bool, now: Duration) -> Piece {
        let id = Id(self.next);
        self.next += 1;
        if !self.claims.iter().any(|claim| claim.owner == owner) {
            self.owners[owner].heard = now;
        }
        self.claims.push(Claim { id, owner, range: range.clone(), proves, begun: false });
        Piece { id, range }
    }

    /// A piece's turn has come: what its provider sends now belongs to it.
    pub(super) fn begin(&mut self, id: Id, now: Duration) {
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.id == id) else { return };
        claim.begun = true;
        let owner = &mut self.owners[claim.owner];
        if owner.bytes > 0 {
            owner.before = (owner.bytes, now.saturating_sub(owner.begun));
        }
        (owner.bytes, owner.begun, owner.heard) = (0, now, now);
    }

    /// Where a piece ends, which moves to the front when another provider takes a part over.
    pub(super) fn end(&self, id: Id) -> u64 {
        self.claims.iter().find(|claim| claim.id == id).map_or(0, |claim| claim.range.end)
    }

    /// A piece is verified up to this offset.
    pub(super) fn advance(&mut self, id: Id, to: u64, now: Duration) {
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.id == id) else { return };
        let to = to.clamp(claim.range.start, claim.range.end);
        let owner = &mut self.owners[claim.owner];
        owner.bytes += to - claim.range.start;
        owner.heard = now;
        claim.range.start = to;
    }

    /// A piece is complete, or its rest belongs to somebody else.
    pub(super) fn finish(&mut self, id: Id) {
        self.claims.retain(|claim| claim.id != id);
    }

    /// Takes everything back from a provider that has failed.
    pub(super) fn release(&mut self, owner: usize) {
        for claim in self.claims.extract_if(.., |claim| claim.owner == owner) {
            self.unproven |= claim.proves;
            self.unclaimed.insert(claim.range);
        }
    }

    /// Takes a part of another provider's piece, or all of it.
    fn take_over(&mut self, thief: usize, now: Duration) -> Option<Range<u64>> {
        let (index, _) = (0..self.claims.len())
            .filter(|index| self.claims[*index].owner != thief && !self.claims[*index].range.is_empty())
            .filter_map(|index| Some((index, self.time_left(index, now)?)))
            .filter(|(_, time)| *time > WORTH)
            .max_by_key(|(_, time)| *time)?;
        let claim = &self.claims[index];
        let victim = &self.owners[claim.owner];
        if self.in_order && !victim.is_silent(now) {
            return None;
        }
        let left = claim.range.end - claim.range.start;
        let keep = match (victim.speed(now), self.owners[thief].speed(now)) {
            (Some(theirs), ours) if claim.begun && left > SHAREABLE_BYTES && !victim.is_silent(now) => {
                let share = theirs / (theirs + ours.unwrap_or(theirs));
                (left as f64 * share) as u64 / GROUP * GROUP
            }
            _ => 0,
        };
        let claim = &mut self.claims[index];
        let taken = claim.range.start + keep..claim.range.end;
        claim.range.end = taken.start;
        Some(taken)
    }

    /// How long until this piece would be complete. None if nobody can know yet.
    fn time_left(&self, index: usize, now: Duration) -> Option<Duration> {
        let claim = &self.claims[index];
        let owner = &self.owners[claim.owner];
        if owner.is_silent(now) {
            return Some(Duration::MAX);
        }
        // A provider sends its pieces one after the other.
        let before = self.claims[..=index].iter().filter(|other| other.owner == claim.owner);
        let bytes: u64 = before.map(|other| other.range.end - other.range.start).sum();
        Duration::try_from_secs_f64(bytes as f64 / owner.speed(now)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 64 * GROUP;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn plan(providers: usize, piece: u64) -> Plan {
        Plan::new(Ranges::of(0..SIZE), SIZE, providers, piece * GROUP)
    }

    fn groups(piece: Option<Piece>) -> Option<Range<u64>> {
        piece.map(|piece| piece.range.start / GROUP..piece.range.end / GROUP)
    }

    #[test]
    fn one_provider_gets_everything_at_once() {
        let mut plan = Plan::new(Ranges::of(0..SIZE), SIZE, 1, u64::MAX / 2);
        let piece = plan.claim(0, ms(0)).unwrap();
        assert_eq!(piece.range, 0..SIZE);
        assert_eq!(plan.claim(0, ms(0)), None);
        plan.begin(piece.id, ms(1));
        plan.advance(piece.id, SIZE, ms(2));
        assert!(plan.is_done());
    }

    #[test]
    fn an_empty_blob_has_to_be_proven() {
        let mut plan = Plan::new(Ranges::default(), 0, 2, GROUP);
        assert!(!plan.is_done());
        let piece = plan.claim(0, ms(0)).unwrap();
        assert!(!plan.is_done() && plan.claim(1, ms(0)).is_none());
        plan.release(0);
        let again = plan.claim(1, ms(0)).unwrap();
        assert_eq!((piece.range, again.range), (0..0, 0..0));
        plan.finish(again.id);
        assert!(plan.is_done());
    }

    #[test]
    fn what_a_failed_provider_has_verified_is_not_fetched_again() {
        let mut plan = plan(2, 32);
        let first = plan.claim(0, ms(0)).unwrap();
        let second = plan.claim(1, ms(0)).unwrap();
        plan.begin(first.id, ms(0));
        plan.advance(first.id, 10 * GROUP, ms(5));
        plan.release(0);
        assert_eq!(groups(plan.claim(1, ms(6))), Some(10..32));
        plan.advance(second.id, SIZE, ms(9));
        assert!(!plan.is_done());
    }

    #[test]
    fn a_slow_providers_piece_is_shared_by_speed() {
        let mut plan = plan(2, 32);
        let slow = plan.claim(0, ms(0)).unwrap();
        let fast = plan.claim(1, ms(0)).unwrap();
        plan.begin(slow.id, ms(0));
        plan.begin(fast.id, ms(0));
        plan.advance(slow.id, 8 * GROUP, ms(800));
        plan.advance(fast.id, SIZE, ms(800));
        plan.finish(fast.id);
        // 24 groups are left, and one is four times as fast as the other.
        let taken = plan.claim(1, ms(800)).unwrap();
        assert_eq!(taken.range, 12 * GROUP..32 * GROUP);
        assert_eq!(plan.end(slow.id), 12 * GROUP);
        plan.advance(slow.id, 12 * GROUP, ms(900));
        assert!(!plan.is_done());
        plan.advance(taken.id, 32 * GROUP, ms(900));
        assert!(plan.is_done());
    }

    #[test]
    fn what_is_nearly_complete_or_unknown_is_left_alone() {
        let mut plan = plan(2, 32);
        let first = plan.claim(0, ms(0)).unwrap();
        let second = plan.claim(1, ms(0)).unwrap();
        plan.begin(second.id, ms(0));
        plan.advance(second.id, SIZE, ms(10));
        plan.finish(second.id);
        assert_eq!(plan.claim(1, ms(900)), None, "the other one may just have a long way");
        plan.begin(first.id, ms(901));
        plan.advance(first.id, 31 * GROUP, ms(1000));
        assert_eq!(plan.claim(1, ms(1000)), None, "the last group is about to come");
    }

    #[test]
    fn a_silent_providers_pieces_are_taken_whole() {
        let mut plan = plan(2, 16);
        let pieces: Vec<Piece> = [0, 0, 1, 1].map(|owner| plan.claim(owner, ms(0)).unwrap()).into();
        plan.begin(pieces[0].id, ms(0));
        plan.advance(pieces[0].id, 4 * GROUP, ms(10));
        for piece in &pieces[2..] {
            plan.begin(piece.id, ms(10));
            plan.advance(piece.id, piece.range.end, ms(20));
            plan.finish(piece.id);
        }
        let silent = ms(1011);
        let mut taken = [groups(plan.claim(1, silent)), groups(plan.claim(1, silent))];
        taken.sort_by_key(|range| range.as_ref().map(|range| range.start));
        assert_eq!(taken, [Some(4..16), Some(16..32)]);
        assert_eq!((plan.end(pieces[0].id), plan.claim(1, silent)), (4 * GROUP, None));
    }

    #[test]
    fn in_order_only_one_provider_works_and_only_silence_ends_its_turn() {
        let mut plan = plan(2, 16);
        plan.in_order = true;
        let first = plan.claim(0, ms(0)).unwrap();
        assert_eq!((plan.claim(0, ms(0)), plan.claim(1, ms(0))), (None, None));
        plan.begin(first.id, ms(0));
        plan.advance(first.id, GROUP, ms(500));
        assert_eq!(plan.claim(1, ms(1000)), None);
        assert_eq!(groups(plan.claim(1, ms(1501))), Some(1..16));
        plan.in_order = false;
        assert_eq!(groups(plan.claim(0, ms(1502))), Some(16..32));
    }
}
