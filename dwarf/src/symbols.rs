//! The ELF symbols of a module, `.symtab` and `.dynsym` together, by name and
//! by address. They need no debug information.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use object::elf::{self, Sym64};
use object::{LittleEndian, pod};

use crate::elf::{Elf, Section};
use crate::files::hash_name;
use crate::versions::{Version, Versions};
use crate::{Address, Bytes, Module};

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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Binding {
    /// Everybody.
    Global,
    /// Everybody, unless somebody defines it strongly.
    Weak,
    /// Its own object file.
    Local,
}

/// The symbols, sorted by address; their names stay in the files.
#[derive(Default)]
pub(crate) struct SymbolTable {
    symbols: Vec<Entry>,
    /// Addresses of dynamic symbols that have versions, where their names lie in
    /// `.dynstr`, and which version; sorted.
    versions: Vec<(u64, u32, Version)>,
    /// Hash of the name and index of the symbol, sorted.
    by_name: OnceLock<Vec<(u32, u32)>>,
}

/// A symbol in the file's own terms.
#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    size: u64,
    name: u32,
    kind: SymbolKind,
    binding: Binding,
    /// Whether its name lies in the separate debug file.
    is_debug: bool,
    /// Whether its name lies in `.dynstr`.
    is_dynamic: bool,
}

impl Entry {
    /// Which of several symbols at one address to show: functions and data
    /// before labels, global before local, sized before not.
    fn rank(&self) -> (bool, Binding, bool) {
        (self.kind == SymbolKind::Label, self.binding, self.size == 0)
    }
}

/// A table's symbols, as they lie in the file.
fn table<'d>(elf: &Elf, data: &'d [u8], kind: elf::SectionType) -> &'d [Sym64<LittleEndian>] {
    let Some(table) = elf.sections.iter().find(|section| section.kind == kind) else {
        return &[];
    };
    let bytes = data.get(table.file.clone()).unwrap_or_default();
    let count = bytes.len() / size_of::<Sym64<LittleEndian>>();
    pod::slice_from_bytes(bytes, count).map_or(&[], |(symbols, _)| symbols)
}

/// The versions of the dynamic symbols that have any, by address.
fn read_versions(elf: &Elf, data: &[u8]) -> Vec<(u64, u32, Version)> {
    let versions = Versions::read(elf, data);
    let symbols = table(elf, data, elf::SHT_DYNSYM).iter().enumerate();
    let mut found: Vec<(u64, u32, Version)> = symbols
        .filter_map(|(number, symbol)| {
            let version = versions.of(number);
            let entry = read_symbol(elf, symbol).filter(|_| version.name.is_some())?;
            Some((entry.address, entry.name, version))
        })
        .collect();
    found.sort_by_key(|(address, name, _)| (*address, *name));
    found.shrink_to_fit();
    found
}

fn read_symbol(elf: &Elf, symbol: &Sym64<LittleEndian>) -> Option<Entry> {
    let endian = LittleEndian;
    let kind = match symbol.st_info.0 & 0xf {
        0 => SymbolKind::Label,
        1 | 5 => SymbolKind::Data,
        2 => SymbolKind::Function,
        6 => SymbolKind::ThreadLocal,
        10 => SymbolKind::IndirectFunction,
        _ => return None,
    };
    let binding = match symbol.st_info.0 >> 4 {
        0 => Binding::Local,
        2 => Binding::Weak,
        _ => Binding::Global,
    };
    let section = symbol.st_shndx.get(endian).0;
    let mut address = symbol.st_value.get(endian);
    const ABSOLUTE: u16 = 0xfff1;
    match section {
        0 => return None,
        ABSOLUTE => {}
        index => {
            let header = elf.sections.get(usize::from(index))?;
            // In a relocatable file a symbol is relative to its section, but
            // a published image may have made it absolute.
            let is_absolute = header.address != 0 && header.addresses().contains(&address);
            if elf.is_relocatable && !is_absolute && kind != SymbolKind::ThreadLocal {
                address = address.wrapping_add(header.address);
            }
            if !header.is_allocated() {
                return None;
            }
        }
    }
    let name = symbol.st_name.get(endian);
    let size = symbol.st_size.get(endian);
    (name != 0).then_some(Entry {
        address,
        size,
        name,
        kind,
        binding,
        is_debug: false,
        is_dynamic: false,
    })
}

/// A symbol table of a module.
#[derive(Clone, Copy)]
struct Table<'m> {
    bytes: &'m [u8],
    elf: &'m Elf,
    kind: elf::SectionType,
    is_debug: bool,
}

impl<'m> Table<'m> {
    fn of((bytes, elf): (&'m Bytes, &'m Elf), kind: elf::SectionType, is_debug: bool) -> Table<'m> {
        Table {
            bytes: bytes.get(),
            elf,
            kind,
            is_debug,
        }
    }

    /// Its symbols. Damaged parts are left out.
    fn entries(&self) -> impl Iterator<Item = Entry> {
        let symbols = table(self.elf, self.bytes, self.kind).iter();
        symbols.filter_map(|symbol| self.entry(symbol))
    }

    fn entry(&self, symbol: &Sym64<LittleEndian>) -> Option<Entry> {
        Some(Entry {
            is_debug: self.is_debug,
            is_dynamic: self.kind == elf::SHT_DYNSYM,
            ..read_symbol(self.elf, symbol)?
        })
    }

    /// Those with one of some names.
    fn named(&self, names: &[&str]) -> impl Iterator<Item = Entry> {
        let strings = strings(self.elf, self.kind == elf::SHT_DYNSYM);
        let text = strings.and_then(|strings| self.bytes.get(strings.file.clone()));
        let text = text.unwrap_or_default();
        let is_wanted = move |symbol: &&Sym64<LittleEndian>| {
            let at = symbol.st_name.get(LittleEndian) as usize;
            let text = text.get(at..).unwrap_or_default();
            let is = |name: &&str| {
                let name = name.as_bytes();
                text.first() == name.first()
                    && text.starts_with(name)
                    // `.symtab` writes a version into the name.
                    && matches!(text.get(name.len()), Some(0 | b'@'))
            };
            names.iter().any(is)
        };
        let symbols = table(self.elf, self.bytes, self.kind).iter();
        symbols
            .filter(is_wanted)
            .filter_map(|symbol| self.entry(symbol))
    }
}

/// How many names are looked for by going through all symbols before the table
/// of names is made: that costs as much as some dozen look-ups.
const MAX_SCANS: u32 = 12;

impl SymbolTable {
    fn read(module: &Module) -> SymbolTable {
        let entries = module.tables().iter().flat_map(Table::entries).collect();
        let mut symbols = module.in_order(entries);
        symbols.shrink_to_fit();
        let (bytes, elf) = module.loaded_file();
        SymbolTable {
            symbols,
            versions: read_versions(elf, bytes.get()),
            by_name: OnceLock::new(),
        }
    }
}

/// The string table that goes with a symbol table.
fn strings(elf: &Elf, is_dynamic: bool) -> Option<&Section> {
    let kind = if is_dynamic {
        elf::SHT_DYNSYM
    } else {
        elf::SHT_SYMTAB
    };
    let table = elf.sections.iter().find(|section| section.kind == kind)?;
    elf.sections.get(table.link)
}

impl Module {
    fn symbol_table(&self) -> &SymbolTable {
        self.symbols.get_or_init(|| SymbolTable::read(self))
    }

    /// Its symbol tables.
    fn tables(&self) -> [Table<'_>; 2] {
        let (loaded, debug) = (self.loaded_file(), self.symbol_file());
        let is_separate = !std::ptr::eq(loaded.1, debug.1);
        let mut symbols = Table::of(debug, elf::SHT_SYMTAB, is_separate);
        if is_separate && symbols.entries().next().is_none() {
            symbols = Table::of(loaded, elf::SHT_SYMTAB, false);
        }
        [symbols, Table::of(loaded, elf::SHT_DYNSYM, false)]
    }

    /// Symbols by address, each once.
    fn in_order(&self, mut symbols: Vec<Entry>) -> Vec<Entry> {
        symbols.sort_by_key(|entry| (entry.address, entry.rank()));
        // What `.dynsym` repeats stands next to its twin.
        symbols.dedup_by(|one, other| {
            one.address == other.address
                && one.size == other.size
                && one.kind == other.kind
                && self.symbol_name(one) == self.symbol_name(other)
        });
        symbols
    }

    /// The defined symbols with one of some exact names. For all of them at once,
    /// this costs one look at each symbol's name.
    pub fn symbols_among(&self, names: &[&str]) -> Vec<Symbol<'_>> {
        let found = self.scan(names);
        found.iter().map(|entry| self.symbol(entry)).collect()
    }

    /// The symbols with one of some names, strong ones first.
    fn scan(&self, names: &[&str]) -> Vec<Entry> {
        let tables = self.tables();
        let found = tables.iter().flat_map(|table| table.named(names)).collect();
        let mut found = self.in_order(found);
        found.sort_by_key(|entry| entry.binding);
        found
    }

    fn symbol_name(&self, entry: &Entry) -> &str {
        let (bytes, elf) = if entry.is_debug {
            self.symbol_file()
        } else {
            self.loaded_file()
        };
        let text = strings(elf, entry.is_dynamic).and_then(|strings| {
            bytes
                .get()
                .get(strings.file.clone())?
                .get(entry.name as usize..)
        });
        let text = text.unwrap_or_default();
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(0);
        let name = std::str::from_utf8(&text[..end]).unwrap_or_default();
        // `.symtab` writes a version into the name.
        name.split('@').next().unwrap_or_default()
    }

    fn symbol(&self, entry: &Entry) -> Symbol<'_> {
        let address = match entry.kind {
            SymbolKind::ThreadLocal => Address(entry.address),
            _ => self.to_memory(entry.address),
        };
        Symbol {
            name: self.symbol_name(entry),
            address,
            size: entry.size,
            kind: entry.kind,
            binding: entry.binding,
        }
    }

    /// The defined symbols of that exact name, strong ones first.
    pub fn symbols_named(&self, name: &str) -> Vec<Symbol<'_>> {
        let entries = self.entries_named(name);
        entries.iter().map(|entry| self.symbol(entry)).collect()
    }

    /// What code elsewhere means by a name: the definition of that version or,
    /// when it asks for none, of the default one. A module without versions is
    /// content with any, as the dynamic linker is.
    pub fn exported(&self, name: &str, version: Option<&str>) -> Option<Symbol<'_>> {
        let entries = self.entries_named(name).into_iter();
        let mut entries = entries.filter(|entry| entry.binding != Binding::Local);
        let is_meant = |entry: &Entry| {
            let mut versions = self.versions_of(entry, name).peekable();
            let has_none = versions.peek().is_none();
            has_none
                || versions.any(|known| match version {
                    Some(version) => self.dynamic_string(known.name) == Some(version),
                    None => !known.is_hidden,
                })
        };
        entries.find(is_meant).map(|entry| self.symbol(&entry))
    }

    /// The versions of a symbol.
    fn versions_of(&self, entry: &Entry, name: &str) -> impl Iterator<Item = Version> {
        let versions = &self.symbol_table().versions;
        let from = versions.partition_point(|(address, ..)| *address < entry.address);
        let here = versions[from..].iter();
        here.take_while(|(address, ..)| *address == entry.address)
            .filter(move |(_, text, _)| self.dynamic_string(Some(*text)) == Some(name))
            .map(|(.., version)| *version)
    }

    /// A text of `.dynstr`.
    fn dynamic_string(&self, at: Option<u32>) -> Option<&str> {
        let (bytes, elf) = self.loaded_file();
        let strings = bytes.get().get(strings(elf, true)?.file.clone())?;
        let text = strings.get(at? as usize..)?;
        let end = text.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&text[..end]).ok()
    }

    /// The symbols of a name, strong ones first.
    fn entries_named(&self, name: &str) -> Vec<Entry> {
        let is_made = |table: &SymbolTable| table.by_name.get().is_some();
        if !self.symbols.get().is_some_and(is_made)
            && self.symbol_scans.fetch_add(1, Ordering::Relaxed) < MAX_SCANS
        {
            return self.scan(&[name]);
        }
        let table = self.symbol_table();
        let by_name = table.by_name.get_or_init(|| {
            let names = table.symbols.iter().enumerate();
            let mut names: Vec<(u32, u32)> = names
                .map(|(index, entry)| (hash_name(self.symbol_name(entry).as_bytes()), index as u32))
                .collect();
            names.sort_unstable();
            names
        });
        let hash = hash_name(name.as_bytes());
        let from = by_name.partition_point(|&(other, _)| other < hash);
        let same = by_name[from..]
            .iter()
            .take_while(|&&(other, _)| other == hash);
        let mut found: Vec<Entry> = same
            .map(|&(_, index)| table.symbols[index as usize])
            .filter(|entry| self.symbol_name(entry) == name)
            .collect();
        found.sort_by_key(|entry| entry.binding);
        found
    }

    /// The defined symbol of that exact name: a global one before a weak one
    /// before a local one.
    pub fn symbol_named(&self, name: &str) -> Option<Symbol<'_>> {
        self.symbols_named(name).into_iter().next()
    }

    /// The symbol that `at` lies in, or else the nearest one before it in the same
    /// section if its end is not said; and how far into it `at` lies.
    pub fn symbol_at(&self, at: Address) -> Option<(Symbol<'_>, u64)> {
        let address = self.to_file(at);
        let (_, elf) = self.loaded_file();
        let section = elf.sections.iter().find(|section| {
            section.is_allocated()
                && section.flags & elf::SHF_TLS.0 == 0
                && section.addresses().contains(&address)
        });
        let symbols = &self.symbol_table().symbols;
        let after = symbols.partition_point(|entry| entry.address <= address);
        let first = section.map_or(0, |section| section.address);
        let candidates = symbols[..after]
            .iter()
            .rev()
            .filter(|entry| entry.kind != SymbolKind::ThreadLocal)
            .take_while(|entry| entry.address >= first);
        let mut nearest: Option<&Entry> = None;
        // How many shorter symbols to look past for one that covers `at`.
        const MAX_STEPS: usize = 16;
        for (steps, entry) in candidates.enumerate() {
            let covers = address - entry.address < entry.size.max(1);
            let best = nearest.get_or_insert(entry);
            if covers {
                // Of several at the place, the first in order of rank.
                if entry.address == best.address || address - best.address >= best.size.max(1) {
                    nearest = Some(entry);
                } else {
                    break;
                }
            } else if entry.address == best.address && entry.rank() < best.rank() {
                nearest = Some(entry);
            }
            if steps >= MAX_STEPS {
                break;
            }
        }
        // One that ended before says nothing of what comes after it.
        let entry = nearest.filter(|one| one.size == 0 || address - one.address < one.size)?;
        Some((self.symbol(entry), address - entry.address))
    }

    /// All defined symbols, in order of address.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.symbol_table()
            .symbols
            .iter()
            .map(|entry| self.symbol(entry))
    }
}
