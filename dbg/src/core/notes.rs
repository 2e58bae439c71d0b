//! The notes of a core file: the kernel's structures as bytes, to and fro.
//!
//! Layouts are of `<sys/procfs.h>` and `<linux/elfcore.h>` on x86-64.

use crate::registers::{Registers, X86_64, x86};
use crate::signal::Signal;
use crate::target::{Address, ProcessId, SignalInfo};

pub const NT_PRSTATUS: u32 = 1;
pub const NT_FPREGSET: u32 = 2;
pub const NT_PRPSINFO: u32 = 3;
pub const NT_AUXV: u32 = 6;
pub const NT_X86_XSTATE: u32 = 0x202;
pub const NT_SIGINFO: u32 = 0x5349_4749;
pub const NT_FILE: u32 = 0x4649_4c45;

/// Bytes of `struct elf_prstatus`.
const PRSTATUS: usize = 336;
/// Bytes of `struct elf_prpsinfo`.
const PRPSINFO: usize = 136;
/// Bytes of `siginfo_t`.
const SIGINFO: usize = 128;
/// Where the registers are in `struct elf_prstatus`.
const PRSTATUS_REGISTERS: usize = 112;
/// More mapped files than any process has.
const MOST_FILES: u64 = 1 << 20;

/// [`Registers`]' indices in the order of `struct user_regs_struct`.
const USER_REGISTERS: [usize; 27] = [
    x86::R15,
    x86::R14,
    x86::R13,
    x86::R12,
    x86::RBP,
    x86::RBX,
    x86::R11,
    x86::R10,
    x86::R9,
    x86::R8,
    x86::RAX,
    x86::RCX,
    x86::RDX,
    x86::RSI,
    x86::RDI,
    x86::ORIG_RAX,
    x86::RIP,
    18, // cs
    x86::EFLAGS,
    x86::RSP,
    19, // ss
    x86::FS_BASE,
    x86::GS_BASE,
    20, // ds
    21, // es
    22, // fs
    23, // gs
];

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn word32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// What `NT_PRSTATUS` says of a thread.
#[derive(Clone, Debug)]
pub struct Status {
    pub thread: i32,
    pub signal: i32,
    pub blocked: u64,
    pub registers: Registers,
}

impl Status {
    pub fn read(bytes: &[u8]) -> Option<Status> {
        let mut registers = Registers::new(&X86_64);
        for (place, index) in USER_REGISTERS.iter().enumerate() {
            registers.set(*index, word64(bytes, PRSTATUS_REGISTERS + 8 * place)?);
        }
        Some(Status {
            thread: word32(bytes, 32)?,
            signal: i32::from(i16::from_le_bytes(bytes.get(12..14)?.try_into().ok()?)),
            blocked: word64(bytes, 24)?,
            registers,
        })
    }

    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![0; PRSTATUS];
        put(&mut bytes, 0, &self.signal.to_le_bytes());
        put(&mut bytes, 12, &(self.signal as i16).to_le_bytes());
        put(&mut bytes, 24, &self.blocked.to_le_bytes());
        put(&mut bytes, 32, &self.thread.to_le_bytes());
        for (place, index) in USER_REGISTERS.iter().enumerate() {
            let value = self.registers.get(*index).to_le_bytes();
            put(&mut bytes, PRSTATUS_REGISTERS + 8 * place, &value);
        }
        // pr_fpvalid
        put(&mut bytes, PRSTATUS - 8, &1u32.to_le_bytes());
        bytes
    }
}

/// `NT_PRPSINFO`: the process as `ps` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Process {
    pub process: i32,
    /// The command's name, 15 bytes of it.
    pub name: String,
    /// Its command line, 79 bytes of it.
    pub command: String,
}

impl Process {
    pub fn read(bytes: &[u8]) -> Option<Process> {
        let text = |range: std::ops::Range<usize>| {
            let text = bytes.get(range)?;
            let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
            Some(String::from_utf8_lossy(&text[..end]).trim_end().to_owned())
        };
        Some(Process {
            process: word32(bytes, 24)?,
            name: text(40..56)?,
            command: text(56..136)?,
        })
    }

    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![0; PRPSINFO];
        bytes[1] = b'R';
        put(&mut bytes, 24, &self.process.to_le_bytes());
        let cut = |text: &str, most: usize| text.as_bytes()[..text.len().min(most)].to_vec();
        put(&mut bytes, 40, &cut(&self.name, 15));
        put(&mut bytes, 56, &cut(&self.command, 79));
        bytes
    }
}

/// `NT_SIGINFO`, the parts of `siginfo_t` that [`SignalInfo`] has.
pub fn read_signal(bytes: &[u8]) -> Option<SignalInfo> {
    let signal = Signal(word32(bytes, 0)?);
    let code = word32(bytes, 8)?;
    // The union that follows holds the address of a fault, or the sender.
    let fault = signal.is_fault() && code > 0;
    Some(SignalInfo {
        signal,
        code,
        address: fault.then(|| word64(bytes, 16).map(Address)).flatten(),
        sender: match fault {
            true => None,
            false => word32(bytes, 16).filter(|p| *p > 0).map(ProcessId),
        },
    })
}

/// The counterpart of [`read_signal`].
pub fn write_signal(info: &SignalInfo) -> Vec<u8> {
    let mut bytes = vec![0; SIGINFO];
    put(&mut bytes, 0, &info.signal.0.to_le_bytes());
    put(&mut bytes, 8, &info.code.to_le_bytes());
    if let Some(address) = info.address {
        put(&mut bytes, 16, &address.0.to_le_bytes());
    } else if let Some(sender) = info.sender {
        put(&mut bytes, 16, &sender.0.to_le_bytes());
    }
    bytes
}

/// `NT_AUXV`: keys and values.
pub fn read_auxiliary(bytes: &[u8]) -> Vec<(u64, u64)> {
    (0..bytes.len() / 16)
        .filter_map(|i| Some((word64(bytes, 16 * i)?, word64(bytes, 16 * i + 8)?)))
        .collect()
}

/// The counterpart of [`read_auxiliary`].
pub fn write_auxiliary(vector: &[(u64, u64)]) -> Vec<u8> {
    let words = vector.iter().flat_map(|(key, value)| [*key, *value]);
    words.flat_map(u64::to_le_bytes).collect()
}

/// A mapping of a file, as `NT_FILE` lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappedFile {
    pub start: u64,
    pub end: u64,
    /// In bytes.
    pub offset: u64,
    pub path: String,
}

/// `NT_FILE`: a count and the unit of the offsets, then three words for each
/// mapping, then their names, each ended by a zero.
pub fn read_files(bytes: &[u8]) -> Option<Vec<MappedFile>> {
    let count = word64(bytes, 0)?;
    let unit = word64(bytes, 8)?;
    if count > MOST_FILES {
        return None;
    }
    let count = count as usize;
    let mut names = bytes.get(16 + 24 * count..)?.split(|b| *b == 0);
    (0..count)
        .map(|index| {
            let at = 16 + 24 * index;
            Some(MappedFile {
                start: word64(bytes, at)?,
                end: word64(bytes, at + 8)?,
                offset: word64(bytes, at + 16)?.checked_mul(unit)?,
                path: String::from_utf8_lossy(names.next()?).into_owned(),
            })
        })
        .collect()
}

/// The counterpart of [`read_files`].
pub fn write_files(files: &[MappedFile]) -> Vec<u8> {
    let mut words = vec![files.len() as u64, 1];
    words.extend(files.iter().flat_map(|f| [f.start, f.end, f.offset]));
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    for file in files {
        bytes.extend(file.path.as_bytes());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut registers = Registers::new(&X86_64);
        (0..27).for_each(|i| registers.set(i, 100 + i as u64));
        let status = Status {
            thread: 77,
            signal: 11,
            blocked: 1 << 9,
            registers,
        };
        let read = Status::read(&status.write()).unwrap();
        assert_eq!((read.thread, read.signal, read.blocked), (77, 11, 1 << 9));
        assert_eq!(read.registers, registers);
        assert!(Status::read(&status.write()[..300]).is_none());

        let process = Process {
            process: 5,
            name: "a-name-longer-than-fifteen".into(),
            command: "./a b".into(),
        };
        let read = Process::read(&process.write()).unwrap();
        assert_eq!(read.name, "a-name-longer-t");
        assert_eq!((read.process, read.command.as_str()), (5, "./a b"));

        let files = vec![MappedFile {
            start: 0x1000,
            end: 0x3000,
            offset: 0x2000,
            path: "/a b".into(),
        }];
        assert_eq!(read_files(&write_files(&files)).unwrap(), files);
        let mut many = write_files(&files);
        many[0] = 9;
        assert!(read_files(&many).is_none());
        assert!(read_files(&[255; 16]).is_none());
    }
}
