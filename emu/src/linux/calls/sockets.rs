//! Messages on sockets: their headers are full of addresses.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::calls::files::{MOST_VECTORS, host_vectors};
use crate::linux::host::Argument;
use crate::linux::paths::{self, LastLink};
use crate::linux::structures::{IoVector, MessageHeader, MultipleMessageHeader};
use crate::linux::system_call::Call;
use crate::memory::{bytes_of, bytes_of_mut, bytes_of_slice_mut};

/// A message header as the host is to see it, with the buffers it points to.
struct HostMessage {
    header: MessageHeader,
    _vectors: Vec<IoVector>,
}

impl HostMessage {
    fn new(call: &Call<'_>, guest: &MessageHeader) -> Result<HostMessage, Errno> {
        if guest.vector_count > MOST_VECTORS {
            return Err(Errno(libc::EMSGSIZE));
        }
        let vectors = host_vectors(call, GuestAddr(guest.vectors), guest.vector_count)?;
        let moved = |address| call.memory().host_pointer(GuestAddr(address));
        let header = MessageHeader {
            name: moved(guest.name),
            control: moved(guest.control),
            vectors: vectors.as_ptr() as u64,
            ..*guest
        };
        Ok(HostMessage {
            header,
            _vectors: vectors,
        })
    }
}

/// What the kernel reports in a header after it received a message.
fn report(guest: &mut MessageHeader, host: &MessageHeader) {
    guest.name_length = host.name_length;
    guest.control_length = host.control_length;
    guest.flags = host.flags;
}

/// `sendmsg(fd, header, flags)`
pub fn sendmsg(call: &mut Call<'_>) -> Result<u64, Errno> {
    let message = HostMessage::new(call, &call.load(1)?)?;
    let header = Argument::In(bytes_of(&message.header));
    call.host(libc::SYS_sendmsg, [call.value(0), header, call.value(2)])
}

/// `recvmsg(fd, header, flags)`
pub fn recvmsg(call: &mut Call<'_>) -> Result<u64, Errno> {
    let mut guest: MessageHeader = call.load(1)?;
    let mut message = HostMessage::new(call, &guest)?;
    let header = Argument::Out(bytes_of_mut(&mut message.header));
    let received = call.host(libc::SYS_recvmsg, [call.value(0), header, call.value(2)])?;
    report(&mut guest, &message.header);
    call.store(1, &guest)?;
    Ok(received)
}

/// `sendmmsg(fd, headers, count, flags)`
pub fn sendmmsg(call: &mut Call<'_>) -> Result<u64, Errno> {
    multiple(call, libc::SYS_sendmmsg, Argument::Value(0))
}

/// `recvmmsg(fd, headers, count, flags, timeout)`
pub fn recvmmsg(call: &mut Call<'_>) -> Result<u64, Errno> {
    multiple(call, libc::SYS_recvmmsg, call.pointer(4))
}

fn multiple(call: &Call<'_>, number: i64, timeout: Argument<'_>) -> Result<u64, Errno> {
    // Linux, too, takes no more than this many at once.
    let count = call.arguments[2].min(MOST_VECTORS) as usize;
    let at = call.address(1);
    let mut guest: Vec<MultipleMessageHeader> = call.memory().read_array(at, count)?;
    let messages: Vec<HostMessage> = guest
        .iter()
        .map(|message| HostMessage::new(call, &message.header))
        .collect::<Result<_, _>>()?;
    let mut host: Vec<MultipleMessageHeader> = messages
        .iter()
        .map(|message| MultipleMessageHeader {
            header: message.header,
            length: 0,
            pad: 0,
        })
        .collect();
    let done = call.host(
        number,
        [
            call.value(0),
            Argument::Out(bytes_of_slice_mut(&mut host)),
            Argument::Value(count as u64),
            call.value(3),
            timeout,
        ],
    )?;
    for (index, (guest, host)) in guest.iter_mut().zip(&host).take(done as usize).enumerate() {
        report(&mut guest.header, &host.header);
        guest.length = host.length;
        let offset = index as u64 * size_of::<MultipleMessageHeader>() as u64;
        call.memory().write(at.add(offset), guest)?;
    }
    Ok(done)
}

/// `bind(fd, address, length)`
pub fn bind(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_address(call, libc::SYS_bind, LastLink::Kept)
}

/// `connect(fd, address, length)`
pub fn connect(call: &mut Call<'_>) -> Result<u64, Errno> {
    with_address(call, libc::SYS_connect, LastLink::Followed)
}

/// A call whose address may be a path, which is elsewhere on the host.
fn with_address(call: &Call<'_>, number: i64, last: LastLink) -> Result<u64, Errno> {
    const FAMILY: usize = 2;
    const LONGEST: usize = size_of::<libc::sockaddr_un>();
    let length = call.arguments[2] as usize;
    let address = match length {
        FAMILY..=LONGEST => call.memory().read_bytes(call.address(1), length)?,
        _ => Vec::new(),
    };
    let is_local = address.starts_with(&(libc::AF_UNIX as u16).to_le_bytes());
    let path = address.get(FAMILY..).unwrap_or_default();
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    if !is_local || path.is_empty() {
        return call.host(number, [call.value(0), call.pointer(1), call.value(2)]);
    }
    let found = paths::to_host(call.process(), libc::AT_FDCWD, path.to_vec(), last);
    // What is too long for an address is named by way of its open folder.
    let folder;
    let mut moved = address[..FAMILY].to_vec();
    if found.len() < LONGEST - FAMILY {
        moved.extend(&found);
    } else {
        let split = found
            .iter()
            .rposition(|&byte| byte == b'/')
            .ok_or(Errno::ENAMETOOLONG)?;
        folder = File::open(OsStr::from_bytes(&found[..=split]))?;
        moved.extend(format!("/proc/thread-self/fd/{}", folder.as_raw_fd()).bytes());
        moved.extend(&found[split..]);
    }
    moved.push(0);
    if moved.len() > LONGEST {
        return Err(Errno::ENAMETOOLONG);
    }
    let length = Argument::Value(moved.len() as u64);
    call.host(number, [call.value(0), Argument::In(&moved), length])
}
