//! What the sender's user sees.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::BackupTicket;
use super::ticket::MAX_ADDRESSES;

/// What to do on the other device: the ticket as text, and as a QR code for a terminal.
pub fn instructions(ticket: &BackupTicket) -> String {
    let text = ticket.to_string();
    let code = code(&text).unwrap_or_else(|| "(the ticket is too long for a QR code)".into());
    format!("On the other device, once:\n\n  longhaul-transfer backup-receive {text} OUT\n\n{code}\n")
}

/// A QR code of two modules in each character. Drawn in light on the terminal's dark; readers take either.
fn code(text: &str) -> Option<String> {
    // Capital letters, digits and a few signs have a mode of their own (ISO/IEC 18004, alphanumeric).
    let code = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::L).ok()?;
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// Addresses of this machine that another device may reach: none of the loopback, none that need an interface's name.
pub fn local_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let up = interfaces.filter(|interface| {
        interface.flags.contains(InterfaceFlags::IFF_UP) && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
    });
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
    };
    // A set: an address may be on two interfaces. In it, IPv4 comes first.
    let addresses: BTreeSet<IpAddr> = up.filter_map(address).filter(is_reachable).collect();
    addresses.into_iter().take(MAX_ADDRESSES).collect()
}

fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_holds_the_longest_ticket_and_fits_a_terminal() {
        let ticket = format!(
            "lhb1-file-{}-{}-{}-65535-{}-{}",
            1_u64 << 60,
            "a".repeat(64),
            "b".repeat(64),
            "c".repeat(32),
            ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"; MAX_ADDRESSES].join("+")
        );
        let ticket: BackupTicket = ticket.parse().unwrap();
        let shown = instructions(&ticket);
        assert!(shown.contains(&ticket.to_string()));
        let code: Vec<&str> = shown.lines().filter(|line| line.contains(['█', '▀', '▄'])).collect();
        let width = code.iter().map(|line| line.chars().count()).max().unwrap();
        assert!(width <= 100 && code.len() <= 50, "{width} by {}", code.len());
    }

    #[test]
    fn only_addresses_that_others_can_use_are_shown() {
        let rows = [
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("169.254.1.1", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("::", false),
        ];
        for (address, expect) in rows {
            assert_eq!(is_reachable(&address.parse().unwrap()), expect, "{address}");
        }
        assert!(local_addresses().iter().all(|address| !address.is_loopback()));
    }
}
