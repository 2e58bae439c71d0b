//! C programs in workers: code replaced under running threads, forks, crashes,
//! exit, exceptions. This executable is its own worker.

#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/in_worker.rs"]
mod in_worker;

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, ExitCode};
use std::time::Duration;

use common::{compile, compile_with};
use in_worker::Ground;
use sapwood_link::worker::{Afterwards, Fate, Program};

const CASES: &[cases::Case] = &[
    (
        "running_code_is_replaced_in_every_kind_of_thread",
        running_code_is_replaced_in_every_kind_of_thread,
    ),
    (
        "system_calls_go_on_as_if_nothing_was",
        system_calls_go_on_as_if_nothing_was,
    ),
    (
        "thread_locals_without_room_are_refused_by_name",
        thread_locals_without_room_are_refused_by_name,
    ),
    (
        "a_traced_worker_is_refused_with_the_reason",
        a_traced_worker_is_refused_with_the_reason,
    ),
    (
        "a_thousand_children_keep_their_code",
        a_thousand_children_keep_their_code,
    ),
    (
        "threads_being_made_get_initial_values",
        threads_being_made_get_initial_values,
    ),
    ("a_crash_is_placed", a_crash_is_placed),
    ("exit_is_in_order", exit_is_in_order),
    (
        "exceptions_cross_in_both_directions",
        exceptions_cross_in_both_directions,
    ),
    (
        "nothing_outlives_a_killed_controller",
        nothing_outlives_a_killed_controller,
    ),
];

fn main() -> ExitCode {
    cases::main(CASES, &[("__controller", controller_that_is_killed)])
}

const FLAGS: &[&str] = &[
    "-fPIC",
    "-O1",
    "-fno-ipa-ra",
    "-ffunction-sections",
    "-fdata-sections",
];

fn part(version: u64, padding: &str) -> Vec<u8> {
    let source = format!(
        "static volatile long sink; static long calls; __thread long of_thread = 7;
         static long inner(long x) {{ sink += x; {padding} return {version}; }}
         long calls_so_far(long a) {{ return calls; }}
         long value(long a) {{
             long one = inner(a), two = {version};
             __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
             of_thread++;
             return one == two && inner(a) == two && of_thread > 7 ? two : -1; }}"
    );
    compile(FLAGS, &source)
}

/// Threads that compute, that sleep in the kernel, and that block every signal,
/// each of which checks what it sees.
const THREADS: &str = r#"
    #define _GNU_SOURCE
    #include <pthread.h>
    #include <signal.h>
    #include <stdlib.h>
    #include <unistd.h>
    long value(long);
    static volatile int done; volatile long least = 1, wrong;
    static void look(void) {
        long before = least;
        if (value(3) < before) wrong++;
    }
    static void *busy(void *x) { while (!done) { free(malloc(100)); look(); } return x; }
    static void *sleeps(void *x) { while (!done) { usleep(300); look(); } return x; }
    static void *deaf(void *x) {
        sigset_t all; sigfillset(&all); pthread_sigmask(SIG_BLOCK, &all, 0);
        while (!done) { usleep(100); look(); }
        return x;
    }
    long set_least(long version) { least = version; return wrong; }
    long finish(long x) { done = 1; return wrong; }
    int main(void) {
        void *(*kinds[])(void *) = { busy, sleeps, deaf, busy };
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, kinds[i], 0);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
        return wrong ? 1 : 42;
    }
"#;

fn running_code_is_replaced_in_every_kind_of_thread() {
    let mut ground = Ground::plain();
    let threads = compile(FLAGS, THREADS);
    ground
        .publish(false, &[("part.o", &part(1, "")), ("threads.o", &threads)])
        .unwrap();
    ground.start(Afterwards::Serve);
    let (mut moved, mut in_place) = (0, 0);
    for version in 2..40 {
        let padding = match version % 5 {
            0 => "sink ^= 3; sink *= x; sink -= 9; sink += sink >> 3;",
            _ => "",
        };
        let object = part(version, padding);
        let published = loop {
            match ground.publish(true, &[("part.o", &object)]) {
                Ok(published) => break published,
                Err(error) => {
                    assert!(error.to_string().contains("a thread is in"), "{error}");
                }
            }
        };
        let view = ground.session.view();
        match view.added(published.generation).overwritten.len() {
            0 => moved += 1,
            _ => in_place += 1,
        }
        assert_eq!(ground.call("set_least", version), 0);
    }
    assert!(
        moved > 0 && in_place > 0,
        "{moved} moved, {in_place} in place"
    );
    assert!(
        ground.call("calls_so_far", 0) > 0,
        "the count is the first one's"
    );
    assert_eq!(ground.call("finish", 0), 0);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(42));
}

/// What sleeps in the kernel neither fails nor returns early.
fn system_calls_go_on_as_if_nothing_was() {
    let mut ground = Ground::plain();
    let main = compile(
        FLAGS,
        r#"
        #define _GNU_SOURCE
        #include <errno.h>
        #include <poll.h>
        #include <pthread.h>
        #include <semaphore.h>
        #include <time.h>
        #include <unistd.h>
        int ends[2]; static sem_t never; static volatile int failed; volatile int started;
        static void *reads(void *x) {
            char byte; started++;
            if (read(ends[0], &byte, 1) != 1 || byte != 'x') failed |= 1;
            return x;
        }
        static void *sleeps(void *x) {
            struct timespec long_one = { 1, 500000000 }; started++;
            if (nanosleep(&long_one, 0) != 0) failed |= 2;
            return x;
        }
        static void *polls(void *x) { started++; if (poll(0, 0, 1500) != 0) failed |= 4; return x; }
        static void *waits(void *x) { started++; if (sem_wait(&never) != 0) failed |= 8; return x; }
        long let_go(long x) { sem_post(&never); return write(ends[1], "x", 1); }
        long how_many(long x) { return started; }
        int main(void) {
            void *(*kinds[])(void *) = { reads, sleeps, polls, waits };
            pthread_t threads[4]; sem_init(&never, 0, 0);
            if (pipe(ends)) return 99;
            for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, kinds[i], 0);
            for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
            return failed;
        }
        "#,
    );
    ground
        .publish(false, &[("part.o", &part(1, "")), ("main.o", &main)])
        .unwrap();
    ground.start(Afterwards::Serve);
    while ground.call("how_many", 0) < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    for version in 2..12 {
        ground
            .publish(true, &[("part.o", &part(version, ""))])
            .unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(ground.call("let_go", 0), 1);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(0));
}

/// Each object takes a thousand bytes of every thread, until there are no more.
fn thread_locals_without_room_are_refused_by_name() {
    let mut ground = Ground::plain();
    let object = |number: usize, size: usize| {
        let source = format!(
            "__thread char room{number}[{size}] = {{ {number} }}; long last{number}(void) {{ \
             return &room{number}[{size} - 1] - &room{number}[0] + 1000 * room{number}[0]; }}"
        );
        compile(FLAGS, &source)
    };
    let mut number = 0;
    let refused = loop {
        let bytes = object(number, 1000);
        let name = format!("object{number}.o");
        match ground.publish(false, &[(&name, &bytes)]) {
            Ok(_) => assert_eq!(
                ground.call(&format!("last{number}"), 0),
                999 + 1000 * number as i64
            ),
            Err(error) => break error.to_string(),
        }
        number += 1;
    };
    assert!((10..17).contains(&number), "{number}");
    let named = [format!("object{number}.o"), format!("`room{number}`")];
    let says = |part: &str| refused.contains(part);
    assert!(
        named.iter().all(|name| says(name)) && says("thread-local") && says("0x4000"),
        "{refused}"
    );
    // What is small still has room, and what there was is as it was.
    let small = object(100, 10);
    ground.publish(false, &[("small.o", &small)]).unwrap();
    assert_eq!(ground.call("last100", 0), 100_009);
    assert_eq!(ground.call("last3", 0), 3999);
}

fn a_traced_worker_is_refused_with_the_reason() {
    let mut ground = Ground::plain();
    let threads = compile(FLAGS, THREADS);
    ground
        .publish(false, &[("part.o", &part(1, "")), ("threads.o", &threads)])
        .unwrap();
    ground.start(Afterwards::Serve);
    let pid = ground.worker.pid().to_string();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=none", "-p", &pid]);
    let mut strace = strace.spawn().expect("apt-get install strace");
    let status = format!("/proc/{pid}/status");
    while std::fs::read_to_string(&status)
        .unwrap()
        .contains("TracerPid:\t0")
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = ground.session.generation();
    let error = ground
        .publish(true, &[("part.o", &part(2, ""))])
        .unwrap_err();
    let tracer = format!("process {} traces it", strace.id());
    assert!(error.to_string().contains(&tracer), "{error}");
    assert_eq!(ground.session.generation(), before);
    assert_eq!(ground.call("value", 0), 1);
    strace.kill().unwrap();
    strace.wait().unwrap();
    ground.call("finish", 0);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(42));
}

/// The program forks while it is added to and replaced; each child runs the code
/// and the data of its moment for a while.
fn a_thousand_children_keep_their_code() {
    let mut ground = Ground::plain();
    let main = compile(
        FLAGS,
        r#"
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        long value(long);
        volatile long forks, own, done;
        long how_many(long x) { return forks; }
        long finish(long x) { return done = 1; }
        int main(void) {
            for (int i = 0; i < 1000; i++) {
                own = i;
                // However fast this processor forks, there are replacements.
                while (value(0) <= i / 100) usleep(200);
                long before = value(0);
                pid_t child = fork();
                if (child == 0) {
                    long then = value(0);
                    for (int j = 0; j < 50; j++) {
                        // The parent's replacements do not reach this process.
                        if (value(0) != then || own != i) _exit(1);
                        own = i;
                        free(malloc(1000));
                    }
                    _exit(then < before || then == -1 ? 2 : 0);
                }
                int status;
                if (child < 0 || waitpid(child, &status, 0) != child || status) return 1;
                forks++;
            }
            while (!done) usleep(1000);
            return 42;
        }
        "#,
    );
    ground
        .publish(false, &[("part.o", &part(1, "")), ("main.o", &main)])
        .unwrap();
    ground.start(Afterwards::Serve);
    let mut version = 1;
    let mut added = 0;
    while ground.call("how_many", 0) < 1000 {
        let more = compile(
            FLAGS,
            &format!("long more{added}(long x) {{ return {added}; }}"),
        );
        ground.publish(false, &[("more.o", &more)]).unwrap();
        assert_eq!(ground.call(&format!("more{added}"), 0), added);
        added += 1;
        version += 1;
        if let Err(error) = ground.publish(true, &[("part.o", &part(version, ""))]) {
            assert!(error.to_string().contains("a thread is in"), "{error}");
        }
    }
    ground.call("finish", 0);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(42));
    assert!(added > 3, "{added}");
}

/// Threads are made as fast as they come while thread-locals are published; each
/// must find the initial value, whenever its storage was made.
fn threads_being_made_get_initial_values() {
    let mut ground = Ground::plain();
    let main = compile(
        FLAGS,
        r#"
        #include <pthread.h>
        typedef long reader(void);
        reader *volatile newest; volatile long expected, wrong, made, done;
        static void *looks(void *x) {
            reader *read = __atomic_load_n(&newest, __ATOMIC_ACQUIRE);
            if (read && read() != expected) wrong++;
            return x;
        }
        long show(long read) { __atomic_store_n(&newest, (reader *)read, __ATOMIC_RELEASE); return wrong; }
        long finish(long x) { done = 1; return made; }
        static void *makes(void *x) {
            pthread_t thread;
            while (!done) {
                if (pthread_create(&thread, 0, looks, 0)) continue;
                pthread_join(thread, 0); made++;
            }
            return x;
        }
        int main(void) {
            pthread_t makers[3]; expected = 5;
            for (int i = 0; i < 3; i++) pthread_create(&makers[i], 0, makes, 0);
            for (int i = 0; i < 3; i++) pthread_join(makers[i], 0);
            return wrong ? 1 : 42;
        }
        "#,
    );
    ground.publish(false, &[("main.o", &main)]).unwrap();
    ground.start(Afterwards::Serve);
    for number in 0..60 {
        let source =
            format!("static __thread long kept = 5; long read{number}(void) {{ return kept; }}");
        let object = compile(FLAGS, &source);
        ground.publish(false, &[("reads.o", &object)]).unwrap();
        let view = ground.session.view();
        let read = view.symbol(&format!("read{number}")).unwrap().address;
        assert_eq!(ground.call("show", read.get()), 0);
    }
    assert!(ground.call("finish", 0) > 60);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(42));
}

fn a_crash_is_placed() {
    let sources = [
        (
            "long reads(long *x) { return *x + 1; }",
            "reads+0x",
            "SIGSEGV",
        ),
        (
            "#include <string.h>\nlong reads(char *x) { volatile unsigned long n = strlen(x); return n; }",
            "called from reads+0x",
            "SIGSEGV",
        ),
        (
            "#include <stdlib.h>\nlong reads(long *x) { abort(); }",
            "called from reads+0x",
            "SIGABRT",
        ),
        (
            "long reads(long *x) { return ((long (*)(void))x)(); }",
            "called from reads+0x",
            "SIGSEGV",
        ),
        (
            "long reads(long *x) { __builtin_trap(); }",
            "reads+0x",
            "SIGILL",
        ),
    ];
    let main = compile(
        FLAGS,
        "long reads(void *); int main(int count) { return 1 + (int)reads((void *)(long)(count - 1)); }",
    );
    for (source, place, signal) in sources {
        let mut ground = Ground::new(Program {
            writes_down_crashes: true,
            ..Program::this("program")
        });
        let object = compile(&["-fPIC", "-O1", "-fno-optimize-sibling-calls"], source);
        ground
            .publish(false, &[("dir/parse.c", &object), ("main.c", &main)])
            .unwrap();
        ground.start(Afterwards::Leave);
        let fate = ground.worker.wait().unwrap();
        assert!(fate.to_string().contains(signal), "{fate}");
        let crash = ground.worker.crash().expect("it was written down");
        let view = ground.session.view();
        let space = &mut ground.worker.space;
        let mut read =
            |at, into: &mut [u8]| sapwood_link::AddressSpace::read(space, at, into).is_ok();
        let found = crash.place(&view, &mut read).unwrap();
        assert!(
            found.contains(place) && found.ends_with("(parse.c)"),
            "{source}: {found}"
        );
    }
    // What exits, or dies of what somebody sent, writes nothing down.
    let mut ground = Ground::new(Program {
        writes_down_crashes: true,
        ..Program::this("program")
    });
    let main = compile(
        FLAGS,
        "#include <signal.h>\nint main(void) { return raise(SIGTERM); }",
    );
    ground.publish(false, &[("main.c", &main)]).unwrap();
    ground.start(Afterwards::Leave);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Died(libc::SIGTERM));
    assert!(ground.worker.crash().is_none());
}

/// Runs a program with its standard output in a pipe, and gives what it wrote.
fn output_of(ground: &mut Ground, fate: Fate) -> String {
    let mut ends = [0; 2];
    // SAFETY: makes two descriptors, owned from here on.
    let (reads, writes) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let path = format!("/proc/{}/fd/{}", std::process::id(), writes.as_raw_fd());
    let path = std::ffi::CString::new(path).unwrap();
    let view = ground.session.view();
    let name = view.symbol("output_path").unwrap().address;
    let bytes = path.as_bytes_with_nul();
    let write = sapwood_link::Write { at: name, bytes };
    sapwood_link::AddressSpace::apply(&mut ground.worker.space, &[write]).unwrap();
    ground.call("redirect", 0);
    drop(writes);
    ground.start(Afterwards::Leave);
    assert_eq!(ground.worker.wait().unwrap(), fate);
    let mut text = String::new();
    std::fs::File::from(reads)
        .read_to_string(&mut text)
        .unwrap();
    text
}

const REDIRECT: &str = r#"
    #include <fcntl.h>
    #include <stdio.h>
    #include <unistd.h>
    char output_path[200];
    long redirect(long x) {
        int file = open(output_path, O_WRONLY);
        dup2(file, 1); close(file); setvbuf(stdout, 0, _IOLBF, 0);
        return 0;
    }
"#;

/// The order in which a program's ends run is that of the same program linked by
/// the system's linker.
fn exit_is_in_order() {
    const ONE: &str = r#"
        #include <cstdio>
        #include <cstdlib>
        struct Says { const char *what; Says(const char *w) : what(w) { std::printf("+%s\n", w); }
                      ~Says() { std::printf("-%s\n", what); } };
        static Says first("first"), second("second");
        static thread_local Says of_thread("thread");
        __attribute__((constructor)) static void starts() { std::printf("constructor\n"); }
        __attribute__((destructor)) static void ends() { std::printf("destructor\n"); }
        __attribute__((destructor(200))) static void ends_late() { std::printf("destructor 200\n"); }
        static void at_exit_one() { std::printf("atexit one\n"); }
        static void at_exit_two() { std::printf("atexit two\n"); std::atexit([] { std::printf("atexit from atexit\n"); }); }
        Says &local() { static Says it("local static"); return it; }
        int other();
        int main() {
            std::atexit(at_exit_one);
            local();
            std::atexit(at_exit_two);
            (void)of_thread.what;
            std::printf("main %d\n", other());
            return 7;
        }
    "#;
    const TWO: &str = r#"
        #include <cstdio>
        struct Other { Other() { std::printf("+other\n"); } ~Other() { std::printf("-other\n"); } };
        static Other object;
        __attribute__((destructor)) static void ends() { std::printf("destructor two\n"); }
        int other() { return 3; }
    "#;
    for flags in [["-fPIC", "-O1"], ["-fno-pic", "-O0"]] {
        let objects = [ONE, TWO].map(|source| compile_with("c++", "c++", &flags, source));
        let folder = common::Folder::new();
        let native = folder.path().join("native");
        let paths = ["one.o", "two.o"].map(|name| folder.path().join(name));
        for (path, object) in paths.iter().zip(&objects) {
            std::fs::write(path, object).unwrap();
        }
        let linked = Command::new("c++")
            .args(&paths)
            .arg("-no-pie")
            .arg("-o")
            .arg(&native)
            .status();
        assert!(linked.unwrap().success());
        let expected = Command::new(&native).output().unwrap();
        let expected = String::from_utf8(expected.stdout).unwrap();

        let mut ground = Ground::plain();
        ground.worker.open_library("libstdc++.so.6").unwrap();
        let redirect = compile(FLAGS, REDIRECT);
        ground.publish(false, &[("redirect.o", &redirect)]).unwrap();
        // What runs before the redirection is not compared: main's part is.
        let publish = [("one.o", &objects[0][..]), ("two.o", &objects[1][..])];
        ground.publish(false, &publish).unwrap();
        let text = output_of(&mut ground, Fate::Exited(7));
        let after = |text: &str| text[text.find("+local static").expect("main ran")..].to_owned();
        assert_eq!(after(&text), after(&expected), "{flags:?}");
    }
}

/// C++ exceptions through image frames, from image code to a library's callback
/// and back.
fn exceptions_cross_in_both_directions() {
    const SOURCE: &str = r#"
        #include <algorithm>
        #include <cstdlib>
        #include <stdexcept>
        #include <string>
        #include <vector>
        static int alive;
        struct Guard { Guard() { alive++; } ~Guard() { alive--; } };
        static int compare(const void *a, const void *b) {
            Guard guard;
            int x = *(const int *)a, y = *(const int *)b;
            if (x == 13 || y == 13) throw std::runtime_error("thirteen");
            return x - y;
        }
        // The C library's frames lie between the throw and the catch.
        static int through_qsort() {
            int numbers[] = { 5, 13, 2, 8 };
            try { Guard guard; qsort(numbers, 4, sizeof *numbers, compare); }
            catch (const std::exception &e) { return e.what() == std::string("thirteen") ? 1 : 2; }
            return 3;
        }
        // The C++ library throws into image code.
        static int from_library() {
            try { Guard guard; return std::vector<int>().at(4); }
            catch (const std::out_of_range &) { return 10; }
        }
        int main() { return through_qsort() + from_library() + 100 * alive; }
    "#;
    for flags in [["-fPIC", "-O2"], ["-fno-pic", "-O2"], ["-fPIE", "-O0"]] {
        for debuggable in [false, true] {
            let mut ground = Ground::new(Program {
                debuggable,
                ..Program::this("program")
            });
            ground.worker.open_library("libstdc++.so.6").unwrap();
            let object = compile_with("c++", "c++", &flags, SOURCE);
            ground.publish(false, &[("throws.o", &object)]).unwrap();
            ground.start(Afterwards::Leave);
            assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(11), "{flags:?}");
        }
    }
}

/// The controller that the next case kills.
fn controller_that_is_killed() -> ExitCode {
    let mut ground = Ground::plain();
    let threads = compile(FLAGS, THREADS);
    ground
        .publish(false, &[("part.o", &part(1, "")), ("threads.o", &threads)])
        .unwrap();
    ground.start(Afterwards::Serve);
    // No compiler runs when it is killed: nobody would remove what it writes.
    let next = part(2, "");
    println!("{}", ground.worker.pid());
    loop {
        // It dies with the world stopped, or not.
        let _ = ground.publish(true, &[("part.o", &next)]);
    }
}

fn nothing_outlives_a_killed_controller() {
    for pause_ms in [0, 7, 30] {
        let mut controller = Command::new("/proc/self/exe");
        controller
            .arg("__controller")
            .stdout(std::process::Stdio::piped());
        let mut controller = controller.spawn().unwrap();
        let mut line = String::new();
        let output = controller.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let worker: i32 = line.trim().parse().unwrap();
        std::thread::sleep(Duration::from_millis(pause_ms));
        controller.kill().unwrap();
        controller.wait().unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{worker}/stat"));
            stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        let began = std::time::Instant::now();
        while !gone() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "worker {worker} is left"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
