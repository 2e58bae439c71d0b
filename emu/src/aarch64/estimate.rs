//! Reciprocal and reciprocal square root estimates: the tables of Arm DDI 0487,
//! computed as its pseudocode `RecipEstimate` and `RecipSqrtEstimate` do.

/// `RecipEstimate`: 256 to 511 in and out.
pub fn recip_estimate(a: u32) -> u32 {
    ((1 << 19) / (a * 2 + 1)).div_ceil(2)
}

/// `RecipSqrtEstimate`: 128 to 511 in, 256 to 511 out.
pub fn rsqrt_estimate(a: u32) -> u32 {
    let a = if a < 256 {
        a * 2 + 1
    } else {
        ((a >> 1 << 1) + 1) * 2
    };
    let mut b = 512;
    while a * (b + 1) * (b + 1) < 1 << 28 {
        b += 1;
    }
    b.div_ceil(2)
}

/// `UnsignedRecipEstimate`.
pub fn unsigned_recip_estimate(a: u32) -> u32 {
    if a >> 31 == 0 {
        u32::MAX
    } else {
        recip_estimate(a >> 23) << 23
    }
}

/// `UnsignedRSqrtEstimate`.
pub fn unsigned_rsqrt_estimate(a: u32) -> u32 {
    if a >> 30 == 0 {
        u32::MAX
    } else {
        rsqrt_estimate(a >> 23) << 23
    }
}
