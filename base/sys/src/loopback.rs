//! The loopback interface. For a child between clone and exec too: no allocation, no locks.

use crate::Errno;
use crate::syscall::check_int;

/// Sets IFF_UP on `lo` (netdevice(7)). A kernel without IPv4 has nothing to bring up.
pub fn up() -> Result<(), Errno> {
    // SAFETY: a plain socket call.
    let socket = check_int(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    })? as libc::c_int;
    // struct ifreq: 16 bytes of name, then a union; its first two bytes are the flags.
    #[repr(C, align(8))]
    struct Request([u8; 64]);
    let mut request = Request([0; 64]);
    request.0[..2].copy_from_slice(b"lo");
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    request.0[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the kernel reads no more than a struct ifreq (40 bytes).
    let result =
        check_int(unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw mut request) });
    // SAFETY: it is ours, and nobody uses it any more.
    unsafe { libc::close(socket) };
    result.map(drop)
}
