//! Buffers that come back.
//!
//! A piece of the stream stays in memory until the fetcher has confirmed it. Its buffer is then used for a later
//! piece: new memory would have to be zeroed, and fetched page by page from the kernel.

use std::sync::{Arc, Mutex, PoisonError};

/// Lends buffers of one size. Holds as many as were ever lent at once.
#[derive(Debug, Clone)]
pub struct Pool {
    bytes: usize,
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

/// A buffer that returns to its pool when dropped.
#[derive(Debug)]
pub struct Lent {
    buffer: Box<[u8]>,
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl Pool {
    /// An empty pool for buffers of so many bytes.
    pub fn new(bytes: usize) -> Pool {
        Pool { bytes, free: Arc::default() }
    }

    /// A buffer with whatever its last user left in it.
    pub fn take(&self) -> Lent {
        let returned = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = returned.unwrap_or_else(|| vec![0; self.bytes].into());
        Lent { buffer, free: Arc::clone(&self.free) }
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
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_slice_is_gone() {
        let pool = Pool::new(100);
        let mut lent = pool.take();
        lent.as_mut()[0] = 7;
        let slice = bytes::Bytes::from_owner(lent).slice(..10);
        assert_eq!(pool.take().as_ref()[0], 0, "the first buffer is still lent");
        drop(slice.clone());
        drop(slice);
        assert_eq!(pool.take().as_ref()[0], 7);
    }
}
