//! Strings and constants of which a batch keeps one of each. What the same objects
//! are when the system's linker has linked them is asked for the same texts and the
//! same equalities.

mod common;

use std::ffi::{CStr, CString};

use common::{Bench, Folder, compile, compile_with};
use object::{Object, ObjectSection, ObjectSymbol};
use sapwood_link::{LocalSpace, Near, Options};

/// Texts and constants in every form in which compilers refer to them. `NAME` is
/// this part's, `OTHER` the other's.
const PART: &str = r#"
    #include <stddef.h>
    #include <uchar.h>
    static const char *const table[] = { "in a table", "of both", "NAME alone", "" };
    struct pair { const char *text; long number; };
    struct pair pairs[2] = { { "of both", 1 }, { "a text that is longer than thirty-two characters, so it is aligned", 2 } };
    const char *NAME_text(long number) {
        switch (number) {
            case 0: return "of both";
            case 1: return "a text that is longer than thirty-two characters, so it is aligned";
            case 2: return table[0];
            case 3: return table[1];
            case 4: return table[2];
            case 5: return table[3];
            case 6: return &"xof both"[1];
            case 7: return (const char *)L"wide of both";
            case 8: return (const char *)u"sixteen of both";
            case 9: return NAME_pairs[0].text;
            case 10: return NAME_pairs[1].text;
            case 11: return "NAME in code, and longer than thirty-two characters";
            case 12: return &table[0][4];
            default: return 0;
        }
    }
    double NAME_number(double x, float y) {
        return x * 3.25 + (double)(y * 7.5f) + (x > 2 ? 1e100 : 0.1);
    }
    typedef int four __attribute__((vector_size(16)));
    long NAME_vector(int x) {
        four a = { x, x, x, x };
        a = a * (four){ 3, 5, 7, 11 } + (four){ 1, 2, 3, 4 };
        return a[0] + a[1] + a[2] + a[3];
    }
"#;

fn part(name: &str) -> String {
    let text = PART.replace("pairs[2]", "NAME_pairs[2]");
    text.replace("NAME", name)
}

/// A shared library of the objects, as the system's linker makes it, opened.
struct Native(*mut libc::c_void);

impl Native {
    fn new(folder: &Folder, objects: &[Vec<u8>]) -> Native {
        let library = folder.path().join("native.so");
        let mut cc = std::process::Command::new("cc");
        cc.arg("-shared").arg("-o").arg(&library);
        for (number, object) in objects.iter().enumerate() {
            let path = folder.path().join(format!("{number}.o"));
            std::fs::write(&path, object).unwrap();
            cc.arg(path);
        }
        assert!(cc.status().unwrap().success());
        let path = CString::new(library.to_str().unwrap()).unwrap();
        // SAFETY: it runs the library's initialisers, of which there are none.
        let opened = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!opened.is_null());
        Native(opened)
    }

    fn symbol(&self, name: &str) -> u64 {
        let name = CString::new(name).unwrap();
        // SAFETY: it looks a name up.
        unsafe { libc::dlsym(self.0, name.as_ptr()) as u64 }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: nothing of it is used any more.
        unsafe { libc::dlclose(self.0) };
    }
}

fn text(function: u64, number: i64) -> *const libc::c_char {
    // SAFETY: the test compiled it with this type.
    let function: extern "C" fn(i64) -> *const libc::c_char =
        unsafe { std::mem::transmute(function as *const ()) };
    function(number)
}

/// The bytes of a text; of a wide one, up to four zeroes.
fn bytes(at: *const libc::c_char, number: i64) -> Vec<u8> {
    if number == 7 || number == 8 {
        // SAFETY: it is at least so long.
        return unsafe { std::slice::from_raw_parts(at.cast::<u8>(), 24).to_vec() };
    }
    // SAFETY: a text that ends.
    unsafe { CStr::from_ptr(at).to_bytes().to_vec() }
}

const NUMBERS: std::ops::Range<i64> = 0..13;

/// Checks parts `one` and `two` of a session against the native ones, and that
/// equal texts are one if they are said to be.
fn compare(bench: &Bench, native: Option<&Native>, are_one: bool, what: &str) {
    let address = |name: &str| bench.session.view().symbol(name).unwrap().address.get();
    let mut texts = Vec::new();
    for name in ["one", "two"] {
        let function = format!("{name}_text");
        let (ours, theirs) = (
            address(&function),
            native.map(|native| native.symbol(&function)),
        );
        for number in NUMBERS {
            let at = text(ours, number);
            let expected = theirs.map(|theirs| bytes(text(theirs, number), number));
            let found = bytes(at, number);
            assert_eq!(
                *expected.as_ref().unwrap_or(&found),
                found,
                "{what}: {name} {number}"
            );
            texts.push((at, found));
        }
        // SAFETY: the test compiled it with this type.
        let number: extern "C" fn(f64, f32) -> f64 =
            unsafe { std::mem::transmute(address(&format!("{name}_number")) as *const ()) };
        assert_eq!(number(1.5, 2.0), 1.5 * 3.25 + 15.0 + 0.1, "{what}");
        assert_eq!(number(2.5, 2.0), 1e100, "{what}");
        // SAFETY: as above.
        let vector: extern "C" fn(i32) -> i64 =
            unsafe { std::mem::transmute(address(&format!("{name}_vector")) as *const ()) };
        assert_eq!(vector(2), 26 * 2 + 10, "{what}");
    }
    if !are_one {
        return;
    }
    // What is a whole entry in both parts is there once.
    for number in [0, 1, 2, 3, 7, 8, 9, 10] {
        let (one, two) = (&texts[number], &texts[number + NUMBERS.end as usize]);
        assert_eq!(one.0, two.0, "{what}: text {number}: {:?}", one.1);
    }
    assert_ne!(texts[4].0, texts[4 + NUMBERS.end as usize].0, "{what}");
}

fn in_reach(flags: &[&str]) -> Bench {
    let near = match flags.contains(&"-fno-pic") {
        true => Near::Low,
        false => LocalSpace::near_libraries(),
    };
    Bench::with(Options {
        near,
        ..Options::default()
    })
}

#[test]
fn equal_texts_and_constants_of_a_batch_are_one() {
    let compilers = ["cc", "clang"];
    let there = |compiler: &&&str| std::process::Command::new(compiler).output().is_ok();
    for compiler in compilers.iter().filter(there) {
        for level in ["-O0", "-O2"] {
            for model in [
                &["-fPIC"][..],
                &["-fno-pic"],
                &["-fPIC", "-ffunction-sections", "-fdata-sections", "-g"],
                &["-fPIC", "-mcmodel=large"],
            ] {
                let flags = [model, &[level, "-w"]].concat();
                let what = format!("{compiler} {flags:?}");
                let parts =
                    ["one", "two"].map(|name| compile_with(compiler, "c", &flags, &part(name)));
                let folder = Folder::new();
                let pic = !model.contains(&"-fno-pic");
                let native = pic.then(|| Native::new(&folder, &parts));
                let mut bench = in_reach(model);
                bench
                    .publish(&[("one.o", &parts[0]), ("two.o", &parts[1])])
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                // Without optimisation gcc does not say that they may be.
                compare(&bench, native.as_ref(), level != "-O0", &what);
                for input in 0..2 {
                    let input = bench
                        .session
                        .view()
                        .added(bench.session.generation())
                        .input_ids()
                        .nth(input);
                    bench.session.debug_image(input.unwrap()).unwrap();
                }
            }
        }
    }
}

/// How many bytes of constants a batch has.
fn constants(bench: &Bench) -> u64 {
    let view = bench.session.view();
    let constants = view
        .atoms()
        .filter(|atom| atom.kind == sapwood_link::AtomKind::ReadOnly);
    constants.map(|atom| atom.size).sum()
}

#[test]
fn a_hundred_objects_with_one_text_have_it_once() {
    let objects: Vec<Vec<u8>> = (0..100)
        .map(|number| {
            let text = "\"a text that a hundred objects have, each for itself\"";
            compile(
                &["-fPIC", "-O1", "-fno-asynchronous-unwind-tables"],
                &format!("const char *f{number}(void) {{ return {text}; }}"),
            )
        })
        .collect();
    let inputs: Vec<(&str, &[u8])> = objects.iter().map(|object| ("x.o", &object[..])).collect();
    let mut bench = Bench::new();
    bench.publish(&inputs).unwrap();
    assert_eq!(constants(&bench), 56);
    let first = bench.call("f0", 0, 0);
    assert!((0..100).all(|number| bench.call(&format!("f{number}"), 0, 0) == first));
    // What was published stays, and a later batch has its own.
    bench.publish(&[("y.o", &compile(&["-fPIC"], "const char *g(void) { return \"a text that a hundred objects have, each for itself\"; }"))]).unwrap();
    assert_ne!(bench.call("g", 0, 0), first);
}

/// Sections as no compiler writes them: `NAME` is the part's.
const BY_HAND: &str = r#"
    .section .rodata.one, "aMS", @progbits, 1
    .globl NAME_first, NAME_middle, NAME_end, NAME_empty
    NAME_first: .string "first"
    NAME_twice: .string "first"
    NAME_empty: .string ""
    .string "NAME"
    NAME_middle = . - 2
    .string "last"
    NAME_end:
    .section .rodata.eight, "aMS", @progbits, 1
    .balign 8
    NAME_odd: .string "odd"
    .string ""
    NAME_after: .string "after"
    .section .rodata.of_four, "aM", @progbits, 4
    .balign 4
    .long 7, 8, 7, NUMBER
    .section .rodata.unending, "aMS", @progbits, 1
    .string "whole"
    NAME_unending: .ascii "no end"
    .section listed, "aMS", @progbits, 1
    .string "bounded"
    .data
    .balign 8
    .globl NAME_all, NAME_relative
    NAME_all:
    .quad NAME_first, NAME_twice, NAME_empty, NAME_middle, NAME_end
    .quad .rodata.one + 3, .rodata.one + 6, .rodata.eight, .rodata.eight + 4, NAME_after
    .quad .rodata.of_four, .rodata.of_four + 8, .rodata.of_four + 12, NAME_unending
    .quad __start_listed, __stop_listed, NAME_odd
    NAME_relative: .quad 0
"#;

#[test]
fn what_an_assembler_may_write_means_the_same() {
    let part = |name: &str, number: &str| {
        let source = BY_HAND.replace("NAME", name).replace("NUMBER", number);
        compile_with("cc", "assembler", &[], &source)
    };
    let mut bench = Bench::new();
    let (one, two) = (part("one", "9"), part("two", "10"));
    bench.publish(&[("one.o", &one), ("two.o", &two)]).unwrap();
    let words = |name: &str| -> Vec<u64> {
        let at = bench.session.view().symbol(name).unwrap().address.get();
        // SAFETY: the part has so many words there.
        (0..17)
            .map(|n| unsafe { *((at + 8 * n) as *const u64) })
            .collect()
    };
    // SAFETY: each is the address of a text that ends.
    let text = |at: u64| unsafe { CStr::from_ptr(at as *const _).to_str().unwrap().to_owned() };
    // SAFETY: each is the address of a number.
    let number = |at: u64| unsafe { *(at as *const u32) };
    let all = [words("one_all"), words("two_all")];
    for (words, name, last) in [(&all[0], "one", 9), (&all[1], "two", 10)] {
        let texts: Vec<String> = words[..4].iter().map(|at| text(*at)).collect();
        assert_eq!(texts, ["first", "first", "", &name[2..]]);
        assert_eq!(words[0], words[1], "the same text twice");
        assert_eq!(text(words[4] - 5), "last");
        assert_eq!(
            [5, 6, 7, 8, 9].map(|n| text(words[n])),
            ["st", "first", "odd", "", "after"]
        );
        assert_eq!([10, 11, 12].map(|n| number(words[n])), [7, 7, last]);
        assert_eq!(words[10], words[11], "the same number twice");
        // SAFETY: so many bytes are there.
        let unending = unsafe { std::slice::from_raw_parts(words[13] as *const u8, 6) };
        assert_eq!(unending, b"no end");
        assert_eq!(words[15] - words[14], 16, "sections with bounds stay whole");
        assert_eq!(text(words[16]), "odd");
        let view = bench.session.view();
        let end = view.symbol(&format!("{name}_end")).unwrap();
        assert_eq!(end.address.get(), words[4], "records say the same");
        let symbol = view.symbol(&format!("{name}_middle")).unwrap();
        assert_eq!(symbol.address.get(), words[3]);
    }
    for same in [0, 2, 4, 7, 9, 10] {
        assert_eq!(all[0][same], all[1][same], "word {same}");
    }
    for other in [3, 12, 13] {
        assert_ne!(all[0][other], all[1][other], "word {other}");
    }
}

/// Some assemblers write the distance to an instruction's end into the addend of a
/// section symbol. Which entry is meant then does not show.
#[test]
fn a_section_that_is_counted_from_instructions_stays_whole() {
    let part = |name: &str| {
        let source = format!(
            ".section .rodata.one, \"aMS\", @progbits, 1\n.string \"both\"\n.string \"{name}\"\n\
             .text\n.globl {name}\n.type {name},@function\n{name}:\n\
             .byte 0x48, 0x8d, 0x05\n.reloc ., R_X86_64_PC32, .rodata.one + 5 - 4\n.long 0\nret\n"
        );
        compile_with("cc", "assembler", &[], &source)
    };
    let mut bench = Bench::new();
    let parts = ["one", "two"].map(part);
    bench
        .publish(&[("one.o", &parts[0]), ("two.o", &parts[1])])
        .unwrap();
    for name in ["one", "two"] {
        let at = bench.call(name, 0, 0) as *const libc::c_char;
        // SAFETY: the address of a text that ends.
        assert_eq!(unsafe { CStr::from_ptr(at) }.to_str().unwrap(), name);
    }
}

#[test]
fn texts_of_copies_that_lost_are_not_kept() {
    let part = |name: &str| {
        let source = format!(
            "inline const char *shared() {{ static const char *text = \"of both\"; return text; }}
             template <class T> const char *of() {{ return \"of a template, longer than thirty-two\"; }}
             extern \"C\" const char *{name}(long x) {{ return x ? shared() : of<int>(); }}"
        );
        compile_with("c++", "c++", &["-fPIC", "-O1", "-fno-inline"], &source)
    };
    let mut bench = Bench::new();
    common::load_library(c"libstdc++.so.6");
    let parts = ["one", "two"].map(part);
    bench
        .publish(&[("one.o", &parts[0]), ("two.o", &parts[1])])
        .unwrap();
    for x in [0, 1] {
        assert_eq!(bench.call("one", x, 0), bench.call("two", x, 0));
    }
    let at = bench.call("one", 1, 0) as *const libc::c_char;
    // SAFETY: the address of a text that ends.
    assert_eq!(unsafe { CStr::from_ptr(at) }.to_str().unwrap(), "of both");
}

#[test]
fn an_addend_past_the_end_is_refused() {
    let part = |name: &str, addend: &str| {
        let source = format!(
            ".section .rodata.one, \"aMS\", @progbits, 1\n.string \"both\"\n\
             .data\n.globl {name}\n{name}: .reloc ., R_X86_64_64, .rodata.one + {addend}\n.quad 0\n"
        );
        compile_with("cc", "assembler", &[], &source)
    };
    let mut bench = Bench::new();
    let (one, two) = (part("one", "4"), part("two", "99"));
    let error = bench
        .publish(&[("one.o", &one), ("two.o", &two)])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("two.o") && text.contains(".data+0x0"),
        "{text}"
    );
    bench.publish(&[("one.o", &one)]).unwrap();
}

/// A debug image says where a shared entry is, by its own symbol and by its
/// section's.
#[test]
fn debug_images_say_where_shared_entries_are() {
    let part = |name: &str, first: &str| {
        let source = format!(
            ".section .rodata.one, \"aMS\", @progbits, 1\n{first}{name}_text: .string \"both\"\n\
             .section .debug_words, \"\", @progbits\n\
             .reloc ., R_X86_64_64, {name}_text\n.quad 0\n\
             .reloc ., R_X86_64_64, .rodata.one + {}\n.quad 0\n",
            if first.is_empty() { 0 } else { 6 },
        );
        compile_with("cc", "assembler", &[], &source)
    };
    let (one, two) = (part("one", ""), part("two", ".string \"first\"\n"));
    let mut bench = Bench::new();
    let published = bench.publish(&[("one.o", &one), ("two.o", &two)]);
    let view = bench.session.view();
    let inputs = view.added(published.unwrap().generation).input_ids();
    let mut places = Vec::new();
    for (input, name) in inputs.zip(["one", "two"]) {
        let image = bench.session.debug_image(input).unwrap().unwrap();
        let image = object::File::parse(&*image).unwrap();
        let symbol = image.symbol_by_name(&format!("{name}_text")).unwrap();
        let words = image.section_by_name(".debug_words").unwrap();
        let words: Vec<u64> = (words.data().unwrap().chunks(8))
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words, [symbol.address(); 2], "{name}");
        places.push(symbol.address());
    }
    assert_eq!(places[0], places[1]);
    // SAFETY: the address of a text that ends.
    let text = unsafe { CStr::from_ptr(places[0] as *const libc::c_char) };
    assert_eq!(text.to_str().unwrap(), "both");
}
