/* Linux's own library: found by the auxiliary vector, its clock functions by
   name and version, as a C library does. */
#define _GNU_SOURCE
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

#if defined __riscv
#define NAME "__vdso_"
#define VERSION "LINUX_4.15"
#elif defined __aarch64__
#define NAME "__kernel_"
#define VERSION "LINUX_2.6.39"
#else
#define NAME "__vdso_"
#define VERSION "LINUX_2.6"
#endif

static char *base;
static Elf64_Sym *symbols;
static char *strings;
static Elf64_Versym *versions;
static Elf64_Verdef *definitions;
static int count;

static void *find(const char *name)
{
    for (int i = 0; i < count; i++) {
        if (!symbols[i].st_shndx || strcmp(strings + symbols[i].st_name, name))
            continue;
        for (Elf64_Verdef *def = definitions;; def = (void *)((char *)def + def->vd_next)) {
            Elf64_Verdaux *aux = (void *)((char *)def + def->vd_aux);
            if (def->vd_ndx == (versions[i] & 0x7fff) && !strcmp(strings + aux->vda_name, VERSION))
                return base + symbols[i].st_value;
            if (!def->vd_next)
                break;
        }
    }
    return 0;
}

int main(void)
{
    base = (char *)getauxval(AT_SYSINFO_EHDR);
    Elf64_Ehdr *header = (void *)base;
    printf("an object: %d, shared: %d\n", !memcmp(base, ELFMAG, 4), header->e_type == ET_DYN);
    Elf64_Phdr *programs = (void *)(base + header->e_phoff);
    Elf64_Dyn *dynamic = 0;
    for (int i = 0; i < header->e_phnum; i++)
        if (programs[i].p_type == PT_DYNAMIC)
            dynamic = (void *)(base + programs[i].p_offset);
    for (; dynamic->d_tag; dynamic++) {
        void *at = base + dynamic->d_un.d_ptr;
        switch (dynamic->d_tag) {
        case DT_SYMTAB: symbols = at; break;
        case DT_STRTAB: strings = at; break;
        case DT_VERSYM: versions = at; break;
        case DT_VERDEF: definitions = at; break;
        case DT_HASH: count = ((int *)at)[1]; break;
        }
    }
    int (*get)(clockid_t, struct timespec *) = find(NAME "clock_gettime");
    int (*resolution)(clockid_t, struct timespec *) = find(NAME "clock_getres");
    int (*day)(struct timeval *, void *) = find(NAME "gettimeofday");
    struct timespec before, now = { 0 }, after, fine = { 0 };
    struct timeval today = { 0 };
    clock_gettime(CLOCK_REALTIME, &before);
    printf("clock_gettime %d\n", get(CLOCK_REALTIME, &now));
    printf("gettimeofday %d\n", day(&today, 0));
    clock_gettime(CLOCK_REALTIME, &after);
    printf("in order: %d %d\n", before.tv_sec <= now.tv_sec && now.tv_sec <= after.tv_sec,
           before.tv_sec <= today.tv_sec && today.tv_sec <= after.tv_sec);
    printf("clock_getres %d, fine: %d\n", resolution(CLOCK_MONOTONIC, &fine), fine.tv_nsec <= 1);
    printf("no such clock: %d\n", get(12345, &now) != 0);
    return 0;
}
