//! A TUN device with `IFF_VNET_HDR`, so that the kernel hands over whole super-packets.
//!
//! Contract: `Documentation/networking/tuntap.rst` and `drivers/net/tun.c` of the kernel.

use super::DeviceError;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Where TUN devices come from.
pub(crate) const PATH: &str = "/dev/net/tun";

nix::ioctl_write_int!(tun_set_offload, b'T', 208);

/// Opens the file that devices are made from.
pub(super) fn open() -> Result<File, DeviceError> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(PATH).map_err(DeviceError::Open)
}

/// Makes the device `name` in the current thread's namespace.
pub(super) fn create(name: &str) -> Result<File, DeviceError> {
    let file = open()?;
    let refused = |what| move |source| DeviceError::Create { what, source };
    attach(&file, name).map_err(refused("a TUN device (TUNSETIFF)"))?;
    set_offload(&file).map_err(refused("a TUN device with offloads (TUNSETOFFLOAD)"))?;
    Ok(file)
}

fn attach(file: &File, name: &str) -> io::Result<()> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    #[expect(unsafe_code, reason = "ioctl of a C structure")]
    // SAFETY: an all-zero `ifreq` is valid, the name fits with its terminating zero, and the kernel reads and writes
    // only inside the structure.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
        match libc::ioctl(file.as_raw_fd(), TUNSETIFF, &mut request) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn set_offload(file: &File) -> io::Result<()> {
    /// `TUN_F_CSUM | TSO4 | TSO6 | TSO_ECN | USO4 | USO6`.
    const OFFLOADS: libc::c_ulong = 0x6f;
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: the argument is a plain number.
    unsafe { tun_set_offload(file.as_raw_fd(), OFFLOADS) }?;
    Ok(())
}
