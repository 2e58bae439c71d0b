//! How the System V AMD64 ABI passes arguments and gives results (psABI 1.0,
//! section 3.2.3).

use sapwood_dwarf::{Address, Encoding, MemberOffset, Modules, TypeKind};

use super::{Error, Shape, Type};

/// A call, laid out for the machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// The function.
    pub function: Address,
    /// For `rdi, rsi, rdx, rcx, r8, r9`, as many as are used.
    pub integers: Vec<u64>,
    /// For `xmm0` to `xmm7`, as many as are used; the low 64 bits of each.
    pub vectors: Vec<u64>,
    /// What lies on the stack above the return address, 16-byte aligned.
    pub stack: Vec<u8>,
    /// The size of a result that the caller makes room for, its address in
    /// `rdi` before all other arguments; `None` where none is needed.
    pub result_in_memory: Option<u64>,
}

/// The registers with which a function returned.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Returned {
    /// `rax`: the result, or the address of one in memory.
    pub rax: u64,
    /// `rdx`.
    pub rdx: u64,
    /// `xmm0` and `xmm1`.
    pub xmm: [[u8; 16]; 2],
    /// `st(0)`.
    pub st0: [u8; 10],
}

/// How eight bytes of a value travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Nothing is there.
    None,
    /// In a general register.
    Integer,
    /// In a vector register.
    Vector,
    /// On the x87 stack (as a result) or in memory (as an argument).
    X87,
    /// In memory.
    Memory,
}

impl Class {
    /// The class of eight bytes that two members share.
    fn merge(self, other: Class) -> Class {
        match (self, other) {
            (one, other) if one == other => one,
            (Class::None, other) => other,
            (one, Class::None) => one,
            (Class::Memory, _) | (_, Class::Memory) => Class::Memory,
            (Class::Integer, _) | (_, Class::Integer) => Class::Integer,
            (Class::X87, _) | (_, Class::X87) => Class::Memory,
            _ => Class::Vector,
        }
    }
}

/// The classes of a type's eightbytes; one `Memory` for what does not travel
/// in registers.
fn classify(ty: &Type, modules: &Modules) -> Result<Vec<Class>, Error> {
    let size = ty.size(modules)?.unwrap_or(0);
    if size == 0 {
        return Ok(Vec::new());
    }
    if has_destructor(ty, modules, 0)? {
        return Ok(vec![Class::Memory]);
    }
    let is_x87 = matches!(
        ty.shape(modules)?,
        Shape::Number {
            encoding: Encoding::Float,
            size: 16
        }
    );
    if is_x87 {
        return Ok(vec![Class::X87, Class::X87]);
    }
    if size > 16 {
        return Ok(vec![Class::Memory]);
    }
    let mut classes = vec![Class::None; size.div_ceil(8) as usize];
    spread(ty, 0, modules, &mut classes, 0)?;
    if classes.contains(&Class::Memory) {
        return Ok(vec![Class::Memory]);
    }
    Ok(classes)
}

/// Whether a class ends its objects with code of its own, and so has them live in
/// memory always (Itanium C++ ABI, 3.1.1 and 3.1.2).
fn has_destructor(ty: &Type, modules: &Modules, depth: u32) -> Result<bool, Error> {
    const MAX_DEPTH: u32 = 16;
    let Shape::Composite(module, description) = ty.shape(modules)? else {
        return Ok(false);
    };
    let TypeKind::Composite(composite) = &description.kind else {
        return Ok(false);
    };
    let mut methods = composite.methods.iter();
    if methods.any(|method| method.name.starts_with('~') && !method.is_artificial) {
        return Ok(true);
    }
    if depth >= MAX_DEPTH {
        return Ok(false);
    }
    for member in &composite.members {
        let ty = Type::Described(module, member.type_id);
        if has_destructor(&ty, modules, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn spread(
    ty: &Type,
    offset: u64,
    modules: &Modules,
    classes: &mut [Class],
    depth: u32,
) -> Result<(), Error> {
    const MAX_DEPTH: u32 = 16;
    if depth > MAX_DEPTH {
        return Err(Error::new("a struct is nested too deep to be passed"));
    }
    let size = ty.size(modules)?.unwrap_or(0);
    let mark = |classes: &mut [Class], class: Class| {
        for slot in offset / 8..(offset + size.max(1)).div_ceil(8) {
            if let Some(slot) = classes.get_mut(slot as usize) {
                *slot = slot.merge(class);
            }
        }
    };
    match ty.shape(modules)? {
        Shape::Void | Shape::Function { .. } => {}
        Shape::Number {
            encoding: Encoding::Float | Encoding::ComplexFloat,
            size,
        } => {
            mark(
                classes,
                if size == 16 {
                    Class::Memory
                } else {
                    Class::Vector
                },
            );
        }
        Shape::Number { .. }
        | Shape::Pointer(_)
        | Shape::Reference(..)
        | Shape::MemberPointer(_)
        | Shape::Enumeration(..) => mark(classes, Class::Integer),
        Shape::Array { element, count } => {
            let step = element.size(modules)?.unwrap_or(0);
            for index in 0..count.unwrap_or(0).min(16) {
                spread(&element, offset + index * step, modules, classes, depth + 1)?;
            }
        }
        Shape::Composite(module, description) => {
            let TypeKind::Composite(composite) = &description.kind else {
                return Ok(());
            };
            for member in &composite.members {
                let at = match member.offset {
                    MemberOffset::Bytes(bytes) => bytes,
                    MemberOffset::Bits(bits) => bits / 8,
                    MemberOffset::Computed(_) => {
                        mark(classes, Class::Memory);
                        return Ok(());
                    }
                };
                let ty = Type::Described(module, member.type_id);
                if member.bit_size.is_some() {
                    if let Some(slot) = classes.get_mut(((offset + at) / 8) as usize) {
                        *slot = slot.merge(Class::Integer);
                    }
                    continue;
                }
                spread(&ty, offset + at, modules, classes, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// Lays out a call whose arguments already have the types that the function
/// takes them by.
pub fn lay_out(
    function: Address,
    arguments: &[(Type, std::sync::Arc<[u8]>)],
    returns: &Type,
    modules: &Modules,
) -> Result<Call, Error> {
    const INTEGERS: usize = 6;
    const VECTORS: usize = 8;
    let result_in_memory = match classify(returns, modules)?.first() {
        Some(Class::Memory) => returns.size(modules)?,
        _ => None,
    };
    let mut call = Call {
        function,
        integers: Vec::new(),
        vectors: Vec::new(),
        stack: Vec::new(),
        result_in_memory,
    };
    let reserved = usize::from(result_in_memory.is_some());
    for (ty, bytes) in arguments {
        if has_destructor(ty, modules, 0)? {
            let name = ty.name(modules);
            return Err(Error::new(format_args!(
                "a {name} cannot be passed by value: it would have to be copied by its own code."
            )));
        }
        let classes = classify(ty, modules)?;
        let count = |class| classes.iter().filter(|&&one| one == class).count();
        let fits = call.integers.len() + reserved + count(Class::Integer) <= INTEGERS
            && call.vectors.len() + count(Class::Vector) <= VECTORS;
        let in_registers = classes
            .iter()
            .all(|class| matches!(class, Class::Integer | Class::Vector | Class::None));
        if in_registers && fits {
            for (class, eight) in classes.iter().zip(bytes.chunks(8)) {
                let mut wide = [0; 8];
                wide[..eight.len()].copy_from_slice(eight);
                match class {
                    Class::Vector => call.vectors.push(u64::from_le_bytes(wide)),
                    _ => call.integers.push(u64::from_le_bytes(wide)),
                }
            }
        } else {
            if classes.contains(&Class::X87) {
                call.stack.resize(call.stack.len().next_multiple_of(16), 0);
            }
            call.stack.extend_from_slice(bytes);
            call.stack.resize(call.stack.len().next_multiple_of(8), 0);
        }
    }
    call.stack.resize(call.stack.len().next_multiple_of(16), 0);
    Ok(call)
}

/// Where a function left its result.
#[derive(Clone, PartialEq, Debug)]
pub enum ResultPlace {
    /// In memory, at the address in `rax`.
    Memory(Address),
    /// In registers: these are its bytes.
    Bytes(Vec<u8>),
}

/// Finds a result of that type.
pub fn result(returned: &Returned, ty: &Type, modules: &Modules) -> Result<ResultPlace, Error> {
    let size = ty.size(modules)?.unwrap_or(0) as usize;
    if matches!(ty.shape(modules)?, Shape::Void) {
        return Ok(ResultPlace::Bytes(Vec::new()));
    }
    let mut bytes = Vec::new();
    let (mut integers, mut vectors) = ([returned.rax, returned.rdx].into_iter(), 0);
    for class in classify(ty, modules)? {
        match class {
            Class::Memory => return Ok(ResultPlace::Memory(Address(returned.rax))),
            Class::X87 => {
                bytes = returned.st0.to_vec();
                break;
            }
            Class::Vector => {
                bytes.extend_from_slice(&returned.xmm[vectors.min(1)][..8]);
                vectors += 1;
            }
            Class::Integer | Class::None => {
                bytes.extend_from_slice(&integers.next().unwrap_or(0).to_le_bytes());
            }
        }
    }
    bytes.resize(size, 0);
    Ok(ResultPlace::Bytes(bytes))
}
