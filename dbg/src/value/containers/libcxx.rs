//! Containers of libc++, shown as those of libstdc++ are.
//!
//! Their names are in the namespace `std::__1`, and their members have changed
//! with the years: what was a pair of a value and an empty class, squeezed into
//! the value's room, is the value alone since LLVM 20. Both are read.

use sapwood_dwarf::{Address, TypeKind};

use super::cpp::{plural, summary};
use super::{Contents, Subject, Summary};
use crate::value::{Error, Reader, Shape, Type, Value};

/// The most elements that a walk visits without having any to show.
const MAX_STEPS: usize = 1 << 22;

impl Reader<'_> {
    pub(super) fn libcxx_container(
        &mut self,
        subject: &Subject<'_>,
        name: &str,
    ) -> Result<Option<Summary>, Error> {
        match name {
            "map" | "multimap" | "set" | "multiset" => self.libcxx_tree(subject, name),
            "unordered_map" | "unordered_multimap" | "unordered_set" | "unordered_multiset" => {
                self.libcxx_table(subject, name)
            }
            "list" => self.libcxx_list(subject),
            "forward_list" => self.libcxx_forward_list(subject),
            "deque" => self.libcxx_deque(subject),
            "shared_ptr" | "weak_ptr" => self.libcxx_shared(subject, name),
            "unique_ptr" => {
                let element = subject.argument(0)?.name(self.modules);
                let pointer = self.path(subject.value, &["__ptr_"])?;
                let (at, to) = self.first_pointer(&pointer)?;
                let pointer = Value::computed(to.pointer(), at.0.to_le_bytes());
                let contents = Contents::Named(vec![("get()".into(), pointer)], false);
                summary(format!("std::unique_ptr<{element}>"), contents)
            }
            "optional" => self.libcxx_optional(subject),
            "variant" => self.libcxx_variant(subject),
            "tuple" => self.libcxx_tuple(subject),
            "array" => {
                let elements = self.path(subject.value, &["__elems_"])?;
                summary("", Contents::Inner(elements.into()))
            }
            "function" => self.libcxx_function(subject),
            "atomic" => {
                let value = self.path(subject.value, &["__a_"])?;
                let value = self.path(&value, &["__a_value"]).unwrap_or(value);
                let name = subject.argument(0)?.name(self.modules);
                let text = self.show_brief(&value, &Default::default())?;
                summary(
                    format!("std::atomic<{name}> = {{ {text} }}"),
                    Contents::Nothing,
                )
            }
            _ => Ok(None),
        }
    }

    /// A number that stands alone, or squeezed into a pair with an empty class.
    fn squeezed(&mut self, value: &Value, names: &[&str]) -> Result<u64, Error> {
        for name in names {
            if let Ok(found) = self.path(value, &[name]) {
                return self.first_number(&found, 0);
            }
        }
        Err(Error::new("a container of an unknown layout"))
    }

    fn first_number(&mut self, value: &Value, depth: u32) -> Result<u64, Error> {
        const MAX_WRAPPERS: u32 = 8;
        let Shape::Composite(module, description) = value.ty.shape(self.modules)? else {
            return self.bits_of(value);
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Err(Error::new("a container of an unknown layout"));
        };
        if depth < MAX_WRAPPERS {
            for member in &composite.members {
                let inner = self.member(value, module, member)?;
                if self.size(&inner.ty)? > 0
                    && let Ok(number) = self.first_number(&inner, depth + 1)
                {
                    return Ok(number);
                }
            }
        }
        Err(Error::new("a container of an unknown layout"))
    }

    /// The alignment that a type's members ask for.
    fn alignment(&self, ty: &Type, depth: u32) -> u64 {
        const MOST: u64 = 16;
        const MAX_DEPTH: u32 = 16;
        let of = |ty: &Type| self.alignment(ty, depth + 1);
        if depth > MAX_DEPTH {
            return 8;
        }
        match ty.shape(self.modules) {
            Ok(Shape::Number { size, .. }) => size.clamp(1, MOST),
            Ok(Shape::Array { element, .. }) => of(&element),
            Ok(Shape::Composite(module, description)) => match &description.kind {
                TypeKind::Composite(composite) => {
                    let members = composite.members.iter();
                    let each = members.map(|one| of(&Type::Described(module, one.type_id)));
                    each.max().unwrap_or(1)
                }
                _ => 8,
            },
            Ok(Shape::Enumeration(..)) => {
                let size = ty.size(self.modules).ok().flatten();
                size.unwrap_or(4).clamp(1, MOST)
            }
            _ => 8,
        }
    }

    /// What a node keeps behind so many bytes of its own.
    fn kept(&self, node: Address, own: u64, kept: &Type) -> Value {
        let alignment = self.alignment(kept, 0).max(1);
        Value::in_memory(kept.clone(), node.add(own.next_multiple_of(alignment)))
    }

    /// The elements of a map or set, as they are shown.
    fn libcxx_contents(
        &mut self,
        elements: Vec<Value>,
        name: &str,
        count: u64,
    ) -> Result<Option<Summary>, Error> {
        let heading = format!("std::{name} with {}", plural(count));
        if count == 0 {
            return summary(heading, Contents::Nothing);
        }
        let has_more = (elements.len() as u64) < count;
        if !name.ends_with("map") {
            let named = elements.into_iter().enumerate();
            let named = named.map(|(index, value)| (format!("[{index}]"), value));
            return summary(heading, Contents::Named(named.collect(), has_more));
        }
        let mut pairs = Vec::new();
        for element in elements {
            // A class of the library's own around the pair.
            let pair = match self.path(&element, &["__cc"]) {
                Ok(pair) => pair,
                Err(_) => self.path(&element, &["__cc_"]).unwrap_or(element),
            };
            pairs.push((
                self.path(&pair, &["first"])?,
                self.path(&pair, &["second"])?,
            ));
        }
        summary(heading, Contents::Map(pairs, has_more))
    }

    /// A red-black tree. A node begins with its left, right and parent, and its
    /// colour; the end node's left is the root.
    fn libcxx_tree(&mut self, subject: &Subject<'_>, name: &str) -> Result<Option<Summary>, Error> {
        const RIGHT: u64 = 8;
        const PARENT: u64 = 16;
        const OWN: u64 = 25;
        let tree = self.path(subject.value, &["__tree_"])?;
        let kept = self.argument_of(&tree, 0, "a container of an unknown layout")?;
        let count = self.squeezed(&tree, &["__size_", "__pair3_"])?;
        let mut node = Address(self.squeezed(&tree, &["__begin_node_"])?);
        let shown = count.min(subject.limit as u64);
        let mut elements = Vec::new();
        let mut steps = 0;
        while (elements.len() as u64) < shown {
            elements.push(self.kept(node, OWN, &kept));
            let link = |reader: &mut Self, node: Address, at: u64| {
                reader.source.read_unsigned(node.add(at), 8).map(Address)
            };
            let mut next = link(self, node, RIGHT)?;
            if next.0 != 0 {
                loop {
                    let left = link(self, next, 0)?;
                    if left.0 == 0 {
                        break;
                    }
                    next = left;
                    steps += 1;
                    if steps > MAX_STEPS {
                        return Err(Error::new("a tree that loops"));
                    }
                }
            } else {
                loop {
                    next = link(self, node, PARENT)?;
                    if link(self, next, 0)? == node {
                        break;
                    }
                    node = next;
                    steps += 1;
                    if steps > MAX_STEPS {
                        return Err(Error::new("a tree that loops"));
                    }
                }
            }
            node = next;
        }
        self.libcxx_contents(elements, name, count)
    }

    /// A hash table: one list through all elements, each with its hash.
    fn libcxx_table(
        &mut self,
        subject: &Subject<'_>,
        name: &str,
    ) -> Result<Option<Summary>, Error> {
        const OWN: u64 = 16;
        let table = self.path(subject.value, &["__table_"])?;
        let kept = self.argument_of(&table, 0, "a container of an unknown layout")?;
        let count = self.squeezed(&table, &["__size_", "__p2_"])?;
        let mut node = Address(self.squeezed(&table, &["__first_node_", "__p1_"])?);
        let shown = count.min(subject.limit as u64);
        let mut elements = Vec::new();
        while (elements.len() as u64) < shown && node.0 != 0 {
            elements.push(self.kept(node, OWN, &kept));
            node = Address(self.source.read_unsigned(node, 8)?);
        }
        self.libcxx_contents(elements, name, count)
    }

    fn libcxx_list(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        const NEXT: u64 = 8;
        const OWN: u64 = 16;
        let element = subject.argument(0)?;
        let end = self.path(subject.value, &["__end_"])?;
        let end = end
            .address()
            .ok_or_else(|| Error::new("a list that is not in memory"))?;
        let mut node = Address(self.source.read_unsigned(end.add(NEXT), 8)?);
        let mut values = Vec::new();
        while node != end && values.len() < subject.limit {
            values.push((
                format!("[{}]", values.len()),
                self.kept(node, OWN, &element),
            ));
            node = Address(self.source.read_unsigned(node.add(NEXT), 8)?);
        }
        match values.is_empty() {
            true => summary("empty std::list", Contents::Nothing),
            false => summary("std::list", Contents::Named(values, node != end)),
        }
    }

    fn libcxx_forward_list(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        const OWN: u64 = 8;
        let element = subject.argument(0)?;
        let first = self.squeezed(subject.value, &["__head_", "__before_begin_"])?;
        let mut node = Address(first);
        let mut values = Vec::new();
        while node.0 != 0 && values.len() < subject.limit {
            values.push((
                format!("[{}]", values.len()),
                self.kept(node, OWN, &element),
            ));
            node = Address(self.source.read_unsigned(node, 8)?);
        }
        match values.is_empty() {
            true => summary("empty std::forward_list", Contents::Nothing),
            false => summary("std::forward_list", Contents::Named(values, node.0 != 0)),
        }
    }

    /// A deque: an array of pointers to blocks of 4096 bytes, or of 16 elements
    /// that are large.
    fn libcxx_deque(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        const BLOCK: u64 = 4096;
        const LARGE: u64 = 256;
        let element = subject.argument(0)?;
        let size = self.size(&element)?.max(1) as u64;
        let per_block = if size < LARGE { BLOCK / size } else { 16 };
        let count = self.squeezed(subject.value, &["__size_"])?;
        let start = self.squeezed(subject.value, &["__start_"])?;
        let map = self.path(subject.value, &["__map_"])?;
        let blocks = self.path_number(&map, &["__begin_"])?;
        let mut values = Vec::new();
        for index in 0..count.min(subject.limit as u64) {
            let place = start + index;
            let block = Address(blocks).add(8 * (place / per_block));
            let block = Address(self.source.read_unsigned(block, 8)?);
            let at = block.add(place % per_block * size);
            values.push(Value::in_memory(element.clone(), at));
        }
        let has_more = (values.len() as u64) < count;
        let contents = match count {
            0 => Contents::Nothing,
            _ => Contents::Row(values, has_more),
        };
        summary(format!("std::deque with {}", plural(count)), contents)
    }

    /// The counts are of owners beyond the first one.
    fn libcxx_shared(
        &mut self,
        subject: &Subject<'_>,
        name: &str,
    ) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?.name(self.modules);
        let pointer = self.path(subject.value, &["__ptr_"])?;
        let counts = Address(self.path_number(subject.value, &["__cntrl_"])?);
        let state = if counts.0 == 0 {
            "empty".to_owned()
        } else {
            let uses = self.source.read_unsigned(counts.add(8), 8)?.wrapping_add(1);
            let weak = self.source.read_unsigned(counts.add(16), 8)?;
            // All owners together are one of those that do not own.
            let weak = if uses > 0 { weak } else { weak.wrapping_add(1) };
            match uses {
                0 => format!("expired, weak count {weak}"),
                uses => format!("use count {uses}, weak count {weak}"),
            }
        };
        let contents = Contents::Named(vec![("get()".into(), pointer)], false);
        summary(format!("std::{name}<{element}> ({state})"), contents)
    }

    fn libcxx_optional(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let element = subject.argument(0)?.name(self.modules);
        if self.path_number(subject.value, &["__engaged_"])? == 0 {
            let heading = format!("std::optional<{element}> [no contained value]");
            return summary(heading, Contents::Nothing);
        }
        let value = self.path(subject.value, &["__val_"])?;
        let contents = Contents::Named(vec![("[contained value]".into(), value)], false);
        summary(format!("std::optional<{element}>"), contents)
    }

    fn libcxx_variant(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let inner = match self.path(subject.value, &["__impl"]) {
            Ok(inner) => inner,
            Err(_) => self.path(subject.value, &["__impl_"])?,
        };
        let index = self.path(&inner, &["__index"])?;
        let bytes = self.bytes(&index)?;
        let name = subject.value.ty.stripped(self.modules)?.name(self.modules);
        let name = format!(
            "std::variant{}",
            name.find('<').map_or("", |at| &name[at..])
        );
        // The class that everybody knows as `std::string`.
        const STRING: &str = "std::__1::basic_string<char, std::__1::char_traits<char>, \
             std::__1::allocator<char> >";
        let name = name.replace(STRING, "std::string").replace(" >", ">");
        if bytes.iter().all(|&byte| byte == 0xff) {
            return summary(format!("{name} [no contained value]"), Contents::Nothing);
        }
        let index = crate::value::format::unsigned(&bytes);
        let mut storage = self.path(&inner, &["__data"])?;
        for _ in 0..index {
            storage = self.path(&storage, &["__tail"])?;
        }
        let value = self.path(&storage, &["__head", "__value"])?;
        summary(
            format!("{name} [index {index}]"),
            Contents::Row(vec![value], false),
        )
    }

    /// What a function object calls, as the table of the class that keeps it says:
    /// `vtable for std::__1::__function::__func<CALLABLE, …>`.
    fn libcxx_function(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let signature = subject.argument(0)?.name(self.modules);
        let heading = format!("std::function<{signature}>");
        let object = Address(self.path_number(subject.value, &["__f_", "__f_"])?);
        if object.0 == 0 {
            return summary(format!("{heading} [empty]"), Contents::Nothing);
        }
        let table = Address(self.source.read_unsigned(object, 8)?);
        let symbol = self.symbol_text(table, true).unwrap_or_default();
        let callable = symbol
            .split_once("__func<")
            .and_then(|(_, arguments)| first_argument(arguments))
            .ok_or_else(|| Error::new("a function of an unknown class"))?;
        summary(format!("{heading} = {{{callable}}}"), Contents::Nothing)
    }

    /// A tuple: a base class for each element, in order.
    fn libcxx_tuple(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let Ok(base) = self.path(subject.value, &["__base_"]) else {
            return summary("empty std::tuple", Contents::Nothing);
        };
        let Shape::Composite(module, description) = base.ty.shape(self.modules)? else {
            return Ok(None);
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Ok(None);
        };
        let mut elements = Vec::new();
        for leaf in composite.members.iter().filter(|member| member.is_base) {
            let leaf = self.member(&base, module, leaf)?;
            // An empty class is a base of its own.
            let value = self.path(&leaf, &["__value_"]).unwrap_or(leaf);
            elements.push((format!("[{}]", elements.len() + 1), value));
        }
        match elements.is_empty() {
            true => summary("empty std::tuple", Contents::Nothing),
            false => summary("std::tuple containing", Contents::Named(elements, false)),
        }
    }
}

/// The first of the template arguments in a text, brackets counted.
fn first_argument(text: &str) -> Option<&str> {
    let mut depth = 0i32;
    let end = text.char_indices().find(|(_, c)| {
        match c {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => depth -= 1,
            ',' if depth == 0 => return true,
            _ => {}
        }
        depth < 0
    });
    let first = &text[..end?.0];
    (!first.is_empty()).then_some(first)
}
