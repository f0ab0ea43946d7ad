/* SPDX-License-Identifier: MIT */
/*
 * The start of the hypervisor up to where domain 0 would run, with a made kernel and ramdisk: what
 * domain 0 finds in its memory, read through its own page tables; and each way of not getting so
 * far, with the advice that is given. Each start is a process of its own.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/elfnote.h"
#include "abi/features.h"
#include "abi/platform.h"
#include "abi/xen.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "lib/pvplan.h"
#include "mm/audit.h"
#include "mm/boot_alloc.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "port/start.h"
#include "start/boot_info.h"
#include "start/start.h"

#define MIB       UINT64_C(0x100000)
#define FRAMES    (64 * 256u)
#define BASE      UINT64_C(0xffffffff80000000)
#define ENTRY     (BASE + 0x100200)
#define TEXT_AT   0x1000u
#define TEXT_SIZE 0x3000u
#define RAMDISK   10000u /* bytes: no whole number of pages */
#define NOTES_AT  0x200u

static struct boot_info bi;
static uint8_t *kernel;
static size_t notes;
static uint64_t own_frames; /* for the machine's tables */
static char said[1 << 16];
static size_t said_length;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\nthe log:\n%s", what, said);
        exit(1);
    }
}

/* ---- what the machine does in between ---- */

void port_console_early(const struct boot_info *boot)
{
    (void)boot;
}

void port_cpu_init(const struct boot_info *boot)
{
    (void)boot;
}

void port_mmu_init(const struct boot_info *boot)
{
    (void)boot;
    uint64_t below = boot_alloc(3, 4);
    must((below & (4 * PAGE_SIZE - 1)) == 0, "not aligned");
    boot_alloc_mapped();
    must(boot_alloc(own_frames, 1) + own_frames * PAGE_SIZE <= below, "taken twice");
}

void port_irq_init(const struct boot_info *boot)
{
    (void)boot;
    host_this_cpu->current = dom_idle->vcpu[0];
}

void port_time_init(const struct boot_info *boot)
{
    (void)boot;
}

void port_late_init(const struct boot_info *boot)
{
    (void)boot;
}

/* ---- a kernel, a ramdisk, a machine ---- */

static void note(uint32_t type, const void *desc, uint32_t size)
{
    Elf64_Nhdr h = { .n_namesz = 4, .n_descsz = size, .n_type = type };
    uint8_t *at = kernel + NOTES_AT + notes;

    memcpy(at, &h, sizeof h);
    memcpy(at + sizeof h, "Xen", 4);
    memcpy(at + sizeof h + 4, desc, size);
    notes += sizeof h + 4 + ((size + 3) & ~3u);
}

static void note_u64(uint32_t type, uint64_t v)
{
    note(type, &v, sizeof v);
}

static void make_kernel(bool own_p2m)
{
    Elf64_Ehdr h = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                     .e_type = ET_EXEC,
                     .e_machine = EM_X86_64,
                     .e_phoff = sizeof h,
                     .e_phentsize = sizeof(Elf64_Phdr),
                     .e_phnum = 2 };
    Elf64_Phdr p[2] = { { .p_type = PT_LOAD,
                          .p_offset = TEXT_AT,
                          .p_paddr = MIB,
                          .p_filesz = TEXT_SIZE,
                          .p_memsz = TEXT_SIZE + 0x2000 },
                        { .p_type = PT_NOTE, .p_offset = NOTES_AT } };

    memset(kernel, 0xee, TEXT_AT + TEXT_SIZE);
    for (uint32_t i = 0; i < TEXT_SIZE; i++) {
        kernel[TEXT_AT + i] = (uint8_t)(i * 7 + i / 256);
    }
    notes = 0;
    note(XEN_ELFNOTE_GUEST_OS, "made", 5);
    note(XEN_ELFNOTE_XEN_VERSION, "xen-3.0", 8);
    note_u64(XEN_ELFNOTE_VIRT_BASE, BASE);
    note_u64(XEN_ELFNOTE_ENTRY, ENTRY);
    note_u64(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x102000);
    note(XEN_ELFNOTE_SUPPORTED_FEATURES, &(uint32_t){ 1u << XENFEAT_dom0 }, 4);
    if (own_p2m) {
        note_u64(XEN_ELFNOTE_INIT_P2M, 0x8000000000);
        note(XEN_ELFNOTE_MOD_START_PFN, &(uint32_t){ 1 }, 4);
    }
    p[1].p_filesz = notes;
    memcpy(kernel, &h, sizeof h);
    memcpy(kernel + sizeof h, p, sizeof p);
}

static uint8_t ramdisk_byte(uint64_t i)
{
    return (uint8_t)(i * 13 + i / 256 + 1);
}

static void add_range(uint64_t from, uint64_t to, uint32_t type)
{
    bi.ranges[bi.range_count++] = (struct boot_range){ .start = from, .end = to, .type = type };
}

static void make(const char *options)
{
    host_memory(&(struct host_config){ .frames = FRAMES, .cpus = 1 });
    bi = (struct boot_info){ .magic = BOOT_INFO_MAGIC, .size = sizeof bi };
    add_range(0, 0xa0000, BOOT_USABLE);
    add_range(0xf0000, MIB, BOOT_RESERVED);
    add_range(MIB, 2 * MIB, BOOT_IMAGE);
    add_range(2 * MIB, 3 * MIB, BOOT_MODULE);
    add_range(3 * MIB, 4 * MIB, BOOT_LOADER);
    add_range(4 * MIB, 63 * MIB, BOOT_USABLE);
    add_range(63 * MIB, 64 * MIB, BOOT_ACPI);
    bi.kernel = (struct boot_module){ 2 * MIB, TEXT_AT + TEXT_SIZE };
    bi.ramdisk = (struct boot_module){ 2 * MIB + 0x80000, RAMDISK };
    bi.fb = (struct boot_fb){ .base = UINT64_C(0x180000000),
                              .size = 800 * 600 * 4,
                              .width = 800,
                              .height = 600,
                              .pitch = 3200,
                              .bpp = 32 };
    (void)snprintf(bi.options, sizeof bi.options, "%s", options);
    (void)snprintf(bi.kernel_cmdline, sizeof bi.kernel_cmdline, "console=hvc0 quiet");
    kernel = host_ram + 2 * MIB;
    make_kernel(true);
    for (uint64_t i = 0; i < RAMDISK; i++) {
        host_ram[2 * MIB + 0x80000 + i] = ramdisk_byte(i);
    }
    own_frames = 20;
}

/* ---- domain 0's view ---- */

static uint64_t word(uint64_t va)
{
    uint64_t w = 0;

    must(host_access(dom0->vcpu[0], va & ~UINT64_C(7), false, &w), "domain 0 faults");
    return w;
}

static uint8_t byte(uint64_t va)
{
    return (uint8_t)(word(va) >> (va & 7) * 8);
}

static void read_guest(void *to, uint64_t va, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)to)[i] = byte(va + i);
    }
}

static const char *expected_p2m; /* "own" or "region" */

static void check_p2m(const struct start_info *si)
{
    for (uint64_t pfn = 0; pfn < si->nr_pages; pfn++) {
        mfn_t mfn = MFN(word(si->mfn_list + pfn * 8));
        must(mfn.n < FRAMES && port_m2p_get(mfn) == pfn, "P2M and M2P differ");
        must(frame_of(mfn)->owner == dom0, "a frame is not domain 0's");
    }
    bool is_own = si->mfn_list == UINT64_C(0x8000000000);
    must(is_own == (strcmp(expected_p2m, "own") == 0), "where the P2M is");
    must((si->nr_p2m_frames != 0) == is_own, "nr_p2m_frames");
}

static void check_modules(const struct start_info *si)
{
    uint64_t at = si->mod_start;

    for (uint32_t i = 0; i < TEXT_SIZE; i++) {
        bool is_hypercall_page = i >= 0x2000 && i < 0x3000;
        must(is_hypercall_page || byte(BASE + MIB + i) == (uint8_t)(i * 7 + i / 256), "kernel");
    }
    must(byte(BASE + MIB + 0x2000) == 0x51, "hypercall page");
    must(word(BASE + MIB + TEXT_SIZE + 0x1008) == 0, "bss");
    must(si->mod_len == RAMDISK, "length of the ramdisk");
    for (uint64_t i = 0; i < RAMDISK; i++) {
        uint64_t pfn = at + i / PAGE_SIZE;
        const uint8_t *page = NULL;
        if ((si->flags & SIF_MOD_START_PFN) != 0) {
            page = port_frame_va(MFN(word(si->mfn_list + pfn * 8)));
        }
        must((page != NULL ? page[i % PAGE_SIZE] : byte(at + i)) == ramdisk_byte(i), "ramdisk");
    }
}

static void check_screen(const struct start_info *si, uint64_t va)
{
    struct dom0_vga_console_info c;

    must(si->console.dom0.info_size == sizeof c, "no screen");
    read_guest(&c, va + si->console.dom0.info_off, sizeof c);
    must(c.video_type == XEN_VGATYPE_EFI_LFB && c.u.vesa_lfb.width == 800 &&
             c.u.vesa_lfb.lfb_base == 0x80000000u && c.u.vesa_lfb.ext_lfb_base == 1,
         "the screen");
}

static uint64_t want_pages;

/* Nothing is left to do: domain 0 is on its cpu, at its first instruction. */
static void arrived(void)
{
    struct vcpu *v = dom0->vcpu[0];
    static struct start_info si;

    host_hooks.idle = NULL;
    must(atomic_load(&dom0->life) == DL_ALIVE && v->initialised, "not alive");
    must(v->arch.regs.rip == ENTRY, "rip");
    read_guest(&si, v->arch.regs.rsi, sizeof si);
    must(strcmp(si.magic, "xen-3.0-x86_64") == 0, "magic");
    must(si.nr_pages == want_pages, "number of pages");
    must((si.flags & (SIF_PRIVILEGED | SIF_INITDOMAIN)) == (SIF_PRIVILEGED | SIF_INITDOMAIN),
         "flags");
    must(strcmp((const char *)si.cmd_line, "console=hvc0 quiet") == 0, "command line");
    must(si.shared_info == mfn_to_paddr(frame_mfn(dom0->shared_frame)), "shared_info");
    must(port_m2p_get(frame_mfn(v->arch.root_kernel)) == (si.pt_base - BASE) >> PAGE_SHIFT,
         "pt_base");
    must((frame_word(v->arch.root_kernel) & FW_PINNED) != 0, "its tables are not pinned");
    check_p2m(&si);
    check_modules(&si);
    check_screen(&si, v->arch.regs.rsi);
    must(v->info->evtchn_upcall_mask == 1, "events are not masked");
    audit_all(NULL);
    domain_audit();
    /* What the loader and the modules had is free; the image and our tables are not. */
    must(frame_word(frame_of(MFN(0x300))) != (FW_RAM | FW_REF), "the loader's memory");
    must(frame_word(frame_of(MFN(0x100))) == FW_HYPERVISOR, "the image's memory");
    exit(0);
}

static void keep(const char *text, size_t n)
{
    n = n < sizeof said - 1 - said_length ? n : sizeof said - 1 - said_length;
    memcpy(said + said_length, text, n);
    said_length += n;
}

static const char *want_text;

static void halted(int how)
{
    must(how == 'p' && want_text != NULL && strstr(said, want_text) != NULL,
         want_text != NULL ? want_text : "it has panicked");
    exit(0);
}

/* In a child: set() changes what was made, then the start must arrive, or panic with this text. */
static void run(const char *options, void (*set)(void), const char *text)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        make(options);
        if (set != NULL) {
            set();
        }
        want_text = text;
        host_console = keep;
        host_halted = halted;
        host_hooks.idle = text == NULL ? arrived : NULL;
        start(&bi);
        exit(3);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void in_region(void)
{
    make_kernel(false); /* P2M and ramdisk in the kernel's region */
    expected_p2m = "region";
}

static void test_arrives(void **state)
{
    (void)state;
    expected_p2m = "own";
    want_pages = 24 * 256;
    run("dom0_mem=24M dom0_max_vcpus=2 loglvl=all", NULL, NULL);
    run("dom0_mem=24M", in_region, NULL);
    want_pages = 12 * 256;
    run("dom0_mem=2M,min:12M", NULL, NULL);
    run("dom0_mem=40M,max:12M", NULL, NULL);
}

static void wrong_magic(void)
{
    bi.magic++;
}

static void wrong_size(void)
{
    bi.size--;
}

static void too_many_ranges(void)
{
    bi.range_count = BOOT_RANGES_MAX + 1;
}

static void not_sorted(void)
{
    bi.ranges[3].start = MIB;
}

static void empty_range(void)
{
    bi.ranges[2].end = bi.ranges[2].start;
}

static void no_kernel(void)
{
    bi.kernel.size = 0;
}

static void garbage(void)
{
    memset(kernel, 'x', 4096);
}

static void cloud_kernel(void)
{
    memset(kernel + NOTES_AT, 0, notes);
}

static void big_tables(void)
{
    own_frames = FRAMES;
}

static void bad_p2m(void)
{
    note_u64(XEN_ELFNOTE_INIT_P2M, HV_VIRT_START);
    ((Elf64_Phdr *)(void *)(kernel + sizeof(Elf64_Ehdr)))[1].p_filesz = notes;
}

static void test_panics(void **state)
{
    (void)state;
    run("", wrong_magic, "different versions");
    run("", wrong_size, "different versions");
    run("", too_many_ranges, "513 ranges");
    run("", not_sorted, "not sorted");
    run("", empty_range, "not sorted");
    run("", no_kernel, "no kernel for domain 0");
    run("", garbage, "cannot be the control domain");
    run("", cloud_kernel, "cannot be the control domain");
    run("", big_tables, "no memory for the hypervisor's own tables");
    run("", bad_p2m, "INIT_P2M");
    run("dom0_mem=1G", NULL, "1024 MiB wanted");
    run("dom0_mem=2M", NULL, "raise dom0_mem=");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_arrives),
                                        cmocka_unit_test(test_panics) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
