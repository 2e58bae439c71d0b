//! A small assembler of x86-64 instructions.
//!
//! It knows encodings and nothing of guests. Source: the Intel 64 manual,
//! volume 2. Every method appends one instruction; operand order is the
//! manual's, destination first.

/// A general register, by its number in encodings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reg(pub u8);

#[allow(missing_docs)]
impl Reg {
    pub const RAX: Reg = Reg(0);
    pub const RCX: Reg = Reg(1);
    pub const RDX: Reg = Reg(2);
    pub const R14: Reg = Reg(14);
    pub const R15: Reg = Reg(15);
}

/// A vector register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Xmm(pub u8);

/// An operand that may be memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rm {
    /// A register of either kind.
    Reg(u8),
    /// Memory at register + displacement.
    Base(Reg, i32),
    /// Memory at register + register × 2^scale + displacement.
    Index(Reg, Reg, u8, i32),
    /// Memory relative to the next instruction; the 4 bytes are filled in later.
    Rip,
}

impl From<Reg> for Rm {
    fn from(reg: Reg) -> Rm {
        Rm::Reg(reg.0)
    }
}

impl From<Xmm> for Rm {
    fn from(xmm: Xmm) -> Rm {
        Rm::Reg(xmm.0)
    }
}

/// Conditions of jumps, moves and sets, by their number in encodings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cc {
    O = 0,
    No = 1,
    B = 2,
    Ae = 3,
    E = 4,
    Ne = 5,
    Be = 6,
    A = 7,
    S = 8,
    Ns = 9,
    P = 10,
    Np = 11,
    L = 12,
    Ge = 13,
    Le = 14,
    G = 15,
}

/// The eight operations of opcodes 00–3F, by the number that selects them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// The shifts of opcodes C1 and D3, by the number that selects them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Shift {
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// A jump whose target is not known yet: the place of its 32-bit displacement.
#[derive(Clone, Copy, Debug)]
#[must_use = "a jump goes somewhere"]
pub struct Jump(usize);

/// The code so far.
#[derive(Default)]
pub struct Asm {
    /// The bytes.
    pub code: Vec<u8>,
}

/// Escape bytes before an opcode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// None.
    One,
    /// 0F.
    Two,
    /// 0F 38.
    Three38,
    /// 0F 3A.
    Three3A,
}

/// An opcode of a vector instruction: its mandatory prefix (0 for none), its
/// map and its byte.
#[derive(Clone, Copy)]
pub struct Sse(pub u8, pub Map, pub u8);

impl Asm {
    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.code.len()
    }

    fn imm32(&mut self, n: i32) {
        self.code.extend_from_slice(&n.to_le_bytes());
    }

    /// One instruction with a ModRM byte: mandatory prefix (0 for none), REX,
    /// escape, opcode, operands. `byte` says that an 8-bit register operand
    /// needs REX to be one of the low bytes.
    #[allow(clippy::too_many_arguments)]
    fn modrm(&mut self, prefix: u8, wide: bool, map: Map, opcode: u8, reg: u8, rm: Rm, byte: bool) {
        if prefix != 0 {
            self.code.push(prefix);
        }
        let (base, index) = match rm {
            Rm::Reg(r) => (r, 0),
            Rm::Base(b, _) => (b.0, 0),
            Rm::Index(b, i, ..) => (b.0, i.0),
            Rm::Rip => (0, 0),
        };
        let rex = 0x40 | u8::from(wide) << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
        if rex != 0x40 || byte {
            self.code.push(rex);
        }
        match map {
            Map::One => {}
            Map::Two => self.code.push(0x0f),
            Map::Three38 => self.code.extend_from_slice(&[0x0f, 0x38]),
            Map::Three3A => self.code.extend_from_slice(&[0x0f, 0x3a]),
        }
        self.code.push(opcode);
        self.operand(reg, rm);
    }

    /// ModRM, SIB and displacement.
    fn operand(&mut self, reg: u8, rm: Rm) {
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Reg(r) => self.code.push(0xc0 | reg | r & 7),
            Rm::Base(base, by) => {
                let mode = displacement_mode(base, by);
                self.code.push(mode | reg | base.0 & 7);
                if base.0 & 7 == 4 {
                    self.code.push(0x24);
                }
                self.displacement(mode, by);
            }
            Rm::Index(base, index, scale, by) => {
                assert_ne!(index.0, 4, "rsp cannot be an index");
                let mode = displacement_mode(base, by);
                self.code.push(mode | reg | 4);
                self.code.push(scale << 6 | (index.0 & 7) << 3 | base.0 & 7);
                self.displacement(mode, by);
            }
            Rm::Rip => {
                self.code.push(reg | 5);
                self.imm32(0);
            }
        }
    }

    fn displacement(&mut self, mode: u8, by: i32) {
        match mode {
            0x40 => self.code.push(by as u8),
            0x80 => self.imm32(by),
            _ => {}
        }
    }

    /// An operation of 64 (`wide`) or 32 bits into a register.
    pub fn alu(&mut self, op: Alu, wide: bool, to: Reg, from: impl Into<Rm>) {
        self.modrm(
            0,
            wide,
            Map::One,
            (op as u8) << 3 | 3,
            to.0,
            from.into(),
            false,
        );
    }

    /// An operation with a constant.
    pub fn alu_imm(&mut self, op: Alu, wide: bool, to: impl Into<Rm>, n: i32) {
        let to = to.into();
        if let Ok(byte) = i8::try_from(n) {
            self.modrm(0, wide, Map::One, 0x83, op as u8, to, false);
            self.code.push(byte as u8);
        } else {
            self.modrm(0, wide, Map::One, 0x81, op as u8, to, false);
            self.imm32(n);
        }
    }

    /// Loads or moves into a register; 32 bits zero-extend.
    pub fn mov(&mut self, wide: bool, to: Reg, from: impl Into<Rm>) {
        let from = from.into();
        if wide && from == Rm::Reg(to.0) {
            return;
        }
        self.modrm(0, wide, Map::One, 0x8b, to.0, from, false);
    }

    /// Stores 1, 2, 4 or 8 bytes of a register.
    pub fn store(&mut self, bytes: u32, to: Rm, from: Reg) {
        match bytes {
            1 => self.modrm(0, false, Map::One, 0x88, from.0, to, from.0 >= 4),
            2 => self.modrm(0x66, false, Map::One, 0x89, from.0, to, false),
            4 => self.modrm(0, false, Map::One, 0x89, from.0, to, false),
            _ => self.modrm(0, true, Map::One, 0x89, from.0, to, false),
        }
    }

    /// Stores a sign-extended constant of 4 or 8 bytes.
    pub fn store_imm(&mut self, wide: bool, to: Rm, n: i32) {
        self.modrm(0, wide, Map::One, 0xc7, 0, to, false);
        self.imm32(n);
    }

    /// Loads a constant, in the shortest way that leaves the flags alone.
    pub fn constant(&mut self, to: Reg, n: u64) {
        if let Ok(low) = u32::try_from(n) {
            if to.0 >= 8 {
                self.code.push(0x41);
            }
            self.code.push(0xb8 | to.0 & 7);
            self.code.extend_from_slice(&low.to_le_bytes());
        } else if let Ok(signed) = i32::try_from(n as i64) {
            self.modrm(0, true, Map::One, 0xc7, 0, to.into(), false);
            self.imm32(signed);
        } else {
            self.code.push(0x48 | to.0 >> 3);
            self.code.push(0xb8 | to.0 & 7);
            self.code.extend_from_slice(&n.to_le_bytes());
        }
    }

    /// Loads `bytes` bytes, extended to 64 bits.
    pub fn load(&mut self, bytes: u32, signed: bool, to: Reg, from: Rm) {
        match (bytes, signed) {
            (1, false) => self.modrm(
                0,
                false,
                Map::Two,
                0xb6,
                to.0,
                from,
                matches!(from, Rm::Reg(4..)),
            ),
            (1, true) => self.modrm(0, true, Map::Two, 0xbe, to.0, from, false),
            (2, false) => self.modrm(0, false, Map::Two, 0xb7, to.0, from, false),
            (2, true) => self.modrm(0, true, Map::Two, 0xbf, to.0, from, false),
            (4, false) => self.modrm(0, false, Map::One, 0x8b, to.0, from, false),
            (4, true) => self.modrm(0, true, Map::One, 0x63, to.0, from, false),
            _ => self.mov(true, to, from),
        }
    }

    /// The address of memory.
    pub fn lea(&mut self, wide: bool, to: Reg, from: Rm) {
        self.modrm(0, wide, Map::One, 0x8d, to.0, from, false);
    }

    /// to × from, the low half.
    pub fn imul(&mut self, wide: bool, to: Reg, from: impl Into<Rm>) {
        self.modrm(0, wide, Map::Two, 0xaf, to.0, from.into(), false);
    }

    /// The one-operand group F7: 3 neg, 4 mul, 5 imul, 6 div, 7 idiv.
    pub fn group3(&mut self, which: u8, wide: bool, operand: impl Into<Rm>) {
        self.modrm(0, wide, Map::One, 0xf7, which, operand.into(), false);
    }

    /// Sign-extends rax into rdx.
    pub fn cqo(&mut self, wide: bool) {
        if wide {
            self.code.push(0x48);
        }
        self.code.push(0x99);
    }

    /// Tests a register with itself.
    pub fn test(&mut self, wide: bool, a: Reg) {
        self.modrm(0, wide, Map::One, 0x85, a.0, a.into(), false);
    }

    /// Tests the low bits of a register.
    pub fn test_imm(&mut self, a: impl Into<Rm>, n: i32) {
        self.modrm(0, false, Map::One, 0xf7, 0, a.into(), false);
        self.imm32(n);
    }

    /// Shifts by a constant.
    pub fn shift_imm(&mut self, op: Shift, wide: bool, to: Reg, by: u8) {
        self.modrm(0, wide, Map::One, 0xc1, op as u8, to.into(), false);
        self.code.push(by);
    }

    /// Shifts by cl.
    pub fn shift_cl(&mut self, op: Shift, wide: bool, to: Reg) {
        self.modrm(0, wide, Map::One, 0xd3, op as u8, to.into(), false);
    }

    /// 1 or 0 in a register, from the flags.
    pub fn set(&mut self, cc: Cc, to: Reg) {
        self.modrm(0, false, Map::Two, 0x90 | cc as u8, 0, to.into(), to.0 >= 4);
        self.load(1, false, to, to.into());
    }

    /// 1 or 0 in the lowest byte of a register; the rest stays.
    pub fn set_byte(&mut self, cc: Cc, to: Reg) {
        self.modrm(0, false, Map::Two, 0x90 | cc as u8, 0, to.into(), to.0 >= 4);
    }

    /// The flags S, Z and C into bits 15, 14 and 8 of rax (`lahf`).
    pub fn flags_to_ah(&mut self) {
        self.code.push(0x9f);
    }

    /// The inverse (`sahf`); the overflow flag stays.
    pub fn flags_from_ah(&mut self) {
        self.code.push(0x9e);
    }

    /// Inverts the carry flag.
    pub fn complement_carry(&mut self) {
        self.code.push(0xf5);
    }

    /// Sets the carry flag.
    pub fn set_carry(&mut self) {
        self.code.push(0xf9);
    }

    /// Adds a constant to al: 7F makes the overflow flag of a 1 there.
    pub fn add_al(&mut self, n: u8) {
        self.code.extend_from_slice(&[0x04, n]);
    }

    /// Moves if the condition holds.
    pub fn cmov(&mut self, cc: Cc, wide: bool, to: Reg, from: impl Into<Rm>) {
        self.modrm(0, wide, Map::Two, 0x40 | cc as u8, to.0, from.into(), false);
    }

    /// lzcnt (BD), tzcnt (BC), popcnt (B8).
    pub fn count(&mut self, opcode: u8, wide: bool, to: Reg, from: impl Into<Rm>) {
        self.modrm(0xf3, wide, Map::Two, opcode, to.0, from.into(), false);
    }

    /// Reverses bytes.
    pub fn bswap(&mut self, wide: bool, to: Reg) {
        let rex = 0x40 | u8::from(wide) << 3 | to.0 >> 3;
        if rex != 0x40 {
            self.code.push(rex);
        }
        self.code.extend_from_slice(&[0x0f, 0xc8 | to.0 & 7]);
    }

    /// Exchanges 1, 2, 4 or 8 bytes of a register with memory, indivisibly.
    pub fn xchg(&mut self, bytes: u32, memory: Rm, reg: Reg) {
        self.sized(bytes, false, Map::One, 0x86, reg, memory);
    }

    /// Adds a register to memory, indivisibly; the register gets the old value.
    pub fn lock_xadd(&mut self, bytes: u32, memory: Rm, reg: Reg) {
        self.sized(bytes, true, Map::Two, 0xc0, reg, memory);
    }

    /// Stores a register where memory equals rax, indivisibly; rax gets the old value.
    pub fn lock_cmpxchg(&mut self, bytes: u32, memory: Rm, reg: Reg) {
        self.sized(bytes, true, Map::Two, 0xb0, reg, memory);
    }

    /// An instruction whose opcode is for bytes, and the next one for the rest.
    fn sized(&mut self, bytes: u32, lock: bool, map: Map, opcode: u8, reg: Reg, memory: Rm) {
        if lock {
            self.code.push(0xf0);
        }
        let opcode = opcode + u8::from(bytes > 1);
        let prefix = if bytes == 2 { 0x66 } else { 0 };
        let byte = bytes == 1 && reg.0 >= 4;
        self.modrm(prefix, bytes == 8, map, opcode, reg.0, memory, byte);
    }

    /// Orders everything before with everything after, by a locked operation on
    /// some memory that does nothing; `mfence` takes longer.
    pub fn fence(&mut self, memory: Rm) {
        self.code.push(0xf0);
        self.alu_imm(Alu::Or, false, memory, 0);
    }

    /// Stores the floating-point control word.
    pub fn stmxcsr(&mut self, to: Rm) {
        self.modrm(0, false, Map::Two, 0xae, 3, to, false);
    }

    /// Loads the floating-point control word.
    pub fn ldmxcsr(&mut self, from: Rm) {
        self.modrm(0, false, Map::Two, 0xae, 2, from, false);
    }

    /// A scalar operation (58 add, 59 mul, 5C sub, 5D min, 5E div, 5F max,
    /// 51 sqrt) of doubles or singles.
    pub fn scalar(&mut self, opcode: u8, double: bool, to: Xmm, from: impl Into<Rm>) {
        let prefix = if double { 0xf2 } else { 0xf3 };
        self.modrm(prefix, false, Map::Two, opcode, to.0, from.into(), false);
    }

    /// Loads a scalar, or moves it within the vector registers.
    pub fn load_scalar(&mut self, double: bool, to: Xmm, from: impl Into<Rm>) {
        match from.into() {
            Rm::Reg(r) if r == to.0 => {}
            Rm::Reg(r) => self.modrm(0, false, Map::Two, 0x28, to.0, Rm::Reg(r), false),
            memory => self.scalar(0x10, double, to, memory),
        }
    }

    /// Stores a scalar.
    pub fn store_scalar(&mut self, double: bool, to: Rm, from: Xmm) {
        let prefix = if double { 0xf2 } else { 0xf3 };
        self.modrm(prefix, false, Map::Two, 0x11, from.0, to, false);
    }

    /// Compares: signals for any NaN (2F, `signals`) or for signalling ones (2E).
    pub fn compare_scalar(&mut self, double: bool, signals: bool, a: Xmm, b: impl Into<Rm>) {
        let prefix = if double { 0x66 } else { 0 };
        let opcode = if signals { 0x2f } else { 0x2e };
        self.modrm(prefix, false, Map::Two, opcode, a.0, b.into(), false);
    }

    /// A bitwise operation (54 and, 55 and-not, 56 or, 57 xor) on whole vector
    /// registers; a memory operand has 16 aligned bytes.
    pub fn bits(&mut self, opcode: u8, to: Xmm, from: impl Into<Rm>) {
        self.modrm(0, false, Map::Two, opcode, to.0, from.into(), false);
    }

    /// A scalar as an integer, truncated (2C) or rounded (2D).
    pub fn scalar_to_integer(
        &mut self,
        double: bool,
        truncate: bool,
        wide: bool,
        to: Reg,
        from: impl Into<Rm>,
    ) {
        let prefix = if double { 0xf2 } else { 0xf3 };
        let opcode = if truncate { 0x2c } else { 0x2d };
        self.modrm(prefix, wide, Map::Two, opcode, to.0, from.into(), false);
    }

    /// An integer as a scalar.
    pub fn integer_to_scalar(&mut self, double: bool, wide: bool, to: Xmm, from: impl Into<Rm>) {
        self.bits(0x57, to, to);
        let prefix = if double { 0xf2 } else { 0xf3 };
        self.modrm(prefix, wide, Map::Two, 0x2a, to.0, from.into(), false);
    }

    /// A scalar in the other format; `double` is that of the source.
    pub fn convert(&mut self, double: bool, to: Xmm, from: impl Into<Rm>) {
        let prefix = if double { 0xf2 } else { 0xf3 };
        self.modrm(prefix, false, Map::Two, 0x5a, to.0, from.into(), false);
    }

    /// A vector instruction.
    pub fn sse(&mut self, op: Sse, to: Xmm, from: impl Into<Rm>) {
        self.modrm(op.0, false, op.1, op.2, to.0, from.into(), false);
    }

    /// A vector instruction with a constant.
    pub fn sse_imm(&mut self, op: Sse, to: Xmm, from: impl Into<Rm>, n: u8) {
        self.sse(op, to, from);
        self.code.push(n);
    }

    /// A vector instruction between a vector register and a general register
    /// or memory.
    pub fn sse_general(&mut self, op: Sse, wide: bool, xmm: Xmm, other: impl Into<Rm>) {
        self.modrm(op.0, wide, op.1, op.2, xmm.0, other.into(), false);
    }

    /// Loads or moves 16 bytes, of any alignment.
    pub fn load_vector(&mut self, to: Xmm, from: impl Into<Rm>) {
        match from.into() {
            Rm::Reg(r) if r == to.0 => {}
            Rm::Reg(r) => self.modrm(0, false, Map::Two, 0x28, to.0, Rm::Reg(r), false),
            memory => self.modrm(0, false, Map::Two, 0x10, to.0, memory, false),
        }
    }

    /// Stores 16 bytes.
    pub fn store_vector(&mut self, to: Rm, from: Xmm) {
        self.modrm(0, false, Map::Two, 0x11, from.0, to, false);
    }

    /// Shifts lanes by a constant: the opcode (71 for 2 bytes, 72 for 4, 73 for
    /// 8), and which of the group.
    pub fn vector_shift(&mut self, opcode: u8, which: u8, to: Xmm, by: u8) {
        self.modrm(0x66, false, Map::Two, opcode, which, to.into(), false);
        self.code.push(by);
    }

    /// to ← to + b × c, on doubles or singles, of the lowest lane or all.
    pub fn fused_add(&mut self, packed: bool, double: bool, to: Xmm, b: Xmm, c: Xmm) {
        self.vex38(1, double, if packed { 0xb8 } else { 0xb9 }, to.0, b.0, c.0);
    }

    /// A scalar from the bits in a general register.
    pub fn move_in(&mut self, wide: bool, to: Xmm, from: Reg) {
        self.modrm(0x66, wide, Map::Two, 0x6e, to.0, from.into(), false);
    }

    /// A VEX instruction of three operands in the map 0F 38.
    fn vex38(&mut self, pp: u8, wide: bool, opcode: u8, reg: u8, second: u8, rm: u8) {
        self.code.push(0xc4);
        self.code.push((!reg & 8) << 4 | 0x40 | (!rm & 8) << 2 | 2);
        self.code
            .push(u8::from(wide) << 7 | (!second & 15) << 3 | pp);
        self.code.push(opcode);
        self.code.push(0xc0 | (reg & 7) << 3 | rm & 7);
    }

    /// to ← ±(to × b) ± c: opcode A9 +,+; AB +,−; AD −,+; AF −,−.
    pub fn fused(&mut self, opcode: u8, double: bool, to: Xmm, b: Xmm, c: Xmm) {
        self.vex38(1, double, opcode, to.0, b.0, c.0);
    }

    /// A shift by a register that leaves the flags alone (BMI2).
    pub fn shift_by(&mut self, op: Shift, wide: bool, to: Reg, from: Reg, by: Reg) {
        let pp = match op {
            Shift::Shl => 1,
            Shift::Sar => 2,
            Shift::Shr => 3,
            Shift::Ror => unreachable!("there is no such rotation"),
        };
        self.vex38(pp, wide, 0xf7, to.0, by.0, from.0);
    }

    /// A conditional jump.
    pub fn jcc(&mut self, cc: Cc) -> Jump {
        self.code.extend_from_slice(&[0x0f, 0x80 | cc as u8]);
        self.imm32(0);
        Jump(self.len() - 4)
    }

    /// A jump.
    pub fn jmp(&mut self) -> Jump {
        self.code.push(0xe9);
        self.imm32(0);
        Jump(self.len() - 4)
    }

    /// A jump through memory.
    pub fn jmp_memory(&mut self, through: Rm) {
        self.modrm(0, false, Map::One, 0xff, 4, through, false);
    }

    /// Points a jump at what comes next.
    pub fn land(&mut self, jump: Jump) {
        self.land_at(jump, self.len());
    }

    /// Points a jump at an offset in the code.
    pub fn land_at(&mut self, jump: Jump, to: usize) {
        let distance = to as i64 - (jump.0 as i64 + 4);
        let distance = i32::try_from(distance).expect("a block is far below 2 GiB");
        self.code[jump.0..jump.0 + 4].copy_from_slice(&distance.to_le_bytes());
    }
}

fn displacement_mode(base: Reg, by: i32) -> u8 {
    if by == 0 && base.0 & 7 != 5 {
        0
    } else if i8::try_from(by).is_ok() {
        0x40
    } else {
        0x80
    }
}
