//! Tells an outside gdb or lldb of this process about published objects.
//!
//! The interface is gdb's ("JIT Compilation Interface" in its manual): a list of
//! symbol files in this process's memory, and a function in which the debugger
//! has a breakpoint, called after each change. What is listed is an object's
//! [`debug_image`](crate::Session::debug_image). A process should use it only when
//! asked to: a debugger takes a millisecond for each object, and more the more
//! there are.
//!
//! A debugger cannot poke breakpoints into shared pages, and code in
//! [`LocalSpace`](crate::LocalSpace) lies in such: use the hardware's (`hbreak`)
//! there, or [`LocalSpace::for_debuggers`](crate::LocalSpace::for_debuggers).
//!
//! What holds between calls: every entry on the list is alive, and so are the
//! bytes that it names.

use std::ptr;
use std::sync::{Mutex, MutexGuard};

/// An entry of the list (`struct jit_code_entry`).
#[repr(C)]
struct Entry {
    next: *mut Entry,
    previous: *mut Entry,
    symbols: *const u8,
    length: u64,
}

/// The list (`struct jit_descriptor`).
#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *mut Entry,
    first: *mut Entry,
}

const NOTHING: u32 = 0;
const REGISTER: u32 = 1;
const UNREGISTER: u32 = 2;

/// Where the debugger finds the list, by this name.
#[unsafe(no_mangle)]
static mut __jit_debug_descriptor: Descriptor = Descriptor {
    version: 1,
    action: NOTHING,
    relevant: ptr::null_mut(),
    first: ptr::null_mut(),
};

/// Where the debugger stops to look at the list, by this name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn __jit_debug_register_code() {
    // SAFETY: no instruction; it keeps the call from being optimised away.
    unsafe { std::arch::asm!("", options(nostack)) };
}

/// Who changes the list.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// An object that debuggers know of, until it is dropped.
pub struct Listed {
    entry: *mut Entry,
    _symbols: Box<[u8]>,
}

// SAFETY: the entry is only touched under `TURN`.
unsafe impl Send for Listed {}

impl Listed {
    /// Tells debuggers of an object in this process by its debug image.
    pub fn new(debug_image: Vec<u8>) -> Listed {
        let symbols = debug_image.into_boxed_slice();
        let _turn = turn();
        // SAFETY: under `TURN` nobody else of this process uses the list, and a
        // debugger reads it while this thread stands in the function below.
        // Entries on the list are alive.
        let entry = unsafe {
            let list = &raw mut __jit_debug_descriptor;
            let entry = Box::into_raw(Box::new(Entry {
                next: (*list).first,
                previous: ptr::null_mut(),
                symbols: symbols.as_ptr(),
                length: symbols.len() as u64,
            }));
            if !(*list).first.is_null() {
                (*(*list).first).previous = entry;
            }
            (*list).first = entry;
            announce(REGISTER, entry);
            entry
        };
        Listed {
            entry,
            _symbols: symbols,
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let _turn = turn();
        // SAFETY: as in `new`; the entry came from a box there, and is taken off
        // the list before it is freed.
        unsafe {
            let list = &raw mut __jit_debug_descriptor;
            let (next, previous) = ((*self.entry).next, (*self.entry).previous);
            match previous.is_null() {
                true => (*list).first = next,
                false => (*previous).next = next,
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
            announce(UNREGISTER, self.entry);
            drop(Box::from_raw(self.entry));
        }
    }
}

/// Lets the debugger look.
///
/// # Safety
/// `TURN` is held, and the entry alive.
unsafe fn announce(action: u32, entry: *mut Entry) {
    // SAFETY: as the caller says.
    unsafe {
        let list = &raw mut __jit_debug_descriptor;
        (*list).action = action;
        (*list).relevant = entry;
        __jit_debug_register_code();
        (*list).action = NOTHING;
        (*list).relevant = ptr::null_mut();
    }
}
