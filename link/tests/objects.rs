//! What compilers write, linked into this process and called.

mod common;

use common::{Bench, compile, compile_with};
use sapwood_link::{Error, LocalSpace, Near, Options};

/// Functions calling one another over objects, data of every kind, strings,
/// libc's functions and data.
const MAIN: &str = r#"
    #include <stdio.h>
    #include <string.h>
    extern int shared_counter;
    extern int add(int, int);
    extern int weak_missing(void) __attribute__((weak));
    extern const char *greeting(void);
    static int local_value = 5;
    int zeroes[1000];
    int common_block[4];
    static int helper(int x) { return x + local_value; }
    long combine(long a, long b) {
        shared_counter += 1;
        zeroes[999] += 2;
        common_block[3] = 7;
        if (weak_missing) return -1;
        char buffer[64];
        snprintf(buffer, sizeof buffer, "%s %d", greeting(), add(a, b));
        if (strcmp(buffer, "hello 7")) return -2;
        if (stderr == 0) return -3;
        return helper(a * 10 + b) + zeroes[999] + common_block[3] + shared_counter;
    }
"#;

const OTHER: &str = r#"
    int shared_counter = 100;
    int common_block[8];
    static const char *const words[] = { "hello", "world" };
    const char *greeting(void) { return words[0]; }
    int add(int a, int b) { return a + b; }
    int (*const adder)(int, int) = add;
    long through_pointer(long a, long b) { return adder(a, b); }
"#;

fn check(compiler: &str, flags: &[&str], options: Options) {
    let main = compile_with(compiler, "c", flags, MAIN);
    let other = compile_with(compiler, "c", flags, OTHER);
    let mut bench = Bench::with(options);
    bench
        .publish(&[("main.o", &main), ("other.o", &other)])
        .unwrap();
    assert_eq!(
        bench.call("combine", 3, 4),
        39 + 2 + 7 + 101,
        "{compiler} {flags:?}"
    );
    assert_eq!(bench.call("through_pointer", 3, 4), 7);
    // Later batches see what is there, and the data keeps its values.
    let later = compile_with(
        compiler,
        "c",
        flags,
        "extern int shared_counter; extern int add(int, int);
         long later(long a, long b) { return add(a, b) + shared_counter; }",
    );
    bench.publish(&[("later.o", &later)]).unwrap();
    assert_eq!(bench.call("later", 1, 2), 3 + 101);
}

/// Compilers that are here: `cc` always, `clang` when installed.
fn compilers() -> Vec<&'static str> {
    let clang = std::process::Command::new("clang")
        .arg("--version")
        .output()
        .is_ok();
    if clang {
        vec!["cc", "clang"]
    } else {
        vec!["cc"]
    }
}

#[test]
fn position_independent_code_links_anywhere() {
    for compiler in compilers() {
        for level in ["-O0", "-O1", "-O2", "-O3"] {
            let far = Options {
                near: Near::Anywhere,
                ..Options::default()
            };
            check(compiler, &["-fPIC", "-fcommon", "-w", level], far);
            let low = Options {
                near: Near::Low,
                ..Options::default()
            };
            check(
                compiler,
                &[
                    "-fPIC",
                    "-fcommon",
                    "-w",
                    level,
                    "-ffunction-sections",
                    "-fdata-sections",
                ],
                low,
            );
        }
    }
}

#[test]
fn executables_code_links_near_the_libraries() {
    let near = LocalSpace::near_libraries();
    let options = Options {
        near,
        ..Options::default()
    };
    for compiler in compilers() {
        for flags in [
            ["-fPIE", "-fcommon", "-w", "-O0"],
            ["-fPIE", "-fcommon", "-w", "-O2"],
        ] {
            check(compiler, &flags, options.clone());
        }
    }
}

#[test]
fn code_with_32_bit_absolute_addresses_goes_low_by_itself() {
    let source = r#"
        #include <string.h>
        static int table[3] = { 10, 20, 30 };
        const char *name = "abc";
        long pick(long i, long b) { return table[i] + strlen(name) + b; }
    "#;
    for flags in [["-fno-pic", "-O0"], ["-fno-pic", "-O2"]] {
        let object = compile(&flags, source);
        let near = LocalSpace::near_libraries();
        let mut bench = Bench::with(Options {
            near,
            ..Options::default()
        });
        bench.publish(&[("low.o", &object)]).unwrap();
        assert_eq!(bench.call("pick", 1, 0), 23);
        assert!(bench.session.view().symbol("pick").unwrap().address.get() < 1 << 31);
    }
}

#[test]
fn constructors_run_by_priority_at_publish() {
    let source = r#"
        int order[4], count;
        __attribute__((constructor(102))) static void second(void) { order[count++] = 2; }
        __attribute__((constructor)) static void third(void) { order[count++] = 3; }
        __attribute__((constructor(101))) static void first(void) { order[count++] = 1; }
        long result(long a, long b) { return order[0] * 100 + order[1] * 10 + order[2]; }
    "#;
    let object = compile(&["-fPIC"], source);
    let mut bench = Bench::new();
    bench.publish(&[("init.o", &object)]).unwrap();
    assert_eq!(bench.call("result", 0, 0), 123);
}

#[test]
fn inline_functions_of_two_cpp_objects_are_one() {
    let source = |name: &str| {
        format!(
            "struct Counter {{ int value = 0; int next() {{ return ++value; }} }};
             inline Counter &counter() {{ static Counter c; return c; }}
             template <typename T> T twice(T x) {{ return x + x; }}
             extern \"C\" long {name}(long a, long b) {{ return twice(counter().next()) + a; }}"
        )
    };
    let one = compile_with("c++", "c++", &["-fPIC", "-O0"], &source("one"));
    let two = compile_with("c++", "c++", &["-fPIC", "-O0"], &source("two"));
    let mut bench = Bench::new();
    bench.publish(&[("one.o", &one)]).unwrap();
    bench.publish(&[("two.o", &two)]).unwrap();
    assert_eq!(bench.call("one", 0, 0), 2);
    assert_eq!(
        bench.call("two", 0, 0),
        4,
        "both use the first object's static"
    );
}

#[test]
fn an_undefined_symbol_is_named_with_who_wants_it() {
    let object = compile(
        &["-fPIC"],
        "int nowhere(int); int f(int x) { return nowhere(x); }",
    );
    let mut bench = Bench::new();
    let error = bench.publish(&[("wants.o", &object)]).unwrap_err();
    let Error::Undefined(names) = &error else {
        panic!("{error}")
    };
    assert_eq!(names[0].name, "nowhere");
    assert!(
        error
            .to_string()
            .contains("`nowhere`, wanted by wants.o: .text+0x"),
        "{error}"
    );
}

#[test]
fn a_duplicate_is_named_with_both_places() {
    let object = compile(&["-fPIC"], "int twice(void) { return 2; }");
    let mut bench = Bench::new();
    let error = bench
        .publish(&[("a.o", &object), ("b.o", &object)])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`twice`") && text.contains("a.o") && text.contains("b.o"),
        "{text}"
    );
    bench.publish(&[("a.o", &object)]).unwrap();
    let error = bench.publish(&[("c.o", &object)]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`twice`") && text.contains("a.o") && text.contains("c.o"),
        "{text}"
    );
}

#[test]
fn intermediate_code_alone_is_refused_by_name() {
    let slim = compile(
        &["-flto", "-fno-fat-lto-objects"],
        "int main(void) { return 0; }",
    );
    let fat = compile(
        &["-flto", "-ffat-lto-objects"],
        "long both(void) { return 3; }",
    );
    let mut bench = Bench::new();
    let error = bench.publish(&[("slim.o", &slim)]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("slim.o") && text.contains("-flto"), "{text}");
    bench.publish(&[("fat.o", &fat)]).unwrap();
    assert_eq!(bench.call("both", 0, 0), 3);
}
