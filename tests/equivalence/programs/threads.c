//> break meet
//> run
//> bt 1
//> p id
//> info locals
//> delete
//> break after
//> continue
//> p total
//> p results
//> up
//> continue
#include <pthread.h>
#include <stdio.h>
static int results[3];
__attribute__((noinline)) void meet(int id) {
    results[id] = id * 10;
}
static void *work(void *argument) {
    meet((int)(long)argument);
    return 0;
}
__attribute__((noinline)) void after(int total) {
    printf("%d\n", total);
}
int main(void) {
    int total = 0;
    for (long i = 0; i < 3; i++) {
        pthread_t thread;
        pthread_create(&thread, 0, work, (void *)i);
        pthread_join(thread, 0);
        total += results[i];
    }
    after(total);
    return 0;
}
