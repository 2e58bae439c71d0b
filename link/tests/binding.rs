//! What names stand for: indirect functions, section bounds, visibility,
//! aliases, versions, and the order of initialisers.

mod common;

use common::{Bench, compile};
use sapwood_link::Error;

#[test]
fn indirect_functions_are_resolved_before_initialisers_run() {
    let source = r#"
        static long plus(long a, long b) { return a + b; }
        static void *choose(void) { return plus; }
        long chosen(long, long) __attribute__((ifunc("choose")));
        static long local_chosen(long, long) __attribute__((ifunc("choose")));
        long (*pointer)(long, long) = chosen;
        long early;
        __attribute__((constructor)) static void first(void) { early = chosen(20, 3); }
        long uses(long a, long b) {
            if (pointer != chosen) return -1;
            return chosen(a, b) + pointer(a, b) + local_chosen(a, b) + early;
        }
    "#;
    for flags in [["-fPIC", "-O0"], ["-fPIC", "-O2"], ["-fno-pic", "-O2"]] {
        let object = compile(&flags, source);
        let mut bench = Bench::new();
        bench.publish(&[("ifunc.o", &object)]).unwrap();
        assert_eq!(bench.call("uses", 4, 5), 27 + 23, "{flags:?}");
        assert_eq!(
            bench.call("chosen", 1, 2),
            3,
            "a view shows what can be called"
        );
        let later = compile(
            &flags,
            "long chosen(long, long); extern long (*pointer)(long, long);
             long later(long a, long b) { return pointer == chosen ? chosen(a, b) : -1; }",
        );
        bench.publish(&[("later.o", &later)]).unwrap();
        assert_eq!(bench.call("later", 6, 7), 13);
    }
}

#[test]
fn indirect_functions_outside_are_called_for_their_address() {
    // glibc's memcpy and strlen are indirect.
    let object = compile(
        &["-fPIC", "-O0", "-fno-builtin"],
        "#include <string.h>
         long f(long a, long b) { char to[16]; memcpy(to, \"hello\", 6); return strlen(to); }",
    );
    let mut bench = Bench::new();
    bench.publish(&[("libc.o", &object)]).unwrap();
    assert_eq!(bench.call("f", 0, 0), 5);
}

#[test]
fn section_bounds_hold_the_sections_of_all_objects_of_a_batch() {
    let member = |name: &str, value: u32| {
        let source = format!(
            "static const int filler_{name}[3] = {{ 9, 9, 9 }}; const int *f_{name} = filler_{name};
             __attribute__((section(\"table\"), used)) static long entry_{name} = {value};"
        );
        compile(&["-fPIC"], &source)
    };
    let (one, two) = (member("one", 1), member("two", 20));
    let sum = r#"
        extern long __start_table[], __stop_table[];
        extern char __start_nothing[] __attribute__((weak));
        long between = 5;
        __attribute__((section("table"), used)) static long own = 300;
        long sum(long a, long b) {
            long sum = 0;
            for (long *at = __start_table; at < __stop_table; at++) sum += *at;
            return sum + (__start_nothing ? 1000 : 0);
        }
    "#;
    let sum = compile(&["-fPIC"], sum);
    let mut bench = Bench::new();
    bench
        .publish(&[("one.o", &one), ("sum.o", &sum), ("two.o", &two)])
        .unwrap();
    assert_eq!(bench.call("sum", 0, 0), 321);
    let wants = compile(
        &["-fPIC"],
        "extern long __start_none[]; long *f(void) { return __start_none; }",
    );
    let error = bench.publish(&[("wants.o", &wants)]).unwrap_err();
    assert!(matches!(error, Error::Undefined(_)), "{error}");
}

#[test]
fn hidden_protected_and_aliased_names_are_the_images_own() {
    let one = compile(
        &["-fPIC"],
        "__attribute__((visibility(\"hidden\"))) long hidden = 1;
         __attribute__((visibility(\"protected\"))) long guarded(void) { return 20; }
         long real(long a, long b) { return 300 + hidden + guarded(); }
         long other(long, long) __attribute__((alias(\"real\")));
         long weak(long, long) __attribute__((weak, alias(\"real\")));",
    );
    let two = compile(
        &["-fPIC"],
        "__attribute__((visibility(\"hidden\"))) extern long hidden;
         long other(long, long), weak(long, long), guarded(void);
         long f(long a, long b) { return other(a, b) + weak(a, b) + hidden + guarded(); }",
    );
    let mut bench = Bench::new();
    bench.publish(&[("one.o", &one), ("two.o", &two)]).unwrap();
    assert_eq!(bench.call("f", 0, 0), 2 * 321 + 21);
}

#[test]
fn versions_of_the_libraries_are_told_apart() {
    let object = compile(
        &["-fPIC", "-fno-builtin"],
        "__asm__(\".symver old_realpath, realpath@GLIBC_2.2.5\");
         __asm__(\".symver new_realpath, realpath@GLIBC_2.3\");
         char *old_realpath(const char *, char *); char *new_realpath(const char *, char *);
         long f(long a, long b) { return old_realpath != new_realpath; }
         long g(long a, long b) { return old_realpath(\"/\", 0) == 0; }
         long h(long a, long b) { return new_realpath(\"/\", 0) != 0; }",
    );
    let mut bench = Bench::new();
    bench.publish(&[("versions.o", &object)]).unwrap();
    // Version 2.2.5 of realpath refuses a null buffer.
    for name in ["f", "g", "h"] {
        assert_eq!(bench.call(name, 0, 0), 1, "{name}");
    }
    let bad = compile(
        &["-fPIC"],
        "__asm__(\".symver x, realpath@GLIBC_9.9\"); void x(void); void k(void) { x(); }",
    );
    assert!(bench.publish(&[("bad.o", &bad)]).is_err());
}

#[test]
fn initialisers_of_every_kind_run_in_the_order_of_a_static_link() {
    let source = |first: u32| {
        format!(
            r#"
            extern long order[16]; extern long count;
            #define RUNS(n) static void run_##n(void) {{ order[count++] = n; }}
            RUNS({a}) RUNS({b}) RUNS({c}) RUNS({d})
            __attribute__((section(".init_array.00200"), used)) static void (*late)(void) = run_{a};
            __attribute__((section(".init_array.00101"), used)) static void (*early)(void) = run_{b};
            __attribute__((section(".init_array"), used)) static void (*plain)(void) = run_{c};
            __attribute__((section(".ctors.65434"), used)) static void (*old)(void) = run_{d};
            "#,
            a = first,
            b = first + 1,
            c = first + 2,
            d = first + 3
        )
    };
    let (one, two) = (
        compile(&["-fPIC", "-w"], &source(10)),
        compile(&["-fPIC", "-w"], &source(20)),
    );
    let result = compile(
        &["-fPIC"],
        "long order[16], count;
         long at(long a, long b) { return order[a]; }",
    );
    let mut bench = Bench::new();
    bench
        .publish(&[("one.o", &one), ("two.o", &two), ("result.o", &result)])
        .unwrap();
    let order: Vec<i64> = (0..8).map(|at| bench.call("at", at, 0)).collect();
    // `.ctors.65434` is priority 101, like `.init_array.00101`.
    let mut early = order[..4].to_vec();
    early.sort_unstable();
    assert_eq!(early, [11, 13, 21, 23]);
    assert_eq!(order[4..], [10, 20, 12, 22]);
}

#[test]
fn code_behind_a_cell_moves_by_one_store() {
    let mut bench = Bench::new();
    let source = r#"
        static long old(long a, long b) { return a - b; }
        long newer(long a, long b) { return a + b; }
        long (*volatile cell)(long, long) = old;
        long through(long a, long b) { return cell(a, b); }
    "#;
    let object = compile(&["-O1", "-fPIC"], source);
    bench.publish(&[("cells", &object)]).unwrap();
    assert_eq!(bench.call("through", 5, 3), 2);
    let (generation, view) = (bench.session.generation(), bench.session.view());
    let address = |name| view.symbol(name).unwrap().address;
    let (cell, newer) = (address("cell"), address("newer"));
    let Bench { session, space } = &mut bench;
    session.redirect(space, cell, newer).unwrap();
    assert_eq!(session.generation(), generation);
    // Half a cell, code, and what nothing was published in yet.
    let data = session.regions().into_iter().find(|(region, _)| {
        let range = region.range();
        range.contains(&cell)
    });
    let (region, used) = data.unwrap();
    let past = region.start.add(used.next_multiple_of(8));
    for bad in [cell.add(4), newer, past] {
        let refused = session.redirect(space, bad, newer).unwrap_err();
        assert!(refused.to_string().contains("is no cell"), "{refused}");
    }
    assert_eq!(bench.call("through", 5, 3), 8);
}

/// Who forgot a library misses hundreds of names: the first are said, and how many
/// more there are.
#[test]
fn a_long_list_of_undefined_names_is_cut() {
    let calls: String = (0..300)
        .map(|number| {
            format!(
                "int nowhere{number}(void); int f{number}(void) {{ return nowhere{number}(); }}\n"
            )
        })
        .collect();
    let object = compile(&["-fPIC"], &calls);
    let mut bench = Bench::new();
    let error = bench.publish(&[("many.o", &object)]).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Undefined(ref all) if all.len() == 300));
    assert!(
        text.contains("`nowhere0`") && text.ends_with("and 280 more undefined symbols"),
        "{text}"
    );
}
