//! A body that must go on: in two times of patience at least 2 KiB.

use std::io::{self, Read};
use std::time::{Duration, Instant};

const LEAST: usize = 2048;

/// The reader around a body.
pub(super) struct Watched<R> {
    inner: R,
    patience: Duration,
    since: Instant,
    count: usize,
}

impl<R: Read> Watched<R> {
    pub(super) fn new(inner: R, patience: Duration) -> Self {
        Self { inner, patience, since: Instant::now(), count: 0 }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.count += count;
        if self.count >= LEAST {
            (self.since, self.count) = (Instant::now(), 0);
        } else if count > 0 && self.since.elapsed() > 2 * self.patience {
            let seconds = self.patience.as_secs().to_string();
            let text = ["too slow: less than 2 KiB in twice ", &seconds, " seconds"].concat();
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(count)
    }
}
