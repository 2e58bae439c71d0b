//! What a publish costs: `cargo bench -p sapwood-link` prints plain tables.
//!
//! Times are of this thread's CPU, with the clock's own cost taken off. The
//! object is assembled by the system's compiler: one function of 18 bytes and
//! 56 bytes of unwind information, and each append defines another name. LLVM's
//! JITLink runs the same objects in the same run where `llvm-config` and a C++
//! compiler are installed; else the figure it reached elsewhere is printed.

mod bulk;
mod measure;
mod object;
mod rival;
mod throw;

use sapwood_link::{
    AtomKind, AtomSpec, HostAddr, LocalHost, LocalSpace, Near, Options, Parts, Session,
};

use measure::{Clock, Sample, allocations, mappings, resident};
use object::Template;

/// How many atoms are in the image when the time is taken.
const LOADS: [usize; 4] = [10, 1_000, 100_000, 1_000_000];
/// Appends that are timed at each load.
const TIMED: usize = 10_000;

fn main() {
    // `cargo bench` passes `--bench`; a word picks the tables whose name holds it.
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |table: &str| word.as_ref().is_none_or(|word| table.contains(word));
    let template = Template::assemble();
    if wanted("object") {
        table("object", |image, number| image.object(&template, number));
    }
    if wanted("named") {
        table("named", |image, number| image.named(number));
    }
    if wanted("anonymous") {
        table("anonymous", |image, _| image.anonymous());
    }
    if wanted("throw") {
        throw::table(&template);
    }
    let bulk = wanted("bulk").then(bulk::table).flatten();
    if wanted("rival") {
        rival::table(&template, bulk);
    }
}

/// An image to append to.
struct Image {
    session: Session,
    space: LocalSpace,
    host: LocalHost,
}

impl Image {
    fn new() -> Image {
        let options = Options {
            near: Near::Anywhere,
            ..Options::default()
        };
        Image {
            session: Session::new(options),
            space: LocalSpace::new(),
            host: measure::host(),
        }
    }

    /// Appends the template under another name and looks it up.
    fn object(&mut self, template: &Template, number: usize) {
        template.with(number, |name, bytes| {
            let mut batch = self.session.batch();
            batch.object("one.o", bytes).expect("the object is good");
            batch
                .publish(&mut Parts {
                    space: &mut self.space,
                    host: &mut self.host,
                    resolver: &mut (),
                })
                .expect("there is room");
            self.look_up(name);
        });
    }

    /// Appends a hand-built function of 64 bytes and looks it up.
    fn named(&mut self, number: usize) {
        let name = format!("f{number:08}");
        let mut batch = self.session.batch();
        let spec = AtomSpec {
            name: Some(&name),
            kind: AtomKind::Code,
            alignment: 16,
            bytes: &[0xc3; 64],
            size: 64,
            relocs: &[],
        };
        batch.atom("named", &spec).expect("the atom is good");
        batch
            .publish(&mut Parts {
                space: &mut self.space,
                host: &mut self.host,
                resolver: &mut (),
            })
            .expect("there is room");
        self.look_up(&name);
    }

    fn look_up(&self, name: &str) {
        let address = self.session.view().symbol(name).map(|s| s.address);
        assert_ne!(address.expect("just published"), HostAddr(0));
    }

    /// Writes a block of 64 bytes where it will run.
    fn anonymous(&mut self) {
        let mut emission = self
            .session
            .emit_in_place(&mut self.space, AtomKind::Code, 16, 64)
            .expect("there is room");
        emission.bytes().fill(0xc3);
        emission.finish(64).expect("nothing to seal");
    }

    fn used(&self) -> u64 {
        self.session.regions().iter().map(|(_, used)| used).sum()
    }

    fn release(mut self) {
        let session = std::mem::replace(&mut self.session, Session::new(Options::default()));
        session
            .release(&mut Parts {
                space: &mut self.space,
                host: &mut self.host,
                resolver: &mut (),
            })
            .expect("it grew here");
    }
}

/// Grows images by `append` and prints a row for each load.
fn table(what: &str, append: impl Fn(&mut Image, usize)) {
    println!("\nappend: {what}");
    println!(
        "{:>10} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10} {:>9}",
        "atoms", "median ns", "p99 ns", "worst µs", "allocs", "image B", "other B", "mappings"
    );
    let clock = Clock::new();
    // Few appends fit between 10 and 1,000, so many small images are timed.
    let mut sample = Sample::default();
    for _ in 0..TIMED / 100 {
        let mut image = Image::new();
        for number in 0..10 {
            append(&mut image, number);
        }
        for number in 10..110 {
            sample.push(clock.time(|| append(&mut image, number)));
        }
        image.release();
    }
    row(LOADS[0], &mut sample, None);

    let mut image = Image::new();
    let (resident_before, mut number) = (resident(), 0);
    // For a quick look.
    let most = std::env::var("SAPWOOD_MOST_ATOMS").ok();
    let most = most
        .and_then(|most| most.parse().ok())
        .unwrap_or(usize::MAX);
    for load in LOADS[1..].iter().filter(|load| **load <= most) {
        while number < *load {
            append(&mut image, number);
            number += 1;
        }
        let mut sample = Sample::with_capacity(TIMED);
        let (count, used) = (allocations(), image.used());
        for _ in 0..TIMED {
            sample.push(clock.time(|| append(&mut image, number)));
            number += 1;
        }
        let each = |total: u64| total as f64 / TIMED as f64;
        let of_image = each(image.used() - used);
        // Memory that is touched comes in pages and chunks, so it is counted
        // from the first append on.
        let others = (resident() - resident_before).saturating_sub(image.used());
        let rest = Rest {
            allocations: each(allocations() - count),
            of_image,
            others: others as f64 / number as f64,
            mappings: mappings(),
        };
        row(*load, &mut sample, Some(rest));
    }
    image.release();
}

/// What a row says beside times.
struct Rest {
    allocations: f64,
    /// Bytes of address space for each append.
    of_image: f64,
    /// Bytes resident for each append beyond the image's own.
    others: f64,
    mappings: usize,
}

fn row(atoms: usize, sample: &mut Sample, rest: Option<Rest>) {
    let (median, p99, worst) = sample.quantiles();
    print!(
        "{atoms:>10} {median:>9} {p99:>9} {:>9.1}",
        worst as f64 / 1000.0
    );
    match rest {
        Some(rest) => println!(
            " {:>9.2} {:>10.1} {:>10.1} {:>9}",
            rest.allocations, rest.of_image, rest.others, rest.mappings
        ),
        None => println!(),
    }
}
