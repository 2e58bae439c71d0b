//! Guest memory from the outside: what a system call sees.

use super::*;

const SIZE: u64 = 4 << 30;

fn memory() -> GuestMemory {
    GuestMemory::new(SIZE).expect("4 GiB of addresses can be reserved")
}

fn anonymous(placement: Placement, pages: u64, protection: Protection) -> Map {
    Map {
        placement,
        length: pages * PAGE_SIZE,
        protection,
        shared: false,
        host_flags: 0,
        source: Source::Anonymous(Kind::Anonymous),
    }
}

fn map(memory: &GuestMemory, at: u64, pages: u64, protection: Protection) -> GuestAddr {
    let request = anonymous(Placement::Fixed(GuestAddr(at)), pages, protection);
    memory
        .map(&request)
        .expect("fixed pages can be mapped")
        .address
}

#[test]
fn accessors_answer_efault_and_never_fault() {
    let memory = memory();
    let at = map(&memory, 0x20000, 1, Protection::READ_WRITE);
    memory.write(at, &0x1122_3344_5566_7788_u64).unwrap();
    assert_eq!(memory.read::<u32>(at.add(4)), Ok(0x1122_3344));
    assert_eq!(
        memory.read::<u64>(at.add(PAGE_SIZE - 4)),
        Err(Errno::EFAULT)
    );
    assert_eq!(memory.read_bytes(GuestAddr(0), 1), Err(Errno::EFAULT));
    assert_eq!(
        memory.read_bytes(GuestAddr(u64::MAX - 3), 16),
        Err(Errno::EFAULT)
    );
    assert_eq!(
        memory.write_bytes(GuestAddr(SIZE - 1), &[1, 2]),
        Err(Errno::EFAULT)
    );
    let _ = memory.protect(at, PAGE_SIZE, Protection::READ).unwrap();
    assert_eq!(memory.write(at, &1_u8), Err(Errno::EFAULT));
    assert_eq!(memory.read::<u8>(at), Ok(0x88));
}

#[test]
fn strings_end_at_the_zero_or_the_fault() {
    let memory = memory();
    let at = map(&memory, 0x20000, 2, Protection::READ_WRITE);
    memory
        .write_bytes(at.add(PAGE_SIZE - 3), b"across\0")
        .unwrap();
    assert_eq!(memory.c_string(at.add(PAGE_SIZE - 3)).unwrap(), b"across");
    memory
        .write_bytes(at.add(2 * PAGE_SIZE - 4), b"open")
        .unwrap();
    assert_eq!(
        memory.c_string(at.add(2 * PAGE_SIZE - 4)),
        Err(Errno::EFAULT)
    );
    memory.write_bytes(at, &[b'x'; 5000]).unwrap();
    assert_eq!(memory.c_string(at), Err(Errno::ENAMETOOLONG));
}

#[test]
fn nothing_below_64_kib_or_past_the_end() {
    let memory = memory();
    let low = anonymous(Placement::Fixed(GuestAddr(0xf000)), 1, Protection::READ);
    assert_eq!(memory.map(&low).unwrap_err(), Errno::EPERM);
    let high = anonymous(
        Placement::Fixed(GuestAddr(SIZE - PAGE_SIZE)),
        2,
        Protection::READ,
    );
    assert_eq!(memory.map(&high).unwrap_err(), Errno::ENOMEM);
    let wrapping = anonymous(
        Placement::Fixed(GuestAddr(u64::MAX - PAGE_SIZE + 1)),
        2,
        Protection::READ,
    );
    assert_eq!(memory.map(&wrapping).unwrap_err(), Errno::ENOMEM);
    let huge = Map {
        length: u64::MAX,
        ..anonymous(Placement::Anywhere, 1, Protection::READ)
    };
    assert_eq!(memory.map(&huge).unwrap_err(), Errno::ENOMEM);
    let hinted = anonymous(Placement::Hint(GuestAddr(0x1000)), 1, Protection::READ);
    assert!(memory.map(&hinted).unwrap().address.0 >= LOWEST_ADDRESS);
}

#[test]
fn executable_pages_are_fetched_and_reported_stale() {
    let memory = memory();
    let at = map(&memory, 0x20000, 2, Protection::READ_WRITE);
    memory
        .write_bytes(at.add(PAGE_SIZE - 2), &[1, 2, 3, 4])
        .unwrap();
    let mut code = [0; 4];
    assert_eq!(memory.fetch(at.add(PAGE_SIZE - 2), &mut code), 0);
    let changed = memory
        .protect(at, PAGE_SIZE, Protection::READ_EXECUTE)
        .unwrap();
    assert_eq!(changed.stale, None);
    assert_eq!(memory.fetch(at.add(PAGE_SIZE - 2), &mut code), 2);
    assert_eq!(code[..2], [1, 2]);
    let changed = memory.unmap(at, 2 * PAGE_SIZE).unwrap();
    assert_eq!(changed.stale, Some(at..at.add(2 * PAGE_SIZE)));
    assert_eq!(memory.fetch(at, &mut code), 0);
}

#[test]
fn remap_keeps_contents_in_place_and_on_the_move() {
    let memory = memory();
    let at = map(&memory, 0x20000, 2, Protection::READ_WRITE);
    memory.write(at.add(PAGE_SIZE), &42_u64).unwrap();
    let grown = memory
        .remap(at, 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0, GuestAddr(0))
        .unwrap();
    assert_eq!(grown.address, at);
    assert_eq!(memory.read::<u64>(at.add(3 * PAGE_SIZE)), Ok(0));
    map(&memory, 0x20000 + 4 * PAGE_SIZE, 1, Protection::READ);
    let stuck = memory.remap(at, 4 * PAGE_SIZE, 5 * PAGE_SIZE, 0, GuestAddr(0));
    assert_eq!(stuck.unwrap_err(), Errno::ENOMEM);
    let moved = memory
        .remap(
            at,
            4 * PAGE_SIZE,
            8 * PAGE_SIZE,
            libc::MREMAP_MAYMOVE,
            GuestAddr(0),
        )
        .unwrap();
    assert_ne!(moved.address, at);
    assert_eq!(memory.read::<u64>(moved.address.add(PAGE_SIZE)), Ok(42));
    assert_eq!(memory.read::<u64>(moved.address.add(7 * PAGE_SIZE)), Ok(0));
    assert_eq!(memory.read::<u8>(at), Err(Errno::EFAULT));
    let shrunk = memory
        .remap(moved.address, 8 * PAGE_SIZE, 2 * PAGE_SIZE, 0, GuestAddr(0))
        .unwrap();
    assert_eq!(memory.read::<u64>(shrunk.address.add(PAGE_SIZE)), Ok(42));
    assert_eq!(
        memory.read::<u8>(shrunk.address.add(2 * PAGE_SIZE)),
        Err(Errno::EFAULT)
    );
}

#[test]
fn the_break_moves_both_ways() {
    let memory = memory();
    memory.set_heap(GuestAddr(0x30010));
    assert_eq!(memory.set_break(GuestAddr(0)).address, GuestAddr(0x31000));
    assert_eq!(
        memory.set_break(GuestAddr(0x33008)).address,
        GuestAddr(0x33008)
    );
    memory.write(GuestAddr(0x33ff8), &7_u64).unwrap();
    assert_eq!(
        memory.set_break(GuestAddr(0x32000)).address,
        GuestAddr(0x32000)
    );
    assert_eq!(memory.read::<u8>(GuestAddr(0x33000)), Err(Errno::EFAULT));
    map(&memory, 0x40000, 1, Protection::READ);
    assert_eq!(
        memory.set_break(GuestAddr(0x50000)).address,
        GuestAddr(0x32000)
    );
    assert_eq!(
        memory.set_break(GuestAddr(u64::MAX)).address,
        GuestAddr(0x32000)
    );
}
