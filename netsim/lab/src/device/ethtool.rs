//! Switches a device's segmentation offload off, as `ethtool -K DEVICE tso off gso off` and `ip link set DEVICE gso_max_segs
//! 1` do. The second is for UDP: devices keep that offload when the general one is switched off (`gso_features_check`).
//!
//! Contract: `include/uapi/linux/ethtool.h` of the kernel.

use super::{failed, index_of, netlink};
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::LinkAttribute;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

/// `ETHTOOL_STSO` and `ETHTOOL_SGSO`.
const SWITCHES: [u32; 2] = [0x1f, 0x24];
const SIOCETHTOOL: libc::c_ulong = 0x8946;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Makes every segment of what programs send through `device`, in the current thread's namespace, a packet of its own, as
/// their TCP makes it.
pub(crate) fn one_by_one(device: &str) -> io::Result<()> {
    segmentation_off(device)?;
    netlink(async |handle| {
        let alone = LinkUnspec::new_with_index(index_of(device)?);
        let alone = alone.append_extra_attribute(LinkAttribute::GsoMaxSegs(1)).build();
        handle.link().set(alone).execute().await.map_err(failed("one segment per packet"))
    })
    .map_err(io::Error::other)
}

/// Has the kernel cut TCP's super-packets before they get to `device`. TCP goes on making them, so it is as fast as ever.
pub(crate) fn segmentation_off(device: &str) -> io::Result<()> {
    // Any socket of the namespace will do.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    for command in SWITCHES {
        let mut value = Value { command, data: 0 };
        #[expect(unsafe_code, reason = "ioctl of a C structure")]
        // SAFETY: an all-zero `ifreq` is valid, the name fits with its terminating zero, and the kernel reads and
        // writes only inside the two structures, which outlive the call.
        let result = unsafe {
            let mut request: libc::ifreq = std::mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(device.bytes().take(libc::IFNAMSIZ - 1)) {
                *to = from as libc::c_char;
            }
            request.ifr_ifru.ifru_data = (&raw mut value).cast();
            libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &mut request)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
