//! Address prefixes, as routes and translators use them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address prefix: `192.168.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    len: u8,
    addr: IpAddr,
}

impl Prefix {
    /// The first `len` bits of `addr`; a longer `len` than the family has means the whole address.
    pub fn new(addr: IpAddr, len: u8) -> Prefix {
        let len = len.min(width(addr));
        Prefix { len, addr: masked(addr, len) }
    }

    /// Exactly one address.
    pub fn host(addr: IpAddr) -> Prefix {
        Prefix { len: width(addr), addr }
    }

    /// Its first address.
    pub fn addr(self) -> IpAddr {
        self.addr
    }

    /// How many bits it fixes.
    pub fn len(self) -> u8 {
        self.len
    }

    /// Whether it fixes no bit.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Whether `addr` is of its family and starts with it.
    pub fn contains(self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.addr.is_ipv4() && masked(addr, self.len) == self.addr
    }
}

fn width(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

fn masked(addr: IpAddr, len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(addr) & mask).into()
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(addr) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_contain_their_own() {
        for (prefix, len, addr, expect) in [
            ("192.168.1.7", 24, "192.168.1.200", true),
            ("192.168.1.7", 24, "192.168.2.1", false),
            ("0.0.0.0", 0, "9.9.9.9", true),
            ("10.0.0.1", 32, "10.0.0.1", true),
            ("10.0.0.1", 99, "10.0.0.2", false),
            ("2001:2:0:5::", 64, "2001:2:0:5::a", true),
            ("2001:2:0:5::", 64, "2001:2:0:6::a", false),
            ("::", 0, "1.2.3.4", false),
        ] {
            let prefix = Prefix::new(prefix.parse().unwrap(), len);
            assert_eq!(prefix.contains(addr.parse().unwrap()), expect, "{prefix:?} {addr}");
        }
    }
}
