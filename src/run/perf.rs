//! Tells `perf` of a worker's image: `--perf`.

use std::ops::Range;
use std::path::PathBuf;

use sapwood_dwarf::{Address, Bytes, Input, Module, ModuleKind};
use sapwood_link::jitdump::Line;
use sapwood_link::worker::Worker;
use sapwood_link::{Generation, HostAddr, Session};

use super::image::Image;
use crate::failure::Failure;

/// What is written for `perf`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `/tmp/perf-PID.map`: names and addresses.
    Map,
    /// `/tmp/jit-PID.dump`: code and lines too.
    Jitdump,
}

/// Writes what was asked for, before the program starts.
pub fn tell(form: Form, image: &Image, worker: &mut Worker) -> Result<(), Failure> {
    let pid = worker.pid();
    let (path, told) = match form {
        Form::Map => {
            let path = format!("/tmp/perf-{pid}.map");
            let map = image.look(worker, |session, _| {
                session.view().perf_map(Generation::EMPTY)
            });
            let written = std::fs::write(&path, map);
            (path, written.map_err(|error| error.to_string()))
        }
        Form::Jitdump => {
            let path = format!("/tmp/jit-{pid}.dump");
            let dumped = worker.perf_dump(path.as_ref()).and_then(|mut dump| {
                image.look(worker, |session, space| {
                    let modules = modules(session);
                    dump.add(session, space, &mut |code| lines(&modules, code))
                })
            });
            (path, dumped.map_err(|error| error.to_string()))
        }
    };
    told.map_err(|why| Failure::new(format!("{path}: {why}")))
}

/// The published objects that have debug information.
fn modules(session: &Session) -> Vec<Module> {
    let view = session.view();
    let inputs = view.since(Generation::EMPTY).flat_map(|a| a.input_ids());
    inputs
        .filter_map(|input| {
            let image = session.debug_image(input).ok()??;
            let name = PathBuf::from(view.input_name(input));
            let kind = ModuleKind::Published(0);
            Module::open(Input::new(&name, kind, Bytes::from(image), 0)).ok()
        })
        .collect()
}

/// The lines of a function, each where its code begins.
fn lines(modules: &[Module], code: Range<HostAddr>) -> Vec<Line> {
    let range = Address(code.start.get())..Address(code.end.get());
    let covers = |module: &&Module| module.ranges().iter().any(|one| one.contains(&range.start));
    let Some(module) = modules.iter().find(covers) else {
        return Vec::new();
    };
    let mut lines: Vec<Line> = Vec::new();
    for row in module.lines_in(range.clone()) {
        let file = row.file.to_string_lossy();
        let same = |last: &Line| last.line == row.line && last.file == file;
        if row.line != 0 && !lines.last().is_some_and(same) {
            lines.push(Line {
                at: HostAddr(row.range.start.0.max(range.start.0)),
                file: file.into_owned(),
                line: row.line,
            });
        }
    }
    lines
}
