//! Hits that are no news: judged while one thread stands still and the others
//! run.
//!
//! A breakpoint's condition is parsed once, and what its place means (function,
//! scope, module) is looked up once; a hit then costs a look at the registers
//! and one page of the stack. Whatever is not decided in that way (a call in the
//! condition, an error in it, a reason of another kind) is decided with every
//! thread stopped, by [`run`](super::run), and so are all hits that stop.

use std::collections::HashMap;
use std::sync::Arc;

use sapwood_dwarf::{FrameAddress, Memory, MemoryError, Register};

use super::Debugger;
use super::frames::{TargetMemory, dwarf_registers};
use crate::breakpoint::{BreakpointId, Reason};
use crate::expr::{self, Evaluator, Expr};
use crate::registers::{Registers, x86};
use crate::stack::{Frame, PageCache};
use crate::step::Goal;
use crate::target::{Address, Target, ThreadId};
use crate::value::{self, Reader, Source};

/// Conditions that were parsed, and the places where they were judged.
#[derive(Default)]
pub(super) struct Conditions {
    /// How many modules there were: names may mean something else since.
    modules: usize,
    /// By text and place.
    known: HashMap<(BreakpointId, Address), Known>,
}

/// A condition at one place.
struct Known {
    text: String,
    /// `None` when it has to be judged with everything stopped.
    parsed: Option<Arc<Parsed>>,
}

struct Parsed {
    expression: Expr,
    /// The frame of a thread that stands there, but for its registers.
    frame: Frame,
}

impl Conditions {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}

/// A stopped thread that may only be looked at.
struct Look<'a> {
    memory: PageCache<'a>,
    thread_pointer: Address,
}

impl Memory for Look<'_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        self.memory.read(at, into)
    }
}

impl Source for Look<'_> {
    fn write(&mut self, _: Address, _: &[u8]) -> Result<(), value::Error> {
        Err(value::Error::new("a condition that writes"))
    }

    fn write_register(&mut self, _: &Frame, _: Register, _: &[u8]) -> Result<(), value::Error> {
        Err(value::Error::new("a condition that writes"))
    }

    fn thread_pointer(&mut self) -> Option<Address> {
        Some(self.thread_pointer)
    }
}

/// Whether evaluating changes nothing, of the program or of the debugger.
fn only_looks(expression: &Expr) -> bool {
    use expr::{Expr as E, Unary};
    match expression {
        E::Integer(..) | E::Float(..) | E::Character(..) | E::Name(_) | E::Static(..) => true,
        E::Dollar(_) => true,
        E::Member(a, _) | E::Arrow(a, _) | E::Cast(_, a) | E::SizeOf(a) => only_looks(a),
        E::Index(a, b) | E::Binary(_, a, b) => only_looks(a) && only_looks(b),
        E::Conditional(a, b, c) => only_looks(a) && only_looks(b) && only_looks(c),
        E::Unary(Unary::PreStep(_) | Unary::PostStep(_), _) => false,
        E::Unary(_, a) => only_looks(a),
        E::SizeOfType(_) => true,
        _ => false,
    }
}

impl Debugger {
    /// Whether a hit of a site by `here` is no news to anybody, while `thread`
    /// is being moved towards `goals`. If so its hits are counted.
    pub(super) fn is_passed_over(
        &mut self,
        thread: ThreadId,
        here: ThreadId,
        at: Address,
        goals: &[Goal],
    ) -> bool {
        let mut ignored = Vec::new();
        for index in 0..self.sites.at(at).len() {
            let passed = match self.sites.at(at)[index] {
                Reason::Step => !self.reaches(thread, here, at, goals),
                Reason::User(_) | Reason::Hardware(_) if self.quiet => true,
                Reason::User(id) | Reason::Hardware(id) => {
                    self.is_no_stop(id, here, at, &mut ignored)
                }
                _ => false,
            };
            if !passed {
                return false;
            }
        }
        for id in ignored {
            if let Some(breakpoint) = self.breakpoints.get_mut(id) {
                breakpoint.hits += 1;
                breakpoint.ignore -= 1;
            }
        }
        true
    }

    fn reaches(&mut self, thread: ThreadId, here: ThreadId, at: Address, goals: &[Goal]) -> bool {
        if here != thread {
            return false;
        }
        let registers = self.live().ok().and_then(|t| t.registers(here).ok());
        registers.is_none_or(|r| goals.iter().any(|goal| goal.is_reached(at, r.sp())))
    }

    /// Whether a breakpoint's hit is certainly no stop. One that merely is
    /// ignored is added to `ignored`.
    fn is_no_stop(
        &mut self,
        id: BreakpointId,
        here: ThreadId,
        at: Address,
        ignored: &mut Vec<BreakpointId>,
    ) -> bool {
        let number = self.threads.number(here);
        let Some(breakpoint) = self.breakpoints.get(id) else {
            return true;
        };
        if breakpoint.thread.is_some_and(|only| only != number) {
            return true;
        }
        let ignore = breakpoint.ignore > 0;
        if breakpoint.condition.is_some() {
            match self.judge_quickly(id, here, at) {
                Some(true) => {}
                Some(false) => return true,
                None => return false,
            }
        }
        if ignore {
            ignored.push(id);
        }
        ignore
    }

    /// Whether a condition holds, where that can be said with a look.
    fn judge_quickly(&mut self, id: BreakpointId, here: ThreadId, at: Address) -> Option<bool> {
        if self.conditions.modules != self.modules.added() {
            self.conditions.clear();
            self.conditions.modules = self.modules.added();
        }
        let text = self.breakpoints.get(id)?.condition.as_deref()?;
        let known = self.conditions.known.get(&(id, at));
        let parsed = match known.filter(|known| known.text == text) {
            Some(known) => known.parsed.clone()?,
            None => {
                let text = text.to_owned();
                let parsed = self.prepare(here, at, &text).map(Arc::new);
                let known = Known {
                    text,
                    parsed: parsed.clone(),
                };
                self.conditions.known.insert((id, at), known);
                parsed?
            }
        };
        let registers = self.live().ok()?.registers(here).ok()?;
        self.look(&parsed, &registers)
    }

    /// Parses a condition for a place where a thread stands now.
    fn prepare(&mut self, here: ThreadId, at: Address, text: &str) -> Option<Parsed> {
        // The walk is of the innermost frame alone, which needs no other thread
        // stopped; what was selected stays so.
        let before = (self.selected, self.level, self.hidden);
        let stack = self.stack.take();
        self.selected = Some(here);
        self.hide_calls(here, at);
        let frame = self.frame_at(0).ok().filter(|frame| frame.pc() == at);
        (self.selected, self.level, self.hidden) = before;
        self.stack = stack;
        let frame = frame?;
        let modules = Arc::clone(&self.modules);
        let registers = self.live().ok()?.registers(here).ok()?;
        let mut memory = TargetMemory(self.target.as_deref_mut()?);
        let mut look = Look {
            memory: PageCache::new(&mut memory),
            thread_pointer: Address(registers.get(x86::FS_BASE)),
        };
        let reader = Reader {
            modules: &modules,
            frame: Some(&frame),
            source: &mut look,
        };
        let expression = expr::parse(text, &reader).ok().filter(only_looks)?;
        Some(Parsed { expression, frame })
    }

    /// Evaluates a parsed condition for a thread with those registers.
    fn look(&mut self, parsed: &Parsed, registers: &Registers) -> Option<bool> {
        let modules = Arc::clone(&self.modules);
        let target: &mut dyn Target = self.target.as_deref_mut()?;
        let mut memory = TargetMemory(target);
        let mut look = Look {
            memory: PageCache::new(&mut memory),
            thread_pointer: Address(registers.get(x86::FS_BASE)),
        };
        let mut frame = parsed.frame.clone();
        frame.registers = dwarf_registers(registers);
        let address = FrameAddress::InstructionPointer(registers.pc());
        let unwound = self
            .unwinder
            .step(&modules, address, &frame.registers, &mut look);
        frame.cfa = unwound.ok().and_then(|unwound| unwound.cfa);
        let mut evaluator = Evaluator {
            reader: Reader {
                modules: &modules,
                frame: Some(&frame),
                source: &mut look,
            },
            memo: &mut self.memo,
        };
        let value = evaluator.evaluate(&parsed.expression).ok()?;
        evaluator.is_true(&value).ok()
    }
}
