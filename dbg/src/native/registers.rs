//! Between the kernel's `user_regs_struct` and [`Registers`].

use libc::user_regs_struct;

use crate::registers::{Registers, X86_64};

macro_rules! fields {
    ($($index:expr => $field:ident),* $(,)?) => {
        /// From the kernel's order to ours.
        pub fn from_kernel(kernel: &user_regs_struct) -> Registers {
            let mut registers = Registers::new(&X86_64);
            $(registers.set($index, kernel.$field);)*
            registers
        }

        /// From our order to the kernel's.
        pub fn to_kernel(registers: &Registers) -> user_regs_struct {
            user_regs_struct { $($field: registers.get($index)),* }
        }
    };
}

fields! {
    0 => rax, 1 => rbx, 2 => rcx, 3 => rdx, 4 => rsi, 5 => rdi, 6 => rbp, 7 => rsp,
    8 => r8, 9 => r9, 10 => r10, 11 => r11, 12 => r12, 13 => r13, 14 => r14, 15 => r15,
    16 => rip, 17 => eflags, 18 => cs, 19 => ss, 20 => ds, 21 => es, 22 => fs, 23 => gs,
    24 => fs_base, 25 => gs_base, 26 => orig_rax,
}
