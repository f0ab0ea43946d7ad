/* SPDX-License-Identifier: MIT */
/* The base of the core: order of locks and their checks, the log's ring and limits, the console's
 * input. */
#include "tests/unit/core_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/event.h"
#include "abi/sched.h"
#include "arch/host/machine.h"
#include "base/console.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/panic.h"
#include "config.h"
#include "evtchn/evtchn.h"

#define RING (CONFIG_LOG_RING_KB * 1024u)

static char said[65536];
static size_t said_len;

static void hear(const char *text, size_t len)
{
    if (said_len + len < sizeof said) {
        memcpy(said + said_len, text, len);
        said_len += len;
        said[said_len] = '\0';
    }
}

static void listen(void)
{
    said_len = 0;
    said[0] = '\0';
    host_console = hear;
}

static int begin(void **state)
{
    (void)state;
    log_set_levels(LOG_INFO, LOG_WARN);
    listen();
    return 0;
}

static int end(void **state)
{
    host_console = NULL;
    console_set_switch(1, false);
    return kit_teardown(state);
}

static struct spinlock a = SPINLOCK(LOCK_life);
static struct spinlock b = SPINLOCK(LOCK_mm);
static struct spinlock irqsafe = SPINLOCK(LOCK_runq);
static struct spinlock pair1 = SPINLOCK(LOCK_evtchn);
static struct spinlock pair2 = SPINLOCK(LOCK_evtchn);

static void wrong_order(void)
{
    lock_check_take(&b);
    lock_check_take(&a);
}

static void same_twice(void)
{
    lock_check_take(&a);
    lock_check_take(&a);
}

static void interrupts_on(void)
{
    lock_check_take(&irqsafe);
}

/* Before a cpu is up it may; then whoever holds the lock may be waiting for it. */
static void interrupts_off(void)
{
    port_irq_disable();
    lock_check_take(&a);
    lock_check_drop(&a);
    lock_check_up();
    lock_check_take(&irqsafe);
    lock_check_drop(&irqsafe);
    lock_check_take(&a);
}

static void pair_same(void)
{
    port_irq_disable();
    lock_check_take(&pair1);
    lock_check_take(&pair1);
}

static void not_held(void)
{
    lock_check_drop(&a);
}

static void still_held(void)
{
    lock_check_take(&a);
    lock_check_none();
}

static const struct {
    void (*fn)(void);
    const char *text;
} faults[] = { { wrong_order, "lock life (20) taken while mm (30) is held" },
               { same_twice, "lock life (20) taken while life (20) is held" },
               { interrupts_on, "lock runq taken with interrupts on" },
               { interrupts_off, "lock life taken with interrupts off" },
               { pair_same, "lock evtchn (50) taken while evtchn (50) is held" },
               { not_held, "lock life dropped but not held" },
               { still_held, "lock life still held on the way to a guest" } };

static void test_lock_order(void **state)
{
    (void)state;
    lock_check_none();
    lock_check_take(&a);
    lock_check_take(&b);
    port_irq_disable();
    lock_check_take(&pair1);
    lock_check_take(&pair2);
    lock_check_drop(&pair1); /* not in the order of taking */
    lock_check_drop(&pair2);
    port_irq_enable();
    lock_check_drop(&a);
    lock_check_drop(&b);
    lock_check_none();
}

static struct spinlock shared_lock = SPINLOCK(LOCK_life);
static unsigned int counter;

static void *count(void *arg)
{
    static struct host_cpu cpus[4];
    struct host_cpu *me = &cpus[*(unsigned int *)arg];

    me->id = *(unsigned int *)arg;
    me->irq_on = true;
    host_this_cpu = me;
    for (unsigned int i = 0; i < 20000; i++) {
        spin_lock(&shared_lock);
        counter++;
        spin_unlock(&shared_lock);
    }
    return NULL;
}

static void test_lock_threads(void **state)
{
    static unsigned int id[4] = { 0, 1, 2, 3 };
    pthread_t t[4];

    (void)state;
    counter = 0;
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, count, &id[i]), 0);
    }
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
    }
    assert_int_equal(counter, 80000);
}

static void test_log_lines(void **state)
{
    char text[1000];

    (void)state;
    log_info("one %d", 1);
    assert_string_equal(said, "(JOIST) one 1\r\n");
    listen();
    log_debug("not shown");
    assert_string_equal(said, "");
    log_set_levels(LOG_ERR, LOG_ERR);
    log_warn("not shown");
    assert_string_equal(said, "");
    log_err("two\n"); /* one newline, not two */
    assert_string_equal(said, "(JOIST) two\r\n");
    listen();
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_err("%s", text); /* cut, and still a line */
    assert_int_equal(said_len, 320 - 1 + 1);
    assert_string_equal(said + said_len - 3, "x\r\n");
    listen();
    log_raw("a\nb\r\nc", 6);
    assert_string_equal(said, "a\r\nb\r\nc");
    log_raw("\n", 1);
    listen();
    log_raw("x\r", 2); /* across two calls too */
    log_raw("\n", 1);
    assert_string_equal(said, "x\r\n");
}

static void test_log_guest(void **state)
{
    struct domain *d = kit_domain(7, 1);
    unsigned int lines = 0;

    (void)state;
    kit_advance(UINT64_C(10000000000));
    listen();
    log_guest(d, LOG_INFO, "below the level");
    assert_string_equal(said, "");
    for (unsigned int i = 0; i < 1000; i++) {
        log_guest(d, LOG_WARN, "flood");
    }
    for (const char *p = said; (p = strstr(p, "(JOIST) d7 flood\r\n")) != NULL; p++) {
        lines++;
    }
    assert_int_equal(lines, 20);
    kit_advance(UINT64_C(1000000000)); /* five more a second */
    listen();
    lines = 0;
    for (unsigned int i = 0; i < 1000; i++) {
        log_guest(d, LOG_WARN, "flood");
    }
    for (const char *p = said; (p = strstr(p, "flood")) != NULL; p++) {
        lines++;
    }
    assert_int_equal(lines, 5);
}

static void test_log_ring(void **state)
{
    static char out[RING + 1024];
    uint32_t index = 0;

    (void)state;
    (void)log_read(out, sizeof out, &index, false, true);
    log_err("first");
    index = 0;
    assert_int_equal(log_read(out, sizeof out, &index, false, false), 14);
    assert_memory_equal(out, "(JOIST) first\n", 14);
    uint32_t next = index;
    assert_int_equal(log_read(out, sizeof out, &next, true, false), 0);
    log_err("second");
    assert_int_equal(log_read(out, 8, &next, true, false), 8); /* a piece, then the rest */
    assert_int_equal(log_read(out, sizeof out, &next, true, false), 7);
    assert_memory_equal(out, "second\n", 7);
    log_raw("not kept\n", 9);
    assert_int_equal(log_read(out, sizeof out, &next, true, false), 0);
    /* A reader that was left behind, and one with an index of the future, start at the oldest. */
    uint32_t old = next;
    for (unsigned int i = 0; i < RING / 16 + 100; i++) {
        log_err("%07u", i % 10000000);
    }
    assert_int_equal(log_read(out, sizeof out, &old, true, false), RING);
    old += 12345;
    assert_int_equal(log_read(out, sizeof out, &old, true, false), RING);
    assert_int_equal(log_read(out, 0, &old, false, true), 0);
    assert_int_equal(log_read(out, sizeof out, &old, false, false), 0);
}

static void type(const char *s)
{
    while (*s != '\0') {
        console_input(*s++);
    }
}

static void test_console(void **state)
{
    char got[2000];
    struct domain *d0 = kit_domain(0, 1);
    struct evtchn_bind_virq v = { .virq = VIRQ_CONSOLE };

    (void)state;
    assert_int_equal(kit_call(d0->vcpu[0], hc_event_channel_op, EVTCHNOP_bind_virq, &v, 0), 0);
    console_set_switch(1, false);
    console_give_to_dom0();
    listen();
    type("hi");
    assert_true(d0->shared->evtchn_pending[0] >> v.port & 1);
    assert_int_equal(console_read(got, 1), 1);
    assert_int_equal(console_read(got + 1, sizeof got), 1);
    assert_memory_equal(got, "hi", 2);
    assert_int_equal(console_read(got, sizeof got), 0);
    type("\1\1x\1"); /* interrupted: not a switch; dom0 gets them */
    assert_string_equal(said, "");
    assert_int_equal(console_read(got, sizeof got), 4);
    type("\1\1");
    assert_non_null(strstr(said, "input to the hypervisor"));
    (void)console_read(got, sizeof got);
    listen();
    type("h");
    assert_non_null(strstr(said, "\r\n")); /* a key: help */
    assert_int_equal(console_read(got, sizeof got), 0);
    listen();
    type("\1\1\1");
    assert_non_null(strstr(said, "input to domain 0"));
    for (unsigned int i = 0; i < 3000; i++) {
        console_input('y');
    }
    assert_int_equal(console_read(got, sizeof got), 1024); /* the rest is dropped */
    console_set_switch(0, false);                          /* no switch character */
    type("\1\1\1");
    assert_int_equal(console_read(got, sizeof got), 3);
    console_set_switch(1, true); /* stays with the hypervisor */
    console_give_to_dom0();
    listen();
    type("h");
    assert_true(said_len > 0);
    console_set_switch(1, false);
    console_give_to_dom0();
}

/* What the keys show: that it is about this machine, and that nothing changes. */
static void test_keys(void **state)
{
    static const struct {
        const char *key, *says;
    } keys[] = { { "q", "domain 9" }, { "m", "frames free" }, { "r", "cpu 1" },
                 { "e", "9" },        { "h", "panic" },       { "Z", "" } };
    struct domain *d = kit_running(9, 2);
    uint64_t refs = atomic_load(&d->refs);

    (void)state;
    console_set_switch(1, true);
    console_give_to_dom0();
    for (unsigned int i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        listen();
        type(keys[i].key);
        if (strstr(said, keys[i].says) == NULL) {
            fail_msg("key '%s' says '%s'", keys[i].key, said);
        }
    }
    assert_int_equal(atomic_load(&d->refs), refs);
    console_set_switch(1, false);
    console_give_to_dom0();
}

static unsigned int fault_index;

static void run_fault(void)
{
    faults[fault_index].fn();
}

/* In a process of its own: panic() works once. */
static _Noreturn void child_faults(void)
{
    assert_int_equal(kit_ends(run_fault), 'p');
    if (strstr(said, faults[fault_index].text) == NULL) {
        fail_msg("'%s' does not say '%s'", said, faults[fault_index].text);
    }
    _exit(strstr(said, "*** Panic on cpu 0: ") == NULL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

static void test_faults(void **state)
{
    (void)state;
    for (fault_index = 0; fault_index < sizeof faults / sizeof faults[0]; fault_index++) {
        int status = 1;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            child_faults();
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_lock_order), T(test_lock_threads), T(test_log_lines), T(test_log_guest),
        T(test_log_ring),   T(test_console),      T(test_keys),      T(test_faults),
    };

    kit_start(4);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
