/* SPDX-License-Identifier: MIT */
/*
 * Three vcpus of the control domain, each a thread, control one domain at once: pause, resume, give
 * and take contexts, look, ask for its shutdown; then they end it while the others go on.  Each
 * answer is one that the call may give, and in the end nothing is left.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "abi/domctl.h"
#include "abi/errno.h"
#include "abi/memory.h"
#include "abi/sched.h"
#include "abi/sysctl.h"
#include "abi/vcpu.h"
#include "arch/host/machine.h"
#include "guest/ctx.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "tests/unit/mm_kit.h"

#define CALLERS 3u
#define ROUNDS  (4000u / THREAD_SHARE)
#define STEPS   40u /* of each caller, before one of them ends the domain */
#define VCPUS   2u
#define CODE    UINT64_C(0xffffffff81000000)

static struct kit_guest control, victim;
static domid_t victim_id;
static uint64_t root; /* mfn of the victim's; 0: it has no memory of its own */
static pthread_barrier_t barrier;
static _Atomic uint64_t paused, contexts, resets, ends, other;

struct caller {
    unsigned int cpu;
    uint32_t x;
    unsigned int pauses; /* of ours, not taken back */
    struct vcpu_guest_context ctx;
};

static uint32_t next(struct caller *c)
{
    c->x = c->x * 1664525u + 1013904223u;
    return c->x >> 8;
}

static int64_t domctl(uint32_t cmd, struct xen_domctl *op)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = victim_id;
    return kit_call(hc_domctl, (uintptr_t)op, 0, 0, 0);
}

static void set_context(struct caller *c, bool is_reset)
{
    struct xen_domctl op = { .u.vcpucontext = { .vcpu = 1 } };
    int64_t rc;

    c->ctx = (struct vcpu_guest_context){ .flags = VGCF_in_kernel | (next(c) & 1 ? VGCF_online : 0),
                                          .user_regs.rip = CODE,
                                          .user_regs.cs = FLAT_KERNEL_CS,
                                          .user_regs.ss = FLAT_KERNEL_SS };
    c->ctx.ctrlreg[3] = xen_pfn_to_cr3(root);
    op.u.vcpucontext.ctxt = gptr(is_reset ? 0 : (uintptr_t)&c->ctx);
    rc = domctl(XEN_DOMCTL_setvcpucontext, &op);
    assert_true(rc == 0 || rc == -EINVAL || rc == -ESRCH);
    contexts += rc == 0 && !is_reset;
    resets += rc == 0 && is_reset;
}

static void get_context(struct caller *c)
{
    struct xen_domctl op = { .u.vcpucontext = { 1, gptr((uintptr_t)&c->ctx) } };
    int64_t rc = domctl(XEN_DOMCTL_getvcpucontext, &op);

    assert_true(rc == 0 || rc == -ENODATA || rc == -EINVAL || rc == -ESRCH);
    if (rc == 0) {
        assert_int_equal(c->ctx.user_regs.rip, CODE);
        assert_int_equal(c->ctx.ctrlreg[3], xen_pfn_to_cr3(root));
    }
}

static void pause_or_not(struct caller *c)
{
    struct xen_domctl op = { 0 };
    int64_t rc;

    if (c->pauses == 0 || (next(c) & 1) != 0) {
        rc = domctl(XEN_DOMCTL_pausedomain, &op);
        c->pauses += rc == 0;
        paused += rc == 0;
    } else {
        rc = domctl(XEN_DOMCTL_unpausedomain, &op); /* ours can be taken back by nobody else */
        c->pauses--;
    }
    assert_true(rc == 0 || rc == -ESRCH);
}

static void look(struct caller *c)
{
    struct xen_domctl op = { .u.getvcpuinfo.vcpu = next(c) % VCPUS };
    struct xen_domctl_getdomaininfo info[4];
    struct xen_sysctl list = { .cmd = XEN_SYSCTL_getdomaininfolist,
                               .interface_version = XEN_SYSCTL_INTERFACE_VERSION,
                               .u.getdomaininfolist = { 0, 4, gptr((uintptr_t)info), 0 } };
    int64_t rc = domctl(XEN_DOMCTL_getvcpuinfo, &op);

    assert_true(rc == 0 || rc == -ESRCH);
    assert_int_equal(kit_call(hc_sysctl, (uintptr_t)&list, 0, 0, 0), 0);
    assert_in_range(list.u.getdomaininfolist.num_domains, 1, 2);
    for (uint32_t i = 1; i < list.u.getdomaininfolist.num_domains; i++) {
        assert_int_equal(info[i].domain, victim_id);
        assert_in_range(info[i].nr_online_vcpus, 0, VCPUS);
        assert_int_equal(info[i].handle[0], info[i].handle[15]); /* one of those that were set */
    }
}

static void set_values(struct caller *c)
{
    struct xen_domctl op = { .u.scheduler_op = { XEN_SCHEDULER_CREDIT2,
                                                 XEN_DOMCTL_SCHEDOP_putinfo,
                                                 { .credit2 = { .weight = 256, .cap = 10 } } } };
    uint64_t cpus = 1u << next(c) % CALLERS | 1u;
    int64_t rc = domctl(XEN_DOMCTL_scheduler_op, &op);

    assert_true(rc == 0 || rc == -ESRCH);
    op.u.vcpuaffinity = (struct xen_domctl_vcpuaffinity){
        1, XEN_VCPUAFFINITY_HARD, { gptr((uintptr_t)&cpus), CALLERS }, { gptr(0), 0 }
    };
    rc = domctl(XEN_DOMCTL_setvcpuaffinity, &op);
    assert_true(rc == 0 || rc == -ESRCH);
    for (unsigned int i = 0; i < sizeof(op.u.setdomainhandle.handle); i++) {
        op.u.setdomainhandle.handle[i] = (uint8_t)(c->cpu + 1);
    }
    rc = domctl(XEN_DOMCTL_setdomainhandle, &op);
    assert_true(rc == 0 || rc == -ESRCH);
    op.u.settimeoffset.time_offset_seconds = (int64_t)next(c);
    rc = domctl(XEN_DOMCTL_settimeoffset, &op);
    assert_true(rc == 0 || rc == -ESRCH);
}

static void shut_down_or_resume(struct caller *c)
{
    struct sched_remote_shutdown s = { victim_id, SHUTDOWN_suspend };
    struct xen_domctl op = { 0 };
    int64_t rc = (next(c) & 1) != 0
                     ? kit_call(hc_sched_op, SCHEDOP_remote_shutdown, (uintptr_t)&s, 0, 0)
                     : domctl(XEN_DOMCTL_resumedomain, &op);

    assert_true(rc == 0 || rc == -ESRCH);
}

static void make_vcpus(void)
{
    struct xen_domctl op = { .u.max_vcpus.max = VCPUS };
    int64_t rc = domctl(XEN_DOMCTL_max_vcpus, &op);

    assert_true(rc == 0 || rc == -ENOMEM || rc == -ESRCH);
}

static void change_memory(struct caller *c)
{
    xen_pfn_t pfn = next(c) % 16;
    struct xen_memory_reservation r = { .extent_start = gptr((uintptr_t)&pfn),
                                        .nr_extents = 1,
                                        .domid = victim_id };
    struct xen_domctl op = { .u.max_mem.max_memkb = UINT64_C(64) << next(c) % 4 };

    (void)domctl(XEN_DOMCTL_max_mem, &op);
    other += kit_call(hc_memory_op, XENMEM_populate_physmap, (uintptr_t)&r, 0, 0) == 1;
}

static void step(struct caller *c)
{
    switch (next(c) % 8) {
    case 0:
        set_context(c, false);
        break;
    case 1:
        set_context(c, true);
        break;
    case 2:
        get_context(c);
        break;
    case 3:
        look(c);
        break;
    case 4:
        set_values(c);
        break;
    case 5:
        shut_down_or_resume(c);
        break;
    case 6:
        make_vcpus();
        change_memory(c);
        break;
    default:
        pause_or_not(c);
    }
    domain_deferred_run();
}

static void end(void)
{
    struct xen_domctl op = { 0 };
    int64_t rc = domctl(XEN_DOMCTL_destroydomain, &op);

    assert_true(rc == 0 || rc == -ESRCH);
    ends += rc == 0;
}

static void *control_it(void *arg)
{
    struct caller *c = arg;

    host_cpu_enter(c->cpu);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        c->pauses = 0;
        for (unsigned int i = 0; i < STEPS; i++) {
            step(c);
            if (i == STEPS / 2 + c->cpu * (round % 8)) {
                end();
            }
        }
        end();
        domain_deferred_run();
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

/* Every other one comes as tools make it, without vcpus or memory. */
static void make_victim(unsigned int round)
{
    struct xen_domctl op = { .u.createdomain = { .max_vcpus = VCPUS,
                                                 .grant_opts = 1,
                                                 .max_evtchn_port = 1023,
                                                 .max_grant_frames = -1,
                                                 .max_maptrack_frames = -1 } };

    if ((round & 1) != 0) {
        victim_id = DOMID_FIRST_RESERVED;
        assert_int_equal(domctl(XEN_DOMCTL_createdomain, &op), 0);
        victim_id = op.domain;
        root = 0;
        return;
    }
    host_load(NULL);
    kit_guest(&victim, false, VCPUS);
    host_load(control.d->vcpu[CALLERS]);
    victim_id = victim.d->id;
    root = frame_mfn(victim.l4).n;
}

static void test_many_control_one(void **state)
{
    static struct caller caller[CALLERS];
    pthread_t thread[CALLERS];
    uint64_t free_before;

    (void)state;
    kit_guest(&control, true, CALLERS + 1);
    for (unsigned int cpu = 0; cpu <= CALLERS; cpu++) {
        host_cpu_enter(cpu);
        host_load(control.d->vcpu[cpu]);
        assert_int_equal(mm_set_root(control.d->vcpu[cpu], frame_mfn(control.l4), false), 0);
    }
    assert_int_equal(pthread_barrier_init(&barrier, NULL, CALLERS + 1), 0);
    free_before = heap_free_frames();
    host_inject_yields(3, 11);
    for (unsigned int cpu = 0; cpu < CALLERS; cpu++) {
        caller[cpu] = (struct caller){ .cpu = cpu, .x = cpu + 5 };
        assert_int_equal(pthread_create(&thread[cpu], NULL, control_it, &caller[cpu]), 0);
    }
    for (unsigned int round = 0; round < ROUNDS; round++) {
        make_victim(round);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        domain_deferred_run();
        assert_null(domain_get(victim_id));
        assert_int_equal(heap_free_frames(), free_before);
        kit_audit();
    }
    for (unsigned int cpu = 0; cpu < CALLERS; cpu++) {
        assert_int_equal(pthread_join(thread[cpu], NULL), 0);
    }
    host_inject_yields(0, 0);
    print_message("%lu paused, %lu contexts, %lu reset, %lu ends, %lu frames\n", paused, contexts,
                  resets, ends, other);
    assert_true(paused > ROUNDS && contexts > 0 && resets > 0 && ends >= ROUNDS && other > 0);
    for (unsigned int cpu = 0; cpu <= CALLERS; cpu++) {
        host_cpu_enter(cpu);
        host_load(NULL);
    }
    host_cpu_enter(0);
    kit_guest_end(&control);
    domain_deferred_run();
    assert_null(domain_get_next(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_many_control_one) };

    kit_machine(2048, CALLERS + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
