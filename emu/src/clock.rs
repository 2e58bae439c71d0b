//! The counters that a user program may read.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::ir::Counter;

/// Steps of the time counter in a second.
pub const TIME_HZ: u64 = 10_000_000;

/// Nanoseconds in one step of the time counter.
const TIME_STEP_NS: u128 = 1_000_000_000 / TIME_HZ as u128;

/// Nanoseconds on the host's monotonic clock.
fn monotonic_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec where it is told; this clock
    // exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What a counter shows now.
pub fn counter(counter: Counter) -> u64 {
    match counter {
        Counter::Cycle | Counter::Retired => {
            // SAFETY: reading the time-stamp counter has no effect; every
            // x86-64 processor has it.
            unsafe { std::arch::x86_64::_rdtsc() }
        }
        Counter::Nanoseconds => monotonic_ns(),
        Counter::Time => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            (now.as_nanos() / TIME_STEP_NS) as u64
        }
    }
}
