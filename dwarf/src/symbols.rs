//! The ELF symbols of a module, `.symtab` and `.dynsym` together, by name and
//! by address. They need no debug information.

use crate::{Address, Module};

/// A symbol of a module's ELF symbol tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol<'m> {
    /// Its name, without a symbol version.
    pub name: &'m str,
    /// Where it is; for a thread-local symbol, its offset in the module's
    /// thread-local block.
    pub address: Address,
    /// Its length in bytes, 0 where the table does not say.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
    /// Who can see it.
    pub binding: Binding,
}

/// What a symbol names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SymbolKind {
    /// A function.
    Function,
    /// A function that returns the address of the one to call.
    IndirectFunction,
    /// A variable.
    Data,
    /// A thread-local variable.
    ThreadLocal,
    /// Something without a type, as assembler labels are.
    Label,
}

/// Who can see a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Binding {
    /// Its own object file.
    Local,
    /// Everybody.
    Global,
    /// Everybody, unless somebody defines it strongly.
    Weak,
}

impl Module {
    /// The defined symbols of that exact name, strong ones first.
    pub fn symbols_named(&self, name: &str) -> Vec<Symbol<'_>> {
        let _ = name;
        todo!()
    }

    /// The defined symbol of that exact name: a global one before a weak one
    /// before a local one.
    pub fn symbol_named(&self, name: &str) -> Option<Symbol<'_>> {
        self.symbols_named(name).into_iter().next()
    }

    /// The symbol that `at` lies in, or the nearest one before it in the same
    /// section, and how far into it `at` lies.
    pub fn symbol_at(&self, at: Address) -> Option<(Symbol<'_>, u64)> {
        let _ = at;
        todo!()
    }

    /// All defined symbols, in order of address.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        std::iter::empty()
    }
}
