/* Files through system calls: offsets, links, modes, times, errors. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SHOW(call) do { \
    errno = 0; \
    long result = (long)(call); \
    printf("%s = %ld (%s)\n", #call, result, strerror(errno)); \
} while (0)

int main(void)
{
    char buffer[64] = { 0 };
    umask(022);
    int fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0666);
    SHOW(open("data", O_RDWR | O_CREAT | O_EXCL, 0666));
    SHOW(write(fd, "0123456789", 10));
    SHOW(lseek(fd, 3, SEEK_SET));
    SHOW(read(fd, buffer, 4));
    SHOW(pread(fd, buffer, 64, 8));
    SHOW(pwrite(fd, "abc", 3, 20));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, -1, SEEK_SET));
    struct iovec out[3] = { { "one", 3 }, { "", 0 }, { "two", 3 } };
    SHOW(writev(fd, out, 3));
    char x[4], y[40];
    struct iovec in[2] = { { x, 4 }, { y, 40 } };
    SHOW(preadv(fd, in, 2, 0));
    SHOW(ftruncate(fd, 12));
    SHOW(fallocate(fd, 0, 0, 8192));
    struct stat s;
    SHOW(fstat(fd, &s));
    printf("%o %ld %ld %d\n", s.st_mode, (long)s.st_nlink, (long)s.st_size, (int)s.st_blksize);
    SHOW(link("data", "other"));
    SHOW(symlink("data", "link"));
    SHOW(readlink("link", buffer, sizeof buffer));
    SHOW(stat("link", &s));
    printf("%d %ld\n", S_ISREG(s.st_mode), (long)s.st_nlink);
    SHOW(lstat("link", &s));
    printf("%d %ld\n", S_ISLNK(s.st_mode), (long)s.st_size);
    SHOW(chmod("data", 04751));
    SHOW(stat("data", &s));
    printf("%o uid %d %d\n", s.st_mode, s.st_uid == getuid(), s.st_gid == getgid());
    struct timespec times[2] = { { 1000000000, 123456789 }, { 1500000000, 987654321 } };
    SHOW(utimensat(AT_FDCWD, "data", times, 0));
    SHOW(stat("data", &s));
    printf("%ld.%09ld %ld.%09ld\n", (long)s.st_atim.tv_sec, s.st_atim.tv_nsec, (long)s.st_mtim.tv_sec,
           s.st_mtim.tv_nsec);
    struct statx sx;
    SHOW(statx(AT_FDCWD, "data", 0, STATX_ALL, &sx));
    printf("%o %llu %d\n", sx.stx_mode, (unsigned long long)sx.stx_size, sx.stx_mtime.tv_nsec);
    SHOW(access("data", R_OK));
    SHOW(access("missing", R_OK));
    SHOW(rename("other", "renamed"));
    SHOW(unlink("renamed"));
    SHOW(unlink("renamed"));
    SHOW(open("link", O_RDONLY | O_NOFOLLOW));
    SHOW(open("data/file", O_RDONLY));
    SHOW(open(".", O_WRONLY));
    SHOW(open((char *)16, O_RDONLY));
    SHOW(read(fd, (char *)16, 4));
    SHOW(read(-1, buffer, 4));
    SHOW(write(fd, (char *)-64, 16));
    int copy = dup(fd);
    SHOW(fcntl(copy, F_GETFL) & ~0100000);
    SHOW(fcntl(copy, F_SETFL, O_APPEND | O_NONBLOCK));
    SHOW(fcntl(fd, F_GETFL) & ~0100000);
    SHOW(fcntl(copy, F_GETFD));
    SHOW(fcntl(copy, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(copy, F_GETFD));
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3 };
    SHOW(fcntl(fd, F_SETLK, &lock));
    SHOW(fcntl(fd, F_GETLK, &lock));
    printf("%d\n", lock.l_type);
    SHOW(flock(fd, LOCK_EX));
    SHOW(dup3(fd, fd, 0));
    SHOW(dup2(fd, 60));
    SHOW(close(60));
    SHOW(close(60));
    int target = open("copied", O_RDWR | O_CREAT, 0600);
    off_t from = 0;
    SHOW(sendfile(target, fd, &from, 100));
    loff_t a = 0, b = 200;
    SHOW(copy_file_range(fd, &a, target, &b, 50, 0));
    SHOW(fstat(target, &s));
    printf("%ld\n", (long)s.st_size);
    struct statfs fs;
    SHOW(statfs(".", &fs));
    printf("%d %d\n", fs.f_bsize > 0, fs.f_namelen > 100);
    SHOW(truncate("copied", 5));
    SHOW(fsync(target));
    SHOW(posix_fadvise(target, 0, 0, POSIX_FADV_SEQUENTIAL));
    return 0;
}
