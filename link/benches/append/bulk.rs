//! All objects of Debian's libcrypto (package `libssl-dev`) in one batch.

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, SectionFlags, elf};
use sapwood_link::{HostAddr, Parts};

use crate::Image;
use crate::measure::{Clock, Sample, page_faults};

/// Where Debian keeps it.
pub const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/libcrypto.a";
const RUNS: usize = 9;

/// Prints the table; gives the bytes of sections a second, in MB.
pub fn table() -> Option<f64> {
    println!("\nbulk: libcrypto.a, every object, one batch");
    let Ok(bytes) = std::fs::read(LIBRARY) else {
        println!("  {LIBRARY} is not here: apt-get install libssl-dev");
        return None;
    };
    let objects = members(&bytes);
    let section_bytes: u64 = objects.iter().map(|(_, bytes)| allocated(bytes)).sum();
    let clock = Clock::new();
    let (mut sample, mut copies) = (Sample::default(), Sample::default());
    let sections = sections(&objects);
    let mut copy = vec![0u8; section_bytes as usize];
    let mut faults = 0;
    for _ in 0..RUNS {
        // The machine's own speed, in turn with ours.
        copies.push(clock.time(|| copy_all(&sections, &mut copy)));
        let mut image = Image::new();
        // Its few outside names are the C library's and the thread library's.
        let mut resolver = |_: &str| Some(HostAddr(0x1000));
        let before = page_faults();
        sample.push(clock.time(|| {
            let mut batch = image.session.batch();
            for (name, bytes) in &objects {
                batch
                    .object(name, bytes)
                    .expect("Debian's objects are good");
            }
            batch
                .publish(&mut Parts {
                    space: &mut image.space,
                    host: &mut image.host,
                    resolver: &mut resolver,
                })
                .expect("there is room");
        }));
        faults = page_faults() - before;
        image.release();
    }
    let ((median, ..), (copied, ..)) = (sample.quantiles(), copies.quantiles());
    let speed = section_bytes as f64 * 1000.0 / median as f64;
    println!(
        "{:>10} {:>12} {:>10} {:>10} {:>12} {:>16} {:>8}",
        "objects", "bytes", "median ms", "MB/s", "page faults", "copying alone ms", "x that"
    );
    println!(
        "{:>10} {section_bytes:>12} {:>10.2} {speed:>10.0} {faults:>12} {:>16.2} {:>8.1}",
        objects.len(),
        median as f64 / 1e6,
        copied as f64 / 1e6,
        median as f64 / copied as f64,
    );
    Some(speed)
}

/// The bytes of all sections that are loaded.
fn sections<'o>(objects: &[(String, &'o [u8])]) -> Vec<&'o [u8]> {
    let mut sections = Vec::new();
    for (_, bytes) in objects {
        let object = object::File::parse(*bytes).expect("it is an object");
        let data = object.sections().filter(is_loaded);
        sections.extend(data.filter_map(|section| section.data().ok()));
    }
    sections
}

/// Copies the sections one behind the other, into memory that is there.
fn copy_all(sections: &[&[u8]], into: &mut [u8]) {
    let mut at = 0;
    for section in sections {
        into[at..at + section.len()].copy_from_slice(section);
        at += section.len();
    }
    std::hint::black_box(into);
}

/// The archive's objects.
pub fn members(bytes: &[u8]) -> Vec<(String, &[u8])> {
    let archive = ArchiveFile::parse(bytes).expect("it is an archive");
    let members = archive.members().map(|member| {
        let member = member.expect("it is whole");
        let name = String::from_utf8_lossy(member.name()).into_owned();
        (name, member.data(bytes).expect("it is whole"))
    });
    members.collect()
}

/// Bytes of an object's sections that are loaded.
pub fn allocated(bytes: &[u8]) -> u64 {
    let object = object::File::parse(bytes).expect("it is an object");
    let loaded = object.sections().filter(is_loaded);
    loaded.map(|section| section.size()).sum()
}

fn is_loaded<'d>(section: &impl ObjectSection<'d>) -> bool {
    match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => {
            sh_flags.0 & elf::SHF_ALLOC.0 != 0 && section.kind() != object::SectionKind::Note
        }
        _ => false,
    }
}
