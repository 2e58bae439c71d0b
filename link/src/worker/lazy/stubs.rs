//! Stubs of lazy symbols, in the process that calls them.
//!
//! A stub is `jmp *cell`. At first its cell leads on in the stub, to code that
//! pushes the symbol's [`Token`] and enters this file's code: all registers that
//! may hold arguments are saved, vectors too, the process's [`answer`](answer_with)
//! to who the symbol is is asked for, and the call goes on there as if nothing
//! had been between. When the symbol's library is loaded its cell is
//! [bound](bind), and a call costs an indirect jump.
//!
//! What holds between calls: a stub's code never changes once it can be reached,
//! pages with code are not writable, and a token has one stub in a process and
//! its forked children for ever. A caller finds every register, `errno` and its
//! signal mask as a direct call would have left them. Signals are blocked while
//! the answer is found; whoever answers may let them in again meanwhile.

use std::arch::global_asm;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::HostAddr;
use crate::worker::signals;

/// The number of a lazy symbol in a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u32);

/// The most lazy symbols that a process has.
pub const MOST_STUBS: usize = CHUNKS_LEN * PER_CHUNK;

/// A chunk is a page of stubs, and one with their cells and the way in.
const PER_CHUNK: usize = PAGE / STUB_LEN;
const STUB_LEN: usize = 32;
const PAGE: usize = 4096;
/// Where the cell with the way in lies in the second page.
const ENTRY_CELL: usize = PER_CHUNK * 8;
const CHUNKS_LEN: usize = 256;

static CHUNKS: [AtomicPtr<u8>; CHUNKS_LEN] =
    [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS_LEN];

/// Says which function a token stands for. It may end the process instead.
pub type Answer = Box<dyn Fn(Token, &libc::sigset_t) -> HostAddr + Send + Sync>;

static ANSWER: OnceLock<Answer> = OnceLock::new();

/// Has `answer` asked from now on, with the signals that the caller blocks; for
/// good. False when there is one already.
pub fn answer_with(answer: Answer) -> bool {
    ANSWER.set(answer).is_ok()
}

/// The address of a symbol's stub, which is made when it is first asked for.
pub fn stub(token: Token) -> io::Result<HostAddr> {
    let (chunk, number) = place(token).ok_or(io::ErrorKind::OutOfMemory)?;
    let mut start = chunk.load(Ordering::Acquire);
    if start.is_null() {
        let made = make_chunk(token.0 - number as u32)?;
        let first =
            chunk.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire);
        start = match first {
            Ok(_) => made,
            Err(other) => {
                // SAFETY: made above, and nobody knows of it.
                unsafe { libc::munmap(made.cast(), 2 * PAGE) };
                other
            }
        };
    }
    Ok(HostAddr(start as u64 + (number * STUB_LEN) as u64))
}

/// Has a symbol's stub go to its function from now on. A token without a stub in
/// this process is none of its business.
pub fn bind(token: Token, function: HostAddr) {
    let Some((chunk, number)) = place(token) else {
        return;
    };
    let start = chunk.load(Ordering::Acquire);
    if !start.is_null() {
        // SAFETY: the cell lies in the chunk's second page, which is mapped
        // writable for good; everybody writes it so.
        let cell = unsafe { &*start.add(PAGE + number * 8).cast::<AtomicU64>() };
        cell.store(function.get(), Ordering::Release);
    }
}

fn place(token: Token) -> Option<(&'static AtomicPtr<u8>, usize)> {
    let chunk = CHUNKS.get(token.0 as usize / PER_CHUNK)?;
    Some((chunk, token.0 as usize % PER_CHUNK))
}

/// Maps and fills a chunk, whose first stub is that token's.
fn make_chunk(first: u32) -> io::Result<*mut u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), 2 * PAGE, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let entry = way_in();
    // SAFETY: two pages that were mapped just now, writable, and that nobody else
    // knows of; no stub and no cell is written outside its page.
    unsafe {
        let start = start.cast::<u8>();
        for number in 0..PER_CHUNK {
            let (stub, cell) = (start.add(number * STUB_LEN), start.add(PAGE + number * 8));
            let code = stub_code(number, first + number as u32);
            ptr::copy_nonoverlapping(code.as_ptr(), stub, STUB_LEN);
            cell.cast::<u64>().write(stub as u64 + JUMP_LEN as u64);
        }
        start.add(PAGE + ENTRY_CELL).cast::<u64>().write(entry);
        if libc::mprotect(start.cast(), PAGE, libc::PROT_READ | libc::PROT_EXEC) != 0 {
            let error = io::Error::last_os_error();
            libc::munmap(start.cast(), 2 * PAGE);
            return Err(error);
        }
        Ok(start)
    }
}

/// Length of `jmp *displacement(%rip)`.
const JUMP_LEN: usize = 6;
/// Length of `push $token`.
const PUSH_LEN: usize = 5;

/// A stub's bytes: `jmp *cell(%rip); push $token; jmp *entry(%rip)`, padded with
/// `int3`.
fn stub_code(number: usize, token: u32) -> [u8; STUB_LEN] {
    let mut code = [0xcc; STUB_LEN];
    let stub = number * STUB_LEN;
    let jump = |end: usize, cell: usize| {
        let displacement = (PAGE + cell - (stub + end)) as u32;
        let mut jump = [0xff, 0x25, 0, 0, 0, 0];
        jump[2..].copy_from_slice(&displacement.to_le_bytes());
        jump
    };
    let last = JUMP_LEN + PUSH_LEN;
    code[..JUMP_LEN].copy_from_slice(&jump(JUMP_LEN, number * 8));
    code[JUMP_LEN] = 0x68;
    code[JUMP_LEN + 1..last].copy_from_slice(&token.to_le_bytes());
    code[last..last + JUMP_LEN].copy_from_slice(&jump(last + JUMP_LEN, ENTRY_CELL));
    code
}

/// What `xsave` saves: x87, SSE, AVX and AVX-512. Nothing else holds arguments.
const VECTORS: u64 = 0b1110_0111;
/// The legacy part and the header of what `xsave` writes.
const SMALLEST_AREA: u32 = 512 + 64;

/// The two words that the code below reads.
static COMPONENTS: AtomicU32 = AtomicU32::new(0);
static AREA_LEN: AtomicU64 = AtomicU64::new(0);

/// Finds out what is to be saved, and gives the address of the code that does.
fn way_in() -> u64 {
    unsafe extern "C" {
        fn sapwood_lazy_entry_xsave();
        fn sapwood_lazy_entry_fxsave();
    }
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return sapwood_lazy_entry_fxsave as *const () as u64;
    }
    let enabled: u32;
    // SAFETY: the processor says that the instruction is there; it reads a
    // register.
    unsafe {
        std::arch::asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack));
    }
    let components = enabled & VECTORS as u32;
    let beyond_sse = (2..8).filter(|number| components & 1 << number != 0);
    let end = beyond_sse.map(|number| {
        let component = __cpuid_count(0xd, number);
        component.ebx + component.eax
    });
    let length = end.max().unwrap_or(0).max(SMALLEST_AREA);
    COMPONENTS.store(components, Ordering::Relaxed);
    AREA_LEN.store(u64::from(length.next_multiple_of(64)), Ordering::Release);
    sapwood_lazy_entry_xsave as *const () as u64
}

/// Called by the code below with a token; gives where the call goes on.
extern "C" fn answer(token: u64) -> u64 {
    // SAFETY: the calling thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let Ok(blocked) = signals::block_all() else {
        std::process::abort()
    };
    let answer = ANSWER.get().expect("stubs are made by who can answer");
    let function = answer(Token(token as u32), &blocked);
    signals::restore(&blocked);
    // SAFETY: as above.
    unsafe { *errno = before };
    function.get()
}

// On entry the token is on the stack, above it the caller's return address. %r11
// is nobody's between a call and the function that is called. The frame is
// described, so that unwinders and debuggers see the caller.
global_asm!(
    ".macro SAPWOOD_LAZY_ENTER",
    "    .cfi_startproc",
    "    .cfi_def_cfa_offset 16",
    "    push rbp",
    "    .cfi_def_cfa_offset 24",
    "    .cfi_offset rbp, -24",
    "    mov rbp, rsp",
    "    .cfi_def_cfa_register rbp",
    "    push rax",
    "    push rcx",
    "    push rdx",
    "    push rsi",
    "    push rdi",
    "    push r8",
    "    push r9",
    "    push r10",
    ".endm",
    ".macro SAPWOOD_LAZY_LEAVE",
    "    lea rsp, [rbp - 64]",
    "    pop r10",
    "    pop r9",
    "    pop r8",
    "    pop rdi",
    "    pop rsi",
    "    pop rdx",
    "    pop rcx",
    "    pop rax",
    "    pop rbp",
    "    .cfi_def_cfa rsp, 16",
    "    .cfi_restore rbp",
    "    add rsp, 8",
    "    .cfi_def_cfa_offset 8",
    "    jmp r11",
    "    .cfi_endproc",
    ".endm",
    ".text",
    ".globl sapwood_lazy_entry_xsave",
    ".hidden sapwood_lazy_entry_xsave",
    ".type sapwood_lazy_entry_xsave, @function",
    "sapwood_lazy_entry_xsave:",
    "    SAPWOOD_LAZY_ENTER",
    "    sub rsp, [rip + {area_len}]",
    "    and rsp, -64",
    // The header says which components were saved, and must be zero before.
    "    xor eax, eax",
    "    mov [rsp + 512], rax",
    "    mov [rsp + 520], rax",
    "    mov [rsp + 528], rax",
    "    mov [rsp + 536], rax",
    "    mov [rsp + 544], rax",
    "    mov [rsp + 552], rax",
    "    mov [rsp + 560], rax",
    "    mov [rsp + 568], rax",
    "    mov eax, [rip + {components}]",
    "    xor edx, edx",
    "    xsave64 [rsp]",
    "    mov rdi, [rbp + 8]",
    "    call {answer}",
    "    mov r11, rax",
    "    mov eax, [rip + {components}]",
    "    xor edx, edx",
    "    xrstor64 [rsp]",
    "    SAPWOOD_LAZY_LEAVE",
    ".size sapwood_lazy_entry_xsave, . - sapwood_lazy_entry_xsave",
    ".globl sapwood_lazy_entry_fxsave",
    ".hidden sapwood_lazy_entry_fxsave",
    ".type sapwood_lazy_entry_fxsave, @function",
    "sapwood_lazy_entry_fxsave:",
    "    SAPWOOD_LAZY_ENTER",
    "    sub rsp, 512",
    "    and rsp, -64",
    "    fxsave64 [rsp]",
    "    mov rdi, [rbp + 8]",
    "    call {answer}",
    "    mov r11, rax",
    "    fxrstor64 [rsp]",
    "    SAPWOOD_LAZY_LEAVE",
    ".size sapwood_lazy_entry_fxsave, . - sapwood_lazy_entry_fxsave",
    area_len = sym AREA_LEN,
    components = sym COMPONENTS,
    answer = sym answer,
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    type Sum = extern "C" fn(i64, i64, i64, i64, i64, i64, f64, f64, f64, f64, i64) -> f64;

    extern "C" fn sum(
        a: i64,
        b: i64,
        c: i64,
        d: i64,
        e: i64,
        f: i64,
        g: f64,
        h: f64,
        i: f64,
        j: f64,
        k: i64,
    ) -> f64 {
        (a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * k) as f64 + g * 0.5 + h * 0.25 + i + j
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn a_call_goes_on_as_if_nothing_had_been_between() {
        let called = |stub: HostAddr| {
            // SAFETY: stubs stand for `sum` here.
            let stub: Sum = unsafe { std::mem::transmute(stub.get() as *const ()) };
            stub(1, 2, 3, 4, 5, 6, 1.0, 2.0, 3.0, 4.0, 7)
        };
        assert!(answer_with(Box::new(|token, _| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            // Other vectors and another errno than the caller's.
            let noise: f64 = (0..100).map(|n| f64::from(n).sqrt()).sum();
            assert!(noise > 600.0 && std::fs::metadata("/no/such/file").is_err());
            assert!(token.0 == 3 || token.0 as usize == MOST_STUBS - 1);
            HostAddr(sum as *const () as u64)
        })));
        let expected = sum(1, 2, 3, 4, 5, 6, 1.0, 2.0, 3.0, 4.0, 7);
        for token in [Token(3), Token(MOST_STUBS as u32 - 1)] {
            let first = stub(token).unwrap();
            assert_eq!(first, stub(token).unwrap());
            // SAFETY: this thread's errno.
            unsafe { *libc::__errno_location() = 77 };
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| assert_eq!(called(first), expected));
                }
            });
            assert_eq!(called(first), expected);
            // SAFETY: as above.
            assert_eq!(unsafe { *libc::__errno_location() }, 77);
            let asked = ASKED.load(Ordering::Relaxed);
            bind(token, HostAddr(sum as *const () as u64));
            assert_eq!(called(first), expected);
            assert_eq!(ASKED.load(Ordering::Relaxed), asked);
        }
        assert!(stub(Token(MOST_STUBS as u32)).is_err());
        bind(Token(MOST_STUBS as u32), HostAddr(0));
    }
}
