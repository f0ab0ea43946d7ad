/* SPDX-License-Identifier: MIT */
/*
 * The console daemon on any bytes and positions in a guest's ring, in steps: the guest prints,
 * reads or writes nonsense, its event fires, somebody types, a period passes, a client comes and
 * goes, the guest dies.
 *
 * Always: what is the guest's in the page is left alone, neighbouring pages too; what it prints
 * comes out whole, in order and once; no more of it in a period than is allowed, and no more is
 * kept than the backlog; a guest whose positions make no sense is not served any more.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "consoled/console.h"
#include "tests/fuzz/drive.h"
#include "tests/unit/store_kit.h"

#define STEPS_MAX 400u
#define MARK      0xa5

enum step {
    STEP_PRINT, /* two bytes: how much */
    STEP_READ,
    STEP_POSITION, /* which, then four bytes */
    STEP_EVENT,
    STEP_TYPE,
    STEP_PERIOD,
    STEP_CLIENT, /* comes or goes */
    STEP_DIES,
    STEP_COUNT
};

static struct {
    struct consoled daemon;
    struct console *console; /* NULL: dead */
    char dir[32], path[64];
    int client;           /* -1: none */
    uint8_t next;         /* byte to be printed */
    struct buf want, got; /* by the client since it came */
    uint32_t taken;       /* out of the ring in this period */
    bool was_dropped;     /* some of the backlog: contents are not compared any more */
} s;

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct xencons_interface *ring(void)
{
    return (struct xencons_interface *)(void *)fake.page[1].bytes;
}

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const uint8_t talk[] = { STEP_PRINT,  0,          40,        STEP_EVENT, STEP_CLIENT,
                                    STEP_PRINT,  7,          255,       STEP_EVENT, STEP_TYPE,
                                    30,          STEP_READ,  STEP_TYPE, 200,        STEP_PERIOD,
                                    STEP_CLIENT, STEP_PRINT, 1,         1,          STEP_DIES };
    static const uint8_t flood[] = { STEP_CLIENT, STEP_PRINT, 8,          0,          STEP_EVENT,
                                     STEP_PRINT,  8,          0,          STEP_EVENT, STEP_PRINT,
                                     8,           0,          STEP_EVENT, STEP_PRINT, 8,
                                     0,           STEP_EVENT, STEP_PRINT, 8,          0,
                                     STEP_EVENT,  STEP_PRINT, 8,          0,          STEP_EVENT,
                                     STEP_PRINT,  8,          0,          STEP_EVENT, STEP_PERIOD,
                                     STEP_PRINT,  8,          0,          STEP_EVENT };
    static const uint8_t nonsense[] = { STEP_POSITION,
                                        1,
                                        0xff,
                                        0xff,
                                        0xff,
                                        0xff,
                                        STEP_POSITION,
                                        3,
                                        0,
                                        0,
                                        8,
                                        0,
                                        STEP_EVENT,
                                        STEP_TYPE,
                                        9,
                                        STEP_POSITION,
                                        0,
                                        0,
                                        0,
                                        4,
                                        1,
                                        STEP_TYPE,
                                        5,
                                        STEP_EVENT };
    static const struct {
        const uint8_t *data;
        size_t size;
    } seeds[] = { { talk, sizeof talk }, { flood, sizeof flood }, { nonsense, sizeof nonsense } };

    if (index >= 3 || seeds[index].size > size) {
        return 0;
    }
    memcpy(data, seeds[index].data, seeds[index].size);
    return seeds[index].size;
}

static void begin(void)
{
    struct kit k;

    kit_prepare(&k);
    memset(fake.page[0].bytes, MARK, sizeof fake.page[0].bytes);
    memset(fake.page[2].bytes, MARK, sizeof fake.page[2].bytes);
    if (s.dir[0] == '\0') {
        (void)snprintf(s.dir, sizeof s.dir, "/tmp/console-fuzz-XXXXXX");
        must(mkdtemp(s.dir) != NULL);
        (void)snprintf(s.path, sizeof s.path, "%s/channel", s.dir);
    }
    memset(&s.daemon, 0, sizeof s.daemon);
    must(joist_open(&s.daemon.xen) == 0 && joist_evtchn_fd(s.daemon.xen) >= 0);
    s.daemon.loop = evloop_new();
    s.daemon.log_dir = s.dir;
    s.daemon.link_dir = s.dir;
    s.daemon.evtchn.owner = &s.daemon;
    s.daemon.period = (struct ev_timer){ .handler = console_on_period, .owner = &s.daemon };
    s.client = -1;
    s.next = 0;
    s.taken = 0;
    s.was_dropped = false;
    struct console_place place = {
        .domid = 1, .number = 1, .name = "fuzz", .frame = 1, .port = 9, .path = s.path
    };
    s.console = console_open(&s.daemon, &place);
    must(s.console != NULL);
}

static void client_goes(void)
{
    close(s.client);
    s.client = -1;
    buf_drop(&s.want, s.want.len);
    buf_drop(&s.got, s.got.len);
    s.was_dropped = true; /* what it had not read went with it */
}

static void end(void)
{
    if (s.client >= 0) {
        client_goes();
    }
    while (s.daemon.consoles != NULL) {
        console_free(s.daemon.consoles);
    }
    evloop_free(s.daemon.loop);
    joist_close(s.daemon.xen);
    buf_free(&s.want);
    buf_free(&s.got);
    must(!fake.is_mapped[1]);
    (void)rmdir(s.dir);
    s.dir[0] = '\0';
}

/* Everything that has arrived. */
static void client_reads(void)
{
    uint8_t chunk[4096];
    ssize_t n;

    while (s.client >= 0 && (n = recv(s.client, chunk, sizeof chunk, MSG_DONTWAIT)) > 0) {
        buf_add(&s.got, chunk, (size_t)n);
    }
    size_t both = s.want.len < s.got.len ? s.want.len : s.got.len;
    if (!s.was_dropped) {
        must(s.got.len <= s.want.len || s.console == NULL || s.console->is_broken);
        must(both == 0 || memcmp(buf_data(&s.want), buf_data(&s.got), both) == 0);
    }
}

static void client_comes(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    memcpy(addr.sun_path, s.path, sizeof s.path);
    s.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(s.client >= 0);
    if (s.console == NULL || connect(s.client, (struct sockaddr *)&addr, sizeof addr) < 0) {
        close(s.client);
        s.client = -1;
    }
}

enum turn { TURN_ONLY, TURN_EVENT, TURN_PERIOD };

/* One turn of the daemon, after which the page is looked at. */
static void turn(enum turn what)
{
    struct xencons_interface was = *ring();
    uint32_t waiting = was.out_prod - was.out_cons;
    bool is_broken = s.console != NULL && s.console->is_broken;

    if (what == TURN_EVENT && s.console != NULL) {
        fake.port_pending[s.console->port] = true;
        console_on_event(&s.daemon.evtchn, 0);
    }
    if (what == TURN_PERIOD) {
        s.taken = 0;
        console_on_period(&s.daemon.period);
    }
    /* No period ends by the clock of this machine: a slow turn would have two allowances. */
    evloop_disarm(s.daemon.loop, &s.daemon.period);
    must(evloop_turn(s.daemon.loop, 0) == 0);

    const struct xencons_interface *is = ring();
    uint32_t moved = is->out_cons - was.out_cons;
    must(is->out_prod == was.out_prod && is->in_cons == was.in_cons);
    must(memcmp(is->out, was.out, sizeof was.out) == 0);
    must(moved <= waiting && (waiting <= sizeof was.out || moved == 0) &&
         (!is_broken || moved == 0));
    must(is->in_prod == was.in_prod || is->in_prod - is->in_cons <= sizeof was.in);
    s.taken += moved;
    must(s.taken <= CONSOLE_ALLOWANCE);
    for (uint32_t i = 0; i < moved; i++) {
        buf_add(&s.want, &was.out[(was.out_cons + i) % sizeof was.out], 1);
    }
    if (s.console != NULL) {
        must(s.console->backlog.len <= CONSOLE_BACKLOG);
        s.was_dropped = s.was_dropped || s.console->backlog.len == CONSOLE_BACKLOG;
        must(what != TURN_EVENT || waiting <= sizeof was.out || s.console->is_broken ||
             s.console->is_waiting || s.console->allowance == 0);
    }
    client_reads();
}

static void print(size_t n)
{
    struct xencons_interface *r = ring();

    for (size_t i = 0; i < n % (sizeof r->out + 1); i++) {
        r->out[r->out_prod++ % sizeof r->out] = (char)s.next++;
    }
}

static void position(uint8_t which, uint32_t value)
{
    struct xencons_interface *r = ring();
    uint32_t *const at[4] = { &r->in_cons, &r->in_prod, &r->out_cons, &r->out_prod };

    *at[which % 4] = value;
}

static void dies(void)
{
    if (s.console != NULL) {
        fake.is_there[1] = false;
        console_died(s.console);
        s.console = NULL; /* a channel goes at once */
        must(s.daemon.consoles == NULL && !fake.is_mapped[1]);
    }
}

static size_t step(const uint8_t *d, size_t n)
{
    static const uint8_t text[255];
    uint32_t value;

    switch ((enum step)(d[0] % STEP_COUNT)) {
    case STEP_PRINT:
        print(n > 2 ? (size_t)d[1] << 8 | d[2] : 1);
        return 3;
    case STEP_READ:
        ring()->in_cons = ring()->in_prod;
        return 1;
    case STEP_POSITION:
        if (n < 6) {
            return n;
        }
        memcpy(&value, d + 2, sizeof value);
        position(d[1], value);
        return 6;
    case STEP_EVENT:
        turn(TURN_EVENT);
        return 1;
    case STEP_TYPE:
        if (s.client >= 0) {
            (void)!send(s.client, text, n > 1 ? d[1] : 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        turn(TURN_ONLY);
        return 2;
    case STEP_PERIOD:
        turn(TURN_PERIOD);
        return 1;
    case STEP_CLIENT:
        if (s.client >= 0) {
            client_goes();
        } else {
            client_comes();
        }
        turn(TURN_ONLY);
        return 1;
    default:
        dies();
        return 1;
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static bool is_ready;

    if (!is_ready) {
        log_verbose(-2);                /* errors only */
        (void)signal(SIGPIPE, SIG_IGN); /* as the daemon's loop does */
        is_ready = true;
    }
    begin();
    for (unsigned int i = 0; i < STEPS_MAX && size > 0; i++) {
        size_t n = step(data, size);
        n = n < size ? n : size;
        data += n;
        size -= n;
    }
    for (size_t i = 0; i < sizeof fake.page[0].bytes; i++) {
        must(fake.page[0].bytes[i] == MARK && fake.page[2].bytes[i] == MARK);
    }
    end();
    return 0;
}
