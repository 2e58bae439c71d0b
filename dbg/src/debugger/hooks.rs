//! Where a call may be left without returning: the functions that a handler of an
//! exception and `longjmp` begin with.
//!
//! Their names are looked for among all symbols of each module, which for a large
//! program takes longer than getting to its first breakpoint does. So that is done
//! when a step first asks, and only for the modules that came since.

use sapwood_dwarf::{Having, Modules};

use crate::target::Address;

/// What a C++ handler calls before anything else.
const CATCH: &str = "__cxa_begin_catch";

/// That, and what leaves a call without returning from it, by its jump buffer.
const HOOKS: [&str; 5] = [CATCH, "longjmp", "_longjmp", "siglongjmp", "__longjmp_chk"];

/// See the [module page](self).
#[derive(Default)]
pub(super) struct Hooks {
    /// How many modules were looked at.
    seen: usize,
    catch: Option<Address>,
    jumps: Vec<Address>,
}

impl Hooks {
    /// Where a C++ handler begins its work, where the program has C++.
    pub fn catch(&mut self, modules: &Modules) -> Option<Address> {
        self.refresh(modules);
        self.catch
    }

    /// Where `longjmp` and its kin begin, in order.
    pub fn jumps(&mut self, modules: &Modules) -> &[Address] {
        self.refresh(modules);
        &self.jumps
    }

    fn refresh(&mut self, modules: &Modules) {
        let from = std::mem::replace(&mut self.seen, modules.added());
        if from == self.seen {
            return;
        }
        for (_, module) in modules.since(from, Having::Opened) {
            for symbol in module.symbols_among(&HOOKS) {
                match symbol.name == CATCH {
                    true => self.catch = Some(symbol.address),
                    false => self.jumps.push(symbol.address),
                }
            }
        }
        self.jumps.sort();
        self.jumps.dedup();
    }
}
