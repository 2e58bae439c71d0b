/* A filter: counts words and lines of its input, prints the commonest. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word { char *text; int count; };
static struct word table[4096];
static int by_count(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    return y->count != x->count ? y->count - x->count : strcmp(x->text ? x->text : "", y->text ? y->text : "");
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    int lines = 0, words = 0;
    while (getline(&line, &size, stdin) > 0) {
        lines++;
        for (char *word = strtok(line, " \n\t.,;:()"); word; word = strtok(NULL, " \n\t.,;:()")) {
            unsigned hash = 5381;
            for (char *c = word; *c; c++)
                hash = hash * 33 + (*c = tolower(*c));
            while (table[hash % 4096].text && strcmp(table[hash % 4096].text, word))
                hash++;
            if (!table[hash % 4096].text)
                table[hash % 4096].text = strdup(word);
            table[hash % 4096].count++;
            words++;
        }
    }
    qsort(table, 4096, sizeof *table, by_count);
    printf("%d lines, %d words\n", lines, words);
    for (int i = 0; i < 10 && table[i].text; i++)
        printf("%5d %s\n", table[i].count, table[i].text);
    return lines % 256;
}
