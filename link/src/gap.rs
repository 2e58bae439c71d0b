//! Finds room for a reservation among the mappings a process has.
//!
//! Pure: the mappings are an argument, so that this process, a worker and a
//! stopped program are asked the same way.

use std::ops::Range;

use crate::addr::HostAddr;
use crate::space::{Near, Reserve};

/// Where user space ends on x86-64 with four-level page tables, less a guard.
const TOP: u64 = (1 << 47) - (1 << 16);
/// Nothing is placed below: null pointers with offsets must fault.
const BOTTOM: u64 = 1 << 20;
/// How far a 32-bit displacement reaches, less a page for what a field's own
/// position may add.
const REACH: u64 = (1 << 31) - 4096;

/// The start of a gap that fits `want`, or `None` when there is none.
/// `mappings` must be sorted and not overlap, as `/proc/PID/maps` lists them.
///
/// Near a range, the highest gap below it is preferred: heaps grow upwards from
/// behind a program, and kernels place new mappings below old ones.
pub fn find_gap(mappings: &[Range<u64>], want: &Reserve) -> Option<HostAddr> {
    let length = want.length.checked_next_multiple_of(4096)?;
    let alignment = want.alignment.max(4096);
    let fits = |low: u64, high: u64| {
        let start = high.checked_sub(length)? & !(alignment - 1);
        (start >= low && high > low).then_some(HostAddr(start))
    };
    // Gaps from the highest down, cut to `low..high`.
    let highest = |low: u64, high: u64| {
        let mut end = high;
        for mapping in mappings.iter().rev() {
            if mapping.start >= end {
                continue;
            }
            if let Some(found) = fits(low.max(mapping.end), end) {
                return Some(found);
            }
            end = mapping.start;
            if end <= low {
                return None;
            }
        }
        fits(low, end)
    };
    match &want.near {
        Near::Low => highest(BOTTOM, 1 << 31),
        Near::Anywhere => highest(BOTTOM, TOP),
        Near::At(at) => {
            let end = at.get().checked_add(length)?;
            let free = mappings.iter().all(|m| m.end <= at.get() || m.start >= end);
            (free && at.get().is_multiple_of(alignment)).then_some(*at)
        }
        Near::Range(range) => {
            let (start, end) = (range.start.get(), range.end.get());
            let low = end.saturating_sub(REACH).max(BOTTOM);
            let high = start.saturating_add(REACH).min(TOP);
            let below = highest(low, start.min(high));
            below.or_else(|| lowest(mappings, end.max(low), high, length, alignment))
        }
    }
}

/// The lowest gap in `low..high`.
fn lowest(
    mappings: &[Range<u64>],
    low: u64,
    high: u64,
    length: u64,
    alignment: u64,
) -> Option<HostAddr> {
    let mut start = low.checked_next_multiple_of(alignment)?;
    for mapping in mappings.iter().filter(|mapping| mapping.end > low) {
        if start.checked_add(length)? <= mapping.start.min(high) {
            break;
        }
        start = start.max(mapping.end.checked_next_multiple_of(alignment)?);
    }
    (start.checked_add(length)? <= high).then_some(HostAddr(start))
}

/// Reads the ranges of a `/proc/PID/maps` listing; lines that are not of its
/// form are passed over.
pub fn parse_maps(maps: &str) -> Vec<Range<u64>> {
    let ranges = maps.lines().filter_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        Some(hex(start)?..hex(end)?)
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Protection;

    fn find(mappings: &[Range<u64>], length: u64, near: Near) -> Option<u64> {
        let want = Reserve {
            length,
            protection: Protection::Code,
            alignment: 4096,
            near,
        };
        find_gap(mappings, &want).map(HostAddr::get)
    }

    #[test]
    fn low_gaps_are_taken_from_the_top() {
        assert_eq!(find(&[], 0x1000, Near::Low), Some(0x7fff_f000));
        let mappings = [0x40_0000..0x50_0000, 0x7000_0000..0x8000_0000];
        assert_eq!(find(&mappings, 0x1000, Near::Low), Some(0x6fff_f000));
        assert_eq!(find(&mappings, 0x6ff0_0000, Near::Low), None);
        assert_eq!(find(&mappings, 1 << 31, Near::Low), None);
    }

    #[test]
    fn near_a_range_means_below_it_else_above_it_and_in_reach() {
        let program = 0x5555_5555_4000..0x5555_5560_0000;
        let near = Near::Range(HostAddr(program.start)..HostAddr(program.end));
        let one = std::slice::from_ref(&program);
        assert_eq!(find(one, 0x10_0000, near.clone()), Some(0x5555_5545_4000));
        let below = 0x5554_0000_0000..program.start;
        let full = [below, program.clone()];
        assert_eq!(find(&full, 0x10_0000, near.clone()), Some(0x5555_5560_0000));
        assert_eq!(find(&full, 1 << 31, near), None);
    }

    #[test]
    fn a_fixed_place_is_given_only_when_free() {
        let taken = [0x10_0000..0x20_0000, 0x30_0000..0x40_0000];
        assert_eq!(find(&taken, 0x1000, Near::At(HostAddr(0x1f_f000))), None);
        assert_eq!(
            find(&taken, 0x1000, Near::At(HostAddr(0x20_0000))),
            Some(0x20_0000)
        );
    }

    #[test]
    fn maps_are_parsed() {
        let maps = "00400000-00401000 r--p 00000000 08:01 1 /bin/x\nbad\n7f00-7f01 rw-p 0 0:0 0\n";
        assert_eq!(parse_maps(maps), [0x40_0000..0x40_1000, 0x7f00..0x7f01]);
    }
}
