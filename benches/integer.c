/* An integer program in CoreMark's spirit, written for Sapwood's benchmarks:
 * linked lists, small matrices, a state machine over text, and a CRC over all
 * results, which is printed so that runs can be compared.
 *
 *     integer [ITERATIONS]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint16_t crc16(uint16_t crc, uint32_t value)
{
    for (int bit = 0; bit < 32; bit++) {
        int carry = (crc ^ value) & 1;
        crc >>= 1;
        value >>= 1;
        if (carry)
            crc ^= 0xa001;
    }
    return crc;
}

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* ---- lists ---- */

enum { NODES = 400 };

struct node {
    struct node *next;
    int16_t key, rank;
};

static struct node nodes[NODES];

static struct node *build_list(void)
{
    for (int i = 0; i < NODES; i++) {
        nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
        nodes[i].key = (int16_t)next_random();
        nodes[i].rank = (int16_t)i;
    }
    return nodes;
}

static struct node *reverse(struct node *list)
{
    struct node *done = NULL;
    while (list) {
        struct node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static const struct node *find(const struct node *list, int16_t key)
{
    while (list && list->key != key)
        list = list->next;
    return list;
}

typedef int (*order)(const struct node *, const struct node *);

static int by_key(const struct node *a, const struct node *b) { return a->key - b->key; }
static int by_rank(const struct node *a, const struct node *b) { return a->rank - b->rank; }

static struct node *merge(struct node *a, struct node *b, order compare)
{
    struct node head, *tail = &head;
    while (a && b) {
        struct node **first = compare(a, b) <= 0 ? &a : &b;
        tail = tail->next = *first;
        *first = (*first)->next;
    }
    tail->next = a ? a : b;
    return head.next;
}

static struct node *sort(struct node *list, order compare)
{
    if (!list || !list->next)
        return list;
    struct node *slow = list, *fast = list->next;
    while (fast && fast->next) {
        slow = slow->next;
        fast = fast->next->next;
    }
    struct node *half = slow->next;
    slow->next = NULL;
    return merge(sort(list, compare), sort(half, compare), compare);
}

static uint16_t do_lists(uint16_t crc)
{
    struct node *list = build_list();
    for (int i = 0; i < 20; i++) {
        const struct node *found = find(list, nodes[next_random() % NODES].key);
        crc = crc16(crc, found ? (uint32_t)found->rank : 0);
        list = reverse(list);
    }
    list = sort(list, by_key);
    crc = crc16(crc, (uint32_t)list->rank);
    list = sort(list, by_rank);
    return crc16(crc, (uint32_t)list->key);
}

/* ---- matrices ---- */

enum { SIDE = 24 };

static int16_t left[SIDE][SIDE], right[SIDE][SIDE];
static int32_t product[SIDE][SIDE];

static uint16_t do_matrices(uint16_t crc)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            left[i][j] = (int16_t)(next_random() & 0xff);
            right[i][j] = (int16_t)(next_random() & 0xff);
        }
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += left[i][k] * right[k][j];
            product[i][j] = sum;
        }
    int32_t clipped = 0;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t field = (product[i][j] >> 2) & 0x7ff;
            clipped += field > 1000 ? 10 : field;
        }
    return crc16(crc, (uint32_t)clipped);
}

/* ---- a state machine: what kind of number is it? ---- */

enum state { START, SIGN, INTEGER, DOT, FRACTION, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, WRONG, STATES };

static enum state step(enum state state, char c)
{
    int digit = c >= '0' && c <= '9';
    switch (state) {
    case START: return digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? DOT : WRONG;
    case SIGN: return digit ? INTEGER : c == '.' ? DOT : WRONG;
    case INTEGER: return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : WRONG;
    case DOT: return digit ? FRACTION : WRONG;
    case FRACTION: return digit ? FRACTION : c == 'e' ? EXPONENT : WRONG;
    case EXPONENT: return digit ? SCIENTIFIC : c == '+' || c == '-' ? EXPONENT_SIGN : WRONG;
    case EXPONENT_SIGN: return digit ? SCIENTIFIC : WRONG;
    case SCIENTIFIC: return digit ? SCIENTIFIC : WRONG;
    default: return WRONG;
    }
}

static const char *words[] = {"5012", "1234", "-874", "+122", "35.54400", ".1234500", "-110.700",
                              "+0.64400", "5.500e+3", "-.123e-2", "-87e+832", "+0.6e-12",
                              "T0.3e-1F", "-T.T++Tq", "1T3.4e4z", "34.0e-T^"};

static uint16_t do_states(uint16_t crc)
{
    uint32_t finals[STATES] = {0}, steps[STATES] = {0};
    for (int i = 0; i < 200; i++) {
        enum state state = START;
        for (const char *c = words[next_random() % 16]; *c; c++) {
            state = step(state, *c);
            steps[state]++;
            if (state == WRONG)
                break;
        }
        finals[state]++;
    }
    for (int i = 0; i < STATES; i++)
        crc = crc16(crc16(crc, finals[i]), steps[i]);
    return crc;
}

int main(int argc, char **argv)
{
    long iterations = argc > 1 ? atol(argv[1]) : 2000;
    uint16_t crc = 0xffff;
    for (long i = 0; i < iterations; i++) {
        crc = do_lists(crc);
        crc = do_matrices(crc);
        crc = do_states(crc);
    }
    printf("%ld iterations, checksum %04x\n", iterations, crc);
    return 0;
}
