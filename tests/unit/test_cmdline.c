/* SPDX-License-Identifier: MIT */
/* Hypervisor options: every one, bad values (which change nothing), words that nobody knows. */
#include "tests/unit/core_kit.h"

#include <stdio.h>
#include <string.h>

#include "arch/host/machine.h"
#include "base/log.h"
#include "base/panic.h"
#include "start/cmdline.h"

static struct options fresh;
static char said[8192];
static size_t said_len;

static void hear(const char *text, size_t len)
{
    if (said_len + len < sizeof said) {
        memcpy(said + said_len, text, len);
        said_len += len;
        said[said_len] = '\0';
    }
}

/* With options as at boot. */
static void parse(const char *text)
{
    options = fresh;
    log_set_levels(LOG_INFO, LOG_WARN);
    said_len = 0;
    said[0] = '\0';
    host_console = hear;
    cmdline_parse(text);
    host_console = NULL;
}

static void accepted(const char *text)
{
    parse(text);
    if (said_len != 0) {
        fail_msg("'%s': %s", text, said);
    }
}

/* Warned of, and nothing has changed. */
static void refused(const char *text, const char *warning)
{
    parse(text);
    if (strstr(said, warning) == NULL) {
        fail_msg("'%s': '%s'", text, said);
    }
    if (memcmp(&options, &fresh, sizeof fresh) != 0) {
        fail_msg("'%s' has changed something", text);
    }
}

static void test_text(void **state)
{
    (void)state;
    accepted("");
    assert_memory_equal(&options, &fresh, sizeof fresh);
    accepted(" \t ");
    assert_memory_equal(&options, &fresh, sizeof fresh);
    accepted("console=vga com1=9600,8n1,0x2f8,3\tspec-ctrl=no");
    assert_string_equal(options.console, "vga");
    assert_string_equal(options.com1, "9600,8n1,0x2f8,3");
    assert_string_equal(options.spec_ctrl, "no");
    assert_string_equal(cmdline_raw, "console=vga com1=9600,8n1,0x2f8,3\tspec-ctrl=no");
    accepted("console=com1 console=none");
    assert_string_equal(options.console, "none");
    accepted("spec-ctrl=a=b");
    assert_string_equal(options.spec_ctrl, "a=b");
}

/* The longest that fits, and one more. */
static void test_text_length(void **state)
{
    static const struct {
        const char *name;
        size_t size;
        const char *to;
    } fields[] = { { "console", sizeof options.console, options.console },
                   { "com1", sizeof options.com1, options.com1 },
                   { "spec-ctrl", sizeof options.spec_ctrl, options.spec_ctrl } };
    char val[256];
    char word[300];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        memset(val, 'x', sizeof val);
        val[fields[i].size - 1] = '\0';
        snprintf(word, sizeof word, "%s=%s", fields[i].name, val);
        accepted(word);
        assert_string_equal(fields[i].to, val);
        val[fields[i].size - 1] = 'x';
        val[fields[i].size] = '\0';
        snprintf(word, sizeof word, "%s=%s", fields[i].name, val);
        refused(word, "bad value");
        memset(val, 'x', sizeof val);
        val[128] = '\0';
        snprintf(word, sizeof word, "%s=%s", fields[i].name, val);
        refused(word, "value too long");
    }
}

static void test_bool(void **state)
{
    static const char *const yes[] = { "", "=", "=1", "=yes", "=on", "=true", "=enable" };
    static const char *const no[] = { "=0", "=no", "=off", "=false", "=disable" };
    static const char *const bad[] = { "=2", "=YES", "=yes,", "=y", "=-1" };
    static const struct {
        const char *name;
        bool *to;
        bool at_boot;
    } fields[] = { { "smep", &options.smep, true },
                   { "smap", &options.smap, true },
                   { "x2apic", &options.x2apic, true },
                   { "noreboot", &options.noreboot, false },
                   { "sync_console", &options.sync_console, false },
                   { "dom0_vcpus_pin", &options.dom0_vcpus_pin, false } };
    char word[64];

    (void)state;
    for (size_t f = 0; f < 6; f++) {
        parse("");
        assert_int_equal(*fields[f].to, fields[f].at_boot);
        for (size_t i = 0; i < 7; i++) {
            snprintf(word, sizeof word, "%s=0 %s%s", fields[f].name, fields[f].name, yes[i]);
            accepted(word);
            assert_true(*fields[f].to);
        }
        for (size_t i = 0; i < 5; i++) {
            snprintf(word, sizeof word, "%s %s%s", fields[f].name, fields[f].name, no[i]);
            accepted(word);
            assert_false(*fields[f].to);
        }
        snprintf(word, sizeof word, "%s no-%s", fields[f].name, fields[f].name);
        accepted(word);
        assert_false(*fields[f].to);
        snprintf(word, sizeof word, "no-%s=1", fields[f].name);
        refused(word, "unknown option");
        for (size_t i = 0; i < 5; i++) {
            snprintf(word, sizeof word, "%s%s", fields[f].name, bad[i]);
            refused(word, "bad value");
        }
    }
    accepted("noreboot");
    assert_true(panic_halts);
    accepted("");
    assert_false(panic_halts);
}

static void test_numbers(void **state)
{
    (void)state;
    accepted("maxcpus=4 dom0_max_vcpus=0x1F");
    assert_int_equal(options.maxcpus, 4);
    assert_int_equal(options.dom0_max_vcpus, 31);
    accepted("maxcpus=4294967295 dom0_max_vcpus=0");
    assert_int_equal(options.maxcpus, UINT32_MAX);
    assert_int_equal(options.dom0_max_vcpus, 0);
    refused("maxcpus=4294967296", "bad value");
    refused("maxcpus=18446744073709551616", "bad value");
    refused("maxcpus=0x10000000000000001", "bad value");
    refused("maxcpus", "bad value");
    refused("maxcpus=", "bad value");
    refused("maxcpus=0x", "bad value");
    refused("maxcpus=a", "bad value");
    refused("maxcpus=4x", "bad value");
    refused("maxcpus=-1", "bad value");
    refused("dom0_max_vcpus=1-2", "bad value");
    refused("no-maxcpus", "unknown option");
}

static void test_dom0_mem(void **state)
{
    (void)state;
    accepted("dom0_mem=512M,max:1G,min:0x10000");
    assert_int_equal(options.dom0_mem.bytes, UINT64_C(512) << 20);
    assert_int_equal(options.dom0_mem_max.bytes, UINT64_C(1) << 30);
    assert_int_equal(options.dom0_mem_min.bytes, UINT64_C(0x10000) << 10); /* KiB */
    accepted("dom0_mem=max:1t dom0_mem=4096b");
    assert_int_equal(options.dom0_mem_max.bytes, UINT64_C(1) << 40);
    assert_int_equal(options.dom0_mem.bytes, 4096);
    accepted("dom0_mem=7k");
    assert_int_equal(options.dom0_mem.bytes, 7168);
    accepted("dom0_mem=16777215T");
    assert_int_equal(options.dom0_mem.bytes, UINT64_C(16777215) << 40);
    accepted("dom0_mem=-128M,max:50%,min:1G+5%");
    assert_true(options.dom0_mem.all_but);
    assert_int_equal(options.dom0_mem.bytes, UINT64_C(128) << 20);
    assert_int_equal(options.dom0_mem_max.percent, 50);
    assert_int_equal(options.dom0_mem_max.bytes, 0);
    assert_int_equal(options.dom0_mem_min.percent, 5);
    assert_int_equal(options.dom0_mem_min.bytes, UINT64_C(1) << 30);
    assert_false(options.dom0_mem_min.all_but);
    refused("dom0_mem=100%", "bad value");
    refused("dom0_mem=%", "bad value");
    refused("dom0_mem=-", "bad value");
    refused("dom0_mem=--1M", "bad value");
    refused("dom0_mem=1G+", "bad value");
    refused("dom0_mem=1G+5", "bad value");
    refused("dom0_mem=1G+5%+5%", "bad value");
    refused("dom0_mem=5%+1G", "bad value");
    refused("dom0_mem=16777216T", "bad value");
    refused("dom0_mem=1P", "bad value");
    refused("dom0_mem=M", "bad value");
    refused("dom0_mem=min:", "bad value");
    refused("dom0_mem=1Mx", "bad value");
    /* The good part before the bad one does not count either. */
    refused("dom0_mem=512M,max:big", "bad value");
    refused("dom0_mem=min:1G,2G,,", "bad value");
}

static uint64_t amount(uint64_t bytes, uint32_t percent, bool all_but, uint64_t avail)
{
    struct mem_amount a = { .bytes = bytes, .percent = percent, .all_but = all_but };

    return mem_amount_of(&a, avail);
}

static void test_amounts(void **state)
{
    (void)state;
    assert_int_equal(amount(5000, 0, false, 1000), 5000);
    assert_int_equal(amount(0, 50, false, 1000), 500);
    assert_int_equal(amount(0, 99, false, UINT64_MAX), UINT64_MAX / 100 * 99 + 14);
    assert_int_equal(amount(7, 10, false, 1001), 107);
    assert_int_equal(amount(100, 0, true, 1000), 900);
    assert_int_equal(amount(100, 10, true, 1000), 800);
    assert_int_equal(amount(1000, 0, true, 1000), 0);
    assert_int_equal(amount(UINT64_MAX, 99, true, 1000), 0);
    assert_int_equal(amount(UINT64_MAX, 99, false, 1000), UINT64_MAX);
}

static void test_levels(void **state)
{
    static const struct {
        const char *word;
        uint32_t level;
    } good[] = { { "none", LOG_ERR },     { "error", LOG_ERR },    { "warning", LOG_WARN },
                 { "info", LOG_INFO },    { "debug", LOG_DEBUG },  { "all", LOG_DEBUG },
                 { "none/all", LOG_ERR }, { "all/all", LOG_DEBUG } };
    char word[64];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(word, sizeof word, "loglvl=%s", good[i].word);
        accepted(word);
        assert_int_equal(options.loglvl, good[i].level);
        assert_int_equal(options.guest_loglvl, fresh.guest_loglvl);
        snprintf(word, sizeof word, "guest_loglvl=%s", good[i].word);
        accepted(word);
        assert_int_equal(options.guest_loglvl, good[i].level);
        assert_int_equal(options.loglvl, fresh.loglvl);
    }
    refused("loglvl=", "bad value");
    refused("loglvl=warn", "bad value");
    refused("loglvl=allall", "bad value");
    refused("loglvl=1", "bad value");
    /* In force at the end of the line, so that what is wrong with it is said. */
    refused("what=1", "unknown option 'what=1' ignored");
    parse("loglvl=none what=1");
    assert_non_null(strstr(said, "unknown option"));
    host_console = hear;
    said_len = 0;
    log_warn("not heard");
    assert_int_equal(said_len, 0);
    log_err("heard");
    assert_true(said_len > 0);
    host_console = NULL;
}

static void test_others(void **state)
{
    (void)state;
    accepted("conswitch=b");
    assert_int_equal(options.conswitch, 2);
    assert_false(options.conswitch_keep);
    accepted("conswitch=Zx");
    assert_int_equal(options.conswitch, 26);
    assert_true(options.conswitch_keep);
    refused("conswitch", "bad value");
    refused("conswitch=1", "bad value");
    refused("conswitch={", "bad value");
    refused("conswitch=@", "bad value");
    refused("conswitch=ab", "bad value");
    refused("conswitch=axx", "bad value");

    assert_int_equal(fresh.xpti, -1);
    accepted("xpti");
    assert_int_equal(options.xpti, 1);
    accepted("xpti=no");
    assert_int_equal(options.xpti, 0);
    accepted("xpti=1 xpti=default");
    assert_int_equal(options.xpti, -1);
    refused("xpti=maybe", "bad value");
    accepted("xpti=dom0=0,domu=on");
    assert_int_equal(options.xpti, 1);
    assert_int_equal(options.xpti_dom0, 0);
    accepted("xpti=1,dom0=default");
    assert_int_equal(options.xpti, 1);
    assert_int_equal(options.xpti_dom0, -1);
    refused("xpti=1,dom0=maybe", "bad value");
    refused("xpti=domu=12345678901234567", "bad value");
    refused("xpti=on,dom1=0", "bad value");
    refused("no-xpti", "unknown option");
}

static void test_unknown(void **state)
{
    (void)state;
    refused("maxcpu=1", "unknown option 'maxcpu=1'");
    refused("maxcpuss=1", "unknown option 'maxcpuss=1'");
    refused("MAXCPUS=1", "unknown option 'MAXCPUS=1'");
    refused("=1", "unknown option '=1'");
    refused("=", "unknown option '='");
    refused("no-", "unknown option 'no-'");
    refused("no-one", "unknown option 'no-one'");
    /* The rest counts. */
    parse("one two=3 maxcpus=7 four");
    assert_int_equal(options.maxcpus, 7);
    assert_non_null(strstr(said, "'one'"));
    assert_non_null(strstr(said, "'two=3'"));
    assert_non_null(strstr(said, "'four'"));
}

/* Longer than what is kept for XENVER_commandline: all of it is parsed. */
static void test_long(void **state)
{
    static char text[6000];

    (void)state;
    memset(text, ' ', sizeof text);
    strcpy(text + 4000, "maxcpus=5");
    accepted(text);
    assert_int_equal(options.maxcpus, 5);
    assert_int_equal(strlen(cmdline_raw), sizeof cmdline_raw - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),     cmocka_unit_test(test_text_length),
        cmocka_unit_test(test_bool),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_dom0_mem), cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_levels),   cmocka_unit_test(test_others),
        cmocka_unit_test(test_unknown),  cmocka_unit_test(test_long),
    };

    kit_start(1);
    fresh = options;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
