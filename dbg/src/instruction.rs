//! [`Shape`]: how long an x86-64 instruction is and where its parts lie, from
//! its bytes alone.
//!
//! What moving an instruction to another address needs to know, and no more:
//! nothing is disassembled (Intel SDM vol. 2, §2.1 to §2.7 and tables A-2 to
//! Encodings that are not in those tables have no shape; whoever asks has
//! another way for them. Lengths are compared with a disassembler's over whole
//! libraries in the tests.

/// Where the parts of an instruction lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Bytes in all.
    pub length: u8,
    /// Where the opcode's last byte is.
    pub opcode: u8,
    /// Which table that byte is of.
    pub map: Map,
    /// The bits of a REX prefix, 0 without one.
    pub rex: u8,
    /// The segment override prefix, 0 without one.
    pub segment: u8,
    /// It has a prefix that changes the operand's or the address's size, or
    /// repeats it.
    pub is_prefixed: bool,
    /// Where the ModRM byte is, where there is one.
    pub modrm: Option<u8>,
    /// Where the 32-bit displacement from the next instruction is, where an
    /// operand is addressed by one.
    pub relative: Option<u8>,
}

/// A table of opcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Map {
    /// One byte.
    One,
    /// `0f`.
    Two,
    /// `0f 38`.
    Three38,
    /// `0f 3a`.
    Three3a,
    /// By a VEX or EVEX prefix: nothing in them transfers control.
    Vector,
}

/// What follows an opcode besides its operand in memory.
#[derive(Clone, Copy)]
struct Tail {
    modrm: bool,
    immediate: u8,
}

/// Legacy prefixes, in any order and number.
struct Prefixes {
    count: usize,
    /// `66`.
    operand: bool,
    /// `67`.
    address: bool,
    repeat: bool,
    segment: u8,
}

fn prefixes(bytes: &[u8]) -> Prefixes {
    let mut found = Prefixes {
        count: 0,
        operand: false,
        address: false,
        repeat: false,
        segment: 0,
    };
    for byte in bytes {
        match byte {
            0x66 => found.operand = true,
            0x67 => found.address = true,
            0xf0 | 0xf2 | 0xf3 => found.repeat = true,
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 => found.segment = *byte,
            _ => break,
        }
        found.count += 1;
    }
    found
}

/// Table A-2. `z` is the length of an immediate as wide as the operand, at most
/// four bytes.
fn one_byte(opcode: u8, modrm: u8, prefixes: &Prefixes, rex: u8) -> Option<Tail> {
    let z = if prefixes.operand && rex & 8 == 0 {
        2
    } else {
        4
    };
    let tail = |modrm, immediate| Some(Tail { modrm, immediate });
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => tail(true, 0),
            4 => tail(false, 1),
            5 => tail(false, z),
            _ => None,
        },
        0x50..=0x5f | 0x6c..=0x6f | 0x90..=0x99 | 0x9b..=0x9f => tail(false, 0),
        0x63 | 0x84..=0x8e | 0xd0..=0xd3 | 0xd8..=0xdf | 0xfe | 0xff => tail(true, 0),
        // Other values of that field are XOP prefixes.
        0x8f if modrm >> 3 & 7 == 0 => tail(true, 0),
        0x68 | 0xa9 => tail(false, z),
        0x69 | 0x81 | 0xc7 => tail(true, z),
        0x6a | 0x70..=0x7f | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xe0..=0xe7 | 0xeb => tail(false, 1),
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => tail(true, 1),
        0xa0..=0xa3 => tail(false, if prefixes.address { 4 } else { 8 }),
        0xa4..=0xa7 | 0xaa..=0xaf | 0xc3 | 0xc9 | 0xcb | 0xcc | 0xcf | 0xd7 => tail(false, 0),
        0xec..=0xef | 0xf1 | 0xf4 | 0xf5 | 0xf8..=0xfd => tail(false, 0),
        0xb8..=0xbf if rex & 8 != 0 => tail(false, 8),
        0xb8..=0xbf => tail(false, z),
        0xc2 | 0xca => tail(false, 2),
        0xc8 => tail(false, 3),
        0xe8 | 0xe9 => tail(false, 4),
        0xf6 => tail(true, if modrm >> 3 & 7 < 2 { 1 } else { 0 }),
        0xf7 => tail(true, if modrm >> 3 & 7 < 2 { z } else { 0 }),
        _ => None,
    }
}

/// Table A-3.
fn two_bytes(opcode: u8) -> Option<Tail> {
    let tail = |modrm, immediate| Some(Tail { modrm, immediate });
    match opcode {
        0x05..=0x09 | 0x0b | 0x0e | 0x30..=0x35 | 0x37 | 0x77 => tail(false, 0),
        0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf => tail(false, 0),
        0x80..=0x8f => tail(false, 4),
        0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => tail(true, 1),
        0x04 | 0x0a | 0x0c | 0x0f | 0x24..=0x27 | 0x36 | 0x39 | 0x3b..=0x3f | 0xa6 | 0xa7 => None,
        _ => tail(true, 0),
    }
}

/// The shape of the instruction that begins `bytes`; `None` for bytes that end
/// early or that no table has.
pub fn shape(bytes: &[u8]) -> Option<Shape> {
    let prefixes = prefixes(bytes);
    let mut at = prefixes.count;
    let first = *bytes.get(at)?;
    let mut rex = 0;
    if matches!(first, 0x40..=0x4f) {
        rex = first;
        at += 1;
    }
    let byte = |index: usize| bytes.get(index).copied();
    let modrm_after = |opcode: usize| byte(opcode + 1).unwrap_or(0);
    let (map, opcode, tail) = match byte(at)? {
        0x0f => match byte(at + 1)? {
            0x38 => (Map::Three38, at + 2, vector_tail(2, byte(at + 2)?)?),
            0x3a => (Map::Three3a, at + 2, vector_tail(3, byte(at + 2)?)?),
            opcode => (Map::Two, at + 1, two_bytes(opcode)?),
        },
        0xc5 if rex == 0 => (Map::Vector, at + 2, vector_tail(1, byte(at + 2)?)?),
        0xc4 if rex == 0 => {
            let tail = vector_tail(byte(at + 1)? & 0x1f, byte(at + 3)?)?;
            (Map::Vector, at + 3, tail)
        }
        0x62 if rex == 0 => {
            let tail = vector_tail(byte(at + 1)? & 7, byte(at + 4)?)?;
            (Map::Vector, at + 4, tail)
        }
        opcode => {
            let tail = one_byte(opcode, modrm_after(at), &prefixes, rex)?;
            (Map::One, at, tail)
        }
    };
    let mut end = opcode + 1;
    let mut shape = Shape {
        length: 0,
        opcode: opcode as u8,
        map,
        rex,
        segment: prefixes.segment,
        is_prefixed: prefixes.operand || prefixes.address || prefixes.repeat,
        modrm: None,
        relative: None,
    };
    if tail.modrm {
        let modrm = byte(end)?;
        shape.modrm = Some(end as u8);
        let (mode, base) = (modrm >> 6, modrm & 7);
        if mode == 0 && base == 5 {
            shape.relative = Some(end as u8 + 1);
        }
        end += 1 + operand_length(mode, base, byte(end + 1).unwrap_or(0));
    }
    end += usize::from(tail.immediate);
    shape.length = end as u8;
    (end <= bytes.len() && end <= crate::flow::LONGEST).then_some(shape)
}

/// The opcodes that a VEX or EVEX prefix leads to, by the number of their map,
/// and those of the three-byte maps.
fn vector_tail(map: u8, opcode: u8) -> Option<Tail> {
    match map {
        1 => two_bytes(opcode),
        2 | 5 | 6 => Some(Tail {
            modrm: true,
            immediate: 0,
        }),
        3 => Some(Tail {
            modrm: true,
            immediate: 1,
        }),
        _ => None,
    }
}

/// Bytes of an operand's SIB byte and displacement (table 2-2).
fn operand_length(mode: u8, base: u8, sib: u8) -> usize {
    let has_sib = mode != 3 && base == 4;
    let displacement = match mode {
        0 if base == 5 || (has_sib && sib & 7 == 5) => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    usize::from(has_sib) + displacement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_by_their_bytes() {
        let check = |bytes: &[u8], length, relative| {
            let shape = shape(bytes).unwrap();
            assert_eq!(
                (shape.length, shape.relative),
                (length, relative),
                "{bytes:02x?}"
            );
        };
        check(&[0x55], 1, None);
        check(&[0x48, 0x89, 0xe5], 3, None);
        check(&[0x48, 0x83, 0xec, 0x10], 4, None);
        check(&[0x48, 0x8d, 0x05, 1, 2, 3, 4], 7, Some(3));
        check(&[0xc7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], 10, Some(2));
        check(&[0x66, 0xc7, 0x45, 0xfc, 1, 0], 6, None);
        check(&[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8], 10, None);
        check(&[0xc4, 0xe2, 0x79, 0x18, 0x05, 1, 2, 3, 4], 9, Some(5));
        check(
            &[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x05, 1, 2, 3, 4],
            10,
            Some(6),
        );
        assert_eq!(shape(&[0x48]), None, "it ends early");
        assert_eq!(shape(&[0x06]), None, "no instruction in 64-bit mode");
    }

    /// Every instruction of the C library has the length that a disassembler
    /// says, or none: those are few.
    #[test]
    fn lengths_are_a_disassemblers() {
        use capstone::prelude::*;
        let Some(path) = std::fs::read_to_string("/proc/self/maps")
            .ok()
            .and_then(|maps| {
                let line = maps.lines().find(|line| line.contains("libc.so"))?;
                Some(line[line.find('/')?..].to_owned())
            })
        else {
            return;
        };
        let module = crate::loader::open(
            std::path::Path::new(&path),
            sapwood_dwarf::ModuleKind::Library,
            0,
        )
        .unwrap();
        let sections = module.sections();
        let (_, text) = sections.iter().find(|(name, _)| *name == ".text").unwrap();
        let code = module.file_bytes(text.clone()).unwrap();
        let code = &code[..code.len().min(400_000)];
        let engine = Capstone::new()
            .x86()
            .mode(arch::x86::ArchMode::Mode64)
            .build()
            .unwrap();
        let (mut at, mut known, mut unknown) = (0, 0, 0);
        while at + crate::flow::LONGEST < code.len() {
            let Ok(found) = engine.disasm_count(&code[at..at + crate::flow::LONGEST], 0, 1) else {
                break;
            };
            let Some(instruction) = found.first() else {
                at += 1;
                continue;
            };
            let length = instruction.bytes().len();
            match shape(&code[at..]) {
                Some(shape) => {
                    assert_eq!(
                        usize::from(shape.length),
                        length,
                        "{:02x?}: {instruction}",
                        &code[at..at + length]
                    );
                    known += 1;
                }
                None => unknown += 1,
            }
            at += length;
        }
        assert!(
            known > 50_000 && unknown * 1000 < known,
            "{known} {unknown}"
        );
    }
}
