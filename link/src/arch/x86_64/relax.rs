//! Loads from the offset table turned into the address itself.
//!
//! The assembler marks instructions that read a cell, and that a linker may turn
//! into ones that do not when the symbol is in reach: `R_X86_64_GOTPCRELX` and,
//! with a REX prefix, `R_X86_64_REX_GOTPCRELX`. It saves the cell and the load.
//!
//! Source: System V psABI, AMD64 supplement, section B.2 ("Optimize GOTPCRELX
//! Relocations"). Only the forms that compilers write for addresses and calls
//! are turned; a `test` or an `add` with a cell keeps it.

use object::elf;

use super::Letters;
use crate::staged::StagedReloc;

/// Rewrites the instruction around a field of `code` if it is one of those and
/// S is in reach. Says whether it did; else nothing is changed.
///
/// - `mov x@GOTPCREL(%rip),%reg` → `lea x(%rip),%reg`
/// - `call *x@GOTPCREL(%rip)` → `addr32 call x`
/// - `jmp *x@GOTPCREL(%rip)` → `jmp x; nop`
pub(crate) fn relax(reloc: &StagedReloc, letters: &Letters, code: &mut [u8]) -> bool {
    let marked = matches!(
        elf::RelocationType(reloc.kind.0),
        elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX
    );
    let at = reloc.offset as usize;
    // The field ends the instruction.
    if !marked || reloc.addend != -4 || at < 2 {
        return false;
    }
    let distance = letters.s.wrapping_sub(letters.p.wrapping_add(4)) as i64;
    let [opcode, operand] = [code[at - 2], code[at - 1]];
    // Where the new field lies, and how much further it is from there.
    let (new, at, more) = match (opcode, operand) {
        // A register, and a displacement from the instruction pointer.
        (0x8b, modrm) if modrm & 0xc7 == 0x05 => ([0x8d, modrm], at, 0),
        (0xff, 0x15) => ([0x67, 0xe8], at, 0),
        (0xff, 0x25) => ([0xe9, 0], at - 1, 1),
        _ => return false,
    };
    let Ok(distance) = i32::try_from(distance + more) else {
        return false;
    };
    let start = reloc.offset as usize - 2;
    code[start..start + 2].copy_from_slice(&new);
    if more == 1 {
        code[at + 4] = 0x90;
    }
    code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RelocKind;

    /// Relaxes `code`, whose field is its last four bytes and lies at 0x1000.
    fn relaxed(kind: elf::RelocationType, code: &[u8], s: u64) -> Option<Vec<u8>> {
        let mut code = code.to_vec();
        let reloc = StagedReloc {
            offset: code.len() as u32 - 4,
            kind: RelocKind(kind.0),
            symbol: 0,
            addend: -4,
        };
        let letters = Letters {
            s,
            a: -4,
            p: 0x1000,
            z: 0,
            cell: 0,
            got: 0,
        };
        relax(&reloc, &letters, &mut code).then_some(code)
    }

    #[test]
    fn the_three_forms_and_their_reach() {
        use elf::{R_X86_64_GOTPCREL, R_X86_64_GOTPCRELX, R_X86_64_REX_GOTPCRELX};
        // mov x@GOTPCREL(%rip),%r9 → lea x(%rip),%r9
        let mov = [0x4c, 0x8b, 0x0d, 0, 0, 0, 0];
        assert_eq!(
            relaxed(R_X86_64_REX_GOTPCRELX, &mov, 0x1014).unwrap(),
            [0x4c, 0x8d, 0x0d, 0x10, 0, 0, 0]
        );
        let end = 0x1004;
        let last = end + i32::MAX as u64;
        assert!(relaxed(R_X86_64_REX_GOTPCRELX, &mov, last).is_some());
        assert!(relaxed(R_X86_64_REX_GOTPCRELX, &mov, last + 1).is_none());
        let first = u64::wrapping_add(end, i32::MIN as u64);
        assert!(relaxed(R_X86_64_REX_GOTPCRELX, &mov, first).is_some());
        assert!(relaxed(R_X86_64_REX_GOTPCRELX, &mov, first - 1).is_none());

        let call = [0xff, 0x15, 0, 0, 0, 0];
        assert_eq!(
            relaxed(R_X86_64_GOTPCRELX, &call, 0x1014).unwrap(),
            [0x67, 0xe8, 0x10, 0, 0, 0]
        );
        // The jump is a byte shorter, so its target is a byte further.
        let jmp = [0xff, 0x25, 0, 0, 0, 0];
        assert_eq!(
            relaxed(R_X86_64_GOTPCRELX, &jmp, 0x1014).unwrap(),
            [0xe9, 0x11, 0, 0, 0, 0x90]
        );
        assert!(relaxed(R_X86_64_GOTPCRELX, &jmp, last).is_none());
        assert!(relaxed(R_X86_64_GOTPCRELX, &jmp, last - 1).is_some());
        // Not marked by the assembler; a comparison with the cell's contents.
        assert!(relaxed(R_X86_64_GOTPCREL, &call, 0x1014).is_none());
        let test = [0x48, 0x85, 0x05, 0, 0, 0, 0];
        assert!(relaxed(R_X86_64_REX_GOTPCRELX, &test, 0x1014).is_none());
    }
}
