//! SQLite from source to its first row, compiled before: `sapwood run` beside a
//! small C program that opens the same code as a shared library.
//!
//! `cargo bench --bench sqlite`. The same driver and the same SQLite, compiled
//! with the same options, in both; process start and end are in the times.
//! SQLite's source comes out of a crate that ships it, by `tests/fetch-crate`.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Runs of each contender; the middle one counts.
const ROUNDS: usize = 201;

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
    let folder = support::Folder::new("sqlite");
    let Some(sources) = sources() else {
        println!("  (SQLite's source could not be fetched)");
        return;
    };
    std::fs::write(folder.path("driver.c"), DRIVER).expect("the folder can be written");
    std::fs::write(folder.path("rival.c"), RIVAL).expect("the folder can be written");
    let include = format!("-I{}", sources.display());
    let (driver, sqlite) = (folder.path("driver.c"), sources.join("sqlite3.c"));
    let library = folder.path("libdriver.so");
    let rival = folder.path("rival");
    let mut shared = Command::new("cc");
    shared
        .args([
            "-O2",
            "-fPIC",
            "-fno-semantic-interposition",
            "-shared",
            &include,
            "-o",
        ])
        .args([&library, &driver, &sqlite]);
    let mut small = Command::new("cc");
    small
        .arg("-O2")
        .arg(folder.path("rival.c"))
        .arg("-o")
        .arg(&rival);
    if !support::succeeds(&mut shared) || !support::succeeds(&mut small) {
        return;
    }
    let ours = || {
        let mut command = support::sapwood();
        command
            .args(["run", "-O2", &include])
            .args([&driver, &sqlite])
            .env("XDG_CACHE_HOME", folder.path("cache"));
        command
    };
    let theirs = || {
        let mut command = Command::new(&rival);
        command.arg(&library);
        command
    };
    let (cold, row) = support::timed(&mut ours());
    println!("  compiled for the first time: {:.1} s", cold.as_secs_f64());
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
