/* Strings, characters, wide characters, regular expressions, numbers from text. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

int main(void)
{
    char buffer[1000];
    for (int length = 0; length < 300; length += 7)
        for (int offset = 0; offset < 8; offset++) {
            memset(buffer, 'x', sizeof buffer);
            memset(buffer + offset, 'a' + length % 26, length);
            buffer[offset + length] = 0;
            if ((int)strlen(buffer + offset) != length || strchr(buffer + offset, 'Z') ||
                memchr(buffer, 0, sizeof buffer) != buffer + offset + length)
                printf("wrong at %d %d\n", length, offset);
            memmove(buffer + 3, buffer + offset, length + 1);
            if ((int)strnlen(buffer + 3, 500) != length)
                printf("moved wrong at %d %d\n", length, offset);
        }
    printf("%d %d %d\n", strcmp("abc", "abd") < 0, strncasecmp("HELLO", "help", 3), memcmp("a\0b", "a\0c", 3) < 0);
    char words[] = "one,two;;three four";
    for (char *word = strtok(words, ",; "); word; word = strtok(NULL, ",; "))
        printf("<%s>", word);
    printf("\n%s %s %s\n", strstr("haystack with needle", "needle"), strrchr("a/b/c", '/'), strpbrk("hello", "lo"));
    printf("%zu %zu\n", strspn("aabbcc", "ab"), strcspn("hello", "l"));
    char *end;
    printf("%ld ", strtol("  -123abc", &end, 10));
    printf("%s %lu %ld ", end, strtoul("ffff", NULL, 16), strtol("0755", NULL, 0));
    errno = 0;
    printf("%ld", strtol("99999999999999999999", NULL, 10));
    printf(" %d\n", errno == ERANGE);
    for (int c = 0; c < 128; c += 13)
        printf("%d%d%d%d ", !!isalpha(c), !!isdigit(c), !!ispunct(c), toupper(c));
    wchar_t wide[32];
    printf("\n%zu ", mbstowcs(wide, "wide text", 32));
    printf("%zu %d %ls\n", wcslen(wide), wcscmp(wide, L"wide") > 0, wide);
    regex_t regex;
    regmatch_t match[3];
    regcomp(&regex, "([a-z]+)@([a-z.]+)", REG_EXTENDED);
    printf("%d", regexec(&regex, "mail to some@host.org now", 3, match, 0));
    printf(" %d-%d %d-%d\n", (int)match[1].rm_so,
           (int)match[1].rm_eo, (int)match[2].rm_so, (int)match[2].rm_eo);
    regfree(&regex);
    printf("%d %d\n", fnmatch("*.[ch]", "file.c", 0), fnmatch("*.[ch]", "file.o", 0));
    printf("%" PRIdMAX " %s %s\n", imaxabs(-5), strerror(EAGAIN), strsignal(11));
    for (int i = -2; i < 3; i++)
        printf("%d %d %u | ", i / 2, i % 2, (unsigned)i >> 28);
    printf("\n%d %lld\n", INT_MIN, (long long)INT_MIN * INT_MIN);
    return 0;
}
