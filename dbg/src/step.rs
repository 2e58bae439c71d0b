//! [`Stepper`]: from "one source line further" to single moves of a thread.
//!
//! Plain data and a function of (what it remembers, what it sees now): it says
//! what move to make, the caller makes it and comes back when the thread has
//! stopped again. It knows neither target nor breakpoints; whatever else stops
//! the thread meanwhile simply drops it.
//!
//! The rules. A line is done where another line *begins*: in the middle of one
//! it goes on. Calls are recognised by their instruction, and run through to a
//! temporary breakpoint behind them that only counts when the stack is as high
//! as it was: recursion does not fool it. Returning into the middle of a line
//! finishes that line first. `step` enters a function that has lines, through
//! linkage stubs, and stops behind its prologue; over one that has none it goes
//! as `next` does. A line of more than a few instructions is not stepped through:
//! it runs to its [exits](crate::exits), loops and calls within it at full speed.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::exits;
use crate::flow::Flow;
use crate::target::Address;

/// What a stepper is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// To the next line, into calls.
    Into,
    /// To the next line, over calls.
    Over,
    /// To a later line of the function, over calls: loops are left.
    Until,
    /// One instruction.
    Instruction,
    /// One instruction, over a call.
    OverInstruction,
}

/// A row of a line table, as far as stepping needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The addresses it covers.
    pub range: Range<Address>,
    /// The source file.
    pub file: Arc<Path>,
    /// The line; 0 for code of no line.
    pub line: u32,
    /// A statement begins where the range does.
    pub is_stmt: bool,
    /// The inlined calls that the code is in, the innermost first.
    pub calls: Vec<CallSite>,
}

/// Where the source has a call that was inlined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallSite {
    /// The source file.
    pub file: Arc<Path>,
    /// The line.
    pub line: u32,
    /// Its code begins at the address that was asked about.
    pub begins: bool,
    /// `step` may go into it.
    pub is_entered: bool,
}

/// A place in the source, as a stepper tells one from another.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    file: Arc<Path>,
    line: u32,
    /// How many inlined calls it is in.
    depth: usize,
}

impl Row {
    /// How many calls begin there: they are still to be made.
    fn beginning(&self) -> usize {
        self.calls.iter().take_while(|call| call.begins).count()
    }

    /// What is seen with so many of the innermost calls not made yet.
    fn seen(&self, hidden: usize) -> Seen {
        let depth = self.calls.len() - hidden.min(self.calls.len());
        match hidden.checked_sub(1).and_then(|n| self.calls.get(n)) {
            Some(call) => Seen {
                file: call.file.clone(),
                line: call.line,
                depth,
            },
            None => Seen {
                file: self.file.clone(),
                line: self.line,
                depth,
            },
        }
    }
}

/// What a stepper may ask about the stopped thread.
pub trait Scene {
    /// Its program counter.
    fn pc(&self) -> Address;
    /// Its stack pointer.
    fn sp(&self) -> Address;
    /// The flow of the instruction at its pc.
    fn flow(&mut self) -> Flow;
    /// The line row at its pc.
    fn row(&mut self) -> Option<Row>;
    /// How many of the inlined calls at its pc it is still to make.
    fn hidden(&self) -> usize {
        0
    }
    /// The code of the function at its pc, the range with the entry first.
    fn function(&mut self) -> Option<Vec<Range<Address>>>;
    /// The word on top of its stack: where a function just entered returns to.
    fn top_of_stack(&mut self) -> Option<Address>;
    /// Where a function just entered returns to, and the stack pointer then.
    fn just_called_from(&mut self) -> Option<Goal> {
        let address = self.top_of_stack()?;
        Some(Goal {
            address,
            stack_at_least: Some(self.sp().add(8)),
        })
    }
    /// Where a function that was just jumped to returns to, and the stack pointer
    /// then: the top of the stack, unless a rule says that there is more on it.
    fn tail_caller(&mut self) -> Option<Goal>;
    /// Where its function returns to, and the stack pointer then.
    fn caller(&mut self) -> Option<Goal>;
    /// Where the body of the function with that entry begins, if it has lines.
    fn body(&mut self, entry: Address) -> Option<Address>;
    /// Where the C++ runtime tells that an exception is being caught: the first
    /// thing that a handler calls.
    fn catch_hook(&mut self) -> Option<Address>;
    /// The entries of `longjmp` and its kin.
    fn jump_hooks(&mut self) -> Vec<Address>;
    /// If the pc is one of them: where it jumps to, and the stack pointer then.
    fn jump_target(&mut self) -> Option<Goal>;
    /// The line row at another address.
    fn row_at(&mut self, at: Address) -> Option<Row>;
    /// The code in a range, as the program has it.
    fn code(&mut self, range: &Range<Address>) -> Option<Vec<u8>>;
    /// How many instructions are better stepped through than run through.
    fn patience(&self) -> usize;
    /// If the pc is in a linkage stub: the entries of the functions it may lead to.
    fn stub(&mut self) -> Option<Vec<Address>>;
}

/// An address to run to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Goal {
    /// Where.
    pub address: Address,
    /// It only counts when the stack pointer is at least this.
    pub stack_at_least: Option<Address>,
}

impl Goal {
    /// Whether a thread that stands there has reached it.
    pub fn is_reached(&self, pc: Address, sp: Address) -> bool {
        pc == self.address && self.stack_at_least.is_none_or(|least| sp >= least)
    }
}

/// What to do with the thread next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Move {
    /// Execute one instruction.
    Step,
    /// Run until one of these is reached.
    RunTo(Vec<Goal>),
    /// The step is done.
    Done,
}

/// What the last move was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// One instruction with this flow.
    Stepped(Flow),
    /// Running through a call made in the line.
    InCall,
    /// Running to where the line can be left.
    Crossing,
    /// Running to the body of a function that is being entered; `back` is
    /// where it would return to.
    Entering { back: Option<Address> },
    /// Running out of a function that has no lines.
    Leaving,
}

/// A step in progress. See the [module page](self).
#[derive(Clone, Debug)]
pub struct Stepper {
    kind: Kind,
    phase: Phase,
    /// The line that is being left.
    line: Option<Seen>,
    /// How many of the inlined calls where the step ended are still to be made.
    hidden: usize,
    /// It ended by entering an inlined call.
    entered: bool,
    /// Addresses of which nothing need be asked: they belong to that line, or
    /// to the middle of another.
    quiet: Range<Address>,
    /// The function's code.
    function: Vec<Range<Address>>,
    /// Where it began, for `until`.
    began: Address,
    /// The goals of the last run, and the stack pointer when it began.
    run: (Vec<Goal>, Address),
}

impl Stepper {
    /// Begins a step of a thread. `None` when the thread is in code of which
    /// neither lines nor bounds nor caller are known.
    pub fn begin(kind: Kind, scene: &mut dyn Scene) -> Option<(Stepper, Move)> {
        let mut stepper = Stepper {
            kind,
            phase: Phase::InCall,
            line: None,
            hidden: 0,
            entered: false,
            quiet: Address(0)..Address(0),
            function: Vec::new(),
            began: scene.pc(),
            run: (Vec::new(), scene.sp()),
        };
        let instruction = matches!(kind, Kind::Instruction | Kind::OverInstruction);
        if !instruction {
            match scene.row() {
                Some(row) => {
                    let hidden = scene.hidden();
                    stepper.settle(&row, hidden, scene);
                }
                None => {
                    let caller = scene.caller()?;
                    stepper.phase = Phase::Leaving;
                    let goals = stepper.or_caught(caller, scene);
                    return Some((stepper, Move::RunTo(goals)));
                }
            }
        }
        let first = stepper.go(scene);
        Some((stepper, first))
    }

    /// How many of the inlined calls where the step ended are still to be made.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Takes in that the last move was made, and decides the next one.
    pub fn next(&mut self, scene: &mut dyn Scene) -> Move {
        self.hidden = 0;
        let next = self.decide(scene);
        let is_over = next == Move::Done && self.hidden == 0;
        let counts = !matches!(self.kind, Kind::Instruction | Kind::OverInstruction);
        if is_over && counts && !self.entered {
            self.hidden = scene.row().map_or(0, |row| row.beginning());
        }
        next
    }

    /// Takes in that the last move was made, and decides the next one.
    fn decide(&mut self, scene: &mut dyn Scene) -> Move {
        if matches!(self.kind, Kind::Instruction | Kind::OverInstruction) {
            return Move::Done;
        }
        let running = !matches!(self.phase, Phase::Stepped(_));
        if running
            && scene.catch_hook() == Some(scene.pc())
            && let Some(goal) = scene.just_called_from()
        {
            // Back to the handler, in the middle of its line.
            self.phase = Phase::Leaving;
            return Move::RunTo(vec![goal]);
        }
        if running && let Some(target) = scene.jump_target() {
            let outwards = target.stack_at_least.is_some_and(|sp| sp >= self.run.1);
            if !outwards {
                // From one frame to another within what is being run through.
                return Move::RunTo(self.run.0.clone());
            }
            self.phase = Phase::Leaving;
            return Move::RunTo(vec![target]);
        }
        match self.phase {
            Phase::Leaving => self.returned(scene),
            Phase::InCall | Phase::Crossing => self.moved(scene),
            Phase::Entering { back } if back == Some(scene.pc()) => self.moved(scene),
            Phase::Entering { .. } => Move::Done,
            Phase::Stepped(Flow::Return) => self.returned(scene),
            Phase::Stepped(Flow::Call { .. }) => {
                let back = scene.just_called_from();
                self.enter(back, scene)
            }
            Phase::Stepped(Flow::Jump) if !self.is_inside(scene.pc()) => self.jumped_out(scene),
            Phase::Stepped(_) => self.moved(scene),
        }
    }

    /// Makes `row` the line that is being left, seen with so many of its calls
    /// not made.
    fn settle(&mut self, row: &Row, hidden: usize, scene: &mut dyn Scene) {
        self.line = Some(row.seen(hidden));
        self.quiet = row.range.clone();
        self.function = scene.function().unwrap_or_default();
    }

    fn is_inside(&self, pc: Address) -> bool {
        self.quiet.contains(&pc) || self.function.iter().any(|range| range.contains(&pc))
    }

    /// To the line's exits, one instruction further, or through the call that
    /// it is.
    fn go(&mut self, scene: &mut dyn Scene) -> Move {
        let flow = scene.flow();
        if let Some(goals) = self.exits(flow, scene) {
            self.phase = Phase::Crossing;
            return Move::RunTo(goals);
        }
        if let Flow::Call { length } = flow
            && !matches!(self.kind, Kind::Into | Kind::Instruction)
        {
            self.phase = Phase::InCall;
            let behind = Goal {
                address: scene.pc().add(u64::from(length)),
                stack_at_least: Some(scene.sp()),
            };
            return Move::RunTo(self.or_caught(behind, scene));
        }
        self.phase = Phase::Stepped(flow);
        Move::Step
    }

    /// The goals of running through the rest of the line, where that is better
    /// than stepping.
    fn exits(&mut self, flow: Flow, scene: &mut dyn Scene) -> Option<Vec<Goal>> {
        let into = match self.kind {
            Kind::Into => true,
            Kind::Over | Kind::Until => false,
            Kind::Instruction | Kind::OverInstruction => return None,
        };
        let pc = scene.pc();
        let stands = matches!(flow, Flow::Return | Flow::Syscall)
            || (into && matches!(flow, Flow::Call { .. }));
        if stands || !self.quiet.contains(&pc) {
            return None;
        }
        self.widen(scene);
        let code = scene.code(&self.quiet)?;
        let (exits, calls) = exits::of_line(&self.quiet, &code, pc, &self.function, into)?;
        let length = exits::instructions_from(&self.quiet, &code, pc);
        let is_short = length <= scene.patience();
        if is_short && (into || !calls) {
            return None;
        }
        let least = Some(scene.sp());
        let goal = |address| Goal {
            address,
            stack_at_least: least,
        };
        let mut goals: Vec<Goal> = exits.into_iter().map(goal).collect();
        if calls {
            goals.extend(self.ways_out(least, scene));
        }
        self.run = (goals.clone(), scene.sp());
        Some(goals)
    }

    /// Takes the rows behind into `quiet` while they are of the line that is
    /// being left.
    fn widen(&mut self, scene: &mut dyn Scene) {
        let Some(line) = self.line.clone() else {
            return;
        };
        while let Some(row) = scene.row_at(self.quiet.end)
            && row.range.start == self.quiet.end
            && row.range.end > row.range.start
            && row.seen(0) == line
        {
            self.quiet.end = row.range.end;
        }
    }

    /// A goal, or the handler of an exception in a frame no deeper: it calls the
    /// hook with its return address below a stack as high as the goal's.
    fn or_caught(&mut self, goal: Goal, scene: &mut dyn Scene) -> Vec<Goal> {
        let out = self.ways_out(goal.stack_at_least, scene);
        let goals: Vec<Goal> = std::iter::once(goal).chain(out).collect();
        self.run = (goals.clone(), scene.sp());
        goals
    }

    /// Where a call that is run through shows that it will not return: a handler
    /// of an exception in a frame that is no deeper, and `longjmp`.
    fn ways_out(&self, least: Option<Address>, scene: &mut dyn Scene) -> Vec<Goal> {
        let caught = scene.catch_hook().map(|address| Goal {
            address,
            stack_at_least: least.map(|least| least.offset(-8)),
        });
        let jumps = scene.jump_hooks().into_iter().map(|address| Goal {
            address,
            stack_at_least: None,
        });
        caught.into_iter().chain(jumps).collect()
    }

    /// In the same function (or one whose bounds nobody knows) as before.
    fn moved(&mut self, scene: &mut dyn Scene) -> Move {
        let pc = scene.pc();
        if self.quiet.contains(&pc) {
            return self.go(scene);
        }
        let Some(row) = scene.row().filter(|row| row.line != 0) else {
            return self.go(scene);
        };
        let hidden = row.beginning();
        let seen = row.seen(hidden);
        let starts = (row.is_stmt && row.range.start == pc) || hidden > 0;
        let Some(line) = &self.line else {
            return Move::Done;
        };
        let enters = |depth: usize| {
            let from_outermost = row.calls.iter().rev();
            let call = from_outermost
                .skip(depth)
                .map(|call| call.is_entered)
                .next();
            self.kind == Kind::Into && call == Some(true)
        };
        let deeper = seen.depth > line.depth && !enters(line.depth);
        let same = seen == *line;
        let backwards = self.kind == Kind::Until && pc < self.began;
        if seen.depth < line.depth && !starts {
            // An inlined call ended in the middle of its caller's line.
            self.settle(&row, 0, scene);
        } else if starts && !deeper && !same && !backwards {
            return Move::Done;
        } else if hidden > 0 && same && enters(line.depth) {
            // A call in the line that is being stepped: it is entered.
            self.hidden = hidden - 1;
            self.entered = true;
            return Move::Done;
        } else {
            self.quiet = row.range.clone();
        }
        self.go(scene)
    }

    /// In a function that has just been called (or jumped to in place of a call).
    fn enter(&mut self, back: Option<Goal>, scene: &mut dyn Scene) -> Move {
        let mut goals = Vec::new();
        if let Some(entries) = scene.stub() {
            goals.extend(entries.into_iter().filter_map(|entry| scene.body(entry)));
        } else if let Some(body) = scene.body(scene.pc()) {
            if body == scene.pc() {
                return Move::Done;
            }
            goals.push(body);
        }
        self.phase = Phase::Entering {
            back: back.map(|goal| goal.address),
        };
        let mut goals: Vec<Goal> = goals
            .into_iter()
            .map(|address| Goal {
                address,
                stack_at_least: None,
            })
            .collect();
        if let Some(goal) = back {
            goals.extend(self.or_caught(goal, scene));
        }
        if goals.is_empty() {
            return Move::Done;
        }
        Move::RunTo(goals)
    }

    /// A jump led out of the function: to its cold part, or a tail call.
    fn jumped_out(&mut self, scene: &mut dyn Scene) -> Move {
        let pc = scene.pc();
        let entry = scene.function().and_then(|f| f.first().map(|r| r.start));
        if entry != Some(pc) && scene.stub().is_none() {
            return self.moved(scene);
        }
        let back = scene.tail_caller();
        if self.kind == Kind::Into {
            // When it comes back, it comes back to our caller.
            let entering = self.enter(back, scene);
            if let (Phase::Entering { .. }, Move::RunTo(goals)) = (self.phase, &entering)
                && goals.iter().all(|goal| goal.stack_at_least.is_some())
            {
                self.phase = Phase::Leaving;
            }
            return entering;
        }
        self.phase = Phase::Leaving;
        match back {
            Some(goal) => Move::RunTo(self.or_caught(goal, scene)),
            None => Move::Done,
        }
    }

    /// Back in a caller.
    fn returned(&mut self, scene: &mut dyn Scene) -> Move {
        match scene.row() {
            None => Move::Done,
            Some(row) if row.is_stmt && row.range.start == scene.pc() => Move::Done,
            Some(row) => {
                self.settle(&row, 0, scene);
                self.go(scene)
            }
        }
    }
}

#[cfg(test)]
mod tests;
