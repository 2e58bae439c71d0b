//! Programs that use what languages have to offer, compiled in many ways, linked
//! twice: by the system's linker, and by a session in this process. Both must
//! say the same.
//!
//! A few of the ways run always; `SAPWOOD_SPREAD=all` tries every compiler at
//! every level. `spread/` holds the programs; each gives a text through
//! `spread(into, size)`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bench, Folder, load_library};
use sapwood_link::{Near, Options};

/// Runs a program's `spread` and prints what it gives.
const MAIN: &str = r#"
    #include <stdio.h>
    int spread(char *into, int size);
    int main(void) {
        static char text[1 << 16];
        int len = spread(text, sizeof text);
        fwrite(text, 1, len > 0 ? len : 0, stdout);
        return len <= 0;
    }
"#;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spread");
    folder.join(name)
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

/// One way to compile a program.
struct Way {
    compiler: &'static str,
    flags: Vec<String>,
    /// What the linker has to be told, and what else it links.
    link: Vec<String>,
    /// An archive that the session pulls from.
    archive: Option<PathBuf>,
}

/// Compiles a fixture, links it both ways, and compares what it says.
fn compare(source: &str, way: &Way, options: &Options) {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("main.c"), MAIN).unwrap();
    let what = format!("{} {}: {source}", way.compiler, way.flags.join(" "));
    run(Command::new(way.compiler)
        .args(&way.flags)
        .arg(fixture(source))
        .arg("-o")
        .arg(at("spread.o")));
    run(Command::new("c++")
        .args(["-x", "c"])
        .arg(at("main.c"))
        .args(["-x", "none"])
        .arg(at("spread.o"))
        .args(&way.link)
        .arg("-o")
        .arg(at("native")));
    let native = run(&mut Command::new(at("native")));
    let native = String::from_utf8(native).expect("it says UTF-8");

    let object = std::fs::read(at("spread.o")).unwrap();
    let mut bench = Bench::with(options.clone());
    let published = match &way.archive {
        Some(archive) => bench.publish_with(&object, &std::fs::read(archive).unwrap()),
        None => bench.publish(&[("spread.o", &object)]),
    };
    let published = published.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        published.faulted.is_none(),
        "{what}: {:?}",
        published.faulted
    );
    let mut text = vec![0u8; 1 << 16];
    let len = bench.call("spread", text.as_mut_ptr() as i64, text.len() as i64);
    text.truncate(len as i32 as usize);
    let linked = String::from_utf8(text).expect("it says UTF-8");
    assert_eq!(linked, native, "{what}");
    assert!(native.len() > 100, "{what} says only {native:?}");
}

/// Every way, or some: each compiler at some levels with the rest mixed.
fn ways<'f>(
    compilers: &[&'static str],
    levels: &'f [&'f str],
    placements: &'f [&'f [&'f str]],
    extras: &'f [&'f [&'f str]],
) -> Vec<(&'static str, Vec<&'f str>, usize)> {
    let all = std::env::var("SAPWOOD_SPREAD").is_ok_and(|which| which == "all");
    let mut ways = Vec::new();
    let mut turn = 0;
    for compiler in compilers.iter().filter(|compiler| is_there(compiler)) {
        for level in if all {
            &["-O0", "-O1", "-O2", "-O3"]
        } else {
            levels
        } {
            for (placement, flags) in placements.iter().enumerate() {
                for (number, extra) in extras.iter().enumerate() {
                    turn += 1;
                    let picked = (turn + placement) % (placements.len() * extras.len()) == number;
                    if all || picked {
                        let flags = [&[*level], *flags, *extra].concat();
                        ways.push((*compiler, flags, placement));
                    }
                }
            }
        }
    }
    ways
}

/// How code is to be compiled, and where it then has to lie.
const PLACEMENTS: [&[&str]; 3] = [&["-fPIC"], &["-fPIE"], &["-fno-pic", "-fno-pie"]];

fn options(placement: usize) -> (Options, Vec<String>) {
    let near = match placement {
        0 => Near::Anywhere,
        1 => sapwood_link::LocalSpace::near_libraries(),
        _ => Near::Low,
    };
    let options = Options {
        near,
        ..Options::default()
    };
    let link = if placement == 2 { "-no-pie" } else { "-pie" };
    (options, vec![link.into()])
}

fn compiled(source: &str, compilers: &[&'static str], extras: &[&[&str]]) {
    for (compiler, flags, placement) in ways(compilers, &["-O0", "-O2", "-O3"], &PLACEMENTS, extras)
    {
        let (options, link) = options(placement);
        let mut flags: Vec<String> = flags.into_iter().map(Into::into).collect();
        flags.extend(["-w".into(), "-c".into()]);
        let way = Way {
            compiler,
            flags,
            link,
            archive: None,
        };
        compare(source, &way, &options);
    }
}

const SECTIONS: &[&str] = &["-g", "-ffunction-sections", "-fdata-sections"];

#[test]
fn c_says_the_same_however_it_is_linked() {
    compiled(
        "spread.c",
        &["gcc", "clang"],
        &[&[], SECTIONS, &["-fcommon", "-fno-plt"]],
    );
}

#[test]
fn cpp_says_the_same_however_it_is_linked() {
    load_library(c"libstdc++.so.6");
    compiled(
        "spread.cpp",
        &["g++", "clang++"],
        &[
            &["-std=c++17"],
            &["-std=c++17", "-g", "-ffunction-sections"],
        ],
    );
}

#[test]
fn rust_says_the_same_however_it_is_linked() {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]));
    let sysroot = PathBuf::from(String::from_utf8(sysroot).unwrap().trim());
    let libraries = sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/lib");
    let library = |start: &str| {
        let mut files = std::fs::read_dir(&libraries)
            .unwrap()
            .map(|file| file.unwrap().path());
        let found = files.find(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(start) && name.ends_with(".rlib")
        });
        found.unwrap_or_else(|| panic!("no {start}"))
    };
    let core = library("libcore-");
    let placements: [&[&str]; 2] = [&["relocation-model=pic"], &["relocation-model=static"]];
    let extras: [&[&str]; 2] = [&["debuginfo=0"], &["debuginfo=2"]];
    for (compiler, options_of, placement) in ways(&["rustc"], &["-O0", "-O3"], &placements, &extras)
    {
        let (level, rest) = options_of.split_first().expect("a level comes first");
        let mut flags: Vec<String> = [
            "--edition=2021",
            "--emit=obj",
            "-A",
            "warnings",
            "-C",
            "panic=abort",
        ]
        .map(Into::into)
        .into();
        flags.extend(["-C".into(), format!("opt-level={}", &level[2..])]);
        flags.extend(["-C".into(), "codegen-units=1".into()]);
        for option in rest {
            flags.extend(["-C".into(), (*option).into()]);
        }
        let (options, mut link) = options(placement * 2);
        link.push(core.to_string_lossy().into_owned());
        let way = Way {
            compiler,
            flags,
            link,
            archive: Some(core.clone()),
        };
        compare("spread.rs", &way, &options);
    }
}
