//! `disassemble`, and the instructions that `x/i` shows.

use std::ops::Range;

use capstone::arch::x86::ArchSyntax;
use capstone::prelude::*;

use super::{Debugger, Events};
use crate::command::Disassemble;
use crate::error::{Error, Result};
use crate::event::{Disassembly, DisassemblyRow, Event, Instruction};
use crate::flow::LONGEST;
use crate::target::Address;
use crate::value::demangled;

/// More bytes than anybody reads.
const MOST: u64 = 1 << 20;

fn engine() -> Result<Capstone> {
    Capstone::new()
        .x86()
        .mode(arch::x86::ArchMode::Mode64)
        .syntax(ArchSyntax::Att)
        .build()
        .map_err(|e| Error::new(format!("disassembler: {e}")))
}

/// The address an operand like `0x401136` or `0x2fe2(%rip)` stands for.
fn operand_address(operands: &str, end: Address) -> Option<(Address, bool)> {
    let hexadecimal = |text: &str| {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let digits = text.strip_prefix("0x")?;
        let value = u64::from_str_radix(digits, 16).ok()?;
        Some(if negative {
            value.wrapping_neg()
        } else {
            value
        })
    };
    let operands = operands.trim_start_matches('*');
    if let Some(value) = hexadecimal(operands) {
        return Some((Address(value), false));
    }
    let at = operands.find("(%rip)")?;
    let start = operands[..at].rfind([' ', ',', '*']).map_or(0, |n| n + 1);
    let displacement = match &operands[start..at] {
        "" => 0,
        text => hexadecimal(text)?,
    };
    Some((end.add(displacement), true))
}

impl Debugger {
    /// Reads as many bytes as there are from `at`, `length` at most.
    fn read_code(&mut self, at: Address, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        match self.target.as_deref_mut() {
            Some(target) => {
                if target.read(at, &mut bytes).is_ok() {
                    return Ok(bytes);
                }
                // The range may end where nothing is mapped any more.
                let page = (4096 - at.0 % 4096).min(length);
                bytes.truncate(page as usize);
                target.read(at, &mut bytes)?;
                Ok(bytes)
            }
            None => {
                let module = self.modules.at(at).map(|(_, module)| module);
                let found = module.and_then(|m| m.file_bytes(at.range(length)));
                let found = found.ok_or(crate::target::TargetError::Memory(at))?;
                Ok(found.to_vec())
            }
        }
    }

    /// Up to `count` instructions from `at`, as far as the range goes.
    pub(super) fn instructions(
        &mut self,
        range: Range<Address>,
        count: usize,
        raw: bool,
    ) -> Result<Vec<Instruction>> {
        let length = (range.end.0 - range.start.0).min(MOST);
        let code = self.read_code(range.start, length)?;
        let engine = engine()?;
        let pc = match self.selected {
            Some(_) => self.current_frame().ok().map(|frame| frame.pc()),
            None => None,
        };
        let mut all = Vec::new();
        let mut at = 0usize;
        while at < code.len() && all.len() < count {
            let address = range.start.add(at as u64);
            let rest = &code[at..code.len().min(at + LONGEST)];
            let decoded = engine
                .disasm_count(rest, address.0, 1)
                .map_err(|e| Error::new(format!("disassembler: {e}")))?;
            let (bytes, mnemonic, operands) = match decoded.first() {
                Some(i) => (
                    i.bytes().to_vec(),
                    i.mnemonic().unwrap_or("").to_owned(),
                    i.op_str().unwrap_or("").to_owned(),
                ),
                None => (vec![rest[0]], "(bad)".to_owned(), String::new()),
            };
            let end = address.add(bytes.len() as u64);
            let target = operand_address(&operands, end).and_then(|(to, relative)| {
                let symbol = self.symbol_of(to).map(|(name, offset)| match offset {
                    0 => format!("<{name}>"),
                    offset => format!("<{name}+{offset}>"),
                });
                match relative {
                    true => Some(format!("# {:#x} {}", to.0, symbol.unwrap_or_default())),
                    false => symbol,
                }
            });
            at += bytes.len();
            all.push(Instruction {
                address,
                symbol: self.symbol_of(address),
                bytes,
                text: format!("{mnemonic:<6} {operands}").trim_end().to_owned(),
                target: target.map(|t| t.trim_end().to_owned()),
                current: Some(address) == pc,
                raw,
            });
        }
        Ok(all)
    }

    /// `disassemble`.
    pub(super) fn disassemble(&mut self, wanted: &Disassemble, events: Events<'_>) -> Result<()> {
        let (function, ranges) = self.code_wanted(wanted)?;
        let mut rows = Vec::new();
        for range in ranges {
            let instructions = self.instructions(range, usize::MAX, wanted.raw)?;
            if wanted.source {
                self.mix_source(instructions, &mut rows);
            } else {
                rows.extend(instructions.into_iter().map(DisassemblyRow::Instruction));
            }
        }
        events(Event::Disassembly(Disassembly { function, rows }));
        Ok(())
    }

    /// The code that is meant, and the function when it is all of one.
    fn code_wanted(
        &mut self,
        wanted: &Disassemble,
    ) -> Result<(Option<String>, Vec<Range<Address>>)> {
        let start = match &wanted.start {
            Some(expression) => self.evaluate_address(expression)?,
            None => {
                self.thread()
                    .map_err(|_| Error::new("No frame selected."))?;
                self.current_frame()?.address.lookup()
            }
        };
        if let Some(end) = &wanted.end {
            let end = match end.strip_prefix('+') {
                Some(length) => start.add(self.evaluate_address(length)?.0),
                None => self.evaluate_address(end)?,
            };
            if end <= start {
                return Err(Error::new("the range ends before it begins."));
            }
            return Ok((None, vec![start..end]));
        }
        let none = || Error::new("No function contains the specified address.");
        let (_, module) = self.modules.at(start).ok_or_else(none)?;
        if let Some(function) = module.function_at(start) {
            return Ok((Some(function.name.clone()), function.ranges.clone()));
        }
        let (symbol, offset) = module.symbol_at(start).ok_or_else(none)?;
        let size = symbol.size.max(offset + 1);
        Ok((
            Some(demangled(symbol.name).into_owned()),
            vec![symbol.address.range(size)],
        ))
    }

    /// Puts the source lines before their instructions.
    fn mix_source(&mut self, instructions: Vec<Instruction>, rows: &mut Vec<DisassemblyRow>) {
        let mut last = None;
        for instruction in instructions {
            let row = self
                .modules
                .at(instruction.address)
                .and_then(|(_, module)| module.line_at(instruction.address))
                .filter(|row| row.line != 0);
            if let Some(row) = row {
                let here = (row.file.clone(), row.line);
                if last.as_ref() != Some(&here) {
                    let lines = self.sources.lines(&row.file, row.line, row.line, None);
                    rows.push(DisassemblyRow::Source(lines));
                    last = Some(here);
                }
            }
            rows.push(DisassemblyRow::Instruction(instruction));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_that_are_addresses() {
        let end = Address(0x1000);
        let check = |text, expected: Option<(u64, bool)>| {
            let expected = expected.map(|(at, relative)| (Address(at), relative));
            assert_eq!(operand_address(text, end), expected, "{text}");
        };
        check("0x401136", Some((0x40_1136, false)));
        check("0x10(%rip), %eax", Some((0x1010, true)));
        check("*-0x10(%rip)", Some((0xff0, true)));
        check("%rax, 8(%rbx)", None);
        check("$5, %eax", None);
    }
}
