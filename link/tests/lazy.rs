//! Lazy libraries by the API: a registry made of values, a program in a worker, and
//! what its exit status says. (`tests/run/lazy.case` tries them as a user does.)
//! This executable is its own worker.

#[path = "common/cases.rs"]
mod cases;

use std::path::Path;
use std::process::ExitCode;

use sapwood_link::source::{
    Chosen, Flags, Load, Making, Pattern, References, Registry, Scratch, Source, SourceLibrary,
    Tools, compile,
};
use sapwood_link::worker::lazy::LazyLibraries;
use sapwood_link::worker::{Afterwards, Fate, Program, Worker};
use sapwood_link::{Error, Options, Session};

const CASES: &[cases::Case] = &[
    (
        "threads_that_call_at_once_load_each_library_once",
        threads_that_call_at_once_load_each_library_once,
    ),
    (
        "what_is_not_called_is_not_compiled",
        what_is_not_called_is_not_compiled,
    ),
    (
        "a_worker_that_was_not_started_for_it_is_refused",
        a_worker_that_was_not_started_for_it_is_refused,
    ),
    (
        "a_program_that_ends_meanwhile_leaves_nothing",
        a_program_that_ends_meanwhile_leaves_nothing,
    ),
];

fn main() -> ExitCode {
    cases::main(CASES, &[])
}

/// A library of one source, whose names begin with its own.
fn library(folder: &Path, name: &str, text: &str) -> SourceLibrary {
    let path = folder.join(format!("{name}.c"));
    std::fs::write(&path, text).unwrap();
    SourceLibrary {
        name: name.to_owned(),
        sources: vec![path],
        language: None,
        include: Vec::new(),
        flags: Vec::new(),
        needs: Vec::new(),
        symbols: vec![Pattern::new(format!("{name}*"))],
        load: Load::Lazy,
    }
}

fn chosen(libraries: Vec<SourceLibrary>) -> Chosen {
    let mut registry = Registry::default();
    for library in libraries {
        registry.add(library).unwrap();
    }
    Chosen::new(registry, &[], true, Making::default(), |_| ())
}

/// Runs a C program with these libraries.
fn run(program: &str, libraries: Vec<SourceLibrary>) -> Fate {
    let source = Source::Text {
        name: "program.c".to_owned(),
        language: sapwood_link::source::Language::C,
        text: program.to_owned(),
    };
    let flags = Flags::default().for_a_live_image();
    let compiled = compile(&[source], &flags, &Tools::default(), None).unwrap();
    let object = &compiled[0].object;
    let chosen = chosen(libraries);
    let mut references = References::default();
    references.object(object);
    assert!(chosen.wanted(&references, &[]).is_empty());
    assert!(chosen.is_lazy(&references, &[]));

    let mut worker = Worker::start_process(&Program {
        lazy: true,
        ..Program::this("program")
    })
    .unwrap();
    let options = Options {
        near: worker.near_libraries().unwrap(),
        ..Options::default()
    };
    let session = Session::new(options.clone());
    let mut lazy =
        LazyLibraries::start(&mut worker, session, options, Box::new(chosen), Vec::new()).unwrap();
    let linked = lazy.link(&mut worker, |session, ground| {
        let mut batch = session.batch();
        batch.object("program.o", object)?;
        batch.publish(ground)?;
        Ok::<_, Error>(session.view().symbol("main").unwrap().address)
    });
    let main = linked.unwrap();
    worker
        .start(main, &["program".into()], Afterwards::Leave)
        .unwrap();
    let fate = worker.wait().unwrap();
    lazy.stop();
    fate
}

fn counted(name: &str, more: &str) -> String {
    format!(
        "int {name}_made; \
         __attribute__((constructor)) static void make(void) {{ {name}_made++; }} \
         int {name}(void) {{ return {name}_made {more}; }}"
    )
}

fn threads_that_call_at_once_load_each_library_once() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path();
    let libraries = vec![
        library(folder, "one", &counted("one", "")),
        library(folder, "two", &counted("two", "")),
        library(
            folder,
            "six",
            &format!(
                "int one(void), two(void); {}",
                counted("six", "+ one() + two()")
            ),
        ),
    ];
    let program = "#include <pthread.h>\n\
        int one(void), two(void), six(void);\n\
        static int (*volatile none)(void);\n\
        static pthread_barrier_t barrier;\n\
        static void *calls(void *number) {\n\
            long sum = 0, first = (long)number;\n\
            pthread_barrier_wait(&barrier);\n\
            for (long i = first; i < first + 3; i++)\n\
                sum += i % 3 == 0 ? one() : i % 3 == 1 ? 10 * two() : 100 * six();\n\
            return (void *)sum;\n\
        }\n\
        int main(void) {\n\
            pthread_t threads[8]; void *sum; int right = 0;\n\
            pthread_barrier_init(&barrier, 0, 8);\n\
            for (long i = 0; i < 8; i++) pthread_create(&threads[i], 0, calls, (void *)i);\n\
            for (int i = 0; i < 8; i++) { pthread_join(threads[i], &sum); right += (long)sum == 311; }\n\
            return none ? 99 : right;\n\
        }\n";
    for _ in 0..5 {
        assert_eq!(run(program, libraries.clone()), Fate::Exited(8));
    }
}

fn what_is_not_called_is_not_compiled() {
    let scratch = Scratch::new().unwrap();
    let broken = library(scratch.path(), "broken", "this is not C");
    let program = |condition: &str| {
        format!(
            "int broken(void); int main(int argc, char **argv) \
             {{ (void)argv; if ({condition}) return broken(); return 4; }}"
        )
    };
    assert_eq!(run(&program("argc > 1"), vec![broken]), Fate::Exited(4));
}

fn a_worker_that_was_not_started_for_it_is_refused() {
    let mut worker = Worker::start_process(&Program::this("program")).unwrap();
    let session = Session::new(Options::default());
    let libraries = Box::new(chosen(Vec::new()));
    let started = LazyLibraries::start(
        &mut worker,
        session,
        Options::default(),
        libraries,
        Vec::new(),
    );
    assert!(started.is_err());
}

/// The main thread exits while another's call has a library compiled.
fn a_program_that_ends_meanwhile_leaves_nothing() {
    let scratch = Scratch::new().unwrap();
    let slow = library(scratch.path(), "slow", &counted("slow", ""));
    let program = "#include <pthread.h>\n#include <unistd.h>\n\
        int slow(void);\n\
        static void *calls(void *unused) { slow(); return unused; }\n\
        int main(void) {\n\
            pthread_t thread;\n\
            pthread_create(&thread, 0, calls, 0);\n\
            usleep(3000);\n\
            _exit(5);\n\
        }\n";
    assert_eq!(run(program, vec![slow]), Fate::Exited(5));
    let ours = format!("sapwood-{}-", std::process::id());
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(&ours)
    });
    // The test's own folder.
    assert_eq!(left.count(), 1);
}
