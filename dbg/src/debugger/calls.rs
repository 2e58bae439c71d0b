//! Calls into the program, from `call`, `print f(3)`, `eval` and conditions.
//!
//! A call runs on the selected thread alone. It ends in one of three ways: it
//! returns, and the thread is what it was; it faults, is interrupted or takes
//! too long, and the thread is put back to what it was; or it stops at a
//! breakpoint, and its frames stay as ordinary ones, above a frame that marks
//! the call, until it returns some time later.

use super::run::{Outcome, Plan};
use super::{Debugger, Events};
use crate::breakpoint::Reason;
use crate::call::{self, Landing, MachineCall, MachineResult, Saved};
use crate::error::{Error, Result};
use crate::event::{Event, StopReason, ValueView};
use crate::target::{Address, ThreadId};
use crate::value::Type;

/// What is done with what a call returns, when it returns after all.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// Nothing: nobody waits for it any more.
    Nothing,
    /// An `eval`: the value is in the generation's own storage.
    Eval(super::eval::Waiting),
    /// An expression: its text, and its type where it is this call and nothing
    /// more. There is no going on with what follows the call in it.
    Expression(String, Option<Type>),
}

/// A call that has not returned.
#[derive(Clone, Debug)]
pub(super) struct PendingCall {
    /// The thread it runs on.
    pub thread: ThreadId,
    /// Where it returns to.
    pub returns_to: Address,
    /// The stack pointer then.
    pub sp: Address,
    /// What the thread was.
    pub saved: Saved,
    /// What it was for.
    pub purpose: Purpose,
    /// The function, for messages.
    pub name: String,
}

/// How a call ended.
pub(super) enum Called {
    /// It returned.
    Returned(MachineResult),
    /// It stopped within, and its frames are there; the user has been told.
    Stopped,
}

impl Debugger {
    /// Calls a function on the selected thread. `quiet` calls are the
    /// debugger's own: no breakpoint of the user's stops them.
    pub(super) fn call(
        &mut self,
        call: &MachineCall,
        name: &str,
        purpose: Purpose,
        quiet: bool,
        events: Events<'_>,
    ) -> Result<Called> {
        let thread = self
            .thread()
            .map_err(|_| Error::new("You can't do that without a process to debug."))?;
        let returns_to = self
            .ground
            .entry
            .ok_or_else(|| Error::new("this program has no entry point to return to."))?;
        let target = self.live()?;
        let saved = Saved::take(target, thread)?;
        let begun = call::begin(target, thread, &saved, call, returns_to);
        let landing = match begun {
            Ok(landing) => landing,
            Err(error) => {
                saved.put_back(target, thread)?;
                return Err(error.into());
            }
        };
        self.wait_for_return(thread, landing, saved, purpose, name, quiet, events)
    }

    #[allow(clippy::too_many_arguments)]
    fn wait_for_return(
        &mut self,
        thread: ThreadId,
        landing: Landing,
        saved: Saved,
        purpose: Purpose,
        name: &str,
        quiet: bool,
        events: Events<'_>,
    ) -> Result<Called> {
        let change = self.sites.add(landing.returns_to, Reason::CallReturn);
        let applied = self.apply(change);
        self.calls.push(PendingCall {
            thread,
            returns_to: landing.returns_to,
            sp: landing.sp,
            saved,
            purpose,
            name: name.to_owned(),
        });
        let number = self.calls.len() - 1;
        if let Err(error) = applied {
            self.take_back(number)?;
            return Err(error.into());
        }
        // The thread has not been seen where it is now: a breakpoint at the
        // very beginning of the function counts.
        let standing = std::mem::take(&mut self.standing);
        let was_quiet = std::mem::replace(&mut self.quiet, quiet);
        if let Some(time) = self.settings.call_timeout {
            self.alarm.start(time, &self.interrupter);
        }
        let outcome = self.drive(thread, Plan::Call, events);
        let late = self.alarm.stop();
        self.quiet = was_quiet;
        self.standing = standing;
        match outcome {
            Ok(outcome) => self.after_call(number, outcome, late, events),
            Err(error) => {
                if number < self.calls.len() {
                    self.take_back(number)?;
                }
                Err(error)
            }
        }
    }

    fn after_call(
        &mut self,
        number: usize,
        outcome: Outcome,
        late: bool,
        events: Events<'_>,
    ) -> Result<Called> {
        let stayed = "what it wrote stays written";
        match outcome {
            Outcome::Returned(returned) if returned == number => {
                let thread = self.calls[number].thread;
                let result = call::result(self.live()?, thread)?;
                self.take_back(number)?;
                Ok(Called::Returned(result))
            }
            Outcome::Gone => Err(Error::new(
                "The program ended while a function was being called in it.",
            )),
            Outcome::Stop(_, StopReason::Signal(signal, at)) => {
                let name = self.calls[number].name.clone();
                let place = self.where_is(number);
                self.take_back(number)?;
                let at = at.map_or(String::new(), |at| format!(" (address {:#x})", at.0));
                Err(Error::new(format!(
                    "The program received signal {signal}, {}{at}, in a function called by the \
                     debugger ({name}), {place}. The thread is back where it was; {stayed}.",
                    signal.meaning()
                )))
            }
            Outcome::Stop(_, StopReason::Interrupted) => {
                let name = self.calls[number].name.clone();
                let place = self.where_is(number);
                self.take_back(number)?;
                let why = match (late, self.settings.call_timeout) {
                    (true, Some(time)) => format!("took longer than {} ms", time.as_millis()),
                    _ => "was interrupted".to_owned(),
                };
                Err(Error::new(format!(
                    "The function called by the debugger ({name}) {why}, {place}. The thread is \
                     back where it was; {stayed}.",
                )))
            }
            Outcome::Stop(thread, reason) => {
                self.report(thread, reason, true, events)?;
                Ok(Called::Stopped)
            }
            Outcome::Arrived | Outcome::Returned(_) => {
                let thread = self.thread()?;
                self.report(thread, StopReason::Arrived, true, events)?;
                Ok(Called::Stopped)
            }
        }
    }

    /// Where a call's thread is, for a message.
    fn where_is(&mut self, number: usize) -> String {
        let thread = self.calls[number].thread;
        self.selected = Some(thread);
        self.stack = None;
        match self.frame_view(0) {
            Ok(frame) => {
                let function = frame.function.as_deref().unwrap_or("??");
                match frame.file.filter(|_| frame.line != 0) {
                    Some(file) => format!("in {function} at {}:{}", file.display(), frame.line),
                    None => format!("in {function}"),
                }
            }
            Err(_) => "nobody knows where".to_owned(),
        }
    }

    /// Ends a call, returned or not: its thread is what it was before. Calls
    /// made within it go with it.
    fn take_back(&mut self, number: usize) -> Result<()> {
        let gone = self.calls.split_off(number);
        self.stack = None;
        let mut result = Ok(());
        for call in gone.into_iter().rev() {
            let change = self.sites.remove(call.returns_to, Reason::CallReturn);
            let _ = self.apply(change);
            self.standing.remove(&call.thread);
            if let Some(target) = self.target.as_deref_mut() {
                result = call
                    .saved
                    .put_back(target, call.thread)
                    .map_err(Error::from);
            }
        }
        result
    }

    /// Puts every thread back to what it was before calls, because it will run
    /// on without us.
    pub(super) fn abandon_calls(&mut self) {
        if !self.calls.is_empty() {
            let _ = self.take_back(0);
        }
    }

    /// The call that returns with a thread at this place.
    pub(super) fn call_returning(
        &self,
        thread: ThreadId,
        at: Address,
        sp: Address,
    ) -> Option<usize> {
        self.calls
            .iter()
            .rposition(|c| c.thread == thread && c.returns_to == at && c.sp == sp)
    }

    /// A stop within a call of ours is told as such.
    pub(super) fn within_call(&self, thread: ThreadId, reason: StopReason) -> StopReason {
        let inner = self.calls.iter().rev().find(|c| c.thread == thread);
        match (inner, reason) {
            (_, reason @ (StopReason::CallDone(_) | StopReason::InCall(..))) => reason,
            (Some(call), reason @ (StopReason::Breakpoint(..) | StopReason::Watchpoints(..))) => {
                StopReason::InCall(Box::new(reason), call.name.clone())
            }
            (_, reason) => reason,
        }
    }

    /// A call that had stopped within has returned: its value is shown, and the
    /// thread is where it was before.
    pub(super) fn call_done(&mut self, number: usize, events: Events<'_>) -> Result<()> {
        let call = self.calls[number].clone();
        let returned = call::result(self.live()?, call.thread);
        self.take_back(number)?;
        let value: Option<ValueView> = match &call.purpose {
            Purpose::Nothing => None,
            Purpose::Eval(waiting) => self.eval_value(waiting, &returned?)?,
            Purpose::Expression(_, Some(ty)) => {
                self.select(call.thread);
                Some(self.result_view(&returned?, ty.clone())?)
            }
            Purpose::Expression(text, None) => {
                events(Event::Text(format!(
                    "The function called for \"{text}\" has returned {:#x}.\n",
                    returned?.integers[0]
                )));
                None
            }
        };
        self.report(call.thread, StopReason::CallDone(value), true, events)
    }
}
