//! Thread-local storage on x86-64: code sequences turned into the local-exec
//! form.
//!
//! Every thread-local of an image lies at a fixed offset from the thread
//! pointer, so code that would call `__tls_get_addr` or a descriptor's function
//! is rewritten to add that offset. Initial-exec code (`GOTTPOFF`) reads the
//! offset from a cell, and local-exec code (`TPOFF32`) holds it.
//!
//! Source: System V psABI, AMD64 supplement, section 4.4.4 and table 4.22 on,
//! and "ELF Handling For Thread-Local Storage" for the sequences. *T* is the
//! symbol's offset from the thread pointer, *A* the addend, which in these
//! kinds makes up for the field's own four bytes.

use object::elf;

use crate::model::RelocKind;

/// The longest sequence.
pub(crate) const MAX_LEN: usize = 22;

/// Bytes to put in place of a sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sequence {
    /// Where it begins in the section.
    pub offset: u32,
    pub len: u8,
    pub bytes: [u8; MAX_LEN],
}

/// Whether the next relocation of the section is that of a call to
/// `__tls_get_addr`, which is rewritten with this one.
pub(crate) const fn has_call(kind: RelocKind) -> bool {
    matches!(
        elf::RelocationType(kind.0),
        elf::R_X86_64_TLSGD | elf::R_X86_64_TLSLD
    )
}

/// The local-exec form of the sequence that holds the field at `offset` of
/// `code`. `value` is T + A. Fails when the code is not as the ABI has it, or T
/// does not fit 32 bits.
pub(crate) fn local_exec(
    kind: RelocKind,
    code: &[u8],
    offset: u32,
    value: i64,
) -> Result<Sequence, &'static str> {
    match elf::RelocationType(kind.0) {
        elf::R_X86_64_TLSGD => general_dynamic(code, offset, value),
        elf::R_X86_64_TLSLD => local_dynamic(code, offset),
        elf::R_X86_64_GOTPC32_TLSDESC => descriptor(code, offset, value),
        elf::R_X86_64_TLSDESC_CALL => descriptor_call(code, offset),
        _ => unreachable!("of no other kind is it said that its code changes"),
    }
}

/// `mov %fs:0,%rax`.
const THREAD_POINTER: [u8; 9] = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0];

/// `lea disp32(%rip),%rdi`, without the displacement.
const LEA: [u8; 3] = [0x48, 0x8d, 0x3d];

/// Whether the large model's call of `__tls_get_addr` follows a field at `at`:
/// `movabs $__tls_get_addr@pltoff,%rax; add %rbx,%rax; call *%rax`, where the
/// offset table's base may be in `%r15` too. With the `lea` it has 22 bytes.
fn is_large_call(code: &[u8], at: usize) -> bool {
    let call = code.get(at + 4..).unwrap_or_default();
    matches!(
        call,
        [
            0x48,
            0xb8,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            0x48,
            0x01,
            0xd8,
            0xff,
            0xd0,
            ..
        ] | [
            0x48,
            0xb8,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            0x4c,
            0x01,
            0xf8,
            0xff,
            0xd0,
            ..
        ]
    )
}

/// Nops of so many bytes as the large model's sequences are longer than what is
/// put in their place: `nopw 0(%rax,%rax,1)`, and `cs nopw …; nopl (%rax)`.
const NOP_6: [u8; 6] = [0x66, 0x0f, 0x1f, 0x44, 0, 0];
const NOP_13: [u8; 13] = [0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x0f, 0x1f, 0];

/// `data16 lea x@tlsgd(%rip),%rdi; data16 data16 rex.W call __tls_get_addr`
/// → `mov %fs:0,%rax; lea T(%rax),%rax`. The call may go through the offset
/// table (`-fno-plt`); both are 16 bytes, of which the field is the fifth to
/// eighth. In the large model `lea` has no prefix, and the call is
/// [longer](is_large_call).
fn general_dynamic(code: &[u8], offset: u32, value: i64) -> Result<Sequence, &'static str> {
    let at = offset as usize;
    let mut bytes = [0; MAX_LEN];
    bytes[..9].copy_from_slice(&THREAD_POINTER);
    bytes[9..12].copy_from_slice(&[0x48, 0x8d, 0x80]);
    bytes[12..16].copy_from_slice(&field(value)?);
    let before = at.checked_sub(4).and_then(|start| code.get(start..at));
    let call = code.get(at + 4..at + 12);
    let usual = before == Some(&[0x66, 0x48, 0x8d, 0x3d])
        && matches!(
            call,
            Some([0x66, 0x66, 0x48, 0xe8, ..] | [0x66, 0x48, 0xff, 0x15, ..])
        );
    if usual {
        return Ok(Sequence {
            offset: offset - 4,
            len: 16,
            bytes,
        });
    }
    let lea = at.checked_sub(3).and_then(|start| code.get(start..at));
    if lea == Some(&LEA) && is_large_call(code, at) {
        bytes[16..].copy_from_slice(&NOP_6);
        return Ok(Sequence {
            offset: offset - 3,
            len: 22,
            bytes,
        });
    }
    Err("is not in the general-dynamic sequence of the ABI")
}

/// `lea x@tlsld(%rip),%rdi; call __tls_get_addr` → `mov %fs:0,%rax`, padded with
/// prefixes, or with nops in the large model. Offsets from the block (`DTPOFF`)
/// then count from the thread pointer.
fn local_dynamic(code: &[u8], offset: u32) -> Result<Sequence, &'static str> {
    let at = offset as usize;
    let lea = at.checked_sub(3).and_then(|start| code.get(start..at));
    let call = code.get(at + 4..).unwrap_or_default();
    let mut bytes = [0x66; MAX_LEN];
    let len = match call {
        [0xe8, _, _, _, _, ..] => 12,
        [0xff, 0x15, _, _, _, _, ..] => 13,
        _ if is_large_call(code, at) => {
            bytes[..13].copy_from_slice(&NOP_13);
            22
        }
        _ => 0,
    };
    if lea != Some(&LEA) || len == 0 {
        return Err("is not in the local-dynamic sequence of the ABI");
    }
    bytes[len - 9..len].copy_from_slice(&THREAD_POINTER);
    Ok(Sequence {
        offset: offset - 3,
        len: len as u8,
        bytes,
    })
}

/// `lea x@tlsdesc(%rip),%reg` → `mov $T,%reg`.
fn descriptor(code: &[u8], offset: u32, value: i64) -> Result<Sequence, &'static str> {
    let at = offset as usize;
    let lea = at.checked_sub(3).and_then(|start| code.get(start..at));
    let Some(&[rex @ (0x48 | 0x4c), 0x8d, register]) = lea else {
        return Err("is not in the descriptor sequence of the ABI");
    };
    if register & 0xc7 != 0x05 {
        return Err("is not in the descriptor sequence of the ABI");
    }
    let mut bytes = [0; MAX_LEN];
    // REX.R, which extends the register of `lea`, becomes REX.B of `mov`.
    bytes[0] = 0x48 | (rex >> 2) & 1;
    bytes[1] = 0xc7;
    bytes[2] = 0xc0 | (register >> 3) & 7;
    bytes[3..7].copy_from_slice(&field(value)?);
    Ok(Sequence {
        offset: offset - 3,
        len: 7,
        bytes,
    })
}

/// `call *x@tlsdesc(%rax)` → a nop of two bytes.
fn descriptor_call(code: &[u8], offset: u32) -> Result<Sequence, &'static str> {
    if code.get(offset as usize..offset as usize + 2) != Some(&[0xff, 0x10]) {
        return Err("is not in the descriptor sequence of the ABI");
    }
    let mut bytes = [0; MAX_LEN];
    bytes[..2].copy_from_slice(&[0x66, 0x90]);
    Ok(Sequence {
        offset,
        len: 2,
        bytes,
    })
}

/// The displacement, less the addend's four bytes for the field itself.
fn field(value: i64) -> Result<[u8; 4], &'static str> {
    match i32::try_from(value + 4) {
        Ok(value) => Ok(value.to_le_bytes()),
        Err(_) => Err("lies further than 2 GiB from the thread pointer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_descriptors_are_kept() {
        // lea x@tlsdesc(%rip),%r9
        let code = [0x4c, 0x8d, 0x0d, 0, 0, 0, 0];
        let kind = RelocKind(elf::R_X86_64_GOTPC32_TLSDESC.0);
        let sequence = local_exec(kind, &code, 3, -0x44).unwrap();
        // mov $-0x40,%r9
        assert_eq!(
            sequence.bytes[..7],
            [0x49, 0xc7, 0xc1, 0xc0, 0xff, 0xff, 0xff]
        );
    }

    #[test]
    fn code_that_is_not_the_abis_is_refused() {
        for kind in [
            elf::R_X86_64_TLSGD,
            elf::R_X86_64_TLSLD,
            elf::R_X86_64_GOTPC32_TLSDESC,
            elf::R_X86_64_TLSDESC_CALL,
        ] {
            for len in 0..20 {
                let code = vec![0x90; len];
                for offset in 0..len as u32 {
                    assert!(local_exec(RelocKind(kind.0), &code, offset, 0).is_err());
                }
            }
        }
    }
}
