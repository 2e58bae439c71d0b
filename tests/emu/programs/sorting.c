/* qsort, bsearch, hsearch, tsearch, random numbers, string keys. */
#define _GNU_SOURCE
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record { int key; char name[12]; double weight; };

static int by_key(const void *a, const void *b)
{
    return ((struct record *)a)->key - ((struct record *)b)->key;
}
static int by_weight(const void *a, const void *b, void *sign)
{
    double x = ((struct record *)a)->weight, y = ((struct record *)b)->weight;
    return *(int *)sign * ((x > y) - (x < y));
}
static int by_text(const void *a, const void *b) { return strcmp(a, b); }
static int visited;
static void visit(const void *node, VISIT when, int level)
{
    if (when == postorder || when == leaf)
        visited = visited * 31 + (*(char **)node)[1];
}

int main(void)
{
    enum { N = 5000 };
    static struct record r[N];
    srandom(42);
    for (int i = 0; i < N; i++) {
        r[i].key = random() % 100000;
        snprintf(r[i].name, sizeof r[i].name, "n%d", r[i].key);
        r[i].weight = drand48();
    }
    qsort(r, N, sizeof *r, by_key);
    unsigned check = 0;
    for (int i = 0; i < N; i++)
        check = check * 33 + r[i].key;
    printf("%u %d %d\n", check, r[0].key, r[N - 1].key);
    struct record wanted = { .key = r[1234].key }, *found = bsearch(&wanted, r, N, sizeof *r, by_key);
    printf("%s\n", found->name);
    int sign = -1;
    qsort_r(r, N, sizeof *r, by_weight, &sign);
    printf("%.12f %.12f\n", r[0].weight, r[N - 1].weight);
    hcreate(N * 2);
    for (int i = 0; i < 1000; i++)
        hsearch((ENTRY){ r[i].name, (void *)(long)i }, ENTER);
    ENTRY *e = hsearch((ENTRY){ r[77].name }, FIND);
    printf("%d\n", strcmp(e->key, r[77].name));
    void *root = NULL;
    for (int i = 0; i < 500; i++)
        tsearch(r[i].name, &root, by_text);
    twalk(root, visit);
    printf("%d\n", visited);
    printf("%ld", lrand48());
    printf(" %ld", mrand48());
    printf(" %d\n", rand());
    return 0;
}
