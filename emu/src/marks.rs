//! Marks in second-tier code: where a fault in an access to guest memory goes on.
//!
//! A region keeps guest registers wherever Cranelift put them, so a fault in it
//! can only be left by code that Cranelift made for the very place: a *way out*,
//! which writes the registers to the state. The branch to it stands behind the
//! access (behind moves of Cranelift's own, if there are any) and would never be
//! taken; so it is replaced by a *mark*, an instruction that does nothing and
//! holds the distance of the way out. The fault handler reads on from the access
//! to the mark and goes there. No tables: code that is kept on disk has its marks
//! in it, and the handler needs no lock.
//!
//! ```text
//! compiled                            marked
//!   mov  [base + x], v   ← access       mov  [base + x], v
//!   test base, base                     nop  way_out − here
//!   je   way_out                        …
//!   …
//! ```
//!
//! Where moves stand between the two, the way out needs them done: they are
//! copied before a jump to it, at the end of the code.
//!
//! Pure: it reads and writes bytes. It knows x86-64's lengths of the
//! instructions that Cranelift makes of accesses and moves, and refuses others.

/// A mark: `66 0f 1f 84 00 disp32`, 9 bytes that do nothing.
const MARK: [u8; 5] = [0x66, 0x0f, 0x1f, 0x84, 0x00];
const MARK_LENGTH: usize = 9;

/// No access is followed by as many bytes of moves before its mark.
pub const FARTHEST_MARK: usize = 160;

/// Where to go on after a fault in the access that `code` begins with, as a
/// distance from it. `None` when no mark follows.
pub fn way_out(code: &[u8]) -> Option<i64> {
    let mut at = length(code)?;
    loop {
        let rest = code.get(at..)?;
        if rest.starts_with(&MARK) {
            let distance = rest.get(MARK.len()..MARK_LENGTH)?;
            let distance = i32::from_le_bytes(distance.try_into().ok()?);
            return Some((at + MARK_LENGTH) as i64 + i64::from(distance));
        }
        at += length(rest)?;
        if at > FARTHEST_MARK {
            return None;
        }
    }
}

/// Turns the branch at `check` (`test base, base; je way_out`) into the mark of the
/// access at `access`. `None`, with nothing changed, when the code is not of that
/// form.
pub fn mark(code: &mut Vec<u8>, access: usize, check: usize) -> Option<()> {
    let moves = access + length(code.get(access..)?)?;
    let mut at = moves;
    while at < check {
        let code = code.get(at..check)?;
        if is_relative(code) {
            return None;
        }
        at += length(code)?;
    }
    let [prefix, 0x85, operands, 0x0f, 0x84, ..] = *code.get(at..at + MARK_LENGTH)? else {
        return None;
    };
    // The base may be in two registers at once.
    if at != check || prefix & 0xf8 != 0x48 || operands >> 6 != 3 {
        return None;
    }
    let end = at + MARK_LENGTH;
    let distance = i32::from_le_bytes(code[end - 4..end].try_into().ok()?);
    let mut target = end as i64 + i64::from(distance);
    if moves < at {
        let copy = code.len();
        code.extend_from_within(moves..at);
        code.push(0xe9);
        let distance = i32::try_from(target - (code.len() + 4) as i64).ok()?;
        code.extend(distance.to_le_bytes());
        target = copy as i64;
    }
    let distance = i32::try_from(target - end as i64).ok()?;
    code[at..at + MARK.len()].copy_from_slice(&MARK);
    code[at + MARK.len()..end].copy_from_slice(&distance.to_le_bytes());
    Some(())
}

/// What comes before the operands of an instruction.
struct Head {
    /// Where the operands' first byte is.
    modrm: usize,
    /// Bytes of a constant behind them.
    immediate: usize,
}

/// The length of the instruction at the beginning. `None` when it is none that
/// is used for accesses and moves.
fn length(code: &[u8]) -> Option<usize> {
    let Head { modrm, immediate } = head(code)?;
    let operands = *code.get(modrm)?;
    let (mode, base) = (operands >> 6, operands & 7);
    let mut length = modrm + 1;
    if mode != 3 && base == 4 {
        let index = *code.get(length)?;
        length += 1;
        if mode == 0 && index & 7 == 5 {
            length += 4;
        }
    }
    length += match mode {
        0 if base == 5 => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    let length = length + immediate;
    (length <= code.len()).then_some(length)
}

/// Whether the instruction refers to memory relative to itself.
fn is_relative(code: &[u8]) -> bool {
    let operands = head(code).and_then(|head| code.get(head.modrm));
    operands.is_some_and(|operands| operands & 0xc7 == 5)
}

fn head(code: &[u8]) -> Option<Head> {
    let mut at = 0;
    let mut narrow = false;
    while let Some(prefix) = code
        .get(at)
        .filter(|b| matches!(b, 0x66 | 0xf0 | 0xf2 | 0xf3))
    {
        narrow |= *prefix == 0x66;
        at += 1;
    }
    match *code.get(at)? {
        // VEX: the map is in the second byte, or the first map.
        0xc5 => return in_map(1, code, at + 2),
        0xc4 => return in_map(code.get(at + 1)? & 0x1f, code, at + 3),
        _ => {}
    }
    if code.get(at)? & 0xf0 == 0x40 {
        at += 1;
    }
    let opcode = *code.get(at)?;
    if opcode == 0x0f {
        return match *code.get(at + 1)? {
            0x38 => in_map(2, code, at + 2),
            0x3a => in_map(3, code, at + 2),
            _ => in_map(1, code, at + 1),
        };
    }
    let immediate = match opcode {
        0x80 | 0x83 | 0xc6 => 1,
        0x81 | 0xc7 if narrow => 2,
        0x81 | 0xc7 => 4,
        // Arithmetic of a register and memory, exchange, moves, lea.
        0x00..=0x3f if opcode & 7 < 4 => 0,
        0x63 | 0x86..=0x8b | 0x8d => 0,
        _ => return None,
    };
    Some(Head {
        modrm: at + 1,
        immediate,
    })
}

/// An instruction of one of the longer maps, whose opcode is at `at`.
fn in_map(map: u8, code: &[u8], at: usize) -> Option<Head> {
    let opcode = *code.get(at)?;
    let immediate = match (map, opcode) {
        (1, 0x05..=0x0f | 0x30..=0x3f | 0x77 | 0x80..=0x8f | 0xa0..=0xa2 | 0xc8..=0xcf) => {
            return None;
        }
        (1, 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6) | (3, _) => 1,
        (1 | 2, _) => 0,
        _ => return None,
    };
    Some(Head {
        modrm: at + 1,
        immediate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions of accesses and moves, in hexadecimal.
    const INSTRUCTIONS: [&str; 30] = [
        "4c 89 2c 13",
        "4c 89 6c 13 08",
        "c6 04 11 00",
        "66 c7 44 11 02 34 12",
        "48 c7 84 11 00 01 00 00 78 56 34 12",
        "41 0f b6 04 30",
        "4a 0f bf 44 00 10",
        "48 63 14 11",
        "4d 0f b7 24 24",
        "c4 a1 7b 10 04 01",
        "c5 fa 11 4c 11 04",
        "c4 41 79 6f 1c 24",
        "f3 0f 6f 04 25 78 56 34 12",
        "66 41 0f 7e c1",
        "f0 48 0f b1 34 11",
        "f0 41 0f b0 54 08 0c",
        "f0 66 0f c1 04 11",
        "66 87 44 0a 10",
        "f0 48 09 04 11",
        "48 89 ca",
        "4c 8b 44 24 08",
        "48 89 84 24 90 01 00 00",
        "f3 0f 7f 44 24 10",
        "66 0f 6f d9",
        "8b 45 f8",
        "48 8b 05 10 00 00 00",
        "c4 e3 79 16 04 11 01",
        "66 0f 3a 16 04 11 01",
        "c5 f9 70 c1 4e",
        "48 8d 14 0a",
    ];

    fn bytes(text: &str) -> Vec<u8> {
        let byte = |byte| u8::from_str_radix(byte, 16).expect("hexadecimal");
        text.split(' ').map(byte).collect()
    }

    #[test]
    fn lengths_of_accesses_and_moves() {
        for text in INSTRUCTIONS {
            let mut code = bytes(text);
            let expected = code.len();
            assert_eq!(length(&code[..expected - 1]), None, "{text}, cut");
            code.extend([0xcc; 8]);
            assert_eq!(length(&code), Some(expected), "{text}");
        }
        for other in ["c3", "e8 00 00 00 00", "0f 05", "0f 84 00 00 00 00", "cc"] {
            assert_eq!(length(&bytes(other)), None, "{other}");
        }
    }

    /// `mov [rbx + rdx], r13`, these moves, `test rbx, rbx; je` over 16 bytes.
    fn compiled(moves: &str) -> (Vec<u8>, usize) {
        let mut code = bytes("4c 89 2c 13");
        if !moves.is_empty() {
            code.extend(bytes(moves));
        }
        let check = code.len();
        code.extend(bytes("48 85 db 0f 84 10 00 00 00"));
        code.extend([0x90; 16]);
        code.push(0xc3);
        (code, check)
    }

    #[test]
    fn a_fault_goes_where_the_branch_went() {
        let (mut code, check) = compiled("");
        let was = code.len();
        mark(&mut code, 0, check).expect("it is of the form");
        assert_eq!(way_out(&code), Some(check as i64 + 9 + 16));
        assert_eq!(code.len(), was);
        // The mark is one instruction.
        assert_eq!(length(&code[check..]), Some(MARK_LENGTH));
    }

    #[test]
    fn moves_are_done_on_the_way() {
        let moves = "48 89 ca 4c 8b 44 24 08";
        let (mut code, check) = compiled(moves);
        let was = code.len();
        mark(&mut code, 0, check).expect("it is of the form");
        assert_eq!(way_out(&code), Some(was as i64));
        assert_eq!(code[was..was + 8], bytes(moves));
        let end = code.len();
        assert_eq!((code[was + 8], end), (0xe9, was + 13));
        let distance = i32::from_le_bytes(code[end - 4..].try_into().unwrap());
        assert_eq!(end as i64 + i64::from(distance), check as i64 + 9 + 16);
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        for moves in ["48 8b 05 10 00 00 00", "c3", "e8 00 00 00 00"] {
            let (mut code, check) = compiled(moves);
            let before = code.clone();
            assert_eq!(mark(&mut code, 0, check), None, "{moves}");
            assert_eq!(code, before);
        }
        let (mut code, check) = compiled("");
        assert_eq!(mark(&mut code, 0, check + 1), None);
        assert_eq!(way_out(&code), None);
    }
}
