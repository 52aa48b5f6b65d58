//! Connection tracking's netlink door, of which one message is needed: forget everything.
//!
//! Contract: `include/uapi/linux/netfilter/nfnetlink_conntrack.h` and `ctnetlink_del_conntrack` of the kernel: a delete
//! message without a tuple empties the table of the socket's namespace.

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A door to one namespace's table, wherever the caller is.
#[derive(Debug)]
pub(crate) struct Conntrack {
    socket: OwnedFd,
}

impl Conntrack {
    /// Opens the door of the current thread's namespace.
    pub(super) fn open() -> io::Result<Conntrack> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Conntrack { socket })
    }

    /// Empties the table.
    pub(crate) fn flush(&self) -> io::Result<()> {
        sendto(self.socket.as_raw_fd(), &flush_message(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        // The kernel works in the sender's time: the answer is there.
        let mut answer = [0; 64];
        let len = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
        read_answer(&answer[..len])
    }
}

/// `struct nlmsghdr` (length, type, flags, sequence, port) and `struct nfgenmsg` (family, version, resource).
fn flush_message() -> [u8; 20] {
    const SUBSYSTEM_CONNTRACK: u16 = 1;
    const DELETE: u16 = 2;
    let mut message = [0; 20];
    message[..4].copy_from_slice(&20_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&(SUBSYSTEM_CONNTRACK << 8 | DELETE).to_ne_bytes());
    message[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    message
}

/// `struct nlmsgerr` after the header: 0, or a negative error number.
fn read_answer(answer: &[u8]) -> io::Result<()> {
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
