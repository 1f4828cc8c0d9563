//! A TCP connection that does not wait for ever.
//!
//! A server may be silent for so long, and must then bring something: within two such times at
//! least 2 KiB. So neither a stalled server nor one that drips holds a pull for more than that,
//! and a line of 1 KB/s is still good enough.

use super::super::settings::Settings;
use base::{Error, Result};
use base_http::Stream;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least that must come in two times of patience.
const LEAST: usize = 2048;

/// Looks a name up and connects to the first address that answers.
pub(crate) fn connect(settings: &Settings, host: &str, port: u16) -> Result<Tcp> {
    let shown = [host, ":", &port.to_string()].concat();
    let patience = settings.patience;
    let addresses = (host, port).to_socket_addrs();
    let addresses = addresses.map_err(|e| lookup(host, &e))?;
    let mut last = Error::not_found(["look up ", host, ": no such host"].concat());
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(socket) => {
                let set = socket.set_read_timeout(Some(patience));
                let set = set.and_then(|()| socket.set_write_timeout(Some(patience)));
                set.and_then(|()| socket.set_nodelay(true))
                    .map_err(|e| Error::os("connection to", &shown, e))?;
                return Ok(Tcp { socket, patience, window: Mutex::new((Instant::now(), 0)) });
            }
            Err(e) => last = Error::os("connection to", &shown, e),
        }
    }
    Err(last)
}

fn lookup(host: &str, cause: &io::Error) -> Error {
    let text = cause.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    Error::other(["look up ", host, ": ", text].concat())
}

/// The connection.
pub(crate) struct Tcp {
    socket: TcpStream,
    patience: Duration,
    /// Since when, how many bytes.
    window: Mutex<(Instant, usize)>,
}

impl Tcp {
    fn late(&self, what: &str) -> io::Error {
        let seconds = self.patience.as_secs().to_string();
        io::Error::new(io::ErrorKind::TimedOut, [what, &seconds, " seconds"].concat())
    }

    fn judge(&self, result: rustix::io::Result<usize>, reads: bool) -> io::Result<usize> {
        match result {
            Err(rustix::io::Errno::AGAIN) => Err(self.late("nothing happened for ")),
            Err(e) => Err(e.into()),
            Ok(count) => {
                let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
                window.1 += count;
                // What we send may take as long as it likes, as long as it goes on.
                if !reads || window.1 >= LEAST {
                    *window = (Instant::now(), 0);
                } else if window.0.elapsed() > 2 * self.patience && count > 0 {
                    return Err(self.late("too slow: less than 2 KiB in twice "));
                }
                Ok(count)
            }
        }
    }
}

impl Stream for Tcp {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.judge(recv(&self.socket, buffer, RecvFlags::empty()).map(|(count, _)| count), true)
    }
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.socket, buffer, RecvFlags::PEEK)?.0)
    }
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.judge(send(&self.socket, bytes, SendFlags::NOSIGNAL), false)
    }
    fn close_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }
}
