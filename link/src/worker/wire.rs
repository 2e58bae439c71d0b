//! What controller and worker say to each other, as bytes.
//!
//! A message is a frame: its length (`u32`), then a tag and the fields in
//! order, numbers as little-endian `u64`, texts and byte strings with their
//! length in front. Both ends are the same executable, so there are no
//! versions. The worker's end may have been scribbled over by the program that
//! lives there, so decoding trusts no length.
//!
//! This file does no I/O: `channel` moves the frames.

use crate::host::{Extent, Outside};
use crate::{HostAddr, Near, Protection, Reserve};

/// The longest message either side takes: a bound on what a broken peer can
/// make the other allocate.
pub const LONGEST_FRAME: usize = 64 << 20;

/// What the controller asks of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Reserve addresses. Answered by `Value`, the first one, or `NoRoom`. A
    /// shared protection brings its memory file along with the frame.
    Reserve(Reserve),
    /// Unmap a reservation.
    Release { start: u64, length: u64 },
    /// Make private pages usable.
    Commit { start: u64, length: u64 },
    /// Make private pages what they were when they were reserved, and forget
    /// what they hold.
    Decommit {
        start: u64,
        length: u64,
        protection: Protection,
    },
    /// Read memory, for where `process_vm_readv` is not allowed.
    Read { start: u64, length: u64 },
    /// Write memory, for where `process_vm_writev` is not allowed.
    Write { start: u64, bytes: Vec<u8> },
    /// Call a function with six integer arguments. Answered by `Value`.
    Call { function: u64, arguments: [u64; 6] },
    /// Have a function called at exit.
    AtExit { function: u64 },
    /// Tell the unwinder of an `.eh_frame` section.
    RegisterFrames { start: u64 },
    /// Take that back.
    DeregisterFrames { start: u64 },
    /// Take thread-local storage from the arena. Answered by `Value`, the offset
    /// from the thread pointer, or `NoRoom`.
    ReserveThreadLocal { size: u64, alignment: u64 },
    /// Set what thread-local storage holds in every thread.
    InitialiseThreadLocal { offset: i64, bytes: Vec<u8> },
    /// Give thread-local storage back, down to this offset.
    ReleaseThreadLocal { offset: i64 },
    /// Look names up, each with a version or none. Answered by `Found`.
    Resolve {
        names: Vec<(String, Option<String>)>,
    },
    /// Open a shared library for all to see.
    Open { library: String },
    /// Which thread serves? Answered by `Value`, its number.
    Agent,
    /// Where does the process count its forks? Answered by `Value`, the address
    /// of two words.
    Forks,
    /// Map another memory file, which comes along with the frame and holds the
    /// same bytes, in the place of a reservation's.
    Remap {
        start: u64,
        length: u64,
        executable: bool,
    },
    /// Call `main`. Answered by `Done` just before.
    Start {
        main: u64,
        arguments: Vec<Vec<u8>>,
        serve: bool,
        /// Whether others may attach to it, and whether it waits for them.
        debuggable: bool,
        wait: bool,
    },
    /// Tell debuggers of an object. Answered by `Value`, by which it is taken
    /// back.
    List { debug_image: Vec<u8> },
    /// Take that back.
    Unlist { listed: u64 },
    /// Where is the stub of a lazy symbol? Answered by `Value`, its address.
    Stub { token: u64 },
    /// A lazy library is there: stubs go to these functions.
    Bind {
        cells: Vec<(u64, u64)>,
        library: u64,
        instance: u64,
    },
    /// The lazy call goes on at this address. Not answered.
    GoOn { function: u64 },
    /// The lazy call has nowhere to go, for this reason. Not answered.
    GiveUp { why: String },
    /// What begins at these addresses? Answered by `Described`.
    Describe { at: Vec<u64> },
    /// Give a library's thread-local an offset. Answered by `Found`, of one.
    ThreadLocal { name: String },
}

/// What a worker asks, or a child of it, when a lazy symbol is called: not a
/// frame, but one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The symbol.
    pub token: u32,
    /// The process, by a number that none of its children has.
    pub process: u64,
    /// The thread that called.
    pub thread: u64,
    /// The libraries that the process has, and which instances of them.
    pub loaded: Vec<(u64, u64)>,
}

impl Question {
    /// The question as a packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.numbers(&[u64::from(self.token), self.process, self.thread]);
        out.pairs(&self.loaded);
        out.0
    }

    /// The inverse of [`encode`](Question::encode).
    pub fn decode(packet: &[u8]) -> Result<Question, Garbled> {
        let mut from = Decoder(packet);
        let question = Question {
            token: u32::try_from(from.number()?).map_err(|_| Garbled)?,
            process: from.number()?,
            thread: from.number()?,
            loaded: from.pairs()?,
        };
        from.end(question)
    }
}

/// What the worker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// It is done, with this result.
    Value(u64),
    /// The bytes that were asked for.
    Bytes(Vec<u8>),
    /// What the names stand for, in order.
    Found(Vec<Option<Outside>>),
    /// What begins at the addresses, in order.
    Described(Vec<Option<Extent>>),
    /// There is no room for the reservation.
    NoRoom,
    /// It could not be done, and nothing changed.
    Failed(String),
}

/// The peer sent what makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

impl Request {
    /// The message as a frame's content.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        match self {
            Request::Reserve(want) => {
                out.record(0, &[want.length, want.alignment]);
                out.tag(tag_of(want.protection));
                match &want.near {
                    Near::Anywhere => out.tag(0),
                    Near::Low => out.tag(1),
                    Near::Range(range) => out.record(2, &[range.start.get(), range.end.get()]),
                    Near::At(at) => out.record(3, &[at.get()]),
                }
            }
            Request::Release { start, length } => out.record(1, &[*start, *length]),
            Request::Commit { start, length } => out.record(2, &[*start, *length]),
            Request::Decommit {
                start,
                length,
                protection,
            } => {
                out.record(3, &[*start, *length]);
                out.tag(tag_of(*protection));
            }
            Request::Read { start, length } => out.record(4, &[*start, *length]),
            Request::Write { start, bytes } => {
                out.record(5, &[*start]);
                out.bytes(bytes);
            }
            Request::Call {
                function,
                arguments,
            } => {
                out.record(6, &[*function]);
                out.numbers(arguments);
            }
            Request::AtExit { function } => out.record(7, &[*function]),
            Request::RegisterFrames { start } => out.record(8, &[*start]),
            Request::DeregisterFrames { start } => out.record(9, &[*start]),
            Request::ReserveThreadLocal { size, alignment } => {
                out.record(13, &[*size, *alignment]);
            }
            Request::InitialiseThreadLocal { offset, bytes } => {
                out.record(14, &[offset.cast_unsigned()]);
                out.bytes(bytes);
            }
            Request::ReleaseThreadLocal { offset } => {
                out.record(15, &[offset.cast_unsigned()]);
            }
            Request::Resolve { names } => {
                out.record(10, &[names.len() as u64]);
                for (name, version) in names {
                    out.bytes(name.as_bytes());
                    out.tag(u8::from(version.is_some()));
                    if let Some(version) = version {
                        out.bytes(version.as_bytes());
                    }
                }
            }
            Request::Open { library } => {
                out.tag(11);
                out.bytes(library.as_bytes());
            }
            Request::Agent => out.tag(16),
            Request::Forks => out.tag(17),
            Request::Remap {
                start,
                length,
                executable,
            } => {
                out.record(18, &[*start, *length]);
                out.tag(u8::from(*executable));
            }
            Request::Start {
                main,
                arguments,
                serve,
                debuggable,
                wait,
            } => {
                out.record(12, &[*main, arguments.len() as u64]);
                for argument in arguments {
                    out.bytes(argument);
                }
                for flag in [serve, debuggable, wait] {
                    out.tag(u8::from(*flag));
                }
            }
            Request::List { debug_image } => {
                out.tag(19);
                out.bytes(debug_image);
            }
            Request::Unlist { listed } => out.record(20, &[*listed]),
            Request::Stub { token } => out.record(21, &[*token]),
            Request::Bind {
                cells,
                library,
                instance,
            } => {
                out.record(22, &[*library, *instance]);
                out.pairs(cells);
            }
            Request::GoOn { function } => out.record(23, &[*function]),
            Request::GiveUp { why } => {
                out.tag(24);
                out.bytes(why.as_bytes());
            }
            Request::ThreadLocal { name } => {
                out.tag(26);
                out.bytes(name.as_bytes());
            }
            Request::Describe { at } => {
                out.record(25, &[at.len() as u64]);
                out.numbers(at);
            }
        }
        out.0
    }

    /// The inverse of [`encode`](Request::encode).
    pub fn decode(frame: &[u8]) -> Result<Request, Garbled> {
        let mut from = Decoder(frame);
        let request = match from.tag()? {
            0 => Request::Reserve(Reserve {
                length: from.number()?,
                alignment: from.number()?,
                protection: from.protection()?,
                near: match from.tag()? {
                    0 => Near::Anywhere,
                    1 => Near::Low,
                    2 => Near::Range(HostAddr(from.number()?)..HostAddr(from.number()?)),
                    3 => Near::At(HostAddr(from.number()?)),
                    _ => return Err(Garbled),
                },
            }),
            1 => Request::Release {
                start: from.number()?,
                length: from.number()?,
            },
            2 => Request::Commit {
                start: from.number()?,
                length: from.number()?,
            },
            3 => Request::Decommit {
                start: from.number()?,
                length: from.number()?,
                protection: from.protection()?,
            },
            4 => Request::Read {
                start: from.number()?,
                length: from.number()?,
            },
            5 => Request::Write {
                start: from.number()?,
                bytes: from.bytes()?.to_vec(),
            },
            6 => Request::Call {
                function: from.number()?,
                arguments: {
                    let mut arguments = [0; 6];
                    for argument in &mut arguments {
                        *argument = from.number()?;
                    }
                    arguments
                },
            },
            7 => Request::AtExit {
                function: from.number()?,
            },
            8 => Request::RegisterFrames {
                start: from.number()?,
            },
            9 => Request::DeregisterFrames {
                start: from.number()?,
            },
            10 => Request::Resolve {
                names: from.list(|from| {
                    let name = from.text()?;
                    let version = match from.flag()? {
                        true => Some(from.text()?),
                        false => None,
                    };
                    Ok((name, version))
                })?,
            },
            11 => Request::Open {
                library: from.text()?,
            },
            12 => Request::Start {
                main: from.number()?,
                arguments: from.list(|from| Ok(from.bytes()?.to_vec()))?,
                serve: from.flag()?,
                debuggable: from.flag()?,
                wait: from.flag()?,
            },
            13 => Request::ReserveThreadLocal {
                size: from.number()?,
                alignment: from.number()?,
            },
            14 => Request::InitialiseThreadLocal {
                offset: from.number()?.cast_signed(),
                bytes: from.bytes()?.to_vec(),
            },
            15 => Request::ReleaseThreadLocal {
                offset: from.number()?.cast_signed(),
            },
            16 => Request::Agent,
            17 => Request::Forks,
            18 => Request::Remap {
                start: from.number()?,
                length: from.number()?,
                executable: from.flag()?,
            },
            19 => Request::List {
                debug_image: from.bytes()?.to_vec(),
            },
            20 => Request::Unlist {
                listed: from.number()?,
            },
            21 => Request::Stub {
                token: from.number()?,
            },
            22 => {
                let (library, instance) = (from.number()?, from.number()?);
                Request::Bind {
                    cells: from.pairs()?,
                    library,
                    instance,
                }
            }
            25 => Request::Describe {
                at: from.list(Decoder::number)?,
            },
            26 => Request::ThreadLocal { name: from.text()? },
            23 => Request::GoOn {
                function: from.number()?,
            },
            24 => Request::GiveUp { why: from.text()? },
            _ => return Err(Garbled),
        };
        from.end(request)
    }
}

impl Reply {
    /// The message as a frame's content.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        match self {
            Reply::Done => out.tag(0),
            Reply::Value(value) => out.record(1, &[*value]),
            Reply::Bytes(bytes) => {
                out.tag(2);
                out.bytes(bytes);
            }
            Reply::Found(found) => {
                out.record(3, &[found.len() as u64]);
                for outside in found {
                    match outside {
                        None => out.tag(0),
                        Some(Outside::Address(at)) => out.record(1, &[at.get()]),
                        Some(Outside::Ifunc(at)) => out.record(2, &[at.get()]),
                        Some(Outside::ThreadOffset(offset)) => {
                            out.record(3, &[offset.cast_unsigned()]);
                        }
                    }
                }
            }
            Reply::Described(extents) => {
                out.record(6, &[extents.len() as u64]);
                for extent in extents {
                    match extent {
                        None => out.tag(0),
                        Some(Extent { size, function }) => {
                            out.record(1 + u8::from(*function), &[*size]);
                        }
                    }
                }
            }
            Reply::NoRoom => out.tag(4),
            Reply::Failed(why) => {
                out.tag(5);
                out.bytes(why.as_bytes());
            }
        }
        out.0
    }

    /// The inverse of [`encode`](Reply::encode).
    pub fn decode(frame: &[u8]) -> Result<Reply, Garbled> {
        let mut from = Decoder(frame);
        let reply = match from.tag()? {
            0 => Reply::Done,
            1 => Reply::Value(from.number()?),
            2 => Reply::Bytes(from.bytes()?.to_vec()),
            3 => Reply::Found(from.list(|from| {
                Ok(match from.tag()? {
                    0 => None,
                    1 => Some(Outside::Address(HostAddr(from.number()?))),
                    2 => Some(Outside::Ifunc(HostAddr(from.number()?))),
                    3 => Some(Outside::ThreadOffset(from.number()?.cast_signed())),
                    _ => return Err(Garbled),
                })
            })?),
            4 => Reply::NoRoom,
            5 => Reply::Failed(from.text()?),
            6 => Reply::Described(from.list(|from| {
                let function = match from.tag()? {
                    0 => return Ok(None),
                    1 => false,
                    2 => true,
                    _ => return Err(Garbled),
                };
                let size = from.number()?;
                Ok(Some(Extent { size, function }))
            })?),
            _ => return Err(Garbled),
        };
        from.end(reply)
    }
}

fn tag_of(protection: Protection) -> u8 {
    match protection {
        Protection::Code => 0,
        Protection::ReadOnly => 1,
        Protection::Data => 2,
    }
}

/// Bytes in the making: what a [`Decoder`] reads again.
#[derive(Default)]
pub(crate) struct Encoder(pub Vec<u8>);

impl Encoder {
    pub fn tag(&mut self, tag: u8) {
        self.0.push(tag);
    }

    pub fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub fn record(&mut self, tag: u8, numbers: &[u64]) {
        self.tag(tag);
        self.numbers(numbers);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.numbers(&[bytes.len() as u64]);
        self.0.extend_from_slice(bytes);
    }

    pub fn pairs(&mut self, pairs: &[(u64, u64)]) {
        self.numbers(&[pairs.len() as u64]);
        for (one, other) in pairs {
            self.numbers(&[*one, *other]);
        }
    }
}

/// Reads what an [`Encoder`] wrote, and trusts no length in it.
pub(crate) struct Decoder<'a>(pub &'a [u8]);

impl<'a> Decoder<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Garbled> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Garbled)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn tag(&mut self) -> Result<u8, Garbled> {
        Ok(self.take(1)?[0])
    }

    pub fn flag(&mut self) -> Result<bool, Garbled> {
        match self.tag()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Garbled),
        }
    }

    fn protection(&mut self) -> Result<Protection, Garbled> {
        match self.tag()? {
            0 => Ok(Protection::Code),
            1 => Ok(Protection::ReadOnly),
            2 => Ok(Protection::Data),
            _ => Err(Garbled),
        }
    }

    pub fn number(&mut self) -> Result<u64, Garbled> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Garbled)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Garbled> {
        let length = usize::try_from(self.number()?).map_err(|_| Garbled)?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<String, Garbled> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Garbled)
    }

    /// A counted list. Each item takes at least one byte, so a count beyond
    /// what is left is a lie, found out before anything is allocated.
    pub fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Garbled>,
    ) -> Result<Vec<T>, Garbled> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err(Garbled);
        }
        (0..count).map(|_| item(self)).collect()
    }

    pub fn pairs(&mut self) -> Result<Vec<(u64, u64)>, Garbled> {
        self.list(|from| Ok((from.number()?, from.number()?)))
    }

    pub fn end<T>(&self, message: T) -> Result<T, Garbled> {
        if self.0.is_empty() {
            Ok(message)
        } else {
            Err(Garbled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let reserve = |protection, near| {
            Request::Reserve(Reserve {
                length: 1 << 30,
                alignment: 4096,
                protection,
                near,
            })
        };
        vec![
            reserve(Protection::ReadOnly, Near::Low),
            reserve(Protection::Code, Near::Anywhere),
            reserve(Protection::Data, Near::At(HostAddr(5))),
            reserve(Protection::Data, Near::Range(HostAddr(5)..HostAddr(7))),
            Request::Release {
                start: 1,
                length: 2,
            },
            Request::Commit {
                start: 3,
                length: 4,
            },
            Request::Decommit {
                start: 5,
                length: 6,
                protection: Protection::ReadOnly,
            },
            Request::Read {
                start: 7,
                length: 8,
            },
            Request::Write {
                start: 9,
                bytes: vec![1, 2, 3],
            },
            Request::Call {
                function: 10,
                arguments: [1, 2, 3, 4, 5, u64::MAX],
            },
            Request::AtExit { function: 11 },
            Request::RegisterFrames { start: 12 },
            Request::DeregisterFrames { start: 13 },
            Request::ReserveThreadLocal {
                size: 14,
                alignment: 15,
            },
            Request::InitialiseThreadLocal {
                offset: -16,
                bytes: vec![17],
            },
            Request::ReleaseThreadLocal { offset: -18 },
            Request::Resolve {
                names: vec![
                    ("memcpy".into(), Some("GLIBC_2.14".into())),
                    ("puts".into(), None),
                ],
            },
            Request::Open {
                library: "libm.so.6".into(),
            },
            Request::Agent,
            Request::Forks,
            Request::Remap {
                start: 20,
                length: 21,
                executable: true,
            },
            Request::Start {
                main: 14,
                arguments: vec![b"prog".to_vec(), vec![0xff]],
                serve: true,
                debuggable: false,
                wait: true,
            },
            Request::List {
                debug_image: vec![22, 23],
            },
            Request::Unlist { listed: 24 },
            Request::Stub { token: 25 },
            Request::Bind {
                cells: vec![(26, 27), (28, 29)],
                library: 30,
                instance: 31,
            },
            Request::GoOn { function: 32 },
            Request::GiveUp {
                why: "it does not compile".into(),
            },
            Request::Describe { at: vec![33, 34] },
            Request::ThreadLocal {
                name: "local".into(),
            },
        ]
    }

    fn replies() -> Vec<Reply> {
        vec![
            Reply::Done,
            Reply::Value(7),
            Reply::Bytes(vec![1, 2]),
            Reply::Found(vec![
                None,
                Some(Outside::Address(HostAddr(1))),
                Some(Outside::Ifunc(HostAddr(2))),
                Some(Outside::ThreadOffset(-8)),
            ]),
            Reply::Described(vec![
                None,
                Some(Extent {
                    size: 24,
                    function: false,
                }),
                Some(Extent {
                    size: 0,
                    function: true,
                }),
            ]),
            Reply::NoRoom,
            Reply::Failed("no such library".into()),
        ]
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for request in requests() {
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        for reply in replies() {
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn a_question_arrives_as_it_was_asked() {
        let question = Question {
            token: 1,
            process: 2,
            thread: 3,
            loaded: vec![(4, 5), (6, 7)],
        };
        let packet = question.encode();
        for cut in 0..packet.len() {
            assert_eq!(Question::decode(&packet[..cut]), Err(Garbled));
        }
        assert_eq!(Question::decode(&packet), Ok(question));
    }

    #[test]
    fn no_cut_and_no_flipped_bit_panics_or_passes_for_the_same_message() {
        for request in requests() {
            let frame = request.encode();
            for cut in 0..frame.len() {
                assert_eq!(Request::decode(&frame[..cut]), Err(Garbled));
            }
            for bit in 0..frame.len() * 8 {
                let mut bent = frame.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(Request::decode(&bent), Ok(request.clone()));
            }
        }
        for reply in replies() {
            let frame = reply.encode();
            for cut in 0..frame.len() {
                assert_eq!(Reply::decode(&frame[..cut]), Err(Garbled));
            }
        }
    }
}
