//! A fast walk over all entries of a unit, for the index of names.
//!
//! A large program has millions of entries and all that most are asked is how
//! long they are. So each abbreviation is turned into a [`Plan`] when it is
//! first met: runs of attributes of fixed size become one number of bytes to
//! skip, and what decides whether an entry has a place in the index (its tag,
//! and which attributes it has) is decided there, once. Only the entries with a
//! name of interest are looked at, by the bytes of that one attribute.

use gimli::constants as c;
use gimli::{DwForm, Encoding, Format};

use crate::info::{Slice, Unit};
use crate::names::{NameKind, is_indexed, kind_of_tag};

/// One move over an entry's attributes.
#[derive(Clone, Copy)]
enum Step {
    /// So many bytes.
    Fixed(u32),
    /// A number in LEB128.
    Leb,
    /// A text and its zero.
    Text,
    /// A block behind a length of so many bytes; 0 for one in LEB128.
    Block(u8),
    /// The entry's name, which is where the cursor is. It is not skipped yet.
    Name(DwForm),
}

/// What to do with an entry of one abbreviation.
struct Plan {
    steps: Vec<Step>,
    has_children: bool,
    tag: gimli::DwTag,
    /// What its name stands for, where it is not a mere declaration.
    kind: Option<NameKind>,
    /// Whether it has a name, or what it completes may have one.
    is_named: bool,
}

/// An entry with a place in the index.
pub(crate) struct Found<'a> {
    pub(crate) offset: u32,
    pub(crate) kind: NameKind,
    /// Its name as its attribute has it: the form, and the bytes from there.
    /// `None` where it has none and what it completes may.
    pub(crate) name: Option<(DwForm, &'a [u8])>,
}

/// More codes than this in one table are looked up each time instead.
const MAX_CODES: u64 = 1 << 16;

/// Walks a unit's entries and tells `found` of those with a place in the index,
/// up to the first damage.
pub(crate) fn scan<'a>(
    unit: &Unit<'a>,
    section: &'a [u8],
    mut found: impl FnMut(Found<'a>),
) -> gimli::Result<()> {
    let header = &unit.header;
    let end = header
        .offset()
        .0
        .saturating_add(header.length_including_self());
    let bytes = section
        .get(header.offset().0..end)
        .ok_or(gimli::Error::OffsetOutOfBounds(end as u64))?;
    let mut cursor = Cursor {
        bytes,
        at: header.size_of_header(),
    };
    let encoding = header.encoding();
    let mut plans: Vec<Option<Plan>> = Vec::new();
    let mut depth = 0usize;
    // The depth of the outermost function that is open.
    let mut function: Option<usize> = None;
    while cursor.at < bytes.len() {
        let offset = cursor.at as u32;
        let code = cursor.leb()?;
        if code == 0 {
            depth = depth.saturating_sub(1);
            if function.is_some_and(|opened| depth <= opened) {
                function = None;
            }
            if depth == 0 {
                break;
            }
            continue;
        }
        let slot = code as usize;
        if code >= MAX_CODES {
            return Err(gimli::Error::InvalidAbbreviationCode(code));
        }
        if plans.len() <= slot {
            plans.resize_with(slot + 1, || None);
        }
        let plan = match &mut plans[slot] {
            Some(plan) => plan,
            empty => empty.insert(plan(unit, code, encoding)?),
        };
        let mut name = None;
        for &step in &plan.steps {
            cursor.make(step, &mut name)?;
        }
        if let Some(kind) = plan.kind
            && is_indexed(plan.tag, function.is_some())
            && plan.is_named
        {
            found(Found { offset, kind, name });
        }
        if plan.has_children {
            if plan.tag == c::DW_TAG_subprogram && function.is_none() {
                function = Some(depth);
            }
            depth += 1;
        } else if depth == 0 {
            break;
        }
    }
    Ok(())
}

/// A place among a unit's bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn out_of_bounds(&self) -> gimli::Error {
        gimli::Error::OffsetOutOfBounds(self.at as u64)
    }

    #[inline]
    fn make(&mut self, step: Step, name: &mut Option<(DwForm, &'a [u8])>) -> gimli::Result<()> {
        match step {
            Step::Fixed(length) => self.skip(length as usize),
            Step::Leb => self.leb().map(|_| ()),
            Step::Text => self.text(),
            Step::Block(0) => {
                let length = self.leb()?;
                self.skip(usize::try_from(length).unwrap_or(usize::MAX))
            }
            Step::Block(width) => {
                let mut length = [0; 8];
                let from = self.bytes.get(self.at..self.at + usize::from(width));
                let from = from.ok_or_else(|| self.out_of_bounds())?;
                length[..from.len()].copy_from_slice(from);
                self.at += from.len();
                self.skip(usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX))
            }
            Step::Name(form) => {
                let rest = self.bytes.get(self.at..);
                *name = Some((form, rest.ok_or_else(|| self.out_of_bounds())?));
                Ok(())
            }
        }
    }

    #[inline]
    fn skip(&mut self, length: usize) -> gimli::Result<()> {
        self.at = self.at.saturating_add(length);
        if self.at > self.bytes.len() {
            return Err(self.out_of_bounds());
        }
        Ok(())
    }

    fn text(&mut self) -> gimli::Result<()> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == 0);
        let length = length.ok_or_else(|| self.out_of_bounds())?;
        self.skip(length + 1)
    }

    #[inline]
    fn leb(&mut self) -> gimli::Result<u64> {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.bytes.get(self.at).copied();
            let byte = byte.ok_or_else(|| self.out_of_bounds())?;
            self.at += 1;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }
}

/// The plan of an abbreviation.
fn plan(unit: &Unit<'_>, code: u64, encoding: Encoding) -> gimli::Result<Plan> {
    let abbreviation = unit
        .abbreviations
        .get(code)
        .ok_or(gimli::Error::InvalidAbbreviationCode(code))?;
    let attributes = abbreviation.attributes();
    let has = |name| attributes.iter().any(|attribute| attribute.name() == name);
    let kind = kind_of_tag(abbreviation.tag(), &has);
    let mut steps: Vec<Step> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        if attribute.name() == c::DW_AT_name && kind.is_some() {
            steps.push(Step::Name(attribute.form()));
        }
        match (step(attribute.form(), encoding)?, steps.last_mut()) {
            (Step::Fixed(0), _) => {}
            (Step::Fixed(length), Some(Step::Fixed(before))) => *before += length,
            (step, _) => steps.push(step),
        }
    }
    Ok(Plan {
        steps,
        has_children: abbreviation.has_children(),
        tag: abbreviation.tag(),
        kind,
        is_named: has(c::DW_AT_name)
            || has(c::DW_AT_abstract_origin)
            || has(c::DW_AT_specification),
    })
}

/// How to move over an attribute of that form.
fn step(form: DwForm, encoding: Encoding) -> gimli::Result<Step> {
    let word = match encoding.format {
        Format::Dwarf32 => 4,
        Format::Dwarf64 => 8,
    };
    Ok(match form {
        c::DW_FORM_flag_present | c::DW_FORM_implicit_const => Step::Fixed(0),
        c::DW_FORM_data1
        | c::DW_FORM_ref1
        | c::DW_FORM_flag
        | c::DW_FORM_strx1
        | c::DW_FORM_addrx1 => Step::Fixed(1),
        c::DW_FORM_data2 | c::DW_FORM_ref2 | c::DW_FORM_strx2 | c::DW_FORM_addrx2 => Step::Fixed(2),
        c::DW_FORM_strx3 | c::DW_FORM_addrx3 => Step::Fixed(3),
        c::DW_FORM_data4
        | c::DW_FORM_ref4
        | c::DW_FORM_strx4
        | c::DW_FORM_addrx4
        | c::DW_FORM_ref_sup4 => Step::Fixed(4),
        c::DW_FORM_data8 | c::DW_FORM_ref8 | c::DW_FORM_ref_sig8 | c::DW_FORM_ref_sup8 => {
            Step::Fixed(8)
        }
        c::DW_FORM_data16 => Step::Fixed(16),
        c::DW_FORM_addr => Step::Fixed(encoding.address_size.into()),
        // Before DWARF 3 a reference was as long as an address.
        c::DW_FORM_ref_addr if encoding.version < 3 => Step::Fixed(encoding.address_size.into()),
        c::DW_FORM_strp
        | c::DW_FORM_line_strp
        | c::DW_FORM_sec_offset
        | c::DW_FORM_ref_addr
        | c::DW_FORM_strp_sup
        | c::DW_FORM_GNU_ref_alt
        | c::DW_FORM_GNU_strp_alt => Step::Fixed(word),
        c::DW_FORM_udata
        | c::DW_FORM_sdata
        | c::DW_FORM_ref_udata
        | c::DW_FORM_strx
        | c::DW_FORM_addrx
        | c::DW_FORM_loclistx
        | c::DW_FORM_rnglistx
        | c::DW_FORM_GNU_str_index
        | c::DW_FORM_GNU_addr_index => Step::Leb,
        c::DW_FORM_string => Step::Text,
        c::DW_FORM_block1 => Step::Block(1),
        c::DW_FORM_block2 => Step::Block(2),
        c::DW_FORM_block4 => Step::Block(4),
        c::DW_FORM_block | c::DW_FORM_exprloc => Step::Block(0),
        // `DW_FORM_indirect` among them, which nobody writes.
        other => return Err(gimli::Error::UnknownForm(other)),
    })
}

/// The value of a name's attribute.
pub(crate) fn name_value<'a>(
    form: DwForm,
    bytes: &'a [u8],
    encoding: Encoding,
) -> Option<gimli::AttributeValue<Slice<'a>>> {
    use gimli::AttributeValue as V;
    let fixed = |width: usize| {
        let mut word = [0; 8];
        word[..width].copy_from_slice(bytes.get(..width)?);
        usize::try_from(u64::from_le_bytes(word)).ok()
    };
    let word = match encoding.format {
        Format::Dwarf32 => 4,
        Format::Dwarf64 => 8,
    };
    let index = |value: usize| V::DebugStrOffsetsIndex(gimli::DebugStrOffsetsIndex(value));
    Some(match form {
        c::DW_FORM_string => {
            let length = bytes.iter().position(|&byte| byte == 0)?;
            V::String(Slice::new(&bytes[..length], gimli::LittleEndian))
        }
        c::DW_FORM_strp => V::DebugStrRef(gimli::DebugStrOffset(fixed(word)?)),
        c::DW_FORM_line_strp => V::DebugLineStrRef(gimli::DebugLineStrOffset(fixed(word)?)),
        c::DW_FORM_strp_sup | c::DW_FORM_GNU_strp_alt => {
            V::DebugStrRefSup(gimli::DebugStrOffset(fixed(word)?))
        }
        c::DW_FORM_strx1 => index(fixed(1)?),
        c::DW_FORM_strx2 => index(fixed(2)?),
        c::DW_FORM_strx3 => index(fixed(3)?),
        c::DW_FORM_strx4 => index(fixed(4)?),
        c::DW_FORM_strx | c::DW_FORM_GNU_str_index => {
            let mut cursor = Cursor { bytes, at: 0 };
            index(usize::try_from(cursor.leb().ok()?).ok()?)
        }
        _ => return None,
    })
}
