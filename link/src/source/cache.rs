//! [`Cache`]: objects that were compiled before.
//!
//! An object is found again when everything that it was made from is the same:
//! the source's text and name, the options, the compiler, the variables that
//! change what it includes, and every header that it read. The headers are only
//! known once the source was compiled, so there are two steps, as in `ccache`:
//!
//! * a *manifest*, named by the hash of all that is known beforehand, lists for
//!   each earlier compilation the headers that it read, with their hashes;
//! * the *object* is named by that hash and the headers' together.
//!
//! All hashes are BLAKE3. A file ends with the hash of what is before it, so one
//! that was cut short or scribbled over is no file; it is written under another
//! name and renamed, so readers see all of it or none, and two writers do no
//! harm. Failing to read or write the cache is never an error: the source is
//! compiled.
//!
//! What is not seen: a new header that would be found *before* one that was
//! read, in an earlier folder of the search path. Sources that say what time it
//! is are not kept.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use blake3::{Hash, Hasher};

use super::language::Language;
use super::rust::toolchain_words;

/// Part of every key: another number when what is kept changes its meaning.
const FORMAT: &str = "sapwood object cache 1";

/// The most that a cache holds, in bytes; what was not used for longest goes.
const MOST_BYTES: u64 = 2 << 30;

/// The most compilations that one manifest remembers.
const MOST_VARIANTS: usize = 16;

/// Text that makes an object depend on when it was compiled.
const CLOCKS: [&[u8]; 3] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__"];

/// Variables of the environment that change what a compiler does.
pub(super) const VARIABLES: [&str; 8] = [
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "SOURCE_DATE_EPOCH",
    "LC_ALL",
    "RUSTUP_TOOLCHAIN",
];

/// A folder of compiled objects, shared by all processes of a user.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// What a cache holds for one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The object.
    pub object: Vec<u8>,
    /// What the compiler said about the source.
    pub warnings: String,
}

/// The hash of all that is known before a source is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Key(Hash);

/// All that is known before a source is compiled.
#[derive(Debug)]
pub struct Making<'a> {
    /// The compiler, as it is found in `PATH`.
    pub compiler: &'a OsStr,
    /// What the source is written in.
    pub language: Language,
    /// Its options.
    pub options: &'a [OsString],
    /// The name that debug information and `__FILE__` have of the source.
    pub name: &'a str,
    /// The source's text.
    pub text: &'a [u8],
}

impl Cache {
    /// The cache in this folder, which is made when it is first written to.
    pub fn at(folder: impl Into<PathBuf>) -> Cache {
        Cache {
            folder: folder.into(),
        }
    }

    /// The key of a compilation; `None` where it cannot be told apart from
    /// others, because the compiler is not found.
    pub fn key(&self, making: &Making<'_>) -> Option<Key> {
        let mut hasher = Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(FORMAT.as_bytes());
        for word in identity(making.compiler)? {
            part(&word);
        }
        part(making.language.option().as_bytes());
        if making.language == Language::Rust {
            for word in toolchain_words() {
                part(&word);
            }
        }
        for option in making.options {
            part(option.as_bytes());
        }
        for variable in VARIABLES {
            let value = std::env::var_os(variable).unwrap_or_default();
            part(value.as_bytes());
        }
        // Relative names and debug information mean the working directory.
        part(std::env::current_dir().ok()?.as_os_str().as_bytes());
        part(making.name.as_bytes());
        part(making.text);
        Some(Key(hasher.finalize()))
    }

    /// What was kept for this key, when every header is as it was; and those
    /// headers.
    pub fn find(&self, key: Key) -> Option<(Kept, Vec<PathBuf>)> {
        let path = self.manifest_path(key);
        let variants = read_manifest(&path)?;
        let holds = |variant: &Variant| variant.still_holds();
        let variant = variants.into_iter().find(holds)?;
        let object = self.object_path(variant.object_name(key));
        let kept = decode(&unseal(&object)?)?;
        // Used now: both stay when others have to go.
        for path in [path, object] {
            if let Ok(file) = fs::File::open(path) {
                let _ = file.set_modified(SystemTime::now());
            }
        }
        let headers = variant.headers.into_iter().map(|(path, _)| path);
        Some((kept, headers.collect()))
    }

    /// Keeps what was compiled, since `began`, from a source and these headers.
    /// Says whether it may be kept: what depends on the clock may not, nor what
    /// was made from a header that was changed meanwhile.
    pub fn keep(
        &self,
        key: Key,
        began: SystemTime,
        source: &[u8],
        headers: &[PathBuf],
        kept: &Kept,
    ) -> bool {
        // Losing an object costs only time.
        self.try_keep(key, began, source, headers, kept)
            .unwrap_or(false)
    }

    fn try_keep(
        &self,
        key: Key,
        began: SystemTime,
        source: &[u8],
        headers: &[PathBuf],
        kept: &Kept,
    ) -> io::Result<bool> {
        let mut variant = Variant::default();
        for header in headers.iter().collect::<BTreeSet<_>>() {
            let text = fs::read(header)?;
            let unchanged = changed_before(&fs::metadata(header)?, began);
            if !unchanged || asks_the_clock(&text) || header.to_string_lossy().contains('\n') {
                return Ok(false);
            }
            variant.headers.push((header.clone(), blake3::hash(&text)));
        }
        if asks_the_clock(source) {
            return Ok(false);
        }
        let object = self.object_path(variant.object_name(key));
        self.write(&object, &encode(kept))?;

        let path = self.manifest_path(key);
        let mut variants = read_manifest(&path).unwrap_or_default();
        variants.retain(|other| *other != variant);
        variants.insert(0, variant);
        variants.truncate(MOST_VARIANTS);
        let text: String = variants.iter().map(Variant::write).collect();
        self.write(&path, text.as_bytes())?;
        self.prune_at_times(key.0)?;
        Ok(true)
    }

    fn manifest_path(&self, key: Key) -> PathBuf {
        self.path(key.0, "manifest")
    }

    fn object_path(&self, name: Hash) -> PathBuf {
        self.path(name, "object")
    }

    /// Two levels, so that no folder gets too long to look through.
    pub(super) fn path(&self, hash: Hash, extension: &str) -> PathBuf {
        let hex = hash.to_hex();
        let (first, rest) = hex.split_at(2);
        self.folder.join(first).join(format!("{rest}.{extension}"))
    }

    /// Writes a file with its hash behind it, all at once for whoever reads.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let seal = blake3::hash(content);
        self.write_whole(path, content, seal.as_bytes()).map(drop)
    }

    /// Writes a file, all at once for whoever reads. Gives what the file system
    /// says of it.
    pub(super) fn write_whole(
        &self,
        path: &Path,
        content: &[u8],
        seal: &[u8],
    ) -> io::Result<fs::Metadata> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let new = folder.join(format!("new-{}-{number}", std::process::id()));
        let written = fs::File::create(&new).and_then(|mut file| {
            file.write_all(content)?;
            file.write_all(seal)?;
            fs::rename(&new, path)?;
            file.metadata()
        });
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Prunes once in a while, by the chance of a hash.
    pub(super) fn prune_at_times(&self, hash: Hash) -> io::Result<()> {
        match hash.as_bytes()[0] {
            0 => self.prune(),
            _ => Ok(()),
        }
    }

    /// Removes what was not used for longest until the rest is small enough;
    /// files that a killed process left under their first name are old too.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for folder in fs::read_dir(&self.folder)?.flatten() {
            for file in fs::read_dir(folder.path())?.flatten() {
                // Another process may have removed it.
                let (Ok(metadata), Ok(used)) = (file.metadata(), last_use(&file.path())) else {
                    continue;
                };
                files.push((used, metadata.len(), file.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in files {
            if total <= MOST_BYTES {
                break;
            }
            let _ = fs::remove_file(path);
            total -= length;
        }
        Ok(())
    }
}

/// When a file was used last. An image is never touched, because its times are
/// its mark; what stands for it is its record.
fn last_use(path: &Path) -> io::Result<SystemTime> {
    let record = path.with_extension("run");
    let noted = match path
        .extension()
        .is_some_and(|extension| extension == "image")
    {
        true => fs::metadata(record).or_else(|_| fs::metadata(path)),
        false => fs::metadata(path),
    };
    noted?.modified()
}

/// One compilation that a manifest remembers: the headers it read.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Variant {
    headers: Vec<(PathBuf, Hash)>,
}

impl Variant {
    fn still_holds(&self) -> bool {
        self.headers
            .iter()
            .all(|(path, hash)| fs::read(path).is_ok_and(|text| blake3::hash(&text) == *hash))
    }

    fn object_name(&self, key: Key) -> Hash {
        let mut hasher = Hasher::new();
        hasher.update(key.0.as_bytes());
        for (path, hash) in &self.headers {
            hasher.update(path.as_os_str().as_bytes());
            hasher.update(hash.as_bytes());
        }
        hasher.finalize()
    }

    /// One line for each header, and a blank one.
    fn write(&self) -> String {
        let line = |(path, hash): &(PathBuf, Hash)| format!("{hash} {}\n", path.display());
        self.headers.iter().map(line).collect::<String>() + "\n"
    }
}

fn read_manifest(path: &Path) -> Option<Vec<Variant>> {
    let text = String::from_utf8(unseal(path)?).ok()?;
    let mut variants = Vec::new();
    let mut variant = Variant::default();
    for line in text.lines() {
        if line.is_empty() {
            variants.push(std::mem::take(&mut variant));
            continue;
        }
        let (hash, path) = line.split_once(' ')?;
        variant
            .headers
            .push((PathBuf::from(path), Hash::from_hex(hash).ok()?));
    }
    Some(variants)
}

/// A file's content, when its hash says that it is whole.
pub(super) fn unseal(path: &Path) -> Option<Vec<u8>> {
    let mut content = fs::read(path).ok()?;
    let end = content.len().checked_sub(blake3::OUT_LEN)?;
    let seal: [u8; blake3::OUT_LEN] = content[end..].try_into().ok()?;
    content.truncate(end);
    (blake3::hash(&content) == Hash::from_bytes(seal)).then_some(content)
}

/// The warnings' length, the warnings, the object.
fn encode(kept: &Kept) -> Vec<u8> {
    let mut bytes = (kept.warnings.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(kept.warnings.as_bytes());
    bytes.extend_from_slice(&kept.object);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (warnings, object) = rest.split_at_checked(length)?;
    Some(Kept {
        object: object.to_vec(),
        warnings: String::from_utf8(warnings.to_vec()).ok()?,
    })
}

/// Whether a header is what the compiler read: last changed before it began. A
/// clock's coarse step may make that seem so for some milliseconds more.
pub(super) fn changed_before(metadata: &fs::Metadata, began: SystemTime) -> bool {
    metadata.modified().is_ok_and(|changed| changed <= began)
}

fn asks_the_clock(text: &[u8]) -> bool {
    CLOCKS.iter().any(|clock| {
        text.windows(clock.len())
            .any(|window| window[0] == b'_' && window == *clock)
    })
}

/// What tells a compiler from another, and from its next version: where it is
/// and what the file system says of it.
fn identity(compiler: &OsStr) -> Option<[Vec<u8>; 2]> {
    let path = find(compiler)?.canonicalize().ok()?;
    let metadata = fs::metadata(&path).ok()?;
    let marks = format!(
        "{} {} {} {}",
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ino()
    );
    Some([path.into_os_string().as_bytes().to_vec(), marks.into()])
}

pub(super) fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// The headers in what `-MD` wrote: a rule of make, with backslashes before
/// spaces and line ends; `rustc` writes more rules after it, which say the same.
/// None when variables of the environment were compiled in.
pub fn headers_of_rule(rule: &str) -> Option<Vec<PathBuf>> {
    if rule.contains("\n# env-dep:") {
        return None;
    }
    let joined = rule.replace("\\\n", " ");
    let first = joined.lines().next().unwrap_or_default();
    let Some((_, prerequisites)) = first.split_once(": ") else {
        return Some(Vec::new());
    };
    let mut names = vec![String::new()];
    let mut characters = prerequisites.chars().peekable();
    while let Some(character) = characters.next() {
        let last = names.last_mut().expect("there is always one");
        match character {
            '\\' if characters.peek() == Some(&' ') => last.extend(characters.next()),
            '$' if characters.peek() == Some(&'$') => last.extend(characters.next()),
            space if space.is_whitespace() => names.push(String::new()),
            other => last.push(other),
        }
    }
    let names = names.into_iter().filter(|name| !name.is_empty());
    Some(names.map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Scratch;

    fn making(text: &str) -> Making<'_> {
        Making {
            compiler: "/bin/sh".as_ref(),
            language: Language::C,
            options: &[],
            name: "x.c",
            text: text.as_bytes(),
        }
    }

    /// A moment after everything that the test has written.
    fn later() -> SystemTime {
        SystemTime::now() + std::time::Duration::from_secs(1)
    }

    fn object(cache: &Cache, key: Key) -> Option<Kept> {
        cache.find(key).map(|(kept, _)| kept)
    }

    fn kept(object: &str) -> Kept {
        Kept {
            object: object.into(),
            warnings: "careful".into(),
        }
    }

    #[test]
    fn an_object_is_found_while_its_headers_stay() {
        let scratch = Scratch::new().unwrap();
        let cache = Cache::at(scratch.path().join("cache"));
        let header = scratch.path().join("a header.h");
        let key = cache.key(&making("int x;")).unwrap();
        assert_eq!(cache.find(key), None);

        fs::write(&header, "one").unwrap();
        cache.keep(
            key,
            later(),
            b"int x;",
            std::slice::from_ref(&header),
            &kept("first"),
        );
        assert_eq!(object(&cache, key), Some(kept("first")));
        assert_eq!(cache.find(cache.key(&making("int y;")).unwrap()), None);

        fs::write(&header, "two").unwrap();
        assert_eq!(cache.find(key), None);
        cache.keep(
            key,
            later(),
            b"int x;",
            std::slice::from_ref(&header),
            &kept("second"),
        );
        assert_eq!(object(&cache, key), Some(kept("second")));
        fs::write(&header, "one").unwrap();
        assert_eq!(object(&cache, key), Some(kept("first")));
        fs::remove_file(&header).unwrap();
        assert_eq!(cache.find(key), None);
    }

    #[test]
    fn what_is_damaged_is_not_found() {
        let scratch = Scratch::new().unwrap();
        let cache = Cache::at(scratch.path().join("cache"));
        let key = cache.key(&making("int x;")).unwrap();
        cache.keep(key, later(), b"int x;", &[], &kept("object"));
        assert_eq!(object(&cache, key), Some(kept("object")));
        let file = cache.object_path(Variant::default().object_name(key));
        for path in [file, cache.manifest_path(key)] {
            let whole = fs::read(&path).unwrap();
            for length in 0..whole.len() {
                fs::write(&path, &whole[..length]).unwrap();
                assert_eq!(cache.find(key), None);
            }
            for byte in 0..whole.len() {
                let mut bent = whole.clone();
                bent[byte] ^= 1;
                fs::write(&path, &bent).unwrap();
                assert_eq!(cache.find(key), None);
            }
            fs::write(&path, &whole).unwrap();
            assert_eq!(object(&cache, key), Some(kept("object")));
        }
    }

    #[test]
    fn writers_at_once_do_no_harm() {
        let scratch = Scratch::new().unwrap();
        let cache = Cache::at(scratch.path().join("cache"));
        let key = cache.key(&making("int x;")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        cache.keep(key, later(), b"int x;", &[], &kept("object"));
                        assert_eq!(object(&cache, key), Some(kept("object")));
                    }
                });
            }
        });
    }

    #[test]
    fn a_source_that_asks_the_clock_is_not_kept() {
        let scratch = Scratch::new().unwrap();
        let cache = Cache::at(scratch.path().join("cache"));
        let text = "char *t = __TIME__;";
        let key = cache.key(&making(text)).unwrap();
        cache.keep(key, later(), text.as_bytes(), &[], &kept("object"));
        assert_eq!(cache.find(key), None);
    }

    #[test]
    fn rules_of_make_are_read() {
        let rule = "object.o: main.c /usr/include/stdio.h \\\n  a\\ b.h dollar$$.h\n";
        let names = headers_of_rule(rule).unwrap();
        let expected = ["main.c", "/usr/include/stdio.h", "a b.h", "dollar$.h"];
        assert_eq!(names, expected.map(PathBuf::from));
    }
}
