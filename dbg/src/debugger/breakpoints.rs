//! Commands about breakpoints.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Debugger, Events};
use crate::breakpoint::{Breakpoint, BreakpointId, Place, Reason, Wish};
use crate::command::{Lasting, Spec, WatchKind};
use crate::error::{Error, Result};
use crate::event::{BreakpointView, Event, PlaceView};
use crate::target::{Address, TargetError};

fn view_of_place(place: &Place) -> PlaceView {
    PlaceView {
        address: place.address,
        function: place.function.clone(),
        file: place.file.clone(),
        line: place.line,
    }
}

/// Why a breakpoint cannot be had in a debug register.
fn no_register(id: BreakpointId) -> Error {
    Error::new(format!(
        "Could not insert hardware breakpoint {id}.\nAll four debug registers are in use by hardware breakpoints and watchpoints."
    ))
}

fn addresses_armed(armed: &BTreeMap<Address, u8>, all: &[Address]) -> bool {
    all.iter().all(|at| armed.contains_key(at))
}

/// How a breakpoint is to stop.
#[derive(Default)]
pub(super) struct Wanted {
    /// It goes away when it is hit.
    pub temporary: bool,
    /// It stands in a debug register.
    pub hardware: bool,
    pub condition: Option<String>,
    /// Stops only this thread, by the debugger's number.
    pub thread: Option<u32>,
    /// It only prints this.
    pub template: Option<String>,
}

/// The commands that set a breakpoint again.
fn as_commands(b: &Breakpoint) -> String {
    let word = |full: &str| match b.temporary {
        true => format!("t{full}"),
        false => full.to_owned(),
    };
    let kind = if b.hardware { "hbreak" } else { "break" };
    let mut text = match &b.wish {
        Wish::Place(spec) => match &b.template {
            Some(template) => format!("dprintf {spec},{template}"),
            None => format!("{} {spec}", word(kind)),
        },
        Wish::Watch(watch) => {
            let word = match watch.kind {
                WatchKind::Write => "watch",
                WatchKind::Read => "rwatch",
                WatchKind::Access => "awatch",
            };
            format!("{word} {}", watch.expression)
        }
        Wish::Catch(what) => format!("{} {}", word("catch"), super::info::catch_text(what)),
    };
    if let Some(thread) = b.thread {
        text.push_str(&format!(" thread {thread}"));
    }
    match (&b.condition, &b.wish) {
        (Some(condition), Wish::Place(_)) if b.template.is_none() => {
            text.push_str(&format!(" if {condition}\n"));
        }
        (Some(condition), _) => text.push_str(&format!("\ncondition $bpnum {condition}\n")),
        _ => text.push('\n'),
    }
    if !b.commands.is_empty() {
        text.push_str("commands\n");
        for command in &b.commands {
            text.push_str(&format!("  {command}\n"));
        }
        text.push_str("end\n");
    }
    text
}

impl Debugger {
    /// `break`, `tbreak`, `hbreak`, `thbreak`.
    pub(super) fn set_breakpoint(
        &mut self,
        at: Spec,
        wanted: Wanted,
        events: Events<'_>,
    ) -> Result<()> {
        let spec = self.absolute(&at)?;
        let places = self.places(&spec)?;
        let wish = Wish::Place(spec.clone());
        let breakpoint = self.breakpoints.add(wish, wanted.temporary);
        breakpoint.hardware = wanted.hardware;
        breakpoint.condition = wanted.condition;
        breakpoint.thread = wanted.thread;
        breakpoint.template = wanted.template;
        let id = breakpoint.id;
        if places.is_empty() {
            let why = self.nothing_matches(&spec).to_string();
            let view = self.breakpoint_view(id)?;
            events(Event::BreakpointPending(view, why));
            return Ok(());
        }
        let asked = match &spec {
            Spec::Line { line, .. } => *line,
            _ => 0,
        };
        let moved = places
            .iter()
            .map(|p| p.line)
            .find(|l| asked != 0 && *l != asked);
        for place in &places {
            if let Some(note) = self.others_there(id, place) {
                events(Event::Text(note));
            }
        }
        if let Err(error) = self.insert_places(id, places) {
            self.breakpoints.remove(id);
            return Err(error);
        }
        events(Event::BreakpointSet(self.breakpoint_view(id)?));
        if let Some(breakpoint) = self.breakpoints.get_mut(id) {
            breakpoint.announced = true;
        }
        if let Some(line) = moved {
            events(Event::Warning(format!(
                "line {asked} has no code; the breakpoint is at line {line}"
            )));
        }
        Ok(())
    }

    /// Which other breakpoints stand where one is set, in a line.
    fn others_there(&self, id: BreakpointId, place: &Place) -> Option<String> {
        let others = self.breakpoints.iter().filter(|b| b.id != id);
        let there = others.filter(|b| b.places.iter().any(|p| p.address == place.address));
        let names: Vec<String> = there
            .map(|b| match b.enabled {
                true => b.id.to_string(),
                false => format!("{} (disabled)", b.id),
            })
            .collect();
        let (last, before) = names.split_last()?;
        let (word, list) = match before {
            [] => ("breakpoint", last.clone()),
            before => ("breakpoints", format!("{} and {last}", before.join(", "))),
        };
        let at = place.address.0;
        Some(format!("Note: {word} {list} also set at pc {at:#x}.\n"))
    }

    fn insert_places(&mut self, id: BreakpointId, places: Vec<Place>) -> Result<()> {
        let addresses: Vec<_> = places.iter().map(|p| p.address).collect();
        self.add_places(id, places);
        let Some(target) = self.target.as_deref_mut() else {
            return Ok(());
        };
        for &at in &addresses {
            let mut byte = [0];
            if target.read(at, &mut byte).is_err() {
                self.remove_sites(id);
                return Err(Error::new(format!(
                    "Cannot insert breakpoint {id}.\nCannot access memory at address {:#x}",
                    at.0
                )));
            }
        }
        let hardware = self.breakpoints.get(id).is_some_and(|b| b.hardware);
        if hardware && !addresses_armed(&self.armed, &addresses) {
            self.remove_sites(id);
            return Err(no_register(id));
        }
        Ok(())
    }

    /// Puts a breakpoint at an address of the process.
    fn place_site(&mut self, at: Address, reason: Reason) -> Result<(), TargetError> {
        let change = self.sites.add(at, reason);
        let done = self.apply(change);
        if done.is_err() {
            self.sites.remove(at, reason);
        }
        done
    }

    /// Gives a breakpoint more places. Says whether any was new.
    pub(super) fn add_places(&mut self, id: BreakpointId, places: Vec<Place>) -> bool {
        let mut new = false;
        for place in places {
            let Some(breakpoint) = self.breakpoints.get_mut(id) else {
                return new;
            };
            if breakpoint.places.iter().any(|p| p.address == place.address) {
                continue;
            }
            let (at, enabled) = (place.address, breakpoint.enabled);
            let reason = breakpoint.reason();
            let after = breakpoint.places.partition_point(|p| p.address < at);
            breakpoint.places.insert(after, place);
            new = true;
            if enabled && self.target.is_some() {
                // One that cannot be placed has a place without effect.
                let _ = self.place_site(at, reason);
            }
        }
        new
    }

    /// Puts every enabled breakpoint's places into a new process.
    pub(super) fn place_user_sites(&mut self, events: Events<'_>) {
        let all: Vec<(BreakpointId, Reason, Vec<Place>)> = self
            .breakpoints
            .iter()
            .filter(|b| b.enabled)
            .map(|b| (b.id, b.reason(), b.places.clone()))
            .collect();
        for (id, reason, places) in all {
            for place in places {
                match self.place_site(place.address, reason) {
                    Ok(()) => {}
                    Err(_) if matches!(reason, Reason::Hardware(_)) => {
                        events(Event::Warning(no_register(id).to_string()));
                    }
                    Err(error) => {
                        events(Event::Warning(format!("breakpoint {id}: {error}")));
                    }
                }
            }
        }
    }

    /// Takes a breakpoint's reasons to stop back.
    pub(super) fn remove_sites(&mut self, id: BreakpointId) {
        let mine = |reason: Reason| reason.of_user() == Some(id) || reason == Reason::Scope(id);
        for change in self.sites.remove_all(mine) {
            let _ = self.apply(Some(change));
        }
    }

    /// Takes those back that a disabled breakpoint has not.
    fn remove_user_sites(&mut self, id: BreakpointId) {
        for change in self.sites.remove_all(|reason| reason.of_user() == Some(id)) {
            let _ = self.apply(Some(change));
        }
    }

    fn existing(&mut self, id: u32) -> Result<&mut Breakpoint> {
        self.breakpoints
            .get_mut(BreakpointId(id))
            .ok_or_else(|| Error::new(format!("No breakpoint number {id}.")))
    }

    /// Takes a breakpoint out, wherever it stands.
    pub(super) fn remove_breakpoint(&mut self, id: BreakpointId) {
        self.remove_sites(id);
        self.free_slots(id);
        self.breakpoints.remove(id);
    }

    /// `delete`.
    pub(super) fn delete(&mut self, ids: &[u32], events: Events<'_>) -> Result<()> {
        let ids: Vec<u32> = match ids {
            [] => self.breakpoints.iter().map(|b| b.id.0).collect(),
            ids => ids.to_vec(),
        };
        for id in ids {
            self.existing(id)?;
            self.remove_breakpoint(BreakpointId(id));
            events(Event::BreakpointGone(BreakpointId(id)));
        }
        Ok(())
    }

    /// `clear`.
    pub(super) fn clear(&mut self, at: &Spec, events: Events<'_>) -> Result<()> {
        let places = self.places(at)?;
        let there = |b: &&Breakpoint| {
            b.places
                .iter()
                .any(|mine| places.iter().any(|place| place.address == mine.address))
        };
        let ids: Vec<u32> = self
            .breakpoints
            .iter()
            .filter(there)
            .map(|b| b.id.0)
            .collect();
        if ids.is_empty() {
            return Err(Error::new(format!("No breakpoint at {at}.")));
        }
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        events(Event::Text(format!(
            "Deleted breakpoint {}\n",
            names.join(" ")
        )));
        self.delete(&ids, events)
    }

    /// `enable` and `disable`.
    pub(super) fn enable(&mut self, ids: &[u32], on: bool) -> Result<()> {
        let ids: Vec<u32> = match ids {
            [] => self.breakpoints.iter().map(|b| b.id.0).collect(),
            ids => ids.to_vec(),
        };
        for id in ids {
            let breakpoint = self.existing(id)?;
            if std::mem::replace(&mut breakpoint.enabled, on) == on {
                continue;
            }
            let (places, reason) = (breakpoint.places.clone(), breakpoint.reason());
            let id = BreakpointId(id);
            if on && self.target.is_some() {
                for place in places {
                    if let Err(error) = self.place_site(place.address, reason) {
                        self.remove_sites(id);
                        self.existing(id.0)?.enabled = false;
                        return Err(match reason {
                            Reason::Hardware(id) => no_register(id),
                            _ => error.into(),
                        });
                    }
                }
                self.watch_again(id);
            } else {
                self.free_slots(id);
                self.remove_user_sites(id);
            }
        }
        Ok(())
    }

    /// `enable once`, `enable delete`, `enable count`.
    pub(super) fn enable_for(&mut self, ids: &[u32], lasting: Lasting) -> Result<()> {
        self.enable(ids, true)?;
        let ids: Vec<u32> = match ids {
            [] => self.breakpoints.iter().map(|b| b.id.0).collect(),
            ids => ids.to_vec(),
        };
        for id in ids {
            let breakpoint = self.existing(id)?;
            match lasting {
                Lasting::Stops(count) => breakpoint.left = Some(count),
                Lasting::Delete => breakpoint.temporary = true,
            }
        }
        Ok(())
    }

    /// `rbreak`.
    pub(super) fn break_matching(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        let regex = regex_lite::Regex::new(text)
            .map_err(|e| Error::new(format!("Invalid regexp: {e}: {text}")))?;
        let program = self.executable.and_then(|id| self.modules.get(id));
        let names = program.map_or(Vec::new(), |module| module.function_names());
        let chosen: Vec<String> = names.into_iter().filter(|n| regex.is_match(n)).collect();
        if chosen.is_empty() {
            return Err(Error::new(format!("No function matches {text}.")));
        }
        for name in chosen {
            let spec = Spec::Function(name);
            if !self.places(&spec)?.is_empty() {
                self.set_breakpoint(spec, Wanted::default(), events)?;
            }
        }
        Ok(())
    }

    /// `save breakpoints`: commands that set them again.
    pub(super) fn save_breakpoints(&self, path: &Path, events: Events<'_>) -> Result<()> {
        let text: String = self.breakpoints.iter().map(as_commands).collect();
        if text.is_empty() {
            return Err(Error::new("Nothing to save."));
        }
        std::fs::write(path, text).map_err(|e| Error::new(format!("{}: {e}", path.display())))?;
        events(Event::Text(format!(
            "Saved to file '{}'.\n",
            path.display()
        )));
        Ok(())
    }

    /// `condition`.
    pub(super) fn condition(
        &mut self,
        id: u32,
        condition: Option<String>,
        events: Events<'_>,
    ) -> Result<()> {
        let breakpoint = self.existing(id)?;
        let gone = condition.is_none();
        breakpoint.condition = condition;
        if gone {
            let view = self.breakpoint_view(BreakpointId(id))?;
            let text = format!("Breakpoint {id} now unconditional.");
            events(Event::BreakpointChanged(view, text));
        }
        Ok(())
    }

    /// `ignore`.
    pub(super) fn ignore(&mut self, id: u32, count: u64, events: Events<'_>) -> Result<()> {
        self.existing(id)?.ignore = count;
        let view = self.breakpoint_view(BreakpointId(id))?;
        let text = match count {
            0 => format!("Will stop next time breakpoint {id} is reached."),
            1 => format!("Will ignore next crossing of breakpoint {id}."),
            n => format!("Will ignore next {n} crossings of breakpoint {id}."),
        };
        events(Event::BreakpointChanged(view, text));
        Ok(())
    }

    /// `commands`.
    pub(super) fn set_commands(&mut self, id: Option<u32>, commands: Vec<String>) -> Result<()> {
        let id = match id.or(self.breakpoints.newest().map(|id| id.0)) {
            Some(id) => id,
            None => return Err(Error::new("No breakpoints specified.")),
        };
        self.existing(id)?.commands = commands;
        Ok(())
    }

    /// A breakpoint as the user sees it.
    pub(super) fn breakpoint_view(&self, id: BreakpointId) -> Result<BreakpointView> {
        let breakpoint = self
            .breakpoints
            .get(id)
            .ok_or_else(|| Error::new(format!("No breakpoint number {id}.")))?;
        let (kind, spec) = match &breakpoint.wish {
            Wish::Place(spec) if breakpoint.template.is_some() => ("dprintf", spec.to_string()),
            Wish::Place(spec) if breakpoint.hardware => ("hw breakpoint", spec.to_string()),
            Wish::Place(spec) => ("breakpoint", spec.to_string()),
            Wish::Watch(watch) => {
                let kind = match (watch.kind, watch.in_hardware) {
                    (WatchKind::Read, _) => "read watchpoint",
                    (WatchKind::Access, _) => "acc watchpoint",
                    (WatchKind::Write, true) => "hw watchpoint",
                    (WatchKind::Write, false) => "watchpoint",
                };
                (kind, watch.expression.clone())
            }
            Wish::Catch(what) => ("catchpoint", super::info::catch_text(what)),
        };
        Ok(BreakpointView {
            id,
            kind,
            temporary: breakpoint.temporary,
            enabled: breakpoint.enabled,
            places: breakpoint.places.iter().map(view_of_place).collect(),
            spec,
            condition: breakpoint.condition.clone(),
            hits: breakpoint.hits,
            ignore: breakpoint.ignore,
            commands: match &breakpoint.template {
                Some(template) => vec![format!("printf {template}")],
                None => breakpoint.commands.clone(),
            },
            thread: breakpoint.thread,
        })
    }
}
