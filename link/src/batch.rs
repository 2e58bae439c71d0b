//! [`Batch`]: inputs staged for one publish.

use std::sync::Arc;

use object::elf::{SHN_UNDEF, SymbolInfo, SymbolOther, SymbolSection, SymbolType};
use object::elf::{STB_GLOBAL, STT_FUNC, STT_NOTYPE, STT_OBJECT, STT_TLS};
use object::{LittleEndian, U16, U32, U64, pod};

use crate::addr::HostAddr;
use crate::archive::Archive;
use crate::elf;
use crate::error::Error;
use crate::host::{Host, Resolver};
use crate::ids::{AtomId, Generation, InputId};
use crate::image;
use crate::model::{AtomKind, NONE, RelocKind};
use crate::names;
use crate::publish;
use crate::session::Session;
use crate::space::AddressSpace;
use crate::staged::{
    Mark, Role, Source, Span, Staged, StagedAtom, StagedInput, StagedReloc, SymbolRecord,
};

/// The ground an image grows on: where its bytes live, what can be asked of
/// whoever runs it, and who knows names it does not.
///
/// One object may be all three (a stopped process is); [`Parts`] makes a ground
/// of three.
pub trait Ground {
    /// Where the bytes live.
    fn space(&mut self) -> &mut dyn AddressSpace;
    /// What can be asked of whoever runs them.
    fn host(&mut self) -> &mut dyn Host;
    /// Who knows names that neither image nor batch defines.
    fn resolver(&mut self) -> &mut dyn Resolver;
}

/// A [`Ground`] made of three parts.
pub struct Parts<'g> {
    /// Where the bytes live.
    pub space: &'g mut dyn AddressSpace,
    /// What can be asked of whoever runs them.
    pub host: &'g mut dyn Host,
    /// Who knows names that neither image nor batch defines.
    pub resolver: &'g mut dyn Resolver,
}

impl Ground for Parts<'_> {
    fn space(&mut self) -> &mut dyn AddressSpace {
        self.space
    }
    fn host(&mut self) -> &mut dyn Host {
        self.host
    }
    fn resolver(&mut self) -> &mut dyn Resolver {
        self.resolver
    }
}

/// A hand-built atom.
#[derive(Clone, Debug)]
pub struct AtomSpec<'a> {
    /// The name others refer to it by, if any.
    pub name: Option<&'a str>,
    /// What its bytes are for.
    pub kind: AtomKind,
    /// What its address must be a multiple of, in bytes; a power of two.
    pub alignment: u64,
    /// Its bytes; empty for [`AtomKind::Zero`].
    pub bytes: &'a [u8],
    /// How long it is; the length of `bytes` unless it is [`AtomKind::Zero`].
    pub size: u64,
    /// The fields to be filled in.
    pub relocs: &'a [RelocSpec<'a>],
}

/// A relocation of a hand-built atom.
#[derive(Clone, Debug)]
pub struct RelocSpec<'a> {
    /// The field's offset in the atom, in bytes.
    pub offset: u32,
    /// How the field is computed.
    pub kind: RelocKind,
    /// The name it refers to.
    pub target: &'a str,
    /// The constant added to the target.
    pub addend: i64,
}

/// What a publish did.
#[derive(Debug)]
pub struct Published {
    /// The generation that shows the batch.
    pub generation: Generation,
    /// The batch's inputs, first and one past the last.
    pub inputs: std::ops::Range<InputId>,
    /// The batch's atoms, first and one past the last.
    pub atoms: std::ops::Range<AtomId>,
    /// How the `run` step faulted, if it did: the batch is published all the
    /// same, and its generation marked.
    pub faulted: Option<crate::host::HostError>,
}

/// Inputs staged for one publish. Dropping it leaves nothing.
pub struct Batch<'s, 'i> {
    session: &'s mut Session,
    staged: Staged<'i>,
    archives: Vec<Archive>,
    /// Names staged by [`object_once`](Batch::object_once).
    once: Vec<Box<str>>,
}

impl<'s, 'i> Batch<'s, 'i> {
    pub(crate) fn new(session: &'s mut Session) -> Batch<'s, 'i> {
        let staged = std::mem::take(&mut session.scratch.staged);
        Batch {
            session,
            staged,
            archives: Vec::new(),
            once: Vec::new(),
        }
    }

    /// Stages a relocatable object. `name` is what messages and views call it.
    /// On error the batch is as it was.
    pub fn object(&mut self, name: &str, bytes: &'i [u8]) -> Result<(), Error> {
        elf::stage(
            &mut self.staged,
            self.session.options.arch,
            name,
            Source::Borrowed(bytes),
        )
    }

    /// Stages an object unless one was published under this name by this method
    /// before, or is in this batch: loading a name twice is one load. Says
    /// whether it was staged.
    pub fn object_once(&mut self, name: &str, bytes: &'i [u8]) -> Result<bool, Error> {
        if self.session.once.contains(name) || self.once.iter().any(|known| **known == *name) {
            return Ok(false);
        }
        self.object(name, bytes)?;
        self.once.push(name.into());
        Ok(true)
    }

    /// Stages a static archive: its members are pulled when a name they define
    /// is wanted, by this batch or a later one.
    pub fn archive(&mut self, name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<(), Error> {
        self.archives.push(Archive::parse(name, bytes.into())?);
        Ok(())
    }

    /// Stages a hand-built atom as an input of its own, called `input` in
    /// messages and views.
    pub fn atom(&mut self, input: &str, spec: &AtomSpec<'_>) -> Result<(), Error> {
        check_spec(input, spec)?;
        let staged = &mut self.staged;
        let number = staged.inputs.len() as u32;
        let (atom, first_symbol) = (staged.atoms.len() as u32, staged.marks.len() as u32);
        let input_name = staged.keep(input.as_bytes());
        let bytes = staged.keep(spec.bytes);
        let relocs =
            staged.keep_relocs(
                spec.relocs
                    .iter()
                    .zip(0..)
                    .map(|(reloc, symbol)| StagedReloc {
                        offset: reloc.offset,
                        kind: reloc.kind,
                        symbol,
                        addend: reloc.addend,
                    }),
            );
        // Texts first, so that the records lie together.
        let mut text = staged.built.len() as u32;
        for reloc in spec.relocs {
            staged.wants_low |= crate::arch::x86_64::is_absolute_32(reloc.kind);
            staged.keep_text(reloc.target);
        }
        let name = staged.keep_text(spec.name.unwrap_or(""));
        let first_record = staged.built.len();
        for reloc in spec.relocs {
            add_global(staged, &mut text, reloc.target, SHN_UNDEF, 0, STT_NOTYPE);
        }
        if let Some(name) = spec.name {
            let kind = match spec.kind {
                AtomKind::Code => STT_FUNC,
                AtomKind::ThreadLocal => STT_TLS,
                _ => STT_OBJECT,
            };
            add_global(staged, &mut text, name, BUILT_SECTION, spec.size, kind);
        }
        let records = Span {
            start: first_record as u32,
            len: (staged.built.len() - first_record) as u32,
        };
        let sections = staged.sections.len() as u32;
        staged.sections.extend([NONE, atom]);
        staged.atoms.push(StagedAtom {
            input: number,
            kind: spec.kind,
            role: Role::Plain,
            alignment_log2: spec.alignment.ilog2() as u8,
            discarded: false,
            size: spec.size as u32,
            bytes,
            name,
            relocs,
        });
        staged.inputs.push(StagedInput {
            name: input_name,
            source: Source::Built,
            sections: sections..sections + 2,
            atoms: atom..atom + 1,
            symbols: first_symbol..staged.marks.len() as u32,
            first_global: first_symbol,
            records,
            // A hand-built name counts from the start of all of them.
            strings: Span {
                start: 0,
                len: staged.built.len() as u32,
            },
            section_numbers: Span::default(),
            has_debug: false,
        });
        Ok(())
    }

    /// Makes this a *replace* batch: its functions take the place of the image's
    /// functions of the same names. Each is written over the old one where it
    /// fits and no thread is in it; else it moves and a jump is left at its old
    /// address. Either way callers' bytes, vtables and stored pointers stay good.
    /// Variables keep their place and value, recognised by name and size (a
    /// file's own by the input's name too); initialisers do not run again.
    ///
    /// Publishing needs a host that can stop the [`world`](Host::world), and is
    /// refused while any thread is or will return into bytes to be overwritten,
    /// and when a variable would change its shape.
    pub fn replace(&mut self) {
        self.staged.replaces = true;
    }

    /// Publishes the batch whole as the next generation, or leaves everything
    /// as it was and says why. See [`publish`](crate::publish).
    pub fn publish(mut self, ground: &mut dyn Ground) -> Result<Published, Error> {
        let archives = std::mem::take(&mut self.archives);
        let published = publish::publish(self.session, &mut self.staged, archives, ground)?;
        self.session.once.extend(self.once.drain(..));
        Ok(published)
    }
}

impl Drop for Batch<'_, '_> {
    /// Gives the lists back, so that the next batch allocates none.
    fn drop(&mut self) {
        self.session.scratch.staged = std::mem::take(&mut self.staged).recycle();
    }
}

/// The number of the section that a hand-built atom is in.
const BUILT_SECTION: SymbolSection = SymbolSection(1);

/// Adds a global symbol to the input that is being built: a record as an object
/// has it. `text` is where its name was kept, and becomes where the next one
/// was.
fn add_global(
    staged: &mut Staged<'_>,
    text: &mut u32,
    name: &str,
    section: SymbolSection,
    size: u64,
    kind: SymbolType,
) {
    let record = SymbolRecord {
        st_name: U32::new(LittleEndian, *text),
        st_info: SymbolInfo::new(STB_GLOBAL, kind),
        st_other: SymbolOther(0),
        st_shndx: U16::new(LittleEndian, section),
        st_value: U64::new(LittleEndian, 0),
        st_size: U64::new(LittleEndian, size),
    };
    staged.keep(pod::bytes_of(&record));
    *text += name.len() as u32 + 1;
    let hash = names::hash(name.as_bytes());
    let number = staged.names.number_of(hash, name.as_bytes());
    let mut mark = Mark::of_name(number);
    mark.refer(section == SHN_UNDEF);
    staged.marks.push(mark);
}

fn check_spec(input: &str, spec: &AtomSpec<'_>) -> Result<(), Error> {
    let name = spec.name.unwrap_or("atom");
    let fail = |what: String| Err(Error::malformed(input, format!("{name}: {what}")));
    if !spec.alignment.is_power_of_two() || spec.alignment > 1 << 20 {
        return fail(format!("alignment {:#x}", spec.alignment));
    }
    let zero = spec.kind == AtomKind::Zero;
    let text: usize = spec.relocs.iter().map(|reloc| reloc.target.len()).sum();
    let total = spec.bytes.len() + text + name.len();
    if u32::try_from(spec.size).is_err() || u32::try_from(total).is_err() {
        return fail("4 GiB or more".into());
    }
    if spec.bytes.len() as u64 != if zero { 0 } else { spec.size } {
        return fail(format!(
            "{} bytes given, {} announced",
            spec.bytes.len(),
            spec.size
        ));
    }
    for reloc in spec.relocs {
        if crate::arch::x86_64::needs(reloc.kind).is_none() {
            return fail(format!("relocation kind {}", reloc.kind.0));
        }
        let end = u64::from(reloc.offset) + u64::from(crate::arch::x86_64::width(reloc.kind));
        if end > spec.bytes.len() as u64 {
            return fail(format!("relocation at {:#x} is past the end", reloc.offset));
        }
    }
    Ok(())
}

/// An anonymous atom that is written where it will run: a translated block.
///
/// It is a batch of one atom with no name, no symbol and no relocations, whose
/// bytes are written past the cursor by the caller. [`finish`](Emission::finish)
/// publishes it; dropping it leaves nothing.
pub struct Emission<'s> {
    session: &'s mut Session,
    space: &'s mut dyn AddressSpace,
    kind: AtomKind,
    region: u16,
    segment: usize,
    /// Offset in the segment.
    offset: u64,
    max: u64,
    finished: bool,
}

impl<'s> Emission<'s> {
    /// Where the atom's first byte will be.
    pub fn address(&self) -> HostAddr {
        self.segment().region.start.add(self.offset)
    }

    /// The bytes to write: as many as were asked for, zero at first.
    pub fn bytes(&mut self) -> &mut [u8] {
        let at = self.address();
        self.space
            .window(at, self.max)
            .expect("emit_in_place checked that there is a window")
    }

    /// Publishes the first `length` bytes as the next generation. The bytes past
    /// them must be zero: the next atom begins there.
    pub fn finish(mut self, length: u64) -> Result<(Generation, AtomId), Error> {
        assert!(
            length <= self.max,
            "an emission is at most as long as it asked for"
        );
        let at = self.address();
        debug_assert!(
            self.space
                .window(at.add(length), self.max - length)
                .is_none_or(|rest| rest.iter().all(|byte| *byte == 0)),
            "what is past the end of an emission must stay zero"
        );
        let segment = self.segment;
        let protection = self.segment().region.protection;
        self.space.seal(at.range(length), protection)?;
        self.finished = true;
        let (region, kind) = (self.region, self.kind);
        Ok(publish::commit_in_place(
            self.session,
            region,
            segment,
            kind,
            self.offset,
            length,
        ))
    }

    fn segment(&self) -> &image::Segment {
        let slab = self.session.image.slabs[image::Ground::Preferred as usize].as_ref();
        &slab.expect("room_in_place made sure of a slab").segments[self.segment]
    }
}

impl Drop for Emission<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let at = self.address();
            if let Some(bytes) = self.space.window(at, self.max) {
                bytes.fill(0);
            }
        }
    }
}

impl Session {
    /// Begins an anonymous atom of at most `max` bytes that is written in
    /// place. The space must have a window on its memory.
    pub fn emit_in_place<'s>(
        &'s mut self,
        space: &'s mut dyn AddressSpace,
        kind: AtomKind,
        alignment: u64,
        max: u64,
    ) -> Result<Emission<'s>, Error> {
        let (region, segment, offset) = publish::room_in_place(self, space, kind, alignment, max)?;
        let emission = Emission {
            session: self,
            space,
            kind,
            region,
            segment,
            offset,
            max,
            finished: false,
        };
        Ok(emission)
    }
}
