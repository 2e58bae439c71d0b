//! Where thread-local storage lies in every thread, so that new code can refer
//! to the program's `__thread` variables.
//!
//! New code counts from the thread pointer, so only a block at one distance from
//! it in every thread will do. The program's own block ends at the thread
//! pointer. A library that was loaded at the start has one too, in the *static*
//! part; where, the dynamic linker wrote into the library's own tables, as a
//! distance, or as the module's number in each thread's vector. What was
//! `dlopen`ed later is allocated for each thread on its first use, and is
//! refused.

use sapwood_dwarf::{ModuleId, ModuleKind};

use super::Debugger;
use super::frames::TargetMemory;
use crate::libraries::read_word;
use crate::registers::x86;
use crate::target::Address;

impl Debugger {
    /// Where a module's thread-local block lies from the thread pointer in
    /// every thread, or why it does not.
    pub(super) fn thread_block(&mut self, id: ModuleId) -> Result<i64, String> {
        let gone = |_| "the program is gone".to_owned();
        let module = self.modules.get(id).cloned();
        let module = module.ok_or("its module is not loaded any more")?;
        let block = module.thread_local_block();
        let (size, alignment) = block.ok_or("its module has no thread-local storage")?;
        if module.kind() == ModuleKind::Executable {
            let size = size.next_multiple_of(alignment.max(1));
            return Ok(-(size as i64));
        }
        let thread = self.thread().map_err(|error| error.to_string())?;
        let target = self.target.as_deref_mut().ok_or("there is no program")?;
        if let Some(offset) = module.thread_local_offset(&mut TargetMemory(target)) {
            return Ok(offset);
        }
        let number = module.thread_local_number(&mut TargetMemory(target));
        let number = number.ok_or("nothing in its library says where its storage is")?;
        let pointer = target.registers(thread).map_err(gone)?.get(x86::FS_BASE);
        // `dtv_t { void *val; void *to_free; }` of glibc: what was allocated
        // for this thread alone has to be freed.
        let vector = read_word(target, Address(pointer).add(8)).map_err(gone)?;
        let slot = Address(vector).add(16 * number);
        let block = read_word(target, slot).map_err(gone)?;
        let to_free = read_word(target, slot.add(8)).map_err(gone)?;
        if block == u64::MAX || block == 0 || to_free != 0 {
            return Err(
                "its library, loaded later than the program, has it at another place in \
                        each thread"
                    .to_owned(),
            );
        }
        Ok(block.wrapping_sub(pointer) as i64)
    }
}
