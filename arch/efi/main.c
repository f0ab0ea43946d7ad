/* SPDX-License-Identifier: MIT */
/* joist.efi: read the configuration beside this program, load kernel and ramdisk, leave the
 * firmware, enter the hypervisor. */

#include "arch/efi/loader.h"

#include "arch/efi/cfg.h"
#include "arch/efi/dom0mem.h"
#include "lib/elf.h"
#include "lib/pvplan.h"
#include "lib/str.h"
#include "version.h"

#define CHAIN_MAX    8
#define ARGS_SIZE    1024
#define WARNINGS_MAX 16
#define MIB          (UINT64_C(1) << 20)

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system_table);

EFI_SYSTEM_TABLE *efi_st;
EFI_BOOT_SERVICES *efi_bs;

static EFI_GUID loaded_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;

/* What the configuration file asks for. */
struct wishes {
    char kernel[NAME_MAX_LEN];
    char ramdisk[NAME_MAX_LEN]; /* empty = none */
};

/* The EFI command line as bytes, without the program's own name in front (a shell puts it there).
 */
static void read_args(const struct loader *l, char *args, size_t size, struct cfg_args *out)
{
    const CHAR16 *text = l->loaded->LoadOptions;
    size_t n = l->loaded->LoadOptionsSize / sizeof(CHAR16);
    size_t used = 0;
    struct slice rest;
    struct slice after;
    struct kv word;

    for (size_t i = 0; text != NULL && i < n && text[i] != 0 && used + 1 < size; i++) {
        args[used++] = text[i] < 128 ? (char)text[i] : '?';
    }
    args[used] = '\0';
    rest = (struct slice){ .at = args, .len = used };
    after = rest;
    if (kv_word(&after, &word) && word.key.len > 4 && !word.has_value) {
        const char *end = word.key.at + word.key.len - 4;

        if (end[0] == '.' && (end[1] | 0x20) == 'e' && (end[2] | 0x20) == 'f' &&
            (end[3] | 0x20) == 'i') {
            rest = after;
        }
    }
    cfg_args_parse(rest, out);
}

static bool slice_copy(char *to, size_t size, struct slice from, const char *what)
{
    if (from.len >= size) {
        return fail("%s is longer than %u characters", what, (unsigned int)size - 1);
    }
    memcpy(to, from.at, from.len);
    to[from.len] = '\0';
    return true;
}

/* Find the configuration file by the rules for its name, and read it. */
static bool read_config(struct loader *l, const struct cfg_args *args, const char *own_name,
                        char *name, size_t size)
{
    bool found;

    if (args->config.len > 0) {
        return slice_copy(name, size, args->config, "the configuration file's name") &&
               file_read(l, name, "configuration file", &l->config);
    }
    for (found = cfg_name_first(own_name, name, size); found; found = cfg_name_next(name, size)) {
        if (file_exists(l, name)) {
            return file_read(l, name, "configuration file", &l->config);
        }
    }
    return fail("no configuration file: %s and shorter names are not in the program's directory",
                cfg_name_first(own_name, name, size) ? name : "joist.cfg");
}

static struct slice config_text(const struct loader *l)
{
    return (struct slice){ .at = (const char *)l->config.data, .len = l->config.size };
}

static void warn_problems(const struct loader *l, const char *name)
{
    struct slice rest = config_text(l);
    struct cfg_problem p;
    unsigned int line = 0;

    for (unsigned int i = 0; i < WARNINGS_MAX && cfg_problem_next(&rest, &line, &p); i++) {
        warn("%s line %u: %s: %.*s", name, p.line,
             p.bad_line ? "neither [section] nor key=value" : "unknown key",
             (int)(p.text.len < 80 ? p.text.len : 80), p.text.at);
    }
}

/* Follow chain= until a file has the section's kernel. *section may point into `args` or into
 * `kept`. */
static bool find_section(struct loader *l, const struct cfg_args *args, char *name, size_t size,
                         struct slice *section)
{
    static char kept[NAME_MAX_LEN];
    static const struct slice global = { .at = "global", .len = 6 };
    struct slice value;

    *section = args->section;
    if (section->len == 0 && cfg_get(config_text(l), global, "default", &value)) {
        if (!slice_copy(kept, sizeof(kept), value, "default=")) {
            return false;
        }
        *section = slice_of(kept);
    }
    for (unsigned int i = 0; i < CHAIN_MAX; i++) {
        warn_problems(l, name);
        if (cfg_get(config_text(l), *section, "kernel", &value) && value.len > 0) {
            return true;
        }
        if (!cfg_get(config_text(l), global, "chain", &value)) {
            if (section->len > 0 && !cfg_has_section(config_text(l), *section)) {
                return fail("%s: no section [%.*s]", name, (int)section->len, section->at);
            }
            return fail("%s: no kernel= in section [%.*s]", name, (int)section->len, section->at);
        }
        if (!slice_copy(name, size, value, "chain=")) {
            return false;
        }
        pages_free(&l->config);
        if (!file_read(l, name, "chained configuration file", &l->config)) {
            return false;
        }
    }
    return fail("more than %u configuration files in a chain", CHAIN_MAX);
}

/* Split `file words...` into the name and the rest. */
static void split_first(struct slice text, struct slice *first, struct slice *rest)
{
    size_t n = 0;

    while (n < text.len && text.at[n] != ' ' && text.at[n] != '\t') {
        n++;
    }
    *first = (struct slice){ .at = text.at, .len = n };
    while (n < text.len && (text.at[n] == ' ' || text.at[n] == '\t')) {
        n++;
    }
    *rest = (struct slice){ .at = text.at + n, .len = text.len - n };
}

static bool read_section(const struct loader *l, const struct cfg_args *args, struct slice section,
                         struct wishes *w)
{
    struct boot_info *bi = l->bi;
    struct slice value = { .at = "", .len = 0 };
    struct slice first;
    struct slice rest;
    size_t used;

    (void)cfg_get(config_text(l), section, "kernel", &value);
    split_first(value, &first, &rest);
    if (!slice_copy(w->kernel, sizeof(w->kernel), first, "kernel=") ||
        !slice_copy(bi->kernel_cmdline, sizeof(bi->kernel_cmdline), rest,
                    "the kernel's command line")) {
        return false;
    }
    w->ramdisk[0] = '\0';
    if (cfg_get(config_text(l), section, "ramdisk", &value)) {
        split_first(value, &first, &rest);
        if (!slice_copy(w->ramdisk, sizeof(w->ramdisk), first, "ramdisk=")) {
            return false;
        }
    }
    value = (struct slice){ .at = "", .len = 0 };
    (void)cfg_get(config_text(l), section, "options", &value);
    if (!slice_copy(bi->options, sizeof(bi->options), value, "options=")) {
        return false;
    }
    used = value.len;
    if (args->options.len == 0) {
        return true;
    }
    if (used + 1 + args->options.len >= sizeof(bi->options)) {
        return fail(
            "options= and the command line's options are longer than %u characters together",
            (unsigned int)sizeof(bi->options) - 1);
    }
    bi->options[used++] = ' ';
    memcpy(bi->options + used, args->options.at, args->options.len);
    bi->options[used + args->options.len] = '\0';
    return true;
}

/* Everything that can be known to go wrong in the hypervisor for lack of memory, said while there
 * is a firmware to say it. */
static bool check_memory(struct loader *l, const struct wishes *w, const struct image_info *info)
{
    struct pv_plan plan;
    struct pv_plan_input in = { .image = info, .ramdisk_size = l->ramdisk.size, .control = true };
    uint64_t usable;
    uint64_t wanted;
    int rc;

    if (!machine_memory(l, &usable)) {
        return false;
    }
    rc = dom0mem_check(slice_of(l->bi->options), usable, &wanted);
    if (rc == DOM0MEM_ERR_SYNTAX) {
        return fail("dom0_mem= is not understood (for example 1024M,max:2048M)");
    }
    if (rc == DOM0MEM_ERR_MORE) {
        return fail("dom0_mem=%lluM is more than the machine has (%llu MiB)",
                    (unsigned long long)(wanted / MIB), (unsigned long long)(usable / MIB));
    }
    in.pages = (wanted > 0 ? wanted : usable) / PAGE_SIZE;
    rc = pvplan_make(&in, &plan);
    if (rc == PVPLAN_ERR_MEMORY) {
        return fail("kernel %s%s%s needs %llu MiB, domain 0 gets %llu MiB", w->kernel,
                    w->ramdisk[0] != '\0' ? " with ramdisk " : "", w->ramdisk,
                    (unsigned long long)((plan.pages_needed * PAGE_SIZE + MIB - 1) / MIB),
                    (unsigned long long)(in.pages * PAGE_SIZE / MIB));
    }
    return rc == PVPLAN_ERR_NONE || fail("kernel %s: %s", w->kernel, pvplan_strerror(rc));
}

static bool load_modules(struct loader *l, const struct wishes *w)
{
    struct blob file;
    struct image_info info;
    int rc;

    if (!file_read(l, w->kernel, "kernel", &file)) {
        return false;
    }
    if (!unpack_kernel(w->kernel, &file, &l->kernel)) {
        pages_free(&file);
        return false;
    }
    rc = elf_parse(l->kernel.data, l->kernel.size, &info);
    if (rc != ELF_ERR_NONE) {
        return fail("kernel %s: %s", w->kernel, elf_strerror(rc));
    }
    if (w->ramdisk[0] != '\0' && !file_read(l, w->ramdisk, "ramdisk", &l->ramdisk)) {
        return false;
    }
    return check_memory(l, w, &info);
}

static bool boot(struct loader *l)
{
    char own_name[NAME_MAX_LEN];
    char config_name[NAME_MAX_LEN];
    static char text[ARGS_SIZE];
    struct cfg_args args;
    struct slice section;
    struct wishes wishes;

    if (!dir_open(l, own_name, sizeof(own_name))) {
        return false;
    }
    read_args(l, text, sizeof(text), &args);
    if (args.unknown.len > 0) {
        warn("unknown argument %.*s", (int)args.unknown.len, args.unknown.at);
    }
    if (!read_config(l, &args, own_name, config_name, sizeof(config_name)) ||
        !find_section(l, &args, config_name, sizeof(config_name), &section) ||
        !read_section(l, &args, section, &wishes) || !load_modules(l, &wishes)) {
        return false;
    }
    pages_free(&l->config);
    machine_collect(l);
    if (!handover_prepare(l)) {
        return false;
    }
    l->bi->kernel =
        (struct boot_module){ .start = (uint64_t)l->kernel.data, .size = l->kernel.size };
    l->bi->ramdisk =
        (struct boot_module){ .start = (uint64_t)l->ramdisk.data, .size = l->ramdisk.size };
    return machine_leave(l);
}

/* Entered by GNU-EFI's start code after relocation. Returns to the firmware only with an error. */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system_table)
{
    static struct boot_info info;
    static struct loader l;
    uint64_t began = cpu_ticks();

    efi_st = system_table;
    efi_bs = system_table->BootServices;
    if (efi_bs->HandleProtocol(image, &loaded_guid, (void **)&l.loaded) != EFI_SUCCESS) {
        fail("the firmware does not say where this program came from");
        return EFI_LOAD_ERROR;
    }
    efi_bs->SetWatchdogTimer(0, 0, 0, NULL);
    l.image = image;
    l.bi = &info;
    info.magic = BOOT_INFO_MAGIC;
    info.size = sizeof(info);
    info.time_entry = began;
    str_copy(info.loader_name, sizeof(info.loader_name), "joist.efi " JOIST_VERSION);
    say("version %s", JOIST_VERSION);
    if (boot(&l)) {
        handover_enter(&l);
    }
    pages_free(&l.config);
    pages_free(&l.kernel);
    pages_free(&l.ramdisk);
    pages_free(&l.hypervisor);
    pages_free(&l.boot);
    return EFI_LOAD_ERROR;
}
