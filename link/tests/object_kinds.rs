//! What an object file may ask for, one thing after another, from two compilers
//! at several levels, position-independent and not, in one batch and in many.
//! Each check is a line of C that gives its own number where it fails.

mod common;

use std::process::Command;

use common::{Bench, archive, compile, compile_with, load_library};
use sapwood_link::{LocalSpace, Near, Options};

const DECLARED: &str = r#"
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    /* Of several common blocks the longest counts, and the strictest alignment. */
    extern char common_block[];
    /* Aliases, weak ones among them, and what takes their place. */
    long real(long x); long nick(long x); long weakly(long x); extern long other_name;
    /* Visibility. */
    __attribute__((visibility("protected"))) long guarded(long x);
    __attribute__((visibility("hidden"))) extern long hidden_data;
    typedef long function(long);
    function *guarded_as_seen_there(void);
    /* Nowhere defined. */
    extern long missing_data __attribute__((weak)); long missing(long) __attribute__((weak));
    /* Bounds of sections. */
    extern const long __start_listed[], __stop_listed[];
    extern const long __start_empty[] __attribute__((weak)), __stop_empty[] __attribute__((weak));
    /* Thread-locals. */
    extern __thread long of_thread; extern __thread char zeroes_of_thread[100];
    /* Chosen when it is linked. */
    long chosen(long x);
    extern int order[8], ordered;
"#;

const ONE: &str = r#"
    char common_block[10];
    long (*stored)(long) = real; function *const table[3] = { nick, guarded, weakly };
    static const long listed_one __attribute__((section("listed"), used)) = 1;
    __attribute__((aligned(65536))) static char wide_zeroes[3];
    __attribute__((aligned(16384))) static long wide = 5;
    __attribute__((aligned(8192))) static const long wide_constant = 6;
    __attribute__((aligned(4096), noinline)) static long wide_code(long x) { return x + 7; }
    __attribute__((noinline)) static long by_table(long x) {
        switch (x) { case 0: return 10; case 1: return 31; case 2: return 42; case 3: return 53;
                     case 4: return 164; case 5: return 75; case 6: return 86; default: return 0; }
    }
    __attribute__((noinline)) static long by_goto(long x) {
        static void *const places[] = { &&one, &&two, &&three };
        goto *places[x];
        one: return 1; two: return 2; three: return 3;
    }
    static int is_aligned(const void *at, uintptr_t to) { return (uintptr_t)at % to == 0; }
    #define CHECK(what) if (!(what)) return __LINE__
    long asked(long a, long b) {
        char buffer[64];
        memset(buffer, 0, sizeof buffer);
        strcpy(buffer, "on the stack");
        CHECK(common_block[39] == 3 * a && is_aligned(common_block, 64));
        common_block[39] = 3;
        CHECK(real(1) == 2 && nick(1) == 2 && stored(1) == 2 && stored == real);
        CHECK(weakly(1) == 102 && table[2](1) == 102);
        CHECK(other_name == 77 && hidden_data == 77);
        CHECK(guarded(1) == 12 && table[1] == guarded && guarded_as_seen_there() == guarded);
        CHECK(!&missing_data && !missing);
        CHECK(__stop_listed - __start_listed == 3);
        long sum = 0;
        for (const long *one = __start_listed; one < __stop_listed; one++) sum += *one;
        CHECK(sum == 1 + 20 + 300);
        CHECK(__start_empty == __stop_empty);
        CHECK(of_thread == 44 + a && zeroes_of_thread[99] == a);
        of_thread++; zeroes_of_thread[99]++;
        CHECK(chosen(1) == 1001);
        CHECK(is_aligned(wide_zeroes, 65536) && wide_zeroes[2] == 0);
        CHECK(is_aligned(&wide, 16384) && wide == 5);
        CHECK(is_aligned(&wide_constant, 8192) && wide_constant == 6);
        CHECK(is_aligned((void *)wide_code, 4096) && wide_code(1) == 8);
        CHECK(by_table(a + 1) == (a ? 42 : 31) && by_table(4) == 164 && by_table(9) == 0);
        CHECK(by_goto(a) == a + 1 && by_goto(2) == 3);
        CHECK(strlen(buffer) == 12);
        CHECK(ordered == 5 && order[0] == 1 && order[1] == 2 && order[2] == 3);
        CHECK(order[3] + order[4] == 9);
        return 0;
    }
"#;

const TWO: &str = r#"
    char common_block[40] __attribute__((aligned(64)));
    long real(long x) { return x + 1; }
    extern __typeof(real) nick __attribute__((alias("real")));
    __attribute__((weak)) long weakly(long x) { return x + 1; }
    long hidden_data = 77;
    extern __typeof(hidden_data) other_name __attribute__((alias("hidden_data")));
    long guarded(long x) { return x + 11; }
    static const long listed_two __attribute__((section("listed"), used)) = 20;
    __thread long of_thread = 44; __thread char zeroes_of_thread[100];
    int order[8], ordered;
    __attribute__((constructor(102))) static void second(void) { order[ordered++] = 2; }
    __attribute__((constructor)) static void late(void) { order[ordered++] = 4; }
"#;

const THREE: &str = r#"
    long weakly(long x) { return x + 101; }
    function *guarded_as_seen_there(void) { return guarded; }
    static const long listed_three __attribute__((section("listed"), used)) = 300;
    __attribute__((constructor(101))) static void first(void) { order[ordered++] = 1; }
    __attribute__((constructor(103))) static void third(void) { order[ordered++] = 3; }
    __attribute__((constructor)) static void later(void) { order[ordered++] = 5; }
"#;

/// What is pulled from an archive.
const MEMBER: &str = r#"
    static long thousand(long x) { return x + 1000; }
    static void *choose(void) { return thousand; }
    long chosen(long) __attribute__((ifunc("choose")));
"#;

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

/// Compiles the parts, links them, and asks.
fn check(compiler: &str, flags: &[&str]) {
    let what = format!("{compiler} {}", flags.join(" "));
    let flags = [flags, &["-fcommon", "-w"]].concat();
    let parts = [ONE, TWO, THREE, MEMBER].map(|part| {
        let source = format!("{DECLARED}\n#line 1\n{part}");
        compile_with(compiler, "c", &flags, &source)
    });
    let near = match flags.contains(&"-fPIC") {
        true => Near::Anywhere,
        false => Near::Low,
    };
    let mut bench = Bench::with(Options {
        near,
        ..Options::default()
    });
    let library = archive(&parts[3]);
    let published = bench.publish_parts(
        &[
            ("one.o", &parts[0]),
            ("two.o", &parts[1]),
            ("three.o", &parts[2]),
        ],
        &library,
    );
    let published = published.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        published.faulted.is_none(),
        "{what}: {:?}",
        published.faulted
    );
    for turn in 0..2 {
        assert_eq!(
            bench.call("asked", turn, 0),
            0,
            "{what}: the line of a check"
        );
    }
}

#[test]
fn what_objects_ask_for_is_given() {
    for compiler in ["gcc", "clang"].into_iter().filter(|name| is_there(name)) {
        for level in ["-O0", "-O2"] {
            check(compiler, &[level, "-fPIC"]);
            check(compiler, &[level, "-fno-pic", "-fno-pie"]);
        }
        let extras: &[&[&str]] = &[
            &["-fcf-protection=full"],
            &["-fno-plt", "-fstack-protector-all"],
            &["-mcmodel=medium"],
            &["-mcmodel=large"],
            &["-ffunction-sections", "-fdata-sections", "-g", "-gz"],
            &[
                "-fdebug-types-section",
                "-g3",
                "-fasynchronous-unwind-tables",
            ],
        ];
        for extra in extras {
            // FIXME: the large model's own sequences for thread-locals of
            // position-independent code are refused, by name.
            if extra[0] != "-mcmodel=large" {
                check(compiler, &[&["-O1", "-fPIC"], *extra].concat());
            }
            check(
                compiler,
                &[&["-O1", "-fno-pic", "-fno-pie"], *extra].concat(),
            );
        }
    }
}

/// `.ctors` as older compilers wrote them: by priority, last to first.
#[test]
fn old_lists_of_constructors_run_in_order() {
    let list = |section: &str, function: &str| {
        format!("__asm__(\".section {section},\\\"aw\\\"; .quad {function}; .text\");")
    };
    let mut source = "int order[8], ordered;".to_owned();
    for number in 1..=4 {
        source += &format!("void run{number}(void) {{ order[ordered++] = {number}; }}\n");
    }
    // The number counts down from 65535.
    source += &list(".ctors.65433", "run1");
    source += &list(".ctors.65400", "run2");
    source += &list(".ctors", "run4, run3");
    source += "long asked(long a, long b) {
        return order[0] * 1000 + order[1] * 100 + order[2] * 10 + order[3]; }";
    let object = compile(&["-fPIC", "-O1"], &source);
    let mut bench = Bench::new();
    bench.publish(&[("old.o", &object)]).unwrap();
    assert_eq!(bench.call("asked", 0, 0), 1234);
}

/// A copy of an inline function that loses to an earlier batch's goes with all
/// that belongs to it, its unwind entries and its part of a table too.
#[test]
fn a_later_copy_of_a_comdat_group_is_dropped_whole() {
    load_library(c"libstdc++.so.6");
    let source = |name: &str| {
        format!(
            "#include <stdexcept>
             template <class T> struct Kept {{ static T value; static long next(T x) {{
                 if (x < 0) throw std::runtime_error(\"below\"); return value += x; }} }};
             template <class T> T Kept<T>::value = 100;
             struct Shape {{ virtual long sides() {{ return 3; }} virtual ~Shape() {{}} }};
             extern \"C\" long {name}(long a, long b) {{
                 static Shape *made = new Shape;
                 try {{ return Kept<long>::next(a) * 10 + made->sides(); }}
                 catch (std::exception &) {{ return -1; }} }}"
        )
    };
    for flags in [
        ["-fPIC", "-O0"],
        ["-fPIC", "-O2"],
        ["-fno-pic", "-O0"],
        ["-fno-pic", "-O2"],
    ] {
        let mut bench = Bench::new();
        for name in ["one", "two", "three"] {
            let object = compile_with("c++", "c++", &flags, &source(name));
            bench.publish(&[(name, &object)]).unwrap();
        }
        for turn in 1..4 {
            assert_eq!(
                bench.call("one", 1, 0),
                (97 + turn * 3 + 1) * 10 + 3,
                "{flags:?}"
            );
            assert_eq!(bench.call("two", 1, 0), (97 + turn * 3 + 2) * 10 + 3);
            assert_eq!(bench.call("three", 1, 0), (97 + turn * 3 + 3) * 10 + 3);
            assert_eq!(bench.call("three", -1, 0), -1);
        }
    }
}

/// Code of the small model near the C library uses its data and functions
/// directly, by way of copies and stubs where it has to.
#[test]
fn code_of_executables_reaches_the_library() {
    let source = "
        #include <stdio.h>
        #include <unistd.h>
        extern char **environ;
        long asked(long a, long b) {
            int (*print)(const char *, ...) = printf;
            return environ != 0 && stdout != 0 && print == printf && optind >= 0; }";
    for compiler in ["gcc", "clang"].into_iter().filter(|name| is_there(name)) {
        for level in ["-O0", "-O2"] {
            let object = compile_with(compiler, "c", &["-fPIE", level], source);
            let mut bench = Bench::with(Options {
                near: LocalSpace::near_libraries(),
                ..Options::default()
            });
            bench.publish(&[("asks.o", &object)]).unwrap();
            assert_eq!(bench.call("asked", 0, 0), 1, "{compiler} {level}");
        }
    }
}

/// Code that is not position-independent holds addresses in 32 bits, and libraries
/// lie beyond them: stubs stand for functions, and copies for classes' tables.
#[test]
fn low_code_names_functions_and_classes_of_libraries() {
    load_library(c"libstdc++.so.6");
    let c = "
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        static int (*const table[])(const char *) = { puts, atoi };
        size_t (*length)(const char *) = strlen;
        static int by(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
        long functions(long a, long b) {
            int (*volatile first)(const char *) = puts;
            int (*volatile second)(const char *) = atoi;
            size_t (*volatile third)(const char *) = strlen;
            int numbers[] = { 3, 1, 2 };
            qsort(numbers, 3, sizeof *numbers, by);
            return first == table[0] && second == table[1] && third == length
                && second(\"12\") == 12 && third(\"four\") == 4 && numbers[0] == 1; }";
    let cxx = "
        #include <sstream>
        #include <stdexcept>
        struct Own : std::runtime_error { using runtime_error::runtime_error; int more = 5; };
        struct Plain : std::exception { const char *what() const noexcept override { return \"plain\"; } };
        struct Buffer : std::streambuf { int seen = 0;
            int overflow(int c) override { seen += c; return c; } };
        extern \"C\" long classes(long a, long b) {
            std::ostringstream out; out << \"x\" << a;
            std::stringstream both(out.str() + \" 7\"); std::string x; long seven = 0; both >> x >> seven;
            Buffer buffer; std::ostream to(&buffer); to.put(3).put(4);
            try { if (b) throw Own(\"own\"); throw Plain(); }
            catch (std::runtime_error &e) { return seven * 100 + dynamic_cast<Own &>(e).more; }
            catch (std::exception &e) { return seven * 10 + buffer.seen + (x == \"x2\"); } }";
    for compiler in ["gcc", "clang"].into_iter().filter(|name| is_there(name)) {
        for level in ["-O0", "-O2"] {
            let flags = ["-fno-pic", "-fno-pie", level];
            let functions = compile_with(compiler, "c", &flags, c);
            let classes = compile_with(compiler, "c++", &flags, cxx);
            let mut bench = Bench::with(Options {
                near: LocalSpace::near_libraries(),
                ..Options::default()
            });
            bench.publish(&[("c.o", &functions)]).unwrap();
            assert_eq!(bench.call("functions", 0, 0), 1, "{compiler} {level}");
            bench.publish(&[("cxx.o", &classes)]).unwrap();
            assert_eq!(bench.call("classes", 2, 0), 78, "{compiler} {level}");
            assert_eq!(bench.call("classes", 2, 1), 705, "{compiler} {level}");
        }
    }
}
