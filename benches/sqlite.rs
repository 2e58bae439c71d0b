//! SQLite from source to its first row, compiled before: `sapwood run` beside a
//! small C program that opens the same code as a shared library.
//!
//! `cargo bench --bench sqlite`. The same driver and the same SQLite, compiled
//! with the same options, in both; process start and end are in the times.
//! SQLite's source comes out of a crate that ships it, by `tests/fetch-crate`.
//! What both compile is kept in `target/tmp`, so that only the first run of the
//! bench compiles it.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Runs of each contender; the middle one counts.
const ROUNDS: usize = 101;

/// Opens the library that its argument names and calls the driver in it.
const RIVAL: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    int (*driver)(int, char **) = (int (*)(int, char **))dlsym(library, "main");
    return driver(argc - 1, argv + 1);
}
"#;

const DRIVER: &str = r#"
#include <stdio.h>
#include "sqlite3.h"
static int show(void *unused, int columns, char **values, char **names)
{
    (void)unused, (void)columns, (void)names;
    return printf("%s\n", values[0]) < 0;
}
int main(void)
{
    sqlite3 *db;
    return sqlite3_open(":memory:", &db) != SQLITE_OK
        || sqlite3_exec(db, "create table t(x); insert into t values(42); select x from t",
                        show, NULL, NULL) != SQLITE_OK
        || sqlite3_close(db) != SQLITE_OK;
}
"#;

fn main() {
    println!("\nSQLite from source to its first row, cached, wall time, {ROUNDS} rounds");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sqlite");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let Some(sources) = sources() else {
        println!("  (SQLite's source could not be fetched)");
        return;
    };
    let (driver, sqlite) = (folder.join("driver.c"), sources.join("sqlite3.c"));
    let (library, rival) = (folder.join("libdriver.so"), folder.join("rival"));
    let same = write_if_new(&driver, DRIVER) & write_if_new(&folder.join("rival.c"), RIVAL);
    let include = format!("-I{}", sources.display());
    let compiled = same && library.is_file() && rival.is_file();
    if !compiled && !compile_rival(&folder, &include, &sqlite) {
        return;
    }
    let ours = || {
        let mut command = support::sapwood();
        command
            .args(["run", "-O2", &include])
            .args([&driver, &sqlite])
            .env("XDG_CACHE_HOME", folder.join("cache"));
        command
    };
    let theirs = || {
        let mut command = Command::new(&rival);
        command.arg(&library);
        command
    };
    let (cold, row) = support::timed(&mut ours());
    println!(
        "  linked, and the first time compiled: {:.1} s",
        cold.as_secs_f64()
    );
    // The second time links what was compiled, if the first did not keep it.
    support::timed(&mut ours());
    let mut rows: [(String, Vec<Duration>); 2] =
        ["dlopen", "sapwood run"].map(|name| (name.to_owned(), Vec::new()));
    for _ in 0..ROUNDS {
        for (command, (name, times)) in [theirs(), ours()].iter_mut().zip(&mut rows) {
            let (time, text) = support::timed(command);
            if text != "42\n" || text != row {
                println!("  ({name} printed {text:?})");
                return;
            }
            times.push(time);
        }
    }
    support::print_table("ms", 1e-3, &mut rows);
}

/// Writes a file unless it holds that text already; says whether it did.
fn write_if_new(path: &Path, text: &str) -> bool {
    let same = std::fs::read_to_string(path).is_ok_and(|old| old == text);
    if !same {
        std::fs::write(path, text).expect("the target folder can be written");
    }
    same
}

/// Makes the program that opens a library, and the library.
fn compile_rival(folder: &Path, include: &str, sqlite: &Path) -> bool {
    let mut shared = Command::new("cc");
    shared
        .args(["-O2", "-fPIC", "-fno-semantic-interposition", "-shared"])
        .args([include, "-o"])
        .args([&folder.join("libdriver.so"), &folder.join("driver.c")])
        .arg(sqlite);
    let mut small = Command::new("cc");
    small
        .arg("-O2")
        .arg(folder.join("rival.c"))
        .arg("-o")
        .arg(folder.join("rival"));
    support::succeeds(&mut shared) && support::succeeds(&mut small)
}

/// The folder with SQLite's amalgamation.
fn sources() -> Option<PathBuf> {
    let output = Command::new(support::repository("tests/fetch-crate"))
        .args(["libsqlite3-sys", "0.35.0"])
        .output()
        .ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| Path::new(folder.trim()).join("sqlite3"))
}
