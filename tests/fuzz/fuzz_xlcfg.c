/* SPDX-License-Identifier: MIT */
/* Fuzzer of guest configurations: text to settings, to a checked configuration, to JSON and back.
 */
#include <stdlib.h>
#include <string.h>

#include "joistd/config.h"
#include "tests/fuzz/drive.h"

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const char *const seeds[] = {
        "name = \"web\"; type='pv'\nmemory = 256\nkernel = \"/k\"\nextra = \"a \\\"b\\\" \\x41\"\n",
        "name='a'\nkernel='k'\ncpus = [ \"0-3,^2\",\n # x\n '1', ]\ndisk=[]\nvcpus=2 # c\n",
        "a=[[1,2],['x',[\"y\"]]]\nb+=\"c\"\nb += "
        "'d'\nuuid=\"01234567-89ab-cdef-0123-456789abcdef\"",
        "name='x';kernel='/k';disk=['/a,raw,xvda,w', 'vdev=hdc,target=/x,y'];vif=['ip=10.0.0.1']",
        "name='x';kernel='/k';vif=['mac=00:16:3e:00:00:01,rate=10Mb/s@20ms,mtu=9000,vifname=a', "
        "'script=vif-nat,ip=10.0.0.2/24 fd00::2,gatewaydev=e', "
        "'devid=7,bridge=b,backend=d,trusted=0']",
        "name=\"x\nkernel=0x10 ; on_crash=\"preserve\"; cap=-5; tsc_mode='native'\\\nroot=''",
    };
    size_t n;

    if (index >= sizeof(seeds) / sizeof(seeds[0])) {
        return 0;
    }
    n = strlen(seeds[index]);
    memcpy(data, seeds[index], n < size ? n : size);
    return n < size ? n : size;
}

static bool has_same_devices(const struct config *a, const struct config *b)
{
    unsigned int i;

    if (a->device_count != b->device_count) {
        return false;
    }
    for (i = 0; i < a->device_count; i++) {
        if (a->devices[i]->class != b->devices[i]->class ||
            a->devices[i]->id != b->devices[i]->id ||
            strcmp(a->devices[i]->text, b->devices[i]->text) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_same(const struct config *a, const struct config *b)
{
    return has_same_devices(a, b) && strcmp(a->name, b->name) == 0 &&
           memcmp(a->uuid, b->uuid, 16) == 0 && a->memory_kib == b->memory_kib &&
           a->maxmem_kib == b->maxmem_kib && a->vcpus == b->vcpus && a->max_vcpus == b->max_vcpus &&
           strcmp(a->kernel, b->kernel) == 0 && strcmp(a->ramdisk, b->ramdisk) == 0 &&
           strcmp(a->cmdline, b->cmdline) == 0 && a->on_poweroff == b->on_poweroff &&
           a->on_reboot == b->on_reboot && a->on_crash == b->on_crash &&
           a->on_watchdog == b->on_watchdog && a->affinity_count == b->affinity_count &&
           memcmp(a->affinity, b->affinity, a->affinity_count * sizeof(a->affinity[0])) == 0 &&
           a->weight == b->weight && a->cap == b->cap && a->tsc_mode == b->tsc_mode &&
           a->max_grant_frames == b->max_grant_frames &&
           a->max_maptrack_frames == b->max_maptrack_frames &&
           a->max_event_channels == b->max_event_channels;
}

/* What was taken once must be taken again from what is kept of it, with the same meaning. */
static void again(const struct config *first, const struct xlcfg *settings)
{
    struct xlcfg copy = { 0 };
    struct fail f = { 0 };
    static struct config second;
    json_t *warnings = json_array();
    json_t *kept = xlcfg_to_json(settings);

    json_object_set_new(kept, "uuid", json_string(first->uuid_text));
    if (xlcfg_from_json(&copy, "kept", kept, &f) != 0 ||
        config_make(&second, &copy, "/dir", warnings, &f) != 0 || !is_same(first, &second)) {
        abort();
    }
    config_drop(&second);
    xlcfg_free(&copy);
    json_decref(kept);
    json_decref(warnings);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct xlcfg settings = { 0 };
    struct fail f = { 0 };
    static struct config c;
    char line[1024];
    json_t *warnings = json_array();

    if (xlcfg_parse(&settings, "fuzz", (const char *)data, size, &f) == 0 &&
        config_make(&c, &settings, "/dir", warnings, &f) == 0) {
        again(&c, &settings);
    } else if (f.code >= 0 || f.cause[0] == '\0') {
        abort(); /* refused without a word */
    }
    fail_text(&f, line, sizeof(line));
    if (strpbrk(line, "\n\r") != NULL) {
        abort();
    }
    config_drop(&c);
    xlcfg_free(&settings);
    json_decref(warnings);
    return 0;
}
