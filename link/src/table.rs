//! [`Table`]: an append-only array that never moves an element.
//!
//! Elements live in chunks that double in size, so a push never copies and a
//! reference to an element stays good for as long as the table lives. One
//! thread pushes (it holds `&mut` of the session that owns the writer); any
//! number read, without a lock, up to a length that was stored after the
//! elements below it were written.
//!
//! [`Text`] is the same for the bytes of names.
//!
//! What holds between calls: elements below `len` are initialised and, but for
//! atomics inside them, never change.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// The first chunk holds `1 << FIRST_BITS` elements, the next as many, and each
/// after that twice the one before.
const FIRST_BITS: u32 = 6;
/// Enough chunks for 2³² elements.
const CHUNKS: usize = 33 - FIRST_BITS as usize;

/// An append-only array with stable element addresses; see the [module
/// page](self).
pub(crate) struct Table<T> {
    chunks: [AtomicPtr<MaybeUninit<T>>; CHUNKS],
    len: AtomicUsize,
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
        }
    }
}

impl<T> Table<T> {
    /// How many elements have been pushed.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The element at `index`, if it has been pushed.
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
        let (chunk, offset) = locate(index);
        let base = self.chunk(chunk);
        // SAFETY: the chunk holds `chunk_len(chunk)` elements and `locate` keeps
        // `offset` below that; no reader looks at an index that is not below
        // `len`, so nobody else refers to this element.
        unsafe { (*base.add(offset)).write(value) };
        self.len.store(index + 1, Ordering::Release);
        index
    }

    /// The first element of a chunk, allocated now if need be. Only the one
    /// thread that pushes calls it.
    fn chunk(&self, chunk: usize) -> *mut MaybeUninit<T> {
        assert!(chunk < CHUNKS, "a table holds at most 2^32 elements");
        let mut base = self.chunks[chunk].load(Ordering::Relaxed);
        if base.is_null() {
            base = self.fresh_chunk(chunk);
        }
        base
    }

    #[cold]
    fn fresh_chunk(&self, chunk: usize) -> *mut MaybeUninit<T> {
        let fresh: Box<[MaybeUninit<T>]> = Box::new_uninit_slice(chunk_len(chunk));
        let base = Box::into_raw(fresh).cast();
        self.chunks[chunk].store(base, Ordering::Release);
        base
    }
}

impl<T> Table<T> {
    /// Appends elements, and says so in one store. Should `values` panic, those
    /// before are never dropped.
    fn extend(&self, values: impl Iterator<Item = T>) {
        let mut index = self.len.load(Ordering::Relaxed);
        let (mut chunk, mut offset) = locate(index);
        let mut base = self.chunk(chunk);
        let mut room = chunk_len(chunk);
        for value in values {
            if offset == room {
                (chunk, offset) = (chunk + 1, 0);
                base = self.chunk(chunk);
                room = chunk_len(chunk);
            }
            // SAFETY: `offset` is below the chunk's length, and no reader looks
            // at an index that is not below `len`.
            unsafe { (*base.add(offset)).write(value) };
            offset += 1;
            index += 1;
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

/// `len` words of zero, on pages that the kernel gives when they are touched.
pub(crate) fn zeroed_words(len: usize) -> Box<[AtomicU64]> {
    // SAFETY: an `AtomicU64` of zero bytes is the word 0.
    unsafe { Box::new_zeroed_slice(len).assume_init() }
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
        for _ in 0..10_000 {
            writer.push(&table, marker.clone());
        }
        assert!(ptr::eq(first, table.get(0).unwrap()));
        assert!(table.get(10_001).is_none());
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
