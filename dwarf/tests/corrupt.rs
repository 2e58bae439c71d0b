//! Damaged files: whatever is asked of one, the answer is an error, or less
//! than a whole file would give. No panic, no hang, no unbounded memory.
//!
//! Each case is a number: the seed of what was damaged. `SAPWOOD_FUZZ_CASES`
//! asks for more of them, `SAPWOOD_FUZZ_FIRST` for others.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{Folder, has};
use sapwood_dwarf::{
    Address, Arch, Bytes, DebugFiles, EntryId, FrameAddress, FrameContext, Input, Memory,
    MemoryError, Module, ModuleKind, Modules, Register, Registers, TypeId, Unwinder, Wanted,
};

/// Marsaglia's xorshift: the same numbers from the same seed, everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Damages a file: some bytes anywhere, a run of bytes, or its end cut off.
fn damage(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    match random.below(8) {
        0 => bytes.truncate(random.below(whole.len())),
        1 => {
            let start = random.below(bytes.len());
            let end = (start + random.below(256)).min(bytes.len());
            let fill = [0x00, 0xff, 0x80, 0x7f][random.below(4)];
            bytes[start..end].fill(fill);
        }
        _ => {
            for _ in 0..1 + random.below(40) {
                let at = random.below(bytes.len());
                bytes[at] = match random.below(4) {
                    0 => 0xff,
                    1 => 0x80,
                    _ => random.next() as u8,
                };
            }
        }
    }
    bytes
}

/// A program whose memory is zero and whose registers are all the same.
struct Nowhere {
    at: Address,
    function: Option<EntryId>,
}

impl Memory for Nowhere {
    fn read(&mut self, _: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        into.fill(0x11);
        Ok(())
    }
}

impl FrameContext for Nowhere {
    fn pc(&self) -> Address {
        self.at
    }

    fn register(&mut self, _: Register) -> Option<Vec<u8>> {
        Some(vec![0x40; 8])
    }

    fn cfa(&mut self) -> Option<Address> {
        Some(Address(0x7000))
    }

    fn function(&self) -> Option<EntryId> {
        self.function
    }
}

/// A type and all that it is made of, so many of them.
fn walk_types(module: &Module, id: TypeId, left: &mut u32) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    let _ = module.size_of(id);
    let complete = module.complete(id);
    let Ok(ty) = module.type_of(complete) else {
        return;
    };
    use sapwood_dwarf::TypeKind::*;
    match &ty.kind {
        Pointer(Some(to)) | Typedef(Some(to)) | Qualified(_, Some(to)) | Reference(to) => {
            walk_types(module, *to, left);
        }
        Array { element, .. } => walk_types(module, *element, left),
        Composite(composite) => {
            for member in &composite.members {
                walk_types(module, member.type_id, left);
            }
        }
        _ => {}
    }
}

/// A second file with part of the debug information: a `.dwo`, or a `.dwp`.
#[derive(Clone)]
struct Companion {
    bytes: Vec<u8>,
    is_package: bool,
}

impl DebugFiles for Companion {
    fn find(&self, wanted: &Wanted<'_>) -> Option<Bytes> {
        let is_package = match wanted {
            Wanted::Split { .. } => false,
            Wanted::Package { .. } => true,
            _ => return None,
        };
        (is_package == self.is_package).then(|| Bytes::from(self.bytes.clone()))
    }
}

/// Asks for everything that a module can be asked for.
fn ask(path: &Path, bytes: Vec<u8>, companion: Option<Companion>) {
    let mut input = Input::new(path, ModuleKind::Executable, Bytes::from(bytes), 0x10_0000);
    if let Some(companion) = companion {
        input = input.with_files(Arc::new(companion));
    }
    let Ok(module) = Module::open(input) else {
        return;
    };
    let symbols: Vec<Address> = module
        .symbols()
        .map(|symbol| symbol.address)
        .take(50)
        .collect();
    let names = module.function_names();
    let _ = (
        module.global_names(),
        module.type_names(),
        module.files(""),
        module.sections(),
    );
    for line in [1, 10, 20, 30, 40, 1000] {
        let _ = module.places("shapes.c", line);
    }
    let mut places = symbols;
    for name in names.iter().take(20) {
        for function in module.functions(name) {
            places.extend(function.entry);
            let _ = module.prologue_end(&function);
            let _ = module.scopes_of(function.id);
            let _ = module.inlined_copies(&function);
            let _ = module.type_of(function.type_id());
            let mut left = 50;
            function
                .return_type
                .inspect(|&id| walk_types(&module, id, &mut left));
        }
    }
    for at in places
        .into_iter()
        .flat_map(|at| [at, at.add(5), at.add(20)])
    {
        look(&module, at);
    }
    for name in module.type_names().iter().take(30) {
        for id in module.types(name) {
            walk_types(&module, id, &mut 50);
        }
    }
    for global in module
        .global_names()
        .iter()
        .take(20)
        .flat_map(|name| module.globals(name))
    {
        let _ = module.locate(
            &global,
            &mut Nowhere {
                at: Address(0),
                function: None,
            },
        );
    }
    let _ = module.complaints();
    unwind(module);
}

fn look(module: &Module, at: Address) {
    let _ = (
        module.line_at(at),
        module.symbol_at(at),
        module.function_at(at),
    );
    let sources = module.inlined_at(at);
    let function = sources.last().map(|source| source.entry);
    for source in &sources {
        let Ok(variables) = module.variables(source.entry, at) else {
            continue;
        };
        for variable in variables.iter().take(20) {
            let mut frame = Nowhere { at, function };
            let _ = module.locate(variable, &mut frame);
            let mut left = 20;
            variable
                .type_id
                .inspect(|&id| walk_types(module, id, &mut left));
        }
    }
    let mut frame = Nowhere { at, function };
    let _ = module.call_site_value(at, &[0x55], &mut frame);
    let _ = module.tail_calls(at, Address(0x10_1000));
}

fn unwind(module: Module) {
    let places: Vec<Address> = module
        .symbols()
        .map(|symbol| symbol.address)
        .take(50)
        .collect();
    let mut modules = Modules::new();
    modules.add(module);
    let mut registers = Registers::new(Arch::X86_64);
    for number in 0..17 {
        registers.set(Register(number), 0x7000);
    }
    let mut unwinder = Unwinder::new();
    for at in places {
        let at = FrameAddress::InstructionPointer(at.add(4));
        let mut memory = Nowhere {
            at: at.pc(),
            function: None,
        };
        let _ = unwinder.step(&modules, at, &registers, &mut memory);
    }
}

/// Damages a program, or what it goes with.
fn damage_one(
    (program, companion): &(Vec<u8>, Option<Companion>),
    random: &mut Random,
) -> (Vec<u8>, Option<Companion>) {
    match companion {
        Some(companion) if random.below(4) != 0 => {
            let bytes = damage(&companion.bytes, random);
            let companion = Companion {
                bytes,
                ..companion.clone()
            };
            (program.clone(), Some(companion))
        }
        _ => (damage(program, random), companion.clone()),
    }
}

/// Programs whose debug information was split off, each with that file, and
/// whether it is a package; and one whose symbols are packed within it.
fn split_programs(folder: &Folder) -> Vec<(PathBuf, PathBuf, bool)> {
    let mut programs = Vec::new();
    let path = |name: &str| folder.0.join(name);
    let succeeds = |tool: &str, arguments: &[&str]| {
        let status = Command::new(tool)
            .args(arguments)
            .current_dir(&folder.0)
            .status();
        status.is_ok_and(|status| status.success())
    };
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let name = format!("split{version}");
        let options = [version, "-O2", "-gsplit-dwarf", "-fdebug-types-section"];
        let program = folder.compile("cc", "shapes.c", &options, &name);
        let dwo = std::fs::read_dir(&folder.0)
            .expect("a folder")
            .find_map(|file| {
                let path = file.expect("a file").path();
                path.extension()
                    .is_some_and(|kind| kind == "dwo")
                    .then_some(path)
            });
        let kept = path(&format!("{name}.kept"));
        std::fs::rename(dwo.expect("a .dwo"), &kept).expect("it is there");
        let package = path(&format!("{name}.dwp"));
        let made = has("llvm-dwp")
            && succeeds(
                "llvm-dwp",
                &[&kept.to_string_lossy(), "-o", &package.to_string_lossy()],
            );
        if made {
            programs.push((program.clone(), package, true));
        }
        programs.push((program, kept, false));
    }
    if has("objcopy") && has("xz") {
        let program = folder.compile("cc", "shapes.c", &["-O1"], "carrier");
        let made = succeeds("objcopy", &["-S", "--keep-symbol=sum", "carrier", "mini"])
            && succeeds("xz", &["-k", "--check=crc32", "mini"])
            && succeeds("strip", &["carrier"])
            && succeeds(
                "objcopy",
                &[
                    "--add-section",
                    ".gnu_debugdata=mini.xz",
                    "carrier",
                    "carrier",
                ],
            );
        assert!(made, "a program with .gnu_debugdata");
        programs.push((program, path("mini"), true));
    }
    programs
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// The most memory that this process has had, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn no_damage_makes_a_panic() {
    let folder = Folder::new("corrupt");
    let mut programs = vec![
        folder.compile("cc", "shapes.c", &["-g", "-O2"], "new"),
        folder.compile(
            "cc",
            "shapes.c",
            &["-gdwarf-4", "-O0", "-c", "-fdebug-types-section"],
            "old",
        ),
        folder.compile("cc", "shapes.c", &["-g", "-O1", "-gz=zlib", "-c"], "packed"),
    ];
    if has("clang") {
        programs.push(folder.compile("clang", "shapes.c", &["-g", "-O2", "-c"], "other"));
    }
    let read = |path: &PathBuf| std::fs::read(path).expect("a file");
    let mut files: Vec<(Vec<u8>, Option<Companion>)> =
        programs.iter().map(|path| (read(path), None)).collect();
    for (program, companion, is_package) in split_programs(&folder) {
        let companion = Companion {
            bytes: read(&companion),
            is_package,
        };
        files.push((read(&program), Some(companion)));
        programs.push(program);
    }
    for (path, (whole, companion)) in programs.iter().zip(&files) {
        ask(path, whole.clone(), companion.clone());
    }
    let first = number("SAPWOOD_FUZZ_FIRST", 1);
    for seed in first..first + number("SAPWOOD_FUZZ_CASES", 300) {
        let mut random = Random::new(seed);
        let which = random.below(files.len());
        let (bytes, companion) = damage_one(&files[which], &mut random);
        let outcome = std::panic::catch_unwind(|| ask(&programs[which], bytes, companion));
        assert!(
            outcome.is_ok(),
            "seed {seed} of {}",
            programs[which].display()
        );
    }
    const MAX_PEAK_KIB: u64 = 1 << 20;
    assert!(
        peak().is_none_or(|peak| peak < MAX_PEAK_KIB),
        "{:?} KiB",
        peak()
    );
}
