/* System V: semaphores, shared memory, message queues. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; };

int main(void)
{
    int set = semget(IPC_PRIVATE, 3, 0600);
    unsigned short values[3] = { 4, 5, 6 };
    printf("%d", semctl(set, 0, SETALL, (union semun){ .array = values }));
    printf(" %d", semctl(set, 1, GETVAL));
    struct sembuf operations[2] = { { 0, -3, 0 }, { 1, 2, SEM_UNDO } };
    printf(" %d", semop(set, operations, 2));
    semctl(set, 0, GETALL, (union semun){ .array = values });
    printf(" %d %d %d", values[0], values[1], values[2]);
    struct semid_ds about;
    printf(" %d", semctl(set, 0, IPC_STAT, (union semun){ .buf = &about }));
    printf(" %lu %o %d\n", about.sem_nsems, about.sem_perm.mode, about.sem_otime >= about.sem_ctime);
    struct sembuf never = { 2, -100, IPC_NOWAIT };
    printf("%d", semop(set, &never, 1));
    printf(" %s\n", strerror(errno));

    int segment = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
    int *one = shmat(segment, NULL, 0), *two = shmat(segment, NULL, SHM_RDONLY);
    one[2499] = 77;
    printf("%d %d\n", one != two, two[2499]);
    if (fork() == 0) {
        one[0] = 5;
        struct sembuf up = { 2, 100, 0 };
        semop(set, &up, 1);
        _exit(0);
    }
    never.sem_flg = 0;
    semop(set, &never, 1);
    struct shmid_ds of;
    shmctl(segment, IPC_STAT, &of);
    printf("%d %zu\n", two[0], of.shm_segsz);
    printf("%d", shmdt(two));
    printf(" %d", shmdt(two));
    printf(" %s", strerror(errno));
    printf(" %d", shmdt(one));
    printf(" %d\n", shmctl(segment, IPC_RMID, NULL));
    wait(NULL);
    printf("%d\n", semctl(set, 0, IPC_RMID));

    int queue = msgget(IPC_PRIVATE, 0600);
    struct { long type; char text[16]; } message = { 3, "third" }, got;
    msgsnd(queue, &message, 6, 0);
    message.type = 1;
    strcpy(message.text, "first");
    msgsnd(queue, &message, 6, 0);
    printf("%ld", (long)msgrcv(queue, &got, 16, 3, 0));
    printf(" %s", got.text);
    printf(" %ld", (long)msgrcv(queue, &got, 16, 0, 0));
    printf(" %s", got.text);
    printf(" %d", msgctl(queue, IPC_RMID, NULL));
    printf(" %ld\n", (long)msgrcv(queue, &got, 16, 0, 0));
    return 0;
}
