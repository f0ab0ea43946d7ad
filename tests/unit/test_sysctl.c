/* SPDX-License-Identifier: MIT */
/* sysctl: the machine, the list of domains, the pool of cpus. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_core.h"

#include "base/counter.h"
#include "ctl/ctl.h"

#define ARG FAKE_GUEST_VA
#define BUF (FAKE_GUEST_VA + 8192)

static struct xen_sysctl *ctl;

static int64_t call(uint32_t cmd)
{
    struct hcall_args a = { { ARG } };

    ctl->cmd = cmd;
    ctl->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return hc_sysctl(fake_caller(0), &a);
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
    assert_int_equal(hc_sysctl(fake_caller(0), &a), -EFAULT);
    a.arg[0] = ARG;
    ctl->cmd = XEN_SYSCTL_physinfo;
    assert_int_equal(hc_sysctl(fake_caller(0), &a), -EACCES);
    assert_int_equal(call(0), -ENOSYS);
    assert_int_equal(call(13), -ENOSYS);
    assert_int_equal(call(UINT32_MAX), -ENOSYS);
    assert_int_equal(call(XEN_SYSCTL_tbuf_op), -EOPNOTSUPP);
}

static void test_physinfo(void **state)
{
    struct xen_sysctl_physinfo *pi = &ctl->u.physinfo;

    (void)state;
    memset(ctl, 0xff, sizeof(*ctl));
    assert_int_equal(call(XEN_SYSCTL_physinfo), 0);
    assert_int_equal(pi->nr_cpus, 2);
    assert_int_equal(pi->max_cpu_id, 1);
    assert_int_equal(pi->nr_nodes, 1);
    assert_int_equal(pi->max_node_id, 0);
    assert_int_equal(pi->cpu_khz, 2600000);
    assert_int_equal(pi->total_pages, FAKE_FRAMES);
    assert_int_equal(pi->free_pages, FAKE_FRAMES - 1024);
    assert_int_equal(pi->outstanding_pages, 7);
    assert_int_equal(pi->capabilities, XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1);
    assert_int_equal(pi->scrub_pages, 0);
}

/* Sizes first, then names and values; what two cpus have counted, and nothing after a reset. */
static void test_counters(void **state)
{
    struct xen_sysctl_perfc_op *p = &ctl->u.perfc_op;
    struct xen_sysctl_perfc_desc *d = fake_at(BUF);
    uint32_t *val = fake_at(BUF + 4096);

    (void)state;
    *p = (struct xen_sysctl_perfc_op){ .cmd = XEN_SYSCTL_PERFCOP_reset };
    assert_int_equal(call(XEN_SYSCTL_perfc_op), 0);
    assert_int_equal(p->nr_counters, CNT_MAX);
    assert_int_equal(p->nr_vals, CNT_MAX * 2);

    count(CNT_GRANT_MAP, 3);
    counters[1].n[CNT_GRANT_MAP] += 4;
    *p = (struct xen_sysctl_perfc_op){ .cmd = XEN_SYSCTL_PERFCOP_query,
                                       .desc = { BUF },
                                       .val = { BUF + 4096 } };
    assert_int_equal(call(XEN_SYSCTL_perfc_op), 0);
    for (uint32_t i = 0; i < CNT_MAX; i++) {
        assert_int_equal(d[i].nr_vals, 2);
        assert_true(strlen(d[i].name) > 3 && strlen(d[i].name) < sizeof(d[i].name));
        assert_int_equal(val[2 * i], i == CNT_GRANT_MAP ? 3 : 0);
        assert_int_equal(val[2 * i + 1], i == CNT_GRANT_MAP ? 4 : 0);
    }
    assert_string_equal(d[CNT_TLB_FLUSH].name, "tlb_flushes");

    p->cmd = XEN_SYSCTL_PERFCOP_reset;
    assert_int_equal(call(XEN_SYSCTL_perfc_op), 0);
    assert_int_equal(val[2 * CNT_GRANT_MAP] + val[2 * CNT_GRANT_MAP + 1], 0);
    p->val.va = 64;
    assert_int_equal(call(XEN_SYSCTL_perfc_op), -EFAULT);
    p->desc.va = 64;
    assert_int_equal(call(XEN_SYSCTL_perfc_op), -EFAULT);
    p->cmd = 3;
    assert_int_equal(call(XEN_SYSCTL_perfc_op), -EINVAL);
}

static void test_domain_list(void **state)
{
    struct xen_sysctl_getdomaininfolist *l = &ctl->u.getdomaininfolist;
    struct xen_domctl_getdomaininfo *i = fake_at(BUF);

    (void)state;
    fake.present[5] = true;
    *l = (struct xen_sysctl_getdomaininfolist){ 0, 10, { BUF }, 99 };
    assert_int_equal(call(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(l->num_domains, 3);
    assert_int_equal(i[0].domain, 0);
    assert_int_equal(i[1].domain, 1);
    assert_int_equal(i[2].domain, 5);
    l->max_domains = 1;
    l->first_domain = 1;
    assert_int_equal(call(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(l->num_domains, 1);
    assert_int_equal(i[0].domain, 1);
    l->first_domain = 6;
    assert_int_equal(call(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(l->num_domains, 0);
    *l = (struct xen_sysctl_getdomaininfolist){ 0, 10, { 64 }, 0 };
    assert_int_equal(call(XEN_SYSCTL_getdomaininfolist), -EFAULT);
}

static void test_readconsole(void **state)
{
    struct xen_sysctl_readconsole *r = &ctl->u.readconsole;

    (void)state;
    for (unsigned int i = 0; i < 400; i++) {
        fake.log[i] = (char)('a' + i % 26);
    }
    fake.log_len = 400;
    *r = (struct xen_sysctl_readconsole){ .buffer = { BUF }, .count = 1000 };
    assert_int_equal(call(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 400);
    assert_int_equal(r->index, 400);
    assert_memory_equal(fake_at(BUF), fake.log, 400);
    r->incremental = 1;
    r->index = 390;
    r->count = 4;
    assert_int_equal(call(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 4);
    assert_int_equal(r->index, 394);
    assert_memory_equal(fake_at(BUF), fake.log + 390, 4);
    r->clear = 1;
    r->count = 1000;
    assert_int_equal(call(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 6);
    assert_int_equal(fake.log_len, 0);
    fake.log_len = 4;
    *r = (struct xen_sysctl_readconsole){ .buffer = { 64 }, .count = 10, .clear = 1 };
    assert_int_equal(call(XEN_SYSCTL_readconsole), -EFAULT);
    assert_int_equal(fake.log_len, 4);
}

static void test_keys(void **state)
{
    (void)state;
    fake_put(8192, "hq", 2);
    ctl->u.debug_keys = (struct xen_sysctl_debug_keys){ { BUF }, 2 };
    assert_int_equal(call(XEN_SYSCTL_debug_keys), 0);
    assert_int_equal(fake.key_count, 2);
    assert_int_equal(fake.keys[1], 'q');
    ctl->u.debug_keys.nr_keys = 100000;
    assert_int_equal(call(XEN_SYSCTL_debug_keys), -E2BIG);
    ctl->u.debug_keys = (struct xen_sysctl_debug_keys){ { 64 }, 2 };
    assert_int_equal(call(XEN_SYSCTL_debug_keys), -EFAULT);
    assert_int_equal(fake.key_count, 2);
}

static void test_cpus(void **state)
{
    struct xen_sysctl_cpuinfo *idle = fake_at(BUF);
    struct xen_sysctl_cputopo *topo = fake_at(BUF);

    (void)state;
    cpumask_set(&cpu_online_mask, 3);
    ctl->u.getcpuinfo = (struct xen_sysctl_getcpuinfo){ 100, { BUF }, 0 };
    assert_int_equal(call(XEN_SYSCTL_getcpuinfo), 0);
    assert_int_equal(ctl->u.getcpuinfo.nr_cpus, 4);
    assert_int_equal(idle[3].idletime, 1003);
    assert_int_equal(idle[2].idletime, 0);
    ctl->u.cputopoinfo = (struct xen_sysctl_cputopoinfo){ 0, { 0 } };
    assert_int_equal(call(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(ctl->u.cputopoinfo.num_cpus, 4);
    ctl->u.cputopoinfo.cputopo.va = BUF;
    assert_int_equal(call(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(topo[1].core, 1);
    assert_int_equal(topo[1].node, 0);
    assert_int_equal(topo[2].core, XEN_INVALID_CORE_ID);
    ctl->u.cputopoinfo.num_cpus = 1;
    topo[1].core = 55;
    assert_int_equal(call(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(ctl->u.cputopoinfo.num_cpus, 1);
    assert_int_equal(topo[1].core, 55);
}

static void test_numa(void **state)
{
    struct xen_sysctl_meminfo *m = fake_at(BUF);

    (void)state;
    ctl->u.numainfo = (struct xen_sysctl_numainfo){ 0, { 0 }, { 0 } };
    assert_int_equal(call(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(ctl->u.numainfo.num_nodes, 1);
    ctl->u.numainfo = (struct xen_sysctl_numainfo){ 4, { BUF }, { BUF + 64 } };
    assert_int_equal(call(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(ctl->u.numainfo.num_nodes, 1);
    assert_int_equal(m->memsize, FAKE_FRAMES * 4096);
    assert_int_equal(m->memfree, (FAKE_FRAMES - 1024) * 4096);
    assert_int_equal(*(uint32_t *)fake_at(BUF + 64), 10);
    ctl->u.numainfo.distance.va = 64;
    assert_int_equal(call(XEN_SYSCTL_numainfo), -EFAULT);
    ctl->u.availheap = (struct xen_sysctl_availheap){ .node = -1 };
    assert_int_equal(call(XEN_SYSCTL_availheap), 0);
    assert_int_equal(ctl->u.availheap.avail_bytes, (FAKE_FRAMES - 1024) * 4096);
    ctl->u.availheap.node = 1;
    assert_int_equal(call(XEN_SYSCTL_availheap), -EINVAL);
    ctl->u.availheap = (struct xen_sysctl_availheap){ .max_bitwidth = 32 };
    assert_int_equal(call(XEN_SYSCTL_availheap), -EOPNOTSUPP);
}

static void test_pci(void **state)
{
    (void)state;
    ctl->u.pcitopoinfo = (struct xen_sysctl_pcitopoinfo){ 9, { BUF }, { BUF + 64 } };
    fake.preempt_at = 3;
    assert_int_equal(call(XEN_SYSCTL_pcitopoinfo), 0);
    assert_int_equal(ctl->u.pcitopoinfo.num_devs, 3);
    assert_int_equal(((uint32_t *)fake_at(BUF + 64))[2], XEN_INVALID_NODE_ID);
    assert_int_equal(((uint32_t *)fake_at(BUF + 64))[3], 0);
}

static void test_pool(void **state)
{
    struct xen_sysctl_cpupool_op *p = &ctl->u.cpupool_op;
    uint8_t *map = fake_at(BUF);

    (void)state;
    *p = (struct xen_sysctl_cpupool_op){ .op = XEN_SYSCTL_CPUPOOL_OP_INFO,
                                         .cpumap = { { BUF }, 16 } };
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(p->n_dom, 2);
    assert_int_equal(p->sched_id, XEN_SCHEDULER_CREDIT2);
    assert_int_equal(map[0], 3);
    p->cpupool_id = 1;
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), -ENOENT);
    p->op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(map[0], 0);
    p->op = XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN;
    p->domid = 1;
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), -ENOENT);
    p->cpupool_id = 0;
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), 0);
    p->domid = 4;
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), -ESRCH);
    p->op = XEN_SYSCTL_CPUPOOL_OP_CREATE;
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), -EOPNOTSUPP);
    p->op = 8;
    assert_int_equal(call(XEN_SYSCTL_cpupool_op), -EINVAL);
}

static void test_scheduler(void **state)
{
    struct xen_sysctl_scheduler_op *s = &ctl->u.scheduler_op;

    (void)state;
    assert_int_equal(call(XEN_SYSCTL_sched_id), 0);
    assert_int_equal(ctl->u.sched_id.sched_id, XEN_SCHEDULER_CREDIT2);
    memset(s, 0, sizeof(*s));
    s->sched_id = XEN_SCHEDULER_CREDIT2;
    s->cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    s->u.sched_credit2.ratelimit_us = 5;
    assert_int_equal(call(XEN_SYSCTL_scheduler_op), 0);
    assert_int_equal(s->u.sched_credit2.ratelimit_us, 0);
    s->cmd = XEN_SYSCTL_SCHEDOP_putinfo;
    assert_int_equal(call(XEN_SYSCTL_scheduler_op), 0);
    s->u.sched_credit2.ratelimit_us = 1000;
    assert_int_equal(call(XEN_SYSCTL_scheduler_op), -EOPNOTSUPP);
    s->u.sched_credit2.ratelimit_us = 99;
    assert_int_equal(call(XEN_SYSCTL_scheduler_op), -EINVAL);
    s->sched_id = XEN_SCHEDULER_RTDS;
    assert_int_equal(call(XEN_SYSCTL_scheduler_op), -EINVAL);
    s->cpupool_id = 3;
    assert_int_equal(call(XEN_SYSCTL_scheduler_op), -ESRCH);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_entry),       TEST(test_physinfo), TEST(test_counters),  TEST(test_domain_list),
        TEST(test_readconsole), TEST(test_keys),     TEST(test_cpus),      TEST(test_numa),
        TEST(test_pci),         TEST(test_pool),     TEST(test_scheduler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
