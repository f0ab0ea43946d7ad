/* SPDX-License-Identifier: MIT */
/*
 * An explorer of what three ports of each of two domains can become: given out, bound to each
 * other, to virtual interrupts and to other vcpus, sent to, masked, moved, closed, reset, and the
 * end of either domain.  The first domain has two vcpus on two cpus: a reset by the first, and the
 * end of the other domain, may stop half-way while the second does others.
 *
 * The ports are numbers 63 to 65, so that a reset, which looks up every 64 ports whether it is to
 * stop, does so among them, and 66 is beyond the table.  After each step the rooms' audits are
 * made, both ends of each pair are asked for, and no event may have been lost: a port that is
 * pending and not masked has told its vcpu.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "abi/event.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "evtchn/evtchn.h"
#include "evtchn/evtchn_priv.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "tests/unit/explore.h"
#include "tests/unit/mm_kit.h"

#define FIRST 63u
#define PORTS 3u
#define OPS   96u

enum what {
    UNBOUND,      /* for the other domain */
    UNBOUND_SELF, /* for itself */
    BIND,         /* to the other's port */
    BIND_SELF,
    VIRQ_LOCAL, /* the timer's, of a vcpu */
    VIRQ_GLOBAL,
    IPI,
    CLOSE,
    SEND,
    RAISE,        /* the timer's interrupt of vcpu 1 */
    RAISE_GLOBAL, /* the console's */
    MASK,
    UNMASK,
    MOVE0, /* to vcpu 0 */
    MOVE1,
    CONSUME, /* the domain has looked at everything pending and not masked */
    PRIORITY,
    RESET,
    RESET_STEP, /* may stop */
    END_STEP,
    END,
    WHATS
};

static const char *const names[WHATS] = {
    "alloc",
    "alloc for itself",
    "bind",
    "bind to itself",
    "bind timer",
    "bind console",
    "bind ipi",
    "close",
    "send",
    "raise timer",
    "raise console",
    "mask",
    "unmask",
    "move to 0",
    "move to 1",
    "consume",
    "set priority",
    "reset",
    "reset and stop",
    "begin to end",
    "end",
};

struct op {
    uint8_t what, dom, port; /* by its place among the three; of a vcpu if it binds one */
};

static struct op ops[OPS];
static unsigned int op_count;
static struct domain *d[2];
static bool alive[2];
static bool is_resetting; /* the first domain's first vcpu has stopped in it */
static struct evtchn_reset reset_arg;
static struct hcall_args reset_args;
static uint64_t free_before, stops, sent;

/* ---- the world ---- */

static void load_all(void)
{
    for (unsigned int cpu = 0; cpu < 3; cpu++) {
        unsigned int i = cpu == 2;
        host_cpu_enter(cpu);
        host_load(d[i] != NULL && alive[i] ? d[i]->vcpu[cpu & 1] : NULL);
    }
    host_cpu_enter(0);
}

static void world(void)
{
    free_before = heap_free_frames();
    for (unsigned int i = 0; i < 2; i++) {
        d[i] = host_domain(2, 64, false);
        domain_ref(d[i]);
        alive[i] = true;
        struct evtchn_table *t = d[i]->evtchn;
        for (uint32_t port = 1; port < FIRST; port++) {
            atomic_store(&evtchn_of(t, port)->word, ew_make(ES_RESERVED, 0, 0));
        }
        t->first_free = FIRST;
        t->count = FIRST + PORTS;
    }
    is_resetting = false;
    load_all();
}

static void end_of(unsigned int i)
{
    if (alive[i]) {
        alive[i] = false;
        load_all();
        host_domain_end(d[i]);
    }
    is_resetting = is_resetting && i != 0;
}

static void world_ends(void)
{
    host_inject_yields(0, 0);
    for (unsigned int i = 0; i < 2; i++) {
        end_of(i);
        domain_put(d[i]);
        d[i] = NULL;
    }
    domain_deferred_run();
    for (unsigned int cpu = 0; cpu < 3; cpu++) {
        host_cpu_enter(cpu);
        host_load(NULL);
        (void)port_cpu_take_work();
    }
    host_cpu_enter(0);
    assert_null(domain_get_next(0));
    assert_int_equal(heap_free_frames(), free_before);
}

/* ---- operations ---- */

/* As the first domain's second vcpu, or as the other domain. */
static int64_t call(unsigned int dom, unsigned int cmd, void *arg)
{
    host_cpu_enter(1 + dom);
    int64_t rc = kit_call(hc_event_channel_op, cmd, (uintptr_t)arg, 0, 0);
    host_cpu_enter(0);
    return rc;
}

/* A port that was given out lies where it may. */
static void made(int64_t rc, const uint32_t *port)
{
    assert_true(rc == 0 || rc == -ENOSPC || rc == -EINVAL || rc == -EEXIST || rc == -ESRCH);
    if (rc == 0) {
        assert_in_range(*port, FIRST, FIRST + PORTS - 1);
    }
}

static void make(const struct op *op)
{
    domid_t other = op->what == UNBOUND || op->what == BIND ? d[1 - op->dom]->id : DOMID_SELF;
    struct evtchn_alloc_unbound u = { .dom = DOMID_SELF, .remote_dom = other };
    struct evtchn_bind_interdomain b = { .remote_dom = other, .remote_port = FIRST + op->port };
    struct evtchn_bind_virq q = { .virq = VIRQ_TIMER, .vcpu = op->port };
    struct evtchn_bind_ipi p = { .vcpu = op->port };

    switch (op->what) {
    case UNBOUND:
    case UNBOUND_SELF:
        made(call(op->dom, EVTCHNOP_alloc_unbound, &u), &u.port);
        break;
    case BIND:
    case BIND_SELF:
        made(call(op->dom, EVTCHNOP_bind_interdomain, &b), &b.local_port);
        break;
    case IPI:
        made(call(op->dom, EVTCHNOP_bind_ipi, &p), &p.port);
        break;
    default:
        q.virq = op->what == VIRQ_GLOBAL ? VIRQ_CONSOLE : VIRQ_TIMER;
        made(call(op->dom, EVTCHNOP_bind_virq, &q), &q.port);
        break;
    }
}

static bool is_masked(unsigned int i, uint32_t port)
{
    return (d[i]->shared->evtchn_mask[port / 64] >> (port % 64) & 1) != 0;
}

static void consume(struct domain *of)
{
    struct shared_info *s = of->shared;

    for (unsigned int w = 0; w < 2; w++) {
        s->evtchn_pending[w] &= s->evtchn_mask[w];
    }
    for (unsigned int v = 0; v < 2; v++) {
        s->vcpu_info[v].evtchn_pending_sel = 0;
        s->vcpu_info[v].evtchn_upcall_pending = 0;
    }
}

static void go_on(void)
{
    host_inject_yields(1, 3);
    int64_t rc = hc_event_channel_op(d[0]->vcpu[0], &reset_args);
    host_inject_yields(0, 0);
    assert_true(rc == 0 || rc == HC_AGAIN || (rc == -EINVAL && domain_is_dying(d[0])));
    is_resetting = rc == HC_AGAIN;
    stops += is_resetting;
}

static void reset(unsigned int dom, bool may_stop)
{
    reset_arg = (struct evtchn_reset){ .dom = DOMID_SELF };
    if (may_stop) {
        reset_args = (struct hcall_args){ { EVTCHNOP_reset, (uintptr_t)&reset_arg, 0, 0, 0, 0 } };
        go_on();
    } else {
        assert_int_equal(call(dom, EVTCHNOP_reset, &reset_arg), 0);
    }
}

static void kill_step(unsigned int dom)
{
    alive[dom] = false;
    load_all();
    host_inject_yields(1, 3);
    if (domain_kill(d[dom]) != 0) {
        alive[dom] = true; /* to be ended */
        stops++;
    }
    host_inject_yields(0, 0);
}

/* Calls on one port. */
static void use(const struct op *op)
{
    uint32_t port = FIRST + op->port;
    struct evtchn_close c = { port };
    struct evtchn_send s = { port };
    struct evtchn_unmask u = { port };
    struct evtchn_bind_vcpu b = { .port = port, .vcpu = op->what == MOVE1 };

    switch (op->what) {
    case CLOSE:
        (void)call(op->dom, EVTCHNOP_close, &c);
        break;
    case SEND:
        sent += call(op->dom, EVTCHNOP_send, &s) == 0;
        break;
    case MASK:
        d[op->dom]->shared->evtchn_mask[port / 64] |= UINT64_C(1) << (port % 64);
        break;
    case UNMASK:
        assert_int_equal(call(op->dom, EVTCHNOP_unmask, &u), 0);
        break;
    default:
        (void)call(op->dom, EVTCHNOP_bind_vcpu, &b);
        break;
    }
}

static void whole(const struct op *op)
{
    struct evtchn_set_priority p = { .port = FIRST, .priority = 3 };

    switch (op->what) {
    case RAISE:
        virq_raise(d[op->dom]->vcpu[1], VIRQ_TIMER);
        break;
    case RAISE_GLOBAL:
        virq_raise_global(d[op->dom], VIRQ_CONSOLE);
        break;
    case CONSUME:
        consume(d[op->dom]);
        break;
    case PRIORITY:
        assert_int_equal(call(op->dom, EVTCHNOP_set_priority, &p), -ENOSYS);
        break;
    case RESET:
    case RESET_STEP:
        reset(op->dom, op->what == RESET_STEP);
        break;
    case END_STEP:
        kill_step(op->dom);
        break;
    default:
        end_of(op->dom);
        break;
    }
}

static bool apply(unsigned int n)
{
    const struct op *op = &ops[n];

    if (op->what == WHATS) {
        if (!is_resetting) {
            return false;
        }
        go_on();
        return true;
    }
    bool dying = domain_is_dying(d[op->dom]);
    bool by_guest = op->what != END && op->what != END_STEP;
    if (!alive[op->dom] || (dying && by_guest) ||
        (is_resetting && op->dom == 0 && (op->what == RESET || op->what == RESET_STEP))) {
        return false;
    }
    if (op->what <= IPI) {
        make(op);
    } else if (op->what <= SEND || (op->what >= MASK && op->what <= MOVE1)) {
        use(op);
    } else {
        whole(op);
    }
    return true;
}

/* ---- what is looked at ---- */

/* Both ends of a pair say the same; nobody told a port that is free. */
static void audit_port(unsigned int i, uint32_t port)
{
    struct evtchn_status s = { .dom = DOMID_SELF, .port = port };
    struct evtchn_status other = { 0 };

    assert_int_equal(evtchn_status(d[i], &s), 0);
    if (s.status == EVTCHNSTAT_interdomain) {
        unsigned int k = s.u.interdomain.dom == d[0]->id ? 0 : 1;
        other.port = s.u.interdomain.port;
        assert_int_equal(evtchn_status(d[k], &other), 0);
        assert_int_equal(other.status, EVTCHNSTAT_interdomain);
        assert_int_equal(other.u.interdomain.dom, d[i]->id);
        assert_int_equal(other.u.interdomain.port, port);
    }
    if (domain_is_dying(d[i])) {
        return;
    }
    const struct shared_info *sh = d[i]->shared;
    bool pending = (sh->evtchn_pending[port / 64] >> (port % 64) & 1) != 0;
    if (pending) {
        assert_int_not_equal(s.status, EVTCHNSTAT_closed);
    }
    if (pending && !is_masked(i, port)) {
        const struct vcpu_info *info = d[i]->vcpu[s.vcpu]->info;
        assert_true((info->evtchn_pending_sel >> (port / 64) & 1) != 0);
        assert_int_equal(info->evtchn_upcall_pending, 1);
    }
}

static void audit(void)
{
    domain_audit();
    audit_all(NULL);
    for (unsigned int i = 0; i < 2; i++) {
        if (d[i]->kill_phase == 0) {
            evtchn_audit(d[i]);
            for (uint32_t port = FIRST; port < FIRST + PORTS; port++) {
                audit_port(i, port);
            }
        } else {
            assert_int_equal(evtchn_count(d[i]), 0);
        }
    }
}

static uint64_t hash_domain(uint64_t h, unsigned int i)
{
    const struct evtchn_table *t = d[i]->evtchn;
    bool dying = domain_is_dying(d[i]);

    h = explore_mix(h, d[i]->kill_phase * 4 + dying * 2u + alive[i]);
    if (dying && d[i]->kill_phase != 0) {
        return h;
    }
    h = explore_mix(h, t->close_next);
    h = explore_mix(h, t->first_free);
    for (uint32_t port = FIRST; port < FIRST + PORTS; port++) {
        const struct evtchn *e = evtchn_of(t, port);
        uint64_t w = evtchn_word(e);
        uint64_t arg = ew_arg(w);
        arg = ew_state(w) == ES_UNBOUND ? arg == d[i]->id : arg;
        h = explore_mix(h, (uint64_t)ew_state(w) | ew_vcpu(w) << 8 | arg << 16);
        h = explore_mix(h, e->peer == NULL ? 0 : e->peer == d[i] ? 1 : 2);
    }
    for (unsigned int w = 0; w < 2; w++) {
        h = explore_mix(h, d[i]->shared->evtchn_pending[w]);
        h = explore_mix(h, d[i]->shared->evtchn_mask[w]);
    }
    for (unsigned int v = 0; v < 2; v++) {
        const struct vcpu_info *info = d[i]->vcpu[v]->info;
        h = explore_mix(h, info->evtchn_pending_sel);
        h = explore_mix(h, info->evtchn_upcall_pending);
        h = explore_mix(h, d[i]->vcpu[v]->virq_port[VIRQ_TIMER]);
        h = explore_mix(h, d[i]->vcpu[v]->virq_port[VIRQ_CONSOLE]);
    }
    return h;
}

static uint64_t hash(void)
{
    return explore_mix(hash_domain(hash_domain(1, 0), 1), is_resetting);
}

static const char *name(unsigned int n)
{
    static char text[64];

    if (ops[n].what == WHATS) {
        return "go on";
    }
    (void)snprintf(text, sizeof text, "%u: %s %u", ops[n].dom, names[ops[n].what], ops[n].port);
    return text;
}

static void add(uint8_t what, uint8_t dom, uint8_t port)
{
    assert_true(op_count < OPS);
    ops[op_count++] = (struct op){ what, dom, port };
}

/* The first domain does everything, the other what may meet it. */
static void list(void)
{
    static const uint8_t alone[] = { UNBOUND,      UNBOUND_SELF, VIRQ_GLOBAL, RAISE,
                                     RAISE_GLOBAL, CONSUME,      PRIORITY,    RESET,
                                     RESET_STEP,   END_STEP,     END,         WHATS };

    for (unsigned int i = 0; i < sizeof alone; i++) {
        add(alone[i], 0, 0);
    }
    for (uint8_t i = 0; i < PORTS; i++) {
        add(BIND, 0, i);
        add(CLOSE, 0, i);
        add(SEND, 0, i);
        add(BIND, 1, i);
        add(CLOSE, 1, i);
    }
    for (uint8_t i = 0; i < 2; i++) { /* the ports on both sides of where a reset stops */
        add(BIND_SELF, 0, i);
        add(MASK, 0, i);
        add(UNMASK, 0, i);
        add(MOVE0, 0, i);
        add(MOVE1, 0, i);
        add(IPI, 0, i);
        add(VIRQ_LOCAL, 0, i);
        add(SEND, 1, i);
    }
    add(UNBOUND, 1, 0);
    add(MOVE1, 1, 0);
    add(CONSUME, 1, 0);
    add(RESET, 1, 0);
    add(END_STEP, 1, 0);
    add(END, 1, 0);
}

static unsigned int depth = 4;

static void test_ports(void **state)
{
    struct explorer e = { .begin = world,
                          .end = world_ends,
                          .apply = apply,
                          .audit = audit,
                          .hash = hash,
                          .name = name };

    (void)state;
    list();
    e.ops = op_count;
    struct explored r = explore(&e, depth);
    print_message("explorer of ports: depth %u: %u states, %u steps, %lu stopped half-way\n", depth,
                  r.states, r.steps, stops);
    assert_true(r.states > 500);
    assert_true(stops > 100);
    assert_true(sent > 1000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ports) };

    depth = explore_depth(argc, argv, depth);
    kit_machine(512, 3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
