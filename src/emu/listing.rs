//! [`Listing`]: translated code as debuggers find it, by gdb's JIT interface.
//!
//! A debugger takes a millisecond for each object that is listed, and more the
//! more there are; so pieces are listed at once, each as an object of its own,
//! and again as one object when there are some: at any time there are few, and
//! each piece was listed a few times.

use sapwood_emu::watch::Translated;
use sapwood_link::gdb::Listed;

use super::debug_object::{self, Piece, Run};
use super::names::{Named, Names};

/// So many objects of one size become one of the next.
const MERGED: usize = 16;

/// What debuggers are told of.
#[derive(Default)]
pub struct Listing {
    /// By size, each list with fewer than [`MERGED`].
    sizes: Vec<Vec<Group>>,
}

/// Pieces that are listed as one object.
struct Group {
    pieces: Vec<Piece>,
    _listed: Listed,
}

impl Group {
    fn new(pieces: Vec<Piece>) -> Group {
        let listed = Listed::new(debug_object::write(&pieces));
        Group {
            pieces,
            _listed: listed,
        }
    }
}

impl Listing {
    /// Lists code that was made.
    pub fn add(&mut self, code: &Translated<'_>, names: &mut Names) {
        let piece = piece(code, names);
        self.take_out(&piece);
        let mut group = Group::new(vec![piece]);
        for size in 0.. {
            if self.sizes.len() == size {
                self.sizes.push(Vec::new());
            }
            let same = &mut self.sizes[size];
            same.push(group);
            if same.len() < MERGED {
                return;
            }
            let merged = std::mem::take(same);
            // The old ones are taken off first: no address is listed twice.
            let pieces = merged.into_iter().flat_map(|group| group.pieces).collect();
            group = Group::new(pieces);
        }
    }

    /// What lay here before is gone, with the whole space that it was in.
    fn take_out(&mut self, new: &Piece) {
        let is_over = |old: &Piece| old.at < new.at + new.length && new.at < old.at + old.length;
        for group in self.sizes.iter_mut().flatten() {
            if group.pieces.iter().any(is_over) {
                let mut pieces = std::mem::take(&mut group.pieces);
                pieces.retain(|piece| !is_over(piece));
                *group = Group::new(pieces);
            }
        }
    }
}

/// The code's runs of one line of one function.
fn piece(code: &Translated<'_>, names: &mut Names) -> Piece {
    let length = code.code.len() as u64;
    let mut runs: Vec<Run> = Vec::new();
    let mut before: Option<Named> = None;
    for &(offset, pc) in code.rows {
        // Code that no guest instruction brought about.
        let named = match pc.0 {
            u64::MAX => Named::default(),
            _ => names.of(pc),
        };
        let in_one = |before: &Named| {
            before.line == named.line
                && before.function.as_ref().map(|(name, _)| name)
                    == named.function.as_ref().map(|(name, _)| name)
        };
        if !before.as_ref().is_some_and(in_one) {
            let function = named.function.as_ref();
            runs.push(Run {
                offset: offset.into(),
                function: function.map(|(name, _)| name.clone()),
                into: function.map_or(0, |(_, distance)| *distance),
                line: named.line.clone(),
            });
        }
        before = Some(named);
    }
    Piece {
        at: code.at.0,
        length,
        pc: code.start.0,
        runs,
    }
}
