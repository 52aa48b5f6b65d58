//! Payloads as blocks: which make which file.

use anyhow::{Context, Result, anyhow, ensure};
use async_trait::async_trait;
use cid::Cid;
use iroh_bitswap::{Bitswap, Block, Store, create_block_v1};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes of a block, as IPFS has them.
const BLOCK_BYTES: usize = 256 << 10;

/// A store in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<RwLock<HashMap<Cid, Block>>>);

impl Memory {
    /// Imports files. The root is what a fetcher needs to know.
    pub(crate) fn import<'a>(&self, top: &Path, names: impl Iterator<Item = &'a str>) -> Result<Cid> {
        let mut index = String::new();
        for name in names {
            let mut file = File::open(top.join(name)).with_context(|| format!("cannot read {name}"))?;
            index += name;
            loop {
                let mut bytes = Vec::with_capacity(BLOCK_BYTES);
                file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut bytes)?;
                if bytes.is_empty() {
                    break;
                }
                index += &format!("\t{}", self.insert(bytes));
            }
            index.push('\n');
        }
        let parts: Vec<String> =
            index.as_bytes().chunks(BLOCK_BYTES).map(|part| self.insert(part.to_vec()).to_string()).collect();
        Ok(self.insert(parts.join("\n").into_bytes()))
    }

    fn insert(&self, bytes: Vec<u8>) -> Cid {
        let block = create_block_v1(bytes);
        let cid = *block.cid();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(cid, block);
        cid
    }

    fn find(&self, cid: &Cid) -> Option<Block> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(cid).cloned()
    }
}

#[async_trait]
impl Store for Memory {
    async fn get_size(&self, cid: &Cid) -> Result<usize> {
        self.find(cid).map(|block| block.data().len()).ok_or_else(|| anyhow!("no block {cid}"))
    }

    async fn get(&self, cid: &Cid) -> Result<Block> {
        self.find(cid).ok_or_else(|| anyhow!("no block {cid}"))
    }

    async fn has(&self, cid: &Cid) -> Result<bool> {
        Ok(self.find(cid).is_some())
    }
}

/// Files by their relative paths, each with its blocks.
pub(crate) struct Index(Vec<(String, Vec<Cid>)>);

impl Index {
    /// Gets it from the network.
    pub(crate) async fn read(bitswap: &Bitswap<Memory>, root: Cid) -> Result<Index> {
        let parts = bitswap.client().get_block(&root).await?;
        let mut text = Vec::new();
        for part in std::str::from_utf8(parts.data())?.lines() {
            text.extend_from_slice(bitswap.client().get_block(&part.parse()?).await?.data());
        }
        let file = |line: &str| {
            let mut words = line.split('\t');
            let name = words.next().unwrap_or_default().to_owned();
            Ok((name, words.map(str::parse).collect::<Result<Vec<Cid>, _>>()?))
        };
        Ok(Index(String::from_utf8(text)?.lines().map(file).collect::<Result<_>>()?))
    }
}

/// Blocks that are not there yet, each with the places it belongs to.
pub(crate) struct Wanted {
    files: Vec<PathBuf>,
    places: HashMap<Cid, Vec<(usize, u64)>>,
    order: Vec<Cid>,
}

impl Wanted {
    /// Makes all directories and empty files.
    pub(crate) fn prepare(index: &Index, out: &Path) -> Result<Wanted> {
        let mut wanted = Wanted { files: Vec::new(), places: HashMap::new(), order: Vec::new() };
        for (number, (name, cids)) in index.0.iter().enumerate() {
            let path = out.join(name);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(&path)?;
            wanted.files.push(path);
            for (n, cid) in cids.iter().enumerate() {
                let places = wanted.places.entry(*cid).or_default();
                if places.is_empty() {
                    wanted.order.push(*cid);
                }
                places.push((number, (n * BLOCK_BYTES) as u64));
            }
        }
        Ok(wanted)
    }

    /// What to ask for, each once.
    pub(crate) fn cids(&self) -> impl Iterator<Item = Cid> {
        self.order.iter().copied()
    }

    /// Writes a block, which bitswap has compared with its name.
    pub(crate) fn write(&mut self, block: &Block) -> Result<()> {
        for (file, at) in self.places.remove(block.cid()).unwrap_or_default() {
            File::options().write(true).open(&self.files[file])?.write_all_at(block.data(), at)?;
        }
        Ok(())
    }

    /// Whether nothing is missing.
    pub(crate) fn complete(&self) -> Result<()> {
        ensure!(self.places.is_empty(), "{} blocks never came", self.places.len());
        Ok(())
    }
}
