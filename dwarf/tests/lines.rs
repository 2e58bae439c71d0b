//! Lines and functions of every address, beside what addr2line of binutils
//! says.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Folder, builds, has, open};
use sapwood_dwarf::{Address, Module};

/// Function and line of an address, innermost first, as one text.
fn ours(module: &Module, address: u64, bias: u64) -> String {
    let frames = module.inlined_at(Address(address + bias));
    let mut text = String::new();
    for frame in &frames {
        let name = frame
            .function
            .linkage_name
            .as_ref()
            .unwrap_or(&frame.function.name);
        let file = frame.file.as_ref().and_then(|file| file.file_name());
        let file = file.map_or("??".into(), |file| file.to_string_lossy());
        text.push_str(&format!("{name} {file}:{}; ", frame.line));
    }
    text
}

/// An answer without its innermost line.
fn outer(text: &str) -> String {
    let (first, rest) = text.split_once("; ").unwrap_or((text, ""));
    let (function, _) = first.rsplit_once(':').unwrap_or((first, ""));
    format!("{function} {rest}")
}

/// The same of all addresses, by addr2line.
fn theirs(program: &Path, addresses: &[u64]) -> Vec<String> {
    let mut tool = Command::new("addr2line")
        .args(["-f", "-i", "-a", "-e"])
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("addr2line");
    let mut input = tool.stdin.take().expect("its input");
    let text: String = addresses
        .iter()
        .map(|address| format!("{address:#x}\n"))
        .collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = tool.wait_with_output().expect("its output");
    writer.join().expect("no panic").expect("it reads all");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut answers: Vec<String> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            answers.push(String::new());
            continue;
        }
        let place = lines.next().unwrap_or_default();
        let place = place.split(" (discriminator").next().unwrap_or_default();
        let (file, line_number) = place.rsplit_once(':').unwrap_or((place, "0"));
        // binutils has no better name for a unit of link-time optimisation.
        let file = file.rsplit('/').next().unwrap_or_default();
        let file = file.replace("<artificial>", "shapes.c");
        let line_number = line_number.replace('?', "0");
        let last = answers.last_mut().expect("an address comes first");
        last.push_str(&format!("{line} {file}:{line_number}; "));
    }
    answers
}

/// The rows that start statements, by objdump: line and address.
fn statements(program: &Path) -> BTreeSet<(u32, u64)> {
    let text = common::output(
        "objdump",
        &["--dwarf=decodedline", &program.to_string_lossy()],
    );
    let rows = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, line, address, .., "x"] = words[..] else {
            return None;
        };
        let address = address.strip_prefix("0x").unwrap_or(address);
        Some((line.parse().ok()?, u64::from_str_radix(address, 16).ok()?))
    });
    rows.collect()
}

/// Every address of the functions of `source`.
fn addresses(module: &Module, source: &str) -> Vec<u64> {
    let mut all = BTreeSet::new();
    for name in module.function_names() {
        for function in module.functions(&name) {
            let file = function.file.as_ref();
            if !file.is_some_and(|file| file.ends_with(source)) {
                continue;
            }
            for range in &function.ranges {
                all.extend(range.start.0..range.end.0);
            }
        }
    }
    all.into_iter().collect()
}

#[test]
fn each_address_has_the_lines_that_addr2line_gives() {
    if !has("addr2line") {
        return;
    }
    let folder = Folder::new("lines");
    let mut checked = 0;
    for (index, (compiler, options)) in builds().into_iter().enumerate() {
        let program = folder.compile(compiler, "shapes.c", &options, &format!("shapes{index}"));
        let module = open(&program, 0);
        let addresses = addresses(&module, "shapes.c");
        assert!(
            addresses.len() > 100,
            "{compiler} {options:?}: {addresses:?}"
        );
        let theirs = theirs(&program, &addresses);
        let biased = open(&program, 0x5000_0000);
        let statements = statements(&program);
        let mut wrong = Vec::new();
        for (address, theirs) in addresses.iter().zip(&theirs) {
            let ours = ours(&module, *address, 0);
            assert_eq!(ours, self::ours(&biased, *address, 0x5000_0000));
            // Of several rows at one address binutils takes the last; we take
            // one that starts a statement where the last does not.
            let row = module.line_at(Address(*address));
            let is_statement =
                row.is_some_and(|row| statements.contains(&(row.line, row.range.start.0)));
            if compiler == "clang" && ours.matches(';').count() > theirs.matches(';').count() {
                // binutils 2.40 does not read the range lists by index that
                // clang gives inlined calls: it has the physical function and
                // the innermost line.
                let (function, line) = theirs.split_once(" shapes.c:").expect("a line");
                assert!(
                    ours.contains(&format!("{function} shapes.c:")),
                    "{ours} {theirs}"
                );
                assert!(
                    is_statement || ours.contains(&format!(":{line}")),
                    "{ours} {theirs}"
                );
                continue;
            }
            if ours != *theirs && !(is_statement && outer(&ours) == outer(theirs)) {
                wrong.push(format!("{address:#x}\n  ours   {ours}\n  theirs {theirs}"));
            }
        }
        checked += addresses.len();
        let count = wrong.len();
        assert!(
            wrong.is_empty(),
            "{compiler} {options:?}: {count}:\n{}",
            wrong.join("\n")
        );
    }
    println!("{checked} addresses");
}

#[test]
fn a_line_without_code_slides_to_the_next_that_has_some() {
    let folder = Folder::new("slide");
    for (index, (compiler, options)) in builds().into_iter().enumerate() {
        let program = folder.compile(compiler, "shapes.c", &options, &format!("slide{index}"));
        let module = open(&program, 0);
        // Line 1 is a comment.
        let places = module.places("shapes.c", 1);
        assert!(!places.is_empty(), "{compiler} {options:?}");
        for place in &places {
            assert!(place.line > 1);
            // Several lines may begin at one address.
            let row = module.line_at(place.address).expect("a line");
            let begins = statements(&program).contains(&(place.line, place.address.0));
            assert!(begins || row.line == place.line, "{compiler} {options:?}");
        }
        assert!(module.places("nosuch.c", 1).is_empty());
        assert!(
            module.places("apes.c", 33).is_empty(),
            "a suffix ends at a slash"
        );
        assert!(module.places("shapes.c", 100_000).is_empty());
        let counter = module.places("fixtures/shapes.c", 33);
        // An optimiser may have made several functions of the one.
        assert!(!counter.is_empty(), "{compiler} {options:?}");
        for place in &counter {
            assert_eq!(place.line, 33, "{compiler} {options:?}");
            let function = place.function.as_ref().expect("a function");
            assert_eq!(function.name, "sum");
        }
    }
}
