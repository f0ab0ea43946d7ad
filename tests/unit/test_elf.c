/* SPDX-License-Identifier: MIT */
/* The ELF reader: a small kernel built byte by byte, then each way of being wrong. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/elf.h"
#include "abi/elfnote.h"
#include "abi/features.h"

#define NOTES_AT  0x200
#define NOTES_MAX 0x600
#define DATA_AT   0x1000
#define FILE_SIZE 0x3000
#define BASE      UINT64_C(0xffffffff80000000)

/* The file under test, at the end of its own allocation, so that the address sanitizer sees every
 * byte read too far. */
struct kernel {
    uint8_t *file;
    size_t notes; /* bytes used */
};

static struct kernel k;

static Elf64_Ehdr *header(void)
{
    return (Elf64_Ehdr *)k.file;
}

static Elf64_Phdr *segment(unsigned int i)
{
    return (Elf64_Phdr *)(k.file + sizeof(Elf64_Ehdr)) + i;
}

static void note(uint32_t type, const void *desc, uint32_t size)
{
    Elf64_Nhdr h = { .n_namesz = 4, .n_descsz = size, .n_type = type };
    uint8_t *at = k.file + NOTES_AT + k.notes;

    memcpy(at, &h, sizeof(h));
    memcpy(at + sizeof(h), "Xen", 4);
    memcpy(at + sizeof(h) + 4, desc, size);
    k.notes += sizeof(h) + 4 + ((size + 3) & ~3u);
    segment(2)->p_filesz = k.notes;
}

static void note_u64(uint32_t type, uint64_t v)
{
    note(type, &v, sizeof(v));
}

static void note_str(uint32_t type, const char *text)
{
    note(type, text, (uint32_t)strlen(text) + 1);
}

static int begin(void **state)
{
    Elf64_Ehdr h = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                     .e_type = ET_EXEC,
                     .e_machine = EM_X86_64,
                     .e_entry = 0x1000100,
                     .e_phoff = sizeof(Elf64_Ehdr),
                     .e_phentsize = sizeof(Elf64_Phdr),
                     .e_phnum = 3 };

    (void)state;
    k.file = calloc(1, FILE_SIZE);
    k.notes = 0;
    *header() = h;
    *segment(0) = (Elf64_Phdr){ .p_type = PT_LOAD,
                                .p_offset = DATA_AT,
                                .p_vaddr = 0x11,
                                .p_paddr = 0x1000000,
                                .p_filesz = 0x1800,
                                .p_memsz = 0x1800 };
    *segment(1) = (Elf64_Phdr){ .p_type = PT_LOAD,
                                .p_offset = 0x2800,
                                .p_vaddr = 0,
                                .p_paddr = 0x1002000,
                                .p_filesz = 0x800,
                                .p_memsz = 0x5000 };
    *segment(2) = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTES_AT };
    note_str(XEN_ELFNOTE_GUEST_OS, "linux");
    note_str(XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
    note_u64(XEN_ELFNOTE_VIRT_BASE, BASE);
    note_u64(XEN_ELFNOTE_ENTRY, BASE + 0x1000200);
    note_u64(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x1001000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(k.file);
    return 0;
}

static int parse(struct image_info *info)
{
    return elf_parse(k.file, FILE_SIZE, info);
}

static void test_good(void **state)
{
    static const uint64_t valid[2] = { 1, 1 };
    const uint32_t one = 1;
    struct image_info info;

    (void)state;
    note_u64(XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    note_u64(XEN_ELFNOTE_PADDR_OFFSET, 0);
    note(XEN_ELFNOTE_MOD_START_PFN, &one, 4);
    note_str(XEN_ELFNOTE_FEATURES, "!writable_page_tables|pae_pgdir_above_4gb|what_ever");
    note(XEN_ELFNOTE_SUPPORTED_FEATURES, &(uint32_t){ 1u << XENFEAT_dom0 }, 4);
    note(XEN_ELFNOTE_L1_MFN_VALID, valid, sizeof(valid));
    note(XEN_ELFNOTE_SUSPEND_CANCEL, &one, 4);
    note_str(XEN_ELFNOTE_LOADER, "generic");
    note_str(XEN_ELFNOTE_GUEST_VERSION, "a version text that is longer than the room for it");
    note_str(XEN_ELFNOTE_PAE_MODE, "yes");
    note_u64(4711, 1);
    assert_int_equal(parse(&info), ELF_ERR_NONE);
    assert_int_equal(info.entry, BASE + 0x1000200);
    assert_int_equal(info.virt_base, BASE);
    assert_int_equal(info.virt_start, BASE + 0x1000000);
    assert_int_equal(info.virt_end, BASE + 0x1007000);
    assert_int_equal(info.hypercall_page, BASE + 0x1001000);
    assert_int_equal(info.init_p2m, 0x8000000000);
    assert_int_equal(info.hv_start_low, IMAGE_NONE);
    assert_true(info.mod_start_pfn);
    assert_true(info.suspend_cancel);
    assert_int_equal(info.l1_mfn_mask, 1);
    assert_int_equal(info.features, 1u << XENFEAT_writable_page_tables |
                                        1u << XENFEAT_pae_pgdir_above_4gb | 1u << XENFEAT_dom0);
    assert_int_equal(info.features_required, 1u << XENFEAT_writable_page_tables);
    assert_string_equal(info.guest_os, "linux");
    assert_string_equal(info.guest_version, "a version text that is ");
    assert_int_equal(info.segment_count, 2);
    assert_int_equal(info.segments[1].va, BASE + 0x1002000);
    assert_int_equal(info.segments[1].file_offset, 0x2800);
    assert_int_equal(info.segments[1].file_size, 0x800);
    assert_int_equal(info.segments[1].mem_size, 0x5000);
}

static void test_defaults(void **state)
{
    struct image_info info;

    (void)state;
    k.notes = 0;
    note_str(XEN_ELFNOTE_GUEST_OS, "small");
    header()->e_entry = 0x1000100;
    assert_int_equal(parse(&info), ELF_ERR_NONE);
    assert_int_equal(info.entry, 0x1000100);
    assert_int_equal(info.virt_base, 0);
    assert_int_equal(info.virt_start, 0x1000000);
    assert_int_equal(info.hypercall_page, IMAGE_NONE);
    assert_int_equal(info.init_p2m, IMAGE_NONE);
    assert_false(info.mod_start_pfn);
}

static void test_offset(void **state)
{
    struct image_info info;

    (void)state;
    note_u64(XEN_ELFNOTE_PADDR_OFFSET, 0x1000000);
    note_u64(XEN_ELFNOTE_VIRT_BASE, BASE + 0x1000000);
    assert_int_equal(parse(&info), ELF_ERR_NONE);
    assert_int_equal(info.virt_start, BASE + 0x1000000);
    note_u64(XEN_ELFNOTE_PADDR_OFFSET, 0x1000001);
    assert_int_equal(parse(&info), ELF_ERR_ADDRESS);
}

static void expect(int want)
{
    struct image_info info;

    assert_int_equal(parse(&info), want);
}

static void test_header(void **state)
{
    struct image_info info;

    (void)state;
    for (size_t n = 0; n < sizeof(Elf64_Ehdr); n++) {
        assert_int_equal(elf_parse(k.file, n, &info), ELF_ERR_SHORT);
    }
    header()->e_ident[0] = 'M';
    expect(ELF_ERR_MAGIC);
    header()->e_ident[0] = 0x7f;
    header()->e_ident[EI_CLASS] = ELFCLASS32;
    expect(ELF_ERR_CLASS);
    header()->e_ident[EI_CLASS] = ELFCLASS64;
    header()->e_ident[EI_DATA] = ELFDATA2MSB;
    expect(ELF_ERR_CLASS);
    header()->e_ident[EI_DATA] = ELFDATA2LSB;
    header()->e_type = ET_REL;
    expect(ELF_ERR_TYPE);
    header()->e_type = ET_DYN;
    header()->e_machine = EM_AARCH64;
    expect(ELF_ERR_MACHINE);
    header()->e_machine = EM_X86_64;
    expect(ELF_ERR_NONE);
    header()->e_phoff = UINT64_MAX;
    expect(ELF_ERR_PHDR);
    header()->e_phoff = FILE_SIZE - 2 * sizeof(Elf64_Phdr);
    expect(ELF_ERR_PHDR);
    header()->e_phoff = sizeof(Elf64_Ehdr);
    header()->e_phnum = 0;
    expect(ELF_ERR_PHDR);
    header()->e_phnum = 3;
    header()->e_phentsize = 32;
    expect(ELF_ERR_PHDR);
}

static void test_segments(void **state)
{
    Elf64_Phdr good = *segment(1);

    (void)state;
    segment(1)->p_offset = FILE_SIZE + 1;
    expect(ELF_ERR_SEGMENT);
    *segment(1) = good;
    segment(1)->p_filesz = UINT64_MAX;
    expect(ELF_ERR_SEGMENT);
    *segment(1) = good;
    segment(1)->p_memsz = 0x7ff;
    expect(ELF_ERR_SEGMENT);
    *segment(1) = good;
    segment(1)->p_paddr = 0x10017ff;
    expect(ELF_ERR_OVERLAP);
    *segment(1) = good;
    segment(1)->p_memsz = UINT64_MAX;
    expect(ELF_ERR_ADDRESS);
    *segment(1) = good;
    segment(1)->p_paddr = UINT64_MAX - 100;
    expect(ELF_ERR_ADDRESS);
    *segment(1) = good;
    segment(0)->p_type = PT_NULL;
    segment(1)->p_type = PT_NULL;
    expect(ELF_ERR_SEGMENT_COUNT);
}

static void test_many_segments(void **state)
{
    uint8_t *big = calloc(1, 0x10000);
    Elf64_Ehdr *h = (Elf64_Ehdr *)big;
    struct image_info info;

    (void)state;
    memcpy(big, k.file, FILE_SIZE);
    h->e_phoff = 0x8000;
    h->e_phnum = IMAGE_SEGMENTS_MAX + 2;
    for (unsigned int i = 0; i < h->e_phnum; i++) {
        ((Elf64_Phdr *)(big + 0x8000))[i] =
            (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = 0x0fff000 + i * 0x1000, .p_memsz = 0x1000 };
    }
    ((Elf64_Phdr *)(big + 0x8000))[0] = *segment(2);
    assert_int_equal(elf_parse(big, 0x10000, &info), ELF_ERR_SEGMENT_COUNT);
    h->e_phnum--;
    assert_int_equal(elf_parse(big, 0x10000, &info), ELF_ERR_NONE);
    assert_int_equal(info.segment_count, IMAGE_SEGMENTS_MAX);
    free(big);
}

static void test_addresses(void **state)
{
    (void)state;
    note_u64(XEN_ELFNOTE_VIRT_BASE, UINT64_C(0xffff800000000000));
    note_u64(XEN_ELFNOTE_ENTRY, UINT64_C(0xffff800001000000));
    note_u64(XEN_ELFNOTE_HYPERCALL_PAGE, UINT64_C(0xffff800001001000));
    expect(ELF_ERR_ADDRESS);
    note_u64(XEN_ELFNOTE_VIRT_BASE, UINT64_C(0x800000000000));
    expect(ELF_ERR_ADDRESS);
    note_u64(XEN_ELFNOTE_VIRT_BASE, UINT64_MAX - 0xfff);
    expect(ELF_ERR_ADDRESS);
}

static void test_notes(void **state)
{
    size_t good = k.notes;

    (void)state;
    note_u64(XEN_ELFNOTE_ENTRY, BASE + 0x1007000);
    expect(ELF_ERR_ENTRY);
    note_u64(XEN_ELFNOTE_ENTRY, BASE + 0x1006fff);
    expect(ELF_ERR_NONE);
    note_u64(XEN_ELFNOTE_ENTRY, BASE + 0xffffff);
    expect(ELF_ERR_ENTRY);
    k.notes = good;
    note_u64(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x1000001);
    expect(ELF_ERR_HYPERCALL);
    note_u64(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x1007000);
    expect(ELF_ERR_HYPERCALL);
    note_u64(XEN_ELFNOTE_HYPERCALL_PAGE, 0);
    expect(ELF_ERR_HYPERCALL);
    k.notes = good;
    note_str(XEN_ELFNOTE_XEN_VERSION, "xen-2.0");
    expect(ELF_ERR_XEN_VERSION);
    k.notes = good;
    note_str(XEN_ELFNOTE_FEATURES, "!unheard_of");
    expect(ELF_ERR_FEATURE);
    k.notes = good;
    note_str(XEN_ELFNOTE_FEATURES, "writable_page_tables|!supervisor_mode_kernel");
    expect(ELF_ERR_FEATURE);
    k.notes = good;
    note(XEN_ELFNOTE_ENTRY, "abc", 3);
    expect(ELF_ERR_NOTE_VALUE);
    k.notes = good;
    note(XEN_ELFNOTE_L1_MFN_VALID, "abcdefg", 8);
    expect(ELF_ERR_NOTE_VALUE);
}

static void test_damaged_notes(void **state)
{
    Elf64_Nhdr *first = (Elf64_Nhdr *)(k.file + NOTES_AT);

    (void)state;
    segment(2)->p_filesz = FILE_SIZE;
    expect(ELF_ERR_NOTE);
    segment(2)->p_filesz = k.notes;
    segment(2)->p_offset = FILE_SIZE + 1;
    expect(ELF_ERR_NOTE);
    segment(2)->p_offset = NOTES_AT;
    first->n_descsz = UINT32_MAX;
    expect(ELF_ERR_NOTE);
    first->n_descsz = 6;
    first->n_namesz = UINT32_MAX;
    expect(ELF_ERR_NOTE);
}

static void test_not_pv(void **state)
{
    static const char names[] = "\0.text\0__xen_guest";
    Elf64_Shdr sections[3] = { { 0 },
                               { .sh_type = SHT_STRTAB },
                               { .sh_type = SHT_PROGBITS, .sh_name = 7 } };

    (void)state;
    k.notes = 0;
    segment(2)->p_filesz = 0;
    expect(ELF_ERR_NO_XEN);
    note(XEN_ELFNOTE_PHYS32_ENTRY, "abcd", 4);
    expect(ELF_ERR_NOT_PV);
    segment(2)->p_filesz = 0;
    sections[1].sh_offset = 0x900;
    sections[1].sh_size = sizeof(names);
    memcpy(k.file + 0x900, names, sizeof(names));
    memcpy(k.file + 0xa00, sections, sizeof(sections));
    header()->e_shoff = 0xa00;
    header()->e_shentsize = sizeof(Elf64_Shdr);
    header()->e_shnum = 3;
    header()->e_shstrndx = 1;
    expect(ELF_ERR_LEGACY);
    header()->e_shoff = UINT64_MAX - 8;
    expect(ELF_ERR_NO_XEN);
    header()->e_shoff = 0xa00;
    header()->e_shnum = 2;
    expect(ELF_ERR_NO_XEN);
}

/* Kernels without a note segment: notes are found by their section. */
static void test_note_section(void **state)
{
    Elf64_Shdr section = { .sh_type = SHT_NOTE, .sh_offset = NOTES_AT, .sh_size = k.notes };

    (void)state;
    segment(2)->p_type = PT_NULL;
    memcpy(k.file + 0xa00, &section, sizeof(section));
    header()->e_shoff = 0xa00;
    header()->e_shentsize = sizeof(section);
    header()->e_shnum = 1;
    expect(ELF_ERR_NONE);
}

static void test_words(void **state)
{
    (void)state;
    for (int rc = 0; rc >= ELF_ERR_HYPERCALL; rc--) {
        assert_non_null(elf_strerror(rc));
        assert_string_not_equal(elf_strerror(rc), "unknown error");
    }
    assert_string_equal(elf_strerror(1), "unknown error");
    assert_string_equal(elf_strerror(ELF_ERR_HYPERCALL - 1), "unknown error");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good),      TEST(test_defaults),     TEST(test_offset),
        TEST(test_header),    TEST(test_segments),     TEST(test_many_segments),
        TEST(test_addresses), TEST(test_notes),        TEST(test_damaged_notes),
        TEST(test_not_pv),    TEST(test_note_section), TEST(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
