//! Definitions with versions: `f@@V`, as `.symver` writes the default one, is `f` as
//! well, and what asks for `f@V`; `f@V` is that alone.

mod common;

use common::{Bench, archive, compile, compile_with};

const DEFINES: &str = r#"
    long first(long a, long b) { return a + 1; }
    long second(long a, long b) { return a + 2; }
    __asm__(".symver first, chosen@V1");
    __asm__(".symver second, chosen@@V2");
    long kept(long a, long b) { return a + 30; }
    __asm__(".symver kept, kept@@V3");
    long number = 7;
    __asm__(".symver number, counted@@V4");
"#;

const USES: &str = r#"
    extern long plain(long, long), old(long, long), new(long, long), kept(long, long);
    extern long counted;
    __asm__(".symver plain, chosen@");
    long chosen(long, long);
    __asm__(".symver old, chosen@V1");
    __asm__(".symver new, chosen@V2");
    long uses(long a, long b) {
        return chosen(a, b) + 100 * old(a, b) + 10000 * new(a, b) + 1000000 * (kept(a, b) + counted);
    }
"#;

fn uses() -> Vec<u8> {
    let source = USES.replace("    __asm__(\".symver plain, chosen@\");\n", "");
    compile(&["-fPIC", "-O1"], &source)
}

/// For 0: 2, 1 and 2 from the versions of `chosen`, 30 and 7.
const EXPECTED: i64 = 2 + 100 + 20000 + 37_000_000;

#[test]
fn a_default_version_is_the_plain_name_too() {
    let (defines, uses) = (compile(&["-fPIC", "-O1"], DEFINES), uses());
    let mut together = Bench::new();
    together
        .publish(&[("uses.o", &uses), ("defines.o", &defines)])
        .unwrap();
    assert_eq!(together.call("uses", 0, 0), EXPECTED);

    let mut apart = Bench::new();
    apart.publish(&[("defines.o", &defines)]).unwrap();
    apart.publish(&[("uses.o", &uses)]).unwrap();
    assert_eq!(apart.call("uses", 0, 0), EXPECTED);
    let view = apart.session.view();
    let at = |name: &str| view.symbol(name).map(|symbol| symbol.address);
    assert_eq!(at("chosen"), at("second"));
    assert_eq!(at("chosen"), at("chosen@@V2"));
    assert_eq!(at("chosen"), at("chosen@V2"));
    assert_eq!(at("chosen@V1"), at("first"));
    assert_eq!(at("counted"), at("number"));

    let mut pulled = Bench::new();
    pulled.publish_with(&uses, &archive(&defines)).unwrap();
    assert_eq!(pulled.call("uses", 0, 0), EXPECTED);
}

#[test]
fn another_version_is_not_the_plain_name() {
    let other = compile(
        &["-fPIC"],
        "long only_old(long a) { return a; } __asm__(\".symver only_old, of_v1@V1\");",
    );
    let wants = compile(
        &["-fPIC"],
        "long of_v1(long); long f(long a) { return of_v1(a); }",
    );
    let mut bench = Bench::new();
    let error = bench
        .publish(&[("other.o", &other), ("wants.o", &wants)])
        .unwrap_err();
    assert!(error.to_string().contains("of_v1"), "{error}");
    bench.publish(&[("other.o", &other)]).unwrap();
    assert!(bench.session.view().symbol("of_v1").is_none());
    assert!(bench.session.view().symbol("of_v1@V1").is_some());
}

#[test]
fn two_definitions_of_the_plain_name_are_refused() {
    let one = compile(
        &["-fPIC"],
        "long one(long a) { return a; } __asm__(\".symver one, f@@V\");",
    );
    let two = compile(&["-fPIC"], "long f(long a) { return a; }");
    let mut bench = Bench::new();
    let error = bench
        .publish(&[("one.o", &one), ("two.o", &two)])
        .unwrap_err();
    assert!(error.to_string().contains("two.o"), "{error}");
    bench.publish(&[("two.o", &two)]).unwrap();
    let error = bench.publish(&[("one.o", &one)]).unwrap_err();
    assert!(error.to_string().contains("one.o"), "{error}");
}

/// nm says what is in the object: a name with its version, and no plain one.
#[test]
fn what_nm_sees_is_what_is_found() {
    let text = ".text\n.globl impl\n.type impl,@function\nimpl: lea 5(%rdi),%rax\nret\n\
                .size impl,.-impl\n.symver impl, shown@@V9, remove\n";
    let object = compile_with("cc", "assembler", &[], text);
    let folder = common::Folder::new();
    let path = folder.path().join("one.o");
    std::fs::write(&path, &object).unwrap();
    let nm = std::process::Command::new("nm")
        .arg(&path)
        .output()
        .unwrap();
    let listed = String::from_utf8(nm.stdout).unwrap();
    assert!(
        listed.contains(" T shown@@V9") && !listed.contains("impl"),
        "{listed}"
    );
    let mut bench = Bench::new();
    bench.publish(&[("one.o", &object)]).unwrap();
    for name in ["shown", "shown@V9", "shown@@V9"] {
        assert_eq!(bench.call(name, 3, 0), 8, "{name}");
    }
}

#[test]
fn a_replaced_version_is_replaced_under_all_of_its_names() {
    let source = "long impl(long a, long b) { return a + VALUE; } __asm__(\".symver impl, f@@V\");
        long state = 1; __asm__(\".symver state, kept@@V\");
        long uses(long a, long b) { extern long f(long, long); return f(a, b) + state++; }";
    let version = |value: &str| {
        let flags = [
            "-fPIC",
            "-O1",
            "-fno-ipa-ra",
            "-ffunction-sections",
            "-fdata-sections",
        ];
        compile(&flags, &source.replace("VALUE", value))
    };
    let mut bench = Bench::new();
    bench.publish(&[("part.o", &version("10"))]).unwrap();
    assert_eq!(bench.call("uses", 0, 0), 11);
    let f = bench.session.view().symbol("f").unwrap().address;
    bench.replace(&[("part.o", &version("20"))]).unwrap();
    assert_eq!(bench.call("uses", 0, 0), 22);
    assert_eq!(bench.session.view().symbol("f").unwrap().address, f);
    assert_eq!(bench.call("f@V", 1, 0), 21);
}
