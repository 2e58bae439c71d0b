/* A treap: insertions, look-ups and walks over nodes all over memory. */
#include "bench.h"

struct node {
    struct node *left, *right;
    uint32_t key, priority;
};

enum { NODES = 1 << 15 };
static struct node nodes[NODES];

static struct node *insert(struct node *root, struct node *new)
{
    if (!root)
        return new;
    if (new->key < root->key) {
        root->left = insert(root->left, new);
        if (root->left->priority > root->priority) {
            struct node *up = root->left;
            root->left = up->right;
            up->right = root;
            return up;
        }
    } else {
        root->right = insert(root->right, new);
        if (root->right->priority > root->priority) {
            struct node *up = root->right;
            root->right = up->left;
            up->left = root;
            return up;
        }
    }
    return root;
}

static uint32_t walk(const struct node *root, uint32_t depth)
{
    return root ? walk(root->left, depth + 1) * 3 + root->key * depth + walk(root->right, depth + 1) : 1;
}

int main(int argc, char **argv)
{
    uint32_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 36); i < n; i++) {
        struct node *root = NULL;
        for (int j = 0; j < NODES; j++) {
            nodes[j] = (struct node){NULL, NULL, next_random(), next_random()};
            root = insert(root, &nodes[j]);
        }
        for (int j = 0; j < 3 * NODES; j++) {
            uint32_t key = next_random();
            const struct node *at = root;
            while (at && at->key != key)
                at = key < at->key ? at->left : at->right, sum++;
        }
        sum = sum * 5 + walk(root, 1);
    }
    printf("%u\n", sum);
}
