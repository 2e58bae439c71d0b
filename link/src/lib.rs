//! A link session: objects in, an image that only grows out.
//!
//! A [`Session`] owns an *image*: address space in some process, filled from
//! the front. A [`Batch`] takes in relocatable objects, archives and hand-built
//! atoms, and [`publish`](Batch::publish) lands it whole as the next
//! [`Generation`], or leaves no trace. An address once published never moves
//! and its bytes never change. A [`View`] is a snapshot of one generation that
//! stays good, on any thread, while newer ones land.
//!
//! The session knows no process. Where the bytes live is an [`AddressSpace`],
//! what can be asked of whoever runs them a [`Host`], and who knows names it
//! does not a [`Resolver`]; all three are arguments of a publish. [`local`] has
//! them for this process; the core does no I/O.
//!
//! What is absent: no debugger, no terminal, no DWARF. A published object's
//! debug sections come out as bytes, relocated, by
//! [`Session::debug_image`].
//!
//! # Example
//! ```
//! use sapwood_link::{AtomKind, AtomSpec, LocalHost, LocalSpace, Options, Parts, Session};
//!
//! // mov eax, 42; ret
//! let code = [0xb8, 42, 0, 0, 0, 0xc3];
//! let mut session = Session::new(Options::default());
//! let mut space = LocalSpace::new();
//! let mut batch = session.batch();
//! batch.atom("by hand", &AtomSpec {
//!     name: Some("answer"),
//!     kind: AtomKind::Code,
//!     alignment: 16,
//!     bytes: &code,
//!     size: code.len() as u64,
//!     relocs: &[],
//! })?;
//! let published = batch.publish(&mut Parts {
//!     space: &mut space,
//!     host: &mut (),
//!     resolver: &mut (),
//! })?;
//! assert_eq!(published.generation.to_string(), "gen1");
//! let answer = session.view().symbol("answer").unwrap().address;
//! // SAFETY: the bytes at `answer` are the function above.
//! let answer: extern "C" fn() -> i32 = unsafe { std::mem::transmute(answer.get() as *const ()) };
//! assert_eq!(answer(), 42);
//! # session.release(&mut Parts { space: &mut space, host: &mut (), resolver: &mut () })?;
//! # Ok::<(), sapwood_link::Error>(())
//! ```

pub mod addr;
pub mod arch;
mod archive;
mod arena;
mod batch;
mod debug_image;
mod elf;
mod error;
mod extent;
mod fork;
pub mod gap;
pub mod gdb;
pub mod host;
mod ids;
mod image;
mod index;
mod inspect;
pub mod jitdump;
pub mod local;
mod locals;
mod model;
mod names;
mod publish;
mod session;
pub mod source;
pub mod space;
mod staged;
mod stop;
mod surplus;
mod table;
mod tables;
mod txn;
mod view;
pub mod worker;

pub use addr::HostAddr;
pub use arch::Arch;
pub use batch::{AtomSpec, Batch, Emission, Ground, Parts, Published, RelocSpec};
pub use debug_image::DebugObject;
pub use error::{Error, Place, Undefined};
pub use host::{Extent, Host, HostError, Libgcc, Outside, Resolver, Wanted};
pub use ids::{AtomId, Generation, InputId, SymbolId};
pub use local::{Cells, LocalHost, LocalSpace};
pub use model::{
    Atom, AtomKind, Binding, Definition, Reloc, RelocKind, RelocTarget, Symbol, SymbolKind,
    Visibility,
};
pub use session::{Options, Session};
pub use space::{AddressSpace, Near, Protection, Region, Reserve, SpaceError, SpaceId, Write};
pub use view::{Added, View};
