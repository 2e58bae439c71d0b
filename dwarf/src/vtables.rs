//! Rust's tables of methods: which type the table behind a `dyn` is for.
//!
//! rustc describes each table as a variable named `<T as Trait>::{vtable}`,
//! whose own type names `T` as the one that contains it. Nothing else leads
//! from a table's address to the type: its symbol, where there is one, is local
//! and has only a number.

use gimli::constants as c;
use rustc_hash::FxHashMap;

use crate::info::Info;
use crate::{Address, Module, TypeId};

impl Info<'_> {
    /// The types of the file's tables, by the file's own addresses; gathered
    /// on first use.
    fn vtables(&self) -> &FxHashMap<u64, TypeId> {
        self.vtables.get_or_init(|| {
            let variables = self.variable_ids();
            variables.filter_map(|id| self.vtable(id)).collect()
        })
    }

    fn vtable(&self, id: crate::EntryId) -> Option<(u64, TypeId)> {
        let (unit, entry) = self.entry(id)?;
        let name = self.text(id.unit, entry.attr_value(c::DW_AT_name))?;
        if !name.slice().ends_with(b"::{vtable}") {
            return None;
        }
        let place = entry.attr_value(c::DW_AT_location)?.exprloc_value()?;
        let mut operations = place.operations(unit.encoding());
        let address = match operations.next().ok()?? {
            gimli::Operation::Address { address } => address,
            gimli::Operation::AddressIndex { index } => {
                self.dwarf_of(id.unit).address(unit, index).ok()?
            }
            _ => return None,
        };
        let table = self.follow(id.unit, entry.attr_value(c::DW_AT_type)?)?;
        let (_, table_entry) = self.entry(table)?;
        let holder = table_entry.attr_value(c::DW_AT_containing_type)?;
        Some((address, TypeId(self.follow(table.unit, holder)?)))
    }
}

impl Module {
    /// The type whose methods are in the table of a Rust trait object at an
    /// address, where the debug information describes that table.
    pub fn implementor(&self, vtable: Address) -> Option<TypeId> {
        let at = self.to_file(vtable);
        self.info(|info| info.vtables().get(&at).copied())?
    }
}
