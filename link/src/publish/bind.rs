//! Binds every referenced symbol of a batch to what it stands for.
//!
//! A name is looked for in the batch, then among the image's definitions
//! (newest first), then among names bound outside before, and at last the
//! resolver is asked, once for all that are left.
//!
//! Rules, as static linkers have them: two strong definitions are an error, in
//! one batch or against the image; a strong definition beats a common one, and
//! that a weak one; of several weak or COMDAT copies the first is kept, and the
//! image's before the batch's.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::{Error, Place, Undefined};
use crate::host::{Outside, Resolver, Wanted};
use crate::ids::SymbolId;
use crate::model::{AtomKind, Binding, SymbolKind};
use crate::session::Session;
use crate::staged::{Role, Span, Staged, StagedAtom, StagedDefinition};

/// What a staged symbol stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// Nobody asked.
    Unbound,
    /// A place in an atom of the batch.
    Atom(u32, u64),
    /// A fixed value.
    Absolute(u64),
    /// A symbol of an earlier generation.
    Known(SymbolId),
    /// An address outside, learnt now: index in [`Bound::outside`].
    Outside(u32),
    /// The slab's GOT base (`_GLOBAL_OFFSET_TABLE_`).
    GotBase,
    /// The slab's first address, which stands for the image as a whole
    /// (`__dso_handle`).
    ImageBase,
    /// A weak name nobody defines.
    Null,
    /// A place in a discarded copy of a COMDAT group.
    Discarded,
}

/// The result of binding: for each staged symbol what it stands for.
pub(super) struct Bound {
    pub targets: Vec<Target>,
    /// Names bound outside by this batch: a staged symbol of that name, and the
    /// address.
    pub outside: Vec<(u32, u64)>,
    /// The staged symbols that are this batch's definitions for others to see.
    pub winners: Vec<u32>,
}

/// A definition of a name in the batch.
struct Winner {
    symbol: u32,
    rank: Rank,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Weak,
    Common,
    Strong,
}

struct Binder<'b, 'i> {
    session: &'b Session,
    staged: &'b mut Staged<'i>,
    /// Names the batch defines.
    defined: FxHashMap<String, Winner>,
    targets: Vec<Target>,
    /// Names left for the resolver: the first symbol, its first reference, and
    /// all symbols of that name.
    asked: Vec<Asked>,
    asked_names: FxHashMap<String, usize>,
}

struct Asked {
    symbols: Vec<u32>,
    /// Atom and offset of the first reference.
    reference: (u32, u32),
    weak: bool,
}

/// Discards COMDAT duplicates, makes atoms of common symbols, and binds every
/// symbol that a kept atom's relocations refer to.
pub(super) fn bind(
    session: &Session,
    staged: &mut Staged<'_>,
    resolver: &mut dyn Resolver,
) -> Result<Bound, Error> {
    discard_duplicates(session, staged);
    let targets = vec![Target::Unbound; staged.symbols.len()];
    let mut binder = Binder {
        session,
        staged,
        defined: FxHashMap::default(),
        targets,
        asked: Vec::new(),
        asked_names: FxHashMap::default(),
    };
    binder.define()?;
    let winners = binder.place_commons();
    binder.refer();
    let outside = binder.ask(resolver)?;
    Ok(Bound {
        targets: binder.targets,
        outside,
        winners,
    })
}

/// Keeps the first copy of every COMDAT group, and none whose signature the
/// image defines already.
fn discard_duplicates(session: &Session, staged: &mut Staged<'_>) {
    let mut seen: FxHashSet<String> = FxHashSet::default();
    for group in &staged.groups {
        let bytes = staged.inputs[group.input as usize].source.bytes();
        let signature = group.signature.text(bytes);
        let tables = &session.tables;
        let known = tables.names.find(signature).is_some_and(|name| {
            tables
                .find_symbol(name, |symbol| symbol.is_image_definition())
                .is_some()
        });
        if known || !seen.insert(signature.to_owned()) {
            for &atom in &group.atoms {
                staged.atoms[atom as usize].discarded = true;
            }
        }
    }
}

impl Binder<'_, '_> {
    /// Finds the batch's definition of each name, refusing duplicates.
    fn define(&mut self) -> Result<(), Error> {
        for index in 0..self.staged.symbols.len() as u32 {
            let symbol = &self.staged.symbols[index as usize];
            if symbol.binding == Binding::Local || symbol.nameless {
                continue;
            }
            let rank = match symbol.definition {
                StagedDefinition::Undefined | StagedDefinition::Elsewhere => continue,
                StagedDefinition::Atom(atom, _) if self.discarded(atom) => continue,
                StagedDefinition::Common { .. } => Rank::Common,
                _ if symbol.binding == Binding::Weak => Rank::Weak,
                _ => Rank::Strong,
            };
            let name = self.staged.symbol_name(index);
            if self.yields_to_image(index, name, rank)? {
                continue;
            }
            match self.defined.get_mut(name) {
                None => {
                    self.defined.insert(
                        name.to_owned(),
                        Winner {
                            symbol: index,
                            rank,
                        },
                    );
                }
                Some(winner) if rank == Rank::Strong && winner.rank == Rank::Strong => {
                    let (name, first) = (name.to_owned(), winner.symbol);
                    return Err(Error::Duplicate {
                        name,
                        first: self.place_of(first),
                        second: self.place_of(index),
                    });
                }
                Some(winner) if rank > winner.rank => {
                    *winner = Winner {
                        symbol: index,
                        rank,
                    }
                }
                Some(winner) if rank == Rank::Common && winner.rank == Rank::Common => {
                    let kept = winner.symbol;
                    self.merge_common(kept, index);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a definition gives way to the image's; refused when both are
    /// strong.
    fn yields_to_image(&self, index: u32, name: &str, rank: Rank) -> Result<bool, Error> {
        let tables = &self.session.tables;
        let Some(name_id) = tables.names.find(name) else {
            return Ok(false);
        };
        let Some(known) = tables.find_symbol(name_id, |symbol| symbol.is_image_definition()) else {
            return Ok(false);
        };
        let record = tables.symbol(known);
        match (record.binding, rank) {
            (Binding::Global, Rank::Strong) => {
                let view = self.session.view();
                let first = view.place(known).unwrap_or_else(|| "the image".into());
                let second = self.place_of(index);
                Err(Error::Duplicate {
                    name: name.into(),
                    first,
                    second,
                })
            }
            (_, Rank::Strong) => Ok(false),
            (_, _) => Ok(true),
        }
    }

    /// Gives the kept common symbol the larger size and alignment of the two.
    fn merge_common(&mut self, kept: u32, other: u32) {
        let (size, definition) = {
            let other = &self.staged.symbols[other as usize];
            (other.size, other.definition)
        };
        let kept = &mut self.staged.symbols[kept as usize];
        kept.size = kept.size.max(size);
        if let (
            StagedDefinition::Common { alignment },
            StagedDefinition::Common { alignment: other },
        ) = (&mut kept.definition, definition)
        {
            *alignment = (*alignment).max(other);
        }
    }

    /// Gives each common definition that won an atom of zeroes, and lists the
    /// winners in the order they were staged.
    fn place_commons(&mut self) -> Vec<u32> {
        let mut winners: Vec<u32> = self.defined.values().map(|winner| winner.symbol).collect();
        winners.sort_unstable();
        for &winner in &winners {
            let symbol = &self.staged.symbols[winner as usize];
            let StagedDefinition::Common { alignment } = symbol.definition else {
                continue;
            };
            let atom = self.staged.atoms.len() as u32;
            let input = self
                .staged
                .inputs
                .partition_point(|input| input.symbols.end <= winner);
            let relocs = self.staged.relocs.len() as u32;
            self.staged.atoms.push(StagedAtom {
                input: input as u32,
                kind: if symbol.kind == SymbolKind::ThreadLocal {
                    AtomKind::ThreadLocal
                } else {
                    AtomKind::Zero
                },
                role: Role::Plain,
                alignment_log2: alignment.ilog2() as u8,
                discarded: false,
                size: u32::try_from(symbol.size).unwrap_or(u32::MAX),
                bytes: Span::default(),
                name: symbol.name,
                relocs: relocs..relocs,
            });
            self.staged.symbols[winner as usize].definition = StagedDefinition::Atom(atom, 0);
        }
        winners
    }

    /// Binds what the relocations of kept atoms refer to, and collects what only
    /// the resolver can know.
    fn refer(&mut self) {
        for atom in 0..self.staged.atoms.len() as u32 {
            if self.discarded(atom) {
                continue;
            }
            for reloc in self.staged.atoms[atom as usize].relocs.clone() {
                let reloc = self.staged.relocs[reloc as usize];
                if self.targets[reloc.symbol as usize] == Target::Unbound {
                    self.targets[reloc.symbol as usize] =
                        self.target_of(reloc.symbol, (atom, reloc.offset));
                }
            }
        }
    }

    fn target_of(&mut self, index: u32, reference: (u32, u32)) -> Target {
        let symbol = &self.staged.symbols[index as usize];
        if symbol.binding == Binding::Local || symbol.nameless {
            return match symbol.definition {
                StagedDefinition::Atom(atom, _) if self.discarded(atom) => Target::Discarded,
                StagedDefinition::Atom(atom, offset) => Target::Atom(atom, offset),
                StagedDefinition::Absolute(value) => Target::Absolute(value),
                // The null symbol, or one in a section that takes no part.
                _ => Target::Null,
            };
        }
        let weak = symbol.binding == Binding::Weak;
        let name = self.staged.symbol_name(index);
        if let Some(winner) = self.defined.get(name) {
            return match self.staged.symbols[winner.symbol as usize].definition {
                StagedDefinition::Atom(atom, offset) => Target::Atom(atom, offset),
                StagedDefinition::Absolute(value) => Target::Absolute(value),
                _ => unreachable!("a winner is defined, and commons have been placed"),
            };
        }
        let tables = &self.session.tables;
        if let Some(name) = tables.names.find(name) {
            let known = tables.find_symbol(name, |symbol| symbol.is_image_definition());
            let known = known.or_else(|| tables.find_symbol(name, |s| s.binding != Binding::Local));
            if let Some(known) = known {
                return Target::Known(known);
            }
        }
        match name {
            "_GLOBAL_OFFSET_TABLE_" => return Target::GotBase,
            "__dso_handle" => return Target::ImageBase,
            _ => {}
        }
        let next = self.asked.len();
        let slot = *self.asked_names.entry(name.to_owned()).or_insert(next);
        if slot == next {
            self.asked.push(Asked {
                symbols: vec![index],
                reference,
                weak,
            });
        } else {
            self.asked[slot].symbols.push(index);
            self.asked[slot].weak &= weak;
        }
        Target::Unbound
    }

    /// Asks the resolver for what is left, all at once.
    fn ask(&mut self, resolver: &mut dyn Resolver) -> Result<Vec<(u32, u64)>, Error> {
        if self.asked.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<Wanted<'_>> = self
            .asked
            .iter()
            .map(|asked| wanted(self.staged.symbol_name(asked.symbols[0])))
            .collect();
        let answers = resolver.resolve(&wanted)?;
        assert_eq!(
            answers.len(),
            wanted.len(),
            "a resolver gives one answer for each name"
        );
        let mut undefined = Vec::new();
        let mut outside = Vec::new();
        for (asked, answer) in self.asked.iter().zip(answers) {
            let target = match answer {
                Some(Outside::Address(address)) => {
                    outside.push((asked.symbols[0], address.get()));
                    Target::Outside(outside.len() as u32 - 1)
                }
                Some(Outside::Ifunc(_) | Outside::ThreadOffset(_)) => {
                    let name = self.staged.symbol_name(asked.symbols[0]);
                    let input = &self.staged.input_of_atom(asked.reference.0).name;
                    let what = format!("`{name}` is outside and not a plain function or object");
                    return Err(Error::unsupported(input, what));
                }
                None if asked.weak => Target::Null,
                None => {
                    let name = self.staged.symbol_name(asked.symbols[0]).to_owned();
                    let (atom, offset) = asked.reference;
                    undefined.push(Undefined {
                        name,
                        wanted_by: place(self.staged, atom, offset),
                    });
                    continue;
                }
            };
            for &symbol in &asked.symbols {
                self.targets[symbol as usize] = target;
            }
        }
        if undefined.is_empty() {
            Ok(outside)
        } else {
            Err(Error::Undefined(undefined))
        }
    }

    fn discarded(&self, atom: u32) -> bool {
        self.staged.atoms[atom as usize].discarded
    }

    /// Where a staged symbol is defined, for messages.
    fn place_of(&self, symbol: u32) -> String {
        let input = &self.staged.input_of_symbol(symbol).name;
        match self.staged.symbols[symbol as usize].definition {
            StagedDefinition::Atom(atom, offset) => {
                let name = self.staged.atom_name(atom);
                Place {
                    input: input.clone(),
                    section: name.into(),
                    offset,
                }
                .to_string()
            }
            _ => input.clone(),
        }
    }
}

/// A place in a staged atom, for messages.
pub(super) fn place(staged: &Staged<'_>, atom: u32, offset: u32) -> Place {
    Place {
        input: staged.input_of_atom(atom).name.clone(),
        section: staged.atom_name(atom).to_owned(),
        offset: u64::from(offset),
    }
}

/// Splits `name@VERSION` and `name@@VERSION` as assemblers write them.
fn wanted(symbol: &str) -> Wanted<'_> {
    match symbol.split_once('@') {
        Some((name, version)) if !name.is_empty() => Wanted {
            name,
            version: Some(version.trim_start_matches('@')),
        },
        _ => Wanted {
            name: symbol,
            version: None,
        },
    }
}
