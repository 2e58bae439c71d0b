//! C programs without a C library, run by each tier; the results must agree
//! with each other and with what the program itself expects.

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Guest, compile};
use sapwood_emu::{Exit, Tier};

/// Runs a program whose `entry` must return `expected`.
fn check(source: &str, options: &[&str], expected: u64) {
    let code = compile(source, options);
    for tier in [Tier::Interpret, Tier::Translate, Tier::Optimise] {
        let mut guest = Guest::new(&code, tier);
        let exit = guest.run();
        let state = &guest.state;
        assert_eq!(exit, Exit::Syscall, "{tier:?} at {}", state.pc);
        assert_eq!(state.x[17], 93, "{tier:?}");
        assert_eq!(state.x[10], expected, "{tier:?}: {:#x}", state.x[10]);
    }
}

#[test]
fn loops_and_recursion() {
    check(
        "static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
         long entry(void) { long s = 0; for (int i = 0; i < 20; i++) s += fib(i); return s; }",
        &[],
        10945,
    );
}

#[test]
fn memory_and_sorting() {
    check(
        "static unsigned a[500];
         long entry(void) {
           unsigned s = 1;
           for (int i = 0; i < 500; i++) { s = s * 1103515245u + 12345u; a[i] = s >> 8; }
           for (int i = 1; i < 500; i++) { unsigned k = a[i]; int j = i; while (j > 0 && a[j-1] > k) { a[j] = a[j-1]; j--; } a[j] = k; }
           for (int i = 1; i < 500; i++) if (a[i-1] > a[i]) return -1;
           return 42; }",
        &[],
        42,
    );
}

#[test]
fn indirect_calls_and_switches() {
    check(
        "typedef long (*op)(long); 
         __attribute__((noinline)) static long inc(long x) { return x + 1; }
         __attribute__((noinline)) static long dbl(long x) { return x * 2; }
         __attribute__((noinline)) static long sq(long x) { return x * x % 1000003; }
         static op table[3];
         __attribute__((noinline)) static long pick(int k, long x) { switch (k) { case 0: return x ^ 3; case 1: return x + 7; case 2: return x * 5; case 3: return x - 9; case 4: return x << 1; case 5: return x >> 1; default: return x; } }
         long entry(void) { table[0] = inc; table[1] = dbl; table[2] = sq;
           long x = 1; for (int i = 0; i < 3000; i++) { x = table[i % 3](x); x = pick(i & 7, x) & 0xffffff; } return x; }",
        &[],
        native("typedef long (*op)(long); static long inc(long x) { return x + 1; } static long dbl(long x) { return x * 2; } static long sq(long x) { return x * x % 1000003; } static op table[3]; static long pick(int k, long x) { switch (k) { case 0: return x ^ 3; case 1: return x + 7; case 2: return x * 5; case 3: return x - 9; case 4: return x << 1; case 5: return x >> 1; default: return x; } } long entry(void) { table[0] = inc; table[1] = dbl; table[2] = sq; long x = 1; for (int i = 0; i < 3000; i++) { x = table[i % 3](x); x = pick(i & 7, x) & 0xffffff; } return x; }"),
    );
}

/// What the program gives on the host.
fn native(source: &str) -> u64 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = format!(
        "sapwood-native-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let folder: PathBuf = std::env::temp_dir().join(unique);
    std::fs::create_dir(&folder).expect("a temporary folder");
    let main = format!(
        "{source}\nextern int printf(const char *, ...); int main(void) {{ printf(\"%ld\\n\", entry()); return 0; }}"
    );
    std::fs::write(folder.join("p.c"), main).expect("the source is written");
    let status = Command::new("cc")
        .args(["-O1", "-w", "-o", "p", "p.c"])
        .current_dir(&folder)
        .status()
        .expect("cc runs");
    assert!(status.success());
    let output = Command::new(folder.join("p")).output().expect("it runs");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    let text = String::from_utf8(output.stdout).expect("a number");
    text.trim().parse::<i64>().expect("a number") as u64
}

const FLOATS: &str = "static double a[64]; static float b[64];
    long entry(void) {
      for (int i = 0; i < 64; i++) { a[i] = i * 1.25 - 7; b[i] = (float)i / 3.0f; }
      double s = 0; float t = 0; long n = 0;
      for (int k = 0; k < 50; k++)
        for (int i = 0; i < 64; i++) {
          s += a[i] * a[(i + k) & 63] / (1.0 + i);
          t = t * 0.5f + b[i] - (float)k;
          if (a[i] < s) n++;
          if (b[i] >= t) n += 2;
          if (a[i] < 1e9 && a[i] > -1e9 && b[i] < 1e9f && b[i] > -1e9f) n += (long)a[i] ^ (int)b[i];
          a[i] = __builtin_fabs(a[i]) - s * 1e-3;
          b[i] = (float)a[i] + (float)n;
        }
      union { double d; long l; } u; u.d = s + t; return (u.l ^ n) & 0x7fffffffffffff; }";

#[test]
fn floating_point() {
    check(FLOATS, &["-ffp-contract=off"], native(FLOATS));
}
