//! What an AArch64 guest is told of its processor: the identification registers
//! that Linux lets programs read, and the capabilities in its auxiliary vector.
//! Both say exactly what [`table`](super::table) has.
//!
//! Sources: Arm DDI 0487, chapter D23, "AArch64 System Register Descriptions";
//! Linux, Documentation/arch/arm64/{cpu-feature-registers,elf_hwcaps}.rst.

/// ID_AA64ISAR0_EL1: AES and PMULL (AES = 2), SHA1, SHA2 (SHA256), CRC32,
/// Atomic (LSE = 2), RDM, DP (dot product).
pub const ISAR0: u64 = 2 << 4 | 1 << 8 | 1 << 12 | 1 << 16 | 2 << 20 | 1 << 28 | 1 << 44;

/// ID_AA64ISAR1_EL1: LRCPC.
pub const ISAR1: u64 = 1 << 20;

/// ID_AA64PFR0_EL1: EL0 and EL1 are AArch64 only; floating point and Advanced
/// SIMD without half-precision arithmetic (both fields 0).
pub const PFR0: u64 = 1 << 4 | 1;

/// MIDR_EL1: implementer 0, which the architecture reserves for software; as
/// QEMU's "max" has it but for the variant.
pub const MIDR: u64 = 0x0000_0000_000f_0510;

/// MPIDR_EL1: as Linux shows it to programs, only the bit that is always one.
pub const MPIDR: u64 = 1 << 31;

/// CTR_EL0: lines of 64 bytes, PIPT instruction cache, exclusives' and
/// write-back granules of 64 bytes; cleaning and invalidating is needed.
pub const CTR: u64 = 1 << 31 | 4 << 24 | 4 << 20 | 4 << 16 | 3 << 14 | 4;

/// DCZID_EL0: DC ZVA is allowed and clears blocks of 64 bytes.
pub const DCZID: u64 = 4;

/// CNTFRQ_EL0: steps of the counter in a second.
pub const COUNTER_HZ: u64 = 1_000_000_000;

/// What the identification register op0 = 3, op1 = 0, CRn = 0, CRm, op2 reads.
pub fn identification(crm: u32, op2: u32) -> u64 {
    match (crm, op2) {
        (0, 0) => MIDR,
        (0, 5) => MPIDR,
        (4, 0) => PFR0,
        (6, 0) => ISAR0,
        (6, 1) => ISAR1,
        _ => 0,
    }
}

/// What `/proc/cpuinfo` calls the same.
pub const NAMES: &str = "fp asimd aes pmull sha1 sha2 crc32 atomics cpuid asimdrdm lrcpc asimddp";

/// AT_HWCAP: FP, ASIMD, AES, PMULL, SHA1, SHA2, CRC32, ATOMICS, CPUID,
/// ASIMDRDM, LRCPC, ASIMDDP.
pub const HWCAP: u64 = 1
    | 1 << 1
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 8
    | 1 << 11
    | 1 << 12
    | 1 << 15
    | 1 << 20;
