//! Structures of the kernel's interface that are laid out differently on the
//! guest and on x86-64, or that hold addresses, as plain data.

use crate::memory::plain_structs;

plain_structs! {
    /// `struct stat` of x86-64.
    pub struct HostStat {
        pub device: u64,
        pub inode: u64,
        pub links: u64,
        pub mode: u32,
        pub user: u32,
        pub group: u32,
        pub pad: u32,
        pub special_device: u64,
        pub size: i64,
        pub block_size: i64,
        pub blocks: i64,
        /// Seconds and nanoseconds of access, modification and change.
        pub times: [u64; 6],
        pub unused: [i64; 3],
    }

    /// `struct stat` of the generic interface: RISC-V, AArch64.
    pub struct GenericStat {
        pub device: u64,
        pub inode: u64,
        pub mode: u32,
        pub links: u32,
        pub user: u32,
        pub group: u32,
        pub special_device: u64,
        pub pad1: u64,
        pub size: i64,
        pub block_size: i32,
        pub pad2: i32,
        pub blocks: i64,
        /// Seconds and nanoseconds of access, modification and change.
        pub times: [u64; 6],
        pub unused: [u32; 2],
    }

    /// `struct iovec`.
    pub struct IoVector {
        pub base: u64,
        pub length: u64,
    }

    /// `struct msghdr`.
    pub struct MessageHeader {
        pub name: u64,
        pub name_length: u32,
        pub pad1: u32,
        pub vectors: u64,
        pub vector_count: u64,
        pub control: u64,
        pub control_length: u64,
        pub flags: u32,
        pub pad2: u32,
    }

    /// `struct mmsghdr`.
    pub struct MultipleMessageHeader {
        pub header: MessageHeader,
        pub length: u32,
        pub pad: u32,
    }

    /// `struct epoll_event` of the generic interface; x86-64 has no padding.
    pub struct EpollEvent {
        pub events: u32,
        pub pad: u32,
        pub data: u64,
    }

    /// `struct sigaction` of the generic interface, without a restorer.
    pub struct GenericAction {
        pub handler: u64,
        pub flags: u64,
        pub mask: u64,
    }

    /// `struct futex_waitv`.
    pub struct FutexWait {
        pub expected: u64,
        pub word: u64,
        pub flags: u32,
        pub reserved: u32,
    }

    /// `struct xattr_args`.
    pub struct AttributeArguments {
        pub value: u64,
        pub size: u32,
        pub flags: u32,
    }

    /// `struct open_how`.
    pub struct OpenHow {
        pub flags: u64,
        pub mode: u64,
        pub resolve: u64,
    }

    /// `struct rlimit64`.
    pub struct ResourceLimit {
        pub current: u64,
        pub maximum: u64,
    }

    /// `struct utsname`: six strings of 65 bytes.
    pub struct SystemNames {
        pub names: [[u8; 65]; 6],
    }

    /// The sixth argument of `pselect6`.
    pub struct MaskArgument {
        pub mask: u64,
        pub size: u64,
    }

    /// `struct clone_args`, its first version and what later ones added.
    pub struct CloneArguments {
        pub flags: u64,
        pub pidfd: u64,
        pub child_tid: u64,
        pub parent_tid: u64,
        pub exit_signal: u64,
        pub stack: u64,
        pub stack_size: u64,
        pub tls: u64,
        pub set_tid: u64,
        pub set_tid_size: u64,
        pub cgroup: u64,
    }

    /// `struct semid64_ds` of x86-64.
    pub struct HostSemaphores {
        /// `struct ipc64_perm`.
        pub permissions: [u64; 6],
        pub operation_time: u64,
        pub unused1: u64,
        pub change_time: u64,
        pub unused2: u64,
        pub count: u64,
        pub unused3: [u64; 2],
    }

    /// `struct semid64_ds` of the generic interface.
    pub struct GenericSemaphores {
        /// `struct ipc64_perm`.
        pub permissions: [u64; 6],
        pub operation_time: u64,
        pub change_time: u64,
        pub count: u64,
        pub unused: [u64; 2],
    }

    /// `struct ifconf`.
    pub struct InterfaceList {
        pub length: u32,
        pub pad: u32,
        pub buffer: u64,
    }

    /// One question of `riscv_hwprobe`, and its answer.
    pub struct ProbePair {
        pub key: i64,
        pub value: u64,
    }
}

impl From<&HostStat> for GenericStat {
    fn from(stat: &HostStat) -> GenericStat {
        GenericStat {
            device: stat.device,
            inode: stat.inode,
            mode: stat.mode,
            links: stat.links as u32,
            user: stat.user,
            group: stat.group,
            special_device: stat.special_device,
            pad1: 0,
            size: stat.size,
            block_size: stat.block_size as i32,
            pad2: 0,
            blocks: stat.blocks,
            times: stat.times,
            unused: [0; 2],
        }
    }
}

impl From<&HostSemaphores> for GenericSemaphores {
    fn from(set: &HostSemaphores) -> GenericSemaphores {
        GenericSemaphores {
            permissions: set.permissions,
            operation_time: set.operation_time,
            change_time: set.change_time,
            count: set.count,
            unused: [0; 2],
        }
    }
}
