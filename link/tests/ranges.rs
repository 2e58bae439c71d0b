//! Every relocation kind at the two ends of its field's range: the last value
//! that fits is written, and one past it is refused with the object, the section,
//! the offset and the symbol.
//!
//! The value without an addend is measured first, through the kind's 64-bit form
//! where it has one; the addends that lead to the ends follow from it. Nothing
//! linked here runs.

mod common;

use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use common::Folder;
use sapwood_link::{
    AddressSpace, Error, HostAddr, LocalHost, LocalSpace, Near, Options, Parts, Session,
};

/// A kind: its name without `R_X86_64_`, the kind that shows the same value in 64
/// bits, the bytes of its field, and the ends of its range.
type Kind = (&'static str, &'static str, usize, i128, i128);

const I32: (i128, i128) = (i32::MIN as i128, i32::MAX as i128);
const U32: (i128, i128) = (0, u32::MAX as i128);

const KINDS: &[Kind] = &[
    ("PC8", "PC64", 1, i8::MIN as i128, i8::MAX as i128),
    ("PC16", "PC64", 2, i16::MIN as i128, i16::MAX as i128),
    ("PC32", "PC64", 4, I32.0, I32.1),
    // Either reading of a short absolute field will do.
    ("8", "64", 1, i8::MIN as i128, u8::MAX as i128),
    ("16", "64", 2, i16::MIN as i128, u16::MAX as i128),
    ("32", "64", 4, U32.0, U32.1),
    ("32S", "64", 4, I32.0, I32.1),
    ("GOT32", "GOT64", 4, I32.0, I32.1),
    ("GOTPCREL", "GOTPCREL64", 4, I32.0, I32.1),
    ("GOTPCRELX", "GOTPCREL64", 4, I32.0, I32.1),
    ("REX_GOTPCRELX", "GOTPCREL64", 4, I32.0, I32.1),
    ("GOTPC32", "GOTPC64", 4, I32.0, I32.1),
    ("SIZE32", "SIZE64", 4, U32.0, U32.1),
    ("TPOFF32", "TPOFF64", 4, I32.0, I32.1),
    ("DTPOFF32", "DTPOFF64", 4, I32.0, I32.1),
    ("GOTTPOFF", "GOTTPOFF", 4, I32.0, I32.1),
];

/// Kinds of 64 bits, which hold everything.
const WHOLE: &[&str] = &[
    "64",
    "PC64",
    "GOTOFF64",
    "GOT64",
    "GOTPCREL64",
    "GOTPC64",
    "GOTPLT64",
    "PLTOFF64",
    "SIZE64",
    "TPOFF64",
    "DTPOFF64",
];

/// Where the code of every session here lies, so that addresses are the same. No
/// program is mapped there.
const CODE: HostAddr = HostAddr(0x1234_5678_0000);

/// One session at a time may have it.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Where the field lies in its section.
const FIELD: usize = 0x18;

fn assemble(source: &str) -> Vec<u8> {
    let folder = Folder::new();
    let (input, output) = (folder.path().join("edge.s"), folder.path().join("edge.o"));
    std::fs::write(&input, source).unwrap();
    let run = Command::new("as")
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output();
    let run = run.expect("apt-get install binutils");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{errors}\n{source}");
    std::fs::read(output).unwrap()
}

/// An object with one relocation in a section of data.
fn edge(kind: &str, addend: i128) -> Vec<u8> {
    let thread_local = kind.contains("TPOFF");
    let symbol = if thread_local { "of_thread" } else { "target" };
    let addend = addend as i64;
    assemble(&format!(
        "
        .section .tdata,\"awT\",@progbits
        .globl of_thread
        .type of_thread,@object
        .size of_thread,8
        of_thread: .quad 7
        .section .data.edge,\"aw\"
        .globl target
        .type target,@object
        .size target,24
        target: .zero 24
        field: .zero 8
        .reloc field, R_X86_64_{kind}, {symbol} + {addend}
        "
    ))
}

/// Links an object by itself, and gives the bytes of its field.
fn link(object: &[u8]) -> Result<[u8; 8], Error> {
    let mut field = [0; 8];
    with_linked(object, |space, target| {
        space.read(target.add(FIELD as u64), &mut field).unwrap();
    })?;
    Ok(field)
}

/// Links an object by itself, and looks at where its target lies.
fn with_linked(object: &[u8], look: impl FnOnce(&mut LocalSpace, HostAddr)) -> Result<(), Error> {
    let mut session = Session::new(Options {
        near: Near::At(CODE),
        slab_length: 1 << 20,
        ..Options::default()
    });
    let mut space = LocalSpace::new();
    // SAFETY: nothing of what is published runs.
    let (mut host, mut resolver) = unsafe { (LocalHost::new(), LocalHost::new()) };
    let mut batch = session.batch();
    batch.object("edge.o", object)?;
    let result = batch.publish(&mut Parts {
        space: &mut space,
        host: &mut host,
        resolver: &mut resolver,
    });
    if result.is_ok() {
        let target = session.view().symbol("target").unwrap().address;
        look(&mut space, target);
    }
    if session.space().is_some() {
        session
            .release(&mut Parts {
                space: &mut space,
                host: &mut host,
                resolver: &mut (),
            })
            .unwrap();
    }
    result.map(drop)
}

/// A field's value, by its sign or without.
fn value(field: [u8; 8], width: usize, signed: bool) -> i128 {
    let value = u64::from_le_bytes(field);
    assert!(
        width == 8 || value >> (width * 8) == 0,
        "only the field is written"
    );
    let shift = 64 - 8 * width as u32;
    match signed {
        true => i128::from((value << shift).cast_signed() >> shift),
        false => i128::from(value),
    }
}

#[test]
fn every_kind_holds_its_range_and_no_more() {
    let _turn = turn();
    for &(kind, wide, width, low, high) in KINDS {
        let measured = link(&edge(wide, 0)).unwrap_or_else(|error| panic!("{wide}: {error}"));
        let wide_width = if wide == kind { width } else { 8 };
        let plain = value(measured, wide_width, true);
        // An absolute field sends its object below 2 GiB, where the target's
        // address is another.
        let plain = match kind {
            "32" | "32S" => low_address(kind),
            _ => plain,
        };
        for end in [low, high] {
            let object = edge(kind, end - plain);
            let field = link(&object).unwrap_or_else(|error| panic!("{kind}, {end}: {error}"));
            assert_eq!(value(field, width, end < 0), end, "{kind}");
            let past = if end == low { end - 1 } else { end + 1 };
            let error = link(&edge(kind, past - plain)).expect_err(kind);
            assert!(matches!(error, Error::Range { .. }), "{kind}: {error}");
            let text = error.to_string();
            let symbol = if kind.contains("TPOFF") {
                "`of_thread`"
            } else {
                "`target`"
            };
            let name = format!("R_X86_64_{kind} against");
            for part in ["edge.o: .data.edge+0x18", &name, symbol] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }
}

/// A branch goes on through a stub, whatever it has for an addend.
#[test]
fn a_branch_past_its_range_goes_through_a_stub() {
    let _turn = turn();
    let plain = value(link(&edge("PC64", 0)).unwrap(), 8, true);
    for end in [I32.0, I32.1] {
        let field = link(&edge("PLT32", end - plain)).unwrap();
        assert_eq!(value(field, 4, true), end);
        let past = if end < 0 { end - 1 } else { end + 1 };
        let mut field = None;
        with_linked(&edge("PLT32", past - plain), |space, target| {
            let at = target.add(FIELD as u64);
            let displacement = i64::from(read(space, at) as i32);
            // jmp *cell(%rip), whose cell holds where the branch was to go.
            let stub = at.add(4).add(displacement.cast_unsigned());
            assert_eq!(read(space, stub) as u16, 0x25ff);
            let cell = i64::from((read(space, stub) >> 16) as i32);
            let cell = stub.add(6).add(cell.cast_unsigned());
            field = Some((read(space, cell), at.get()));
        })
        .unwrap();
        let (to, at) = field.unwrap();
        assert_eq!(i128::from(to), i128::from(at) + past + 4);
    }
}

fn read(space: &mut LocalSpace, at: HostAddr) -> u64 {
    let mut word = [0; 8];
    space.read(at, &mut word).unwrap();
    u64::from_le_bytes(word)
}

/// Where the target lies in a slab below 2 GiB, by what a field of this kind holds.
fn low_address(kind: &str) -> i128 {
    value(link(&edge(kind, 0)).unwrap(), 4, false)
}

#[test]
fn fields_of_64_bits_hold_every_value() {
    let _turn = turn();
    for kind in WHOLE {
        let plain = value(link(&edge(kind, 0)).unwrap(), 8, true);
        for addend in [1 << 40, -(1 << 40), i64::MAX, i64::MIN, -1, 1] {
            let field = link(&edge(kind, addend.into()));
            let field = field.unwrap_or_else(|error| panic!("{kind}: {error}"));
            let expected = (plain as i64).wrapping_add(addend);
            assert_eq!(i64::from_le_bytes(field), expected, "{kind}");
        }
    }
}

#[test]
fn kinds_of_executables_and_unknown_ones_are_refused_by_number() {
    let _turn = turn();
    for kind in [
        "COPY",
        "GLOB_DAT",
        "JUMP_SLOT",
        "RELATIVE",
        "DTPMOD64",
        "IRELATIVE",
    ] {
        let error = link(&edge(kind, 0)).expect_err(kind);
        let text = error.to_string();
        assert!(
            text.contains("edge.o") && text.contains(".data.edge") && text.contains("relocation"),
            "{kind}: {text}"
        );
    }
}

/// Sequences of thread-local code, whose field is the offset from the thread
/// pointer once they are rewritten.
#[test]
fn rewritten_thread_local_code_holds_its_range_and_no_more() {
    let _turn = turn();
    let sequences = [
        (
            "TLSGD",
            ".byte 0x66; leaq of_thread@tlsgd+ADDEND(%rip),%rdi; .value 0x6666; rex64
             call __tls_get_addr@PLT",
            12,
        ),
        (
            "GOTPC32_TLSDESC",
            "leaq of_thread@tlsdesc+ADDEND(%rip),%rax; call *of_thread@tlscall(%rax)",
            3,
        ),
    ];
    for (kind, sequence, at) in sequences {
        let object = |addend: i128| {
            assemble(&format!(
                "
                .section .tdata,\"awT\",@progbits
                .globl of_thread
                .type of_thread,@object
                of_thread: .quad 7
                .section .data.edge,\"aw\"
                .globl target
                target: .zero {pad}
                .section .data.offset,\"aw\"
                .section .text.edge,\"ax\"
                .globl code
                code: {code}
                ",
                pad = FIELD + 8,
                code = sequence.replace("ADDEND", &addend.to_string())
            ))
        };
        let field = |object: &[u8]| linked_code(object, at);
        let plain = i128::from(field(&object(0)).unwrap());
        for end in [I32.0, I32.1] {
            let value =
                field(&object(end - plain)).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(i128::from(value), end, "{kind}");
            let past = if end < 0 { end - 1 } else { end + 1 };
            let text = field(&object(past - plain)).expect_err(kind).to_string();
            let name = format!("R_X86_64_{kind}");
            for part in ["edge.o: .text.edge+0x", &name, "`of_thread`", "2 GiB"] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }
}

/// Links an object and gives four bytes of its code.
fn linked_code(object: &[u8], at: u64) -> Result<i32, Error> {
    let mut bench = common::Bench::new();
    bench.publish(&[("edge.o", object)])?;
    let code = bench.session.view().symbol("code").unwrap().address;
    let mut field = [0; 4];
    bench.space.read(code.add(at), &mut field).unwrap();
    Ok(i32::from_le_bytes(field))
}
