//! All or nothing: every call that a publish makes of its ground fails in turn,
//! for batches of every kind, in this process and in workers. Of a refused batch
//! nothing may be left: tables, reservations, committed pages, bytes, mappings
//! and thread-locals are compared. What fails past the commit is a fault of what
//! was published, and the session goes on.
//!
//! This executable is its own worker.

#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/every_kind.rs"]
mod every_kind;
#[path = "common/tripping.rs"]
mod tripping;

use std::process::ExitCode;
use std::sync::OnceLock;

use common::{compile_with, outside};
use every_kind::{
    Stage, Target, every_kind, everything, first_thread_local, forget_thread_locals, kinds,
    prepare, publish,
};
use sapwood_link::host::Call;
use sapwood_link::worker::{Program, Worker};
use sapwood_link::{
    AddressSpace, Error, Ground, Host, LocalHost, LocalSpace, Parts, Resolver, Session,
};
use tripping::{How, Tripping};

const CASES: &[cases::Case] = &[
    ("no_call_leaves_a_trace_in_this_process", || {
        for windows in [true, false] {
            every_kind(|| Tripping::new(Local::new(), windows));
        }
    }),
    ("no_call_leaves_a_trace_in_a_worker", || {
        every_kind(|| Tripping::new(Other::new(false), true));
    }),
    ("no_call_leaves_a_trace_in_private_pages", || {
        every_kind(|| Tripping::new(Other::new(true), true));
    }),
    (
        "what_undoes_may_fail_too_and_is_said",
        what_undoes_may_fail_too_and_is_said,
    ),
    (
        "a_lost_target_is_said_to_be_lost",
        a_lost_target_is_said_to_be_lost,
    ),
    (
        "no_object_is_registered_twice_with_libgcc",
        no_object_is_registered_twice_with_libgcc,
    ),
];

fn main() -> ExitCode {
    common::load_library(c"libstdc++.so.6");
    cases::main(CASES, &[])
}

/// This process.
struct Local {
    space: LocalSpace,
    host: LocalHost,
    resolver: LocalHost,
}

impl Local {
    fn new() -> Local {
        // SAFETY: the tests publish code that they compiled.
        let (host, resolver) = unsafe { (LocalHost::new(), LocalHost::new()) };
        Local {
            space: LocalSpace::new(),
            host,
            resolver,
        }
    }
}

impl Ground for Local {
    fn space(&mut self) -> &mut dyn AddressSpace {
        &mut self.space
    }
    fn host(&mut self) -> &mut dyn Host {
        &mut self.host
    }
    fn resolver(&mut self) -> &mut dyn Resolver {
        &mut self.resolver
    }
}

/// A worker.
struct Other {
    worker: Worker,
    first_thread_local: i64,
}

impl Other {
    fn new(debuggable: bool) -> Other {
        let program = Program {
            debuggable,
            ..Program::this("every_call")
        };
        let mut worker = Worker::start_process(&program).unwrap();
        worker.open_library("libstdc++.so.6").unwrap();
        let first_thread_local = first_thread_local(&mut worker);
        Other {
            worker,
            first_thread_local,
        }
    }
}

impl Ground for Other {
    fn space(&mut self) -> &mut dyn AddressSpace {
        &mut self.worker.space
    }
    fn host(&mut self) -> &mut dyn Host {
        &mut self.worker.host
    }
    fn resolver(&mut self) -> &mut dyn Resolver {
        &mut self.worker.resolver
    }
}

impl Target for Local {
    fn process(&self) -> u32 {
        std::process::id()
    }
    fn thread_pointers(&mut self) -> Vec<u64> {
        vec![common::thread_pointer()]
    }
    fn first_thread_local(&self) -> i64 {
        static FIRST: OnceLock<i64> = OnceLock::new();
        *FIRST.get_or_init(|| first_thread_local(&mut Local::new()))
    }
    fn end(mut self, session: Session) {
        session
            .release(&mut Parts {
                space: &mut self.space,
                host: &mut self.host,
                resolver: &mut (),
            })
            .unwrap();
    }
}

impl Target for Other {
    fn process(&self) -> u32 {
        self.worker.pid()
    }
    fn thread_pointers(&mut self) -> Vec<u64> {
        let itself = outside(self, "pthread_self");
        vec![Call::call(&mut self.worker.host, itself, &[]).unwrap()]
    }
    fn first_thread_local(&self) -> i64 {
        self.first_thread_local
    }
    fn end(mut self, session: Session) {
        let Worker { space, host, .. } = &mut self.worker;
        session
            .release(&mut Parts {
                space,
                host,
                resolver: &mut (),
            })
            .unwrap();
    }
}

/// Has all calls from one on fail, those that undo among them.
fn what_undoes_may_fail_too_and_is_said() {
    for kind in kinds() {
        for call in 0.. {
            let (mut session, mut tripping) = prepare(kind, Tripping::new(Local::new(), false));
            let before = everything(&session, &mut tripping);
            let generation = session.generation();
            tripping.trip(call, How::FromThenOn);
            let result = publish(&mut session, &mut tripping, &kind.batch);
            let tripped = tripping.steady();
            let what = || format!("{}: from call {call} on, {tripped:?}", kind.name);
            match result {
                Err(Error::Lost(_)) => {
                    assert_eq!(session.generation(), generation, "{}", what());
                }
                Err(error) => {
                    let after = everything(&session, &mut tripping);
                    assert!(tripped.is_some(), "{}: {error}", what());
                    if let Some(trace) = after.differs_from(&before) {
                        panic!("{} left a trace, and said only: {error}: {trace}", what());
                    }
                }
                Ok(published) => {
                    let harmless = kind.stands_in.is_some() && published.faulted.is_none();
                    assert_eq!(
                        published.faulted.is_some() || harmless,
                        tripped.is_some() || harmless,
                        "{}",
                        what()
                    );
                    if tripped.is_none() {
                        tripping.inner.end(session);
                        break;
                    }
                }
            }
            // What could not be given back goes with the process, but for
            // thread-locals, of which there are few.
            forget_thread_locals(&mut tripping.inner);
        }
    }
}

fn a_lost_target_is_said_to_be_lost() {
    for kind in kinds() {
        for call in 0.. {
            let (mut session, mut tripping) = prepare(kind, Tripping::new(Local::new(), false));
            let before = session.state();
            tripping.trip(call, How::Lost);
            let result = publish(&mut session, &mut tripping, &kind.batch);
            let tripped = tripping.steady();
            match (result, tripped) {
                (Ok(published), None) => {
                    assert!(published.faulted.is_none(), "{:?}", published.faulted);
                    tripping.inner.end(session);
                    break;
                }
                (Ok(published), Some(name)) => {
                    let fault = published.faulted;
                    let harmless = kind.stands_in.is_some() && fault.is_none();
                    assert!(
                        harmless || matches!(fault, Some(sapwood_link::HostError::Lost(_))),
                        "{}: {name}: {fault:?}",
                        kind.name
                    );
                }
                (Err(error), Some(name)) => {
                    assert!(
                        matches!(error, Error::Lost(_)),
                        "{}: {name}: {error}",
                        kind.name
                    );
                    assert!(session.state() == before, "{}: {name}", kind.name);
                }
                (Err(error), None) => panic!("{}: {error}", kind.name),
            }
            forget_thread_locals(&mut tripping.inner);
        }
    }
}

/// libgcc keeps what is registered in a list by way of the object itself: twice
/// there, and the list has no end. So what failed in the middle is taken back, or
/// never tried again.
fn no_object_is_registered_twice_with_libgcc() {
    let kind = kinds().last().unwrap();
    for how in [How::Once, How::FromThenOn] {
        let mut faulted = Vec::new();
        for call in 0.. {
            let (mut session, mut tripping) = prepare(kind, Tripping::new(Local::new(), false));
            tripping.trip(call, how);
            let result = publish(&mut session, &mut tripping, &kind.batch);
            let Some(name) = tripping.steady() else {
                tripping.inner.end(session);
                break;
            };
            let Ok(published) = result else {
                continue;
            };
            assert!(published.faulted.is_some());
            faulted.push(name);
            for number in 0..3 {
                let source = format!(
                    "extern \"C\" long later{number}(long a, long b) {{
                        try {{ if (a) throw a + b; return 0; }} catch (long x) {{ return x + {number}; }} }}"
                );
                let stage = Stage {
                    objects: vec![("later.o", compile_with("c++", "c++", &["-fPIC"], &source))],
                    ..Stage::default()
                };
                let published = publish(&mut session, &mut tripping, &stage).unwrap();
                assert!(
                    published.faulted.is_none(),
                    "{name}: {:?}",
                    published.faulted
                );
                assert!((0..=1).contains(&tripping.registered), "{how:?}: {name}");
                let later = format!("later{number}");
                let later = session.view().symbol(&later).unwrap().address;
                let value = Call::call(&mut tripping.inner.host, later, &[3, 4]);
                assert_eq!(value.unwrap(), 7 + number, "{how:?}: {name}");
            }
            tripping.inner.end(session);
        }
        let expected = ["register_frame_info", "read", "apply", "find_fde"];
        assert!(
            expected.iter().all(|name| faulted.contains(name)),
            "{faulted:?}"
        );
    }
}
