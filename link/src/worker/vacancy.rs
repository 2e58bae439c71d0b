//! Where in a process there is room for a reservation: a pure function of its
//! memory map.

use std::ops::Range;

/// The address ranges in use, ascending, from the text of `/proc/PID/maps`.
/// Lines that are not understood are passed over: the kernel refuses a
/// reservation that would overlap, so the worst outcome is a second try.
pub fn occupied(maps: &str) -> Vec<Range<u64>> {
    maps.lines()
        .filter_map(|line| {
            let (range, _) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
        })
        .collect()
}

/// The aligned start of a free range of `length` bytes wholly inside `within`,
/// as close to `prefer` as can be. `occupied` is ascending; `alignment` a power
/// of two.
pub fn place(
    occupied: &[Range<u64>],
    length: u64,
    alignment: u64,
    within: Range<u64>,
    prefer: u64,
) -> Option<u64> {
    let ends = occupied.iter().map(|range| range.end);
    let starts = occupied.iter().map(|range| range.start);
    std::iter::once(0)
        .chain(ends)
        .zip(starts.chain(std::iter::once(u64::MAX)))
        .filter_map(|(gap_start, gap_end)| {
            let gap = gap_start.max(within.start)..gap_end.min(within.end);
            nearest(gap, length, alignment, prefer)
        })
        .min_by_key(|start| start.abs_diff(prefer))
}

/// The aligned start in `gap` that is closest to `prefer` from below, or the
/// lowest one there is.
fn nearest(gap: Range<u64>, length: u64, alignment: u64, prefer: u64) -> Option<u64> {
    let lowest = gap.start.checked_next_multiple_of(alignment)?;
    let highest = gap.end.checked_sub(length)? & !(alignment - 1);
    (lowest <= highest).then(|| (prefer & !(alignment - 1)).clamp(lowest, highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 0x1000;

    #[test]
    fn maps_are_read() {
        let maps = "\
55a0-55b0 r--p 00000000 fe:00 1 /bin/cat
7f00-8000 rw-p 00000000 00:00 0 [stack]
nonsense
";
        assert_eq!(occupied(maps), [0x55a0..0x55b0, 0x7f00..0x8000]);
    }

    #[test]
    fn the_nearest_room_is_taken() {
        let busy = [0x10000..0x20000, 0x30000..0x40000];
        let place = |length, within, prefer| place(&busy, length, PAGE, within, prefer);
        assert_eq!(place(PAGE, 0..u64::MAX, 0x25000), Some(0x25000));
        assert_eq!(place(PAGE, 0..u64::MAX, 0x25678), Some(0x25000));
        assert_eq!(place(PAGE, 0..u64::MAX, 0x31000), Some(0x2f000));
        assert_eq!(place(PAGE, 0..u64::MAX, 0x3f000), Some(0x40000));
        assert_eq!(place(0x10000, 0..u64::MAX, 0x25000), Some(0x20000));
        assert_eq!(place(0x11000, 0..0x50000, 0x25000), None);
        assert_eq!(place(0x10000, 0..0x50000, 0x25000), Some(0x20000));
        assert_eq!(place(PAGE, 0x20000..0x20fff, 0), None);
        assert_eq!(place(PAGE, 0x20000..0x21000, 0), Some(0x20000));
    }

    #[test]
    fn alignment_is_kept_and_nothing_overflows() {
        let busy = [0x10000..0x20000, 0x20000..0x21000];
        assert_eq!(
            place(&busy, PAGE, 0x10000, 0..u64::MAX, 0x21000),
            Some(0x30000)
        );
        assert_eq!(place(&[], u64::MAX, PAGE, 1..u64::MAX, 0), None);
        assert_eq!(place(&[], 1 << 63, 1 << 63, 0..u64::MAX, u64::MAX), Some(0));
    }
}
