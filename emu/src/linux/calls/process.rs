//! What a process asks about itself and its machine, and its limits.

use crate::errno::Errno;
use crate::linux::host::Argument;
use crate::linux::structures::{ProbePair, ResourceLimit, SystemNames};
use crate::linux::system_call::Call;
use crate::memory::{Plain, bytes_of_mut};

/// `uname(names)`
pub fn uname(call: &mut Call<'_>) -> Result<u64, Errno> {
    const MACHINE: usize = 4;
    let mut names = SystemNames::ZERO;
    call.host(libc::SYS_uname, [Argument::Out(bytes_of_mut(&mut names))])?;
    let machine = call.process().abi.name().as_bytes();
    names.names[MACHINE] = [0; 65];
    names.names[MACHINE][..machine.len()].copy_from_slice(machine);
    call.store(0, &names)?;
    Ok(0)
}

/// Limits on memory: the emulator's own needs are not the guest's, so these
/// are remembered and shown, and not put on the host's process.
fn is_on_memory(resource: i32) -> bool {
    matches!(
        resource as u32,
        libc::RLIMIT_AS | libc::RLIMIT_DATA | libc::RLIMIT_STACK | libc::RLIMIT_MEMLOCK
    )
}

/// `setrlimit(resource, limit)`
pub fn setrlimit(call: &mut Call<'_>) -> Result<u64, Errno> {
    if !is_on_memory(call.int(0)) {
        return call.host(libc::SYS_setrlimit, [call.value(0), call.pointer(1)]);
    }
    let limit: ResourceLimit = call.load(1)?;
    remember(call, call.int(0), limit)?;
    Ok(0)
}

/// `getrlimit(resource, limit)`
pub fn getrlimit(call: &mut Call<'_>) -> Result<u64, Errno> {
    let limit = limit(call, call.int(0))?;
    call.store(1, &limit)?;
    Ok(0)
}

/// `prlimit64(process, resource, new, old)`
pub fn prlimit64(call: &mut Call<'_>) -> Result<u64, Errno> {
    let own = call.int(0) == 0 || call.int(0) as u32 == std::process::id();
    if !own || !is_on_memory(call.int(1)) {
        return call.host(
            libc::SYS_prlimit64,
            [
                call.value(0),
                call.value(1),
                call.pointer(2),
                call.pointer(3),
            ],
        );
    }
    let old = limit(call, call.int(1))?;
    if call.arguments[2] != 0 {
        let new: ResourceLimit = call.load(2)?;
        remember(call, call.int(1), new)?;
    }
    if call.arguments[3] != 0 {
        call.store(3, &old)?;
    }
    Ok(0)
}

/// A limit as the guest sees it.
fn limit(call: &Call<'_>, resource: i32) -> Result<ResourceLimit, Errno> {
    if let Some(limit) = call.process().limits().get(&resource) {
        return Ok(*limit);
    }
    let mut limit = ResourceLimit::ZERO;
    let out = Argument::Out(bytes_of_mut(&mut limit));
    call.host(libc::SYS_getrlimit, [Argument::Value(resource as u64), out])?;
    Ok(limit)
}

fn remember(call: &Call<'_>, resource: i32, new: ResourceLimit) -> Result<(), Errno> {
    let old = limit(call, resource)?;
    if new.current > new.maximum {
        return Err(Errno::EINVAL);
    }
    if new.maximum > old.maximum {
        return Err(Errno::EPERM);
    }
    call.process().limits().insert(resource, new);
    Ok(())
}

/// `prctl(operation, …)`: those that concern the process as Linux knows it go
/// to the host, with addresses where they have them.
pub fn prctl(call: &mut Call<'_>) -> Result<u64, Errno> {
    const PR_GET_TID_ADDRESS: i32 = 40;
    const PR_GET_AUXV: i32 = 0x4155_5856;
    let host = |first| {
        let [second, third, fourth] = [2, 3, 4].map(|index| call.value(index));
        call.host(
            libc::SYS_prctl,
            [call.value(0), first, second, third, fourth],
        )
    };
    match call.int(0) {
        PR_GET_AUXV => {
            let vector = &call.process().auxiliary_vector;
            let length = vector.len().min(call.arguments[2] as usize);
            call.memory()
                .write_bytes(call.address(1), &vector[..length])?;
            Ok(vector.len() as u64)
        }
        libc::PR_SET_NAME
        | libc::PR_GET_NAME
        | libc::PR_GET_PDEATHSIG
        | libc::PR_GET_CHILD_SUBREAPER => host(call.pointer(1)),
        libc::PR_SET_PDEATHSIG
        | libc::PR_GET_DUMPABLE
        | libc::PR_SET_DUMPABLE
        | libc::PR_GET_KEEPCAPS
        | libc::PR_SET_KEEPCAPS
        | libc::PR_GET_TIMING
        | libc::PR_CAPBSET_READ
        | libc::PR_CAPBSET_DROP
        | libc::PR_GET_SECUREBITS
        | libc::PR_SET_SECUREBITS
        | libc::PR_GET_TIMERSLACK
        | libc::PR_SET_TIMERSLACK
        | libc::PR_SET_CHILD_SUBREAPER
        | libc::PR_SET_NO_NEW_PRIVS
        | libc::PR_GET_NO_NEW_PRIVS
        | libc::PR_GET_THP_DISABLE
        | libc::PR_SET_THP_DISABLE
        | libc::PR_CAP_AMBIENT
        | libc::PR_SET_PTRACER => host(call.value(1)),
        PR_GET_TID_ADDRESS => {
            call.store(1, &call.thread.clear_on_exit.0)?;
            Ok(0)
        }
        // Its filters would judge the emulator's system calls.
        libc::PR_GET_SECCOMP => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// `seccomp(operation, flags, argument)`: a filter would judge the emulator's
/// own system calls, under the host's numbers; so none can be installed.
pub fn seccomp(_: &mut Call<'_>) -> Result<u64, Errno> {
    Err(Errno::EINVAL)
}

/// `riscv_flush_icache(start, end, flags)`
pub fn flush_instruction_cache(call: &mut Call<'_>) -> Result<u64, Errno> {
    call.process()
        .engine
        .invalidate(call.address(0)..call.address(1));
    Ok(0)
}

/// `riscv_hwprobe(pairs, count, set size, set, flags)`
pub fn riscv_hwprobe(call: &mut Call<'_>) -> Result<u64, Errno> {
    const BASE_BEHAVIOUR: i64 = 3;
    const BASE_IMA: u64 = 1;
    const EXTENSIONS: i64 = 4;
    const EXTENSION_FD: u64 = 1 << 0;
    const EXTENSION_C: u64 = 1 << 1;
    const EXTENSION_ZBA: u64 = 1 << 3;
    const EXTENSION_ZBB: u64 = 1 << 4;
    const EXTENSION_ZBS: u64 = 1 << 5;
    const EXTENSION_ZICOND: u64 = 1 << 35;
    const PERFORMANCE: i64 = 5;
    const MISALIGNED_FAST: u64 = 3;
    const HIGHEST_ADDRESS: i64 = 7;
    const TIME_FREQUENCY: i64 = 8;
    let extensions = EXTENSION_FD
        | EXTENSION_C
        | EXTENSION_ZBA
        | EXTENSION_ZBB
        | EXTENSION_ZBS
        | EXTENSION_ZICOND;
    const MOST: u64 = 64;
    if call.arguments[4] != 0 || call.arguments[1] > MOST {
        return Err(Errno::EINVAL);
    }
    for index in 0..call.arguments[1] {
        let at = call.address(0).add(index * size_of::<ProbePair>() as u64);
        let asked: ProbePair = call.memory().read(at)?;
        let (key, value) = match asked.key {
            0..=2 => (asked.key, 0),
            BASE_BEHAVIOUR => (asked.key, BASE_IMA),
            EXTENSIONS => (asked.key, extensions),
            PERFORMANCE => (asked.key, MISALIGNED_FAST),
            HIGHEST_ADDRESS => (asked.key, call.memory().limit() - 1),
            TIME_FREQUENCY => (asked.key, crate::clock::TIME_HZ),
            _ => (-1, 0),
        };
        call.memory().write(at, &ProbePair { key, value })?;
    }
    Ok(0)
}
