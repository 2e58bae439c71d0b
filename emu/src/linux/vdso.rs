//! The library that Linux itself gives every program (`AT_SYSINFO_EHDR`): the
//! clock functions that a C library calls in place of the system calls, and
//! where signal handlers return to.
//!
//! It is one page, an ELF shared object made here from the few instructions of
//! each function: every function makes its system call, which costs here little
//! more than what it asks the host's own vdso for.

use crate::memory::PAGE_SIZE;

/// What one architecture's library has.
pub struct Vdso {
    /// The version that its functions have.
    pub version: &'static str,
    /// Their names and instructions. The first is where handlers return to.
    pub functions: &'static [(&'static str, &'static [u32])],
}

/// The library, ready to be mapped.
pub struct Image {
    /// Its page.
    pub bytes: Vec<u8>,
    /// Where in it the first function is.
    pub first: u64,
}

const NAME: &str = "linux-vdso.so.1";
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SYMBOL: usize = 24;
/// The version of the library as a whole, and of its functions.
const BASE_VERSION: u16 = 1;
const VERSION: u16 = 2;

/// The dynamic section's tags.
mod tag {
    pub const HASH: u64 = 4;
    pub const STRINGS: u64 = 5;
    pub const SYMBOLS: u64 = 6;
    pub const STRINGS_SIZE: u64 = 10;
    pub const SYMBOL_SIZE: u64 = 11;
    pub const NAME: u64 = 14;
    pub const VERSIONS: u64 = 0x6fff_fff0;
    pub const DEFINITIONS: u64 = 0x6fff_fffc;
    pub const DEFINITIONS_COUNT: u64 = 0x6fff_fffd;
}

/// The hash of System V's ABI, for names of symbols and versions.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

/// A table of strings as it grows.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, name: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        at
    }
}

/// Adds a table to the page, aligned to 8 bytes; gives where it is.
fn put(page: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    page.resize(page.len().next_multiple_of(8), 0);
    let at = page.len() as u64;
    page.extend_from_slice(bytes);
    at
}

fn words<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    words
        .iter()
        .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

fn longs<const N: usize>(out: &mut Vec<u8>, longs: [u64; N]) {
    longs
        .iter()
        .for_each(|long| out.extend_from_slice(&long.to_le_bytes()));
}

impl Vdso {
    /// Makes the library, for this ELF machine.
    pub fn image(&self, machine: u16) -> Image {
        let count = self.functions.len() as u32 + 1;
        let mut page = vec![0; HEADER + 2 * PROGRAM_HEADER];
        let mut text = Vec::new();
        for (_, code) in self.functions {
            text.resize(usize::next_multiple_of(text.len(), 16), 0);
            code.iter()
                .for_each(|word| text.extend_from_slice(&word.to_le_bytes()));
        }
        page.resize(page.len().next_multiple_of(16), 0);
        let text_at = put(&mut page, &text);

        let mut strings = Strings(vec![0]);
        let (own, version) = (strings.add(NAME), strings.add(self.version));
        let (mut symbols, mut versions) = (vec![0; SYMBOL], 0u16.to_le_bytes().to_vec());
        let mut at = text_at;
        for (name, code) in self.functions {
            at = at.next_multiple_of(16);
            let length = 4 * code.len() as u64;
            words(&mut symbols, [strings.add(name)]);
            // A global function, in some section.
            symbols.extend_from_slice(&[0x12, 0, 1, 0]);
            longs(&mut symbols, [at, length]);
            versions.extend_from_slice(&VERSION.to_le_bytes());
            at += length;
        }
        // One bucket: every symbol but the first, each followed by the next.
        let mut table = Vec::new();
        words(&mut table, [1, count, 1, 0]);
        (2..count)
            .chain([0])
            .for_each(|next| words(&mut table, [next]));
        let mut definitions = Vec::new();
        let mut define = |index: u16, flags: u16, name: &str, at: u32, next: u32| {
            for half in [1, flags, index, 1] {
                definitions.extend_from_slice(&half.to_le_bytes());
            }
            words(&mut definitions, [hash(name), 20, next, at, 0]);
        };
        define(BASE_VERSION, 1, NAME, own, 28);
        define(VERSION, 0, self.version, version, 0);

        let strings_size = strings.0.len() as u64;
        let entries = [
            (tag::HASH, put(&mut page, &table)),
            (tag::SYMBOLS, put(&mut page, &symbols)),
            (tag::STRINGS, put(&mut page, &strings.0)),
            (tag::STRINGS_SIZE, strings_size),
            (tag::SYMBOL_SIZE, SYMBOL as u64),
            (tag::NAME, own.into()),
            (tag::VERSIONS, put(&mut page, &versions)),
            (tag::DEFINITIONS, put(&mut page, &definitions)),
            (tag::DEFINITIONS_COUNT, 2),
            (0, 0),
        ];
        let dynamic: Vec<u8> = entries
            .iter()
            .flat_map(|(tag, value)| [*tag, *value])
            .flat_map(u64::to_le_bytes)
            .collect();
        let dynamic_at = put(&mut page, &dynamic);
        let length = page.len() as u64;
        assert!(length <= PAGE_SIZE, "the library fits a page");
        let header = header(machine, length, dynamic_at, dynamic.len() as u64);
        page[..header.len()].copy_from_slice(&header);
        Image {
            bytes: page,
            first: text_at,
        }
    }
}

/// The ELF header, and the program headers: all of it loaded, and where the
/// dynamic section is.
fn header(machine: u16, length: u64, dynamic: u64, dynamic_length: u64) -> Vec<u8> {
    const SHARED_OBJECT: u16 = 3;
    const READ_EXECUTE: u32 = 5;
    const READ: u32 = 4;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend_from_slice(&SHARED_OBJECT.to_le_bytes());
    out.extend_from_slice(&machine.to_le_bytes());
    words(&mut out, [1]);
    longs(&mut out, [0, HEADER as u64, 0]);
    words(&mut out, [0]);
    for half in [HEADER as u16, PROGRAM_HEADER as u16, 2, 0, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    words(&mut out, [libc::PT_LOAD, READ_EXECUTE]);
    longs(&mut out, [0, 0, 0, length, length, PAGE_SIZE]);
    words(&mut out, [libc::PT_DYNAMIC, READ]);
    longs(
        &mut out,
        [dynamic, dynamic, dynamic, dynamic_length, dynamic_length, 8],
    );
    out
}
