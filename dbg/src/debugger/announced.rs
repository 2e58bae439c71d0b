//! Code that the program makes itself and announces by gdb's JIT interface
//! ("JIT Compilation Interface" in its manual): a list of symbol files in the
//! program's memory, and a function that it calls after each change.
//!
//! Each symbol file becomes a module like any library. The whole list is read
//! when a process is taken in; after that, only what each call says has changed.
//! All numbers come from a program that may be broken, so all is bounded.

use std::path::PathBuf;
use std::sync::Arc;

use sapwood_dwarf::{Having, ModuleId, ModuleKind};

use super::{Debugger, Events};
use crate::breakpoint::Reason;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::libraries::read_word;
use crate::loader;
use crate::target::Address;

/// The list, and what is called after a change of it.
const DESCRIPTOR: &str = "__jit_debug_descriptor";
const CALLED: &str = "__jit_debug_register_code";

/// More objects than anybody announces.
const MOST_OBJECTS: usize = 100_000;
/// The longest symbol file that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// A module that announces code.
struct Announcer {
    /// The module that has the list.
    module: ModuleId,
    descriptor: Address,
    called: Address,
    /// By the addresses of their entries.
    objects: Vec<(Address, ModuleId)>,
}

/// All of a process.
#[derive(Default)]
pub(super) struct Announcers {
    all: Vec<Announcer>,
    /// How many modules were looked at.
    looked: usize,
}

impl Announcers {
    /// A module is gone.
    pub fn forget(&mut self, module: ModuleId) {
        self.all.retain(|announcer| announcer.module != module);
    }
}

impl Debugger {
    /// Begins to listen to the modules that announce code, if anybody waits for
    /// code: to find them is to look at all symbols, which takes its time.
    pub(super) fn hear_announcers(&mut self, events: Events<'_>) -> Result<()> {
        let is_awaited = self.breakpoints.iter().any(|b| b.is_pending());
        if !is_awaited && !self.is_in_unknown_code() {
            return Ok(());
        }
        let from = std::mem::replace(&mut self.announcers.looked, self.modules.added());
        let mut new = Vec::new();
        for (module, opened) in self.modules.since(from, Having::Opened) {
            let symbols = opened.symbols_among(&[DESCRIPTOR, CALLED]);
            let named = |name| {
                let found = symbols.iter().find(|symbol| symbol.name == name);
                found.map(|symbol| symbol.address)
            };
            if let (Some(descriptor), Some(called)) = (named(DESCRIPTOR), named(CALLED)) {
                new.push(Announcer {
                    module,
                    descriptor,
                    called,
                    objects: Vec::new(),
                });
            }
        }
        for announcer in new {
            let (called, descriptor) = (announcer.called, announcer.descriptor);
            let index = self.announcers.all.len();
            self.announcers.all.push(announcer);
            let change = self.sites.add(called, Reason::Announced);
            let _ = self.apply(change);
            // struct { u32 version, action; entry *relevant, *first; }
            let mut entry = self.word(descriptor.add(16))?;
            let mut count = 0;
            while entry != 0 && count < MOST_OBJECTS {
                self.add_announced(index, Address(entry), events);
                entry = self.word(Address(entry))?;
                count += 1;
            }
        }
        self.resolve_new(events);
        Ok(())
    }

    /// Whether a thread is where no module is.
    fn is_in_unknown_code(&mut self) -> bool {
        let Some(target) = self.target.as_deref_mut() else {
            return false;
        };
        target.threads().into_iter().any(|thread| {
            let pc = target.registers(thread).map(|registers| registers.pc());
            pc.is_ok_and(|pc| self.modules.at(pc).is_none())
        })
    }

    /// A thread is at a site: perhaps where changes are announced.
    pub(super) fn take_in_announced(&mut self, at: Address, events: Events<'_>) -> Result<()> {
        let index = self
            .announcers
            .all
            .iter()
            .position(|known| known.called == at);
        let Some(index) = index else { return Ok(()) };
        let descriptor = self.announcers.all[index].descriptor;
        let action = self.word(descriptor)? >> 32;
        let entry = Address(self.word(descriptor.add(8))?);
        match action {
            1 => self.add_announced(index, entry, events),
            2 => self.remove_announced(index, entry),
            _ => {}
        }
        self.resolve_new(events);
        Ok(())
    }

    fn add_announced(&mut self, index: usize, entry: Address, events: Events<'_>) {
        // An entry at an address where another was.
        self.remove_announced(index, entry);
        match self.open_announced(entry) {
            Ok(module) => self.announcers.all[index].objects.push((entry, module)),
            Err(error) => events(Event::Warning(format!(
                "code that the program announces at {entry}: {error}"
            ))),
        }
    }

    /// struct { entry *next, *previous; const char *symbols; u64 length; }
    fn open_announced(&mut self, entry: Address) -> Result<ModuleId> {
        let symbols = Address(self.word(entry.add(16))?);
        let length = self.word(entry.add(24))?;
        if length > LONGEST {
            return Err(Error::new(format!("{length} bytes are too many")));
        }
        let mut bytes = vec![0; length as usize];
        self.live()?.read(symbols, &mut bytes)?;
        let name = PathBuf::from(format!("<in memory at {symbols}>"));
        let module = loader::open_bytes(&name, ModuleKind::Library, bytes, 0)?;
        Ok(Arc::make_mut(&mut self.modules).add(module))
    }

    fn remove_announced(&mut self, index: usize, entry: Address) {
        let objects = &mut self.announcers.all[index].objects;
        if let Some(at) = objects.iter().position(|(known, _)| *known == entry) {
            let (_, module) = objects.swap_remove(at);
            self.remove_module(module);
        }
    }

    fn word(&mut self, at: Address) -> Result<u64> {
        Ok(read_word(self.live()?, at)?)
    }
}
