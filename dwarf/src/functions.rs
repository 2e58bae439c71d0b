//! Functions: by name, by address, and as the chain of calls that the compiler
//! inlined at an address.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use gimli::constants as c;

use crate::info::{Entry, Info, Slice, Unit, Value};
use crate::names::NameKind;
use crate::{Address, EntryId, Module, SymbolKind, TypeId};

/// A function as the debug information describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// The entry that has its code, or, where it has none of its own, the one
    /// that describes it.
    pub id: EntryId,
    /// Its qualified name: `main`, `ns::Type::method`, `alloc::vec::Vec<u8>::push`.
    pub name: String,
    /// The name the linker knows it by, where that differs.
    pub linkage_name: Option<String>,
    /// Its code, the range with the entry point first; empty for one that was
    /// only ever inlined.
    pub ranges: Vec<Range<Address>>,
    /// Where a call lands. `None` for one that was only ever inlined.
    pub entry: Option<Address>,
    /// The file that declares it.
    pub file: Option<Arc<Path>>,
    /// The line that declares it, 0 where nobody says.
    pub line: u32,
    /// Whether other files can call it by name.
    pub is_external: bool,
    /// What it returns; `None` for void.
    pub return_type: Option<TypeId>,
    /// The language it was written in.
    pub language: Language,
}

impl Function {
    /// The function's type, which the function's own entry describes.
    pub fn type_id(&self) -> TypeId {
        TypeId(self.id)
    }
}

/// The language of a unit, as far as it changes how names and values look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Language {
    /// C, and whatever is close enough to be shown like it.
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
    /// An assembler.
    Assembly,
}

/// One function that the source has at an address: the physical function, or a
/// call that was inlined into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFrame {
    /// The function.
    pub function: Arc<Function>,
    /// The entry that covers the address: the function's own or that of the
    /// inlined call. It says which scope the frame's variables are in.
    pub entry: EntryId,
    /// The code of this frame: the function's, or the inlined call's.
    pub ranges: Arc<[Range<Address>]>,
    /// Where the frame stands: the line of the address for the innermost
    /// frame, that of the call for the others.
    pub file: Option<Arc<Path>>,
    /// The line, 0 where nobody says.
    pub line: u32,
    /// The column, 0 where nobody says.
    pub column: u32,
    /// Whether the function was inlined into the frame that follows.
    pub is_inlined: bool,
}

/// The calls that were inlined into one function.
#[derive(Default)]
pub(crate) struct Body {
    /// In the order of their entries: a call comes after the one it is in.
    calls: Vec<InlinedCall>,
}

/// A call whose body stands where the call was.
struct InlinedCall {
    id: EntryId,
    /// How many inlined calls it is in.
    depth: usize,
    ranges: Vec<Range<u64>>,
    /// Where the source has the call.
    file: Option<u64>,
    line: u32,
    column: u32,
}

/// One link of the chain of calls at an address, innermost first.
#[derive(Clone)]
pub(crate) struct Link {
    id: EntryId,
    body: Arc<Body>,
    /// Which inlined call it is; `None` for the physical function.
    call: Option<usize>,
}

impl Link {
    /// The entry that covers the address.
    pub(crate) fn id(&self) -> EntryId {
        self.id
    }
}

/// How long a chain of references between entries may get.
const MAX_REFERENCES: usize = 16;

impl<'a> Info<'a> {
    /// The entry that `id` is a copy of or completes: its abstract origin, or
    /// the declaration that it specifies.
    pub(crate) fn origin(&self, id: EntryId, entry: &Entry<'a>) -> Option<EntryId> {
        let reference = entry
            .attr_value(c::DW_AT_abstract_origin)
            .or_else(|| entry.attr_value(c::DW_AT_specification))?;
        self.follow(id.unit, reference)
    }

    /// The entry and all that it stands for, itself first.
    pub(crate) fn lineage(&self, id: EntryId) -> Vec<(EntryId, Entry<'a>)> {
        let mut lineage = Vec::with_capacity(2);
        let mut next = Some(id);
        while let Some(id) = next
            && lineage.len() < MAX_REFERENCES
        {
            let Some((_, entry)) = self.entry(id) else {
                break;
            };
            next = self.origin(id, &entry);
            lineage.push((id, entry));
        }
        lineage
    }

    /// The text of an attribute of a unit's entry.
    pub(crate) fn text(&self, unit: u32, value: Option<Value<'a>>) -> Option<Slice<'a>> {
        self.dwarf_of(unit)
            .attr_string(self.unit(unit)?, value?)
            .ok()
    }

    /// The name that an entry has by itself.
    pub(crate) fn own_name(&self, unit: u32, entry: &Entry<'a>) -> Option<Slice<'a>> {
        self.text(unit, entry.attr_value(c::DW_AT_name))
    }

    /// The name of an entry, its own or that of what it stands for.
    pub(crate) fn name_of(&self, id: EntryId) -> Option<Slice<'a>> {
        self.lineage(id)
            .iter()
            .find_map(|(id, entry)| self.own_name(id.unit, entry))
    }

    /// The names that an entry is qualified by, outermost first, and its own.
    pub(crate) fn path_of(&self, id: EntryId) -> Vec<String> {
        let lineage = self.lineage(id);
        let Some((id, _)) = lineage.last() else {
            return Vec::new();
        };
        let named = lineage
            .iter()
            .find_map(|(id, entry)| self.own_name(id.unit, entry));
        let mut path = self.scope_names(*id);
        path.push(named.map_or_else(String::new, |name| name.to_string_lossy().into_owned()));
        path
    }

    /// The names of the scopes around an entry, outermost first.
    fn scope_names(&self, id: EntryId) -> Vec<String> {
        let Some(map) = self.map(id.unit) else {
            return Vec::new();
        };
        let mut names = Vec::new();
        for offset in map.scopes_around(id.offset) {
            let scope = EntryId {
                unit: id.unit,
                offset,
            };
            let Some((_, entry)) = self.entry(scope) else {
                continue;
            };
            let name = self
                .name_of(scope)
                .map(|name| name.to_string_lossy().into_owned());
            names.push(match (entry.tag(), name) {
                // C has no names inside functions that could be written.
                (c::DW_TAG_subprogram, Some(name)) => format!("{name}()"),
                (c::DW_TAG_namespace, None) => "(anonymous namespace)".to_owned(),
                (_, Some(name)) => name,
                (_, None) => continue,
            });
            // A member of a type that is defined out of line has its path
            // where the type is declared.
            if let Some(origin) = self.origin(scope, &entry) {
                names.reverse();
                let mut path = self.scope_names(origin);
                path.append(&mut names);
                return path;
            }
        }
        names.reverse();
        names
    }

    /// The qualified name of an entry.
    pub(crate) fn qualified_name(&self, id: EntryId) -> String {
        match self.language(id.unit) {
            Language::C | Language::Assembly => {
                let name = self.name_of(id);
                name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            }
            Language::Cpp | Language::Rust => self.path_of(id).join("::"),
        }
    }

    /// The function whose code an address lies in: its unit and that range.
    pub(crate) fn code_at(&self, address: u64) -> Option<(u32, Range<u64>)> {
        let id = self.function_at(address)?;
        let map = self.map(id.unit)?;
        let code = map.code.iter().filter(|code| code.entry == id.offset);
        let mut code = code.filter(|code| code.start <= address && address < code.end);
        code.next().map(|code| (id.unit, code.start..code.end))
    }

    /// The function whose code an address lies in.
    pub(crate) fn function_at(&self, address: u64) -> Option<EntryId> {
        self.unit_ranges().at(address).find_map(|unit| {
            let offset = self.map(unit)?.function_at(address)?;
            Some(EntryId { unit, offset })
        })
    }

    /// The calls that were inlined into a function, found on first use.
    pub(crate) fn body(&self, function: EntryId) -> Arc<Body> {
        let lock = || self.bodies.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(body) = lock().get(&function) {
            return body.clone();
        }
        let mut body = Body::default();
        if let Err(error) = self.fill_body(function, &mut body) {
            self.complain(".debug_info", self.section_offset(function), error);
        }
        let body = Arc::new(body);
        lock().insert(function, body.clone());
        body
    }

    fn fill_body(&self, function: EntryId, body: &mut Body) -> gimli::Result<()> {
        let Some(unit) = self.unit(function.unit) else {
            return Ok(());
        };
        let mut entries = unit.entries_raw(Some(gimli::UnitOffset(function.offset as usize)))?;
        let mut entry = Entry::null();
        let mut open: Vec<isize> = Vec::new();
        let mut is_first = true;
        while !entries.is_empty() {
            let offset = entries.next_offset().0 as u32;
            let depth = entries.next_depth();
            if depth <= 0 && !is_first {
                break;
            }
            while open.last().is_some_and(|&opened| depth <= opened) {
                open.pop();
            }
            is_first = false;
            let mut probe = entries.clone();
            let Some(abbreviation) = probe.read_abbreviation()? else {
                entries = probe;
                continue;
            };
            if abbreviation.tag() == c::DW_TAG_inlined_subroutine {
                entries.read_entry(&mut entry)?;
                let id = EntryId {
                    unit: function.unit,
                    offset,
                };
                body.calls
                    .push(self.inlined_call(unit, id, &entry, open.len()));
                if entry.has_children() {
                    open.push(depth);
                }
            } else {
                probe.skip_attributes(abbreviation.attributes())?;
                entries = probe;
            }
        }
        Ok(())
    }

    fn inlined_call(
        &self,
        unit: &Unit<'a>,
        id: EntryId,
        entry: &Entry<'a>,
        depth: usize,
    ) -> InlinedCall {
        let number = |at| entry.attr_value(at).and_then(|value| value.udata_value());
        let file = match entry.attr_value(c::DW_AT_call_file) {
            Some(Value::FileIndex(file)) => Some(file),
            Some(value) => value.udata_value(),
            None => None,
        };
        InlinedCall {
            id,
            depth,
            ranges: self.ranges_of(id.unit, unit, entry),
            file,
            line: number(c::DW_AT_call_line).unwrap_or(0) as u32,
            column: number(c::DW_AT_call_column).unwrap_or(0) as u32,
        }
    }

    /// The functions that the source has at an address, innermost first.
    pub(crate) fn chain_at(&self, address: u64) -> Vec<Link> {
        let Some(function) = self.function_at(address) else {
            return Vec::new();
        };
        let body = self.body(function);
        let mut chain = vec![Link {
            id: function,
            body: body.clone(),
            call: None,
        }];
        for (index, call) in body.calls.iter().enumerate() {
            let covers = call.ranges.iter().any(|range| range.contains(&address));
            if covers && call.depth + 1 == chain.len() {
                chain.push(Link {
                    id: call.id,
                    body: body.clone(),
                    call: Some(index),
                });
            }
        }
        chain.reverse();
        chain
    }

    /// The entries of inlined copies of a function, with where each begins.
    fn copies_of(&self, origin: EntryId) -> Vec<u64> {
        let mut copies = Vec::new();
        let Some(map) = self.map(origin.unit) else {
            return copies;
        };
        let mut functions: Vec<u32> = map.code.iter().map(|code| code.entry).collect();
        functions.sort_unstable();
        functions.dedup();
        for offset in functions {
            let body = self.body(EntryId {
                unit: origin.unit,
                offset,
            });
            for call in &body.calls {
                let Some((_, entry)) = self.entry(call.id) else {
                    continue;
                };
                if self.origin(call.id, &entry) == Some(origin) {
                    copies.extend(call.ranges.iter().map(|range| range.start).min());
                }
            }
        }
        copies.sort_unstable();
        copies.dedup();
        copies
    }
}

impl Module {
    /// The functions of that name, with code of their own or only inlined.
    ///
    /// The name is a whole qualified name, a suffix of one on a `::` boundary,
    /// or a linkage name. Template or generic arguments may be left out.
    pub fn functions(&self, name: &str) -> Vec<Arc<Function>> {
        let mut found: Vec<Arc<Function>> = self
            .info(|info| {
                let ids = info.named(name, &[NameKind::Function, NameKind::Inline]);
                let mut functions: Vec<_> = ids
                    .into_iter()
                    .filter_map(|id| self.function_of(info, id))
                    .collect();
                // An abstract function says nothing that its own code does not.
                let with_code: Vec<EntryId> = functions
                    .iter()
                    .filter(|f| f.entry.is_some())
                    .filter_map(|f| info.lineage(f.id).get(1).map(|(id, _)| *id))
                    .collect();
                functions.retain(|f| f.entry.is_some() || !with_code.contains(&f.id));
                functions
            })
            .unwrap_or_default();
        if found.is_empty() {
            let symbols = self.symbols_named(name).into_iter();
            let functions = symbols.filter(|s| s.kind == SymbolKind::Function);
            found.extend(functions.filter_map(|symbol| self.function_at(symbol.address)));
        }
        found.sort_by_key(|function| (function.entry, function.id));
        found.dedup_by_key(|function| function.id);
        found
    }

    /// The function whose code `at` lies in; not an inlined one.
    pub fn function_at(&self, at: Address) -> Option<Arc<Function>> {
        self.info(|info| {
            let id = info.function_at(self.to_file(at))?;
            self.function_of(info, id)
        })?
    }

    /// The functions that the source has at `at`, innermost first. The last is
    /// the physical one. Empty where no debug information covers `at`.
    ///
    /// Give [`FrameAddress::lookup`](crate::FrameAddress::lookup), not a return
    /// address itself.
    pub fn inlined_at(&self, at: Address) -> Vec<SourceFrame> {
        let frames = self.info(|info| {
            let address = self.to_file(at);
            let row = info.line_at(address);
            let mut file = row
                .as_ref()
                .and_then(|(unit, row, _)| info.unit_files(*unit)?.get(row.file.into()).cloned());
            let (mut line, mut column) = match row {
                Some((_, row, _)) => (row.line, row.column.into()),
                None => (0, 0),
            };
            let mut frames = Vec::new();
            for link in info.chain_at(address) {
                let Some(function) = self.function_of(info, link.id) else {
                    continue;
                };
                let call = link.call.map(|index| &link.body.calls[index]);
                let ranges = match call {
                    Some(call) => call
                        .ranges
                        .iter()
                        .map(|r| self.range_to_memory(r))
                        .collect(),
                    None => function.ranges.clone(),
                };
                frames.push(SourceFrame {
                    function,
                    entry: link.id,
                    ranges: ranges.into(),
                    file: file.take(),
                    line,
                    column,
                    is_inlined: call.is_some(),
                });
                if let Some(call) = call {
                    file = call.file.and_then(|file| info.file_of(call.id.unit, file));
                    (line, column) = (call.line, call.column);
                }
            }
            frames
        });
        frames.unwrap_or_default()
    }

    /// The calls of `function` that were inlined: where the code of each copy
    /// begins.
    ///
    /// Copies within other units than the one that describes the function (as
    /// link-time optimisation makes them) are not found.
    pub fn inlined_copies(&self, function: &Function) -> Vec<Address> {
        let copies = self.info(|info| {
            let lineage = info.lineage(function.id);
            let mut copies: Vec<u64> = lineage
                .iter()
                .flat_map(|(id, _)| info.copies_of(*id))
                .collect();
            copies.sort_unstable();
            copies.dedup();
            copies
                .into_iter()
                .map(|address| self.to_memory(address))
                .collect()
        });
        copies.unwrap_or_default()
    }

    /// The qualified names of all functions, for completion and for regular
    /// expressions. Each once, sorted.
    pub fn function_names(&self) -> Vec<String> {
        let kinds = [NameKind::Function, NameKind::Inline];
        self.info(|info| info.all_named(&kinds)).unwrap_or_default()
    }

    /// The function that an entry (of its code, of an inlined copy, or of its
    /// abstract description) stands for.
    pub(crate) fn function_of(&self, info: &Info<'_>, id: EntryId) -> Option<Arc<Function>> {
        let lock = || info.functions.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(function) = lock().get(&id) {
            return Some(function.clone());
        }
        let function = Arc::new(self.read_function(info, id)?);
        lock().insert(id, function.clone());
        Some(function)
    }

    fn read_function(&self, info: &Info<'_>, id: EntryId) -> Option<Function> {
        let mut lineage = info.lineage(id);
        if lineage.first()?.1.tag() == c::DW_TAG_inlined_subroutine {
            // The inlined call has a place, the function it calls has a name.
            lineage.remove(0);
        }
        let id = lineage.first()?.0;
        let find = |at| {
            lineage
                .iter()
                .find_map(|(id, entry)| Some((id.unit, entry.attr_value(at)?)))
        };
        let name = info.qualified_name(id);
        let linkage_name = find(c::DW_AT_linkage_name)
            .or_else(|| find(c::DW_AT_MIPS_linkage_name))
            .and_then(|(unit, value)| info.text(unit, Some(value)))
            .map(|text| text.to_string_lossy().into_owned())
            .filter(|linkage| *linkage != name);
        let unit = info.unit(id.unit)?;
        let ranges = info.ranges_of(id.unit, unit, &lineage[0].1);
        let ranges: Vec<_> = ranges
            .iter()
            .map(|range| self.range_to_memory(range))
            .collect();
        let file = find(c::DW_AT_decl_file).and_then(|(unit, value)| match value {
            Value::FileIndex(file) => info.file_of(unit, file),
            value => info.file_of(unit, value.udata_value()?),
        });
        let line = find(c::DW_AT_decl_line).and_then(|(_, value)| value.udata_value());
        let returns = find(c::DW_AT_type).and_then(|(unit, value)| info.follow(unit, value));
        Some(Function {
            id,
            entry: ranges.first().map(|range| range.start),
            linkage_name,
            ranges,
            file,
            line: line.unwrap_or(0) as u32,
            is_external: matches!(find(c::DW_AT_external), Some((_, Value::Flag(true)))),
            return_type: returns.map(TypeId),
            language: info.language(id.unit),
            name,
        })
    }
}
