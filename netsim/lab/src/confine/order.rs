//! What `init` is asked to do, as bytes on a socket.

use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What is to be run, and what of the machine is to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// Program and arguments.
    pub(super) command: Vec<OsString>,
    /// Its whole environment, as `NAME=value`.
    pub(super) environment: Vec<OsString>,
    /// Its working directory.
    pub(super) directory: PathBuf,
    /// What the accounts file calls its home.
    pub(super) home: PathBuf,
    /// The machine's name.
    pub(super) host: OsString,
    /// The host's `resolv.conf`.
    pub(super) resolver: PathBuf,
    pub(super) readable: Vec<PathBuf>,
    pub(super) writable: Vec<PathBuf>,
    pub(super) tmp: PathBuf,
    /// What is visible by default and must not be.
    pub(super) masked: Vec<PathBuf>,
    /// Most open files of a process.
    pub(super) files: u64,
    /// Most processes and threads.
    pub(super) processes: u64,
}

/// The longest order: more than any command line and environment the kernel takes.
const MAX_BYTES: u32 = 16 << 20;

impl Order {
    /// The working directory and home default to the root.
    pub(super) fn new(host: &str) -> Order {
        let root = PathBuf::from("/");
        Order { directory: root.clone(), home: root, host: host.into(), ..Order::default() }
    }

    /// Writes it with its length in front.
    pub(super) fn send(&self, mut to: impl Write) -> io::Result<()> {
        let bytes = self.encode();
        let len = u32::try_from(bytes.len()).ok().filter(|len| *len <= MAX_BYTES).ok_or(Errno::E2BIG)?;
        to.write_all(&[&len.to_le_bytes(), &bytes[..]].concat())
    }

    /// Reads what [`Order::send`] wrote.
    pub(super) fn receive(mut from: impl Read) -> io::Result<Order> {
        let mut len = [0; 4];
        from.read_exact(&mut len)?;
        let len = u32::from_le_bytes(len);
        let mut bytes = Vec::new();
        from.take(u64::from(len.min(MAX_BYTES))).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != u64::from(len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Order::decode(&bytes)
    }

    /// One record after another: what it is, the value, a zero byte, which no value can have.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |what: u8, value: &OsStr| {
            bytes.push(what);
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        };
        let several: [(u8, &[OsString]); 2] = [(b'c', &self.command), (b'e', &self.environment)];
        several.into_iter().for_each(|(what, values)| values.iter().for_each(|value| put(what, value)));
        let several = [(b'r', &self.readable), (b'w', &self.writable), (b'm', &self.masked)];
        several.into_iter().for_each(|(what, paths)| paths.iter().for_each(|path| put(what, path.as_os_str())));
        let single = [(b'd', &self.directory), (b'h', &self.home), (b's', &self.resolver), (b't', &self.tmp)];
        single.into_iter().for_each(|(what, path)| put(what, path.as_os_str()));
        put(b'n', &self.host);
        put(b'f', OsStr::new(&self.files.to_string()));
        put(b'p', OsStr::new(&self.processes.to_string()));
        bytes
    }

    fn decode(bytes: &[u8]) -> io::Result<Order> {
        let mut order = Order::default();
        for record in bytes.split_inclusive(|byte| *byte == 0) {
            let [what, value @ .., 0] = record else { return Err(io::ErrorKind::InvalidData.into()) };
            let value = OsString::from_vec(value.to_vec());
            match what {
                b'c' => order.command.push(value),
                b'e' => order.environment.push(value),
                b'r' => order.readable.push(value.into()),
                b'w' => order.writable.push(value.into()),
                b'm' => order.masked.push(value.into()),
                b'd' => order.directory = value.into(),
                b'h' => order.home = value.into(),
                b's' => order.resolver = value.into(),
                b't' => order.tmp = value.into(),
                b'n' => order.host = value,
                b'f' => order.files = number(&value)?,
                b'p' => order.processes = number(&value)?,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(order)
    }
}

fn number(text: &OsStr) -> nix::Result<u64> {
    text.to_str().and_then(|text| text.parse().ok()).ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_back_as_they_were() {
        let odd = OsString::from_vec(vec![b'c', 0xff, b'\n', b'=']);
        let full = Order {
            command: vec!["sh".into(), "".into(), odd.clone()],
            environment: vec!["A=".into(), odd.clone()],
            readable: vec!["/usr/local".into(), odd.into()],
            writable: vec!["/home".into()],
            masked: vec!["/etc/shadow".into()],
            tmp: "/t".into(),
            resolver: "/r".into(),
            files: 7,
            processes: u64::MAX,
            ..Order::new("alice")
        };
        for order in [full, Order::new(""), Order::default()] {
            let mut bytes = Vec::new();
            order.send(&mut bytes).unwrap();
            assert_eq!(Order::receive(&bytes[..]).unwrap(), order);
            assert!(Order::receive(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
