/*
 * Traffic between network namespaces of one machine, measured from both ends in one process. Times are CLOCK_MONOTONIC, in
 * nanoseconds, as Node.js' process.hrtime().
 *
 *   traffic probe PERIOD_US LIMIT_MS FLOW...        FLOW: SOURCE_NS,DESTINATION_NS,ADDRESS,PORT
 *     One UDP packet of each flow in every period, until standard input ends or the time is over. Nobody answers, so that
 *     connection tracking calls every packet new and policy sees each of them. Prints, for each flow, how many were sent and
 *     how many passed, and each packet whose outcome differs from that of the one before it.
 *   traffic crr SOURCE_NS DESTINATION_NS ADDRESS PORT SECONDS     TCP: connect, request, reply, close, again and again.
 *   traffic stream SOURCE_NS DESTINATION_NS ADDRESS PORT SECONDS  TCP: as many bytes as one connection takes.
 *   traffic syn SOURCE_NS SOURCE_ADDRESS ADDRESS PORT COUNT LIMIT_MS
 *     TCP SYNs, each from another port: the median time to send one, which on a veth pair is the time until it has arrived or was dropped.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_FLOWS 256
#define MAX_TICKS 400000
#define GRACE_NS 50000000LL

static void fail(const char *what) {
    fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void sleep_until(int64_t at) {
    struct timespec until = {at / 1000000000LL, at % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

/* The calling thread goes to the namespace for good. */
static void enter(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) fail(path);
    close(fd);
}

static struct sockaddr_in address_of(const char *address, int port) {
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &found.sin_addr) != 1) {
        errno = EINVAL;
        fail(address);
    }
    return found;
}

struct flow {
    int in, out;
    struct sockaddr_in to;
    int64_t sent, passed;
    uint8_t *outcome;
};

static struct flow flows[MAX_FLOWS];
static int64_t sent_at[MAX_TICKS];

static void open_flow(struct flow *flow, char *text) {
    char *source = strtok(text, ","), *destination = strtok(NULL, ","), *address = strtok(NULL, ","), *port = strtok(NULL, ",");
    if (port == NULL) {
        errno = EINVAL;
        fail("a flow");
    }
    flow->to = address_of(address, atoi(port));
    enter(destination);
    flow->in = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = flow->to.sin_port};
    int size = 1 << 20;
    setsockopt(flow->in, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (flow->in < 0 || bind(flow->in, (struct sockaddr *)&any, sizeof any) != 0) fail("listen");
    enter(source);
    flow->out = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (flow->out < 0) fail("socket");
    flow->outcome = calloc(MAX_TICKS, 1);
}

static void receive(struct flow *flow) {
    uint32_t tick;
    while (recv(flow->in, &tick, sizeof tick, 0) == sizeof tick) {
        if (tick >= MAX_TICKS || flow->outcome[tick]) continue;
        flow->outcome[tick] = 1;
        flow->passed += 1;
    }
}

static int probe(int count, char **arguments) {
    int64_t period = atoll(arguments[0]) * 1000, limit = atoll(arguments[1]) * 1000000;
    int many = count - 2;
    if (many < 1 || many > MAX_FLOWS || period < 10000) {
        errno = EINVAL;
        fail("probe");
    }
    for (int i = 0; i < many; i += 1) open_flow(&flows[i], arguments[2 + i]);
    printf("ready\n");
    fflush(stdout);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    int64_t start = now_ns();
    uint32_t tick = 0;
    for (; tick < MAX_TICKS; tick += 1) {
        int64_t due = start + tick * period;
        if (due - start > limit) break;
        sleep_until(due);
        sent_at[tick] = now_ns();
        for (int i = 0; i < many; i += 1) {
            sendto(flows[i].out, &tick, sizeof tick, 0, (struct sockaddr *)&flows[i].to, sizeof flows[i].to);
            flows[i].sent += 1;
            receive(&flows[i]);
        }
        char byte;
        if (poll(&input, 1, 0) > 0 && read(0, &byte, 1) == 0) {
            tick += 1;
            break;
        }
    }
    sleep_until(now_ns() + GRACE_NS);
    for (int i = 0; i < many; i += 1) {
        receive(&flows[i]);
        printf("flow %d %lld %lld\n", i, (long long)flows[i].sent, (long long)flows[i].passed);
        for (uint32_t at = 0; at < tick; at += 1) {
            if (at == 0 || flows[i].outcome[at] != flows[i].outcome[at - 1]) printf("edge %d %lld %d\n", i, (long long)sent_at[at], flows[i].outcome[at]);
        }
    }
    return 0;
}

struct server {
    const char *namespace;
    struct sockaddr_in at;
    int echo;
    pthread_barrier_t ready;
    int64_t bytes;
};

static void *serve(void *argument) {
    struct server *server = argument;
    static char buffer[256 * 1024];
    enter(server->namespace);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = server->at.sin_port};
    if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 1024) != 0) fail("listen");
    pthread_barrier_wait(&server->ready);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) continue;
        ssize_t length;
        while ((length = recv(connection, buffer, sizeof buffer, 0)) > 0) {
            if (server->echo) {
                if (send(connection, buffer, length, MSG_NOSIGNAL) < 0) break;
            } else __atomic_add_fetch(&server->bytes, length, __ATOMIC_RELAXED);
        }
        close(connection);
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t part_of(int64_t *sorted, int64_t count, double share) {
    return count == 0 ? 0 : sorted[(int64_t)((count - 1) * share)];
}

static int client_socket(int seconds) {
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (out < 0) fail("socket");
    struct timeval patience = {seconds, 0};
    setsockopt(out, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(out, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return out;
}

static int tcp(int echo, char **arguments) {
    static int64_t times[4000000];
    static char buffer[256 * 1024];
    struct server server = {.namespace = arguments[1], .at = address_of(arguments[2], atoi(arguments[3])), .echo = echo};
    double seconds = atof(arguments[4]);
    pthread_t thread;
    pthread_barrier_init(&server.ready, NULL, 2);
    if (pthread_create(&thread, NULL, serve, &server) != 0) fail("thread");
    pthread_barrier_wait(&server.ready);
    enter(arguments[0]);
    int64_t count = 0, start = now_ns(), end = start + (int64_t)(seconds * 1e9);
    if (!echo) {
        int out = client_socket(2);
        if (connect(out, (struct sockaddr *)&server.at, sizeof server.at) != 0) fail("connect");
        while (now_ns() < end && send(out, buffer, sizeof buffer, MSG_NOSIGNAL) > 0) {}
        printf("bytes %lld seconds %.6f\n", (long long)__atomic_load_n(&server.bytes, __ATOMIC_RELAXED), (now_ns() - start) / 1e9);
        return 0;
    }
    while (now_ns() < end && count < (int64_t)(sizeof times / sizeof *times)) {
        int out = client_socket(2);
        int64_t began = now_ns();
        if (connect(out, (struct sockaddr *)&server.at, sizeof server.at) != 0) fail("connect");
        if (send(out, buffer, 64, MSG_NOSIGNAL) != 64 || recv(out, buffer, 64, MSG_WAITALL) != 64) fail("request");
        struct linger at_once = {1, 0};
        setsockopt(out, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(out);
        times[count++] = now_ns() - began;
    }
    double took = (now_ns() - start) / 1e9;
    qsort(times, count, sizeof *times, compare);
    printf("connections %lld seconds %.6f p50 %lld p99 %lld\n", (long long)count, took, (long long)part_of(times, count, 0.5), (long long)part_of(times, count, 0.99));
    return 0;
}

static uint16_t checksum(const void *data, size_t length, uint32_t sum) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i + 1 < length; i += 2) sum += bytes[i] << 8 | bytes[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return htons(~sum & 0xffff);
}

static int syn(char **arguments) {
    static int64_t times[1000000];
    struct sockaddr_in from = address_of(arguments[1], 0), to = address_of(arguments[2], 0);
    int64_t wanted = atoll(arguments[4]), end = now_ns() + atoll(arguments[5]) * 1000000, count = 0;
    if (wanted > (int64_t)(sizeof times / sizeof *times)) wanted = sizeof times / sizeof *times;
    enter(arguments[0]);
    int out = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP), size = 1;
    if (out < 0) fail("raw socket");
    setsockopt(out, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    uint32_t pseudo = IPPROTO_TCP + sizeof(struct tcphdr);
    for (int half = 0; half < 2; half += 1) {
        pseudo += ntohl(from.sin_addr.s_addr) >> (16 * half) & 0xffff;
        pseudo += ntohl(to.sin_addr.s_addr) >> (16 * half) & 0xffff;
    }
    for (; count < wanted && now_ns() < end; count += 1) {
        struct tcphdr header = {.source = htons(2048 + (getpid() * 7919 + count) % 60000), .dest = htons(atoi(arguments[3])), .seq = htonl(count), .doff = 5, .syn = 1, .window = htons(65535)};
        header.check = checksum(&header, sizeof header, pseudo);
        int64_t began = now_ns();
        if (sendto(out, &header, sizeof header, 0, (struct sockaddr *)&to, sizeof to) < 0 && errno != EPERM) fail("send");
        times[count] = now_ns() - began;
    }
    qsort(times, count, sizeof *times, compare);
    printf("packets %lld p50 %lld p99 %lld\n", (long long)count, (long long)part_of(times, count, 0.5), (long long)part_of(times, count, 0.99));
    return 0;
}

int main(int count, char **arguments) {
    const char *verb = count > 1 ? arguments[1] : "";
    if (strcmp(verb, "probe") == 0 && count >= 5) return probe(count - 2, arguments + 2);
    if (strcmp(verb, "crr") == 0 && count == 7) return tcp(1, arguments + 2);
    if (strcmp(verb, "stream") == 0 && count == 7) return tcp(0, arguments + 2);
    if (strcmp(verb, "syn") == 0 && count == 8) return syn(arguments + 2);
    fprintf(stderr, "usage: traffic probe|crr|stream|syn ...\n");
    return 2;
}
