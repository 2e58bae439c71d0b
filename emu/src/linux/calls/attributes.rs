//! Extended attributes by way of a folder's descriptor, whose last argument is
//! a structure that holds an address.

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::host::Argument;
use crate::linux::paths::LastLink;
use crate::linux::structures::AttributeArguments;
use crate::linux::system_call::Call;
use crate::memory::bytes_of;

/// `setxattrat(directory, path, flags, name, arguments, size)`
pub fn setxattrat(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_arguments(call, 463)
}

/// `getxattrat(directory, path, flags, name, arguments, size)`
pub fn getxattrat(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_arguments(call, 464)
}

fn with_arguments(call: &Call<'_>, number: i64) -> Result<u64, Errno> {
    // A larger structure is a newer kernel's.
    if call.arguments[5] != size_of::<AttributeArguments>() as u64 {
        return Err(Errno::EINVAL);
    }
    let mut arguments: AttributeArguments = call.load(4)?;
    arguments.value = call.memory().host_pointer(GuestAddr(arguments.value));
    let last = match call.int(2) & libc::AT_SYMLINK_NOFOLLOW {
        0 => LastLink::Followed,
        _ => LastLink::Kept,
    };
    let path = match call.arguments[1] {
        0 => None,
        _ => Some(call.path(call.int(0), 1, last)?),
    };
    let path = path.as_deref().map_or(Argument::Value(0), Argument::In);
    call.host(
        number,
        [
            call.value(0),
            path,
            call.value(2),
            call.pointer(3),
            Argument::In(bytes_of(&arguments)),
            call.value(5),
        ],
    )
}
