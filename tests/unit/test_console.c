/* SPDX-License-Identifier: MIT */
/*
 * The console daemon: the ring against every position, log rotation, and whole consoles on the
 * fake machine of the store's tests (its pages serve as console rings).
 */

#include "tests/unit/store_kit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "consoled/console.h"
#include "consoled/ring.h"

static struct xencons_interface *ring_of(uint16_t domid)
{
    return (struct xencons_interface *)(void *)fake.page[domid].bytes;
}

static void print_as_guest(uint16_t domid, const char *text)
{
    struct xencons_interface *r = ring_of(domid);

    for (; *text; text++) {
        r->out[r->out_prod++ % sizeof(r->out)] = *text;
    }
}

static void test_ring(void **state)
{
    static struct {
        uint8_t before[64];
        struct xencons_interface ring;
        uint8_t after[64];
    } m;
    uint8_t data[4096];
    static const uint32_t starts[] = { 0, 1, 1000, 1023, 2047, 0x7fffffff, 0xfffffff0 };
    static const uint32_t counts[] = { 0, 1, 1023, 1024, 2047, 2048 };

    (void)state;
    for (size_t s = 0; s < 7; s++) {
        for (size_t c = 0; c < 6; c++) {
            m.ring.out_cons = starts[s];
            m.ring.out_prod = starts[s] + counts[c];
            for (uint32_t i = 0; i < counts[c]; i++) {
                m.ring.out[(starts[s] + i) % sizeof(m.ring.out)] = (char)(i * 3 + s);
            }
            assert_int_equal(ring_peek(&m.ring, data, sizeof(data)), counts[c]);
            for (uint32_t i = 0; i < counts[c]; i++) {
                assert_int_equal(data[i], (uint8_t)(i * 3 + s));
            }
            assert_int_equal(ring_peek(&m.ring, data, 10), counts[c] < 10 ? counts[c] : 10);
            ring_drop(&m.ring, counts[c]);
            assert_int_equal(m.ring.out_cons, m.ring.out_prod);
        }
        m.ring.out_prod = m.ring.out_cons + 2049;
        assert_true(ring_peek(&m.ring, data, sizeof(data)) < 0);
        m.ring.in_cons = starts[s];
        m.ring.in_prod = starts[s];
        memset(data, 'i', sizeof(data));
        assert_int_equal(ring_put(&m.ring, data, 1000), 1000);
        assert_int_equal(ring_put(&m.ring, data, 1000), 24);
        assert_int_equal(ring_room(&m.ring), 0);
        assert_int_equal(ring_put(&m.ring, data, 1), 0);
        m.ring.in_cons = m.ring.in_prod + 1; /* nonsense */
        assert_int_equal(ring_room(&m.ring), 0);
    }
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(m.before[i] | m.after[i], 0);
    }
}

static off_t size_of(const char *dir, const char *name)
{
    char path[128];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void test_log_budget(void **state)
{
    char dir[] = "/tmp/console-test-XXXXXX";
    char command[64];
    struct logfile l;
    uint8_t data[100];

    (void)state;
    assert_non_null(mkdtemp(dir));
    memset(data, 'x', sizeof(data));
    assert_int_equal(logfile_open(&l, dir, "g", 4096), 0);
    for (int i = 0; i < 1000; i++) {
        logfile_write(&l, data, sizeof(data));
        assert_true(size_of(dir, "console-g.log") <= 2048);
        assert_true(size_of(dir, "console-g.log.1") <= 2048);
    }
    assert_true(size_of(dir, "console-g.log") + size_of(dir, "console-g.log.1") > 2048);
    off_t before = size_of(dir, "console-g.log");
    logfile_close(&l);
    assert_int_equal(logfile_open(&l, dir, "g", 4096), 0); /* goes on where it was */
    logfile_write(&l, data, 1);
    assert_true(size_of(dir, "console-g.log") == before + 1 || before > 2047);
    logfile_close(&l);
    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

struct setup {
    struct consoled d;
    char dir[32];
};

static void begin(struct setup *s)
{
    struct kit k;

    kit_prepare(&k);
    *s = (struct setup){ .dir = "/tmp/console-test-XXXXXX" };
    assert_non_null(mkdtemp(s->dir));
    assert_int_equal(joist_open(&s->d.xen), 0);
    assert_true(joist_evtchn_fd(s->d.xen) >= 0);
    s->d.loop = evloop_new();
    s->d.log_dir = s->dir;
    s->d.link_dir = s->dir;
    s->d.log_budget = 1u << 20;
    s->d.evtchn.owner = &s->d;
    s->d.period = (struct ev_timer){ .handler = console_on_period, .owner = &s->d };
}

static void end(struct setup *s)
{
    char command[64];

    while (s->d.consoles) {
        console_free(s->d.consoles);
    }
    evloop_free(s->d.loop);
    joist_close(s->d.xen);
    (void)snprintf(command, sizeof(command), "rm -r %s", s->dir);
    assert_int_equal(system(command), 0);
}

static void turn(struct setup *s, uint16_t domid)
{
    kit_kick(NULL, domid);
    console_on_event(&s->d.evtchn, 0);
    assert_int_equal(evloop_turn(s->d.loop, 0), 0);
}

static struct console *open_console(struct setup *s, uint16_t domid, const char *name)
{
    struct console_place place = { .domid = domid, .name = name, .frame = 5, .port = 9 };

    fake.is_there[domid] = true;
    return console_open(&s->d, &place);
}

/* A terminal hands bytes on when it likes: they are waited for. */
static void expect_read(int fd, const char *want)
{
    char got[256];
    size_t len = 0;
    struct pollfd p = { .fd = fd, .events = POLLIN };

    while (len < strlen(want) && poll(&p, 1, 2000) == 1) {
        ssize_t n = read(fd, got + len, sizeof(got) - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    got[len] = '\0';
    assert_string_equal(got, want);
}

/* Turns until the guest has n bytes of input waiting, or a second has passed. */
static void expect_input(struct setup *s, uint32_t n)
{
    const struct xencons_interface *r = ring_of(1);

    for (int i = 0; i < 100 && r->in_prod - r->in_cons != n; i++) {
        kit_kick(NULL, 1);
        console_on_event(&s->d.evtchn, 0);
        assert_int_equal(evloop_turn(s->d.loop, 10), 0);
    }
    assert_int_equal(r->in_prod - r->in_cons, n);
}

/* A chroot without a mounted devpts has no pseudo-terminals. */
static void need_terminals(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);

    if (fd < 0) {
        print_message("no pseudo-terminals here\n");
        skip();
    }
    close(fd);
}

static void test_both_ways(void **state)
{
    char path[64];
    char link[64] = "";
    struct setup s;

    (void)state;
    need_terminals();
    begin(&s);
    print_as_guest(1, "early ");
    struct console *c = open_console(&s, 1, "web/../1");
    assert_non_null(c);
    assert_string_equal(c->name, "web_.._1");
    (void)snprintf(path, sizeof(path), "%s/%s", s.dir, c->name);
    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_string_equal(link, c->pty.path);
    int fd = open(c->pty.path, O_RDWR | O_NOCTTY);
    assert_true(fd >= 0);
    print_as_guest(1, "late");
    turn(&s, 1);
    expect_read(fd, "early late");
    assert_int_equal(ring_of(1)->out_cons, ring_of(1)->out_prod);
    assert_int_equal(write(fd, "ls\r", 3), 3);
    expect_input(&s, 3);
    assert_memory_equal(ring_of(1)->in, "ls\r", 3);
    assert_int_equal(size_of(s.dir, "console-web_.._1.log"), 10);
    /* a full ring is not overrun: the rest waits in the terminal */
    ring_of(1)->in_prod = ring_of(1)->in_cons + 1023;
    assert_int_equal(write(fd, "abc", 3), 3);
    expect_input(&s, 1024);
    turn(&s, 1);
    expect_input(&s, 1024);
    ring_of(1)->in_cons = ring_of(1)->in_prod;
    expect_input(&s, 2);
    close(fd);
    end(&s);
}

/* A guest that prints without end gets its allowance and no more until the next period. */
static void test_flood(void **state)
{
    char text[1025];
    struct setup s;
    uint32_t taken = 0;

    (void)state;
    need_terminals();
    begin(&s);
    struct console *c = open_console(&s, 1, "flood");
    memset(text, 'f', 1024);
    text[1024] = '\0';
    for (int i = 0; i < 100; i++) {
        if (ring_of(1)->out_prod - ring_of(1)->out_cons <= 1024) {
            print_as_guest(1, text);
        }
        turn(&s, 1);
    }
    taken = ring_of(1)->out_cons;
    assert_int_equal(taken, CONSOLE_ALLOWANCE);
    assert_true(c->is_waiting);
    assert_true(c->backlog.len <= CONSOLE_BACKLOG);
    console_on_period(&s.d.period);
    assert_true(ring_of(1)->out_cons > taken);
    end(&s);
}

static void test_broken_ring(void **state)
{
    struct setup s;

    (void)state;
    need_terminals();
    begin(&s);
    struct console *c = open_console(&s, 1, "bad");
    ring_of(1)->out_prod = ring_of(1)->out_cons + 5000;
    turn(&s, 1);
    assert_true(c->is_broken);
    ring_of(1)->out_prod = ring_of(1)->out_cons + 4;
    turn(&s, 1);
    assert_int_equal(ring_of(1)->out_cons, 0);
    end(&s);
}

/* The last words are readable after death: on an open terminal, and in the log. */
static void test_death(void **state)
{
    char path[64];
    char link[64] = "";
    struct setup s;

    (void)state;
    need_terminals();
    begin(&s);
    struct console *c = open_console(&s, 1, "gone");
    int fd = open(c->pty.path, O_RDWR | O_NOCTTY);
    print_as_guest(1, "panic!");
    console_died(c);
    assert_false(fake.is_mapped[1]);
    assert_null(console_find(&s.d, 1, 0));
    expect_read(fd, "panic!\r\n(the guest is gone)\r\n");
    (void)snprintf(path, sizeof(path), "%s/gone", s.dir);
    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_non_null(strstr(link, "console-gone.log"));
    assert_true(size_of(s.dir, "console-gone.log") > 6);
    /* one of the same name may come while the old terminal is still open */
    assert_non_null(open_console(&s, 2, "gone"));
    assert_non_null(console_find(&s.d, 2, 0));
    close(fd);
    for (int i = 0; i < 100 && s.d.consoles->next; i++) {
        assert_int_equal(evloop_turn(s.d.loop, 10), 0);
    }
    assert_null(s.d.consoles->next); /* the dead one's is closed, as nobody has it open */
    /* One that was renamed ends: the link by its old name is another guest's by now. */
    c = open_console(&s, 3, "gone");
    console_died(console_find(&s.d, 2, 0));
    memset(link, 0, sizeof(link));
    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_string_equal(link, c->pty.path);
    end(&s);
}

/* A channel: bytes both ways through a unix socket, kept while nobody is there, no log. */
static void test_channel(void **state)
{
    struct setup s;
    char path[64];
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    (void)state;
    begin(&s);
    (void)snprintf(path, sizeof(path), "%s/channel", s.dir);
    struct console_place place = {
        .domid = 1, .number = 1, .name = "web", .frame = 1, .port = 9, .path = path
    };
    fake.is_there[1] = true;
    place.frame = 1ull << 32; /* no grant */
    assert_null(console_open(&s.d, &place));
    place.frame = 1;
    struct console *c = console_open(&s.d, &place);
    assert_non_null(c);
    assert_ptr_equal(console_find(&s.d, 1, 1), c);
    assert_null(console_find(&s.d, 1, 0));
    fake.is_there[2] = true;
    place.domid = 2;
    assert_null(console_open(&s.d, &place)); /* the path is served already */
    for (int i = 0; i < 4; i++) {            /* the client that asked for that leaves */
        assert_int_equal(evloop_turn(s.d.loop, 10), 0);
    }
    assert_int_equal(c->terminal.fd, -1);
    print_as_guest(1, "early");
    turn(&s, 1);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(evloop_turn(s.d.loop, 100), 0);
    expect_read(fd, "early");
    int second = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;
    assert_int_equal(connect(second, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(evloop_turn(s.d.loop, 100), 0);
    assert_int_equal(read(second, &byte, 1), 0); /* one client at a time */
    close(second);
    assert_int_equal(write(fd, "to guest", 8), 8);
    expect_input(&s, 8);
    print_as_guest(1, "from guest");
    turn(&s, 1);
    expect_read(fd, "from guest");
    close(fd);
    for (int i = 0; i < 100 && c->terminal.fd >= 0; i++) {
        assert_int_equal(evloop_turn(s.d.loop, 10), 0);
    }
    fd = socket(AF_UNIX, SOCK_STREAM, 0); /* the next one */
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(evloop_turn(s.d.loop, 100), 0);
    print_as_guest(1, "more");
    turn(&s, 1);
    expect_read(fd, "more");
    /* It comes back before anybody has seen it go; what it said first is not lost. */
    assert_int_equal(write(fd, "bye", 3), 3);
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(evloop_turn(s.d.loop, 100), 0);
    expect_input(&s, 8 + 3);
    print_as_guest(1, "again");
    turn(&s, 1);
    expect_read(fd, "again");
    assert_int_equal(size_of(s.dir, "console-web-1.log"), -1);
    console_died(c);
    assert_null(s.d.consoles);
    assert_false(fake.is_mapped[1]);
    assert_true(access(path, F_OK) < 0);
    close(fd);
    end(&s);
}

static void test_no_ring(void **state)
{
    struct console_place place = { .domid = 3, .name = "x", .frame = 5, .port = 9 };
    struct setup s;

    (void)state;
    begin(&s);
    fake.is_there[3] = false;
    assert_null(console_open(&s.d, &place));
    fake.is_there[3] = true;
    place.port = 1; /* no such port */
    assert_null(console_open(&s.d, &place));
    assert_false(fake.is_mapped[3]);
    assert_null(s.d.consoles);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring),        cmocka_unit_test(test_log_budget),
        cmocka_unit_test(test_both_ways),   cmocka_unit_test(test_flood),
        cmocka_unit_test(test_broken_ring), cmocka_unit_test(test_death),
        cmocka_unit_test(test_channel),     cmocka_unit_test(test_no_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
