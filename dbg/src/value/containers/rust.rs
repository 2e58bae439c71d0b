//! Containers of Rust's standard library.
//!
//! Their fields are private and change with the compiler; only what has been
//! stable for years is relied on: lengths by name, and the first pointer that
//! a buffer wraps.

use sapwood_dwarf::Address;

use super::{Contents, Subject, Summary};
use crate::value::{Error, Reader, Shape, Type, Value};

/// Whether a type of that name is a pointer to a trait object.
fn points_to_object(name: &str) -> bool {
    const POINTERS: [&str; 7] = [
        "&mut ",
        "&",
        "*const ",
        "*mut ",
        "alloc::boxed::Box<",
        "alloc::rc::Rc<",
        "alloc::sync::Arc<",
    ];
    let target = POINTERS
        .iter()
        .find_map(|&pointer| name.strip_prefix(pointer));
    target.is_some_and(|target| target.trim_start_matches('(').starts_with("dyn "))
}

/// Where a table of methods has the alignment of the type, in bytes from its
/// start: behind the address of its destructor and the size.
const TABLE_ALIGN: u64 = 16;

fn summary(heading: impl Into<String>, contents: Contents) -> Result<Option<Summary>, Error> {
    Ok(Some(Summary {
        heading: heading.into(),
        contents,
    }))
}

impl Reader<'_> {
    pub(super) fn rust_container(
        &mut self,
        subject: &Subject<'_>,
        name: &str,
    ) -> Result<Option<Summary>, Error> {
        if points_to_object(name) {
            return self.rust_object(subject);
        }
        match subject.base {
            "alloc::string::String" | "std::ffi::os_str::OsString" | "std::path::PathBuf" => {
                self.rust_string(subject)
            }
            "&str" | "&mut str" => self.rust_slice(subject, true),
            "alloc::boxed::Box" if name.starts_with("alloc::boxed::Box<str") => {
                self.rust_slice(subject, true)
            }
            "&std::path::Path" | "&std::ffi::os_str::OsStr" | "&core::ffi::c_str::CStr" => {
                self.rust_slice(subject, true)
            }
            "alloc::boxed::Box" if name.contains("<[") => {
                let len = self.path_number(subject.value, &["length"])?;
                let (start, element) = self.first_pointer(subject.value)?;
                let row = self.row(&element, start, len, subject.limit)?;
                summary(format!("Box<[_]>(size={len})"), row)
            }
            "alloc::collections::linked_list::LinkedList" => self.rust_list(subject),
            "alloc::collections::binary_heap::BinaryHeap" => {
                let data = self.path(subject.value, &["data"])?;
                self.renamed(&data, "Vec", "BinaryHeap", subject.limit)
            }
            "alloc::ffi::c_str::CString" => {
                let inner = self.path(subject.value, &["inner"])?;
                let len = self.path_number(&inner, &["length"])?;
                let (start, _) = self.first_pointer(&inner)?;
                let text = self.text_of(start, len.saturating_sub(1), 1, "", subject.limit)?;
                summary("", text)
            }
            "core::time::Duration" => {
                let seconds = self.path_number(subject.value, &["secs"])?;
                let nanos = self.path(subject.value, &["nanos"])?;
                let nanos = self.innermost_number(&nanos)?;
                let fraction = format!("{nanos:09}");
                let text = match fraction.trim_end_matches('0') {
                    "" => format!("{seconds}s"),
                    digits => format!("{seconds}.{digits}s"),
                };
                summary(text, Contents::Nothing)
            }
            "alloc::vec::Vec" => self.rust_vec(subject),
            "alloc::collections::vec_deque::VecDeque" => self.rust_deque(subject),
            "std::collections::hash::map::HashMap" => self.rust_table(subject, "HashMap"),
            "std::collections::hash::set::HashSet" => self.rust_table(subject, "HashSet"),
            "alloc::collections::btree::map::BTreeMap" => self.rust_tree(subject, "BTreeMap"),
            "alloc::collections::btree::set::BTreeSet" => {
                let map = self.path(subject.value, &["map"])?;
                self.rust_tree_of(&map, "BTreeSet", subject.limit)
            }
            base @ ("alloc::rc::Rc" | "alloc::sync::Arc" | "alloc::rc::Weak"
            | "alloc::sync::Weak") => self.rust_counted(subject, base),
            base if is_lock(base) => self.rust_lock(subject, base),
            base if base.starts_with("core::sync::atomic::Atomic") => {
                let mut inner = self.only_member(subject.value)?;
                while let Shape::Composite(..) = inner.ty.shape(self.modules)? {
                    inner = self.only_member(&inner)?;
                }
                summary("", Contents::Inner(inner.into()))
            }
            "core::cell::RefCell" => self.rust_ref_cell(subject),
            base if base.starts_with("core::num::niche_types::") => {
                let inner = self.only_member(subject.value)?;
                summary("", Contents::Inner(inner.into()))
            }
            "core::cell::Cell" | "core::cell::UnsafeCell" | "core::num::nonzero::NonZero" => {
                let inner = self.only_member(subject.value)?;
                summary("", Contents::Inner(inner.into()))
            }
            base if base.starts_with("&[") || base.starts_with("&mut [") => {
                self.rust_slice(subject, false)
            }
            _ => Ok(None),
        }
    }

    /// The member of a struct that has one that takes room.
    fn only_member(&mut self, value: &Value) -> Result<Value, Error> {
        let Shape::Composite(module, description) = value.ty.shape(self.modules)? else {
            return Err(Error::new("not a struct"));
        };
        let sapwood_dwarf::TypeKind::Composite(composite) = &description.kind else {
            return Err(Error::new("not a struct"));
        };
        for member in &composite.members {
            let inner = self.member(value, module, member)?;
            if self.size(&inner.ty)? > 0 {
                return Ok(inner);
            }
        }
        Err(Error::new("a struct without a member"))
    }

    fn rust_string(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let mut bytes = subject.value.clone();
        // A path wraps an `OsString`, which wraps its bytes.
        const MAX_WRAPPERS: u32 = 4;
        for _ in 0..MAX_WRAPPERS {
            match self.find_member(&bytes, "len", 0)? {
                Some(_) => break,
                None => bytes = self.only_member(&bytes)?,
            }
        }
        let len = self.path_number(&bytes, &["len"])?;
        let (start, _) = self.first_pointer(&bytes)?;
        summary("", self.text_of(start, len, 1, "", subject.limit)?)
    }

    fn rust_slice(
        &mut self,
        subject: &Subject<'_>,
        is_text: bool,
    ) -> Result<Option<Summary>, Error> {
        let len = self.path_number(subject.value, &["length"])?;
        let (start, element) = self.first_pointer(subject.value)?;
        if is_text {
            return summary("", self.text_of(start, len, 1, "", subject.limit)?);
        }
        let contents = self.row(&element, start, len, subject.limit)?;
        summary(format!("&[_](size={len})"), contents)
    }

    fn rust_vec(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?;
        let len = self.path_number(subject.value, &["len"])?;
        let (start, _) = self.first_pointer(subject.value)?;
        let contents = match len {
            0 => Contents::Nothing,
            _ => self.row(&element, start, len, subject.limit)?,
        };
        summary(format!("Vec(size={len})"), contents)
    }

    fn rust_deque(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?;
        let size = self.size(&element)? as u64;
        let len = self.path_number(subject.value, &["len"])?;
        let head = self.path_number(subject.value, &["head"])?;
        let buffer = self.path(subject.value, &["buf"])?;
        let capacity = match self.path(&buffer, &["inner", "cap"]) {
            Ok(capacity) => capacity,
            Err(_) => self.path(&buffer, &["cap"])?,
        };
        let capacity = match capacity.ty.shape(self.modules)? {
            Shape::Composite(..) => self.only_member(&capacity)?,
            _ => capacity,
        };
        let capacity = self.bits_of(&capacity)?;
        let (start, _) = self.first_pointer(&buffer)?;
        let shown = len.min(subject.limit as u64);
        let values = (0..shown).map(|index| {
            let place = (head + index).checked_rem(capacity).unwrap_or(0);
            Value::in_memory(element.clone(), start.add(place * size))
        });
        summary(
            format!("VecDeque(size={len})"),
            Contents::Row(values.collect(), shown < len),
        )
    }

    /// A table of hashbrown: control bytes, and the elements before them,
    /// backwards. A control byte without its top bit is a full slot.
    fn rust_table(&mut self, subject: &Subject<'_>, name: &str) -> Result<Option<Summary>, Error> {
        let mut table = subject.value.clone();
        // `HashMap { base: hashbrown::HashMap { table: RawTable { table: .. } } }`.
        let element = loop {
            let inner = ["base", "map", "table"]
                .into_iter()
                .find_map(|name| self.find_member(&table, name, 0).ok().flatten());
            let inner = inner.ok_or_else(|| Error::new("a table of an unknown layout"))?;
            let is_raw = inner.ty.name(self.modules).contains("RawTable<");
            table = inner;
            if is_raw {
                break self.argument_of(&table, 0, "not a struct")?;
            }
        };
        let inner = self.path(&table, &["table"])?;
        let count = self.path_number(&inner, &["items"])?;
        let mask = self.path_number(&inner, &["bucket_mask"])?;
        let control = self.path(&inner, &["ctrl"])?;
        let (control, _) = self.first_pointer(&control)?;
        let size = self.size(&element)? as u64;
        let mut elements = Vec::new();
        let shown = count.min(subject.limit as u64);
        let mut slot = 0;
        while slot <= mask && (elements.len() as u64) < shown {
            if self.source.read_unsigned(control.add(slot), 1)? & 0x80 == 0 {
                let at = control.0.wrapping_sub((slot + 1).wrapping_mul(size));
                elements.push(Value::in_memory(element.clone(), Address(at)));
            }
            slot += 1;
        }
        let mut pairs = Vec::new();
        for pair in elements {
            pairs.push((self.path(&pair, &["__0"])?, self.path(&pair, &["__1"])?));
        }
        let contents = match name {
            "HashSet" => Contents::Row(
                pairs.into_iter().map(|(key, _)| key).collect(),
                shown < count,
            ),
            _ => Contents::Map(pairs, shown < count),
        };
        let contents = if count == 0 {
            Contents::Nothing
        } else {
            contents
        };
        summary(format!("{name}(size={count})"), contents)
    }

    /// A generic argument of a value's type; `otherwise` is what is wrong with a
    /// value that is no struct.
    pub(super) fn argument_of(
        &mut self,
        value: &Value,
        index: usize,
        otherwise: &'static str,
    ) -> Result<Type, Error> {
        let Shape::Composite(module, description) = value.ty.shape(self.modules)? else {
            return Err(Error::new(otherwise));
        };
        let sapwood_dwarf::TypeKind::Composite(composite) = &description.kind else {
            return Err(Error::new(otherwise));
        };
        let argument = composite
            .arguments
            .get(index)
            .and_then(|argument| argument.type_id);
        let id = argument.ok_or_else(|| Error::new("a container without its element's type"))?;
        Ok(Type::Described(module, id))
    }

    fn rust_tree(&mut self, subject: &Subject<'_>, name: &str) -> Result<Option<Summary>, Error> {
        self.rust_tree_of(&subject.value.clone(), name, subject.limit)
    }

    fn rust_tree_of(
        &mut self,
        map: &Value,
        name: &str,
        limit: usize,
    ) -> Result<Option<Summary>, Error> {
        let count = self.path_number(map, &["length"])?;
        let heading = format!("{name}(size={count})");
        if count == 0 {
            return summary(heading, Contents::Nothing);
        }
        let root = self.path(map, &["root"])?;
        let root = self.active_variant(&root)?.unwrap_or(root);
        let root = self.path(&root, &["__0"]).unwrap_or(root);
        let height = self.path_number(&root, &["height"])?;
        let node = self.path(&root, &["node"])?;
        let (node, leaf) = self.first_pointer(&node)?;
        let mut pairs = Vec::new();
        self.tree_node(node, height, &leaf, limit, &mut pairs)?;
        let has_more = (pairs.len() as u64) < count;
        let contents = match name {
            "BTreeSet" => Contents::Row(pairs.into_iter().map(|(key, _)| key).collect(), has_more),
            _ => Contents::Map(pairs, has_more),
        };
        summary(heading, contents)
    }

    /// The pairs of a node and of those below it, in order.
    fn tree_node(
        &mut self,
        at: Address,
        height: u64,
        leaf: &Type,
        limit: usize,
        pairs: &mut Vec<(Value, Value)>,
    ) -> Result<(), Error> {
        const MAX_HEIGHT: u64 = 16;
        const MAX_KEYS: u64 = 11;
        if height > MAX_HEIGHT {
            return Err(Error::new("a tree of an unknown layout"));
        }
        let node = Value::in_memory(leaf.clone(), at);
        let count = self.path_number(&node, &["len"])?.min(MAX_KEYS);
        let keys = self.path(&node, &["keys"])?;
        let values = self.path(&node, &["vals"])?;
        // An inner node is a leaf and the links behind it.
        let links = at.add(self.size(leaf)?.next_multiple_of(8) as u64);
        for index in 0..=count {
            if height > 0 {
                let child = Address(self.source.read_unsigned(links.add(8 * index), 8)?);
                self.tree_node(child, height - 1, leaf, limit, pairs)?;
            }
            if index < count && pairs.len() < limit {
                pairs.push((
                    self.initialised(&keys, index)?,
                    self.initialised(&values, index)?,
                ));
            }
            if pairs.len() >= limit {
                break;
            }
        }
        Ok(())
    }

    /// An element of an array of `MaybeUninit`.
    fn initialised(&mut self, array: &Value, index: u64) -> Result<Value, Error> {
        let (Shape::Array { element, .. }, Some(start)) =
            (array.ty.shape(self.modules)?, array.address())
        else {
            return Err(Error::new("a tree of an unknown layout"));
        };
        let size = self.size(&element)? as u64;
        let value = Value::in_memory(element, start.add(index * size));
        // `MaybeUninit` and what it wraps the value in by turns.
        let mut value = self.path(&value, &["value"]).unwrap_or(value);
        while value.ty.name(self.modules).starts_with("core::mem::") {
            // A set's values take no room: there is nothing in them.
            let Ok(inner) = self.only_member(&value) else {
                break;
            };
            value = inner;
        }
        Ok(value)
    }

    fn rust_counted(
        &mut self,
        subject: &Subject<'_>,
        base: &str,
    ) -> Result<Option<Summary>, Error> {
        let short = base.rsplit("::").next().unwrap_or(base);
        let (at, inner) = self.first_pointer(subject.value)?;
        if short == "Weak" && at.0 == u64::MAX {
            return summary("Weak(empty)", Contents::Nothing);
        }
        let Shape::Composite(..) = inner.shape(self.modules)? else {
            return Ok(None);
        };
        let inner = Value::in_memory(inner, at);
        let count = |reader: &mut Self, name: &str| {
            let count = reader.path(&inner, &[name])?;
            reader.innermost_number(&count)
        };
        let (strong, weak) = (count(self, "strong")?, count(self, "weak")?);
        let value = match self.path(&inner, &["value"]) {
            Ok(value) => value,
            Err(_) => self.path(&inner, &["data"])?,
        };
        // All strong ones together hold a weak one.
        let weak = if strong > 0 {
            weak.saturating_sub(1)
        } else {
            weak
        };
        let heading = format!("{short}(strong={strong}, weak={weak})");
        if strong == 0 {
            return summary(heading, Contents::Nothing);
        }
        summary(heading, Contents::Row(vec![value], false))
    }

    /// A pointer to a trait object, shown as what it points to: the type comes
    /// from the table of methods.
    fn rust_object(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        // A counted pointer wraps a `NonNull`, which wraps the pair.
        const MAX_WRAPPERS: u32 = 4;
        let mut pair = subject.value.clone();
        for _ in 0..MAX_WRAPPERS {
            if self.find_member(&pair, "vtable", 0)?.is_some() {
                break;
            }
            pair = self.only_member(&pair)?;
        }
        let table = Address(self.path_number(&pair, &["vtable"])?);
        let mut at = Address(self.path_number(&pair, &["pointer"])?);
        let implementor = self
            .modules
            .at(table)
            .and_then(|(id, module)| Some(Type::Described(id, module.implementor(table)?)));
        let Some(implementor) = implementor else {
            return Ok(None);
        };
        // A counted object lies behind its two counts.
        const COUNTS: u64 = 16;
        if let "alloc::rc::Rc" | "alloc::sync::Arc" = subject.base {
            let align = self.source.read_unsigned(table.add(TABLE_ALIGN), 8)?;
            let counts = COUNTS.checked_next_multiple_of(align).unwrap_or(COUNTS);
            at = at.add(counts);
        }
        let value = Value::in_memory(implementor, at);
        summary("", Contents::Inner(value.into()))
    }

    /// A container as one of another name shows it.
    fn renamed(
        &mut self,
        inner: &Value,
        from: &str,
        to: &str,
        limit: usize,
    ) -> Result<Option<Summary>, Error> {
        let Shape::Composite(module, description) = inner.ty.shape(self.modules)? else {
            return Ok(None);
        };
        let found = self.container(inner, module, &description, limit);
        Ok(found.map(|found| Summary {
            heading: found.heading.replacen(from, to, 1),
            ..found
        }))
    }

    /// A list of nodes, each with what it keeps and the next.
    fn rust_list(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let count = self.path_number(subject.value, &["len"])?;
        let head = self.path(subject.value, &["head"])?;
        let mut node = self.node_in_option(&head)?;
        let mut values = Vec::new();
        while let Some(one) = node.filter(|_| values.len() < subject.limit) {
            values.push(self.path(&one, &["element"])?);
            let next = self.path(&one, &["next"])?;
            node = self.node_in_option(&next)?;
        }
        let has_more = (values.len() as u64) < count;
        let contents = match count {
            0 => Contents::Nothing,
            _ => Contents::Row(values, has_more),
        };
        summary(format!("LinkedList(size={count})"), contents)
    }

    /// The node that an `Option<NonNull<Node>>` points to.
    fn node_in_option(&mut self, option: &Value) -> Result<Option<Value>, Error> {
        let variant = self.active_variant(option)?;
        let variant = variant.ok_or_else(|| Error::new("a list of an unknown layout"))?;
        // `None` has nothing in it.
        Ok(match self.first_pointer(&variant) {
            Ok((at, node)) if at.0 != 0 => Some(Value::in_memory(node, at)),
            _ => None,
        })
    }

    /// `Mutex` and `RwLock`: what they guard.
    fn rust_lock(&mut self, subject: &Subject<'_>, base: &str) -> Result<Option<Summary>, Error> {
        let short = base.rsplit("::").next().unwrap_or(base);
        let poison = self.path(subject.value, &["poison"])?;
        let poisoned = self.innermost_number(&poison)? != 0;
        let data = self.path(subject.value, &["data"])?;
        let data = self.path(&data, &["value"]).unwrap_or(data);
        summary(
            format!("{short}(poisoned={poisoned})"),
            Contents::Row(vec![data], false),
        )
    }

    /// The number that cells and atomics wrap.
    fn innermost_number(&mut self, value: &Value) -> Result<u64, Error> {
        let mut value = value.clone();
        while let Shape::Composite(..) = value.ty.shape(self.modules)? {
            value = self.only_member(&value)?;
        }
        self.bits_of(&value)
    }

    fn rust_ref_cell(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let borrow = self.path(subject.value, &["borrow"])?;
        let borrow = self.innermost_number(&borrow)? as i64;
        let value = self.path(subject.value, &["value"])?;
        let value = self.path(&value, &["value"]).unwrap_or(value);
        summary(
            format!("RefCell(borrow={borrow})"),
            Contents::Row(vec![value], false),
        )
    }
}

/// `Mutex` and `RwLock`, which have moved between modules.
fn is_lock(base: &str) -> bool {
    base.starts_with("std::sync::") && (base.ends_with("::Mutex") || base.ends_with("::RwLock"))
}
