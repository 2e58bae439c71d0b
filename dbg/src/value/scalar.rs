//! Numbers, characters, truth values and constants as text.

use sapwood_dwarf::{self as dwarf, Encoding, Language, TypeKind};

use super::print::Style;
use super::{Reader, Type, float, format};
use crate::registers::{FLAGS, MXCSR, bits_text};

impl Reader<'_> {
    /// A number, character or truth value.
    pub(super) fn number(&self, ty: &Type, encoding: Encoding, bytes: &[u8]) -> String {
        if let Type::Number(number) = ty {
            let value = format::unsigned(bytes) as u64;
            match number.name {
                "i386_eflags" => return bits_text(value, FLAGS),
                "i386_mxcsr" => return bits_text(value, MXCSR),
                _ => {}
            }
        }
        match encoding {
            Encoding::Float if bytes.len() == 2 && self.is_bfloat(ty) => {
                // The upper half of a `float`.
                let whole = [0, 0, bytes[0], bytes[1]];
                const DIGITS: usize = 4;
                match float::value(&whole) {
                    Some(value) if value.is_finite() => float::general(value, DIGITS),
                    _ => float::show(&whole),
                }
            }
            Encoding::Boolean => match format::unsigned(bytes) {
                0 => "false".into(),
                1 => "true".into(),
                other => other.to_string(),
            },
            Encoding::Float => float::show(bytes),
            Encoding::ComplexFloat => {
                let (real, imaginary) = bytes.split_at(bytes.len() / 2);
                format!("{} + {}i", float::show(real), float::show(imaginary))
            }
            Encoding::SignedChar | Encoding::UnsignedChar | Encoding::Utf => {
                let prefix = self.text_prefix(ty).unwrap_or_default();
                let number = match encoding {
                    Encoding::SignedChar => format::signed(bytes).to_string(),
                    _ => format::unsigned(bytes).to_string(),
                };
                let unit = format::unsigned(bytes) as u32;
                format!("{number} {prefix}{}", format::character(unit, bytes.len()))
            }
            Encoding::Signed | Encoding::Unsigned => {
                let number = match encoding {
                    Encoding::Signed => format::signed(bytes).to_string(),
                    _ => format::unsigned(bytes).to_string(),
                };
                match self.text_prefix(ty) {
                    Some(prefix) => {
                        let unit = format::unsigned(bytes) as u32;
                        format!("{number} {prefix}{}", format::character(unit, bytes.len()))
                    }
                    None => number,
                }
            }
        }
    }

    fn is_bfloat(&self, ty: &Type) -> bool {
        let stripped = ty.stripped(self.modules);
        stripped.is_ok_and(|ty| matches!(&ty.name(self.modules)[..], "bfloat16" | "__bf16"))
    }

    /// For a type of characters, what C puts before their quotes.
    pub(super) fn text_prefix(&self, ty: &Type) -> Option<&'static str> {
        let mut ty = ty.unqualified(self.modules).ok()?;
        loop {
            let Some(description) = ty.description(self.modules).ok()? else {
                return match ty {
                    Type::Number(number) if number.size == 1 => match number.encoding {
                        Encoding::SignedChar | Encoding::UnsignedChar => Some(""),
                        _ => None,
                    },
                    _ => None,
                };
            };
            let name = description.name.as_deref().unwrap_or_default();
            match &description.kind {
                TypeKind::Base(Encoding::SignedChar | Encoding::UnsignedChar)
                    if description.size == Some(1) =>
                {
                    return Some("");
                }
                TypeKind::Base(Encoding::Utf) => {
                    return Some(match name {
                        "char16_t" => "u",
                        "char32_t" => "U",
                        _ => "",
                    });
                }
                TypeKind::Typedef(Some(to)) => {
                    match name {
                        "wchar_t" => return Some("L"),
                        "char16_t" => return Some("u"),
                        "char32_t" => return Some("U"),
                        _ => {}
                    }
                    let Type::Described(module, _) = ty else {
                        return None;
                    };
                    ty = Type::Described(module, *to)
                        .unqualified(self.modules)
                        .ok()?;
                }
                TypeKind::Base(_) if name == "wchar_t" => return Some("L"),
                _ => return None,
            }
        }
    }
}

/// An array of characters as text. One null at its end is the end of the text
/// and not shown.
pub(super) fn char_array(bytes: &[u8], size: usize, prefix: &str, style: &Style) -> String {
    let mut units: Vec<u32> = bytes
        .chunks_exact(size)
        .map(|unit| format::unsigned(unit) as u32)
        .collect();
    if style.null_stop
        && let Some(end) = units.iter().position(|unit| *unit == 0)
    {
        units.truncate(end);
        return format::text(&units, size, prefix, false, style.limits());
    }
    let shown = units.len() <= style.elements;
    if shown && units.last() == Some(&0) {
        units.pop();
    } else if !shown {
        // A long run of nulls at the end would hide that the text is over.
        let used = units
            .iter()
            .rposition(|&unit| unit != 0)
            .map_or(0, |last| last + 1);
        if used < units.len() {
            units.pop();
        }
    }
    format::text(&units, size, prefix, false, style.limits())
}

/// A constant of an enumeration: its name, the names of its bits, or a number.
pub(super) fn enumeration(description: &dwarf::Type, path: &str, bytes: &[u8]) -> String {
    let TypeKind::Enumeration {
        enumerators,
        is_scoped,
        ..
    } = &description.kind
    else {
        return format::signed(bytes).to_string();
    };
    let is_signed = enumerators.iter().any(|one| one.value < 0);
    let number = if is_signed {
        format::signed(bytes)
    } else {
        format::unsigned(bytes) as i128
    };
    let qualifier = match (&description.qualified_name, *is_scoped) {
        (Some(name), true) => format!("{name}::"),
        (Some(name), false) if description.language == Language::Cpp => name
            .rsplit_once("::")
            .map_or(String::new(), |(scope, _)| format!("{scope}::")),
        (Some(name), false) if description.language == Language::Rust => format!("{name}::"),
        (None, _) if description.language == Language::Cpp => path
            .rsplit_once("::")
            .map_or(String::new(), |(scope, _)| format!("{scope}::")),
        _ => String::new(),
    };
    if let Some(one) = enumerators.iter().find(|one| one.value == number) {
        return format!("{qualifier}{}", one.name);
    }
    let is_flags = enumerators
        .iter()
        .all(|one| one.value >= 0 && one.value.count_ones() <= 1);
    if !is_flags || number == 0 || enumerators.is_empty() {
        return number.to_string();
    }
    let mut rest = number;
    let mut names = Vec::new();
    for one in enumerators {
        if one.value != 0 && rest & one.value != 0 {
            names.push(format!("{qualifier}{}", one.name));
            rest &= !one.value;
        }
    }
    if rest != 0 {
        names.push(format!("unknown: {rest:#x}"));
    }
    format!("({})", names.join(" | "))
}
