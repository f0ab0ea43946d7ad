/* SPDX-License-Identifier: MIT */
/* Any bytes as a kernel: what the reader accepts must be consistent, and the planner must cope with
 * it. */

#include <assert.h>
#include <elf.h>
#include <string.h>

#include "lib/elf.h"
#include "lib/pvplan.h"
#include "abi/elfnote.h"
#include "tests/fuzz/drive.h"

#define NOTES_AT 0x100

struct note64 {
    uint32_t namesz, descsz, type;
    char name[4];
    uint64_t value;
};

/* A kernel as Linux builds it, with a segment of notes. */
size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const struct note64 notes[] = {
        { 4, 8, XEN_ELFNOTE_VIRT_BASE, "Xen", 0xffffffff80000000 },
        { 4, 8, XEN_ELFNOTE_ENTRY, "Xen", 0xffffffff81000100 },
        { 4, 8, XEN_ELFNOTE_HYPERCALL_PAGE, "Xen", 0xffffffff81000000 },
        { 4, 8, XEN_ELFNOTE_INIT_P2M, "Xen", 0x8000000000 },
        { 4, 8, XEN_ELFNOTE_MOD_START_PFN, "Xen", 1 },
        { 4, 8, XEN_ELFNOTE_FEATURES, "Xen",
          0x6d6f643021 }, /* "!0dom" and so on: mutated from here */
        { 4, 8, XEN_ELFNOTE_PADDR_OFFSET, "Xen", 0 },
    };
    Elf64_Ehdr h = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT } };
    Elf64_Phdr p[2] = { { .p_type = PT_LOAD,
                          .p_offset = 0x300,
                          .p_paddr = 0x1000000,
                          .p_filesz = 0x100,
                          .p_memsz = 0x4000 },
                        { .p_type = PT_NOTE, .p_offset = NOTES_AT } };

    if (index > 2 || size < 0x400) {
        return 0;
    }
    h.e_type = ET_EXEC;
    h.e_machine = EM_X86_64;
    h.e_phoff = sizeof(h);
    h.e_phentsize = sizeof(p[0]);
    h.e_phnum = 2;
    p[1].p_filesz = (index == 0 ? 2 : index == 1 ? 5 : 7) * sizeof(notes[0]);
    memset(data, 0, 0x400);
    memcpy(data, &h, sizeof(h));
    memcpy(data + sizeof(h), p, sizeof(p));
    memcpy(data + NOTES_AT, notes, sizeof(notes));
    return 0x400;
}

static void plan(const struct image_info *info)
{
    struct pv_plan_input in = { .image = info,
                                .ramdisk_size = info->entry & 0xffffff,
                                .pages = (info->entry >> 3) & 0xfffff };
    struct pv_plan p;
    struct pv_table t;
    bool writable;

    if (pvplan_make(&in, &p) != 0) {
        return;
    }
    assert(p.v_end > p.v_start && p.pages_needed <= in.pages);
    assert(p.stack_top > p.v_start && p.stack_top < p.v_end);
    for (uint64_t i = 0; i < pvplan_table_count(&p); i += 1 + i / 8) {
        pvplan_table(&p, i, &t);
        assert(t.level >= 1 && t.level <= 4 && t.pfn < p.pages_needed);
        for (unsigned int slot = 0; slot < PV_SLOTS; slot += 7) {
            uint64_t pfn = pvplan_entry(&p, &t, slot, &writable);

            assert(pfn == PV_NONE || pfn < p.pages_needed);
        }
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct image_info info;
    int rc = elf_parse(data, size, &info);

    assert(elf_strerror(rc) != NULL);
    if (rc != 0) {
        return 0;
    }
    assert(info.virt_start < info.virt_end && info.entry >= info.virt_start &&
           info.entry < info.virt_end);
    assert(info.virt_base <= info.virt_start);
    assert(info.segment_count >= 1 && info.segment_count <= IMAGE_SEGMENTS_MAX);
    for (uint32_t i = 0; i < info.segment_count; i++) {
        const struct image_segment *s = &info.segments[i];

        assert(s->file_offset <= size && s->file_size <= size - s->file_offset &&
               s->file_size <= s->mem_size);
        assert(s->va >= info.virt_start && s->va + s->mem_size <= info.virt_end);
    }
    plan(&info);
    return 0;
}
