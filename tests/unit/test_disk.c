/* SPDX-License-Identifier: MIT */
/* Entries of disk=[...]: xl's forms, the numbers of devices, refusals with their place, the nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/blkdev.h"
#include "joistd/disk.h"

static struct config config;

static int make(const char *text, char *line, size_t size, size_t *warning_count)
{
    struct xlcfg c = { 0 };
    struct fail f = { 0 };
    json_t *warnings = json_array();
    char file[8192];
    int rc;

    snprintf(file, sizeof(file), "name='a'\nkernel='/k'\n%s", text);
    config_drop(&config);
    rc = xlcfg_parse(&c, "t.cfg", file, strlen(file), &f);
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

struct good {
    const char *entry;
    const char *path;
    const char *vdev;
    unsigned int number;
    enum disk_format format;
    enum disk_access access;
    bool is_cdrom;
    const char *saved;
};

static const struct good goods[] = {
    { "/dev/vg/lv,raw,xvda,rw", "/dev/vg/lv", "xvda", 51712, DISK_RAW, DISK_WRITE, false,
      "format=raw,vdev=xvda,access=rw,target=/dev/vg/lv" },
    { "disk.img,,xvdb", "/dir/disk.img", "xvdb", 51728, DISK_RAW, DISK_WRITE, false,
      "format=raw,vdev=xvdb,access=rw,target=/dir/disk.img" },
    { " /a , qcow2 , xvdc1 , ro ", "/a", "xvdc1", 51745, DISK_QCOW2, DISK_READ, false,
      "format=qcow2,vdev=xvdc1,access=ro,target=/a" },
    { "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/x/a,b=c.iso", "/x/a,b=c.iso", "hdc",
      5632, DISK_RAW, DISK_READ, true,
      "format=raw,vdev=hdc,access=ro,devtype=cdrom,target=/x/a,b=c.iso" },
    { "phy:/dev/sdb1,sda,w!", "/dev/sdb1", "sda", 2048, DISK_RAW, DISK_SHARED, false,
      "format=raw,vdev=sda,access=w!,target=/dev/sdb1" },
    { "phy:vg/lv,xvda,w", "/dev/vg/lv", "xvda", 51712, DISK_RAW, DISK_WRITE, false,
      "format=raw,vdev=xvda,access=rw,target=/dev/vg/lv" },
    { "file:/i.iso,hdb:cdrom,r", "/i.iso", "hdb", 832, DISK_RAW, DISK_READ, true,
      "format=raw,vdev=hdb,access=ro,devtype=cdrom,target=/i.iso" },
    { "tap:qcow2:/i,xvda,w", "/i", "xvda", 51712, DISK_QCOW2, DISK_WRITE, false,
      "format=qcow2,vdev=xvda,access=rw,target=/i" },
    { "vdev=xvda,/p,vhd,w", "/p", "xvda", 51712, DISK_VPC, DISK_WRITE, false,
      "format=vhd,vdev=xvda,access=rw,target=/p" },
    { "vdev=xvdq,no-discard,direct-io-safe,untrusted,target=/p", "/p", "xvdq",
      (1u << 28) | 16u << 8, DISK_RAW, DISK_WRITE, false,
      "format=raw,vdev=xvdq,access=rw,no-discard,direct-io-safe,untrusted,target=/p" },
    { "/c,raw,xvda,rw,cdrom", "/c", "xvda", 51712, DISK_RAW, DISK_READ, true,
      "format=raw,vdev=xvda,access=ro,devtype=cdrom,target=/c" },
    { "backend=0,backendtype=phy,vdev=51712,target=/c", "/c", "51712", 51712, DISK_RAW, DISK_WRITE,
      false, "format=raw,vdev=51712,access=rw,target=/c" },
    { "phy:vg/lv,xvda,w,backend=drv", "/dev/vg/lv", "xvda", 51712, DISK_RAW, DISK_WRITE, false,
      "format=raw,vdev=xvda,access=rw,backend=drv,target=/dev/vg/lv" },
};

/* Every form is understood, and what is saved of it is understood as the same. */
static void forms(void **state)
{
    char text[1024];
    char line[1024];
    size_t warnings;
    size_t i;
    unsigned int round;
    (void)state;

    for (i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        const struct good *g = &goods[i];
        char entry[512];

        snprintf(entry, sizeof(entry), "%s", g->entry);
        for (round = 0; round < 2; round++) {
            const struct disk *d;

            snprintf(text, sizeof(text), "disk = [ '%s' ]\n", entry);
            if (make(text, line, sizeof(line), &warnings) != 0) {
                fail_msg("%s: %s", entry, line);
            }
            assert_int_equal(warnings, 0);
            assert_int_equal(config.device_count, 1);
            d = config.devices[0]->own;
            assert_string_equal(d->path, g->path);
            assert_string_equal(d->vdev, g->vdev);
            assert_int_equal(config.devices[0]->id, g->number);
            assert_int_equal(d->format, g->format);
            assert_int_equal(d->access, g->access);
            assert_int_equal(d->is_cdrom, g->is_cdrom);
            assert_string_equal(config.devices[0]->text, g->saved);
            snprintf(entry, sizeof(entry), "%s", config.devices[0]->text);
        }
    }
}

static const struct {
    const char *vdev;
    unsigned int number; /* 0: none */
} numbers[] = {
    { "xvda", 202 << 8 },
    { "xvda15", (202 << 8) + 15 },
    { "xvdp", (202 << 8) + 240 },
    { "xvda16", (1 << 28) | 16 },
    { "xvdq", (1 << 28) | (16 << 8) },
    { "xvdz255", (1 << 28) | (25 << 8) | 255 },
    { "xvdaa", (1 << 28) | (26 << 8) },
    { "xvdba1", (1 << 28) | (52 << 8) | 1 },
    { "d0", 202 << 8 },
    { "d2p3", (202 << 8) + 35 },
    { "d17p1", (1 << 28) | (17 << 8) | 1 },
    { "sda", 8 << 8 },
    { "sdp15", (8 << 8) + 255 },
    { "sdq", 0 },
    { "sda16", 0 },
    { "hda", 3 << 8 },
    { "hdb1", (3 << 8) + 65 },
    { "hdc", 22 << 8 },
    { "hdd63", (22 << 8) + 64 + 63 },
    { "hde", 0 },
    { "hda64", 0 },
    { "51712", 51712 },
    { "0xca00", 51712 },
    { "0", 0 },
    { "", 0 },
    { "xvd", 0 },
    { "xvda0", 0 },
    { "xvda01", 0 },
    { "xvda256", 0 },
    { "xvdA", 0 },
    { "xvda1x", 0 },
    { "xvdzzzzzz", 0 },
    { "d", 0 },
    { "d1p", 0 },
    { "99999999999", 0 },
    { "vda", 0 },
};

static void device_numbers(void **state)
{
    unsigned int partition;
    unsigned int number;
    size_t i;
    (void)state;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int rc = disk_number(numbers[i].vdev, &number, &partition);

        if (rc != (numbers[i].number != 0 ? 0 : -EINVAL) ||
            (rc == 0 && number != numbers[i].number)) {
            fail_msg("%s: %d, %u", numbers[i].vdev, rc, number);
        }
    }
}

static const struct {
    const char *text;
    int code;
    const char *message;
} refusals[] = {
    { "disk = [ '' ]", -EINVAL, "config: t.cfg:3:11: the target is empty" },
    { "disk = [ '/a,raw,xvda', '/b,raw,xvdb,rw,what' ]", -EINVAL,
      "config: t.cfg:3:41: \"what\" is one word too many" },
    { "disk = [ '/a,raw,xvda',\n  '/b,rwa,xvdb' ]", -EINVAL,
      "config: t.cfg:4:7: unknown format \"rwa\": one of raw, qcow2" },
    { "disk = [ '/a,raw,xvda,rx' ]", -EINVAL, "config: t.cfg:3:23: unknown access \"rx\"" },
    { "disk = [ '/a,raw,nvme0' ]", -EINVAL,
      "config: t.cfg:3:18: \"nvme0\" is no virtual device such as xvda" },
    { "disk = [ 'vdev=xvda,tagret=/x' ]", -EINVAL,
      "config: t.cfg:3:21: unknown key \"tagret\" of a disk; keys of a disk: target" },
    { "disk = [ 'vdev=xvda' ]", -EINVAL, "config: t.cfg:3:11: a disk needs a target" },
    { "disk = [ '/a,raw' ]", -EINVAL, "config: t.cfg:3:11: a disk needs a virtual device" },
    { "disk = [ '/a,vdev=xvda,vdev=xvdb' ]", -EINVAL,
      "config: t.cfg:3:24: the virtual device is given twice" },
    { "disk = [ '/a,raw,xvda,script=x' ]", -EINVAL, "config: t.cfg:3:23: block scripts are not" },
    { "disk = [ 'a,raw,xvda,backend=drv' ]", -EINVAL,
      "config: t.cfg:3:11: the target must begin with / where backend= names another domain" },
    { "disk = [ '/a,raw,xvda,backend=' ]", -EINVAL,
      "config: t.cfg:3:31: backend=\"\" is no name or id of a domain" },
    { "disk = [ '/a,raw,xvda,backend=b,backend=c' ]", -EINVAL,
      "config: t.cfg:3:33: the backend is given twice" },
    { "disk = [ '/a,raw,xvda,backend=b', '/a,raw,xvdb,backend=b' ]", -EBUSY,
      "config: t.cfg:3:36: /a is the guest's xvda too" },
    { "disk = [ '/a,raw,xvda,devtype=tape' ]", -EINVAL, "config: t.cfg:3:31: unknown devtype" },
    { "disk = [ '/a,raw,xvda,specification=virtio' ]", -EINVAL, "config: t.cfg:3:37: only" },
    { "disk = [ '/a,raw,xvda', '/b,raw,51712' ]", -EEXIST,
      "config: t.cfg:3:26: the guest already has a disk with this name or number (51712)" },
    { "disk = [ '/a,raw,xvda', '/a,raw,xvdb' ]", -EBUSY, "config: t.cfg:3:26: /a is the guest's" },
    { "disk = [ ['x'] ]", -EINVAL, "config: t.cfg:3:11: disk: entry 1 is no text" },
    { "disk = '/a,raw,xvdx!'", -EINVAL, "config: t.cfg:3:16: \"xvdx!\" is no virtual device" },
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
            fail_msg("%s\n  gave %d: %s", refusals[i].text, rc, line);
        }
    }
}

static void limits(void **state)
{
    char text[8192] = "disk = [ ";
    char line[1024];
    size_t used = strlen(text);
    unsigned int i;
    (void)state;

    for (i = 0; i < 65; i++) {
        used += (size_t)sprintf(text + used, "'/f%u,raw,d%u',", i, i);
    }
    sprintf(text + used, "]");
    assert_int_equal(make(text, line, sizeof(line), NULL), -E2BIG);
    assert_non_null(strstr(line, "more than 64 devices"));
    *strstr(text, "'/f64") = ']';
    *(strchr(text, ']') + 1) = '\0';
    assert_int_equal(make(text, line, sizeof(line), NULL), 0);
    assert_int_equal(config.device_count, 64);
    memset(text, 'x', sizeof(text));
    memcpy(text, "disk=['/", 8);
    memcpy(text + 2100, ",raw,xvda']", 12);
    assert_int_equal(make(text, line, sizeof(line), NULL), -EINVAL);
    assert_non_null(strstr(line, "at most 2047 bytes"));
    memcpy(text + 1500, ",raw,xvda']", 12);
    assert_int_equal(make(text, line, sizeof(line), NULL), -EINVAL);
    assert_non_null(strstr(line, "longer than 1023 bytes"));
}

/* `+=`, a later list, the command line, and the warning for what is ignored. */
static void lists(void **state)
{
    char line[1024];
    size_t warnings;
    (void)state;

    assert_int_equal(make("disk=['/a,raw,xvda']\ndisk+=['/b,raw,xvdb']", line, sizeof(line), NULL),
                     0);
    assert_int_equal(config.device_count, 2);
    assert_int_equal(make("disk=['/a,raw,xvda']\ndisk+=['/b,bad,xvdb']", line, sizeof(line), NULL),
                     -EINVAL);
    assert_memory_equal(line, "config: t.cfg:4:12:", 19);
    assert_int_equal(make("disk=['/a,raw,xvda','/b,raw,xvdb']\ndisk=[]", line, sizeof(line), NULL),
                     0);
    assert_int_equal(config.device_count, 0);
    assert_int_equal(
        make("disk=['/a,qcow2,xvda,backendtype=qdisk']", line, sizeof(line), &warnings), 0);
    assert_int_equal(warnings, 1);
}

static const char *find(const struct store_node *list, size_t count, const char *path,
                        const char **perms)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(list[i].path, path) == 0 && list[i].value != NULL) {
            *perms = list[i].perms;
            return list[i].value;
        }
    }
    return NULL;
}

static void expect_node(const struct dev_nodes *n, const char *path, const char *value,
                        const char *perms)
{
    size_t count;
    const struct store_node *list = dev_nodes_list(n, &count);
    const char *found_perms = NULL;
    const char *found = find(list, count, path, &found_perms);

    if (found == NULL || strcmp(found, value) != 0 || (perms != NULL) != (found_perms != NULL) ||
        (perms != NULL && strcmp(perms, found_perms) != 0)) {
        fail_msg("%s is %s", path, found != NULL ? found : "missing");
    }
}

static void nodes(void **state)
{
    const struct dev_env env = { 7, 0, "uuid", "web" };
    struct dev_nodes *n = dev_nodes_new();
    char line[1024];
    (void)state;

    assert_int_equal(make("disk=['/a,raw,xvda,w','/c,raw,hdc:cdrom,r']", line, sizeof(line), NULL),
                     0);
    dev_nodes_add(n, &env, config.devices[0]);
    dev_nodes_add(n, &env, config.devices[1]);
    expect_node(n, "/local/domain/7/device/vbd/51712", "", "n7,r0");
    expect_node(n, "/local/domain/0/backend/vbd/7/51712", "", "n0,r7");
    expect_node(n, "/libxl/7/device/vbd/51712", "", "n0");
    expect_node(n, "/local/domain/7/device/vbd/51712/backend",
                "/local/domain/0/backend/vbd/7/51712", NULL);
    expect_node(n, "/local/domain/7/device/vbd/51712/backend-id", "0", NULL);
    expect_node(n, "/local/domain/7/device/vbd/51712/virtual-device", "51712", NULL);
    expect_node(n, "/local/domain/7/device/vbd/51712/device-type", "disk", NULL);
    expect_node(n, "/local/domain/7/device/vbd/51712/state", "1", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/51712/frontend",
                "/local/domain/7/device/vbd/51712", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/51712/frontend-id", "7", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/51712/mode", "w", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/51712/online", "1", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/51712/params", "/a", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/51712/discard-enable", "1", NULL);
    expect_node(n, "/libxl/7/device/vbd/51712/params", "/a", NULL);
    expect_node(n, "/libxl/7/device/vbd/51712/guest", "web", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/5632/mode", "r", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/5632/device-type", "cdrom", NULL);
    expect_node(n, "/local/domain/0/backend/vbd/7/5632/discard-enable", "0", NULL);
    dev_nodes_free(n);
}

static const struct store_node *find_node(struct dev_nodes *n, const char *path)
{
    size_t count;
    const struct store_node *list = dev_nodes_list(n, &count);
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(list[i].path, path) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

/* A back end in another domain: its directory and rights, the entry for the daemon there; and the
   note that this one keeps, no more than it reads again. */
static void elsewhere(void **state)
{
    const struct dev_env env = { 7, 3, "uuid", "web" };
    const struct dev_env there = { 7, 3, "backend-7", "web" };
    struct dev_nodes *n = dev_nodes_new();
    char line[1024];
    size_t count;
    (void)state;

    assert_int_equal(make("disk=['/a,raw,xvda,w,backend=drv']", line, sizeof(line), NULL), 0);
    assert_string_equal(config.devices[0]->backend, "drv");
    dev_nodes_add(n, &env, config.devices[0]);
    expect_node(n, "/local/domain/7/device/vbd/51712", "", "n7,r3");
    expect_node(n, "/local/domain/3/backend/vbd/7/51712", "", "n3,r7");
    expect_node(n, "/libxl/7/device/vbd/51712", "", "n0");
    expect_node(n, "/libxl/7/device/vbd/51712/backend-id", "3", NULL);
    expect_node(n, "/local/domain/7/device/vbd/51712/backend-id", "3", NULL);
    expect_node(n, "/local/domain/3/backend/vbd/7/51712/domain", "web", NULL);
    expect_node(n, "/local/domain/3/backend/vbd/7/51712/entry",
                "format=raw,vdev=xvda,access=rw,backend=drv,target=/a", NULL);
    assert_null(find_node(n, "/local/domain/0/backend/vbd/7/51712"));
    dev_nodes_free(n);

    dev_set_private_root("data/joist");
    n = dev_nodes_new();
    dev_nodes_note(n, &there, config.devices[0]);
    dev_nodes_list(n, &count);
    expect_node(n, "data/joist/7/device/vbd/51712/dev", "xvda", NULL);
    expect_node(n, "data/joist/7/device/vbd/51712/mode", "w", NULL);
    expect_node(n, "data/joist/7/device/vbd/51712/guest", "web", NULL);
    expect_node(n, "data/joist/7/device/vbd/51712/identity", "", NULL);
    assert_int_equal(count, 5); /* and the block device */
    dev_nodes_free(n);
    dev_set_private_root("/libxl");
}

/* Names by which people mean a device, and taking one off a configuration that is shared. */
static void by_name(void **state)
{
    struct config copy;
    struct fail f = { 0 };
    char line[1024];
    (void)state;

    assert_int_equal(make("disk=['/a,raw,xvda','/b,raw,xvdb1']", line, sizeof(line), NULL), 0);
    assert_ptr_equal(dev_by_name(&config, &disk_class, "51712", &f), config.devices[0]);
    assert_ptr_equal(dev_by_name(&config, &disk_class, "xvdb1", &f), config.devices[1]);
    assert_ptr_equal(dev_by_name(&config, &disk_class, "d0", &f), config.devices[0]);
    assert_null(dev_by_name(&config, &disk_class, "xvdb", &f));
    assert_int_equal(f.code, -ENODEV);
    assert_non_null(strstr(f.cause, "it has no disk \"xvdb\", but 51712, 51729"));
    config_copy(&copy, &config);
    dev_forget(&copy, copy.devices[0]);
    assert_int_equal(copy.device_count, 1);
    assert_int_equal(config.device_count, 2);
    assert_string_equal(config.devices[0]->text, "format=raw,vdev=xvda,access=rw,target=/a");
    config_drop(&copy);
    config_drop(&config);
}

static bool keeps_five(unsigned int id, const void *arg)
{
    (void)arg;
    return id == 5;
}

/* By its tag a loop device or an export belongs to one disk of one guest, and to no other. */
static void tags(void **state)
{
    const struct blk_keep keep = { keeps_five, NULL };
    char tag[DISK_TAG_SIZE];
    (void)state;

    disk_tag(tag, "01234567-89ab-cdef-0123-456789abcdef", UINT32_MAX);
    assert_string_equal(tag, "joist:01234567-89ab-cdef-0123-456789abcdef:4294967295");
    assert_true(tag_fits("joist:u:5", "joist:u:5", NULL));
    assert_false(tag_fits("joist:u:51", "joist:u:5", NULL));
    assert_false(tag_fits("joist:u:5", "joist:u:51", NULL));
    assert_true(tag_fits("joist:u:51", "joist:u:", NULL));
    assert_false(tag_fits("joist:v:51", "joist:u:", NULL));
    assert_false(tag_fits("/some/file", "joist:u:", NULL));
    assert_false(tag_fits("", "joist:u:", NULL));
    assert_false(tag_fits("joist:u:5", "", NULL));
    assert_false(tag_fits("joist:u:5", "joist:u:", &keep));
    assert_true(tag_fits("joist:u:55", "joist:u:", &keep));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),     cmocka_unit_test(device_numbers), cmocka_unit_test(refused),
        cmocka_unit_test(limits),    cmocka_unit_test(lists),          cmocka_unit_test(nodes),
        cmocka_unit_test(elsewhere), cmocka_unit_test(by_name),        cmocka_unit_test(tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
