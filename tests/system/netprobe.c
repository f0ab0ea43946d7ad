/* SPDX-License-Identifier: MIT */
/*
 * Sender and receiver of the network scenarios.  Every byte follows from a seed and its place, so
 * the receiver checks all that arrives; it prints one line that starts with OK or BAD.
 *
 *   netprobe recv tcp|udp PORT BYTES SECONDS          waits for one sender
 *   netprobe send tcp|udp HOST PORT BYTES [SOURCE]    SOURCE: the local address to send from
 *   netprobe tables                                   names of all tables of packet rules
 *   netprobe frames IF SOURCE TARGET [TYPE.VID...]    sends broadcast frames of UDP from the
 *                       interface, one without a tag and one with each of the tags (TYPE in hex)
 *   netprobe hear IF SECONDS                          what of these arrives: "plain", tags as above
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK    65536
#define DATAGRAM 1400 /* 8 bytes of number, then data */
#define PACE     16   /* datagrams that are under way at most: a slow receiver loses none */

/* The eight bytes from place 8 * word on. */
static uint64_t word_at(uint64_t word)
{
    uint64_t x = (word + 1) * 0x9e3779b97f4a7c15u;

    x ^= x >> 29;
    return x * 0xbf58476d1ce4e5b9u;
}

static uint8_t data_at(uint64_t place)
{
    return (uint8_t)(word_at(place / 8) >> (8 * (place % 8)));
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int die(const char *what)
{
    printf("BAD %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address(const char *host, const char *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

    if (host != NULL && inet_pton(AF_INET, host, &a.sin_addr) != 1) {
        errno = EINVAL;
        die(host);
    }
    return a;
}

/* Whole words at once: the bytes are not to cost more than the way they go. */
static void fill(uint8_t *to, uint64_t place, size_t size)
{
    size_t i = 0;

    while (i < size) {
        if ((place + i) % 8 == 0 && size - i >= 8) {
            uint64_t word = word_at((place + i) / 8);
            memcpy(to + i, &word, 8);
            i += 8;
        } else {
            to[i] = data_at(place + i);
            i++;
        }
    }
}

static void check(const uint8_t *from, uint64_t place, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        while ((place + i) % 8 == 0 && size - i >= 8) {
            uint64_t word;
            memcpy(&word, from + i, 8);
            if (word != word_at((place + i) / 8)) {
                break;
            }
            i += 8;
        }
        if (i < size && from[i] != data_at(place + i)) {
            printf("BAD byte %llu is %02x, not %02x\n", (unsigned long long)(place + i), from[i],
                   data_at(place + i));
            exit(1);
        }
    }
}

static int send_tcp(int fd, uint64_t total)
{
    static uint8_t chunk[CHUNK];
    uint64_t done = 0;
    size_t at;
    size_t size;
    ssize_t n;

    while (done < total) {
        size = total - done < CHUNK ? (size_t)(total - done) : CHUNK;
        fill(chunk, done, size);
        for (at = 0; at < size; at += (size_t)n) {
            n = write(fd, chunk + at, size - at);
            if (n <= 0) {
                die("write");
            }
        }
        done += size;
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, chunk, 1) != 1 || chunk[0] != 'k') {
        die("no acknowledgement");
    }
    printf("OK sent %llu\n", (unsigned long long)done);
    return 0;
}

static int send_udp(int fd, uint64_t total)
{
    uint8_t d[DATAGRAM];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint64_t count = (total + DATAGRAM - 9) / (DATAGRAM - 8);

    for (uint64_t i = 0; i < count; i++) {
        memcpy(d, &i, 8);
        fill(d + 8, i * (DATAGRAM - 8), DATAGRAM - 8);
        if (send(fd, d, sizeof(d), 0) < 0 && errno != ECONNREFUSED) {
            die("send");
        }
        /* the receiver answers the last one of each row; a lost one costs a pause */
        if (i % PACE == PACE - 1 && poll(&p, 1, 500) > 0 && recv(fd, d, sizeof(d), 0) < 0 &&
            errno != ECONNREFUSED) {
            die("recv");
        }
    }
    printf("OK sent %llu\n", (unsigned long long)count);
    return 0;
}

static int recv_tcp(int fd, uint64_t total, double end)
{
    static uint8_t chunk[CHUNK];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint64_t done = 0;
    double start;
    ssize_t n;
    int c;

    if (listen(fd, 1) != 0 || poll(&p, 1, (int)((end - now()) * 1000)) <= 0) {
        printf("BAD nobody came\n");
        return 1;
    }
    c = accept(fd, NULL, NULL);
    start = now();
    p.fd = c;
    while (poll(&p, 1, (int)((end - now()) * 1000)) > 0 && (n = read(c, chunk, CHUNK)) > 0) {
        check(chunk, done, (size_t)n);
        done += (uint64_t)n;
    }
    if (done != total) {
        printf("BAD %llu bytes of %llu came\n", (unsigned long long)done,
               (unsigned long long)total);
        return 1;
    }
    if (write(c, "k", 1) != 1) {
        die("write");
    }
    printf("OK %llu bytes, %.1f MB/s\n", (unsigned long long)done,
           (double)done / 1e6 / (now() - start));
    return 0;
}

static int recv_udp(int fd, uint64_t total, double end)
{
    uint8_t d[DATAGRAM + 1];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct sockaddr_in from;
    socklen_t from_size;
    uint64_t count = (total + DATAGRAM - 9) / (DATAGRAM - 8);
    bool *seen = calloc(count > 0 ? count : 1, sizeof(*seen));
    uint64_t came = 0;
    double start = 0;
    uint64_t i;
    ssize_t n;

    while (came < count && now() < end && poll(&p, 1, (int)((end - now()) * 1000)) > 0) {
        from_size = sizeof(from);
        n = recvfrom(fd, d, sizeof(d), 0, (struct sockaddr *)&from, &from_size);
        memcpy(&i, d, 8);
        if (n != DATAGRAM || i >= count || seen[i]) {
            printf("BAD a datagram of %zd bytes, number %llu\n", n, (unsigned long long)i);
            return 1;
        }
        check(d + 8, i * (DATAGRAM - 8), DATAGRAM - 8);
        seen[i] = true;
        start = came == 0 ? now() : start;
        came++;
        if (i % PACE == PACE - 1) {
            sendto(fd, "k", 1, 0, (struct sockaddr *)&from, from_size);
        }
    }
    printf("%s %llu of %llu datagrams, %.2f MB/s\n",
           came * 100 >= count * 95 && came > 0 ? "OK" : "BAD", (unsigned long long)came,
           (unsigned long long)count,
           came > 1 ? (double)(came - 1) * (DATAGRAM - 8) / 1e6 / (now() - start) : 0.0);
    return came * 100 < count * 95 || came == 0;
}

/* Prints the name of one table. */
static void print_table(const struct nlmsghdr *h)
{
    const uint8_t *at = (const uint8_t *)h + NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
    const uint8_t *end = (const uint8_t *)h + h->nlmsg_len;

    while (at + NLA_HDRLEN <= end) {
        const struct nlattr *a = (const struct nlattr *)at;

        if (a->nla_type == NFTA_TABLE_NAME) {
            printf("%s\n", (const char *)at + NLA_HDRLEN);
        }
        at += NLA_ALIGN(a->nla_len);
    }
}

static int list_tables(void)
{
    static _Alignas(8) uint8_t buf[65536];
    struct {
        struct nlmsghdr h;
        struct nfgenmsg g;
    } ask = {
        .h = { .nlmsg_len = sizeof(ask),
               .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
    };
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    ssize_t n;

    if (fd < 0) {
        return 0; /* no module: no rules */
    }
    if (send(fd, &ask, sizeof(ask), 0) != (ssize_t)sizeof(ask)) {
        die("send");
    }
    while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
        for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                return 0;
            }
            print_table(h);
        }
    }
    die("recv");
    return 1;
}

/* --- frames with tags --------------------------------------------------------------------------
 */

#define MARK       "joist frame "
#define FRAME_SIZE 60
#define HEADERS    42 /* Ethernet, IP, UDP */

static int packet_socket(const char *interface)
{
    struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

    at.sll_ifindex = (int)if_nametoindex(interface);
    if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        die(interface);
    }
    return fd;
}

/* Broadcast, and whole as IP demands it: the sum over the header is the last to be known. */
static void frame(uint8_t *p, const uint8_t *mac, const char *source, const char *target)
{
    static const uint8_t ip[] = { 0x45, 0, 0, FRAME_SIZE - 14, 0, 1, 0, 0, 64, 17 };
    uint32_t sum = 0;

    memset(p, 0, FRAME_SIZE);
    memset(p, 0xff, 6);
    memcpy(p + 6, mac, 6);
    p[12] = 0x08;
    memcpy(p + 14, ip, sizeof(ip));
    inet_pton(AF_INET, source, p + 26);
    inet_pton(AF_INET, target, p + 30);
    for (int i = 14; i < 34; i += 2) {
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    }
    sum = ~((sum & 0xffff) + (sum >> 16));
    p[24] = (uint8_t)(sum >> 8);
    p[25] = (uint8_t)sum;
    p[37] = 9; /* to the port that discards; no sum over the data */
    p[39] = FRAME_SIZE - 34;
}

static int send_frames(int count, char **words)
{
    int fd = packet_socket(words[0]);
    struct ifreq mine = { 0 };
    uint8_t p[FRAME_SIZE + 4];
    unsigned int type;
    unsigned int vid;

    snprintf(mine.ifr_name, sizeof(mine.ifr_name), "%s", words[0]);
    if (ioctl(fd, SIOCGIFHWADDR, &mine) != 0) {
        die(words[0]);
    }
    for (int i = 2; i < count; i++) { /* the one without a tag in place of the target's word */
        const char *word = i == 2 ? "plain" : words[i];
        size_t size = FRAME_SIZE;

        frame(p, (const uint8_t *)mine.ifr_hwaddr.sa_data, words[1], words[2]);
        memcpy(p + HEADERS, MARK, sizeof(MARK) - 1);
        memcpy(p + HEADERS + sizeof(MARK) - 1, word, strnlen(word, 6));
        if (i > 2 && sscanf(word, "%x.%u", &type, &vid) == 2) {
            memmove(p + 16, p + 12, FRAME_SIZE - 12);
            p[12] = (uint8_t)(type >> 8);
            p[13] = (uint8_t)type;
            p[14] = (uint8_t)(vid >> 8);
            p[15] = (uint8_t)vid;
            size += 4;
        }
        if (send(fd, p, size, 0) != (ssize_t)size) {
            die(word);
        }
    }
    printf("OK\n");
    return 0;
}

/* Each word once for each of its frames, in the order in which they come. */
static int hear_frames(const char *interface, double end)
{
    int fd = packet_socket(interface);
    struct pollfd in = { .fd = fd, .events = POLLIN };
    uint8_t p[2048];
    ssize_t n;

    printf("heard");
    while (now() < end && poll(&in, 1, (int)((end - now()) * 1000)) > 0) {
        n = recv(fd, p, sizeof(p) - 1, 0);
        p[n > 0 ? n : 0] = 0;
        for (ssize_t i = 0; i + (ssize_t)sizeof(MARK) < n; i++) {
            if (memcmp(p + i, MARK, sizeof(MARK) - 1) == 0) {
                printf(" %.6s", (const char *)p + i + sizeof(MARK) - 1);
            }
        }
    }
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    bool is_tcp;
    int one = 1;
    int fd;

    if (argc == 2 && strcmp(argv[1], "tables") == 0) {
        return list_tables();
    }
    if (argc >= 5 && strcmp(argv[1], "frames") == 0) {
        return send_frames(argc - 2, argv + 2);
    }
    if (argc == 4 && strcmp(argv[1], "hear") == 0) {
        return hear_frames(argv[2], now() + atof(argv[3]));
    }
    if (argc < 6 || (strcmp(argv[1], "send") != 0 && strcmp(argv[1], "recv") != 0)) {
        fprintf(stderr, "usage: netprobe recv tcp|udp PORT BYTES SECONDS\n"
                        "       netprobe send tcp|udp HOST PORT BYTES [SOURCE]\n");
        return 2;
    }
    is_tcp = strcmp(argv[2], "tcp") == 0;
    fd = socket(AF_INET, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (strcmp(argv[1], "recv") == 0) {
        struct sockaddr_in a = address(NULL, argv[3]);
        double end = now() + atof(argv[5]);

        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
            die("bind");
        }
        return is_tcp ? recv_tcp(fd, strtoull(argv[4], NULL, 10), end)
                      : recv_udp(fd, strtoull(argv[4], NULL, 10), end);
    }
    if (argc > 6) {
        struct sockaddr_in from = address(argv[6], "0");

        if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0) {
            die("bind");
        }
    }
    struct sockaddr_in to = address(argv[3], argv[4]);

    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        die("connect");
    }
    return is_tcp ? send_tcp(fd, strtoull(argv[5], NULL, 10))
                  : send_udp(fd, strtoull(argv[5], NULL, 10));
}
