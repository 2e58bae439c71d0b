//! Runs DWARF expressions. What an expression asks of the frame it runs in, a
//! [`Machine`] answers.

use gimli::{Encoding, EvaluationResult, Expression, LittleEndian, Value};

use crate::info::Slice;
use crate::{Address, LocationError, Memory, Register};

/// The most operations that one expression may run: real ones run dozens.
const MAX_OPERATIONS: u32 = 10_000;

/// What an expression may ask of its frame, beyond memory.
///
/// Each answer but a register's is optional: call frame information asks for
/// nothing else.
pub(crate) trait Machine: Memory {
    /// A general register's value.
    fn register(&mut self, register: Register) -> Option<u64>;

    /// The frame base of the function.
    fn frame_base(&mut self) -> Result<u64, LocationError> {
        Err(LocationError::NoFrameBase)
    }

    /// The canonical frame address.
    fn cfa(&mut self) -> Option<u64> {
        None
    }

    /// The address of an offset in thread-local storage.
    fn thread_local(&mut self, offset: u64) -> Option<u64> {
        let _ = offset;
        None
    }

    /// The value on entry to the function.
    fn entry_value(&mut self, expression: &[u8]) -> Option<u64> {
        let _ = expression;
        None
    }

    /// The address that one of the file's own has in memory.
    fn relocate(&mut self, address: u64) -> u64 {
        address
    }

    /// The address (or number) of that index in `.debug_addr`.
    fn indexed(&mut self, index: usize) -> Option<u64> {
        let _ = index;
        None
    }

    /// The base type at that offset of the unit; 0 is the generic type.
    fn base_type(&mut self, offset: usize) -> Option<gimli::ValueType> {
        (offset == 0).then_some(gimli::ValueType::Generic)
    }

    /// The location expression of another entry, to be run in its place.
    fn at_location(&mut self, entry: gimli::DieReference<usize>) -> Option<Vec<u8>> {
        let _ = entry;
        None
    }

    /// The value that the caller passed for a parameter.
    fn parameter(&mut self, offset: usize) -> Option<u64> {
        let _ = offset;
        None
    }
}

/// One piece of an expression's result.
pub(crate) type Piece<'a> = gimli::Piece<Slice<'a>>;

/// Runs an expression to its pieces.
pub(crate) fn pieces<'a>(
    bytes: &'a [u8],
    encoding: Encoding,
    initial: Option<u64>,
    object: Option<u64>,
    machine: &mut dyn Machine,
) -> Result<Vec<Piece<'a>>, LocationError> {
    if initial.is_none()
        && encoding.address_size == 8
        && let Some(address) = plain_address(bytes, machine)?
    {
        return Ok(vec![gimli::Piece {
            size_in_bits: None,
            bit_offset: None,
            location: gimli::Location::Address { address },
        }]);
    }
    // A call to another entry's expression needs its bytes to live as long;
    // it is rare enough (`DW_OP_call*`) to be refused.
    let expression = Expression(Slice::new(bytes, LittleEndian));
    let mut evaluation = expression.evaluation(encoding);
    evaluation.set_max_iterations(MAX_OPERATIONS);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    if let Some(object) = object {
        evaluation.set_object_address(object);
    }
    let fault = |error: gimli::Error| LocationError::Malformed(crate::Error::new("DWARF", error));
    let mut state = evaluation.evaluate().map_err(fault)?;
    loop {
        state = match state {
            EvaluationResult::Complete => return Ok(evaluation.result()),
            EvaluationResult::RequiresMemory {
                address,
                size,
                base_type,
                ..
            } => {
                let number = machine.read_unsigned(Address(address), size.into())?;
                let value = typed(machine, base_type.0, number)?;
                evaluation.resume_with_memory(value)
            }
            EvaluationResult::RequiresRegister {
                register,
                base_type,
            } => {
                let register = Register(register.0);
                let number = machine
                    .register(register)
                    .ok_or(LocationError::NoRegister(register))?;
                let value = typed(machine, base_type.0, number)?;
                evaluation.resume_with_register(value)
            }
            EvaluationResult::RequiresFrameBase => {
                let base = machine.frame_base()?;
                evaluation.resume_with_frame_base(base)
            }
            EvaluationResult::RequiresTls(offset) => {
                let address = machine
                    .thread_local(offset)
                    .ok_or(LocationError::NoThreadLocal)?;
                evaluation.resume_with_tls(address)
            }
            EvaluationResult::RequiresCallFrameCfa => {
                let cfa = machine.cfa().ok_or(LocationError::NoFrameBase)?;
                evaluation.resume_with_call_frame_cfa(cfa)
            }
            EvaluationResult::RequiresEntryValue(expression) => {
                let value = machine.entry_value(expression.0.slice());
                evaluation.resume_with_entry_value(Value::Generic(
                    value.ok_or(LocationError::OptimizedOut)?,
                ))
            }
            EvaluationResult::RequiresParameterRef(offset) => {
                let value = machine
                    .parameter(offset.0)
                    .ok_or(LocationError::OptimizedOut)?;
                evaluation.resume_with_parameter_ref(value)
            }
            EvaluationResult::RequiresRelocatedAddress(address) => {
                let address = machine.relocate(address);
                evaluation.resume_with_relocated_address(address)
            }
            EvaluationResult::RequiresIndexedAddress { index, relocate } => {
                let address = machine
                    .indexed(index.0)
                    .ok_or(LocationError::OptimizedOut)?;
                let address = if relocate {
                    machine.relocate(address)
                } else {
                    address
                };
                evaluation.resume_with_indexed_address(address)
            }
            EvaluationResult::RequiresBaseType(offset) => {
                let base = machine
                    .base_type(offset.0)
                    .ok_or(LocationError::OptimizedOut)?;
                evaluation.resume_with_base_type(base)
            }
            EvaluationResult::RequiresAtLocation(entry) => {
                match machine.at_location(entry) {
                    // What the entry has is nothing: the call does nothing.
                    Some(bytes) if bytes.is_empty() => {
                        evaluation.resume_with_at_location(Slice::new(&[], LittleEndian))
                    }
                    _ => return Err(LocationError::OptimizedOut),
                }
            }
        }
        .map_err(fault)?;
    }
}

/// The address that an expression of one operation gives, of the kinds that nearly
/// all variables of unoptimised code and nearly all frame bases have: without the
/// engine for all others, which takes ten times as long to set up.
///
/// `DW_OP_fbreg` N (0x91): the frame base + N. `DW_OP_call_frame_cfa` (0x9c): the
/// canonical frame address.
fn plain_address(bytes: &[u8], machine: &mut dyn Machine) -> Result<Option<u64>, LocationError> {
    use gimli::Reader;
    use gimli::constants::{DW_OP_call_frame_cfa, DW_OP_fbreg};
    let mut rest = Slice::new(bytes, LittleEndian);
    let Ok(operation) = rest.read_u8() else {
        return Ok(None);
    };
    if operation == DW_OP_fbreg.0 {
        return match rest.read_sleb128() {
            Ok(offset) if rest.is_empty() => {
                let base = machine.frame_base()?;
                Ok(Some(base.wrapping_add(offset as u64)))
            }
            _ => Ok(None),
        };
    }
    if operation == DW_OP_call_frame_cfa.0 && rest.is_empty() {
        return machine.cfa().map(Some).ok_or(LocationError::NoFrameBase);
    }
    Ok(None)
}

/// A number as a value of a base type.
fn typed(machine: &mut dyn Machine, base_type: usize, number: u64) -> Result<Value, LocationError> {
    let base = machine
        .base_type(base_type)
        .ok_or(LocationError::OptimizedOut)?;
    Ok(match base {
        gimli::ValueType::Generic => Value::Generic(number),
        gimli::ValueType::I8 => Value::I8(number as i8),
        gimli::ValueType::U8 => Value::U8(number as u8),
        gimli::ValueType::I16 => Value::I16(number as i16),
        gimli::ValueType::U16 => Value::U16(number as u16),
        gimli::ValueType::I32 => Value::I32(number as i32),
        gimli::ValueType::U32 => Value::U32(number as u32),
        gimli::ValueType::I64 => Value::I64(number as i64),
        gimli::ValueType::U64 => Value::U64(number),
        gimli::ValueType::F32 => Value::F32(f32::from_bits(number as u32)),
        gimli::ValueType::F64 => Value::F64(f64::from_bits(number)),
    })
}

/// The bytes of a typed value.
pub(crate) fn bytes_of(value: Value) -> Vec<u8> {
    match value {
        Value::Generic(v) | Value::U64(v) => v.to_le_bytes().to_vec(),
        Value::I8(v) => v.to_le_bytes().to_vec(),
        Value::U8(v) => v.to_le_bytes().to_vec(),
        Value::I16(v) => v.to_le_bytes().to_vec(),
        Value::U16(v) => v.to_le_bytes().to_vec(),
        Value::I32(v) => v.to_le_bytes().to_vec(),
        Value::U32(v) => v.to_le_bytes().to_vec(),
        Value::I64(v) => v.to_le_bytes().to_vec(),
        Value::F32(v) => v.to_le_bytes().to_vec(),
        Value::F64(v) => v.to_le_bytes().to_vec(),
    }
}

/// Runs an expression that gives one number or address.
pub(crate) fn number(
    bytes: &[u8],
    encoding: Encoding,
    initial: Option<u64>,
    machine: &mut dyn Machine,
) -> Result<u64, LocationError> {
    let pieces = pieces(bytes, encoding, initial, None, machine)?;
    let [piece] = &pieces[..] else {
        return Err(LocationError::OptimizedOut);
    };
    match &piece.location {
        gimli::Location::Address { address } => Ok(*address),
        gimli::Location::Value { value } => {
            value.to_u64(!0).map_err(|_| LocationError::OptimizedOut)
        }
        gimli::Location::Register { register } => {
            let register = Register(register.0);
            machine
                .register(register)
                .ok_or(LocationError::NoRegister(register))
        }
        _ => Err(LocationError::OptimizedOut),
    }
}
