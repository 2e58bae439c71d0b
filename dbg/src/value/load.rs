//! Reading a value's bytes, from wherever the debug information says it is.

use std::sync::Arc;

use sapwood_dwarf::{
    Address, EntryId, FrameAddress, FrameContext, Location, LocationError, Memory, MemoryError,
    Module, ModuleId, Modules, Piece, Register, Registers, Storage, TypeKind, Unwinder, Variable,
    VariableKind,
};

use super::{
    Bits, Content, Error, MAX_CALLERS, MAX_VALUE_SIZE, Place, Reader, Shape, Source, Synthetic,
    Type, Value,
};
use crate::stack::Frame;

/// A frame as location expressions see it.
pub(super) struct Seen<'a> {
    pub(super) modules: &'a Modules,
    pub(super) frame: Option<&'a Frame>,
    pub(super) source: &'a mut dyn Source,
    /// How many callers out from the user's frame.
    pub(super) callers: u32,
}

impl Memory for Seen<'_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        self.source.read(at, into)
    }
}

impl FrameContext for Seen<'_> {
    fn pc(&self) -> Address {
        self.frame
            .map_or(Address(0), |frame| frame.address.lookup())
    }

    fn register(&mut self, register: Register) -> Option<Vec<u8>> {
        self.source.note_frame();
        let frame = self.frame?;
        frame
            .registers
            .bytes(register)
            .or_else(|| self.source.other_register(frame, register))
    }

    fn unsaved_register(&mut self, register: Register) -> Option<Vec<u8>> {
        let value = self.frame?.registers.unsaved(register)?;
        Some(value.to_le_bytes().to_vec())
    }

    fn cfa(&mut self) -> Option<Address> {
        self.source.note_frame();
        self.frame?.cfa
    }

    fn function(&self) -> Option<EntryId> {
        self.frame?.physical
    }

    fn thread_local(&mut self, module: &Module, offset: u64) -> Option<Address> {
        super::thread_local(module, offset, self.source)
    }

    fn entry_value(&mut self, module: &Module, expression: &[u8]) -> Option<u64> {
        let _ = module;
        if self.callers >= MAX_CALLERS {
            return None;
        }
        let frame = self.frame?;
        let mut unwinder = Unwinder::new();
        let unwound = unwinder
            .step(self.modules, frame.address, &frame.registers, self.source)
            .ok()?;
        let (address, registers) = unwound.caller?;
        let FrameAddress::ReturnAddress(pc) = address else {
            return None;
        };
        let outer = unwinder.step(self.modules, address, &registers, self.source);
        let caller = self.caller(address, registers, outer.ok().and_then(|outer| outer.cfa));
        let (_, module) = self.modules.at(address.lookup())?;
        let mut seen = Seen {
            modules: self.modules,
            frame: Some(&caller),
            source: self.source,
            callers: self.callers + 1,
        };
        module.call_site_value(pc, expression, &mut seen)
    }
}

impl Seen<'_> {
    fn caller(&self, address: FrameAddress, registers: Registers, cfa: Option<Address>) -> Frame {
        let at = self.modules.at(address.lookup());
        let function = at.and_then(|(_, module)| module.function_at(address.lookup()));
        Frame {
            level: 0,
            address,
            cfa,
            registers,
            module: at.map(|(id, _)| id),
            physical: function.as_ref().map(|function| function.id),
            scope: function.as_ref().map(|function| function.id),
            function,
            symbol: None,
            names_at: None,
            file: None,
            line: 0,
            column: 0,
            is_inlined: false,
            is_signal: false,
        }
    }
}

impl Reader<'_> {
    /// The selected frame as location expressions see it.
    pub(super) fn seen(&mut self) -> Seen<'_> {
        Seen {
            modules: self.modules,
            frame: self.frame,
            source: self.source,
            callers: 0,
        }
    }

    /// A variable's value, not read where it is in memory.
    ///
    /// One that was optimised out is a value all of whose bytes are lost; it
    /// is an error only where it is used.
    pub fn variable(&mut self, id: ModuleId, variable: &Variable) -> Result<Value, Error> {
        let module = self.modules.get(id).ok_or_else(Error::unloaded)?.clone();
        let ty = self.with_counts(Type::described(id, variable.type_id))?;
        let location = module.locate(variable, &mut self.seen());
        let is_in_memory = matches!(&location, Ok(found) if found.address().is_some());
        if variable.kind != VariableKind::Global && !is_in_memory {
            // It may be a constant here and in a register a little further on.
            self.source.note_frame();
            self.source.note_register();
        }
        match location {
            Ok(location) => self.at_location(id, ty, location),
            Err(LocationError::OptimizedOut) => self.lost(ty),
            Err(error) => Err(error.into()),
        }
    }

    /// An array with the lengths that it has where the program stands, where
    /// only that says.
    fn with_counts(&mut self, ty: Type) -> Result<Type, Error> {
        let stripped = ty.stripped(self.modules)?;
        let (Type::Described(module, array), Some(description)) =
            (&stripped, stripped.description(self.modules)?)
        else {
            return Ok(ty);
        };
        let TypeKind::Array {
            element, counts, ..
        } = &description.kind
        else {
            return Ok(ty);
        };
        if !counts.contains(&None) {
            return Ok(ty);
        }
        let owner = self
            .modules
            .get(*module)
            .ok_or_else(Error::unloaded)?
            .clone();
        let counts = owner.array_counts(*array, &mut self.seen());
        let mut whole = Type::Described(*module, *element);
        for count in counts.into_iter().rev() {
            whole = Type::Array(whole.into(), count);
        }
        Ok(whole)
    }

    fn lost(&mut self, ty: Type) -> Result<Value, Error> {
        let size = self.size(&ty)?;
        let content = Some(Content::lost(size));
        Ok(Value {
            ty,
            place: Place::Nowhere,
            bits: None,
            content,
        })
    }

    /// A value at a location.
    fn at_location(
        &mut self,
        module: ModuleId,
        ty: Type,
        location: Location,
    ) -> Result<Value, Error> {
        if let Some(address) = location.address() {
            return Ok(Value::in_memory(ty, address));
        }
        let size = self.size(&ty)?;
        if let (
            [
                Piece {
                    size_bits: None,
                    offset_bits: 0,
                    at: Storage::Register(register),
                },
            ],
            Some(frame),
        ) = (&location.pieces[..], self.frame)
        {
            let place = Place::Register {
                frame: Arc::new(frame.clone()),
                register: *register,
                offset: 0,
            };
            self.source.note_register();
            let bytes = self.seen().register(*register);
            let content = bytes.map_or(Content::lost(size), |b| Content::new(b).part(0, size));
            return Ok(Value {
                ty,
                place,
                bits: None,
                content: Some(content),
            });
        }
        let content = Some(self.gather(module, size, &location)?);
        Ok(Value {
            ty,
            place: Place::Nowhere,
            bits: None,
            content,
        })
    }

    /// Puts a value's pieces together.
    fn gather(
        &mut self,
        module: ModuleId,
        size: usize,
        location: &Location,
    ) -> Result<Content, Error> {
        let mut bytes = vec![0; size];
        let mut known = vec![false; size];
        let mut synthetic = Vec::new();
        let mut bit = 0usize;
        for piece in &location.pieces {
            let rest = size.saturating_mul(8).saturating_sub(bit);
            let bits = piece
                .size_bits
                .map_or(rest, |bits| (bits as usize).min(rest));
            let wanted = (piece.offset_bits as usize % 8 + bits).div_ceil(8);
            let first = piece.offset_bits / 8;
            let found = self.stored(module, &piece.at, first, wanted)?;
            if let Some(found) = found {
                copy_bits(
                    &found,
                    piece.offset_bits as usize % 8,
                    &mut bytes,
                    bit,
                    bits,
                );
                for byte in &mut known[bit / 8..(bit + bits).div_ceil(8).min(size)] {
                    *byte = true;
                }
            } else if let Storage::ImplicitPointer { variable, offset } = piece.at {
                synthetic.push(Synthetic {
                    start: bit / 8,
                    module,
                    variable,
                    offset,
                });
            }
            bit += bits;
        }
        let is_whole = known.iter().all(|&known| known);
        Ok(Content {
            bytes: bytes.into(),
            known: (!is_whole).then(|| known.into()),
            synthetic: (!synthetic.is_empty()).then(|| synthetic.into()),
        })
    }

    /// The bytes of a storage place; `None` where they are lost.
    fn stored(
        &mut self,
        module: ModuleId,
        at: &Storage,
        first: u64,
        len: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let cut = |bytes: &[u8]| {
            let mut cut = bytes.get(first as usize..).unwrap_or_default().to_vec();
            cut.resize(len, 0);
            cut
        };
        Ok(match at {
            Storage::Memory(address) => {
                let mut bytes = vec![0; len];
                self.source.read(address.add(first), &mut bytes)?;
                Some(bytes)
            }
            Storage::Register(register) => {
                self.source.note_register();
                self.seen().register(*register).map(|b| cut(&b))
            }
            Storage::Value(value) => Some(cut(&value.to_le_bytes())),
            Storage::Bytes(bytes) => Some(cut(bytes)),
            // The variable that it points to may itself still be in memory.
            Storage::ImplicitPointer { variable, offset } => {
                let module = self
                    .modules
                    .get(module)
                    .ok_or_else(Error::unloaded)?
                    .clone();
                let located = module.locate_entry(*variable, &mut self.seen());
                let address = located.ok().and_then(|location| location.address());
                address.map(|address| cut(&address.offset(*offset).0.to_le_bytes()))
            }
            Storage::Nowhere => None,
        })
    }

    /// What a pointer without a value points to, `by` bytes on, as a value of
    /// that type; `None` where the pointer has a value.
    pub fn synthetic_target(
        &mut self,
        pointer: &Value,
        to: &Type,
        by: i64,
    ) -> Result<Option<Value>, Error> {
        let Some(found) = self.content(pointer)?.synthetic_pointer() else {
            return Ok(None);
        };
        let module = self.modules.get(found.module);
        let module = module.ok_or_else(Error::unloaded)?.clone();
        let ty = Type::described(found.module, module.type_of_entry(found.variable));
        let whole = match module.locate_entry(found.variable, &mut self.seen()) {
            Ok(location) => self.at_location(found.module, ty, location)?,
            Err(LocationError::OptimizedOut) => self.lost(ty)?,
            Err(error) => return Err(error.into()),
        };
        let size = self.size(to)?;
        let at = found.offset.wrapping_add(by);
        let content = match usize::try_from(at) {
            Ok(start) => self.content(&whole)?.part(start, size),
            Err(_) => Content::lost(size),
        };
        let place = match whole.address() {
            Some(address) => Place::Memory(address.offset(at)),
            None => Place::Nowhere,
        };
        Ok(Some(Value {
            ty: to.clone(),
            place,
            bits: None,
            content: Some(content),
        }))
    }

    /// The size of a type that is to be read.
    pub fn size(&self, ty: &Type) -> Result<usize, Error> {
        // An array without a length has room for nothing by itself.
        if let Shape::Array { count: None, .. } = ty.shape(self.modules)? {
            return Ok(0);
        }
        let size = ty.size(self.modules)?.ok_or_else(|| {
            Error::new(format_args!(
                "incomplete type \"{}\"",
                ty.name(self.modules)
            ))
        })?;
        if size > MAX_VALUE_SIZE {
            return Err(Error::new(format_args!(
                "value requires {size} bytes, which is more than {MAX_VALUE_SIZE}"
            )));
        }
        Ok(size as usize)
    }

    /// The value's bytes, read on first use.
    pub fn content(&mut self, value: &Value) -> Result<Content, Error> {
        if let Some(content) = &value.content {
            return Ok(content.clone());
        }
        let Place::Memory(address) = value.place else {
            return Err(Error::new("value has been optimized out"));
        };
        let (len, skip) = match value.bits {
            Some(Bits { offset, size }) => {
                let len = (offset % 8 + size).div_ceil(8) as usize;
                (len, offset / 8)
            }
            None => (self.size(&value.ty)?, 0),
        };
        let mut bytes = vec![0; len];
        self.source.read(address.add(skip), &mut bytes)?;
        let content = Content::new(bytes);
        match value.bits {
            Some(bits) => {
                let bits = Bits {
                    offset: bits.offset % 8,
                    size: bits.size,
                };
                let size = self.size(&value.ty)?;
                self.extract(&content, &value.ty, bits, size)
            }
            None => Ok(content),
        }
    }

    /// The value with its bytes read.
    pub fn fetched(&mut self, value: &Value) -> Result<Value, Error> {
        let content = self.content(value)?;
        Ok(Value {
            content: Some(content),
            ..value.clone()
        })
    }

    /// The value's bytes, an error where any of them is lost.
    pub fn bytes(&mut self, value: &Value) -> Result<Arc<[u8]>, Error> {
        let content = self.content(value)?;
        if content.is_lost(0..content.bytes.len()) {
            return Err(LocationError::OptimizedOut.into());
        }
        Ok(content.bytes)
    }

    /// A bit-field's value, widened to its type.
    pub(super) fn extract(
        &self,
        from: &Content,
        ty: &Type,
        bits: Bits,
        size: usize,
    ) -> Result<Content, Error> {
        let end = (bits.offset + bits.size).div_ceil(8) as usize;
        if end > from.bytes.len() || from.is_lost(bits.offset as usize / 8..end) {
            return Ok(Content::lost(size));
        }
        let mut bytes = vec![0; size];
        let count = (bits.size as usize).min(size * 8);
        copy_bits(&from.bytes, bits.offset as usize, &mut bytes, 0, count);
        let is_negative = count > 0 && bytes[(count - 1) / 8] >> ((count - 1) % 8) & 1 == 1;
        if is_negative && super::print::is_signed(ty, self.modules)? {
            for bit in count..size * 8 {
                bytes[bit / 8] |= 1 << (bit % 8);
            }
        }
        Ok(Content::new(bytes))
    }
}

/// Copies bits, lowest first.
pub(crate) fn copy_bits(from: &[u8], from_bit: usize, to: &mut [u8], to_bit: usize, count: usize) {
    for bit in 0..count {
        let (source, target) = (from_bit + bit, to_bit + bit);
        let Some(byte) = from.get(source / 8) else {
            return;
        };
        let Some(slot) = to.get_mut(target / 8) else {
            return;
        };
        let value = byte >> (source % 8) & 1;
        *slot = *slot & !(1 << (target % 8)) | value << (target % 8);
    }
}
