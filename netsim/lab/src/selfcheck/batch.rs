//! Many datagrams per system call, so that the measured programs are not what limits the packet rate.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// A fixed set of buffers with the headers that `sendmmsg` and `recvmmsg` want.
pub(super) struct Batch {
    /// What the headers below point to; never moved, because it never grows.
    _bytes: Vec<u8>,
    _parts: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Batch {
    /// `count` buffers of `len` bytes.
    pub(super) fn new(count: usize, len: usize) -> Batch {
        let mut bytes = vec![0x5a; count * len];
        let part = |buffer: &mut [u8]| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut parts: Vec<libc::iovec> = bytes.chunks_exact_mut(len).map(part).collect();
        let headers = parts.iter_mut().map(|part| {
            #[expect(unsafe_code, reason = "a C structure without a safe constructor")]
            // SAFETY: an all-zero `mmsghdr` is valid: no address, no parts, no control data.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        let headers = headers.collect();
        Batch { _bytes: bytes, _parts: parts, headers }
    }

    /// Sends every buffer as a datagram to the peer `socket` is connected to. Returns how many the kernel took.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let (headers, count) = (self.headers.as_mut_ptr(), self.headers.len() as libc::c_uint);
        #[expect(unsafe_code, reason = "no safe wrapper without allocation")]
        // SAFETY: pointer and length belong together; every header points to a buffer that lives as long as `self`.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers, count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Receives at least one message, and as many more as are there. Returns their lengths.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<impl Iterator<Item = usize> + '_> {
        let (headers, count) = (self.headers.as_mut_ptr(), self.headers.len() as libc::c_uint);
        #[expect(unsafe_code, reason = "no safe wrapper without allocation")]
        // SAFETY: as above; nothing else reads or writes the buffers during the call.
        let got =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, count, libc::MSG_WAITFORONE, std::ptr::null_mut()) };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        Ok(self.headers[..got].iter().map(|header| header.msg_len as usize))
    }
}
