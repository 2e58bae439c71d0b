//! Where a variable is: DWARF expressions and location lists, evaluated in a
//! frame that the caller describes.

use std::fmt;

use gimli::constants as c;

use crate::info::{Entry, Info, Slice, Unit, Value};
use crate::names::NameKind;
use crate::operations::{self, Machine};
use crate::{Address, EntryId, Memory, MemoryError, Module, Register, TypeId, Variable};

/// The frame that a location is evaluated in.
///
/// Only what an expression asks for is looked up.
pub trait FrameContext: Memory {
    /// The frame's pc, as [`FrameAddress::lookup`](crate::FrameAddress::lookup)
    /// gives it.
    fn pc(&self) -> Address;

    /// A register's bytes, or `None` where nobody knows them.
    fn register(&mut self, register: Register) -> Option<Vec<u8>>;

    /// What a register that calls may change held when the frame called, if the
    /// callee did not change it: nobody knows. gcc, which knows what its own
    /// functions change, ends the places of variables where that matters.
    fn unsaved_register(&mut self, register: Register) -> Option<Vec<u8>> {
        let _ = register;
        None
    }

    /// The frame's canonical frame address.
    fn cfa(&mut self) -> Option<Address>;

    /// The physical function's entry, whose frame base `DW_OP_fbreg` uses.
    fn function(&self) -> Option<EntryId>;

    /// Where the selected thread has the byte at `offset` of the module's
    /// thread-local block.
    fn thread_local(&mut self, module: &Module, offset: u64) -> Option<Address> {
        let _ = (module, offset);
        None
    }

    /// The value that a register had, or an expression gave, when the function
    /// was entered: the caller's call site says. `expression` is the operand
    /// of `DW_OP_entry_value`.
    fn entry_value(&mut self, module: &Module, expression: &[u8]) -> Option<u64> {
        let _ = (module, expression);
        None
    }
}

/// Where a value is: one piece as a rule, several where it was taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The pieces, from the value's first byte.
    pub pieces: Vec<Piece>,
}

impl Location {
    /// A whole value in one place.
    pub fn whole(at: Storage) -> Location {
        Location {
            pieces: vec![Piece {
                size_bits: None,
                offset_bits: 0,
                at,
            }],
        }
    }

    /// The address of a value that lies in memory in one piece.
    pub fn address(&self) -> Option<Address> {
        match &self.pieces[..] {
            [
                Piece {
                    size_bits: None,
                    offset_bits: 0,
                    at: Storage::Memory(address),
                },
            ] => Some(*address),
            _ => None,
        }
    }
}

/// Part of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// How many bits of the value it holds; `None` for the rest of it.
    pub size_bits: Option<u64>,
    /// Which bit of the storage it begins at.
    pub offset_bits: u64,
    /// Where it is.
    pub at: Storage,
}

impl Piece {
    /// Takes what an unsaved register holds for the piece in it.
    fn take_unsaved(&mut self, frame: &mut dyn FrameContext) {
        if let Storage::Register(register) = self.at
            && frame.register(register).is_none()
            && let Some(bytes) = frame.unsaved_register(register)
        {
            self.at = Storage::Bytes(bytes);
        }
    }
}

/// Where a piece of a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Storage {
    /// In memory.
    Memory(Address),
    /// In a register.
    Register(Register),
    /// Nowhere: the debug information has the number itself.
    Value(u64),
    /// Nowhere: the debug information has the bytes themselves.
    Bytes(Vec<u8>),
    /// Nowhere: a pointer to a variable that the compiler took away. What it
    /// points at is the variable of that entry, `offset` bytes in.
    ImplicitPointer {
        /// The variable.
        variable: EntryId,
        /// The byte of it.
        offset: i64,
    },
    /// Optimised out.
    Nowhere,
}

/// Why a location could not be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocationError {
    /// The compiler says that the variable has no value here.
    OptimizedOut,
    /// The expression needs a register that nobody knows.
    NoRegister(Register),
    /// The expression needs the frame's address, and nobody knows it.
    NoFrameBase,
    /// A thread-local variable of a thread or library that has none.
    NoThreadLocal,
    /// The expression reads memory that cannot be read.
    Memory(MemoryError),
    /// The debug information is at fault.
    Malformed(crate::Error),
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocationError::OptimizedOut => f.write_str("value has been optimized out"),
            LocationError::NoRegister(register) => {
                write!(
                    f,
                    "value is not available: register {} is not saved",
                    register.0
                )
            }
            LocationError::NoFrameBase => {
                f.write_str("value is not available: the frame's base is not known")
            }
            LocationError::NoThreadLocal => {
                f.write_str("Cannot find thread-local storage for the selected thread")
            }
            LocationError::Memory(error) => error.fmt(f),
            LocationError::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LocationError {}

impl From<MemoryError> for LocationError {
    fn from(error: MemoryError) -> LocationError {
        LocationError::Memory(error)
    }
}

/// A frame as an expression of a module's unit sees it.
struct FrameMachine<'f, 'i, 'a> {
    module: &'f Module,
    info: &'i Info<'a>,
    /// The unit whose expression runs.
    unit: u32,
    frame: &'f mut dyn FrameContext,
    /// Whether the frame base is being found, which may not need itself.
    is_in_frame_base: bool,
}

impl Memory for FrameMachine<'_, '_, '_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        self.frame.read(at, into)
    }
}

impl Machine for FrameMachine<'_, '_, '_> {
    fn register(&mut self, register: Register) -> Option<u64> {
        let known = self.frame.register(register);
        let bytes = known.or_else(|| match self.info.is_by_gcc(self.unit) {
            true => self.frame.unsaved_register(register),
            false => None,
        })?;
        let mut wide = [0; 8];
        let len = bytes.len().min(8);
        wide[..len].copy_from_slice(&bytes[..len]);
        Some(u64::from_le_bytes(wide))
    }

    fn frame_base(&mut self) -> Result<u64, LocationError> {
        if self.is_in_frame_base {
            return Err(LocationError::NoFrameBase);
        }
        let function = self.frame.function().ok_or(LocationError::NoFrameBase)?;
        let pc = self.module.to_file(self.frame.pc());
        let unit = self.info.unit(function.unit);
        let unit = unit.ok_or(LocationError::NoFrameBase)?;
        let bytes = self.info.frame_base(function, unit, pc)?;
        let encoding = unit.encoding();
        self.is_in_frame_base = true;
        let base = operations::number(bytes.slice(), encoding, None, self);
        self.is_in_frame_base = false;
        base
    }

    fn cfa(&mut self) -> Option<u64> {
        self.frame.cfa().map(|cfa| cfa.0)
    }

    fn thread_local(&mut self, offset: u64) -> Option<u64> {
        self.frame
            .thread_local(self.module, offset)
            .map(|address| address.0)
    }

    fn entry_value(&mut self, expression: &[u8]) -> Option<u64> {
        self.frame.entry_value(self.module, expression)
    }

    fn relocate(&mut self, address: u64) -> u64 {
        self.module.to_memory(address).0
    }

    fn indexed(&mut self, index: usize) -> Option<u64> {
        let unit = self.info.unit(self.unit)?;
        self.info
            .dwarf_of(self.unit)
            .address(unit, gimli::DebugAddrIndex(index))
            .ok()
    }

    fn base_type(&mut self, offset: usize) -> Option<gimli::ValueType> {
        if offset == 0 {
            return Some(gimli::ValueType::Generic);
        }
        let unit = self.info.unit(self.unit)?;
        let entry = unit.entry(gimli::UnitOffset(offset)).ok()?;
        gimli::ValueType::from_entry(&entry).ok().flatten()
    }

    fn parameter(&mut self, offset: usize) -> Option<u64> {
        // The caller's call site names the same parameter; the register that
        // it came in stands for it. Without one there is no knowing.
        let _ = offset;
        None
    }
}

/// What an attribute says of where a value is, at one pc.
enum Described<'a> {
    Expression(Slice<'a>),
    Constant(Storage),
    Nowhere,
    /// The entry does not say.
    Nothing,
}

impl<'a> Info<'a> {
    /// How a function's frame base is found at a pc.
    fn frame_base(
        &self,
        function: EntryId,
        unit: &Unit<'a>,
        pc: u64,
    ) -> Result<Slice<'a>, LocationError> {
        let lock = || self.frame_bases.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(known) = lock().get(&function) {
            return Ok(*known);
        }
        let base = c::DW_AT_frame_base;
        let (_, entry) = self.entry(function).ok_or(LocationError::NoFrameBase)?;
        let found = self.expression(function.unit, unit, &entry, base, pc)?;
        let bytes = found.ok_or(LocationError::NoFrameBase)?;
        let value = entry.attr_value(base);
        if value.is_some_and(|value| value.exprloc_value().is_some()) {
            lock().insert(function, bytes);
        }
        Ok(bytes)
    }

    /// The expression that an attribute has at a pc, directly or in a list.
    /// `None` where the entry has no such attribute; an expression of no
    /// operations where no entry of the list covers the pc.
    fn expression(
        &self,
        index: u32,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
        at: gimli::DwAt,
        pc: u64,
    ) -> Result<Option<Slice<'a>>, LocationError> {
        let Some(value) = entry.attr_value(at) else {
            return Ok(None);
        };
        if let Some(expression) = value.exprloc_value() {
            return Ok(Some(expression.0));
        }
        let fault = |error| LocationError::Malformed(self.fault(".debug_loc", None, error));
        let list = self
            .dwarf_of(index)
            .attr_locations(unit, value)
            .map_err(fault)?;
        let Some(mut list) = list else {
            return Ok(None);
        };
        let mut found = None;
        while let Some(entry) = list.next().map_err(fault)? {
            // Where entries overlap the first one holds; a default one comes
            // last in what is written.
            if found.is_none() && entry.range.begin <= pc && pc < entry.range.end {
                found = Some(entry.data.0);
            }
        }
        Ok(Some(found.unwrap_or(Slice::new(&[], gimli::LittleEndian))))
    }

    /// What a variable's entries say of where it is at a pc.
    fn described(
        &self,
        variable: EntryId,
        pc: u64,
    ) -> Result<(EntryId, Described<'a>), LocationError> {
        for (id, entry) in self.lineage(variable) {
            let Some(unit) = self.unit(id.unit) else {
                break;
            };
            if let Some(bytes) = self.expression(id.unit, unit, &entry, c::DW_AT_location, pc)? {
                let described = match bytes.slice().is_empty() {
                    true => Described::Nowhere,
                    false => Described::Expression(bytes),
                };
                return Ok((id, described));
            }
            match entry.attr_value(c::DW_AT_const_value) {
                None => {}
                Some(Value::Block(bytes)) => {
                    let storage = Storage::Bytes(bytes.slice().to_vec());
                    return Ok((id, Described::Constant(storage)));
                }
                Some(value @ (Value::String(_) | Value::DebugStrRef(_))) => {
                    let mut text = match self.text(id.unit, Some(value)) {
                        Some(text) => text.slice().to_vec(),
                        None => Vec::new(),
                    };
                    text.push(0);
                    return Ok((id, Described::Constant(Storage::Bytes(text))));
                }
                Some(_) => {
                    let value = crate::types::constant(&entry, c::DW_AT_const_value);
                    let bytes = value.unwrap_or(0).to_le_bytes().to_vec();
                    return Ok((id, Described::Constant(Storage::Bytes(bytes))));
                }
            }
        }
        Ok((variable, Described::Nothing))
    }

    /// The definition of a variable that an entry only declares.
    fn definition(&self, variable: EntryId) -> Option<EntryId> {
        let (_, entry) = self.entry(variable)?;
        let declares = matches!(
            entry.attr_value(c::DW_AT_declaration),
            Some(Value::Flag(true))
        ) || matches!(entry.attr_value(c::DW_AT_external), Some(Value::Flag(true)));
        if !declares {
            return None;
        }
        let name = self.name_of(variable)?.to_string_lossy().into_owned();
        self.named(&name, &[NameKind::Variable])
            .into_iter()
            .find(|&id| id != variable)
    }

    /// A piece of gimli's as one of ours.
    fn storage(&self, unit: u32, location: gimli::Location<Slice<'a>>) -> Storage {
        match location {
            gimli::Location::Empty => Storage::Nowhere,
            gimli::Location::Register { register } => Storage::Register(Register(register.0)),
            gimli::Location::Address { address } => Storage::Memory(Address(address)),
            gimli::Location::Value {
                value: gimli::Value::Generic(value),
            } => Storage::Value(value),
            gimli::Location::Value { value } => Storage::Bytes(operations::bytes_of(value)),
            gimli::Location::Bytes { value } => Storage::Bytes(value.slice().to_vec()),
            gimli::Location::ImplicitPointer { value, byte_offset } => {
                match self.follow(unit, Value::DebugInfoRef(value)) {
                    Some(variable) => Storage::ImplicitPointer {
                        variable,
                        offset: byte_offset,
                    },
                    None => Storage::Nowhere,
                }
            }
        }
    }
}

impl Module {
    /// Where a variable is in that frame.
    pub fn locate(
        &self,
        variable: &Variable,
        frame: &mut dyn FrameContext,
    ) -> Result<Location, LocationError> {
        self.locate_entry(variable.id, frame)
    }

    /// Where the variable of that entry is in that frame.
    pub fn locate_entry(
        &self,
        variable: EntryId,
        frame: &mut dyn FrameContext,
    ) -> Result<Location, LocationError> {
        let located = self.info(|info| {
            let pc = self.to_file(frame.pc());
            let (mut holder, mut described) = info.described(variable, pc)?;
            if let Described::Nothing = described
                && let Some(definition) = info.definition(variable)
            {
                (holder, described) = info.described(definition, pc)?;
            }
            let bytes = match described {
                Described::Expression(bytes) => bytes,
                Described::Constant(storage) => return Ok(Location::whole(storage)),
                Described::Nowhere | Described::Nothing => {
                    return self
                        .by_symbol(info, variable)
                        .ok_or(LocationError::OptimizedOut);
                }
            };
            let Some(unit) = info.unit(holder.unit) else {
                return Err(LocationError::OptimizedOut);
            };
            let encoding = unit.encoding();
            let mut machine = FrameMachine {
                module: self,
                info,
                unit: holder.unit,
                frame: &mut *frame,
                is_in_frame_base: false,
            };
            let pieces = operations::pieces(bytes.slice(), encoding, None, None, &mut machine)?;
            let pieces = pieces.into_iter().map(|piece| Piece {
                size_bits: piece.size_in_bits,
                offset_bits: piece.bit_offset.unwrap_or(0),
                at: info.storage(holder.unit, piece.location),
            });
            let mut location = Location {
                pieces: pieces.collect(),
            };
            let in_register = |piece: &Piece| matches!(piece.at, Storage::Register(_));
            if location.pieces.iter().any(in_register) && info.is_by_gcc(holder.unit) {
                let pieces = location.pieces.iter_mut();
                pieces.for_each(|piece| piece.take_unsaved(frame));
            }
            if location
                .pieces
                .iter()
                .all(|piece| piece.at == Storage::Nowhere)
            {
                return Err(LocationError::OptimizedOut);
            }
            Ok(location)
        });
        located.unwrap_or(Err(LocationError::OptimizedOut))
    }

    /// A global that no unit here locates, by its symbol.
    fn by_symbol(&self, info: &Info<'_>, variable: EntryId) -> Option<Location> {
        let (_, entry) = info.entry(variable)?;
        if !matches!(entry.attr_value(c::DW_AT_external), Some(Value::Flag(true))) {
            return None;
        }
        let name = info.name_of(variable)?;
        let symbol = self.symbol_named(name.to_string().ok()?)?;
        let is_data = symbol.kind == crate::SymbolKind::Data;
        is_data.then(|| Location::whole(Storage::Memory(symbol.address)))
    }

    /// Where a member with a computed offset is, given its struct's address.
    pub fn member_address(
        &self,
        member: EntryId,
        of: Address,
        frame: &mut dyn FrameContext,
    ) -> Result<Address, LocationError> {
        let address = self.info(|info| {
            let (unit, entry) = info.entry(member).ok_or(LocationError::OptimizedOut)?;
            let value = entry.attr_value(c::DW_AT_data_member_location);
            let expression = value.and_then(|value| value.exprloc_value());
            let bytes = expression.ok_or(LocationError::OptimizedOut)?.0;
            let encoding = unit.encoding();
            let mut machine = FrameMachine {
                module: self,
                info,
                unit: member.unit,
                frame,
                is_in_frame_base: false,
            };
            operations::number(bytes.slice(), encoding, Some(of.0), &mut machine).map(Address)
        });
        address.unwrap_or(Err(LocationError::OptimizedOut))
    }

    /// How many elements each dimension of an array has, outermost first, where a
    /// frame says so; `None` where nobody does.
    pub fn array_counts(&self, array: TypeId, frame: &mut dyn FrameContext) -> Vec<Option<u64>> {
        let counts = self.info(|info| {
            let bounds = info.array_bounds(array);
            let mut counts = Vec::new();
            for (known, attribute, is_count, lower) in bounds {
                let value = match (known, attribute) {
                    (Some(count), _) => {
                        counts.push(Some(count));
                        continue;
                    }
                    (None, Some(Value::Exprloc(expression))) => {
                        let encoding = info.unit(array.0.unit).map(Unit::encoding);
                        let mut machine = FrameMachine {
                            module: self,
                            info,
                            unit: array.0.unit,
                            frame: &mut *frame,
                            is_in_frame_base: false,
                        };
                        let bytes = expression.0.slice();
                        encoding.and_then(|encoding| {
                            operations::number(bytes, encoding, None, &mut machine).ok()
                        })
                    }
                    (None, Some(reference)) => info
                        .follow(array.0.unit, reference)
                        .and_then(|variable| self.number_of(info, variable, &mut *frame)),
                    (None, None) => None,
                };
                counts.push(value.and_then(|value| match is_count {
                    true => Some(value),
                    false => u64::try_from(i128::from(value as i64) + 1 - lower).ok(),
                }));
            }
            counts
        });
        counts.unwrap_or_default()
    }

    /// The value of a variable of at most eight bytes.
    fn number_of(
        &self,
        info: &Info<'_>,
        variable: EntryId,
        frame: &mut dyn FrameContext,
    ) -> Option<u64> {
        let location = self.locate_entry(variable, &mut *frame).ok()?;
        let described = info.variable(variable, crate::VariableKind::Local, 0)?;
        let size = self.size_of(described.type_id?)?.min(8) as usize;
        if let Some(address) = location.address() {
            return frame.read_unsigned(address, size).ok();
        }
        let bytes = match &location.pieces.first()?.at {
            Storage::Register(register) => frame.register(*register)?,
            Storage::Value(value) => return Some(*value),
            Storage::Bytes(bytes) => bytes.clone(),
            _ => return None,
        };
        let mut whole = [0; 8];
        let length = size.min(bytes.len());
        whole[..length].copy_from_slice(&bytes[..length]);
        Some(u64::from_le_bytes(whole))
    }

    /// What the call that returns to `return_address` passed for `expression`
    /// (the operand of `DW_OP_entry_value` in the callee), evaluated in the
    /// caller's frame. `None` where the caller's compiler did not say.
    pub fn call_site_value(
        &self,
        return_address: Address,
        expression: &[u8],
        caller: &mut dyn FrameContext,
    ) -> Option<u64> {
        self.info(|info| {
            let (unit, bytes) = info.call_site(self.to_file(return_address), expression)?;
            let encoding = info.unit(unit)?.encoding();
            let mut machine = FrameMachine {
                module: self,
                info,
                unit,
                frame: caller,
                is_in_frame_base: false,
            };
            operations::number(bytes.slice(), encoding, None, &mut machine).ok()
        })?
    }

    /// The type of that entry's value, where it has one.
    pub fn type_of_entry(&self, entry: EntryId) -> Option<TypeId> {
        self.info(|info| {
            let lineage = info.lineage(entry);
            lineage.iter().find_map(|(id, entry)| {
                info.follow(id.unit, entry.attr_value(c::DW_AT_type)?)
                    .map(TypeId)
            })
        })?
    }
}

impl<'a> Info<'a> {
    /// The expression for what a call passed in a place: of the call site that
    /// returns to an address, the parameter whose location is `place`.
    fn call_site(&self, return_address: u64, place: &[u8]) -> Option<(u32, Slice<'a>)> {
        let function = self.function_at(return_address.wrapping_sub(1))?;
        let unit = self.unit(function.unit)?;
        let start = gimli::UnitOffset(function.offset as usize);
        let mut entries = unit.entries_raw(Some(start)).ok()?;
        let mut entry = Entry::null();
        entries.read_entry(&mut entry).ok()?;
        // The depth of the call site, while inside it.
        let mut site: Option<isize> = None;
        while !entries.is_empty() && entries.next_depth() > 0 {
            let depth = entries.next_depth();
            if site.is_some_and(|site| depth <= site) {
                return None;
            }
            if !entries.read_entry(&mut entry).ok()? {
                continue;
            }
            match entry.tag() {
                c::DW_TAG_call_site | c::DW_TAG_GNU_call_site => {
                    let returns = [c::DW_AT_call_return_pc, c::DW_AT_low_pc];
                    let pc = returns
                        .iter()
                        .find_map(|&at| self.address_of(function.unit, unit, entry.attr_value(at)));
                    if pc == Some(return_address) {
                        site = Some(depth);
                    }
                }
                c::DW_TAG_call_site_parameter | c::DW_TAG_GNU_call_site_parameter
                    if site.is_some() =>
                {
                    let bytes = |at| Some(entry.attr_value(at)?.exprloc_value()?.0);
                    if bytes(c::DW_AT_location).is_some_and(|at| at.slice() == place) {
                        let value = bytes(c::DW_AT_call_value)
                            .or_else(|| bytes(c::DW_AT_GNU_call_site_value))?;
                        return Some((function.unit, value));
                    }
                }
                _ => {}
            }
        }
        None
    }
}
