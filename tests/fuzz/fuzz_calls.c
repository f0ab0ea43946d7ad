/* SPDX-License-Identifier: MIT */
/*
 * Any hypercall with any arguments of a domain without rights, with yields and faults: nothing of
 * the control domain may change, no control call may do anything but refuse.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/domctl.h"
#include "abi/sysctl.h"
#include "arch/host/machine.h"
#include "cpu/regs.h"
#include "domain/domain.h"
#include "evtchn/evtchn.h"
#include "guest/trap.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "tests/fuzz/drive.h"
#include "tests/fuzz/world.h"

#define STEPS_MAX 60u

/* Calls that only the control domain, or the hardware's owner, may make. */
static bool is_privileged(uint64_t nr)
{
    return nr == __HYPERVISOR_domctl || nr == __HYPERVISOR_sysctl ||
           nr == __HYPERVISOR_platform_op || nr == __HYPERVISOR_mca;
}

static void step(struct world_input *in)
{
    static _Alignas(64) uint8_t buf[512];
    struct vcpu *v = world_guest[1].v;
    struct regs r = { .cs = 0xe033, .ss = 0xe02b, .rsp = KIT_VA + 2048 };
    uint64_t *args[5] = { &r.rdi, &r.rsi, &r.rdx, &r.r10, &r.r8 };
    uint8_t how = world_byte(in);
    uint64_t nr = world_byte(in) % 66;

    memset(buf, 0, sizeof buf);
    world_fill(in, buf, 64u + (how & 3u) * 64u);
    if (nr == __HYPERVISOR_domctl || nr == __HYPERVISOR_sysctl) {
        ((struct xen_domctl *)(void *)buf)->interface_version =
            nr == __HYPERVISOR_domctl ? XEN_DOMCTL_INTERFACE_VERSION : XEN_SYSCTL_INTERFACE_VERSION;
    }
    world_put(KIT_VA, buf, sizeof buf);
    for (unsigned int i = 0; i < 5; i++) {
        uint8_t b = world_byte(in);
        *args[i] = b < 100 ? KIT_VA + (b & 15u) * 8u : b < 200 ? b % 32u : world_number(in);
    }
    if (nr == __HYPERVISOR_iret) {
        r.rsp = KIT_VA + (how & 15u) * 8u;
    }
    if (how >= 240) {
        host_fault_at(1 + world_byte(in));
    }
    host_inject_yields(how & 4 ? 1 + (how >> 4) % 3 : 0, 9);

    uint64_t mine = world_guest[0].d->owned_frames;
    uint32_t ports = evtchn_count(world_guest[0].d);
    host_guest_flat(false);
    int64_t rc;
    unsigned int again = 0;
    do {
        rc = hcall_dispatch(v, nr, (struct hcall_args *)(void *)&r.rdi);
        if (++again > 100000) {
            abort(); /* it does not end */
        }
    } while (rc == HC_AGAIN);
    host_guest_flat(true);
    host_inject_yields(0, 0);
    host_fault_at(0);
    if ((is_privileged(nr) && rc != -EPERM) || world_guest[0].d->owned_frames != mine ||
        evtchn_count(world_guest[0].d) != ports || world_guest[0].d->ctl_pause_count > 1) {
        abort();
    }
    world_audit();
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct world_input in = { data, size };

    world_begin();
    for (unsigned int i = 0; i < STEPS_MAX && in.left != 0; i++) {
        struct domain *d = world_guest[1].d;
        if (atomic_load(&d->crash_pending) || atomic_load(&d->is_shut_down)) {
            break;
        }
        step(&in);
    }
    world_guest[1].v->arch.kernel_mode = true;
    world_end();
    return 0;
}

/* One well-formed call of each number. */
size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    if (index >= 64 || size < 128) {
        return 0;
    }
    memset(data, 0, 128);
    data[1] = (uint8_t)index;
    data[2] = 1;
    for (unsigned int i = 3; i < 60; i++) {
        data[i] = (uint8_t)(i * 7 + index);
    }
    return 128;
}
