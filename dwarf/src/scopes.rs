//! Variables: which ones a pc can see, and the program's globals.

use std::path::Path;
use std::sync::Arc;

use gimli::constants as c;

use crate::info::{Entry, Info, Unit, Value};
use crate::names::NameKind;
use crate::{Address, EntryId, Module, Result, TypeId};

/// A variable or parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// The entry that has its location (of the inlined or concrete copy).
    pub id: EntryId,
    /// Its name; qualified for a global.
    pub name: String,
    /// Its type.
    pub type_id: Option<TypeId>,
    /// What kind of variable it is.
    pub kind: VariableKind,
    /// The file that declares it.
    pub file: Option<Arc<Path>>,
    /// The line that declares it, 0 where nobody says.
    pub line: u32,
    /// The block that it belongs to, 0 for the function's own, counted inwards.
    pub depth: u32,
    /// Whether the compiler made it up.
    pub is_artificial: bool,
}

/// What kind of variable it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VariableKind {
    /// A formal parameter.
    Parameter,
    /// A local variable.
    Local,
    /// A variable of a file or namespace.
    Global,
}

/// The most places whose variables are remembered: deep recursion asks for those
/// of a few places thousands of times.
const MAX_PLACES: usize = 1024;

/// A variable's entry and the block that it is in.
struct Found<'a> {
    id: EntryId,
    entry: Entry<'a>,
    depth: u32,
}

/// How an entry inside a function bears on what a pc can see.
enum Part {
    Variable,
    /// A block whose variables are seen by the code it covers.
    Block,
    /// Something whose insides do not matter.
    Closed,
}

fn part_of(tag: gimli::DwTag) -> Part {
    match tag {
        c::DW_TAG_variable | c::DW_TAG_formal_parameter | c::DW_TAG_constant => Part::Variable,
        c::DW_TAG_lexical_block | c::DW_TAG_try_block | c::DW_TAG_catch_block => Part::Block,
        _ => Part::Closed,
    }
}

impl<'a> Info<'a> {
    /// The variables of a function's or inlined call's entry that an address
    /// can see, in the order of their entries. `None` for the address sees all.
    fn visible(&self, frame: EntryId, address: Option<u64>) -> gimli::Result<Vec<Found<'a>>> {
        let mut found = Vec::new();
        let Some(unit) = self.unit(frame.unit) else {
            return Ok(found);
        };
        let mut entries = unit.entries_raw(Some(gimli::UnitOffset(frame.offset as usize)))?;
        let mut entry = Entry::null();
        if !entries.read_entry(&mut entry)? || !entry.has_children() {
            return Ok(found);
        }
        // The depths of the open blocks that cover the address.
        let mut blocks: Vec<isize> = vec![0];
        // The depth of an entry whose insides are skipped.
        let mut closed: Option<isize> = None;
        while !entries.is_empty() {
            let offset = entries.next_offset().0 as u32;
            let depth = entries.next_depth();
            if depth <= 0 {
                break;
            }
            if closed.is_some_and(|closed| depth <= closed) {
                closed = None;
            }
            while blocks.last().is_some_and(|&block| depth <= block) && blocks.len() > 1 {
                blocks.pop();
            }
            if !entries.read_entry(&mut entry)? || closed.is_some() {
                continue;
            }
            match part_of(entry.tag()) {
                Part::Variable => found.push(Found {
                    id: EntryId {
                        unit: frame.unit,
                        offset,
                    },
                    entry: entry.clone(),
                    depth: blocks.len() as u32 - 1,
                }),
                Part::Block if self.covers(frame.unit, unit, &entry, address) => {
                    if entry.has_children() {
                        blocks.push(depth);
                    }
                    continue;
                }
                _ => {}
            }
            if entry.has_children() {
                closed = Some(depth);
            }
        }
        Ok(found)
    }

    fn covers(&self, index: u32, unit: &Unit<'a>, entry: &Entry<'a>, at: Option<u64>) -> bool {
        let Some(at) = at else { return true };
        let has_code = entry.has_attr(c::DW_AT_low_pc) || entry.has_attr(c::DW_AT_ranges);
        // A block without code of its own only groups.
        !has_code
            || self
                .ranges_of(index, unit, entry)
                .iter()
                .any(|range| range.contains(&at))
    }

    /// The variables that a frame sees, those among them that have been
    /// optimised out of it: the abstract description still has these.
    fn variables_of(&self, frame: EntryId, address: u64) -> gimli::Result<Vec<Found<'a>>> {
        let mut found = self.visible(frame, Some(address))?;
        let Some((_, entry)) = self.entry(frame) else {
            return Ok(found);
        };
        let Some(reference) = entry.attr_value(c::DW_AT_abstract_origin) else {
            return Ok(found);
        };
        let Some(origin) = self.follow(frame.unit, reference) else {
            return Ok(found);
        };
        let concrete = self.visible(frame, None)?;
        let described: Vec<Option<EntryId>> = concrete
            .iter()
            .map(|one| self.origin(one.id, &one.entry))
            .collect();
        let mut position = 0;
        for variable in self.visible(origin, None)? {
            if variable.depth > 0 || described.contains(&Some(variable.id)) {
                continue;
            }
            // Parameters stay before locals.
            let is_parameter = variable.entry.tag() == c::DW_TAG_formal_parameter;
            let at = if is_parameter { position } else { found.len() };
            position += usize::from(is_parameter);
            found.insert(at.min(found.len()), variable);
        }
        Ok(found)
    }

    /// A variable's name, type and declaration.
    pub(crate) fn variable(&self, id: EntryId, kind: VariableKind, depth: u32) -> Option<Variable> {
        let lineage = self.lineage(id);
        let find = |at| {
            lineage
                .iter()
                .find_map(|(id, entry)| Some((id.unit, entry.attr_value(at)?)))
        };
        let name = match kind {
            VariableKind::Global => self.qualified_name(id),
            _ => self.name_of(id)?.to_string_lossy().into_owned(),
        };
        let kind = match lineage.first()?.1.tag() {
            c::DW_TAG_formal_parameter => VariableKind::Parameter,
            _ => kind,
        };
        let file = find(c::DW_AT_decl_file).and_then(|(unit, value)| match value {
            Value::FileIndex(file) => self.file_of(unit, file),
            value => self.file_of(unit, value.udata_value()?),
        });
        let line = find(c::DW_AT_decl_line).and_then(|(_, value)| value.udata_value());
        let type_id = find(c::DW_AT_type).and_then(|(unit, value)| self.follow(unit, value));
        Some(Variable {
            id,
            name,
            type_id: type_id.map(TypeId),
            kind,
            file,
            line: line.unwrap_or(0) as u32,
            depth,
            is_artificial: matches!(find(c::DW_AT_artificial), Some((_, Value::Flag(true)))),
        })
    }
}

impl Module {
    /// The variables that the frame whose code is described by `frame` (a
    /// [`SourceFrame::entry`](crate::SourceFrame::entry)) can see at `at`,
    /// innermost block first and in order of declaration within one.
    pub fn variables(&self, frame: EntryId, at: Address) -> Result<Vec<Variable>> {
        let key = (frame, self.to_file(at));
        let variables = self.info(|info| {
            let lock = || info.variables.lock().unwrap_or_else(|e| e.into_inner());
            if let Some(known) = lock().get(&key) {
                return Ok(known.to_vec());
            }
            let found = info
                .variables_of(frame, key.1)
                .map_err(|error| info.fault_at(frame, error))?;
            let mut variables: Vec<Variable> = found
                .iter()
                .filter_map(|one| info.variable(one.id, VariableKind::Local, one.depth))
                .collect();
            variables.sort_by_key(|variable| std::cmp::Reverse(variable.depth));
            let mut known = lock();
            if known.len() >= MAX_PLACES {
                known.clear();
            }
            known.insert(key, variables.as_slice().into());
            Ok(variables)
        });
        variables.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The global and file-static variables of that name, or of that suffix on
    /// a `::` boundary, or that linkage name. Only definitions.
    pub fn globals(&self, name: &str) -> Vec<Variable> {
        let found = self.info(|info| {
            let ids = info.named(name, &[NameKind::Variable]);
            let found = ids.into_iter();
            found
                .filter_map(|id| info.variable(id, VariableKind::Global, 0))
                .collect()
        });
        found.unwrap_or_default()
    }

    /// The qualified names of all global variables, each once, sorted.
    pub fn global_names(&self) -> Vec<String> {
        self.info(|info| info.all_named(&[NameKind::Variable]))
            .unwrap_or_default()
    }

    /// The constant that an enumeration anywhere in the module gives that
    /// name to: the enumeration and the value.
    pub fn enumerator(&self, name: &str) -> Option<(TypeId, i128)> {
        self.info(|info| {
            let id = info
                .named(name, &[NameKind::Enumerator])
                .into_iter()
                .next()?;
            let (_, entry) = info.entry(id)?;
            let value = crate::types::constant(&entry, c::DW_AT_const_value)?;
            let map = info.map(id.unit)?;
            let around = map.scopes_around(id.offset);
            Some((
                TypeId(EntryId {
                    unit: id.unit,
                    offset: *around.first()?,
                }),
                value,
            ))
        })?
    }
}
