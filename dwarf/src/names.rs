//! Names: the functions, variables, types and constants of a module by the
//! last part of their name.
//!
//! The index keeps twelve bytes for each and no text. A look-up reads the names
//! of the few entries with the right hash again, and their scopes, to compare.

use gimli::Section as _;
use gimli::constants as c;

use crate::files::hash_name;
use crate::info::{Info, KeptKind, Slice, Unit};
use crate::parallel;
use crate::rows::{HashedRows, Index};
use crate::scan::{name_value, scan};
use crate::{EntryId, Language};

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum NameKind {
    /// A function with code.
    Function,
    /// The description of a function that was inlined somewhere.
    Inline,
    /// A variable outside all functions.
    Variable,
    /// A complete type.
    Type,
    /// A constant of an enumeration.
    Enumerator,
}

/// The names of a module: the hash of the last part, the unit with the kind in
/// its top three bits, and the entry's offset.
pub(crate) struct NameIndex(HashedRows);

const KIND_SHIFT: u32 = 29;

fn row(hash: u32, kind: NameKind, id: EntryId) -> [u32; 3] {
    [hash, (kind as u32) << KIND_SHIFT | id.unit, id.offset]
}

fn id_of([_, unit, offset]: [u32; 3]) -> EntryId {
    EntryId {
        unit: unit & ((1 << KIND_SHIFT) - 1),
        offset,
    }
}

fn is_any([_, unit, _]: [u32; 3], kinds: &[NameKind]) -> bool {
    kinds.iter().any(|&kind| kind as u32 == unit >> KIND_SHIFT)
}

/// C++'s operators, those before others that these begin with.
const OPERATORS: [&str; 37] = [
    "<=>", "<<=", ">>=", "->*", "()", "[]", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++", "--", "->", "+", "-", "*", "/", "%", "<", ">",
    "=", "!", "~", "&", "|",
];

/// Where the arguments of a name begin, and so its length where it has none.
fn arguments_at(name: &[u8]) -> usize {
    let Some(sign) = name.strip_prefix(b"operator") else {
        let at = name.iter().position(|&byte| byte == b'<');
        return at.filter(|&at| at > 0).unwrap_or(name.len());
    };
    let known = OPERATORS
        .iter()
        .find(|one| sign.starts_with(one.as_bytes()));
    let Some(known) = known else {
        return name.len();
    };
    let rest = &sign[known.len()..];
    match rest.starts_with(b"<") || rest.starts_with(b" <") {
        true => name.len() - rest.len(),
        false => name.len(),
    }
}

/// A name without its template or generic arguments: `vec` of `vec<int>`.
///
/// Operators keep their signs, and a name that begins with `<` stays whole.
pub fn without_arguments(name: &str) -> &str {
    &name[..arguments_at(name.as_bytes())]
}

/// The hash by which entries are found: of a name without its arguments.
pub(crate) fn hash_last(name: &[u8]) -> u32 {
    hash_name(&name[..arguments_at(name)])
}

/// The parts of a qualified name: `a::b<c::d>::e` has three.
pub(crate) fn split_path(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0i32);
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'<' | b'(' | b'{' | b'[' => depth += 1,
            b'>' | b')' | b'}' | b']' => depth -= 1,
            b':' if depth <= 0 && bytes.get(at + 1) == Some(&b':') => {
                parts.push(&name[start..at]);
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&name[start..]);
    parts
}

/// Whether the parts `wanted` are the end of `path`, where parts that nobody
/// writes (unnamed and versioned namespaces, Rust's numbered impls) count for
/// nothing.
fn matches_path(path: &[String], wanted: &[&str]) -> bool {
    let mut path = path.iter().rev();
    for (index, want) in wanted.iter().rev().enumerate() {
        loop {
            let Some(part) = path.next() else {
                return false;
            };
            let is_plain = without_arguments(want) == *want;
            if part == want || (is_plain && without_arguments(part) == *want) {
                break;
            }
            if index == 0 || !is_silent(part) {
                return false;
            }
        }
    }
    true
}

fn is_silent(part: &str) -> bool {
    part.starts_with('(') || part.starts_with("{impl#") || part.starts_with("__")
}

impl<'a> Info<'a> {
    /// The rows for the last part of a name: from the index, where there is one.
    fn rows_of(&self, last: &str) -> Vec<[u32; 3]> {
        self.take_kept_names();
        let sought = match self.names.get() {
            Some(_) => None,
            None => self.sought(last),
        };
        sought.unwrap_or_else(|| self.names().with_hash(hash_last(last.as_bytes())))
    }

    /// The index an earlier run kept, if it is there.
    fn take_kept_names(&self) {
        self.names_asked.call_once(|| {
            if let Some(index) = self.kept(KeptKind::Names) {
                let _ = self.names.set(NameIndex(index.hashed));
            }
        });
    }

    /// The index, read or built on first use.
    pub(crate) fn names(&self) -> &HashedRows {
        self.take_kept_names();
        let index = self.names.get_or_init(|| {
            let mut parts = parallel::gather(self.units.len(), |unit, names: &mut Vec<_>| {
                self.index_unit(unit as u32, names);
            });
            // The type units of split files have come to light by now.
            parts.extend(parallel::gather(
                self.late.count(),
                |unit, names: &mut Vec<_>| {
                    self.index_unit((self.units.len() + unit) as u32, names);
                },
            ));
            let index = Index {
                hashed: HashedRows::build(&parts),
                ..Index::default()
            };
            self.keep(KeptKind::Names, &index);
            NameIndex(index.hashed)
        });
        &index.0
    }

    /// The entries of those kinds that a name, or the end of one, stands for.
    pub(crate) fn named(&self, name: &str, kinds: &[NameKind]) -> Vec<EntryId> {
        let name = name.strip_prefix("::").unwrap_or(name);
        let wanted = split_path(name);
        let Some(&last) = wanted.last() else {
            return Vec::new();
        };
        let same = self.rows_of(last).into_iter();
        same.filter(|&name| is_any(name, kinds))
            .map(id_of)
            .filter(|&id| self.is_named(id, &wanted))
            .collect()
    }

    fn is_named(&self, id: EntryId, wanted: &[&str]) -> bool {
        if wanted.len() == 1 || self.language(id.unit) == Language::C {
            let name = self
                .name_of(id)
                .map(|name| name.to_string_lossy().into_owned());
            return name.is_some_and(|name| matches_path(&[name], wanted));
        }
        let mut path = self.path_of(id);
        if matches_path(&path, wanted) {
            return true;
        }
        // The constants of a plain enum are seen from the scope around it.
        let is_constant = self
            .entry(id)
            .is_some_and(|(_, entry)| entry.tag() == c::DW_TAG_enumerator);
        if is_constant && path.len() >= 2 {
            path.remove(path.len() - 2);
            return matches_path(&path, wanted);
        }
        false
    }

    /// The qualified names of all entries of those kinds, each once, sorted.
    pub(crate) fn all_named(&self, kinds: &[NameKind]) -> Vec<String> {
        let names = self.names().iter().filter(|&name| is_any(name, kinds));
        let mut all: Vec<String> = names.map(|name| self.qualified_name(id_of(name))).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The variables outside all functions.
    pub(crate) fn variable_ids(&self) -> impl Iterator<Item = EntryId> {
        let names = self.names().iter();
        names
            .filter(|&name| is_any(name, &[NameKind::Variable]))
            .map(id_of)
    }

    /// The entries of those kinds whose qualified names satisfy a test.
    pub(crate) fn entries_named(
        &self,
        kinds: &[NameKind],
        wanted: &dyn Fn(&str) -> bool,
    ) -> Vec<EntryId> {
        let names = self.names().iter().filter(|&name| is_any(name, kinds));
        let mut ids: Vec<EntryId> = names.map(id_of).collect();
        ids.retain(|&id| wanted(&self.qualified_name(id)));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    pub(crate) fn index_unit(&self, index: u32, names: &mut Vec<[u32; 3]>) {
        let Some(slot) = self.slot(index) else {
            return;
        };
        let transient;
        let home = match slot.unit.get() {
            Some(Some(unit)) => &**unit,
            Some(None) => return,
            None => match self.parse_unit(index) {
                Ok(unit) => {
                    transient = unit;
                    &transient
                }
                Err(error) => {
                    return self.complain(".debug_info", slot.section_offset(), error);
                }
            },
        };
        let split = home.dwo_id.and_then(|_| self.split(index));
        let unit = split.map_or(home, |split| &split.unit);
        if let Err(error) = self.index_entries(index, unit, names) {
            self.complain(".debug_info", slot.section_offset(), error);
        }
    }

    /// Walks a unit once.
    fn index_entries(
        &self,
        index: u32,
        unit: &Unit<'a>,
        names: &mut Vec<[u32; 3]>,
    ) -> gimli::Result<()> {
        let dwarf = self.dwarf_of(index);
        let section = match unit.header.debug_types_offset() {
            Some(_) => dwarf.debug_types.reader(),
            None => dwarf.debug_info.reader(),
        };
        scan(unit, section.slice(), |found| {
            let id = EntryId {
                unit: index,
                offset: found.offset,
            };
            let name = match found.name {
                Some((form, bytes)) => name_value(form, bytes, unit.encoding())
                    .and_then(|value| dwarf.attr_string(unit, value).ok()),
                None => self.origin_name(unit, id),
            };
            if let Some(name) = name {
                names.push(row(hash_last(name.slice()), found.kind, id));
            }
        })
    }

    /// The name of what an entry completes; its unit may not be kept.
    fn origin_name(&self, unit: &Unit<'a>, id: EntryId) -> Option<Slice<'a>> {
        let entry = unit.entry(gimli::UnitOffset(id.offset as usize)).ok()?;
        let origin = self.origin(id, &entry)?;
        if origin.unit != id.unit {
            return self.name_of(origin);
        }
        let entry = unit.entry(gimli::UnitOffset(origin.offset as usize)).ok()?;
        if let Some(value) = entry.attr_value(c::DW_AT_name) {
            return self.dwarf_of(id.unit).attr_string(unit, value).ok();
        }
        self.name_of(origin)
    }
}

/// Whether an entry with that tag may have a place in the index.
pub(crate) fn is_indexed(tag: gimli::DwTag, in_function: bool) -> bool {
    match tag {
        c::DW_TAG_subprogram => true,
        c::DW_TAG_variable | c::DW_TAG_member | c::DW_TAG_enumerator => !in_function,
        tag => is_type(tag) && !in_function,
    }
}

/// Whether an entry with that tag is a type that has a name.
fn is_type(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        c::DW_TAG_base_type
            | c::DW_TAG_structure_type
            | c::DW_TAG_class_type
            | c::DW_TAG_union_type
            | c::DW_TAG_enumeration_type
            | c::DW_TAG_typedef
            | c::DW_TAG_unspecified_type
            | c::DW_TAG_pointer_type
    )
}

/// What the name of an entry with that tag and those attributes stands for;
/// `None` for a mere declaration.
pub(crate) fn kind_of_tag(
    tag: gimli::DwTag,
    has: &dyn Fn(gimli::DwAt) -> bool,
) -> Option<NameKind> {
    match tag {
        c::DW_TAG_subprogram if has(c::DW_AT_low_pc) || has(c::DW_AT_ranges) => {
            Some(NameKind::Function)
        }
        c::DW_TAG_subprogram => has(c::DW_AT_inline).then_some(NameKind::Inline),
        c::DW_TAG_variable | c::DW_TAG_member => {
            let has_value = has(c::DW_AT_location) || has(c::DW_AT_const_value);
            // A variable that the compiler took away is still one.
            let is_defined = tag == c::DW_TAG_variable && !has(c::DW_AT_declaration);
            (has_value || is_defined).then_some(NameKind::Variable)
        }
        c::DW_TAG_enumerator => Some(NameKind::Enumerator),
        tag if is_type(tag) => (!has(c::DW_AT_declaration)).then_some(NameKind::Type),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_outside_of_brackets() {
        let split = |name| split_path(name).join(" | ");
        assert_eq!(split("main"), "main");
        assert_eq!(split("a::b<c::d>::e"), "a | b<c::d> | e");
        assert_eq!(
            split("(anonymous namespace)::f"),
            "(anonymous namespace) | f"
        );
        assert_eq!(
            split("hello::main::{closure#0}"),
            "hello | main | {closure#0}"
        );
    }

    #[test]
    fn operators_keep_their_signs() {
        for (name, plain) in [
            ("vec<int>", "vec"),
            ("<impl T>", "<impl T>"),
            ("operator==<char, std::traits<char> >", "operator=="),
            ("operator<< <int>", "operator<<"),
            ("operator<=> <int>", "operator<=>"),
            ("operator<", "operator<"),
            ("operator< <int>", "operator<"),
            ("operator->", "operator->"),
            ("operator int", "operator int"),
            ("operators<int>", "operators<int>"),
        ] {
            assert_eq!(without_arguments(name), plain);
        }
    }

    #[test]
    fn a_path_matches_its_own_end() {
        let path: Vec<String> = ["std", "__1", "vector<int>", "push"]
            .map(str::to_owned)
            .into();
        let check = |name: &str| matches_path(&path, &split_path(name));
        assert!(check("push") && check("vector::push") && check("vector<int>::push"));
        assert!(check("std::vector::push") && check("std::__1::vector::push"));
        assert!(
            !check("list::push")
                && !check("vector<char>::push")
                && !check("x::std::__1::vector::push")
        );
    }
}
