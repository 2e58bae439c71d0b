//! All objects of Debian's libcrypto (package `libssl-dev`) in one batch.

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, SectionFlags, elf};
use sapwood_link::{HostAddr, Parts};

use crate::Image;
use crate::measure::{Clock, Sample};

/// Where Debian keeps it.
pub const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/libcrypto.a";
const RUNS: usize = 9;

pub fn table() {
    println!("\nbulk: libcrypto.a, every object, one batch");
    let Ok(bytes) = std::fs::read(LIBRARY) else {
        println!("  {LIBRARY} is not here: apt-get install libssl-dev");
        return;
    };
    let objects = members(&bytes);
    let section_bytes: u64 = objects.iter().map(|(_, bytes)| allocated(bytes)).sum();
    let clock = Clock::new();
    let mut sample = Sample::default();
    for _ in 0..RUNS {
        let mut image = Image::new();
        // Its few outside names are the C library's and the thread library's.
        let mut resolver = |_: &str| Some(HostAddr(0x1000));
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
        image.release();
    }
    let (median, ..) = sample.quantiles();
    println!(
        "{:>10} {:>12} {:>10} {:>10}",
        "objects", "bytes", "median ms", "MB/s"
    );
    println!(
        "{:>10} {section_bytes:>12} {:>10.2} {:>10.0}",
        objects.len(),
        median as f64 / 1e6,
        section_bytes as f64 * 1000.0 / median as f64,
    );
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
    let loaded = object.sections().filter(|section| match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => {
            sh_flags.0 & elf::SHF_ALLOC.0 != 0 && section.kind() != object::SectionKind::Note
        }
        _ => false,
    });
    loaded.map(|section| section.size()).sum()
}
