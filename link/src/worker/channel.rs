//! The socket between controller and worker: whole frames, one at a time, each
//! with at most one file descriptor beside it.
//!
//! The controller's end also watches the worker's process, because a closed
//! socket alone does not tell that it died: a child that the program forked may
//! hold the socket open.

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
            match receive_some(self.socket.as_fd(), &mut into[filled..], file) {
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
            libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT,
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
