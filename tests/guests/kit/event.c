/* SPDX-License-Identifier: MIT */
/* Event channels of the test guests, 2-level form. */
#include "kit/kit.h"

#define MAX_PORTS 1024

volatile u64 kit_upcalls;
static void (*handlers[MAX_PORTS])(evtchn_port_t);

void kit_event_upcall(void);

/* The calling vCPU's area in the shared page. */
struct vcpu_info *vcpu_info(void)
{
    return &shared->vcpu_info[this_cpu()->id];
}

void events_init(void)
{
    for (u32 i = 0; i < ARRAY(shared->evtchn_mask); i++) {
        shared->evtchn_mask[i] = ~0UL;
    }
    events_unmask();
}

void events_mask(void)
{
    __atomic_store_n(&vcpu_info()->evtchn_upcall_mask, 1, __ATOMIC_SEQ_CST);
}

void events_unmask(void)
{
    struct vcpu_info *vi = vcpu_info();

    __atomic_store_n(&vi->evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&vi->evtchn_upcall_pending, __ATOMIC_SEQ_CST)) {
        /* any hypercall delivers what is pending on its way back */
        hc2(__HYPERVISOR_xen_version, XENVER_version, 0);
    }
}

void event_handler(evtchn_port_t port, void (*fn)(evtchn_port_t))
{
    handlers[port % MAX_PORTS] = fn;
}

void event_clear(evtchn_port_t port)
{
    __atomic_fetch_and(&shared->evtchn_pending[port / 64], ~(1UL << port % 64), __ATOMIC_SEQ_CST);
}

bool event_is_pending(evtchn_port_t port)
{
    return __atomic_load_n(&shared->evtchn_pending[port / 64], __ATOMIC_SEQ_CST) >> port % 64 & 1;
}

void event_mask_port(evtchn_port_t port)
{
    __atomic_fetch_or(&shared->evtchn_mask[port / 64], 1UL << port % 64, __ATOMIC_SEQ_CST);
}

void event_unmask_port(evtchn_port_t port)
{
    struct evtchn_unmask u = { .port = port };

    event_op(EVTCHNOP_unmask, &u);
}

/* Handles everything that is pending for the calling vCPU. */
void kit_event_upcall(void)
{
    struct vcpu_info *vi = vcpu_info();

    kit_upcalls++;
    __atomic_store_n(&vi->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
    u64 sel = __atomic_exchange_n(&vi->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);

    for (; sel; sel &= sel - 1) {
        u32 word = (u32)__builtin_ctzl(sel);
        u64 bits = shared->evtchn_pending[word] & ~shared->evtchn_mask[word];

        for (; bits; bits &= bits - 1) {
            evtchn_port_t port = word * 64 + (u32)__builtin_ctzl(bits);

            event_clear(port);
            if (handlers[port % MAX_PORTS]) {
                handlers[port % MAX_PORTS](port);
            }
        }
    }
}

long bind_virq(u32 virq, u32 cpu)
{
    struct evtchn_bind_virq b = { .virq = virq, .vcpu = cpu };
    long rc = event_op(EVTCHNOP_bind_virq, &b);

    return rc ? rc : (long)b.port;
}

long bind_ipi(u32 cpu)
{
    struct evtchn_bind_ipi b = { .vcpu = cpu };
    long rc = event_op(EVTCHNOP_bind_ipi, &b);

    return rc ? rc : (long)b.port;
}

long event_send(evtchn_port_t port)
{
    struct evtchn_send s = { .port = port };

    return event_op(EVTCHNOP_send, &s);
}

long event_close(evtchn_port_t port)
{
    struct evtchn_close c = { .port = port };

    return event_op(EVTCHNOP_close, &c);
}
