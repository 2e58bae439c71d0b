//! The socket between controller and worker: whole frames, one at a time, each
//! with at most one file descriptor beside it.
//!
//! The controller's end also watches the worker's process, because a closed
//! socket alone does not tell that it died: a child that the program forked may
//! hold the socket open.
//!
//! A [`Bell`] is another kind of socket: each packet that arrives on it brings one
//! end of a channel, from whoever wants to be served.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use super::wire::LONGEST_FRAME;

/// One end of the socket.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    /// Readable once the process at the other end has died.
    peer: Option<OwnedFd>,
}

impl Channel {
    /// The controller's end; `peer` is the worker's pid descriptor.
    pub fn to_worker(socket: UnixStream, peer: OwnedFd) -> Channel {
        Channel {
            socket,
            peer: Some(peer),
        }
    }

    /// The controller's end of a channel that a worker made, or a child of it; and
    /// that process's number.
    pub fn over(socket: File) -> io::Result<(Channel, u32)> {
        let socket = UnixStream::from(OwnedFd::from(socket));
        let mut peer = libc::ucred {
            pid: 0,
            uid: 0,
            gid: 0,
        };
        let mut length = size_of_val(&peer) as libc::socklen_t;
        // SAFETY: the structure and its length are valid for writes.
        let failed = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut length,
            )
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        let pid = peer.pid.cast_unsigned();
        Ok((Channel::to_worker(socket, watch(pid)?), pid))
    }

    /// The worker's end, from the descriptor that the controller passed down.
    pub fn to_controller(socket: UnixStream) -> Channel {
        Channel { socket, peer: None }
    }

    /// Sends one frame, and a file beside it.
    pub fn send(&self, frame: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let length = u32::try_from(frame.len())
            .ok()
            .filter(|length| *length as usize <= LONGEST_FRAME)
            .ok_or_else(|| io::Error::other("message too long"))?;
        let mut bytes = Vec::with_capacity(4 + frame.len());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(frame);
        let mut sent = 0;
        let mut file = file;
        while sent < bytes.len() {
            self.ready(libc::POLLOUT)?;
            match send_some(self.socket.as_fd(), &bytes[sent..], file) {
                Ok(count) => {
                    sent += count;
                    file = None;
                }
                Err(error) if retry(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives one frame, and the file that came beside it; an error of kind
    /// `UnexpectedEof` when the other end is gone.
    pub fn receive(&self) -> io::Result<(Vec<u8>, Option<File>)> {
        let mut length = [0; 4];
        let mut file = None;
        self.fill(&mut length, &mut file)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_FRAME {
            return Err(io::Error::other("message too long"));
        }
        let mut frame = vec![0; length];
        self.fill(&mut frame, &mut file)?;
        Ok((frame, file))
    }

    /// Waits a while for the peer to die: its socket closes some time before the
    /// kernel tells how it ended.
    pub fn let_peer_die(&self) {
        const LONGEST_MS: libc::c_int = 1000;
        let mut watched = libc::pollfd {
            fd: self.peer.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the structure is valid for writes for the call.
        unsafe { libc::poll(&raw mut watched, 1, LONGEST_MS) };
    }

    fn fill(&self, into: &mut [u8], file: &mut Option<File>) -> io::Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            self.ready(libc::POLLIN)?;
            let rest = &mut into[filled..];
            match receive_some(self.socket.as_fd(), rest, file, libc::MSG_DONTWAIT) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if retry(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the socket is ready for `events`; fails when the peer died
    /// first. What it had sent before it died is still received.
    fn ready(&self, events: libc::c_short) -> io::Result<()> {
        let watch = |fd: RawFd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        // A negative descriptor is one that `poll` passes over.
        let peer = self.peer.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let mut watched = [
            watch(self.socket.as_raw_fd(), events),
            watch(peer, libc::POLLIN),
        ];
        loop {
            // SAFETY: the array is valid for writes of its length for the call.
            if unsafe { libc::poll(watched.as_mut_ptr(), 2, -1) } < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            } else if watched[0].revents != 0 {
                return Ok(());
            } else if watched[1].revents != 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A descriptor that becomes readable when the process dies. The caller knows
/// that the number is still its own.
pub fn watch(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: a system call on numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The controller's end of the socket on which it is asked to serve.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A bell, and the end that rings it.
    pub fn new() -> io::Result<(Bell, OwnedFd)> {
        let mut ends = [0; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: the array is valid for writes.
        if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptors were just made, and nobody else owns them.
        let [ours, theirs] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        Ok((Bell(ours), theirs))
    }

    /// Waits for a packet, and gives the file that came with it; an error when
    /// nobody can ring any more.
    pub fn answer(&self) -> io::Result<(Vec<u8>, Option<File>)> {
        let mut packet = vec![0; LONGEST_PACKET];
        loop {
            let mut file = None;
            match receive_some(self.0.as_fd(), &mut packet, &mut file, 0) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    packet.truncate(length);
                    return Ok((packet, file));
                }
                Err(error) if retry(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whoever waits, or will, is told that nobody can ring any more.
    pub fn silence(&self) {
        // SAFETY: a system call on a descriptor of ours.
        unsafe { libc::shutdown(self.0.as_raw_fd(), libc::SHUT_RDWR) };
    }
}

/// Longer than any packet is: a question with all libraries.
const LONGEST_PACKET: usize = 32 << 10;

/// Rings a bell: sends a packet and a file beside it, whole or not at all.
pub fn send_packet(bell: BorrowedFd<'_>, packet: &[u8], file: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match send_some(bell, packet, Some(file)) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut full = libc::pollfd {
                    fd: bell.as_raw_fd(),
                    events: libc::POLLOUT,
                    revents: 0,
                };
                // SAFETY: the structure is valid for writes for the call.
                unsafe { libc::poll(&raw mut full, 1, -1) };
            }
            Err(error) if retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// Room for the control message that carries one descriptor, aligned as the
/// kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

fn send_some(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    file: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut run = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = Control([0; 64]);
    // SAFETY: a message header of zeroes is a valid, empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut run;
    message.msg_iovlen = 1;
    if let Some(file) = file {
        let descriptor = file.as_raw_fd();
        let size = size_of_val(&descriptor) as u32;
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: pure arithmetic on the size.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as usize;
        assert!(message.msg_controllen <= control.0.len());
        // SAFETY: the header points to `control`, which is aligned, zeroed, and
        // long enough for one control message of this size (asserted above), so
        // the first header and its data lie inside it.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
            libc::CMSG_DATA(header)
                .cast::<RawFd>()
                .write_unaligned(descriptor);
        }
    }
    // SAFETY: the header's pointers are to `bytes` (only read) and `control`,
    // both alive for the call.
    let sent = unsafe {
        libc::sendmsg(
            socket.as_raw_fd(),
            &raw const message,
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn receive_some(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
    file: &mut Option<File>,
    flags: libc::c_int,
) -> io::Result<usize> {
    let mut run = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let mut control = Control([0; 64]);
    // SAFETY: a message header of zeroes is a valid, empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut run;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: the header's pointers are to `into` and `control`, both valid for
    // writes of the lengths given, for the call.
    let received = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &raw mut message,
            libc::MSG_CMSG_CLOEXEC | flags,
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel filled `control` and set its length, so the first
    // header, where there is one, lies inside it with its data; a descriptor in
    // it was made for this process by this call, and is owned by nobody else.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS
        {
            let descriptor = libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned();
            *file = Some(File::from_raw_fd(descriptor));
        }
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn a_bell_brings_a_channel_and_who_made_it() {
        let (bell, ringing) = Bell::new().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = Channel::to_controller(ours);
        send_packet(ringing.as_fd(), b"question", theirs.as_fd()).unwrap();
        let (packet, file) = bell.answer().unwrap();
        assert_eq!(packet, b"question");
        let (channel, pid) = Channel::over(file.unwrap()).unwrap();
        assert_eq!(pid, std::process::id());
        channel.send(b"answer", None).unwrap();
        assert_eq!(ours.receive().unwrap().0, b"answer");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| bell.answer().is_err());
            bell.silence();
            assert!(waiting.join().unwrap());
        });
        drop(bell);
        assert!(send_packet(ringing.as_fd(), b"question", theirs.as_fd()).is_err());
    }

    #[test]
    fn frames_arrive_whole_with_their_file() {
        let (left, right) = UnixStream::pair().unwrap();
        let (left, right) = (Channel::to_controller(left), Channel::to_controller(right));
        let mut file = super::super::mapping::memory_file(c"test").unwrap();
        file.write_all(b"inside").unwrap();
        file.rewind().unwrap();
        let long = vec![7; 1 << 20];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                left.send(b"", Some(file.as_fd())).unwrap();
                left.send(&long, None).unwrap();
            });
            let (frame, passed) = right.receive().unwrap();
            assert!(frame.is_empty());
            let mut text = String::new();
            passed.unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside");
            let (frame, passed) = right.receive().unwrap();
            assert!(frame == long && passed.is_none());
        });
        drop(left);
        let error = right.receive().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
