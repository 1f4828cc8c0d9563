//! The child's end of the channel: parts of the plan with their descriptors come in, records go out.

use super::Walker;
use crate::Errno;
use crate::syscall::check;
use std::os::fd::RawFd;

/// The channel's number in the child.
pub(super) const CHANNEL: RawFd = 3;
/// The most bytes of one part: arguments and environment are bounded by the kernel's 2 MiB.
const LARGEST_PART: u64 = 8 << 20;

/// What the child says to its parent.
pub(crate) enum Record {
    Waiting,
    Sent,
    Executing,
    Forked { pid: i32 },
    Failed { offset: u32, errno: i32 },
}

impl Record {
    pub(crate) const SIZE: usize = 12;

    pub(crate) fn from_bytes(bytes: &[u8; Record::SIZE]) -> Record {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        match u32::from_ne_bytes([a, b, c, d]) {
            0 => Record::Waiting,
            1 => Record::Sent,
            2 => Record::Executing,
            4 => Record::Forked { pid: i32::from_ne_bytes([i, j, k, l]) },
            _ => Record::Failed {
                offset: u32::from_ne_bytes([e, f, g, h]),
                errno: i32::from_ne_bytes([i, j, k, l]),
            },
        }
    }

    fn to_bytes(&self) -> [u8; Record::SIZE] {
        let (kind, offset, errno) = match self {
            Record::Waiting => (0_u32, 0, 0),
            Record::Sent => (1, 0, 0),
            Record::Executing => (2, 0, 0),
            Record::Forked { pid } => (4, 0, *pid),
            Record::Failed { offset, errno } => (3, *offset, *errno),
        };
        let mut bytes = [0; Record::SIZE];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        bytes[4..8].copy_from_slice(&offset.to_ne_bytes());
        bytes[8..].copy_from_slice(&errno.to_ne_bytes());
        bytes
    }
}

pub(super) fn say(record: &Record) {
    let bytes = record.to_bytes();
    // SAFETY: the buffer's length is given. A failure means that the parent has gone, which the
    // next read notices.
    unsafe { libc::send(CHANNEL, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
}

/// Sends one descriptor with a record.
pub(super) fn say_with(record: &Record, descriptor: RawFd) -> Result<(), Errno> {
    #[repr(C, align(8))]
    struct Control([u8; 32]);
    let mut control = Control([0; 32]);
    let bytes = record.to_bytes();
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is plain data; all pointers in it live until the call returns; the control
    // buffer is aligned and has room for one header and one descriptor.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(header).cast::<RawFd>(), descriptor);
        check(libc::sendmsg(CHANNEL, &message, libc::MSG_NOSIGNAL) as libc::c_long)?;
    }
    Ok(())
}

/// Reads one part into memory of its own, and its descriptors into the slots.
pub(super) fn receive_part(walker: &mut Walker) -> Result<&'static [u8], Errno> {
    let mut header = [0_u8; 8];
    let mut filled = 0;
    while filled < header.len() {
        filled += receive_header(&mut header[filled..], walker)?;
    }
    let length = u64::from_ne_bytes(header);
    if length > LARGEST_PART {
        return Err(Errno::TOOBIG);
    }
    let memory = map(length as usize)?;
    let mut filled = 0;
    while filled < memory.len() {
        let rest = &mut memory[filled..];
        // SAFETY: the buffer's length is given.
        let count =
            check(unsafe { libc::read(CHANNEL, rest.as_mut_ptr().cast(), rest.len()) } as _);
        match count {
            Ok(0) => return Err(Errno::PIPE),
            Ok(count) => filled += count,
            Err(Errno::INTR) => (),
            Err(errno) => return Err(errno),
        }
    }
    Ok(memory)
}

/// Fresh zeroed memory for the rest of this process's life.
pub(super) fn map(length: usize) -> Result<&'static mut [u8], Errno> {
    // SAFETY: an anonymous private mapping touches nothing that exists. An empty one is refused.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length.max(1),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(crate::syscall::last_errno());
    }
    // SAFETY: mapped above with this length, never unmapped, and referred to by nobody else.
    Ok(unsafe { std::slice::from_raw_parts_mut(address.cast(), length) })
}

fn receive_header(bytes: &mut [u8], walker: &mut Walker) -> Result<usize, Errno> {
    #[repr(C, align(8))]
    struct Control([u8; 256]);
    let mut control = Control([0; 256]);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is plain data; the buffers live until the call returns and their sizes are
    // given; the headers that CMSG_NXTHDR gives lie within what the kernel has filled.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>() as _;
        let received = loop {
            match check(libc::recvmsg(CHANNEL, &mut message, libc::MSG_CMSG_CLOEXEC) as _) {
                Err(Errno::INTR) => (),
                result => break result?,
            }
        };
        if received == 0 {
            return Err(Errno::PIPE);
        }
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let count = ((*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / 4;
                for number in 0..count {
                    let place = libc::CMSG_DATA(header).cast::<RawFd>().add(number);
                    walker.add_slot(std::ptr::read_unaligned(place));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
        Ok(received)
    }
}
