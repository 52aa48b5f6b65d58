//! The data structures alone: hashing a blob into its outboard, encoding it, verifying the encoding, importing a file.
//!
//! `cargo bench -p longhaul-transfer`. One core, everything in memory. 16 MiB are enough for the rate of any size and
//! more than a processor's second-level cache holds.
#![allow(missing_docs, reason = "criterion's macros generate undocumented functions")]

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use longhaul_transfer::payload::{Payload, Symlinks};
use longhaul_transfer::verified::{Decoder, EncodeError, Encoder, Outboard, Source};

const BYTES: usize = 16 << 20;
const PIECE_BYTES: usize = 256 * 1024;

struct Memory<'a>(&'a [u8]);

impl Source for Memory<'_> {
    type Error = Infallible;

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Infallible> {
        buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
        Ok(())
    }
}

fn blob() -> Vec<u8> {
    let mut blob = vec![0; BYTES];
    blake3::Hasher::new().update(b"longhaul bench").finalize_xof().fill(&mut blob);
    blob
}

fn outboard(blob: &[u8]) -> Outboard {
    Outboard::in_memory(&mut Memory(blob), blob.len() as u64).expect("memory is stable")
}

/// Encodes piece by piece into one buffer, as the provider does, and hands each piece to `take`.
fn encode(mut encoder: Encoder<'_>, blob: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), EncodeError<Infallible>> {
    let mut piece = vec![0; PIECE_BYTES];
    while !encoder.is_done() {
        let filled = encoder.fill(&mut Memory(blob), &mut piece)?;
        take(&piece[..filled]);
    }
    Ok(())
}

fn decode(outboard: &Outboard, mut encoding: &[u8]) -> u64 {
    let mut decoder = Decoder::new(outboard.hash(), outboard.size(), &(0..u64::MAX));
    while let Some(item) = decoder.need().and_then(|need| encoding.split_off(..need)) {
        match decoder.accept(item) {
            Ok(group) => drop(black_box(group)),
            Err(error) => panic!("the bench's own encoding does not verify: {error}"),
        }
    }
    decoder.verified()
}

fn benches(c: &mut Criterion) {
    let blob = blob();
    let outboard_of_blob = outboard(&blob);
    let mut encoding = Vec::new();
    encode(Encoder::new(&outboard_of_blob, &(0..u64::MAX)), &blob, |piece| encoding.extend_from_slice(piece))
        .expect("memory is stable");
    assert_eq!(decode(&outboard_of_blob, &encoding), BYTES as u64);

    let mut group = c.benchmark_group("data-structures");
    group.throughput(Throughput::Bytes(BYTES as u64));
    group.bench_function("blake3", |b| b.iter(|| blake3::hash(black_box(&blob))));
    group.bench_function("outboard", |b| b.iter(|| outboard(black_box(&blob))));
    group.bench_function("encode", |b| {
        b.iter(|| encode(Encoder::new(&outboard_of_blob, &(0..u64::MAX)), &blob, |piece| _ = black_box(piece)));
    });
    group.bench_function("encode-unchecked", |b| {
        b.iter(|| encode(Encoder::unchecked(&outboard_of_blob, &(0..u64::MAX)), &blob, |piece| _ = black_box(piece)));
    });
    group.bench_function("verify", |b| b.iter(|| decode(&outboard_of_blob, black_box(&encoding))));
    // As a provider does it before it is ready: from files, which lie in the page cache.
    let directory = tempfile::tempdir().expect("there is room for a file");
    std::fs::write(directory.path().join("blob"), &blob).expect("there is room for a file");
    group.bench_function("import", |b| {
        b.iter(|| Payload::import(black_box(directory.path()), Symlinks::Keep, |_, _| ()).map(|_| ()));
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
