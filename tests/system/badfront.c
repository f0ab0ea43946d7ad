/* SPDX-License-Identifier: MIT */
/*
 * A front end that does everything wrong, for a guest whose own drivers are not loaded.  What it
 * does follows from the seed; it prints a line that starts with BADFRONT at its end.
 *
 *   badfront store SEED COUNT     its nodes: any value in any, also too long, with control
 *                                 characters, removed, with other rights, of other kinds
 *   badfront ring SEED COUNT      connects as it should, then fills the rings with garbage and
 *                                 sends events, then breaks off in one of several ways
 *
 * Facts: the wire protocol of the store and the layout of rings are those of the public headers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint16_t domid_t; /* which the kernel's header takes for granted */

#include <xen/evtchn.h>
#include <xen/gntalloc.h>

enum { OP_DIRECTORY = 1, OP_READ = 2, OP_WRITE = 11, OP_MKDIR = 12, OP_RM = 13, OP_SET_PERMS = 14 };

#define PAGE    4096
#define PAGES   3 /* the disk's ring, the interface's two */
#define PAYLOAD 4096

struct head {
    uint32_t type;
    uint32_t req;
    uint32_t tx;
    uint32_t len;
};

static int store = -1;
static uint64_t dice;

static uint32_t roll(uint32_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 16) % sides;
}

static void get(void *to, size_t size)
{
    char *at = to;

    while (size > 0) {
        ssize_t n = read(store, at, size);

        if (n <= 0) {
            printf("BADFRONT lost the store: %s\n", strerror(errno));
            exit(1);
        }
        at += n;
        size -= (size_t)n;
    }
}

/* One request; the answer, of any kind, is in `out`.  Whether it is no error. */
static bool ask(uint32_t type, const void *data, size_t size, char *out)
{
    static char message[sizeof(struct head) + PAYLOAD];
    struct head h = { .type = type, .req = 1, .len = (uint32_t)size };

    if (size > PAYLOAD) {
        return false;
    }
    memcpy(message, &h, sizeof(h));
    memcpy(message + sizeof(h), data, size);
    if (write(store, message, sizeof(h) + size) < 0) {
        return false;
    }
    get(&h, sizeof(h));
    if (h.len > PAYLOAD) {
        printf("BADFRONT was answered with %u bytes\n", h.len);
        exit(1);
    }
    get(out, h.len);
    out[h.len] = '\0';
    return h.type == type;
}

static char answer[PAYLOAD + 1];

static bool ask_path(uint32_t type, const char *path)
{
    return ask(type, path, strlen(path) + 1, answer);
}

static bool put(const char *path, const void *value, size_t size)
{
    static char data[2 * PAYLOAD];
    size_t n = strlen(path) + 1;

    memcpy(data, path, n);
    memcpy(data + n, value, size);
    return ask(OP_WRITE, data, n + size, answer);
}

static void put_number(const char *dir, const char *node, uint32_t number)
{
    char path[256];
    char value[16];

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    snprintf(value, sizeof(value), "%u", number);
    put(path, value, strlen(value));
}

/* --- nodes ----------------------------------------------------------------------------------- */

static const char *const dirs[] = { "device/vbd/51712", "device/vif/0" };

static const char *const nodes[] = {
    "state",
    "ring-ref",
    "ring-page-order",
    "ring-ref0",
    "ring-ref1",
    "event-channel",
    "event-channel-tx",
    "event-channel-rx",
    "protocol",
    "tx-ring-ref",
    "rx-ring-ref",
    "feature-sg",
    "feature-persistent",
    "request-rx-copy",
    "feature-rx-notify",
    "feature-gso-tcpv4",
    "multi-queue-num-queues",
    "queue-0/ring-ref",
    "queue-1/event-channel",
    "backend",
    "backend-id",
    "mac",
    "handle",
    "virtual-device",
    "device-type",
    "trusted",
    "mtu",
    "feature-max-indirect-segments",
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const char *const values[] = {
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "99",
    "-1",
    "4294967295",
    "18446744073709551616",
    "",
    " ",
    "x86_64-abi",
    "x86_32-abi",
    "sparc",
    "/local/domain/0",
    "/local/domain/0/backend/vbd/0/0",
    "../../..",
    "%s%n%s%n",
    "\x1b[2J\x1b]0;mine\x07",
    "\xff\xfe\xc3\x28",
    "a\nb\rc",
    "0x7fffffff",
    "NaN",
    "\"}],\"ok\":false",
    "'; reboot; '",
};

static size_t any_value(char *value)
{
    size_t n;
    size_t i;

    if (roll(4) != 0) {
        n = roll(COUNT(values));
        memcpy(value, values[n], strlen(values[n]) + 1);
        return strlen(value);
    }
    n = roll(8) == 0 ? roll(3000) : roll(40);
    for (i = 0; i < n; i++) {
        value[i] = (char)roll(256); /* the end mark too */
    }
    return n;
}

static void one_node(void)
{
    static char value[PAYLOAD];
    const char *dir = dirs[roll(COUNT(dirs))];
    char path[256];
    char perms[300];
    size_t n;

    snprintf(path, sizeof(path), "%s/%s", dir, nodes[roll(3) == 0 ? 0 : roll(COUNT(nodes))]);
    switch (roll(16)) {
    case 0:
        ask_path(OP_RM, roll(8) == 0 ? dir : path);
        break;
    case 1:
        ask_path(OP_MKDIR, path);
        break;
    case 2: /* nobody, or anybody, reads or writes it */
        n = (size_t)snprintf(perms, sizeof(perms), "%s%c%c%u", roll(2) ? path : dir, 0,
                             "nrwb"[roll(4)], roll(8)) +
            1;
        ask(OP_SET_PERMS, perms, n, answer);
        break;
    case 3: /* a directory where a value is expected, and many children */
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%u", roll(200));
        put(path, "x", 1);
        break;
    default:
        n = any_value(value);
        put(path, value, n);
    }
}

/* --- rings ----------------------------------------------------------------------------------- */

struct rings {
    int alloc;
    int evtchn;
    uint32_t refs[PAGES];
    uint64_t index;
    uint8_t *page;
    uint32_t port[COUNT(dirs)];
};

static void rings_open(struct rings *r)
{
    struct {
        struct ioctl_gntalloc_alloc_gref a;
        uint32_t more[PAGES];
    } g = { .a = { .domid = 0, .flags = GNTALLOC_FLAG_WRITABLE, .count = PAGES } };
    struct ioctl_evtchn_bind_unbound_port bind = { .remote_domain = 0 };
    size_t i;

    r->alloc = open("/dev/xen/gntalloc", O_RDWR);
    r->evtchn = open("/dev/xen/evtchn", O_RDWR | O_NONBLOCK);
    if (r->alloc < 0 || r->evtchn < 0 || ioctl(r->alloc, IOCTL_GNTALLOC_ALLOC_GREF, &g) != 0) {
        printf("BADFRONT has no grants: %s\n", strerror(errno));
        exit(1);
    }
    memcpy(r->refs, g.a.gref_ids, sizeof(r->refs));
    r->index = g.a.index;
    r->page =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->alloc, (off_t)g.a.index);
    if (r->page == MAP_FAILED) {
        printf("BADFRONT cannot map: %s\n", strerror(errno));
        exit(1);
    }
    memset(r->page, 0, PAGES * PAGE);
    for (i = 0; i < COUNT(dirs); i++) {
        int port = ioctl(r->evtchn, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &bind);

        r->port[i] = port > 0 ? (uint32_t)port : 0;
    }
}

static void rings_close(struct rings *r)
{
    struct ioctl_gntalloc_dealloc_gref d = { .index = r->index, .count = PAGES };

    munmap(r->page, PAGES * PAGE);
    ioctl(r->alloc, IOCTL_GNTALLOC_DEALLOC_GREF, &d);
    close(r->alloc);
    close(r->evtchn);
}

static uint32_t back_state(const char *dir)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/backend", dir);
    if (!ask_path(OP_READ, path)) {
        return 0;
    }
    snprintf(path, sizeof(path), "%.200s/state", answer);
    return ask_path(OP_READ, path) ? (uint32_t)strtoul(answer, NULL, 10) : 0;
}

/* Waits up to two seconds for the back end. */
static bool wait_back(const char *dir, uint32_t state)
{
    unsigned int i;

    for (i = 0; i < 200 && back_state(dir) != state; i++) {
        poll(NULL, 0, 10);
    }
    return i < 200;
}

/* Producer indices that promise too much or step back, requests of noise, and an event. */
static void shake(struct rings *r, unsigned int which)
{
    struct ioctl_evtchn_notify n = { .port = r->port[which] };
    uint8_t *page = r->page + (which == 0 ? 0 : PAGE * (1 + roll(2)));
    uint32_t *index = (uint32_t *)page;
    uint32_t i;

    for (i = 64; i < PAGE; i++) {
        page[i] = (uint8_t)(roll(3) == 0 ? 0 : roll(256));
    }
    for (i = 0; i < 4; i++) { /* blkif: an operation that exists, with segments */
        page[64 + 112 * i] = (uint8_t)roll(8);
        page[65 + 112 * i] = (uint8_t)roll(14);
    }
    index[0] = roll(4) == 0 ? roll(UINT32_MAX) : index[0] + roll(40);
    index[roll(4)] ^= roll(2) ? 0 : roll(256);
    ioctl(r->evtchn, IOCTL_EVTCHN_NOTIFY, &n);
}

/* Both devices as a front end should, then not any more.  How many back ends connected. */
static unsigned int one_connection(void)
{
    struct rings r;
    unsigned int connected = 0;
    unsigned int i;
    unsigned int k;

    for (i = 0; i < COUNT(dirs); i++) {
        put_number(dirs[i], "state", 6);
        wait_back(dirs[i], 6);
        put_number(dirs[i], "state", 1);
        wait_back(dirs[i], 2);
    }
    rings_open(&r);
    put_number(dirs[0], "ring-ref", r.refs[0]);
    put_number(dirs[0], "event-channel", r.port[0]);
    put("device/vbd/51712/protocol", "x86_64-abi", 10);
    put_number(dirs[0], "feature-persistent", roll(2));
    put_number(dirs[0], "state", 3);
    put_number(dirs[1], "tx-ring-ref", r.refs[1]);
    put_number(dirs[1], "rx-ring-ref", r.refs[2]);
    put_number(dirs[1], "event-channel", r.port[1]);
    put_number(dirs[1], "request-rx-copy", 1);
    put_number(dirs[1], "feature-rx-notify", 1);
    put_number(dirs[1], "feature-sg", roll(2));
    put_number(dirs[1], "state", 4);
    for (i = 0; i < COUNT(dirs); i++) {
        connected += wait_back(dirs[i], 4);
        put_number(dirs[i], "state", 4);
        for (k = 0; k < 30; k++) {
            shake(&r, i);
            poll(NULL, 0, 1);
        }
    }
    for (i = 0; i < COUNT(dirs); i++) { /* the end: politely, at once, or with other rings */
        put_number(dirs[i], "ring-ref", roll(3) ? r.refs[0] : roll(100000));
        put_number(dirs[i], "state", roll(3) ? 5 : roll(9));
    }
    rings_close(&r);
    return connected;
}

int main(int argc, char **argv)
{
    unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    unsigned int connected = 0;
    unsigned long i;
    bool is_ring = argc == 4 && strcmp(argv[1], "ring") == 0;

    if (count == 0 || (!is_ring && strcmp(argv[1], "store") != 0)) {
        fputs("usage: badfront store|ring SEED COUNT\n", stderr);
        return 2;
    }
    dice = strtoul(argv[2], NULL, 10) * 2654435761u + 88172645463325252ull;
    store = open("/dev/xen/xenbus", O_RDWR);
    if (store < 0) {
        perror("/dev/xen/xenbus");
        return 1;
    }
    for (i = 0; i < count; i++) {
        if (is_ring) {
            connected += one_connection();
        } else {
            one_node();
        }
    }
    printf("BADFRONT %s %lu times, %u connected\n", argv[1], count, connected);
    return 0;
}
