//! `info frame`, `info registers`, `info float`: the machine as a stop has it.

use std::fmt::Write;

use super::{Debugger, Events};
use crate::error::{Error, Result};
use crate::event::{Event, FrameKind, RegisterView};
use crate::registers::{FLAGS, MXCSR, Registers, VectorState, bits_text};
use crate::target::Address;

/// A number from little-endian bytes, in hexadecimal, all its digits.
fn all_digits(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().rev().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits}")
}

impl Debugger {
    /// The registers beyond the general ones, each as the union or number that
    /// an expression sees.
    fn vector_views(&mut self, state: &VectorState) -> Vec<RegisterView> {
        let mut views = Vec::new();
        for n in 0..8 {
            if let Some(bytes) = state.st(n) {
                views.push(RegisterView {
                    name: format!("st{n}"),
                    raw: crate::value::float::show(&wide(&bytes)),
                    natural: format!("(raw {})", all_digits(&bytes)),
                });
            }
        }
        let words = state.x87_words();
        for (name, value) in words {
            views.push(RegisterView {
                name: name.to_owned(),
                raw: format!("{value:#x}"),
                natural: value.to_string(),
            });
        }
        for n in 0..16 {
            if let Some(bytes) = state.xmm(n) {
                let doubles: Vec<String> = bytes
                    .chunks_exact(8)
                    .map(crate::value::float::show)
                    .collect();
                views.push(RegisterView {
                    name: format!("xmm{n}"),
                    raw: all_digits(&bytes),
                    natural: format!("{{{}}}", doubles.join(", ")),
                });
            }
        }
        if let Some(value) = state.mxcsr() {
            views.push(RegisterView {
                name: "mxcsr".to_owned(),
                raw: format!("{value:#x}"),
                natural: bits_text(value.into(), MXCSR),
            });
        }
        views
    }

    pub(super) fn info_registers(
        &mut self,
        names: &[String],
        all: bool,
        events: Events<'_>,
    ) -> Result<()> {
        let thread = self
            .thread()
            .map_err(|_| Error::new("The program has no registers now."))?;
        let target = self.live()?;
        let mut registers = target.registers(thread)?;
        let vectors = target.vector_state(thread).ok();
        // An outer frame's registers, as far as they are known.
        let frame = self.current_frame()?;
        for (number, index) in registers.layout().dwarf {
            if let Some(value) = frame.registers.get(sapwood_dwarf::Register(*number)) {
                registers.set(*index, value);
            }
        }
        registers.set_pc(frame.pc());
        let mut views = self.register_views(&registers);
        let wide = match &vectors {
            Some(vectors) => self.vector_views(vectors),
            None => Vec::new(),
        };
        if names.is_empty() {
            views.extend(wide.into_iter().filter(|_| all));
            events(Event::Registers(views));
            return Ok(());
        }
        views.extend(wide);
        let mut chosen = Vec::new();
        for name in names {
            let full = registers
                .index_of(name)
                .map_or(name.as_str(), |index| registers.layout().names[index]);
            let view = views.iter().find(|view| view.name == full);
            let view = view.ok_or_else(|| Error::new(format!("Invalid register `{name}'")))?;
            chosen.push(RegisterView {
                name: name.clone(),
                ..view.clone()
            });
        }
        events(Event::Registers(chosen));
        Ok(())
    }

    fn register_views(&self, registers: &Registers) -> Vec<RegisterView> {
        let layout = registers.layout();
        (0..layout.shown)
            .map(|index| {
                let value = registers.get(index);
                let name = layout.names[index];
                let natural = match name {
                    "eflags" => bits_text(value, FLAGS),
                    _ if index == layout.pc => match self.symbol_of(Address(value)) {
                        Some((symbol, 0)) => format!("{value:#x} <{symbol}>"),
                        Some((symbol, offset)) => format!("{value:#x} <{symbol}+{offset}>"),
                        None => format!("{value:#x}"),
                    },
                    _ if index == layout.sp || index == layout.fp => format!("{value:#x}"),
                    _ => (value as i64).to_string(),
                };
                RegisterView {
                    name: name.to_owned(),
                    raw: format!("{value:#x}"),
                    natural,
                }
            })
            .collect()
    }

    /// `info float`.
    pub(super) fn float_text(&mut self) -> Result<String> {
        let thread = self
            .thread()
            .map_err(|_| Error::new("The program has no registers now."))?;
        let state = self.live()?.vector_state(thread)?;
        let words = state.x87_words();
        let word = |name: &str| {
            let found = words.iter().find(|(known, _)| *known == name);
            found.map_or(0, |(_, value)| *value)
        };
        let (control, status, tag) = (word("fctrl"), word("fstat"), word("ftag"));
        let top = status >> 11 & 7;
        let mut text = String::new();
        for physical in (0..8u32).rev() {
            let slot = (physical + 8 - top) % 8;
            let bytes = state.st(slot as usize).unwrap_or_default();
            let mark = if physical == top { "=>" } else { "  " };
            let kind = match tag >> (2 * physical) & 3 {
                0 => "Valid  ",
                1 => "Zero   ",
                2 => "Special",
                _ => "Empty  ",
            };
            let value = match kind {
                "Valid  " | "Zero   " | "Special" => {
                    format!(" {}", crate::value::float::show(&wide(&bytes)))
                }
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "{mark}R{physical}: {kind} {}{value}",
                all_digits(&bytes)
            );
        }
        let rounding = [
            "Round to nearest",
            "Round down",
            "Round up",
            "Round toward zero",
        ];
        let precision = [
            "Single Precision (24-bits)",
            "Reserved",
            "Double Precision (53-bits)",
            "Extended Precision (64-bits)",
        ];
        let names = |value: u32, suffix: &str| -> String {
            let letters = ["I", "D", "Z", "O", "U", "P"].iter().enumerate();
            let set = letters.filter(|(bit, _)| value >> bit & 1 == 1);
            set.map(|(_, letter)| format!(" {letter}{suffix}"))
                .collect()
        };
        let _ = writeln!(
            text,
            "\nStatus Word:         {status:#06x}  {}",
            names(status, "E")
        );
        let _ = writeln!(text, "                       TOP: {top}");
        let _ = writeln!(
            text,
            "Control Word:        {control:#06x}  {}",
            names(control, "M")
        );
        let _ = writeln!(
            text,
            "                       PC: {}",
            precision[(control >> 8 & 3) as usize]
        );
        let _ = writeln!(
            text,
            "                       RC: {}",
            rounding[(control >> 10 & 3) as usize]
        );
        let _ = writeln!(text, "Tag Word:            {tag:#06x}");
        let _ = writeln!(
            text,
            "Instruction Pointer: {:#04x}:{:#010x}",
            word("fiseg"),
            word("fioff")
        );
        let _ = writeln!(
            text,
            "Operand Pointer:     {:#04x}:{:#010x}",
            word("foseg"),
            word("fooff")
        );
        let _ = writeln!(text, "Opcode:              {:#06x}", word("fop"));
        Ok(text)
    }

    /// `info frame`.
    pub(super) fn frame_text(&mut self) -> Result<String> {
        self.thread().map_err(|_| Error::new("No stack."))?;
        let frame = self.current_frame()?;
        let level = self.level;
        let stack = self.walk(level + 2)?;
        let kind = stack.frames[level].1;
        let caller = stack.frames.get(level + 1).map(|(frame, _)| frame.clone());
        let callee = level
            .checked_sub(1)
            .and_then(|inner| stack.frames.get(inner))
            .and_then(|(frame, _)| frame.cfa);
        let mut text = String::new();
        let cfa = frame.cfa.unwrap_or_default();
        let _ = writeln!(text, "Stack level {level}, frame at {:#x}:", cfa.0);
        let _ = write!(text, " rip = {:#x}", frame.pc().0);
        if let Some(name) = frame.function_name() {
            let _ = write!(text, " in {name}");
        }
        if let Some(file) = frame.file.as_ref().filter(|_| frame.line != 0) {
            let file = crate::render::short(file);
            let _ = write!(text, " ({}:{})", file.display(), frame.line);
        }
        let saved = self.saved_pc(cfa);
        if let Some(saved) = saved {
            let _ = write!(text, "; saved rip = {saved:#x}");
        }
        text.push('\n');
        if kind == FrameKind::Inlined {
            let _ = writeln!(text, " inlined into frame {}", level + 1);
        } else if let Some(caller) = caller.and_then(|caller| caller.cfa) {
            let _ = writeln!(text, " called by frame at {:#x}", caller.0);
        }
        if let Some(callee) = callee {
            let _ = writeln!(text, " caller of frame at {:#x}", callee.0);
        }
        if let Some(function) = &frame.function {
            let language = super::info_symbols::language_name(function.language);
            let _ = writeln!(text, " source language {language}.");
        }
        let arguments: Vec<String> = self
            .argument_texts(&frame)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let base = cfa.0.wrapping_sub(16);
        let _ = writeln!(
            text,
            " Arglist at {base:#x}, args: {}",
            arguments.join(", ")
        );
        let _ = writeln!(
            text,
            " Locals at {base:#x}, Previous frame's sp is {:#x}",
            cfa.0
        );
        let saved = self.saved_registers(&frame);
        if !saved.is_empty() {
            let saved: Vec<String> = saved
                .iter()
                .map(|(name, at)| format!("{name} at {:#x}", at.0))
                .collect();
            let _ = writeln!(text, " Saved registers:\n  {}", saved.join(", "));
        }
        Ok(text)
    }

    /// The address that a frame returns to, as it lies on the stack.
    fn saved_pc(&mut self, cfa: Address) -> Option<u64> {
        let at = Address(cfa.0.checked_sub(8)?);
        let mut bytes = [0; 8];
        self.live().ok()?.read(at, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Where a frame saved its caller's registers, in the order of their
    /// numbers.
    fn saved_registers(&mut self, frame: &crate::stack::Frame) -> Vec<(&'static str, Address)> {
        let Some(cfa) = frame.cfa else {
            return Vec::new();
        };
        let places = self
            .unwinder
            .saved_places(&self.modules, frame.address, cfa);
        let name = |number: u16| {
            const NAMES: [&str; 17] = [
                "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11",
                "r12", "r13", "r14", "r15", "rip",
            ];
            NAMES.get(usize::from(number)).copied()
        };
        // The machine's own order, which is not DWARF's.
        const ORDER: [u16; 17] = [0, 3, 2, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let mut saved: Vec<(&'static str, Address)> = Vec::new();
        for number in ORDER {
            let found = places.iter().find(|(register, _)| register.0 == number);
            if let (Some((_, at)), Some(name)) = (found, name(number)) {
                saved.push((name, *at));
            }
        }
        saved
    }
}

/// x87's ten bytes as the sixteen that a `long double` takes.
fn wide(bytes: &[u8]) -> [u8; 16] {
    let mut all = [0; 16];
    let length = bytes.len().min(10);
    all[..length].copy_from_slice(&bytes[..length]);
    all
}
