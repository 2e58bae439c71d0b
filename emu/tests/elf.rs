//! Malformed ELF files: each is one error that names the file and the offset,
//! and none is a panic or a mapping outside the guest.
//!
//! First the ways that a person can think of, as a table of patches to a good
//! file and the message that each must give; then random patches, from a seed
//! that the environment can set (`SAPWOOD_SEED`, and `SAPWOOD_ROUNDS` for more).

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use sapwood_emu::elf::{MACHINE_RISCV, Program};
use sapwood_emu::{GuestAddr, GuestMemory};

const LIMIT: u64 = 4 << 30;
const HEADERS: usize = 64;
const HEADER_SIZE: usize = 56;

/// A good program: text at 0x10000, data with zeroed space behind it, and an
/// interpreter's name.
fn good() -> Vec<u8> {
    let mut file = vec![0; 0x3000];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &2_u16.to_le_bytes());
    put(18, &MACHINE_RISCV.to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(24, &0x10100_u64.to_le_bytes());
    put(32, &(HEADERS as u64).to_le_bytes());
    put(52, &64_u16.to_le_bytes());
    put(54, &(HEADER_SIZE as u16).to_le_bytes());
    put(56, &3_u16.to_le_bytes());
    let mut header = |index: usize, kind: u32, flags: u32, words: [u64; 6]| {
        let at = HEADERS + index * HEADER_SIZE;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (word, value) in words.iter().enumerate() {
            put(at + 8 + word * 8, &value.to_le_bytes());
        }
    };
    header(0, 3, 4, [0x200, 0x10200, 0x10200, 8, 8, 1]);
    header(1, 1, 5, [0, 0x10000, 0x10000, 0x1000, 0x1000, 0x1000]);
    header(2, 1, 6, [0x1800, 0x12800, 0x12800, 0x900, 0x3000, 0x1000]);
    put(0x200, b"/lib/ld\0");
    file
}

/// Parses and loads a file; gives the message of what is wrong with it.
fn load(bytes: &[u8], memory: &GuestMemory) -> Result<u64, String> {
    let path = Path::new("prog");
    let program =
        Program::parse(path, bytes, MACHINE_RISCV, memory.limit()).map_err(|e| e.to_string())?;
    let file = in_memory(bytes);
    let loaded = program
        .load(&file, memory, GuestAddr(0x4000_0000))
        .map_err(|e| e.to_string())?;
    Ok(loaded.end.get())
}

/// A file in memory with these contents.
fn in_memory(bytes: &[u8]) -> File {
    // SAFETY: the name is a string that ends; the descriptor is new and ours.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"elf".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "a file in memory");
        File::from(OwnedFd::from_raw_fd(fd))
    };
    file.write_all(bytes).unwrap();
    file
}

fn memory() -> GuestMemory {
    GuestMemory::new(LIMIT).expect("4 GiB of addresses")
}

#[test]
fn a_good_program_is_laid_out() {
    let memory = memory();
    let mut bytes = good();
    bytes[0x1800..0x2100].fill(7);
    bytes[0x2100..].fill(9);
    assert_eq!(load(&bytes, &memory), Ok(0x15800));
    assert_eq!(memory.read::<u8>(GuestAddr(0x12800)), Ok(7));
    assert_eq!(memory.read::<u8>(GuestAddr(0x130ff)), Ok(7));
    // Zero to the end of the page and beyond, whatever the file holds there.
    assert_eq!(memory.read::<u8>(GuestAddr(0x13100)), Ok(0));
    assert_eq!(memory.read::<u8>(GuestAddr(0x157ff)), Ok(0));
    assert!(memory.executable_until(GuestAddr(0x10100)).is_some());
    assert!(memory.executable_until(GuestAddr(0x12800)).is_none());
    assert!(memory.write(GuestAddr(0x10000), &1_u8).is_err());
}

/// Patches (offset, bytes) and the message.
#[rustfmt::skip]
const BAD: &[(usize, &[u8], &str)] = &[
    (0, b"#!/b", "prog: offset 0x0: not an ELF file"),
    (4, &[1], "prog: offset 0x4: not a 64-bit ELF file"),
    (5, &[2], "prog: offset 0x5: not a little-endian ELF file"),
    (6, &[0], "prog: offset 0x6: an unknown version of ELF"),
    (16, &[1], "prog: offset 0x10: file type 1 is not executable"),
    (16, &[4], "prog: offset 0x10: file type 4 is not executable"),
    (18, &[62], "prog: offset 0x12: a program for x86-64, but the guest is RISC-V"),
    (18, &[183], "prog: offset 0x12: a program for AArch64, but the guest is RISC-V"),
    (32, &[0xff; 8], "prog: offset 0x20: the file is truncated"),
    (32, &[0, 0x30], "prog: offset 0x20: the file is truncated"),
    (54, &[32], "prog: offset 0x36: size of a program header: 0x20"),
    (56, &[0, 0], "prog: offset 0x38: number of program headers: 0x0"),
    (56, &[0xff, 0xff], "prog: offset 0x38: number of program headers: 0xffff"),
    (96, &[0xff; 8], "prog: offset 0x60: length of the interpreter's name: 0xffffffffffffffff"),
    (96, &[3], "prog: offset 0x200: the interpreter's name has no end: 0x3"),
    (72, &[0, 0x30], "prog: offset 0x3000: the file is truncated"),
    (128, &[1], "prog: offset 0x88: address and file offset of a segment disagree within a page: 0x10000"),
    (152, &[0xff; 7], "prog: offset 0x98: a segment larger in the file than in memory: 0xffffffffffffff"),
    (136, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "prog: offset 0x88: the segment at 0xffffffffffff0000 does not fit into guest memory"),
    (136, &[0, 0, 0], "prog: offset 0x88: the segment at 0x0 does not fit into guest memory"),
    (136, &[0, 0, 2], "prog: offset 0xc0: segments overlap or are out of order at 0x12800"),
    (160, &[0, 0x40], "prog: offset 0xc0: segments overlap or are out of order at 0x12800"),
    (168, &[3, 0], "prog: offset 0xa8: alignment of a segment: 0x3"),
    (184, &[1], "prog: offset 0xc0: address and file offset of a segment disagree within a page: 0x12800"),
    (185, &[0x28], "prog: offset 0xb8: the file is truncated"),
    (216, &[0xff; 8], "prog: offset 0xc0: the segment at 0x12800 does not fit into guest memory"),
    (216, &[0, 0, 0, 0, 1], "prog: offset 0xc0: the segment at 0x12800 does not fit into guest memory"),
    (120, &[0], ""),
];

#[test]
fn each_fault_is_named_with_its_place() {
    for (offset, patch, message) in BAD {
        let mut bytes = good();
        bytes[*offset..offset + patch.len()].copy_from_slice(patch);
        let result = load(&bytes, &memory());
        match message.is_empty() {
            true => drop(result),
            false => {
                let found = result.expect_err(message);
                assert!(
                    found.starts_with(message),
                    "at {offset:#x}:\n  {found}\nand not\n  {message}"
                );
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let memory = memory();
    let bytes = good();
    for length in (0..0x2100).step_by(7) {
        load(&bytes[..length], &memory).expect_err("the segments need more");
    }
}

#[test]
fn random_damage_is_survived() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let mut state = number("SAPWOOD_SEED", 0x5eed) | 1;
    let mut next = move || {
        // xorshift64: any sequence will do that the seed repeats.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let base = good();
    for round in 0..number("SAPWOOD_ROUNDS", 3000) {
        let mut bytes = base.clone();
        for _ in 0..1 + next() % 6 {
            let at = (next() % (HEADERS + 3 * HEADER_SIZE) as u64) as usize;
            bytes[at] = match next() % 4 {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ 1 << (next() % 8),
                _ => next() as u8,
            };
        }
        let memory = memory();
        if load(&bytes, &memory).is_ok() {
            for (range, _) in memory.snapshot().iter() {
                assert!(
                    range.end <= memory.limit(),
                    "round {round}: mapped past the end"
                );
            }
        }
    }
}
