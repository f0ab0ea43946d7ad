/* SPDX-License-Identifier: MIT */
/*
 * The store's client against a guest that writes without end: a store in a thread of the test puts
 * events before each of its answers, as many as it is told. Then the console daemon on top of it.
 */

#include "tests/unit/store_kit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "consoled/guests.h"
#include "libjoist/store.h"

#define FLOOD_MAX 20000

struct stand_in {
    char dir[32];
    char path[64];
    int listener;
    int fd;
    pthread_t thread;
    atomic_uint requests;
    atomic_uint of_second; /* of these: reads of what belongs to domain 2 */
    /* before each answer */
    atomic_uint events;
    atomic_bool is_varied; /* each event has a path of its own */
    const char *event_path;
    const char *event_token;
};

static void send_message(int fd, const struct xsd_sockmsg *head, const char *data)
{
    char all[sizeof(*head) + 256];

    memcpy(all, head, sizeof(*head));
    memcpy(all + sizeof(*head), data, head->len);
    (void)send(fd, all, sizeof(*head) + head->len, MSG_NOSIGNAL);
}

static void send_event(int fd, const char *path, const char *token)
{
    char data[200];
    int n = snprintf(data, sizeof(data), "%s%c%s", path, '\0', token);
    struct xsd_sockmsg head = { .type = XS_WATCH_EVENT, .len = (uint32_t)n + 1 };

    send_message(fd, &head, data);
}

/* What is in this store: two guests, each with a second console whose ring cannot be had. */
static const char *value_of(const char *path)
{
    const char *name = strrchr(path, '/');

    if (strncmp(path, "/local/domain/0/", 16) == 0) {
        return "6";
    }
    if (!strstr(path, "/device/console/1/")) {
        return NULL;
    }
    return strcmp(name, "/state") == 0        ? "3"
           : strcmp(name, "/port") == 0       ? "9"
           : strcmp(name, "/ring-ref") == 0   ? "77"
           : strcmp(name, "/connection") == 0 ? "pty"
                                              : NULL;
}

static void answer_request(struct stand_in *s, struct xsd_sockmsg *head, const char *data)
{
    const char *text = "OK";
    size_t size = 3;

    if (head->type == XS_READ || head->type == XS_DIRECTORY) {
        text = head->type == XS_READ                     ? value_of(data)
               : strcmp(data, "/local/domain") == 0      ? "1\0002"
               : strstr(data, "/device/console") != NULL ? "1"
                                                         : NULL;
        size = head->type == XS_READ && text ? strlen(text) : 2;
        size = text && strcmp(data, "/local/domain") == 0 ? 4 : size;
        if (!text) {
            head->type = XS_ERROR;
            text = "ENOENT";
            size = 7;
        }
        s->of_second += strncmp(data, "/local/domain/2/device", 22) == 0;
    }
    head->len = (uint32_t)size;
    send_message(s->fd, head, text);
}

static void *run_store(void *arg)
{
    struct stand_in *s = arg;
    char data[XENSTORE_PAYLOAD_MAX + 1];
    char path[128];
    struct xsd_sockmsg head;
    unsigned int number = 0;

    s->fd = accept(s->listener, NULL, NULL);
    while (recv(s->fd, &head, sizeof(head), MSG_WAITALL) == (ssize_t)sizeof(head)) {
        if (head.len > XENSTORE_PAYLOAD_MAX ||
            (head.len > 0 && recv(s->fd, data, head.len, MSG_WAITALL) != (ssize_t)head.len)) {
            break;
        }
        data[head.len] = '\0';
        for (unsigned int i = s->events; i > 0; i--) {
            (void)snprintf(path, sizeof(path), s->is_varied ? "%s/x%u" : "%s", s->event_path,
                           number++);
            send_event(s->fd, path, s->event_token);
        }
        s->requests++;
        answer_request(s, &head, data);
    }
    return NULL;
}

static void begin(struct stand_in *s)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    memset(s, 0, sizeof(*s));
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/client-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->path, sizeof(s->path), "%s/store", s->dir);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(setenv("XENSTORED_PATH", s->path, 1), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, run_store, s), 0);
    (void)alarm(120); /* a loop without an end is a failure */
}

/* After the client has left. */
static void end(struct stand_in *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    close(s->fd);
    close(s->listener);
    assert_int_equal(unlink(s->path), 0);
    assert_int_equal(rmdir(s->dir), 0);
    (void)alarm(0);
}

static void expect_event(struct store *c, const char *path)
{
    struct store_event e;

    assert_true(store_next_event(c, &e));
    assert_string_equal(e.path, path);
    store_event_free(&e);
}

/* One request, so that all that the store has said before its answer has been read. */
static void settle(struct store *c)
{
    char *text;

    (void)store_read(c, 0, "/nothing", &text);
    free(text);
}

static void test_one_each(void **state)
{
    struct stand_in s;
    struct store_event e;

    (void)state;
    begin(&s);
    struct store *c = store_open();
    assert_non_null(c);
    assert_int_equal(store_watch(c, "@releaseDomain", "x"), 0);
    assert_int_equal(store_watch(c, "/a", "t"), 0);
    assert_int_equal(store_watch_depth(c, "/b", "t", 1), 0);
    assert_int_equal(store_events_due(c), 0);
    /* a flood of paths that are all different, then what must not be lost */
    s.event_path = "/a";
    s.event_token = "t";
    s.is_varied = true;
    s.events = FLOOD_MAX;
    settle(c);
    assert_int_equal(store_events_due(c), 1);
    s.events = 1;
    s.is_varied = false;
    s.event_path = "@releaseDomain";
    s.event_token = "x";
    settle(c);
    s.event_path = "/a/b/c/d";
    s.event_token = "t";
    settle(c);
    assert_int_equal(store_events_due(c), 2);
    expect_event(c, "/a");
    settle(c);
    expect_event(c, "@releaseDomain"); /* before the next one of who floods */
    expect_event(c, "/a");
    /* levels below, beginnings of names, the node above, what nobody watches */
    static const struct {
        const char *path;
        const char *token;
        unsigned int due;
    } cases[] = { { "/b", "t", 1 },       { "/b/c", "t", 1 },
                  { "/b/c/d", "t", 0 },   { "/bc", "t", 0 },
                  { "/b", "u", 0 },       { "/", "t", 2 },
                  { "@release", "x", 0 }, { "@releaseDomain/7", "x", 1 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s.event_path = cases[i].path;
        s.event_token = cases[i].token;
        settle(c);
        assert_int_equal(store_events_due(c), cases[i].due);
        while (store_next_event(c, &e)) {
            store_event_free(&e);
        }
    }
    /* a watch below the client's own directory, told either way */
    s.events = 0;
    assert_int_equal(store_watch(c, "backend", "own"), 0);
    s.events = 1;
    s.event_token = "own";
    s.event_path = "backend/vbd/1";
    settle(c);
    expect_event(c, "backend");
    s.event_path = "/local/domain/5/backend/vbd/1";
    settle(c);
    expect_event(c, "backend");
    /* an event that waits goes with its watch, and late ones are nobody's */
    s.event_path = "/b";
    s.event_token = "t";
    settle(c);
    assert_int_equal(store_events_due(c), 1);
    assert_int_equal(store_unwatch(c, "/b", "t"), 0);
    settle(c);
    assert_int_equal(store_events_due(c), 0);
    store_close(c);
    end(&s);
}

/* The store tells of a watch before it answers that there is one. */
static void test_first_event(void **state)
{
    struct stand_in s;

    (void)state;
    begin(&s);
    struct store *c = store_open();
    s.event_path = "/a";
    s.event_token = "t";
    s.events = 1;
    assert_int_equal(store_watch_depth(c, "/a", "t", 0), 0);
    expect_event(c, "/a");
    assert_int_equal(store_watch(c, "/a", "t"), 0); /* a second time: still one */
    assert_int_equal(store_events_due(c), 1);
    store_close(c);
    end(&s);
}

/* Reading what has arrived comes to an end while more arrives. */
static void test_pump(void **state)
{
    struct stand_in s;
    unsigned int pumps = 0;

    (void)state;
    begin(&s);
    struct store *c = store_open();
    assert_int_equal(store_watch(c, "/a", "t"), 0);
    static const struct xsd_sockmsg head = { .type = XS_WATCH_EVENT, .len = 5 };
    static char all[600 * (sizeof(head) + 5)];
    for (size_t i = 0; i < sizeof(all); i += sizeof(head) + 5) {
        memcpy(all + i, &head, sizeof(head));
        memcpy(all + i + sizeof(head), "/a\0t", 5);
    }
    assert_int_equal(send(s.fd, all, sizeof(all), 0), sizeof(all));
    struct pollfd p = { .fd = store_fd(c), .events = POLLIN };
    for (; poll(&p, 1, 0) > 0; pumps++) {
        assert_int_equal(store_pump(c), 0);
    }
    assert_true(pumps >= 3);
    assert_int_equal(store_events_due(c), 1);
    (void)shutdown(s.fd, SHUT_RDWR);
    assert_int_equal(store_pump(c), -ENOTCONN);
    store_close(c);
    end(&s);
}

struct world {
    struct stand_in s;
    struct consoled d;
    struct guests g;
    char log[64];
};

static void begin_daemon(struct world *w)
{
    struct kit k;

    kit_prepare(&k);
    memset(w, 0, sizeof(*w));
    begin(&w->s);
    (void)snprintf(w->log, sizeof(w->log), "%s/log", w->s.dir);
    assert_int_equal(log_open("test", w->log), 0);
    assert_int_equal(joist_open(&w->d.xen), 0);
    w->d.loop = evloop_new();
    w->d.log_dir = w->s.dir;
    w->d.link_dir = w->s.dir;
    w->d.log_budget = 1u << 20;
    guests_begin(&w->g, &w->d);
    assert_true(w->g.is_listening);
}

static void end_daemon(struct world *w)
{
    guests_end(&w->g);
    evloop_free(w->d.loop);
    joist_close(w->d.xen);
    assert_int_equal(unlink(w->log), 0);
    end(&w->s);
}

static unsigned int log_lines(const struct world *w, const char *word)
{
    char line[2048];
    unsigned int n = 0;
    FILE *f = fopen(w->log, "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        n += strstr(line, word) != NULL;
    }
    (void)fclose(f);
    return n;
}

/* A guest whose every look at it brings the next event: a turn ends, and the other has its turn. */
static void test_daemon_fair(void **state)
{
    struct world w;

    (void)state;
    begin_daemon(&w);
    while (guests_turn(&w.g)) { /* what the start has brought */
    }
    w.s.event_path = "/local/domain/1/device/console/1/state";
    w.s.event_token = "console";
    w.s.events = 100;
    send_event(w.s.fd, w.s.event_path, w.s.event_token);
    assert_int_equal(evloop_turn(w.d.loop, 1000), 0);
    for (int i = 0; i < 200; i++) {
        unsigned int before = w.s.requests;

        assert_true(guests_turn(&w.g)); /* there is more, and yet it comes back */
        assert_true(w.s.requests - before < 100);
        if (i % 50 == 25) { /* the other guest */
            unsigned int seen = w.s.of_second;

            send_event(w.s.fd, "/local/domain/2/device/console/1/state", "console");
            assert_int_equal(evloop_turn(w.d.loop, 1000), 0);
            assert_true(guests_turn(&w.g));
            assert_true(guests_turn(&w.g));
            assert_true(w.s.of_second > seen);
        }
    }
    /* each look has failed to open the guest's console, and said so up to a limit */
    assert_true(w.s.requests > 1000);
    assert_in_range(log_lines(&w, "console 1 of domain 1:"), LOG_BURST, LOG_BURST + 3);
    assert_true(log_lines(&w, "console 1 of domain 2:") >= 1);
    end_daemon(&w);
}

/* What a guest writes below the nodes that are read is no reason to ask the store anything. */
static void test_daemon_deep(void **state)
{
    struct world w;

    (void)state;
    begin_daemon(&w);
    while (guests_turn(&w.g)) {
    }
    unsigned int before = w.s.requests;
    for (int i = 0; i < 40; i++) {
        send_event(w.s.fd, "/local/domain/1/device/console/1/state/a", "console");
        send_event(w.s.fd, "/local/domain/1/console/tty/a", "console");
    }
    assert_int_equal(evloop_turn(w.d.loop, 1000), 0);
    assert_false(guests_turn(&w.g));
    assert_int_equal(w.s.requests, before);
    end_daemon(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_each),    cmocka_unit_test(test_first_event),
        cmocka_unit_test(test_pump),        cmocka_unit_test(test_daemon_fair),
        cmocka_unit_test(test_daemon_deep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
