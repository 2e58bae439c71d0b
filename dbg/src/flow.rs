//! [`Flow`]: where an x86-64 instruction may lead, from its bytes alone.
//!
//! A stepper asks this before every instruction, so it looks at opcodes only
//! and disassembles nothing (Intel SDM vol. 2, tables ).

/// How control leaves an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Calls, and comes back `length` bytes on.
    Call {
        /// The instruction's length in bytes.
        length: u8,
    },
    /// Returns to a caller.
    Return,
    /// Jumps, on a condition or always.
    Jump,
    /// Enters the kernel.
    Syscall,
    /// Goes on to the next instruction.
    Next,
}

/// The most bytes an instruction has.
pub const LONGEST: usize = 15;

/// The flow of the instruction that begins `bytes`. Bytes that end early, or
/// are no instruction, count as [`Flow::Next`].
pub fn flow(bytes: &[u8]) -> Flow {
    let prefixes = bytes
        .iter()
        .take_while(|b| {
            matches!(
                b,
                0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3
            )
        })
        .count();
    let rex = usize::from(matches!(bytes.get(prefixes), Some(0x40..=0x4f)));
    let at = prefixes + rex;
    match bytes.get(at) {
        Some(0xe8) => Flow::Call {
            length: (at + 5) as u8,
        },
        Some(0xc2 | 0xc3 | 0xca | 0xcb | 0xcf) => Flow::Return,
        Some(0xe9 | 0xeb | 0x70..=0x7f | 0xe0..=0xe3) => Flow::Jump,
        Some(0x0f) => match bytes.get(at + 1) {
            Some(0x80..=0x8f) => Flow::Jump,
            Some(0x05 | 0x34) => Flow::Syscall,
            _ => Flow::Next,
        },
        Some(0xff) => indirect(bytes, at + 1),
        _ => Flow::Next,
    }
}

/// `ff /2` and `/3` call, `/4` and `/5` jump through a register or memory.
fn indirect(bytes: &[u8], modrm_at: usize) -> Flow {
    let Some(&modrm) = bytes.get(modrm_at) else {
        return Flow::Next;
    };
    match modrm >> 3 & 7 {
        2 | 3 => {
            let (mode, base) = (modrm >> 6, modrm & 7);
            let sib = mode != 3 && base == 4;
            let sib_base = bytes.get(modrm_at + 1).map_or(0, |sib| sib & 7);
            let displacement = match mode {
                0 if base == 5 || (sib && sib_base == 5) => 4,
                1 => 1,
                2 => 4,
                _ => 0,
            };
            Flow::Call {
                length: (modrm_at + 1 + usize::from(sib) + displacement) as u8,
            }
        }
        4 | 5 => Flow::Jump,
        _ => Flow::Next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_by_their_bytes() {
        let call = |length| Flow::Call { length };
        for (bytes, expected) in [
            (&[0xe8, 1, 2, 3, 4][..], call(5)),
            (&[0xff, 0xd0], call(2)),                   // call *%rax
            (&[0x41, 0xff, 0xd4], call(3)),             // call *%r12
            (&[0xff, 0x15, 1, 2, 3, 4], call(6)),       // call *x(%rip)
            (&[0xff, 0x14, 0xc5, 0, 0, 0, 0], call(7)), // call *x(,%rax,8)
            (&[0xff, 0x54, 0x24, 8], call(4)),          // call *8(%rsp)
            (&[0x3e, 0xff, 0xd0], call(3)),             // notrack call
            (&[0xf3, 0xc3], Flow::Return),
            (&[0xff, 0x25, 1, 2, 3, 4], Flow::Jump),
            (&[0x0f, 0x85, 0, 0, 0, 0], Flow::Jump),
            (&[0x0f, 0x05], Flow::Syscall),
            (&[0x48, 0x89, 0xe5], Flow::Next),
            (&[0xff], Flow::Next),
            (&[], Flow::Next),
        ] {
            assert_eq!(flow(bytes), expected, "{bytes:02x?}");
        }
    }
}
