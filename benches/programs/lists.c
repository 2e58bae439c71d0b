/* Linked lists: built, reversed, searched, sorted by merging. */
#include "bench.h"

struct node {
    struct node *next;
    uint32_t key;
};

enum { NODES = 4000 };
static struct node nodes[NODES];

static struct node *merge(struct node *a, struct node *b)
{
    struct node head, *last = &head;
    while (a && b) {
        struct node **least = a->key <= b->key ? &a : &b;
        last->next = *least;
        last = *least;
        *least = (*least)->next;
    }
    last->next = a ? a : b;
    return head.next;
}

static struct node *sort(struct node *list, int length)
{
    if (length < 2) {
        if (list)
            list->next = NULL;
        return list;
    }
    struct node *half = list;
    for (int i = 0; i < length / 2; i++)
        half = half->next;
    struct node *b = sort(half, length - length / 2);
    return merge(sort(list, length / 2), b);
}

int main(int argc, char **argv)
{
    uint32_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 1300); i < n; i++) {
        struct node *list = NULL;
        for (int j = 0; j < NODES; j++) {
            struct node *node = &nodes[(j * 1237 + i) % NODES];
            node->key = next_random() & 0xffff;
            node->next = list;
            list = node;
        }
        for (int round = 0; round < 8; round++) {
            struct node *back = NULL;
            while (list) {
                struct node *next = list->next;
                list->next = back;
                back = list;
                list = next;
            }
            list = back;
            for (struct node *at = list; at; at = at->next)
                sum += at->key == (uint32_t)i;
        }
        list = sort(list, NODES);
        for (struct node *at = list; at; at = at->next)
            sum = sum * 3 + at->key;
    }
    printf("%u\n", sum);
}
