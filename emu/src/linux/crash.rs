//! What is told when the emulator itself breaks: a fault or a panic of its own,
//! with the guest's registers and the code that was running.
//!
//! The report is written from a signal handler or a panic, so nothing here
//! allocates, locks or waits.

use std::fmt::{self, Write};

use super::host;
use crate::Engine;
use crate::engine::Code;
use crate::state::GuestState;

/// How it broke.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// An instruction of ours faulted.
    Fault {
        /// The signal.
        signal: i32,
        /// The address of the instruction.
        at: u64,
        /// The address that it wanted.
        address: u64,
    },
    /// A check of ours failed; its message has been printed.
    Panic,
}

/// Standard error, a piece at a time and without a buffer.
struct Plain;

impl Write for Plain {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        host::write_error(text.as_bytes());
        Ok(())
    }
}

/// Writes the report, with what ran if a guest thread did.
pub fn report(crash: Crash, running: Option<(&GuestState, &Engine)>) {
    let code = match (crash, running) {
        (Crash::Fault { at, .. }, Some((_, engine))) => engine.code_at(at),
        _ => Code::None,
    };
    let _ = write(&mut Plain, crash, running.map(|(state, _)| state), code);
}

fn write(
    out: &mut impl Write,
    crash: Crash,
    state: Option<&GuestState>,
    code: Code,
) -> fmt::Result {
    out.write_str("sapwood emu: the emulator itself broke, not the program: ")?;
    match crash {
        Crash::Fault {
            signal,
            at,
            address,
        } => writeln!(
            out,
            "signal {signal} at host address {at:#x}, which wanted {address:#x}"
        )?,
        Crash::Panic => writeln!(out, "a check failed")?,
    }
    match code {
        Code::None => {}
        Code::Unknown => writeln!(out, "what code that is was being changed")?,
        Code::Block { head, pc, offset } => writeln!(
            out,
            "that is {offset:#x} bytes into the code of the block at {head}, at the instruction {pc}"
        )?,
    }
    let Some(state) = state else {
        return writeln!(out, "no guest code was running on this thread");
    };
    writeln!(
        out,
        "guest block entered at {}; registers as they were stored last:",
        state.pc
    )?;
    for (number, value) in state.x.iter().enumerate() {
        let end = if number % 4 == 3 { '\n' } else { ' ' };
        write!(out, "  x{number:<2} {value:016x}{end}")?;
    }
    writeln!(
        out,
        "  fcsr {:x}, nzcv {:x}, guest memory at host address {:#x}, {:#x} bytes",
        state.fcsr, state.aarch64.nzcv, state.memory_base, state.memory_limit
    )
}

#[cfg(test)]
#[test]
fn a_report_names_the_block_and_the_registers() {
    let mut state = GuestState::new(0x7000_0000_0000, 1 << 38);
    state.pc = crate::GuestAddr(0x10074);
    state.x[10] = 0xabc;
    let mut text = String::new();
    let crash = Crash::Fault {
        signal: libc::SIGSEGV,
        at: 0x1234,
        address: 8,
    };
    let code = Code::Block {
        head: crate::GuestAddr(0x10074),
        pc: crate::GuestAddr(0x1007c),
        offset: 18,
    };
    write(&mut text, crash, Some(&state), code).unwrap();
    assert!(text.contains("signal 11 at host address 0x1234, which wanted 0x8"));
    assert!(text.contains("guest block entered at 0x10074"), "{text}");
    assert!(text.contains("0x12 bytes into the code of the block at 0x10074, at the"));
    assert!(text.contains("x10 0000000000000abc"), "{text}");
    text.clear();
    write(&mut text, Crash::Panic, None, Code::None).unwrap();
    assert!(text.contains("no guest code"));
}
