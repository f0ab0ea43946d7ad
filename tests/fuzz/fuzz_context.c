/* SPDX-License-Identifier: MIT */
/* Contexts of vcpus as a builder or a guest gives them: refused, or nothing in them can hurt. */
#include <stdlib.h>
#include <string.h>

#include "abi/arch_x86_64.h"
#include "abi/domctl.h"
#include "abi/vcpu.h"
#include "arch/host/machine.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "guest/pte.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "port/vcpu.h"
#include "tests/fuzz/drive.h"
#include "tests/fuzz/world.h"

/* Fields that decide something: where they stand in the structure, in words. */
#define AT(field) (offsetof(struct vcpu_guest_context, field) / 8)
static const uint16_t places[] = {
    AT(flags),
    AT(user_regs.rip),
    AT(user_regs.rsp),
    AT(user_regs.rflags),
    AT(user_regs.cs),
    AT(user_regs.ss),
    AT(ldt_base),
    AT(ldt_ents),
    AT(gdt_frames),
    AT(gdt_frames) + 1,
    AT(gdt_ents),
    AT(kernel_ss),
    AT(kernel_sp),
    AT(ctrlreg),
    AT(ctrlreg) + 1,
    AT(ctrlreg) + 3,
    AT(ctrlreg) + 4,
    AT(debugreg),
    AT(debugreg) + 3,
    AT(debugreg) + 6,
    AT(debugreg) + 7,
    AT(event_callback_eip),
    AT(failsafe_callback_eip),
    AT(syscall_callback_eip),
    AT(vm_assist),
    AT(fs_base),
    AT(gs_base_kernel),
    AT(gs_base_user),
    AT(trap_ctxt) + 1,
    AT(trap_ctxt) + 27,
    AT(fpu_ctxt) + 3,
};

/* What must hold of a vcpu that may run. */
static void check(const struct vcpu *v)
{
    const struct arch_vcpu *a = &v->arch;
    const struct regs *r = &a->regs;

    if ((r->cs & 3) != 3 || (r->ss & 3) != 3 || (r->rflags & RFLAGS_IF) == 0 ||
        (r->rflags & (RFLAGS_IOPL | RFLAGS_VM)) != 0 || !va_canonical(a->fs_base) ||
        !va_canonical(a->gs_base_kernel) || !va_canonical(a->gs_base_user) ||
        a->root_kernel == NULL || (!a->kernel_mode && a->root_user == NULL) ||
        !va_guest_ok(a->event.eip) || !va_guest_ok(a->failsafe.eip) ||
        !va_guest_ok(a->syscall.eip) || a->ldt_entries > 8192 ||
        a->gdt_entries > FIRST_RESERVED_GDT_ENTRY) {
        abort();
    }
    for (unsigned int i = 0; i < 4; i++) {
        if (!va_guest_ok(a->dr[i])) {
            abort();
        }
    }
    for (unsigned int i = 0; i < 256; i++) {
        if (!va_guest_ok(a->traps[i].eip)) {
            abort();
        }
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct vcpu_guest_context c, out;
    struct world_input in = { data, size };
    uint64_t *words = (uint64_t *)(void *)&c;

    world_begin();
    struct vcpu *v = world_guest[1].d->vcpu[1];
    for (unsigned int i = 0; i < 20 && in.left != 0; i++) {
        memset(&c, 0, sizeof c);
        c.flags = VGCF_in_kernel;
        c.user_regs.rip = 0x1000;
        c.ctrlreg[3] = xen_pfn_to_cr3(frame_mfn(world_guest[1].l4).n);
        for (unsigned int n = world_byte(&in) % 8; n > 0; n--) {
            uint8_t at = world_byte(&in);
            uint64_t val = world_number(&in);
            words[places[at % (sizeof places / sizeof places[0])]] =
                at & 0x80 ? xen_pfn_to_cr3(val) : val;
        }
        host_inject_yields(world_byte(&in) & 3, 3);
        int64_t rc;
        do {
            rc = port_vcpu_set_context(v, &c);
        } while (rc == HC_AGAIN);
        host_inject_yields(0, 0);
        if (rc == 0) {
            check(v);
            port_vcpu_get_context(v, &out);
            if (out.user_regs.rip != c.user_regs.rip || out.ctrlreg[3] != c.ctrlreg[3]) {
                abort();
            }
        }
        world_audit();
    }
    world_end();
    return 0;
}

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    if (index >= sizeof places / sizeof places[0] || size < 64) {
        return 0;
    }
    for (unsigned int i = 0; i < 64; i += 4) {
        data[i] = 1;
        data[i + 1] = (uint8_t)index;
        data[i + 2] = (uint8_t)(i * 5);
        data[i + 3] = (uint8_t)i;
    }
    return 64;
}
