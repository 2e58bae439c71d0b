//! Lowers regions of IR to host code with Cranelift.
//!
//! A region is entered at its first block. Guest registers live in Cranelift
//! variables through it and are read from the state once, at the entry. What
//! they were changed to is written back where the region is left, and nowhere
//! else. Condition flags are written back as what they are of
//! ([`DeferredFlags`](crate::state::DeferredFlags)), and worked out by whoever
//! wants them. Calls and returns within a region are jumps.
//!
//! Whatever a region does not do leaves by the way out of a
//! [`checkpoint`], an instruction before which all registers are known, and the
//! first tier comes to it again in its own way: faults in accesses to memory,
//! unusual rounding modes, NaN where the guest's may be another, conversions out
//! of range, misaligned atomics, addresses beyond the limit. Since the checkpoint
//! there were only loads and arithmetic, which may be done twice; stores end it.
//! A fault finds its way out by a [mark](crate::marks) behind the access, so that
//! an access costs no more than itself and that. NaN results are looked for before
//! anything is stored, and only in those that nothing else was computed of. A
//! region that goes back often is given up.

mod checkpoint;
mod dirty;
mod emit;
mod fcsr;
mod flags;
mod float;
mod int;
mod lanes;
mod numbers;
mod vector;

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, TrapCode, UserFuncName};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CompiledCode, Context, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use crate::addr::GuestAddr;
use crate::blocks::{CellUse, Compiled};
use crate::enter::Ways;
use crate::ir::Block;
use crate::marks;

/// A compiler of regions.
pub struct Lowering {
    isa: OwnedTargetIsa,
    context: Context,
    builder: FunctionBuilderContext,
    /// Whether the host multiplies and adds in one rounding.
    fused: bool,
    /// What goes before each region.
    prologue: Vec<u8>,
}

/// Host features that Cranelift may use, where the host has them.
fn features() -> [(&'static str, bool); 11] {
    [
        ("has_sse3", is_x86_feature_detected!("sse3")),
        ("has_ssse3", is_x86_feature_detected!("ssse3")),
        ("has_sse41", is_x86_feature_detected!("sse4.1")),
        ("has_sse42", is_x86_feature_detected!("sse4.2")),
        ("has_avx", is_x86_feature_detected!("avx")),
        ("has_avx2", is_x86_feature_detected!("avx2")),
        ("has_fma", is_x86_feature_detected!("fma")),
        ("has_bmi1", is_x86_feature_detected!("bmi1")),
        ("has_bmi2", is_x86_feature_detected!("bmi2")),
        ("has_lzcnt", is_x86_feature_detected!("lzcnt")),
        ("has_popcnt", is_x86_feature_detected!("popcnt")),
    ]
}

fn target() -> OwnedTargetIsa {
    let mut shared = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("enable_pinned_reg", "true"),
        (
            "enable_verifier",
            if cfg!(debug_assertions) {
                "true"
            } else {
                "false"
            },
        ),
        ("preserve_frame_pointers", "true"),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
        // Only then is the address of a name, which is in reach, computed
        // without a global offset table.
        ("is_pic", "false"),
    ] {
        shared
            .set(name, value)
            .expect("a setting that this Cranelift has");
    }
    let mut builder =
        isa::lookup_by_name("x86_64-unknown-linux-gnu").expect("the x86-64 back end is built in");
    for (name, has) in features() {
        if has {
            builder
                .enable(name)
                .expect("a feature that this Cranelift knows");
        }
    }
    builder
        .finish(settings::Flags::new(shared))
        .expect("the settings fit together")
}

/// Whether a region would do all of a block itself, and not leave any of it to
/// the interpreter.
pub fn does_all(block: &Block) -> bool {
    let fused = is_x86_feature_detected!("fma");
    !block
        .ops
        .iter()
        .any(|op| emit::is_left_to_interpreter(op, fused))
}

impl Lowering {
    /// For this host and a guest.
    pub fn new(ways: &Ways) -> Lowering {
        Lowering {
            isa: target(),
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            fused: is_x86_feature_detected!("fma"),
            prologue: crate::x64::region_prologue(ways),
        }
    }

    /// Compiles a region that is entered at its first block. `None` when the
    /// host code of an access is of a form that cannot be left after a fault.
    pub fn compile(&mut self, region: &[Block]) -> Option<Compiled> {
        self.context.clear();
        self.context.func.name = UserFuncName::user(0, 0);
        self.context.func.signature.call_conv = CallConv::Tail;
        let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let emitted = emit::region(builder, region, self.fused, self.isa.frontend_config());
        let compiled = self
            .context
            .compile(&*self.isa, &mut ControlPlane::default())
            .unwrap_or_else(|error| panic!("Cranelift refused a region of ours: {error:?}"));
        let mut code = self.prologue.clone();
        let before = code.len() as u32;
        code.extend_from_slice(compiled.code_buffer());
        mark_accesses(&mut code, before, compiled)?;
        let names = compiled.buffer.relocs().iter();
        let cells = names
            .map(|reloc| {
                let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = &reloc.target
                else {
                    panic!("a region refers to {:?}", reloc.target);
                };
                // The address of a cell, relative to the instruction pointer. The
                // names were declared in the order of the exits.
                let kind = (reloc.kind, reloc.addend);
                assert_eq!(kind, (Reloc::X86CallPCRel4, -4), "a cell is in reach");
                CellUse {
                    place: before + reloc.offset,
                    exit: name.as_u32(),
                }
            })
            .collect();
        let rows = compiled.buffer.get_srclocs_sorted().iter();
        let rows = rows.filter(|row| !row.loc.is_default());
        let mut rows: Vec<(u32, GuestAddr)> = rows
            .map(|row| (before + row.start, emitted.pcs[row.loc.bits() as usize / 2]))
            .collect();
        rows.dedup_by_key(|row| row.1);
        Some(Compiled {
            code,
            cells,
            exits: emitted.exits,
            rows,
        })
    }
}

/// Makes the branch behind each access a mark. The code begins `before` bytes
/// after the beginning of what it was compiled to.
fn mark_accesses(code: &mut Vec<u8>, before: u32, compiled: &CompiledCode) -> Option<()> {
    let rows = compiled.buffer.get_srclocs_sorted();
    let accesses = compiled.buffer.traps().iter();
    for access in accesses.filter(|trap| trap.code == TrapCode::HEAP_OUT_OF_BOUNDS) {
        let row = rows.partition_point(|row| row.start <= access.offset);
        let here = rows.get(row.checked_sub(1)?)?.loc.bits();
        let check = rows[row..].iter().find(|row| row.loc.bits() % 2 == 1)?;
        if check.loc.bits() != here + 1 {
            return None;
        }
        let at = |offset| (before + offset) as usize;
        let marked = marks::mark(code, at(access.offset), at(check.start));
        marked?;
    }
    Some(())
}
