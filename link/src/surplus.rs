//! Thread-locals of libraries, at offsets from the thread pointer that are the same
//! in every thread.
//!
//! A library that is opened late gets its thread-locals from the heap, thread by
//! thread, and `dlsym` gives the calling thread's copy. Linked code wants an offset.
//! The dynamic linker keeps a surplus of static storage for libraries whose code is
//! bound to offsets, and moves a library there when such a one is opened that refers
//! to it (`R_X86_64_TPOFF64`), unless somebody has used its thread-locals before. So a
//! small library is made that refers to the names that are wanted, as weak ones;
//! opened, it holds the offsets, and is closed again. What moved stays where it is.
//!
//! Source: System V ABI, chapters 4 and 5, for the file; glibc's
//! `elf/dl-reloc.c` (`_dl_try_allocate_static_tls`).

use std::ffi::{CStr, CString, c_int, c_void};
use std::{io, mem, ptr};

use object::elf;

/// A slot that the dynamic linker left alone. Thread-locals lie below the thread
/// pointer, so it is no offset.
const ABSENT: u64 = 1;
/// `EV_CURRENT`.
const VERSION: u32 = 1;
const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
const SYMBOL_LEN: usize = 24;
const RELA_LEN: usize = 24;
/// The size that alignments of a program header name, in bytes.
const PAGE: u64 = 4096;

/// The offsets of thread-locals, each `None` for a name that is no thread-local or
/// that nobody defines; or why they have none.
pub(crate) fn offsets(names: &[&CStr]) -> Result<Vec<Option<i64>>, String> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let library = Library::referring_to(names);
    let slots = library.read().map_err(|error| error.to_string())?;
    let offset = |slot: &u64| (*slot != ABSENT).then_some(slot.cast_signed());
    Ok(slots.iter().map(offset).collect())
}

/// A shared library as bytes.
struct Library {
    bytes: Vec<u8>,
    /// Where its slots lie, and how many they are.
    slots: (usize, usize),
}

impl Library {
    /// One that refers to thread-locals of these names, in a slot for each.
    fn referring_to(names: &[&CStr]) -> Library {
        let mut strings = vec![0];
        let mut symbols = vec![0; SYMBOL_LEN];
        for name in names {
            put(&mut symbols, &(strings.len() as u32).to_le_bytes());
            symbols.push(elf::STB_WEAK.0 << 4 | elf::STT_TLS.0);
            symbols.resize(symbols.len().next_multiple_of(SYMBOL_LEN), 0);
            strings.extend_from_slice(name.to_bytes_with_nul());
        }
        // One bucket, which is empty: it defines nothing.
        let mut hash = Vec::new();
        for word in [1, names.len() as u32 + 1, 0] {
            put(&mut hash, &word.to_le_bytes());
        }
        hash.resize(hash.len() + 4 * (names.len() + 1), 0);

        let mut bytes = vec![0; HEADER_LEN + 3 * PROGRAM_HEADER_LEN];
        let symbols_at = append(&mut bytes, &symbols);
        let strings_at = append(&mut bytes, &strings);
        let hash_at = append(&mut bytes, &hash);
        let slots_at = append(&mut bytes, &ABSENT.to_le_bytes().repeat(names.len()));
        let mut relocs = Vec::new();
        for number in 0..names.len() as u64 {
            let info = (number + 1) << 32 | u64::from(elf::R_X86_64_TPOFF64.0);
            for word in [slots_at as u64 + number * 8, info, 0] {
                put(&mut relocs, &word.to_le_bytes());
            }
        }
        let relocs_at = append(&mut bytes, &relocs);
        let mut dynamic = Vec::new();
        for (tag, value) in [
            (elf::DT_HASH, hash_at),
            (elf::DT_STRTAB, strings_at),
            (elf::DT_SYMTAB, symbols_at),
            (elf::DT_STRSZ, strings.len()),
            (elf::DT_SYMENT, SYMBOL_LEN),
            (elf::DT_RELA, relocs_at),
            (elf::DT_RELASZ, relocs.len()),
            (elf::DT_RELAENT, RELA_LEN),
            (elf::DT_NULL, 0),
        ] {
            put(&mut dynamic, &(tag.0 as u64).to_le_bytes());
            put(&mut dynamic, &(value as u64).to_le_bytes());
        }
        let dynamic_at = append(&mut bytes, &dynamic);
        write_headers(&mut bytes, dynamic_at..dynamic_at + dynamic.len());
        Library {
            bytes,
            slots: (slots_at, names.len()),
        }
    }

    /// Opens it, reads its slots and closes it.
    fn read(&self) -> io::Result<Vec<u64>> {
        // SAFETY: a descriptor is made, the bytes are written to it; it is closed below.
        let file = unsafe { libc::memfd_create(c"sapwood-offsets".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        let written = write(file, &self.bytes);
        let slots = written.and_then(|()| self.open(file));
        // SAFETY: it was made above.
        unsafe { libc::close(file) };
        slots
    }

    fn open(&self, file: c_int) -> io::Result<Vec<u64>> {
        let path = CString::new(format!("/proc/self/fd/{file}")).expect("no zero in it");
        // SAFETY: a library without code. While it is open its slots are mapped at its
        // base, which the dynamic linker says.
        unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            if handle.is_null() {
                return Err(said());
            }
            let mut map: *const LinkMap = ptr::null();
            let found = libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast());
            let slots = match found {
                0 => {
                    let first = ((*map).base as usize + self.slots.0) as *const u64;
                    Ok((0..self.slots.1)
                        .map(|slot| first.add(slot).read())
                        .collect())
                }
                _ => Err(said()),
            };
            libc::dlclose(handle);
            slots
        }
    }
}

/// The first field of the dynamic linker's `struct link_map`.
#[repr(C)]
struct LinkMap {
    base: u64,
}

/// What the dynamic linker has to say.
fn said() -> io::Error {
    // SAFETY: a text of the C library's, copied at once; null when there is none.
    let text = unsafe {
        let text = libc::dlerror();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    io::Error::other(text.unwrap_or_default())
}

fn write(file: c_int, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: it reads the bytes.
    let written = unsafe { libc::write(file, bytes.as_ptr().cast::<c_void>(), bytes.len()) };
    match usize::try_from(written) == Ok(bytes.len()) {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// The file's header and its segments: all of it, its table for the dynamic linker,
/// and a stack that is not executable.
fn write_headers(bytes: &mut [u8], dynamic: std::ops::Range<usize>) {
    let mut head = Vec::with_capacity(HEADER_LEN + 3 * PROGRAM_HEADER_LEN);
    head.extend_from_slice(&elf::ELFMAG);
    head.extend([elf::ELFCLASS64.0, elf::ELFDATA2LSB.0, VERSION as u8]);
    head.resize(16, 0);
    put(&mut head, &elf::ET_DYN.0.to_le_bytes());
    put(&mut head, &elf::EM_X86_64.0.to_le_bytes());
    put(&mut head, &VERSION.to_le_bytes());
    for word in [0, HEADER_LEN as u64, 0] {
        put(&mut head, &word.to_le_bytes());
    }
    put(&mut head, &0u32.to_le_bytes());
    for half in [HEADER_LEN, PROGRAM_HEADER_LEN, 3, 64, 0, 0] {
        put(&mut head, &(half as u16).to_le_bytes());
    }
    for (kind, part, alignment) in [
        (elf::PT_LOAD, 0..bytes.len(), PAGE),
        (elf::PT_DYNAMIC, dynamic, 8),
        (elf::PT_GNU_STACK, 0..0, 16),
    ] {
        put(&mut head, &kind.0.to_le_bytes());
        put(&mut head, &(elf::PF_R.0 | elf::PF_W.0).to_le_bytes());
        let (start, len) = (part.start as u64, part.len() as u64);
        for word in [start, start, start, len, len, alignment] {
            put(&mut head, &word.to_le_bytes());
        }
    }
    bytes[..head.len()].copy_from_slice(&head);
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend_from_slice(bytes);
}

/// Adds a part, aligned to words, and says where.
fn append(into: &mut Vec<u8>, part: &[u8]) -> usize {
    into.resize(into.len().next_multiple_of(mem::align_of::<u64>()), 0);
    let at = into.len();
    into.extend_from_slice(part);
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::thread_pointer;

    #[test]
    fn a_thread_local_has_one_offset_in_all_threads() {
        let names = [c"errno", c"no_such_name_anywhere", c"getpid"];
        let found = offsets(&names).unwrap();
        assert_eq!(found[1], None);
        let there = move || {
            let at = thread_pointer().wrapping_add(found[0].unwrap());
            // SAFETY: it gives the address of the thread's own.
            assert_eq!(at, unsafe { libc::__errno_location() } as i64);
        };
        let other = std::thread::spawn(there.clone());
        there();
        other.join().unwrap();
    }
}
