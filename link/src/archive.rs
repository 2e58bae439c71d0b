//! Static archives: which member defines a name.
//!
//! The index is read from the archive's own symbol table, or from the members'
//! when it has none. Members are staged when a name they define is wanted.

use std::ops::Range;
use std::sync::Arc;

use object::read::archive::ArchiveFile;
use object::read::elf::{FileHeader, Sym};
use object::{LittleEndian, elf};
use rustc_hash::FxHashMap;

use crate::error::Error;

/// An archive that a session keeps, so that later batches can pull members
/// from it too.
pub(crate) struct Archive {
    pub name: Arc<str>,
    pub bytes: Arc<[u8]>,
    members: Vec<Member>,
    /// Name → number of the first member that defines it.
    index: FxHashMap<Box<str>, u32>,
}

struct Member {
    name: String,
    range: Range<usize>,
    loaded: bool,
}

impl Archive {
    /// Reads an archive's index.
    pub fn parse(name: &str, bytes: Arc<[u8]>) -> Result<Archive, Error> {
        let fail = |error: object::Error| Error::malformed(name, error);
        let file = ArchiveFile::parse(&*bytes).map_err(fail)?;
        if file.is_thin() {
            return Err(Error::unsupported(
                name,
                "a thin archive, whose members are elsewhere (`source::whole_archive` reads them)",
            ));
        }
        let mut members = Vec::new();
        let mut numbers = FxHashMap::default();
        for member in file.members() {
            let member = member.map_err(fail)?;
            let (start, len) = member.file_range();
            let range = usize::try_from(start)
                .ok()
                .zip(usize::try_from(start + len).ok());
            let range = range.filter(|&(start, end)| start <= end && end <= bytes.len());
            let member_name = String::from_utf8_lossy(member.name()).into_owned();
            let Some((start, end)) = range else {
                return Err(Error::malformed(
                    name,
                    format!("member {member_name} is truncated"),
                ));
            };
            numbers.insert(start, members.len() as u32);
            members.push(Member {
                name: member_name,
                range: start..end,
                loaded: false,
            });
        }
        let mut index = FxHashMap::default();
        match file.symbols().map_err(fail)? {
            Some(symbols) => {
                for symbol in symbols {
                    let symbol = symbol.map_err(fail)?;
                    let member = file.member(symbol.offset()).map_err(fail)?;
                    let number = numbers.get(&(member.file_range().0 as usize));
                    let text = std::str::from_utf8(symbol.name()).ok();
                    let (Some(&number), Some(text)) = (number, text) else {
                        return Err(Error::malformed(name, "its symbol table names no member"));
                    };
                    add(&mut index, text, number);
                }
            }
            None => {
                for (number, member) in members.iter().enumerate() {
                    for text in defined_names(&bytes[member.range.clone()]) {
                        add(&mut index, text, number as u32);
                    }
                }
            }
        }
        Ok(Archive {
            name: name.into(),
            bytes,
            members,
            index,
        })
    }

    /// The member that defines `name` and was not pulled yet: its number, name
    /// and bytes.
    pub fn member_for(&self, name: &str) -> Option<(u32, String, Range<usize>)> {
        let number = *self.index.get(name)?;
        let member = &self.members[number as usize];
        let full_name = || format!("{}({})", self.name, member.name);
        (!member.loaded).then(|| (number, full_name(), member.range.clone()))
    }

    /// The members that were pulled, by their numbers.
    pub fn pulled(&self) -> Vec<usize> {
        let members = self.members.iter().enumerate();
        let pulled = members.filter(|(_, member)| member.loaded);
        pulled.map(|(number, _)| number).collect()
    }

    /// Marks a member as pulled, or as not pulled after a failed publish.
    pub fn set_loaded(&mut self, number: u32, loaded: bool) {
        self.members[number as usize].loaded = loaded;
    }
}

/// Adds a name that a member defines, unless one before it does. Who defines
/// `f@@V` defines `f` and `f@V`.
fn add(index: &mut FxHashMap<Box<str>, u32>, name: &str, member: u32) {
    index.entry(name.into()).or_insert(member);
    if let Some((plain, version)) = name.split_once("@@") {
        for name in [plain, &format!("{plain}@{version}")] {
            index.entry(name.into()).or_insert(member);
        }
    }
}

/// The global names that an object defines; none if it is not an object.
fn defined_names(data: &[u8]) -> Vec<&str> {
    const LE: LittleEndian = LittleEndian;
    let read = || -> object::Result<Vec<&str>> {
        let header = elf::FileHeader64::<LittleEndian>::parse(data)?;
        let sections = header.sections(LE, data)?;
        let symbols = sections.symbols(LE, data, elf::SHT_SYMTAB)?;
        let defined = symbols.iter().filter(|symbol| {
            !symbol.is_local() && symbol.st_shndx(LE) != elf::SHN_UNDEF && !symbol.is_common(LE)
        });
        defined
            .map(|symbol| {
                let name = symbols.symbol_name(LE, symbol)?;
                Ok(std::str::from_utf8(name).unwrap_or_default())
            })
            .collect()
    };
    read().unwrap_or_default()
}
