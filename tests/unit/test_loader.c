/* SPDX-License-Identifier: MIT */
/* The loader's pure parts: configuration rules, dom0_mem=, and the conversion of the firmware's
 * memory map. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/efi/cfg.h"
#include "arch/efi/dom0mem.h"
#include "arch/efi/memmap.h"

static void names_are(const char *own, const char *const *want)
{
    char name[32];
    bool ok = cfg_name_first(own, name, sizeof(name));

    for (size_t i = 0; want[i] != NULL; i++) {
        assert_true(ok);
        assert_string_equal(name, want[i]);
        ok = cfg_name_next(name, sizeof(name));
    }
    assert_false(ok);
}

static void test_names(void **state)
{
    (void)state;
    names_are("joist.efi", (const char *[]){ "joist.cfg", NULL });
    names_are("xen-4.17_a.efi",
              (const char *[]){ "xen-4.17_a.cfg", "xen-4.17.cfg", "xen-4.cfg", "xen.cfg", NULL });
    names_are("BOOTX64.EFI", (const char *[]){ "BOOTX64.cfg", NULL });
    names_are("nosuffix", (const char *[]){ NULL });
    names_are(".efi", (const char *[]){ NULL });
    names_are("a-name-that-is-far-too-long-for-the-room.efi", (const char *[]){ NULL });
}

static void test_args(void **state)
{
    struct cfg_args args;

    (void)state;
    cfg_args_parse(slice_of("-cfg=other.cfg rescue -- loglvl=all x"), &args);
    assert_true(slice_eq(args.config, "other.cfg"));
    assert_true(slice_eq(args.section, "rescue"));
    assert_true(slice_eq(args.options, " loglvl=all x"));
    assert_int_equal(args.unknown.len, 0);
    cfg_args_parse(slice_of(""), &args);
    assert_int_equal(args.config.len + args.section.len + args.options.len + args.unknown.len, 0);
    cfg_args_parse(slice_of("-zz=1 a b"), &args);
    assert_true(slice_eq(args.section, "a"));
    assert_true(slice_eq(args.unknown, "b"));
    cfg_args_parse(slice_of("-foo a"), &args);
    assert_true(slice_eq(args.unknown, "-foo"));
}

static const char config[] =
    "# boots\n[global]\ndefault=a\nchain=more.cfg\n[a]\nkernel=ka x=y\noptions=oa\n"
    "bogus=1\nrubbish\n[b]\nkernel=kb\nkernel=kb2\n[a]\nramdisk=ra\n";

static void get_is(const char *section, const char *key, const char *want)
{
    struct slice value;

    assert_int_equal(cfg_get(slice_of(config), slice_of(section), key, &value), want != NULL);
    if (want != NULL) {
        assert_true(slice_eq(value, want));
    }
}

static void test_sections(void **state)
{
    (void)state;
    get_is("global", "default", "a");
    get_is("a", "kernel", "ka x=y");
    get_is("a", "ramdisk", "ra");
    get_is("b", "kernel", "kb");
    get_is("b", "options", NULL);
    get_is("c", "kernel", NULL);
    get_is("", "kernel", "ka x=y");
    get_is("", "ramdisk", "ra");
    assert_true(cfg_has_section(slice_of(config), slice_of("b")));
    assert_false(cfg_has_section(slice_of(config), slice_of("c")));
}

static void test_problems(void **state)
{
    struct slice rest = slice_of(config);
    struct cfg_problem p;
    unsigned int line = 0;

    (void)state;
    assert_true(cfg_problem_next(&rest, &line, &p));
    assert_true(slice_eq(p.text, "bogus") && p.line == 8 && !p.bad_line);
    assert_true(cfg_problem_next(&rest, &line, &p));
    assert_true(slice_eq(p.text, "rubbish") && p.line == 9 && p.bad_line);
    assert_false(cfg_problem_next(&rest, &line, &p));
}

static void mem_is(const char *options, int want, uint64_t mib)
{
    uint64_t wanted;

    assert_int_equal(dom0mem_check(slice_of(options), 1024ull << 20, &wanted), want);
    if (want != DOM0MEM_ERR_SYNTAX) {
        assert_int_equal(wanted >> 20, mib);
    }
}

static void test_dom0_mem(void **state)
{
    (void)state;
    mem_is("", DOM0MEM_ERR_NONE, 0);
    mem_is("console=vga dom0_mem=512M", DOM0MEM_ERR_NONE, 512);
    mem_is("dom0_mem=512M,max:900M", DOM0MEM_ERR_NONE, 512);
    mem_is("dom0_mem=max:9G", DOM0MEM_ERR_NONE, 0);
    mem_is("dom0_mem=min:2G,max:3G", DOM0MEM_ERR_MORE, 2048);
    mem_is("dom0_mem=1024M", DOM0MEM_ERR_NONE, 1024);
    mem_is("dom0_mem=1025M", DOM0MEM_ERR_MORE, 1025);
    mem_is("dom0_mem=2G dom0_mem=100M", DOM0MEM_ERR_NONE, 100);
    mem_is("dom0_mem=-128M", DOM0MEM_ERR_NONE, 0);
    mem_is("dom0_mem=1G+5%,max:50%,min:100M", DOM0MEM_ERR_NONE, 100);
    mem_is("dom0_mem=", DOM0MEM_ERR_SYNTAX, 0);
    mem_is("dom0_mem=lots", DOM0MEM_ERR_SYNTAX, 0);
    mem_is("dom0_mem=1G,", DOM0MEM_ERR_SYNTAX, 0);
}

struct entry {
    uint32_t type, pad;
    uint64_t start, virt, pages, attr;
    uint64_t longer; /* firmware entries are longer than the specification's */
};

#define WB UINT64_C(0xf)
#define RT (UINT64_C(1) << 63)

static void range_is(const struct boot_info *bi, uint32_t i, uint64_t start, uint64_t end,
                     uint32_t type)
{
    assert_true(i < bi->range_count);
    assert_int_equal(bi->ranges[i].start, start);
    assert_int_equal(bi->ranges[i].end, end);
    assert_int_equal(bi->ranges[i].type, type);
}

static void test_memmap(void **state)
{
    static const struct entry map[] = {
        { .type = 7, .start = 0x100000, .pages = 0x700, .attr = WB },
        { .type = 3, .start = 0, .pages = 0xa0, .attr = WB },     /* out of order */
        { .type = 4, .start = 0x800000, .pages = 8, .attr = WB }, /* joins with the first */
        { .type = 2, .start = 0x808000, .pages = 8, .attr = WB },
        { .type = 5, .start = 0x810000, .pages = 1, .attr = WB | RT },
        { .type = 6, .start = 0x811000, .pages = 1, .attr = WB | RT },
        { .type = 9, .start = 0x812000, .pages = 2, .attr = WB },
        { .type = 10, .start = 0x814000, .pages = 2, .attr = WB },
        { .type = 7, .start = 0x816000, .pages = 2, .attr = 1 }, /* not cacheable */
        { .type = 0, .start = 0x818000, .pages = 2, .attr = 0 },
        { .type = 11, .start = 0xfed00000, .pages = 1, .attr = 1 | RT },
        { .type = 11, .start = 0xfee00000, .pages = 1, .attr = 1 },
        { .type = 77, .start = 0xff000000, .pages = 1, .attr = WB },
        { .type = 7, .start = 0x100000000, .pages = 0x100, .attr = WB },
        { .type = 7, .start = 0x1000, .pages = UINT64_MAX, .attr = WB }, /* nonsense */
        { .type = 7, .start = 0x200000001, .pages = 1, .attr = WB },     /* nonsense */
    };
    static struct boot_info bi;
    struct memmap_piece piece = { .start = 0x200000, .end = 0x300000, .type = BOOT_IMAGE };

    (void)state;
    assert_true(memmap_convert(map, sizeof(map), sizeof(map[0]), &bi));
    assert_int_equal(bi.range_count, 12);
    range_is(&bi, 0, 0, 0xa0000, BOOT_USABLE);
    range_is(&bi, 1, 0x100000, 0x810000, BOOT_USABLE);
    range_is(&bi, 2, 0x810000, 0x811000, BOOT_RUNTIME_CODE);
    range_is(&bi, 3, 0x811000, 0x812000, BOOT_RUNTIME_DATA);
    range_is(&bi, 4, 0x812000, 0x814000, BOOT_ACPI);
    range_is(&bi, 5, 0x814000, 0x816000, BOOT_ACPI_NVS);
    range_is(&bi, 6, 0x816000, 0x818000, BOOT_RESERVED);
    range_is(&bi, 7, 0x818000, 0x81a000, BOOT_RESERVED);
    range_is(&bi, 8, 0xfed00000, 0xfed01000, BOOT_MMIO);
    range_is(&bi, 9, 0xfee00000, 0xfee01000, BOOT_RESERVED);
    range_is(&bi, 10, 0xff000000, 0xff001000, BOOT_RESERVED);
    range_is(&bi, 11, 0x100000000, 0x100100000, BOOT_USABLE);
    assert_int_equal(bi.ranges[2].efi_attr, WB | RT);
    assert_int_equal(memmap_usable(&bi), 0xa0000 + 0x710000 + 0x100000);

    assert_true(memmap_carve(&bi, &piece));
    range_is(&bi, 1, 0x100000, 0x200000, BOOT_USABLE);
    range_is(&bi, 2, 0x200000, 0x300000, BOOT_IMAGE);
    range_is(&bi, 3, 0x300000, 0x810000, BOOT_USABLE);
    assert_false(memmap_carve(&bi, &piece)); /* not usable any more */
    piece = (struct memmap_piece){ .start = 0x800000, .end = 0x811000, .type = BOOT_MODULE };
    assert_false(memmap_carve(&bi, &piece)); /* reaches into another range */
    piece = (struct memmap_piece){ .start = 0x300000, .end = 0x810000, .type = BOOT_MODULE };
    assert_true(memmap_carve(&bi, &piece));
    range_is(&bi, 3, 0x300000, 0x810000, BOOT_MODULE);
    assert_int_equal(bi.range_count, 14);
}

static void test_memmap_overlap(void **state)
{
    static const struct entry map[] = {
        { .type = 7, .start = 0x100000, .pages = 0x100, .attr = WB },
        { .type = 9, .start = 0x180000, .pages = 0x10, .attr = WB },  /* inside */
        { .type = 10, .start = 0x1f0000, .pages = 0x20, .attr = WB }, /* across the end */
    };
    static struct boot_info bi;

    (void)state;
    assert_true(memmap_convert(map, sizeof(map), sizeof(map[0]), &bi));
    assert_int_equal(bi.range_count, 2);
    range_is(&bi, 0, 0x100000, 0x200000, BOOT_USABLE);
    range_is(&bi, 1, 0x200000, 0x210000, BOOT_ACPI_NVS);
}

static void test_memmap_many(void **state)
{
    struct entry *map = calloc(2 * BOOT_RANGES_MAX, sizeof(*map));
    static struct boot_info bi;

    (void)state;
    for (uint32_t i = 0; i < 2 * BOOT_RANGES_MAX; i++) {
        map[i] = (struct entry){ .type = 7, .start = (uint64_t)i << 20, .pages = 1, .attr = WB };
    }
    assert_true(memmap_convert(map, BOOT_RANGES_MAX * sizeof(*map), sizeof(*map), &bi));
    assert_int_equal(bi.range_count, BOOT_RANGES_MAX);
    assert_false(memmap_convert(map, (BOOT_RANGES_MAX + 1) * sizeof(*map), sizeof(*map), &bi));
    assert_false(memmap_convert(map, sizeof(*map), 24, &bi));
    free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_args),
        cmocka_unit_test(test_sections),       cmocka_unit_test(test_problems),
        cmocka_unit_test(test_dom0_mem),       cmocka_unit_test(test_memmap),
        cmocka_unit_test(test_memmap_overlap), cmocka_unit_test(test_memmap_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
