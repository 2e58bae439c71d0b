//! [`Names`]: what a guest instruction is called in the guest's own source.
//!
//! A block is told of with the file that its code comes from; a region is made of
//! blocks that were told of before. So it is remembered where each block came
//! from, and files are opened when the first name from them is wanted. A guest
//! that puts other code where a block was is told of again, which counts then.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sapwood_dwarf::{Address, Bytes, Input, Module, ModuleKind};
use sapwood_emu::watch::Translated;
use sapwood_emu::{GuestAddr, elf};

/// The guest's files, by path, and which of its code comes from them.
#[derive(Default)]
pub struct Names {
    files: HashMap<Arc<Path>, Option<Guested>>,
    blocks: BTreeMap<GuestAddr, Origin>,
}

/// Where a block's code comes from.
struct Origin {
    end: GuestAddr,
    file: Arc<Path>,
    offset: u64,
}

/// A file of the guest's, at the addresses that it was linked for.
struct Guested {
    module: Module,
    bytes: Arc<[u8]>,
}

/// What is known of an instruction.
#[derive(Clone, Default, PartialEq)]
pub struct Named {
    /// The function that it is part of, and how far into it.
    pub function: Option<(String, u64)>,
    /// The file and line that brought it about.
    pub line: Option<(Arc<Path>, u32)>,
}

impl Names {
    /// Remembers where a block comes from.
    pub fn learn(&mut self, piece: &Translated<'_>) {
        if piece.blocks > 1 {
            return;
        }
        // A block that was here before, of which this one may be a part, is gone.
        let Some((path, offset)) = &piece.file else {
            self.blocks.remove(&piece.start);
            return;
        };
        let known = self.files.get_key_value(path.as_path());
        let file = known.map_or_else(|| Arc::from(path.as_path()), |(path, _)| path.clone());
        let origin = Origin {
            end: GuestAddr(piece.start.0 + piece.guest_code.len() as u64),
            file,
            offset: *offset,
        };
        self.blocks.insert(piece.start, origin);
    }

    /// What the instruction at `pc` is called.
    pub fn of(&mut self, pc: GuestAddr) -> Named {
        self.find(pc).unwrap_or_default()
    }

    fn find(&mut self, pc: GuestAddr) -> Option<Named> {
        let (start, origin) = self.blocks.range(..=pc).next_back()?;
        if pc >= origin.end {
            return None;
        }
        let file = self.files.entry(origin.file.clone());
        let file = file.or_insert_with(|| open(&origin.file)).as_ref()?;
        let offset = origin.offset + (pc.0 - start.0);
        let at = Address(elf::link_address(&file.bytes, offset)?);
        let symbol = file.module.symbol_at(at);
        let row = file.module.line_at(at);
        Some(Named {
            function: symbol.map(|(symbol, distance)| (symbol.name.to_string(), distance)),
            line: row.map(|row| (row.file, row.line)),
        })
    }
}

/// ` function+0x10 (file.c:12)`, as much of it as is known.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, distance)) = &self.function {
            write!(f, " {name}")?;
            if *distance > 0 {
                write!(f, "+{distance:#x}")?;
            }
        }
        if let Some((file, line)) = &self.line {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            write!(f, " ({file}:{line})")?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Option<Guested> {
    let bytes: Arc<[u8]> = std::fs::read(path).ok()?.into();
    let input = Input::new(path, ModuleKind::Executable, Bytes::from(bytes.clone()), 0);
    let module = Module::open(input).ok()?;
    Some(Guested { module, bytes })
}
