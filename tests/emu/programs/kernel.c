/* Numbers in CoreMark's spirit: lists, matrices, a state machine, CRC, all checksummed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint16_t crc16(uint16_t crc, uint16_t value)
{
    for (int i = 0; i < 16; i++) {
        int bit = (crc ^ value) & 1;
        crc >>= 1;
        value >>= 1;
        if (bit)
            crc ^= 0xa001;
    }
    return crc;
}

struct node { struct node *next; int16_t key; uint16_t index; };

static struct node *merge(struct node *a, struct node *b, int by_index)
{
    struct node head, *tail = &head;
    while (a && b) {
        int less = by_index ? a->index <= b->index : a->key <= b->key;
        struct node **from = less ? &a : &b;
        tail->next = *from;
        tail = *from;
        *from = (*from)->next;
    }
    tail->next = a ? a : b;
    return head.next;
}

static struct node *sort(struct node *list, int n, int by_index)
{
    if (n < 2) {
        if (list)
            list->next = NULL;
        return list;
    }
    struct node *middle = list;
    for (int i = 0; i < n / 2; i++)
        middle = middle->next;
    struct node *first = list;
    for (int i = 1; i < n / 2; i++)
        first = first->next;
    first->next = NULL;
    return merge(sort(list, n / 2, by_index), sort(middle, n - n / 2, by_index), by_index);
}

static uint16_t matrices(int n, int seed)
{
    static int16_t a[40][40], b[40][40];
    static int32_t c[40][40];
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            a[i][k] = seed = (seed * 31 + 7) % 1000, b[i][k] = (seed * 17 + 3) % 1000;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            c[i][k] = 0;
            for (int j = 0; j < n; j++)
                c[i][k] += a[i][j] * b[j][k];
        }
    uint16_t crc = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            crc = crc16(crc, (c[i][k] >> 2) ^ c[i][k]);
    return crc;
}

static int machine(const char *text, int counts[6])
{
    enum { START, INTEGER, FRACTION, EXPONENT, INVALID, END } state = START;
    for (; *text; text++) {
        char c = *text;
        counts[state]++;
        if (c == ',') { state = START; continue; }
        switch (state) {
        case START: state = c >= '0' && c <= '9' ? INTEGER : c == '+' || c == '-' ? START : c == '.' ? FRACTION : INVALID; break;
        case INTEGER: state = c == '.' ? FRACTION : c == 'e' ? EXPONENT : c >= '0' && c <= '9' ? INTEGER : INVALID; break;
        case FRACTION: state = c == 'e' ? EXPONENT : c >= '0' && c <= '9' ? FRACTION : INVALID; break;
        case EXPONENT: state = c >= '0' && c <= '9' ? EXPONENT : c == '-' ? EXPONENT : INVALID; break;
        default: break;
        }
    }
    return state;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 50;
    static struct node nodes[1000];
    uint16_t crc = 0;
    int counts[6] = { 0 };
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < 1000; i++)
            nodes[i] = (struct node){ i < 999 ? &nodes[i + 1] : NULL, (int16_t)(i * 7919 + r * 31), i };
        struct node *list = sort(nodes, 1000, 0);
        for (struct node *n = list; n; n = n->next)
            crc = crc16(crc, n->key);
        list = sort(list, 1000, 1);
        crc = crc16(crc, list->index);
        crc = crc16(crc, matrices(20 + r % 20, r));
        crc = crc16(crc, machine("5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e3,-.123e-2,T0.3e-1F,-T.T++Tq", counts));
    }
    printf("crc %04x states %d %d %d %d %d\n", crc, counts[0], counts[1], counts[2], counts[3], counts[4]);
    return 0;
}
