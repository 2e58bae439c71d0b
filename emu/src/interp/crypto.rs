//! The steps of AES, SHA-1 and SHA-256 that AArch64 has instructions for.
//!
//! Sources: FIPS 197 (the S-box is computed from its definition, the inverse in
//! GF(2⁸) and an affine map), FIPS 180-4, and Arm DDI 0487 for how a step is cut.

use std::sync::LazyLock;

/// a × b in GF(2⁸) modulo x⁸ + x⁴ + x³ + x + 1.
const fn field_mul(mut a: u8, b: u8) -> u8 {
    let mut product = 0;
    let mut bit = 0;
    while bit < 8 {
        if b >> bit & 1 != 0 {
            product ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        bit += 1;
    }
    product
}

struct Boxes {
    forward: [u8; 256],
    inverse: [u8; 256],
}

static BOXES: LazyLock<Boxes> = LazyLock::new(|| {
    let mut boxes = Boxes {
        forward: [0; 256],
        inverse: [0; 256],
    };
    for x in 0..=255u8 {
        let inverse = (1..=255).find(|&y| field_mul(x, y) == 1).unwrap_or(0);
        let rotations = (0..5).fold(0, |sum, n| sum ^ inverse.rotate_left(n));
        let value = rotations ^ 0x63;
        boxes.forward[usize::from(x)] = value;
        boxes.inverse[usize::from(value)] = x;
    }
    boxes
});

/// Shift-rows (byte n from n + 4 × row) and sub-bytes.
pub fn aes_encrypt(state: u128) -> u128 {
    let from = state.to_le_bytes();
    let to = std::array::from_fn(|n| BOXES.forward[usize::from(from[(n + 4 * (n % 4)) % 16])]);
    u128::from_le_bytes(to)
}

/// The inverse of [`aes_encrypt`].
pub fn aes_decrypt(state: u128) -> u128 {
    let from = state.to_le_bytes();
    let to = std::array::from_fn(|n| BOXES.inverse[usize::from(from[(n + 12 * (n % 4)) % 16])]);
    u128::from_le_bytes(to)
}

/// Multiplies each column by a circulant matrix with this first row.
fn mix(state: u128, row: [u8; 4]) -> u128 {
    let from = state.to_le_bytes();
    let to = std::array::from_fn(|n| {
        let column = n / 4 * 4;
        (0..4).fold(0, |sum, k| {
            sum ^ field_mul(from[column + (n + k) % 4], row[k])
        })
    });
    u128::from_le_bytes(to)
}

/// Mix-columns.
pub fn aes_mix(state: u128) -> u128 {
    mix(state, [2, 3, 1, 1])
}

/// The inverse of [`aes_mix`].
pub fn aes_unmix(state: u128) -> u128 {
    mix(state, [14, 11, 13, 9])
}

fn words(a: u128) -> [u32; 4] {
    [
        a as u32,
        (a >> 32) as u32,
        (a >> 64) as u32,
        (a >> 96) as u32,
    ]
}

fn join(w: [u32; 4]) -> u128 {
    w.iter()
        .rev()
        .fold(0, |a, &word| a << 32 | u128::from(word))
}

/// Four rounds of SHA-1 on a to d in `abcd` and e, with four words and the round's function.
pub fn sha1_rounds(abcd: u128, e: u128, schedule: u128, f: impl Fn(u32, u32, u32) -> u32) -> u128 {
    let ([mut a, mut b, mut c, mut d], mut e) = (words(abcd), e as u32);
    for word in words(schedule) {
        let sum = e
            .wrapping_add(a.rotate_left(5))
            .wrapping_add(f(b, c, d))
            .wrapping_add(word);
        (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
    }
    join([a, b, c, d])
}

/// SHA1SU0.
pub fn sha1_su0(a: u128, b: u128, c: u128) -> u128 {
    (a >> 64 | b << 64) ^ a ^ c
}

/// SHA1SU1.
pub fn sha1_su1(a: u128, b: u128) -> u128 {
    let mut t = words(a ^ b >> 32).map(|word| word.rotate_left(1));
    t[3] ^= t[0].rotate_left(1);
    join(t)
}

/// Four rounds of SHA-256 on a to d and e to h; gives both.
pub fn sha256_rounds(abcd: u128, efgh: u128, schedule: u128) -> (u128, u128) {
    let ([mut a, mut b, mut c, mut d], [mut e, mut f, mut g, mut h]) = (words(abcd), words(efgh));
    for word in words(schedule) {
        let choose = e & f ^ !e & g;
        let majority = a & b ^ a & c ^ b & c;
        let sigma1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let sigma0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t = h
            .wrapping_add(sigma1)
            .wrapping_add(choose)
            .wrapping_add(word);
        (h, g, f, e) = (g, f, e, d.wrapping_add(t));
        (d, c, b, a) = (c, b, a, t.wrapping_add(sigma0).wrapping_add(majority));
    }
    (join([a, b, c, d]), join([e, f, g, h]))
}

/// SHA256SU0.
pub fn sha256_su0(a: u128, b: u128) -> u128 {
    let (w, next) = (words(a), words(a >> 32 | b << 96));
    join(std::array::from_fn(|n| {
        let x = next[n];
        w[n].wrapping_add(x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3)
    }))
}

/// SHA256SU1.
pub fn sha256_su1(a: u128, b: u128, c: u128) -> u128 {
    let (w, shifted, last) = (words(a), words(b >> 32 | c << 96), words(c));
    let sigma = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ x >> 10;
    let mut t: [u32; 4] = std::array::from_fn(|n| w[n].wrapping_add(shifted[n]));
    t[0] = t[0].wrapping_add(sigma(last[2]));
    t[1] = t[1].wrapping_add(sigma(last[3]));
    t[2] = t[2].wrapping_add(sigma(t[0]));
    t[3] = t[3].wrapping_add(sigma(t[1]));
    join(t)
}
