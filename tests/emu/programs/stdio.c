/* Formatted output and input, buffers, seeking, temporary files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    printf("%d|%5d|%-5d|%05d|%+d|%x|%#X|%o|%c|%s|%.3s|%10s|%-10s|%%\n", 42, 42, 42, 42, 42, 255, 255, 8,
           'z', "string", "string", "right", "left");
    printf("%lld %llu %zu %hhd %hd %p\n", -9223372036854775807LL - 1, 18446744073709551615ULL, sizeof(long),
           (signed char)-1, (short)-2, (void *)0);
    printf("%f %.0f %e %g %G %a\n", 3.14159, 2.5, 12345.678, 1e-10, 1e20, 1.0);
    printf("%*d|%-*d|%.*f\n", 8, 7, 8, 7, 3, 2.71828);

    int a, n;
    double d;
    char word[32], set[32];
    int got = sscanf("17 2.5e3 hello abc123 rest", "%d %lf %31s %31[a-z]%n", &a, &d, word, set, &n);
    printf("%d: %d %g %s %s %d\n", got, a, d, word, set, n);
    got = sscanf("0x1f,077,9", "%i,%i,%i", &a, &n, &got);
    printf("%d %d\n", a, n);

    FILE *file = tmpfile();
    for (int i = 0; i < 1000; i++)
        fprintf(file, "line %d\n", i);
    printf("at %ld\n", ftell(file));
    fseek(file, -9, SEEK_END);
    char line[64];
    while (fgets(line, sizeof line, file))
        printf("<%s>", strtok(line, "\n"));
    rewind(file);
    int c = fgetc(file);
    ungetc('L', file);
    printf("\n%c", c);
    c = fgetc(file);
    printf("%c %d\n", c, feof(file));
    fseek(file, 0, SEEK_END);
    c = fgetc(file);
    printf("%d %d\n", c, !!feof(file));
    fclose(file);

    char *grown = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&grown, &size);
    for (int i = 0; i < 100; i++)
        fprintf(memory, "%d,", i * i);
    fclose(memory);
    printf("%zu %.20s\n", size, grown);
    free(grown);

    file = fopen("/nonexistent/file", "r");
    printf("%p %s\n", (void *)file, strerror(errno));
    fprintf(stderr, "to standard error\n");
    setvbuf(stdout, NULL, _IONBF, 0);
    fputs("unbuffered", stdout);
    putchar('\n');
    perror("perror");
    return 3;
}
