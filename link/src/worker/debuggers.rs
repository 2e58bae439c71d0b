//! Tells a debugger that is attached to a worker, or will be, of published
//! objects, through gdb's JIT interface in the worker's own memory.
//!
//! What is listed is each object's [`debug_image`](Session::debug_image). When a
//! replace batch overwrites code in its slot, the older object's image is listed
//! anew without that code, so that one object covers an address.

use rustc_hash::FxHashMap;

use super::process::{Line, Worker};
use super::wire::{LONGEST_FRAME, Reply, Request};
use crate::error::Error;
use crate::host::HostError;
use crate::ids::{Generation, InputId};
use crate::session::Session;

/// What debuggers know of a worker.
#[derive(Debug)]
pub(super) struct Listing {
    /// The generation up to which they know all.
    seen: Generation,
    /// Objects that they know of, and by what the worker takes them back.
    listed: FxHashMap<InputId, u64>,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing {
            seen: Generation::EMPTY,
            listed: FxHashMap::default(),
        }
    }
}

impl Worker {
    /// Lists the objects that came since the last time. An object without debug
    /// sections, or with more than a message holds, is passed over.
    pub fn tell_debuggers(&mut self, session: &Session) -> Result<(), Error> {
        self.listing.tell(&self.line, session)
    }
}

impl Listing {
    /// The same, over this line.
    pub fn tell(&mut self, line: &Line, session: &Session) -> Result<(), Error> {
        let view = session.view();
        for added in view.since(self.seen) {
            let overwritten = added.overwritten.iter();
            let mut older: Vec<InputId> = overwritten
                .filter_map(|atom| view.atom(*atom).input)
                .collect();
            older.dedup();
            for input in older.into_iter().chain(added.input_ids()) {
                self.list(line, session, input)?;
            }
        }
        self.seen = view.generation();
        Ok(())
    }

    fn list(&mut self, line: &Line, session: &Session, input: InputId) -> Result<(), Error> {
        if let Some(listed) = self.listed.remove(&input) {
            line.ask_done(&Request::Unlist { listed })?;
        }
        let Some(debug_image) = session.debug_image(input)? else {
            return Ok(());
        };
        if debug_image.len() > LONGEST_FRAME / 2 {
            return Ok(());
        }
        match line.ask(&Request::List { debug_image }, None) {
            Ok(Reply::Value(listed)) => {
                self.listed.insert(input, listed);
                Ok(())
            }
            Ok(other) => Err(Error::Lost(format!("the worker gave {other:?}"))),
            Err(why) => Err(HostError::Lost(why).into()),
        }
    }
}
