//! From a [`Spec`] to addresses.

use std::path::Path;
use std::sync::Arc;

use sapwood_dwarf::{
    EntryId, Function, Having, Module, ModuleId, ModuleKind, SourceFrame, Symbol, SymbolKind,
};

use super::Debugger;
use super::catch::function_of;
use super::hidden::beginning;
use crate::breakpoint::{BreakpointId, Place, Wish};
use crate::command::{Catch, Spec};
use crate::error::{Error, Result};
use crate::target::Address;
use crate::value::demangled;

/// `endbr64`.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// `push %rbp; mov %rsp,%rbp`, in both encodings of the second.
const FRAMES: [[u8; 4]; 2] = [[0x55, 0x48, 0x89, 0xe5], [0x55, 0x48, 0x8b, 0xec]];

/// Behind what a function without lines does first, so that the caller's frame
/// can be found by its frame pointer: the instructions that set it up.
fn behind_frame_setup(module: &Module, entry: Address) -> Address {
    let Some(bytes) = module.file_bytes(entry.range(8)) else {
        return entry;
    };
    let skip = if bytes.starts_with(&ENDBR64) { 4 } else { 0 };
    match bytes.get(skip..skip + 4) {
        Some(first) if FRAMES.iter().any(|frame| frame == first) => entry.add(skip as u64 + 4),
        _ => entry,
    }
}

/// Where the line of an address is, as a place.
pub(super) fn describe(module: Option<&Module>, address: Address) -> Place {
    let chain = module.map_or(Vec::new(), |m| m.inlined_at(address));
    if let Some(innermost) = chain.first() {
        return as_place(address, innermost);
    }
    let row = module
        .and_then(|m| m.line_at(address))
        .filter(|r| r.line != 0);
    let function = module.and_then(|m| {
        let (symbol, offset) = m.symbol_at(address)?;
        let name = demangled(symbol.name);
        Some(match offset {
            0 => name.into_owned(),
            offset => format!("{name}+{offset}"),
        })
    });
    Place {
        address,
        function,
        file: row.as_ref().map(|row| row.file.clone()),
        line: row.map_or(0, |row| row.line),
        frame: None,
    }
}

/// A place in one of the functions that the source has at an address.
fn as_place(address: Address, frame: &SourceFrame) -> Place {
    Place {
        address,
        function: Some(frame.function.name.clone()),
        file: frame.file.clone().filter(|_| frame.line != 0),
        line: frame.line,
        frame: Some(frame.entry),
    }
}

/// The place of a function at an address that it has code at. Calls that were
/// inlined there are not part of it unless the address is in their midst.
fn place_of(module: &Module, function: &Function, address: Address) -> Place {
    let chain = module.inlined_at(address);
    let is_meant = |frame: &&SourceFrame| {
        frame.function.id == function.id || frame.function.name == function.name
    };
    let meant = chain.iter().rev().find(is_meant).map(|frame| frame.entry);
    let shown: Vec<EntryId> = meant.into_iter().collect();
    match chain.get(beginning(&chain, address, &shown)) {
        Some(frame) => Place {
            function: Some(function.name.clone()),
            frame: meant.or(Some(frame.entry)),
            ..as_place(address, frame)
        },
        None => describe(Some(module), address),
    }
}

fn of_function(module: &Module, function: &Function) -> Vec<Place> {
    let own = function.entry.map(|_| module.prologue_end(function));
    let copies = module.inlined_copies(function);
    let all = own.into_iter().chain(copies);
    all.map(|at| place_of(module, function, at)).collect()
}

/// The places of a function by name: by debug information, or by symbol.
fn function_places(module: &Module, name: &str, file: Option<&str>) -> Vec<Place> {
    let described: Vec<Place> = module
        .functions(name)
        .iter()
        .filter(|function| file.is_none_or(|file| is_in_file(function, file)))
        .flat_map(|function| of_function(module, function))
        .collect();
    if !described.is_empty() || file.is_some() {
        return described;
    }
    let is_code = |s: &Symbol<'_>| !matches!(s.kind, SymbolKind::Data | SymbolKind::ThreadLocal);
    let symbols = module.symbols_named(name);
    let plain = symbols.iter().filter(|s| is_code(s));
    let mut entries: Vec<(Address, String)> = plain.map(|s| (s.address, name.to_owned())).collect();
    if let Some(mangled) = mangled_part(name) {
        let has_part = |s: &Symbol<'_>| s.name.starts_with("_Z") && s.name.contains(&mangled);
        let found = module.symbols().filter(|s| has_part(s) && is_code(s));
        entries.extend(found.filter_map(|symbol| {
            let text = demangled(symbol.name);
            let path = function_path(&text);
            ends_in(path, name).then(|| (symbol.address, path.to_owned()))
        }));
    }
    entries.sort();
    entries.dedup_by_key(|(at, _)| *at);
    entries
        .into_iter()
        .map(|(entry, name)| Place {
            function: Some(name),
            ..describe(Some(module), behind_frame_setup(module, entry))
        })
        .collect()
}

/// What the mangled name of a function has in it whose name ends in that one.
fn mangled_part(name: &str) -> Option<String> {
    let last = name.rsplit("::").next().unwrap_or(name);
    let is_word = last.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_word && !last.is_empty()).then(|| format!("{}{last}", last.len()))
}

/// The qualified name in a demangled function: no parameters, and no type before
/// it that it returns.
fn function_path(text: &str) -> &str {
    let (mut depth, mut start) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' if depth == 0 && !text[at..].starts_with("(anonymous namespace)") => {
                return &text[start..at];
            }
            '<' | '(' | '[' | '{' => depth += 1,
            '>' | ')' | ']' | '}' => depth -= 1,
            ' ' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    &text[start..]
}

/// Whether the last parts of a path are those of a name; template arguments
/// count where the name has some.
fn ends_in(path: &str, name: &str) -> bool {
    let plain = |text: &str| {
        let mut depth = 0;
        let kept = text.chars().filter(|c| {
            depth += i32::from(*c == '<');
            let is_kept = depth == 0;
            depth -= i32::from(*c == '>');
            is_kept
        });
        kept.collect::<String>()
    };
    let path = match name.contains('<') {
        true => path.to_owned(),
        false => plain(path),
    };
    let name = name.strip_prefix("::").unwrap_or(name);
    let before = path.strip_suffix(name);
    before.is_some_and(|before| before.is_empty() || before.ends_with("::"))
}

fn is_in_file(function: &Function, suffix: &str) -> bool {
    let Some(file) = &function.file else {
        return false;
    };
    file.ends_with(suffix)
}

/// The places of a line in a module.
fn line_places(module: &Module, file: &str, line: u32) -> Vec<Place> {
    module
        .places(file, line)
        .into_iter()
        .map(|place| {
            let chain = module.inlined_at(place.address);
            // The call of what is inlined there may be the line that is meant.
            let is_meant = |frame: &&SourceFrame| {
                frame.line == place.line && frame.file.as_deref() == Some(&*place.file)
            };
            let meant = chain.iter().find(is_meant).or(chain.first());
            Place {
                address: place.address,
                function: meant.map(|frame| frame.function.name.clone()),
                file: Some(place.file),
                line: place.line,
                frame: meant.map(|frame| frame.entry),
            }
        })
        .collect()
}

/// Whether a module's symbols show that it has no function of that name: none is
/// called so, and none has the name in a mangled one. A library in which the
/// function was only ever inlined passes for one that has none, which is why
/// this is asked only when the function was found elsewhere: it spares reading
/// the debug information of every library for `main`.
fn has_no_symbol_of(module: &Module, spec: &Spec) -> bool {
    let Spec::Function(name) = spec else {
        return false;
    };
    let last = name.rsplit("::").next().unwrap_or(name);
    let Some(mangled) = mangled_part(name) else {
        return false;
    };
    let is_of = |symbol: &str| {
        symbol == last
            || (symbol.starts_with("_Z") || symbol.starts_with("_R")) && symbol.contains(&mangled)
    };
    !module.symbols().any(|symbol| is_of(symbol.name))
}

/// The places that a spec has in one module. `file` is what a line without a
/// file is a line of.
fn places_in(module: &Module, spec: &Spec, file: Option<&Path>) -> Vec<Place> {
    match spec {
        Spec::Function(name) => function_places(module, name, None),
        Spec::FunctionIn { file, function } => function_places(module, function, Some(file)),
        Spec::Line { file: named, line } => {
            let own = file.map(|file| file.to_string_lossy());
            match named.as_deref().or(own.as_deref()) {
                Some(file) => line_places(module, file, *line),
                None => Vec::new(),
            }
        }
        Spec::Offset(_) | Spec::Address(_) | Spec::Here => Vec::new(),
    }
}

impl Debugger {
    /// The places a breakpoint has in the modules that came after the first
    /// `from`.
    pub(super) fn places_since(&self, id: BreakpointId, from: usize) -> Vec<Place> {
        let Some(breakpoint) = self.breakpoints.get(id) else {
            return Vec::new();
        };
        let spec = match &breakpoint.wish {
            Wish::Place(spec) => spec,
            Wish::Catch(what) => return self.catch_places(what, from),
            Wish::Watch(_) => return Vec::new(),
        };
        let file = breakpoint.file.as_deref();
        let own = file.map(|file| file.to_string_lossy());
        let having = match spec {
            Spec::Function(name) | Spec::FunctionIn { function: name, .. } => Having::Name(name),
            Spec::Line { file: named, .. } => match named.as_deref().or(own.as_deref()) {
                Some(file) => Having::File(file),
                None => return Vec::new(),
            },
            Spec::Offset(_) | Spec::Address(_) | Spec::Here => return Vec::new(),
        };
        let is_found = !breakpoint.places.is_empty();
        let new = self.modules.since(from, having).filter(|(_, module)| {
            let is_library = module.kind() == ModuleKind::Library;
            !(is_found && is_library && has_no_symbol_of(module, spec))
        });
        new.flat_map(|(_, module)| places_in(module, spec, file))
            .collect()
    }

    /// The places of what a runtime calls when there is something to catch.
    fn catch_places(&self, what: &Catch, from: usize) -> Vec<Place> {
        let Some((wanted, is_mangled)) = function_of(what) else {
            return Vec::new();
        };
        // As both manglings of Rust's write it: the length before the name.
        let inner = format!("{}{wanted}", wanted.len());
        let is_it = |name: &str| {
            let mangled = name.starts_with("_R") && name.ends_with(&inner)
                || name.starts_with("_ZN") && name.contains(&format!("{inner}17h"));
            name == wanted || (is_mangled && mangled)
        };
        let mut places = Vec::new();
        for (_, module) in self.modules.since(from, Having::Opened) {
            let symbols = match is_mangled {
                true => module.symbols().filter(|s| is_it(s.name)).collect(),
                false => module.symbols_named(wanted),
            };
            places.extend(symbols.into_iter().map(|symbol| Place {
                function: Some(wanted.to_owned()),
                ..describe(None, symbol.address)
            }));
        }
        places.dedup_by_key(|place| place.address);
        places
    }

    /// The places of a spec in everything that is loaded.
    pub(super) fn places(&mut self, spec: &Spec) -> Result<Vec<Place>> {
        let spec = self.absolute(spec)?;
        if let Spec::Address(expression) = &spec {
            let address = self.evaluate_address(expression)?;
            let module = self.modules.at(address).map(|(_, module)| &**module);
            return Ok(vec![describe(module, address)]);
        }
        let places = |(_, module): (ModuleId, &Arc<Module>)| places_in(module, &spec, None);
        let mut found: Vec<Place> = match &spec {
            Spec::Function(name) | Spec::FunctionIn { function: name, .. } => {
                self.modules.naming(name).flat_map(places).collect()
            }
            Spec::Line {
                file: Some(file), ..
            } => self.modules.mentioning(file).flat_map(places).collect(),
            _ => Vec::new(),
        };
        // Code that was replaced is meant only where there is no other.
        if found.iter().any(|place| !self.is_replaced(place.address)) {
            found.retain(|place| !self.is_replaced(place.address));
        }
        Ok(found)
    }

    /// A spec that means the same wherever the program is.
    pub(super) fn absolute(&mut self, spec: &Spec) -> Result<Spec> {
        match spec {
            Spec::Here => {
                let frame = self.current_frame();
                let frame = frame.map_err(|_| Error::new("No default breakpoint location now."))?;
                Ok(Spec::Address(format!("{:#x}", frame.pc().0)))
            }
            Spec::Offset(by) => {
                let (file, line) = self.current_line()?;
                let line = line.saturating_add_signed(*by);
                Ok(in_file(&file, line))
            }
            Spec::Line { file: None, line } => {
                let (file, _) = self.current_line()?;
                Ok(in_file(&file, *line))
            }
            other => Ok(other.clone()),
        }
    }

    /// The one address that a spec stands for.
    pub(super) fn one_place(&mut self, spec: &Spec) -> Result<Place> {
        let mut places = self.places(spec)?;
        if places.is_empty() {
            return Err(self.nothing_matches(spec));
        }
        Ok(places.swap_remove(0))
    }

    /// Why a spec has no place.
    pub(super) fn nothing_matches(&self, spec: &Spec) -> Error {
        Error::new(match spec {
            Spec::Function(name) => format!("Function \"{name}\" not defined."),
            Spec::FunctionIn { file, function } => {
                format!("Function \"{function}\" not defined in \"{file}\".")
            }
            Spec::Line {
                file: Some(file),
                line,
            } => {
                let mut modules = self.modules.mentioning(file);
                let known = modules.any(|(_, m)| !m.files(file).is_empty());
                match known {
                    true => format!("No line {line} in file \"{file}\"."),
                    false => format!("No source file named {file}."),
                }
            }
            other => format!("Nothing is at {other}."),
        })
    }
}

fn in_file(file: &Arc<Path>, line: u32) -> Spec {
    Spec::Line {
        file: Some(file.to_string_lossy().into_owned()),
        line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_demangled_functions() {
        for (text, path) in [
            ("std::string::swap(std::string&)", "std::string::swap"),
            ("void std::swap<int>(int&, int&)", "std::swap<int>"),
            (
                "(anonymous namespace)::pool::free(void*)",
                "(anonymous namespace)::pool::free",
            ),
            (
                "std::function<int (int)>::swap(std::function<int (int)>&)",
                "std::function<int (int)>::swap",
            ),
        ] {
            assert_eq!(function_path(text), path);
        }
        let path = "std::map<int, a::b>::swap<c::d>";
        assert!(
            ends_in(path, "swap") && ends_in(path, "map::swap") && ends_in(path, "std::map::swap")
        );
        assert!(ends_in(path, "swap<c::d>") && !ends_in(path, "swap<int>"));
        assert!(!ends_in(path, "ap::swap") && !ends_in(path, "d") && !ends_in("a::unswap", "swap"));
    }
}
