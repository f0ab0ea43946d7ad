/* SPDX-License-Identifier: MIT */
/* Attack: every call that is not a guest's, in every form. */
#include "kit/kit.h"

#include "abi/domctl.h"
#include "abi/platform.h"
#include "abi/sysctl.h"

const char kit_name[] = "rights";

static u8 *buf;

static void control(void)
{
    struct xen_domctl *d = (struct xen_domctl *)buf;
    struct xen_sysctl *s = (struct xen_sysctl *)buf;

    for (u32 cmd = 0; cmd < 100; cmd++) {
        for (u32 id = 0; id < 4; id++) {
            memset(buf, 0, PAGE);
            d->cmd = cmd;
            d->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
            d->domain = (domid_t)(id == 3 ? DOMID_SELF : id);
            /* Xen looks for the domain before it asks who wants to know, so anyone is told which
             * there are */
            long rc = hc1(__HYPERVISOR_domctl, U64(d));
            check_at(rc == -EPERM || (!on_joist && rc < 0), __FILE__, __LINE__,
                     "domctl %u on %u is %ld", cmd, d->domain, rc);
        }
        memset(buf, 0, PAGE);
        s->cmd = cmd;
        s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
        check_eq(hc1(__HYPERVISOR_sysctl, U64(s)), -EPERM);
    }
    /* Refused before the argument is looked at (XSA-77). */
    check_eq(hc1(__HYPERVISOR_domctl, ~0UL), xen_or_joist(-EFAULT, -EPERM));
    check_eq(hc1(__HYPERVISOR_sysctl, ~0UL), xen_or_joist(-EFAULT, -EPERM));
}

/* About an interrupt that is not there, or a number for one: Xen does nothing, or hands out a
 * number that is the caller's own, and says so with 0. */
static bool is_harmless_on_xen(u32 cmd)
{
    return !on_joist && (cmd == PHYSDEVOP_IRQ_UNMASK_NOTIFY || cmd == PHYSDEVOP_irq_status_query ||
                         cmd == PHYSDEVOP_eoi || cmd == PHYSDEVOP_get_free_pirq);
}

static void machine(void)
{
    struct xen_platform_op *p = (struct xen_platform_op *)buf;

    for (u32 cmd = 0; cmd < 100; cmd++) {
        memset(buf, 0, PAGE);
        p->cmd = cmd;
        p->interface_version = XENPF_INTERFACE_VERSION;
        check_eq(hc1(__HYPERVISOR_platform_op, U64(p)), -EPERM);
        memset(buf, 0, PAGE);
        if (cmd != PHYSDEVOP_set_iopl && cmd != PHYSDEVOP_set_iobitmap) {
            long rc = physdev_op(cmd, buf);
            check_at(rc < 0 || is_harmless_on_xen(cmd), __FILE__, __LINE__, "physdev_op %u is %ld",
                     cmd, rc);
        }
    }
    check(hc1(__HYPERVISOR_mca, U64(buf)) < 0);
    check(hc3(__HYPERVISOR_console_io, CONSOLEIO_read, 16, U64(buf)) < 0);
    check(memory_op(XENMEM_machine_memory_map, buf) < 0);
    struct xen_foreign_memory_map fm = { .domid = 0 };
    check(memory_op(XENMEM_set_memory_map, &fm) < 0);
    struct xen_memory_reservation claim = { .nr_extents = 1, .domid = DOMID_SELF };
    check(memory_op(XENMEM_claim_pages, &claim) < 0);
    struct sched_remote_shutdown rs = { .domain_id = 0, .reason = 0 };
    check(sched_op(SCHEDOP_remote_shutdown, &rs) < 0);
    struct sched_pin_override pin = { .pcpu = 0 };
    check(sched_op(SCHEDOP_pin_override, &pin) < 0);
    struct mmuext_op op = { .cmd = MMUEXT_FLUSH_CACHE };
    check(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF) < 0);
    op.cmd = MMUEXT_FLUSH_CACHE_GLOBAL;
    check(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF) < 0);
    struct evtchn_bind_virq global = { .virq = VIRQ_CONSOLE };
    long rc = event_op(EVTCHNOP_bind_virq, &global);
    check(rc == 0 || rc == -EPERM || rc == -EINVAL); /* binding is no harm: it never fires here */
    char line[1024];
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_commandline, U64(line)), 0);
    check_eq(strcmp(line, "<denied>"), 0);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_build_id, 0), -EPERM);
}

void test_main(void)
{
    if (is_dom0) {
        test_skip("domain 0 has the rights");
        return;
    }
    buf = page_alloc();
    control();
    machine();
}
