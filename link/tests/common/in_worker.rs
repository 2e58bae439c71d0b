//! A session in a worker of this executable, for tests that are their own worker.

#![allow(dead_code)]

use sapwood_link::worker::{Afterwards, Program, Worker};
use sapwood_link::{Error, Options, Published, Session};

/// A session in a worker.
pub struct Ground {
    pub session: Session,
    pub worker: Worker,
}

impl Ground {
    pub fn new(program: Program) -> Ground {
        let mut worker = Worker::start_process(&program).unwrap();
        let near = worker.near_libraries().unwrap();
        let session = Session::new(Options {
            near,
            ..Options::default()
        });
        Ground { session, worker }
    }

    pub fn plain() -> Ground {
        Ground::new(Program::this("program"))
    }

    pub fn publish(
        &mut self,
        replace: bool,
        objects: &[(&str, &[u8])],
    ) -> Result<Published, Error> {
        let mut batch = self.session.batch();
        if replace {
            batch.replace();
        }
        for (name, object) in objects {
            batch.object(name, object)?;
        }
        let published = batch.publish(&mut self.worker)?;
        assert!(published.faulted.is_none(), "{:?}", published.faulted);
        Ok(published)
    }

    /// Calls a published function on the agent's thread.
    pub fn call(&mut self, name: &str, argument: u64) -> i64 {
        use sapwood_link::host::Call;
        let at = self.session.view().symbol(name).unwrap().address;
        self.worker
            .host
            .call(at, &[argument])
            .unwrap()
            .cast_signed()
    }

    pub fn start(&mut self, afterwards: Afterwards) {
        let main = self.session.view().symbol("main").unwrap().address;
        let arguments = ["program".into()];
        self.worker.start(main, &arguments, afterwards).unwrap();
    }
}
