/* SPDX-License-Identifier: MIT */
/* The start-of-day state: start_info, the boot mapping, frame tables, identity, the console. */
#include "kit/kit.h"

const char kit_name[] = "hello";

static bool contains(const char *text, const char *word)
{
    for (; *text; text++) {
        if (memcmp(text, word, strlen(word)) == 0) {
            return true;
        }
    }
    return false;
}

static void check_start_info(void)
{
    check(memcmp(si->magic, "xen-3.0-x86_64", 14) == 0);
    check(si->nr_pages >= 1024);
    check_eq(si->shared_info & (PAGE - 1), 0);
    check(si->shared_info != 0);
    check_eq(si->pt_base & (PAGE - 1), 0);
    check(si->nr_pt_frames >= 4);
    check_eq(si->mfn_list & 7, 0);
    check(si->mfn_list >= U64(kit_image_end));
    check(contains((const char *)si->cmd_line, "guest=hello"));
    check_eq(si->flags & ~(u32)(SIF_INITDOMAIN | SIF_PRIVILEGED | SIF_MOD_START_PFN | SIF_PM_MASK),
             0);
    check_eq((si->flags & SIF_INITDOMAIN) != 0, (si->flags & SIF_PRIVILEGED) != 0);
    if (is_dom0) {
        /* a machine without a display has no description of one */
        check(si->console.dom0.info_size == 0 || si->console.dom0.info_off >= 1024);
    } else {
        check(si->console.domU.mfn != 0);
        check(si->store_mfn != 0);
        check(si->store_evtchn != 0);
    }
}

/* Every page of the image: P2M and M2P agree, and the boot mapping shows the right frame. */
static void check_boot_mapping(void)
{
    u64 bad = 0, end = si->pt_base + (si->nr_pt_frames + 1) * PAGE;

    for (u64 va = KIT_BASE; va < end; va += PAGE) {
        u64 mfn = mfn_of((void *)va);

        if (va == U64(shared)) {
            continue; /* the kit has mapped the shared page there */
        }
        bad += mfn_to_pfn(mfn) != (va - KIT_BASE) / PAGE;
        bad += (*pte_ptr((void *)va, 1) & PTE_ADDR) != mfn * PAGE;
    }
    check_eq(bad, 0);
    /* at least 512 KiB of padding after the last part is mapped */
    check((*pte_ptr((void *)(end + 0x7f000), 1) & PTE_P) != 0);
    /* page tables are mapped read-only, the rest writable */
    check_eq(*pte_ptr((void *)si->pt_base, 1) & PTE_W, 0);
    check_eq(*pte_ptr((void *)(si->pt_base + (si->nr_pt_frames - 1) * PAGE), 1) & PTE_W, 0);
    check_eq(*pte_ptr(kit_stacks, 1) & PTE_W, PTE_W);
    bad = 0;
    for (u64 pfn = 0; pfn < si->nr_pages; pfn++) {
        bad += mfn_to_pfn(((u64 *)si->mfn_list)[pfn]) != pfn;
    }
    check_eq(bad, 0);
}

static void check_identity(void)
{
    char caps[XEN_CAPABILITIES_INFO_LEN];
    u32 eax = 0x40000000, ebx, ecx = 0, edx;

    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_capabilities, U64(caps)), 0);
    check(contains(caps, "xen-3.0-x86_64"));
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_pagesize, 0), PAGE);
    /* the forced-emulation prefix makes the hypervisor answer */
    __asm__ volatile("ud2a; .ascii \"xen\"; cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    check_eq(ebx, 0x566e6558);
    check_eq(ecx, 0x65584d4d);
    check_eq(edx, 0x4d4d566e);
    check(eax >= 0x40000002);
    eax = 0x40000001;
    __asm__ volatile("ud2a; .ascii \"xen\"; cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    check_eq(eax, 4 << 16 | 17);
}

static void check_shared_info(void)
{
    check_eq(vcpu_info()->time.version & 1, 0);
    check(vcpu_info()->time.tsc_to_system_mul != 0);
    check(shared->wc_sec > 1000000000);
    check_eq(shared->wc_version & 1, 0);
}

void test_main(void)
{
    check_start_info();
    check_boot_mapping();
    check_identity();
    check_shared_info();
    print("a long line: %s\r\n", "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ "
                                 "0123456789 abcdefghijklmnopqrstuvwxyz");
}
