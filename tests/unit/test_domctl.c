/* SPDX-License-Identifier: MIT */
/* domctl: entry, life, vcpus, memory. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_core.h"

#include "ctl/ctl.h"
#include "irq/rights.h"
#include "port/ctl.h"

#define ARG FAKE_GUEST_VA
#define BUF (FAKE_GUEST_VA + 8192)

static struct xen_domctl *ctl;

static int64_t call(uint32_t cmd, domid_t id)
{
    struct hcall_args a = { { ARG } };

    ctl->cmd = cmd;
    ctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    ctl->domain = id;
    return hc_domctl(fake_caller(0), &a);
}

static int setup(void **state)
{
    fake_setup(state);
    ctl = fake_at(ARG);
    return 0;
}

static void test_entry(void **state)
{
    struct hcall_args a = { { 64 } };

    (void)state;
    assert_int_equal(hc_domctl(fake_caller(0), &a), -EFAULT);
    a.arg[0] = FAKE_GUEST_VA + FAKE_GUEST_SIZE - 143;
    assert_int_equal(hc_domctl(fake_caller(0), &a), -EFAULT);
    a.arg[0] = ARG;
    ctl->cmd = XEN_DOMCTL_max_mem;
    ctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION - 1;
    assert_int_equal(hc_domctl(fake_caller(0), &a), -EACCES);
    assert_int_equal(call(0, 1), -ENOSYS);
    assert_int_equal(call(6, 1), -ENOSYS);
    assert_int_equal(call(1000, 1), -ENOSYS);
    assert_int_equal(call(UINT32_MAX, 1), -ENOSYS);
    assert_int_equal(call(XEN_DOMCTL_getpageframeinfo3, 1), -EOPNOTSUPP);
    assert_int_equal(call(XEN_DOMCTL_max_mem, 3), -ESRCH);
    assert_int_equal(call(XEN_DOMCTL_max_mem, DOMID_SELF), -ESRCH);
}

/* Error fields come back, other answers do not when the call fails. */
static void test_answers_on_error(void **state)
{
    (void)state;
    assert_int_equal(call(XEN_DOMCTL_set_cpu_policy, 1), -E2BIG);
    assert_int_equal(ctl->u.pad[100], 0x77);
    ctl->u.pad[100] = 0;
    assert_int_equal(call(XEN_DOMCTL_get_cpu_policy, 1), -E2BIG);
    assert_int_equal(ctl->u.pad[100], 0);
}

static struct xen_domctl_createdomain *creation(void)
{
    struct xen_domctl_createdomain c = { .max_vcpus = 2,
                                         .grant_opts = 1,
                                         .max_evtchn_port = 1023,
                                         .max_grant_frames = -1,
                                         .max_maptrack_frames = 100 };

    memset(c.handle, 9, sizeof(c.handle));
    ctl->u.createdomain = c;
    return &ctl->u.createdomain;
}

static void test_create(void **state)
{
    (void)state;
    creation();
    assert_int_equal(call(XEN_DOMCTL_createdomain, 0), 0);
    assert_int_equal(ctl->domain, 2);
    assert_int_equal(fake.created_id, DOMID_FIRST_RESERVED);
    assert_int_equal(fake.created.max_vcpus, 2);
    assert_int_equal(fake.created.max_grant_frames, 64);
    assert_int_equal(fake.created.max_maptrack_frames, 100);
    assert_int_equal(fake.created.max_evtchn_port, 1023);
    assert_int_equal(fake.created.handle[15], 9);
    assert_false(fake.created.is_ctl || fake.created.is_hw);
    creation()->max_evtchn_port = UINT32_MAX;
    assert_int_equal(call(XEN_DOMCTL_createdomain, 5), 0);
    assert_int_equal(fake.created_id, 5);
    assert_int_equal(fake.created.max_evtchn_port, 4095);
    creation();
    fake.create_rc = -ENOMEM;
    assert_int_equal(call(XEN_DOMCTL_createdomain, 0), -ENOMEM);
}

static void refuse(int64_t error)
{
    fake.created_id = 0x1234;
    assert_int_equal(call(XEN_DOMCTL_createdomain, 0), error);
    assert_int_equal(fake.created_id, 0x1234);
}

static void test_create_refused(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 32; bit++) {
        if (bit != 4) { /* a store domain is one by name only */
            creation()->flags = 1U << bit;
            refuse(-EINVAL);
        }
    }
    creation()->max_vcpus = 0;
    refuse(-EINVAL);
    creation()->max_vcpus = 100000;
    refuse(-EINVAL);
    creation()->grant_opts = 2;
    refuse(-EINVAL);
    creation()->grant_opts = 0;
    refuse(-EINVAL);
    creation()->max_grant_frames = 0;
    refuse(-EINVAL);
    creation()->max_grant_frames = INT32_MAX;
    refuse(-EINVAL);
    creation()->max_maptrack_frames = INT32_MAX;
    refuse(-EINVAL);
    creation()->arch.emulation_flags = 1;
    refuse(-EOPNOTSUPP);
    creation()->arch.misc_flags = 2;
    refuse(-EINVAL);
    creation()->iommu_opts = 1;
    refuse(-EINVAL);
    creation()->vmtrace_size = 4096;
    refuse(-EINVAL);
    creation()->cpupool_id = 1;
    refuse(-ESRCH);
}

static void test_pause_counts(void **state)
{
    struct domain *d = &fake.dom[1];

    (void)state;
    assert_int_equal(call(XEN_DOMCTL_pausedomain, 0), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_pausedomain, 1), 0);
    assert_int_equal(d->ctl_pause_count, 2);
    assert_int_equal(call(XEN_DOMCTL_unpausedomain, 1), 0);
    assert_int_equal(fake.pauses, 0);
    assert_int_equal(call(XEN_DOMCTL_unpausedomain, 1), 0); /* the one since creation */
    assert_int_equal(fake.pauses, -1);
    assert_int_equal(call(XEN_DOMCTL_unpausedomain, 1), -EINVAL);
    assert_int_equal(fake.pauses, -1);
    d->ctl_pause_count = UINT32_MAX;
    assert_int_equal(call(XEN_DOMCTL_pausedomain, 1), -E2BIG);
    fake.pauses = 0;
    assert_int_equal(call(XEN_DOMCTL_resumedomain, 1), 0);
    assert_int_equal(fake.resumed, 1);
}

static void test_destroy(void **state)
{
    (void)state;
    fake.kill_rc = HC_AGAIN;
    assert_int_equal(call(XEN_DOMCTL_destroydomain, 1), HC_AGAIN);
    fake.kill_rc = 0;
    assert_int_equal(call(XEN_DOMCTL_destroydomain, 1), 0);
}

static void test_info(void **state)
{
    struct xen_domctl_getdomaininfo *i = &ctl->u.getdomaininfo;
    struct vcpu *t = &fake.vcpu[1][0];

    (void)state;
    fake.present[4] = true;
    fake.now = 1000;
    t->runstate = RUNSTATE_running;
    t->runstate_entry = 400;
    t->runstate_time[RUNSTATE_running] = 50;
    fake_give(1, 16, 3);
    fake.dom[1].claimed_frames = 9;
    memset(ctl, 0xff, sizeof(*ctl));
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, 1), 0);
    assert_int_equal(i->domain, 1);
    assert_int_equal(i->cpu_time, 650);
    assert_int_equal(i->tot_pages, 3);
    assert_int_equal(i->max_pages, 2048);
    assert_int_equal(i->outstanding_pages, 9);
    assert_int_equal(i->nr_online_vcpus, 1);
    assert_int_equal(i->max_vcpu_id, 0);
    assert_int_equal(i->flags, XEN_DOMINF_paused | XEN_DOMINF_running);
    assert_int_equal(i->shared_info_frame, 2);
    assert_int_equal(i->pad1, 0);
    assert_memory_equal(i->handle, fake.dom[1].handle, 16);
    /* The next that is there. */
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, 2), 0);
    assert_int_equal(ctl->domain, 4);
    assert_int_equal(i->max_vcpu_id, XEN_INVALID_MAX_VCPU_ID);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, 5), -ESRCH);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, DOMID_SELF), -EINVAL);
}

static void test_info_flags(void **state)
{
    struct xen_domctl_getdomaininfo *i = &ctl->u.getdomaininfo;
    struct domain *d = &fake.dom[1];

    (void)state;
    d->ctl_pause_count = 0;
    d->shutdown_code = 3;
    atomic_store(&d->is_shut_down, 1);
    atomic_store(&fake.vcpu[1][0].state, VS_BLOCKED);
    atomic_store(&d->life, DL_DYING);
    d->create_flags = XEN_DOMCTL_CDF_xs_domain;
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, 1), 0);
    assert_int_equal(i->flags, XEN_DOMINF_shutdown | 3 << XEN_DOMINF_shutdownshift |
                                   XEN_DOMINF_blocked | XEN_DOMINF_xs_domain | XEN_DOMINF_running);
    atomic_store(&d->life, DL_DEAD);
    atomic_store(&fake.vcpu[1][0].state, VS_DOWN);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, 1), 0);
    assert_true(i->flags & XEN_DOMINF_dying);
    assert_int_equal(i->nr_online_vcpus, 0);
}

static void test_max_vcpus(void **state)
{
    (void)state;
    fake.present[2] = true;
    ctl->u.max_vcpus.max = 3;
    assert_int_equal(call(XEN_DOMCTL_max_vcpus, 2), -EINVAL);
    assert_null(fake.vcpup[2][0]);
    ctl->u.max_vcpus.max = 4;
    fake.preempt_at = 2;
    assert_int_equal(call(XEN_DOMCTL_max_vcpus, 2), HC_AGAIN);
    assert_non_null(fake.vcpup[2][1]);
    assert_null(fake.vcpup[2][2]);
    fake.heap_fail = 2;
    assert_int_equal(call(XEN_DOMCTL_max_vcpus, 2), -ENOMEM);
    assert_int_equal(call(XEN_DOMCTL_max_vcpus, 2), 0);
    assert_non_null(fake.vcpup[2][3]);
    assert_int_equal(call(XEN_DOMCTL_max_vcpus, 0), -EINVAL);
}

static void test_context(void **state)
{
    struct vcpu_guest_context *c = fake_at(BUF);
    struct xen_domctl_vcpucontext want = { 0, { BUF } };

    (void)state;
    ctl->u.vcpucontext = want;
    assert_int_equal(call(XEN_DOMCTL_getvcpucontext, 1), -ENODATA);
    c->flags = VGCF_online;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), 0);
    assert_int_equal(fake.up, 1);
    assert_true(fake.vcpu[1][0].initialised);
    c->flags = 0;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), 0);
    assert_int_equal(fake.up, 1);
    assert_int_equal(call(XEN_DOMCTL_getvcpucontext, 1), 0);
    assert_int_equal(((uint8_t *)c)[sizeof(*c) - 1], 0x5a);
    assert_int_equal(((uint8_t *)c)[sizeof(*c)], 0);
    fake.context_rc = HC_AGAIN;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), HC_AGAIN);
    fake.context_rc = -EINVAL;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 0), -EINVAL);
    ctl->u.vcpucontext.vcpu = 1;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), -EINVAL);
    ctl->u.vcpucontext.vcpu = UINT32_MAX;
    assert_int_equal(call(XEN_DOMCTL_getvcpucontext, 1), -EINVAL);
    ctl->u.vcpucontext = (struct xen_domctl_vcpucontext){ 0, { 64 } };
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), -EFAULT);
    assert_int_equal(call(XEN_DOMCTL_getvcpucontext, 1), -EFAULT);
    /* No context: as if none had been set, even where that takes two steps. */
    ctl->u.vcpucontext = (struct xen_domctl_vcpucontext){ 0, { 0 } };
    fake.context_rc = HC_AGAIN;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), HC_AGAIN);
    assert_false(fake.vcpu[1][0].initialised);
    fake.context_rc = 0;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), 0);
    assert_int_equal(call(XEN_DOMCTL_getvcpucontext, 1), -ENODATA);
    fake.vcpu[1][0].initialised = true;
    atomic_store(&fake.dom[1].life, DL_DYING);
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), -EINVAL);
    assert_true(fake.vcpu[1][0].initialised);
    ctl->u.vcpucontext = want;
    fake.context_rc = 0;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 1), -EINVAL);
    assert_int_equal(fake.up, 1);
}

static void test_vcpu_info(void **state)
{
    struct xen_domctl_getvcpuinfo *i = &ctl->u.getvcpuinfo;

    (void)state;
    atomic_store(&fake.vcpu[1][0].state, VS_BLOCKED);
    atomic_store(&fake.vcpu[1][0].cpu, 1);
    fake.vcpu[1][0].runstate = RUNSTATE_blocked;
    fake.vcpu[1][0].runstate_time[RUNSTATE_running] = 77;
    i->vcpu = 0;
    assert_int_equal(call(XEN_DOMCTL_getvcpuinfo, 1), 0);
    assert_int_equal(i->online, 1);
    assert_int_equal(i->blocked, 1);
    assert_int_equal(i->running, 0);
    assert_int_equal(i->cpu, 1);
    assert_int_equal(i->cpu_time, 77);
    i->vcpu = 1;
    assert_int_equal(call(XEN_DOMCTL_getvcpuinfo, 1), -EINVAL);
    fake.present[2] = true;
    assert_int_equal(call(XEN_DOMCTL_getvcpuinfo, 2), -ESRCH);
}

static void affinity(uint32_t flags, uint32_t bits)
{
    ctl->u.vcpuaffinity = (struct xen_domctl_vcpuaffinity){ .vcpu = 0,
                                                            .flags = flags,
                                                            .cpumap_hard = { { BUF }, bits },
                                                            .cpumap_soft = { { BUF + 64 }, bits } };
}

static void test_affinity(void **state)
{
    uint8_t *hard = fake_at(BUF);
    uint8_t *soft = fake_at(BUF + 64);

    (void)state;
    /* More than there is: what comes into effect is told, to the end of the caller's map. */
    memset(hard, 0xff, 32);
    affinity(XEN_VCPUAFFINITY_HARD, 200);
    assert_int_equal(call(XEN_DOMCTL_setvcpuaffinity, 1), 0);
    assert_int_equal(hard[0], 3);
    assert_int_equal(hard[24], 0);
    assert_int_equal(hard[25], 0xff);
    hard[0] = 2;
    soft[0] = 3;
    affinity(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT, 4);
    assert_int_equal(call(XEN_DOMCTL_setvcpuaffinity, 1), 0);
    assert_true(cpumask_test(&fake.hard, 1) && !cpumask_test(&fake.hard, 0));
    assert_true(cpumask_test(&fake.soft, 0));
    assert_int_equal(soft[0], 2);
    hard[0] = 0;
    affinity(XEN_VCPUAFFINITY_HARD, 8);
    assert_int_equal(call(XEN_DOMCTL_setvcpuaffinity, 1), -EINVAL);
    affinity(8, 8);
    assert_int_equal(call(XEN_DOMCTL_setvcpuaffinity, 1), -EINVAL);
    affinity(XEN_VCPUAFFINITY_HARD, 8);
    ctl->u.vcpuaffinity.cpumap_hard.bitmap.va = 64;
    assert_int_equal(call(XEN_DOMCTL_setvcpuaffinity, 1), -EFAULT);
    affinity(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT, 1);
    assert_int_equal(call(XEN_DOMCTL_getvcpuaffinity, 1), 0);
    assert_int_equal(hard[0], 1);
    ctl->u.vcpuaffinity.vcpu = 9;
    assert_int_equal(call(XEN_DOMCTL_getvcpuaffinity, 1), -EINVAL);
}

static void test_scheduler(void **state)
{
    struct xen_domctl_scheduler_op *s = &ctl->u.scheduler_op;

    (void)state;
    *s = (struct xen_domctl_scheduler_op){ XEN_SCHEDULER_CREDIT2,
                                           XEN_DOMCTL_SCHEDOP_putinfo,
                                           { { 0 } } };
    s->u.credit2.weight = 512;
    s->u.credit2.cap = 50;
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, 1), 0);
    assert_int_equal(fake.dom[1].weight, 512);
    assert_int_equal(fake.params_changed, 1);
    s->u.credit2.weight = 0; /* as it is */
    s->u.credit2.cap = 101;  /* more than its one vcpu can use */
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, 1), -EINVAL);
    s->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, 1), 0);
    assert_int_equal(s->u.credit2.weight, 512);
    assert_int_equal(s->u.credit2.cap, 50);
    s->sched_id = XEN_SCHEDULER_CREDIT;
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, 1), -EINVAL);
    s->sched_id = XEN_SCHEDULER_CREDIT2;
    s->cmd = XEN_DOMCTL_SCHEDOP_getvcpuinfo;
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, 1), -EOPNOTSUPP);
    s->cmd = 4;
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, 1), -EINVAL);
}

static void test_small(void **state)
{
    (void)state;
    ctl->u.max_mem.max_memkb = 1 << 20;
    assert_int_equal(call(XEN_DOMCTL_max_mem, 1), 0);
    assert_int_equal(atomic_load(&fake.dom[1].max_frames), 1 << 18);
    memset(ctl->u.setdomainhandle.handle, 3, 16);
    assert_int_equal(call(XEN_DOMCTL_setdomainhandle, 1), 0);
    assert_int_equal(fake.dom[1].handle[15], 3);
    ctl->u.settimeoffset.time_offset_seconds = -3600;
    assert_int_equal(call(XEN_DOMCTL_settimeoffset, 1), 0);
    assert_int_equal(fake.dom[1].time_offset, -3600);
    assert_int_equal(fake.wallclock, 1);
    ctl->u.nodeaffinity.nodemap = (struct xenctl_bitmap){ { BUF }, 8 };
    *(uint8_t *)fake_at(BUF) = 2;
    assert_int_equal(call(XEN_DOMCTL_setnodeaffinity, 1), -EINVAL);
    *(uint8_t *)fake_at(BUF) = 3;
    assert_int_equal(call(XEN_DOMCTL_setnodeaffinity, 1), 0);
    assert_int_equal(call(XEN_DOMCTL_getnodeaffinity, 1), 0);
    assert_int_equal(*(uint8_t *)fake_at(BUF), 1);
}

static void test_rights(void **state)
{
    (void)state;
    ctl->u.ioport_permission = (struct xen_domctl_ioport_permission){ 0x3f8, 8, 1 };
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, 1), 0);
    assert_int_equal(fake.rights_kind, RIGHT_PORT);
    assert_int_equal(fake.rights_last, 0x3ff);
    ctl->u.ioport_permission.nr_ports = 0x10000;
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, 1), -EINVAL);
    ctl->u.iomem_permission = (struct xen_domctl_iomem_permission){ 0xfee00, 2, 0 };
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, 1), 0);
    assert_int_equal(fake.rights_kind, RIGHT_MMIO);
    assert_int_equal(fake.rights_allowed, 0);
    ctl->u.iomem_permission.nr_mfns = UINT64_MAX;
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, 1), -EINVAL);
    ctl->u.iomem_permission.nr_mfns = 0;
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, 1), -EINVAL);
    ctl->u.irq_permission = (struct xen_domctl_irq_permission){ .pirq = 5, .allow_access = 1 };
    fake.rights_refuse = true;
    assert_int_equal(call(XEN_DOMCTL_irq_permission, 1), -EPERM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_entry),        TEST(test_answers_on_error),
        TEST(test_create),       TEST(test_create_refused),
        TEST(test_pause_counts), TEST(test_destroy),
        TEST(test_info),         TEST(test_info_flags),
        TEST(test_max_vcpus),    TEST(test_context),
        TEST(test_vcpu_info),    TEST(test_affinity),
        TEST(test_scheduler),    TEST(test_small),
        TEST(test_rights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
