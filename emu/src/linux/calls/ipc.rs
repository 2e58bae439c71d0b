//! System V semaphores and shared memory: one structure that x86-64 alone
//! spaces out, and segments that are attached to guest memory.

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::host::{self, Argument};
use crate::linux::structures::{GenericSemaphores, HostSemaphores};
use crate::linux::system_call::Call;
use crate::memory::{PAGE_SIZE, Placement, Plain, bytes_of, bytes_of_mut, page_down};

/// `IPC_64`: the only form of structures that 64-bit Linux has.
const IPC_64: i32 = 0x100;

/// `semctl(set, number, command, argument)`
pub fn semctl(call: &mut Call<'_>) -> Result<u64, Errno> {
    const SEM_STAT: i32 = 18;
    const SEM_STAT_ANY: i32 = 20;
    let on_host = |argument: Argument<'_>| {
        call.host(
            libc::SYS_semctl,
            [call.value(0), call.value(1), call.value(2), argument],
        )
    };
    match call.int(2) & !IPC_64 {
        libc::IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            let mut found = HostSemaphores::ZERO;
            let result = on_host(Argument::Out(bytes_of_mut(&mut found)))?;
            call.store(3, &GenericSemaphores::from(&found))?;
            Ok(result)
        }
        libc::IPC_SET => {
            let guest: GenericSemaphores = call.load(3)?;
            let wanted = HostSemaphores {
                permissions: guest.permissions,
                ..HostSemaphores::ZERO
            };
            on_host(Argument::In(bytes_of(&wanted)))
        }
        libc::SETVAL => on_host(call.value(3)),
        _ => on_host(call.pointer(3)),
    }
}

/// `shmat(segment, address, flags)`
pub fn shmat(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (segment, address, flags) = (call.int(0), call.address(1), call.int(2));
    let length = host::segment_length(segment)?;
    let placement = if address.0 == 0 {
        Placement::Anywhere
    } else if flags & libc::SHM_RND != 0 {
        Placement::FixedIfFree(GuestAddr(page_down(address.0)))
    } else if !address.0.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    } else if flags & libc::SHM_REMAP != 0 {
        Placement::Fixed(address)
    } else {
        Placement::FixedIfFree(address)
    };
    let read_only = flags & libc::SHM_RDONLY != 0;
    let changed = call
        .memory()
        .attach_segment(segment, length, placement, read_only);
    // Where something else lies, `shmat` says that the address is wrong.
    let changed = changed.map_err(|error| match error {
        Errno::EEXIST => Errno::EINVAL,
        other => other,
    })?;
    Ok(call.process().settle(changed))
}

/// `shmdt(address)`
pub fn shmdt(call: &mut Call<'_>) -> Result<u64, Errno> {
    let changed = call.memory().detach_segment(call.address(0))?;
    call.process().settle(changed);
    Ok(0)
}
