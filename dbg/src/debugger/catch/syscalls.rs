//! The names of x86-64 Linux's system calls, and gdb's groups of them.

/// From 0 on (arch/x86/entry/syscalls/syscall_64.tbl).
const FIRST: &str = "\
    read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction \
    rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select \
    sched_yield mremap msync mincore madvise shmget shmat shmctl dup dup2 pause nanosleep \
    getitimer alarm setitimer getpid sendfile socket connect accept sendto recvfrom sendmsg \
    recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt \
    clone fork vfork execve exit wait4 kill uname semget semop semctl shmdt msgget msgsnd \
    msgrcv msgctl fcntl flock fsync fdatasync truncate ftruncate getdents getcwd chdir \
    fchdir rename mkdir rmdir creat link unlink symlink readlink chmod fchmod chown fchown \
    lchown umask gettimeofday getrlimit getrusage sysinfo times ptrace getuid syslog getgid \
    setuid setgid geteuid getegid setpgid getppid getpgrp setsid setreuid setregid getgroups \
    setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid \
    capget capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack \
    utime mknod uselib personality ustat statfs fstatfs sysfs getpriority setpriority \
    sched_setparam sched_getparam sched_setscheduler sched_getscheduler \
    sched_get_priority_max sched_get_priority_min sched_rr_get_interval mlock munlock \
    mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl arch_prctl adjtimex \
    setrlimit chroot sync acct settimeofday mount umount2 swapon swapoff reboot sethostname \
    setdomainname iopl ioperm create_module init_module delete_module get_kernel_syms \
    query_module quotactl nfsservctl getpmsg putpmsg afs_syscall tuxcall security gettid \
    readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr \
    flistxattr removexattr lremovexattr fremovexattr tkill time futex sched_setaffinity \
    sched_getaffinity set_thread_area io_setup io_destroy io_getevents io_submit io_cancel \
    get_thread_area lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old \
    remap_file_pages getdents64 set_tid_address restart_syscall semtimedop fadvise64 \
    timer_create timer_settime timer_gettime timer_getoverrun timer_delete clock_settime \
    clock_gettime clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes \
    vserver mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive \
    mq_notify mq_getsetattr kexec_load waitid add_key request_key keyctl ioprio_set \
    ioprio_get inotify_init inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat \
    mknodat fchownat futimesat newfstatat unlinkat renameat linkat symlinkat readlinkat \
    fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice tee \
    sync_file_range vmsplice move_pages utimensat epoll_pwait signalfd timerfd_create \
    eventfd fallocate timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 \
    epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open \
    recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at open_by_handle_at \
    clock_adjtime syncfs sendmmsg setns getcpu process_vm_readv process_vm_writev kcmp \
    finit_module sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create \
    kexec_file_load bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 \
    pwritev2 pkey_mprotect pkey_alloc pkey_free statx io_pgetevents rseq";

/// From [`SECOND_FROM`] on: the numbers that all architectures share.
const SECOND: &str = "\
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount \
    fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd \
    faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd \
    landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret \
    process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2 \
    map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount \
    lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat \
    listxattrat removexattrat open_tree_attr";
const SECOND_FROM: i64 = 424;

/// `group:NAME` or `g:NAME`.
const GROUPS: &[(&str, &str)] = &[
    (
        "descriptor",
        "read write open close fstat lseek mmap ioctl pread64 pwrite64 readv writev pipe dup dup2 \
         sendfile socket fcntl openat dup3 pipe2 epoll_create epoll_ctl epoll_wait",
    ),
    (
        "file",
        "open stat lstat access execve truncate chdir rename mkdir rmdir creat link unlink symlink \
         readlink chmod chown lchown statfs openat mkdirat unlinkat renameat newfstatat statx",
    ),
    (
        "memory",
        "mmap mprotect munmap brk mremap msync mincore madvise mlock munlock",
    ),
    (
        "network",
        "socket connect accept sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname \
         getpeername socketpair setsockopt getsockopt accept4 recvmmsg sendmmsg",
    ),
    (
        "process",
        "clone fork vfork execve exit wait4 exit_group waitid clone3 execveat kill tgkill",
    ),
    (
        "signal",
        "rt_sigaction rt_sigprocmask rt_sigreturn pause kill rt_sigpending rt_sigtimedwait \
         rt_sigqueueinfo rt_sigsuspend sigaltstack tkill tgkill signalfd signalfd4",
    ),
];

fn names() -> impl Iterator<Item = (i64, &'static str)> {
    (0..)
        .zip(FIRST.split_ascii_whitespace())
        .chain((SECOND_FROM..).zip(SECOND.split_ascii_whitespace()))
}

/// What a system call is called; its number where nobody knows.
pub fn name(number: i64) -> String {
    let found = names().find(|(n, name)| *n == number && *name != "?");
    found.map_or_else(|| number.to_string(), |(_, name)| name.to_owned())
}

/// The numbers that a name, number or group stands for; none for what is neither.
pub fn numbers(text: &str) -> Vec<i64> {
    if let Ok(number) = text.parse() {
        return vec![number];
    }
    let named = |name: &str| names().find(|(_, n)| *n == name).map(|(number, _)| number);
    match text.strip_prefix("group:").or(text.strip_prefix("g:")) {
        Some(group) => {
            let found = GROUPS.iter().find(|(name, _)| *name == group);
            let members = found.map_or("", |(_, members)| members);
            members.split_ascii_whitespace().filter_map(named).collect()
        }
        None => named(text).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        for (name, number) in [
            ("write", libc::SYS_write),
            ("exit_group", libc::SYS_exit_group),
            ("statx", libc::SYS_statx),
            ("rseq", libc::SYS_rseq),
            ("clone3", libc::SYS_clone3),
            ("futex_waitv", libc::SYS_futex_waitv),
        ] {
            assert_eq!(numbers(name), [number]);
            assert_eq!(super::name(number), name);
        }
        assert_eq!(numbers("17"), [17]);
        assert!(numbers("no_such_call").is_empty());
        for (group, members) in GROUPS {
            let count = members.split_ascii_whitespace().count();
            assert_eq!(numbers(&format!("g:{group}")).len(), count, "{group}");
        }
    }
}
