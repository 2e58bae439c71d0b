//! Flat RISC-V code at one address, run by an engine without any Linux. Each
//! test uses a part of it.
#![allow(dead_code)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sapwood_emu::memory::{Kind, Map, Placement, Protection, Source};
use sapwood_emu::{Engine, Exit, GuestAddr, GuestMemory, GuestState, Tier};

/// Where flat code begins.
pub const CODE: GuestAddr = GuestAddr(0x10000);

/// Memory behind the code, for what is zero at first.
const ZEROED_BYTES: u64 = 32 << 20;

const STACK: GuestAddr = GuestAddr(0x4000_0000);
const STACK_BYTES: u64 = 1 << 20;

/// The linker script of flat code.
pub const SCRIPT: &str = "SECTIONS { . = 0x10000; .all : { *(.text.first) *(.text*) *(.rodata*) *(.srodata*) *(.data*) *(.sdata*) } .none (NOLOAD) : { *(.bss*) *(.sbss*) *(COMMON) } }";

/// Compiles a program whose `entry` is at the beginning of flat code.
pub fn compile(source: &str, options: &[&str]) -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = format!(
        "sapwood-cpu-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let folder: PathBuf = std::env::temp_dir().join(unique);
    std::fs::create_dir(&folder).expect("a temporary folder");
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .output();
        let output = output.unwrap_or_else(|error| {
            panic!("{program}: {error} (apt-get install gcc-riscv64-linux-gnu)")
        });
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let all = format!(
        "__asm__(\".section .text.first\\n call entry\\n li a7, 93\\n ecall\\n .text\\n\");\n{source}"
    );
    std::fs::write(folder.join("p.c"), all).expect("the source is written");
    std::fs::write(folder.join("p.ld"), SCRIPT).expect("the script is written");
    let mut arguments = vec![
        "-O2",
        "-static",
        "-nostdlib",
        "-ffreestanding",
        "-march=rv64gc",
        "-Wl,-T,p.ld",
        "-Wl,--build-id=none",
        "-o",
        "p.elf",
        "p.c",
    ];
    arguments.extend(options);
    run("riscv64-linux-gnu-gcc", &arguments);
    run(
        "riscv64-linux-gnu-objcopy",
        &["-O", "binary", "p.elf", "p.bin"],
    );
    let code = std::fs::read(folder.join("p.bin")).expect("flat code");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    code
}

/// Makes pages usable.
pub fn map(memory: &GuestMemory, at: GuestAddr, length: u64, protection: Protection) {
    let request = Map {
        placement: Placement::Fixed(at),
        length,
        protection,
        shared: false,
        host_flags: 0,
        source: Source::Anonymous(Kind::Anonymous),
    };
    let _ = memory.map(&request).expect("guest memory");
}

/// A guest with flat code and a stack, about to run it.
pub struct Guest {
    /// Its memory.
    pub memory: GuestMemory,
    /// What runs it.
    pub engine: Engine,
    /// Its one thread.
    pub state: GuestState,
    /// What it wrote so far.
    pub output: Vec<u8>,
}

impl Guest {
    /// Loads the code.
    pub fn new(code: &[u8], tier: Tier) -> Guest {
        let memory = GuestMemory::new(4 << 30).expect("a reservation");
        let length = code.len() as u64 + ZEROED_BYTES;
        map(&memory, CODE, length, Protection::new(true, true, true));
        map(&memory, STACK, STACK_BYTES, Protection::READ_WRITE);
        memory.write_bytes(CODE, code).expect("the code fits");
        let mut state = GuestState::new(memory.base(), memory.limit());
        state.pc = CODE;
        state.x[2] = STACK.0 + STACK_BYTES - 64;
        Guest {
            memory,
            engine: Engine::new(sapwood_emu::Guest::Riscv64, tier).expect("memory for code"),
            state,
            output: Vec::new(),
        }
    }

    /// Runs until something needs the caller; does `write` itself.
    pub fn run(&mut self) -> Exit {
        loop {
            let exit = self.engine.run(&mut self.state, &self.memory);
            if exit != Exit::Syscall || self.state.x[17] != 64 {
                return exit;
            }
            let (at, length) = (GuestAddr(self.state.x[11]), self.state.x[12]);
            let bytes = self
                .memory
                .read_bytes(at, length as usize)
                .expect("it writes what it has");
            self.output.extend(bytes);
            self.state.x[10] = length;
            self.state.pc = self.state.pc.add(4);
        }
    }
}
