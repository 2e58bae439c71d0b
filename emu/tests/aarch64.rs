//! Every row of the A64 table with random operands and registers, in one
//! program that prints all registers after each instruction, run by
//! `qemu-aarch64`, by the interpreter and by both tiers of translated code.
//!
//! `SAPWOOD_SEED` and `SAPWOOD_CASES` (cases for each row) choose other and
//! longer runs, `SAPWOOD_ONLY` one instruction.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sapwood_emu::aarch64::decode::{Fields, encodings};
use sapwood_emu::aarch64::table::Op;
use sapwood_emu::aarch64::{Insn, decode};

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

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn integer(&mut self) -> u64 {
        match self.below(4) {
            0 => self.pick(&[
                0,
                1,
                2,
                63,
                64,
                255,
                0x7fff_ffff,
                0x8000_0000,
                0xffff_ffff,
                i64::MAX as u64,
                i64::MIN as u64,
                u64::MAX,
            ]),
            1 => self.next() >> self.below(64),
            2 => (self.next() as i32 as i64) as u64,
            _ => self.next(),
        }
    }

    fn double(&mut self) -> u64 {
        match self.below(6) {
            0 | 1 => self
                .pick(&[
                    0.0,
                    -0.0,
                    1.0,
                    -1.5,
                    0.5,
                    2.5,
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
                    65519.9,
                    6e-8,
                ])
                .to_bits(),
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

    fn single(&mut self) -> u32 {
        match self.below(6) {
            0 | 1 => self
                .pick(&[
                    0.0f32,
                    -0.0,
                    1.0,
                    -1.5,
                    f32::INFINITY,
                    f32::NEG_INFINITY,
                    f32::MIN_POSITIVE,
                    f32::MAX,
                    1e-45,
                    2147483648.0,
                    4294967296.0,
                    -0.75,
                    2.5,
                    65504.0,
                ])
                .to_bits(),
            2 => (self.integer() as i64 as f32).to_bits(),
            3 => self.pick(&[
                0x7fc0_0000,
                0xffc0_1234,
                0x7f80_0001,
                0x007f_ffff,
                0x8000_0001,
            ]),
            4 => self.next() as u32 & 0x807f_ffff | (127 - 20 + self.below(40) as u32) << 23,
            _ => self.next() as u32,
        }
    }

    /// Half a vector register: a double, two singles, or lanes of integers.
    fn half_vector(&mut self, kind: u64) -> u64 {
        match kind {
            0 => self.double(),
            1 => u64::from(self.single()) << 32 | u64::from(self.single()),
            2 => self.integer(),
            3 => (0..8).fold(0, |all, _| {
                all << 8 | self.pick(&[0, 1, 0x7f, 0x80, 0xff, 0x55, 0x10])
            }),
            4 => (0..4).fold(0, |all, _| {
                all << 16
                    | self.pick(&[
                        0, 1, 0x7fff, 0x8000, 0xffff, 0x7c00, 0x3c00, 0x7e01, 0x7d00, 0x03ff,
                        0x8001,
                    ])
            }),
            _ => self.next(),
        }
    }
}

/// Words of memory that are printed; operands lie in their middle.
const WINDOW: usize = 32;
/// Words in a case, and in its result: a place for the stub's address, x0 to
/// x28, sp, NZCV, FPCR, FPSR, v0 to v31, the window.
const WORDS: usize = 34 + 64 + WINDOW;
const SP: usize = 30;
const NZCV: usize = 31;
const FPCR: usize = 32;
const FPSR: usize = 33;
const V: usize = 34;

/// Marks a register value as an offset into the window, biased by 2^16.
const MARK: u64 = 0x5ada_0000_0000_0000;

struct Case {
    insn: Insn,
    words: [u64; WORDS],
}

/// Instructions that leave the stub, or whose result says what machine it is.
fn is_skipped(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        BCond
            | Svc
            | Brk
            | Br
            | Blr
            | Ret
            | B
            | CompareBranch
            | TestBranch
            | Adr
            | LoadLiteral
            | LoadLiteralVector
            | DcZva
            | IcIvau
            | DcClean
            | MsrTpidr
            | MrsTpidr
            | MrsTpidrro
            | MrsCtr
            | MrsDczid
            | MrsCntfrq
            | MrsCntvct
            | MrsId
            | Prfm
    )
}

fn is_memory(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        VectorMultiple
            | VectorSingle
            | Stxr
            | Ldxr
            | Stxp
            | Ldxp
            | Casp
            | Stlr
            | Ldar
            | Cas
            | Pair
            | PairVector
            | LoadStore9
            | LoadStore9Vector
            | Atomic
            | Swp
            | Ldapr
            | LoadStoreRegister
            | LoadStoreRegisterVector
            | LoadStore12
            | LoadStore12Vector
    )
}

/// What the manual calls constrained unpredictable, or what names a register
/// of the test's own.
fn is_unpredictable(insn: Insn) -> bool {
    use Op::*;
    let (t, n, m, t2) = (insn.rd(), insn.rn(), insn.rm(), insn.ra());
    match insn.op {
        Pair => t == t2 || t == n || t2 == n,
        PairVector => t == t2,
        LoadStore9 => t == n && insn.bits(10, 1) == 1,
        LoadStoreRegister | LoadStoreRegisterVector => m == n || m == 31,
        VectorMultiple | VectorSingle => insn.bit(23) && m == n,
        Stxr => m == t || m == n,
        Stxp => m == t || m == n || m == t2,
        Ldxp => t == t2,
        Casp => t >= 28 || m >= 28,
        Cas | Atomic | Swp => m == n || t == n,
        _ => false,
    }
}

fn encode(mask: u32, value: u32, fields: &Fields, random: &mut Random) -> u32 {
    let mut word = value | random.next() as u32 & !mask;
    for &(name, low, length) in fields {
        let field = match name {
            "Rd" | "Rn" | "Rm" | "Ra" | "Rt" | "Rt2" | "Rs" => {
                let n = random.below(30);
                if n == 29 { 31 } else { n }
            }
            "imm12" if fields.iter().any(|f| f.0 == "Rt") => random.below(5),
            "imm9" => random.below(64).wrapping_sub(32),
            "imm7" => random.below(8).wrapping_sub(4),
            _ => continue,
        };
        let ones = ((1u64 << length) - 1) as u32;
        word = word & !(ones << low) | (field as u32 & ones) << low;
    }
    word
}

fn case(op: Op, mask: u32, value: u32, fields: &Fields, random: &mut Random) -> Option<Case> {
    let word = encode(mask, value, fields, random);
    // An excluded field makes it another instruction.
    let insn = decode(word).filter(|insn| insn.op == op && !is_unpredictable(*insn))?;
    let mut words: [u64; WORDS] = std::array::from_fn(|_| random.integer());
    words[NZCV] = random.below(16) << 28;
    words[FPCR] = random.pick(&[0, 0, 0, 0, 0, 1, 2, 3, 4, 8, 16, 31, random.0 % 32]) << 22;
    words[FPSR] = random.pick(&[0, 0, 0, 1, 1 << 27, 0x9f]);
    let kind = random.below(6);
    for half in &mut words[V..V + 64] {
        let kind = if random.below(4) == 0 {
            random.below(6)
        } else {
            kind
        };
        *half = random.half_vector(kind);
    }
    words[SP] = MARK | ((1 << 16) + 128);
    if is_memory(op) {
        let within = if is_aligned(op) {
            16 * random.below(2)
        } else {
            random.below(24)
        };
        let aim = MARK | ((1 << 16) + 112 + within);
        if insn.rn() != 31 {
            words[1 + usize::from(insn.rn())] = aim;
        }
        if matches!(op, Op::LoadStoreRegister | Op::LoadStoreRegisterVector) {
            words[1 + usize::from(insn.rm())] = random.below(4);
        }
    }
    Some(Case { insn, words })
}

fn is_aligned(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Stxr | Ldxr | Stxp | Ldxp | Casp | Stlr | Ldar | Cas | Atomic | Swp | Ldapr
    )
}

fn assembly(cases: &[Case]) -> String {
    let mut s = String::from(PROLOGUE);
    for (i, case) in cases.iter().enumerate() {
        let _ = writeln!(s, "stub{i}: .inst {:#x}\n br x29", case.insn.word);
    }
    s.push_str(".data\n.balign 16\ncases:\n");
    for (i, case) in cases.iter().enumerate() {
        let _ = writeln!(s, ".quad stub{i}");
        for &value in &case.words[1..] {
            if value >> 48 == MARK >> 48 && value & 0xffff_ffff_ffff < 1 << 20 {
                let _ = writeln!(
                    s,
                    ".quad window + {}",
                    (value & 0xf_ffff) as i64 - (1 << 16)
                );
            } else {
                let _ = writeln!(s, ".quad {value:#x}");
            }
        }
    }
    let bytes = cases.len() * WORDS * 8;
    let _ = writeln!(
        s,
        "cases_end: .quad 0\n.bss\n.balign 16\nresults: .skip {bytes}\nresults_end: .skip 8"
    );
    s
}

/// Runs every case eight times, so that it is translated, and prints the last
/// results.
const PROLOGUE: &str = "
.arch armv8.2-a+crypto+dotprod+rcpc
.macro la register, symbol
  adrp \\register, \\symbol
  add \\register, \\register, :lo12:\\symbol
.endm
.data
.balign 16
.skip 4096
window: .skip 256
.skip 4096
current: .quad 0
output: .quad 0
rounds: .quad 8
.text
.globl _start
_start:
again:
  la x0, current
  la x1, cases
  str x1, [x0]
  la x0, output
  la x1, results
  str x1, [x0]
next:
  clrex
  la x29, current
  ldr x29, [x29]
  la x30, window
  .set i, 0
  .rept 16
  ldr q0, [x29, 8*98+i]
  str q0, [x30, i]
  .set i, i+16
  .endr
  ldr x0, [x29, 8*31]
  msr nzcv, x0
  ldr x0, [x29, 8*33]
  msr fpsr, x0
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  ldr q\\n, [x29, 8*34+16*\\n]
  .endr
  ldr x0, [x29, 8*30]
  mov sp, x0
  ldr x0, [x29, 8*32]
  msr fpcr, x0
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28
  ldr x\\n, [x29, 8*(1+\\n)]
  .endr
  ldr x30, [x29]
  la x29, save
  br x30
save:
  la x30, output
  ldr x30, [x30]
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28
  str x\\n, [x30, 8*(1+\\n)]
  .endr
  mov x29, sp
  str x29, [x30, 8*30]
  mrs x29, nzcv
  str x29, [x30, 8*31]
  mrs x29, fpcr
  str x29, [x30, 8*32]
  mrs x29, fpsr
  str x29, [x30, 8*33]
  msr fpcr, xzr
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  str q\\n, [x30, 8*34+16*\\n]
  .endr
  la x29, window
  .set i, 0
  .rept 16
  ldr q0, [x29, i]
  str q0, [x30, 8*98+i]
  .set i, i+16
  .endr
  add x30, x30, 1040
  la x29, output
  str x30, [x29]
  la x29, current
  ldr x28, [x29]
  add x28, x28, 1040
  str x28, [x29]
  la x29, cases_end
  cmp x28, x29
  b.lo next
  la x29, rounds
  ldr x28, [x29]
  subs x28, x28, 1
  str x28, [x29]
  b.ne again
  mov x0, 1
  la x1, results
  la x2, results_end
  sub x2, x2, x1
  mov x8, 64
  svc 0
  mov x0, 0
  mov x8, 93
  svc 0
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

fn name(word: usize) -> String {
    match word {
        1..30 => format!("x{}", word - 1),
        SP => "sp".into(),
        NZCV => "nzcv".into(),
        FPCR => "fpcr".into(),
        FPSR => "fpsr".into(),
        V..98 => format!("v{}.d[{}]", (word - V) / 2, word % 2),
        _ => format!("window+{}", (word - 98) * 8),
    }
}

/// FPCR and FPSR as far as this guest has them; QEMU's has more.
fn visible(word: usize, value: u64) -> u64 {
    match word {
        FPCR => value & 0x07c0_0000,
        FPSR => value & 0x0800_009f,
        _ => value,
    }
}

/// The differences, one line for each case that has any.
fn differences(cases: &[Case], want: &[u8], got: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let word = |from: &[u8], n: usize| {
            let at = (i * WORDS + n) * 8;
            visible(n, u64::from_le_bytes(from[at..at + 8].try_into().unwrap()))
        };
        let differ: Vec<String> = (1..WORDS)
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
                "{:?} {:#010x} {}: {}",
                case.insn.op,
                case.insn.word,
                operands(case),
                differ.join(", ")
            ));
        }
    }
    lines
}

fn operands(case: &Case) -> String {
    let insn = case.insn;
    let mut text = format!(
        "fpcr={:#x} fpsr={:#x} nzcv={:#x}",
        case.words[FPCR], case.words[FPSR], case.words[NZCV]
    );
    for n in [insn.rd(), insn.rn(), insn.rm(), insn.ra()].map(usize::from) {
        let x = if n < 29 { case.words[1 + n] } else { 0 };
        let v = &case.words[V + 2 * n..][..2];
        let _ = write!(text, " x{n}={x:#x} v{n}={:#018x}_{:016x}", v[1], v[0]);
    }
    text
}

fn guest() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    folder.join("examples/guest")
}

#[test]
fn every_instruction_agrees_with_qemu() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    };
    let only = std::env::var("SAPWOOD_ONLY").ok();
    let mut random = Random(number("SAPWOOD_SEED", 0x5eed_5eed_5eed_5eed) | 1);
    let mut cases = Vec::new();
    for (op, mask, value, fields) in encodings().filter(|row| !is_skipped(row.0)) {
        if only.as_ref().is_some_and(|only| *only != format!("{op:?}")) {
            continue;
        }
        let mut left = number("SAPWOOD_CASES", 8);
        for _ in 0..20 * left {
            if left > 0
                && let Some(case) = case(op, mask, value, &fields, &mut random)
            {
                cases.push(case);
                left -= 1;
            }
        }
        assert!(left == 0 || only.is_some(), "{op:?} is hard to make up");
    }
    let folder = std::env::temp_dir().join(format!("sapwood-aarch64-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("p.S"), assembly(&cases)).unwrap();
    let program = folder.join("p");
    let mut gcc = Command::new("aarch64-linux-gnu-gcc");
    gcc.args(["-static", "-nostdlib", "-o"])
        .arg(&program)
        .arg(folder.join("p.S"));
    output(gcc);
    let mut qemu = Command::new("qemu-aarch64");
    qemu.args(["-cpu", "max,pauth=off"]).arg(&program);
    let want = output(qemu);
    assert_eq!(want.len(), cases.len() * WORDS * 8);
    let mut report = String::new();
    for tier in ["--interpret", "--translate", "--optimise"] {
        let mut ours = Command::new(guest());
        ours.arg(tier).arg(&program);
        let got = output(ours);
        assert_eq!(got.len(), want.len());
        let lines = differences(&cases, &want, &got);
        if !lines.is_empty() {
            let _ = writeln!(
                report,
                "{} of {} differ, {tier}\n{}",
                lines.len(),
                cases.len(),
                lines.join("\n")
            );
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(report.is_empty(), "{report}");
}
