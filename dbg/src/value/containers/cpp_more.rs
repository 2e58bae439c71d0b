//! The smaller classes of libstdc++: adaptors, views, iterators and wrappers.

use sapwood_dwarf::{Address, TypeKind};

use super::cpp::{short_name, summary};
use super::{Contents, Subject, Summary};
use crate::value::{Error, Reader, Shape, Value, format};

impl Reader<'_> {
    pub(super) fn cpp_smaller(
        &mut self,
        subject: &Subject<'_>,
        name: &str,
    ) -> Result<Option<Summary>, Error> {
        match name {
            "forward_list" => self.cpp_forward_list(subject),
            "stack" | "queue" | "priority_queue" => self.cpp_adaptor(subject, name),
            "bitset" => self.cpp_bitset(subject),
            "span" => self.cpp_span(subject),
            "initializer_list" => {
                let count = self.path_number(subject.value, &["_M_len"])?;
                let start = Address(self.path_number(subject.value, &["_M_array"])?);
                let element = subject.argument(0)?;
                let row = self.row(&element, start, count, subject.limit)?;
                summary(format!("std::initializer_list of length {count}"), row)
            }
            "any" => self.cpp_any(subject),
            "function" => self.cpp_function(subject),
            "filesystem::path" => {
                let path = self.path(subject.value, &["_M_pathname"])?;
                let text = self.show_brief(&path, &Default::default())?;
                summary(format!("filesystem::path {text}"), Contents::Nothing)
            }
            "chrono::duration" => self.cpp_duration(subject),
            "chrono::time_point" => {
                let since = self.path(subject.value, &["__d"])?;
                let text = self.show_brief(&since, &Default::default())?;
                let text = text
                    .strip_prefix("std::chrono::duration = ")
                    .unwrap_or(&text);
                summary(format!("std::chrono::time_point {text}"), Contents::Nothing)
            }
            "strong_ordering" | "weak_ordering" | "partial_ordering" => {
                let value = self.path(subject.value, &["_M_value"])?;
                let bytes = self.bytes(&value)?;
                let word = match (format::signed(&bytes), name) {
                    (0, "strong_ordering") => "equal",
                    (0, _) => "equivalent",
                    (-1, _) => "less",
                    (1, _) => "greater",
                    _ => "unordered",
                };
                summary(format!("std::{name}::{word}"), Contents::Nothing)
            }
            _ => Ok(None),
        }
    }

    /// What an iterator of a vector or string points to.
    pub(super) fn cpp_iterator(&mut self, value: &Value) -> Result<Option<Summary>, Error> {
        let (at, to) = self.first_pointer(value)?;
        match at.0 {
            0 => summary(
                "non-dereferenceable iterator for std::vector",
                Contents::Nothing,
            ),
            _ => summary("", Contents::Inner(Value::in_memory(to, at).into())),
        }
    }

    fn cpp_forward_list(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        const KEPT: u64 = 8;
        let element = subject.argument(0)?;
        let head = self.path_number(subject.value, &["_M_impl", "_M_head", "_M_next"])?;
        let mut node = Address(head);
        let mut values = Vec::new();
        while node.0 != 0 && values.len() < subject.limit {
            let at = node.add(KEPT);
            let value = Value::in_memory(element.clone(), at);
            values.push((format!("[{}]", values.len()), value));
            node = Address(self.source.read_unsigned(node, 8)?);
        }
        match values.is_empty() {
            true => summary("empty std::forward_list", Contents::Nothing),
            false => summary("std::forward_list", Contents::Named(values, node.0 != 0)),
        }
    }

    /// `stack` and its like: what they wrap, with their own name before it.
    fn cpp_adaptor(&mut self, subject: &Subject<'_>, name: &str) -> Result<Option<Summary>, Error> {
        let inner = self.path(subject.value, &["c"])?;
        let Shape::Composite(module, description) = inner.ty.shape(self.modules)? else {
            return Ok(None);
        };
        let wrapped = self.container(&inner, module, &description, subject.limit);
        Ok(wrapped.map(|wrapped| Summary {
            heading: format!("std::{name} wrapping: {}", wrapped.heading),
            contents: wrapped.contents,
        }))
    }

    /// The bits that are set.
    fn cpp_bitset(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let Ok(words) = self.path(subject.value, &["_M_w"]) else {
            return summary("std::bitset", Contents::Nothing);
        };
        let bytes = self.bytes(&words)?;
        let bits = (0..bytes.len() * 8).filter(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1);
        let mut set: Vec<(String, Value)> = bits
            .map(|bit| (format!("[{bit}]"), Value::int(1)))
            .take(subject.limit.saturating_add(1))
            .collect();
        let has_more = set.len() > subject.limit;
        set.truncate(subject.limit);
        match set.is_empty() {
            true => summary("std::bitset", Contents::Nothing),
            false => summary("std::bitset", Contents::Named(set, has_more)),
        }
    }

    fn cpp_span(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let fixed = subject.composite.arguments.get(1);
        let fixed = fixed.and_then(|argument| argument.value);
        let count = match self.path_number(subject.value, &["_M_extent", "_M_extent_value"]) {
            Ok(count) => count,
            Err(_) => fixed
                .and_then(|count| u64::try_from(count).ok())
                .ok_or_else(|| Error::new("a span without its length"))?,
        };
        let start = Address(self.path_number(subject.value, &["_M_ptr"])?);
        let element = subject.argument(0)?;
        let row = self.row(&element, start, count, subject.limit)?;
        summary(format!("std::span of length {count}"), row)
    }

    /// What the function that manages the value is made for says its type.
    fn cpp_any(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let manager = Address(self.path_number(subject.value, &["_M_manager"])?);
        if manager.0 == 0 {
            return summary("std::any [no contained value]", Contents::Nothing);
        }
        let found = self.modules.at(manager);
        let function = found.and_then(|(_, module)| module.function_at(manager));
        let function = function.ok_or_else(|| Error::new("an any of an unknown type"))?;
        let path = function.name.strip_suffix("::_S_manage");
        let (manager, name) = path
            .and_then(|path| path.strip_suffix('>'))
            .and_then(|path| path.split_once("::_Manager_")?.1.split_once('<'))
            .ok_or_else(|| Error::new("an any of an unknown type"))?;
        let name = name.trim();
        let ty = self
            .type_named(name, |_| true)
            .ok_or_else(|| Error::new("an any of an unknown type"))?;
        let at = match manager {
            "internal" => self
                .path(subject.value, &["_M_storage", "_M_buffer"])?
                .address()
                .ok_or_else(|| Error::new("an any that is not in memory"))?,
            _ => Address(self.path_number(subject.value, &["_M_storage", "_M_ptr"])?),
        };
        let value = Value::in_memory(ty, at);
        let contents = Contents::Named(vec![("[contained value]".into(), value)], false);
        summary(format!("std::any containing {name}"), contents)
    }

    /// The function that a `std::function` calls, as its invoker's name has it.
    fn cpp_function(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let signature = subject.argument(0)?.name(self.modules);
        let heading = format!("std::function<{signature}>");
        if self.path_number(subject.value, &["_M_manager"])? == 0 {
            return summary(format!("{heading} [empty]"), Contents::Nothing);
        }
        let invoker = Address(self.path_number(subject.value, &["_M_invoker"])?);
        let found = self.modules.at(invoker);
        let function = found.and_then(|(_, module)| module.function_at(invoker));
        let name = function.map_or(String::new(), |function| function.name.clone());
        // `std::_Function_handler<int(int), main()::<lambda(int)> >::_M_invoke`.
        let callable = name
            .strip_suffix("::_M_invoke")
            .and_then(|path| path.strip_suffix('>'))
            .and_then(|path| path.split_once('<'))
            .and_then(|(_, arguments)| last_argument(arguments))
            .unwrap_or(&name)
            .to_owned();
        // A plain function's address is kept in place of an object.
        let stored = self.path(subject.value, &["_M_functor"])?;
        let bytes = self.bytes(&stored)?;
        let at = Address(format::unsigned(&bytes[..8.min(bytes.len())]) as u64);
        let called = match callable.contains("(*)") {
            true => self.symbol_text(at, false).unwrap_or_default(),
            false => String::new(),
        };
        summary(
            format!("{heading} = {{{callable}{called}}}"),
            Contents::Nothing,
        )
    }

    /// A count of ticks, in the unit that a ratio says.
    fn cpp_duration(&mut self, subject: &Subject<'_>) -> Result<Option<Summary>, Error> {
        let count = self.path(subject.value, &["__r"])?;
        let count = self.show_brief(&count, &Default::default())?;
        let period = subject.argument(1)?;
        let (mut numerator, mut denominator) = (1, 1);
        if let Shape::Composite(_, description) = period.shape(self.modules)?
            && let TypeKind::Composite(ratio) = &description.kind
        {
            let value = |index: usize| ratio.arguments.get(index).and_then(|a| a.value);
            numerator = value(0).unwrap_or(1);
            denominator = value(1).unwrap_or(1);
        }
        let unit = match (numerator, denominator) {
            (1, 1) => "s".to_owned(),
            (1, 1_000) => "ms".to_owned(),
            (1, 1_000_000) => "us".to_owned(),
            (1, 1_000_000_000) => "ns".to_owned(),
            (60, 1) => "min".to_owned(),
            (3_600, 1) => "h".to_owned(),
            (86_400, 1) => "d".to_owned(),
            (n, 1) => format!("[{n}]s"),
            (n, d) => format!("[{n}/{d}]s"),
        };
        summary(
            format!("std::chrono::duration = {{ {count}{unit} }}"),
            Contents::Nothing,
        )
    }
}

/// The last of the template arguments in a text, brackets counted.
fn last_argument(text: &str) -> Option<&str> {
    let mut depth = 0i32;
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => depth -= 1,
            ',' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    let last = text.get(start..)?.trim();
    (!last.is_empty()).then_some(last)
}

/// Whether a class is an iterator of a vector or string.
pub(super) fn is_iterator(base: &str) -> bool {
    base.ends_with("__normal_iterator") || short_name(base) == "__wrap_iter"
}

#[cfg(test)]
mod tests {
    use super::last_argument;

    #[test]
    fn the_last_template_argument() {
        for (text, expected) in [
            (
                "int(int, char), f(int, int)::<lambda(int)> ",
                "f(int, int)::<lambda(int)>",
            ),
            ("int", "int"),
            ("a<b, c>, d<e, f>", "d<e, f>"),
        ] {
            assert_eq!(last_argument(text), Some(expected));
        }
    }
}
