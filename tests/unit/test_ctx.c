/* SPDX-License-Identifier: MIT */
/* struct vcpu_guest_context in and out: what is refused, what is forced, what comes back, and that
 * a refused one leaves nothing referenced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/arch_x86_64.h"
#include "abi/errno.h"
#include "abi/vcpu.h"
#include "abi/xen.h"
#include "arch/host/machine.h"
#include "cpu/msr.h"
#include "guest/ctx.h"
#include "guest/x86_flags.h"
#include "mm/heap.h"
#include "port/vcpu.h"
#include "tests/unit/mm_kit.h"

#define CODE          UINT64_C(0xffffffff81000000)
#define NON_CANONICAL UINT64_C(0x0000800000000000)
#define HV            UINT64_C(0xffff87ff80000000)

static struct kit_guest g;
static struct vcpu *v;
static struct vcpu_guest_context c;
static struct frame *l4; /* a second root */
static uint64_t free_before;

static int begin(void **state)
{
    (void)state;
    free_before = heap_free_frames();
    kit_guest(&g, false, 2);
    v = g.d->vcpu[1];
    memset(&c, 0, sizeof c);
    c.flags = VGCF_in_kernel;
    c.user_regs.rip = CODE;
    c.user_regs.cs = FLAT_KERNEL_CS;
    c.user_regs.ss = FLAT_KERNEL_SS;
    c.ctrlreg[3] = xen_pfn_to_cr3(frame_mfn(g.l4).n);
    return 0;
}

static int end(void **state)
{
    (void)state;
    kit_audit();
    kit_guest_end(&g);
    kit_audit();
    assert_int_equal(heap_free_frames(), free_before);
    return 0;
}

static int64_t set(void)
{
    int64_t rc;

    do {
        rc = port_vcpu_set_context(v, &c);
    } while (rc == HC_AGAIN);
    return rc;
}

static void refused(uint64_t *field, uint64_t val)
{
    uint64_t was = *field;

    *field = val;
    assert_int_equal(set(), -EINVAL);
    assert_null(v->arch.root_kernel);
    assert_null(v->arch.root_user);
    *field = was;
}

/* Each of these is refused before anything is touched. */
static void test_refused(void **state)
{
    uint64_t *const addresses[] = { &c.event_callback_eip, &c.failsafe_callback_eip,
                                    &c.syscall_callback_eip, &c.user_regs.rip };
    uint64_t *const bases[] = { &c.fs_base, &c.gs_base_user, &c.gs_base_kernel };

    (void)state;
    for (unsigned int i = 0; i < 4; i++) {
        refused(addresses[i], NON_CANONICAL);
        refused(addresses[i], HV);
        refused(addresses[i], UINT64_C(0xffff800000000000));
    }
    for (unsigned int i = 0; i < 3; i++) { /* XSA-193, 298 */
        refused(bases[i], NON_CANONICAL);
        refused(bases[i], ~NON_CANONICAL);
    }
    for (unsigned int i = 0; i < 256; i += 51) {
        c.trap_ctxt[i].address = HV;
        assert_int_equal(set(), -EINVAL);
        c.trap_ctxt[i].address = 0;
    }
    for (unsigned int i = 0; i < 4; i++) {
        refused(&c.debugreg[i], HV);
    }
    refused(&c.debugreg[7], 1u << 13);
    refused(&c.gdt_ents, FIRST_RESERVED_GDT_ENTRY + 1000);
    refused(&c.gdt_ents, UINT64_MAX);
    refused(&c.ldt_ents, 8193);
    refused(&c.ldt_ents, UINT64_MAX);
    c.ldt_ents = 1;
    refused(&c.ldt_base, 0x1008);
    refused(&c.ldt_base, NON_CANONICAL);
    refused(&c.ldt_base, HV);
    c.ldt_ents = 0;
    refused(&c.ctrlreg[3], 0);
    refused(&c.ctrlreg[3], xen_pfn_to_cr3(frame_mfn(g.l1).n));
    refused(&c.ctrlreg[3], xen_pfn_to_cr3(frame_mfn(g.data[0]).n));
    refused(&c.ctrlreg[3], UINT64_MAX);
    assert_int_equal(set(), 0);
}

/* What the vcpu holds of its domain. */
struct held {
    struct frame *kernel, *user, *next, *gdt;
    uint64_t root, second, data, entries;
};

static struct held held(void)
{
    return (struct held){ v->arch.root_kernel,  v->arch.root_user,  v->arch.root_next,
                          v->arch.gdt_frame[0], kit_refs(g.l4),     kit_refs(l4),
                          kit_refs(g.data[7]),  v->arch.gdt_entries };
}

/* Refused late, with walks that stop or do not: the vcpu is as it was, whether it had a context or
 * not, and no count has changed. */
static void refused_late(void)
{
    for (unsigned int one_in = 0; one_in < 4; one_in++) {
        struct held was = held();
        host_inject_yields(one_in, 5);
        assert_int_equal(set(), -EINVAL);
        host_inject_yields(0, 0);
        struct held is = held();
        assert_memory_equal(&was, &is, sizeof was);
        kit_audit();
    }
}

static void late_failures(void)
{
    struct vcpu_guest_context was = c;

    c.ctrlreg[1] = xen_pfn_to_cr3(frame_mfn(g.l2).n);
    refused_late();
    c.ctrlreg[1] = UINT64_MAX;
    refused_late();
    c.ctrlreg[1] = 0;
    c.flags = 0; /* to user mode without user tables */
    refused_late();
    c.flags = VGCF_in_kernel;
    c.gdt_ents = 512;
    c.gdt_frames[0] = frame_mfn(g.l1).n;
    refused_late();
    c.gdt_frames[0] = UINT64_MAX;
    refused_late();
    c.gdt_frames[0] = frame_mfn(g.data[0]).n; /* mapped writable */
    refused_late();
    c.ctrlreg[1] = xen_pfn_to_cr3(frame_mfn(l4).n);
    refused_late();
    c.gdt_ents = 1024; /* the second one is refused */
    c.gdt_frames[0] = frame_mfn(g.data[7]).n;
    c.gdt_frames[1] = frame_mfn(g.data[0]).n;
    refused_late();
    c.gdt_ents = 512; /* a good one, but bad tables */
    c.ctrlreg[3] = xen_pfn_to_cr3(frame_mfn(g.l3).n);
    refused_late();
    c = was;
}

static void test_late_failures(void **state)
{
    (void)state;
    l4 = kit_frame(&g); /* not validated yet: a walk of 130 tables, which may stop */
    struct frame *l3 = kit_frame(&g);
    kit_poke(l4, 3, kit_pte(l3, TAB));
    for (unsigned int i = 0; i < 2; i++) {
        struct frame *l2 = kit_frame(&g);
        kit_poke(l3, i, kit_pte(l2, TAB));
        for (unsigned int k = 0; k < 64; k++) {
            kit_poke(l2, k, kit_pte(kit_frame(&g), TAB));
        }
    }
    assert_int_equal(kit_mmu_update(kit_maddr(g.l1, 7), 0), 0);
    late_failures();
    assert_null(v->arch.root_kernel);
    assert_false(v->initialised);

    /* The same for one that has a context, and then another one, stopping everywhere. */
    c.gdt_ents = 512;
    c.gdt_frames[0] = frame_mfn(g.data[7]).n;
    c.ctrlreg[1] = xen_pfn_to_cr3(frame_mfn(l4).n);
    for (unsigned int one_in = 0; one_in < 4; one_in++) {
        host_inject_yields(one_in, 5);
        c.ctrlreg[3] = xen_pfn_to_cr3(frame_mfn((one_in & 1) != 0 ? l4 : g.l4).n);
        c.ctrlreg[1] = xen_pfn_to_cr3(frame_mfn((one_in & 1) != 0 ? g.l4 : l4).n);
        assert_int_equal(set(), 0);
        host_inject_yields(0, 0);
        assert_ptr_equal(v->arch.root_kernel, (one_in & 1) != 0 ? l4 : g.l4);
        assert_ptr_equal(v->arch.root_user, (one_in & 1) != 0 ? g.l4 : l4);
        struct vcpu_guest_context out;
        port_vcpu_get_context(v, &out);
        assert_int_equal(out.ctrlreg[3], c.ctrlreg[3]);
        assert_int_equal(out.ctrlreg[1], c.ctrlreg[1]);
        assert_int_equal(out.gdt_ents, 512);
        assert_int_equal(out.gdt_frames[0], c.gdt_frames[0]);
        kit_audit();
        late_failures();
    }
}

static void test_values(void **state)
{
    struct vcpu_guest_context out;

    (void)state;
    c.user_regs.rax = 0x1111;
    c.user_regs.r15 = 0x1515;
    c.user_regs.cs = 0x10; /* its level is raised */
    c.user_regs.ss = 0;
    c.user_regs.rflags = ~UINT64_C(0);
    c.user_regs.rsp = HV; /* an address that faults when used, nothing else */
    c.kernel_ss = 0x18;
    c.kernel_sp = CODE + 8;
    c.event_callback_eip = CODE + 16;
    c.failsafe_callback_eip = CODE + 32;
    c.syscall_callback_eip = CODE + 48;
    c.flags |= VGCF_i387_valid | VGCF_failsafe_disables_events;
    c.trap_ctxt[14] = (struct trap_info){ 14, 7, 0x10, CODE + 64 };
    c.fs_base = 0x123000;
    c.debugreg[0] = 0x4000;
    c.debugreg[7] = 1;
    c.ctrlreg[4] = UINT64_MAX;
    memset(&c.fpu_ctxt, 0xff, sizeof c.fpu_ctxt);
    assert_int_equal(set(), 0);
    const struct regs *r = &v->arch.regs;
    assert_int_equal(r->cs & 3, 3);
    assert_int_equal(r->ss & 3, 3);
    /* XSA-202: interrupts on, never I/O rights or virtual 8086 mode. */
    assert_true(r->rflags & RFLAGS_IF);
    assert_false(r->rflags & (RFLAGS_IOPL | RFLAGS_VM));
    assert_int_equal(v->arch.iopl, 3);
    assert_int_equal(v->arch.kernel_ss, 0x1b);
    assert_int_equal(v->arch.dr[7], DR7_DEFAULT | 1);
    uint32_t mxcsr; /* reserved bits would fault when it is loaded */
    memcpy(&mxcsr, (const uint8_t *)v->arch.xstate + 24, sizeof mxcsr);
    assert_int_equal(mxcsr, 0xffff);
    assert_int_equal(v->arch.cr4, CR4_TSD | CR4_DE | CR4_OSXSAVE); /* CPUID shows no FSGSBASE */
    port_vcpu_get_context(v, &out);
    assert_int_equal(out.user_regs.rax, 0x1111);
    assert_int_equal(out.user_regs.r15, 0x1515);
    assert_int_equal(out.user_regs.rip, CODE);
    assert_int_equal(out.user_regs.rsp, HV);
    assert_int_equal(out.event_callback_eip, CODE + 16);
    assert_int_equal(out.failsafe_callback_eip, CODE + 32);
    assert_int_equal(out.syscall_callback_eip, CODE + 48);
    assert_int_equal(out.trap_ctxt[14].address, CODE + 64);
    assert_int_equal(out.trap_ctxt[14].flags, 7);
    assert_int_equal(out.trap_ctxt[15].vector, 15);
    assert_int_equal(out.fs_base, 0x123000);
    assert_int_equal(out.ctrlreg[3], c.ctrlreg[3]);
    assert_true(out.flags & VGCF_in_kernel);
    assert_true(out.flags & VGCF_failsafe_disables_events);
    assert_false(out.flags & VGCF_online);
    assert_int_equal(out.kernel_sp, CODE + 8);
}

/* What a vcpu has taken it gives back, however often it is asked, and can take again. */
static void test_relinquish(void **state)
{
    uint64_t refs = kit_refs(g.l4);

    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(set(), 0);
        assert_ptr_equal(v->arch.root_kernel, g.l4);
        assert_int_not_equal(kit_refs(g.l4), refs);
        while (port_vcpu_relinquish(v) == HC_AGAIN) {
        }
        assert_null(v->arch.root_kernel);
        assert_int_equal(kit_refs(g.l4), refs);
        assert_int_equal(port_vcpu_relinquish(v), 0);
        kit_audit();
    }
}

static void test_initialise(void **state)
{
    (void)state;
    c.ctrlreg[3] = 0;
    assert_int_equal(kit_call(hc_vcpu_op, VCPUOP_initialise, 1, (uintptr_t)&c, 0), -EINVAL);
    assert_int_equal(kit_call(hc_vcpu_op, VCPUOP_up, 1, 0, 0), -EINVAL);
    c.ctrlreg[3] = xen_pfn_to_cr3(frame_mfn(g.l4).n);
    assert_int_equal(kit_call(hc_vcpu_op, VCPUOP_initialise, 1, HV, 0), -EFAULT);
    assert_int_equal(kit_call(hc_vcpu_op, VCPUOP_initialise, 2, (uintptr_t)&c, 0), -ENOENT);
    assert_int_equal(kit_call(hc_vcpu_op, VCPUOP_initialise, 1, (uintptr_t)&c, 0), 0);
    assert_int_equal(kit_call(hc_vcpu_op, VCPUOP_initialise, 1, (uintptr_t)&c, 0), -EEXIST);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_refused),    T(test_late_failures), T(test_values),
        T(test_relinquish), T(test_initialise),
    };

    kit_machine(8192, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
