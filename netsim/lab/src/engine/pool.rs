//! Buffers for super-packets: taken and given back without allocating, counted without locks. What goes to another thread
//! is copied once.

use netsim_fabric::Body;
use netsim_fabric::wire::{Layout, Offload, parse};
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    bytes: Bytes,
    /// Where the packet is: behind the offload header if it came from a device.
    packet: Range<usize>,
    offload: Offload,
    layout: Layout,
    /// Where the bytes go back to; a router's own packets just go.
    home: Option<Rc<Shared>>,
    /// The copy for other threads, once there is one.
    parcel: OnceCell<Arc<Parcel>>,
}

#[derive(Debug)]
enum Bytes {
    Own(Box<[u8]>),
    /// From another thread.
    Parcel(Arc<Parcel>),
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Parcel(parcel) => &parcel.bytes,
        }
    }
}

/// A super-packet's bytes that any thread may hold.
#[derive(Debug)]
pub(super) struct Parcel {
    bytes: Box<[u8]>,
    offload: Offload,
    layout: Layout,
    parcels: Parcels,
}

/// How many parcels there are; bounded like buffers.
#[derive(Debug, Clone, Default)]
pub(super) struct Parcels(Arc<AtomicUsize>);

impl Drop for Parcel {
    fn drop(&mut self) {
        self.parcels.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Buffer {
    pub(super) fn new(blank: Blank, len: usize, offload: Offload, layout: Layout) -> Buffer {
        let packet = Offload::LEN..len;
        let (bytes, home) = (Bytes::Own(blank.bytes), Some(blank.home));
        Buffer(Rc::new(Filled { bytes, packet, offload, layout, home, parcel: OnceCell::new() }))
    }

    /// The same bytes for another thread; `None` when too many are under way between threads.
    pub(super) fn parcel(&self, parcels: &Parcels) -> Option<Arc<Parcel>> {
        if let Some(parcel) = self.0.parcel.get() {
            return Some(Arc::clone(parcel));
        }
        // Several threads may look at once: the bound may be passed by as many.
        if parcels.0.load(Ordering::Relaxed) >= MAX_BUFFERS {
            return None;
        }
        parcels.0.fetch_add(1, Ordering::Relaxed);
        let Filled { offload, layout, .. } = *self.0;
        let parcel = Parcel { bytes: self.packet().into(), offload, layout, parcels: parcels.clone() };
        Some(Arc::clone(self.0.parcel.get_or_init(|| Arc::new(parcel))))
    }

    /// What another thread has sent.
    pub(super) fn from_parcel(parcel: Arc<Parcel>) -> Buffer {
        let (packet, offload, layout) = (0..parcel.bytes.len(), parcel.offload, parcel.layout);
        let cached = OnceCell::from(Arc::clone(&parcel));
        Buffer(Rc::new(Filled { bytes: Bytes::Parcel(parcel), packet, offload, layout, home: None, parcel: cached }))
    }

    /// The packet, from its IP header on.
    pub(super) fn packet(&self) -> &[u8] {
        &self.0.bytes.all()[self.0.packet.clone()]
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
        let bytes = Bytes::Own(bytes.into_boxed_slice());
        Some(Buffer(Rc::new(Filled { bytes, packet, offload, layout, home: None, parcel: OnceCell::new() })))
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let (Some(home), Bytes::Own(bytes)) = (&self.home, &mut self.bytes) {
            home.free.borrow_mut().push(std::mem::take(bytes));
        }
    }
}
