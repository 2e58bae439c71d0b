//! Call frame information: the rule by which the frame of an address is
//! unwound, found in `.eh_frame` or `.debug_frame`.

use std::sync::OnceLock;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EhFrameHdr, LittleEndian, RegisterRule,
    UnwindContext, UnwindSection,
};

use crate::info::Slice;
use crate::{Arch, Error, Module, Register, Result};

/// How a frame's caller is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rule {
    pub(crate) cfa: Cfa,
    /// The registers that have a rule of their own.
    pub(crate) saved: Vec<(Register, Saved)>,
    pub(crate) return_address: Register,
    pub(crate) is_signal: bool,
    /// How the rule's expressions are encoded.
    pub(crate) encoding: gimli::Encoding,
}

/// How the canonical frame address is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cfa {
    /// So far from a register.
    Register(Register, i64),
    /// What an expression gives.
    Expression(Box<[u8]>),
}

/// How a register's value in the caller is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Saved {
    /// It is not.
    Lost,
    /// It is what it is in this frame.
    Same,
    /// It is in memory, so far from the frame address.
    At(i64),
    /// It is so far from the frame address.
    Is(i64),
    /// It is in another register.
    In(Register),
    /// It is in memory where an expression says.
    AtExpression(Box<[u8]>),
    /// It is what an expression gives.
    IsExpression(Box<[u8]>),
}

/// Tables by which entries are found where a section brings none.
#[derive(Default)]
pub(crate) struct FrameTables {
    eh_frame: OnceLock<Table>,
    debug_frame: OnceLock<Table>,
}

/// Start, end and offset of each entry, sorted.
type Table = Vec<(u64, u64, usize)>;

/// Lists the entries of a section, up to the first that is damaged.
fn table<'a, S: UnwindSection<Slice<'a>>>(section: &S, bases: &BaseAddresses) -> Table {
    let mut table = Table::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(fde) = partial.parse(S::cie_from_offset)
            && let Some(end) = fde.initial_address().checked_add(fde.len())
        {
            table.push((fde.initial_address(), end, fde.offset()));
        }
    }
    table.sort_unstable();
    table
}

fn find(table: &Table, address: u64) -> Option<usize> {
    let after = table.partition_point(|&(start, ..)| start <= address);
    let near = table[..after].iter().rev().take(4);
    near.filter(|&&(_, end, _)| end > address)
        .map(|&(.., offset)| offset)
        .next()
}

impl Module {
    /// The rule for an address of the file; `None` where no entry covers it.
    pub(crate) fn frame_rule(
        &self,
        address: u64,
        context: &mut UnwindContext<usize>,
    ) -> Result<Option<Rule>> {
        if let Some(rule) = self.eh_frame_rule(address, context)? {
            return Ok(Some(rule));
        }
        self.debug_frame_rule(address, context)
    }

    fn eh_frame_rule(
        &self,
        address: u64,
        context: &mut UnwindContext<usize>,
    ) -> Result<Option<Rule>> {
        let (bytes, elf) = self.loaded_file();
        let Some(header) = elf.section(".eh_frame") else {
            return Ok(None);
        };
        let section = bytes.get().get(header.file.clone()).unwrap_or_default();
        let mut section = EhFrame::new(section, LittleEndian);
        section.set_address_size(8);
        let address_of = |name| elf.section(name).map_or(0, |section| section.address);
        let bases = BaseAddresses::default()
            .set_eh_frame(header.address)
            .set_eh_frame_hdr(address_of(".eh_frame_hdr"))
            .set_text(address_of(".text"))
            .set_got(address_of(".got"));
        let indexed = elf
            .bytes(".eh_frame_hdr", bytes.get())
            .and_then(|bytes| look_up(bytes, header.address, &bases, address));
        let offset = match indexed {
            Some(offset) => Some(offset),
            None => {
                let tables = self.frames.get_or_init(FrameTables::default);
                find(
                    tables.eh_frame.get_or_init(|| table(&section, &bases)),
                    address,
                )
            }
        };
        let Some(offset) = offset else {
            return Ok(None);
        };
        read_rule(&section, &bases, offset, address, context, self.arch())
            .map_err(|error| self.frame_fault(".eh_frame", offset, error))
    }

    fn debug_frame_rule(
        &self,
        address: u64,
        context: &mut UnwindContext<usize>,
    ) -> Result<Option<Rule>> {
        let (bytes, elf) = self.debug_file();
        let Some(header) = elf.section(".debug_frame") else {
            return Ok(None);
        };
        let unpacked;
        let plain = match crate::elf::decompress(header, bytes.get()) {
            Ok(Some(bytes)) => {
                unpacked = bytes;
                &unpacked[..]
            }
            Ok(None) => bytes.get().get(header.file.clone()).unwrap_or_default(),
            Err(what) => {
                return Err(Error::new(self.name(), what).in_section(".debug_frame"));
            }
        };
        let mut section = DebugFrame::new(plain, LittleEndian);
        section.set_address_size(8);
        let bases = BaseAddresses::default();
        let tables = self.frames.get_or_init(FrameTables::default);
        let table = tables.debug_frame.get_or_init(|| table(&section, &bases));
        let Some(offset) = find(table, address) else {
            return Ok(None);
        };
        read_rule(&section, &bases, offset, address, context, self.arch())
            .map_err(|error| self.frame_fault(".debug_frame", offset, error))
    }

    fn frame_fault(&self, section: &'static str, offset: usize, what: gimli::Error) -> Error {
        Error::new(self.name(), what)
            .in_section(section)
            .at(offset as u64)
    }
}

/// Finds an entry by the binary search table of `.eh_frame_hdr`. `None` where
/// there is no table, or a damaged one.
fn look_up(bytes: &[u8], section: u64, bases: &BaseAddresses, address: u64) -> Option<usize> {
    let header = EhFrameHdr::new(bytes, LittleEndian).parse(bases, 8).ok()?;
    let pointer = header.table()?.lookup(address, bases).ok()?.direct().ok()?;
    usize::try_from(pointer.checked_sub(section)?).ok()
}

/// Reads the rule that an entry has for an address.
fn read_rule<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    offset: usize,
    address: u64,
    context: &mut UnwindContext<usize>,
    arch: Arch,
) -> gimli::Result<Option<Rule>> {
    let fde = section.fde_from_offset(bases, S::Offset::from(offset), S::cie_from_offset)?;
    let end = fde.initial_address().checked_add(fde.len());
    if address < fde.initial_address() || end.is_none_or(|end| address >= end) {
        return Ok(None);
    }
    let row = fde.unwind_info_for_address(section, bases, context, address)?;
    let bytes = |expression: gimli::UnwindExpression<usize>| {
        expression
            .get(section)
            .map(|expression| Box::from(expression.0.slice()))
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            Cfa::Register(Register(register.0), *offset)
        }
        CfaRule::Expression(expression) => Cfa::Expression(bytes(*expression)?),
    };
    let mut saved = Vec::new();
    for (register, rule) in row.registers() {
        if register.0 > crate::Registers::LAST.0 {
            continue;
        }
        let rule = match rule {
            RegisterRule::SameValue => Saved::Same,
            RegisterRule::Offset(offset) => Saved::At(*offset),
            RegisterRule::ValOffset(offset) => Saved::Is(*offset),
            RegisterRule::Register(other) => Saved::In(Register(other.0)),
            RegisterRule::Expression(expression) => Saved::AtExpression(bytes(*expression)?),
            RegisterRule::ValExpression(expression) => Saved::IsExpression(bytes(*expression)?),
            _ => Saved::Lost,
        };
        saved.push((Register(register.0), rule));
    }
    let column = fde.cie().return_address_register();
    if arch == Arch::X86_64 && row.register(column).is_none() {
        saved.push((Register(column.0), Saved::Lost));
    }
    Ok(Some(Rule {
        cfa,
        saved,
        return_address: Register(column.0),
        is_signal: fde.is_signal_trampoline(),
        encoding: fde.cie().encoding(),
    }))
}
