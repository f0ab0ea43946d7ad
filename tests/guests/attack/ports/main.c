/* SPDX-License-Identifier: MIT */
/* Attack: event channels and grants to their limits and beyond, and every number out of range. */
#include "kit/kit.h"

const char kit_name[] = "ports";

static const u32 odd[] = { 4095, 4096, 4097, 65536, 131072, 0x7fffffff, 0x80000000, 0xffffffff };

static void fill(void)
{
    u32 got = 0;
    long rc = 0;

    for (u32 i = 0; i < 140000 && rc == 0; i++) {
        struct evtchn_alloc_unbound u = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };

        rc = event_op(EVTCHNOP_alloc_unbound, &u);
        got += rc == 0;
    }
    check_eq(rc, -ENOSPC);
    check(got > 100);
    /* full: every other way to a port says so too, and what there is goes on (XSA-496) */
    struct evtchn_bind_virq v = { .virq = VIRQ_DEBUG };
    struct evtchn_bind_ipi ipi = { .vcpu = 0 };
    struct evtchn_bind_interdomain bi = { .remote_dom = DOMID_SELF, .remote_port = 1 };

    check(event_op(EVTCHNOP_bind_virq, &v) < 0);
    check(event_op(EVTCHNOP_bind_ipi, &ipi) < 0);
    check(event_op(EVTCHNOP_bind_interdomain, &bi) < 0);
    for (u32 port = 1; port < 4096; port++) {
        struct evtchn_status s = { .dom = DOMID_SELF, .port = port };

        if (event_op(EVTCHNOP_status, &s) == 0 && s.status == EVTCHNSTAT_unbound) {
            check_eq(event_close(port), 0);
            got--;
        }
    }
    check(got == 0 || got == 1); /* the store's or the console's own may be among them */
    check_eq(event_op(EVTCHNOP_bind_virq, &v), 0);
    check(event_op(EVTCHNOP_bind_virq, &v) < 0);
    check_eq(event_close(v.port), 0);
}

static void numbers(void)
{
    for (u32 i = 0; i < ARRAY(odd); i++) {
        struct evtchn_status s = { .dom = DOMID_SELF, .port = odd[i] };
        struct evtchn_bind_vcpu b = { .port = odd[i], .vcpu = 0 };
        struct evtchn_unmask un = { .port = odd[i] };
        struct evtchn_bind_virq v = { .virq = odd[i] };
        struct evtchn_bind_virq vc = { .virq = VIRQ_TIMER, .vcpu = odd[i] };
        struct evtchn_bind_ipi ipi = { .vcpu = odd[i] };
        struct evtchn_bind_interdomain bi = { .remote_dom = DOMID_SELF, .remote_port = odd[i] };
        struct evtchn_bind_pirq p = { .pirq = odd[i] };

        if (i > 0) { /* 4095 may be a port */
            check(event_send(odd[i]) < 0);
            check(event_close(odd[i]) < 0);
            check(event_op(EVTCHNOP_status, &s) < 0);
            check(event_op(EVTCHNOP_bind_vcpu, &b) < 0);
            check(event_op(EVTCHNOP_unmask, &un) < 0);
            check(event_op(EVTCHNOP_bind_interdomain, &bi) < 0);
        }
        check(event_op(EVTCHNOP_bind_virq, &v) < 0);
        check(event_op(EVTCHNOP_bind_virq, &vc) < 0);
        check(event_op(EVTCHNOP_bind_ipi, &ipi) < 0);
        check(event_op(EVTCHNOP_bind_pirq, &p) < 0 || is_dom0);
        struct sched_poll poll = { .ports = gptr(&odd[i]), .nr_ports = 1, .timeout = 1 };
        struct sched_poll many = { .ports = gptr(odd), .nr_ports = odd[i], .timeout = 1 };
        check(sched_op(SCHEDOP_poll, &poll) < 0 || i == 0);
        check(sched_op(SCHEDOP_poll, &many) < 0);
    }
    check(event_send(0) < 0);
    check(event_close(0) < 0);
}

/* Numbers of grants, handles and frames. */
static void grants(void)
{
    u64 frames[64];
    u8 *page = page_alloc();
    struct gnttab_setup_table s = { .dom = DOMID_SELF,
                                    .nr_frames = 64,
                                    .frame_list = gptr(frames) };

    grant_op(GNTTABOP_setup_table, &s, 1);
    s.nr_frames = 0xffffffff;
    grant_op(GNTTABOP_setup_table, &s, 1);
    check(s.status != GNTST_okay);
    for (u32 i = 0; i < ARRAY(odd); i++) {
        struct gnttab_unmap_grant_ref u = { .host_addr = U64(page), .handle = odd[i] };
        struct gnttab_map_grant_ref m = {
            .host_addr = U64(page), .flags = GNTMAP_host_map, .ref = odd[i], .dom = DOMID_SELF
        };
        struct gnttab_map_grant_ref fl = {
            .host_addr = U64(page), .flags = odd[i], .ref = 8, .dom = 0
        };
        struct gnttab_swap_grant_ref sw = { .ref_a = odd[i], .ref_b = 8 };
        struct gnttab_copy c = { .source.u.ref = odd[i],
                                 .source.domid = 0,
                                 .dest.u.gmfn = mfn_of(page),
                                 .dest.domid = DOMID_SELF,
                                 .len = 16,
                                 .flags = GNTCOPY_source_gref };
        struct gnttab_copy wide = { .source.u.gmfn = mfn_of(page),
                                    .source.domid = DOMID_SELF,
                                    .source.offset = (u16)odd[i],
                                    .dest.u.gmfn = mfn_of(page),
                                    .dest.domid = DOMID_SELF,
                                    .len = 0xffff };

        grant_op(GNTTABOP_unmap_grant_ref, &u, 1);
        check(u.status != GNTST_okay);
        grant_op(GNTTABOP_map_grant_ref, &m, 1);
        check(m.status != GNTST_okay);
        grant_op(GNTTABOP_map_grant_ref, &fl, 1);
        check(fl.status != GNTST_okay);
        if (odd[i] > 65536) {
            grant_op(GNTTABOP_swap_grant_ref, &sw, 1);
            check(sw.status != GNTST_okay);
        }
        grant_op(GNTTABOP_copy, &c, 1);
        check(c.status != GNTST_okay);
        grant_op(GNTTABOP_copy, &wide, 1);
        check(wide.status != GNTST_okay);
    }
}

void test_main(void)
{
    numbers();
    grants();
    fill();
}
