//! x86-64: relocation formulas, stubs and cells.
//!
//! Source: System V Application Binary Interface, AMD64 Architecture Processor
//! Supplement, section 4.4.1. The letters are the psABI's: *S* the symbol's
//! address, *A* the addend, *P* the field's address, *Z* the symbol's size, *G*
//! the address of the symbol's cell less *GOT*, *GOT* the address the session
//! calls the offset table's base, *L* the address of the symbol or of a stub
//! that jumps to it.

pub(crate) mod relax;
pub(crate) mod tls;

use std::ops::BitOrAssign;

use object::elf;

use crate::model::RelocKind;

/// Bytes of a stub: `jmp *cell(%rip)`, padded.
pub(crate) const STUB_LEN: u64 = 8;
/// Bytes of a jump island: `jmp rel32`.
pub(crate) const ISLAND_LEN: usize = 5;
/// Bytes of one that reaches everything: `jmp *0(%rip)` and the address.
pub(crate) const FAR_ISLAND_LEN: usize = 14;
/// Bytes of a GOT cell.
pub(crate) const CELL_LEN: u64 = 8;

/// What a relocation needs beside its symbol's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// The symbol's size.
    Size,
    /// A data cell that holds the symbol's address.
    Cell,
    /// A stub, when the symbol is out of reach: the field is a branch.
    Reach,
    /// The symbol's offset from the thread pointer, as S.
    ThreadOffset,
    /// That offset, in a data cell.
    ThreadCell,
    /// That offset, and the code around the field; see [`tls`].
    ThreadCode,
}

/// The letters of the formulas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letters {
    /// Symbol's address; a stub's, for a branch that needs one.
    pub s: u64,
    /// Addend.
    pub a: i64,
    /// Field's address.
    pub p: u64,
    /// Symbol's size.
    pub z: u64,
    /// Address of the symbol's cell (psABI: G + GOT).
    pub cell: u64,
    /// The offset table's base.
    pub got: u64,
}

/// A field's new contents: the low `width` bytes of `value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    pub value: u64,
    pub width: u8,
}

/// How a value must fit its field.
#[derive(Clone, Copy)]
enum Fit {
    Signed,
    Unsigned,
    /// Either reading is allowed (8- and 16-bit fields).
    Either,
    Whole,
}

/// The psABI's name of a relocation kind, or `None` for one that objects do not
/// hold or that this linker does not know.
pub fn name(kind: RelocKind) -> Option<&'static str> {
    Some(match elf::RelocationType(kind.0) {
        elf::R_X86_64_NONE => "R_X86_64_NONE",
        elf::R_X86_64_64 => "R_X86_64_64",
        elf::R_X86_64_PC32 => "R_X86_64_PC32",
        elf::R_X86_64_GOT32 => "R_X86_64_GOT32",
        elf::R_X86_64_PLT32 => "R_X86_64_PLT32",
        elf::R_X86_64_GOTPCREL => "R_X86_64_GOTPCREL",
        elf::R_X86_64_32 => "R_X86_64_32",
        elf::R_X86_64_32S => "R_X86_64_32S",
        elf::R_X86_64_16 => "R_X86_64_16",
        elf::R_X86_64_PC16 => "R_X86_64_PC16",
        elf::R_X86_64_8 => "R_X86_64_8",
        elf::R_X86_64_PC8 => "R_X86_64_PC8",
        elf::R_X86_64_PC64 => "R_X86_64_PC64",
        elf::R_X86_64_GOTOFF64 => "R_X86_64_GOTOFF64",
        elf::R_X86_64_GOTPC32 => "R_X86_64_GOTPC32",
        elf::R_X86_64_GOT64 => "R_X86_64_GOT64",
        elf::R_X86_64_GOTPCREL64 => "R_X86_64_GOTPCREL64",
        elf::R_X86_64_GOTPC64 => "R_X86_64_GOTPC64",
        elf::R_X86_64_GOTPLT64 => "R_X86_64_GOTPLT64",
        elf::R_X86_64_PLTOFF64 => "R_X86_64_PLTOFF64",
        elf::R_X86_64_SIZE32 => "R_X86_64_SIZE32",
        elf::R_X86_64_SIZE64 => "R_X86_64_SIZE64",
        elf::R_X86_64_GOTPCRELX => "R_X86_64_GOTPCRELX",
        elf::R_X86_64_REX_GOTPCRELX => "R_X86_64_REX_GOTPCRELX",
        elf::R_X86_64_TPOFF32 => "R_X86_64_TPOFF32",
        elf::R_X86_64_TPOFF64 => "R_X86_64_TPOFF64",
        elf::R_X86_64_GOTTPOFF => "R_X86_64_GOTTPOFF",
        elf::R_X86_64_DTPOFF32 => "R_X86_64_DTPOFF32",
        elf::R_X86_64_DTPOFF64 => "R_X86_64_DTPOFF64",
        elf::R_X86_64_TLSGD => "R_X86_64_TLSGD",
        elf::R_X86_64_TLSLD => "R_X86_64_TLSLD",
        elf::R_X86_64_GOTPC32_TLSDESC => "R_X86_64_GOTPC32_TLSDESC",
        elf::R_X86_64_TLSDESC_CALL => "R_X86_64_TLSDESC_CALL",
        _ => return None,
    })
}

/// What a relocation kind needs, or `None` for a kind that cannot be linked
/// (yet).
pub(crate) const fn needs(kind: RelocKind) -> Option<Needs> {
    Some(match elf::RelocationType(kind.0) {
        elf::R_X86_64_NONE
        | elf::R_X86_64_64
        | elf::R_X86_64_PC64
        | elf::R_X86_64_32
        | elf::R_X86_64_32S
        | elf::R_X86_64_16
        | elf::R_X86_64_PC16
        | elf::R_X86_64_8
        | elf::R_X86_64_PC8
        | elf::R_X86_64_GOTOFF64
        | elf::R_X86_64_GOTPC32
        | elf::R_X86_64_GOTPC64
        | elf::R_X86_64_PLTOFF64 => Needs::Nothing,
        elf::R_X86_64_SIZE32 | elf::R_X86_64_SIZE64 => Needs::Size,
        // Old assemblers wrote calls as PC32, so both may go through a stub.
        elf::R_X86_64_PLT32 | elf::R_X86_64_PC32 => Needs::Reach,
        elf::R_X86_64_GOT32
        | elf::R_X86_64_GOT64
        | elf::R_X86_64_GOTPLT64
        | elf::R_X86_64_GOTPCREL
        | elf::R_X86_64_GOTPCREL64
        | elf::R_X86_64_GOTPCRELX
        | elf::R_X86_64_REX_GOTPCRELX => Needs::Cell,
        elf::R_X86_64_TPOFF32
        | elf::R_X86_64_TPOFF64
        | elf::R_X86_64_DTPOFF32
        | elf::R_X86_64_DTPOFF64 => Needs::ThreadOffset,
        elf::R_X86_64_GOTTPOFF => Needs::ThreadCell,
        elf::R_X86_64_TLSGD
        | elf::R_X86_64_TLSLD
        | elf::R_X86_64_GOTPC32_TLSDESC
        | elf::R_X86_64_TLSDESC_CALL => Needs::ThreadCode,
        _ => return None,
    })
}

/// Whether a field holds an absolute address cut to 32 bits.
pub(crate) const fn is_absolute_32(kind: RelocKind) -> bool {
    matches!(
        elf::RelocationType(kind.0),
        elf::R_X86_64_32 | elf::R_X86_64_32S
    )
}

/// Whether a field counts from its own address. In an instruction it then counts
/// from the instruction's end, for which the addend makes up.
pub(crate) const fn is_relative(kind: RelocKind) -> bool {
    matches!(
        elf::RelocationType(kind.0),
        elf::R_X86_64_PC8
            | elf::R_X86_64_PC16
            | elf::R_X86_64_PC32
            | elf::R_X86_64_PC64
            | elf::R_X86_64_PLT32
            | elf::R_X86_64_GOTPCREL
            | elf::R_X86_64_GOTPCREL64
            | elf::R_X86_64_GOTPCRELX
            | elf::R_X86_64_REX_GOTPCRELX
    )
}

/// Whether a field is a branch's displacement, so that a stub may stand for its
/// target. `before` is the code up to the field: old assemblers wrote calls as
/// PC32, which only the opcode tells from a load (`e8` call, `e9` jmp, `0f 8x`
/// jcc).
pub(crate) fn is_branch(kind: RelocKind, before: &[u8]) -> bool {
    match elf::RelocationType(kind.0) {
        elf::R_X86_64_PLT32 => true,
        elf::R_X86_64_PC32 => match before {
            [.., 0xe8 | 0xe9] => true,
            [.., 0x0f, jcc] => jcc & 0xf0 == 0x80,
            _ => false,
        },
        _ => false,
    }
}

/// How many bytes a relocation's field has.
pub(crate) const fn width(kind: RelocKind) -> u8 {
    match elf::RelocationType(kind.0) {
        elf::R_X86_64_64
        | elf::R_X86_64_PC64
        | elf::R_X86_64_GOTOFF64
        | elf::R_X86_64_GOT64
        | elf::R_X86_64_GOTPLT64
        | elf::R_X86_64_GOTPCREL64
        | elf::R_X86_64_GOTPC64
        | elf::R_X86_64_PLTOFF64
        | elf::R_X86_64_SIZE64
        | elf::R_X86_64_TPOFF64
        | elf::R_X86_64_DTPOFF64 => 8,
        elf::R_X86_64_16 | elf::R_X86_64_PC16 | elf::R_X86_64_TLSDESC_CALL => 2,
        elf::R_X86_64_8 | elf::R_X86_64_PC8 => 1,
        elf::R_X86_64_NONE => 0,
        _ => 4,
    }
}

/// What is asked of every relocation that is read, by kind: the width of its
/// field in the low byte, and bits. Those of several can be united.
#[derive(Clone, Copy)]
pub(crate) struct Shape(u16);

impl Shape {
    /// Cannot be linked: `needs` does not know it.
    const UNKNOWN: u16 = 1 << 8;
    const ABSOLUTE_32: u16 = 1 << 9;
    const REFERS: u16 = 1 << 10;
    const HAS_CALL: u16 = 1 << 11;

    /// Of no relocation.
    pub const NOTHING: Shape = Shape(0);

    const fn of(kind: RelocKind) -> Shape {
        let mut bits = width(kind) as u16;
        if needs(kind).is_none() {
            bits |= Shape::UNKNOWN;
        }
        if is_absolute_32(kind) {
            bits |= Shape::ABSOLUTE_32;
        }
        if kind.0 != elf::R_X86_64_NONE.0 {
            bits |= Shape::REFERS;
        }
        if tls::has_call(kind) {
            bits |= Shape::HAS_CALL;
        }
        Shape(bits)
    }

    /// How many bytes the field has.
    #[inline]
    pub fn width(self) -> u64 {
        u64::from(self.0 & 0xff)
    }

    /// Whether all can be linked.
    #[inline]
    pub fn is_linked(self) -> bool {
        self.0 & Shape::UNKNOWN == 0
    }

    /// Whether a field holds an absolute address cut to 32 bits.
    #[inline]
    pub fn is_absolute_32(self) -> bool {
        self.0 & Shape::ABSOLUTE_32 != 0
    }

    /// Whether it refers to its symbol: R_X86_64_NONE does not.
    #[inline]
    pub fn refers(self) -> bool {
        self.0 & Shape::REFERS != 0
    }

    /// See [`tls::has_call`].
    #[inline]
    pub fn has_call(self) -> bool {
        self.0 & Shape::HAS_CALL != 0
    }
}

impl BitOrAssign for Shape {
    #[inline]
    fn bitor_assign(&mut self, other: Shape) {
        self.0 |= other.0;
    }
}

/// One past the last kind there is.
const KINDS: usize = 44;

/// With one more at the end, for all that are not known.
static SHAPES: [Shape; KINDS + 1] = {
    let mut shapes = [Shape(Shape::UNKNOWN); KINDS + 1];
    let mut number = 0;
    while number < KINDS {
        shapes[number] = Shape::of(RelocKind(number as u32));
        number += 1;
    }
    shapes
};

/// See [`Shape`].
#[inline]
pub(crate) fn shape(kind: RelocKind) -> Shape {
    SHAPES[(kind.0 as usize).min(KINDS)]
}

/// A field's contents, or `None` when the value does not fit it.
pub(crate) fn field(kind: RelocKind, letters: &Letters) -> Option<Field> {
    let (value, width, fit) = formula(kind, letters)?;
    fits(value, width, fit).then_some(Field { value, width })
}

/// A field of a debug section: as in the image, but that offsets in a
/// thread-local block are from the block's start (`DTPOFF`, S + A), and that no
/// cell exists.
pub(crate) fn debug_field(kind: RelocKind, letters: &Letters) -> Option<Field> {
    match elf::RelocationType(kind.0) {
        elf::R_X86_64_DTPOFF32 | elf::R_X86_64_DTPOFF64 => {
            let value = letters.s.wrapping_add(letters.a as u64);
            Some(Field {
                value,
                width: width(kind),
            })
        }
        _ if matches!(
            needs(kind)?,
            Needs::Cell | Needs::ThreadCell | Needs::ThreadCode
        ) =>
        {
            None
        }
        _ => field(kind, letters),
    }
}

/// Value, width in bytes and range of every relocation kind. One line each, as
/// in the psABI's table 4.9.
fn formula(kind: RelocKind, l: &Letters) -> Option<(u64, u8, Fit)> {
    let Letters {
        s, p, z, cell, got, ..
    } = *l;
    let a = l.a as u64;
    let sum = |x: u64| x.wrapping_add(a);
    Some(match elf::RelocationType(kind.0) {
        // none
        elf::R_X86_64_NONE => (0, 0, Fit::Whole),
        // word64 <- S + A
        elf::R_X86_64_64 => (sum(s), 8, Fit::Whole),
        // int32 <- S + A - P
        elf::R_X86_64_PC32 => (sum(s).wrapping_sub(p), 4, Fit::Signed),
        // int32 <- G + A
        elf::R_X86_64_GOT32 => (sum(cell).wrapping_sub(got), 4, Fit::Signed),
        // int32 <- L + A - P
        elf::R_X86_64_PLT32 => (sum(s).wrapping_sub(p), 4, Fit::Signed),
        // int32 <- G + GOT + A - P
        // (GOTTPOFF: the cell holds the offset from the thread pointer)
        elf::R_X86_64_GOTPCREL
        | elf::R_X86_64_GOTPCRELX
        | elf::R_X86_64_REX_GOTPCRELX
        | elf::R_X86_64_GOTTPOFF => (sum(cell).wrapping_sub(p), 4, Fit::Signed),
        // uint32 <- S + A
        elf::R_X86_64_32 => (sum(s), 4, Fit::Unsigned),
        // int32 <- S + A
        elf::R_X86_64_32S => (sum(s), 4, Fit::Signed),
        // word16 <- S + A
        elf::R_X86_64_16 => (sum(s), 2, Fit::Either),
        // int16 <- S + A - P
        elf::R_X86_64_PC16 => (sum(s).wrapping_sub(p), 2, Fit::Signed),
        // word8 <- S + A
        elf::R_X86_64_8 => (sum(s), 1, Fit::Either),
        // int8 <- S + A - P
        elf::R_X86_64_PC8 => (sum(s).wrapping_sub(p), 1, Fit::Signed),
        // word64 <- S + A - P
        elf::R_X86_64_PC64 => (sum(s).wrapping_sub(p), 8, Fit::Whole),
        // word64 <- S + A - GOT
        elf::R_X86_64_GOTOFF64 => (sum(s).wrapping_sub(got), 8, Fit::Whole),
        // int32 <- GOT + A - P
        elf::R_X86_64_GOTPC32 => (sum(got).wrapping_sub(p), 4, Fit::Signed),
        // word64 <- G + A
        // (GOTPLT64: that the symbol has a stub too is of no consequence)
        elf::R_X86_64_GOT64 | elf::R_X86_64_GOTPLT64 => {
            (sum(cell).wrapping_sub(got), 8, Fit::Whole)
        }
        // word64 <- G + GOT + A - P
        elf::R_X86_64_GOTPCREL64 => (sum(cell).wrapping_sub(p), 8, Fit::Whole),
        // word64 <- GOT + A - P
        elf::R_X86_64_GOTPC64 => (sum(got).wrapping_sub(p), 8, Fit::Whole),
        // word64 <- L + A - GOT
        elf::R_X86_64_PLTOFF64 => (sum(s).wrapping_sub(got), 8, Fit::Whole),
        // uint32 <- Z + A
        elf::R_X86_64_SIZE32 => (sum(z), 4, Fit::Unsigned),
        // word64 <- Z + A
        elf::R_X86_64_SIZE64 => (sum(z), 8, Fit::Whole),
        // int32 <- S + A, where S is the offset from the thread pointer
        // (DTPOFF too: the block that it counts from is the thread pointer's)
        elf::R_X86_64_TPOFF32 | elf::R_X86_64_DTPOFF32 => (sum(s), 4, Fit::Signed),
        // word64 <- S + A, likewise
        elf::R_X86_64_TPOFF64 | elf::R_X86_64_DTPOFF64 => (sum(s), 8, Fit::Whole),
        _ => return None,
    })
}

fn fits(value: u64, width: u8, fit: Fit) -> bool {
    let bits = u32::from(width) * 8;
    if bits == 0 || bits == 64 {
        return true;
    }
    let signed = {
        let value = value as i64;
        value >= -(1 << (bits - 1)) && value < 1 << (bits - 1)
    };
    match fit {
        Fit::Whole => true,
        Fit::Signed => signed,
        Fit::Unsigned => value < 1 << bits,
        Fit::Either => signed || value < 1 << bits,
    }
}

/// The stub at `at` that jumps to the address in the cell at `cell`; `None`
/// when the cell is out of its reach.
pub(crate) fn stub(at: u64, cell: u64) -> Option<[u8; STUB_LEN as usize]> {
    // ff 25 rel32: jmp *rel32(%rip), counted from the instruction's end.
    let distance = cell.wrapping_sub(at + 6) as i64;
    let distance = i32::try_from(distance).ok()?.to_le_bytes();
    let mut code = [0xcc; STUB_LEN as usize];
    code[..2].copy_from_slice(&[0xff, 0x25]);
    code[2..6].copy_from_slice(&distance);
    Some(code)
}

/// The jump at `at` to `to`; `None` when it does not reach.
pub(crate) fn island(at: u64, to: u64) -> Option<[u8; ISLAND_LEN]> {
    // e9 rel32, counted from the instruction's end.
    let distance = to.wrapping_sub(at + ISLAND_LEN as u64) as i64;
    let distance = i32::try_from(distance).ok()?.to_le_bytes();
    let mut code = [0xe9; ISLAND_LEN];
    code[1..].copy_from_slice(&distance);
    Some(code)
}

/// The jump to `to` that reaches it from everywhere. It changes no register.
pub(crate) fn far_island(to: u64) -> [u8; FAR_ISLAND_LEN] {
    let mut code = [0xff, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    code[6..].copy_from_slice(&to.to_le_bytes());
    code
}

/// Whether a byte may be part of what compilers put between functions: `nop`s
/// of every length, `int3`, zeroes.
pub(crate) fn may_be_padding(byte: u8) -> bool {
    const NOPS: [u8; 12] = [
        0x90, 0xcc, 0x00, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x80, 0x40, 0x44, 0x3e,
    ];
    NOPS.contains(&byte)
}

/// Where a field of code refers to, counted from its symbol: a field relative
/// to the pc counts from its own end.
pub(crate) fn code_offset(kind: RelocKind, addend: i64) -> i64 {
    match elf::RelocationType(kind.0) {
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => addend + 4,
        _ => addend,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(s: u64, a: i64, p: u64) -> Letters {
        Letters {
            s,
            a,
            p,
            z: 24,
            cell: 0x3000,
            got: 0x2000,
        }
    }

    fn check(kind: elf::RelocationType, letters: Letters, expected: Option<(u64, u8)>) {
        let got = field(RelocKind(kind.0), &letters).map(|f| (f.value, f.width));
        assert_eq!(got, expected, "{}", name(RelocKind(kind.0)).unwrap());
    }

    #[test]
    fn formulas_and_their_edges() {
        use elf::*;
        check(R_X86_64_64, letters(0x1000, 8, 0), Some((0x1008, 8)));
        check(
            R_X86_64_PC32,
            letters(0x1000, -4, 0x1100),
            Some((-0x104i64 as u64, 4)),
        );
        check(
            R_X86_64_PC32,
            letters(0x8000_0003, -4, 0),
            Some((0x7fff_ffff, 4)),
        );
        check(R_X86_64_PC32, letters(0x8000_0004, -4, 0), None);
        check(
            R_X86_64_PC32,
            letters(0, 0, 0x8000_0000),
            Some((-0x8000_0000i64 as u64, 4)),
        );
        check(R_X86_64_PC32, letters(0, 0, 0x8000_0001), None);
        check(
            R_X86_64_32,
            letters(0xffff_ffff, 0, 0),
            Some((0xffff_ffff, 4)),
        );
        check(R_X86_64_32, letters(0x1_0000_0000, 0, 0), None);
        check(R_X86_64_32, letters(0, -1, 0), None);
        check(
            R_X86_64_32S,
            letters(0x7fff_ffff, 0, 0),
            Some((0x7fff_ffff, 4)),
        );
        check(R_X86_64_32S, letters(0x8000_0000, 0, 0), None);
        check(
            R_X86_64_GOTPCREL,
            letters(0x9999, -4, 0x1000),
            Some((0x1ffc, 4)),
        );
        check(R_X86_64_SIZE32, letters(0, 0, 0), Some((24, 4)));
        check(R_X86_64_GOTOFF64, letters(0x2040, 0, 0), Some((0x40, 8)));
        check(R_X86_64_8, letters(0xff, 0, 0), Some((0xff, 1)));
        check(R_X86_64_PC8, letters(0xff, 0, 0), None);
    }

    #[test]
    fn a_stub_reads_the_cell_from_its_own_end() {
        assert_eq!(
            stub(0x1000, 0x1000 + 6 + 0x10).unwrap(),
            [0xff, 0x25, 0x10, 0, 0, 0, 0xcc, 0xcc]
        );
        assert!(stub(0, 1 << 32).is_none());
    }
}
