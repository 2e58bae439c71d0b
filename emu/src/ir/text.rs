//! The text form of IR, one operation a line:
//!
//! ```text
//! 0x10000:
//!   v1 = get X(10)
//!   v2 = const 0x1
//!   v3 = add.64 v1 v2
//!   set X(10) v3
//! -> Jump(0x10004)
//! ```

use std::fmt;

use super::{Block, Op, Value, Width};

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bits())
    }
}

/// The name of a variant, in lower case.
fn name(of: &dyn fmt::Debug) -> String {
    format!("{of:?}").to_ascii_lowercase()
}

fn extension(signed: bool) -> char {
    if signed { 's' } else { 'u' }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Op::Guest(at) => write!(f, "{at}:"),
            Op::Const(n) => write!(f, "const {n:#x}"),
            Op::Get(place) => write!(f, "get {place:?}"),
            Op::Set(place, a) => write!(f, "set {place:?} {a}"),
            Op::Binary(op, w, a, b) => write!(f, "{}.{w} {a} {b}", name(&op)),
            Op::Unary(op, w, a) => write!(f, "{}.{w} {a}", name(&op)),
            Op::Compare(cond, w, a, b) => write!(f, "{}.{w} {a} {b}", name(&cond)),
            Op::Extend(size, signed, a) => {
                write!(f, "extend.{}{} {a}", size.bytes() * 8, extension(signed))
            }
            Op::Load(size, signed, a, offset) => {
                write!(
                    f,
                    "load.{}{} {a} {offset:+}",
                    size.bytes() * 8,
                    extension(signed)
                )
            }
            Op::Store(size, a, offset, b) => {
                write!(f, "store.{} {a} {offset:+} {b}", size.bytes() * 8)
            }
            ref op => {
                let all = format!("{op:?}");
                let (op, arguments) = all.split_once('(').unwrap_or((&all, ""));
                let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
                write!(f, "{} {}", op.to_ascii_lowercase(), arguments)
            }
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, op) in self.ops.iter().enumerate() {
            match op {
                Op::Guest(_) => writeln!(f, "{op}")?,
                op if op.ty().is_some() => writeln!(f, "  v{i} = {op}")?,
                op => writeln!(f, "  {op}")?,
            }
        }
        writeln!(f, "-> {:?}", self.end)
    }
}
