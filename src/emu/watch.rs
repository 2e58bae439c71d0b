//! Showing what the emulator translates: `--trace`, `-d`, `--perf`.
//!
//! The emulator gives host code with rows to guest addresses; here they are
//! joined with the guest's own symbols and lines, so that every place has a name.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use capstone::prelude::*;
use sapwood_dwarf::{Address, Bytes, Input, Module, ModuleKind};
use sapwood_emu::watch::{Translated, Watch};
use sapwood_emu::{Guest, GuestAddr, elf};

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
        self.guest_code || self.ir || self.host_code || self.trace || self.perf
    }
}

/// Shows what is translated on standard error.
pub struct Show {
    shown: Shown,
    perf: Option<Mutex<File>>,
    names: Mutex<Names>,
}

impl Show {
    /// Begins; makes perf's file if that is wanted.
    pub fn new(shown: Shown) -> std::io::Result<Show> {
        let map = || File::create(format!("/tmp/perf-{}.map", std::process::id()));
        Ok(Show {
            shown,
            perf: shown.perf.then(map).transpose()?.map(Mutex::new),
            names: Mutex::default(),
        })
    }

    fn text(&self, piece: &Translated<'_>, names: &mut Names) -> String {
        let mut text = format!("block {}{}", piece.start, names.of(piece, piece.start));
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
                        let _ = writeln!(text, "  # {pc}{}", names.of(piece, *pc));
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
        if self.shown.trace {
            names.of(piece, piece.start);
        }
        if let Some(map) = &self.perf {
            let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
            let name = names.of(piece, piece.start);
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

    fn running(&self, pc: GuestAddr) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.blocks.get(&pc).map_or("", String::as_str);
        let _ = writeln!(std::io::stderr().lock(), "run {pc}{name}");
    }
}

/// The guest's files, by path, and the names of its blocks.
#[derive(Default)]
struct Names {
    modules: HashMap<PathBuf, Option<Guested>>,
    blocks: HashMap<GuestAddr, String>,
}

/// A file of the guest's, at the addresses that it was linked for.
struct Guested {
    module: Module,
    bytes: Arc<[u8]>,
}

impl Names {
    /// ` function+0x10 (file.c:12)`, as much as is known of an instruction.
    fn of(&mut self, piece: &Translated<'_>, pc: GuestAddr) -> String {
        let name = self.find(piece, pc).unwrap_or_default();
        if pc == piece.start {
            self.blocks.insert(pc, name.clone());
        }
        name
    }

    fn find(&mut self, piece: &Translated<'_>, pc: GuestAddr) -> Option<String> {
        // Regions are of blocks that were told of before.
        let Some((path, offset)) = &piece.file else {
            return self.blocks.get(&pc).cloned();
        };
        let known = self.modules.entry(path.clone());
        let file = known.or_insert_with(|| open(path)).as_ref()?;
        let offset = offset.wrapping_add(pc.0.wrapping_sub(piece.start.0));
        let at = Address(elf::link_address(&file.bytes, offset)?);
        let mut name = String::new();
        if let Some((symbol, distance)) = file.module.symbol_at(at) {
            let _ = write!(name, " {}", symbol.name);
            if distance > 0 {
                let _ = write!(name, "+{distance:#x}");
            }
        }
        if let Some(row) = file.module.line_at(at) {
            let file = row.file.file_name().unwrap_or_default().to_string_lossy();
            let _ = write!(name, " ({file}:{})", row.line);
        }
        Some(name)
    }
}

fn open(path: &Path) -> Option<Guested> {
    let bytes: Arc<[u8]> = std::fs::read(path).ok()?.into();
    let input = Input::new(path, ModuleKind::Executable, Bytes::from(bytes.clone()), 0);
    let module = Module::open(input).ok()?;
    Some(Guested { module, bytes })
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
