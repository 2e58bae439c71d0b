//! Values as text, the way gdb writes them.

use sapwood_dwarf::{
    self as dwarf, Address, Encoding, Keyword, Language, Member, ModuleId, Modules, StaticMember,
    TypeKind,
};

use super::format::{self, Format, Limits};
use super::scalar::{char_array, enumeration};
use super::{Content, Error, Place, Reader, Shape, Type, Value};

/// What is shown of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// The format of each number; `None` for what its type says.
    pub format: Option<Format>,
    /// The most elements of an array and characters of a text.
    pub elements: usize,
    /// More equal elements than this in a row are counted instead.
    pub repeats: usize,
    /// How deep structs within structs are shown.
    pub depth: usize,
    /// One member a line.
    pub pretty: bool,
    /// One element of an array a line.
    pub rows: bool,
    /// `[0] = ` before each element of an array.
    pub indexes: bool,
    /// The value of a pointer to text, before the text.
    pub address: bool,
    /// The symbol that a pointer points to.
    pub symbol: bool,
    /// The type that an object has, rather than the declared one.
    pub object: bool,
    /// Unions within structs.
    pub union: bool,
    /// A class's static members.
    pub statics: bool,
    /// An array of characters ends at the first null.
    pub null_stop: bool,
    /// A struct, union or array is `...`.
    pub summary: bool,
    /// How many structs and arrays a line is inside of, for its blanks.
    pub level: usize,
    /// It is inside of one.
    pub nested: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style {
            format: None,
            elements: 200,
            repeats: 10,
            depth: 20,
            pretty: false,
            rows: false,
            indexes: false,
            address: true,
            symbol: true,
            object: false,
            union: true,
            statics: true,
            null_stop: false,
            summary: false,
            level: 0,
            nested: false,
        }
    }
}

impl Style {
    /// The style of what is inside of a struct or array.
    pub(super) fn inside(&self) -> Style {
        Style {
            level: self.level + 1,
            nested: true,
            ..*self
        }
    }

    /// The style of what stands so many levels in.
    pub fn at_level(self, level: usize) -> Style {
        Style { level, ..self }
    }

    /// The end of a line and the blanks that the next one of the same struct or
    /// array begins with.
    pub(super) fn line(&self) -> String {
        format!("\n{}", "  ".repeat(self.level))
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            elements: self.elements,
            repeats: self.repeats,
        }
    }
}

/// Whether a type's numbers have a sign.
pub(crate) fn is_signed(ty: &Type, modules: &Modules) -> Result<bool, Error> {
    Ok(match ty.shape(modules)? {
        Shape::Number { encoding, .. } => {
            matches!(
                encoding,
                Encoding::Signed | Encoding::SignedChar | Encoding::Float
            )
        }
        Shape::Enumeration(module, description) => match &description.kind {
            TypeKind::Enumeration {
                enumerators,
                underlying,
                ..
            } => match underlying {
                Some(id) => is_signed(&Type::Described(module, *id), modules)?,
                None => enumerators.iter().any(|one| one.value < 0),
            },
            _ => false,
        },
        _ => false,
    })
}

/// What stands for a value that is lost.
fn lost_text(content: &Content) -> &'static str {
    match content.synthetic_pointer() {
        Some(_) => "<synthetic pointer>",
        None => "<optimized out>",
    }
}

/// A part of a value as it is written: its type, its bytes, where it is.
struct Part {
    ty: Type,
    content: Content,
    address: Option<Address>,
}

impl Part {
    /// The part as a value of its own.
    fn value(&self) -> Value {
        Value {
            ty: self.ty.clone(),
            place: self.address.map_or(Place::Nowhere, Place::Memory),
            bits: None,
            content: Some(self.content.clone()),
        }
    }

    fn is_lost(&self) -> bool {
        self.content.is_lost(0..self.content.bytes.len())
    }

    /// Whether nothing of it is known.
    fn is_wholly_lost(&self) -> bool {
        let known = self.content.known.as_deref();
        known.is_some_and(|known| !known.is_empty() && !known.contains(&true))
    }
}

impl Reader<'_> {
    /// A value as the user sees it, a pointer with its type before it.
    pub fn show(&mut self, value: &Value, style: &Style) -> Result<String, Error> {
        if style.object
            && style.format.is_none()
            && let Some(whole) = self.as_dynamic(value)?
        {
            let declared = Style {
                object: false,
                ..*style
            };
            let shown = self.show(&whole, &declared)?;
            let is_object = matches!(whole.ty.shape(self.modules)?, Shape::Composite(..));
            return Ok(match is_object {
                true => format!("({}) {shown}", whole.ty.name(self.modules)),
                false => shown,
            });
        }
        let ty = &value.ty;
        let shape = ty.shape(self.modules)?;
        if let (Shape::Function { .. }, Some(at)) = (&shape, value.address()) {
            let symbol = self.symbol_text(at, false).unwrap_or_default();
            return Ok(format!("{{{}}} {at}{symbol}", ty.name(self.modules)));
        }
        if let (Shape::Array { count: None, .. }, Some(at)) = (&shape, value.address()) {
            // Without a length there is only the address.
            return Ok(at.to_string());
        }
        let content = self.content(value)?;
        let part = Part {
            ty: ty.clone(),
            content,
            address: value.address(),
        };
        let mut out = String::new();
        if part.is_lost() && !matches!(shape, Shape::Composite(..) | Shape::Array { .. }) {
            return Ok(lost_text(&part.content).into());
        }
        if style.format.is_none_or(|format| !format.is_numeric()) {
            self.write_heading(&part, &shape, &mut out);
        }
        self.write(&part, style, style.depth, &mut out)?;
        Ok(out)
    }

    /// A value inside a list, as a frame's arguments are shown: pointers
    /// without their type.
    pub fn show_brief(&mut self, value: &Value, style: &Style) -> Result<String, Error> {
        let content = self.content(value)?;
        let part = Part {
            ty: value.ty.clone(),
            content,
            address: value.address(),
        };
        let mut out = String::new();
        self.write(&part, style, style.depth, &mut out)?;
        Ok(out)
    }

    /// What stands before the value of a pointer or reference: its type.
    fn write_heading(&mut self, part: &Part, shape: &Shape, out: &mut String) {
        match shape {
            Shape::Pointer(to) if self.is_plain_text(&part.ty, to) => {}
            Shape::Pointer(_) | Shape::Reference(..) => {
                out.push_str(&format!("({}) ", part.ty.name(self.modules)));
            }
            _ => {}
        }
    }

    /// Whether a pointer is an unnamed one to `char` itself, or to a wide
    /// character, which its text shows.
    fn is_plain_text(&self, pointer: &Type, to: &Type) -> bool {
        let named = pointer.description(self.modules).ok().flatten();
        if named.is_some_and(|named| matches!(named.kind, TypeKind::Typedef(_))) {
            return false;
        }
        let target = to.unqualified(self.modules).ok();
        let name = target.map(|target| target.name(self.modules));
        matches!(
            name.as_deref(),
            Some("char" | "wchar_t" | "char16_t" | "char32_t" | "char8_t")
        )
    }

    fn write(
        &mut self,
        part: &Part,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        let shape = part.ty.shape(self.modules)?;
        if style.summary && self.is_aggregate(&shape)? {
            out.push_str("...");
            return Ok(());
        }
        let is_aggregate = matches!(shape, Shape::Composite(..) | Shape::Array { .. });
        if is_aggregate && part.is_wholly_lost() && part.content.synthetic.is_none() {
            out.push_str("<optimized out>");
            return Ok(());
        }
        match &shape {
            Shape::Composite(module, description) => {
                return self.write_composite(part, *module, description, style, depth, out);
            }
            Shape::Array { element, count } => {
                return self.write_array(part, element, *count, style, depth, out);
            }
            Shape::Void => {
                out.push_str("void");
                return Ok(());
            }
            _ if part.is_lost() => {
                out.push_str(lost_text(&part.content));
                return Ok(());
            }
            _ => {}
        }
        match (shape, style.format.filter(|format| format.is_numeric())) {
            (Shape::Reference(to, _), _) => self.write_reference(part, &to, style, depth, out),
            (shape, Some(format)) => self.write_formatted(part, &shape, format, out),
            (Shape::Number { encoding, .. }, None) => {
                out.push_str(&self.number(&part.ty, encoding, &part.content.bytes));
                Ok(())
            }
            (Shape::Pointer(to), None) => self.write_pointer(part, &to, style, out),
            (Shape::MemberPointer(_), None) => {
                out.push_str(&self.member_pointer_text(&part.ty, &part.content.bytes)?);
                Ok(())
            }
            (Shape::Enumeration(module, description), None) => {
                let owner = self.modules.get(module);
                let path = owner.map_or(String::new(), |owner| owner.path_of(description.id));
                out.push_str(&enumeration(&description, &path, &part.content.bytes));
                Ok(())
            }
            (Shape::Function { .. }, None) => {
                let at = part.address.unwrap_or_default();
                let symbol = self.symbol_text(at, false).unwrap_or_default();
                out.push_str(&format!("{{{}}} {at}{symbol}", part.ty.name(self.modules)));
                Ok(())
            }
            (Shape::Composite(..) | Shape::Array { .. } | Shape::Void, None) => Ok(()),
        }
    }

    /// Whether it is a struct, union or array, or refers to one.
    fn is_aggregate(&self, shape: &Shape) -> Result<bool, Error> {
        Ok(match shape {
            Shape::Composite(..) | Shape::Array { .. } => true,
            Shape::Reference(to, _) => matches!(
                to.shape(self.modules)?,
                Shape::Composite(..) | Shape::Array { .. }
            ),
            _ => false,
        })
    }

    fn write_formatted(
        &mut self,
        part: &Part,
        shape: &Shape,
        format: Format,
        out: &mut String,
    ) -> Result<(), Error> {
        let is_signed = is_signed(&part.ty, self.modules)?;
        let is_float = matches!(
            shape,
            Shape::Number {
                encoding: Encoding::Float,
                ..
            }
        );
        out.push_str(&format::show(
            &part.content.bytes,
            format,
            is_signed,
            is_float,
        ));
        if format == Format::Address {
            let at = Address(format::unsigned(&part.content.bytes) as u64);
            out.push_str(&self.symbol_text(at, true).unwrap_or_default());
        }
        Ok(())
    }

    /// ` <symbol+offset>` for an address in code or static data.
    pub(super) fn symbol_text(&self, at: Address, is_loose: bool) -> Option<String> {
        let (_, module) = self.modules.at(at)?;
        let (symbol, offset) = module.symbol_at(at)?;
        if !is_loose && offset >= symbol.size.max(1) {
            return None;
        }
        let name = super::demangled(symbol.name);
        Some(match offset {
            0 => format!(" <{name}>"),
            offset => format!(" <{name}+{offset}>"),
        })
    }

    fn write_pointer(
        &mut self,
        part: &Part,
        to: &Type,
        style: &Style,
        out: &mut String,
    ) -> Result<(), Error> {
        let at = Address(format::unsigned(&part.content.bytes) as u64);
        let prefix = self.text_prefix(to);
        if style.address {
            out.push_str(&at.to_string());
        }
        if style.symbol {
            out.push_str(&self.symbol_text(at, false).unwrap_or_default());
        }
        let Some(prefix) = prefix else {
            return Ok(());
        };
        let Shape::Number { size, .. } = to.shape(self.modules)? else {
            return Ok(());
        };
        if at.0 == 0 || matches!(to, Type::Void) {
            return Ok(());
        }
        match self.text_at(at, size as usize, style.elements) {
            Ok((units, is_cut)) => {
                let text = format::text(&units, size as usize, prefix, is_cut, style.limits());
                if style.address {
                    out.push(' ');
                }
                out.push_str(&text);
            }
            Err(error) => out.push_str(&format!(" <error: {error}>")),
        }
        Ok(())
    }

    /// The text at an address, up to its end or `limit` units; and whether more
    /// follows.
    pub fn text_at(
        &mut self,
        at: Address,
        size: usize,
        limit: usize,
    ) -> Result<(Vec<u32>, bool), Error> {
        let mut units = Vec::new();
        let mut at = at;
        let first = at;
        while units.len() < limit {
            // Never past a page's end: the next one may not be there.
            let rest = 4096 - (at.0 % 4096) as usize;
            let count = (rest / size).clamp(1, 64).min(limit - units.len());
            let mut bytes = vec![0; count * size];
            match self.source.read(at, &mut bytes) {
                Ok(()) => {}
                Err(_) if at != first => return Ok((units, false)),
                Err(error) => {
                    return Err(dwarf::MemoryError { at: first, ..error }.into());
                }
            }
            for unit in bytes.chunks(size) {
                let unit = format::unsigned(unit) as u32;
                if unit == 0 {
                    return Ok((units, false));
                }
                units.push(unit);
            }
            at = at.add(bytes.len() as u64);
        }
        let mut next = vec![0; size];
        let has_more = self.source.read(at, &mut next).is_ok() && next.iter().any(|&b| b != 0);
        Ok((units, has_more))
    }

    fn write_reference(
        &mut self,
        part: &Part,
        to: &Type,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        let at = Address(format::unsigned(&part.content.bytes) as u64);
        if style.address {
            out.push_str(&format!("@{at}"));
        }
        // Inside of a struct a reference is as good as a pointer.
        if depth == 0 || style.nested {
            return Ok(());
        }
        if style.address {
            out.push_str(": ");
        }
        let target = Value::in_memory(to.clone(), at);
        match self.content(&target) {
            Ok(content) => {
                let part = Part {
                    ty: to.clone(),
                    content,
                    address: Some(at),
                };
                self.write(&part, style, depth - 1, out)
            }
            Err(error) => {
                out.push_str(&format!("<error: {error}>"));
                Ok(())
            }
        }
    }

    fn write_array(
        &mut self,
        part: &Part,
        element: &Type,
        count: Option<u64>,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        let size = element.size(self.modules)?.unwrap_or(0) as usize;
        let count = count
            .unwrap_or(0)
            .min((part.content.bytes.len() / size.max(1)) as u64) as usize;
        let is_numeric = style.format.is_some_and(Format::is_numeric);
        if !is_numeric
            && let Some(prefix) = self.text_prefix(element)
            && count > 0
            && !part.is_lost()
        {
            out.push_str(&char_array(&part.content.bytes, size, prefix, style));
            return Ok(());
        }
        if count == 0
            && let (Some(at), false) = (part.address, is_numeric)
        {
            out.push_str(&at.to_string());
            return Ok(());
        }
        if depth == 0 {
            out.push_str("{...}");
            return Ok(());
        }
        let is_rust = part.ty.language(self.modules) == Language::Rust;
        out.push(if is_rust { '[' } else { '{' });
        let inner = style.inside();
        let mut at = 0;
        let mut shown = 0;
        while at < count && shown < style.elements {
            match (at, style.rows) {
                (0, false) => {}
                (0, true) => out.push_str(&inner.line()),
                (_, false) => out.push_str(", "),
                (_, true) => out.push_str(&format!(",{}", inner.line())),
            }
            if style.indexes {
                out.push_str(&format!("[{at}] = "));
            }
            let one = part.content.part(at * size, size);
            let rest =
                (at + 1..count).take_while(|&next| part.content.part(next * size, size) == one);
            let run = 1 + rest.count();
            let address = part.address.map(|address| address.add((at * size) as u64));
            self.write_inner(
                &Part {
                    ty: element.clone(),
                    content: one,
                    address,
                },
                &inner,
                depth - 1,
                out,
            );
            if run > style.repeats {
                out.push_str(&format!(" <repeats {run} times>"));
                at += run;
                shown += style.repeats;
            } else {
                at += 1;
                shown += 1;
            }
        }
        if at < count {
            out.push_str("...");
        }
        if style.rows {
            out.push_str(&style.line());
        }
        out.push(if is_rust { ']' } else { '}' });
        Ok(())
    }

    /// Writes a part of a value, and in its place the error where it has one.
    fn write_inner(&mut self, part: &Part, style: &Style, depth: usize, out: &mut String) {
        if let Err(error) = self.write(part, style, depth, out) {
            out.push_str(&format!("<error: {error}>"));
        }
    }

    fn write_composite(
        &mut self,
        part: &Part,
        module: ModuleId,
        description: &dwarf::Type,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        let TypeKind::Composite(composite) = &description.kind else {
            return Err(Error::new("a struct without members"));
        };
        if composite.is_declaration {
            out.push_str("<incomplete type>");
            return Ok(());
        }
        if depth == 0 {
            out.push_str("{...}");
            return Ok(());
        }
        let whole = part.value();
        if style.format != Some(Format::Raw) {
            let limit = style.elements;
            if let Some(summary) = self.container(&whole, module, description, limit) {
                return self.write_summary(summary, style, depth, out);
            }
        }
        if description.language == Language::Rust {
            return self.write_rust(&whole, module, description, style, depth, out);
        }
        if style.nested && !style.union && composite.keyword == Keyword::Union {
            out.push_str("{...}");
            return Ok(());
        }
        let inner = style.inside();
        let next_line = if style.pretty {
            inner.line()
        } else {
            String::new()
        };
        out.push('{');
        let bases: Vec<&Member> = composite.members.iter().filter(|m| m.is_base).collect();
        let has_members = bases.len() < composite.members.len();
        for member in &bases {
            let name = member.name.as_deref().unwrap_or("?");
            out.push_str(&format!("{next_line}<{name}> = "));
            match self.member_part(part, module, member) {
                Ok(base) => self.write_inner(&base, &inner, depth - 1, out),
                Err(error) => out.push_str(&format!("<error: {error}>")),
            }
            out.push_str(", ");
        }
        let statics = if style.statics {
            &composite.statics[..]
        } else {
            &[]
        };
        if !has_members && statics.is_empty() {
            out.push_str("<No data fields>}");
            return Ok(());
        }
        if !bases.is_empty() && style.pretty {
            let name = part.ty.stripped(self.modules)?.name(self.modules);
            out.push_str(&format!("{next_line}members of {name}:"));
        }
        let mut is_first = true;
        let mut separate = |out: &mut String| {
            match (std::mem::take(&mut is_first), style.pretty) {
                (true, _) => {}
                (false, true) => out.push(','),
                (false, false) => out.push_str(", "),
            }
            out.push_str(&next_line);
        };
        let mut statics = statics.iter().peekable();
        for (position, member) in composite.members.iter().enumerate() {
            while let Some(one) = statics.next_if(|one| one.position <= position) {
                separate(out);
                self.write_static(one, module, description, &inner, depth, out);
            }
            if member.is_base {
                continue;
            }
            separate(out);
            // What an unnamed member holds is as good as the struct's own.
            let depth = match &member.name {
                Some(name) => {
                    out.push_str(&format!("{name} = "));
                    depth - 1
                }
                None => depth,
            };
            match self.member_part(part, module, member) {
                Ok(one) => self.write_inner(&one, &inner, depth, out),
                Err(error) => out.push_str(&format!("<error: {error}>")),
            }
        }
        for one in statics {
            separate(out);
            self.write_static(one, module, description, &inner, depth, out);
        }
        if style.pretty {
            out.push_str(&style.line());
        }
        out.push('}');
        Ok(())
    }

    fn write_static(
        &mut self,
        one: &StaticMember,
        module: ModuleId,
        description: &dwarf::Type,
        style: &Style,
        depth: usize,
        out: &mut String,
    ) {
        out.push_str(&format!("static {} = ", one.name));
        let ty = Type::Described(module, one.type_id);
        // A class that has itself as a static member would never end.
        let is_itself =
            ty.stripped(self.modules).ok() == Some(Type::Described(module, description.id));
        if is_itself {
            out.push_str("<same as static member of an already seen type>");
            return;
        }
        match self.static_value(module, description, &one.name, &ty, one.value) {
            Ok(value) => match self.show_inner(&value, style, depth - 1) {
                Ok(text) => out.push_str(&text),
                Err(error) => out.push_str(&format!("<error: {error}>")),
            },
            Err(_) => out.push_str("<optimized out>"),
        }
    }

    pub(super) fn show_inner(
        &mut self,
        value: &Value,
        style: &Style,
        depth: usize,
    ) -> Result<String, Error> {
        let content = self.content(value)?;
        let part = Part {
            ty: value.ty.clone(),
            content,
            address: value.address(),
        };
        let mut out = String::new();
        self.write(&part, style, depth, &mut out)?;
        Ok(out)
    }

    fn member_part(
        &mut self,
        part: &Part,
        module: ModuleId,
        member: &Member,
    ) -> Result<Part, Error> {
        let value = self.member(&part.value(), module, member)?;
        let content = self.content(&value)?;
        Ok(Part {
            ty: value.ty.clone(),
            content,
            address: value.address(),
        })
    }
}
