//! An object's definitions, and putting some of them elsewhere: what new code
//! needs so that its variables are the ones that the program has already.
//!
//! A compiler told to give each variable a section of its own refers to a static
//! one by that section. The section's symbol and the variable's are made
//! addresses; the section's bytes stay, and nobody looks at them. Debug
//! information follows, for it refers to the same symbols.

use object::elf::{self, FileHeader64, Sym64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{LittleEndian, SymbolIndex};

const LE: LittleEndian = LittleEndian;
const SYMBOL_LEN: usize = 24;
/// From `st_info` to `st_value`: what says where a symbol is.
const ST_INFO: usize = 4;

/// What a symbol defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defines {
    /// A function.
    Function,
    /// A variable.
    Variable,
    /// A thread-local variable.
    ThreadLocal,
}

/// A definition of an object's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Only its own object sees it.
    pub is_static: bool,
    /// What it is.
    pub defines: Defines,
    /// Its length in bytes.
    pub size: u64,
    /// The section it lies in, and where.
    section: usize,
    offset: u64,
}

/// The functions and variables that a relocatable object defines, constants
/// left out.
pub fn definitions(data: &[u8]) -> Result<Vec<Definition>, String> {
    let read = || -> object::Result<Vec<Definition>> {
        let header = FileHeader64::<LittleEndian>::parse(data)?;
        let sections = header.sections(LE, data)?;
        let symbols = sections.symbols(LE, data, elf::SHT_SYMTAB)?;
        let mut found = Vec::new();
        for (index, symbol) in symbols.iter().enumerate() {
            let defines = match symbol.st_type() {
                elf::STT_FUNC => Defines::Function,
                elf::STT_OBJECT => Defines::Variable,
                elf::STT_TLS => Defines::ThreadLocal,
                _ => continue,
            };
            let section = symbols.symbol_section(LE, symbol, SymbolIndex(index))?;
            let Some(section) = section else { continue };
            // Constants are new each time.
            let holder = sections.section(section)?;
            let title = sections.section_name(LE, holder)?;
            let is_constant =
                holder.sh_flags(LE).0 & elf::SHF_WRITE.0 == 0 || title.starts_with(b".data.rel.ro");
            if defines != Defines::Function && is_constant {
                continue;
            }
            let name = symbols.symbol_name(LE, symbol)?;
            found.push(Definition {
                name: String::from_utf8_lossy(name).into_owned(),
                is_static: symbol.is_local(),
                defines,
                size: symbol.st_size(LE),
                section: section.0,
                offset: symbol.st_value(LE),
            });
        }
        Ok(found)
    };
    read().map_err(|error| error.to_string())
}

/// Puts variables where the program has them. On error the object is as it was.
pub fn put_at(data: &mut [u8], which: &[(Definition, u64)]) -> Result<(), String> {
    for (at, bytes) in changes(data, which)? {
        data[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    Ok(())
}

/// What is to be put where in the object.
fn changes(data: &[u8], which: &[(Definition, u64)]) -> Result<Vec<(usize, Vec<u8>)>, String> {
    let failed = |error: object::Error| error.to_string();
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(failed)?;
    let sections = header.sections(LE, data).map_err(failed)?;
    let symbols = sections
        .symbols(LE, data, elf::SHT_SYMTAB)
        .map_err(failed)?;
    let table = sections.section(symbols.section()).map_err(failed)?;
    let (table_at, _) = table.file_range(LE).ok_or("it has no symbols")?;
    let mut changes = Vec::new();
    for (definition, address) in which {
        for (index, symbol) in symbols.iter().enumerate() {
            let section = symbols.symbol_section(LE, symbol, SymbolIndex(index));
            if section.map_err(failed)?.map(|s| s.0) != Some(definition.section) {
                continue;
            }
            check_alone(definition, symbol)?;
            // Elf64_Sym from `st_info` on: info, other, section, value.
            let mut place = vec![elf::STB_LOCAL.0 << 4 | elf::STT_OBJECT.0, 0];
            place.extend(elf::SHN_ABS.0.to_le_bytes());
            place.extend(address.to_le_bytes());
            changes.push((table_at as usize + index * SYMBOL_LEN + ST_INFO, place));
        }
    }
    Ok(changes)
}

/// Refuses a section in which something else lies.
fn check_alone(definition: &Definition, symbol: &Sym64<LittleEndian>) -> Result<(), String> {
    match symbol.st_value(LE) {
        0 => Ok(()),
        _ => Err(format!(
            "something else lies in the section of `{}`; compile with -fdata-sections",
            definition.name
        )),
    }
}
