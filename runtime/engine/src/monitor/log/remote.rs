//! Lines that go to syslog or to the kernel's log. What cannot be sent now is lost: a container does not
//! wait for a logger.

use super::{Format, Settings};
use base::sys::Errno;
use base::text::time::now;
use base::{Error, OnError, Result, paths};
use rustix::fs::{Mode, OFlags};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

/// The kernel takes no longer records.
const LONGEST_RECORD: usize = 900;

enum Way {
    Kernel(OwnedFd),
    Unix(UnixDatagram),
    Network(UdpSocket),
}

pub(super) struct Remote {
    way: Way,
    settings: Settings,
}

/// The number of a facility's name: syslog(3).
pub(super) fn facility(name: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp",
    ];
    let local = name.strip_prefix("local").and_then(|number| number.parse::<u32>().ok());
    let named = NAMES.iter().position(|known| *known == name).map(|place| place as u32);
    local.filter(|number| *number < 8).map(|number| 16 + number).or(named)
}

impl Remote {
    pub(super) fn open(settings: &Settings) -> Result<Remote> {
        let path = &settings.path;
        let text = path.to_string_lossy();
        let way = if settings.format == Format::Kernel {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            Way::Kernel(paths::open(path, flags, Mode::empty()).on_path("open", path)?)
        } else if let Some(address) = text.strip_prefix("udp://") {
            let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(any).on("socket", &text)?;
            socket.connect(address).on("connect to", &text)?;
            socket.set_nonblocking(true).on("socket", &text)?;
            Way::Network(socket)
        } else {
            let socket = UnixDatagram::unbound().on("socket", &text)?;
            socket.connect(path).map_err(|error| {
                let error = Error::os("connect to", &text, error);
                error.context("syslog")
            })?;
            socket.set_nonblocking(true).on("socket", &text)?;
            Way::Unix(socket)
        };
        Ok(Remote { way, settings: settings.clone() })
    }

    pub(super) fn send(&mut self, line: &[u8]) {
        let Settings { priority, tag, .. } = &self.settings;
        let head = match &self.way {
            Way::Kernel(_) => format!("<{priority}>{tag}: "),
            _ => format!("<{priority}>{} {tag}[{}]: ", stamp(), std::process::id()),
        };
        let mut record = head.into_bytes();
        record.extend_from_slice(line);
        let sent = match &self.way {
            Way::Kernel(kernel) => {
                record.truncate(LONGEST_RECORD);
                record.push(b'\n');
                rustix::io::write(kernel, &record).map_err(std::io::Error::from)
            }
            Way::Unix(socket) => socket.send(&record),
            Way::Network(socket) => socket.send(&record),
        };
        // The logger was started anew: its socket is another one now.
        if let (Err(error), Way::Unix(socket)) = (sent, &self.way)
            && [Errno::CONNREFUSED, Errno::NOTCONN, Errno::CONNRESET]
                .iter()
                .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
            && socket.connect(&self.settings.path).is_ok()
        {
            let _ = socket.send(&record);
        }
    }
}

/// `Nov 21 17:00:00`, in UTC.
fn stamp() -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = base::text::time::rfc3339(now().0, 0);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().unwrap_or(1);
    let day = part(8, 10).parse::<u32>().unwrap_or(1);
    let month = MONTHS.get(month.wrapping_sub(1)).unwrap_or(&"Jan");
    format!("{month} {day:2} {}", part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_and_stamps() {
        assert_eq!(facility("daemon"), Some(3));
        assert_eq!(facility("local7"), Some(23));
        assert_eq!((facility("local8"), facility("x")), (None, None));
        assert_eq!(stamp().len(), 15);
    }
}
