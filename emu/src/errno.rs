//! [`Errno`]: the error numbers of Linux, as a guest sees them.
//!
//! The generic numbers are the same on x86-64, RISC-V and AArch64, so a number
//! that the host's kernel gave goes to the guest as it is.

use std::fmt;

/// A Linux error number, positive: what a system call returns negated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The system call does not exist.
    pub const ENOSYS: Errno = Errno(libc::ENOSYS);
    /// An address outside the guest's memory, or one it may not use so.
    pub const EFAULT: Errno = Errno(libc::EFAULT);
    /// An argument that makes no sense.
    pub const EINVAL: Errno = Errno(libc::EINVAL);
    /// No memory, or no address space.
    pub const ENOMEM: Errno = Errno(libc::ENOMEM);
    /// Not permitted.
    pub const EPERM: Errno = Errno(libc::EPERM);
    /// Not allowed by the protection of a file or a range.
    pub const EACCES: Errno = Errno(libc::EACCES);
    /// There is something already.
    pub const EEXIST: Errno = Errno(libc::EEXIST);
    /// No such file.
    pub const ENOENT: Errno = Errno(libc::ENOENT);
    /// A signal came first.
    pub const EINTR: Errno = Errno(libc::EINTR);
    /// Not a file that can be executed.
    pub const ENOEXEC: Errno = Errno(libc::ENOEXEC);
    /// A path or a string that is too long.
    pub const ENAMETOOLONG: Errno = Errno(libc::ENAMETOOLONG);
    /// A list that is too long.
    pub const E2BIG: Errno = Errno(libc::E2BIG);
    /// No such process or thread.
    pub const ESRCH: Errno = Errno(libc::ESRCH);
    /// Not now.
    pub const EAGAIN: Errno = Errno(libc::EAGAIN);
    /// Not a file descriptor.
    pub const EBADF: Errno = Errno(libc::EBADF);
    /// Too many symbolic links.
    pub const ELOOP: Errno = Errno(libc::ELOOP);
    /// The operation is not known for this kind of object.
    pub const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);

    /// What the last failed call of the C library left behind.
    pub fn last() -> Errno {
        Errno(
            std::io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO),
        )
    }

    /// The value that the guest's result register gets.
    pub const fn as_result(self) -> u64 {
        (self.0 as i64).wrapping_neg() as u64
    }

    /// Splits a raw result of the kernel into value and error.
    pub const fn from_raw(raw: i64) -> Result<u64, Errno> {
        if raw < 0 && raw >= -4095 {
            Err(Errno(-raw as i32))
        } else {
            Ok(raw as u64)
        }
    }

    /// The number's name, where it is one of those a program commonly meets.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            libc::EPERM => "EPERM",
            libc::ENOENT => "ENOENT",
            libc::ESRCH => "ESRCH",
            libc::EINTR => "EINTR",
            libc::EIO => "EIO",
            libc::ENXIO => "ENXIO",
            libc::E2BIG => "E2BIG",
            libc::ENOEXEC => "ENOEXEC",
            libc::EBADF => "EBADF",
            libc::ECHILD => "ECHILD",
            libc::EAGAIN => "EAGAIN",
            libc::ENOMEM => "ENOMEM",
            libc::EACCES => "EACCES",
            libc::EFAULT => "EFAULT",
            libc::EBUSY => "EBUSY",
            libc::EEXIST => "EEXIST",
            libc::EXDEV => "EXDEV",
            libc::ENODEV => "ENODEV",
            libc::ENOTDIR => "ENOTDIR",
            libc::EISDIR => "EISDIR",
            libc::EINVAL => "EINVAL",
            libc::ENFILE => "ENFILE",
            libc::EMFILE => "EMFILE",
            libc::ENOTTY => "ENOTTY",
            libc::ETXTBSY => "ETXTBSY",
            libc::EFBIG => "EFBIG",
            libc::ENOSPC => "ENOSPC",
            libc::ESPIPE => "ESPIPE",
            libc::EROFS => "EROFS",
            libc::EPIPE => "EPIPE",
            libc::ERANGE => "ERANGE",
            libc::EDEADLK => "EDEADLK",
            libc::ENAMETOOLONG => "ENAMETOOLONG",
            libc::ENOSYS => "ENOSYS",
            libc::ENOTEMPTY => "ENOTEMPTY",
            libc::ELOOP => "ELOOP",
            libc::ENODATA => "ENODATA",
            libc::EOVERFLOW => "EOVERFLOW",
            libc::ENOTSOCK => "ENOTSOCK",
            libc::EDESTADDRREQ => "EDESTADDRREQ",
            libc::EMSGSIZE => "EMSGSIZE",
            libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
            libc::EOPNOTSUPP => "EOPNOTSUPP",
            libc::EAFNOSUPPORT => "EAFNOSUPPORT",
            libc::EADDRINUSE => "EADDRINUSE",
            libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
            libc::ENETUNREACH => "ENETUNREACH",
            libc::ECONNRESET => "ECONNRESET",
            libc::EISCONN => "EISCONN",
            libc::ENOTCONN => "ENOTCONN",
            libc::ETIMEDOUT => "ETIMEDOUT",
            libc::ECONNREFUSED => "ECONNREFUSED",
            libc::EALREADY => "EALREADY",
            libc::EINPROGRESS => "EINPROGRESS",
            _ => return None,
        })
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl std::error::Error for Errno {}
