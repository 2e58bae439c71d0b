//! How containers and Rust's structs are laid out as text.

use sapwood_dwarf::{self as dwarf, Language, ModuleId, TypeKind};

use super::containers::{Contents, Summary};
use super::format;
use super::print::Style;
use super::{Error, Reader, Shape, Type, Value};

impl Reader<'_> {
    /// Writes a container by its heading and its contents.
    pub(super) fn write_summary(
        &mut self,
        summary: Summary,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        out.push_str(&summary.heading);
        let gap = if summary.heading.is_empty() {
            ""
        } else {
            " = "
        };
        let depth = depth.saturating_sub(1);
        match summary.contents {
            Contents::Nothing => {}
            Contents::Inner(value) => out.push_str(&self.show_inner(&value, style, depth + 1)?),
            Contents::Text(units, size, prefix, is_cut) => {
                out.push_str(gap);
                let text = format::text(&units, size, prefix, is_cut, style.limits());
                out.push_str(&text);
            }
            Contents::Row(values, has_more) => {
                let items = values
                    .into_iter()
                    .map(|value| (String::new(), value))
                    .collect();
                self.write_items(gap, (items, has_more), style.rows, style, depth, out);
            }
            Contents::Map(mut pairs, has_more) => {
                // A key counts as much as its value.
                let most = (style.elements / 2).max(1);
                let has_more = has_more || pairs.len() > most;
                pairs.truncate(most);
                let mut items = Vec::new();
                for (key, value) in pairs {
                    let key = self.show_inner(&key, style, depth)?;
                    items.push((format!("[{key}] = "), value));
                }
                self.write_items(gap, (items, has_more), style.pretty, style, depth, out);
            }
            Contents::Named(values, has_more) => {
                let items = values.into_iter();
                let items = items
                    .map(|(name, value)| (format!("{name} = "), value))
                    .collect();
                self.write_items(gap, (items, has_more), style.pretty, style, depth, out);
            }
        }
        Ok(())
    }

    /// Writes values in braces, each with what stands before it.
    fn write_items(
        &mut self,
        gap: &str,
        (items, has_more): (Vec<(String, Value)>, bool),
        in_lines: bool,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) {
        out.push_str(gap);
        if depth == 0 {
            out.push_str("{...}");
            return;
        }
        let inner = style.inside();
        out.push('{');
        for (index, (before, value)) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(if in_lines { "," } else { ", " });
            }
            if in_lines {
                out.push_str(&inner.line());
            }
            out.push_str(before);
            match self.show_inner(value, &inner, depth) {
                Ok(text) => out.push_str(&text),
                Err(error) => out.push_str(&format!("<error: {error}>")),
            }
        }
        if has_more {
            if in_lines {
                out.push_str(&inner.line());
            }
            out.push_str("...");
        }
        if in_lines && !items.is_empty() {
            out.push_str(&style.line());
        }
        out.push('}');
    }

    /// Writes a Rust struct, tuple or enum as Rust's own syntax has it.
    pub(super) fn write_rust(
        &mut self,
        whole: &Value,
        module: ModuleId,
        description: &dwarf::Type,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        let TypeKind::Composite(composite) = &description.kind else {
            return Err(Error::new("a struct without members"));
        };
        if composite.variants.is_some() {
            return self.write_variant(whole, style, depth, out);
        }
        let name = description.qualified_name.as_deref().unwrap_or_default();
        let is_tuple = name.starts_with('(');
        let members = &composite.members;
        let is_numbered = !members.is_empty()
            && members.iter().all(|member| {
                let number = member
                    .name
                    .as_deref()
                    .and_then(|name| name.strip_prefix("__"));
                number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            });
        if !is_tuple {
            out.push_str(name);
        }
        if members.is_empty() {
            if is_tuple {
                out.push_str("()");
            }
            return Ok(());
        }
        let inner = style.inside();
        out.push_str(if is_numbered { "(" } else { " {" });
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                out.push_str(if style.pretty { "," } else { ", " });
            }
            if style.pretty {
                out.push_str(&inner.line());
            }
            if let (false, Some(name)) = (is_numbered, &member.name) {
                out.push_str(&format!("{name}: "));
            }
            let shown = self
                .member(whole, module, member)
                .and_then(|value| self.show_inner(&value, &inner, depth - 1));
            match shown {
                Ok(text) => out.push_str(&text),
                Err(error) => out.push_str(&format!("<error: {error}>")),
            }
        }
        if style.pretty {
            out.push_str(&style.line());
        }
        out.push_str(if is_numbered { ")" } else { "}" });
        Ok(())
    }

    /// Writes an enum's value by its variant, `Some(5)`.
    fn write_variant(
        &mut self,
        whole: &Value,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        let Some(variant) = self.active_variant(whole)? else {
            return Err(Error::new("an enum without variants"));
        };
        let mut text = self.show_inner(&variant, style, depth)?;
        // The variant's struct is named within the enum; the path of a type of
        // the standard library is noise.
        if let Shape::Composite(_, description) = variant.ty.shape(self.modules)?
            && let Some(path) = &description.qualified_name
            && let Some(rest) = text.strip_prefix(path.as_str())
        {
            let is_standard = ["core::", "alloc::", "std::"]
                .iter()
                .any(|std| path.starts_with(std));
            let short = description.name.clone().unwrap_or_default();
            let shown = if is_standard { short } else { path.clone() };
            text = format!("{shown}{rest}");
        }
        out.push_str(&text);
        Ok(())
    }
}

impl Type {
    /// Whether Rust's syntax is the one to show the type by.
    pub fn is_rust(&self, modules: &dwarf::Modules) -> bool {
        self.language(modules) == Language::Rust
    }
}
