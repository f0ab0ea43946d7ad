/* SPDX-License-Identifier: MIT */
/* Attack: descriptors that would lead into ring 0: gates, task states, levels, tables of tables. */
#include "kit/kit.h"

const char kit_name[] = "descriptors";

static u64 *gdt, *ldt;

static u64 desc(u32 type, u32 dpl, bool s, bool l)
{
    return 0x00cf00000000ffffUL | (u64)type << 40 | (u64)s << 44 | (u64)dpl << 45 | 1UL << 47 |
           (u64)l << 53 | (l ? 0 : 1UL << 54);
}

/* Xen lets call gates to ring 3 be; Joist has none. */
static bool is_gate(u32 type)
{
    return !on_joist && type == 12;
}

static void each_type(void)
{
    u64 frame = mfn_of(gdt);

    for (u32 type = 0; type < 16; type++) {
        for (u32 dpl = 0; dpl < 4; dpl++) {
            u64 maddr = mfn_of(gdt) * PAGE + 8 * 20;
            /* system descriptors: gates, task states, LDTs */
            long rc = hc2(__HYPERVISOR_update_descriptor, maddr, desc(type, dpl, false, false));
            check_at(rc < 0 || type == 0 || is_gate(type), __FILE__, __LINE__,
                     "system type %u, level %u: %ld", type, dpl, rc);
            rc = hc2(__HYPERVISOR_update_descriptor, maddr, desc(type, dpl, true, type >= 8));
            check_at(rc < 0 || (gdt[20] >> 45 & 3) != 0, __FILE__, __LINE__,
                     "segment type %u: level 0 stays", type);
            check_eq(hc2(__HYPERVISOR_update_descriptor, maddr, 0), 0);
        }
    }
    /* the same in a page that becomes a table */
    for (u32 type = 1; type < 16 && !is_gate(type); type++) {
        u64 *fresh = page_alloc();
        u64 mfn = mfn_of(fresh);

        fresh[100] = desc(type, 3, false, false);
        page_protect(fresh, false);
        check_at(hc2(__HYPERVISOR_set_gdt, U64(&mfn), 512) < 0, __FILE__, __LINE__,
                 "a table with system type %u", type);
    }
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(&frame), 512), 0);
}

static void set_ds(u64 sel)
{
    __asm__ volatile("mov %w0, %%ds" ::"r"(sel));
}

static void far_call(u64 sel)
{
    struct {
        u64 off;
        u16 sel;
    } __attribute__((packed)) to = { 0x1000, (u16)sel };

    __asm__ volatile("rex.w lcall *%0" ::"m"(to) : "memory", "rax", "rcx", "rdx");
}

/* Every selector there is: none may give ring 0, none may stop the machine. */
static void each_selector(void)
{
    u64 loaded = 0;
    u16 cs;

    for (u64 sel = 0; sel < 0x10000; sel += sel < 0x200 || sel >= 0xdf00 ? 1 : 61) {
        loaded += kit_try(set_ds, sel) == 0;
        __asm__ volatile("mov %%cs, %0" : "=r"(cs));
        check_eq(cs & 3, 3);
    }
    set_ds(0);
    check(loaded > 4);
    for (u64 sel = 0; sel < 0x10000; sel += sel < 0x200 || sel >= 0xdf00 ? 7 : 509) {
        if ((sel & 0xfff8) == 0xe030 || (sel & 0xfff8) == 0xe020) {
            continue; /* the kernel's own code segments: the call would arrive */
        }
        kit_try(far_call, sel);
        __asm__ volatile("mov %%cs, %0" : "=r"(cs));
        check_eq(cs & 3, 3);
    }
}

static long set_ldt(const void *at, u32 n)
{
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT, .arg1.linear_addr = U64(at), .arg2.nr_ents = n };

    return hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF);
}

static void each_ldt(void)
{
    static const u64 bad[] = { 0x1001, 0x0000800000000000UL, 0xffff87ff80000000UL,
                               0x00007ffffffff000UL };

    check_eq(set_ldt(ldt, 512), 0);
    check(kit_try(set_ds, 8 | 4 | 3) != 0); /* empty */
    page_protect(ldt, true);
    ldt[2] = desc(3, 3, true, false);
    ldt[3] = desc(12, 3, false, false); /* a call gate */
    check_eq(set_ldt(NULL, 0), 0);
    check_eq(set_ldt(ldt, 512), 0);
    check(kit_try(set_ds, 16 | 4 | 3) != 0); /* mapped writable, and with a gate */
    page_protect(ldt, false);
    check(kit_try(set_ds, 16 | 4 | 3) != 0 || !on_joist); /* the gate spoils the page */
    check(kit_try(far_call, 24 | 4 | 3) != 0);
    for (u32 i = 0; i < 3; i++) {
        check(set_ldt((void *)bad[i], 512) < 0);
    }
    set_ldt((void *)bad[3], 8192);
    kit_try(set_ds, 0xfff7);
    check(set_ldt(ldt, 8193) < 0);
    check_eq(set_ldt((void *)0x10000000, 512), 0); /* nothing there: a fault on use */
    check(kit_try(set_ds, 16 | 4 | 3) != 0);
    check_eq(set_ldt(NULL, 0), 0);
}

static void numbers(void)
{
    u64 frames[16];

    for (u32 i = 0; i < 16; i++) {
        frames[i] = mfn_of(gdt);
    }
    check(hc2(__HYPERVISOR_set_gdt, U64(frames), 7169) < 0);
    check(hc2(__HYPERVISOR_set_gdt, U64(frames), ~0UL) < 0);
    check(hc2(__HYPERVISOR_set_gdt, U64(frames), 1UL << 32 | 7169) < 0);
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(frames), 7168), 0);
    check(hc2(__HYPERVISOR_update_descriptor, mfn_of(gdt) * PAGE + 4, 0) < 0);
    check(hc2(__HYPERVISOR_update_descriptor, ~0UL, 0) < 0);
}

void test_main(void)
{
    gdt = page_alloc();
    ldt = page_alloc();
    page_protect(gdt, false);
    u64 frame = mfn_of(gdt);

    check_eq(hc2(__HYPERVISOR_set_gdt, U64(&frame), 512), 0);
    each_type();
    numbers();
    each_selector();
    each_ldt();
}
