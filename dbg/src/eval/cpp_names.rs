//! How the names that debug information has are written in C++.

use crate::value::Error;

/// A name as C++ can be told it; an error where it cannot.
pub(super) fn spelled(name: &str) -> Result<String, Error> {
    let name = name.replace("(anonymous namespace)::", "");
    let is_unspeakable = ["{", "<lambda", "()::", "<unnamed", "<unknown", "'lambda"]
        .iter()
        .any(|part| name.contains(part));
    match is_unspeakable {
        true => Err(Error::new("its type cannot be written")),
        false => Ok(name),
    }
}

/// The last part of a qualified name, its arguments with it.
pub fn last_part(name: &str) -> &str {
    let (mut depth, mut start) = (0i32, 0);
    let bytes = name.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' | b')' | b']' => depth -= 1,
            b':' if depth == 0 && at > 0 && bytes[at - 1] == b':' => start = at + 1,
            _ if depth == 0 && name[start..at].ends_with("operator") => return &name[start..],
            _ => {}
        }
    }
    &name[start..]
}

/// A function's name as its declaration writes it: an instance of a template is
/// one more function of the name.
pub(super) fn written_name(name: &str) -> &str {
    match name.strip_prefix("operator") {
        Some(sign) => match sign.rfind(" <") {
            Some(at) if at > 0 && !sign.starts_with(' ') => &name[.."operator".len() + at],
            _ => name,
        },
        None => name.split('<').next().unwrap_or(name),
    }
}

/// Whether a function of a class has no name of its own.
pub(super) fn is_special(class: &str, name: &str) -> bool {
    let plain = name.strip_prefix('~').unwrap_or(name);
    plain.split('<').next() == Some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_without_what_nobody_writes() {
        for (name, last, written) in [
            ("a::b<c::d>::e", "e", "e"),
            ("f<int>", "f<int>", "f"),
            ("ns::operator<< <int>", "operator<< <int>", "operator<<"),
            ("ns::operator<", "operator<", "operator<"),
            ("C::operator->", "operator->", "operator->"),
            ("C::operator int", "operator int", "operator int"),
            ("~C", "~C", "~C"),
        ] {
            assert_eq!(last_part(name), last);
            assert_eq!(written_name(last), written);
        }
        assert!(is_special("C", "~C") && is_special("C", "C") && !is_special("C", "D"));
        assert!(spelled("main()::T").is_err() && spelled("<lambda(int)>").is_err());
        assert_eq!(
            spelled("(anonymous namespace)::T").ok().as_deref(),
            Some("T")
        );
    }
}
