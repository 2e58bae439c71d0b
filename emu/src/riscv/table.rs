//! The RISC-V instruction set as the unprivileged manual prints it.
//!
//! Source: *The RISC-V Instruction Set Manual, Volume I: Unprivileged ISA*
//! (20240411 and later), chapter "RV32/64G Instruction Set Listings", the
//! listings of the C extension, and the chapters on B and Zicond.
//!
//! Each row is an encoding from its highest bit to its lowest, in tokens:
//! - digits are fixed bits, `-` is a bit that is ignored;
//! - `rd rs1 rs2 rs3` are register numbers; `rsd` is rd and rs1 at once; with a
//!   prime they are three bits that name `x8` to `x15`; `!0` after one excludes
//!   register 0;
//! - `rm` is a rounding mode (5 and 6 are reserved), `fmt` a floating-point
//!   format (00 single, 01 double; others are not in this guest), `csr` a
//!   register number;
//! - `uimm[…]` and `simm[…]` give for each bit, left to right, which bit of the
//!   immediate it is; `simm` is sign-extended from the highest bit that any of
//!   its pieces names; an `nz` before them excludes zero.
//!
//! A compressed row names the instruction that it stands for and the registers
//! that it implies. Rows are tried in order; what no row matches is illegal.

/// Registers that a compressed encoding implies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Implied {
    pub rd: u8,
    pub rs1: u8,
}

/// One row of the listing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub op: Op,
    pub pattern: &'static str,
    pub implied: Implied,
}

macro_rules! instructions {
    ($($op:ident $pattern:literal)*) => {
        /// An instruction, by the manual's name; compressed ones stand for
        /// one of these.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[allow(missing_docs)]
        pub enum Op { $($op),* }

        /// The 32-bit encodings.
        pub(super) const FULL: &[Row] = &[
            $(Row { op: Op::$op, pattern: $pattern, implied: Implied { rd: 0, rs1: 0 } }),*
        ];
    };
}

macro_rules! compressed {
    ($($name:literal $pattern:literal => $op:ident $(rd=$rd:literal)? $(rs1=$rs1:literal)?;)*) => {
        /// The 16-bit encodings.
        pub(super) const COMPRESSED: &[Row] = &[
            $(Row {
                op: Op::$op,
                pattern: $pattern,
                implied: Implied { rd: 0 $(+ $rd)?, rs1: 0 $(+ $rs1)? },
            }),*
        ];
    };
}

instructions! {
    // RV32I
    Lui      "simm[31:12] rd 0110111"
    Auipc    "simm[31:12] rd 0010111"
    Jal      "simm[20|10:1|11|19:12] rd 1101111"
    Jalr     "simm[11:0] rs1 000 rd 1100111"
    Beq      "simm[12|10:5] rs2 rs1 000 simm[4:1|11] 1100011"
    Bne      "simm[12|10:5] rs2 rs1 001 simm[4:1|11] 1100011"
    Blt      "simm[12|10:5] rs2 rs1 100 simm[4:1|11] 1100011"
    Bge      "simm[12|10:5] rs2 rs1 101 simm[4:1|11] 1100011"
    Bltu     "simm[12|10:5] rs2 rs1 110 simm[4:1|11] 1100011"
    Bgeu     "simm[12|10:5] rs2 rs1 111 simm[4:1|11] 1100011"
    Lb       "simm[11:0] rs1 000 rd 0000011"
    Lh       "simm[11:0] rs1 001 rd 0000011"
    Lw       "simm[11:0] rs1 010 rd 0000011"
    Lbu      "simm[11:0] rs1 100 rd 0000011"
    Lhu      "simm[11:0] rs1 101 rd 0000011"
    Sb       "simm[11:5] rs2 rs1 000 simm[4:0] 0100011"
    Sh       "simm[11:5] rs2 rs1 001 simm[4:0] 0100011"
    Sw       "simm[11:5] rs2 rs1 010 simm[4:0] 0100011"
    Addi     "simm[11:0] rs1 000 rd 0010011"
    Slti     "simm[11:0] rs1 010 rd 0010011"
    Sltiu    "simm[11:0] rs1 011 rd 0010011"
    Xori     "simm[11:0] rs1 100 rd 0010011"
    Ori      "simm[11:0] rs1 110 rd 0010011"
    Andi     "simm[11:0] rs1 111 rd 0010011"
    Add      "0000000 rs2 rs1 000 rd 0110011"
    Sub      "0100000 rs2 rs1 000 rd 0110011"
    Sll      "0000000 rs2 rs1 001 rd 0110011"
    Slt      "0000000 rs2 rs1 010 rd 0110011"
    Sltu     "0000000 rs2 rs1 011 rd 0110011"
    Xor      "0000000 rs2 rs1 100 rd 0110011"
    Srl      "0000000 rs2 rs1 101 rd 0110011"
    Sra      "0100000 rs2 rs1 101 rd 0110011"
    Or       "0000000 rs2 rs1 110 rd 0110011"
    And      "0000000 rs2 rs1 111 rd 0110011"
    Fence    "---- uimm[7:0] ----- 000 ----- 0001111"
    Ecall    "000000000000 00000 000 00000 1110011"
    Ebreak   "000000000001 00000 000 00000 1110011"
    // RV64I
    Lwu      "simm[11:0] rs1 110 rd 0000011"
    Ld       "simm[11:0] rs1 011 rd 0000011"
    Sd       "simm[11:5] rs2 rs1 011 simm[4:0] 0100011"
    Slli     "000000 uimm[5:0] rs1 001 rd 0010011"
    Srli     "000000 uimm[5:0] rs1 101 rd 0010011"
    Srai     "010000 uimm[5:0] rs1 101 rd 0010011"
    Addiw    "simm[11:0] rs1 000 rd 0011011"
    Slliw    "0000000 uimm[4:0] rs1 001 rd 0011011"
    Srliw    "0000000 uimm[4:0] rs1 101 rd 0011011"
    Sraiw    "0100000 uimm[4:0] rs1 101 rd 0011011"
    Addw     "0000000 rs2 rs1 000 rd 0111011"
    Subw     "0100000 rs2 rs1 000 rd 0111011"
    Sllw     "0000000 rs2 rs1 001 rd 0111011"
    Srlw     "0000000 rs2 rs1 101 rd 0111011"
    Sraw     "0100000 rs2 rs1 101 rd 0111011"
    // Zifencei
    FenceI   "------------ ----- 001 ----- 0001111"
    // Zicsr
    Csrrw    "csr rs1 001 rd 1110011"
    Csrrs    "csr rs1 010 rd 1110011"
    Csrrc    "csr rs1 011 rd 1110011"
    Csrrwi   "csr rs1 101 rd 1110011"
    Csrrsi   "csr rs1 110 rd 1110011"
    Csrrci   "csr rs1 111 rd 1110011"
    // M
    Mul      "0000001 rs2 rs1 000 rd 0110011"
    Mulh     "0000001 rs2 rs1 001 rd 0110011"
    Mulhsu   "0000001 rs2 rs1 010 rd 0110011"
    Mulhu    "0000001 rs2 rs1 011 rd 0110011"
    Div      "0000001 rs2 rs1 100 rd 0110011"
    Divu     "0000001 rs2 rs1 101 rd 0110011"
    Rem      "0000001 rs2 rs1 110 rd 0110011"
    Remu     "0000001 rs2 rs1 111 rd 0110011"
    Mulw     "0000001 rs2 rs1 000 rd 0111011"
    Divw     "0000001 rs2 rs1 100 rd 0111011"
    Divuw    "0000001 rs2 rs1 101 rd 0111011"
    Remw     "0000001 rs2 rs1 110 rd 0111011"
    Remuw    "0000001 rs2 rs1 111 rd 0111011"
    // A (bits 26 and 25 are aq and rl; every access of ours is at least as strong)
    LrW      "00010 -- 00000 rs1 010 rd 0101111"
    ScW      "00011 -- rs2 rs1 010 rd 0101111"
    AmoswapW "00001 -- rs2 rs1 010 rd 0101111"
    AmoaddW  "00000 -- rs2 rs1 010 rd 0101111"
    AmoxorW  "00100 -- rs2 rs1 010 rd 0101111"
    AmoandW  "01100 -- rs2 rs1 010 rd 0101111"
    AmoorW   "01000 -- rs2 rs1 010 rd 0101111"
    AmominW  "10000 -- rs2 rs1 010 rd 0101111"
    AmomaxW  "10100 -- rs2 rs1 010 rd 0101111"
    AmominuW "11000 -- rs2 rs1 010 rd 0101111"
    AmomaxuW "11100 -- rs2 rs1 010 rd 0101111"
    LrD      "00010 -- 00000 rs1 011 rd 0101111"
    ScD      "00011 -- rs2 rs1 011 rd 0101111"
    AmoswapD "00001 -- rs2 rs1 011 rd 0101111"
    AmoaddD  "00000 -- rs2 rs1 011 rd 0101111"
    AmoxorD  "00100 -- rs2 rs1 011 rd 0101111"
    AmoandD  "01100 -- rs2 rs1 011 rd 0101111"
    AmoorD   "01000 -- rs2 rs1 011 rd 0101111"
    AmominD  "10000 -- rs2 rs1 011 rd 0101111"
    AmomaxD  "10100 -- rs2 rs1 011 rd 0101111"
    AmominuD "11000 -- rs2 rs1 011 rd 0101111"
    AmomaxuD "11100 -- rs2 rs1 011 rd 0101111"
    // F and D
    Flw      "simm[11:0] rs1 010 rd 0000111"
    Fld      "simm[11:0] rs1 011 rd 0000111"
    Fsw      "simm[11:5] rs2 rs1 010 simm[4:0] 0100111"
    Fsd      "simm[11:5] rs2 rs1 011 simm[4:0] 0100111"
    Fmadd    "rs3 fmt rs2 rs1 rm rd 1000011"
    Fmsub    "rs3 fmt rs2 rs1 rm rd 1000111"
    Fnmsub   "rs3 fmt rs2 rs1 rm rd 1001011"
    Fnmadd   "rs3 fmt rs2 rs1 rm rd 1001111"
    Fadd     "00000 fmt rs2 rs1 rm rd 1010011"
    Fsub     "00001 fmt rs2 rs1 rm rd 1010011"
    Fmul     "00010 fmt rs2 rs1 rm rd 1010011"
    Fdiv     "00011 fmt rs2 rs1 rm rd 1010011"
    Fsqrt    "01011 fmt 00000 rs1 rm rd 1010011"
    Fsgnj    "00100 fmt rs2 rs1 000 rd 1010011"
    Fsgnjn   "00100 fmt rs2 rs1 001 rd 1010011"
    Fsgnjx   "00100 fmt rs2 rs1 010 rd 1010011"
    Fmin     "00101 fmt rs2 rs1 000 rd 1010011"
    Fmax     "00101 fmt rs2 rs1 001 rd 1010011"
    FcvtSD   "0100000 00001 rs1 rm rd 1010011"
    FcvtDS   "0100001 00000 rs1 rm rd 1010011"
    Feq      "10100 fmt rs2 rs1 010 rd 1010011"
    Flt      "10100 fmt rs2 rs1 001 rd 1010011"
    Fle      "10100 fmt rs2 rs1 000 rd 1010011"
    Fclass   "11100 fmt 00000 rs1 001 rd 1010011"
    FcvtW    "11000 fmt 00000 rs1 rm rd 1010011"
    FcvtWu   "11000 fmt 00001 rs1 rm rd 1010011"
    FcvtL    "11000 fmt 00010 rs1 rm rd 1010011"
    FcvtLu   "11000 fmt 00011 rs1 rm rd 1010011"
    FcvtFW   "11010 fmt 00000 rs1 rm rd 1010011"
    FcvtFWu  "11010 fmt 00001 rs1 rm rd 1010011"
    FcvtFL   "11010 fmt 00010 rs1 rm rd 1010011"
    FcvtFLu  "11010 fmt 00011 rs1 rm rd 1010011"
    FmvXF    "11100 fmt 00000 rs1 000 rd 1010011"
    FmvFX    "11110 fmt 00000 rs1 000 rd 1010011"
    // Zba
    AddUw    "0000100 rs2 rs1 000 rd 0111011"
    Sh1add   "0010000 rs2 rs1 010 rd 0110011"
    Sh2add   "0010000 rs2 rs1 100 rd 0110011"
    Sh3add   "0010000 rs2 rs1 110 rd 0110011"
    Sh1addUw "0010000 rs2 rs1 010 rd 0111011"
    Sh2addUw "0010000 rs2 rs1 100 rd 0111011"
    Sh3addUw "0010000 rs2 rs1 110 rd 0111011"
    SlliUw   "000010 uimm[5:0] rs1 001 rd 0011011"
    // Zbb
    Andn     "0100000 rs2 rs1 111 rd 0110011"
    Orn      "0100000 rs2 rs1 110 rd 0110011"
    Xnor     "0100000 rs2 rs1 100 rd 0110011"
    Clz      "0110000 00000 rs1 001 rd 0010011"
    Ctz      "0110000 00001 rs1 001 rd 0010011"
    Cpop     "0110000 00010 rs1 001 rd 0010011"
    SextB    "0110000 00100 rs1 001 rd 0010011"
    SextH    "0110000 00101 rs1 001 rd 0010011"
    Clzw     "0110000 00000 rs1 001 rd 0011011"
    Ctzw     "0110000 00001 rs1 001 rd 0011011"
    Cpopw    "0110000 00010 rs1 001 rd 0011011"
    Max      "0000101 rs2 rs1 110 rd 0110011"
    Maxu     "0000101 rs2 rs1 111 rd 0110011"
    Min      "0000101 rs2 rs1 100 rd 0110011"
    Minu     "0000101 rs2 rs1 101 rd 0110011"
    ZextH    "0000100 00000 rs1 100 rd 0111011"
    Rol      "0110000 rs2 rs1 001 rd 0110011"
    Ror      "0110000 rs2 rs1 101 rd 0110011"
    Rori     "011000 uimm[5:0] rs1 101 rd 0010011"
    Rolw     "0110000 rs2 rs1 001 rd 0111011"
    Rorw     "0110000 rs2 rs1 101 rd 0111011"
    Roriw    "0110000 uimm[4:0] rs1 101 rd 0011011"
    OrcB     "001010000111 rs1 101 rd 0010011"
    Rev8     "011010111000 rs1 101 rd 0010011"
    // Zbs
    Bclr     "0100100 rs2 rs1 001 rd 0110011"
    Bclri    "010010 uimm[5:0] rs1 001 rd 0010011"
    Bext     "0100100 rs2 rs1 101 rd 0110011"
    Bexti    "010010 uimm[5:0] rs1 101 rd 0010011"
    Binv     "0110100 rs2 rs1 001 rd 0110011"
    Binvi    "011010 uimm[5:0] rs1 001 rd 0010011"
    Bset     "0010100 rs2 rs1 001 rd 0110011"
    Bseti    "001010 uimm[5:0] rs1 001 rd 0010011"
    // Zicond
    CzeroEqz "0000111 rs2 rs1 101 rd 0110011"
    CzeroNez "0000111 rs2 rs1 111 rd 0110011"
}

compressed! {
    "c.addi4spn" "000 nzuimm[5:4|9:6|2|3] rd' 00" => Addi rs1=2;
    "c.fld"      "001 uimm[5:3] rs1' uimm[7:6] rd' 00" => Fld;
    "c.lw"       "010 uimm[5:3] rs1' uimm[2|6] rd' 00" => Lw;
    "c.ld"       "011 uimm[5:3] rs1' uimm[7:6] rd' 00" => Ld;
    "c.fsd"      "101 uimm[5:3] rs1' uimm[7:6] rs2' 00" => Fsd;
    "c.sw"       "110 uimm[5:3] rs1' uimm[2|6] rs2' 00" => Sw;
    "c.sd"       "111 uimm[5:3] rs1' uimm[7:6] rs2' 00" => Sd;
    "c.addi"     "000 simm[5] rsd simm[4:0] 01" => Addi;
    "c.addiw"    "001 simm[5] rsd!0 simm[4:0] 01" => Addiw;
    "c.li"       "010 simm[5] rd simm[4:0] 01" => Addi;
    "c.addi16sp" "011 nzsimm[9] 00010 nzsimm[4|6|8:7|5] 01" => Addi rd=2 rs1=2;
    "c.lui"      "011 nzsimm[17] rd nzsimm[16:12] 01" => Lui;
    "c.srli"     "100 uimm[5] 00 rsd' uimm[4:0] 01" => Srli;
    "c.srai"     "100 uimm[5] 01 rsd' uimm[4:0] 01" => Srai;
    "c.andi"     "100 simm[5] 10 rsd' simm[4:0] 01" => Andi;
    "c.sub"      "100 0 11 rsd' 00 rs2' 01" => Sub;
    "c.xor"      "100 0 11 rsd' 01 rs2' 01" => Xor;
    "c.or"       "100 0 11 rsd' 10 rs2' 01" => Or;
    "c.and"      "100 0 11 rsd' 11 rs2' 01" => And;
    "c.subw"     "100 1 11 rsd' 00 rs2' 01" => Subw;
    "c.addw"     "100 1 11 rsd' 01 rs2' 01" => Addw;
    "c.j"        "101 simm[11|4|9:8|10|6|7|3:1|5] 01" => Jal;
    "c.beqz"     "110 simm[8|4:3] rs1' simm[7:6|2:1|5] 01" => Beq;
    "c.bnez"     "111 simm[8|4:3] rs1' simm[7:6|2:1|5] 01" => Bne;
    "c.slli"     "000 uimm[5] rsd uimm[4:0] 10" => Slli;
    "c.fldsp"    "001 uimm[5] rd uimm[4:3|8:6] 10" => Fld rs1=2;
    "c.lwsp"     "010 uimm[5] rd!0 uimm[4:2|7:6] 10" => Lw rs1=2;
    "c.ldsp"     "011 uimm[5] rd!0 uimm[4:3|8:6] 10" => Ld rs1=2;
    "c.jr"       "100 0 rs1!0 00000 10" => Jalr;
    "c.mv"       "100 0 rd rs2!0 10" => Add;
    "c.ebreak"   "100 1 00000 00000 10" => Ebreak;
    "c.jalr"     "100 1 rs1!0 00000 10" => Jalr rd=1;
    "c.add"      "100 1 rsd rs2!0 10" => Add;
    "c.fsdsp"    "101 uimm[5:3|8:6] rs2 10" => Fsd rs1=2;
    "c.swsp"     "110 uimm[5:2|7:6] rs2 10" => Sw rs1=2;
    "c.sdsp"     "111 uimm[5:3|8:6] rs2 10" => Sd rs1=2;
}
