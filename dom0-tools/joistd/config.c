/* SPDX-License-Identifier: MIT */
/* Guest configuration: one table of all keys of xl.cfg, and what each means for a PV guest. */
#include "joistd/config.h"

#include "joistd/bootcfg.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct maker {
    struct config *c;
    const char *cwd;
    json_t *warnings;
    struct fail *f;
    const struct xlcfg_setting *s; /* the setting being read */
};

/* Reports a bad value of the setting being read. */
static int bad(struct maker *m, const char *cause)
{
    char position[160];
    const char *text = json_string_value(m->s->value);

    xlcfg_position(m->s, position, sizeof(position));
    if (text != NULL) {
        return fail_set(m->f, -EINVAL, "config", position, "%s = \"%.64s\": %s", m->s->key, text,
                        cause);
    }
    return fail_set(m->f, -EINVAL, "config", position, "%s: %s", m->s->key, cause);
}

static void warn(struct maker *m, const char *text)
{
    char position[160];

    xlcfg_position(m->s, position, sizeof(position));
    json_array_append_new(m->warnings, json_sprintf("%s: %s: %s", position, m->s->key, text));
}

/* The setting's text, or NULL after reporting that it is a list. */
static const char *atom(struct maker *m)
{
    if (!json_is_string(m->s->value)) {
        bad(m, "a list where one value is expected");
        return NULL;
    }
    return json_string_value(m->s->value);
}

static int read_number(struct maker *m, uint64_t low, uint64_t high, uint64_t *out)
{
    const char *text = atom(m);
    char cause[96];
    char *end;
    unsigned long long n;

    if (text == NULL) {
        return m->f->code;
    }
    errno = 0;
    n = strtoull(text, &end, 0);
    if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0 || n < low || n > high) {
        snprintf(cause, sizeof(cause), "not a number from %llu to %llu", (unsigned long long)low,
                 (unsigned long long)high);
        return bad(m, cause);
    }
    *out = n;
    return 0;
}

static int read_uint(struct maker *m, unsigned int low, unsigned int high, unsigned int *out)
{
    uint64_t n = 0;
    int rc = read_number(m, low, high, &n);

    *out = (unsigned int)n;
    return rc;
}

static int read_text(struct maker *m, char *out, size_t size)
{
    const char *text = atom(m);

    if (text == NULL) {
        return m->f->code;
    }
    if (json_string_length(m->s->value) >= size) {
        char cause[64];

        snprintf(cause, sizeof(cause), "longer than %zu bytes", size - 1);
        return bad(m, cause);
    }
    if (strlen(text) != json_string_length(m->s->value)) {
        return bad(m, "contains a zero byte");
    }
    memcpy(out, text, json_string_length(m->s->value) + 1);
    return 0;
}

static int read_path(struct maker *m, char *out)
{
    char path[CONFIG_PATH_MAX + 1];
    size_t dir;
    int rc = read_text(m, path, sizeof(path));

    if (rc != 0) {
        return rc;
    }
    if (path[0] == '/' || path[0] == '\0') {
        memcpy(out, path, sizeof(path));
        return 0;
    }
    dir = strlen(m->cwd);
    if (dir + 1 + strlen(path) > CONFIG_PATH_MAX) {
        return bad(m, "the file name with its directory is too long");
    }
    memcpy(out, m->cwd, dir);
    out[dir] = '/';
    memcpy(out + dir + 1, path, strlen(path) + 1);
    return 0;
}

int config_check_name(const char *name, struct fail *f)
{
    size_t n = strlen(name);
    const char *p;

    if (n == 0 || n > CONFIG_NAME_MAX) {
        return fail_set(f, -EINVAL, "config", "name", "a name has 1 to %d bytes, this one has %zu",
                        CONFIG_NAME_MAX, n);
    }
    for (p = name; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("._-+:@", *p) == NULL) {
            return fail_set(f, -EINVAL, "config", "name",
                            "\"%s\": only letters, digits and . _ - + : @ are allowed", name);
        }
    }
    if (name[0] == '-' || name[0] == '.') {
        return fail_set(f, -EINVAL, "config", "name", "\"%s\" starts with '%c'", name, name[0]);
    }
    if (strspn(name, "0123456789") == n) {
        return fail_set(f, -EINVAL, "config", "name", "\"%s\" could be taken for a domain id",
                        name);
    }
    return 0;
}

static int key_name(struct maker *m)
{
    struct fail why = { 0 };
    int rc = read_text(m, m->c->name, sizeof(m->c->name));

    if (rc == 0 && config_check_name(m->c->name, &why) != 0) {
        rc = bad(m, why.cause);
    }
    return rc;
}

static int key_uuid(struct maker *m)
{
    const char *text = atom(m);

    if (text == NULL) {
        return m->f->code;
    }
    if (uuid_parse(m->c->uuid, text) != 0) {
        return bad(m, "not of the form 01234567-89ab-cdef-0123-456789abcdef");
    }
    return 0;
}

/* Memory sizes are whole MiB, as in xl.cfg; 16 TiB is what a PV guest can have. */
static int read_memory(struct maker *m, uint64_t *kib)
{
    uint64_t mib = 0;
    int rc = read_number(m, 1, 16u << 20, &mib);

    *kib = mib * 1024;
    return rc;
}

static int key_memory(struct maker *m)
{
    return read_memory(m, &m->c->memory_kib);
}

static int key_maxmem(struct maker *m)
{
    return read_memory(m, &m->c->maxmem_kib);
}

static int key_vcpus(struct maker *m)
{
    return read_uint(m, 1, CONFIG_VCPUS_MAX, &m->c->vcpus);
}

static int key_maxvcpus(struct maker *m)
{
    return read_uint(m, 1, CONFIG_VCPUS_MAX, &m->c->max_vcpus);
}

static int key_kernel(struct maker *m)
{
    return read_path(m, m->c->kernel);
}

static int key_ramdisk(struct maker *m)
{
    return read_path(m, m->c->ramdisk);
}

static int key_cmdline(struct maker *m)
{
    return read_text(m, m->c->cmdline, sizeof(m->c->cmdline));
}

/* `root` and `extra` together make the command line when `cmdline` is not given: see finish(). */
static int key_cmdline_part(struct maker *m)
{
    char part[CONFIG_CMDLINE_MAX + 1];

    return read_text(m, part, sizeof(part));
}

static const char *const action_names[ACTION_COUNT] = {
    [ACTION_DESTROY] = "destroy",
    [ACTION_RESTART] = "restart",
    [ACTION_RENAME_RESTART] = "rename-restart",
    [ACTION_PRESERVE] = "preserve",
};

const char *config_action_name(enum end_action a)
{
    return a < ACTION_COUNT ? action_names[a] : "?";
}

static int read_action(struct maker *m, enum end_action *out)
{
    const char *text = atom(m);
    unsigned int i;

    if (text == NULL) {
        return m->f->code;
    }
    for (i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(text, action_names[i]) == 0) {
            *out = (enum end_action)i;
            return 0;
        }
    }
    return bad(m, "not one of destroy, restart, rename-restart, preserve");
}

static int key_on_poweroff(struct maker *m)
{
    return read_action(m, &m->c->on_poweroff);
}

static int key_on_reboot(struct maker *m)
{
    return read_action(m, &m->c->on_reboot);
}

static int key_on_crash(struct maker *m)
{
    return read_action(m, &m->c->on_crash);
}

static int key_on_watchdog(struct maker *m)
{
    return read_action(m, &m->c->on_watchdog);
}

static int key_type(struct maker *m)
{
    const char *text = atom(m);

    if (text == NULL) {
        return m->f->code;
    }
    if (strcmp(text, "pv") != 0) {
        return bad(m, "only \"pv\" guests exist on this hypervisor");
    }
    return 0;
}

static int key_builder(struct maker *m)
{
    const char *text = atom(m);

    if (text == NULL) {
        return m->f->code;
    }
    if (strcmp(text, "generic") != 0 && strcmp(text, "linux") != 0) {
        return bad(m, "only \"generic\" (a PV guest) exists on this hypervisor");
    }
    return 0;
}

static int key_cpus(struct maker *m)
{
    struct config *c = m->c;
    const char *text = json_string_value(m->s->value);
    json_t *item;
    size_t i;

    if (text != NULL) {
        c->affinity_count = 1;
        return cpuset_parse(&c->affinity[0], text) == 0
                   ? 0
                   : bad(m, "not a list of CPUs such as \"all\" or \"0-3,^2,5\"");
    }
    if (json_array_size(m->s->value) > CONFIG_VCPUS_MAX) {
        return bad(m, "more entries than a guest can have vCPUs");
    }
    c->affinity_count = 0;
    json_array_foreach(m->s->value, i, item)
    {
        text = json_string_value(item);
        if (text == NULL || cpuset_parse(&c->affinity[i], text) != 0) {
            return bad(m, "an entry is no list of CPUs such as \"2\" or \"0-3,^2\"");
        }
        c->affinity_count++;
    }
    return 0;
}

static int key_weight(struct maker *m)
{
    return read_uint(m, 1, 65535, &m->c->weight);
}

static int key_cap(struct maker *m)
{
    unsigned int cap = 0;
    int rc = read_uint(m, 0, 65535, &cap);

    m->c->cap = (int)cap;
    return rc;
}

static int key_tsc_mode(struct maker *m)
{
    static const char *const names[] = { "default", "always_emulate", "native" };
    const char *text = atom(m);
    unsigned int i;

    if (text == NULL) {
        return m->f->code;
    }
    for (i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0 || (text[0] == (char)('0' + i) && text[1] == '\0')) {
            m->c->tsc_mode = (enum tsc_mode)i;
            return 0;
        }
    }
    return bad(m, "not one of default, always_emulate, native");
}

static int key_grant_frames(struct maker *m)
{
    return read_uint(m, 4, 1024, &m->c->max_grant_frames);
}

static int key_maptrack(struct maker *m)
{
    return read_uint(m, 0, 65536, &m->c->max_maptrack_frames);
}

/* The hypervisor takes no more than it has room for, as Xen does; files for xl say 4096 and more.
 */
static int key_event_channels(struct maker *m)
{
    return read_uint(m, 8, INT32_MAX, &m->c->max_event_channels);
}

static int key_grant_version(struct maker *m)
{
    unsigned int version;

    return read_uint(m, 1, 1, &version);
}

/* Nothing to say about the guest, or nothing that this version acts on: told, not refused. */
static int key_ignored(struct maker *m)
{
    warn(m, "ignored, it has no meaning here");
    return 0;
}

/* Devices and features that come later: an empty list asks for nothing and is fine. */
static int key_later(struct maker *m)
{
    if (json_is_array(m->s->value) && json_array_size(m->s->value) == 0) {
        return 0;
    }
    bad(m, "not supported by this version");
    return fail_remedy(m->f, "remove the key, or leave its list empty");
}

/* A list of devices: the class that reads it is found by the key. */
static int key_devices(struct maker *m)
{
    const struct dev_class *class = dev_class_of(m->s->key);

    return class == NULL ? key_later(m)
                         : dev_read_list(m->c, class, m->s, m->cwd, m->warnings, m->f);
}

/* Read when all settings are known: see finish(). */
static int key_boot(struct maker *m)
{
    (void)m;
    return 0;
}

static int key_hvm(struct maker *m)
{
    bad(m, "is for HVM guests, and only PV guests exist on this hypervisor");
    return fail_remedy(m->f, "remove the key");
}

static const struct {
    const char *name;
    int (*read)(struct maker *m);
} keys[] = {
    { "name", key_name },
    { "uuid", key_uuid },
    { "type", key_type },
    { "builder", key_builder },
    { "memory", key_memory },
    { "maxmem", key_maxmem },
    { "vcpus", key_vcpus },
    { "maxvcpus", key_maxvcpus },
    { "kernel", key_kernel },
    { "ramdisk", key_ramdisk },
    { "cmdline", key_cmdline },
    { "extra", key_cmdline_part },
    { "root", key_cmdline_part },
    { "on_poweroff", key_on_poweroff },
    { "on_reboot", key_on_reboot },
    { "on_crash", key_on_crash },
    { "on_watchdog", key_on_watchdog },
    { "on_soft_reset", key_ignored },
    { "cpus", key_cpus },
    { "cpu_weight", key_weight },
    { "cap", key_cap },
    { "tsc_mode", key_tsc_mode },
    { "max_grant_frames", key_grant_frames },
    { "max_maptrack_frames", key_maptrack },
    { "max_event_channels", key_event_channels },
    { "max_grant_version", key_grant_version },
    { "nomigrate", key_ignored },
    { "loader", key_ignored },
    { "localtime", key_ignored },
    { "rtc_timeoffset", key_ignored },
    { "pool", key_ignored },
    { "vncviewer", key_ignored },
    { "xend_suspend_evtchn_compat", key_ignored },
    { "device_model_args_pv", key_ignored },
    { "device_model_version", key_ignored },
    { "device_model_override", key_ignored },
    { "disk", key_devices },
    { "vif", key_devices },
    { "vfb", key_devices },
    { "vkb", key_devices },
    { "channel", key_devices },
    { "pci", key_later },
    { "vtpm", key_later },
    { "p9", key_later },
    { "usbctrl", key_later },
    { "usbdev", key_later },
    { "vdispl", key_later },
    { "vsnd", key_later },
    { "pvcalls", key_later },
    { "virtio", key_later },
    { "vnuma", key_later },
    { "ioports", key_later },
    { "iomem", key_later },
    { "irqs", key_later },
    { "e820_host", key_later },
    { "cpus_soft", key_later },
    { "cpuid", key_later },
    { "bootloader", key_boot },
    { "bootloader_args", key_boot },
    { "firmware", key_boot },
    { "seclabel", key_later },
    { "init_seclabel", key_later },
    { "driver_domain", key_later },
    { "xenstore_quota", key_later },
    { "boot", key_hvm },
    { "hap", key_hvm },
    { "acpi", key_hvm },
    { "apic", key_hvm },
    { "pae", key_hvm },
    { "nx", key_hvm },
    { "bios", key_hvm },
    { "bios_path_override", key_hvm },
    { "nestedhvm", key_hvm },
    { "altp2m", key_hvm },
    { "altp2mhvm", key_hvm },
    { "viridian", key_hvm },
    { "hpet", key_hvm },
    { "timer_mode", key_hvm },
    { "vpt_align", key_hvm },
    { "shadow_memory", key_hvm },
    { "mmio_hole", key_hvm },
    { "xen_platform_pci", key_hvm },
    { "spice", key_hvm },
    { "sdl", key_hvm },
    { "vnc", key_hvm },
    { "vnclisten", key_hvm },
    { "vncdisplay", key_hvm },
    { "vncpasswd", key_hvm },
    { "vga", key_hvm },
    { "stdvga", key_hvm },
    { "videoram", key_hvm },
    { "opengl", key_hvm },
    { "usb", key_hvm },
    { "usbdevice", key_hvm },
    { "soundhw", key_hvm },
    { "serial", key_hvm },
    { "gfx_passthru", key_hvm },
    { "hdtype", key_hvm },
    { "rdm", key_hvm },
    { "ms_vm_genid", key_hvm },
    { "smbios_firmware", key_hvm },
    { "acpi_firmware", key_hvm },
    { "system_firmware", key_hvm },
    { "device_model_args", key_hvm },
    { "device_model_args_hvm", key_hvm },
    { "device_model_stubdomain_override", key_hvm },
    { "pvh", key_hvm },
    { "pvshim", key_hvm },
    { "vm_event", key_hvm },
};

static int read_setting(struct maker *m)
{
    char position[160];
    size_t i;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(m->s->key, keys[i].name) == 0) {
            return keys[i].read(m);
        }
    }
    xlcfg_position(m->s, position, sizeof(position));
    fail_set(m->f, -EINVAL, "config", position, "unknown key \"%.64s\"", m->s->key);
    return fail_remedy(m->f, "correct its spelling or remove it; man 5 joist.cfg lists the keys");
}

static int missing(struct maker *m, const char *key, const struct xlcfg *settings)
{
    const char *where = settings->count > 0 ? settings->settings[0].where : "configuration";

    fail_set(m->f, -ENOENT, "config", where, "the key \"%s\" is missing", key);
    return fail_remedy(m->f, "add a line %s = ...", key);
}

/* Builds the command line from `root` and `extra` the way xl does. */
static int join_cmdline(struct maker *m, const struct xlcfg *settings)
{
    const struct xlcfg_setting *root = xlcfg_find(settings, "root");
    const struct xlcfg_setting *extra = xlcfg_find(settings, "extra");
    int n;

    if (root == NULL && extra == NULL) {
        return 0;
    }
    if (xlcfg_find(settings, "cmdline") != NULL) {
        m->s = root != NULL ? root : extra;
        warn(m, "ignored, because cmdline is given");
        return 0;
    }
    n = snprintf(m->c->cmdline, sizeof(m->c->cmdline), "%s%s%s%s", root != NULL ? "root=" : "",
                 root != NULL ? json_string_value(root->value) : "",
                 root != NULL && extra != NULL ? " " : "",
                 extra != NULL ? json_string_value(extra->value) : "");
    if (n < 0 || (size_t)n >= sizeof(m->c->cmdline)) {
        m->s = extra != NULL ? extra : root;
        return bad(m, "the command line is longer than 1023 bytes");
    }
    return 0;
}

/* What only all settings together can tell. */
static int finish(struct maker *m, const struct xlcfg *settings)
{
    struct config *c = m->c;
    int rc;

    if (c->name[0] == '\0') {
        return missing(m, "name", settings);
    }
    rc = bootcfg_read(c, settings, m->f);
    if (rc != 0) {
        return rc;
    }
    if (c->kernel[0] == '\0' && !c->is_extracted) {
        return missing(m, "kernel", settings);
    }
    rc = join_cmdline(m, settings);
    if (rc != 0) {
        return rc;
    }
    if (c->maxmem_kib == 0) {
        c->maxmem_kib = c->memory_kib;
    }
    if (c->memory_kib > c->maxmem_kib) {
        m->s = xlcfg_find(settings, "maxmem");
        return bad(m, "less than memory");
    }
    if (c->max_vcpus == 0) {
        c->max_vcpus = c->vcpus;
    }
    if (c->vcpus > c->max_vcpus) {
        m->s = xlcfg_find(settings, "maxvcpus");
        return bad(m, "less than vcpus");
    }
    if (xlcfg_find(settings, "uuid") == NULL && uuid_generate(c->uuid) != 0) {
        return fail_set(m->f, -EIO, "config", "uuid", "the kernel gives no random bytes");
    }
    uuid_format(c->uuid, c->uuid_text);
    return dev_finish(c, m->f);
}

void config_copy(struct config *to, const struct config *from)
{
    unsigned int i;

    *to = *from;
    for (i = 0; i < to->device_count; i++) {
        to->devices[i]->refs++;
    }
}

void config_drop(struct config *c)
{
    while (c->device_count > 0) {
        dev_unref(c->devices[--c->device_count]);
    }
}

int config_make(struct config *c, const struct xlcfg *settings, const char *cwd, json_t *warnings,
                struct fail *f)
{
    struct maker m = { .c = c, .cwd = cwd, .warnings = warnings, .f = f };
    size_t i;
    int rc;

    *c = (struct config){
        .memory_kib = 128 * 1024,
        .vcpus = 1,
        .on_poweroff = ACTION_DESTROY,
        .on_reboot = ACTION_RESTART,
        .on_crash = ACTION_DESTROY,
        .on_watchdog = ACTION_DESTROY,
        .cap = -1,
        .max_grant_frames = 64,
        .max_maptrack_frames = 1024,
        .max_event_channels = 1023,
    };
    for (i = 0; i < settings->count; i++) {
        m.s = &settings->settings[i];
        rc = read_setting(&m);
        if (rc != 0) {
            return rc;
        }
        if (xlcfg_find(settings, m.s->key) != m.s && strcmp(m.s->where, "command line") != 0 &&
            strcmp(xlcfg_find(settings, m.s->key)->where, m.s->where) == 0 && m.s->line != 0) {
            warn(&m, "given more than once, the last one counts");
        }
    }
    return finish(&m, settings);
}

bool cpuset_has(const struct cpuset *s, unsigned int cpu)
{
    return cpu < CONFIG_CPUS_MAX && ((s->word[cpu / 64] >> (cpu % 64)) & 1) != 0;
}

static void cpuset_put(struct cpuset *s, unsigned int cpu, bool in)
{
    uint64_t bit = 1ULL << (cpu % 64);

    if (in) {
        s->word[cpu / 64] |= bit;
    } else {
        s->word[cpu / 64] &= ~bit;
    }
}

/* Reads a CPU number at *p and steps over it; -1 for none or one too large. */
static long cpu_number(const char **p)
{
    char *end;
    long n;

    if (!isdigit((unsigned char)**p)) {
        return -1;
    }
    n = strtol(*p, &end, 10);
    *p = end;
    return n < CONFIG_CPUS_MAX ? n : -1;
}

int cpuset_parse(struct cpuset *s, const char *text)
{
    const char *p = text;
    bool in;
    long from;
    long to;

    memset(s, strcmp(text, "all") == 0 ? 0xff : 0, sizeof(*s));
    if (strcmp(text, "all") == 0) {
        return 0;
    }
    for (;;) {
        in = *p != '^';
        p += in ? 0 : 1;
        from = cpu_number(&p);
        to = from;
        if (*p == '-') {
            p++;
            to = cpu_number(&p);
        }
        if (from < 0 || to < from) {
            return -EINVAL;
        }
        for (; from <= to; from++) {
            cpuset_put(s, (unsigned int)from, in);
        }
        if (*p == '\0') {
            break;
        }
        if (*p++ != ',') {
            return -EINVAL;
        }
    }
    return (s->word[0] | s->word[1] | s->word[2] | s->word[3]) != 0 ? 0 : -EINVAL;
}

void uuid_format(const uint8_t uuid[16], char *text)
{
    unsigned int i;

    for (i = 0; i < 16; i++) {
        text += sprintf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    }
}

int uuid_parse(uint8_t uuid[16], const char *text)
{
    unsigned int i;
    unsigned int byte;

    if (strlen(text) != 36) {
        return -EINVAL;
    }
    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (*text++ != '-') {
                return -EINVAL;
            }
        }
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1])) {
            return -EINVAL;
        }
        sscanf(text, "%2x", &byte);
        uuid[i] = (uint8_t)byte;
        text += 2;
    }
    return 0;
}

int uuid_generate(uint8_t uuid[16])
{
    if (getrandom(uuid, 16, 0) != 16) {
        return -EIO;
    }
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}
