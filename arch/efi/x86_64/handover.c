/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's image and the page tables it is entered on.
 *
 * The boot area is one allocation: struct boot_info, then the stack, then the tables, taken one
 * after the other from its end. Everything below 4 GiB and every piece of memory that is handed
 * over is mapped one to one with 2 MiB pages; the image is mapped at its link address with 4 KiB
 * pages. All of it is writable and executable: the hypervisor replaces these tables first.
 */

#include "arch/efi/loader.h"

#include "lib/mem.h"

#define STACK_SIZE  (UINT64_C(32) << 10)
#define TABLES_MAX  96
#define IMAGE_LIMIT (UINT64_C(64) << 20)
#define PTE_PRESENT UINT64_C(1)
#define PTE_WRITE   UINT64_C(2)
#define PTE_LARGE   UINT64_C(0x80)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)
#define CR4_LA57    (UINT64_C(1) << 12)
#define PT_LOAD     1
#define ELF_X86_64  62

struct elf_head {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_load {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

extern const uint8_t payload_start[];
extern const uint8_t payload_end[];

void handover_jump(uint64_t cr3, uint64_t stack, uint64_t entry, struct boot_info *bi)
    __attribute__((noreturn));
uint64_t cpu_cr4(void);

static uint64_t *root;
static uint64_t table_next; /* address of the next free table */
static uint64_t table_end;

static const struct elf_load *load_header(const struct elf_head *head, unsigned int i)
{
    return (const void *)(payload_start + head->phoff + (uint64_t)i * head->phentsize);
}

/* Put the embedded hypervisor into memory. Its file is part of this program, so damage means a bad
 * build or a bad copy. */
static bool load_hypervisor(struct loader *l)
{
    const struct elf_head *head = (const void *)payload_start;
    uint64_t file_size = (uint64_t)(payload_end - payload_start);
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;

    if (file_size < sizeof(*head) || memcmp(head->ident, "\177ELF", 4) != 0 ||
        head->machine != ELF_X86_64 ||
        head->phoff + (uint64_t)head->phnum * head->phentsize > file_size) {
        return fail("the hypervisor inside this program is damaged");
    }
    for (unsigned int i = 0; i < head->phnum; i++) {
        const struct elf_load *ph = load_header(head, i);

        if (ph->type != PT_LOAD || ph->memsz == 0) {
            continue;
        }
        if (ph->offset + ph->filesz > file_size || ph->filesz > ph->memsz) {
            return fail("the hypervisor inside this program is damaged");
        }
        low = ph->vaddr < low ? ph->vaddr : low;
        high = ph->vaddr + ph->memsz > high ? ph->vaddr + ph->memsz : high;
    }
    low &= ~(PAGE_SIZE - 1);
    if (high <= low || high - low > IMAGE_LIMIT) {
        return fail("the hypervisor inside this program is damaged");
    }
    if (!pages_alloc_aligned(&l->hypervisor, high - low, LARGE_PAGE, "hypervisor")) {
        return false;
    }
    memset(l->hypervisor.data, 0, l->hypervisor.pages * PAGE_SIZE);
    for (unsigned int i = 0; i < head->phnum; i++) {
        const struct elf_load *ph = load_header(head, i);

        if (ph->type == PT_LOAD && ph->memsz > 0) {
            memcpy(l->hypervisor.data + (ph->vaddr - low), payload_start + ph->offset, ph->filesz);
        }
    }
    l->image_va = low;
    l->entry_va = head->entry;
    return true;
}

/* The entry for `va` in the table of `level`, making the tables above it. NULL if there are no more
 * tables. */
static uint64_t *entry_for(uint64_t va, unsigned int level)
{
    uint64_t *table = root;

    for (unsigned int at = 4; at > level; at--) {
        uint64_t *entry = &table[(va >> (12 + 9 * (at - 1))) & 511];

        if ((*entry & PTE_PRESENT) == 0) {
            if (table_next == table_end) {
                return NULL;
            }
            *entry = table_next | PTE_PRESENT | PTE_WRITE;
            table_next += PAGE_SIZE;
        }
        table = (uint64_t *)(*entry & PTE_ADDRESS);
    }
    return &table[(va >> (12 + 9 * (level - 1))) & 511];
}

static bool map_identity(uint64_t start, uint64_t end)
{
    for (uint64_t at = start & ~(LARGE_PAGE - 1); at < end; at += LARGE_PAGE) {
        uint64_t *entry = entry_for(at, 2);

        if (entry == NULL) {
            return false;
        }
        *entry = at | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
    }
    return true;
}

static bool map_blob(const struct blob *blob)
{
    return map_identity((uint64_t)blob->data, (uint64_t)blob->data + blob->pages * PAGE_SIZE);
}

static bool map_image(const struct loader *l)
{
    for (uint64_t i = 0; i < l->hypervisor.pages; i++) {
        uint64_t *entry = entry_for(l->image_va + i * PAGE_SIZE, 1);

        if (entry == NULL) {
            return false;
        }
        *entry = ((uint64_t)l->hypervisor.data + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
    }
    return true;
}

static uint64_t boot_info_pages(void)
{
    return (sizeof(struct boot_info) + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* Load the hypervisor, and make boot area and page tables. l->bi keeps what is in it already. */
bool handover_prepare(struct loader *l)
{
    uint64_t info_size = boot_info_pages() * PAGE_SIZE;
    struct blob program = { .data = l->loaded->ImageBase, .size = l->loaded->ImageSize };

    program.pages = (program.size + PAGE_SIZE - 1) / PAGE_SIZE;
    if ((cpu_cr4() & CR4_LA57) != 0) {
        return fail("the firmware runs with 5-level page tables, which this version cannot leave");
    }
    if (!load_hypervisor(l) ||
        !pages_alloc(&l->boot, info_size + STACK_SIZE + TABLES_MAX * PAGE_SIZE, "boot area")) {
        return false;
    }
    memset(l->boot.data, 0, l->boot.pages * PAGE_SIZE);
    memcpy(l->boot.data, l->bi, sizeof(*l->bi));
    l->bi = (struct boot_info *)l->boot.data;
    root = (uint64_t *)(l->boot.data + info_size + STACK_SIZE);
    table_next = (uint64_t)root + PAGE_SIZE;
    table_end = (uint64_t)root + TABLES_MAX * PAGE_SIZE;
    if (!map_identity(0, LOW_LIMIT) || !map_blob(&l->hypervisor) || !map_blob(&l->boot) ||
        !map_blob(&l->kernel) || !map_blob(&l->ramdisk) || !map_blob(&program) || !map_image(l)) {
        return fail("too many page tables needed to hand over");
    }
    l->bi->image_phys = (uint64_t)l->hypervisor.data;
    l->bi->image_size = l->hypervisor.pages * PAGE_SIZE;
    return true;
}

/* Enter the hypervisor; boot services have ended. */
void handover_enter(const struct loader *l)
{
    uint64_t stack = (uint64_t)l->bi + boot_info_pages() * PAGE_SIZE + STACK_SIZE;

    l->bi->time_exit = cpu_ticks();
    handover_jump((uint64_t)root, stack, l->entry_va, l->bi);
}
