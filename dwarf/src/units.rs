//! Units: which one an address belongs to, and the shape of one unit's entries
//! (its functions' code, its named scopes).

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use gimli::constants as c;

use crate::files::UnitFiles;
use crate::info::{Entry, Info, Slice, Unit, Value};
use crate::lines::UnitLines;
use crate::rows::Rows;
use crate::split::Split;
use crate::{EntryId, Language};

/// A unit's place, and whatever was decoded of the unit so far.
pub(crate) struct Slot<'a> {
    /// The offset of its header in its section.
    pub(crate) start: usize,
    /// Read when first asked for, where an index of an earlier run said the place.
    pub(crate) header: OnceLock<Option<gimli::UnitHeader<Slice<'a>>>>,
    pub(crate) unit: OnceLock<Option<Box<Unit<'a>>>>,
    pub(crate) lines: OnceLock<Option<UnitLines>>,
    pub(crate) files: OnceLock<UnitFiles>,
    pub(crate) map: OnceLock<UnitMap>,
    /// The part of it that lies in a file of its own.
    pub(crate) split: OnceLock<Option<Box<Split<'a>>>>,
    /// The sections of a split type unit, which lies in no linked file.
    pub(crate) sections: Option<Arc<gimli::Dwarf<Slice<'a>>>>,
}

impl<'a> Slot<'a> {
    pub(crate) fn new(header: gimli::UnitHeader<Slice<'a>>) -> Slot<'a> {
        Slot {
            header: OnceLock::from(Some(header)),
            ..Slot::at(header.offset().0)
        }
    }

    /// A unit of `.debug_info` whose header is not read yet.
    pub(crate) fn at(start: usize) -> Slot<'a> {
        Slot {
            start,
            header: OnceLock::new(),
            unit: OnceLock::new(),
            lines: OnceLock::new(),
            files: OnceLock::new(),
            map: OnceLock::new(),
            split: OnceLock::new(),
            sections: None,
        }
    }

    /// The offset of its header in its section.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    pub(crate) fn section_offset(&self) -> Option<u64> {
        Some(self.start as u64)
    }
}

impl<'a> Info<'a> {
    /// A unit's header.
    pub(crate) fn header(&self, unit: u32) -> Option<&gimli::UnitHeader<Slice<'a>>> {
        let slot = self.slot(unit)?;
        let read = || {
            let at = gimli::DebugInfoOffset(slot.start);
            self.dwarf.debug_info.header_from_offset(at).ok()
        };
        slot.header.get_or_init(read).as_ref()
    }

    /// The type that a unit defines, if it is a type unit.
    pub(crate) fn signature(&self, unit: u32) -> Option<(u64, EntryId)> {
        signature_of(self.header(unit)?, unit)
    }
}

/// The type that the unit with that header defines, if it is a type unit.
pub(crate) fn signature_of(
    header: &gimli::UnitHeader<Slice<'_>>,
    unit: u32,
) -> Option<(u64, EntryId)> {
    match header.type_() {
        gimli::UnitType::Type {
            type_signature,
            type_offset,
        }
        | gimli::UnitType::SplitType {
            type_signature,
            type_offset,
        } => {
            let offset = u32::try_from(type_offset.0).ok()?;
            Some((type_signature.0, EntryId { unit, offset }))
        }
        _ => None,
    }
}

/// The units' address ranges, sorted, so that one look-up finds the unit.
///
/// A row has start, end and reach (the greatest end among the ranges up to and
/// with it) in two words each, and the unit. That is how they are kept, too: an
/// index of an earlier run is looked at where it lies.
#[derive(Default)]
pub(crate) struct UnitRanges(Rows<7>);

/// One of them.
struct UnitRange {
    start: u64,
    end: u64,
    reach: u64,
    unit: u32,
}

impl UnitRanges {
    pub(crate) fn new(mut ranges: Vec<(u64, u64, u32)>) -> UnitRanges {
        ranges.sort_unstable();
        // A unit has a range for each function; what lies side by side is one.
        ranges.dedup_by(|next, last| {
            let joins = next.2 == last.2 && next.0 <= last.1;
            if joins {
                last.1 = last.1.max(next.1);
            }
            joins
        });
        let halves = |address: u64| [address as u32, (address >> 32) as u32];
        let mut furthest = 0;
        let rows = ranges.iter().map(|&(start, end, unit)| {
            furthest = end.max(furthest);
            let ([a, b], [c, d], [e, f]) = (halves(start), halves(end), halves(furthest));
            [a, b, c, d, e, f, unit]
        });
        UnitRanges(Rows::Built(rows.collect()))
    }

    /// Those of an earlier run.
    pub(crate) fn kept(rows: Rows<7>) -> UnitRanges {
        UnitRanges(rows)
    }

    /// Them as they are kept.
    pub(crate) fn rows(&self) -> &Rows<7> {
        &self.0
    }

    fn get(&self, index: usize) -> UnitRange {
        let whole = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let [a, b, c, d, e, f, unit] = self.0.get(index);
        UnitRange {
            start: whole(a, b),
            end: whole(c, d),
            reach: whole(e, f),
            unit,
        }
    }

    /// How many ranges begin before an address.
    fn before(&self, address: u64) -> usize {
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).start < address {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// The ranges among the first `after` that go beyond an address, last first.
    fn beyond(&self, after: usize, address: u64) -> impl Iterator<Item = UnitRange> {
        (0..after)
            .rev()
            .map(|index| self.get(index))
            .take_while(move |range| range.reach > address)
            .filter(move |range| range.end > address)
    }

    /// The units that claim an address: the one with the latest start first.
    pub(crate) fn at(&self, address: u64) -> impl Iterator<Item = u32> {
        let after = match address.checked_add(1) {
            Some(next) => self.before(next),
            None => self.0.len(),
        };
        self.beyond(after, address).map(|range| range.unit)
    }

    /// The units with code in a range of addresses, each once.
    pub(crate) fn overlapping(&self, wanted: &Range<u64>) -> Vec<u32> {
        let after = self.before(wanted.end);
        let found = self.beyond(after, wanted.start);
        let mut units: Vec<u32> = found.map(|range| range.unit).collect();
        units.sort_unstable();
        units.dedup();
        units
    }
}

/// The code of one function of a unit: a range may be one of several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct CodeRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The function's entry.
    pub(crate) entry: u32,
}

/// An entry with a name that the entries inside it are qualified by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedScope {
    /// Its entry.
    pub(crate) entry: u32,
    /// The offset at which its last descendant ends.
    pub(crate) end: u32,
    /// The index of the scope around it; itself for none.
    parent: u32,
}

/// The shape of one unit.
#[derive(Default)]
pub(crate) struct UnitMap {
    /// The functions' code, sorted.
    pub(crate) code: Vec<CodeRange>,
    /// Namespaces, types and functions, in order of their entries.
    pub(crate) scopes: Vec<NamedScope>,
}

impl UnitMap {
    /// The function whose code an address lies in.
    pub(crate) fn function_at(&self, address: u64) -> Option<u32> {
        let after = self.code.partition_point(|range| range.start <= address);
        // Functions do not overlap but for identical code that was folded; a
        // few steps back find the range that still covers the address.
        self.code[..after]
            .iter()
            .rev()
            .take(8)
            .find(|range| range.end > address)
            .map(|r| r.entry)
    }

    /// The entries of the scopes around an entry, innermost first, itself not
    /// among them.
    pub(crate) fn scopes_around(&self, entry: u32) -> Vec<u32> {
        let mut around = Vec::new();
        let after = self.scopes.partition_point(|scope| scope.entry < entry);
        let mut candidate = after.checked_sub(1);
        while let Some(index) = candidate {
            let scope = &self.scopes[index];
            if scope.end > entry {
                around.push(scope.entry);
            }
            let parent = scope.parent as usize;
            candidate = (parent != index).then_some(parent);
        }
        around
    }
}

impl<'a> Info<'a> {
    /// The shape of a unit, found on first use.
    pub(crate) fn map(&self, unit: u32) -> Option<&UnitMap> {
        let slot = self.slot(unit)?;
        let parsed = self.unit(unit)?;
        Some(slot.map.get_or_init(|| {
            let mut map = UnitMap::default();
            if let Err(error) = self.fill_map(unit, parsed, &mut map) {
                self.complain(".debug_info", slot.section_offset(), error);
            }
            map.code.sort_unstable();
            map
        }))
    }

    /// Walks a unit once, keeping what was found up to the first damage.
    fn fill_map(&self, index: u32, unit: &Unit<'a>, map: &mut UnitMap) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(None)?;
        let mut entry = Entry::null();
        // The scopes that are open: their depth and index.
        let mut open: Vec<(isize, usize)> = Vec::new();
        while !entries.is_empty() {
            let offset = entries.next_offset().0 as u32;
            let depth = entries.next_depth();
            while let Some(&(opened, scope)) = open.last() {
                if depth > opened {
                    break;
                }
                map.scopes[scope].end = offset;
                open.pop();
            }
            let mut probe = entries.clone();
            let Some(abbreviation) = probe.read_abbreviation()? else {
                entries = probe;
                continue;
            };
            let tag = abbreviation.tag();
            if tag == c::DW_TAG_subprogram {
                entries.read_entry(&mut entry)?;
                for range in self.ranges_of(index, unit, &entry) {
                    let entry = offset;
                    map.code.push(CodeRange {
                        start: range.start,
                        end: range.end,
                        entry,
                    });
                }
            } else {
                probe.skip_attributes(abbreviation.attributes())?;
                entries = probe;
            }
            if is_scope(tag) && abbreviation.has_children() {
                let scope = map.scopes.len();
                let parent = open.last().map_or(scope, |&(_, parent)| parent) as u32;
                map.scopes.push(NamedScope {
                    entry: offset,
                    end: u32::MAX,
                    parent,
                });
                open.push((depth, scope));
            }
        }
        Ok(())
    }

    /// The code of an entry, without what the linker dropped. The range that
    /// `DW_AT_low_pc` or the first one of the list gives comes first.
    pub(crate) fn ranges_of(
        &self,
        index: u32,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
    ) -> Vec<Range<u64>> {
        self.ranges_in(self.dwarf_of(index), unit, entry)
    }

    /// The same, of an entry that refers to those sections.
    pub(crate) fn ranges_in(
        &self,
        dwarf: &gimli::Dwarf<Slice<'a>>,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
    ) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        if let Some(value) = entry.attr_value(c::DW_AT_ranges) {
            let Ok(Some(mut list)) = dwarf.attr_ranges(unit, value) else {
                return found;
            };
            while let Ok(Some(range)) = list.next() {
                if range.begin < range.end && self.is_code(range.begin) {
                    found.push(range.begin..range.end);
                }
            }
            return found;
        }
        let low = entry.attr_value(c::DW_AT_low_pc);
        let low = low.and_then(|low| dwarf.attr_address(unit, low).ok().flatten());
        let Some(low) = low else {
            return found;
        };
        let high = match entry.attr_value(c::DW_AT_high_pc) {
            Some(Value::Addr(high)) => Some(high),
            Some(Value::DebugAddrIndex(at)) => dwarf.address(unit, at).ok(),
            Some(value) => value.udata_value().map(|length| low.saturating_add(length)),
            None => None,
        };
        if let Some(high) = high
            && low < high
            && self.is_code(low)
        {
            found.push(low..high);
        }
        found
    }

    /// The address that an attribute gives.
    pub(crate) fn address_of(
        &self,
        index: u32,
        unit: &Unit<'a>,
        value: Option<Value<'a>>,
    ) -> Option<u64> {
        self.dwarf_of(index)
            .attr_address(unit, value?)
            .ok()
            .flatten()
    }

    /// The units' address ranges.
    pub(crate) fn unit_ranges(&self) -> &UnitRanges {
        self.skim();
        self.ranges.get().expect("skimming sets it")
    }

    /// The language of a unit.
    pub(crate) fn language(&self, unit: u32) -> Language {
        let Some(parsed) = self.unit(unit) else {
            return Language::C;
        };
        let Ok(root) = parsed.entry(parsed.header.root_offset()) else {
            return Language::C;
        };
        let Some(Value::Language(language)) = root.attr_value(c::DW_AT_language) else {
            return Language::C;
        };
        match language {
            c::DW_LANG_C_plus_plus
            | c::DW_LANG_C_plus_plus_03
            | c::DW_LANG_C_plus_plus_11
            | c::DW_LANG_C_plus_plus_14
            | c::DW_LANG_C_plus_plus_17
            | c::DW_LANG_C_plus_plus_20 => Language::Cpp,
            c::DW_LANG_Rust => Language::Rust,
            c::DW_LANG_Mips_Assembler => Language::Assembly,
            _ => Language::C,
        }
    }
}

/// Whether entries inside one with this tag are qualified by its name.
pub(crate) fn is_scope(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        c::DW_TAG_namespace
            | c::DW_TAG_module
            | c::DW_TAG_structure_type
            | c::DW_TAG_class_type
            | c::DW_TAG_union_type
            | c::DW_TAG_interface_type
            | c::DW_TAG_enumeration_type
            | c::DW_TAG_subprogram
    )
}
