//! [`Table`]: an append-only array that never moves an element.
//!
//! Elements live in chunks that double in size, so a push never copies and a
//! reference to an element stays good for as long as the table lives. One
//! thread pushes (it holds `&mut` of the session that owns the writer); any
//! number read, without a lock, up to a length that was stored after the
//! elements below it were written.
//!
//! Memory for what comes is asked of the kernel some pages ahead, so that a
//! push seldom waits for a page, and never for many.
//!
//! [`Text`] is the same for the bytes of names.
//!
//! What holds between calls: elements below `len` are initialised and, but for
//! atomics inside them, never change.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// The first chunk holds `1 << FIRST_BITS` elements, the next as many, and each
/// after that twice the one before.
const FIRST_BITS: u32 = 6;
/// Enough chunks for 2³² elements.
const CHUNKS: usize = 33 - FIRST_BITS as usize;

/// How many of the first `len` indices are `before`: all up to some index, and
/// none from there. Searched from the end: what is asked for is most often the
/// newest, and that costs the same however much there is before it.
pub(crate) fn count_before(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high, mut step) = (0, len, 1);
    while high > low {
        let probe = high.saturating_sub(step);
        if before(probe) {
            low = probe + 1;
            break;
        }
        high = probe;
        step *= 2;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// An append-only array with stable element addresses; see the [module
/// page](self).
pub(crate) struct Table<T> {
    chunks: [AtomicPtr<MaybeUninit<T>>; CHUNKS],
    len: AtomicUsize,
    /// Where the next element goes, and the length at which that is no longer
    /// so. Only the one thread that pushes looks at them.
    next: AtomicPtr<MaybeUninit<T>>,
    room: AtomicUsize,
}

/// Which chunk element `index` is in, and where in that chunk.
#[inline]
fn locate(index: usize) -> (usize, usize) {
    let chunk = (index >> FIRST_BITS)
        .checked_ilog2()
        .map_or(0, |bits| bits as usize + 1);
    let start = if chunk == 0 {
        0
    } else {
        1usize << (FIRST_BITS as usize + chunk - 1)
    };
    (chunk, index - start)
}

/// How many elements chunk number `chunk` holds.
fn chunk_len(chunk: usize) -> usize {
    1usize << (FIRST_BITS as usize + chunk.saturating_sub(1))
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            len: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            room: AtomicUsize::new(0),
        }
    }
}

impl<T> Table<T> {
    /// How many elements have been pushed.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The element at `index`, if it has been pushed.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len() {
            return None;
        }
        let (chunk, offset) = locate(index);
        let base = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: `index < len`, so `push` stored this chunk's pointer and
        // initialised this element before its release store of `len`, which the
        // acquire load in `len()` saw. Elements are never moved or dropped
        // before the table is.
        Some(unsafe { (*base.add(offset)).assume_init_ref() })
    }

    /// Appends an element and gives its index.
    ///
    /// Only one thread may push at a time; [`Writer`] is how the crate holds
    /// itself to that.
    #[inline]
    fn push(&self, value: T) -> usize {
        let index = self.len.load(Ordering::Relaxed);
        if index == self.room.load(Ordering::Relaxed) {
            self.make_room(index);
        }
        let at = self.next.load(Ordering::Relaxed);
        // SAFETY: `make_room` left `next` at the place of element `len` and
        // `room` past it, and each push moves both on by one; no reader looks at
        // an index that is not below `len`, so nobody else refers to this
        // element. One past it is in its chunk or at its end.
        unsafe {
            (*at).write(value);
            self.next.store(at.add(1), Ordering::Relaxed);
        }
        self.len.store(index + 1, Ordering::Release);
        index
    }

    /// Makes `next` and `room` say where element `index` goes: the first of a
    /// chunk, or one in it whose memory has not been asked for yet.
    #[cold]
    fn make_room(&self, index: usize) {
        let (chunk, offset) = locate(index);
        assert!(chunk < CHUNKS, "a table holds at most 2^32 elements");
        let len = chunk_len(chunk);
        // Whether `ask` was here before, and asked for as much.
        let mut asked = false;
        if offset == 0 {
            let mut base = self.chunks[chunk].load(Ordering::Relaxed);
            asked = !base.is_null();
            if !asked {
                base = self.allocate(chunk);
            }
            self.next.store(base, Ordering::Relaxed);
        }
        let (size, mut room) = (size_of::<T>(), len - offset);
        if index * size >= SMALL {
            room = room.min(ahead(index * size) / size);
            let next = self.next.load(Ordering::Relaxed);
            if !asked {
                // SAFETY: the chunk is ours, and has so many elements from there on.
                unsafe { populate(next.cast(), room * size) };
            }
        }
        self.room.store(index + room, Ordering::Relaxed);
    }

    /// Allocates a chunk.
    fn allocate(&self, chunk: usize) -> *mut MaybeUninit<T> {
        let fresh: Box<[MaybeUninit<T>]> = Box::new_uninit_slice(chunk_len(chunk));
        let base = Box::into_raw(fresh).cast();
        self.chunks[chunk].store(base, Ordering::Release);
        base
    }

    /// Asks for memory for elements to come, if there is little left of what was
    /// asked for: says whether it did.
    #[inline]
    fn prepare(&self) -> bool {
        let index = self.len.load(Ordering::Relaxed);
        let left = self.room.load(Ordering::Relaxed) - index;
        index * size_of::<T>() >= SMALL && left * size_of::<T>() < LITTLE && self.ask(index + left)
    }

    /// Asks for the memory of elements from an index on, to which it was asked for.
    #[cold]
    fn ask(&self, room: usize) -> bool {
        let (chunk, offset) = locate(room);
        let base = self
            .chunks
            .get(chunk)
            .map(|base| base.load(Ordering::Relaxed));
        let size = size_of::<T>();
        let more = (chunk_len(chunk) - offset).min(ahead(room * size) / size);
        match base {
            // Whoever gets there goes on with it.
            Some(base) if base.is_null() => {
                let base = self.allocate(chunk);
                // SAFETY: the chunk is ours, and has so many elements.
                unsafe { populate(base.cast(), more * size) };
                true
            }
            Some(base) if offset > 0 => {
                // SAFETY: as above, from there on.
                unsafe { populate(base.add(offset).cast(), more * size) };
                self.room.store(room + more, Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }

    /// Appends elements, and says so in one store. Should `values` panic, those
    /// before are never dropped.
    fn extend(&self, values: impl Iterator<Item = T>) {
        let mut index = self.len.load(Ordering::Relaxed);
        let mut room = self.room.load(Ordering::Relaxed);
        let mut at = self.next.load(Ordering::Relaxed);
        for value in values {
            if index == room {
                self.make_room(index);
                at = self.next.load(Ordering::Relaxed);
                room = self.room.load(Ordering::Relaxed);
            }
            // SAFETY: as in `push`; `at` and `index` move on together.
            unsafe {
                (*at).write(value);
                at = at.add(1);
            }
            index += 1;
        }
        self.next.store(at, Ordering::Relaxed);
        self.len.store(index, Ordering::Release);
    }

    /// The same for elements that lie together.
    #[inline]
    fn extend_from(&self, mut values: &[T])
    where
        T: Copy,
    {
        let mut index = self.len.load(Ordering::Relaxed);
        while !values.is_empty() {
            if index == self.room.load(Ordering::Relaxed) {
                self.make_room(index);
            }
            let at = self.next.load(Ordering::Relaxed);
            let room = self.room.load(Ordering::Relaxed) - index;
            let (now, later) = values.split_at(room.min(values.len()));
            // SAFETY: as in `push`, for as many elements as there is room for.
            unsafe {
                ptr::copy_nonoverlapping(now.as_ptr(), at.cast(), now.len());
                self.next.store(at.add(now.len()), Ordering::Relaxed);
            }
            index += now.len();
            values = later;
        }
        self.len.store(index, Ordering::Release);
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        let len = *self.len.get_mut();
        for (chunk, pointer) in self.chunks.iter_mut().enumerate() {
            let base = *pointer.get_mut();
            if base.is_null() {
                continue;
            }
            let first = if chunk == 0 { 0 } else { chunk_len(chunk) };
            let filled = len.saturating_sub(first).min(chunk_len(chunk));
            // SAFETY: the pointer came from `Box::into_raw` of a boxed slice of
            // `chunk_len(chunk)` elements, of which the first `filled` are
            // initialised; `&mut self` says nobody reads any more.
            unsafe {
                for offset in 0..filled {
                    (*base.add(offset)).assume_init_drop();
                }
                drop(Box::from_raw(ptr::slice_from_raw_parts_mut(
                    base,
                    chunk_len(chunk),
                )));
            }
        }
    }
}

// SAFETY: a table hands out `&T` to any thread that shares it (T: Sync) and
// drops its elements on whichever thread drops it (T: Send). `push` is private
// to this module and reachable only through a `Writer`, of which there is one.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Table<T> {}

/// Below so many bytes in use nothing is asked of the kernel ahead of need: the
/// pages come by themselves, and none is there that is not used.
const SMALL: usize = 64 << 10;
/// The least memory that is asked for ahead of need, in bytes.
const LEAST_AHEAD: usize = 16 << 10;
/// The most, so that nobody waits long for it.
const MOST_AHEAD: usize = 32 << 10;

/// So many bytes left of what was asked for are few: enough for many small batches,
/// each of which asks for one table's.
const LITTLE: usize = 8 << 10;

/// How many bytes to ask for ahead of need where so many are used: a quarter as
/// many, so that what waits to be used stays a small part of the whole.
pub(crate) fn ahead(used: usize) -> usize {
    (used / 4).clamp(LEAST_AHEAD, MOST_AHEAD)
}

/// Asks for the pages of memory that is about to be written, in one call in
/// place of a fault for each. Changes no byte; where it fails, the pages come one
/// by one.
///
/// # Safety
/// The memory is the caller's.
pub(crate) unsafe fn populate(start: *mut u8, len: usize) {
    // Pages that are touched already cost next to nothing.
    let first = start as usize & !4095;
    let end = (start as usize + len).next_multiple_of(4096);
    // SAFETY: the call reads and writes nothing that is there; the first and
    // last page hold memory of the caller's, so they are mapped.
    unsafe { libc::madvise(first as *mut _, end - first, libc::MADV_POPULATE_WRITE) };
}

/// Words that begin as zeroes. Many lie on pages of their own that the kernel
/// gives when they are touched: an allocator would write the zeroes where it has
/// memory that was used before.
pub(crate) struct Words {
    first: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the words are the value's own, and atomic.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Those of fewer bytes come from the allocator.
    const OWN_PAGES: usize = SMALL;

    /// So many words of zero.
    pub fn new(len: usize) -> Words {
        let bytes = len * size_of::<AtomicU64>();
        if bytes < Words::OWN_PAGES {
            // SAFETY: an `AtomicU64` of zero bytes is the word 0.
            let words: Box<[AtomicU64]> = unsafe { Box::new_zeroed_slice(len).assume_init() };
            let first = NonNull::from(Box::leak(words)).cast();
            return Words { first, len };
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // As an allocator maps large pieces, so that the kernel makes one mapping
        // of neighbours.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh private mapping disturbs nobody.
        let first = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
        match NonNull::new(first).filter(|_| first != libc::MAP_FAILED) {
            Some(first) => Words {
                first: first.cast(),
                len,
            },
            // As when an allocator has no more.
            None => std::alloc::handle_alloc_error(Layout::new::<AtomicU64>()),
        }
    }

    /// Asks for the pages of some words that are about to be written.
    pub fn populate(&self, range: Range<usize>) {
        let words = &self[range];
        // SAFETY: the words are there; asking for their pages changes none.
        unsafe { populate(words.as_ptr().cast_mut().cast(), size_of_val(words)) };
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds so many words, and zero bytes are the word 0.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let (first, bytes) = (self.first.as_ptr(), self.len * size_of::<AtomicU64>());
        // SAFETY: this is how `new` made them, and nobody borrows them any more.
        unsafe {
            if bytes < Words::OWN_PAGES {
                drop(Box::from_raw(ptr::slice_from_raw_parts_mut(
                    first, self.len,
                )));
            } else {
                libc::munmap(first.cast(), bytes);
            }
        }
    }
}

/// Bytes in one piece of a [`Text`], unless a single text is longer.
const PIECE_LEN: usize = 64 << 10;

/// One piece of a [`Text`]: bytes below `filled` never change.
struct Piece {
    bytes: Box<[UnsafeCell<u8>]>,
    filled: AtomicUsize,
}

// SAFETY: bytes below `filled` are only read; those above are written by the
// one holder of the `Writer`, before its release store of `filled`.
unsafe impl Sync for Piece {}

/// Where a text lies in a [`Text`].
#[derive(Clone, Copy)]
pub(crate) struct TextAt {
    piece: u32,
    start: u32,
    len: u32,
}

/// Append-only storage for many short texts, with stable addresses.
#[derive(Default)]
pub(crate) struct Text {
    pieces: Table<Piece>,
}

impl Text {
    /// The text stored at `at`, which must have come from this `Text`.
    pub fn get(&self, at: TextAt) -> &str {
        std::str::from_utf8(self.bytes(at)).expect("texts are checked before they are stored")
    }

    /// Its bytes.
    pub fn bytes(&self, at: TextAt) -> &[u8] {
        let piece = self
            .pieces
            .get(at.piece as usize)
            .expect("the text's piece exists");
        let (start, len) = (at.start as usize, at.len as usize);
        assert!(start + len <= piece.filled.load(Ordering::Acquire));
        let cells = &piece.bytes[start..start + len];
        // SAFETY: these bytes lie below `filled`, so they are never written
        // again (see `Piece`), and `UnsafeCell<u8>` has the layout of `u8`.
        unsafe { &*(ptr::from_ref(cells) as *const [u8]) }
    }

    /// A piece with room for `len` bytes, and its number.
    fn piece_for(&self, writer: &mut Writer, len: usize) -> (u32, &Piece) {
        let last = self.pieces.len().checked_sub(1);
        let last = last.and_then(|last| Some((last as u32, self.pieces.get(last)?)));
        if let Some((index, piece)) = last
            && piece.bytes.len() - piece.filled.load(Ordering::Relaxed) >= len
        {
            return (index, piece);
        }
        let index = writer.push(&self.pieces, Piece::new(len.max(PIECE_LEN)));
        let piece = self.pieces.get(index as usize);
        (index, piece.expect("just pushed"))
    }
}

impl Piece {
    fn new(len: usize) -> Piece {
        // SAFETY: an `UnsafeCell<u8>` of zero bytes is the byte 0.
        let bytes = unsafe { Box::new_zeroed_slice(len).assume_init() };
        Piece {
            bytes,
            filled: AtomicUsize::new(0),
        }
    }

    /// Adds bytes and gives where they begin and how many they are. Only the
    /// one thread that holds the `Writer` calls it.
    fn append(&self, text: &[u8]) -> (u32, u32) {
        let start = self.filled.load(Ordering::Relaxed);
        let cells = &self.bytes[start..start + text.len()];
        // SAFETY: bytes at and above `filled` are not read by anyone, and the
        // caller's `&mut Writer` makes this the only thread that writes them;
        // the slice is as long as the text, and `UnsafeCell` lets its bytes be
        // written.
        unsafe {
            let to = UnsafeCell::raw_get(cells.as_ptr());
            ptr::copy_nonoverlapping(text.as_ptr(), to, text.len());
        }
        self.filled.store(start + text.len(), Ordering::Release);
        (start as u32, text.len() as u32)
    }
}

/// The right to push to the tables of one session. There is one for each
/// session and pushing takes it by `&mut`, so pushes never race.
pub(crate) struct Writer(());

impl Writer {
    /// The one writer of a session's tables. Call it once, where the tables are
    /// made.
    pub fn new() -> Writer {
        Writer(())
    }

    /// Appends to a table of this writer's session and gives the index.
    #[inline]
    pub fn push<T>(&mut self, table: &Table<T>, value: T) -> u32 {
        u32::try_from(table.push(value)).expect("locate() bounds the index to 32 bits")
    }

    /// Appends elements to a table of this writer's session.
    pub fn extend<T>(&mut self, table: &Table<T>, values: impl Iterator<Item = T>) {
        table.extend(values);
    }

    /// Has a table of this writer's session ask for the memory of elements to come, if
    /// it is to be soon: says whether it did.
    #[inline]
    pub fn prepare<T>(&mut self, table: &Table<T>) -> bool {
        table.prepare()
    }

    /// Appends elements that lie together.
    pub fn extend_from<T: Copy>(&mut self, table: &Table<T>, values: &[T]) {
        table.extend_from(values);
    }

    /// Stores a text, which the caller knows to be UTF-8.
    pub fn add_text(&mut self, text: &Text, bytes: &[u8]) -> TextAt {
        let (piece, at) = text.piece_for(self, bytes.len());
        let (start, len) = at.append(bytes);
        TextAt { piece, start, len }
    }

    /// Stores texts, which the caller knows to be UTF-8 and `len` bytes together,
    /// and appends an element of each to a table.
    pub fn extend_named<'t, T>(
        &mut self,
        table: &Table<T>,
        text: &Text,
        len: usize,
        texts: impl Iterator<Item = &'t [u8]>,
        element: impl Fn(TextAt) -> T,
    ) {
        let (index, piece) = text.piece_for(self, len);
        table.extend(texts.map(|bytes| {
            let (start, len) = piece.append(bytes);
            element(TextAt {
                piece: index,
                start,
                len,
            })
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_comes_before_is_counted_wherever_it_ends() {
        for len in 0..40 {
            for end in 0..=len {
                assert_eq!(count_before(len, |index| index < end), end);
            }
        }
    }

    #[test]
    fn indices_fill_chunks_without_gap_or_overlap() {
        let mut expected = 0;
        for chunk in 0..8 {
            for offset in 0..chunk_len(chunk) {
                assert_eq!(locate(expected), (chunk, offset));
                expected += 1;
            }
        }
    }

    #[test]
    fn elements_never_move_and_are_dropped_once() {
        let marker = Arc::new(());
        let table = Table::default();
        let mut writer = Writer::new();
        writer.push(&table, marker.clone());
        let first: *const Arc<()> = table.get(0).unwrap();
        for number in 0..70_000 {
            writer.push(&table, marker.clone());
            if number % 3 == 0 {
                writer.prepare(&table);
            }
        }
        assert!(ptr::eq(first, table.get(0).unwrap()));
        assert!(table.get(70_001).is_none());
        drop(table);
        assert_eq!(Arc::strong_count(&marker), 1);
    }

    #[test]
    fn readers_on_other_threads_see_only_whole_elements() {
        let table = Arc::new(Table::default());
        let reader = {
            let table = table.clone();
            std::thread::spawn(move || {
                let mut seen = 0;
                while seen < 100_000 {
                    let len = table.len();
                    for index in seen..len {
                        assert_eq!(table.get(index), Some(&(index as u64 * 3)));
                    }
                    seen = len;
                }
            })
        };
        let mut writer = Writer::new();
        for index in 0..100_000u64 {
            writer.push(&table, index * 3);
        }
        reader.join().unwrap();
    }
}
