//! The A64 instruction set, in the order of the manual's encoding index.
//!
//! Source: *Arm Architecture Reference Manual for A-profile architecture*, Arm
//! DDI 0487, chapter C4, "A64 Instruction Set Encoding".
//!
//! Each row is an encoding from its highest bit to its lowest, in tokens:
//! - digits are fixed bits, `-` is a bit that is ignored;
//! - a name is a field of the manual; how long it is says [`field_length`];
//! - `!a:b=10-` at the end excludes the encodings in which these fields, put
//!   together, are as the pattern says: what the manual calls unallocated or
//!   reserved, or another row.
//!
//! An instruction may have several rows, the vector form before the scalar one.
//! What no row matches is undefined.

macro_rules! instructions {
    ($($op:ident $($pattern:literal)+)*) => {
        /// An instruction or a family that differs in one field, by the
        /// manual's name.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[allow(missing_docs)]
        pub enum Op { $($op),* }

        /// Every encoding.
        pub(super) const ROWS: &[(Op, &str)] = &[$($((Op::$op, $pattern)),+),*];
    };
}

/// How many bits a field has, by its name; one that begins with `imm` has as
/// many as follow.
const FIELDS: &[(u32, &[&str])] = &[
    (
        5,
        &["Rd", "Rn", "Rm", "Ra", "Rt", "Rt2", "Rs", "defgh", "b40"],
    ),
    (4, &["Rm4", "cond", "nzcv", "immh", "cmode", "CRm"]),
    (3, &["option", "immb", "abc", "op2"]),
    (
        2,
        &[
            "size", "opc", "hw", "shift", "mode", "immlo", "len", "ftype", "rmode",
        ],
    ),
    (6, &["immr", "imms", "scale"]),
    (19, &["immhi"]),
    (
        1,
        &[
            "sf", "Q", "U", "S", "N", "L", "M", "H", "A", "R", "C", "sh", "op", "o0", "o1", "o2",
            "b5", "sz",
        ],
    ),
];

/// The bits in a field; `None` when it is none.
pub(super) const fn field_length(name: &[u8]) -> Option<u32> {
    let mut i = 0;
    while i < FIELDS.len() {
        let (length, names) = FIELDS[i];
        let mut n = 0;
        while n < names.len() {
            if same(names[n].as_bytes(), name) {
                return Some(length);
            }
            n += 1;
        }
        i += 1;
    }
    let [b'i', b'm', b'm', digits @ ..] = name else {
        return None;
    };
    let (mut length, mut at) = (0, 0);
    while at < digits.len() {
        length = length * 10 + (digits[at] - b'0') as u32;
        at += 1;
    }
    Some(length)
}

/// Whether two names are the same.
pub(super) const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

instructions! {
    // Data processing, immediate
    Adr            "op immlo 10000 immhi Rd"
    AddSubImm      "sf op S 100010 sh imm12 Rn Rd"
    LogicImm       "sf opc 100100 N immr imms Rn Rd !sf:N=01 !N:imms=011111- !N:imms=1111111 !N:imms=0011111 !N:imms=0101111 !N:imms=0110111 !N:imms=0111011 !N:imms=0111101"
    MoveWide       "sf opc 100101 hw imm16 Rd !opc=01 !sf:hw=01-"
    Bitfield       "sf opc 100110 N immr imms Rn Rd !opc=11 !sf:N=01 !sf:N=10 !sf:immr=01----- !sf:imms=01-----"
    Extr           "sf 00 100111 N 0 Rm imms Rn Rd !sf:N=01 !sf:N=10 !sf:imms=01-----"

    // Branches, exceptions, system
    BCond          "01010100 imm19 0 cond"
    Svc            "11010100000 imm16 00001"
    Brk            "11010100001 imm16 00000"
    Hint           "11010101000000110010 CRm op2 11111"
    Clrex          "11010101000000110011 CRm 010 11111"
    Dsb            "11010101000000110011 CRm 100 11111"
    Dmb            "11010101000000110011 CRm 101 11111"
    Isb            "11010101000000110011 CRm 110 11111"
    DcZva          "1101010100001 011 0111 0100 001 Rt"
    IcIvau         "1101010100001 011 0111 0101 001 Rt"
    DcClean        "1101010100001 011 0111 1010 001 Rt" "1101010100001 011 0111 1011 001 Rt" "1101010100001 011 0111 1110 001 Rt"
    MsrNzcv        "1101010100 0 11 011 0100 0010 000 Rt"
    MrsNzcv        "1101010100 1 11 011 0100 0010 000 Rt"
    MsrFpcr        "1101010100 0 11 011 0100 0100 000 Rt"
    MrsFpcr        "1101010100 1 11 011 0100 0100 000 Rt"
    MsrFpsr        "1101010100 0 11 011 0100 0100 001 Rt"
    MrsFpsr        "1101010100 1 11 011 0100 0100 001 Rt"
    MsrTpidr       "1101010100 0 11 011 1101 0000 010 Rt"
    MrsTpidr       "1101010100 1 11 011 1101 0000 010 Rt"
    MrsTpidrro     "1101010100 1 11 011 1101 0000 011 Rt"
    MrsCtr         "1101010100 1 11 011 0000 0000 001 Rt"
    MrsDczid       "1101010100 1 11 011 0000 0000 111 Rt"
    MrsCntfrq      "1101010100 1 11 011 1110 0000 000 Rt"
    MrsCntvct      "1101010100 1 11 011 1110 0000 010 Rt"
    MrsId          "1101010100 1 11 000 0000 CRm op2 Rt !CRm=0001 !CRm=1--- !CRm:op2=0000001 !CRm:op2=000001- !CRm:op2=0000100 !CRm:op2=0000111"
    Br             "1101011000011111000000 Rn 00000"
    Blr            "1101011000111111000000 Rn 00000"
    Ret            "1101011001011111000000 Rn 00000"
    B              "op 00101 imm26"
    CompareBranch  "sf 011010 op imm19 Rt"
    TestBranch     "b5 011011 op b40 imm14 Rt"

    // Loads and stores
    VectorMultiple "0 Q 001100 0 L 000000 imm4 size Rn Rt !imm4=0001 !imm4=0011 !imm4=0101 !imm4=1001 !imm4=1011 !imm4=11-- !Q:imm4:size=0000011 !Q:imm4:size=0010011 !Q:imm4:size=0100011"
                   "0 Q 001100 1 L 0 Rm imm4 size Rn Rt !imm4=0001 !imm4=0011 !imm4=0101 !imm4=1001 !imm4=1011 !imm4=11-- !Q:imm4:size=0000011 !Q:imm4:size=0010011 !Q:imm4:size=0100011"
    VectorSingle   "0 Q 001101 0 L R 00000 imm3 S size Rn Rt !imm3:size=01--1 !imm3:size=10-1- !imm3:S:size=10-101 !L:imm3=011- !imm3:S=11-1"
                   "0 Q 001101 1 L R Rm imm3 S size Rn Rt !imm3:size=01--1 !imm3:size=10-1- !imm3:S:size=10-101 !L:imm3=011- !imm3:S=11-1"
    Stxr           "size 001000 000 Rs o0 ----- Rn Rt"
    Ldxr           "size 001000 010 ----- o0 ----- Rn Rt"
    Stxp           "1 sz 001000 001 Rs o0 Rt2 Rn Rt"
    Ldxp           "1 sz 001000 011 ----- o0 Rt2 Rn Rt"
    Casp           "0 sz 001000 0 L 1 Rs o0 11111 Rn Rt !Rs=----1 !Rt=----1"
    Stlr           "size 001000 100 ----- 1 ----- Rn Rt"
    Ldar           "size 001000 110 ----- 1 ----- Rn Rt"
    Cas            "size 001000 1 L 1 Rs o0 11111 Rn Rt"
    LoadLiteral    "opc 011000 imm19 Rt"
    LoadLiteralVector "opc 011100 imm19 Rt !opc=11"
    Pair           "opc 1010 0 mode L imm7 Rt2 Rn Rt !opc=-1" "01 1010 0 mode 1 imm7 Rt2 Rn Rt !mode=00"
    PairVector     "opc 1011 0 mode L imm7 Rt2 Rn Rt !opc=11"
    LoadStore9     "size 111000 opc 0 imm9 mode Rn Rt !size:opc=1-11 !size:opc=1110"
    LoadStore9Vector "size 111100 opc 0 imm9 mode Rn Rt !size:opc=-11- !size:opc=1-1- !mode=10"
    Atomic         "size 111000 A R 1 Rs 0 imm3 00 Rn Rt"
    Swp            "size 111000 A R 1 Rs 1000 00 Rn Rt"
    Ldapr          "size 111000 101 11111 1100 00 Rn Rt"
    LoadStoreRegister "size 111000 opc 1 Rm option S 10 Rn Rt !size:opc=1-11 !size:opc=1110 !option=-0-"
    LoadStoreRegisterVector "size 111100 opc 1 Rm option S 10 Rn Rt !size:opc=-11- !size:opc=1-1- !option=-0-"
    LoadStore12    "size 111001 opc imm12 Rn Rt !size:opc=1-11 !size:opc=1110"
    LoadStore12Vector "size 111101 opc imm12 Rn Rt !size:opc=-11- !size:opc=1-1-"
    Prfm           "11 111000 10 0 imm9 00 Rn imm5" "11 111000 10 1 Rm option S 10 Rn imm5 !option=-0-" "11 111001 10 imm12 Rn imm5"

    // Data processing, register
    Div            "sf 0011010110 Rm 00001 o1 Rn Rd"
    ShiftVariable  "sf 0011010110 Rm 0010 shift Rn Rd"
    Crc32          "sf 0011010110 Rm 010 C size Rn Rd !sf:size=011 !sf:size=10- !sf:size=110"
    Rbit           "sf 101101011000000000000 Rn Rd"
    Rev16          "sf 101101011000000000001 Rn Rd"
    Rev32          "sf 101101011000000000010 Rn Rd"
    Rev64          "1 101101011000000000011 Rn Rd"
    Clz            "sf 101101011000000000100 Rn Rd"
    Cls            "sf 101101011000000000101 Rn Rd"
    LogicShifted   "sf opc 01010 shift N Rm imm6 Rn Rd !sf:imm6=01-----"
    AddSubShifted  "sf op S 01011 shift 0 Rm imm6 Rn Rd !shift=11 !sf:imm6=01-----"
    AddSubExtended "sf op S 01011001 Rm option imm3 Rn Rd !imm3=101 !imm3=11-"
    AddSubCarry    "sf op S 11010000 Rm 000000 Rn Rd"
    CompareRegister "sf op 111010010 Rm cond 00 Rn 0 nzcv"
    CompareImm     "sf op 111010010 imm5 cond 10 Rn 0 nzcv"
    Select         "sf op 011010100 Rm cond 0 o2 Rn Rd"
    MulAdd         "sf 0011011000 Rm o0 Ra Rn Rd"
    MulAddLong     "1 0011011 U 01 Rm o0 Ra Rn Rd"
    MulHigh        "1 0011011 U 10 Rm 0 ----- Rn Rd"

    // Cryptographic
    Aese           "0100111000101000010010 Rn Rd"
    Aesd           "0100111000101000010110 Rn Rd"
    Aesmc          "0100111000101000011010 Rn Rd"
    Aesimc         "0100111000101000011110 Rn Rd"
    Sha1c          "01011110000 Rm 000000 Rn Rd"
    Sha1p          "01011110000 Rm 000100 Rn Rd"
    Sha1m          "01011110000 Rm 001000 Rn Rd"
    Sha1su0        "01011110000 Rm 001100 Rn Rd"
    Sha256h        "01011110000 Rm 010000 Rn Rd"
    Sha256h2       "01011110000 Rm 010100 Rn Rd"
    Sha256su1      "01011110000 Rm 011000 Rn Rd"
    Sha1h          "0101111000101000000010 Rn Rd"
    Sha1su1        "0101111000101000000110 Rn Rd"
    Sha256su0      "0101111000101000001010 Rn Rd"

    // Advanced SIMD: copy, extract, table, permute
    DupLane        "0 Q 001110000 imm5 000001 Rn Rd !imm5=-0000 !Q:imm5=0-1000" "01011110000 imm5 000001 Rn Rd !imm5=-0000"
    DupGeneral     "0 Q 001110000 imm5 000011 Rn Rd !imm5=-0000 !Q:imm5=0-1000"
    Smov           "0 Q 001110000 imm5 001011 Rn Rd !imm5=--000 !Q:imm5=0--100"
    Umov           "0 Q 001110000 imm5 001111 Rn Rd !imm5=-0000 !Q:imm5=0-1000 !Q:imm5=1----1 !Q:imm5=1---10 !Q:imm5=1--100"
    InsGeneral     "01001110000 imm5 000111 Rn Rd !imm5=-0000"
    InsLane        "01101110000 imm5 0 imm4 1 Rn Rd !imm5=-0000"
    Ext            "0 Q 101110000 Rm 0 imm4 0 Rn Rd !Q:imm4=01---"
    Tbl            "0 Q 001110000 Rm 0 len op 00 Rn Rd"
    Uzp1           "0 Q 001110 size 0 Rm 000110 Rn Rd !Q:size=011"
    Trn1           "0 Q 001110 size 0 Rm 001010 Rn Rd !Q:size=011"
    Zip1           "0 Q 001110 size 0 Rm 001110 Rn Rd !Q:size=011"
    Uzp2           "0 Q 001110 size 0 Rm 010110 Rn Rd !Q:size=011"
    Trn2           "0 Q 001110 size 0 Rm 011010 Rn Rd !Q:size=011"
    Zip2           "0 Q 001110 size 0 Rm 011110 Rn Rd !Q:size=011"

    // Advanced SIMD: three registers of the same type
    Hadd           "0 Q U 01110 size 1 Rm 000001 Rn Rd !size=11"
    Qadd           "0 Q U 01110 size 1 Rm 000011 Rn Rd !Q:size=011" "01 U 11110 size 1 Rm 000011 Rn Rd"
    Rhadd          "0 Q U 01110 size 1 Rm 000101 Rn Rd !size=11"
    And            "0 Q 001110001 Rm 000111 Rn Rd"
    Bic            "0 Q 001110011 Rm 000111 Rn Rd"
    Orr            "0 Q 001110101 Rm 000111 Rn Rd"
    Orn            "0 Q 001110111 Rm 000111 Rn Rd"
    Eor            "0 Q 101110001 Rm 000111 Rn Rd"
    Bsl            "0 Q 101110011 Rm 000111 Rn Rd"
    Bit            "0 Q 101110101 Rm 000111 Rn Rd"
    Bif            "0 Q 101110111 Rm 000111 Rn Rd"
    Hsub           "0 Q U 01110 size 1 Rm 001001 Rn Rd !size=11"
    Qsub           "0 Q U 01110 size 1 Rm 001011 Rn Rd !Q:size=011" "01 U 11110 size 1 Rm 001011 Rn Rd"
    Cmgt           "0 Q U 01110 size 1 Rm 001101 Rn Rd !Q:size=011" "01 U 11110111 Rm 001101 Rn Rd"
    Cmge           "0 Q U 01110 size 1 Rm 001111 Rn Rd !Q:size=011" "01 U 11110111 Rm 001111 Rn Rd"
    Shl            "0 Q U 01110 size 1 Rm 010001 Rn Rd !Q:size=011" "01 U 11110111 Rm 010001 Rn Rd"
    Qshl           "0 Q U 01110 size 1 Rm 010011 Rn Rd !Q:size=011" "01 U 11110 size 1 Rm 010011 Rn Rd"
    Rshl           "0 Q U 01110 size 1 Rm 010101 Rn Rd !Q:size=011" "01 U 11110111 Rm 010101 Rn Rd"
    Qrshl          "0 Q U 01110 size 1 Rm 010111 Rn Rd !Q:size=011" "01 U 11110 size 1 Rm 010111 Rn Rd"
    Max            "0 Q U 01110 size 1 Rm 011001 Rn Rd !size=11"
    Min            "0 Q U 01110 size 1 Rm 011011 Rn Rd !size=11"
    Abd            "0 Q U 01110 size 1 Rm 011101 Rn Rd !size=11"
    Aba            "0 Q U 01110 size 1 Rm 011111 Rn Rd !size=11"
    Add            "0 Q 001110 size 1 Rm 100001 Rn Rd !Q:size=011" "01011110111 Rm 100001 Rn Rd"
    Sub            "0 Q 101110 size 1 Rm 100001 Rn Rd !Q:size=011" "01111110111 Rm 100001 Rn Rd"
    Cmtst          "0 Q 001110 size 1 Rm 100011 Rn Rd !Q:size=011" "01011110111 Rm 100011 Rn Rd"
    Cmeq           "0 Q 101110 size 1 Rm 100011 Rn Rd !Q:size=011" "01111110111 Rm 100011 Rn Rd"
    Mla            "0 Q 001110 size 1 Rm 100101 Rn Rd !size=11"
    Mls            "0 Q 101110 size 1 Rm 100101 Rn Rd !size=11"
    Mul            "0 Q 001110 size 1 Rm 100111 Rn Rd !size=11"
    Pmul           "0 Q 101110001 Rm 100111 Rn Rd"
    Maxp           "0 Q U 01110 size 1 Rm 101001 Rn Rd !size=11"
    Minp           "0 Q U 01110 size 1 Rm 101011 Rn Rd !size=11"
    Sqdmulh        "0 Q 001110 size 1 Rm 101101 Rn Rd !size=00 !size=11" "01011110 size 1 Rm 101101 Rn Rd !size=00 !size=11"
    Sqrdmulh       "0 Q 101110 size 1 Rm 101101 Rn Rd !size=00 !size=11" "01111110 size 1 Rm 101101 Rn Rd !size=00 !size=11"
    Addp           "0 Q 001110 size 1 Rm 101111 Rn Rd !Q:size=011"
    Sqrdmlah       "0 Q 101110 size 0 Rm 100001 Rn Rd !size=00 !size=11" "01111110 size 0 Rm 100001 Rn Rd !size=00 !size=11"
    Sqrdmlsh       "0 Q 101110 size 0 Rm 100011 Rn Rd !size=00 !size=11" "01111110 size 0 Rm 100011 Rn Rd !size=00 !size=11"
    Dot            "0 Q U 01110100 Rm 100101 Rn Rd"
    Fmaxnm         "0 Q 0011100 sz 1 Rm 110001 Rn Rd !Q:sz=01"
    Fminnm         "0 Q 0011101 sz 1 Rm 110001 Rn Rd !Q:sz=01"
    Fmla           "0 Q 0011100 sz 1 Rm 110011 Rn Rd !Q:sz=01"
    Fmls           "0 Q 0011101 sz 1 Rm 110011 Rn Rd !Q:sz=01"
    Fadd           "0 Q 0011100 sz 1 Rm 110101 Rn Rd !Q:sz=01"
    Fsub           "0 Q 0011101 sz 1 Rm 110101 Rn Rd !Q:sz=01"
    Fmulx          "0 Q 0011100 sz 1 Rm 110111 Rn Rd !Q:sz=01" "010111100 sz 1 Rm 110111 Rn Rd"
    Fcmeq          "0 Q 0011100 sz 1 Rm 111001 Rn Rd !Q:sz=01" "010111100 sz 1 Rm 111001 Rn Rd"
    Fmax           "0 Q 0011100 sz 1 Rm 111101 Rn Rd !Q:sz=01"
    Fmin           "0 Q 0011101 sz 1 Rm 111101 Rn Rd !Q:sz=01"
    Frecps         "0 Q 0011100 sz 1 Rm 111111 Rn Rd !Q:sz=01" "010111100 sz 1 Rm 111111 Rn Rd"
    Frsqrts        "0 Q 0011101 sz 1 Rm 111111 Rn Rd !Q:sz=01" "010111101 sz 1 Rm 111111 Rn Rd"
    Fmaxnmp        "0 Q 1011100 sz 1 Rm 110001 Rn Rd !Q:sz=01"
    Fminnmp        "0 Q 1011101 sz 1 Rm 110001 Rn Rd !Q:sz=01"
    Faddp          "0 Q 1011100 sz 1 Rm 110101 Rn Rd !Q:sz=01"
    Fabd           "0 Q 1011101 sz 1 Rm 110101 Rn Rd !Q:sz=01" "011111101 sz 1 Rm 110101 Rn Rd"
    Fmul           "0 Q 1011100 sz 1 Rm 110111 Rn Rd !Q:sz=01"
    Fcmge          "0 Q 1011100 sz 1 Rm 111001 Rn Rd !Q:sz=01" "011111100 sz 1 Rm 111001 Rn Rd"
    Fcmgt          "0 Q 1011101 sz 1 Rm 111001 Rn Rd !Q:sz=01" "011111101 sz 1 Rm 111001 Rn Rd"
    Facge          "0 Q 1011100 sz 1 Rm 111011 Rn Rd !Q:sz=01" "011111100 sz 1 Rm 111011 Rn Rd"
    Facgt          "0 Q 1011101 sz 1 Rm 111011 Rn Rd !Q:sz=01" "011111101 sz 1 Rm 111011 Rn Rd"
    Fmaxp          "0 Q 1011100 sz 1 Rm 111101 Rn Rd !Q:sz=01"
    Fminp          "0 Q 1011101 sz 1 Rm 111101 Rn Rd !Q:sz=01"
    Fdiv           "0 Q 1011100 sz 1 Rm 111111 Rn Rd !Q:sz=01"

    // Advanced SIMD: two registers, miscellaneous
    VecRev64       "0 Q 001110 size 100000000010 Rn Rd !size=11"
    VecRev32       "0 Q 101110 size 100000000010 Rn Rd !size=1-"
    VecRev16       "0 Q 00111000100000000110 Rn Rd"
    Addlp          "0 Q U 01110 size 100000001010 Rn Rd !size=11"
    Uqadd          "0 Q U 01110 size 100000001110 Rn Rd !Q:size=011" "01 U 11110 size 100000001110 Rn Rd"
    VecCls         "0 Q 001110 size 100000010010 Rn Rd !size=11"
    VecClz         "0 Q 101110 size 100000010010 Rn Rd !size=11"
    Cnt            "0 Q 00111000100000010110 Rn Rd"
    Not            "0 Q 10111000100000010110 Rn Rd"
    VecRbit        "0 Q 10111001100000010110 Rn Rd"
    Adalp          "0 Q U 01110 size 100000011010 Rn Rd !size=11"
    Sqabs          "0 Q 001110 size 100000011110 Rn Rd !Q:size=011" "01011110 size 100000011110 Rn Rd"
    Sqneg          "0 Q 101110 size 100000011110 Rn Rd !Q:size=011" "01111110 size 100000011110 Rn Rd"
    CmgtZero       "0 Q 001110 size 100000100010 Rn Rd !Q:size=011" "0101111011100000100010 Rn Rd"
    CmgeZero       "0 Q 101110 size 100000100010 Rn Rd !Q:size=011" "0111111011100000100010 Rn Rd"
    CmeqZero       "0 Q 001110 size 100000100110 Rn Rd !Q:size=011" "0101111011100000100110 Rn Rd"
    CmleZero       "0 Q 101110 size 100000100110 Rn Rd !Q:size=011" "0111111011100000100110 Rn Rd"
    CmltZero       "0 Q 001110 size 100000101010 Rn Rd !Q:size=011" "0101111011100000101010 Rn Rd"
    Abs            "0 Q 001110 size 100000101110 Rn Rd !Q:size=011" "0101111011100000101110 Rn Rd"
    Neg            "0 Q 101110 size 100000101110 Rn Rd !Q:size=011" "0111111011100000101110 Rn Rd"
    Xtn            "0 Q 001110 size 100001001010 Rn Rd !size=11"
    Sqxtun         "0 Q 101110 size 100001001010 Rn Rd !size=11" "01111110 size 100001001010 Rn Rd !size=11"
    Shll           "0 Q 101110 size 100001001110 Rn Rd !size=11"
    Qxtn           "0 Q U 01110 size 100001010010 Rn Rd !size=11" "01 U 11110 size 100001010010 Rn Rd !size=11"
    Fcvtn          "0 Q 0011100 sz 100001011010 Rn Rd"
    Fcvtxn         "0 Q 10111001100001011010 Rn Rd" "0111111001100001011010 Rn Rd"
    Fcvtl          "0 Q 0011100 sz 100001011110 Rn Rd"
    VecFrintn      "0 Q 0011100 sz 100001100010 Rn Rd !Q:sz=01"
    VecFrinta      "0 Q 1011100 sz 100001100010 Rn Rd !Q:sz=01"
    VecFrintp      "0 Q 0011101 sz 100001100010 Rn Rd !Q:sz=01"
    VecFrintm      "0 Q 0011100 sz 100001100110 Rn Rd !Q:sz=01"
    VecFrintx      "0 Q 1011100 sz 100001100110 Rn Rd !Q:sz=01"
    VecFrintz      "0 Q 0011101 sz 100001100110 Rn Rd !Q:sz=01"
    VecFrinti      "0 Q 1011101 sz 100001100110 Rn Rd !Q:sz=01"
    VecFcvtn       "0 Q U 011100 sz 100001101010 Rn Rd !Q:sz=01" "01 U 111100 sz 100001101010 Rn Rd"
    VecFcvtp       "0 Q U 011101 sz 100001101010 Rn Rd !Q:sz=01" "01 U 111101 sz 100001101010 Rn Rd"
    VecFcvtm       "0 Q U 011100 sz 100001101110 Rn Rd !Q:sz=01" "01 U 111100 sz 100001101110 Rn Rd"
    VecFcvtz       "0 Q U 011101 sz 100001101110 Rn Rd !Q:sz=01" "01 U 111101 sz 100001101110 Rn Rd"
    VecFcvta       "0 Q U 011100 sz 100001110010 Rn Rd !Q:sz=01" "01 U 111100 sz 100001110010 Rn Rd"
    VecCvtf        "0 Q U 011100 sz 100001110110 Rn Rd !Q:sz=01" "01 U 111100 sz 100001110110 Rn Rd"
    Urecpe         "0 Q 00111010100001110010 Rn Rd"
    Ursqrte        "0 Q 10111010100001110010 Rn Rd"
    Frecpe         "0 Q 0011101 sz 100001110110 Rn Rd !Q:sz=01" "010111101 sz 100001110110 Rn Rd"
    Frsqrte        "0 Q 1011101 sz 100001110110 Rn Rd !Q:sz=01" "011111101 sz 100001110110 Rn Rd"
    Frecpx         "010111101 sz 100001111110 Rn Rd"
    VecFsqrt       "0 Q 1011101 sz 100001111110 Rn Rd !Q:sz=01"
    FcmgtZero      "0 Q 0011101 sz 100000110010 Rn Rd !Q:sz=01" "010111101 sz 100000110010 Rn Rd"
    FcmgeZero      "0 Q 1011101 sz 100000110010 Rn Rd !Q:sz=01" "011111101 sz 100000110010 Rn Rd"
    FcmeqZero      "0 Q 0011101 sz 100000110110 Rn Rd !Q:sz=01" "010111101 sz 100000110110 Rn Rd"
    FcmleZero      "0 Q 1011101 sz 100000110110 Rn Rd !Q:sz=01" "011111101 sz 100000110110 Rn Rd"
    FcmltZero      "0 Q 0011101 sz 100000111010 Rn Rd !Q:sz=01" "010111101 sz 100000111010 Rn Rd"
    VecFabs        "0 Q 0011101 sz 100000111110 Rn Rd !Q:sz=01"
    VecFneg        "0 Q 1011101 sz 100000111110 Rn Rd !Q:sz=01"

    // Advanced SIMD: across lanes, scalar pairwise
    Addlv          "0 Q U 01110 size 110000001110 Rn Rd !size=11 !Q:size=010"
    Maxv           "0 Q U 01110 size 110000101010 Rn Rd !size=11 !Q:size=010"
    Minv           "0 Q U 01110 size 110001101010 Rn Rd !size=11 !Q:size=010"
    Addv           "0 Q 001110 size 110001101110 Rn Rd !size=11 !Q:size=010"
    Fmaxnmv        "0110111000110000110010 Rn Rd"
    Fminnmv        "0110111010110000110010 Rn Rd"
    Fmaxv          "0110111000110000111110 Rn Rd"
    Fminv          "0110111010110000111110 Rn Rd"
    AddpScalar     "0101111011110001101110 Rn Rd"
    FmaxnmpScalar  "011111100 sz 110000110010 Rn Rd"
    FminnmpScalar  "011111101 sz 110000110010 Rn Rd"
    FaddpScalar    "011111100 sz 110000110110 Rn Rd"
    FmaxpScalar    "011111100 sz 110000111110 Rn Rd"
    FminpScalar    "011111101 sz 110000111110 Rn Rd"

    // Advanced SIMD: three registers of different types
    Addl           "0 Q U 01110 size 1 Rm 000000 Rn Rd !size=11"
    Addw           "0 Q U 01110 size 1 Rm 000100 Rn Rd !size=11"
    Subl           "0 Q U 01110 size 1 Rm 001000 Rn Rd !size=11"
    Subw           "0 Q U 01110 size 1 Rm 001100 Rn Rd !size=11"
    Addhn          "0 Q U 01110 size 1 Rm 010000 Rn Rd !size=11"
    Abal           "0 Q U 01110 size 1 Rm 010100 Rn Rd !size=11"
    Subhn          "0 Q U 01110 size 1 Rm 011000 Rn Rd !size=11"
    Abdl           "0 Q U 01110 size 1 Rm 011100 Rn Rd !size=11"
    Mlal           "0 Q U 01110 size 1 Rm 100000 Rn Rd !size=11"
    Sqdmlal        "0 Q 001110 size 1 Rm 100100 Rn Rd !size=00 !size=11" "01011110 size 1 Rm 100100 Rn Rd !size=00 !size=11"
    Mlsl           "0 Q U 01110 size 1 Rm 101000 Rn Rd !size=11"
    Sqdmlsl        "0 Q 001110 size 1 Rm 101100 Rn Rd !size=00 !size=11" "01011110 size 1 Rm 101100 Rn Rd !size=00 !size=11"
    Mull           "0 Q U 01110 size 1 Rm 110000 Rn Rd !size=11"
    Sqdmull        "0 Q 001110 size 1 Rm 110100 Rn Rd !size=00 !size=11" "01011110 size 1 Rm 110100 Rn Rd !size=00 !size=11"
    Pmull          "0 Q 001110 size 1 Rm 111000 Rn Rd !size=01 !size=10"

    // Advanced SIMD: modified immediate, shift by immediate
    Movi           "0 Q op 0111100000 abc cmode 01 defgh Rd !Q:op:cmode=011111"
    ShrImm         "0 Q U 011110 immh immb 000001 Rn Rd !immh=0000 !Q:immh=01---" "01 U 1111101 imm3 immb 000001 Rn Rd"
    SraImm         "0 Q U 011110 immh immb 000101 Rn Rd !immh=0000 !Q:immh=01---" "01 U 1111101 imm3 immb 000101 Rn Rd"
    RshrImm        "0 Q U 011110 immh immb 001001 Rn Rd !immh=0000 !Q:immh=01---" "01 U 1111101 imm3 immb 001001 Rn Rd"
    RsraImm        "0 Q U 011110 immh immb 001101 Rn Rd !immh=0000 !Q:immh=01---" "01 U 1111101 imm3 immb 001101 Rn Rd"
    SriImm         "0 Q 1011110 immh immb 010001 Rn Rd !immh=0000 !Q:immh=01---" "0111111101 imm3 immb 010001 Rn Rd"
    ShlImm         "0 Q 0011110 immh immb 010101 Rn Rd !immh=0000 !Q:immh=01---" "0101111101 imm3 immb 010101 Rn Rd"
    SliImm         "0 Q 1011110 immh immb 010101 Rn Rd !immh=0000 !Q:immh=01---" "0111111101 imm3 immb 010101 Rn Rd"
    SqshluImm      "0 Q 1011110 immh immb 011001 Rn Rd !immh=0000 !Q:immh=01---" "011111110 immh immb 011001 Rn Rd !immh=0000"
    QshlImm        "0 Q U 011110 immh immb 011101 Rn Rd !immh=0000 !Q:immh=01---" "01 U 111110 immh immb 011101 Rn Rd !immh=0000"
    ShrnImm        "0 Q 0011110 immh immb 100001 Rn Rd !immh=0000 !immh=1---"
    SqshrunImm     "0 Q 1011110 immh immb 100001 Rn Rd !immh=0000 !immh=1---" "011111110 immh immb 100001 Rn Rd !immh=0000 !immh=1---"
    RshrnImm       "0 Q 0011110 immh immb 100011 Rn Rd !immh=0000 !immh=1---"
    SqrshrunImm    "0 Q 1011110 immh immb 100011 Rn Rd !immh=0000 !immh=1---" "011111110 immh immb 100011 Rn Rd !immh=0000 !immh=1---"
    QshrnImm       "0 Q U 011110 immh immb 100101 Rn Rd !immh=0000 !immh=1---" "01 U 111110 immh immb 100101 Rn Rd !immh=0000 !immh=1---"
    QrshrnImm      "0 Q U 011110 immh immb 100111 Rn Rd !immh=0000 !immh=1---" "01 U 111110 immh immb 100111 Rn Rd !immh=0000 !immh=1---"
    ShllImm        "0 Q U 011110 immh immb 101001 Rn Rd !immh=0000 !immh=1---"
    CvtfImm        "0 Q U 011110 immh immb 111001 Rn Rd !immh=00-- !Q:immh=01---" "01 U 111110 immh immb 111001 Rn Rd !immh=00--"
    FcvtzImm       "0 Q U 011110 immh immb 111111 Rn Rd !immh=00-- !Q:immh=01---" "01 U 111110 immh immb 111111 Rn Rd !immh=00--"

    // Advanced SIMD: by element
    MlaLane        "0 Q 101111 size L M Rm4 0000 H 0 Rn Rd !size=00 !size=11"
    MlsLane        "0 Q 101111 size L M Rm4 0100 H 0 Rn Rd !size=00 !size=11"
    MulLane        "0 Q 001111 size L M Rm4 1000 H 0 Rn Rd !size=00 !size=11"
    MlalLane       "0 Q U 01111 size L M Rm4 0010 H 0 Rn Rd !size=00 !size=11"
    MlslLane       "0 Q U 01111 size L M Rm4 0110 H 0 Rn Rd !size=00 !size=11"
    MullLane       "0 Q U 01111 size L M Rm4 1010 H 0 Rn Rd !size=00 !size=11"
    SqdmlalLane    "0 Q 001111 size L M Rm4 0011 H 0 Rn Rd !size=00 !size=11" "01011111 size L M Rm4 0011 H 0 Rn Rd !size=00 !size=11"
    SqdmlslLane    "0 Q 001111 size L M Rm4 0111 H 0 Rn Rd !size=00 !size=11" "01011111 size L M Rm4 0111 H 0 Rn Rd !size=00 !size=11"
    SqdmullLane    "0 Q 001111 size L M Rm4 1011 H 0 Rn Rd !size=00 !size=11" "01011111 size L M Rm4 1011 H 0 Rn Rd !size=00 !size=11"
    SqdmulhLane    "0 Q 001111 size L M Rm4 1100 H 0 Rn Rd !size=00 !size=11" "01011111 size L M Rm4 1100 H 0 Rn Rd !size=00 !size=11"
    SqrdmulhLane   "0 Q 001111 size L M Rm4 1101 H 0 Rn Rd !size=00 !size=11" "01011111 size L M Rm4 1101 H 0 Rn Rd !size=00 !size=11"
    SqrdmlahLane   "0 Q 101111 size L M Rm4 1101 H 0 Rn Rd !size=00 !size=11" "01111111 size L M Rm4 1101 H 0 Rn Rd !size=00 !size=11"
    SqrdmlshLane   "0 Q 101111 size L M Rm4 1111 H 0 Rn Rd !size=00 !size=11" "01111111 size L M Rm4 1111 H 0 Rn Rd !size=00 !size=11"
    DotLane        "0 Q U 0111110 L M Rm4 1110 H 0 Rn Rd"
    FmlaLane       "0 Q 0011111 sz L M Rm4 0001 H 0 Rn Rd !sz:L=11 !Q:sz=01" "010111111 sz L M Rm4 0001 H 0 Rn Rd !sz:L=11"
    FmlsLane       "0 Q 0011111 sz L M Rm4 0101 H 0 Rn Rd !sz:L=11 !Q:sz=01" "010111111 sz L M Rm4 0101 H 0 Rn Rd !sz:L=11"
    FmulLane       "0 Q 0011111 sz L M Rm4 1001 H 0 Rn Rd !sz:L=11 !Q:sz=01" "010111111 sz L M Rm4 1001 H 0 Rn Rd !sz:L=11"
    FmulxLane      "0 Q 1011111 sz L M Rm4 1001 H 0 Rn Rd !sz:L=11 !Q:sz=01" "011111111 sz L M Rm4 1001 H 0 Rn Rd !sz:L=11"

    // Floating point
    CvtfFixed      "sf 0011110 ftype 000 01 U scale Rn Rd !ftype=1- !sf:scale=00-----"
    FcvtzFixed     "sf 0011110 ftype 011 00 U scale Rn Rd !ftype=1- !sf:scale=00-----"
    FcvtInt        "sf 0011110 ftype 1 rmode 00 U 000000 Rn Rd !ftype=1-"
    FcvtaInt       "sf 0011110 ftype 100 10 U 000000 Rn Rd !ftype=1-"
    CvtfInt        "sf 0011110 ftype 100 01 U 000000 Rn Rd !ftype=1-"
    FmovToGeneral  "0001111000100110000000 Rn Rd" "1001111001100110000000 Rn Rd"
    FmovToVector   "0001111000100111000000 Rn Rd" "1001111001100111000000 Rn Rd"
    FmovFromHigh   "1001111010101110000000 Rn Rd"
    FmovToHigh     "1001111010101111000000 Rn Rd"
    FmovRegister   "00011110 ftype 100000010000 Rn Rd !ftype=1-"
    Fabs           "00011110 ftype 100000110000 Rn Rd !ftype=1-"
    Fneg           "00011110 ftype 100001010000 Rn Rd !ftype=1-"
    Fsqrt          "00011110 ftype 100001110000 Rn Rd !ftype=1-"
    Fcvt           "00011110 ftype 10001 opc 10000 Rn Rd !ftype=10 !opc=10 !ftype:opc=0000 !ftype:opc=0101 !ftype:opc=1111"
    Frint          "00011110 ftype 1001 imm3 10000 Rn Rd !ftype=1- !imm3=101"
    Fcmp           "00011110 ftype 1 Rm 001000 Rn op 0000 !ftype=1-"
    FcmpZero       "00011110 ftype 1 ----- 001000 Rn op 1000 !ftype=1-"
    FmovImm        "00011110 ftype 1 imm8 10000000 Rd !ftype=1-"
    Fccmp          "00011110 ftype 1 Rm cond 01 Rn op nzcv !ftype=1-"
    FmulScalar     "00011110 ftype 1 Rm 000010 Rn Rd !ftype=1-"
    FdivScalar     "00011110 ftype 1 Rm 000110 Rn Rd !ftype=1-"
    FaddScalar     "00011110 ftype 1 Rm 001010 Rn Rd !ftype=1-"
    FsubScalar     "00011110 ftype 1 Rm 001110 Rn Rd !ftype=1-"
    FmaxScalar     "00011110 ftype 1 Rm 010010 Rn Rd !ftype=1-"
    FminScalar     "00011110 ftype 1 Rm 010110 Rn Rd !ftype=1-"
    FmaxnmScalar   "00011110 ftype 1 Rm 011010 Rn Rd !ftype=1-"
    FminnmScalar   "00011110 ftype 1 Rm 011110 Rn Rd !ftype=1-"
    Fnmul          "00011110 ftype 1 Rm 100010 Rn Rd !ftype=1-"
    Fcsel          "00011110 ftype 1 Rm cond 11 Rn Rd !ftype=1-"
    FmaddScalar    "00011111 ftype o1 Rm o0 Ra Rn Rd !ftype=1-"
}
