//! `replace`: another version of functions, put into the running program.
//!
//! The new code is appended like any other, and a jump to it is put at the old
//! function's entry, so that callers, stored pointers and tables of pointers go
//! to it; frames of the old one run on in the old code. Variables stay: those
//! that the program has already, static ones included, are the ones that the
//! new code uses. What was appended itself is the link session's to move; at
//! what is the program's or a library's, of which the session knows nothing, the
//! jump is put here, once: it leads to the first version in the image.
//!
//! Everything that can be refused is refused before anything is written: a
//! variable whose size changed, a function too short for a jump, a thread that
//! is, or will return, into bytes that the jump takes.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use sapwood_dwarf::{Module, ModuleKind, SymbolKind};
use sapwood_link::Generation;

use super::image::Input;
use super::{Debugger, Events};
use crate::breakpoint::BreakpointId;
use crate::error::{Error, Result};
use crate::eval::{Defines, Definition, SourceFile, definitions, put_at};
use crate::event::Event;
use crate::target::{Address, ThreadId};

/// `e9 rel32`: what reaches the image from the program.
const NEAR_JUMP: u64 = 5;
/// `ff 25 00000000 addr64`: what reaches everything.
const FAR_JUMP: u64 = 14;

/// A function that has another version.
#[derive(Clone, Debug)]
pub(super) struct Replaced {
    /// Its code; the first bytes are the jump now.
    pub range: Range<Address>,
    /// The newer version.
    pub by: Address,
}

/// A function to be replaced.
struct Old {
    name: String,
    is_static: bool,
    range: Range<Address>,
    jump: u64,
    in_image: bool,
}

/// What the program has under a definition's name.
struct Found {
    at: Address,
    size: u64,
    kind: SymbolKind,
    /// It lies in the reach of the image.
    is_near: bool,
    /// It is the image's.
    in_image: bool,
}

impl Debugger {
    /// `replace`.
    pub(super) fn replace(&mut self, files: &[PathBuf], events: Events<'_>) -> Result<()> {
        self.thread()
            .map_err(|_| Error::new("replace needs a running program: use run or start first."))?;
        let mut inputs = Vec::new();
        let mut olds = Vec::new();
        let mut variables = 0;
        for file in files {
            let name = file.display().to_string();
            let mut bytes = self.replacement(file, events)?;
            let failed = |why: String| Error::new(format!("{name}: {why}"));
            let defined = definitions(&bytes).map_err(failed)?;
            let mut kept = Vec::new();
            for definition in defined {
                let Some(found) = self.counterpart(&definition, file) else {
                    continue;
                };
                match definition.defines {
                    Defines::Function => olds.push(old(&definition, &found).map_err(failed)?),
                    Defines::Variable => {
                        same_shape(&definition, &found).map_err(failed)?;
                        kept.push((definition, found.at.0));
                    }
                    Defines::ThreadLocal => {
                        let why =
                            format!("cannot replace `{}`: it is thread-local", definition.name);
                        return Err(failed(why));
                    }
                }
            }
            variables += kept.len();
            put_at(&mut bytes, &kept).map_err(failed)?;
            inputs.push(Input::Object(name, bytes));
        }
        if olds.is_empty() {
            return Err(Error::new(
                "none of the functions is in the program; use load for new ones.",
            ));
        }
        let mut world = self.all_places()?;
        nobody_in(&world, &olds)?;
        // Old code stays whole: who is in it goes on by its own lines. So nothing
        // is written over it but the jump.
        let ends = olds
            .iter()
            .filter(|old| old.in_image)
            .map(|old| old.range.end);
        world.extend(ends.map(|end| (None, end)));
        let world: Vec<Address> = world.into_iter().map(|(_, at)| at).collect();
        let landed = self.publish_over(&inputs, &HashMap::new(), Some(&world), events)?;
        let done = self.jump_to_new(&olds, landed.generation)?;
        self.move_breakpoints(&done);
        let names: Vec<&str> = olds.iter().map(|old| &old.name[..]).collect();
        events(Event::Text(format!(
            "Replaced {}; {variables} variable{} kept.\n",
            names.join(", "),
            if variables == 1 { "" } else { "s" }
        )));
        self.stack = None;
        self.run_deferred(&landed.calls, events)
    }

    /// A file's object, each variable in a section of its own.
    fn replacement(&mut self, file: &Path, events: Events<'_>) -> Result<Vec<u8>> {
        let read = std::fs::read(file);
        let bytes = read.map_err(|e| Error::new(format!("{}: {e}", file.display())))?;
        if file.extension().is_some_and(|extension| extension == "o") {
            return Ok(bytes);
        }
        let object = self.compile(SourceFile::Sectioned(file))?;
        if !object.warnings.is_empty() {
            events(Event::Warning(object.warnings));
        }
        Ok(object.bytes)
    }

    /// What the program, a library or the image has under a name; the newest.
    fn counterpart(&self, definition: &Definition, file: &Path) -> Option<Found> {
        self.counterpart_in_image(definition, file).or_else(|| {
            let of = |kind: ModuleKind| {
                let mut modules = self.modules.opened();
                modules.find_map(|(_, module)| {
                    (module.kind() == kind)
                        .then(|| counterpart_in(module, definition, file))
                        .flatten()
                })
            };
            let program = of(ModuleKind::Executable);
            program.or_else(|| (!definition.is_static).then(|| of(ModuleKind::Library))?)
        })
    }

    fn counterpart_in_image(&self, definition: &Definition, file: &Path) -> Option<Found> {
        let view = self.image_view()?;
        let all = view.symbols_named(&definition.name).filter(|symbol| {
            let is_static = symbol.binding == sapwood_link::Binding::Local;
            let sapwood_link::Definition::Atom(atom, _) = symbol.definition else {
                return false;
            };
            let input = view.atom(atom).input.map(|input| view.input_name(input));
            let same = || input.is_some_and(|input| base(Path::new(input)) == base(file));
            is_static == definition.is_static && (!is_static || same())
        });
        let found = all.max_by_key(|symbol| symbol.generation)?;
        Some(Found {
            at: Address(found.address.get()),
            size: found.size,
            kind: match found.kind {
                sapwood_link::SymbolKind::Function => SymbolKind::Function,
                _ => SymbolKind::Data,
            },
            is_near: true,
            in_image: true,
        })
    }

    /// Every pc and return address of every thread, with the thread.
    fn all_places(&mut self) -> Result<Vec<(Option<ThreadId>, Address)>> {
        let (selected, level) = (self.selected, self.level);
        let mut places = Vec::new();
        for thread in self.live()?.threads() {
            self.selected = Some(thread);
            self.stack = None;
            for depth in 0.. {
                let Ok(frame) = self.frame_at(depth) else {
                    break;
                };
                places.push((Some(thread), frame.pc()));
            }
        }
        (self.selected, self.level) = (selected, level);
        self.stack = None;
        Ok(places)
    }

    /// Puts the jumps. On error those that are there already are taken back.
    fn jump_to_new(&mut self, olds: &[Old], generation: Generation) -> Result<Vec<Replaced>> {
        let view = self.image_view().expect("it was just published in");
        let mut done: Vec<(Replaced, Vec<u8>)> = Vec::new();
        for old in olds {
            let new = view.symbols_named(&old.name).find(|symbol| {
                symbol.generation == generation
                    && (symbol.binding == sapwood_link::Binding::Local) == old.is_static
                    && matches!(symbol.definition, sapwood_link::Definition::Atom(..))
            });
            let by = new.map(|symbol| Address(symbol.address.get()));
            let put = by
                .ok_or_else(|| Error::new(format!("the new {} is nowhere.", old.name)))
                .and_then(|by| {
                    let jump = jump(old.range.start, by, old.jump).ok_or_else(|| {
                        Error::new(format!("the new {} is out of a jump's reach.", old.name))
                    })?;
                    let range = old.range.clone();
                    if old.in_image {
                        return Ok((Replaced { range, by }, Vec::new()));
                    }
                    let mut before = vec![0; jump.len()];
                    let target = self.live()?;
                    target.read(old.range.start, &mut before)?;
                    target.write(old.range.start, &jump)?;
                    Ok((Replaced { range, by }, before))
                });
            match put {
                Ok(put) => done.push(put),
                Err(error) => {
                    for (replaced, before) in done.into_iter().rev() {
                        self.live()?.write(replaced.range.start, &before)?;
                    }
                    return Err(error);
                }
            }
        }
        let done: Vec<Replaced> = done.into_iter().map(|(replaced, _)| replaced).collect();
        self.replaced.extend(done.iter().cloned());
        Ok(done)
    }

    /// Breakpoints that stand in code nobody gets to any more, and have a place
    /// in the new code, leave the old.
    fn move_breakpoints(&mut self, done: &[Replaced]) {
        let is_old = |at: Address| done.iter().any(|replaced| replaced.range.contains(&at));
        let ids: Vec<BreakpointId> = self.breakpoints.iter().map(|b| b.id).collect();
        for id in ids {
            let breakpoint = self.breakpoints.get_mut(id).expect("just listed");
            if breakpoint.places.iter().all(|place| is_old(place.address)) {
                continue;
            }
            let reason = breakpoint.reason();
            let left: HashSet<Address> = breakpoint
                .places
                .extract_if(.., |place| is_old(place.address))
                .map(|place| place.address)
                .collect();
            for at in left {
                let change = self.sites.remove(at, reason);
                let _ = self.apply(change);
            }
        }
    }

    /// Whether nobody gets to an address any more, but frames that are there.
    pub(super) fn is_replaced(&self, at: Address) -> bool {
        self.replaced.iter().any(|one| one.range.contains(&at))
    }

    /// The newest version of a function whose old entry this is.
    pub(super) fn replaced_by(replaced: &[Replaced], at: Address) -> Option<Address> {
        let mut newest = replaced.iter().rev();
        newest.find(|one| one.range.start == at).map(|one| one.by)
    }
}

/// Makes sure that no thread is in the bytes that jumps will take.
fn nobody_in(places: &[(Option<ThreadId>, Address)], olds: &[Old]) -> Result<()> {
    for (thread, at) in places {
        // At the entry itself the jump is what comes next.
        let within = |old: &&Old| at.0 > old.range.start.0 && at.0 - old.range.start.0 < old.jump;
        if let (Some(thread), Some(old)) = (thread, olds.iter().find(within)) {
            return Err(Error::new(format!(
                "cannot replace {}: thread {thread} is at its very beginning ({:#x}); step on and \
                 try again.",
                old.name, at.0
            )));
        }
    }
    Ok(())
}

fn base(path: &Path) -> Option<&std::ffi::OsStr> {
    path.file_name()
}

fn counterpart_in(module: &Module, definition: &Definition, file: &Path) -> Option<Found> {
    let name = &definition.name[..];
    let of = |symbol: &sapwood_dwarf::Symbol<'_>| Found {
        at: symbol.address,
        size: symbol.size,
        kind: symbol.kind,
        is_near: module.kind() == ModuleKind::Executable,
        in_image: false,
    };
    let symbols = module.symbols_named(name);
    if !definition.is_static {
        let global = |s: &&sapwood_dwarf::Symbol<'_>| s.binding != sapwood_dwarf::Binding::Local;
        return symbols.iter().find(global).map(of);
    }
    let here = |path: Option<&Path>| path.and_then(base) == base(file);
    let entries: Vec<Address> = match definition.defines {
        Defines::Function => {
            let functions = module.functions(name);
            let own = functions.iter().filter(|f| here(f.file.as_deref()));
            own.filter_map(|f| f.entry).collect()
        }
        _ => Vec::new(),
    };
    let symbol = symbols
        .iter()
        .find(|symbol| entries.contains(&symbol.address));
    if let Some(symbol) = symbol {
        return Some(of(symbol));
    }
    if definition.defines == Defines::Function {
        return None;
    }
    // A file's static variable, or a function's, whose number may be another.
    let plain = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let wanted = plain(name);
    let is_numbered = name.contains('.');
    let globals = module.globals(&wanted);
    let declared = globals.iter().any(|global| here(global.file.as_deref()));
    if !is_numbered && !globals.is_empty() && !declared {
        return None;
    }
    let mut all = module.symbols().filter(|symbol| {
        symbol.kind == SymbolKind::Data
            && symbol.binding == sapwood_dwarf::Binding::Local
            && symbol.name.contains('.') == is_numbered
            && plain(symbol.name) == wanted
    });
    let first = all.next()?;
    // Of several of one name nobody can tell which is meant.
    all.next().is_none().then(|| of(&first))
}

fn old(definition: &Definition, found: &Found) -> std::result::Result<Old, String> {
    let name = &definition.name;
    if !matches!(found.kind, SymbolKind::Function | SymbolKind::Label) {
        return Err(format!(
            "cannot replace `{name}`: it is no function in the program"
        ));
    }
    let jump = if found.is_near { NEAR_JUMP } else { FAR_JUMP };
    if found.size < jump {
        return Err(format!(
            "cannot replace `{name}`: it has {} bytes, too few for a jump",
            found.size
        ));
    }
    Ok(Old {
        name: name.clone(),
        is_static: definition.is_static,
        range: found.at.range(found.size),
        jump,
        in_image: found.in_image,
    })
}

fn same_shape(definition: &Definition, found: &Found) -> std::result::Result<(), String> {
    let Definition { name, size, .. } = definition;
    match found.kind {
        SymbolKind::Data if found.size == *size => Ok(()),
        SymbolKind::Data => Err(format!(
            "cannot replace `{name}`: its shape would change: it has {size} bytes, and had {}",
            found.size
        )),
        _ => Err(format!(
            "cannot replace `{name}`: it is no variable in the program"
        )),
    }
}

/// The instruction that jumps from one place to another.
fn jump(from: Address, to: Address, length: u64) -> Option<Vec<u8>> {
    if length == FAR_JUMP {
        let mut far = vec![0xff, 0x25, 0, 0, 0, 0];
        far.extend(to.0.to_le_bytes());
        return Some(far);
    }
    let distance = to.0.wrapping_sub(from.0.wrapping_add(NEAR_JUMP)) as i64;
    let mut near = vec![0xe9];
    near.extend(i32::try_from(distance).ok()?.to_le_bytes());
    Some(near)
}
