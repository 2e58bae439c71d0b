//! A fault in any access of a loop leaves the same registers and memory in every
//! tier: loops of random instructions with accesses of all kinds, which walk off
//! the end of memory; the interpreter says what is right.
//!
//! `SAPWOOD_SEED` and `SAPWOOD_CASES` choose other and longer runs.

mod common;

use std::fmt::Write as _;
use std::process::Command;

use sapwood_emu::memory::Protection;
use sapwood_emu::{Engine, Exit, Guest, GuestAddr, GuestMemory, GuestState, Tier};

/// What loops are made of. `N` is an integer register, `F` a floating-point one,
/// `O` an offset; the address is in the first register.
struct Language {
    guest: Guest,
    assembler: [&'static str; 2],
    header: &'static str,
    instructions: &'static [&'static str],
    /// Ends each loop: an access, a step, and back.
    end: &'static str,
    /// The first of six registers for `N`, and for `F`.
    registers: [u64; 2],
}

const AARCH64: Language = Language {
    guest: Guest::Aarch64,
    assembler: ["aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy"],
    header: ".arch armv8.1-a\n",
    instructions: &[
        "str xN, [x0, #O]",
        "str wN, [x0, #O]",
        "strh wN, [x0, #O]",
        "strb wN, [x0, #O]",
        "stp xN, xN, [x0, #O]",
        "stp xN, xN, [x0], #8",
        "str xN, [x0, #8]!",
        "str dF, [x0, #O]",
        "str sF, [x0, #O]",
        "str qF, [x0, #O]",
        "stp qF, qF, [x0, #O]",
        "st1 {v2.4s, v3.4s}, [x0]",
        "ldr xN, [x0, #O]",
        "ldrsw xN, [x0, #O]",
        "ldrb wN, [x0, #O]",
        "ldp x4, x7, [x0, #O]",
        "ldr xN, [x0], #8",
        "ldr dF, [x0, #O]",
        "ldr qF, [x0, #O]",
        "ld1 {v2.16b, v3.16b}, [x0]",
        "ldr xN, [x20, #O]",
        "ldadd xN, xN, [x0]",
        "ldset wN, wN, [x0]",
        "stclr xN, [x0]",
        "ldsmax xN, xN, [x0]",
        "ldumin wN, wN, [x0]",
        "swp xN, xN, [x0]",
        "cas xN, xN, [x0]",
        "ldxr x5, [x0]\n add x5, x5, #3\n stxr w6, x5, [x0]",
        "add xN, xN, xN",
        "sub wN, wN, wN",
        "eor xN, xN, xN, ror #7",
        "mul xN, xN, xN",
        "subs xN, xN, xN",
        "adds wN, wN, wN",
        "csel xN, xN, xN, hi",
        "b.eq 2f\n cset xN, ls\n2: csinc xN, xN, xN, cs",
        "cbnz xN, 2f\n cset xN, ge\n2: csel xN, xN, xN, le",
        "b.cc 2f\n csinv xN, xN, xN, gt\n2: cset wN, ne",
        "cbnz xN, 2f\n adc xN, xN, xN\n2: cset xN, mi\n cset wN, vs",
        "ands xN, xN, xN",
        "tst wN, #0xf0\n b.hi 2f\n ccmp xN, xN, #5, pl\n2: mrs xN, nzcv",
        "cbz wN, 2f\n str xN, [x0, #O]\n2: add xN, xN, #5",
        "b.lt 2f\n ldr xN, [x0, #O]\n2: add xN, xN, #9",
        "fadd dF, dF, dF",
        "fmul sF, sF, sF",
        "fdiv dF, dF, dF",
        "fmadd dF, dF, dF, dF",
        "fcmp dF, dF",
        "fadd vF.4s, vF.4s, vF.4s",
        "add vF.2d, vF.2d, vF.2d",
        "fcvtzs xN, dF",
        "scvtf dF, xN",
        "bl 2f\n b 3f\n2: str xN, [x0, #O]\n add xN, xN, #1\n ret\n3:",
    ],
    end: "ldr x9, [x0], #16\n b 1b",
    registers: [4, 0],
};

const RISCV: Language = Language {
    guest: Guest::Riscv64,
    assembler: ["riscv64-linux-gnu-as", "riscv64-linux-gnu-objcopy"],
    header: ".option norelax\n",
    instructions: &[
        "sd xN, O(x10)",
        "sw xN, O(x10)",
        "sh xN, O(x10)",
        "sb xN, O(x10)",
        "fsd fF, O(x10)",
        "fsw fF, O(x10)",
        "ld xN, O(x10)",
        "lw xN, O(x10)",
        "lhu xN, O(x10)",
        "lb xN, O(x10)",
        "fld fF, O(x10)",
        "flw fF, O(x10)",
        "ld xN, O(x20)",
        "sd xN, O(x10)\n ld xN, O(x10)",
        "amoadd.d xN, xN, (x10)",
        "amoor.w xN, xN, (x10)",
        "amoand.d x0, xN, (x10)",
        "amomaxu.d xN, xN, (x10)",
        "amomin.w xN, xN, (x10)",
        "amoswap.d xN, xN, (x10)",
        "lr.d x14, (x10)\n addi x14, x14, 3\n sc.d x15, x14, (x10)",
        "lr.w x14, (x10)\n bnez x14, 2f\n sc.w x15, x13, (x10)\n2:",
        "add xN, xN, xN",
        "subw xN, xN, xN",
        "xor xN, xN, xN",
        "mul xN, xN, xN",
        "divu xN, xN, xN",
        "sltu xN, xN, xN",
        "addi x10, x10, 8",
        "bnez xN, 2f\n sd xN, O(x10)\n2: addi xN, xN, 5",
        "bltu xN, xN, 2f\n ld xN, O(x10)\n2: addi xN, xN, 9",
        "fadd.d fF, fF, fF",
        "fmul.s fF, fF, fF",
        "fdiv.d fF, fF, fF",
        "fmadd.d fF, fF, fF, fF",
        "feq.d xN, fF, fF",
        "flt.d xN, fF, fF",
        "frflags x14\n feq.d x15, fF, fF\n fsflags x14",
        "fcvt.d.l fF, xN",
        "fcvt.l.d xN, fF, rtz",
        "fmv.x.d xN, fF",
        "fcvt.s.d fF, fF",
        "jal x1, 2f\n j 3f\n2: sd xN, O(x10)\n addi xN, xN, 1\n ret\n3:",
    ],
    end: "ld x16, 0(x10)\n addi x10, x10, 16\n j 1b",
    registers: [11, 0],
};

/// Each loop begins at a multiple of this.
const SPACING: usize = 512;

const DATA: GuestAddr = GuestAddr(0x4000_0000);
const DATA_BYTES: usize = 1 << 13;

/// Memory that does not end where a loop goes.
const OTHER: GuestAddr = GuestAddr(0x5000_0000);

/// xorshift64*: the same cases for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % n
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |n| n.parse().expect("a number"))
}

impl Language {
    /// One loop, with registers and offsets for the letters.
    fn random_loop(&self, random: &mut Random) -> String {
        let mut text = String::from("1:\n");
        for _ in 0..3 + random.below(10) {
            let which = random.below(self.instructions.len() as u64) as usize;
            let mut letters = self.instructions[which].chars().peekable();
            let mut before = ' ';
            while let Some(letter) = letters.next() {
                // A letter within a word is itself.
                let alone = !letters.peek().is_some_and(|next| next.is_alphanumeric());
                let slot = alone && !before.is_uppercase();
                let number = match letter {
                    'N' if slot => Some(self.registers[0] + random.below(6)),
                    'F' if slot => Some(self.registers[1] + random.below(6)),
                    'O' if slot => Some(16 * random.below(4)),
                    _ => None,
                };
                let _ = match number {
                    Some(number) => write!(text, "{number}"),
                    None => write!(text, "{letter}"),
                };
                before = letter;
            }
            text.push('\n');
        }
        text + self.end
    }

    fn assembled(&self, program: &str) -> Vec<u8> {
        let name = format!("sapwood-faults-{:?}-{}", self.guest, std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        std::fs::write(folder.join("p.S"), program).expect("the source is written");
        let run = |program: &str, arguments: &[&str]| {
            let done = Command::new(program)
                .args(arguments)
                .current_dir(&folder)
                .output();
            let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{program}: {said}");
        };
        let [assembler, copy] = self.assembler;
        run(assembler, &["p.S", "-o", "p.o"]);
        run(copy, &["-O", "binary", "-j", ".text", "p.o", "p.bin"]);
        let code = std::fs::read(folder.join("p.bin")).expect("flat code");
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
        code
    }
}

/// One tier, with the code and the memory of all loops.
struct Machine {
    guest: Guest,
    tier: Tier,
    memory: GuestMemory,
    engine: Engine,
}

/// All that a loop leaves.
#[derive(PartialEq, Debug)]
struct Left {
    exit: Exit,
    pc: GuestAddr,
    x: [u64; 32],
    f: [u64; 32],
    v: [[u64; 2]; 32],
    flags: (u32, u32, u32),
    memory: Vec<u8>,
}

impl Left {
    /// What is not as it should be.
    fn difference(&self, expected: &Left) -> Option<String> {
        let mut memory = self.memory.iter().zip(&expected.memory);
        let byte = memory.position(|(left, right)| left != right);
        let parts = |left: &Left| {
            [
                format!("{:?} at {:x?}", left.exit, left.pc),
                format!("{:x?}", left.x),
                format!("{:x?}", left.f),
                format!("{:x?}", left.v),
                format!("flags {:x?}", left.flags),
            ]
        };
        if self == expected {
            return None;
        }
        let pairs = parts(self).into_iter().zip(parts(expected));
        let mut all: Vec<String> = pairs
            .filter(|(left, right)| left != right)
            .map(|(left, right)| format!("{left}\nnot {right}"))
            .collect();
        all.extend(byte.map(|at| format!("memory from {at:x} on")));
        Some(all.join("\n"))
    }
}

impl Machine {
    fn new(guest: Guest, tier: Tier, code: &[u8]) -> Machine {
        let memory = GuestMemory::new(4 << 30).expect("a reservation");
        let length = code.len() as u64;
        common::map(&memory, common::CODE, length, Protection::READ_WRITE);
        memory
            .write_bytes(common::CODE, code)
            .expect("the code fits");
        let executable = Protection::new(true, false, true);
        assert!(memory.protect(common::CODE, length, executable).is_ok());
        for at in [DATA, OTHER] {
            common::map(&memory, at, DATA_BYTES as u64, Protection::READ_WRITE);
        }
        Machine {
            guest,
            tier,
            memory,
            engine: Engine::new(guest, tier).expect("address space"),
        }
    }

    fn run(&mut self, start: u64) -> Left {
        let fresh: Vec<u8> = (0..DATA_BYTES).map(|i| ((i * i) >> 5) as u8).collect();
        self.memory.write_bytes(DATA, &fresh).expect("it is mapped");
        let mut state = GuestState::new(self.memory.base(), self.memory.limit());
        state.pc = common::CODE.add(start);
        for n in 1..32 {
            state.x[n] = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(n as u64) >> (n % 3 * 20);
        }
        let numbers = [1.5f64, -3.25, 1e300, 0.1, f64::INFINITY, 7.0];
        for (n, number) in numbers.into_iter().enumerate() {
            state.f[n] = number.to_bits();
            state.aarch64.v[n] = [number.to_bits(), 0];
        }
        state.f[3] = 0xffff_ffff << 32 | u64::from(2.5f32.to_bits());
        let (address, other) = match self.guest {
            Guest::Riscv64 => (10, 20),
            Guest::Aarch64 => (0, 20),
        };
        state.x[address] = DATA.0;
        state.x[other] = OTHER.0;
        let exit = self.engine.run(&mut state, &self.memory);
        Left {
            exit,
            pc: state.pc,
            x: state.x,
            f: state.f,
            v: state.aarch64.v,
            flags: (state.aarch64.nzcv, state.aarch64.fpsr, state.fcsr),
            memory: self.memory.read_bytes(DATA, DATA_BYTES).expect("mapped"),
        }
    }
}

fn check(language: &Language) {
    let mut random = Random(number("SAPWOOD_SEED", 1) << 8 | 1);
    let cases = number("SAPWOOD_CASES", 120);
    let loops: Vec<String> = (0..cases)
        .map(|_| language.random_loop(&mut random))
        .collect();
    let mut program = String::from(language.header);
    for text in &loops {
        let _ = writeln!(program, ".balign {SPACING}\n{text}");
    }
    let code = language.assembled(&program);
    let tiers = [Tier::Interpret, Tier::Translate, Tier::Optimise];
    let mut machines = tiers.map(|tier| Machine::new(language.guest, tier, &code));
    for (i, text) in loops.iter().enumerate() {
        let start = (SPACING * i) as u64;
        let [expected, rest @ ..] = &mut machines;
        let expected = expected.run(start);
        assert!(
            matches!(expected.exit, Exit::Fault(_)),
            "{:?}: {text}",
            expected.exit
        );
        for machine in rest {
            let left = machine.run(start);
            let differs = left.difference(&expected);
            assert_eq!(differs, None, "{:?}: {text}", machine.tier);
        }
    }
}

#[test]
fn faults_in_loops_of_riscv() {
    check(&RISCV);
}

#[test]
fn faults_in_loops_of_aarch64() {
    check(&AARCH64);
}
