//! Encoder, decoder and scan against each other and against `bao-tree`.

use std::convert::Infallible;

use bao_tree::io::outboard::PreOrderMemOutboard;
use proptest::prelude::*;

use super::*;
use crate::ranges::Ranges;

struct Memory<'a>(&'a [u8]);

impl Source for Memory<'_> {
    type Error = Infallible;

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Infallible> {
        buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
        Ok(())
    }
}

/// Bytes that differ from place to place, so that swapped groups show.
fn blob(bytes: usize) -> Vec<u8> {
    let mut blob = vec![0; bytes];
    blake3::Hasher::new().update(b"longhaul test blob").finalize_xof().fill(&mut blob);
    blob
}

fn outboard(blob: &[u8]) -> Outboard {
    Outboard::in_memory(&mut Memory(blob), blob.len() as u64).unwrap()
}

fn encode(blob: &[u8], piece_bytes: usize) -> (Hash, Vec<u8>) {
    encode_part(blob, piece_bytes, &(0..u64::MAX))
}

fn encode_part(blob: &[u8], piece_bytes: usize, range: &Range<u64>) -> (Hash, Vec<u8>) {
    let outboard = outboard(blob);
    let mut encoder = Encoder::new(&outboard, range);
    let mut encoding = Vec::new();
    let mut piece = vec![0; piece_bytes];
    while !encoder.is_done() {
        let filled = encoder.fill(&mut Memory(blob), &mut piece).unwrap();
        encoding.extend_from_slice(&piece[..filled]);
    }
    (outboard.hash(), encoding)
}

/// What comes out verified, and how it ended.
fn decode(hash: Hash, size: u64, encoding: &[u8]) -> (Vec<u8>, Result<(), Option<VerifyError>>) {
    let mut nodes = vec![[0; PAIR_BYTES]; pairs(size) as usize];
    decode_part(hash, size, encoding, &(0..u64::MAX), &mut nodes)
}

/// The same for a part. Keeps the pairs.
fn decode_part(
    hash: Hash,
    size: u64,
    mut encoding: &[u8],
    range: &Range<u64>,
    nodes: &mut dyn Nodes,
) -> (Vec<u8>, Result<(), Option<VerifyError>>) {
    let mut decoder = Decoder::new(hash, size, range);
    let mut out = Vec::new();
    while let Some(need) = decoder.need() {
        let Some(item) = encoding.split_off(..need) else { return (out, Err(None)) };
        match decoder.accept(item) {
            Ok(None) => {}
            Ok(Some(Accepted::Pair(place, pair))) => nodes.save(decoder.position(place), pair).unwrap(),
            Ok(Some(Accepted::Group(group))) => {
                assert_eq!(group.offset, range.start + out.len() as u64);
                out.extend_from_slice(group.data);
            }
            Err(error) => return (out, Err(Some(error))),
        }
    }
    assert!(encoding.is_empty(), "{} bytes too many", encoding.len());
    (out, Ok(()))
}

#[test]
fn every_size_survives_a_round_trip_under_its_plain_hash() {
    let group = GROUP_BYTES;
    let sizes = [0, 1, 1023, 1024, 1025, group - 1, group, group + 1, 3 * group, 4 * group, 5 * group + 17];
    for size in sizes.into_iter().chain([1 << 20, (1 << 20) + 1]) {
        let blob = blob(size);
        let (hash, encoding) = encode(&blob, 100_000);
        assert_eq!(hash, blake3::hash(&blob), "{size}");
        assert_eq!(decode(hash, size as u64, &encoding), (blob, Ok(())), "{size}");
    }
}

#[test]
fn the_encoding_is_the_one_of_bao_tree() {
    let blob = blob(300_001);
    let (hash, encoding) = encode(&blob, MAX_ITEM_BYTES);
    let outboard = PreOrderMemOutboard::create(&blob, GROUP);
    let mut theirs = Vec::new();
    let ranges = ChunkRanges::all();
    bao_tree::io::sync::encode_ranges_validated(blob.as_slice(), &outboard, &ranges, &mut theirs).unwrap();
    assert_eq!((hash, encoding), (outboard.root, theirs));
}

#[test]
fn a_change_on_the_source_is_found_before_it_is_sent() {
    let good = blob(100_000);
    let outboard = outboard(&good);
    let mut bad = good.clone();
    bad[70_000] ^= 1;
    let mut out = vec![0; 1 << 20];
    let all = 0..u64::MAX;
    let found = Encoder::new(&outboard, &all).fill(&mut Memory(&bad), &mut out);
    assert!(matches!(found, Err(EncodeError::Changed { offset: 65_536, bytes: GROUP_BYTES })), "{found:?}");

    let filled = Encoder::unchecked(&outboard, &all).fill(&mut Memory(&bad), &mut out).unwrap();
    let (verified, end) = decode(outboard.hash(), 100_000, &out[..filled]);
    assert_eq!(verified, &good[..65_536]);
    assert_eq!(end, Err(Some(VerifyError::Group { offset: 65_536, bytes: GROUP_BYTES })));
}

#[test]
fn what_a_source_vouches_for_is_not_looked_at() {
    struct Vouched<'a>(Memory<'a>);
    impl Source for Vouched<'_> {
        type Error = Infallible;

        fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Infallible> {
            self.0.read_exact_at(offset, buffer)
        }

        fn is_unchanged(&mut self) -> bool {
            true
        }
    }
    let mut blob = blob(100_000);
    let outboard = outboard(&blob);
    blob[70_000] ^= 1;
    let mut out = vec![0; 1 << 20];
    let filled = Encoder::new(&outboard, &(0..u64::MAX)).fill(&mut Vouched(Memory(&blob)), &mut out).unwrap();
    let (_, end) = decode(outboard.hash(), 100_000, &out[..filled]);
    assert_eq!(end, Err(Some(VerifyError::Group { offset: 65_536, bytes: GROUP_BYTES })));
}

#[test]
fn a_wrong_size_or_hash_is_found_at_once() {
    let blob = blob(100_000);
    let (hash, encoding) = encode(&blob, 1 << 20);
    for (hash, size) in [(hash, 200_000), (hash, 50_000), (hash, 10), (blake3::hash(b"other"), 100_000)] {
        let (verified, end) = decode(hash, size, &encoding);
        assert!(verified.is_empty() && matches!(end, Err(Some(_))), "{size}: {end:?}");
    }
}

#[test]
fn a_part_is_the_one_of_bao_tree() {
    let blob = blob(300_001);
    let outboard = PreOrderMemOutboard::create(&blob, GROUP);
    let group = GROUP_BYTES as u64;
    for range in [0..group, group..2 * group, 3 * group..9 * group, 18 * group..u64::MAX, 5 * group..300_001] {
        assert!(is_whole_groups(&range, 300_001));
        let mut theirs = Vec::new();
        let ranges = chunks(&range, 300_001);
        bao_tree::io::sync::encode_ranges_validated(blob.as_slice(), &outboard, &ranges, &mut theirs).unwrap();
        assert_eq!(encode_part(&blob, 50_000, &range), (outboard.root, theirs), "{range:?}");
    }
}

#[test]
fn only_whole_groups_are_parts() {
    let rows = [
        (0..0, 0, true),
        (0..u64::MAX, 0, true),
        (0..0, 1, false),
        (0..1, 1, true),
        (0..1, 2, false),
        (1..16_384, 20_000, false),
        (16_384..16_384, 20_000, false),
        (16_384..20_000, 20_000, true),
        (16_384..u64::MAX, 20_000, true),
        (32_768..u64::MAX, 20_000, false),
        (Range { start: 16_384, end: 0 }, 20_000, false),
    ];
    for (range, size, expect) in rows {
        assert_eq!(is_whole_groups(&range, size), expect, "{range:?} of {size}");
    }
}

/// A range of whole groups of a blob.
fn part(size: u64, a: prop::sample::Index, b: prop::sample::Index) -> Range<u64> {
    let groups = (size as usize).div_ceil(GROUP_BYTES).max(1);
    let (a, b) = (a.index(groups) as u64, b.index(groups) as u64);
    let range = a.min(b) * GROUP_BYTES as u64..(a.max(b) + 1) * GROUP_BYTES as u64;
    range.start..range.end.min(size)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_flipped_bit_gets_through(size in 0..200_000_usize, at: prop::sample::Index, bit in 0..8_u32) {
        let blob = blob(size);
        let (hash, mut encoding) = encode(&blob, 50_000);
        if !encoding.is_empty() {
            let at = at.index(encoding.len());
            encoding[at] ^= 1 << bit;
            let (verified, end) = decode(hash, size as u64, &encoding);
            prop_assert!(matches!(end, Err(Some(_))), "{end:?}");
            prop_assert_eq!(&verified, &blob[..verified.len()]);
        }
    }

    #[test]
    fn a_cut_encoding_yields_only_its_verified_beginning(size in 1..200_000_usize, at: prop::sample::Index) {
        let blob = blob(size);
        let (hash, encoding) = encode(&blob, 50_000);
        let (verified, end) = decode(hash, size as u64, &encoding[..at.index(encoding.len())]);
        prop_assert_eq!(end, Err(None));
        prop_assert_eq!(&verified, &blob[..verified.len()]);
    }

    #[test]
    fn parts_add_up_and_what_is_there_is_found(
        size in 1..400_000_usize,
        parts: Vec<(prop::sample::Index, prop::sample::Index)>,
        damage: Option<(prop::sample::Index, prop::sample::Index)>,
    ) {
        let (blob, size) = (blob(size), size as u64);
        let mut nodes = vec![[0; PAIR_BYTES]; pairs(size) as usize];
        let mut partial = vec![0; blob.len()];
        let mut there = Ranges::default();
        let hash = blake3::hash(&blob);
        for (a, b) in parts.into_iter().take(4) {
            let range = part(size, a, b);
            let (_, encoding) = encode_part(&blob, 50_000, &range);
            let (verified, end) = decode_part(hash, size, &encoding, &range, &mut nodes);
            prop_assert_eq!(end, Ok(()));
            prop_assert_eq!(&verified, &blob[range.start as usize..range.end as usize]);
            partial[range.start as usize..range.end as usize].copy_from_slice(&verified);
            there.insert(range);
        }
        if let Some((data, node)) = damage {
            partial[data.index(blob.len())] ^= 1;
            if !nodes.is_empty() {
                let node = node.index(nodes.len());
                nodes[node][7] ^= 1;
            }
        }
        let missing = missing(hash, size, &nodes, &mut Memory(&partial));
        for range in missing.iter() {
            prop_assert!(is_whole_groups(range, size));
        }
        // Whatever was damaged: what is not missing is right, and without damage only what never came is missing.
        for start in (0..size).step_by(GROUP_BYTES) {
            let group = start..(start + GROUP_BYTES as u64).min(size);
            let whole = group.start as usize..group.end as usize;
            if missing.overlap(group.clone()) == 0 {
                prop_assert_eq!(&partial[whole.clone()], &blob[whole]);
            } else if damage.is_none() {
                prop_assert_eq!(there.overlap(group), 0);
            }
        }
    }
}
