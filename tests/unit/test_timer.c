/* SPDX-License-Identifier: MIT */
/* Timers: order, deadlines, removal from every place of the heap, moves between cpus; and a long
 * random run beside a plain list. */
#include "tests/unit/core_kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/machine.h"
#include "base/timer.h"
#include "port/cpu.h"
#include "port/time.h"

#define CPUS   2u
#define TIMERS 64u

static struct timer timers[TIMERS];
static unsigned int fired[4096]; /* which, in order */
static unsigned int fired_cpu[4096];
static size_t fired_count;

static void fire(void *data)
{
    assert_true(fired_count < 4096);
    assert_true(port_irq_enabled());
    fired[fired_count] = (unsigned int)((struct timer *)data - timers);
    fired_cpu[fired_count++] = port_cpu_id();
}

static int begin(void **state)
{
    (void)state;
    host_cpu_enter(0);
    for (unsigned int i = 0; i < TIMERS; i++) {
        timer_init(&timers[i], fire, &timers[i], 0);
    }
    fired_count = 0;
    return 0;
}

static int end(void **state)
{
    for (unsigned int i = 0; i < TIMERS; i++) {
        timer_stop(&timers[i]);
        assert_false(timer_is_set(&timers[i]));
    }
    return kit_teardown(state);
}

static void test_order(void **state)
{
    uint64_t t0 = port_time_now();

    (void)state;
    for (unsigned int i = 0; i < TIMERS; i++) {
        timer_set(&timers[i], t0 + 1000 + i * 37 % TIMERS * 10);
        assert_true(timer_is_set(&timers[i]));
    }
    timer_run();
    assert_int_equal(fired_count, 0); /* nothing is due */
    assert_true(host_deadline(0) <= t0 + 1000);
    host_advance(999);
    timer_run();
    assert_int_equal(fired_count, 0);
    host_advance(1); /* the very moment */
    timer_run();
    assert_int_equal(fired_count, 1);
    assert_int_equal(fired[0], 0);
    assert_false(timer_is_set(&timers[0]));
    assert_true(host_deadline(0) <= t0 + 1010);
    host_advance(10 * TIMERS);
    timer_run();
    assert_int_equal(fired_count, TIMERS);
    for (unsigned int i = 0; i < TIMERS; i++) {
        assert_int_equal(fired[i] * 37 % TIMERS, i);
    }
}

/* ---- a timer whose function sets it again, while another cpu stops it ---- */

static struct timer obstinate;
static atomic_bool is_running, is_stopping;

static void set_again(void *data)
{
    atomic_store(&is_running, true);
    while (!atomic_load(&is_stopping)) {
    }
    /* The other cpu has seen it run, or is about to. */
    for (unsigned int i = 0; i < 100000; i++) {
        port_cpu_relax();
    }
    timer_set(data, port_time_now() + 1000);
}

static void *run_it(void *arg)
{
    (void)arg;
    host_cpu_enter(1);
    timer_run();
    return NULL;
}

static void test_stop_while_it_runs(void **state)
{
    pthread_t other;

    (void)state;
    timer_init(&obstinate, set_again, &obstinate, 1);
    timer_set(&obstinate, port_time_now());
    assert_int_equal(pthread_create(&other, NULL, run_it, NULL), 0);
    while (!atomic_load(&is_running)) {
    }
    atomic_store(&is_stopping, true);
    timer_stop(&obstinate);
    assert_false(timer_is_set(&obstinate)); /* its memory may be another's now */
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_false(timer_is_set(&obstinate));
}

/* Again while it is armed: once, at the new time, be it sooner or later. */
static void test_set_again(void **state)
{
    uint64_t t0 = port_time_now();

    (void)state;
    timer_set(&timers[1], t0 + 500);
    timer_set(&timers[0], t0 + 100);
    timer_set(&timers[0], t0 + 1000);
    host_advance(600);
    timer_run();
    assert_int_equal(fired_count, 1);
    assert_int_equal(fired[0], 1);
    timer_set(&timers[0], t0 + 650);
    assert_true(host_deadline(0) <= t0 + 650);
    host_advance(60);
    timer_run();
    assert_int_equal(fired_count, 2);
    host_advance(1000);
    timer_run();
    assert_int_equal(fired_count, 2);
    /* In the past: the cpu has work at once. */
    (void)port_cpu_take_work();
    timer_set(&timers[2], 1);
    assert_true(port_cpu_take_work() & CW_TIMER);
    timer_run();
    assert_int_equal(fired_count, 3);
}

static void test_stop(void **state)
{
    struct timer never = { 0 };
    uint64_t t0 = port_time_now();

    (void)state;
    timer_stop(&never);
    timer_stop(&timers[0]); /* not armed */
    for (unsigned int gone = 0; gone < 16; gone++) {
        fired_count = 0;
        t0 = port_time_now();
        for (unsigned int i = 0; i < 16; i++) {
            timer_set(&timers[i], t0 + 100 + i * 5 % 16);
        }
        /* Let the heap get some depth first. */
        host_advance(100);
        timer_run();
        assert_int_equal(fired_count, 1);
        timer_stop(&timers[gone]);
        assert_false(timer_is_set(&timers[gone]));
        host_advance(1000);
        timer_run();
        assert_int_equal(fired_count, gone == 0 ? 16 : 15);
        for (size_t i = 1; i < fired_count; i++) {
            assert_int_not_equal(fired[i], gone);
            assert_true(fired[i] * 5 % 16 > fired[i - 1] * 5 % 16);
        }
    }
}

static struct timer *again_what;
static unsigned int again_left;

static void again(void *data)
{
    fire(data);
    if (again_left-- > 0) {
        timer_set(data, port_time_now() + 10);
    }
    if (again_what != NULL) {
        timer_stop(again_what);
    }
}

/* What a timer's function may do: arm itself, stop itself and others. */
static void test_in_function(void **state)
{
    (void)state;
    timer_init(&timers[0], again, &timers[0], 0);
    again_left = 3;
    again_what = NULL;
    timer_set(&timers[0], port_time_now() + 10);
    kit_advance(1000);
    assert_int_equal(fired_count, 4);
    again_left = 5;
    again_what = &timers[0]; /* stopped right after it is armed */
    timer_set(&timers[0], port_time_now() + 10);
    kit_advance(1000);
    assert_int_equal(fired_count, 5);
    again_left = 0;
    again_what = &timers[1]; /* due at the same time */
    timer_set(&timers[0], port_time_now() + 10);
    timer_set(&timers[1], port_time_now() + 11);
    host_advance(50);
    timer_run();
    assert_int_equal(fired_count, 6);
    assert_false(timer_is_set(&timers[1]));
}

static void test_migrate(void **state)
{
    uint64_t t0 = port_time_now();

    (void)state;
    timer_migrate(&timers[0], 0);
    timer_migrate(&timers[0], 1); /* not armed */
    assert_false(timer_is_set(&timers[0]));
    timer_set(&timers[1], t0 + 100);
    timer_set(&timers[2], t0 + 50);
    host_record.raised[1] = 0;
    timer_migrate(&timers[1], 1);
    assert_true(host_record.raised[1] & CW_TIMER); /* its deadline is its own to set */
    timer_set(&timers[0], t0 + 200);
    kit_settle();
    assert_true(host_deadline(1) <= t0 + 100);
    kit_advance(1000);
    assert_int_equal(fired_count, 3);
    assert_int_equal(fired[0], 2);
    assert_int_equal(fired_cpu[0], 0);
    assert_int_equal(fired[1], 1);
    assert_int_equal(fired_cpu[1], 1);
    assert_int_equal(fired[2], 0);
    assert_int_equal(fired_cpu[2], 1);
    /* There and back. */
    timer_set(&timers[1], port_time_now() + 100);
    timer_migrate(&timers[1], 0);
    kit_advance(1000);
    assert_int_equal(fired_count, 4);
    assert_int_equal(fired_cpu[3], 0);
}

/* Beside a plain array of what is armed. */
static void test_random(void **state)
{
    uint64_t when[TIMERS] = { 0 };
    uint32_t x = 12345;

    (void)state;
    for (unsigned int n = 0; n < 30000; n++) {
        x = x * 1664525u + 1013904223u;
        unsigned int i = x >> 8 & (TIMERS - 1);
        switch (x >> 24 & 7) {
        case 0:
            timer_stop(&timers[i]);
            when[i] = 0;
            break;
        case 1: {
            uint64_t now, last = 0;
            size_t due = 0;
            host_advance(x >> 16 & 63);
            now = port_time_now();
            fired_count = 0;
            timer_run();
            for (unsigned int k = 0; k < TIMERS; k++) {
                due += when[k] != 0 && when[k] <= now;
            }
            assert_int_equal(fired_count, due);
            for (size_t k = 0; k < fired_count; k++) {
                assert_true(when[fired[k]] >= last && when[fired[k]] <= now);
                last = when[fired[k]];
                assert_true(last != 0);
            }
            for (size_t k = 0; k < fired_count; k++) {
                when[fired[k]] = 0;
            }
            break;
        }
        default:
            when[i] = port_time_now() + 1 + (x >> 4 & 255);
            timer_set(&timers[i], when[i]);
            break;
        }
        assert_int_equal(timer_is_set(&timers[i]), when[i] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, begin, end),
        cmocka_unit_test_setup_teardown(test_set_again, begin, end),
        cmocka_unit_test_setup_teardown(test_stop, begin, end),
        cmocka_unit_test_setup_teardown(test_in_function, begin, end),
        cmocka_unit_test_setup_teardown(test_migrate, begin, end),
        cmocka_unit_test_setup_teardown(test_random, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_while_it_runs, begin, end),
    };

    kit_start(CPUS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
