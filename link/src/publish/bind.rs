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
//!
//! `__start_X` and `__stop_X` are the bounds of the batch's sections called `X`,
//! which are placed together. Sections of earlier batches are not among them:
//! their bounds were bound when they were published.

use object::LittleEndian;
use object::read::elf::Sym;
use rustc_hash::FxHashSet;

use crate::addr::HostAddr;
use crate::batch::Ground;
use crate::error::{Error, Place, Undefined};
use crate::host::{Outside, Wanted};
use crate::ids::{AtomId, SymbolId};
use crate::model::{AtomKind, Binding, Definition, NONE, SymbolKind};
use crate::publish::by_name::{ByName, Entry, Rank};
use crate::publish::replace;
use crate::session::Session;
use crate::staged::merge::merge;
use crate::staged::{
    Role, Says, Span, Staged, StagedAtom, StagedDefinition, SymbolAt, SymbolRecord, Symbols,
};

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
    /// A place in an atom of an earlier generation that keeps its identity.
    Old(AtomId, u64),
    /// An indirect function of the batch: index in [`Bound::ifuncs`].
    Ifunc(u32),
    /// The first byte of the sections of a name, or the one past their last:
    /// index in [`Bound::brackets`].
    Start(u32),
    Stop(u32),
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

/// A name bound outside by this batch.
#[derive(Clone, Copy)]
pub(super) struct BoundOutside {
    /// A staged symbol of that name, and the name's number.
    pub symbol: SymbolAt,
    pub name: u32,
    /// Its address, or its offset from the thread pointer.
    pub value: u64,
    pub thread_local: bool,
}

/// How much of an outside `std::type_info` is copied whose length nobody knows: a
/// class of 14 bases has no more.
const COPY_LEN: usize = 256;
/// The longest table of a class that is copied, in bytes.
const LONGEST_COPY: u64 = 64 << 10;
/// What names of the tables that a C++ compiler makes of a class begin with: its
/// type information, virtual functions and, for a class with virtual bases, tables.
const CLASS_TABLES: [&[u8]; 3] = [b"_ZTI", b"_ZTV", b"_ZTT"];

/// The result of binding: what each name stands for, and what local symbols of
/// special kinds do. The lists are kept from batch to batch.
#[derive(Default)]
pub(crate) struct Bound {
    pub(super) outside: Vec<BoundOutside>,
    /// Where the resolvers of indirect functions lie: atom and offset.
    pub(super) ifuncs: Vec<(u32, u64)>,
    /// The atoms of each section name whose bounds are wanted.
    pub(super) brackets: Vec<Vec<u32>>,
    /// Tables of classes outside that 32-bit fields do not reach: where each is, and
    /// its bytes.
    pub(super) copies: Vec<(u64, Box<[u8]>)>,
    /// Where functions outside are that such fields do not reach.
    pub(super) far_functions: FxHashSet<u64>,
    /// The image's functions whose place a definition of the batch takes, with
    /// that definition.
    pub(super) replaced: Vec<(SymbolAt, SymbolId)>,
    /// In a replace batch, for each staged atom the image's that it stands for,
    /// or `NONE`.
    pub(super) aliases: Vec<u32>,
    /// In a replace batch, for each staged atom the image's that it may be
    /// written over, or `NONE`.
    pub(super) slots: Vec<u32>,
    pub(super) names: ByName,
    /// The names to ask the resolver for.
    asked: Vec<u32>,
}

impl Bound {
    /// What a staged symbol stands for.
    pub(super) fn target(&self, staged: &Staged<'_>, symbol: SymbolAt) -> Target {
        match self.names.of(staged, symbol) {
            Some(entry) => entry.target,
            None => {
                let symbols = staged.symbols_of(symbol.input);
                let record = symbols.record(symbol.number);
                let definition = symbols.definition(symbol.number, record);
                self.local_target(staged, record, definition)
            }
        }
    }

    /// What a symbol that only its own input sees stands for.
    #[inline]
    pub(super) fn local_target(
        &self,
        staged: &Staged<'_>,
        record: &SymbolRecord,
        definition: StagedDefinition,
    ) -> Target {
        match definition {
            StagedDefinition::Atom(atom, offset) => {
                if let Some(old) = self.alias(atom) {
                    return Target::Old(old, offset);
                }
                if staged.atoms[atom as usize].discarded {
                    return Target::Discarded;
                }
                if record.kind() != SymbolKind::Ifunc {
                    return Target::Atom(atom, offset);
                }
                let number = self.ifunc(atom, offset);
                number.map_or(Target::Atom(atom, offset), Target::Ifunc)
            }
            StagedDefinition::Absolute(value) => Target::Absolute(value),
            // The null symbol, or one in a section that takes no part.
            _ => Target::Null,
        }
    }

    /// The image's atom that a staged one stands for.
    fn alias(&self, atom: u32) -> Option<AtomId> {
        let alias = self.aliases.get(atom as usize);
        alias
            .filter(|alias| **alias != NONE)
            .map(|alias| AtomId(*alias))
    }

    /// The number of the indirect function whose resolver lies there.
    fn ifunc(&self, atom: u32, offset: u64) -> Option<u32> {
        let ifuncs = &self.ifuncs;
        let number = ifuncs.iter().position(|ifunc| *ifunc == (atom, offset));
        number.map(|number| number as u32)
    }

    /// Adds an indirect function, unless it is known.
    fn add_ifunc(&mut self, atom: u32, offset: u64) -> u32 {
        self.ifunc(atom, offset).unwrap_or_else(|| {
            self.ifuncs.push((atom, offset));
            self.ifuncs.len() as u32 - 1
        })
    }

    /// The atom of an indirect function, when there is one.
    pub(super) fn first_ifunc(&self) -> Option<u32> {
        self.ifuncs.first().map(|(atom, _)| *atom)
    }
}

struct Binder<'b, 'i> {
    session: &'b Session,
    staged: &'b mut Staged<'i>,
    bound: &'b mut Bound,
}

/// Discards COMDAT duplicates, makes atoms of common symbols, and binds every
/// symbol that a kept atom's relocations refer to.
pub(super) fn bind(
    session: &Session,
    staged: &mut Staged<'_>,
    bound: &mut Bound,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    discard_duplicates(session, staged);
    if !staged.groups.is_empty() {
        refer_again(staged);
    }
    merge(staged);
    bound.outside.clear();
    bound.ifuncs.clear();
    bound.brackets.clear();
    bound.asked.clear();
    bound.copies.clear();
    bound.far_functions.clear();
    bound.replaced.clear();
    bound.aliases.clear();
    bound.slots.clear();
    bound.names.fill(&session.tables, staged);
    let mut binder = Binder {
        session,
        staged,
        bound,
    };
    binder.define()?;
    if binder.staged.replaces {
        replace::pair(binder.session, binder.staged, binder.bound)?;
        refer_again(binder.staged);
        binder.bound.names.refer_again(binder.staged);
    }
    binder.place_commons();
    binder.refer()?;
    binder.ask(ground)?;
    if binder.staged.wants_low {
        binder.find_stand_ins(ground)?;
    }
    Ok(())
}

/// Keeps the first copy of every COMDAT group, and none whose signature the
/// image defines already.
fn discard_duplicates(session: &Session, staged: &mut Staged<'_>) {
    if staged.groups.is_empty() {
        return;
    }
    let tables = &session.tables;
    let mut seen: FxHashSet<&[u8]> = FxHashSet::default();
    let mut discarded = Vec::new();
    for group in &staged.groups {
        let signature = group.signature.of(staged.bytes_of(group.input));
        let hash = crate::names::hash(signature);
        let known = tables
            .names
            .find_hashed(hash, signature)
            .is_some_and(|name| {
                tables
                    .find_symbol(name, |symbol| symbol.is_image_definition())
                    .is_some()
            });
        // What is replaced is compared name by name.
        if (known && !staged.replaces) || !seen.insert(signature) {
            discarded.push(group.atoms.clone());
        }
    }
    for atom in discarded.into_iter().flatten() {
        let atom = staged.group_atoms[atom as usize];
        staged.atoms[atom as usize].discarded = true;
    }
}

/// Says again what the inputs refer to of whose atoms some are discarded.
fn refer_again(staged: &mut Staged<'_>) {
    for input in 0..staged.inputs.len() as u32 {
        let mut atoms = staged.inputs[input as usize].atoms.clone();
        if atoms.any(|atom| staged.atoms[atom as usize].discarded) {
            staged.refer_again(input);
        }
    }
}

impl Binder<'_, '_> {
    /// Finds the batch's definition of each name, refusing duplicates, and which
    /// names relocations refer to.
    fn define(&mut self) -> Result<(), Error> {
        let (session, staged) = (self.session, &*self.staged);
        let names = &mut self.bound.names;
        for input in 0..staged.inputs.len() as u32 {
            let symbols = staged.symbols_of(input);
            for (number, record, mark, name) in symbols.globals() {
                let symbol = SymbolAt { input, number };
                names.entry_mut(name).refer(symbol, record, mark);
                define(session, staged, names, &symbols, (symbol, record), name)?;
            }
        }
        for &(symbol, name) in &staged.versions {
            let symbols = staged.symbols_of(symbol.input);
            let record = symbols.record(symbol.number);
            // A function that `.symver` names often keeps its own name as well.
            let entry = names.entry(name);
            let same = symbols.definition(symbol.number, record) == entry.definition;
            if !entry.winner.is_some() || !same {
                define(session, staged, names, &symbols, (symbol, record), name)?;
            }
        }
        Ok(())
    }

    /// Gives each common definition that won an atom of zeroes.
    fn place_commons(&mut self) {
        for entry in self.bound.names.iter_mut() {
            let StagedDefinition::Common { alignment } = entry.definition else {
                continue;
            };
            let atom = self.staged.atoms.len() as u32;
            self.staged.atoms.push(StagedAtom {
                input: entry.winner.input,
                kind: match entry.kind {
                    SymbolKind::ThreadLocal => AtomKind::ThreadLocal,
                    _ => AtomKind::Zero,
                },
                role: Role::Plain,
                alignment_log2: alignment.ilog2() as u8,
                discarded: false,
                size: u32::try_from(entry.size).unwrap_or(u32::MAX),
                bytes: Span::default(),
                name: self.staged.name_span(entry.winner),
                relocs: Span::default(),
            });
            entry.definition = StagedDefinition::Atom(atom, 0);
        }
    }

    /// Binds what the relocations of kept atoms refer to, and collects what only
    /// the resolver can know; then what the batch defines by another's name.
    fn refer(&mut self) -> Result<(), Error> {
        for number in 0..self.staged.local_ifuncs.len() {
            let symbol = self.staged.local_ifuncs[number];
            let definition = self.staged.definition(symbol, self.staged.record(symbol));
            if let StagedDefinition::Atom(atom, offset) = definition
                && self.staged.mark(symbol).is_referred()
                && !self.discarded(atom)
            {
                self.bound.add_ifunc(atom, offset);
            }
        }
        for number in 0..self.bound.names.len() as u32 {
            let entry = self.bound.names.entry(number);
            // An indirect function is published as its stub, referred to or not.
            let ifunc = entry.winner.is_some() && entry.kind == SymbolKind::Ifunc;
            if entry.reference.is_some() || ifunc {
                self.bound.names.entry_mut(number).target = self.target_of(number)?;
            }
        }
        Ok(())
    }

    /// What a name stands for; `Unbound` if only the resolver can know, which is
    /// asked then.
    fn target_of(&mut self, number: u32) -> Result<Target, Error> {
        let entry = self.bound.names.entry(number);
        if entry.winner.is_some() {
            return Ok(match entry.definition {
                StagedDefinition::Atom(atom, offset) if entry.kind == SymbolKind::Ifunc => {
                    Target::Ifunc(self.bound.add_ifunc(atom, offset))
                }
                StagedDefinition::Atom(atom, offset) => Target::Atom(atom, offset),
                StagedDefinition::Absolute(value) => Target::Absolute(value),
                _ => unreachable!("a winner is defined, and commons have been placed"),
            });
        }
        if entry.image != NONE {
            return Ok(Target::Known(SymbolId(entry.image)));
        }
        match self.staged.name_bytes(number) {
            b"_GLOBAL_OFFSET_TABLE_" => return Ok(Target::GotBase),
            b"__dso_handle" => return Ok(Target::ImageBase),
            _ => {}
        }
        if let Some(bound) = self.bracket(number)? {
            return Ok(bound);
        }
        self.bound.asked.push(number);
        Ok(Target::Unbound)
    }

    /// The bounds of a section, if that is what a name asks for and the batch
    /// has such sections.
    fn bracket(&mut self, name: u32) -> Result<Option<Target>, Error> {
        let name = self.staged.name_text(name);
        let (section, stop) = match (name.strip_prefix("__start_"), name.strip_prefix("__stop_")) {
            (Some(section), _) => (section, false),
            (_, Some(section)) => (section, true),
            _ => return Ok(None),
        };
        let is_there =
            |atom: &u32| !self.discarded(*atom) && self.staged.atom_name(*atom) == section;
        let all = 0..self.staged.atoms.len() as u32;
        let atoms: Vec<u32> = all.filter(is_there).collect();
        let Some(&first) = atoms.first() else {
            return Ok(None);
        };
        let kind = |atom: u32| self.staged.atoms[atom as usize].kind;
        if let Some(&other) = atoms.iter().find(|atom| kind(**atom) != kind(first)) {
            let what = format!("section {section} has other flags than in other objects");
            return Err(Error::unsupported(
                self.staged.input_name_of_atom(other),
                what,
            ));
        }
        let brackets = &mut self.bound.brackets;
        let known = brackets.iter().position(|bracket| bracket[0] == first);
        let number = known.unwrap_or_else(|| {
            brackets.push(atoms);
            brackets.len() - 1
        }) as u32;
        Ok(Some(if stop {
            Target::Stop(number)
        } else {
            Target::Start(number)
        }))
    }

    /// Asks the resolver for what is left, all at once.
    fn ask(&mut self, ground: &mut dyn Ground) -> Result<(), Error> {
        if self.bound.asked.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Wanted<'_>> = self
            .bound
            .asked
            .iter()
            .map(|number| {
                let reference = self.bound.names.entry(*number).reference;
                let kind = self.staged.record(reference).kind();
                let thread_local = kind == SymbolKind::ThreadLocal;
                wanted(self.staged.name_text(*number), thread_local)
            })
            .collect();
        let answers = ground.resolver().resolve(&wanted)?;
        assert_eq!(
            answers.len(),
            wanted.len(),
            "a resolver gives one answer for each name"
        );
        let mut undefined = Vec::new();
        for (number, answer) in answers.into_iter().enumerate() {
            let name = self.bound.asked[number];
            let entry = self.bound.names.entry(name);
            let (symbol, weak) = (entry.reference, entry.weak);
            let (value, thread_local) = match answer {
                Some(Outside::Address(address)) => (address.get(), false),
                Some(Outside::ThreadOffset(offset)) => (offset as u64, true),
                Some(Outside::Ifunc(resolver)) => {
                    (resolve_ifunc(self.staged, symbol, resolver, ground)?, false)
                }
                None => {
                    self.bound.names.entry_mut(name).target = Target::Null;
                    if !weak {
                        undefined.push(Undefined {
                            name: self.staged.name_text(name).to_owned(),
                            wanted_by: first_reference(self.staged, symbol),
                        });
                    }
                    continue;
                }
            };
            let entry = self.bound.names.entry_mut(name);
            entry.target = Target::Outside(self.bound.outside.len() as u32);
            self.bound.outside.push(BoundOutside {
                symbol,
                name,
                value,
                thread_local,
            });
        }
        match undefined.is_empty() {
            true => Ok(()),
            false => Err(Error::Undefined(undefined)),
        }
    }

    /// Code that is not position-independent holds addresses in 32 bits, which do
    /// not reach a library. As a static linker has it, a stub in reach then stands
    /// for a function wherever the batch names it, and a copy for a class's tables,
    /// which never change (type information is compared by name).
    fn find_stand_ins(&mut self, ground: &mut dyn Ground) -> Result<(), Error> {
        let mut far: Vec<(u32, HostAddr)> = Vec::new();
        for number in 0..self.bound.names.len() as u32 {
            let address = match self.bound.names.entry(number).target {
                Target::Outside(outside) => {
                    let outside = &self.bound.outside[outside as usize];
                    (!outside.thread_local).then_some(HostAddr(outside.value))
                }
                Target::Known(known) => match self.session.tables.symbol(known).definition() {
                    Definition::Outside(address) => Some(address),
                    _ => None,
                },
                _ => None,
            };
            let address = address.filter(|address| u32::try_from(address.get()).is_err());
            far.extend(address.map(|address| (number, address)));
        }
        if far.is_empty() {
            return Ok(());
        }
        let addresses: Vec<HostAddr> = far.iter().map(|(_, address)| *address).collect();
        let extents = ground.resolver().extents(&addresses)?;
        assert_eq!(
            extents.len(),
            addresses.len(),
            "a resolver gives one answer for each address"
        );
        for ((number, address), extent) in far.into_iter().zip(extents) {
            let name = self.staged.name_bytes(number);
            if CLASS_TABLES.iter().any(|table| name.starts_with(table)) {
                let of_unknown_length = name.starts_with(CLASS_TABLES[0]);
                let size = extent.map_or(0, |extent| extent.size);
                let bytes = copy(address, size, of_unknown_length, ground);
                self.bound.copies.extend(bytes.map(|b| (address.get(), b)));
            } else if extent.is_some_and(|extent| extent.function) {
                self.bound.far_functions.insert(address.get());
            }
        }
        Ok(())
    }

    fn discarded(&self, atom: u32) -> bool {
        self.staged.atoms[atom as usize].discarded
    }
}

/// The bytes of a class's table outside. Where nobody knows how long it is, as much
/// as there may be of type information: near the end of a mapping there is less to
/// read.
fn copy(
    at: HostAddr,
    size: u64,
    of_unknown_length: bool,
    ground: &mut dyn Ground,
) -> Option<Box<[u8]>> {
    let known = [size as usize];
    let lengths = match size {
        1..=LONGEST_COPY => &known[..],
        0 if of_unknown_length => &[COPY_LEN, COPY_LEN / 4, 16],
        _ => return None,
    };
    lengths.iter().find_map(|len| {
        let mut bytes = vec![0; *len].into_boxed_slice();
        ground.space().read(at, &mut bytes).ok()?;
        Some(bytes)
    })
}

/// Takes a symbol for the definition of a name, if it is one and no better is
/// known.
#[inline]
fn define(
    session: &Session,
    staged: &Staged<'_>,
    names: &mut ByName,
    symbols: &Symbols<'_>,
    (symbol, record): (SymbolAt, &SymbolRecord),
    name: u32,
) -> Result<(), Error> {
    let definition = symbols.definition(symbol.number, record);
    let rank = match definition {
        StagedDefinition::Undefined | StagedDefinition::Elsewhere => return Ok(()),
        StagedDefinition::Atom(atom, _) if staged.atoms[atom as usize].discarded => {
            return Ok(());
        }
        StagedDefinition::Common { .. } => Rank::Common,
        _ if record.binding() == Binding::Weak => Rank::Weak,
        _ => Rank::Strong,
    };
    names.add_definition(symbol, name);
    if yields_to_image(session, staged, names.entry(name), symbol, rank)? {
        return Ok(());
    }
    let entry = names.entry_mut(name);
    if !entry.winner.is_some() || rank > entry.rank {
        entry.define(symbol, record, definition, rank);
    } else if rank == Rank::Strong {
        return Err(Error::Duplicate {
            name: staged.name_text(name).into(),
            first: place_of(staged, entry.winner),
            second: place_of(staged, symbol),
        });
    } else if rank == Rank::Common && entry.rank == Rank::Common {
        merge_common(entry, definition, record.st_size(LittleEndian));
    }
    Ok(())
}

/// Whether a definition gives way to the image's; refused when both are strong.
#[inline]
fn yields_to_image(
    session: &Session,
    staged: &Staged<'_>,
    entry: &Entry,
    symbol: SymbolAt,
    rank: Rank,
) -> Result<bool, Error> {
    if entry.image == NONE {
        return Ok(false);
    }
    let record = session.tables.symbol(SymbolId(entry.image));
    if !record.is_image_definition() {
        return Ok(false);
    }
    if staged.replaces && rank != Rank::Common {
        return Ok(false);
    }
    match (record.binding, rank) {
        (Binding::Global, Rank::Strong) => {
            let view = session.view();
            let first = view.place(SymbolId(entry.image));
            Err(Error::Duplicate {
                name: session.tables.symbol_name(SymbolId(entry.image)).into(),
                first: first.unwrap_or_else(|| "the image".into()),
                second: place_of(staged, symbol),
            })
        }
        (_, Rank::Strong) => Ok(false),
        (_, _) => Ok(true),
    }
}

/// Gives the kept common symbol the larger size and alignment of the two.
fn merge_common(kept: &mut Entry, other: StagedDefinition, size: u64) {
    kept.size = kept.size.max(size);
    if let (StagedDefinition::Common { alignment }, StagedDefinition::Common { alignment: other }) =
        (&mut kept.definition, other)
    {
        *alignment = (*alignment).max(other);
    }
}

/// Where a staged symbol is defined, for messages.
fn place_of(staged: &Staged<'_>, symbol: SymbolAt) -> String {
    let input = staged.input_name(symbol.input);
    match staged.definition(symbol, staged.record(symbol)) {
        StagedDefinition::Atom(atom, offset) => {
            let place = Place {
                input: input.into(),
                section: staged.atom_name(atom).into(),
                offset,
            };
            place.to_string()
        }
        _ => input.into(),
    }
}

/// Asks an indirect function outside for the address to use in its place.
fn resolve_ifunc(
    staged: &Staged<'_>,
    symbol: SymbolAt,
    resolver: HostAddr,
    ground: &mut dyn Ground,
) -> Result<u64, Error> {
    let Some(call) = ground.host().call() else {
        let name = staged.symbol_name(symbol);
        let what =
            format!("`{name}` is an indirect function, and this target cannot be asked to call it");
        return Err(Error::unsupported(staged.input_name(symbol.input), what));
    };
    Ok(call.call(resolver, &[])?)
}

/// Where a symbol is first referred to, for messages.
fn first_reference(staged: &Staged<'_>, symbol: SymbolAt) -> Place {
    let mut atoms = staged.inputs[symbol.input as usize].atoms.clone();
    let found = atoms.find_map(|atom| {
        let mut relocs = staged.relocs(atom);
        let kept = !staged.atoms[atom as usize].discarded;
        let reloc = relocs.find(|reloc| kept && reloc.symbol == symbol.number)?;
        Some(place(staged, atom, reloc.offset))
    });
    found.expect("it is marked as referred to")
}

/// A place in a staged atom, for messages.
pub(super) fn place(staged: &Staged<'_>, atom: u32, offset: u32) -> Place {
    Place {
        input: staged.input_name_of_atom(atom).to_owned(),
        section: staged.atom_name(atom).to_owned(),
        offset: u64::from(offset),
    }
}

/// Splits `name@VERSION` and `name@@VERSION` as assemblers write them.
fn wanted(symbol: &str, thread_local: bool) -> Wanted<'_> {
    let (name, version) = match symbol.split_once('@') {
        Some((name, version)) if !name.is_empty() => (name, Some(version.trim_start_matches('@'))),
        _ => (symbol, None),
    };
    Wanted {
        name,
        version,
        thread_local,
    }
}
