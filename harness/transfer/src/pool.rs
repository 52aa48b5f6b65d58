//! Buffers that come back.
//!
//! A piece of the stream stays in memory until the fetcher has confirmed it. Its buffer is then used for a later
//! piece: new memory would have to be zeroed, and fetched page by page from the kernel.

use std::sync::{Arc, Mutex, PoisonError};

/// Lends buffers of one size. Keeps a number of returned ones for later.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    bytes: usize,
    most: usize,
    free: Mutex<Vec<Box<[u8]>>>,
}

/// A buffer that returns to its pool when dropped.
#[derive(Debug)]
pub struct Lent {
    buffer: Box<[u8]>,
    shelf: Arc<Shelf>,
}

impl Pool {
    /// An empty pool for buffers of so many bytes, of which it will keep at most so many.
    pub fn new(bytes: usize, most: usize) -> Pool {
        Pool(Arc::new(Shelf { bytes, most, free: Mutex::default() }))
    }

    /// A buffer with whatever its last user left in it.
    pub fn take(&self) -> Lent {
        let returned = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = returned.unwrap_or_else(|| vec![0; self.0.bytes].into());
        Lent { buffer, shelf: Arc::clone(&self.0) }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut free = self.shelf.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.shelf.most {
            free.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_slice_is_gone() {
        let pool = Pool::new(100, 2);
        let mut lent = pool.take();
        lent.as_mut()[0] = 7;
        let slice = bytes::Bytes::from_owner(lent).slice(..10);
        assert_eq!(pool.take().as_ref()[0], 0, "the first buffer is still lent");
        drop(slice.clone());
        drop(slice);
        assert_eq!(pool.take().as_ref()[0], 7);
    }

    #[test]
    fn it_keeps_no_more_than_it_may() {
        let pool = Pool::new(100, 2);
        drop([pool.take(), pool.take(), pool.take()]);
        assert_eq!(pool.0.free.lock().unwrap().len(), 2);
    }
}
