//! Files: opening, `stat`, vectors of buffers, `fcntl` and `ioctl`.

use std::os::unix::ffi::OsStrExt;

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::host::Argument;
use crate::linux::paths::{self, LastLink};
use crate::linux::proc_files;
use crate::linux::structures::{GenericStat, HostStat, InterfaceList, IoVector, OpenHow};
use crate::linux::system_call::Call;
use crate::memory::{Plain, bytes_of, bytes_of_mut, bytes_of_slice};

/// Linux takes no more buffers than this in one call (`UIO_MAXIOV`).
pub const MOST_VECTORS: u64 = 1024;

/// `openat(directory, path, flags, mode)`
pub fn openat(call: &mut Call<'_>) -> Result<u64, Errno> {
    let flags = call.process().abi.open_flags_to_host(call.arguments[2]);
    open(call, flags, |call, path| {
        let flags = Argument::Value(flags);
        call.host(
            libc::SYS_openat,
            [call.value(0), path, flags, call.value(3)],
        )
    })
}

/// `openat2(directory, path, how, size)`
pub fn openat2(call: &mut Call<'_>) -> Result<u64, Errno> {
    const LARGEST: u64 = 4096;
    let size = call.arguments[3];
    if size < size_of::<OpenHow>() as u64 {
        return Err(Errno::EINVAL);
    }
    if size > LARGEST {
        return Err(Errno::E2BIG);
    }
    let mut how = call.memory().read_bytes(call.address(2), size as usize)?;
    let guest_flags: u64 = call.load(2)?;
    let flags = call.process().abi.open_flags_to_host(guest_flags);
    how[..8].copy_from_slice(&flags.to_le_bytes());
    open(call, flags, |call, path| {
        call.host(
            libc::SYS_openat2,
            [call.value(0), path, Argument::In(&how), call.value(3)],
        )
    })
}

/// Opens a path: one of the files under `/proc` that we write ourselves, or
/// the host's.
fn open(
    call: &Call<'_>,
    flags: u64,
    host: impl FnOnce(&Call<'_>, Argument<'_>) -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    let path = call.memory().c_string(call.address(1))?;
    let last = match flags & libc::O_NOFOLLOW as u64 {
        0 => LastLink::Followed,
        _ => LastLink::Kept,
    };
    if let Some(fd) = proc_files::open(call.process(), call.int(0), &path) {
        return fd;
    }
    let path = call.path(call.int(0), 1, last)?;
    host(call, Argument::In(&path))
}

/// `getcwd(buffer, size)`
pub fn getcwd(call: &mut Call<'_>) -> Result<u64, Errno> {
    let mut path = [0; 4096];
    let length = call.host(
        libc::SYS_getcwd,
        [Argument::Out(&mut path), Argument::Value(4096)],
    )?;
    let path = path[..length as usize].strip_suffix(b"\0").unwrap_or(&path);
    let mut path = call.process().options.files.to_guest(path);
    path.push(0);
    if (path.len() as u64) > call.arguments[1] {
        return Err(Errno(libc::ERANGE));
    }
    call.memory().write_bytes(call.address(0), &path)?;
    Ok(path.len() as u64)
}

/// `readlinkat(directory, path, buffer, size)`
///
/// Links under `/proc` show paths of the host, which the guest knows by other
/// names.
pub fn readlinkat(call: &mut Call<'_>) -> Result<u64, Errno> {
    let path = call.memory().c_string(call.address(1))?;
    let size = call.int(3);
    if size <= 0 {
        return Err(Errno::EINVAL);
    }
    let target = if paths::is_own_executable(&path) {
        call.process().executable.as_os_str().as_bytes().to_vec()
    } else {
        let path = call.path(call.int(0), 1, LastLink::Kept)?;
        let mut target = vec![0; (size as usize).min(4096)];
        let room = Argument::Value(target.len() as u64);
        let length = call.host(
            libc::SYS_readlinkat,
            [
                call.value(0),
                Argument::In(&path),
                Argument::Out(&mut target),
                room,
            ],
        )?;
        target.truncate(length as usize);
        target
    };
    let target = match path.starts_with(b"/proc/") {
        true => call.process().options.files.to_guest(&target),
        false => target,
    };
    let length = target.len().min(size as usize);
    call.memory()
        .write_bytes(call.address(2), &target[..length])?;
    Ok(length as u64)
}

/// `newfstatat(directory, path, stat, flags)`
pub fn newfstatat(call: &mut Call<'_>) -> Result<u64, Errno> {
    let mut stat = HostStat::ZERO;
    let out = Argument::Out(bytes_of_mut(&mut stat));
    if call.arguments[1] == 0 {
        call.host(
            libc::SYS_newfstatat,
            [call.value(0), call.pointer(1), out, call.value(3)],
        )?;
    } else {
        let last = match call.int(3) & libc::AT_SYMLINK_NOFOLLOW {
            0 => LastLink::Followed,
            _ => LastLink::Kept,
        };
        let path = call.path(call.int(0), 1, last)?;
        call.host(
            libc::SYS_newfstatat,
            [call.value(0), Argument::In(&path), out, call.value(3)],
        )?;
    }
    call.store(2, &GenericStat::from(&stat))?;
    Ok(0)
}

/// `fstat(fd, stat)`
pub fn fstat(call: &mut Call<'_>) -> Result<u64, Errno> {
    let mut stat = HostStat::ZERO;
    call.host(
        libc::SYS_fstat,
        [call.value(0), Argument::Out(bytes_of_mut(&mut stat))],
    )?;
    call.store(1, &GenericStat::from(&stat))?;
    Ok(0)
}

/// `getdents64(fd, buffer, size)`: threads of the emulator's own are none of
/// the guest's.
pub fn getdents64(call: &mut Call<'_>) -> Result<u64, Errno> {
    const LARGEST: u64 = 1 << 20;
    let is_own = paths::opened(call.int(0)).is_some_and(|path| proc_files::is_own_tasks(&path));
    if !is_own {
        return call.host(
            libc::SYS_getdents64,
            [call.value(0), call.pointer(1), call.value(2)],
        );
    }
    let mut entries = vec![0; call.arguments[2].min(LARGEST) as usize];
    loop {
        let room = Argument::Value(entries.len() as u64);
        let got = call.host(
            libc::SYS_getdents64,
            [call.value(0), Argument::Out(&mut entries), room],
        )? as usize;
        let left = proc_files::keep_guest_threads(call.process(), &mut entries[..got]);
        // Nothing left is not the end, unless nothing came.
        if left > 0 || got == 0 {
            call.memory()
                .write_bytes(call.address(1), &entries[..left])?;
            return Ok(left as u64);
        }
    }
}

/// The buffers of a vector, moved to where the host finds them.
pub fn host_vectors(call: &Call<'_>, at: GuestAddr, count: u64) -> Result<Vec<IoVector>, Errno> {
    if count > MOST_VECTORS {
        return Err(Errno::EINVAL);
    }
    let mut vectors: Vec<IoVector> = call.memory().read_array(at, count as usize)?;
    for vector in &mut vectors {
        vector.base = call.memory().host_pointer(GuestAddr(vector.base));
    }
    Ok(vectors)
}

/// A call whose arguments 1 and 2 are a vector and its length.
fn with_vectors(call: &Call<'_>, number: i64) -> Result<u64, Errno> {
    let vectors = host_vectors(call, call.address(1), call.arguments[2])?;
    let bytes = Argument::In(bytes_of_slice(&vectors));
    let [.., third, fourth, fifth] = std::array::from_fn::<_, 6, _>(|index| call.value(index));
    call.host(
        number,
        [call.value(0), bytes, call.value(2), third, fourth, fifth],
    )
}

/// `readv(fd, vectors, count)`
pub fn readv(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_vectors(call, libc::SYS_readv)
}

/// `writev(fd, vectors, count)`
pub fn writev(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_vectors(call, libc::SYS_writev)
}

/// `preadv(fd, vectors, count, offset)`
pub fn preadv(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_vectors(call, libc::SYS_preadv)
}

/// `pwritev(fd, vectors, count, offset)`
pub fn pwritev(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_vectors(call, libc::SYS_pwritev)
}

/// `preadv2(fd, vectors, count, offset, 0, flags)`
pub fn preadv2(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_vectors(call, libc::SYS_preadv2)
}

/// `pwritev2(fd, vectors, count, offset, 0, flags)`
pub fn pwritev2(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_vectors(call, libc::SYS_pwritev2)
}

/// `vmsplice(fd, vectors, count, flags)`
pub fn vmsplice(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_vectors(call, libc::SYS_vmsplice)
}

/// `close(fd)`
pub fn close(call: &mut Call<'_>) -> Result<u64, Errno> {
    if call.process().own_descriptor() == Some(call.int(0)) {
        return Err(Errno::EBADF);
    }
    call.host(libc::SYS_close, [call.value(0)])
}

/// `close_range(first, last, flags)`, around a descriptor of ours.
pub fn close_range(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (first, last) = (call.arguments[0] as u32, call.arguments[1] as u32);
    let close = |first: u32, last: u32| {
        let bounds = [first, last].map(|bound| Argument::Value(bound.into()));
        let [first, last] = bounds;
        call.host(libc::SYS_close_range, [first, last, call.value(2)])
    };
    match call.process().own_descriptor().map(|fd| fd as u32) {
        Some(own) if (first..=last).contains(&own) => {
            if first < own {
                close(first, own - 1)?;
            }
            if own < last {
                close(own + 1, last)?;
            }
            Ok(0)
        }
        _ => close(first, last),
    }
}

/// `pipe2(fds, flags)`
pub fn pipe2(call: &mut Call<'_>) -> Result<u64, Errno> {
    let flags = call.process().abi.open_flags_to_host(call.arguments[1]);
    call.host(libc::SYS_pipe2, [call.pointer(0), Argument::Value(flags)])
}

/// `fcntl(fd, command, argument)`
pub fn fcntl(call: &mut Call<'_>) -> Result<u64, Errno> {
    const F_SETOWN_EX: i32 = 15;
    const F_GETOWN_EX: i32 = 16;
    const F_GETOWNER_UIDS: i32 = 17;
    /// `F_GET_RW_HINT` to `F_SET_FILE_RW_HINT`.
    const HINTS: std::ops::RangeInclusive<i32> = 1035..=1038;
    let abi = call.process().abi;
    let command = call.int(1);
    match command {
        libc::F_GETFL => {
            let flags = call.host(libc::SYS_fcntl, [call.value(0), call.value(1)])?;
            Ok(abi.open_flags_to_guest(flags))
        }
        libc::F_SETFL => {
            let flags = abi.open_flags_to_host(call.arguments[2]);
            call.host(
                libc::SYS_fcntl,
                [call.value(0), call.value(1), Argument::Value(flags)],
            )
        }
        libc::F_GETLK
        | libc::F_SETLK
        | libc::F_SETLKW
        | libc::F_OFD_GETLK
        | libc::F_OFD_SETLK
        | libc::F_OFD_SETLKW
        | F_GETOWN_EX
        | F_SETOWN_EX
        | F_GETOWNER_UIDS => call.host(
            libc::SYS_fcntl,
            [call.value(0), call.value(1), call.pointer(2)],
        ),
        hint if HINTS.contains(&hint) => call.host(
            libc::SYS_fcntl,
            [call.value(0), call.value(1), call.pointer(2)],
        ),
        _ => call.host(
            libc::SYS_fcntl,
            [call.value(0), call.value(1), call.value(2)],
        ),
    }
}

/// `ioctl(fd, command, argument)`
///
/// Commands have the same numbers and structures on all three architectures.
/// Whether the argument is a number or an address is not always said by the
/// command, but addresses below 64 KiB do not exist and numbers above are not
/// used; and a number passed for an address is harmless, since the host has
/// nothing mapped so low either.
pub fn ioctl(call: &mut Call<'_>) -> Result<u64, Errno> {
    const SIOCGIFCONF: u64 = 0x8912;
    const SIOCETHTOOL: u64 = 0x8946;
    match call.arguments[1] & 0xffff_ffff {
        SIOCGIFCONF => return interface_list(call),
        // Its structure holds an address whose meaning depends on contents.
        SIOCETHTOOL => return Err(Errno::EOPNOTSUPP),
        _ => {}
    }
    let argument = match call.arguments[2] {
        number if number < crate::memory::LOWEST_ADDRESS => Argument::Value(number),
        _ => call.pointer(2),
    };
    call.host(libc::SYS_ioctl, [call.value(0), call.value(1), argument])
}

fn interface_list(call: &Call<'_>) -> Result<u64, Errno> {
    let mut list: InterfaceList = call.load(2)?;
    let guest_buffer = list.buffer;
    list.buffer = call.memory().host_pointer(GuestAddr(guest_buffer));
    let mut bytes = bytes_of(&list).to_vec();
    call.host(
        libc::SYS_ioctl,
        [call.value(0), call.value(1), Argument::Out(&mut bytes)],
    )?;
    bytes_of_mut(&mut list).copy_from_slice(&bytes);
    list.buffer = guest_buffer;
    call.store(2, &list)?;
    Ok(0)
}
