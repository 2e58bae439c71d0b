//! Which address a name of new code stands for: the program's own names, static
//! ones included, then its libraries'.
//!
//! What was published is the session's business, but for names that are not for
//! others to see: a snippet may call a static function of an earlier one. Those
//! are asked of the session's tables, never of the modules, of which there may
//! be ten thousand.

use std::collections::HashMap;
use std::path::Path;

use sapwood_dwarf::{Module, ModuleId, ModuleKind, Modules, SymbolKind};
use sapwood_link::{
    Binding, Definition, Extent, HostAddr, HostError, Libgcc, Outside, Resolver, View, Wanted,
};

use crate::target::Address;

/// The names that new code may refer to.
pub(super) struct ProgramNames<'a> {
    pub modules: &'a Modules,
    /// What was published.
    pub image: Option<View>,
    /// The source file that is preferred where static names are ambiguous.
    pub near: Option<&'a Path>,
    /// Names that mean these addresses before anything else.
    pub places: Option<&'a HashMap<String, Address>>,
    /// What is known of it.
    pub known: &'a Known,
    /// What has to be known first.
    pub missing: Missing,
}

/// What a process had to be asked for.
#[derive(Default)]
pub(super) struct Known {
    /// What indirect functions resolved to.
    pub functions: HashMap<Address, Address>,
    /// Where each module's thread-local block is from the thread pointer, or
    /// why it is at no such place.
    pub thread_blocks: HashMap<ModuleId, std::result::Result<i64, String>>,
}

/// What a batch wants to know before it can be published.
#[derive(Default)]
pub(super) struct Missing {
    /// Indirect functions whose resolvers are to be called.
    pub functions: Vec<Address>,
    /// Modules whose thread-local blocks are to be found.
    pub thread_blocks: Vec<ModuleId>,
}

impl Missing {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.thread_blocks.is_empty()
    }
}

impl<'a> ProgramNames<'a> {
    /// The program's own names first, then what was published and is not for
    /// others to see (the session knows the rest), the newest first, then the
    /// libraries'. A version is of the last only.
    fn find(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Option<(Address, SymbolKind, Option<ModuleId>)> {
        let of = |wanted: ModuleKind| {
            let mut modules = self.modules.opened();
            modules.find_map(|(id, module)| {
                if module.kind() != wanted {
                    return None;
                }
                let (at, kind) = match wanted {
                    ModuleKind::Executable if version.is_none() => self.own(module, name)?,
                    _ => {
                        let symbol = module.exported(name, version)?;
                        (symbol.address, symbol.kind)
                    }
                };
                Some((at, kind, Some(id)))
            })
        };
        of(ModuleKind::Executable)
            .or_else(|| self.published(name).filter(|_| version.is_none()))
            .or_else(|| of(ModuleKind::Library))
    }

    /// The newest static of that name that was published.
    fn published(&self, name: &str) -> Option<(Address, SymbolKind, Option<ModuleId>)> {
        let image = self.image.as_ref()?;
        let mut symbols = image.symbols_named(name);
        let symbol = symbols.find(|symbol| {
            symbol.binding == Binding::Local
                && symbol.kind != sapwood_link::SymbolKind::ThreadLocal
                && matches!(symbol.definition, Definition::Atom(..))
        })?;
        let kind = match symbol.kind {
            sapwood_link::SymbolKind::Object => SymbolKind::Data,
            sapwood_link::SymbolKind::Function => SymbolKind::Function,
            _ => SymbolKind::Label,
        };
        Some((Address(symbol.address.get()), kind, None))
    }

    /// The address of a name in the program, where it may be a static one.
    fn own(&self, module: &Module, name: &str) -> Option<(Address, SymbolKind)> {
        let symbols = module.symbols_named(name);
        let first = symbols.first()?;
        if first.binding != sapwood_dwarf::Binding::Local {
            return Some((first.address, first.kind));
        }
        if symbols.len() > 1
            && let Some(near) = self.near
        {
            let functions = module.functions(name);
            let here = functions.iter().find(|f| f.file.as_deref() == Some(near));
            if let Some(entry) = here.and_then(|f| f.entry) {
                return Some((entry, SymbolKind::Function));
            }
        }
        Some((first.address, first.kind))
    }
}

impl<'a> ProgramNames<'a> {
    /// The address of a function.
    pub fn function(&self, name: &str) -> Option<Address> {
        self.find(name, None).map(|(at, ..)| at)
    }
}

/// Where the program's unwinder takes entries of new code, if it is libgcc's:
/// in one module, the program's own before a library.
pub(super) fn libgcc(modules: &Modules) -> Option<Libgcc> {
    modules.opened().find_map(|(_, module)| {
        let at = |name: &str| {
            let symbol = module.symbol_named(name)?;
            Some(HostAddr(symbol.address.0))
        };
        Some(Libgcc {
            register_frame_info: at("__register_frame_info")?,
            deregister_frame_info: at("__deregister_frame_info")?,
            find_fde: at("_Unwind_Find_FDE")?,
        })
    })
}

impl Resolver for ProgramNames<'_> {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        let mut answers = Vec::with_capacity(wanted.len());
        for want in wanted {
            let place = self.places.and_then(|places| places.get(want.name));
            if let Some(place) = place {
                answers.push(Some(Outside::Address(HostAddr(place.0))));
                continue;
            }
            let answer = match self.find(want.name, want.version) {
                None => None,
                Some((offset, SymbolKind::ThreadLocal, Some(module))) => {
                    match self.known.thread_blocks.get(&module) {
                        Some(Ok(block)) => {
                            Some(Outside::ThreadOffset(block.wrapping_add(offset.0 as i64)))
                        }
                        Some(Err(why)) => {
                            let why = format!("`{}` is thread-local, and {why}", want.name);
                            return Err(HostError::Failed(why));
                        }
                        None => {
                            self.missing.thread_blocks.push(module);
                            None
                        }
                    }
                }
                Some((at, SymbolKind::IndirectFunction, _)) => {
                    match self.known.functions.get(&at) {
                        Some(function) => Some(Outside::Address(HostAddr(function.0))),
                        None => {
                            self.missing.functions.push(at);
                            None
                        }
                    }
                }
                Some((at, ..)) => Some(Outside::Address(HostAddr(at.0))),
            };
            answers.push(answer);
        }
        match self.missing.is_empty() {
            true => Ok(answers),
            false => Err(HostError::Failed(
                "something has to be asked of the process first".to_owned(),
            )),
        }
    }

    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        let extent = |at: &HostAddr| {
            self.modules.opened().find_map(|(_, module)| {
                let (symbol, past) = module.symbol_at(Address(at.get()))?;
                let functions = [SymbolKind::Function, SymbolKind::IndirectFunction];
                (past == 0).then(|| Extent {
                    size: symbol.size,
                    function: functions.contains(&symbol.kind),
                })
            })
        };
        Ok(at.iter().map(extent).collect())
    }
}
