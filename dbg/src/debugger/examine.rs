//! `x`: memory as it is asked for, unit by unit.

use super::{Debugger, Events};
use crate::command::Format;
use crate::error::{Error, Result};
use crate::event::{Event, MemoryRow};
use crate::target::Address;
use crate::value::format::{self, Format as Shown};
use crate::value::{Number, Type, Value, demangled};

/// More units than anybody looks at.
const MOST_UNITS: i64 = 1 << 20;

impl Debugger {
    /// `x`.
    pub(super) fn examine(
        &mut self,
        wanted: Format,
        text: Option<&str>,
        events: Events<'_>,
    ) -> Result<()> {
        let before = self.examined.map(|(_, format)| format).unwrap_or_default();
        let at = match (text, self.examined) {
            (Some(text), _) => self.evaluate_address(text)?,
            (None, Some((at, _))) => at,
            (None, None) => {
                return Err(Error::new("Argument required (starting display address)."));
            }
        };
        let format = Format {
            count: Some(wanted.count.unwrap_or(1).clamp(0, MOST_UNITS)),
            letter: wanted.letter.or(before.letter).or(Some('x')),
            size: wanted
                .size
                .or(before.size.filter(|_| wanted.letter.is_none())),
        };
        let next = match format.letter {
            Some('i') => self.examine_code(at, format, events)?,
            Some('s') => self.examine_text(at, format, events)?,
            _ => self.examine_units(at, format, events)?,
        };
        self.examined = Some((next, format));
        Ok(())
    }

    /// `$_` is where a unit was looked at last, `$__` what is there.
    fn remember_examined(&mut self, at: Address, size: u8) {
        let number = match size {
            1 => Number {
                name: "int8_t",
                ..Number::SIGNED_CHAR
            },
            2 => Number {
                name: "int16_t",
                ..Number::SHORT
            },
            4 => Number {
                name: "int32_t",
                ..Number::INT
            },
            _ => Number {
                name: "int64_t",
                ..Number::LONG
            },
        };
        let unit = Type::Number(number);
        let pointer = Value::computed(unit.clone().pointer(), at.0.to_le_bytes());
        self.set_own_variable("_", pointer);
        self.set_own_variable("__", Value::in_memory(unit, at));
    }

    fn examine_code(&mut self, at: Address, format: Format, events: Events<'_>) -> Result<Address> {
        let count = format.count.unwrap_or(1) as usize;
        let range = at.range((count * crate::flow::LONGEST) as u64);
        let mut next = at;
        let mut text = String::new();
        for i in self.instructions(range, count, false)? {
            let mark = if i.current { "=>" } else { "  " };
            let symbol = symbol_text(i.symbol.as_ref());
            text += &format!("{mark} {:#x}{symbol}:\t{}", i.address, i.text);
            if let Some(target) = &i.target {
                text += &format!(" {target}");
            }
            text.push('\n');
            next = i.address.add(i.bytes.len() as u64);
            self.remember_examined(i.address, 1);
        }
        events(Event::Text(text));
        Ok(next)
    }

    fn examine_text(&mut self, at: Address, format: Format, events: Events<'_>) -> Result<Address> {
        let mut rows = Vec::new();
        let mut at = at;
        for _ in 0..format.count.unwrap_or(1) {
            let most = self.style(None).elements.min(MOST_UNITS as usize);
            let mut bytes = Vec::new();
            let target = self.live()?;
            while bytes.len() < most {
                let mut byte = [0];
                target.read(at.add(bytes.len() as u64), &mut byte)?;
                if byte[0] == 0 {
                    break;
                }
                bytes.push(byte[0]);
            }
            let mut unit = String::from("\"");
            for byte in &bytes {
                format::escape(u32::from(*byte), 1, '"', &mut unit);
            }
            unit.push('"');
            rows.push(MemoryRow {
                address: at,
                symbol: self.data_symbol(at),
                units: vec![unit],
            });
            at = at.add(bytes.len() as u64 + 1);
        }
        events(Event::Memory(rows));
        Ok(at)
    }

    fn examine_units(
        &mut self,
        at: Address,
        format: Format,
        events: Events<'_>,
    ) -> Result<Address> {
        let letter = format.letter.unwrap_or('x');
        let size = match (letter, format.size) {
            ('a', _) => 8,
            ('c', None) => 1,
            ('f', None) => 8,
            (_, size) => size.unwrap_or(4),
        };
        let per_row = match (letter, size) {
            ('t', 1) => 8,
            ('t', 2) => 8,
            ('t', 4) => 2,
            ('t', _) => 1,
            (_, 1 | 2) => 8,
            (_, 4) => 4,
            _ => 2,
        };
        let shown = match letter {
            'x' => Shown::PaddedHex,
            letter => Shown::of(letter).unwrap_or(Shown::PaddedHex),
        };
        let mut rows: Vec<MemoryRow> = Vec::new();
        let mut here = at;
        for index in 0..format.count.unwrap_or(1) {
            let mut bytes = vec![0; usize::from(size)];
            let read = match self.target.as_deref_mut() {
                Some(target) => target.read(here, &mut bytes),
                None => Err(crate::target::TargetError::Memory(here)),
            };
            if let Err(error) = read {
                if !rows.is_empty() {
                    events(Event::Memory(rows));
                }
                return Err(error.into());
            }
            let mut unit = format::show(&bytes, shown, letter != 'u', letter == 'f');
            if letter == 't' {
                unit = format!("{unit:0>width$}", width = 8 * usize::from(size));
            }
            if letter == 'a'
                && let Some((name, offset)) =
                    self.symbol_of(Address(format::unsigned(&bytes) as u64))
            {
                unit += &symbol_text(Some(&(name, offset)));
            }
            if index % per_row == 0 {
                rows.push(MemoryRow {
                    address: here,
                    symbol: self.data_symbol(here),
                    units: Vec::new(),
                });
            }
            rows.last_mut().expect("just pushed").units.push(unit);
            self.remember_examined(here, size);
            here = here.add(u64::from(size));
        }
        events(Event::Memory(rows));
        Ok(here)
    }

    /// The symbol that an address of data or code lies in, if in any.
    pub(super) fn data_symbol(&self, at: Address) -> Option<(String, u64)> {
        let (_, module) = self.modules.at(at)?;
        let (symbol, offset) = module.symbol_at(at)?;
        (offset < symbol.size.max(1)).then(|| (demangled(symbol.name).into_owned(), offset))
    }
}

pub(super) fn symbol_text(symbol: Option<&(String, u64)>) -> String {
    match symbol {
        Some((name, 0)) => format!(" <{name}>"),
        Some((name, offset)) => format!(" <{name}+{offset}>"),
        None => String::new(),
    }
}
