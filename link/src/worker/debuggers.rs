//! Tells a debugger that is attached to a worker, or will be, of published
//! objects, through gdb's JIT interface in the worker's own memory.
//!
//! What is listed is each object's [`debug_image`](Session::debug_image). When a
//! replace batch overwrites code in its slot, the older object's image is listed
//! anew without that code, so that one object covers an address.

use super::process::Worker;
use super::wire::{LONGEST_FRAME, Reply, Request};
use crate::error::Error;
use crate::host::HostError;
use crate::ids::{Generation, InputId};
use crate::session::Session;

impl Worker {
    /// Lists the objects that came after `seen`, and gives the generation up to
    /// which debuggers know all. An object without debug sections, or with more
    /// than a message holds, is passed over.
    pub fn tell_debuggers(
        &mut self,
        session: &Session,
        seen: Generation,
    ) -> Result<Generation, Error> {
        let view = session.view();
        for added in view.since(seen) {
            let overwritten = added.overwritten.iter();
            let mut older: Vec<InputId> = overwritten
                .filter_map(|atom| view.atom(*atom).input)
                .collect();
            older.dedup();
            for input in older.into_iter().chain(added.input_ids()) {
                self.list(session, input)?;
            }
        }
        Ok(view.generation())
    }

    fn list(&mut self, session: &Session, input: InputId) -> Result<(), Error> {
        if let Some(listed) = self.listed.remove(&input) {
            self.line.ask_done(&Request::Unlist { listed })?;
        }
        let Some(debug_image) = session.debug_image(input)? else {
            return Ok(());
        };
        if debug_image.len() > LONGEST_FRAME / 2 {
            return Ok(());
        }
        match self.line.ask(&Request::List { debug_image }, None) {
            Ok(Reply::Value(listed)) => {
                self.listed.insert(input, listed);
                Ok(())
            }
            Ok(other) => Err(Error::Lost(format!("the worker gave {other:?}"))),
            Err(why) => Err(HostError::Lost(why).into()),
        }
    }
}
