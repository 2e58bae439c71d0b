//! A link session: objects in, an image that only grows out.

pub mod addr;
pub mod host;
pub mod source;
pub mod space;
pub mod worker;

pub use addr::HostAddr;
pub use host::{Host, HostError, Outside, Resolver, Wanted};
pub use space::{AddressSpace, Near, Protection, Region, Reserve, SpaceError, SpaceId, Write};
