//! AArch64's condition flags are exact in every tier, whatever they are of:
//! second-tier code does not work them out, and must leave what they are of to
//! whoever wants to see them: at faults of stores and of loads, and after a loop.

mod common;

use std::fmt::Write as _;
use std::process::Command;

use sapwood_emu::memory::Protection;
use sapwood_emu::{Engine, Exit, GuestMemory, GuestState, Tier};

/// What sets the flags, of x4, x5, d0 and d1, which change in each turn.
const SETTERS: [&str; 14] = [
    "subs x3, x4, x5",
    "subs w3, w4, w5",
    "subs x3, x5, x4, lsl #3",
    "cmp w5, #77",
    "adds x3, x4, x5",
    "adds w3, w4, w5",
    "ands x3, x4, x5",
    "tst w4, #0xff",
    "adcs x3, x4, x5",
    "ccmp x4, x5, #5, hi",
    "fcmp d0, d1",
    "fcmp s0, s1",
    "fcmpe d1, d0",
    "fccmp d0, d1, #9, ne",
];

/// What a loop does besides, and how it ends: at the end of memory, or counted.
const ENDS: [&str; 4] = [
    "str x4, [x0], #24\n b 1b",
    "ldr x9, [x0], #24\n b 1b",
    "str d1, [x0]\n ldr x9, [x0, #8]\n add x0, x0, #40\n b 1b",
    "str x4, [x0]\n sub x7, x7, #1\n cbnz x7, 1b\n mrs x9, nzcv\n cset x10, hi\n svc 0",
];

fn assembled(program: &str) -> Vec<u8> {
    let name = format!("sapwood-flags-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    std::fs::write(folder.join("p.S"), program).expect("the source is written");
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .status();
        assert!(done.is_ok_and(|status| status.success()), "{program}");
    };
    run("aarch64-linux-gnu-as", &["p.S", "-o", "p.o"]);
    run(
        "aarch64-linux-gnu-objcopy",
        &["-O", "binary", "p.o", "p.bin"],
    );
    let code = std::fs::read(folder.join("p.bin")).expect("flat code");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    code
}

/// All that a guest can see of its registers.
type Registers = ([u64; 32], [[u64; 2]; 32], u64, u32, u32);

/// Runs one loop of the program to its end, and gives what it left.
fn outcome(code: &[u8], start: u64, tier: Tier) -> (Exit, Registers) {
    let memory = GuestMemory::new(4 << 30).expect("a reservation");
    let length = code.len() as u64;
    let all = Protection::new(true, false, true);
    common::map(&memory, common::CODE, length, Protection::READ_WRITE);
    memory
        .write_bytes(common::CODE, code)
        .expect("the code fits");
    common::map(&memory, DATA, DATA_BYTES, Protection::READ_WRITE);
    let changed = memory.protect(common::CODE, length, all);
    assert!(changed.is_ok());
    let mut state = GuestState::new(memory.base(), memory.limit());
    state.pc = common::CODE.add(start);
    state.x[0] = DATA.0;
    for n in 1..31 {
        state.x[n] = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(n as u64);
        state.aarch64.v[n] = [state.x[n], 0];
    }
    state.x[7] = 1_000;
    state.aarch64.v[0] = [1.5f64.to_bits(), 0];
    let engine = Engine::new(sapwood_emu::Guest::Aarch64, tier).expect("memory for code");
    let exit = engine.run(&mut state, &memory);
    let seen = (
        state.x,
        state.aarch64.v,
        state.pc.0,
        state.aarch64.nzcv,
        state.aarch64.fpsr,
    );
    (exit, seen)
}

const DATA: sapwood_emu::GuestAddr = sapwood_emu::GuestAddr(0x4000_0000);
const DATA_BYTES: u64 = 1 << 15;

#[test]
fn flags_are_exact_wherever_they_are_seen() {
    let (mut program, mut names) = (String::new(), Vec::new());
    for setter in SETTERS {
        for end in ENDS {
            let _ = writeln!(
                program,
                "1: add x4, x4, x6\n ror x5, x5, #3\n fmov d1, x5\n {setter}\n {end}\n brk 0\n .balign 64"
            );
            names.push(format!("{setter}; {end}"));
        }
    }
    let code = assembled(&program);
    for (i, name) in names.iter().enumerate() {
        let start = 64 * i as u64;
        let expected = outcome(&code, start, Tier::Interpret);
        for tier in [Tier::Translate, Tier::Optimise] {
            let seen = outcome(&code, start, tier);
            assert_eq!(seen, expected, "{tier:?}: {name}");
        }
    }
}
