//! One name of a large program, without an index of all its names.
//!
//! An index costs a walk over all entries, most of a second for a kernel. But a
//! unit that names something has the name's bytes in it, or the offset of them in
//! `.debug_str`, and looking for bytes goes at the speed of memory. So the first
//! few names that are asked for are looked for so, and only the units in which
//! such bytes stand are walked. Bytes that happen to look like an offset cost a
//! walk more and change nothing: what the walk finds is what counts.
//!
//! It is exact only where an entry's name can be nowhere else. [`is_plain`] says
//! so of a file, by its abbreviations: no names through tables of offsets, no
//! entry that completes one of another unit, no entries in other files. Of other
//! files, of small ones, and after [`MAX_SOUGHT`] names, the index is made.

use std::ops::Range;

use gimli::constants as c;
use gimli::{DwAt, DwForm, DwTag, Section as _};
use memchr::memmem;

use crate::info::Info;
use crate::names::{hash_last, is_indexed, without_arguments};
use crate::parallel;

/// How many names are looked for before the index is made.
const MAX_SOUGHT: usize = 8;
/// The index of debug information smaller than this is made at once.
const MIN_INFO: usize = 4 << 20;
/// More texts than this that the name may be the end of are not looked for.
const MAX_TEXTS: usize = 512;
/// So few offsets are looked for one after the other, more of them together.
const MAX_SINGLE: usize = 3;
/// How far pieces of a section overlap, so that none cuts a name in two.
const OVERLAP: usize = 4096;
/// How much of a section a thread looks through at a time, in bytes.
const PIECE: usize = 4 << 20;

/// Whether the names of a file's entries can be found by their bytes, as its
/// `.debug_abbrev` says. What cannot be read is not plain.
pub(crate) fn is_plain(abbreviations: &[u8]) -> bool {
    walk(abbreviations).unwrap_or(false)
}

/// Goes over all tables of abbreviations, which lie one behind the other.
fn walk(bytes: &[u8]) -> Option<bool> {
    let mut at = 0;
    while at < bytes.len() {
        if leb(bytes, &mut at)? == 0 {
            continue;
        }
        let tag = DwTag(u16::try_from(leb(bytes, &mut at)?).ok()?);
        at += 1;
        loop {
            let (name, form) = (leb(bytes, &mut at)?, leb(bytes, &mut at)?);
            if (name, form) == (0, 0) {
                break;
            }
            let form = DwForm(u16::try_from(form).ok()?);
            if form == c::DW_FORM_implicit_const {
                leb(bytes, &mut at)?;
            }
            if !is_plain_attribute(tag, DwAt(u16::try_from(name).ok()?), form) {
                return Some(false);
            }
        }
    }
    Some(true)
}

fn is_plain_attribute(tag: DwTag, name: DwAt, form: DwForm) -> bool {
    match name {
        c::DW_AT_dwo_name | c::DW_AT_GNU_dwo_name => false,
        // What is in no index may be called what it likes.
        _ if !is_indexed(tag, false) => form != c::DW_FORM_indirect,
        c::DW_AT_name => matches!(form, c::DW_FORM_string | c::DW_FORM_strp),
        c::DW_AT_abstract_origin | c::DW_AT_specification => matches!(
            form,
            c::DW_FORM_ref1
                | c::DW_FORM_ref2
                | c::DW_FORM_ref4
                | c::DW_FORM_ref8
                | c::DW_FORM_ref_udata
        ),
        _ => form != c::DW_FORM_indirect,
    }
}

#[inline]
fn leb(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift < 64 {
            value |= u64::from(byte & 0x7f) << shift;
        }
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
}

/// Where a name stands that ends there, or goes on with its arguments.
fn texts<'b>(bytes: &'b [u8], name: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    let found = memmem::find_iter(bytes, name);
    found.filter(move |at| matches!(bytes.get(at + name.len()), Some(0 | b'<' | b' ')))
}

impl<'a> Info<'a> {
    /// The rows that an index of names would have for the last part of a name;
    /// `None` where the index is to be asked.
    pub(crate) fn sought(&self, last: &str) -> Option<Vec<[u32; 3]>> {
        let hash = hash_last(last.as_bytes());
        let mut sought = self.sought.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(rows) = sought.get(&hash) {
            return Some(rows.clone());
        }
        let is_large = self.dwarf.debug_info.reader().len() >= MIN_INFO;
        if sought.len() >= MAX_SOUGHT || !is_large || !self.is_seekable() {
            return None;
        }
        let units = self.units_with(last)?;
        // Most of the entries would be walked, and for one name only.
        let headers = units.iter().filter_map(|&unit| self.header(unit));
        let size: usize = headers.map(|one| one.length_including_self()).sum();
        if size > self.dwarf.debug_info.reader().len() / 4 {
            return None;
        }
        let rows = self.rows_in(&units, hash);
        sought.insert(hash, rows.clone());
        Some(rows)
    }

    /// The rows with a hash that an index of those units would have, in order.
    fn rows_in(&self, units: &[u32], hash: u32) -> Vec<[u32; 3]> {
        let found = parallel::gather(units.len(), |index, rows: &mut Vec<[u32; 3]>| {
            let mut all = Vec::new();
            self.index_unit(units[index], &mut all);
            rows.extend(all.into_iter().filter(|row| row[0] == hash));
        });
        let mut rows = found.concat();
        rows.sort_unstable();
        rows
    }

    /// Whether all names of this file can be found by their bytes.
    fn is_seekable(&self) -> bool {
        let is_whole = self.dwarf.sup.is_none()
            && self.sections[0] == self.units.len()
            && self.late.count() == 0;
        let abbreviations = self.files_of.files[0].section(".debug_abbrev");
        is_whole && is_plain(abbreviations.slice())
    }

    /// The units in which the last part of a name may stand; `None` where too many
    /// texts end so.
    fn units_with(&self, last: &str) -> Option<Vec<u32>> {
        let name = without_arguments(last).as_bytes();
        if name.is_empty() || name.len() >= OVERLAP {
            return None;
        }
        let info = self.dwarf.debug_info.reader().slice();
        let strings = self.dwarf.debug_str.reader().slice();
        let offsets = texts(strings, name).take(MAX_TEXTS + 1);
        let offsets: Vec<u32> = offsets.map(u32::try_from).collect::<Result<_, _>>().ok()?;
        if offsets.len() > MAX_TEXTS {
            return None;
        }
        let mut places = search(info, |piece, found| find_offsets(piece, &offsets, found));
        places.extend(search(info, |piece, found| {
            found.extend(texts(piece, name))
        }));
        let mut units: Vec<u32> = places
            .into_iter()
            .filter_map(|place| Some(self.containing(0..self.sections[0], place)?.unit))
            .collect();
        units.sort_unstable();
        units.dedup();
        Some(units)
    }
}

/// Looks through a section by all cores, piece by piece. What lies where two
/// pieces overlap may be found twice.
fn search(bytes: &[u8], look: impl Fn(&[u8], &mut Vec<usize>) + Sync) -> Vec<usize> {
    let pieces: Vec<Range<usize>> = (0..bytes.len())
        .step_by(PIECE)
        .map(|at| at..(at + PIECE + OVERLAP).min(bytes.len()))
        .collect();
    let found = parallel::gather_pieces(pieces.len(), |index, all: &mut Vec<usize>| {
        let piece = &pieces[index];
        let mut found = Vec::new();
        look(&bytes[piece.clone()], &mut found);
        all.extend(found.into_iter().map(|at| piece.start + at));
    });
    found.concat()
}

/// Where one of some numbers stands, wherever its bytes begin.
fn find_offsets(bytes: &[u8], offsets: &[u32], found: &mut Vec<usize>) {
    if offsets.len() <= MAX_SINGLE {
        for offset in offsets {
            found.extend(memmem::find_iter(bytes, &offset.to_le_bytes()));
        }
        return;
    }
    // Which lower halves there are, a bit each.
    let mut halves = vec![0u64; 1 << 10];
    for offset in offsets {
        halves[(offset >> 6 & 0x3ff) as usize] |= 1 << (offset & 63);
    }
    for (at, window) in bytes.windows(4).enumerate() {
        let half = u16::from_le_bytes([window[0], window[1]]);
        if halves[usize::from(half >> 6)] >> (half & 63) & 1 != 0 {
            let word = u32::from_le_bytes([window[0], window[1], window[2], window[3]]);
            // The offsets are in order.
            if offsets.binary_search(&word).is_ok() {
                found.push(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, Input, Module, ModuleKind};

    #[test]
    fn the_bytes_lead_where_the_index_does() {
        let path = std::env::current_exe().expect("a test is a file");
        let bytes = Bytes::from(std::fs::read(&path).expect("which can be read"));
        let input = Input::new(path, ModuleKind::Executable, bytes, 0);
        let module = Module::open(input).expect("and is ELF");
        module.info(|info| {
            assert!(info.is_seekable(), "rustc writes names so");
            let names = [
                "main",
                "new",
                "Module",
                "is_plain",
                "Vec",
                "Vec<u8>",
                "Some",
                "push",
                "T",
                "fmt",
                "no_such_name",
                "{closure#0}",
                "hash_last",
                "MAX_TEXTS",
                "EntryId",
                "x",
                "catch_unwind",
                "from_utf8_lossy",
                "gather_pieces",
                "u64",
            ];
            let mut found = 0;
            for name in names {
                let Some(units) = info.units_with(name) else {
                    continue;
                };
                let rows = info.rows_in(&units, hash_last(name.as_bytes()));
                assert_eq!(
                    rows,
                    info.names().with_hash(hash_last(name.as_bytes())),
                    "{name}"
                );
                found += usize::from(!rows.is_empty());
            }
            assert!(found >= 4, "only {found} were sought and found");
        });
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_index() {
        let table = |tag: u8, name: u8, form: u8| [1, tag, 0, name, form, 0, 0, 0];
        let (function, unit) = (0x2e, 0x11);
        let (called, origin) = (0x03, 0x31);
        let (text, offset, by_table, elsewhere, near) = (0x08, 0x0e, 0x1a, 0x10, 0x13);
        assert!(
            is_plain(&table(function, called, text)) && is_plain(&table(function, called, offset))
        );
        assert!(
            is_plain(&table(unit, called, by_table)) && is_plain(&table(function, origin, near))
        );
        assert!(!is_plain(&table(function, called, by_table)));
        assert!(!is_plain(&table(function, origin, elsewhere)));
        assert!(!is_plain(&[1, function]) && !is_plain(&[0x80]));
    }

    #[test]
    fn offsets_are_found_wherever_they_begin() {
        let mut bytes = vec![0u8; 100];
        bytes[13..17].copy_from_slice(&0x1234_5678u32.to_le_bytes());
        bytes[95..99].copy_from_slice(&7u32.to_le_bytes());
        for offsets in [&[0x1234_5678][..], &[1, 2, 3, 4, 0x1234_5678]] {
            let mut found = Vec::new();
            find_offsets(&bytes, offsets, &mut found);
            assert_eq!(found, [13]);
        }
    }
}
