//! Containers of libstdc++, shown as its own printers for gdb show them; strings
//! and vectors of libc++ too, whose other containers are [`super::libcxx`]'s.

use sapwood_dwarf::Address;

use super::{Contents, Subject, Summary};
use crate::value::{Error, Reader, Shape, Type, Value};

/// The name of a class without the namespaces that only tell versions apart.
pub(super) fn short_name(base: &str) -> &str {
    let rest = base.strip_prefix("std::").unwrap_or(base);
    for version in ["__cxx11::", "__1::", "__debug::", "_V2::"] {
        if let Some(rest) = rest.strip_prefix(version) {
            return rest;
        }
    }
    rest
}

pub(super) fn plural(count: u64) -> String {
    format!("{count} element{}", if count == 1 { "" } else { "s" })
}

pub(super) fn summary(
    heading: impl Into<String>,
    contents: Contents,
) -> Result<Option<Summary>, Error> {
    Ok(Some(Summary {
        heading: heading.into(),
        contents,
    }))
}

impl Reader<'_> {
    pub(super) fn cpp_container(
        &mut self,
        subject: &Subject<'_>,
    ) -> Result<Option<Summary>, Error> {
        let short = short_name(subject.base);
        if subject.base.starts_with("std::__1::")
            && let Some(found) = self.libcxx_container(subject, short)?
        {
            return Ok(Some(found));
        }
        match short {
            "basic_string" => self.cpp_string(subject),
            "basic_string_view" => self.cpp_string_view(subject),
            "vector" => self.cpp_vector(subject),
            name @ ("map" | "multimap" | "set" | "multiset") => self.cpp_tree(subject, name),
            name @ ("unordered_map" | "unordered_multimap" | "unordered_set"
            | "unordered_multiset") => self.cpp_table(subject, name),
            "list" => self.cpp_list(subject),
            "deque" => self.cpp_deque(subject),
            name @ ("shared_ptr" | "weak_ptr") => self.cpp_shared(subject, name),
            "unique_ptr" => self.cpp_unique(subject),
            "optional" => self.cpp_optional(subject),
            "variant" => self.cpp_variant(subject),
            "tuple" => self.cpp_tuple(subject),
            "pair" => {
                let first = self.path(subject.value, &["first"])?;
                let second = self.path(subject.value, &["second"])?;
                let members = vec![("first".into(), first), ("second".into(), second)];
                summary("", Contents::Named(members, false))
            }
            "atomic" => {
                let value = self.path(subject.value, &["_M_i"])?;
                let name = subject.argument(0)?.name(self.modules);
                let text = self.show_brief(&value, &Default::default())?;
                summary(
                    format!("std::atomic<{name}> = {{ {text} }}"),
                    Contents::Nothing,
                )
            }
            other => self.cpp_smaller(subject, other),
        }
    }

    /// The prefix and size of the characters of a string class.
    fn cpp_character(&self, subject: &Subject<'_>) -> Result<(&'static str, usize), Error> {
        let ty = subject.argument(0)?;
        let prefix = self
            .text_prefix(&ty)
            .ok_or_else(|| Error::new("a string of no text"))?;
        Ok((prefix, self.size(&ty)?))
    }

    fn cpp_string(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let (prefix, size) = self.cpp_character(subject)?;
        let (start, len) = match self.path_number(subject.value, &["_M_dataplus", "_M_p"]) {
            Ok(start) => (
                Address(start),
                self.path_number(subject.value, &["_M_string_length"])?,
            ),
            Err(_) => self.libcxx_string(subject.value, size as u64)?,
        };
        summary("", self.text_of(start, len, size, prefix, subject.limit)?)
    }

    /// libc++'s string in its default layout: the lowest bit of the first byte
    /// says whether the text is outside.
    fn libcxx_string(&mut self, value: &Value, size: u64) -> Result<(Address, u64), Error> {
        self.path(value, &["__r_"])
            .or_else(|_| self.path(value, &["__rep_"]))?;
        let at = value
            .address()
            .ok_or_else(|| Error::new("a string that is not in memory"))?;
        let first = self.source.read_unsigned(at, 1)?;
        if first & 1 == 0 {
            return Ok((at.add(size), first >> 1));
        }
        let len = self.source.read_unsigned(at.add(8), 8)?;
        Ok((Address(self.source.read_unsigned(at.add(16), 8)?), len))
    }

    fn cpp_string_view(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let (prefix, size) = self.cpp_character(subject)?;
        let start = self
            .path_number(subject.value, &["_M_str"])
            .or_else(|_| self.path_number(subject.value, &["__data_"]))
            .or_else(|_| self.path_number(subject.value, &["__data"]))?;
        let len = self
            .path_number(subject.value, &["_M_len"])
            .or_else(|_| self.path_number(subject.value, &["__size_"]))
            .or_else(|_| self.path_number(subject.value, &["__size"]))?;
        summary(
            "",
            self.text_of(Address(start), len, size, prefix, subject.limit)?,
        )
    }

    fn cpp_vector(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?;
        let at = |reader: &mut Self, ours: &[&str], theirs: &str| {
            reader
                .path_number(subject.value, ours)
                .or_else(|_| reader.path_number(subject.value, &[theirs]))
        };
        if self
            .path(subject.value, &["_M_impl", "_M_start", "_M_p"])
            .is_ok()
        {
            return self.cpp_bits(subject, element);
        }
        let start = at(self, &["_M_impl", "_M_start"], "__begin_")?;
        let end = at(self, &["_M_impl", "_M_finish"], "__end_")?;
        let full = at(self, &["_M_impl", "_M_end_of_storage"], "__end_cap_").unwrap_or(end);
        let size = self.size(&element)?.max(1) as u64;
        let len = end.saturating_sub(start) / size;
        let capacity = full.saturating_sub(start) / size;
        let heading = format!("std::vector of length {len}, capacity {capacity}");
        let contents = match len {
            0 => Contents::Nothing,
            _ => self.row(&element, Address(start), len, subject.limit)?,
        };
        summary(heading, contents)
    }

    /// `vector<bool>`: a bit each, from the lowest of the first word.
    fn cpp_bits(&mut self, subject: &Subject<'_>, ty: Type) -> Result<Option<Summary>, Error> {
        let number = |reader: &mut Self, path: &[&str]| reader.path_number(subject.value, path);
        let start = number(self, &["_M_impl", "_M_start", "_M_p"])?;
        let end = number(self, &["_M_impl", "_M_finish", "_M_p"])?;
        let offset = number(self, &["_M_impl", "_M_finish", "_M_offset"])?;
        let full = number(self, &["_M_impl", "_M_end_of_storage"])?;
        let len = end.saturating_sub(start) * 8 + offset;
        let capacity = full.saturating_sub(start) * 8;
        let shown = len.min(subject.limit as u64);
        let mut bytes = vec![0; shown.div_ceil(8) as usize];
        self.source.read(Address(start), &mut bytes)?;
        let bit = |index: u64| bytes[index as usize / 8] >> (index % 8) & 1;
        let values = (0..shown).map(|index| Value::computed(ty.clone(), [bit(index)]));
        let contents = Contents::Row(values.collect(), shown < len);
        summary(
            format!("std::vector<bool> of length {len}, capacity {capacity}"),
            contents,
        )
    }

    /// The type of the pairs or keys that a tree or table keeps: the second
    /// argument of the class that implements it.
    fn kept_type(&mut self, value: &Value, index: usize) -> Result<Type, Error> {
        self.argument_of(value, index, "a container without what implements it")
    }

    /// The contents of a map or set, given where each element lies.
    fn by_key(
        &mut self,
        at: Vec<Address>,
        kept: &Type,
        is_map: bool,
        has_more: bool,
    ) -> Result<Contents, Error> {
        let elements = at.into_iter().map(|at| Value::in_memory(kept.clone(), at));
        if !is_map {
            let named = elements
                .enumerate()
                .map(|(index, value)| (format!("[{index}]"), value));
            return Ok(Contents::Named(named.collect(), has_more));
        }
        let mut pairs = Vec::new();
        for pair in elements {
            pairs.push((
                self.path(&pair, &["first"])?,
                self.path(&pair, &["second"])?,
            ));
        }
        Ok(Contents::Map(pairs, has_more))
    }

    /// A red-black tree, walked in order.
    ///
    /// A node begins with its colour, parent, left and right; what it keeps
    /// follows, aligned.
    fn cpp_tree(&mut self, subject: &Subject<'_>, name: &str) -> Result<Option<Summary>, Error> {
        const PARENT: u64 = 8;
        const LEFT: u64 = 16;
        const RIGHT: u64 = 24;
        const KEPT: u64 = 32;
        let tree = self.path(subject.value, &["_M_t"])?;
        let kept = self.kept_type(&tree, 1)?;
        let count = self.path_number(&tree, &["_M_impl", "_M_node_count"])?;
        let header = self.path(&tree, &["_M_impl", "_M_header"])?;
        let mut node = Address(self.path_number(&header, &["_M_left"])?);
        let mut at = Vec::new();
        let shown = count.min(subject.limit as u64);
        let link = |reader: &mut Self, node: Address, link: u64| {
            reader.source.read_unsigned(node.add(link), 8).map(Address)
        };
        // No walk of a tree that is whole takes more steps.
        let mut steps = 128 * (shown + 2);
        while (at.len() as u64) < shown {
            at.push(node.add(KEPT));
            let right = link(self, node, RIGHT)?;
            if right.0 != 0 {
                node = right;
                loop {
                    let left = link(self, node, LEFT)?;
                    steps = steps
                        .checked_sub(1)
                        .ok_or_else(|| Error::new("a tree that loops"))?;
                    if left.0 == 0 {
                        break;
                    }
                    node = left;
                }
            } else {
                loop {
                    let parent = link(self, node, PARENT)?;
                    steps = steps
                        .checked_sub(1)
                        .ok_or_else(|| Error::new("a tree that loops"))?;
                    let is_right = link(self, parent, RIGHT)? == node;
                    node = parent;
                    if !is_right {
                        break;
                    }
                }
            }
        }
        let contents = self.by_key(at, &kept, name.ends_with("map"), shown < count)?;
        let contents = if count == 0 {
            Contents::Nothing
        } else {
            contents
        };
        summary(format!("std::{name} with {}", plural(count)), contents)
    }

    /// A hash table: one list through all its elements.
    fn cpp_table(&mut self, subject: &Subject<'_>, name: &str) -> Result<Option<Summary>, Error> {
        let table = self.path(subject.value, &["_M_h"])?;
        let kept = self.kept_type(&table, 1)?;
        let count = self.path_number(&table, &["_M_element_count"])?;
        let mut node = Address(self.path_number(&table, &["_M_before_begin", "_M_nxt"])?);
        let shown = count.min(subject.limit as u64);
        let mut at = Vec::new();
        while (at.len() as u64) < shown && node.0 != 0 {
            const KEPT: u64 = 8;
            at.push(node.add(KEPT));
            node = Address(self.source.read_unsigned(node, 8)?);
        }
        let contents = self.by_key(at, &kept, name.ends_with("map"), shown < count)?;
        let contents = if count == 0 {
            Contents::Nothing
        } else {
            contents
        };
        summary(format!("std::{name} with {}", plural(count)), contents)
    }

    fn cpp_list(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?;
        let head = self.path(subject.value, &["_M_impl", "_M_node"])?;
        let end = head
            .address()
            .ok_or_else(|| Error::new("a list that is not in memory"))?;
        let mut node = Address(self.path_number(&head, &["_M_next"])?);
        let mut values = Vec::new();
        while node != end && values.len() < subject.limit {
            const KEPT: u64 = 16;
            let value = Value::in_memory(element.clone(), node.add(KEPT));
            values.push((format!("[{}]", values.len()), value));
            node = Address(self.source.read_unsigned(node, 8)?);
        }
        if values.is_empty() {
            return summary(format!("empty {}", subject.base), Contents::Nothing);
        }
        summary(subject.base, Contents::Named(values, node != end))
    }

    /// A deque: an array of pointers to blocks of 512 bytes.
    fn cpp_deque(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        const BLOCK: u64 = 512;
        let element = subject.argument(0)?;
        let size = self.size(&element)?.max(1) as u64;
        let per_block = (BLOCK / size).max(1);
        let part = |reader: &mut Self, end: &str, part: &str| {
            reader.path_number(subject.value, &["_M_impl", end, part])
        };
        let node = part(self, "_M_start", "_M_node")?;
        let last = part(self, "_M_finish", "_M_node")?;
        let first = part(self, "_M_start", "_M_first")?;
        let begins = part(self, "_M_start", "_M_cur")?.saturating_sub(first) / size;
        let in_last =
            part(self, "_M_finish", "_M_cur")?.saturating_sub(part(self, "_M_finish", "_M_first")?)
                / size;
        let blocks = last.saturating_sub(node) / 8;
        let count = (blocks * per_block + in_last).saturating_sub(begins);
        let mut values = Vec::new();
        for index in 0..count.min(subject.limit as u64) {
            let place = begins + index;
            let block = Address(node + 8 * (place / per_block));
            let block = Address(self.source.read_unsigned(block, 8)?);
            let at = block.add(place % per_block * size);
            values.push(Value::in_memory(element.clone(), at));
        }
        let has_more = (values.len() as u64) < count;
        let heading = format!("std::deque with {}", plural(count));
        let contents = match count {
            0 => Contents::Nothing,
            _ => Contents::Row(values, has_more),
        };
        summary(heading, contents)
    }

    fn cpp_shared(&mut self, subject: &Subject<'_>, name: &str) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?.name(self.modules);
        let pointer = self.path(subject.value, &["_M_ptr"])?;
        let counts = self.path_number(subject.value, &["_M_refcount", "_M_pi"])?;
        let state = if counts == 0 {
            "empty".to_owned()
        } else {
            // The virtual table's pointer comes first, then the two counts.
            let count = |reader: &mut Self, at: u64| {
                reader.source.read_unsigned(Address(counts).add(at), 4)
            };
            let (uses, weak) = (count(self, 8)?, count(self, 12)?);
            // All owners together hold one weak reference.
            let weak = if uses > 0 {
                weak.saturating_sub(1)
            } else {
                weak
            };
            format!("use count {uses}, weak count {weak}")
        };
        let state = state.replace("use count 0", "expired");
        let contents = Contents::Named(vec![("get()".into(), pointer)], false);
        summary(format!("std::{name}<{element}> ({state})"), contents)
    }

    fn cpp_unique(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?.name(self.modules);
        let inner = self.path(subject.value, &["_M_t"])?;
        let tuple = self.path(&inner, &["_M_t"])?;
        let pointer = self
            .tuple_element(&tuple, 0, 0)?
            .ok_or_else(|| Error::new("a unique pointer without its pointer"))?;
        let contents = Contents::Named(vec![("get()".into(), pointer)], false);
        summary(format!("std::unique_ptr<{element}>"), contents)
    }

    /// The element of that number of a tuple: in the base class `_Head_base`
    /// with that number.
    fn tuple_element(
        &mut self,
        tuple: &Value,
        index: usize,
        depth: u32,
    ) -> Result<Option<Value>, Error> {
        const MAX_ELEMENTS: u32 = 64;
        let Shape::Composite(module, description) = tuple.ty.shape(self.modules)? else {
            return Ok(None);
        };
        let sapwood_dwarf::TypeKind::Composite(composite) = &description.kind else {
            return Ok(None);
        };
        let head = format!("_Head_base<{index}");
        for member in composite.members.iter().filter(|member| member.is_base) {
            let name = member.name.as_deref().unwrap_or_default();
            let name = name.rsplit("std::").next().unwrap_or(name);
            let base = self.member(tuple, module, member)?;
            let name = match base.ty.description(self.modules)? {
                Some(description) => description.name.clone().unwrap_or_default(),
                None => name.to_owned(),
            };
            if name.starts_with(&head) && !name[head.len()..].starts_with(|c: char| c.is_numeric())
            {
                let element = self.find_member(&base, "_M_head_impl", 0)?;
                // An empty class is a base of its own.
                return Ok(Some(element.unwrap_or(base)));
            }
            if depth < MAX_ELEMENTS
                && name.starts_with("_Tuple_impl")
                && let Some(found) = self.tuple_element(&base, index, depth + 1)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn cpp_tuple(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let mut elements = Vec::new();
        while let Some(element) = self.tuple_element(subject.value, elements.len(), 0)? {
            elements.push((format!("[{}]", elements.len() + 1), element));
        }
        match elements.is_empty() {
            true => summary("empty std::tuple", Contents::Nothing),
            false => summary("std::tuple containing", Contents::Named(elements, false)),
        }
    }

    fn cpp_optional(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?.name(self.modules);
        let payload = self.path(subject.value, &["_M_payload"])?;
        if self.path_number(&payload, &["_M_engaged"])? == 0 {
            let heading = format!("std::optional<{element}> [no contained value]");
            return summary(heading, Contents::Nothing);
        }
        let value = self.path(&payload, &["_M_payload", "_M_value"])?;
        let contents = Contents::Named(vec![("[contained value]".into(), value)], false);
        summary(format!("std::optional<{element}>"), contents)
    }

    fn cpp_variant(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let index = self.path(subject.value, &["_M_index"])?;
        let bytes = self.bytes(&index)?;
        let index = crate::value::format::unsigned(&bytes);
        // The alternatives are one pack, whose types the union has in order.
        let is_valueless = bytes.iter().all(|&byte| byte == 0xff);
        let name = subject.value.ty.stripped(self.modules)?.name(self.modules);
        let name = format!(
            "std::variant{}",
            name.find('<').map_or("", |at| &name[at..])
        );
        // The class that everybody knows as `std::string`.
        const STRING: &str =
            "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
        let name = name.replace(STRING, "std::string").replace(" >", ">");
        if is_valueless {
            return summary(format!("{name} [no contained value]"), Contents::Nothing);
        }
        let mut storage = self.path(subject.value, &["_M_u"])?;
        for _ in 0..index {
            storage = self.path(&storage, &["_M_rest"])?;
        }
        let first = self.path(&storage, &["_M_first", "_M_storage"])?;
        let first = match first.ty.shape(self.modules)? {
            Shape::Composite(module, description) => {
                // Bytes that stand for a class with a destructor.
                self.aligned(&first, module, &description)?
            }
            _ => first,
        };
        summary(
            format!("{name} [index {index}]"),
            Contents::Row(vec![first], false),
        )
    }

    /// What an aligned buffer of bytes holds: its class's first argument.
    fn aligned(
        &mut self,
        value: &Value,
        module: sapwood_dwarf::ModuleId,
        description: &sapwood_dwarf::Type,
    ) -> Result<Value, Error> {
        let name = description.name.as_deref().unwrap_or_default();
        if !name.starts_with("__aligned_") {
            return Ok(value.clone());
        }
        let sapwood_dwarf::TypeKind::Composite(composite) = &description.kind else {
            return Ok(value.clone());
        };
        let id = composite
            .arguments
            .first()
            .and_then(|argument| argument.type_id);
        let (Some(id), Some(at)) = (id, value.address()) else {
            return Ok(value.clone());
        };
        Ok(Value::in_memory(Type::Described(module, id), at))
    }
}
