//! What the debugger's tests share: folders that go away, programs compiled
//! from source, and a look at what was left behind.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A folder of the test's own.
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
}

impl Folder {
    /// An empty one.
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sapwood-dbg-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder {
            path: std::fs::canonicalize(path).unwrap(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Where the fixtures' sources are.
pub fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs")
}

/// Compiles a copy of a source in the folder, so that its path is short and
/// goes away; gives the executable (or library, or object, as flags say).
pub fn compile(source: &Path, flags: &[String], folder: &Folder) -> PathBuf {
    let name = source.file_name().unwrap();
    let copy = folder.path.join(name);
    std::fs::copy(source, &copy).unwrap();
    let output = copy.with_extension("");
    let done = Command::new("cc")
        .current_dir(&folder.path)
        .args(["-g", "-pthread", "-o"])
        .arg(&output)
        .args(flags)
        .arg(&copy)
        .arg("-ldl")
        .status()
        .expect("cc is needed: apt-get install gcc libc6-dev");
    assert!(done.success());
    output
}

/// No process that this thread started is there any more. One that was let go
/// may take its time to end.
pub fn no_children_left() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let began = Instant::now();
    loop {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        if children.trim().is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "left behind: {children}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
