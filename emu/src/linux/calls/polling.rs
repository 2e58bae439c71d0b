//! `epoll`, whose events x86-64 alone packs, and `pselect6`, whose last
//! argument is an address of an address.

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::host::Argument;
use crate::linux::structures::{EpollEvent, MaskArgument};
use crate::linux::system_call::Call;
use crate::memory::bytes_of;

/// Bytes of `struct epoll_event` on x86-64: 32 bits of events, 64 of data.
const PACKED: usize = 12;
/// Events asked for at once; more wait for the next call. No process has as many
/// files open, and memory for what does not come is never touched.
const MOST_EVENTS: usize = 1 << 20;
/// What Linux takes for a count: all bytes of the events have to be an `int`.
const MOST_ASKED: i32 = i32::MAX / size_of::<EpollEvent>() as i32;

/// `epoll_ctl(epoll, operation, fd, event)`
pub fn epoll_ctl(call: &mut Call<'_>) -> Result<u64, Errno> {
    if call.int(1) == libc::EPOLL_CTL_DEL {
        return call.host(
            libc::SYS_epoll_ctl,
            [
                call.value(0),
                call.value(1),
                call.value(2),
                Argument::Value(0),
            ],
        );
    }
    let event: EpollEvent = call.load(3)?;
    let packed = pack(&event);
    call.host(
        libc::SYS_epoll_ctl,
        [
            call.value(0),
            call.value(1),
            call.value(2),
            Argument::In(&packed),
        ],
    )
}

/// `epoll_pwait(epoll, events, count, milliseconds, mask, size)`
pub fn epoll_pwait(call: &mut Call<'_>) -> Result<u64, Errno> {
    wait(call, libc::SYS_epoll_pwait, call.value(3))
}

/// `epoll_pwait2(epoll, events, count, timeout, mask, size)`
pub fn epoll_pwait2(call: &mut Call<'_>) -> Result<u64, Errno> {
    wait(call, libc::SYS_epoll_pwait2, call.pointer(3))
}

fn wait(call: &Call<'_>, number: i64, timeout: Argument<'_>) -> Result<u64, Errno> {
    let count = call.int(2);
    if !(1..=MOST_ASKED).contains(&count) {
        return Err(Errno::EINVAL);
    }
    let count = (count as usize).min(MOST_EVENTS);
    let mut packed = vec![0; count * PACKED];
    let ready = call.host(
        number,
        [
            call.value(0),
            Argument::Out(&mut packed),
            Argument::Value(count as u64),
            timeout,
            call.pointer(4),
            call.value(5),
        ],
    )?;
    let events: Vec<u8> = packed
        .chunks_exact(PACKED)
        .take(ready as usize)
        .flat_map(|event| bytes_of(&unpack(event)).to_vec())
        .collect();
    call.memory().write_bytes(call.address(1), &events)?;
    Ok(ready)
}

fn pack(event: &EpollEvent) -> [u8; PACKED] {
    let mut packed = [0; PACKED];
    packed[..4].copy_from_slice(&event.events.to_le_bytes());
    packed[4..].copy_from_slice(&event.data.to_le_bytes());
    packed
}

fn unpack(packed: &[u8]) -> EpollEvent {
    let (events, data) = packed.split_at(4);
    EpollEvent {
        events: u32::from_le_bytes(events.try_into().expect("four bytes")),
        pad: 0,
        data: u64::from_le_bytes(data.try_into().expect("eight bytes")),
    }
}

/// `pselect6(count, read, write, except, timeout, mask)`
pub fn pselect6(call: &mut Call<'_>) -> Result<u64, Errno> {
    let mask = match call.address(5) {
        GuestAddr(0) => None,
        at => {
            let guest: MaskArgument = call.memory().read(at)?;
            let mask = call.memory().host_pointer(GuestAddr(guest.mask));
            Some(MaskArgument {
                mask,
                size: guest.size,
            })
        }
    };
    let mask = match &mask {
        Some(mask) => Argument::In(bytes_of(mask)),
        None => Argument::Value(0),
    };
    let [set1, set2, set3, timeout] = [1, 2, 3, 4].map(|index| call.pointer(index));
    call.host(
        libc::SYS_pselect6,
        [call.value(0), set1, set2, set3, timeout, mask],
    )
}

#[cfg(test)]
#[test]
fn events_survive_packing() {
    let event = EpollEvent {
        events: 0x8000_0001,
        pad: 0,
        data: 0x1122_3344_5566_7788,
    };
    let back = unpack(&pack(&event));
    assert_eq!((back.events, back.data), (event.events, event.data));
}
