//! Moving the program: from a resume to a stop that the user is told of.
//!
//! One loop, [`drive`](Debugger::drive). Each turn lets the target go, waits,
//! and [judges](Debugger::judge) what happened: it is passed over in silence,
//! it completes the move that a step is made of, or it is a stop.

use super::{Debugger, Events};
use crate::breakpoint::{Breakpoint, BreakpointId, Reason};
use crate::command::SchedulerLocking;
use crate::error::{Error, Result};
use crate::event::{Began, Event, StopReason, Stopped, WatchHit};
use crate::step::{Goal, Move, Stepper};
use crate::target::{
    Address, Fired, Happening, Motion, Passed, Resume, SignalInfo, TargetError, TargetEvent,
    ThreadId,
};

use super::scene::ThreadScene;
use crate::value::Value;

/// While one thread is stepped instruction by instruction the others stay
/// stopped, which makes steps cheap; every so many instructions they may run,
/// so that a loop that waits for one of them ends.
const OTHERS_RUN_EVERY: u32 = 128;

/// What the program is being moved for.
pub(super) enum Plan {
    /// Until something stops it.
    Free,
    /// A step, and its current move.
    Step(Stepper, Move),
    /// To one of these places.
    To(Vec<Goal>),
    /// Until a function that we called returns; no other thread runs.
    Call,
}

/// Why a drive ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The program stopped, in this thread.
    Stop(ThreadId, StopReason),
    /// The plan is fulfilled.
    Arrived,
    /// A function that we called has returned: the number of the call.
    Returned(usize),
    /// There is no process any more.
    Gone,
}

/// How a thread got past a site.
enum Past {
    /// Its next resume does.
    Ready,
    /// It is past.
    Done,
    /// It was stepped, and that is what happened.
    Event(TargetEvent),
}

/// What an event means for the plan.
pub(super) enum Verdict {
    /// Nothing.
    GoOn,
    /// The current move is complete.
    Moved,
    /// The program stops.
    Stop(Outcome),
}

impl Plan {
    fn goals(&self) -> &[Goal] {
        match self {
            Plan::Step(_, Move::RunTo(goals)) | Plan::To(goals) => goals,
            _ => &[],
        }
    }

    fn motion(&self) -> Motion {
        match self {
            Plan::Step(_, Move::Step) => Motion::Step,
            _ => Motion::Continue,
        }
    }
}

impl Debugger {
    pub(super) fn scene(&mut self, thread: ThreadId) -> Result<ThreadScene<'_>> {
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        let registers = target.registers(thread)?;
        let hidden = self.hidden_frames(thread, registers.pc());
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        Ok(ThreadScene {
            target,
            hidden,
            chosen: self.chosen.as_deref(),
            window: (Address(0), Vec::new()),
            modules: &self.modules,
            unwinder: &mut self.unwinder,
            skips: &self.skips,
            registers,
            replaced: &self.replaced,
            hooks: &mut self.hooks,
        })
    }

    /// Moves the program as planned until it stops or ends. Patches, goals and
    /// the terminal are in order afterwards, whatever happens.
    pub(super) fn drive(
        &mut self,
        thread: ThreadId,
        plan: Plan,
        events: Events<'_>,
    ) -> Result<Outcome> {
        self.stack = None;
        self.arm_syscalls();
        let target = self.live()?;
        if !target.can_run() {
            return Err(Error::NotRunning);
        }
        // The user has seen where the thread is: a breakpoint there is no news.
        let pc = target.registers(thread)?.pc();
        target.set_running(true);
        let unseen = std::mem::take(&mut self.unseen) || matches!(plan, Plan::Call);
        if !unseen {
            self.standing.insert(thread, pc);
        }
        // Nobody has seen where it will be.
        self.hidden = None;
        let mut plan = plan;
        let result = self
            .arm(&plan)
            .and_then(|()| self.turns(thread, &mut plan, events));
        self.disarm();
        self.stack = None;
        if let Some(target) = &mut self.target {
            target.set_running(false);
        }
        match result {
            // Killed between two of our requests: its end is what happened.
            Err(Error::Target(TargetError::Gone(why))) => {
                self.lost(&why, events);
                Ok(Outcome::Gone)
            }
            other => other,
        }
    }

    /// The process is gone without having told us how.
    fn lost(&mut self, why: &str, events: Events<'_>) {
        if self.target.is_some() {
            events(Event::Text(format!("{why}\n")));
            self.process_ended();
        }
    }

    fn turns(
        &mut self,
        mut thread: ThreadId,
        plan: &mut Plan,
        events: Events<'_>,
    ) -> Result<Outcome> {
        let mut steps = 0u32;
        let mut detour: Option<Goal> = None;
        loop {
            if !self.live()?.has_thread(thread) {
                // It ended beside another thread's event: there is nothing left
                // to complete, and the program goes on.
                let threads = self.live()?.threads();
                thread = *threads.first().ok_or(Error::NotRunning)?;
                self.disarm();
                *plan = Plan::Free;
                detour = None;
            }
            let watching = !matches!(plan, Plan::Call) && self.watches_by_stepping();
            let motion = match detour {
                Some(_) => Motion::Continue,
                None if watching => Motion::Step,
                None => plan.motion(),
            };
            self.by_steps = watching && plan.motion() == Motion::Continue;
            steps = steps.wrapping_add(1);
            let alone = matches!(plan, Plan::Call);
            let others_run = !alone && self.others_run(motion, steps);
            let goals = match &detour {
                Some(goal) => std::slice::from_ref(goal),
                None => plan.goals(),
            };
            let resume = Resume {
                thread,
                motion,
                others_run,
            };
            let event = self.advance(resume, goals)?;
            self.hit.clear();
            match self.judge(thread, &event, goals, events)? {
                Verdict::Stop(outcome) => return Ok(outcome),
                Verdict::GoOn => {
                    if detour.is_none() && event.thread == thread {
                        detour = self.detour_for_signal(thread, motion, &event)?;
                    }
                    let elsewhere = matches!(event.what, Happening::Forked { .. })
                        && self.settings.follow_child;
                    if elsewhere || matches!(event.what, Happening::Executed(_)) {
                        *plan = Plan::Free;
                        detour = None;
                        thread = self.thread()?;
                    }
                }
                Verdict::Moved if detour.take().is_some() => {
                    self.disarm();
                    self.arm(plan)?;
                }
                Verdict::Moved => {
                    if self.next_move(thread, plan)? {
                        return Ok(Outcome::Arrived);
                    }
                }
            }
        }
    }

    /// Asks the stepper for its next move; says whether the plan is fulfilled.
    fn next_move(&mut self, thread: ThreadId, plan: &mut Plan) -> Result<bool> {
        let Plan::Step(stepper, next) = plan else {
            return Ok(true);
        };
        let had_goals = matches!(next, Move::RunTo(_));
        *next = stepper.next(&mut self.scene(thread)?);
        let done = *next == Move::Done;
        let hidden = stepper.hidden();
        if done {
            let at = self.live()?.registers(thread)?.pc();
            self.hide(thread, at, hidden);
        }
        if had_goals {
            self.disarm();
        }
        self.arm(plan)?;
        Ok(done)
    }

    fn others_run(&self, motion: Motion, steps: u32) -> bool {
        match (self.settings.scheduler_locking, motion) {
            (SchedulerLocking::On, _) => false,
            (SchedulerLocking::Step, Motion::Step) => false,
            (_, Motion::Continue) => true,
            (SchedulerLocking::Off, Motion::Step) => steps.is_multiple_of(OTHERS_RUN_EVERY),
        }
    }

    /// A signal that goes to a handler while its thread is being stepped: the
    /// thread runs through the handler, back to where it is.
    fn detour_for_signal(
        &mut self,
        thread: ThreadId,
        motion: Motion,
        event: &TargetEvent,
    ) -> Result<Option<Goal>> {
        if motion != Motion::Step || !matches!(event.what, Happening::Signal(_)) {
            return Ok(None);
        }
        let target = self.live()?;
        if target.signal(thread).is_none() {
            return Ok(None);
        }
        let registers = target.registers(thread)?;
        let goal = Goal {
            address: registers.pc(),
            stack_at_least: Some(registers.sp()),
        };
        self.standing.remove(&thread);
        let change = self.sites.add(goal.address, Reason::Step);
        self.apply(change)?;
        Ok(Some(goal))
    }

    /// Puts a site at each goal.
    fn arm(&mut self, plan: &Plan) -> Result<()> {
        for goal in plan.goals() {
            let change = self.sites.add(goal.address, Reason::Step);
            self.apply(change)?;
        }
        Ok(())
    }

    /// Takes the goals' sites out.
    fn disarm(&mut self) {
        for change in self.sites.remove_all(|reason| reason == Reason::Step) {
            let _ = self.apply(Some(change));
        }
    }

    /// Lets the program go and waits for the next event that is not passed over,
    /// after threads that stand on a site whose hit was judged already have been
    /// led past it.
    fn advance(&mut self, resume: Resume, goals: &[Goal]) -> Result<TargetEvent> {
        let Resume { thread, motion, .. } = resume;
        let waiting: Vec<(ThreadId, Address)> = self
            .standing
            .iter()
            .filter(|(t, _)| resume.others_run || **t == thread)
            .map(|(t, at)| (*t, *at))
            .collect();
        for (standing, at) in waiting {
            self.standing.remove(&standing);
            let steps = standing == thread && motion == Motion::Step;
            let event = match self.pass_site(standing, at)? {
                Past::Event(event) => event,
                Past::Done if steps => TargetEvent {
                    thread,
                    what: Happening::Stepped,
                },
                Past::Done | Past::Ready => continue,
            };
            let stepped = event.what == Happening::Stepped && event.thread == standing;
            if !stepped || steps {
                return Ok(event);
            }
        }
        self.live()?.resume(resume)?;
        loop {
            let event = self.live()?.wait_for_one()?;
            if let Happening::Breakpoint(at) = event.what
                && self.is_passed_over(thread, event.thread, at, goals)
                && self.live()?.pass_breakpoint(event.thread)? != Passed::Cannot
            {
                self.live()?.go_on(resume, event.thread)?;
                continue;
            }
            if let Happening::Syscall { number, .. } = event.what
                && !self.wants_syscall(number)
            {
                self.live()?.go_on(resume, event.thread)?;
                continue;
            }
            self.live()?.stop()?;
            return Ok(event);
        }
    }

    /// Leads a thread past the site that it stands on.
    fn pass_site(&mut self, thread: ThreadId, at: Address) -> Result<Past> {
        if self.sites.at(at).is_empty() {
            return Ok(Past::Ready);
        }
        let target = self.live()?;
        match target.registers(thread) {
            Ok(registers) if registers.pc() == at => {}
            _ => return Ok(Past::Ready),
        }
        let signal = target.signal(thread);
        if signal.is_some_and(|s| s.signal.is_fault() && s.code > 0) {
            // The instruction itself raised it; its handler comes first.
            return Ok(Past::Ready);
        }
        Ok(match target.pass_breakpoint(thread)? {
            Passed::Ready => Past::Ready,
            Passed::Done => Past::Done,
            Passed::Cannot => Past::Event(self.step_over_site(thread, at)?),
        })
    }

    /// Executes the one instruction beneath a site with the site taken out, all
    /// other threads standing still.
    fn step_over_site(&mut self, thread: ThreadId, at: Address) -> Result<TargetEvent> {
        let target = self.live()?;
        let signal = target.signal(thread);
        // Any signal may as well arrive one instruction later.
        target.set_signal(thread, None)?;
        target.remove_breakpoint(at)?;
        let stepped = target
            .resume(Resume {
                thread,
                motion: Motion::Step,
                others_run: false,
            })
            .and_then(|()| target.wait());
        if let Ok(event) = &stepped
            && !matches!(event.what, Happening::Exited(_) | Happening::Killed(_))
        {
            let _ = target.insert_breakpoint(at);
            if let Some(SignalInfo { signal, .. }) = signal
                && target.signal(thread).is_none()
            {
                let _ = target.set_signal(thread, Some(signal));
            }
        }
        Ok(stepped?)
    }

    /// Says what an event means.
    fn judge(
        &mut self,
        thread: ThreadId,
        event: &TargetEvent,
        goals: &[Goal],
        events: Events<'_>,
    ) -> Result<Verdict> {
        let stop = |reason| Ok(Verdict::Stop(Outcome::Stop(event.thread, reason)));
        match &event.what {
            Happening::Breakpoint(at) => self.at_site(thread, event.thread, *at, goals, events),
            Happening::Stepped => self.after_step(thread, event.thread, goals, events),
            Happening::Signal(info) => self.signalled(event.thread, info, events),
            Happening::Watchpoint(fired) => {
                self.after_access(thread, event.thread, *fired, goals, events)
            }
            Happening::Interrupted => stop(StopReason::Interrupted),
            Happening::ThreadEnded(_) => stop(StopReason::ThreadEnded),
            Happening::Executed(path) => {
                self.sites.clear();
                self.armed.clear();
                self.standing.clear();
                self.calls.clear();
                self.forget_image();
                self.select(event.thread);
                events(Event::Started {
                    process: self.live()?.process(),
                    program: path.clone(),
                    how: Began::Executed,
                });
                self.take_in_process(path, events)?;
                match self.catches(|c| matches!(c, crate::command::Catch::Exec)) {
                    Some(id) => stop(StopReason::Caught(id, "exec'd".to_owned())),
                    None => Ok(Verdict::GoOn),
                }
            }
            Happening::Forked { child, vfork } => self.forked(event.thread, *child, *vfork, events),
            Happening::Syscall { number, result } => self.syscall(event.thread, *number, *result),
            Happening::Exited(status) => {
                let process = self.live()?.process();
                let status = *status;
                self.set_own_variable("_exitcode", Value::int(status));
                self.process_ended();
                events(Event::Exited { process, status });
                Ok(Verdict::Stop(Outcome::Gone))
            }
            Happening::Killed(signal) => {
                let process = self.live()?.process();
                let signal = *signal;
                self.set_own_variable("_exitsignal", Value::int(signal.0));
                self.process_ended();
                events(Event::Killed { process, signal });
                Ok(Verdict::Stop(Outcome::Gone))
            }
        }
    }

    /// A thread is at a site.
    fn at_site(
        &mut self,
        thread: ThreadId,
        here: ThreadId,
        at: Address,
        goals: &[Goal],
        events: Events<'_>,
    ) -> Result<Verdict> {
        self.standing.insert(here, at);
        let reasons = self.sites.at(at).to_vec();
        if reasons.contains(&Reason::Libraries) {
            let before = self.library_names();
            self.refresh_libraries(events)?;
            let after = self.library_names();
            let only = |these: &[String], those: &[String]| -> Vec<String> {
                let new = these.iter().filter(|name| !those.contains(name));
                new.cloned().collect()
            };
            let (loaded, gone) = (only(&after, &before), only(&before, &after));
            if !self.quiet
                && let Some(reason) = self.library_stop(&loaded, &gone)
            {
                return Ok(Verdict::Stop(Outcome::Stop(here, reason)));
            }
        }
        self.take_in_announced(at, events)?;
        let sp = self.live()?.registers(here)?.sp();
        if reasons.contains(&Reason::CallReturn)
            && let Some(call) = self.call_returning(here, at, sp)
        {
            return Ok(Verdict::Stop(Outcome::Returned(call)));
        }
        if !self.quiet
            && let Some(reason) = self.user_hits(here, &reasons, events)?
        {
            return Ok(Verdict::Stop(Outcome::Stop(here, reason)));
        }
        if here == thread && goals.iter().any(|goal| goal.is_reached(at, sp)) {
            return Ok(Verdict::Moved);
        }
        Ok(Verdict::GoOn)
    }

    /// A thread has executed one instruction. Standing on a breakpoint now is
    /// as good as hitting it.
    fn after_step(
        &mut self,
        thread: ThreadId,
        here: ThreadId,
        goals: &[Goal],
        events: Events<'_>,
    ) -> Result<Verdict> {
        let hits = self.software_watches(here, events)?;
        if !hits.is_empty() {
            return self.stop_of_watches(thread, here, hits, goals, events);
        }
        let moves = here == thread && !self.by_steps;
        let pc = self.live()?.registers(here)?.pc();
        if !self.sites.at(pc).is_empty() {
            return match self.at_site(thread, here, pc, goals, events)? {
                Verdict::GoOn if moves => Ok(Verdict::Moved),
                verdict => Ok(verdict),
            };
        }
        Ok(match moves {
            true => Verdict::Moved,
            false => Verdict::GoOn,
        })
    }

    /// Debug registers stopped a thread after an instruction that accessed what
    /// they watch.
    fn after_access(
        &mut self,
        thread: ThreadId,
        here: ThreadId,
        fired: Fired,
        goals: &[Goal],
        events: Events<'_>,
    ) -> Result<Verdict> {
        let mut hits = self.hardware_watches(here, fired, events)?;
        if fired.stepped {
            if hits.is_empty() {
                return self.after_step(thread, here, goals, events);
            }
            hits.extend(self.software_watches(here, events)?);
            hits.sort_by_key(|hit| hit.id);
        }
        match hits.is_empty() {
            true => Ok(Verdict::GoOn),
            false => self.stop_of_watches(thread, here, hits, goals, events),
        }
    }

    /// The stop that changes of what is watched are. A breakpoint where the
    /// thread is now is hit as well: it will not be asked about again.
    fn stop_of_watches(
        &mut self,
        thread: ThreadId,
        here: ThreadId,
        hits: Vec<WatchHit>,
        goals: &[Goal],
        events: Events<'_>,
    ) -> Result<Verdict> {
        let pc = self.live()?.registers(here)?.pc();
        let also = match self.sites.at(pc).is_empty() {
            true => None,
            false => match self.at_site(thread, here, pc, goals, events)? {
                Verdict::Stop(Outcome::Stop(_, reason)) => Some(Box::new(reason)),
                _ => None,
            },
        };
        let reason = StopReason::Watchpoints(hits, also);
        Ok(Verdict::Stop(Outcome::Stop(here, reason)))
    }

    /// The user's reasons among those of a site: the first that counts.
    fn user_hits(
        &mut self,
        here: ThreadId,
        reasons: &[Reason],
        events: Events<'_>,
    ) -> Result<Option<StopReason>> {
        let mut first = None;
        for reason in reasons {
            let stop = match reason {
                Reason::User(id) | Reason::Hardware(id) if self.counts(*id, here, events)? => {
                    match self.prints(*id, here, events)? {
                        true => None,
                        false => Some(self.stop_of(*id)),
                    }
                }
                Reason::Scope(id) => self.scope_ended(*id, here)?,
                _ => None,
            };
            first = first.or(stop);
        }
        Ok(first)
    }

    /// Whether a hit of a breakpoint is a stop: thread, condition and ignore
    /// count say so.
    pub(super) fn counts(
        &mut self,
        id: BreakpointId,
        here: ThreadId,
        events: Events<'_>,
    ) -> Result<bool> {
        let number = self.threads.number(here);
        let Some(breakpoint) = self.breakpoints.get(id) else {
            return Ok(false);
        };
        if breakpoint.thread.is_some_and(|only| only != number) {
            return Ok(false);
        }
        if let Some(condition) = breakpoint.condition.clone() {
            match self.condition_holds(here, &condition) {
                Ok(false) => return Ok(false),
                Ok(true) => {}
                Err(error) => events(Event::Warning(format!(
                    "Error in testing condition for breakpoint {id}:\n{error}"
                ))),
            }
        }
        let Some(breakpoint) = self.breakpoints.get_mut(id) else {
            return Ok(false);
        };
        breakpoint.hits += 1;
        if breakpoint.ignore > 0 {
            breakpoint.ignore -= 1;
            return Ok(false);
        }
        self.hit.insert(id);
        if let Some(left) = &mut breakpoint.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                breakpoint.left = None;
                breakpoint.enabled = false;
                self.remove_sites(id);
            }
        }
        Ok(true)
    }

    /// A signal arrived: the table says what becomes of it.
    fn signalled(
        &mut self,
        thread: ThreadId,
        info: &SignalInfo,
        events: Events<'_>,
    ) -> Result<Verdict> {
        let row = self.signals.get(info.signal);
        if !row.pass {
            self.live()?.set_signal(thread, None)?;
        }
        let signal = info.signal;
        let caught = self.catches(|c| match c {
            crate::command::Catch::Signals(these) => these.is_empty() || these.contains(&signal),
            _ => false,
        });
        if let Some(id) = caught {
            let what = format!("signal {signal}");
            return Ok(Verdict::Stop(Outcome::Stop(
                thread,
                StopReason::Caught(id, what),
            )));
        }
        if row.stop {
            let reason = StopReason::Signal(signal, info.address);
            return Ok(Verdict::Stop(Outcome::Stop(thread, reason)));
        }
        if row.print {
            let view = self.thread_view(thread);
            events(Event::SignalPassed {
                thread: view,
                signal,
            });
        }
        Ok(Verdict::GoOn)
    }

    fn forked(
        &mut self,
        thread: ThreadId,
        child: crate::target::ProcessId,
        vfork: bool,
        events: Events<'_>,
    ) -> Result<Verdict> {
        let followed = self.settings.follow_child;
        let target = self.live()?;
        let now = target.process();
        let parent = if followed {
            crate::target::ProcessId(thread.0)
        } else {
            now
        };
        events(Event::Forked {
            parent,
            child,
            followed,
        });
        if followed {
            self.standing.clear();
            self.threads.clear();
            let first = self.live()?.threads().first().copied();
            if let Some(first) = first {
                self.select(first);
            }
        }
        let caught = self.catches(|c| match c {
            crate::command::Catch::Fork => !vfork,
            crate::command::Catch::Vfork => vfork,
            _ => false,
        });
        Ok(match caught {
            Some(id) => {
                let what = if vfork { "vforked" } else { "forked" };
                let what = format!("{what} process {child}");
                let here = self.thread()?;
                Verdict::Stop(Outcome::Stop(here, StopReason::Caught(id, what)))
            }
            None => Verdict::GoOn,
        })
    }

    /// Tells the user of a stop, and shows what is displayed at stops.
    pub(super) fn report(
        &mut self,
        thread: ThreadId,
        reason: StopReason,
        show_frame: bool,
        events: Events<'_>,
    ) -> Result<()> {
        let switched = self.selected.is_some_and(|before| before != thread);
        // After a step the stack was looked at already.
        if reason != StopReason::Stepped || self.selected != Some(thread) || self.level != 0 {
            self.select(thread);
        }
        self.listing.restart();
        if !matches!(reason, StopReason::Stepped | StopReason::Attached) {
            let at = self.live()?.registers(thread)?.pc();
            self.hide_calls(thread, at);
        }
        self.number_threads();
        let reason = self.within_call(thread, reason);
        self.last_stop = Some(reason.clone());
        let frame = self.frame_view(0)?;
        let source = self.frame_source(&frame);
        self.warn_of_newer(frame.pc, source.as_ref(), events);
        let mut hit = std::mem::take(&mut self.hit);
        if let StopReason::Caught(id, _) = &reason {
            hit.insert(*id);
        }
        let hit: Vec<Breakpoint> = hit
            .iter()
            .filter_map(|id| self.breakpoints.get(*id).cloned())
            .collect();
        let is_silent = |b: &Breakpoint| b.commands.first().is_some_and(|first| first == "silent");
        let silent = hit.iter().any(is_silent);
        if !silent {
            let thread = self.brief_thread_view(thread);
            let place = match &reason {
                StopReason::Breakpoint(id, _) => self.breakpoints.get(*id).and_then(|b| {
                    let here = b.places.iter().position(|p| p.address == frame.pc)?;
                    (b.places.len() > 1).then_some(here as u32 + 1)
                }),
                _ => None,
            };
            events(Event::Stopped(Stopped {
                thread,
                switched,
                place,
                reason,
                frame,
                show_frame,
                source,
            }));
        }
        for breakpoint in hit.iter().filter(|b| b.temporary) {
            self.remove_breakpoint(breakpoint.id);
            events(Event::BreakpointGone(breakpoint.id));
        }
        if !silent {
            self.show_displays(events);
        }
        let commands = hit.into_iter().flat_map(|b| b.commands);
        self.queue_commands(&commands.collect::<Vec<_>>());
        Ok(())
    }

    /// Tells the user of an outcome.
    pub(super) fn conclude(&mut self, outcome: Outcome, events: Events<'_>) -> Result<()> {
        match outcome {
            Outcome::Stop(thread, reason) => self.report(thread, reason, true, events),
            Outcome::Arrived => {
                let thread = self.thread()?;
                self.report(thread, StopReason::Arrived, true, events)
            }
            Outcome::Returned(call) => self.call_done(call, events),
            Outcome::Gone => Ok(()),
        }
    }

    /// Drives, and tells the user how it ended.
    pub(super) fn drive_and_conclude(&mut self, plan: Plan, events: Events<'_>) -> Result<()> {
        let thread = self.thread()?;
        let outcome = self.drive(thread, plan, events)?;
        self.conclude(outcome, events)
    }
}
