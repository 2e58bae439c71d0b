//! Mappings: `mmap` and its relatives, on guest memory.

use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use crate::errno::Errno;
use crate::linux::calls::files::host_vectors;
use crate::linux::calls::tracing::memory_of_tracee;
use crate::linux::host::Argument;
use crate::linux::structures::HostStat;
use crate::linux::system_call::Call;
use crate::memory::{
    BackingFile, Kind, Map, Placement, Plain, Protection, Source, bytes_of_mut, bytes_of_slice,
};

/// Flags of `mmap` that are passed on to the host: they change no address.
const PASSED_ON: i32 =
    libc::MAP_LOCKED | libc::MAP_NORESERVE | libc::MAP_POPULATE | libc::MAP_NONBLOCK;

/// `mmap(address, length, protection, flags, fd, offset)`
pub fn mmap(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (address, flags) = (call.address(0), call.int(3));
    let protection = Protection::from_bits(call.arguments[2]).ok_or(Errno::EINVAL)?;
    let placement = if flags & libc::MAP_FIXED_NOREPLACE == libc::MAP_FIXED_NOREPLACE {
        Placement::FixedIfFree(address)
    } else if flags & libc::MAP_FIXED != 0 {
        Placement::Fixed(address)
    } else if address.0 == 0 {
        Placement::Anywhere
    } else {
        Placement::Hint(address)
    };
    let shared = match flags & libc::MAP_TYPE {
        libc::MAP_PRIVATE => false,
        libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL),
    };
    let source = if flags & libc::MAP_ANONYMOUS != 0 {
        Source::Anonymous(Kind::Anonymous)
    } else {
        file_source(call, call.int(4), call.arguments[5])?
    };
    let length = call.arguments[1];
    let request = Map {
        placement,
        length,
        protection,
        shared,
        host_flags: flags & PASSED_ON,
        source,
    };
    let changed = call.memory().map(&request)?;
    Ok(call.process().settle(changed))
}

fn file_source(call: &Call<'_>, fd: RawFd, offset: u64) -> Result<Source, Errno> {
    let mut stat = HostStat::ZERO;
    let out = Argument::Out(bytes_of_mut(&mut stat));
    call.host(libc::SYS_fstat, [Argument::Value(fd as u64), out])?;
    let path = std::fs::read_link(format!("/proc/thread-self/fd/{fd}")).unwrap_or_default();
    let path = std::ffi::OsString::from_vec(path.into_os_string().into_vec()).into();
    let backing = Arc::new(BackingFile {
        path,
        device: stat.device,
        inode: stat.inode,
    });
    Ok(Source::File {
        fd,
        offset,
        backing,
    })
}

/// `munmap(address, length)`
pub fn munmap(call: &mut Call<'_>) -> Result<u64, Errno> {
    let changed = call.memory().unmap(call.address(0), call.arguments[1])?;
    call.process().settle(changed);
    Ok(0)
}

/// `mremap(address, old length, new length, flags, new address)`
pub fn mremap(call: &mut Call<'_>) -> Result<u64, Errno> {
    let [_, old_length, new_length, ..] = call.arguments;
    let (address, flags, target) = (call.address(0), call.int(3), call.address(4));
    let changed = call
        .memory()
        .remap(address, old_length, new_length, flags, target)?;
    Ok(call.process().settle(changed))
}

/// `mprotect(address, length, protection)`
pub fn mprotect(call: &mut Call<'_>) -> Result<u64, Errno> {
    let protection = Protection::from_bits(call.arguments[2]).ok_or(Errno::EINVAL)?;
    let changed = call
        .memory()
        .protect(call.address(0), call.arguments[1], protection)?;
    call.process().settle(changed);
    Ok(0)
}

/// `brk(address)`
pub fn brk(call: &mut Call<'_>) -> Result<u64, Errno> {
    let changed = call.memory().set_break(call.address(0));
    Ok(call.process().settle(changed))
}

/// Hands a call on a range of mapped pages to the host.
fn on_range(call: &Call<'_>, number: i64) -> Result<u64, Errno> {
    let length = call.arguments[1];
    if length == 0 {
        return call.host(number, [call.pointer(0), call.value(1), call.value(2)]);
    }
    call.memory()
        .host_range(call.address(0), length)
        .map_err(|_| Errno::ENOMEM)?;
    if call.address(0).0.is_multiple_of(crate::memory::PAGE_SIZE)
        && !call.memory().is_mapped(call.address(0), length)
    {
        return Err(Errno::ENOMEM);
    }
    call.host(number, [call.pointer(0), call.value(1), call.value(2)])
}

/// `msync(address, length, flags)`
pub fn msync(call: &mut Call<'_>) -> Result<u64, Errno> {
    on_range(call, libc::SYS_msync)
}

/// `mlock(address, length)`
pub fn mlock(call: &mut Call<'_>) -> Result<u64, Errno> {
    on_range(call, libc::SYS_mlock)
}

/// `mlock2(address, length, flags)`
pub fn mlock2(call: &mut Call<'_>) -> Result<u64, Errno> {
    on_range(call, libc::SYS_mlock2)
}

/// `munlock(address, length)`
pub fn munlock(call: &mut Call<'_>) -> Result<u64, Errno> {
    on_range(call, libc::SYS_munlock)
}

/// `mlockall(flags)`: locking this whole process would lock the emulator and
/// its reservation, so the guest's pages stay as they are. Nothing the guest
/// computes depends on that.
pub fn mlockall(call: &mut Call<'_>) -> Result<u64, Errno> {
    let known = (libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) as u64;
    if call.arguments[0] == 0 || call.arguments[0] & !known != 0 {
        Err(Errno::EINVAL)
    } else {
        Ok(0)
    }
}

/// `munlockall()`
pub fn munlockall(_: &mut Call<'_>) -> Result<u64, Errno> {
    Ok(0)
}

/// `mincore(address, length, vector)`
pub fn mincore(call: &mut Call<'_>) -> Result<u64, Errno> {
    let length = call.arguments[1];
    call.memory()
        .host_range(call.address(0), length)
        .map_err(|_| Errno::ENOMEM)?;
    if length != 0 && !call.memory().is_mapped(call.address(0), length) {
        return Err(Errno::ENOMEM);
    }
    call.host(
        libc::SYS_mincore,
        [call.pointer(0), call.value(1), call.pointer(2)],
    )
}

/// `madvise(address, length, advice)`: code that is thrown away is forgotten.
pub fn madvise(call: &mut Call<'_>) -> Result<u64, Errno> {
    let result = on_range(call, libc::SYS_madvise)?;
    if matches!(
        call.int(2),
        libc::MADV_DONTNEED | libc::MADV_REMOVE | libc::MADV_FREE
    ) && let Some(stale) = call
        .memory()
        .code_within(call.address(0), call.arguments[1])
    {
        call.process().engine.invalidate(stale);
    }
    Ok(result)
}

/// `process_vm_readv(process, local, count, remote, count, flags)`
pub fn process_vm_readv(call: &mut Call<'_>) -> Result<u64, Errno> {
    copy_between(call, libc::SYS_process_vm_readv)
}

/// `process_vm_writev(process, local, count, remote, count, flags)`
pub fn process_vm_writev(call: &mut Call<'_>) -> Result<u64, Errno> {
    copy_between(call, libc::SYS_process_vm_writev)
}

/// Both sides are guest memory. Where another process has its guest's memory
/// is known of those only that this one traces, and that have stopped once.
fn copy_between(call: &Call<'_>, number: i64) -> Result<u64, Errno> {
    let own = call.int(0) as u32 == std::process::id();
    let (base, limit) = match own {
        true => (call.memory().base(), call.memory().limit()),
        false => memory_of_tracee(call, call.int(0)).ok_or(Errno::EPERM)?,
    };
    let local = host_vectors(call, call.address(1), call.arguments[2])?;
    let mut remote = host_vectors(call, call.address(3), call.arguments[4])?;
    if !own {
        let count = call.arguments[4] as usize;
        remote = call.memory().read_array(call.address(3), count)?;
        for vector in &mut remote {
            // What is outside becomes an address at which nothing is.
            vector.base = base + vector.base.min(limit);
        }
    }
    call.host(
        number,
        [
            call.value(0),
            Argument::In(bytes_of_slice(&local)),
            call.value(2),
            Argument::In(bytes_of_slice(&remote)),
            call.value(4),
            call.value(5),
        ],
    )
}
