//! Damage to good objects and archives, in the places where a reader believes
//! them.

use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader, SectionHeader};

use super::Random;

const LE: LittleEndian = LittleEndian;
type Header = elf::FileHeader64<LittleEndian>;

/// A section, as its header says.
#[derive(Clone, Copy)]
struct Section {
    /// Where the header lies in the file.
    header: usize,
    kind: u32,
    start: usize,
    size: usize,
}

/// A good object, and what of it can be damaged.
pub struct Good {
    pub bytes: Vec<u8>,
    sections: Vec<Section>,
    symbols: usize,
}

impl Good {
    pub fn new(bytes: Vec<u8>) -> Good {
        let data = &bytes[..];
        let header = Header::parse(data).unwrap();
        let sections = header.sections(LE, data).unwrap();
        let symbols = sections.symbols(LE, data, elf::SHT_SYMTAB).unwrap().len();
        let table = header.e_shoff(LE) as usize;
        let sections = sections.iter().enumerate();
        let sections = sections.map(|(index, section)| {
            let no_bytes = section.sh_type(LE) == elf::SHT_NOBITS;
            Section {
                header: table + index * 64,
                kind: section.sh_type(LE).0,
                start: section.sh_offset(LE) as usize,
                size: if no_bytes {
                    0
                } else {
                    section.sh_size(LE) as usize
                },
            }
        });
        let sections = sections.collect();
        Good {
            bytes,
            sections,
            symbols,
        }
    }

    /// A copy with one to three places damaged.
    pub fn damaged(&self, random: &mut Random) -> Vec<u8> {
        let mut object = self.bytes.clone();
        for _ in 0..1 + random.below(3) {
            let section = self.sections[random.below(self.sections.len())];
            match random.below(16) {
                0 | 1 => damage_header(&mut object, section, random),
                2 => damage_anything(&mut object, 0..64, random),
                3 => {
                    let keep = 64 + random.below(object.len() - 64);
                    object.truncate(keep);
                    return object;
                }
                4..=6 => self.damage_symbol(&mut object, random),
                7..=10 => self.damage_relocation(&mut object, random),
                11 => self.swap_headers(&mut object, random),
                _ => {
                    let place = section.start..section.start + section.size;
                    damage_anything(&mut object, place, random);
                }
            }
        }
        object
    }

    /// A record of a section of this kind: where it lies.
    fn record(&self, kind: elf::SectionType, len: usize, random: &mut Random) -> Option<usize> {
        let of_kind: Vec<_> = self
            .sections
            .iter()
            .filter(|section| section.kind == kind.0 && section.size >= len)
            .collect();
        let section = of_kind.get(random.below(of_kind.len()))?;
        Some(section.start + random.below(section.size / len) * len)
    }

    /// A field of a symbol: a value that other symbols have, or a bad one.
    fn damage_symbol(&self, object: &mut [u8], random: &mut Random) {
        let Some(at) = self.record(elf::SHT_SYMTAB, 24, random) else {
            return;
        };
        let number = random.number();
        match random.below(8) {
            0 => put(object, at, &(number as u32).to_le_bytes()),
            // Type and binding, each a known one half the time.
            1 | 2 => put(object, at + 4, &[random.next() as u8]),
            3 => put(object, at + 5, &[random.below(4) as u8]),
            4 => {
                let section = random.below(self.sections.len() + 2) as u16;
                put(object, at + 6, &section.to_le_bytes());
            }
            5 => {
                let special = [0u16, 0xfff1, 0xfff2, 0xffff, 0xff00];
                let special = special[random.below(special.len())];
                put(object, at + 6, &special.to_le_bytes());
            }
            6 => put(object, at + 8, &number.to_le_bytes()),
            _ => put(object, at + 16, &number.to_le_bytes()),
        }
    }

    /// A field of a relocation, most often one that can be linked.
    fn damage_relocation(&self, object: &mut [u8], random: &mut Random) {
        let Some(at) = self.record(elf::SHT_RELA, 24, random) else {
            return;
        };
        match random.below(8) {
            0 => put(object, at, &random.number().to_le_bytes()),
            1 => put(object, at, &(random.below(200) as u64).to_le_bytes()),
            2..=4 => put(object, at + 8, &(random.below(44) as u32).to_le_bytes()),
            5 => {
                let symbol = random.below(self.symbols + 1) as u32;
                put(object, at + 12, &symbol.to_le_bytes());
            }
            6 => put(object, at + 8, &random.number().to_le_bytes()),
            _ => put(object, at + 16, &random.number().to_le_bytes()),
        }
    }

    /// Two sections change places, or one becomes a copy of the other.
    fn swap_headers(&self, object: &mut [u8], random: &mut Random) {
        let one = self.sections[random.below(self.sections.len())].header;
        let two = self.sections[random.below(self.sections.len())].header;
        let both = [one, two].map(|at| object.get(at..at + 64).map(<[u8]>::to_vec));
        if let [Some(first), Some(second)] = both {
            put(object, one, &second);
            if random.below(2) == 0 {
                put(object, two, &first);
            }
        }
    }
}

fn put(object: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(field) = object.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}

/// A field of a section's header.
fn damage_header(object: &mut [u8], section: Section, random: &mut Random) {
    let field = [0, 4, 8, 16, 24, 32, 40, 44, 48, 56][random.below(10)];
    let width = match field {
        0 | 4 | 40 | 44 => 4,
        _ => 8,
    };
    // A type or link that there is goes further than one that there is not.
    let value = match random.below(2) {
        0 => random.below(20) as u64,
        _ => random.number(),
    };
    put(
        object,
        section.header + field,
        &value.to_le_bytes()[..width],
    );
}

/// A field of any width somewhere in a range.
fn damage_anything(object: &mut [u8], place: std::ops::Range<usize>, random: &mut Random) {
    let end = place.end.min(object.len());
    if place.start >= end {
        return;
    }
    let at = place.start + random.below(end - place.start);
    let at = if random.below(2) == 0 { at & !3 } else { at };
    let width = [1, 2, 4, 8][random.below(4)];
    let value = random.number().to_le_bytes();
    put(object, at, &value[..width]);
}

/// An archive of objects, with an index or without one, so that members are read
/// for their names.
pub fn archive(objects: &[Vec<u8>], names: &[&str], random: &mut Random) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    let with_index = random.below(2) == 0;
    let mut offsets = Vec::new();
    let index_len = 4 + names.len() * 4 + names.iter().map(|name| name.len() + 1).sum::<usize>();
    let mut at = 8;
    if with_index {
        at += 60 + index_len.next_multiple_of(2);
    }
    for object in objects {
        offsets.push(at as u32);
        at += 60 + object.len().next_multiple_of(2);
    }
    if with_index {
        let mut index = (names.len() as u32).to_be_bytes().to_vec();
        for number in 0..names.len() {
            let mut offset = offsets[number % offsets.len()];
            if random.below(64) == 0 {
                offset = random.number() as u32;
            }
            index.extend(offset.to_be_bytes());
        }
        for name in names {
            index.extend(name.bytes());
            index.push(0);
        }
        push_member(&mut archive, "/", &index);
    }
    for (number, object) in objects.iter().enumerate() {
        push_member(&mut archive, &format!("m{number}.o/"), object);
    }
    archive
}

fn push_member(archive: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let size = bytes.len();
    let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
    archive.extend(header.as_bytes());
    archive.extend(bytes);
    if size % 2 == 1 {
        archive.push(b'\n');
    }
}
