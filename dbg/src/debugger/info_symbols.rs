//! `info functions`, `info variables`, `info types`, `info sources`,
//! `info scope`, `info source`, `info line`, `info symbol`: what debug
//! information says of a program, apart from any stop.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_dwarf::{Function, Language, Module, ModuleId, TypeKind, VariableKind};

use super::Debugger;
use crate::command::Spec;
use crate::error::{Error, Result};
use crate::target::Address;
use crate::value::types::{Naming, declare};
use crate::value::{Type, Value, demangled};

/// What is listed, by the file that declares it.
type ByFile = BTreeMap<PathBuf, Vec<(String, String)>>;

/// Whether a name is wanted.
type Test = Box<dyn Fn(&str) -> bool>;

/// A test of names: all, or those that a regular expression matches.
fn test(pattern: Option<&str>) -> Result<Test> {
    let Some(pattern) = pattern else {
        return Ok(Box::new(|_| true));
    };
    let regex = regex_lite::Regex::new(pattern)
        .map_err(|e| Error::new(format!("Invalid regexp: {e}: {pattern}")))?;
    Ok(Box::new(move |name| regex.is_match(name)))
}

/// The heading of a list.
fn heading(what: &str, pattern: Option<&str>) -> String {
    match pattern {
        Some(pattern) => format!("All {what} matching regular expression \"{pattern}\":\n"),
        None => format!("All defined {what}:\n"),
    }
}

fn write_files(text: &mut String, files: ByFile) {
    for (file, mut lines) in files {
        let _ = match file.as_os_str().is_empty() {
            true => writeln!(text),
            false => writeln!(text, "\nFile {}:", file.display()),
        };
        lines.sort();
        lines.dedup();
        for (_, line) in lines {
            let _ = writeln!(text, "{line}");
        }
    }
}

impl Debugger {
    /// A function's declaration as a list shows it.
    fn prototype(&self, id: ModuleId, function: &Function) -> String {
        let ty = Type::Described(id, function.type_id());
        let scope = match function.is_external {
            true => "",
            false => "static ",
        };
        let naming = Naming::of(&self.modules);
        match function.language {
            Language::Rust => {
                let declared = declare(&ty, &function.name, naming, 0);
                format!("{scope}{declared};")
            }
            Language::Cpp => {
                // The name that the linker knows has the parameters in it.
                let linkage = function.linkage_name.as_deref().map(demangled);
                let name = linkage.filter(|name| name.contains('('));
                let Some(name) = name else {
                    let declared = declare(&ty, &function.name, naming, 0);
                    return match is_special(&function.name) {
                        true => format!("{};", declared.trim_start_matches("void ")),
                        false => format!("{scope}{declared};"),
                    };
                };
                let returns = Type::described(id, function.return_type);
                match is_special(&function.name) {
                    true => format!("{name};"),
                    false => format!("{scope}{};", declare(&returns, &name, naming, 0)),
                }
            }
            _ => format!("{scope}{};", declare(&ty, &function.name, naming, 0)),
        }
    }

    /// `info functions`.
    pub(super) fn functions_text(&self, pattern: Option<&str>) -> Result<String> {
        let wanted = test(pattern)?;
        let mut files = ByFile::new();
        let mut bare = BTreeSet::new();
        for (id, module) in self.modules.iter() {
            for function in module.functions_where(&*wanted) {
                let line = match function.line {
                    0 => "\t".to_owned(),
                    line => format!("{line}:\t"),
                };
                let prototype = self.prototype(id, &function);
                let file = function.file.as_deref().unwrap_or(Path::new(""));
                let lines = files.entry(file.to_owned()).or_default();
                lines.push((function.name.clone(), format!("{line}{prototype}")));
            }
            for symbol in module.symbols() {
                use sapwood_dwarf::SymbolKind as K;
                let name = demangled(symbol.name);
                if matches!(symbol.kind, K::Function | K::IndirectFunction | K::Label)
                    && !symbol.name.is_empty()
                    && wanted(&name)
                    && module.function_at(symbol.address).is_none()
                {
                    bare.insert((symbol.address, name.into_owned()));
                }
            }
        }
        let mut text = heading("functions", pattern);
        write_files(&mut text, files);
        write_bare(&mut text, bare);
        Ok(text)
    }

    /// `info variables`.
    pub(super) fn variables_text(&self, pattern: Option<&str>) -> Result<String> {
        let wanted = test(pattern)?;
        let mut files = ByFile::new();
        let mut bare = BTreeSet::new();
        let naming = Naming::of(&self.modules);
        for (id, module) in self.modules.iter() {
            let globals = module.globals_where(&*wanted);
            let known: Vec<Address> = globals
                .iter()
                .filter_map(|variable| module.symbol_named(&variable.name))
                .map(|symbol| symbol.address)
                .collect();
            for variable in globals {
                let ty = Type::described(id, variable.type_id);
                let is_local = module
                    .symbol_named(&variable.name)
                    .is_none_or(|symbol| symbol.binding == sapwood_dwarf::Binding::Local);
                let scope = if is_local && !variable.name.contains("::") {
                    "static "
                } else {
                    ""
                };
                let declared = declare(&ty, &variable.name, naming, 0);
                let line = match variable.line {
                    0 => "\t".to_owned(),
                    line => format!("{line}:\t"),
                };
                let file = variable.file.as_deref().unwrap_or(Path::new(""));
                let lines = files.entry(file.to_owned()).or_default();
                lines.push((variable.name.clone(), format!("{line}{scope}{declared};")));
            }
            for symbol in module.symbols() {
                let name = demangled(symbol.name);
                if symbol.kind == sapwood_dwarf::SymbolKind::Data
                    && !known.contains(&symbol.address)
                    && wanted(&name)
                {
                    bare.insert((symbol.address, name.into_owned()));
                }
            }
        }
        let mut text = heading("variables", pattern);
        write_files(&mut text, files);
        write_bare(&mut text, bare);
        Ok(text)
    }

    /// `info types`.
    pub(super) fn types_text(&self, pattern: Option<&str>) -> Result<String> {
        let wanted = test(pattern)?;
        let mut files = ByFile::new();
        let mut base = Vec::new();
        for (id, module) in self.modules.iter() {
            for named in module.types_where(&*wanted) {
                let ty = Type::Described(id, named.id);
                let Ok(Some(description)) = ty.description(&self.modules) else {
                    continue;
                };
                let naming = Naming::of(&self.modules);
                let text = match &description.kind {
                    TypeKind::Base(_) | TypeKind::Unspecified => {
                        base.push(format!("\t{}", named.name));
                        continue;
                    }
                    TypeKind::Pointer(_) => continue,
                    TypeKind::Typedef(to) => {
                        let to = Type::described(id, *to);
                        format!("typedef {}", declare(&to, &named.name, naming, 0))
                    }
                    _ => declare(&ty, "", naming, 0),
                };
                let Some(file) = named.file else {
                    continue;
                };
                let line = match named.line {
                    0 => "\t".to_owned(),
                    line => format!("{line}:\t"),
                };
                let lines = files.entry(file.to_path_buf()).or_default();
                lines.push((named.name.clone(), format!("{line}{text};")));
            }
        }
        let mut text = heading("types", pattern);
        write_files(&mut text, files);
        base.sort();
        base.dedup();
        if !base.is_empty() {
            text.push('\n');
            base.iter()
                .for_each(|line| text.push_str(&format!("{line}\n")));
        }
        Ok(text)
    }

    /// `info sources`.
    pub(super) fn sources_text(&self, pattern: Option<&str>) -> Result<String> {
        let wanted = test(pattern)?;
        let mut text = String::new();
        for (_, module) in self.modules.iter() {
            let files = module.files("");
            let shown: Vec<String> = files
                .iter()
                .map(|file| file.display().to_string())
                .filter(|file| wanted(file))
                .collect();
            let _ = writeln!(text, "{}:", module.name().display());
            if !module.has_debug_info() {
                text.push_str("(Objfile has no debug information.)\n");
            }
            if !shown.is_empty() {
                let _ = writeln!(text, "\n{}", shown.join(", "));
            }
            text.push('\n');
        }
        Ok(text)
    }

    /// `info scope`.
    pub(super) fn scope_text(&mut self, spec: &Spec) -> Result<String> {
        let place = self.one_place(spec)?;
        let found = self.modules.at(place.address);
        let Some((id, module)) = found.map(|(id, module)| (id, Arc::clone(module))) else {
            return Err(self.nothing_matches(spec));
        };
        let mut text = String::new();
        for frame in module.inlined_at(place.address) {
            for variable in module.variables(frame.entry, place.address)? {
                let ty = Type::described(id, variable.type_id);
                let size = ty.size(&self.modules).ok().flatten();
                let kind = match variable.kind {
                    VariableKind::Parameter => "an argument",
                    VariableKind::Local => "a variable",
                    VariableKind::Global => "static storage",
                };
                let name = ty.name(&self.modules);
                let _ = write!(text, "Symbol {} is {kind} of type {name}", variable.name);
                let _ = match size {
                    Some(size) => writeln!(text, ", length {size}."),
                    None => writeln!(text, "."),
                };
            }
        }
        Ok(match text.is_empty() {
            true => format!("Symbol table for `{spec}' has no locals.\n"),
            false => format!("Scope for {spec}:\n{text}"),
        })
    }

    /// `info source`.
    pub(super) fn source_text(&mut self) -> Result<String> {
        let (file, _) = self
            .current_line()
            .map_err(|_| Error::new("No current source file."))?;
        let mut text = String::new();
        let unit = self
            .modules
            .mentioning(&file.to_string_lossy())
            .find_map(|(_, module)| {
                // The unit of any function that the file has.
                let wanted = |_: &str| true;
                let functions = module.functions_where(&wanted);
                let of_file = functions.iter().find(|f| f.file.as_ref() == Some(&file))?;
                module.unit_note(of_file.id)
            });
        let unit = unit.as_ref();
        let short = unit
            .and_then(|unit| file.strip_prefix(unit.directory.as_ref()?).ok())
            .unwrap_or(&file);
        let _ = writeln!(text, "Current source file is {}", short.display());
        if let Some(directory) = unit.and_then(|unit| unit.directory.as_ref()) {
            let _ = writeln!(text, "Compilation directory is {directory}");
        }
        match self.sources.text(&file) {
            Ok(lines) => {
                let _ = writeln!(text, "Located in {}", file.display());
                let plural = if lines.len() == 1 { "" } else { "s" };
                let _ = writeln!(text, "Contains {} line{plural}.", lines.len());
            }
            Err(why) => {
                let _ = writeln!(text, "It cannot be read: {why}.");
            }
        }
        if let Some(unit) = unit {
            let _ = writeln!(text, "Source language is {}.", language_name(unit.language));
            if let Some(producer) = &unit.producer {
                let _ = writeln!(text, "Producer is {producer}.");
            }
            let _ = writeln!(
                text,
                "Compiled with DWARF {} debugging format.",
                unit.version
            );
            text.push_str("Does not include preprocessor macro info.\n");
        }
        Ok(text)
    }

    /// An address with the symbol that it lies in.
    fn address_text(&self, at: Address) -> String {
        match self.symbol_of(at) {
            Some((name, 0)) => format!("{at:#x} <{name}>"),
            Some((name, offset)) => format!("{at:#x} <{name}+{offset}>"),
            None => format!("{at:#x}"),
        }
    }

    /// `info address`.
    pub(super) fn address_of_name(&mut self, name: &str) -> Result<String> {
        let no_symbol = || Error::new(format!("No symbol \"{name}\" in current context."));
        let value = self
            .evaluate(name, &mut |_| {}, |evaluator| evaluator.evaluate_text(name))?
            .ok_or_else(no_symbol)?;
        let Some(at) = value.address() else {
            return Ok(format!(
                "Symbol \"{name}\" is in no memory: in registers, or a constant.\n"
            ));
        };
        let module = self.modules.at(at).map(|(_, module)| module);
        let starts = |module: &&Arc<Module>| {
            let function = module.function_at(at);
            function.is_some_and(|function| function.entry == Some(at))
        };
        Ok(match module {
            Some(module) if starts(&module) => {
                format!("Symbol \"{name}\" is a function at address {at:#x}.\n")
            }
            Some(_) => format!("Symbol \"{name}\" is static storage at address {at:#x}.\n"),
            None => format!("Symbol \"{name}\" is a variable at address {at:#x}.\n"),
        })
    }

    /// Where a spec's line begins, its function's prologue not skipped.
    fn line_starts(&mut self, spec: Option<&Spec>) -> Result<Vec<Address>> {
        let Some(spec) = spec else {
            if self.target.is_some() {
                return Ok(vec![self.one_place(&Spec::Here)?.address]);
            }
            let (file, line) = self.current_line()?;
            return self.line_starts(Some(&Spec::Line {
                file: Some(file.to_string_lossy().into_owned()),
                line,
            }));
        };
        let spec = self.absolute(spec)?;
        if let Spec::Function(name) | Spec::FunctionIn { function: name, .. } = &spec {
            let entries: Vec<Address> = self
                .modules
                .naming(name)
                .flat_map(|(_, module)| module.functions(name))
                .filter_map(|function| function.entry)
                .collect();
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        if let Spec::Line {
            file: Some(file),
            line,
        } = &spec
        {
            let paths = self.modules.mentioning(file);
            let starts: Vec<Address> = paths
                .flat_map(|(_, module)| {
                    let files = module.files(file).into_iter();
                    let ranges = files.flat_map(|path| module.ranges_of_line(&path, *line));
                    let first = ranges.map(|range| range.start).min();
                    first.into_iter()
                })
                .collect();
            if !starts.is_empty() {
                return Ok(starts);
            }
        }
        // A line without code is where the next one with some begins.
        let places = self.places(&spec)?.into_iter();
        let starts = places.map(|place| {
            let (Spec::Line { line, .. }, Some(file)) = (&spec, &place.file) else {
                return place.address;
            };
            let Some((_, module)) = self.modules.at(place.address) else {
                return place.address;
            };
            let mut lines = line + 1..=place.line;
            let first = lines.find_map(|line| {
                let ranges = module.ranges_of_line(file, line).into_iter();
                ranges.map(|range| range.start).min()
            });
            first.unwrap_or(place.address)
        });
        Ok(starts.collect())
    }

    /// `info line`.
    pub(super) fn line_text(&mut self, spec: Option<&Spec>) -> Result<String> {
        let starts = self.line_starts(spec)?;
        if starts.is_empty() {
            if let Some(Spec::Line {
                file: Some(file),
                line,
            }) = spec
                && self.file_named(file).is_some()
            {
                return Ok(format!(
                    "Line number {line} is out of range for \"{file}\".\n"
                ));
            }
            return Err(self.nothing_matches(spec.unwrap_or(&Spec::Here)));
        }
        let asked = match spec.map(|spec| self.absolute(spec)).transpose()? {
            Some(Spec::Line { line, .. }) => Some(line),
            _ => None,
        };
        let mut text = String::new();
        for at in starts {
            let row = self
                .modules
                .at(at)
                .and_then(|(_, module)| module.line_at(at));
            let start = row.as_ref().map_or(at, |row| row.range.start);
            self.set_own_variable(
                "_",
                Value::computed(Type::Void.pointer(), start.0.to_le_bytes()),
            );
            let _ = match row {
                Some(row) if asked.is_some_and(|line| line < row.line) => writeln!(
                    text,
                    "Line {} of \"{}\" is at address {} but contains no code.",
                    asked.unwrap_or(0),
                    row.file.display(),
                    self.address_text(start),
                ),
                Some(row) => writeln!(
                    text,
                    "Line {} of \"{}\" starts at address {} and ends at {}.",
                    row.line,
                    row.file.display(),
                    self.address_text(start),
                    self.address_text(row.range.end),
                ),
                None => writeln!(
                    text,
                    "No line number information available for address {}",
                    self.address_text(at),
                ),
            };
        }
        Ok(text)
    }

    /// `info symbol`.
    pub(super) fn symbol_text(&mut self, expression: &str) -> Result<String> {
        let at = self.evaluate_address(expression)?;
        let found = self.modules.at(at).and_then(|(_, module)| {
            let (symbol, offset) = module.symbol_at(at)?;
            let section = module
                .sections()
                .into_iter()
                .find(|(_, range)| range.contains(&at))
                .map(|(name, _)| name.to_owned());
            Some((
                demangled(symbol.name).into_owned(),
                offset,
                section,
                module.name().to_owned(),
            ))
        });
        let Some((mut text, offset, section, file)) = found else {
            return Err(Error::new(format!("No symbol matches {expression}.")));
        };
        if offset > 0 {
            let _ = write!(text, " + {offset}");
        }
        if let Some(section) = section {
            let _ = write!(text, " in section {section}");
        }
        if self.modules.iter().count() > 1 {
            let _ = write!(text, " of {}", file.display());
        }
        text.push('\n');
        Ok(text)
    }
}

fn write_bare(text: &mut String, bare: BTreeSet<(Address, String)>) {
    if bare.is_empty() {
        return;
    }
    text.push_str("\nNon-debugging symbols:\n");
    for (at, name) in bare {
        let _ = writeln!(text, "{:#018x}  {name}", at.0);
    }
}

/// Whether a function is a constructor or destructor, which returns nothing that
/// could be said.
fn is_special(name: &str) -> bool {
    let mut parts = name.rsplit("::");
    let (last, class) = (parts.next(), parts.next());
    let plain = class.map(|class| class.split('<').next().unwrap_or(class));
    last.is_some_and(|last| last.starts_with('~') || Some(last) == plain)
}

/// A language as `info source` and `info frame` name it.
pub(super) fn language_name(language: Language) -> &'static str {
    match language {
        Language::C => "c",
        Language::Cpp => "c++",
        Language::Rust => "rust",
        Language::Assembly => "asm",
    }
}
