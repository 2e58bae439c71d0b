//! What the dynamic linker knows of an address in this process: what begins there,
//! and how long it is.
//!
//! Its tables of symbols name what a library exports. What they do not name (the
//! variant of `strlen` that was chosen at start) is a function when its pages may be
//! executed.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use object::elf;

use crate::addr::HostAddr;
use crate::host::Extent;

unsafe extern "C" {
    /// `dladdr`, which gives the symbol's record too.
    fn dladdr1(
        at: *const c_void,
        info: *mut libc::Dl_info,
        record: *mut *const libc::Elf64_Sym,
        flags: c_int,
    ) -> c_int;
}

/// What begins at an address; nothing where that is not known.
pub(crate) fn extent(at: HostAddr) -> Option<Extent> {
    /// `RTLD_DL_SYMENT`.
    const WITH_RECORD: c_int = 1;
    const FUNCTION: u8 = elf::STT_FUNC.0;
    const INDIRECT: u8 = elf::STT_GNU_IFUNC.0;
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    let mut record: *const libc::Elf64_Sym = ptr::null();
    // SAFETY: it fills in the two, or says that there is nothing.
    let found = unsafe {
        let at = at.get() as *const c_void;
        dladdr1(at, info.as_mut_ptr(), &raw mut record, WITH_RECORD)
    };
    if found == 0 {
        return None;
    }
    // SAFETY: the call that succeeded has filled it in.
    let info = unsafe { info.assume_init() };
    // SAFETY: the record is in a table of a loaded library, or there is none.
    let record = unsafe { record.as_ref() }.filter(|_| info.dli_saddr as u64 == at.get());
    match record {
        Some(record) => Some(Extent {
            size: record.st_size,
            function: matches!(record.st_info & 15, FUNCTION | INDIRECT),
        }),
        None => is_code(at).then_some(Extent {
            size: 0,
            function: true,
        }),
    }
}

/// Whether an address lies in a loaded object's code.
fn is_code(at: HostAddr) -> bool {
    let mut asked = (at, false);
    // SAFETY: the function is called for each object before this returns, with the
    // pointer given here.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut asked).cast()) };
    asked.1
}

/// Looks for an address in an object's code; says to go on until it is found.
unsafe extern "C" fn look(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    asked: *mut c_void,
) -> c_int {
    // SAFETY: the loader gives a valid description of an object, with its program
    // headers; `asked` is what `is_code` gave.
    let (info, headers, (at, found)) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info, headers, &mut *asked.cast::<(HostAddr, bool)>())
    };
    *found |= headers.iter().any(|header| {
        let offset = at
            .get()
            .wrapping_sub(info.dlpi_addr.wrapping_add(header.p_vaddr));
        let code = header.p_type == libc::PT_LOAD && header.p_flags & elf::PF_X.0 != 0;
        code && offset < header.p_memsz
    });
    c_int::from(*found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_data_are_told_apart() {
        let of = |name: &std::ffi::CStr| {
            // SAFETY: a name is looked up.
            let at = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            extent(HostAddr(at as u64))
        };
        assert!(of(c"getpid").unwrap().function);
        assert!(of(c"strlen").unwrap().function);
        let data = of(c"stdout").unwrap();
        assert_eq!((data.size, data.function), (8, false));
        let local = 0u64;
        assert_eq!(extent(HostAddr(&raw const local as u64)), None);
    }
}
