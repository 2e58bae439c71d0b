//! Stand-in for guest memory until the emu-linux branch brings the whole of it.

/// Guest memory.
#[derive(Debug)]
pub struct GuestMemory {
    base: u64,
    limit: u64,
}

impl GuestMemory {
    /// Host address of guest address 0.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The first guest address beyond guest memory.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}
