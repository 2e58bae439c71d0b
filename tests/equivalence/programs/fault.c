//> run
//> bt
//> info locals
//> p record
//> p *record
//> up
//> p records
//> frame 0
//> kill
#include <stdio.h>
struct record { int id; struct record *next; };
__attribute__((noinline)) int sum(struct record *record) {
    volatile int total = 0;
    while (1) {
        total += record->id;
        record = record->next;
    }
    return total;
}
int main(void) {
    struct record records[2] = {{1, 0}, {2, 0}};
    records[0].next = &records[1];
    printf("%d\n", sum(records));
    return 0;
}
