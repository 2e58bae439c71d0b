//! Keeping modules and breakpoints in step with what is loaded.
//!
//! Adding a module never looks at another: breakpoints are resolved against
//! the modules that came since they were last resolved, and against no others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_dwarf::{ModuleId, ModuleKind};

use super::announced::Announcers;
use super::hooks::Hooks;
use super::{Debugger, Events};
use crate::breakpoint::{BreakpointId, Change, Reason, Wish};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::libraries::{self, Library};
use crate::loader;
use crate::target::{Access, Address, TargetError};

/// Where Linux puts a position-independent executable when it places nothing
/// at random. A guess, made so that what is looked up before the program runs
/// need not be looked up again.
const USUAL_BIAS: u64 = 0x5555_5555_4000;

/// What the dynamic linker calls whenever its list changes.
const RENDEZVOUS: [&str; 2] = ["_dl_debug_state", "dl_debug_state"];

/// Where a linker puts what tells one build from another.
const BUILD_ID: &str = ".note.gnu.build-id";

/// The largest vdso there is, in pages.
const VDSO_PAGES: u64 = 16;

impl Debugger {
    /// `file`: chooses the program that `run` starts.
    pub fn choose_program(&mut self, path: &Path) -> Result<()> {
        if self.target.is_some() {
            return Err(Error::new(
                "A program is being debugged already; kill it first.",
            ));
        }
        let path = crate::native::find_program(path)?;
        let path = std::fs::canonicalize(&path)
            .map_err(|e| Error::new(format!("{}: {e}", path.display())))?;
        self.load_program(&path, None)?;
        self.program = Some(path);
        self.inputs.clear();
        self.resolve_new(&mut |_| {});
        Ok(())
    }

    /// Makes a file the program's module. Without a bias it is put where Linux
    /// is likely to put it.
    fn load_program(&mut self, path: &Path, bias: Option<u64>) -> Result<()> {
        let mut module = loader::open(path, ModuleKind::Executable, bias.unwrap_or(0))?;
        if bias.is_none() && module.is_position_independent() {
            module = loader::open(path, ModuleKind::Executable, USUAL_BIAS)?;
        }
        self.stamp = loader::stamp(path);
        self.compared.clear();
        if let Some(old) = self.executable.take() {
            self.remove_module(old);
        }
        self.executable = Some(Arc::make_mut(&mut self.modules).add(module));
        if let Some(folder) = path.parent() {
            self.sources.add_folder(folder);
        }
        self.sources.refresh();
        Ok(())
    }

    /// Reads the program's file again if it is another than the one that was read.
    pub(super) fn reread_changed(&mut self, events: Events<'_>) -> Result<()> {
        let Some(path) = self.program.clone() else {
            return Ok(());
        };
        if self.stamp.is_none() || loader::stamp(&path) == self.stamp {
            return Ok(());
        }
        events(Event::Text(format!(
            "`{}' has changed; re-reading symbols.\n",
            path.display()
        )));
        self.load_program(&path, None)?;
        self.resolve_new(&mut |_| {});
        Ok(())
    }

    /// Says so when a module's file is not the one that the process has loaded:
    /// their build ids differ. A core file says of itself which files were others.
    fn warn_of_other_build(&mut self, id: ModuleId, events: Events<'_>) {
        let (Some(module), Some(target)) = (self.modules.get(id), self.target.as_deref_mut())
        else {
            return;
        };
        if !target.can_run() {
            return;
        }
        let sections = module.sections();
        let note = sections.iter().find(|(name, _)| *name == BUILD_ID);
        let Some(range) = note.map(|(_, range)| range.clone()) else {
            return;
        };
        let Some(ours) = module.file_bytes(range.clone()) else {
            return;
        };
        let mut theirs = vec![0; ours.len()];
        if target.read(range.start, &mut theirs).is_ok() && theirs != ours {
            events(Event::Warning(format!(
                "{} is not the file that the process has loaded: it was changed since, and what is shown of it may be wrong",
                module.name().display()
            )));
        }
    }

    /// There is no executable any more.
    pub(super) fn forget_program(&mut self) {
        self.program = None;
        if let Some(old) = self.executable.take() {
            self.remove_module(old);
        }
    }

    /// Takes in a process whose executable is nobody's business.
    pub(super) fn take_in_ground(&mut self, events: Events<'_>) -> Result<()> {
        self.forget_process_modules();
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        self.ground = libraries::ground(target);
        self.take_in_vdso();
        self.take_in_interpreter();
        self.refresh_libraries(events)
    }

    /// Takes in a process that has just been started, attached to, or has
    /// executed another program: where its modules are, and what stands in it.
    pub(super) fn take_in_process(&mut self, path: &Path, events: Events<'_>) -> Result<()> {
        self.forget_process_modules();
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        self.ground = libraries::ground(target);
        self.place_program(path)?;
        if let Some(id) = self.executable {
            self.warn_of_other_build(id, events);
        }
        self.take_in_vdso();
        self.place_user_sites(events);
        self.take_in_interpreter();
        self.refresh_libraries(events)?;
        self.watch_new_process();
        Ok(())
    }

    /// Makes sure that the program's module is where the process has it.
    fn place_program(&mut self, path: &Path) -> Result<()> {
        let known = self.executable.and_then(|id| self.modules.get(id));
        let same = known.filter(|module| module.name() == path);
        let bias = match (same, self.ground.entry) {
            (Some(module), Some(entry)) => match module.entry() {
                Some(here) if here == entry => return Ok(()),
                Some(here) => module.bias().wrapping_add(entry.0.wrapping_sub(here.0)),
                None => module.bias(),
            },
            (None, Some(entry)) => {
                let module = loader::open(path, ModuleKind::Executable, 0)?;
                module
                    .entry()
                    .map_or(0, |here| entry.0.wrapping_sub(here.0))
            }
            (_, None) => 0,
        };
        self.load_program(path, Some(bias))
    }

    fn take_in_vdso(&mut self) {
        let (Some(at), Some(target)) = (self.ground.vdso, self.target.as_deref_mut()) else {
            return;
        };
        let mut bytes = Vec::new();
        for page in 0..VDSO_PAGES {
            let mut piece = vec![0; 4096];
            if target.read(at.add(page * 4096), &mut piece).is_err() {
                break;
            }
            bytes.extend(piece);
        }
        // A vdso is linked at 0, or at an address that its own entry tells; the
        // kernels of today do the former.
        let name = Path::new("linux-vdso.so.1");
        if let Ok(module) = loader::open_bytes(name, ModuleKind::Vdso, bytes, at.0) {
            Arc::make_mut(&mut self.modules).add(module);
        }
    }

    /// The dynamic linker is there before any list of libraries is, and says
    /// where it will announce the list.
    fn take_in_interpreter(&mut self) {
        let Some(base) = self.ground.interpreter else {
            return;
        };
        let program = self.executable.and_then(|id| self.modules.get(id));
        let asked = program.and_then(|p| p.interpreter().map(Path::to_owned));
        let Some(path) = asked.or_else(|| self.mapped_at(base)) else {
            return;
        };
        let Ok(module) = loader::open(&path, ModuleKind::Library, base.0) else {
            return;
        };
        let announces = RENDEZVOUS
            .iter()
            .find_map(|name| module.symbol_named(name).map(|s| s.address));
        let id = Arc::make_mut(&mut self.modules).add(module);
        let library = Library {
            bias: base.0,
            name: path,
            dynamic: Address(0),
        };
        self.libraries.push((library, Some(id)));
        if let Some(at) = announces {
            let change = self.sites.add(at, Reason::Libraries);
            let _ = self.apply(change);
        }
    }

    /// The file that is mapped at an address.
    fn mapped_at(&mut self, at: Address) -> Option<PathBuf> {
        let mappings = self.live().ok()?.mappings().ok()?;
        let found = mappings.into_iter().find(|m| m.start == at)?;
        found.name.starts_with('/').then(|| found.name.into())
    }

    /// Reads the dynamic linker's list, opens what is new, closes what is gone,
    /// and arms breakpoints in what is new.
    pub(super) fn refresh_libraries(&mut self, events: Events<'_>) -> Result<()> {
        let target = self.live()?;
        if let Some(at) = libraries::rendezvous(target)
            && let Ok(Some(listed)) = libraries::list(target, at)
        {
            self.take_in_list(listed, events);
        }
        self.resolve_new(events);
        self.hear_announcers(events)
    }

    /// The paths of the libraries that are loaded.
    pub(super) fn library_names(&self) -> Vec<String> {
        let names = self.libraries.iter().map(|(library, _)| &library.name);
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    fn take_in_list(&mut self, listed: Vec<Library>, events: Events<'_>) {
        let vdso = self.ground.vdso.map(|at| at.0);
        let interpreter = self.ground.interpreter.map(|at| at.0);
        let is_same = |known: &Library, library: &Library| {
            known == library || (known.bias == library.bias && Some(known.bias) == interpreter)
        };
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.libraries)
            .into_iter()
            .partition(|(known, _)| listed.iter().any(|library| is_same(known, library)));
        self.libraries = kept;
        for (_, id) in gone {
            if let Some(id) = id {
                self.remove_module(id);
            }
        }
        let new: Vec<Library> = listed
            .into_iter()
            .filter(|library| Some(library.bias) != vdso)
            .filter(|library| {
                !self
                    .libraries
                    .iter()
                    .any(|(known, _)| is_same(known, library))
            })
            .collect();
        // One that was built again while nobody had it loaded has new sources.
        if !new.is_empty() {
            self.sources.refresh();
        }
        for library in new {
            let id = match loader::open(&library.name, ModuleKind::Library, library.bias) {
                Ok(module) => {
                    let id = Arc::make_mut(&mut self.modules).add(module);
                    self.warn_of_other_build(id, events);
                    Some(id)
                }
                Err(error) => {
                    events(Event::Warning(error.to_string()));
                    None
                }
            };
            self.libraries.push((library, id));
        }
    }

    /// Takes a module out, and the places of breakpoints in it.
    pub(super) fn remove_module(&mut self, id: ModuleId) {
        self.announcers.forget(id);
        let Some(ranges) = Arc::make_mut(&mut self.modules).remove(id) else {
            return;
        };
        let inside = |at: Address| ranges.iter().any(|range| range.contains(&at));
        let ids: Vec<BreakpointId> = self.breakpoints.iter().map(|b| b.id).collect();
        for id in ids {
            let breakpoint = self.breakpoints.get_mut(id).expect("just listed");
            let reason = breakpoint.reason();
            let lost: Vec<Address> = breakpoint
                .places
                .extract_if(.., |place| inside(place.address))
                .map(|place| place.address)
                .collect();
            for at in lost {
                let change = self.sites.remove(at, reason);
                let _ = self.apply(change);
            }
        }
        self.stack = None;
    }

    /// Forgets every module but the program's: they were the process's.
    pub(super) fn forget_process_modules(&mut self) {
        let others: Vec<ModuleId> = self
            .modules
            .ids()
            .filter(|id| Some(*id) != self.executable)
            .collect();
        for id in others {
            self.remove_module(id);
        }
        self.libraries.clear();
        self.hooks = Hooks::default();
        self.announcers = Announcers::default();
        self.unwinder = Default::default();
    }

    /// Resolves breakpoints against the modules that came since last time.
    pub(super) fn resolve_new(&mut self, events: Events<'_>) {
        let from = std::mem::replace(&mut self.resolved, self.modules.added());
        if from == self.modules.added() {
            return;
        }
        let ids: Vec<BreakpointId> = self
            .breakpoints
            .iter()
            .filter(|b| !matches!(b.wish, Wish::Watch(_)))
            .map(|b| b.id)
            .collect();
        for id in ids {
            let was_pending = self.breakpoints.get(id).is_some_and(|b| b.is_pending());
            let found = self.places_since(id, from);
            if !found.is_empty() && self.add_places(id, found) && was_pending {
                let view = self.breakpoint_view(id).expect("it is there");
                let breakpoint = self.breakpoints.get_mut(id);
                let is_news = breakpoint.is_some_and(|b| {
                    let told = b.announced;
                    b.announced |= self.target.is_some();
                    !told
                });
                if self.target.is_some() && is_news {
                    events(Event::BreakpointArmed(view));
                }
            }
        }
    }

    /// Does in the target what a change of the sites asks for.
    pub(super) fn apply(&mut self, change: Option<Change>) -> Result<(), TargetError> {
        let Some(target) = self.target.as_deref_mut() else {
            return Ok(());
        };
        match change {
            Some(Change::Insert(at)) => target.insert_breakpoint(at),
            Some(Change::Remove(at)) => target.remove_breakpoint(at),
            Some(Change::Arm(at)) => {
                let what = TargetError::Unsupported("stop at addresses by hardware");
                let slot = target
                    .watchpoints()
                    .ok_or(what)?
                    .watch(at, 1, Access::Execute)?;
                self.armed.insert(at, slot);
                Ok(())
            }
            Some(Change::Disarm(at)) => match (self.armed.remove(&at), target.watchpoints()) {
                (Some(slot), Some(hardware)) => hardware.unwatch(slot),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}
