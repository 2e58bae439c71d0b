//! [`Passage`]: how the instruction beneath a breakpoint is executed while the
//! breakpoint stays where it is.
//!
//! Plain data, made from the instruction's bytes. A jump or a call has no other
//! effect than on registers and one word of the stack, so the debugger does it
//! itself. Any other instruction is executed from a copy elsewhere: the same
//! bytes, the displacement of an operand that is addressed relative to the
//! instruction made to fit the copy's place, and a jump behind it to where the
//! original would have gone on. What can be done in neither way is left to
//! whoever asks: with all other threads stopped the breakpoint can be lifted.

use crate::instruction::{Map, Shape, shape};
use crate::registers::{Registers, x86};
use crate::target::Address;

/// How an instruction is executed in place of the breakpoint that covers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passage {
    /// A jump to an address that the instruction names.
    Branch {
        /// When it is taken.
        when: When,
        /// Where it leads then.
        taken: Address,
        /// Where it goes on otherwise.
        next: Address,
    },
    /// A call.
    Call {
        /// What is called.
        callee: Operand,
        /// Where it returns to.
        next: Address,
    },
    /// Any other instruction that works somewhere else.
    Copy(Copied),
    /// It works at its own address only.
    Lift,
}

/// When a jump is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Always.
    Always,
    /// On the condition code `cc` of `jcc`.
    Condition(u8),
    /// `loopne`, `loope`, `loop`: counts rcx down; taken while it is not zero,
    /// and the zero flag is as given.
    Loop(Option<bool>),
    /// `jrcxz`.
    NoCount,
}

/// What an indirect call goes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// That address itself.
    Direct(Address),
    /// The value of a register, by its index.
    Register(usize),
    /// The word in memory at `base + index * scale + displacement`, each where
    /// it is there.
    Memory {
        /// Index of a register.
        base: Option<usize>,
        /// Index of a register, and what it is multiplied by.
        index: Option<(usize, u64)>,
        /// Added to them.
        displacement: i64,
        /// The segment whose base is added: `fs_base` or `gs_base`, by index.
        segment: Option<usize>,
    },
}

/// An instruction to be executed somewhere else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// Its bytes, as they stand at its own address.
    pub bytes: Vec<u8>,
    /// Where the displacement of its relative operand is.
    relative: Option<u8>,
    /// It goes on behind itself.
    pub goes_on: bool,
    /// It enters the kernel.
    pub is_syscall: bool,
}

/// Bytes of a copy, at most: an instruction and a jump with a 32-bit
/// displacement.
pub const COPY: u64 = 32;

impl Copied {
    /// The code of the copy at `to` of the instruction at `from`; `None` when
    /// something is out of a displacement's reach from there.
    ///
    /// Formulas: `Disp' = Disp + from - to : int32`;
    /// `jmp <- from + length - (to + length + 5) : int32`.
    pub fn code(&self, from: Address, to: Address) -> Option<Vec<u8>> {
        let moved = from.0.wrapping_sub(to.0) as i64;
        let mut code = self.bytes.clone();
        if let Some(at) = self.relative.map(usize::from) {
            let field: [u8; 4] = code[at..at + 4].try_into().ok()?;
            let there = i64::from(i32::from_le_bytes(field)).checked_add(moved)?;
            code[at..at + 4].copy_from_slice(&i32::try_from(there).ok()?.to_le_bytes());
        }
        if self.goes_on {
            let back = i32::try_from(moved.checked_sub(5)?).ok()?;
            code.push(0xe9);
            code.extend(back.to_le_bytes());
        }
        Some(code)
    }
}

impl When {
    /// Whether the jump is taken; what `loop` counts is counted.
    pub fn holds(self, registers: &mut Registers) -> bool {
        let flags = registers.get(x86::EFLAGS);
        let flag = |bit: u32| flags >> bit & 1 == 1;
        let (carry, parity, zero, sign, overflow) = (flag(0), flag(2), flag(6), flag(7), flag(11));
        match self {
            When::Always => true,
            When::Condition(code) => {
                let holds = match code >> 1 {
                    0 => overflow,
                    1 => carry,
                    2 => zero,
                    3 => carry || zero,
                    4 => sign,
                    5 => parity,
                    6 => sign != overflow,
                    _ => zero || sign != overflow,
                };
                holds != (code & 1 == 1)
            }
            When::Loop(wanted) => {
                let count = registers.get(x86::RCX).wrapping_sub(1);
                registers.set(x86::RCX, count);
                count != 0 && wanted.is_none_or(|wanted| wanted == zero)
            }
            When::NoCount => registers.get(x86::RCX) == 0,
        }
    }
}

/// x86's order of registers, as ModRM, SIB and REX number them.
const ENCODED: [usize; 16] = [
    x86::RAX,
    x86::RCX,
    x86::RDX,
    x86::RBX,
    x86::RSP,
    x86::RBP,
    x86::RSI,
    x86::RDI,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
];

/// How the instruction that begins `bytes`, at `at`, is executed in place of a
/// breakpoint there.
pub fn passage(at: Address, bytes: &[u8]) -> Passage {
    match shape(bytes) {
        Some(shape) => of_shape(at, bytes, &shape).unwrap_or(Passage::Lift),
        None => Passage::Lift,
    }
}

fn of_shape(at: Address, bytes: &[u8], shape: &Shape) -> Option<Passage> {
    let opcode_at = usize::from(shape.opcode);
    let opcode = bytes[opcode_at];
    let length = usize::from(shape.length);
    let next = at.add(length as u64);
    let near = || {
        let field: [u8; 4] = bytes[opcode_at + 1..opcode_at + 5].try_into().ok()?;
        Some(next.offset(i64::from(i32::from_le_bytes(field))))
    };
    let short = || next.offset(i64::from(bytes[opcode_at + 1] as i8));
    let branch = |when, taken| Passage::Branch { when, taken, next };
    let copy = |goes_on, is_syscall| {
        Passage::Copy(Copied {
            bytes: bytes[..length].to_vec(),
            relative: shape.relative,
            goes_on,
            is_syscall,
        })
    };
    // `notrack` and `bnd` change nothing of where a jump leads; an operand's or
    // address's size would.
    let sized = bytes[..opcode_at].iter().any(|b| matches!(b, 0x66 | 0x67));
    Some(match (shape.map, opcode) {
        (Map::One, 0xe8 | 0xe9 | 0xeb | 0x70..=0x7f | 0xe0..=0xe3) if sized => Passage::Lift,
        (Map::Two, 0x80..=0x8f) if sized => Passage::Lift,
        (Map::One, 0xe8) => Passage::Call {
            callee: Operand::Direct(near()?),
            next,
        },
        (Map::One, 0xe9) => branch(When::Always, near()?),
        (Map::One, 0xeb) => branch(When::Always, short()),
        (Map::One, 0x70..=0x7f) => branch(When::Condition(opcode & 15), short()),
        (Map::Two, 0x80..=0x8f) => branch(When::Condition(opcode & 15), near()?),
        (Map::One, 0xe0) => branch(When::Loop(Some(false)), short()),
        (Map::One, 0xe1) => branch(When::Loop(Some(true)), short()),
        (Map::One, 0xe2) => branch(When::Loop(None), short()),
        (Map::One, 0xe3) => branch(When::NoCount, short()),
        (Map::One, 0xff) => match bytes[usize::from(shape.modrm?)] >> 3 & 7 {
            2 if !sized => Passage::Call {
                callee: operand(bytes, shape, next)?,
                next,
            },
            4 => copy(false, false),
            3 | 5 => Passage::Lift,
            _ => copy(true, false),
        },
        (Map::One, 0xc2 | 0xc3) => copy(false, false),
        // Far returns, traps, and what reads or changes the flow otherwise.
        (Map::One, 0xca..=0xcf | 0xf1 | 0xf4) => Passage::Lift,
        // `xabort`, `xbegin`.
        (Map::One, 0xc6 | 0xc7) if bytes[opcode_at + 1] == 0xf8 => Passage::Lift,
        (Map::Two, 0x05) => copy(true, true),
        (Map::Two, 0x07 | 0x0b | 0x34 | 0x35) => Passage::Lift,
        _ => copy(true, false),
    })
}

/// The operand of `ff /2`.
fn operand(bytes: &[u8], shape: &Shape, next: Address) -> Option<Operand> {
    let at = usize::from(shape.modrm?);
    let modrm = bytes[at];
    let (mode, low) = (modrm >> 6, modrm & 7);
    let extended = |low: u8, bit: u8| usize::from(low) + if shape.rex & bit != 0 { 8 } else { 0 };
    if mode == 3 {
        return Some(Operand::Register(ENCODED[extended(low, 1)]));
    }
    let mut after = at + 1;
    let (mut base, mut index) = (Some(ENCODED[extended(low, 1)]), None);
    let mut has_wide = mode == 2;
    let mut displacement = 0;
    if low == 4 {
        let sib = bytes[after];
        after += 1;
        let number = extended(sib >> 3 & 7, 2);
        index = (number != 4).then(|| (ENCODED[number], 1 << (sib >> 6)));
        base = Some(ENCODED[extended(sib & 7, 1)]);
        if mode == 0 && sib & 7 == 5 {
            (base, has_wide) = (None, true);
        }
    } else if mode == 0 && low == 5 {
        (base, has_wide) = (None, true);
        displacement = next.0 as i64;
    }
    if has_wide {
        let field: [u8; 4] = bytes[after..after + 4].try_into().ok()?;
        displacement = displacement.wrapping_add(i64::from(i32::from_le_bytes(field)));
    } else if mode == 1 {
        displacement = i64::from(bytes[after] as i8);
    }
    let segment = match shape.segment {
        0x64 => Some(x86::FS_BASE),
        0x65 => Some(x86::GS_BASE),
        _ => None,
    };
    Some(Operand::Memory {
        base,
        index,
        displacement,
        segment,
    })
}

impl Operand {
    /// Where the operand's word is in memory, or the value itself.
    pub fn resolve(self, registers: &Registers) -> Result<Address, Address> {
        match self {
            Operand::Direct(at) => Ok(at),
            Operand::Register(index) => Ok(Address(registers.get(index))),
            Operand::Memory {
                base,
                index,
                displacement,
                segment,
            } => {
                let of = |index: Option<usize>| index.map_or(0, |index| registers.get(index));
                let scaled = index.map_or(0, |(n, scale)| registers.get(n).wrapping_mul(scale));
                let at = of(base)
                    .wrapping_add(scaled)
                    .wrapping_add(displacement as u64)
                    .wrapping_add(of(segment));
                Err(Address(at))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::X86_64;

    const AT: Address = Address(0x1000);

    #[test]
    fn jumps_are_done_by_the_debugger() {
        let branch = |when, taken, next| Passage::Branch {
            when,
            taken: Address(taken),
            next: Address(next),
        };
        for (bytes, expected) in [
            (&[0xeb, 0xfe][..], branch(When::Always, 0x1000, 0x1002)),
            (&[0x74, 0x10], branch(When::Condition(4), 0x1012, 0x1002)),
            (
                &[0x0f, 0x8d, 0, 1, 0, 0],
                branch(When::Condition(13), 0x1106, 0x1006),
            ),
            (&[0xe3, 0x05], branch(When::NoCount, 0x1007, 0x1002)),
            (
                &[0xe9, 0xfb, 0xff, 0xff, 0xff],
                branch(When::Always, 0x1000, 0x1005),
            ),
        ] {
            assert_eq!(passage(AT, bytes), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn conditions_are_the_processors() {
        let mut registers = Registers::new(&X86_64);
        let mut holds = |flags: u64, code| {
            registers.set(x86::EFLAGS, flags);
            When::Condition(code).holds(&mut registers)
        };
        let (carry, zero, sign, overflow) = (1, 1 << 6, 1 << 7, 1 << 11);
        assert!(holds(zero, 4) && !holds(zero, 5));
        assert!(holds(carry, 6) && holds(zero, 6) && holds(0, 7));
        assert!(holds(sign, 12) && holds(overflow, 12) && !holds(sign | overflow, 12));
        assert!(holds(0, 15) && !holds(zero, 15));
    }

    #[test]
    fn calls_by_their_operand() {
        let mut registers = Registers::new(&X86_64);
        for index in 0..16 {
            registers.set(index, 0x100 * index as u64);
        }
        registers.set(x86::FS_BASE, 0x7000_0000);
        let check = |bytes: &[u8], expected| {
            let Passage::Call { callee, next } = passage(AT, bytes) else {
                panic!("{bytes:02x?}");
            };
            assert_eq!(next, AT.add(bytes.len() as u64));
            let resolved = callee.resolve(&registers).map_err(|at| at.0);
            assert_eq!(resolved.map(|at| at.0), expected, "{bytes:02x?}");
        };
        check(&[0xe8, 0xfb, 0xff, 0xff, 0xff], Ok(0x1000));
        check(&[0xff, 0xd0], Ok(0));
        check(&[0x41, 0xff, 0xd4], Ok(0xc00)); // call *%r12
        check(&[0xff, 0x15, 4, 0, 0, 0], Err(0x100a)); // call *4(%rip)
        check(&[0xff, 0x54, 0x24, 8], Err(0x708)); // call *8(%rsp)
        check(&[0xff, 0x14, 0xc5, 0x10, 0, 0, 0], Err(0x10)); // call *0x10(,%rax,8)
        check(&[0x43, 0xff, 0x54, 0xe5, 1], Err(0xd00 + 0xc00 * 8 + 1)); // *1(%r13,%r12,8)
        check(&[0x64, 0xff, 0x10], Err(0x7000_0000)); // call *%fs:(%rax)
    }

    #[test]
    fn a_copy_reaches_what_the_original_does() {
        let bytes = [0x48, 0x8b, 0x05, 0x10, 0, 0, 0]; // mov 0x10(%rip),%rax
        let Passage::Copy(copied) = passage(AT, &bytes) else {
            panic!();
        };
        let code = copied.code(AT, Address(0x3000)).unwrap();
        assert_eq!(code[..3], bytes[..3]);
        // 0x1007 + 0x10 and 0x3007 - 0x1ff0; then a jump from 0x300c to 0x1007.
        assert_eq!(code[3..7], (-0x1ff0i32).to_le_bytes());
        assert_eq!(code[7], 0xe9);
        assert_eq!(code[8..], (0x1007i32 - 0x300c).to_le_bytes());
        assert_eq!(copied.code(AT, Address(0x1_0000_0000)), None, "too far");
    }

    #[test]
    fn what_cannot_be_moved_is_lifted() {
        for bytes in [&[0xcc][..], &[0xcd, 0x80], &[0x0f, 0x0b], &[0xcf], &[0x06]] {
            assert_eq!(passage(AT, bytes), Passage::Lift, "{bytes:02x?}");
        }
        for (bytes, goes_on) in [(&[0xc3][..], false), (&[0xff, 0x25, 0, 0, 0, 0], false)] {
            let Passage::Copy(copied) = passage(AT, bytes) else {
                panic!("{bytes:02x?}");
            };
            assert_eq!(copied.goes_on, goes_on);
        }
    }
}
