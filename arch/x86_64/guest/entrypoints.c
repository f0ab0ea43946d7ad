/* SPDX-License-Identifier: MIT */
/* Where the guest's kernel wants to be entered, and its stack, segments and FPU flag: small calls
 * of its start and of each task switch. */
#include "guest/trap.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "port/vcpu.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "abi/arch_x86_64.h"
#include "abi/callback.h"
#include "abi/errno.h"
#include "abi/nmi.h"
#include "abi/xen.h"
#include "cpu/msr.h"
#include "guest/pte.h"
#include "guest/x86_flags.h"

/*
 * set_trap_table(struct trap_info table[]): an entry with address 0 ends it; a null pointer removes
 * all. -EFAULT, -EINVAL (address outside the guest's space).  Entries before a bad one stay, as on
 * Xen.
 */
int64_t hc_set_trap_table(struct vcpu *v, struct hcall_args *a)
{
    gptr_t table = gptr(a->arg[0]);
    struct trap_info t;

    if (table.va == 0) {
        for (unsigned int i = 0; i < 256; i++) {
            v->arch.traps[i] = (struct x86_trap_entry){ 0 };
        }
        return 0;
    }
    for (unsigned int i = 0; i < 257; i++) {
        if (hcall_preempt_check() && i != 0) {
            a->arg[0] = gptr_at(table, i, sizeof t).va;
            return HC_AGAIN;
        }
        if (guest_read(&t, gptr_at(table, i, sizeof t), sizeof t) != 0) {
            return -EFAULT;
        }
        if (t.address == 0) {
            guest_nmi_look(v);
            return 0;
        }
        if (!va_guest_ok(t.address)) {
            return -EINVAL;
        }
        v->arch.traps[t.vector] = (struct x86_trap_entry){
            .eip = t.address,
            .cs = (uint16_t)(t.cs | 3),
            .flags = t.flags,
        };
    }
    /* More entries than there are vectors: it does not end. */
    return -EINVAL;
}

/* stack_switch(ss, rsp): the stack for entries from user mode. */
int64_t hc_stack_switch(struct vcpu *v, struct hcall_args *a)
{
    v->arch.kernel_ss = (uint16_t)(a->arg[0] | 3);
    v->arch.kernel_sp = a->arg[1];
    return 0;
}

/* set_callbacks(event, failsafe, syscall): the old form of callback_op. -EINVAL. */
int64_t hc_set_callbacks(struct vcpu *v, struct hcall_args *a)
{
    for (unsigned int i = 0; i < 3; i++) {
        if (!va_guest_ok(a->arg[i])) {
            return -EINVAL;
        }
    }
    v->arch.event = (struct x86_callback){ .eip = a->arg[0], .mask = true };
    v->arch.failsafe = (struct x86_callback){ .eip = a->arg[1] };
    v->arch.syscall = (struct x86_callback){ .eip = a->arg[2] };
    return 0;
}

static struct x86_callback *callback_slot(struct vcpu *v, uint16_t type)
{
    switch (type) {
    case CALLBACKTYPE_event:
        return &v->arch.event;
    case CALLBACKTYPE_failsafe:
        return &v->arch.failsafe;
    case CALLBACKTYPE_syscall:
        return &v->arch.syscall;
    case CALLBACKTYPE_sysenter_deprecated:
    case CALLBACKTYPE_sysenter:
        return &v->arch.sysenter;
    case CALLBACKTYPE_syscall32:
        return &v->arch.syscall32;
    default:
        return NULL;
    }
}

/* The NMI callback is the handler of vector 2, entered with events masked. */
static int64_t set_nmi_handler(struct vcpu *v, uint64_t address)
{
    if (!va_guest_ok(address)) {
        return -EINVAL;
    }
    v->arch.traps[VEC_NMI] =
        (struct x86_trap_entry){ .eip = address, .cs = FLAT_KERNEL_CS, .flags = TI_MASK_EVENTS };
    guest_nmi_look(v);
    return 0;
}

static int64_t callback_register(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct callback_register *c = arg;
    struct x86_callback *slot = callback_slot(v, c->type);

    (void)a;
    if (c->type == CALLBACKTYPE_nmi) {
        return set_nmi_handler(v, c->address);
    }
    if (slot == NULL) {
        return -ENOSYS;
    }
    if (!va_guest_ok(c->address)) {
        return -EINVAL;
    }
    *slot = (struct x86_callback){
        .eip = c->address,
        .mask = (c->flags & CALLBACKF_mask_events) != 0 || c->type == CALLBACKTYPE_event,
    };
    return 0;
}

/* Only the NMI callback can be withdrawn; -EINVAL for those that the guest cannot live without. */
static int64_t callback_unregister(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct callback_unregister *c = arg;

    (void)a;
    if (c->type == CALLBACKTYPE_nmi) {
        return set_nmi_handler(v, 0);
    }
    return callback_slot(v, c->type) != NULL ? -EINVAL : -ENOSYS;
}

static const struct subop_row callback_rows[] = {
    [CALLBACKOP_register] = { "register", callback_register, sizeof(struct callback_register), 0,
                              WHO_ANY, 0 },
    [CALLBACKOP_unregister] = { "unregister", callback_unregister,
                                sizeof(struct callback_unregister), 0, WHO_ANY, 0 },
};

int64_t hc_callback_op(struct vcpu *v, struct hcall_args *a)
{
    return subop_dispatch(v, callback_rows, sizeof callback_rows / sizeof callback_rows[0],
                          a->arg[0], gptr(a->arg[1]), a);
}

static int64_t nmi_register(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct xennmi_callback *c = arg;

    (void)a;
    return v->id != 0 ? -EINVAL : set_nmi_handler(v, c->handler_address);
}

static int64_t nmi_unregister(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    (void)a;
    return set_nmi_handler(v, 0);
}

static const struct subop_row nmi_rows[] = {
    [XENNMI_register_callback] = { "register_callback", nmi_register,
                                   sizeof(struct xennmi_callback), 0, WHO_ANY, 0 },
    [XENNMI_unregister_callback] = { "unregister_callback", nmi_unregister, 0, 0, WHO_ANY, 0 },
};

int64_t hc_nmi_op(struct vcpu *v, struct hcall_args *a)
{
    return subop_dispatch(v, nmi_rows, sizeof nmi_rows / sizeof nmi_rows[0], a->arg[0],
                          gptr(a->arg[1]), a);
}

/* fpu_taskswitch(set): the next use of the FPU raises #NM if set. */
int64_t hc_fpu_taskswitch(struct vcpu *v, struct hcall_args *a)
{
    v->arch.cr0_ts = a->arg[0] != 0 ? CR0_TS : 0;
    cpu_set_ts(a->arg[0] != 0);
    return 0;
}

/* set_segment_base(which, base or selector): -EINVAL for an unknown one, a base that is no address
 * of the guest's, or a bad selector. */
int64_t hc_set_segment_base(struct vcpu *v, struct hcall_args *a)
{
    uint64_t base = a->arg[1];

    (void)v;
    if (a->arg[0] != SEGBASE_GS_USER_SEL && !va_canonical(base)) {
        return -EINVAL;
    }
    switch (a->arg[0]) {
    case SEGBASE_FS:
        cpu_set_fs_base(base);
        return 0;
    case SEGBASE_GS_USER:
        cpu_set_gs_base_other(base);
        return 0;
    case SEGBASE_GS_KERNEL:
        cpu_set_gs_base(base);
        return 0;
    case SEGBASE_GS_USER_SEL:
        (void)cpu_load_gs_user((uint16_t)base);
        return 0;
    default:
        return -EINVAL;
    }
}

void port_vcpu_nmi(struct vcpu *v)
{
    __atomic_store_n(&v->arch.nmi_pending, true, __ATOMIC_SEQ_CST);
    vcpu_kick(v);
    /* Its cpu looks at pending NMIs when it has work; one that does not run it is not disturbed, as
     * they are looked at whenever a vcpu is loaded. */
    if (v == port_current() || atomic_load(&v->on_cpu) != 0) {
        port_cpu_raise(atomic_load(&v->cpu), CW_UPCALL);
    }
}
