/* An orchard: trees that bear fruit over some years. The program that the
 * README's demonstration debugs. */
#include <stdio.h>
#include <stdlib.h>

struct tree {
    const char *kind;
    int age;
    double yield;               /* kilograms in the year */
    struct tree *next;
};

static struct tree *orchard;

static struct tree *plant(const char *kind, int age)
{
    struct tree *tree = calloc(1, sizeof *tree);
    tree->kind = kind;
    tree->age = age;
    tree->next = orchard;
    orchard = tree;
    return tree;
}

/* What a tree of this age bears: nothing at first, then more, then less. */
static double bears(const struct tree *tree)
{
    if (tree->age < 3)
        return 0;
    if (tree->age < 20)
        return 2.5 * (tree->age - 2);
    return 45.0 / (1 + (tree->age - 20) / 10.0);
}

static double harvest(void)
{
    double sum = 0;
    for (struct tree *tree = orchard; tree; tree = tree->next) {
        tree->yield = bears(tree);
        sum += tree->yield;
        tree->age++;
    }
    return sum;
}

int main(int argc, char **argv)
{
    int years = argc > 1 ? atoi(argv[1]) : 3;
    plant("apple", 1);
    plant("pear", 12);
    plant("quince", 30);
    for (int year = 1; year <= years; year++)
        printf("year %d: %.1f kg\n", year, harvest());
    return 0;
}
