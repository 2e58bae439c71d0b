//! Where the code of a line can be left, from its bytes alone.
//!
//! A stepper puts temporary breakpoints there and lets the line run: its loops
//! and the calls that are stepped over run at full speed. That is right only
//! while the stack pointer tells this activation of the function from a deeper
//! one, so code that moves it is not given exits but stepped through.

use std::ops::Range;

use crate::instruction::{Map, Shape, shape};
use crate::target::Address;

/// The instructions of `code`, which is what `range` holds, with their addresses.
fn instructions<'a>(
    range: &Range<Address>,
    code: &'a [u8],
) -> impl Iterator<Item = Option<(Address, &'a [u8], Shape)>> {
    let start = range.start;
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= code.len() {
            return None;
        }
        let Some(shape) = shape(&code[at..]) else {
            at = code.len();
            return Some(None);
        };
        let length = usize::from(shape.length);
        let found = (start.add(at as u64), &code[at..at + length], shape);
        at += length;
        Some(Some(found))
    })
}

/// How many instructions lie between `from` and the range's end or the first
/// that leads elsewhere.
pub fn instructions_from(range: &Range<Address>, code: &[u8], from: Address) -> usize {
    let mut count = 0;
    for instruction in instructions(range, code) {
        let Some((at, bytes, shape)) = instruction else {
            break;
        };
        if at < from {
            continue;
        }
        count += 1;
        if !matches!(leads(at, bytes, &shape), Leads::On) {
            break;
        }
    }
    count
}

/// Where an instruction leads.
enum Leads {
    On,
    /// There, and on when `true`.
    To(Address, bool),
    Call,
    /// Somewhere that the bytes do not say.
    Away,
    /// It moves the stack pointer.
    Stack,
}

fn leads(at: Address, bytes: &[u8], shape: &Shape) -> Leads {
    let opcode_at = usize::from(shape.opcode);
    let opcode = bytes[opcode_at];
    let next = at.add(bytes.len() as u64);
    let near = || {
        let field = bytes[opcode_at + 1..].first_chunk::<4>();
        next.offset(field.map_or(0, |f| i64::from(i32::from_le_bytes(*f))))
    };
    let short = || next.offset(i64::from(bytes[opcode_at + 1] as i8));
    let modrm = shape.modrm.map(|at| bytes[usize::from(at)]);
    // The register operands that can be rsp: 4 without REX's extension of them.
    let memory_or_register = modrm.is_some_and(|m| m >> 6 == 3 && m & 7 == 4 && shape.rex & 1 == 0);
    let register = modrm.is_some_and(|m| m >> 3 & 7 == 4 && shape.rex & 4 == 0);
    match (shape.map, opcode) {
        (Map::One, 0xe8) => Leads::Call,
        (Map::One, 0xe9) => Leads::To(near(), false),
        (Map::One, 0xeb) => Leads::To(short(), false),
        (Map::One, 0x70..=0x7f | 0xe0..=0xe3) => Leads::To(short(), true),
        (Map::Two, 0x80..=0x8f) => Leads::To(near(), true),
        (Map::One, 0xff) => match modrm.map(|m| m >> 3 & 7) {
            Some(2 | 3) => Leads::Call,
            Some(4 | 5) => Leads::Away,
            Some(6) => Leads::Stack,
            _ if memory_or_register => Leads::Stack,
            _ => Leads::On,
        },
        (Map::One, 0xc2 | 0xc3 | 0xca..=0xcf | 0xf4)
        | (Map::Two, 0x05 | 0x07 | 0x0b | 0x34 | 0x35) => Leads::Away,
        // push, pop, pushf, popf, enter, leave.
        (Map::One, 0x50..=0x5f | 0x68 | 0x6a | 0x8f | 0x9c | 0x9d | 0xc8 | 0xc9) => Leads::Stack,
        (Map::One, 0x94 | 0xbc) if shape.rex & 1 == 0 => Leads::Stack,
        // Operations whose result is their second operand, or their first.
        (Map::One, 0x00..=0x37) if opcode & 4 == 0 => {
            let writes = if opcode & 2 == 0 {
                memory_or_register
            } else {
                register
            };
            if writes { Leads::Stack } else { Leads::On }
        }
        (Map::One, 0x80..=0x83) if memory_or_register && modrm.is_some_and(|m| m >> 3 & 7 != 7) => {
            Leads::Stack
        }
        (Map::One, 0x86..=0x89 | 0xc0 | 0xc1 | 0xc7 | 0xd0..=0xd3 | 0xf6 | 0xf7)
            if memory_or_register =>
        {
            Leads::Stack
        }
        (Map::One, 0x63 | 0x69 | 0x6b | 0x86 | 0x87 | 0x8a | 0x8b | 0x8d) if register => {
            Leads::Stack
        }
        (Map::Two, 0x40..=0x4f | 0xaf | 0xb6..=0xbf) if register => Leads::Stack,
        // push and pop of fs and gs.
        (Map::Two, 0xa0 | 0xa1 | 0xa8 | 0xa9) => Leads::Stack,
        _ => Leads::On,
    }
}

/// The addresses at which a thread that runs from `pc` leaves the line whose
/// code is `range`, and whether it makes calls on the way. Calls are exits too
/// when they are to be entered. `None` for code that must be stepped through.
///
/// A jump out of the function is an exit where it stands, so that whoever steps
/// sees it happen.
pub fn of_line(
    range: &Range<Address>,
    code: &[u8],
    pc: Address,
    function: &[Range<Address>],
    into: bool,
) -> Option<(Vec<Address>, bool)> {
    let mut exits = Vec::new();
    let mut calls = false;
    let mut falls_out = true;
    for instruction in instructions(range, code) {
        let (at, bytes, shape) = instruction?;
        falls_out = true;
        match leads(at, bytes, &shape) {
            Leads::On => {}
            Leads::Stack => return None,
            Leads::Call if into => exits.push(at),
            Leads::Call => calls = true,
            Leads::Away => {
                exits.push(at);
                falls_out = false;
            }
            Leads::To(there, goes_on) => {
                let is_inside = function.iter().any(|range| range.contains(&there));
                if !range.contains(&there) {
                    exits.push(if is_inside { there } else { at });
                }
                falls_out = goes_on;
            }
        }
    }
    if falls_out {
        exits.push(range.end);
    }
    exits.sort();
    exits.dedup();
    // One that stands at an exit steps from it.
    (!exits.contains(&pc)).then_some((exits, calls))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: Range<Address> = Address(0x1000)..Address(0x1100);

    fn check(bytes: &[u8], into: bool, expected: Option<(&[u64], bool)>) {
        let range = Address(0x1010).range(bytes.len() as u64);
        let found = of_line(&range, bytes, range.start, &[FUNCTION], into);
        let found = found.map(|(exits, calls)| {
            let exits: Vec<u64> = exits.iter().map(|at| at.0).collect();
            (exits, calls)
        });
        let expected = expected.map(|(exits, calls)| (exits.to_vec(), calls));
        assert_eq!(found, expected, "{bytes:02x?}");
    }

    #[test]
    fn exits_of_lines() {
        // mov; add: at the end.
        let plain = [0x8b, 0x45, 0xfc, 0x01, 0xd0];
        check(&plain, false, Some((&[0x1015], false)));
        // A loop within: jne -5.
        let inner = [0x83, 0xe8, 0x01, 0x75, 0xfb];
        check(&inner, false, Some((&[0x1015], false)));
        // A jump elsewhere in the function, and on.
        let branch = [0x85, 0xc0, 0x74, 0x20];
        check(&branch, false, Some((&[0x1014, 0x1034], false)));
        // Always elsewhere.
        let always = [0x90, 0xeb, 0x20];
        check(&always, false, Some((&[0x1033], false)));
        // A call over, and into.
        let call = [0x90, 0xe8, 0, 0, 0, 0, 0x90];
        check(&call, false, Some((&[0x1017], true)));
        check(&call, true, Some((&[0x1011, 0x1017], false)));
        // A jump out of the function is seen where it stands.
        let tail = [0x90, 0xe9, 0, 0x10, 0, 0];
        check(&tail, false, Some((&[0x1011], false)));
        // A return.
        check(&[0x90, 0xc3], false, Some((&[0x1011], false)));
    }

    #[test]
    fn code_that_moves_the_stack_is_stepped_through() {
        for bytes in [
            &[0x55][..],               // push %rbp
            &[0x48, 0x83, 0xec, 0x10], // sub $16,%rsp
            &[0x48, 0x89, 0xe4],       // mov %rsp,%rsp
            &[0x48, 0x8d, 0x65, 0xf0], // lea -16(%rbp),%rsp
            &[0x48, 0x29, 0xc4],       // sub %rax,%rsp
            &[0xc9],                   // leave
            &[0x41, 0x54],             // push %r12
        ] {
            check(bytes, false, None);
        }
        // mov %rsp,%rbp and lea 8(%rsp),%rax only read it; so does a comparison.
        check(&[0x48, 0x89, 0xe5], false, Some((&[0x1013], false)));
        check(
            &[0x48, 0x8d, 0x44, 0x24, 8],
            false,
            Some((&[0x1015], false)),
        );
        // r12 is no stack pointer.
        check(&[0x49, 0x89, 0xc4], false, Some((&[0x1013], false)));
    }
}
