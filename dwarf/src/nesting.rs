//! What an entry is declared in: namespaces, types, functions.

use gimli::constants as c;

use crate::info::Info;
use crate::{EntryId, Module, TypeId};

/// What an entry may be declared in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// A namespace; without a name it is its file's own.
    Namespace {
        /// Its name.
        name: Option<String>,
        /// Whether its names are seen without its own.
        is_inline: bool,
    },
    /// A class, struct, union or enumeration.
    Type(TypeId),
    /// A function.
    Function(EntryId),
}

impl Info<'_> {
    fn scopes_of(&self, id: EntryId) -> Vec<Scope> {
        // What completes a declaration is in whatever that one is in.
        let lineage = self.lineage(id);
        let id = lineage.last().map_or(id, |(id, _)| *id);
        let mut scopes = Vec::new();
        let Some(map) = self.map(id.unit) else {
            return scopes;
        };
        for offset in map.scopes_around(id.offset) {
            let unit = id.unit;
            let scope = EntryId { unit, offset };
            let Some((_, entry)) = self.entry(scope) else {
                continue;
            };
            scopes.push(match entry.tag() {
                c::DW_TAG_namespace => Scope::Namespace {
                    name: self
                        .name_of(scope)
                        .map(|name| name.to_string_lossy().into_owned()),
                    is_inline: entry.has_attr(c::DW_AT_export_symbols),
                },
                c::DW_TAG_subprogram => Scope::Function(scope),
                _ => Scope::Type(TypeId(scope)),
            });
        }
        scopes.reverse();
        scopes
    }
}

impl Module {
    /// What an entry is declared in, outermost first.
    pub fn scopes_of(&self, id: EntryId) -> Vec<Scope> {
        self.info(|info| info.scopes_of(id)).unwrap_or_default()
    }
}
