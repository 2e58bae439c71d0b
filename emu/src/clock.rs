//! The counters that a user program may read.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::ir::Counter;

/// Nanoseconds in one step of the time counter, which runs at 10 MHz.
const TIME_STEP_NS: u128 = 100;

/// What a counter shows now.
pub fn counter(counter: Counter) -> u64 {
    match counter {
        Counter::Cycle | Counter::Retired => {
            // SAFETY: reading the time-stamp counter has no effect; every
            // x86-64 processor has it.
            unsafe { std::arch::x86_64::_rdtsc() }
        }
        Counter::Time => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            (now.as_nanos() / TIME_STEP_NS) as u64
        }
    }
}
