//! The guest's state is exact whenever it can be seen, in every tier: at
//! faults, interrupts, and after code was changed.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Guest, compile};
use sapwood_emu::{Access, Exit, Fault, FaultKind, GuestAddr, GuestState, Tier};

/// All that a guest can see of its registers.
fn registers(state: &GuestState) -> (GuestAddr, [u64; 32], [u64; 32], u32) {
    (state.pc, state.x, state.f, state.fcsr)
}

/// Runs a program in each tier: both must stop with the same exit and state.
fn check_exit(source: &str, expected: Exit) {
    let code = compile(source, &[]);
    let mut seen = Vec::new();
    for tier in [Tier::Interpret, Tier::Translate, Tier::Optimise] {
        let mut guest = Guest::new(&code, tier);
        assert_eq!(guest.run(), expected, "{tier:?}");
        seen.push(registers(&guest.state));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

fn fault(address: u64, access: Access, kind: FaultKind) -> Exit {
    Exit::Fault(Fault {
        address: GuestAddr(address),
        access,
        kind,
    })
}

#[test]
fn a_store_to_nothing() {
    check_exit(
        "long entry(void) { double d = 0; long s = 0; for (int i = 0; i < 9000; i++) { s += i ^ (s >> 3); d += s; }
           *(volatile long *)0x8123458 = s + (long)d; return s; }",
        fault(0x812_3458, Access::Write, FaultKind::Unmapped),
    );
}

#[test]
fn a_loop_that_walks_off_its_memory() {
    check_exit(
        "long entry(void) { volatile char *p = (char *)0x40000000; long n = 0; for (;;) { *p = n; p += 24; n += 3; } }",
        fault(0x4010_0008, Access::Write, FaultKind::Unmapped),
    );
}

#[test]
fn a_loop_that_only_loads() {
    check_exit(
        "long entry(void) { volatile long *p = (long *)0x40000000; long n = 0; double d = 0;
           while (*p == 0) { p += 3; n ^= (long)p; d += 0.5; } return n + (long)d; }",
        fault(0x4010_0008, Access::Read, FaultKind::Unmapped),
    );
}

#[test]
fn a_load_beyond_guest_memory() {
    check_exit(
        "long entry(void) { volatile int *p = (int *)0xfffffff000001000; long n = 0; for (int i = 0; i < 5000; i++) n += i; return n + *p; }",
        fault(0xffff_fff0_0000_1000, Access::Read, FaultKind::Unmapped),
    );
}

#[test]
fn a_jump_to_nothing() {
    check_exit(
        "long entry(void) { long (*f)(long) = (void *)0x20000000; return f(7); }",
        fault(0x2000_0000, Access::Execute, FaultKind::Unmapped),
    );
}

#[test]
fn a_misaligned_atomic() {
    check_exit(
        "long entry(void) { long s = 0; for (int i = 0; i < 5000; i++) s += i;
           return s + __atomic_fetch_add((int *)0x40000002, 1, __ATOMIC_SEQ_CST); }",
        fault(0x4000_0002, Access::Write, FaultKind::Misaligned),
    );
}

#[test]
fn an_illegal_instruction() {
    check_exit(
        "long entry(void) { long n = 0; for (int i = 0; i < 5000; i++) n += i; __asm__ volatile (\".word 0xffffffff\" : : \"r\"(n)); return n; }",
        Exit::Illegal,
    );
}

#[test]
fn code_that_writes_code() {
    let source = "static unsigned code[4] __attribute__((aligned(16)));
        long entry(void) { long sum = 0;
          for (int i = 0; i < 400; i++) {
            code[0] = 0x00000513 | (i & 0x7ff) << 20; /* li a0, i */
            code[1] = 0x00008067;                     /* ret */
            __asm__ volatile (\"fence.i\" ::: \"memory\");
            sum += ((long (*)(void))code)();
          } return sum; }";
    let code = compile(source, &[]);
    for tier in [Tier::Interpret, Tier::Translate, Tier::Optimise] {
        let mut guest = Guest::new(&code, tier);
        assert_eq!(guest.run(), Exit::Syscall);
        assert_eq!(guest.state.x[10], 399 * 400 / 2, "{tier:?}");
    }
}

#[test]
fn code_changed_from_outside() {
    // entry: li a0, 1; ecall; j entry
    let code: Vec<u8> = [0x0010_0513u32, 0x0000_0073, 0xff9f_f06f]
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    for tier in [Tier::Interpret, Tier::Translate, Tier::Optimise] {
        let mut guest = Guest::new(&code, tier);
        for round in 1..50u32 {
            assert_eq!(guest.run(), Exit::Syscall);
            assert_eq!(guest.state.x[10], u64::from(round), "{tier:?}");
            let changed = 0x0000_0513 | (round + 1) << 20;
            guest
                .memory
                .write_bytes(common::CODE, &changed.to_le_bytes())
                .unwrap();
            guest.engine.invalidate(common::CODE..common::CODE.add(4));
            guest.state.pc = guest.state.pc.add(4);
        }
    }
}

#[test]
fn interrupts_end_every_kind_of_loop() {
    let loops = [
        "long entry(void) { for (;;) __asm__ volatile (\"\"); }",
        "long entry(void) { volatile long n = 0; for (;;) { n++; if (n % 3 == 0) n += 2; } }",
        "static long (*volatile f)(long); __attribute__((noinline)) static long g(long x) { return x + 1; }
         long entry(void) { f = g; long n = 0; for (;;) n = f(n); }",
        "long entry(void) { double d = 1; for (;;) { d = d * 1.0000001; __asm__ volatile (\"\" : \"+f\"(d)); } }",
    ];
    for source in loops {
        let code = compile(source, &[]);
        for tier in [Tier::Interpret, Tier::Translate, Tier::Optimise] {
            let mut guest = Guest::new(&code, tier);
            let flag = &raw const guest.state.interrupt as usize;
            let setter = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(30));
                // SAFETY: the state outlives the thread, which is joined below.
                let flag = unsafe { &*(flag as *const std::sync::atomic::AtomicU32) };
                flag.store(1, Ordering::Relaxed);
            });
            assert_eq!(guest.run(), Exit::Interrupted, "{tier:?}: {source}");
            setter.join().unwrap();
        }
    }
}
