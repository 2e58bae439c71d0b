//! From encodings to IR: what single instructions become, and that nothing,
//! however wrong, becomes a block that breaks the IR's rules.

use sapwood_emu::GuestAddr;
use sapwood_emu::ir::verify::verify;
use sapwood_emu::riscv::decode::{decode, listing};
use sapwood_emu::riscv::lift_block;

/// Lifts one instruction at 0x10000; its operations in one line.
fn lifted(word: u32) -> String {
    let block = lift_block(GuestAddr(0x10000), &word.to_le_bytes(), 1);
    verify(&block).unwrap_or_else(|broken| panic!("{word:#x}: {broken:?}\n{block}"));
    let text = block.to_string();
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

#[test]
fn instructions_as_ir() {
    let cases = [
        // addi a0, a0, 1
        (
            0x0015_0513,
            "0x10000:; v1 = get X(10); v2 = const 0x1; v3 = add.64 v1 v2; set X(10) v3; -> Jump(0x10004)",
        ),
        // mv a0, a1
        (
            0x0005_8513,
            "0x10000:; v1 = get X(11); v2 = const 0x0; set X(10) v1; -> Jump(0x10004)",
        ),
        // addw a0, a1, a2
        (
            0x00c5_853b,
            "0x10000:; v1 = get X(11); v2 = get X(12); v3 = add.32 v1 v2; v4 = extend.32s v3; set X(10) v4; -> Jump(0x10004)",
        ),
        // lw zero, 4(sp): the value is dropped, the fault is not
        (
            0x0041_2003,
            "0x10000:; v1 = get X(2); v2 = load.32s v1 +4; -> Jump(0x10004)",
        ),
        // beq a0, a1, 8
        (
            0x00b5_0463,
            "0x10000:; v1 = get X(10); v2 = get X(11); -> Branch { cond: Eq, a: v1, b: v2, taken: 0x10008, next: 0x10004 }",
        ),
        // ret, compressed
        (
            0x0000_8082,
            "0x10000:; v1 = get X(1); v2 = const 0x0; v3 = const 0xfffffffffffffffe; v4 = and.64 v1 v3; -> Indirect(v4, Return)",
        ),
        // all zeros and all ones are no instructions
        (0, "0x10000:; -> Illegal(0x10000)"),
        (u32::MAX, "0x10000:; -> Illegal(0x10000)"),
        // csrrw zero, cycle, zero: the counters are read-only
        (0xc000_1073, "0x10000:; -> Illegal(0x10000)"),
    ];
    for (word, expected) in cases {
        assert_eq!(lifted(word), expected, "{word:#010x}");
    }
}

#[test]
fn random_code_keeps_the_rules() {
    let mut seed = 0x1234_5678_9abc_def1u64;
    for _ in 0..20_000 {
        let mut bytes = [0u8; 64];
        for chunk in bytes.chunks_mut(8) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            chunk.copy_from_slice(&seed.to_le_bytes());
        }
        let length = (seed % 65) as usize;
        let block = lift_block(GuestAddr(seed & !1), &bytes[..length], 96);
        verify(&block).unwrap_or_else(|broken| panic!("{broken:?}\n{block}"));
        assert!(block.length as usize <= 64);
    }
}

/// A row that an earlier one hides entirely could never be decoded.
#[test]
fn every_row_can_be_decoded() {
    for (op, pattern, bits) in listing() {
        let found = (0..4096u64).any(|fill| {
            let mut word = 0u32;
            let mut left = u32::from(bits);
            for token in pattern.split_whitespace() {
                let fixed = token.bytes().all(|b| matches!(b, b'0' | b'1' | b'-'));
                if fixed {
                    left -= token.len() as u32;
                    word |= u32::from_str_radix(&token.replace('-', "0"), 2).unwrap() << left;
                    continue;
                }
                let width = width(token);
                left -= width;
                let value = match token {
                    "rm" | "fmt" => 0,
                    _ => {
                        fill.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                            .rotate_left(left * 7) as u32
                            & ((1 << width) - 1)
                    }
                };
                word |= value << left;
            }
            decode(word)
                .is_some_and(|insn| insn.op == op && u32::from(insn.length) * 8 == u32::from(bits))
        });
        assert!(found, "{op:?} {pattern}");
    }
}

fn width(token: &str) -> u32 {
    let name = token.trim_end_matches("!0");
    match name {
        "csr" => 12,
        "fmt" => 2,
        "rm" => 3,
        _ if name.ends_with('\'') => 3,
        _ if name.contains('[') => {
            let pieces = name.split_once('[').unwrap().1.trim_end_matches(']');
            let bits = pieces.split('|').map(|piece| match piece.split_once(':') {
                Some((high, low)) => high.parse::<u32>().unwrap() - low.parse::<u32>().unwrap() + 1,
                None => 1,
            });
            bits.sum()
        }
        _ => 5,
    }
}
