//! Packets of gdb's remote protocol: `$payload#checksum`, and the numbers that
//! signals have in them.

use std::io::{self, Read};

/// What comes from gdb.
#[derive(PartialEq, Eq, Debug)]
pub enum Incoming {
    /// A packet's payload, unescaped, and whether its checksum is right.
    Packet(Vec<u8>, bool),
    /// The user's ^C.
    Interrupt,
}

/// No packet is longer than this.
pub const LONGEST: usize = 0x4000;

/// A payload as it is sent.
pub fn framed(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![b'$'];
    for &byte in payload {
        if b"#$}*".contains(&byte) {
            packet.extend([b'}', byte ^ 0x20]);
        } else {
            packet.push(byte);
        }
    }
    let sum = checksum(&packet[1..]);
    packet.push(b'#');
    packet.extend(format!("{sum:02x}").bytes());
    packet
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// Reads up to the next packet; acknowledgements are skipped.
pub fn read(input: &mut impl Read) -> io::Result<Incoming> {
    let mut next = || {
        let mut byte = [0];
        input.read_exact(&mut byte).map(|()| byte[0])
    };
    loop {
        match next()? {
            0x03 => return Ok(Incoming::Interrupt),
            b'$' => break,
            _ => {}
        }
    }
    let mut raw = Vec::new();
    loop {
        match next()? {
            b'#' => break,
            _ if raw.len() > LONGEST => return Err(io::Error::other("a packet without an end")),
            byte => raw.push(byte),
        }
    }
    let given = number(&[next()?, next()?]);
    let is_right = given == Some(checksum(&raw).into());
    let mut payload = Vec::with_capacity(raw.len());
    let mut bytes = raw.into_iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'}' => payload.extend(bytes.next().map(|byte| byte ^ 0x20)),
            byte => payload.push(byte),
        }
    }
    Ok(Incoming::Packet(payload, is_right))
}

/// A hexadecimal number.
pub fn number(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits as bytes.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let pairs = text.chunks(2);
    pairs
        .map(|pair| number(pair).map(|byte| byte as u8))
        .collect()
}

/// Linux's signals from 1 on, by gdb's numbers (include/gdb/signals.def).
const GDB_NUMBERS: [u8; 31] = [
    1, 2, 3, 4, 5, 6, 10, 8, 9, 30, 11, 31, 13, 14, 15, 0, 20, 19, 17, 18, 21, 22, 16, 24, 25, 26,
    27, 28, 23, 32, 12,
];

/// gdb's number for a signal.
pub fn to_gdb_signal(signal: i32) -> u8 {
    match signal {
        1..=31 => GDB_NUMBERS[signal as usize - 1],
        32 => 77,
        33..=63 => signal as u8 - 33 + 45,
        _ => 78,
    }
}

/// The signal for gdb's number.
pub fn from_gdb_signal(number: u8) -> Option<i32> {
    (1..=64).find(|&signal| to_gdb_signal(signal) == number && number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_survive_the_wire() {
        let payload: Vec<u8> = (0..=255).collect();
        let packet = framed(&payload);
        let mut input: &[u8] = &[b"+", &packet[..], b"\x03"].concat();
        assert_eq!(read(&mut input).unwrap(), Incoming::Packet(payload, true));
        assert_eq!(read(&mut input).unwrap(), Incoming::Interrupt);
        let mut wrong: &[u8] = b"$m0,4#00";
        assert_eq!(
            read(&mut wrong).unwrap(),
            Incoming::Packet(b"m0,4".to_vec(), false)
        );
    }

    #[test]
    fn signals_have_gdbs_numbers() {
        assert_eq!(to_gdb_signal(libc::SIGBUS), 10);
        assert_eq!(to_gdb_signal(libc::SIGUSR1), 30);
        assert_eq!(to_gdb_signal(34), 46);
        for signal in (1..=64).filter(|&signal| signal != libc::SIGSTKFLT) {
            assert_eq!(from_gdb_signal(to_gdb_signal(signal)), Some(signal));
        }
    }
}
