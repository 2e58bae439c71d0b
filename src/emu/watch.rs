//! Showing what the emulator translates: `--trace`, `-d`, `--perf`, `--debuggable`.
//!
//! The emulator gives host code with rows to guest addresses; here they are
//! joined with the guest's own symbols and lines, so that every place has a name.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use capstone::prelude::*;
use sapwood_emu::watch::{Translated, Watch};
use sapwood_emu::{Guest, GuestAddr};

use super::listing::Listing;
use super::names::Names;

/// What is to be shown.
#[derive(Clone, Copy, Default)]
pub struct Shown {
    /// Guest code, as it is translated.
    pub guest_code: bool,
    /// What it does, in the emulator's own terms.
    pub ir: bool,
    /// The code made of it.
    pub host_code: bool,
    /// Each block before it runs.
    pub trace: bool,
    /// A file by which perf names blocks.
    pub perf: bool,
    /// A list by which debuggers find the guest's source.
    pub debuggable: bool,
}

impl Shown {
    /// Takes in a list as `-d` has it.
    pub fn add(&mut self, list: &str) -> Result<(), String> {
        for item in list.split(',') {
            match item {
                "in_asm" => self.guest_code = true,
                "ir" => self.ir = true,
                "out_asm" => self.host_code = true,
                other => return Err(format!("-d knows in_asm, ir and out_asm, not {other:?}")),
            }
        }
        Ok(())
    }

    /// Whether anything is.
    pub fn is_any(&self) -> bool {
        self.guest_code || self.ir || self.host_code || self.trace || self.perf || self.debuggable
    }
}

/// Shows what is translated on standard error.
pub struct Show {
    shown: Shown,
    perf: Option<Mutex<File>>,
    listing: Option<Mutex<Listing>>,
    names: Mutex<Names>,
}

impl Show {
    /// Begins; makes perf's file if that is wanted.
    pub fn new(shown: Shown) -> std::io::Result<Show> {
        let map = || File::create(format!("/tmp/perf-{}.map", std::process::id()));
        Ok(Show {
            shown,
            perf: shown.perf.then(map).transpose()?.map(Mutex::new),
            listing: shown.debuggable.then(Mutex::default),
            names: Mutex::default(),
        })
    }

    fn text(&self, piece: &Translated<'_>, names: &mut Names) -> String {
        let mut text = format!("block {}{}", piece.start, names.of(piece.start));
        match piece.blocks {
            1 => text.push('\n'),
            blocks => {
                let _ = writeln!(text, ", a region of {blocks} blocks");
            }
        }
        if self.shown.guest_code {
            text.push_str("guest code:\n");
            let line = |at, rest: String| format!("  {:#x}  {rest}\n", at);
            instructions(
                guest_disassembler(piece.guest),
                piece.guest_code,
                piece.start.0,
                |at, rest| {
                    text.push_str(&line(at, rest));
                },
            );
        }
        if self.shown.ir
            && let Some(ir) = &piece.ir
        {
            text.push_str("ir:\n");
            ir.lines().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
        }
        if self.shown.host_code {
            text.push_str("host code:\n");
            let mut rows = piece.rows.iter().peekable();
            instructions(host_disassembler(), piece.code, piece.at.0, |at, rest| {
                while let Some((_, pc)) =
                    rows.next_if(|(offset, _)| piece.at.0 + u64::from(*offset) <= at)
                {
                    if pc.0 != u64::MAX {
                        let _ = writeln!(text, "  # {pc}{}", names.of(*pc));
                    }
                }
                let _ = writeln!(text, "  {at:#x}  {rest}");
            });
        }
        text
    }
}

impl Watch for Show {
    fn translated(&self, piece: &Translated<'_>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.learn(piece);
        if let Some(listing) = &self.listing {
            let mut listing = listing.lock().unwrap_or_else(PoisonError::into_inner);
            listing.add(piece, &mut names);
        }
        if let Some(map) = &self.perf {
            let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
            let name = names.of(piece.start);
            // A map that cannot be written costs names, not the run.
            let _ = writeln!(
                map,
                "{:x} {:x} guest {}{name}",
                piece.at.0,
                piece.code.len(),
                piece.start
            );
        }
        if self.shown.guest_code || self.shown.ir || self.shown.host_code {
            let text = self.text(piece, &mut names);
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }

    fn follows(&self) -> bool {
        self.shown.trace
    }

    fn is_for_debuggers(&self) -> bool {
        self.shown.debuggable
    }

    fn running(&self, pc: GuestAddr) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.of(pc);
        let _ = writeln!(std::io::stderr().lock(), "run {pc}{name}");
    }
}

fn host_disassembler() -> CsResult<Capstone> {
    Capstone::new()
        .x86()
        .mode(arch::x86::ArchMode::Mode64)
        .build()
}

fn guest_disassembler(guest: Guest) -> CsResult<Capstone> {
    match guest {
        Guest::Aarch64 => Capstone::new()
            .arm64()
            .mode(arch::arm64::ArchMode::Arm)
            .build(),
        Guest::Riscv64 => Capstone::new()
            .riscv()
            .mode(arch::riscv::ArchMode::RiscV64)
            .extra_mode([arch::riscv::ArchExtraMode::RiscVC].into_iter())
            .build(),
    }
}

/// Gives each instruction with its bytes; what the disassembler does not know
/// as bytes alone.
fn instructions(
    disassembler: CsResult<Capstone>,
    mut code: &[u8],
    mut at: u64,
    mut give: impl FnMut(u64, String),
) {
    let Ok(disassembler) = disassembler else {
        return;
    };
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x} "))
            .collect::<String>()
    };
    while !code.is_empty() {
        let found = disassembler.disasm_count(code, at, 1).ok();
        let found = found.as_ref().and_then(|found| found.first());
        let (length, words) = match found {
            Some(found) => (
                found.bytes().len(),
                format!(
                    "{} {}",
                    found.mnemonic().unwrap_or(""),
                    found.op_str().unwrap_or("")
                ),
            ),
            None => (code.len().min(2), "?".to_owned()),
        };
        give(
            at,
            format!("{:<24} {}", hex(&code[..length]), words.trim_end()),
        );
        code = &code[length..];
        at += length as u64;
    }
}
