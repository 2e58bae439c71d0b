/* Sockets: pairs, loopback, datagrams, messages with descriptors, options. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in peer;

static void *server(void *argument)
{
    int listener = *(int *)argument;
    socklen_t length = sizeof peer;
    int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
    char buffer[1000];
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
        for (ssize_t done = 0; done < n;)
            done += send(fd, buffer + done, n - done, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 1);
    socklen_t length = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &length);
    pthread_t thread;
    pthread_create(&thread, NULL, server, &listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("%d\n", connect(fd, (struct sockaddr *)&address, sizeof address));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    unsigned sum = 0, expected = 0;
    char block[5000], back[5000];
    for (int i = 0; i < 40; i++) {
        memset(block, i, sizeof block);
        expected += i * (unsigned)sizeof block;
        write(fd, block, sizeof block);
        for (size_t got = 0; got < sizeof back;) {
            ssize_t n = read(fd, back, sizeof back - got);
            for (ssize_t k = 0; k < n; k++)
                sum += back[k];
            got += n;
        }
    }
    shutdown(fd, SHUT_WR);
    printf("%d", sum == expected);
    printf(" %ld\n", (long)read(fd, back, 1));
    pthread_join(thread, NULL);
    printf("from %s\n", inet_ntoa(peer.sin_addr));

    int pair[2], pipes[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    pipe(pipes);
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec vectors[2] = { { "with ", 5 }, { "descriptor", 11 } };
    struct msghdr message = { .msg_iov = vectors, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pipes[1], sizeof(int));
    printf("%ld\n", (long)sendmsg(pair[0], &message, 0));
    char text[100] = { 0 };
    struct iovec in = { text, sizeof text };
    memset(control, 0, sizeof control);
    message = (struct msghdr){ .msg_iov = &in, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    printf("%ld", (long)recvmsg(pair[1], &message, 0));
    printf(" %s %d %d\n", text, message.msg_flags, (int)message.msg_controllen);
    int passed;
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    write(passed, "!", 1);
    printf("%ld", (long)read(pipes[0], text, 1));
    printf(" %c\n", text[0]);

    struct mmsghdr many[3] = { 0 };
    struct iovec parts[3] = { { "a", 1 }, { "bb", 2 }, { "ccc", 3 } };
    for (int i = 0; i < 3; i++)
        many[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
    printf("%d", sendmmsg(pair[0], many, 3, 0));
    char store[3][8];
    for (int i = 0; i < 3; i++)
        parts[i] = (struct iovec){ store[i], 8 };
    printf(" %d", recvmmsg(pair[1], many, 3, MSG_DONTWAIT, NULL));
    printf(" %u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    int waiting;
    write(pair[0], "12345", 5);
    ioctl(pair[1], FIONREAD, &waiting);
    int type;
    length = sizeof type;
    getsockopt(pair[1], SOL_SOCKET, SO_TYPE, &type, &length);
    printf("%d %d\n", waiting, type == SOCK_DGRAM);
    struct sockaddr_un where = { .sun_family = AF_UNIX, .sun_path = "socket" };
    int unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    printf("%d", connect(unix_fd, (struct sockaddr *)&where, sizeof where));
    printf(" %s\n", strerror(errno));
    printf("%d", socket(AF_INET, 12345, 0));
    printf(" %s\n", strerror(errno));
    return 0;
}
