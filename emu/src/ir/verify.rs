//! Checks that a block keeps the rules of the IR.

use super::{Block, End, Op, Place, Value};

/// What is wrong with a block, and at which operation.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// Index of the operation; the number of operations when it is the end.
    pub at: usize,
    /// What rule it breaks.
    pub why: String,
}

/// Checks that each operand is defined before its use and has the right type,
/// that a guest instruction is open before anything that can fail, and that
/// what controls floating point is only written at the end.
pub fn verify(block: &Block) -> Result<(), Broken> {
    if !matches!(block.ops.first(), None | Some(Op::Guest(_))) {
        return Err(Broken {
            at: 0,
            why: "no guest instruction is open".into(),
        });
    }
    for (at, op) in block.ops.iter().enumerate() {
        let mut broken = None;
        op.operands(|v, want| {
            if let Err(why) = defined(block, at, v, Some(want)) {
                broken.get_or_insert(why);
            }
        });
        match op {
            Op::Get(Place::X(n) | Place::F(n) | Place::V(n))
            | Op::Set(Place::X(n) | Place::F(n) | Place::V(n), _)
                if *n > 31 =>
            {
                broken = Some(format!("there is no register {n}"));
            }
            Op::SetFcsr(_) | Op::Set(Place::Fpcr, _)
                if !matches!(block.end, End::Synchronise(..)) =>
            {
                broken = Some(
                    "floating-point control is written in a block that does not synchronise".into(),
                );
            }
            _ => {}
        }
        if let Some(why) = broken {
            return Err(Broken { at, why });
        }
    }
    let at = block.ops.len();
    let mut result = Ok(());
    block.end.operands(|v| {
        if let Err(why) = defined(block, at, v, Some(super::Type::Int)) {
            result = Err(Broken { at, why });
        }
    });
    result
}

fn defined(block: &Block, at: usize, v: Value, want: Option<super::Type>) -> Result<(), String> {
    if v.index() >= at {
        return Err(format!("{v} is used before it is defined"));
    }
    let have = block.ops[v.index()].ty();
    if have.is_none() || have != want {
        return Err(format!("{v} is {have:?}, not {want:?}"));
    }
    Ok(())
}
