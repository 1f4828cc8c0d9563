//! Clocks that only the kernel has, by a raw call with the kernel's own structure: rustix's reading is
//! wrong on 32-bit MIPS with musl, where the two differ in the width of seconds.

use crate::syscall::raw;
use std::time::Duration;

/// Time since the boot, suspended time included; it never jumps.
pub fn since_boot() -> Duration {
    read(libc::CLOCK_BOOTTIME)
}

/// Processor time of this process.
pub fn processor_time() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    // Seconds and nanoseconds in the kernel's long: 32 bits of these two clocks last for 68 years.
    let mut time: [libc::c_long; 2] = [0, 0];
    // SAFETY: the call writes a struct timespec, two longs.
    let read = unsafe { raw!(libc::SYS_clock_gettime, clock, time.as_mut_ptr()) };
    match read {
        Ok(_) => Duration::new(time[0] as u64, time[1] as u32),
        // Every kernel has both clocks.
        Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_on() {
        let (boot, used) = (since_boot(), processor_time());
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(30) {}
        let (boot, used) = (since_boot() - boot, processor_time() - used);
        assert!(boot >= Duration::from_millis(30) && boot < Duration::from_secs(20), "{boot:?}");
        assert!(used >= Duration::from_millis(1) && used < Duration::from_secs(20), "{used:?}");
    }
}
