//! The selected thread's stack: walked as far as somebody asks, and kept until
//! something moves. Where a function that the debugger called returns to, the
//! walk goes on with the registers that the thread had before the call.

use sapwood_dwarf::{Arch, Function, Language, Memory, MemoryError, OtherRegisters, Register};

use super::{Debugger, Events};
use crate::error::{Error, Result};
use crate::event::{Event, FrameKind, FrameView};
use crate::registers::{Registers, VectorState, x86};
use crate::stack::{Frame, Frames};
use crate::target::{Address, Target, ThreadId};

/// A stack, as far as it was walked.
pub(super) struct Stack {
    /// Innermost first.
    pub frames: Vec<(Frame, FrameKind)>,
    /// There are no more.
    complete: bool,
    /// Why the walk ended early.
    pub error: Option<String>,
}

/// A target's memory, for code that knows no target.
pub(crate) struct TargetMemory<'a>(pub &'a mut dyn Target);

impl Memory for TargetMemory<'_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        let len = into.len();
        self.0.read(at, into).map_err(|_| MemoryError { at, len })
    }
}

/// The registers as DWARF numbers them.
pub(crate) fn dwarf_registers(registers: &Registers) -> sapwood_dwarf::Registers {
    let layout = registers.layout();
    let arch = match layout.architecture {
        "aarch64" => Arch::Aarch64,
        "riscv64" => Arch::Riscv64,
        _ => Arch::X86_64,
    };
    let mut known = sapwood_dwarf::Registers::new(arch);
    for (number, index) in layout.dwarf {
        known.set(Register(*number), registers.get(*index));
    }
    known.set_pc(registers.pc());
    known
}

/// The registers beyond the general ones, as DWARF numbers them (x86-64).
pub(crate) fn other_registers(
    registers: &Registers,
    vectors: Option<&VectorState>,
) -> OtherRegisters {
    let segment = |name: &str| {
        registers
            .index_of(name)
            .map_or(0, |i| registers.get(i) as u16)
    };
    OtherRegisters {
        fs_base: registers.get(x86::FS_BASE),
        gs_base: registers.get(x86::GS_BASE),
        eflags: registers.get(x86::EFLAGS) as u32,
        segments: ["cs", "ss", "ds", "es", "fs", "gs"].map(segment),
        vectors: vectors.map_or(Vec::new(), |v| (0..16).map_while(|n| v.ymm(n)).collect()),
        x87: vectors.map_or(Vec::new(), |v| (0..8).map_while(|n| v.st(n)).collect()),
        mxcsr: vectors.and_then(VectorState::mxcsr).unwrap_or(0),
    }
}

/// Whether it is where the program begins, as its author has it: of Rust's, the
/// one at the root of a crate.
fn is_main(function: &Function) -> bool {
    match function.language {
        Language::Rust => {
            let name = function.name.split_once("::");
            name.is_some_and(|(_, name)| name == "main")
        }
        _ => function.name == "main",
    }
}

impl Debugger {
    /// Walks the selected thread's stack until it has `wanted` frames or ends.
    pub(super) fn walk(&mut self, wanted: usize) -> Result<&Stack> {
        let enough = self
            .stack
            .as_ref()
            .is_some_and(|s| s.complete || s.frames.len() >= wanted);
        if !enough {
            let thread = self.thread()?;
            self.stack = Some(self.walk_thread(thread, wanted)?);
        }
        Ok(self.stack.as_ref().expect("it was just walked"))
    }

    fn walk_thread(&mut self, thread: ThreadId, wanted: usize) -> Result<Stack> {
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        let registers = target.registers(thread)?;
        let mut hidden = self.hidden_frames(thread, registers.pc());
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        let mut start = dwarf_registers(&registers);
        let mut stack = Stack {
            frames: Vec::new(),
            complete: false,
            error: None,
        };
        let mut calls = self.calls.iter().rev().filter(|c| c.thread == thread);
        let mut call = calls.next();
        'walk: loop {
            let mut memory = TargetMemory(target);
            let mut frames = Frames::new(&self.modules, &mut self.unwinder, &start, &mut memory);
            let base = stack.frames.len();
            for mut frame in frames.by_ref() {
                if hidden > 0 && frame.is_inlined {
                    hidden -= 1;
                    continue;
                }
                frame.level = stack.frames.len();
                if let Some(waiting) = call
                    && frame.pc() == waiting.returns_to
                    && frame.level > base
                {
                    stack.frames.push((frame, FrameKind::Call));
                    start = dwarf_registers(&waiting.saved.registers);
                    let other =
                        other_registers(&waiting.saved.registers, waiting.saved.vectors.as_ref());
                    start.set_other(Some(other.into()));
                    call = calls.next();
                    continue 'walk;
                }
                let kind = match (frame.is_signal, frame.is_inlined) {
                    (true, _) => FrameKind::Signal,
                    (_, true) => FrameKind::Inlined,
                    _ => FrameKind::Normal,
                };
                // What called the program's own beginning is nobody's business.
                let is_main =
                    frame.function.as_ref().is_some_and(|f| is_main(f)) && !frame.is_inlined;
                stack.frames.push((frame, kind));
                if is_main {
                    stack.complete = true;
                    return Ok(stack);
                }
                if stack.frames.len() >= wanted {
                    return Ok(stack);
                }
            }
            stack.error = frames.error().map(ToString::to_string);
            stack.complete = true;
            return Ok(stack);
        }
    }

    /// The frame of that level of the selected thread.
    pub(super) fn frame_at(&mut self, level: usize) -> Result<Frame> {
        let stack = self.walk(level + 1)?;
        match stack.frames.get(level) {
            Some((frame, _)) => Ok(frame.clone()),
            None => Err(Error::new("No stack.")),
        }
    }

    /// The selected frame.
    pub(super) fn current_frame(&mut self) -> Result<Frame> {
        self.frame_at(self.level)
    }

    /// The frame of that level as the user sees it.
    pub(super) fn frame_view(&mut self, level: usize) -> Result<FrameView> {
        let stack = self.walk(level + 1)?;
        let Some((frame, kind)) = stack.frames.get(level).cloned() else {
            return Err(Error::new("No stack."));
        };
        let inner_is_inlined = match level.checked_sub(1) {
            Some(inner) => stack.frames[inner].1 == FrameKind::Inlined,
            None => {
                let thread = self.thread()?;
                self.hidden_frames(thread, frame.pc()) > 0
            }
        };
        let row = frame
            .module
            .and_then(|id| self.modules.get(id))
            .and_then(|module| module.line_at(frame.address.lookup()));
        let at_line_start = row.is_some_and(|row| row.range.start == frame.pc() && row.is_stmt);
        let arguments = match kind {
            FrameKind::Normal | FrameKind::Inlined => self.argument_texts(&frame),
            _ => Vec::new(),
        };
        let module = frame.module.and_then(|id| self.modules.get(id));
        let has_line = frame.file.is_some() && frame.line != 0;
        Ok(FrameView {
            level: level as u32,
            pc: frame.pc(),
            show_pc: !inner_is_inlined && !at_line_start && self.settings.addresses,
            function: frame.function_name().map(str::to_owned),
            arguments,
            file: frame.file.clone(),
            line: frame.line,
            module: module
                .filter(|_| !has_line && frame.module != self.executable)
                .map(|module| module.name().to_owned()),
            kind,
            locals: None,
        })
    }

    /// `backtrace`.
    pub(super) fn backtrace(
        &mut self,
        full: bool,
        limit: Option<i64>,
        events: Events<'_>,
    ) -> Result<()> {
        self.thread().map_err(|_| Error::new("No stack."))?;
        let most = self.settings.backtrace_limit.unwrap_or(usize::MAX);
        let (skip, take) = match limit {
            Some(n) if n < 0 => {
                let all = self.walk(most)?.frames.len();
                (all.saturating_sub(n.unsigned_abs() as usize), usize::MAX)
            }
            Some(n) => (0, n as usize),
            None => (0, most),
        };
        let (all, error) = {
            let stack = self.walk(skip.saturating_add(take))?;
            (stack.frames.len(), stack.error.clone())
        };
        let last = all.min(skip.saturating_add(take));
        let mut views = Vec::with_capacity(last - skip);
        for level in skip..last {
            let mut view = self.frame_view(level)?;
            if full && matches!(view.kind, FrameKind::Normal | FrameKind::Inlined) {
                let frame = self.frame_at(level)?;
                view.locals = Some(self.local_views(&frame, 4));
            }
            views.push(view);
        }
        let more = self.walk(last + 1)?.frames.len() > last;
        let end = match error {
            Some(why) => Some(format!("Backtrace stopped: {why}")),
            None if more => Some("(More stack frames follow...)".to_owned()),
            None => None,
        };
        events(Event::Frames(views, end));
        Ok(())
    }

    /// `frame [N]`.
    pub(super) fn select_frame(&mut self, level: Option<u32>, events: Events<'_>) -> Result<()> {
        self.thread().map_err(|_| Error::new("No stack."))?;
        if let Some(level) = level.map(|l| l as usize) {
            if self.walk(level + 1)?.frames.len() <= level {
                return Err(Error::new(format!("No frame at level {level}.")));
            }
            self.level = level;
            self.listing.restart();
        }
        self.show_frame(events)
    }

    /// `up` and `down`.
    pub(super) fn move_frame(&mut self, by: i64, events: Events<'_>) -> Result<()> {
        self.thread().map_err(|_| Error::new("No stack."))?;
        let wanted = self.level as i64 + by;
        if wanted < 0 && self.level == 0 {
            return Err(Error::new(
                "Bottom (innermost) frame selected; you cannot go down.",
            ));
        }
        let wanted = wanted.max(0) as usize;
        let last = self.walk(wanted.saturating_add(1))?.frames.len().max(1) - 1;
        if wanted > last && self.level == last {
            return Err(Error::new("Initial frame selected; you cannot go up."));
        }
        self.level = wanted.min(last);
        self.listing.restart();
        self.show_frame(events)
    }

    /// Shows the selected frame and its source line.
    pub(super) fn show_frame(&mut self, events: Events<'_>) -> Result<()> {
        let view = self.frame_view(self.level)?;
        let source = self.frame_source(&view);
        events(Event::Frame(view, source));
        Ok(())
    }
}
