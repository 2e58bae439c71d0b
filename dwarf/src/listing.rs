//! Everything that a module describes whose name satisfies a test: for lists of
//! functions, variables, types and units.

use std::path::Path;
use std::sync::Arc;

use gimli::constants as c;

use crate::functions::{Function, Language};
use crate::info::Value;
use crate::names::NameKind;
use crate::scopes::{Variable, VariableKind};
use crate::{EntryId, Module, TypeId};

/// A type and where the source names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedType {
    /// The type.
    pub id: TypeId,
    /// Its qualified name.
    pub name: String,
    /// The file that declares it; `None` for a type of the language itself.
    pub file: Option<Arc<Path>>,
    /// The line that declares it, 0 where nobody says.
    pub line: u32,
}

/// What a unit says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitNote {
    /// The folder that it was compiled in.
    pub directory: Option<String>,
    /// The compiler and its options.
    pub producer: Option<String>,
    /// The version of its debug information.
    pub version: u16,
    /// Its language.
    pub language: Language,
}

impl Module {
    /// The functions whose qualified name satisfies a test, those that were only
    /// inlined among them.
    pub fn functions_where(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Arc<Function>> {
        let kinds = [NameKind::Function, NameKind::Inline];
        let found = self.info(|info| {
            let ids = info.entries_named(&kinds, wanted);
            let functions = ids.into_iter().filter_map(|id| self.function_of(info, id));
            let functions: Vec<_> = functions.collect();
            let abstracts: Vec<EntryId> = functions
                .iter()
                .filter(|function| function.entry.is_some())
                .filter_map(|function| info.lineage(function.id).get(1).map(|(id, _)| *id))
                .collect();
            let shown = functions
                .into_iter()
                .filter(|function| function.entry.is_some() || !abstracts.contains(&function.id));
            shown.collect()
        });
        found.unwrap_or_default()
    }

    /// The global and file-static variables whose qualified name satisfies a
    /// test.
    pub fn globals_where(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Variable> {
        let found = self.info(|info| {
            let ids = info.entries_named(&[NameKind::Variable], wanted);
            let found = ids.into_iter();
            found
                .filter_map(|id| info.variable(id, VariableKind::Global, 0))
                .collect()
        });
        found.unwrap_or_default()
    }

    /// The types whose qualified name satisfies a test.
    pub fn types_where(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<NamedType> {
        let found = self.info(|info| {
            let ids = info.entries_named(&[NameKind::Type], wanted);
            let types = ids.into_iter().filter_map(|id| {
                let (_, entry) = info.entry(id)?;
                let file = match entry.attr_value(c::DW_AT_decl_file) {
                    Some(Value::FileIndex(file)) => info.file_of(id.unit, file),
                    Some(value) => info.file_of(id.unit, value.udata_value()?),
                    None => None,
                };
                let line = entry.attr_value(c::DW_AT_decl_line);
                let line = line.and_then(|value| value.udata_value()).unwrap_or(0);
                Some(NamedType {
                    id: TypeId(id),
                    name: info.qualified_name(id),
                    file,
                    line: line as u32,
                })
            });
            types.collect()
        });
        found.unwrap_or_default()
    }

    /// What the unit that an entry belongs to says of itself.
    pub fn unit_note(&self, id: EntryId) -> Option<UnitNote> {
        self.info(|info| {
            let unit = info.unit(id.unit)?;
            let entry = unit.entry(unit.header.root_offset()).ok()?;
            let text = |at| {
                let text = info.text(id.unit, entry.attr_value(at));
                text.map(|text| text.to_string_lossy().into_owned())
            };
            Some(UnitNote {
                directory: text(c::DW_AT_comp_dir),
                producer: text(c::DW_AT_producer),
                version: unit.encoding().version,
                language: info.language(id.unit),
            })
        })?
    }
}
