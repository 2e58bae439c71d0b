//! Lazy libraries: what a program calls is linked when it is called.
//!
//! A name that a lazy library is said to define stands for a *stub* in the
//! worker. The first call of it, from whatever thread, asks the controller over a
//! socket of that call's own: the call's thread then does what the controller
//! asks of a worker (reserve, look names up, call initialisers), as `dlopen`
//! would on that thread, while the controller compiles and publishes. When the
//! library's initialisers have run, all its stubs are bound to its functions, and
//! the call goes on. No thread waits in the worker for this, and nothing is asked
//! of the program between its calls.
//!
//! | file | what it owns |
//! |---|---|
//! | `stubs` | the worker's side: stubs, and saving a call's registers |
//! | `asking` | the worker's side: one call's conversation with the controller |
//! | `progress` | which library is being loaded by which call; who waits for whom |
//! | `libraries` | [`LazyLibraries`]: the controller's side |
//! | `here` | [`LocalLazyLibraries`]: the same without a worker, in this process |
//! | `deferring` | a host that keeps initialisers for when the session is free |
//!
//! # Who waits, and who does not
//! One call loads a library; others that call it meanwhile wait until its
//! initialisers have run. Different libraries are compiled at the same time, and
//! linked one after the other, because there is one session. A call from within
//! an initialiser of the same library goes on at once, as does one that would wait
//! for a thread that waits for it: they find a library whose code is there and
//! whose initialisers have not all run, as in a cycle of shared libraries.
//!
//! # Forks
//! A forked child has what was loaded before it was forked. What it calls later
//! is loaded into the child alone, into a session of its own, so copies of inline
//! functions' static variables that the program has too are not shared with it.
//! A child is served while the program that `sapwood run` waits for lives.
//!
//! # What cannot be lazy
//! The address of a stub is a function's address for the program, but not for the
//! library, which knows its own: whoever compares them sees two. So a name that is
//! not only called is never given a stub here by those who look at
//! [references](crate::source::References) first. A library with thread-locals or
//! static variables is no different from others. A resolver of an indirect
//! function must not call a lazy library for the first time, and neither must a
//! handler of a signal that may have interrupted the allocator.

pub(super) mod asking;
mod deferring;
mod here;
mod libraries;
mod progress;
pub(super) mod stubs;

pub use here::LocalLazyLibraries;
pub use libraries::{LazyLibraries, Libraries, LibraryId, Made};
