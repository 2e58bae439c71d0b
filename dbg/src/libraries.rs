//! What the dynamic linker says of the libraries a process has: the debugger
//! rendezvous (`struct r_debug` and its list of `struct link_map`, see
//! `<link.h>`), read from memory.
//!
//! Pure reading: which modules to open is the caller's decision. All numbers
//! come from a program that may be broken, so lists are bounded.

use std::path::PathBuf;

use crate::target::{Address, Result, Target, TargetError};

/// Keys of the auxiliary vector (`<elf.h>`).
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
const AT_BASE: u64 = 7;
const AT_ENTRY: u64 = 9;
const AT_SYSINFO_EHDR: u64 = 33;

const PT_DYNAMIC: u32 = 2;
const PT_PHDR: u32 = 6;
const DT_NULL: u64 = 0;
const DT_DEBUG: u64 = 21;
/// Bytes of a 64-bit program header.
const PHDR: u64 = 56;

/// More libraries than any program has.
const MOST_LIBRARIES: usize = 100_000;
/// More program headers or dynamic entries than any file has.
const MOST_ENTRIES: u64 = 4096;
/// Longer than any path.
const LONGEST_NAME: usize = 4096;

/// A library as the dynamic linker lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Library {
    /// What was added to each of the file's addresses.
    pub bias: u64,
    /// Its path; empty for the program itself.
    pub name: PathBuf,
    /// Where its dynamic section is: what tells two libraries apart.
    pub dynamic: Address,
}

/// What the kernel put where, before the first instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ground {
    /// Where the program starts.
    pub entry: Option<Address>,
    /// Where the dynamic linker was put; `None` for a static program.
    pub interpreter: Option<Address>,
    /// Where the vdso is.
    pub vdso: Option<Address>,
}

/// Reads the auxiliary vector.
pub fn ground(target: &mut dyn Target) -> Ground {
    let mut at = |key| target.auxiliary(key).filter(|v| *v != 0).map(Address);
    Ground {
        entry: at(AT_ENTRY),
        interpreter: at(AT_BASE),
        vdso: at(AT_SYSINFO_EHDR),
    }
}

/// Reads a word.
pub fn read_word(target: &mut dyn Target, at: Address) -> Result<u64> {
    let mut bytes = [0; 8];
    target.read(at, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads a text up to its zero.
pub fn read_text(target: &mut dyn Target, at: Address) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < LONGEST_NAME {
        // As much as is left of the page, so that no read crosses into nothing.
        let from = at.add(text.len() as u64);
        let mut piece = vec![0; (256 - from.0 % 256) as usize];
        target.read(from, &mut piece)?;
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            text.extend(&piece[..end]);
            break;
        }
        text.extend(piece);
    }
    Ok(text)
}

/// The program's `DT_DEBUG`: where the rendezvous structure is, once the dynamic
/// linker has set it up.
pub fn rendezvous(target: &mut dyn Target) -> Option<Address> {
    let headers = Address(target.auxiliary(AT_PHDR)?);
    let count = target.auxiliary(AT_PHNUM)?.min(MOST_ENTRIES);
    let (mut bias, mut dynamic) = (None, None);
    for index in 0..count {
        let at = headers.add(index * PHDR);
        let kind = read_word(target, at).ok()? as u32;
        let address = read_word(target, at.add(16)).ok()?;
        match kind {
            PT_PHDR => bias = Some(headers.0.wrapping_sub(address)),
            PT_DYNAMIC => dynamic = Some(address),
            _ => {}
        }
    }
    let dynamic = Address(dynamic?.wrapping_add(bias.unwrap_or(0)));
    for index in 0..MOST_ENTRIES {
        let at = dynamic.add(index * 16);
        match read_word(target, at).ok()? {
            DT_NULL => return None,
            DT_DEBUG => {
                let value = read_word(target, at.add(8)).ok()?;
                return (value != 0).then_some(Address(value));
            }
            _ => {}
        }
    }
    None
}

/// The libraries on the list, the program's own entry left out. `None` while the
/// list is being changed.
pub fn list(target: &mut dyn Target, rendezvous: Address) -> Result<Option<Vec<Library>>> {
    // struct r_debug { int version; link_map *map; void *brk; enum state; … }
    let state = read_word(target, rendezvous.add(24))? as u32;
    if state != 0 {
        return Ok(None);
    }
    let mut at = Address(read_word(target, rendezvous.add(8))?);
    let mut libraries = Vec::new();
    let mut first = true;
    while at.0 != 0 {
        if libraries.len() >= MOST_LIBRARIES {
            return Err(TargetError::Failed(
                "the dynamic linker's list of libraries has no end".to_owned(),
            ));
        }
        // struct link_map { addr bias; char *name; void *dynamic; link_map *next; … }
        let name = Address(read_word(target, at.add(8))?);
        let name = read_text(target, name).unwrap_or_default();
        if !first {
            libraries.push(Library {
                bias: read_word(target, at)?,
                name: String::from_utf8_lossy(&name).into_owned().into(),
                dynamic: Address(read_word(target, at.add(16))?),
            });
        }
        first = false;
        at = Address(read_word(target, at.add(24))?);
    }
    Ok(Some(libraries))
}
