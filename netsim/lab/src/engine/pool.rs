//! Buffers for super-packets: taken and given back without allocating, counted without locks.

use netsim_fabric::Body;
use netsim_fabric::wire::{Layout, Offload, parse};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

/// Room for the largest super-packet (64 KiB) with its headers.
const CAPACITY: usize = 68 * 1024;
/// The most buffers there may be: 2 GiB if every one held a full super-packet.
const MAX_BUFFERS: usize = 32_768;

#[derive(Debug, Default)]
struct Shared {
    free: RefCell<Vec<Box<[u8]>>>,
    made: Cell<usize>,
}

/// A stock of buffers.
#[derive(Debug, Default)]
pub(super) struct Pool {
    shared: Rc<Shared>,
}

impl Pool {
    /// An empty buffer, or `None` when too many are under way.
    pub(super) fn take(&self) -> Option<Blank> {
        let bytes = self.shared.free.borrow_mut().pop();
        let bytes = match bytes {
            Some(bytes) => bytes,
            None if self.shared.made.get() < MAX_BUFFERS => {
                self.shared.made.set(self.shared.made.get() + 1);
                vec![0; CAPACITY].into_boxed_slice()
            }
            None => return None,
        };
        Some(Blank { bytes, home: Rc::clone(&self.shared) })
    }

    /// Gives an unused buffer back.
    pub(super) fn give_back(&self, blank: Blank) {
        self.shared.free.borrow_mut().push(blank.bytes);
    }
}

/// A buffer being filled.
#[derive(Debug)]
pub(super) struct Blank {
    pub(super) bytes: Box<[u8]>,
    home: Rc<Shared>,
}

/// A super-packet's bytes, shared by all runs of its segments. The last one to go gives the buffer back.
#[derive(Debug, Clone)]
pub(crate) struct Buffer(Rc<Filled>);

#[derive(Debug)]
struct Filled {
    bytes: Box<[u8]>,
    /// Where the packet is: behind the offload header if it came from a device.
    packet: Range<usize>,
    offload: Offload,
    layout: Layout,
    /// Where the bytes go back to; a router's own packets just go.
    home: Option<Rc<Shared>>,
}

impl Buffer {
    pub(super) fn new(blank: Blank, len: usize, offload: Offload, layout: Layout) -> Buffer {
        let packet = Offload::LEN..len;
        Buffer(Rc::new(Filled { bytes: blank.bytes, packet, offload, layout, home: Some(blank.home) }))
    }

    /// The packet, from its IP header on.
    pub(super) fn packet(&self) -> &[u8] {
        &self.0.bytes[self.0.packet.clone()]
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.0.layout
    }
}

impl Body for Buffer {
    fn bytes(&self) -> &[u8] {
        self.packet()
    }

    fn offload(&self) -> Offload {
        self.0.offload
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Buffer> {
        let offload = Offload::default();
        let layout = parse(&offload, &bytes).ok()?.layout;
        let packet = 0..bytes.len();
        Some(Buffer(Rc::new(Filled { bytes: bytes.into_boxed_slice(), packet, offload, layout, home: None })))
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.free.borrow_mut().push(std::mem::take(&mut self.bytes));
        }
    }
}
