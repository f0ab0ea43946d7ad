/* SPDX-License-Identifier: MIT */
/*
 * The store daemon in a process of its own, killed at random moments while clients work: guests on
 * shared rings, and the stock command-line clients on the socket.
 */

#include "tests/unit/store_kit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "stored/conn_sock.h"

#define ROUNDS 400

static char socket_path[64];
static pid_t daemon_pid;
static unsigned int kills;

/* The daemon: as main() does it, but that its event channels are looked at every turn. */
static void daemon_run(const struct kit *k)
{
    struct server *s = calloc(1, sizeof(*s));

    log_verbose(-1);
    server_init(s);
    s->loop = evloop_new();
    if (joist_open(&s->xen) < 0 || server_load(s, k->journal) < 0 || server_attach(s) < 0 ||
        sock_listen(s, socket_path) < 0) {
        _exit(1);
    }
    for (;;) {
        ring_on_event(&s->evtchn, 0);
        (void)server_turn(s, 1);
    }
}

static void daemon_start(const struct kit *k)
{
    (void)fflush(NULL);
    daemon_pid = fork();
    assert_true(daemon_pid >= 0);
    if (daemon_pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        daemon_run(k);
    }
}

static void daemon_kill(void)
{
    int status;

    assert_int_equal(kill(daemon_pid, SIGKILL), 0);
    assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it ran until now */
}

static void begin(struct kit *k)
{
    kit_prepare(k);
    (void)snprintf(socket_path, sizeof(socket_path), "/tmp/store-test-%d.sock", (int)getpid());
    daemon_start(k);
}

static void end(struct kit *k)
{
    daemon_kill();
    for (int i = 0; i < FAKE_DOMAINS; i++) {
        buf_free(&k->in[i]);
        buf_free(&k->events[i]);
    }
    (void)unlink(k->journal);
    (void)unlink(socket_path);
}

static void pause_us(unsigned int us)
{
    struct timespec ts = { .tv_nsec = us * 1000L };

    (void)nanosleep(&ts, NULL);
}

/* Sends a request and waits for its answer; the daemon may be killed anywhere on the way, with a
   chance of one in `odds`. */
static const struct answer *ask_killing(struct kit *k, uint16_t domid,
                                        const struct xsd_sockmsg *head, const void *payload,
                                        int odds)
{
    uint8_t message[CONN_MESSAGE_MAX];
    size_t len = sizeof(*head) + head->len;
    size_t sent = 0;
    const struct answer *a = NULL;
    int moment = rand() % odds == 0 ? rand() % 8 : -1;

    memcpy(message, head, sizeof(*head));
    memcpy(message + sizeof(*head), payload, head->len);
    for (int i = 0; i < 50000 && !a; i++) {
        sent += ring_feed(domid, message + sent, len - sent);
        kit_kick(k, domid);
        if (i == moment) {
            pause_us((unsigned int)rand() % 300);
            daemon_kill();
            daemon_start(k);
            kills++;
        }
        a = answer_next(k, domid);
        if (!a) {
            pause_us(100);
        }
    }
    assert_non_null(a);
    assert_int_equal(a->head.req_id, head->req_id);
    return a;
}

static const struct answer *say(struct kit *k, uint16_t domid, uint32_t type, uint32_t tx,
                                const char *text, int odds)
{
    char payload[XENSTORE_PAYLOAD_MAX];
    struct xsd_sockmsg head = {
        .type = type, .req_id = k->next_id++, .tx_id = tx, .len = (uint32_t)strlen(text)
    };

    for (size_t i = 0; i < head.len; i++) {
        payload[i] = text[i] == '|' ? '\0' : text[i];
    }
    return ask_killing(k, domid, &head, payload, odds);
}

static void one_transaction(struct kit *k, int i)
{
    char text[64];

    const struct answer *a = say(k, 0, XS_TRANSACTION_START, 0, "|", 3);
    uint32_t t = (uint32_t)strtoul(a->data, NULL, 10);
    (void)snprintf(text, sizeof(text), "/txn/%d|in", i);
    OK(say(k, 0, XS_WRITE, t, text, 3));
    a = say(k, 0, XS_TRANSACTION_END, t, "T|", 3);
    bool is_done = a->head.type != XS_ERROR;
    if (!is_done) {
        ERR(a, "EAGAIN");
    }
    (void)snprintf(text, sizeof(text), "/txn/%d|", i);
    a = say(k, 0, XS_READ, 0, text, 3);
    if (is_done) {
        IS(a, "in");
    } else {
        ERR(a, "ENOENT");
    }
}

static void one_large(struct kit *k, int i)
{
    char payload[XENSTORE_PAYLOAD_MAX];
    struct xsd_sockmsg head = { .type = XS_WRITE, .req_id = k->next_id++, .len = 4000 };

    memset(payload, 'a' + i % 26, sizeof(payload));
    memcpy(payload, "/lg", 4);
    OK(ask_killing(k, 0, &head, payload, 2));
    const struct answer *a = say(k, 0, XS_READ, 0, "/lg|", 2);
    assert_int_equal(a->head.len, 3996);
    assert_memory_equal(a->data, payload + 4, 3996);
}

static void test_random_kills(void **state)
{
    const char *seed = getenv("STORE_SEED"); /* to look for more */
    char text[64];
    struct kit k;

    (void)state;
    srand(seed ? (unsigned int)atoi(seed) : 3);
    begin(&k);
    OK(say(&k, 0, XS_INTRODUCE, 0, "1|77|7|", 100));
    OK(say(&k, 0, XS_MKDIR, 0, "/local/domain/1|", 100));
    OK(say(&k, 0, XS_SET_PERMS, 0, "/local/domain/1|n1|", 100));
    OK(say(&k, 1, XS_WATCH, 0, "x|t|", 100));
    (void)pause_us(1000);
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(text, sizeof(text), "x/%d|v%d", i, i);
        OK(say(&k, 1, XS_WRITE, 0, text, 2));
        if (i % 8 == 0) {
            one_transaction(&k, i);
        }
        if (i % 16 == 0) {
            one_large(&k, i);
        }
    }
    for (int i = 0; i < ROUNDS; i++) {
        char want[32];
        (void)snprintf(text, sizeof(text), "x/%d|", i);
        (void)snprintf(want, sizeof(want), "v%d", i);
        IS(say(&k, 1, XS_READ, 0, text, 50), want);
    }
    /* each event came, in order, once */
    buf_add(&k.events[1], "", 1);
    const char *line = buf_data(&k.events[1]);
    assert_int_equal(strncmp(line, "x|t\n", 4), 0);
    line += 4;
    for (int i = 0; i < ROUNDS; i++) {
        int n = snprintf(text, sizeof(text), "x/%d|t\n", i);
        assert_int_equal(strncmp(line, text, (size_t)n), 0);
        line += n;
    }
    assert_string_equal(line, "");
    print_message("%u kills\n", kills);
    assert_true(kills > ROUNDS / 8);
    end(&k);
}

/* Runs a shell line with the clients pointed at our socket; compares what it prints. */
static void shell(const char *line, const char *want)
{
    char command[512];
    char got[1024];

    (void)snprintf(command, sizeof(command), "XENSTORED_PATH=%s; export XENSTORED_PATH; %s",
                   socket_path, line);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof(got) - 1, f);
    got[n] = '\0';
    int status = pclose(f);
    if (strcmp(got, want) != 0) {
        print_error("$ %s (status %d)\n", line, status);
    }
    assert_string_equal(got, want);
}

static void test_stock_clients(void **state)
{
    struct kit k;

    (void)state;
    if (system("command -v xenstore-ls >/dev/null") != 0) {
        skip();
    }
    begin(&k);
    shell("for i in $(seq 200); do xenstore-exists / && break; sleep 0.05; done 2>/dev/null", "");
    shell("xenstore-write /a/b one /a/c two /a/d/e three; echo $?", "0\n");
    shell("xenstore-read /a/b /a/c", "one\ntwo\n");
    shell("xenstore-list /a", "b\nc\nd\n");
    shell("xenstore-ls /a", "b = \"one\"\nc = \"two\"\nd = \"\"\n e = \"three\"\n");
    shell("xenstore-chmod /a/b n0 r5; xenstore-ls -p /a | grep -c n0,r5", "1\n");
    shell("xenstore-exists /a/b && echo yes; xenstore-exists /a/x || echo no", "yes\nno\n");
    shell("xenstore-read /a/x 2>&1", "xenstore-read: couldn't read path /a/x\n");
    shell("xenstore-rm /a/d; xenstore-list /a", "b\nc\n");
    shell("W=$XENSTORED_PATH.w; timeout 60 xenstore-watch -n 3 /a > $W & "
          "until [ -s $XENSTORED_PATH.w ]; do sleep 0.05; done; xenstore-write /a/w 1;"
          "xenstore-rm /a/b; wait; tr '\\n' ' ' < $XENSTORED_PATH.w; rm $XENSTORED_PATH.w",
          "/a /a/w /a/b ");
    daemon_kill();
    shell("xenstore-read /a/c 2>/dev/null || echo none", "none\n");
    daemon_start(&k);
    shell("for i in $(seq 200); do xenstore-exists /a && break; sleep 0.05; done 2>/dev/null", "");
    shell("xenstore-list /a; xenstore-read /a/w", "c\nw\n1\n");
    end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_kills),
        cmocka_unit_test(test_stock_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
