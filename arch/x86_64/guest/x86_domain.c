/* SPDX-License-Identifier: MIT */
/* The x86 part of making and unmaking domains and vcpus. */
#include "port/vcpu.h"

#include "abi/errno.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/cpuid.h"
#include "guest/mm_x86.h"
#include "guest/spec.h"
#include "guest/trap.h"
#include "guest/x86_domain.h"
#include "guest/x86_flags.h"
#include "lib/str.h"
#include "mm/heap.h"
#include "abi/hcall_nr.h"
#include "port/time.h"

_Static_assert(256 * sizeof(struct x86_trap_entry) == PAGE_SIZE, "trap tables are one frame");

#define XCR0_X87 UINT64_C(1)

static unsigned int xstate_order(void)
{
    unsigned int order = 0;

    while ((PAGE_SIZE << order) < cpu_xstate_size()) {
        order++;
    }
    return order;
}

int port_vcpu_init(struct vcpu *v)
{
    if (v->is_idle) {
        return 0;
    }
    v->arch.traps = heap_alloc(0, HEAP_ANY);
    v->arch.xstate = heap_alloc(xstate_order(), HEAP_ANY);
    if (v->arch.traps == NULL || v->arch.xstate == NULL) {
        port_vcpu_destroy(v);
        return -ENOMEM;
    }
    v->arch.xcr0 = XCR0_X87;
    v->arch.xcr0_accum = XCR0_X87;
    v->arch.dr[6] = DR6_DEFAULT;
    v->arch.dr[7] = DR7_DEFAULT;
    cpu_xstate_reset(v);
    return 0;
}

void port_vcpu_destroy(struct vcpu *v)
{
    if (v->arch.traps != NULL) {
        heap_free(v->arch.traps, 0);
        v->arch.traps = NULL;
    }
    if (v->arch.xstate != NULL) {
        heap_free(v->arch.xstate, xstate_order());
        v->arch.xstate = NULL;
    }
}

int port_domain_init(struct domain *d)
{
    d->arch.tsc_khz = (uint32_t)port_ticks_khz();
    if (d->is_hw) {
        /* The first kernel may use its page tables by plain stores from the start, as on Xen. */
        d->vm_assist = 1u << VMASST_TYPE_writable_pagetables;
    }
    return 0;
}

void port_domain_destroy(struct domain *d)
{
    spec_forget(d);
    cpuid_destroy(d);
    if (d->arch.e820 != NULL) {
        heap_free(d->arch.e820, 0);
        d->arch.e820 = NULL;
    }
}

/*
 * push %rcx; push %r11; mov $nr,%eax; syscall; pop %r11; pop %rcx; ret -- SYSCALL clobbers rcx and
 * r11. The stub of iret leaves rax, r11, rcx on the stack as the head of struct iret_context.
 */
void x86_hypercall_page_fill(void *page)
{
    static const uint8_t call[] = { 0x51, 0x41, 0x53, 0xb8, 0,    0,    0,
                                    0,    0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3 };
    static const uint8_t iret[] = { 0x51, 0x41, 0x53, 0x50, 0xb8, 0, 0, 0, 0, 0x0f, 0x05 };
    uint8_t *stub = page;

    memset(page, 0xcc, PAGE_SIZE);
    for (unsigned int nr = 0; nr < PAGE_SIZE / 32; nr++, stub += 32) {
        if (nr == __HYPERVISOR_iret) {
            memcpy(stub, iret, sizeof iret);
            stub[5] = (uint8_t)nr;
        } else {
            memcpy(stub, call, sizeof call);
            stub[4] = (uint8_t)nr;
        }
    }
}
