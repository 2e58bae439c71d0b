//! Architectures: the relocation formulas, stubs and cells of each, one file an
//! architecture.

pub mod x86_64;

/// The instruction set an image is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arch {
    /// x86-64, ELF machine 62, System V psABI.
    X86_64,
}

impl Arch {
    /// The ELF machine number (`EM_*`).
    pub fn elf_machine(self) -> u16 {
        match self {
            Arch::X86_64 => object::elf::EM_X86_64.0,
        }
    }
}
