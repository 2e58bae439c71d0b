//! Futexes: the host's own, on guest memory, which is at the same place in
//! every thread. Words of several futexes come as structures that hold
//! addresses.

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::host::Argument;
use crate::linux::structures::FutexWait;
use crate::linux::system_call::Call;
use crate::memory::bytes_of_slice;

/// `FUTEX_WAITV_MAX`.
const MOST_FUTEXES: u64 = 128;

/// `futex(word, operation, value, timeout or value, second word, value)`
pub fn futex(call: &mut Call<'_>) -> Result<u64, Errno> {
    const FUTEX_LOCK_PI2: i32 = 13;
    let command = call.int(1) & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    let has_timeout = matches!(
        command,
        libc::FUTEX_WAIT
            | libc::FUTEX_WAIT_BITSET
            | libc::FUTEX_LOCK_PI
            | libc::FUTEX_WAIT_REQUEUE_PI
            | FUTEX_LOCK_PI2
    );
    let fourth = if has_timeout {
        call.pointer(3)
    } else {
        call.value(3)
    };
    call.host(
        libc::SYS_futex,
        [
            call.pointer(0),
            call.value(1),
            call.value(2),
            fourth,
            call.pointer(4),
            call.value(5),
        ],
    )
}

/// `futex_waitv(futexes, count, flags, timeout, clock)`
pub fn futex_waitv(call: &mut Call<'_>) -> Result<u64, Errno> {
    let count = call.arguments[1];
    if count == 0 || count > MOST_FUTEXES {
        return Err(Errno::EINVAL);
    }
    let futexes = moved(call, count)?;
    call.host(
        libc::SYS_futex_waitv,
        [
            Argument::In(bytes_of_slice(&futexes)),
            call.value(1),
            call.value(2),
            call.pointer(3),
            call.value(4),
        ],
    )
}

/// `futex_requeue(futexes, flags, to wake, to requeue)`
pub fn futex_requeue(call: &mut Call<'_>) -> Result<u64, Errno> {
    const NUMBER: i64 = 456;
    let futexes = moved(call, 2)?;
    call.host(
        NUMBER,
        [
            Argument::In(bytes_of_slice(&futexes)),
            call.value(1),
            call.value(2),
            call.value(3),
        ],
    )
}

/// The futexes that the first argument points to, where the host finds them.
fn moved(call: &Call<'_>, count: u64) -> Result<Vec<FutexWait>, Errno> {
    let mut futexes: Vec<FutexWait> = call.memory().read_array(call.address(0), count as usize)?;
    for futex in &mut futexes {
        futex.word = call.memory().host_pointer(GuestAddr(futex.word));
    }
    Ok(futexes)
}
