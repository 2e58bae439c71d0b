//! The stack of a stopped thread, frame by frame.
//!
//! [`Frames`] is a lazy walk: `up` and `finish` look at two frames and pay for
//! two. A physical frame in which calls were inlined gives one [`Frame`] for
//! each function that the source has there, innermost first. What a pc means
//! (its functions, its lines) is kept for the walk, so that deep recursion
//! costs a look-up and an unwind step a frame.
//!
//! It reads the program through [`Memory`] and knows nothing of targets.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sapwood_dwarf::{
    Address, EntryId, FrameAddress, Function, Memory, MemoryError, ModuleId, Modules, Registers,
    SourceFrame, UnwindError, Unwinder,
};

use crate::value::demangled;

/// One frame as the source has it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How far out it is, 0 for the innermost.
    pub level: usize,
    /// Where it stands.
    pub address: FrameAddress,
    /// Its canonical frame address, which tells two activations of one
    /// function apart. The same for all that was inlined into one frame.
    pub cfa: Option<Address>,
    /// The registers as far as they are known in this frame.
    pub registers: Registers,
    /// The module that its code belongs to.
    pub module: Option<ModuleId>,
    /// Its function, where debug information describes it.
    pub function: Option<Arc<Function>>,
    /// The nearest ELF symbol and how far past it the pc is, where no debug
    /// information describes the function.
    pub symbol: Option<(Arc<str>, u64)>,
    /// The scope that its variables are in.
    pub scope: Option<EntryId>,
    /// The function that has the code: the same as the scope but for an
    /// inlined frame.
    pub physical: Option<EntryId>,
    /// The names that it sees are those of this place in the function, not of its
    /// own: what an expression means does not change while it is watched.
    pub names_at: Option<Address>,
    /// The source file: of the pc, or of the call for an outer frame of an
    /// inlined one.
    pub file: Option<Arc<Path>>,
    /// The line, 0 where nobody says.
    pub line: u32,
    /// The column, 0 where nobody says.
    pub column: u32,
    /// Whether it was inlined into the next frame.
    pub is_inlined: bool,
    /// Whether it is the trampoline that a signal handler returns to.
    pub is_signal: bool,
}

impl Frame {
    /// The pc, as it is shown.
    pub fn pc(&self) -> Address {
        self.address.pc()
    }

    /// What the frame's function is called, with debug information or without.
    pub fn function_name(&self) -> Option<&str> {
        match &self.function {
            Some(function) => Some(&function.name),
            None => self.symbol.as_ref().map(|(name, _)| &**name),
        }
    }

    /// Whether two frames, perhaps of different stops, are one activation.
    pub fn is_same_activation(&self, other: &Frame) -> bool {
        self.cfa.is_some() && self.cfa == other.cfa && self.scope == other.scope
    }
}

/// What a pc means: shared by every frame that stands there.
struct Meaning {
    /// The functions there, innermost first.
    sources: Vec<SourceFrame>,
    /// The symbol there, where there is no function.
    symbol: Option<(Arc<str>, u64)>,
}

/// A walk outwards along a thread's stack.
pub struct Frames<'a> {
    modules: &'a Modules,
    unwinder: &'a mut Unwinder,
    memory: PageCache<'a>,
    meanings: FxHashMap<(ModuleId, Address), Arc<Meaning>>,
    /// The next physical frame.
    next: Option<(FrameAddress, Registers)>,
    /// The frames of the physical frame that is being given, outermost first.
    pending: Vec<Frame>,
    level: usize,
    limit: usize,
    /// The entry point of the function of the frame before.
    called: Option<Address>,
    /// The tail calls between a return address and what was called, once known.
    tail_calls: FxHashMap<(Address, Address), Arc<[Address]>>,
    error: Option<UnwindError>,
}

/// More frames than this is a stack gone wrong.
const MAX_FRAMES: usize = 1 << 24;

impl<'a> Frames<'a> {
    /// Begins at the innermost frame, which has those registers.
    pub fn new(
        modules: &'a Modules,
        unwinder: &'a mut Unwinder,
        registers: &Registers,
        memory: &'a mut dyn Memory,
    ) -> Frames<'a> {
        let start = registers
            .pc()
            .map(|pc| (FrameAddress::InstructionPointer(pc), registers.clone()));
        Frames {
            modules,
            unwinder,
            memory: PageCache::new(memory),
            meanings: FxHashMap::default(),
            next: start,
            pending: Vec::new(),
            level: 0,
            limit: MAX_FRAMES,
            called: None,
            tail_calls: FxHashMap::default(),
            error: None,
        }
    }

    /// Why the walk ended early, if it did.
    pub fn error(&self) -> Option<&UnwindError> {
        self.error.as_ref()
    }

    /// Unwinds one physical frame and lays out the frames of its source.
    fn advance(&mut self) -> Option<()> {
        let (address, registers) = self.next.take()?;
        if self.level >= self.limit {
            return None;
        }
        let step = self
            .unwinder
            .step(self.modules, address, &registers, &mut self.memory);
        let (cfa, is_signal) = match step {
            Ok(unwound) => {
                self.next = unwound.caller;
                (unwound.cfa, unwound.is_signal)
            }
            Err(error) => {
                self.error = Some(error);
                (None, false)
            }
        };
        // A signal handler returns to the trampoline's first byte, before
        // which something else lies.
        let address = match is_signal {
            true => FrameAddress::InstructionPointer(address.pc()),
            false => address,
        };
        let module = self.modules.at(address.lookup()).map(|(id, _)| id);
        let meaning = self.meaning(address);
        let template = Frame {
            level: 0,
            address,
            cfa,
            registers,
            module,
            function: None,
            symbol: meaning.symbol.clone(),
            scope: None,
            physical: meaning.sources.last().map(|source| source.entry),
            names_at: None,
            file: None,
            line: 0,
            column: 0,
            is_inlined: false,
            is_signal,
        };
        let function = meaning.sources.last().map(|source| &source.function);
        let called = std::mem::replace(&mut self.called, function.and_then(|f| f.entry));
        if let (Some(called), FrameAddress::ReturnAddress(returns)) = (called, address) {
            self.lay_out_tail_calls(&template, returns, called);
        }
        self.lay_out(template, &meaning.sources);
        self.pending.reverse();
        Some(())
    }

    /// The frames of functions that ended in a call: between `caller`, which
    /// called the first of them, and the frame of the function `called`. Of
    /// their registers nothing is left that the caller does not have.
    fn lay_out_tail_calls(&mut self, caller: &Frame, returns: Address, called: Address) {
        let Some((_, module)) = self.modules.at(caller.address.lookup()) else {
            return;
        };
        let known = self.tail_calls.entry((returns, called));
        let calls = known.or_insert_with(|| module.tail_calls(returns, called).into());
        for &pc in calls.clone().iter() {
            let address = FrameAddress::ReturnAddress(pc);
            let meaning = self.meaning(address);
            let mut registers = caller.registers.clone();
            registers.set_pc(pc);
            let template = Frame {
                address,
                cfa: None,
                registers,
                physical: meaning.sources.last().map(|source| source.entry),
                ..caller.clone()
            };
            self.lay_out(template, &meaning.sources);
        }
    }

    fn lay_out(&mut self, template: Frame, sources: &[SourceFrame]) {
        if sources.is_empty() {
            self.pending.push(Frame {
                level: self.level,
                ..template
            });
            self.level += 1;
            return;
        }
        for source in sources {
            self.pending.push(Frame {
                level: self.level,
                function: Some(source.function.clone()),
                scope: Some(source.entry),
                file: source.file.clone(),
                line: source.line,
                column: source.column,
                is_inlined: source.is_inlined,
                ..template.clone()
            });
            self.level += 1;
        }
    }

    fn meaning(&mut self, address: FrameAddress) -> Arc<Meaning> {
        let lookup = address.lookup();
        let Some((id, module)) = self.modules.at(lookup) else {
            return Arc::new(Meaning {
                sources: Vec::new(),
                symbol: None,
            });
        };
        let known = self.meanings.entry((id, lookup));
        let meaning = known.or_insert_with(|| {
            let mut sources = module.inlined_at(lookup);
            if let Some(innermost) = sources.first_mut()
                && innermost.line == 0
                && let Some((file, line)) = module.line_before(lookup)
            {
                innermost.file = Some(file);
                innermost.line = line;
            }
            let symbol = match sources.is_empty() {
                true => module.symbol_at(lookup).map(|(symbol, offset)| {
                    let past = address.pc().0.wrapping_sub(lookup.0);
                    (demangled(symbol.name).into(), offset + past)
                }),
                false => None,
            };
            Arc::new(Meaning { sources, symbol })
        });
        meaning.clone()
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.pending.is_empty() {
            self.advance()?;
        }
        self.pending.pop()
    }
}

/// A page of the program's memory that was read whole, for the reads that
/// follow in it. Lives no longer than the program stands still.
pub struct PageCache<'a> {
    memory: &'a mut dyn Memory,
    page: Box<[u8; PAGE]>,
    /// Where the page begins, while it holds one.
    start: Option<Address>,
}

const PAGE: usize = 4096;

impl<'a> PageCache<'a> {
    /// An empty cache over memory.
    pub fn new(memory: &'a mut dyn Memory) -> PageCache<'a> {
        PageCache {
            memory,
            page: Box::new([0; PAGE]),
            start: None,
        }
    }
}

impl Memory for PageCache<'_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        let page = Address(at.0 & !(PAGE as u64 - 1));
        let offset = (at.0 - page.0) as usize;
        if offset + into.len() > PAGE {
            return self.memory.read(at, into);
        }
        if self.start != Some(page) {
            self.start = None;
            if self.memory.read(page, &mut self.page[..]).is_err() {
                return self.memory.read(at, into);
            }
            self.start = Some(page);
        }
        into.copy_from_slice(&self.page[offset..offset + into.len()]);
        Ok(())
    }
}
