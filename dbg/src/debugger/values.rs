//! Values: `print`, `x`, `display`, arguments and locals, conditions.
//!
//! What an expression means is [`crate::expr`]'s business, how a value reads
//! [`crate::value`]'s. Here they meet the program: its memory, its registers,
//! and calls into it.

use std::sync::Arc;

use sapwood_dwarf::{Memory, MemoryError, ModuleId, Register, VariableKind};

use super::calls::{Called, Purpose};
use super::{Debugger, Events};
use crate::call::{MachineCall, MachineResult};
use crate::command::{Format, FrameArguments, TypeFlags};
use crate::error::{Error, Result};
use crate::event::{Event, ValueView, VariableView};
use crate::expr::{self, Evaluator, Expr};
use crate::libraries::read_word;
use crate::registers::x86;
use crate::stack::Frame;
use crate::target::{Address, ThreadId};
use crate::value::abi::{self, Returned};
use crate::value::format::{self, Format as Shown};
use crate::value::machine;
use crate::value::print::Style;
use crate::value::{self, Reader, Shape, Source, Type, Value};

/// The first DWARF number of the xmm registers (System V psABI, figure 3.36).
const XMM0: u16 = 17;

/// What is shown at each stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Displays {
    all: Vec<(u32, Format, String)>,
    last: u32,
}

impl From<value::Error> for Error {
    fn from(error: value::Error) -> Error {
        Error::Message(error.to_string())
    }
}

/// The stopped program, as expressions see it.
struct Program<'a> {
    debugger: &'a mut Debugger,
    events: Events<'a>,
    /// The expression, for a call in it that stops.
    text: &'a str,
    /// Its type, where it is a call and nothing more.
    returns: Option<Type>,
    /// A call stopped within, and the user has been told.
    stopped: bool,
}

impl Memory for Program<'_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        if let Some(uses) = &mut self.debugger.uses {
            uses.memory.push((at, into.len() as u64));
        }
        let failed = MemoryError {
            at,
            len: into.len(),
        };
        match self.debugger.target.as_deref_mut() {
            Some(target) => target.read(at, into).map_err(|_| failed),
            None => {
                // Before the program runs there is what its file says.
                let module = self.debugger.modules.at(at).ok_or(failed)?.1;
                let bytes = module.file_bytes(at.range(into.len() as u64));
                into.copy_from_slice(bytes.ok_or(failed)?);
                Ok(())
            }
        }
    }
}

impl From<&MachineResult> for Returned {
    fn from(result: &MachineResult) -> Returned {
        Returned {
            rax: result.integers[0],
            rdx: result.integers[1],
            xmm: result.vectors,
            st0: result.x87,
        }
    }
}

fn wide(low: u64) -> [u8; 16] {
    let mut whole = [0; 16];
    whole[..8].copy_from_slice(&low.to_le_bytes());
    whole
}

impl Source for Program<'_> {
    fn write(&mut self, at: Address, bytes: &[u8]) -> Result<(), value::Error> {
        let target = self.debugger.live().map_err(value::Error::new)?;
        target.write(at, bytes).map_err(value::Error::new)
    }

    fn write_register(
        &mut self,
        frame: &Frame,
        register: Register,
        bytes: &[u8],
    ) -> Result<(), value::Error> {
        self.debugger
            .write_register(frame, register, bytes)
            .map_err(value::Error::new)
    }

    fn other_register(&mut self, frame: &Frame, register: Register) -> Option<Vec<u8>> {
        self.debugger.other_register(frame, register)
    }

    fn signal_bytes(&mut self) -> Option<Vec<u8>> {
        let thread = self.debugger.selected?;
        let target = self.debugger.target.as_deref_mut()?;
        target.signal_bytes(thread).ok()
    }

    fn note_frame(&mut self) {
        if let Some(uses) = &mut self.debugger.uses {
            uses.of_frame = true;
        }
    }

    fn note_register(&mut self) {
        if let Some(uses) = &mut self.debugger.uses {
            uses.in_register = true;
        }
    }

    fn thread_pointer(&mut self) -> Option<Address> {
        let thread = self.debugger.selected?;
        let registers = self.debugger.target.as_deref_mut()?.registers(thread);
        Some(Address(registers.ok()?.get(x86::FS_BASE)))
    }

    fn call(&mut self, call: &abi::Call) -> Result<Returned, value::Error> {
        if self.debugger.uses.is_some() {
            return Err(value::Error::new(
                "an expression that calls functions cannot be watched",
            ));
        }
        let machine = MachineCall {
            function: call.function,
            integers: call.integers.clone(),
            vectors: call.vectors.iter().copied().map(wide).collect(),
            stack: call.stack.clone(),
            result_room: call.result_in_memory,
        };
        let name = match self.debugger.symbol_of(call.function) {
            Some((name, _)) => name,
            None => format!("{:#x}", call.function),
        };
        let purpose = Purpose::Expression(self.text.to_owned(), self.returns.clone());
        let called = self
            .debugger
            .call(&machine, &name, purpose, false, self.events);
        match called.map_err(value::Error::new)? {
            Called::Returned(result) => Ok(Returned::from(&result)),
            Called::Stopped => {
                self.stopped = true;
                Err(value::Error::new(format!(
                    "the program stopped in {name}, called by the debugger"
                )))
            }
        }
    }

    fn allocate(&mut self, bytes: &[u8]) -> Result<Address, value::Error> {
        let malloc = self.debugger.library_function("malloc").ok_or_else(|| {
            value::Error::new(
                "evaluation of this expression requires the program to have the function \"malloc\".",
            )
        })?;
        let length = [bytes.len().max(1) as u64];
        let got = self
            .debugger
            .call_quietly(malloc, &length, "malloc", self.events)
            .map_err(value::Error::new)?;
        let at = Address(got.integers[0]);
        self.write(at, bytes)?;
        Ok(at)
    }
}

impl Debugger {
    /// Evaluates in a frame. `None`: a call stopped within, and the user has
    /// been told.
    pub(super) fn evaluate_in<T>(
        &mut self,
        frame: Option<&Frame>,
        text: &str,
        events: Events<'_>,
        then: impl FnOnce(&mut Evaluator<'_>) -> Result<T, value::Error>,
    ) -> Result<Option<T>> {
        if text.contains('$') {
            self.refresh_own_variables();
            if let (false, Some(machine)) = (self.modules.has_machine(), machine::module()) {
                Arc::make_mut(&mut self.modules).set_machine(Arc::clone(machine));
            }
        }
        let modules = Arc::clone(&self.modules);
        let mut memo = std::mem::take(&mut self.memo);
        let mut program = Program {
            debugger: self,
            events,
            text,
            returns: None,
            stopped: false,
        };
        program.returns = call_type(&mut program, &modules, frame, text, &mut memo);
        let mut evaluator = Evaluator {
            reader: Reader {
                modules: &modules,
                frame,
                source: &mut program,
            },
            memo: &mut memo,
        };
        let result = then(&mut evaluator);
        let stopped = program.stopped;
        self.memo = memo;
        match result {
            Err(_) if stopped => Ok(None),
            Err(error) => Err(error.into()),
            Ok(value) => Ok(Some(value)),
        }
    }

    /// Evaluates in the selected frame, where there is one.
    pub(super) fn evaluate<T>(
        &mut self,
        text: &str,
        events: Events<'_>,
        then: impl FnOnce(&mut Evaluator<'_>) -> Result<T, value::Error>,
    ) -> Result<Option<T>> {
        let frame = match self.selected {
            Some(_) => Some(self.current_frame()?),
            None => None,
        };
        self.evaluate_in(frame.as_ref(), text, events, then)
    }

    /// How values are shown, with a letter of `print/F`.
    pub(super) fn style(&self, letter: Option<char>) -> Style {
        Style {
            format: letter.and_then(Shown::of),
            address: self.settings.addresses,
            ..self.settings.style
        }
    }

    /// A register beyond the general ones. They are fetched when a value lives
    /// in one: most stops never ask. Outer frames' are lost with the call.
    fn other_register(&mut self, frame: &Frame, register: Register) -> Option<Vec<u8>> {
        let innermost = self.frame_at(0).ok()?;
        if frame.registers != innermost.registers {
            return None;
        }
        let thread = self.selected?;
        let target = self.target.as_deref_mut()?;
        let general = target.registers(thread).ok()?;
        let vectors = target.vector_state(thread).ok();
        let mut all = frame.registers.clone();
        let other = super::frames::other_registers(&general, vectors.as_ref());
        all.set_other(Some(other.into()));
        all.bytes(register)
    }

    fn write_register(&mut self, frame: &Frame, register: Register, bytes: &[u8]) -> Result<()> {
        let thread = self.thread()?;
        let innermost = self.frame_at(0)?;
        if frame.registers != innermost.registers {
            return Err(Error::new(
                "a register of an outer frame cannot be changed; select frame 0.",
            ));
        }
        let target = self.live()?;
        if let Some(number) = register.0.checked_sub(XMM0).filter(|n| *n < 16) {
            let mut state = target.vector_state(thread)?;
            let mut value = state.xmm(number.into()).unwrap_or_default();
            let length = bytes.len().min(value.len());
            value[..length].copy_from_slice(&bytes[..length]);
            state.set_xmm(number.into(), value);
            target.set_vector_state(thread, &state)?;
        } else {
            let mut registers = target.registers(thread)?;
            let known = registers.layout().dwarf.iter();
            let index = known.clone().find(|(n, _)| *n == register.0);
            let (_, index) = index.ok_or_else(|| Error::new("that register cannot be changed."))?;
            let mut value = registers.get(*index).to_le_bytes();
            let length = bytes.len().min(value.len());
            value[..length].copy_from_slice(&bytes[..length]);
            registers.set(*index, u64::from_le_bytes(value));
            target.set_registers(thread, &registers)?;
        }
        self.stack = None;
        Ok(())
    }

    /// A value kept in the history and made text.
    pub(super) fn view(&mut self, value: &Value, letter: Option<char>) -> Result<ValueView> {
        let style = self.style(letter);
        let shown = self.evaluate("", &mut |_| {}, |evaluator| {
            let value = evaluator.reader.fetched(value)?;
            let text = evaluator.reader.show(&value, &style)?;
            let type_name = value.ty.name(evaluator.reader.modules);
            let is_void = matches!(value.ty.shape(evaluator.reader.modules)?, Shape::Void);
            let number = (!is_void).then(|| evaluator.memo.record(value) as u32);
            Ok(ValueView {
                number,
                text,
                type_name,
            })
        })?;
        shown.ok_or_else(|| Error::new("the program stopped."))
    }

    /// `print`.
    pub(super) fn print(&mut self, format: Format, text: &str, events: Events<'_>) -> Result<()> {
        let text = if text.is_empty() { "$" } else { text };
        let value = self.evaluate(text, events, |evaluator| evaluator.evaluate_text(text))?;
        if let Some(value) = value {
            let mut view = self.view(&value, format.letter)?;
            // Nothing is a value like any other here.
            let number = &mut view.number;
            number.get_or_insert_with(|| self.memo.record(value) as u32);
            events(Event::Value(view));
        }
        Ok(())
    }

    /// `call`.
    pub(super) fn call_expression(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        let value = self.evaluate(text, events, |evaluator| {
            let value = evaluator.evaluate_text(text)?;
            let is_void = matches!(value.ty.shape(evaluator.reader.modules)?, Shape::Void);
            Ok((!is_void).then_some(value))
        })?;
        if let Some(Some(value)) = value {
            let view = self.view(&value, None)?;
            events(Event::Value(view));
        }
        Ok(())
    }

    /// `set var`.
    pub(super) fn set_variable(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        self.evaluate(text, events, |evaluator| evaluator.evaluate_text(text))?;
        self.stack = None;
        Ok(())
    }

    /// `/* real type = … */` before the declared type, where they differ and the
    /// user wants to know.
    fn real_type(
        evaluator: &mut Evaluator<'_>,
        expression: &Expr,
        style: &Style,
    ) -> Result<String, value::Error> {
        if !style.object || matches!(expression, Expr::Type(_) | Expr::Call(..)) {
            return Ok(String::new());
        }
        let value = evaluator.evaluate(expression)?;
        if let Shape::Composite(..) = value.ty.shape(evaluator.reader.modules)? {
            return Ok(String::new());
        }
        let whole = evaluator.reader.as_dynamic(&value)?;
        Ok(whole.map_or(String::new(), |whole| {
            format!(
                "/* real type = {} */\n",
                whole.ty.name(evaluator.reader.modules)
            )
        }))
    }

    /// `whatis`.
    pub(super) fn whatis(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        let style = self.style(None);
        let name = self.evaluate(text, events, |evaluator| {
            let expression = expr::parse(text, &evaluator.reader)?;
            let (ty, is_named) = evaluator.type_of_expr(&expression)?;
            let real = Self::real_type(evaluator, &expression, &style)?;
            Ok(real + &evaluator.reader.whatis(&ty, is_named)?)
        })?;
        let name = name.unwrap_or_default();
        events(Event::Text(format!("type = {name}\n")));
        Ok(())
    }

    /// `ptype`.
    pub(super) fn print_type(
        &mut self,
        flags: TypeFlags,
        text: &str,
        events: Events<'_>,
    ) -> Result<()> {
        let style = self.style(None);
        let name = self.evaluate(text, events, |evaluator| {
            let expression = expr::parse(text, &evaluator.reader)?;
            let (ty, _) = evaluator.type_of_expr(&expression)?;
            let real = Self::real_type(evaluator, &expression, &style)?;
            Ok(real + &evaluator.reader.ptype(&ty, flags)?)
        })?;
        let name = name.unwrap_or_default();
        let heading = match flags.offsets && name.contains("/* total size") {
            true => "/* offset      |    size */  type = ",
            false => "type = ",
        };
        events(Event::Text(format!("{heading}{name}\n")));
        Ok(())
    }

    /// The address that an expression stands for: a pointer's value, a number,
    /// or where an array or function is.
    pub(super) fn evaluate_address(&mut self, text: &str) -> Result<Address> {
        let at = self.evaluate(text, &mut |_| {}, |evaluator| {
            let value = evaluator.evaluate_text(text)?;
            address_of(evaluator, &value)
        })?;
        at.ok_or_else(|| Error::new("the program stopped."))
    }

    /// Whether a breakpoint's condition holds in the innermost frame of a
    /// thread.
    pub(super) fn condition_holds(&mut self, thread: ThreadId, text: &str) -> Result<bool> {
        let before = (self.selected, self.level);
        self.select(thread);
        let at = self.live()?.registers(thread)?.pc();
        self.hide_calls(thread, at);
        let holds = self.evaluate(text, &mut |_| {}, |evaluator| {
            let value = evaluator.evaluate_text(text)?;
            evaluator.is_true(&value)
        });
        (self.selected, self.level) = before;
        self.stack = None;
        // A call in it that stopped is a stop.
        Ok(holds?.unwrap_or(true))
    }

    /// The variables of a frame of one kind, each with its text and its type.
    fn variable_views(
        &mut self,
        frame: &Frame,
        style: &Style,
        wanted: impl Fn(VariableKind) -> bool,
    ) -> Vec<VariableView> {
        let shown = self.variables_shown(frame, wanted, |reader, value| {
            let text = reader.show_brief(value, style)?;
            Ok((text, value.ty.name(reader.modules)))
        });
        let view = |(name, shown): (String, Result<_>)| {
            let (value, type_name) =
                shown.unwrap_or_else(|error| (unreadable(&name, &error), String::new()));
            VariableView {
                name,
                value,
                type_name,
            }
        };
        shown.into_iter().map(view).collect()
    }

    /// The variables of a frame of one kind, each with what `show` makes of it.
    fn variables_shown<T>(
        &mut self,
        frame: &Frame,
        wanted: impl Fn(VariableKind) -> bool,
        show: impl Fn(&mut Reader<'_>, &Value) -> Result<T, value::Error>,
    ) -> Vec<(String, Result<T>)> {
        let (Some(id), Some(scope)) = (frame.module, frame.scope) else {
            return Vec::new();
        };
        let Some(module) = self.modules.get(id).cloned() else {
            return Vec::new();
        };
        let Ok(variables) = module.variables(scope, frame.address.lookup()) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for variable in variables.into_iter().filter(|v| wanted(v.kind)) {
            let shown = self.evaluate_in(Some(frame), "", &mut |_| {}, |evaluator| {
                let value = evaluator.reader.variable(id, &variable)?;
                show(&mut evaluator.reader, &value)
            });
            if let Some(shown) = shown.transpose() {
                all.push((variable.name, shown));
            }
        }
        all
    }

    /// A frame's arguments, as its line shows them.
    pub(super) fn argument_texts(&mut self, frame: &Frame) -> Vec<(String, String)> {
        let is_argument = |kind| kind == VariableKind::Parameter;
        let style = Style {
            pretty: false,
            rows: false,
            summary: self.settings.frame_arguments == FrameArguments::Scalars,
            ..self.style(None)
        };
        let shown = match self.settings.frame_arguments {
            FrameArguments::All | FrameArguments::Scalars => {
                self.variables_shown(frame, is_argument, |reader, value| {
                    reader.show_brief(value, &style)
                })
            }
            which => {
                let names = self.argument_names(frame);
                let hidden = |name| (name, "...".to_owned());
                let all: Vec<_> = names.into_iter().map(hidden).collect();
                return match which {
                    FrameArguments::Presence if !all.is_empty() => {
                        vec![(String::new(), "...".to_owned())]
                    }
                    _ => all,
                };
            }
        };
        let text = |(name, shown): (String, Result<String>)| {
            let text = shown.unwrap_or_else(|error| unreadable(&name, &error));
            (name, text)
        };
        shown.into_iter().map(text).collect()
    }

    fn argument_names(&self, frame: &Frame) -> Vec<String> {
        let found = || {
            let module = self.modules.get(frame.module?)?;
            module.variables(frame.scope?, frame.address.lookup()).ok()
        };
        let found = found().unwrap_or_default().into_iter();
        found
            .filter(|variable| variable.kind == VariableKind::Parameter)
            .map(|variable| variable.name)
            .collect()
    }

    /// A frame's arguments.
    pub(super) fn argument_views(&mut self, frame: &Frame) -> Vec<VariableView> {
        let style = self.style(None);
        self.variable_views(frame, &style, |kind| kind == VariableKind::Parameter)
    }

    /// A frame's local variables, so many levels in.
    pub(super) fn local_views(&mut self, frame: &Frame, level: usize) -> Vec<VariableView> {
        let style = self.style(None).at_level(level);
        self.variable_views(frame, &style, |kind| kind == VariableKind::Local)
    }

    /// What a function returned that a thread has just come back from.
    pub(super) fn returned_value(&mut self, thread: ThreadId, frame: &Frame) -> Option<ValueView> {
        let ty = frame.function.as_ref()?.return_type?;
        let ty = Type::described(frame.module?, Some(ty));
        let result = crate::call::result(self.live().ok()?, thread).ok()?;
        self.select(thread);
        self.result_view(&result, ty).ok()
    }

    /// What a call returned, as a value of that type.
    pub(super) fn result_view(&mut self, result: &MachineResult, ty: Type) -> Result<ValueView> {
        let value = match abi::result(&Returned::from(result), &ty, &self.modules)? {
            abi::ResultPlace::Bytes(bytes) => Value::computed(ty, bytes),
            abi::ResultPlace::Memory(at) => Value::in_memory(ty, at),
        };
        self.view(&value, None)
    }

    /// The value of a static variable of a function whose address is known.
    pub(super) fn value_of_variable(
        &mut self,
        id: ModuleId,
        function: &str,
        variable: &str,
        at: Address,
        is_pointed_to: bool,
    ) -> Result<ValueView> {
        let module = self.modules.get(id).cloned();
        let found = module.and_then(|module| {
            let function = module.functions(function).into_iter().next()?;
            let all = module.variables(function.id, function.entry?).ok()?;
            all.into_iter().find(|v| v.name == variable)
        });
        let found = found.ok_or_else(|| Error::new("the snippet's value has no type."))?;
        let ty = Type::described(id, found.type_id);
        let value = match (is_pointed_to, ty.shape(&self.modules)?) {
            (true, Shape::Pointer(to)) => {
                let to_what = read_word(self.live()?, at)?;
                Value::in_memory(to, Address(to_what))
            }
            _ => Value::in_memory(ty, at),
        };
        self.view(&value, None)
    }

    /// `display EXPR`.
    pub(super) fn display(
        &mut self,
        format: Format,
        text: String,
        events: Events<'_>,
    ) -> Result<()> {
        self.displays.last += 1;
        let display = (self.displays.last, format, text);
        if self.selected.is_some() {
            let shown = self.displayed(&display, events)?;
            events(shown);
        }
        self.displays.all.push(display);
        Ok(())
    }

    fn displayed(
        &mut self,
        (number, format, text): &(u32, Format, String),
        events: Events<'_>,
    ) -> Result<Event> {
        if let Some(letter @ ('i' | 's')) = format.letter {
            let mut shown = String::new();
            self.examine(*format, Some(text), &mut |event| {
                shown += &crate::render::render(&event);
            })?;
            let count = format.count.map_or(String::new(), |n| n.to_string());
            let text = format!("{number}: x/{count}{letter} {text}\n{shown}");
            return Ok(Event::Text(text));
        }
        let style = self.style(format.letter);
        let value = self.evaluate(text, events, |evaluator| {
            let value = evaluator.evaluate_text(text)?;
            evaluator.reader.show(&value, &style)
        })?;
        let what = match format.letter {
            Some(letter) => format!("/{letter} {text}"),
            None => text.clone(),
        };
        Ok(Event::Displayed {
            number: *number,
            what,
            text: value.unwrap_or_default(),
        })
    }

    /// `undisplay`.
    pub(super) fn undisplay(&mut self, numbers: &[u32]) -> Result<()> {
        for number in numbers {
            if !self.displays.all.iter().any(|(n, ..)| n == number) {
                return Err(Error::new(format!(
                    "Could not find display number {number}."
                )));
            }
        }
        self.displays
            .all
            .retain(|(n, ..)| !numbers.is_empty() && !numbers.contains(n));
        Ok(())
    }

    /// Shows what is displayed at stops; what has no value here stays silent.
    pub(super) fn show_displays(&mut self, events: Events<'_>) {
        for display in self.displays.all.clone() {
            if let Ok(shown) = self.displayed(&display, events) {
                events(shown);
            }
        }
    }

    /// `info display`.
    pub(super) fn displays_text(&self) -> String {
        if self.displays.all.is_empty() {
            return "There are no auto-display expressions now.\n".to_owned();
        }
        let mut text = "Auto-display expressions now in effect:\nNum Enb Expression\n".to_owned();
        for (number, format, expression) in &self.displays.all {
            let letter = format.letter.map_or(String::new(), |l| format!("/{l} "));
            text += &format!("{number}:   y  {letter}{expression}\n");
        }
        text
    }
}

/// The type of a text that is a call and nothing more.
fn call_type(
    program: &mut Program<'_>,
    modules: &sapwood_dwarf::Modules,
    frame: Option<&Frame>,
    text: &str,
    memo: &mut value::Memo,
) -> Option<Type> {
    if !text.contains('(') {
        return None;
    }
    let mut evaluator = Evaluator {
        reader: Reader {
            modules,
            frame,
            source: program,
        },
        memo,
    };
    match expr::parse(text, &evaluator.reader).ok()? {
        call @ Expr::Call(..) => Some(evaluator.type_of_expr(&call).ok()?.0),
        _ => None,
    }
}

/// What is shown of a variable that cannot be read.
fn unreadable(name: &str, error: &Error) -> String {
    format!("<error reading variable {name} ({error})>")
}

pub(super) fn address_of(
    evaluator: &mut Evaluator<'_>,
    value: &Value,
) -> Result<Address, value::Error> {
    let shape = value.ty.shape(evaluator.reader.modules)?;
    let by_place = matches!(
        shape,
        Shape::Array { .. } | Shape::Function { .. } | Shape::Composite(..)
    );
    if by_place && let Some(at) = value.address() {
        return Ok(at);
    }
    let bytes = evaluator.reader.bytes(value)?;
    Ok(Address(format::unsigned(&bytes) as u64))
}
