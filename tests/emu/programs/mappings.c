/* mmap in all its ways. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define P 4096
static char *map(size_t pages, int flags, int fd, off_t at)
{
    return mmap(NULL, pages * P, PROT_READ | PROT_WRITE, flags, fd, at);
}

int main(void)
{
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 4 * P);
    char *shared = map(4, MAP_SHARED, fd, 0), *private = map(4, MAP_PRIVATE, fd, 0);
    strcpy(shared + P, "through the mapping");
    char text[32];
    pread(fd, text, sizeof text, P);
    printf("%s|%s\n", text, private + P);
    strcpy(private + P, "mine");
    pwrite(fd, "of the file", 12, P);
    printf("%s|%s\n", shared + P, private + P);
    printf("%d %d\n", msync(shared, 4 * P, MS_SYNC), munmap(private, 4 * P));
    printf("%p\n", mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    printf("%s\n", strerror(errno));
    printf("%d", mmap((void *)1, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
    printf(" %s\n", strerror(errno));
    printf("%d", mmap(NULL, P, PROT_READ, MAP_PRIVATE, 77, 0) == MAP_FAILED);
    printf(" %s\n", strerror(errno));
    char *area = map(16, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 1, 16 * P);
    munmap(area + 4 * P, 2 * P);
    printf("%d", mprotect(area, 8 * P, PROT_READ));
    printf(" %s\n", strerror(errno));
    char *fixed = mmap(area + 4 * P, P, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, P);
    printf("%d %s\n", fixed == area + 4 * P, fixed);
    printf("%d", mmap(area, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
    printf(" %s\n", strerror(errno));
    char *hint = mmap(area + 5 * P, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d\n", hint == area + 5 * P);
    unsigned char resident[16];
    printf("%d", mincore(area, 4 * P, resident));
    printf(" %d\n", resident[0] & 1);
    printf("%d", madvise(area + 8 * P, P, MADV_DONTNEED));
    printf(" %d\n", area[8 * P]);
    printf("%d", madvise(area + 1, P, MADV_DONTNEED));
    printf(" %s\n", strerror(errno));
    char *moved = mremap(area + 8 * P, 4 * P, 32 * P, MREMAP_MAYMOVE);
    printf("%d %d %d\n", moved != MAP_FAILED, moved[P], moved[31 * P]);
    char *bigger = mremap(shared, 4 * P, 8 * P, MREMAP_MAYMOVE);
    ftruncate(fd, 8 * P);
    strcpy(bigger + 7 * P, "grown");
    pread(fd, text, 6, 7 * P);
    printf("%s %s\n", bigger + P, text);
    printf("%d", mremap(moved, P, 2 * P, MREMAP_FIXED | MREMAP_MAYMOVE, moved + P + 1) == MAP_FAILED);
    printf(" %s\n", strerror(errno));
    int memory = memfd_create("name", MFD_CLOEXEC);
    ftruncate(memory, P);
    char *one = map(1, MAP_SHARED, memory, 0), *two = map(1, MAP_SHARED, memory, 0);
    strcpy(one, "seen twice");
    puts(two);
    printf("%d %d\n", mlock(one, P), munlock(one, P));
    char *before = sbrk(0);
    printf("%d", sbrk(3 * P) == before);
    printf(" %d\n", (int)((char *)sbrk(0) - before));
    before[3 * P - 1] = 1;
    sbrk(-3 * P);
    printf("%d\n", sbrk(0) == before);
    char *reserve = mmap(NULL, 1ul << 35, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    printf("%d\n", reserve != MAP_FAILED);
    printf("%d\n", mprotect(reserve + (1ul << 34), P, PROT_READ | PROT_WRITE));
    reserve[1ul << 34] = 5;
    printf("%d\n", munmap(reserve, 1ul << 35));
    return 0;
}
