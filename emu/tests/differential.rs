//! Every row of the RISC-V listing with random operands and registers, in one
//! program that prints all registers after each instruction, run by
//! `qemu-riscv64`, by the interpreter and by translated code.
//!
//! `SAPWOOD_SEED` and `SAPWOOD_CASES` (cases for each row) choose other and
//! longer runs.

mod common;

use std::fmt::Write as _;
use std::process::Command;

use sapwood_emu::riscv::decode::{decode, listing};
use sapwood_emu::riscv::table::Op;
use sapwood_emu::{Exit, Tier};

/// xorshift64*: the same cases for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn pick(&mut self, from: &[u64]) -> u64 {
        from[self.below(from.len() as u64) as usize]
    }

    fn integer(&mut self) -> u64 {
        let special = [
            0,
            1,
            2,
            7,
            63,
            64,
            255,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            i64::MAX as u64,
            i64::MIN as u64,
            u64::MAX,
            u64::MAX - 1,
        ];
        match self.below(4) {
            0 => self.pick(&special),
            1 => self.next() >> self.below(64),
            2 => (self.next() as i32 as i64) as u64,
            _ => self.next(),
        }
    }

    fn double(&mut self) -> u64 {
        let special: [f64; 16] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1.5,
            0.5,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::MAX,
            5e-324,
            2147483648.0,
            -2147483649.0,
            4294967295.5,
            9.3e18,
            1e300,
        ];
        match self.below(6) {
            0 | 1 => special[self.below(16) as usize].to_bits(),
            2 => (self.integer() as i64 as f64).to_bits(),
            3 => self.pick(&[
                0x7ff8_0000_0000_0000,
                0xfff8_0000_0000_1234,
                0x7ff0_0000_0000_0001,
                0x000f_ffff_ffff_ffff,
                0x8000_0000_0000_0001,
            ]),
            4 => self.next() & 0x800f_ffff_ffff_ffff | (1023 - 30 + self.below(60)) << 52,
            _ => self.next(),
        }
    }

    fn single(&mut self) -> u64 {
        let special: [f32; 14] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1.5,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MIN_POSITIVE,
            f32::MAX,
            1e-45,
            2147483648.0,
            4294967296.0,
            -0.75,
            1e30,
        ];
        let bits = match self.below(6) {
            0 | 1 => special[self.below(14) as usize].to_bits(),
            2 => (self.integer() as i64 as f32).to_bits(),
            3 => self.pick(&[
                0x7fc0_0000,
                0xffc0_1234,
                0x7f80_0001,
                0x007f_ffff,
                0x8000_0001,
            ]) as u32,
            4 => self.next() as u32 & 0x807f_ffff | (127 - 20 + self.below(40) as u32) << 23,
            _ => self.next() as u32,
        };
        0xffff_ffff << 32 | u64::from(bits)
    }
}

/// Bytes of memory that are printed; operands lie in their middle.
const WINDOW: u64 = 96;

struct Case {
    word: u32,
    bits: u8,
    text: String,
    x: [u64; 31],
    f: [u64; 32],
    fcsr: u64,
    window: [u64; 12],
}

/// Instructions that leave the stub, or that this QEMU has not got, or whose
/// result is the time.
fn is_skipped(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Jal | Jalr | Beq | Bne | Blt | Bge | Bltu | Bgeu | Ecall | Ebreak | CzeroEqz | CzeroNez
    )
}

fn touches_memory(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Lb | Lh | Lw | Ld | Lbu | Lhu | Lwu | Sb | Sh | Sw | Sd | Flw | Fld | Fsw | Fsd
    ) || is_atomic(op)
}

fn is_atomic(op: Op) -> bool {
    let name = format!("{op:?}");
    name.starts_with("Amo") || name.starts_with("Lr") || name.starts_with("Sc")
}

/// Fills a pattern with random fields. `x31` is the test's own.
fn encode(pattern: &str, random: &mut Random) -> u32 {
    let mut word = 0u32;
    for token in pattern.split_whitespace() {
        let name = token.split("!0").next().unwrap();
        let (value, width) = match name {
            "rd" | "rs1" | "rs2" | "rs3" | "rsd" => (random.below(31), 5),
            "rd'" | "rs1'" | "rs2'" | "rsd'" => (random.below(8), 3),
            "rm" => (random.pick(&[0, 1, 2, 3, 4, 7, 7, 7]), 3),
            "fmt" => (random.below(2), 2),
            "csr" => (1 + random.below(3), 12),
            _ if token.contains("imm[") => {
                let width = immediate_width(token);
                (random.next() & ((1 << width) - 1), width)
            }
            digits => {
                let value = u64::from_str_radix(&digits.replace('-', "0"), 2).unwrap();
                (value, digits.len() as u32)
            }
        };
        word = word.checked_shl(width).unwrap_or(0) | value as u32;
    }
    word
}

fn immediate_width(token: &str) -> u32 {
    let pieces = token.split_once('[').unwrap().1.trim_end_matches(']');
    let widths = pieces.split('|').map(|piece| match piece.split_once(':') {
        Some((high, low)) => high.parse::<u32>().unwrap() - low.parse::<u32>().unwrap() + 1,
        None => 1,
    });
    widths.sum()
}

fn case(op: Op, pattern: &str, bits: u8, random: &mut Random) -> Option<Case> {
    let word = encode(pattern, random);
    // An excluded operand makes it another instruction.
    let insn = decode(word).filter(|insn| insn.op == op)?;
    let mut case = Case {
        word,
        bits,
        text: format!("{insn:?}"),
        x: std::array::from_fn(|_| random.integer()),
        f: std::array::from_fn(|_| match random.below(8) {
            0 => random.next(),
            _ if insn.fmt == 0 && op != Op::FcvtSD => random.single(),
            _ => random.double(),
        }),
        fcsr: random.pick(&[0, 0, 0, 1, 2, 3, 4]) << 5 | random.pick(&[0, 0, 0, 1, 0x10, 0x1f]),
        window: std::array::from_fn(|_| random.next()),
    };
    // QEMU 7.2 counts beyond bit 31 when the low half is zero.
    if op == Op::Ctzw && case.x[usize::from(insn.rs1)] as u32 == 0 {
        return None;
    }
    if touches_memory(op) {
        if insn.rs1 == 0 {
            return None;
        }
        let step = if is_atomic(op) { 8 } else { 1 };
        let aim = (random.below(40) / step * step + 16).wrapping_sub(insn.imm as u64);
        // The program adds the window's address to what has this mark.
        case.x[usize::from(insn.rs1)] = MARK ^ aim.wrapping_add(1 << 16);
    }
    Some(case)
}

/// Marks a register value as an offset into the window, biased by 2^16.
const MARK: u64 = 0x5ada_0000_0000_0000;

fn marked(value: u64) -> Option<i64> {
    (value >> 48 == MARK >> 48 && (value & 0xffff_ffff_ffff) < 1 << 20)
        .then(|| (value & 0xf_ffff) as i64 - (1 << 16))
}

/// Bytes of one case's results.
const RESULT: usize = 8 * (30 + 32 + 1) + WINDOW as usize;

fn assembly(cases: &[Case]) -> String {
    let mut s = String::from(PROLOGUE);
    for (i, case) in cases.iter().enumerate() {
        let directive = if case.bits == 16 { ".half" } else { ".word" };
        let _ = writeln!(
            s,
            "stub{i}: {directive} {:#x}\n lui t6, %hi(save)\n jr %lo(save)(t6)",
            case.word
        );
    }
    s.push_str(".data\n.balign 8\ncases:\n");
    for (i, case) in cases.iter().enumerate() {
        let _ = writeln!(s, ".dword stub{i}");
        for &value in &case.x[1..] {
            match marked(value) {
                Some(by) => writeln!(s, ".dword window + {by}"),
                None => writeln!(s, ".dword {value:#x}"),
            }
            .unwrap();
        }
        for value in case.f.iter().chain([&case.fcsr]).chain(&case.window) {
            let _ = writeln!(s, ".dword {value:#x}");
        }
    }
    let _ = writeln!(
        s,
        "cases_end: .dword 0\n.balign 16\nresults: .skip {}\nresults_end: .skip 8",
        cases.len() * RESULT
    );
    s
}

/// Runs every case eight times, so that it is translated, and prints the last
/// results.
const PROLOGUE: &str = "
.option norvc
.option norelax
.data
.balign 16
.skip 4096
window: .skip 96
.skip 4096
current: .dword 0
output: .dword 0
rounds: .dword 8
.text
.globl _start
_start:
again:
  la t6, current
  la t5, cases
  sd t5, 0(t6)
  la t6, output
  la t5, results
  sd t5, 0(t6)
next:
  la t6, current
  ld t6, 0(t6)
  la t5, window
  .set i, 0
  .rept 12
  ld t4, 8*(1+30+32+1)+i(t6)
  sd t4, i(t5)
  .set i, i+8
  .endr
  ld t5, 8*(1+30+32)(t6)
  fscsr t5
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  fld f\\n, 8*(1+30+\\n)(t6)
  .endr
  .irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
  ld x\\n, 8*\\n(t6)
  .endr
  ld t6, 0(t6)
  jr t6
save:
  la t6, output
  ld t6, 0(t6)
  .irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
  sd x\\n, 8*(\\n-1)(t6)
  .endr
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  fsd f\\n, 8*(30+\\n)(t6)
  .endr
  frcsr t5
  sd t5, 8*62(t6)
  la t5, window
  .set i, 0
  .rept 12
  ld t4, i(t5)
  sd t4, 8*63+i(t6)
  .set i, i+8
  .endr
  addi t6, t6, 8*63+96
  la t5, output
  sd t6, 0(t5)
  la t5, current
  ld t4, 0(t5)
  addi t4, t4, 8*(1+30+32+1+12)
  sd t4, 0(t5)
  la t5, cases_end
  bltu t4, t5, next
  la t5, rounds
  ld t4, 0(t5)
  addi t4, t4, -1
  sd t4, 0(t5)
  bnez t4, again
  li a0, 1
  la a1, results
  la a2, results_end
  sub a2, a2, a1
  li a7, 64
  ecall
  li a0, 0
  li a7, 93
  ecall
";

fn output(mut command: Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn name(index: usize) -> String {
    match index {
        0..30 => format!("x{}", index + 1),
        30..62 => format!("f{}", index - 30),
        62 => "fcsr".into(),
        _ => format!("window+{}", (index - 63) * 8),
    }
}

/// The differences, one line for each case that has any.
fn differences(cases: &[Case], want: &[u8], got: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let word = |from: &[u8], n: usize| {
            let at = i * RESULT + n * 8;
            u64::from_le_bytes(from[at..at + 8].try_into().unwrap())
        };
        let differ: Vec<String> = (0..RESULT / 8)
            .filter(|&n| word(want, n) != word(got, n))
            .map(|n| {
                format!(
                    "{} is {:#x}, not {:#x}",
                    name(n),
                    word(got, n),
                    word(want, n)
                )
            })
            .collect();
        if !differ.is_empty() {
            lines.push(format!(
                "{} {:?} fcsr={:#x}: {}",
                case.text,
                operands(case),
                case.fcsr,
                differ.join(", ")
            ));
        }
    }
    lines
}

fn operands(case: &Case) -> Vec<String> {
    let insn = decode(case.word).unwrap();
    let registers = [insn.rs1, insn.rs2, insn.rs3];
    registers
        .map(|n| {
            format!(
                "x{n}={:#x} f{n}={:#x}",
                if n == 0 { 0 } else { case.x[usize::from(n)] },
                case.f[usize::from(n)]
            )
        })
        .to_vec()
}

#[test]
fn every_instruction_agrees_with_qemu() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    };
    let mut random = Random(number("SAPWOOD_SEED", 0x5eed_5eed_5eed_5eed) | 1);
    let mut cases = Vec::new();
    for (op, pattern, bits) in listing().filter(|row| !is_skipped(row.0)) {
        let mut left = number("SAPWOOD_CASES", 6);
        let mut tries = 0;
        while left > 0 && tries < 1000 {
            tries += 1;
            if let Some(case) = case(op, pattern, bits, &mut random) {
                cases.push(case);
                left -= 1;
            }
        }
    }
    let folder = std::env::temp_dir().join(format!("sapwood-differential-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("p.S"), assembly(&cases)).unwrap();
    let program = folder.join("p");
    std::fs::write(folder.join("p.ld"), common::SCRIPT).unwrap();
    let mut gcc = Command::new("riscv64-linux-gnu-gcc");
    gcc.args([
        "-static",
        "-nostdlib",
        "-march=rv64gc",
        "-Wl,--no-relax",
        "-Wl,--build-id=none",
    ]);
    gcc.args(["-Wl,-T,p.ld", "-Wl,-e,_start", "-o", "p", "p.S"])
        .current_dir(&folder);
    output(gcc);
    let flat = folder.join("p.bin");
    let mut objcopy = Command::new("riscv64-linux-gnu-objcopy");
    objcopy.args(["-O", "binary"]).arg(&program).arg(&flat);
    output(objcopy);
    let mut qemu = Command::new("qemu-riscv64");
    qemu.args(["-cpu", "rv64,zba=true,zbb=true,zbs=true"])
        .arg(&program);
    let want = output(qemu);
    assert_eq!(want.len(), cases.len() * RESULT);
    let mut report = String::new();
    let code = std::fs::read(&flat).unwrap();
    for tier in [Tier::Interpret, Tier::Translate, Tier::Optimise] {
        let mut guest = common::Guest::new(&code, tier);
        let exit = guest.run();
        assert_eq!(exit, Exit::Syscall, "at {}", guest.state.pc);
        assert_eq!(guest.output.len(), want.len());
        let lines = differences(&cases, &want, &guest.output);
        if !lines.is_empty() {
            let _ = writeln!(
                report,
                "{} of {} differ, {tier:?}\n{}",
                lines.len(),
                cases.len(),
                lines.join("\n")
            );
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(report.is_empty(), "{report}");
}
