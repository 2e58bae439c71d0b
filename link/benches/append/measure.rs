//! Clocks and counters: this thread's CPU time, what the process has resident,
//! how many allocations were made.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use sapwood_link::{HostAddr, LocalHost};

/// The system's allocator, counting calls.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations made so far.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// This process as host.
pub fn host() -> LocalHost {
    // SAFETY: the bench publishes functions that it assembled or that Debian's
    // libcrypto holds, none with initialisers.
    unsafe { LocalHost::new() }
}

/// Loads a system library for everyone.
pub fn load_library(name: &CStr) -> bool {
    // SAFETY: loading a system library runs its initialisers and nothing else.
    !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) }.is_null()
}

/// Calls a published function.
pub fn call(function: HostAddr, argument: i64) -> i64 {
    // SAFETY: the bench calls one that it compiled with this type.
    let function: extern "C" fn(i64) -> i64 =
        unsafe { std::mem::transmute(function.get() as *const ()) };
    function(argument)
}

/// The CPU time of this thread.
pub struct Clock {
    /// What reading it twice costs, in ns.
    own_cost: u64,
}

impl Clock {
    pub fn new() -> Clock {
        let mut sample = Sample::default();
        let clock = Clock { own_cost: 0 };
        for _ in 0..10_000 {
            sample.push(clock.time(|| ()));
        }
        Clock {
            own_cost: sample.quantiles().0,
        }
    }

    /// How long `act` takes, in ns.
    pub fn time(&self, act: impl FnOnce()) -> u64 {
        let before = now();
        act();
        (now() - before).saturating_sub(self.own_cost)
    }
}

fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it fills in the structure.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Times in ns.
#[derive(Default)]
pub struct Sample(Vec<u64>);

impl Sample {
    pub fn with_capacity(capacity: usize) -> Sample {
        Sample(Vec::with_capacity(capacity))
    }

    pub fn push(&mut self, time: u64) {
        self.0.push(time);
    }

    /// Median, 99th percentile, worst.
    pub fn quantiles(&mut self) -> (u64, u64, u64) {
        self.0.sort_unstable();
        let at = |part: f64| self.0[((self.0.len() - 1) as f64 * part) as usize];
        (at(0.5), at(0.99), at(1.0))
    }
}

/// Bytes of memory this process has resident.
pub fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("the second field is resident pages");
    pages * 4096
}

/// Page faults of this thread so far.
pub fn page_faults() -> i64 {
    // SAFETY: a structure of numbers, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    };
    usage.ru_minflt
}

/// How many mappings the kernel keeps for this process.
pub fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    maps.lines().count()
}
