//! Types that no program describes because the machine has them: vector
//! registers seen as rows of numbers, and the kernel's words about a signal.
//!
//! They are written down as debug information is, a small ELF file with DWARF
//! in it, so that whatever shows, names and takes apart the program's types does
//! it with these.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use gimli::constants as c;
use sapwood_dwarf::{Bytes, Input, Module, ModuleId, ModuleKind, Modules};

use super::Type;

/// The module of these types; `None` only if this file is wrong.
pub fn module() -> Option<&'static Arc<Module>> {
    static MODULE: OnceLock<Option<Arc<Module>>> = OnceLock::new();
    let built = MODULE.get_or_init(|| {
        let (info, abbreviations) = Writer::all();
        let bytes = Bytes::from(elf(&info, &abbreviations));
        let name = PathBuf::from("machine");
        let input = Input::new(name, ModuleKind::Library, bytes, 0);
        Module::open(input).ok().map(Arc::new)
    });
    built.as_ref()
}

/// The type of that name, where `modules` were given this file's.
pub fn named(modules: &Modules, name: &str) -> Option<Type> {
    let module = modules.get(ModuleId::MACHINE)?;
    let found = module.types(name).into_iter().next()?;
    Some(Type::Described(ModuleId::MACHINE, found))
}

/// The shapes that entries have; each is one abbreviation.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Shape {
    Unit = 1,
    Base,
    Union,
    Struct,
    BareUnion,
    BareStruct,
    Member,
    Array,
    Count,
    Typedef,
    Pointer,
}

/// Tag, whether entries of that shape have children, attributes with forms.
type Abbreviation = (
    Shape,
    gimli::DwTag,
    bool,
    &'static [(gimli::DwAt, gimli::DwForm)],
);

const NAME: (gimli::DwAt, gimli::DwForm) = (c::DW_AT_name, c::DW_FORM_string);
const TYPE: (gimli::DwAt, gimli::DwForm) = (c::DW_AT_type, c::DW_FORM_ref4);
const SIZE: (gimli::DwAt, gimli::DwForm) = (c::DW_AT_byte_size, c::DW_FORM_data1);

const ABBREVIATIONS: [Abbreviation; 11] = [
    (
        Shape::Unit,
        c::DW_TAG_compile_unit,
        true,
        &[(c::DW_AT_language, c::DW_FORM_data1)],
    ),
    (
        Shape::Base,
        c::DW_TAG_base_type,
        false,
        &[NAME, (c::DW_AT_encoding, c::DW_FORM_data1), SIZE],
    ),
    (Shape::Union, c::DW_TAG_union_type, true, &[NAME, SIZE]),
    (Shape::Struct, c::DW_TAG_structure_type, true, &[NAME, SIZE]),
    (Shape::BareUnion, c::DW_TAG_union_type, true, &[SIZE]),
    (Shape::BareStruct, c::DW_TAG_structure_type, true, &[SIZE]),
    (
        Shape::Member,
        c::DW_TAG_member,
        false,
        &[
            NAME,
            TYPE,
            (c::DW_AT_data_member_location, c::DW_FORM_data1),
        ],
    ),
    (Shape::Array, c::DW_TAG_array_type, true, &[TYPE]),
    (
        Shape::Count,
        c::DW_TAG_subrange_type,
        false,
        &[(c::DW_AT_count, c::DW_FORM_data1)],
    ),
    (Shape::Typedef, c::DW_TAG_typedef, false, &[NAME, TYPE]),
    (Shape::Pointer, c::DW_TAG_pointer_type, false, &[SIZE]),
];

/// A type by the offset of its entry in the unit.
#[derive(Clone, Copy)]
struct Entry(u32);

/// Writes entries, one behind the other. Every type is written before what is
/// made of it.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn begin(&mut self, shape: Shape) -> Entry {
        let at = Entry(self.bytes.len() as u32);
        self.bytes.push(shape as u8);
        at
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn end(&mut self) {
        self.bytes.push(0);
    }

    fn base(&mut self, name: &str, encoding: gimli::DwAte, size: u8) -> Entry {
        let at = self.begin(Shape::Base);
        self.text(name);
        self.bytes.extend([encoding.0, size]);
        at
    }

    fn array(&mut self, of: Entry, count: u8) -> Entry {
        let at = self.begin(Shape::Array);
        self.bytes.extend(of.0.to_le_bytes());
        self.begin(Shape::Count);
        self.bytes.push(count);
        self.end();
        at
    }

    fn typedef(&mut self, name: &str, of: Entry) -> Entry {
        let at = self.begin(Shape::Typedef);
        self.text(name);
        self.bytes.extend(of.0.to_le_bytes());
        at
    }

    /// A struct or union of members: name, type, offset in bytes.
    fn composite(
        &mut self,
        shape: Shape,
        name: &str,
        size: u8,
        members: &[(&str, Entry, u8)],
    ) -> Entry {
        let at = self.begin(shape);
        if matches!(shape, Shape::Union | Shape::Struct) {
            self.text(name);
        }
        self.bytes.push(size);
        for (name, of, offset) in members {
            self.begin(Shape::Member);
            self.text(name);
            self.bytes.extend(of.0.to_le_bytes());
            self.bytes.push(*offset);
        }
        self.end();
        at
    }

    /// The union that a vector register of so many bytes is seen as.
    fn vector(&mut self, name: &str, size: u8, rows: &[(&str, Entry, u8)]) {
        let mut members = Vec::new();
        for (member, element, width) in rows {
            let count = size / width;
            let of = match count {
                1 => *element,
                count => {
                    let row = self.array(*element, count);
                    self.typedef(&row_name(member, count, *width), row)
                }
            };
            members.push((*member, of, 0));
        }
        self.composite(Shape::Union, name, size, &members);
    }

    fn vectors(&mut self) {
        let bfloat16 = self.base("bfloat16", c::DW_ATE_float, 2);
        let half = self.base("half", c::DW_ATE_float, 2);
        let float = self.base("float", c::DW_ATE_float, 4);
        let double = self.base("double", c::DW_ATE_float, 8);
        let int8 = self.base("int8_t", c::DW_ATE_signed, 1);
        let int16 = self.base("int16_t", c::DW_ATE_signed, 2);
        let int32 = self.base("int32_t", c::DW_ATE_signed, 4);
        let int64 = self.base("int64_t", c::DW_ATE_signed, 8);
        let int128 = self.base("int128_t", c::DW_ATE_signed, 16);
        let uint128 = self.base("uint128_t", c::DW_ATE_unsigned, 16);
        self.vector(
            "vec128",
            16,
            &[
                ("v8_bfloat16", bfloat16, 2),
                ("v8_half", half, 2),
                ("v4_float", float, 4),
                ("v2_double", double, 8),
                ("v16_int8", int8, 1),
                ("v8_int16", int16, 2),
                ("v4_int32", int32, 4),
                ("v2_int64", int64, 8),
                ("uint128", uint128, 16),
            ],
        );
        self.vector(
            "vec256",
            32,
            &[
                ("v16_bfloat16", bfloat16, 2),
                ("v16_half", half, 2),
                ("v8_float", float, 4),
                ("v4_double", double, 8),
                ("v32_int8", int8, 1),
                ("v16_int16", int16, 2),
                ("v8_int32", int32, 4),
                ("v4_int64", int64, 8),
                ("v2_int128", int128, 16),
            ],
        );
    }

    /// `siginfo_t` as the kernel fills it in.
    fn signals(&mut self) {
        let int = self.base("int", c::DW_ATE_signed, 4);
        let unsigned = self.base("unsigned int", c::DW_ATE_unsigned, 4);
        let short = self.base("short", c::DW_ATE_signed, 2);
        let long = self.base("long", c::DW_ATE_signed, 8);
        let pointer = self.begin(Shape::Pointer);
        self.bytes.push(8);
        let bare = Shape::BareStruct;
        let value = self.composite(
            Shape::Union,
            "sigval",
            8,
            &[("sival_int", int, 0), ("sival_ptr", pointer, 0)],
        );
        let value = self.typedef("sigval_t", value);
        let pad = self.array(int, 28);
        let kill = self.composite(bare, "", 8, &[("si_pid", int, 0), ("si_uid", unsigned, 4)]);
        let timer = self.composite(
            bare,
            "",
            16,
            &[
                ("si_tid", int, 0),
                ("si_overrun", int, 4),
                ("si_sigval", value, 8),
            ],
        );
        let queued = self.composite(
            bare,
            "",
            16,
            &[
                ("si_pid", int, 0),
                ("si_uid", unsigned, 4),
                ("si_sigval", value, 8),
            ],
        );
        let child = self.composite(
            bare,
            "",
            32,
            &[
                ("si_pid", int, 0),
                ("si_uid", unsigned, 4),
                ("si_status", int, 8),
                ("si_utime", long, 16),
                ("si_stime", long, 24),
            ],
        );
        let bounds = self.composite(
            bare,
            "",
            16,
            &[("_lower", pointer, 0), ("_upper", pointer, 8)],
        );
        let fault = self.composite(
            bare,
            "",
            32,
            &[
                ("si_addr", pointer, 0),
                ("_addr_lsb", short, 8),
                ("_addr_bnd", bounds, 16),
            ],
        );
        let poll = self.composite(bare, "", 16, &[("si_band", long, 0), ("si_fd", int, 8)]);
        let call = self.composite(
            bare,
            "",
            16,
            &[
                ("_call_addr", pointer, 0),
                ("_syscall", int, 8),
                ("_arch", unsigned, 12),
            ],
        );
        let fields = self.composite(
            Shape::BareUnion,
            "",
            112,
            &[
                ("_pad", pad, 0),
                ("_kill", kill, 0),
                ("_timer", timer, 0),
                ("_rt", queued, 0),
                ("_sigchld", child, 0),
                ("_sigfault", fault, 0),
                ("_sigpoll", poll, 0),
                ("_sigsys", call, 0),
            ],
        );
        self.composite(
            Shape::Struct,
            "siginfo",
            128,
            &[
                ("si_signo", int, 0),
                ("si_errno", int, 4),
                ("si_code", int, 8),
                ("_sifields", fields, 16),
            ],
        );
    }

    /// The sections `.debug_info` and `.debug_abbrev`.
    fn all() -> (Vec<u8>, Vec<u8>) {
        let mut writer = Writer { bytes: Vec::new() };
        // The header: length, DWARF 4, offset of the abbreviations, size of an
        // address.
        writer.bytes.extend([0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8]);
        writer.begin(Shape::Unit);
        writer.bytes.push(c::DW_LANG_C99.0 as u8);
        writer.vectors();
        writer.signals();
        writer.end();
        let length = writer.bytes.len() as u32 - 4;
        writer.bytes[..4].copy_from_slice(&length.to_le_bytes());

        let mut abbreviations = Vec::new();
        let number = |out: &mut Vec<u8>, mut value: u16| {
            while value >= 0x80 {
                out.push(value as u8 | 0x80);
                value >>= 7;
            }
            out.push(value as u8);
        };
        for (shape, tag, has_children, attributes) in ABBREVIATIONS {
            number(&mut abbreviations, shape as u16);
            number(&mut abbreviations, tag.0);
            abbreviations.push(u8::from(has_children));
            for (attribute, form) in attributes {
                number(&mut abbreviations, attribute.0);
                number(&mut abbreviations, form.0);
            }
            abbreviations.extend([0, 0]);
        }
        abbreviations.push(0);
        (writer.bytes, abbreviations)
    }
}

/// The name of a row of numbers: `v4f` of the member `v4_float`.
fn row_name(member: &str, count: u8, width: u8) -> String {
    let kind = member.split_once('_').map_or("", |(_, kind)| kind);
    match kind {
        "bfloat16" => format!("v{count}bf16"),
        "half" => format!("v{count}h"),
        "float" => format!("v{count}f"),
        "double" => format!("v{count}d"),
        _ => format!("v{count}i{}", 8 * u32::from(width)),
    }
}

/// An ELF file of two sections and their names.
fn elf(info: &[u8], abbreviations: &[u8]) -> Vec<u8> {
    const HEADER: usize = 64;
    const NAMES: &[u8] = b"\0.debug_info\0.debug_abbrev\0.shstrtab\0";
    let places = [info, abbreviations, NAMES];
    let mut file = vec![0; HEADER];
    let mut starts = Vec::new();
    for part in places {
        starts.push(file.len());
        file.extend_from_slice(part);
    }
    file.resize(file.len().next_multiple_of(8), 0);
    let table = file.len() as u64;
    file[..20].copy_from_slice(&[
        0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0,
    ]);
    file[20..24].copy_from_slice(&1u32.to_le_bytes());
    file[40..48].copy_from_slice(&table.to_le_bytes());
    file[52..54].copy_from_slice(&(HEADER as u16).to_le_bytes());
    // Sizes and numbers of the headers: 64 bytes each, four of them, names last.
    file[58..64].copy_from_slice(&[64, 0, 4, 0, 3, 0]);
    file.extend([0; 64]);
    let names = [1u32, 13, 27];
    let kinds = [1u32, 1, 3];
    for (index, part) in places.iter().enumerate() {
        let mut header = [0u8; 64];
        header[..4].copy_from_slice(&names[index].to_le_bytes());
        header[4..8].copy_from_slice(&kinds[index].to_le_bytes());
        header[24..32].copy_from_slice(&(starts[index] as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(part.len() as u64).to_le_bytes());
        header[48] = 1;
        file.extend(header);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_as_large_as_the_machine_has_it() {
        let mut modules = Modules::new();
        modules.set_machine(module().expect("it is well formed").clone());
        for (name, size) in [("vec128", 16), ("vec256", 32), ("siginfo", 128)] {
            let ty = named(&modules, name).expect(name);
            assert_eq!(ty.size(&modules).unwrap(), Some(size), "{name}");
        }
    }
}
