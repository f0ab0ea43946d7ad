/* SPDX-License-Identifier: MIT */
/* Guest configuration files: syntax with positions, every kind of key, every kind of refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/bootcfg.h"
#include "joistd/config.h"

static struct config config;

/* Parses and checks a text; returns the code, the line of the failure in `line`. */
static int make(const char *text, char *line, size_t size, size_t *warning_count)
{
    struct xlcfg c = { 0 };
    struct fail f = { 0 };
    json_t *warnings = json_array();
    int rc;

    config_drop(&config); /* of the text before */
    rc = xlcfg_parse(&c, "t.cfg", text, strlen(text), &f);

    if (rc == 0) {
        rc = config_make(&config, &c, "/dir", warnings, &f);
    }
    fail_text(&f, line, (unsigned int)size);
    if (warning_count != NULL) {
        *warning_count = json_array_size(warnings);
    }
    json_decref(warnings);
    xlcfg_free(&c);
    return rc;
}

static void good_file(void **state)
{
    char line[1024];
    size_t warnings;
    (void)state;

    assert_int_equal(make("# a guest\n"
                          "name = \"web\"; type='pv'\n"
                          "memory = 256\r\n"
                          "maxmem = 0x200 # hex\n"
                          "vcpus=2\nmaxvcpus = \"4\"\n"
                          "kernel = \"vmlinuz\"\nramdisk = '/boot/ird'\n"
                          "root = \"/dev/xvda ro\"\nextra = \"quiet \\\"x\\\"\"\n"
                          "on_crash = \"preserve\"\non_reboot = 'destroy'\n"
                          "cpus = [ \"0-1\",\n  # comment inside a list\n  '3,5-7,^6', ]\n"
                          "cpu_weight = 512\ncap = 50\ntsc_mode = \"native\"\n"
                          "disk = [ ]\nvif = []\n"
                          "uuid = \"01234567-89ab-cdef-0123-456789abcdef\"\n",
                          line, sizeof(line), &warnings),
                     0);
    assert_string_equal(config.name, "web");
    assert_int_equal(config.memory_kib, 256 * 1024);
    assert_int_equal(config.maxmem_kib, 512 * 1024);
    assert_int_equal(config.vcpus, 2);
    assert_int_equal(config.max_vcpus, 4);
    assert_string_equal(config.kernel, "/dir/vmlinuz");
    assert_string_equal(config.ramdisk, "/boot/ird");
    assert_string_equal(config.cmdline, "root=/dev/xvda ro quiet \"x\"");
    assert_int_equal(config.on_crash, ACTION_PRESERVE);
    assert_int_equal(config.on_reboot, ACTION_DESTROY);
    assert_int_equal(config.on_poweroff, ACTION_DESTROY);
    assert_int_equal(config.affinity_count, 2);
    assert_true(cpuset_has(&config.affinity[0], 1));
    assert_false(cpuset_has(&config.affinity[0], 2));
    assert_true(cpuset_has(&config.affinity[1], 7));
    assert_false(cpuset_has(&config.affinity[1], 6));
    assert_int_equal(config.weight, 512);
    assert_int_equal(config.cap, 50);
    assert_int_equal(config.tsc_mode, TSC_NATIVE);
    assert_int_equal(config.uuid[0], 0x01);
    assert_int_equal(config.uuid[15], 0xef);
    assert_string_equal(config.uuid_text, "01234567-89ab-cdef-0123-456789abcdef");
    assert_int_equal(warnings, 0);
}

static void defaults(void **state)
{
    char line[1024];
    uint8_t first[16];
    (void)state;

    assert_int_equal(make("name='a'\nkernel='/k'", line, sizeof(line), NULL), 0);
    assert_int_equal(config.memory_kib, config.maxmem_kib);
    assert_int_equal(config.vcpus, 1);
    assert_int_equal(config.max_vcpus, 1);
    assert_int_equal(config.on_reboot, ACTION_RESTART);
    assert_int_equal(config.cap, -1);
    memcpy(first, config.uuid, 16);
    assert_int_equal(make("name='a'\nkernel='/k'", line, sizeof(line), NULL), 0);
    assert_memory_not_equal(first, config.uuid, 16);
}

struct row {
    const char *text;
    int code;
    const char *message; /* the failure's line starts with this */
};

static const struct row refusals[] = {
    { "name = \"x\nkernel='/k'", -EINVAL,
      "config: t.cfg:1:10: syntax error: expected a closing \", found the end of the line" },
    { "name = 'x'\n  kernel '/k'", -EINVAL,
      "config: t.cfg:2:10: syntax error: expected '=' after the key, found '''" },
    { "name = web", -EINVAL, "config: t.cfg:1:8: syntax error: expected a value" },
    { "name = 'x' 'y'", -EINVAL,
      "config: t.cfg:1:12: syntax error: expected the end of the line or ';', found '''" },
    { "disk = [ 'a'", -EINVAL,
      "config: t.cfg:1:13: syntax error: expected ',' or ']', found the end of the text" },
    { "disk = [ 'a' 'b' ]", -EINVAL, "config: t.cfg:1:14: syntax error: expected ',' or ']'" },
    { "disk = [ , ]", -EINVAL, "config: t.cfg:1:10: syntax error: expected a value or ']'" },
    { "disk = [[[[[]]]]]", -EINVAL, "config: t.cfg:1:12: syntax error: expected a value or ']'" },
    { "memory = 12abc", -EINVAL, "config: t.cfg:1:10: syntax error: expected a number" },
    { "memory = 99999999999999999999", -EINVAL,
      "config: t.cfg:1:10: syntax error: expected a number" },
    { "= 1", -EINVAL, "config: t.cfg:1:1: syntax error: expected a key, found '='" },
    { "name = '\\q'", -EINVAL, "config: t.cfg:1:10: syntax error: expected an escape" },
    { "name = '\x01\xff'", -EINVAL, "config: t.cfg:1:12: syntax error: expected text in UTF-8" },
    { "\x80", -EINVAL, "config: t.cfg:1:1: syntax error: expected a key, found byte 0x80" },
    { "name='a'\nkernel='/k'\nmemroy = 5", -EINVAL, "config: t.cfg:3:1: unknown key \"memroy\"" },
    { "kernel='/k'", -ENOENT, "config: t.cfg: the key \"name\" is missing" },
    { "name='a'", -ENOENT, "config: t.cfg: the key \"kernel\" is missing" },
    { "", -ENOENT, "config: configuration: the key \"name\" is missing" },
    { "name=''", -EINVAL, "config: t.cfg:1:1: name = \"\": a name has 1 to 63 bytes" },
    { "name='a/b'", -EINVAL, "config: t.cfg:1:1: name = \"a/b\": \"a/b\": only letters" },
    { "name='12'", -EINVAL, "config: t.cfg:1:1: name = \"12\": \"12\" could be taken" },
    { "name=['a']", -EINVAL, "config: t.cfg:1:1: name: a list where one value is expected" },
    { "memory=0", -EINVAL, "config: t.cfg:1:1: memory = \"0\": not a number from 1 to 16777216" },
    { "memory=-5", -EINVAL, "config: t.cfg:1:1: memory = \"-5\": not a number" },
    { "vcpus=129", -EINVAL, "config: t.cfg:1:1: vcpus = \"129\": not a number from 1 to 128" },
    { "name='a'\nkernel='/k'\nmemory=64\nmaxmem=32", -EINVAL,
      "config: t.cfg:4:1: maxmem = \"32\": less than memory" },
    { "name='a'\nkernel='/k'\nvcpus=4\nmaxvcpus=2", -EINVAL,
      "config: t.cfg:4:1: maxvcpus = \"2\": less than vcpus" },
    { "type='hvm'", -EINVAL, "config: t.cfg:1:1: type = \"hvm\": only \"pv\" guests" },
    { "builder='hvm'", -EINVAL, "config: t.cfg:1:1: builder = \"hvm\": only \"generic\"" },
    { "hap=1", -EINVAL, "config: t.cfg:1:1: hap = \"1\": is for HVM guests" },
    { "boot='c'", -EINVAL, "config: t.cfg:1:1: boot = \"c\": is for HVM guests" },
    { "pci=['a,b']", -EINVAL, "config: t.cfg:1:1: pci: not supported by this version" },
    { "on_crash='explode'", -EINVAL, "config: t.cfg:1:1: on_crash = \"explode\": not one of" },
    { "uuid='123'", -EINVAL, "config: t.cfg:1:1: uuid = \"123\": not of the form" },
    { "cpus='5-2'", -EINVAL, "config: t.cfg:1:1: cpus = \"5-2\": not a list of CPUs" },
    { "cpus='^1'", -EINVAL, "config: t.cfg:1:1: cpus = \"^1\": not a list of CPUs" },
    { "cpus='256'", -EINVAL, "config: t.cfg:1:1: cpus = \"256\": not a list of CPUs" },
    { "cpus=['0',['1']]", -EINVAL, "config: t.cfg:1:1: cpus: an entry is no list of CPUs" },
    { "cpu_weight=0", -EINVAL, "config: t.cfg:1:1: cpu_weight = \"0\": not a number" },
    { "cap=65536", -EINVAL, "config: t.cfg:1:1: cap = \"65536\": not a number" },
    { "tsc_mode='x'", -EINVAL, "config: t.cfg:1:1: tsc_mode = \"x\": not one of" },
    { "max_grant_version=2", -EINVAL,
      "config: t.cfg:1:1: max_grant_version = \"2\": not a number" },
};

static void refused(void **state)
{
    char line[1024];
    size_t i;
    (void)state;

    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        int rc = make(refusals[i].text, line, sizeof(line), NULL);

        if (rc != refusals[i].code ||
            strncmp(line, refusals[i].message, strlen(refusals[i].message)) != 0) {
            fail_msg("row %zu: %d \"%s\", expected %d \"%s\"", i, rc, line, refusals[i].code,
                     refusals[i].message);
        }
    }
}

static void long_values(void **state)
{
    char *text = malloc(XLCFG_MAX_TEXT + 16);
    char line[1024];
    (void)state;

    memset(text, ' ', XLCFG_MAX_TEXT + 1);
    text[XLCFG_MAX_TEXT + 1] = '\0';
    assert_int_equal(make(text, line, sizeof(line), NULL), -E2BIG);
    memset(text, 'x', 2000);
    memcpy(text, "cmdline='", 9);
    strcpy(text + 1100, "'\n");
    assert_int_equal(make(text, line, sizeof(line), NULL), -EINVAL);
    assert_non_null(strstr(line, "longer than 1023 bytes"));
    free(text);
}

static void warnings_are_told(void **state)
{
    char line[1024];
    size_t n;
    (void)state;

    assert_int_equal(
        make("name='a'\nkernel='/k'\nnomigrate=1\nmemory=5\nmemory=6\ncmdline='c'\nextra='e'\n"
             "loader='generic'\nmax_event_channels=4096",
             line, sizeof(line), &n),
        0);
    assert_int_equal(n, 4);
    assert_int_equal(config.max_event_channels, 4096);
    assert_int_equal(config.memory_kib, 6 * 1024);
    assert_string_equal(config.cmdline, "c");
}

static void overrides(void **state)
{
    struct xlcfg c = { 0 };
    struct fail f = { 0 };
    json_t *json;
    (void)state;

    assert_int_equal(xlcfg_parse(&c, "t", "name='a'\nmemory=1", 17, &f), 0);
    assert_int_equal(xlcfg_override(&c, "memory=64", &f), 0);
    assert_int_equal(xlcfg_override(&c, "name=b", &f), 0);
    assert_int_equal(xlcfg_override(&c, "cpus=['1']", &f), 0);
    assert_int_equal(xlcfg_override(&c, "extra=0123abc", &f), 0);
    assert_int_equal(xlcfg_override(&c, "root=\"/dev/a b\"", &f), 0);
    assert_string_equal(json_string_value(xlcfg_find(&c, "memory")->value), "64");
    assert_string_equal(json_string_value(xlcfg_find(&c, "name")->value), "b");
    assert_string_equal(json_string_value(xlcfg_find(&c, "extra")->value), "0123abc");
    assert_string_equal(json_string_value(xlcfg_find(&c, "root")->value), "/dev/a b");
    assert_int_equal(xlcfg_override(&c, "nonsense", &f), -EINVAL);
    f.code = 0;
    assert_int_equal(xlcfg_override(&c, "x=[1", &f), -EINVAL);
    json = xlcfg_to_json(&c);
    xlcfg_free(&c);
    assert_int_equal(json_object_size(json), 5);
    f.code = 0;
    assert_int_equal(xlcfg_from_json(&c, "saved", json, &f), 0);
    assert_int_equal(c.count, 5);
    json_object_set_new(json, "bad", json_object());
    assert_int_equal(xlcfg_from_json(&c, "saved", json, &f), -EINVAL);
    assert_int_equal(c.count, 5);
    json_decref(json);
    xlcfg_free(&c);
}

/* Where a kernel comes from: a file, GRUB's image, or the first disk. */
static void booting(void **state)
{
    static const struct {
        const char *text;
        const char *line; /* NULL: good */
    } rows[] = {
        { "firmware = \"pvgrub64\"", NULL },
        { "bootloader = \"pygrub\"\ndisk = [\"/a.img,raw,xvda,w\"]", NULL },
        { "bootloader = \"/usr/bin/pygrub\"\nbootloader_args = [\"--kernel=/k\", "
          "\"--offset=512\"]\n"
          "disk = [\"/c.iso,raw,xvdc,cdrom\", \"/a.img,raw,xvda,w\"]",
          NULL },
        { "firmware = \"pvgrub32\"", "config: t.cfg:2:1: firmware = \"pvgrub32\": only "
                                     "\"pvgrub64\" exists on this hypervisor; " },
        { "firmware = \"pvgrub64\"\nkernel = \"/k\"", "a kernel is given too" },
        { "bootloader = \"grub\"", "config: t.cfg:2:1: bootloader = \"grub\": only joist-extract" },
        { "bootloader = \"pygrub\"", "the guest has no disk to read a kernel from" },
        { "bootloader = \"pygrub\"\ndisk = [\"/c.iso,raw,xvdc,cdrom\"]", "has no disk to read" },
        { "bootloader = \"pygrub\"\ndisk = [\"/a.img,qcow2,xvda,w\"]", "is not a raw image" },
        { "bootloader = \"pygrub\"\nkernel = \"/k\"", "a kernel or ramdisk is given too" },
        { "bootloader = \"pygrub\"\nbootloader_args = [\"--kernel=/k\", \"x\"]",
          "bootloader_args = \"x\": not --kernel=PATH" },
        { "bootloader = \"pygrub\"\nbootloader_args = \" --kernel=/k\t--ramdisk=/r \"\n"
          "disk = [\"/a.img,raw,xvda,w\"]",
          NULL },
        { "bootloader = \"pygrub\"\nbootloader_args = \"--kernel=/k y\"",
          "bootloader_args = \"y\": not --kernel=PATH" },
        { "bootloader = \"pygrub\"\nbootloader_args = 7",
          "bootloader_args = \"7\": not --kernel=PATH" },
        { "kernel = \"/k\"\nbootloader_args = \"--kernel=/k\"",
          "no bootloader that it could be for" },
        { "firmware = \"pvgrub64\"\nkernel = \"" BOOTCFG_PVGRUB "\"", NULL }, /* as saved */
        { "memory = 20", "the key \"kernel\" is missing" },
    };
    char text[512];
    char line[1024];
    size_t i;
    int rc;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(text, sizeof(text), "name = \"x\"\n%s\n", rows[i].text);
        rc = make(text, line, sizeof(line), NULL);
        if ((rc == 0) != (rows[i].line == NULL) ||
            (rows[i].line != NULL && strstr(line, rows[i].line) == NULL)) {
            fail_msg("%s: %d %s", rows[i].text, rc, line);
        }
        if (i == 0) {
            assert_string_equal(config.kernel, "/usr/lib/grub-xen/grub-x86_64-xen.bin");
            assert_false(config.is_extracted);
        } else if (i == 2) {
            assert_true(config.is_extracted);
            assert_string_equal(config.boot.kernel, "/k");
            assert_int_equal(config.boot.offset, 512);
        } else if (strstr(rows[i].text, "/r") != NULL) {
            assert_string_equal(config.boot.kernel, "/k");
            assert_string_equal(config.boot.ramdisk, "/r");
        }
    }
}

static void appending(void **state)
{
    struct xlcfg c = { 0 };
    struct fail f = { 0 };
    static const char text[] = "cpus=['1']\ncpus += ['2']\nextra='a'\nextra+=' b'";
    (void)state;

    assert_int_equal(xlcfg_parse(&c, "t", text, strlen(text), &f), 0);
    assert_int_equal(json_array_size(xlcfg_find(&c, "cpus")->value), 2);
    assert_string_equal(json_string_value(xlcfg_find(&c, "extra")->value), "a b");
    xlcfg_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file),         cmocka_unit_test(defaults),
        cmocka_unit_test(refused),           cmocka_unit_test(long_values),
        cmocka_unit_test(warnings_are_told), cmocka_unit_test(overrides),
        cmocka_unit_test(appending),         cmocka_unit_test(booting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
