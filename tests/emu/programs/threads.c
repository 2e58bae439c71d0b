/* Threads: mutexes, conditions, barriers, thread-local data, cancelling, joining. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long counter, turn;
static atomic_long atomic_counter;
static __thread int local = 5;
static pthread_key_t key;
static sem_t semaphore;
static atomic_int destroyed, cleaned, caught;

static void *count(void *argument)
{
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        atomic_fetch_add(&atomic_counter, 3);
        local++;
    }
    pthread_setspecific(key, argument);
    return (void *)(long)local;
}

static void *take_turns(void *argument)
{
    long me = (long)argument;
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 4 != me)
            pthread_cond_wait(&changed, &mutex);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void cleanup(void *x) { cleaned++; }

static void *cancelled(void *argument)
{
    pthread_cleanup_push(cleanup, NULL);
    for (;;)
        sleep(100);
    pthread_cleanup_pop(1);
    return NULL;
}

static void on_signal(int s) { caught += 1 + (syscall(SYS_gettid) != getpid()); }

static void *signalled(void *argument)
{
    sem_post(&semaphore);
    while (!caught)
        usleep(1000);
    return NULL;
}

static void destroy(void *x) { destroyed++; }

int main(void)
{
    pthread_t t[8];
    pthread_key_create(&key, destroy);
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, count, t);
    long sum = 0;
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(t[i], &result);
        sum += (long)result;
    }
    printf("%ld %ld %ld %d %d\n", counter, (long)atomic_counter, sum, local, destroyed);
    pthread_barrier_init(&barrier, NULL, 5);
    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, take_turns, (void *)i);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    printf("%ld\n", turn);
    pthread_create(&t[0], NULL, cancelled, NULL);
    usleep(20000);
    pthread_cancel(t[0]);
    void *result;
    pthread_join(t[0], &result);
    printf("%d %d\n", result == PTHREAD_CANCELED, cleaned);
    sem_init(&semaphore, 0, 0);
    signal(SIGUSR1, on_signal);
    pthread_create(&t[0], NULL, signalled, NULL);
    sem_wait(&semaphore);
    pthread_kill(t[0], SIGUSR1);
    pthread_join(t[0], NULL);
    printf("%d\n", caught);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&mutex);
    printf("%s\n", strerror(pthread_cond_timedwait(&changed, &mutex, &until)));
    printf("%s\n", strerror(pthread_mutex_trylock(&mutex)));
    pthread_mutex_unlock(&mutex);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_t checked;
    pthread_mutex_init(&checked, &attributes);
    pthread_create(&t[0], NULL, (void *(*)(void *))pthread_mutex_lock, &checked);
    pthread_join(t[0], NULL);
    printf("%s\n", strerror(pthread_mutex_lock(&checked)));
    pthread_rwlock_rdlock(&rwlock);
    printf("%d %d\n", pthread_rwlock_tryrdlock(&rwlock), pthread_rwlock_trywrlock(&rwlock) == EBUSY);
    for (int i = 0; i < 100; i++) {
        pthread_create(&t[0], NULL, count + 0, t);
        pthread_detach(t[0]);
    }
    pthread_exit((void *)9);
}
