/* SPDX-License-Identifier: MIT */
/*
 * Rules of Xen's EFI configuration file. Facts: Xen's documentation of EFI boot (docs/misc/efi).
 * Sections in brackets hold key=value lines; [global] has default= (the section to boot if the
 * command line names none) and chain= (another file to look in). With no section named at all,
 * section headers count for nothing and the first occurrence of a key wins.
 */

#include "arch/efi/cfg.h"

#include "lib/str.h"

#define SUFFIX ".cfg"

static const char *const known_keys[] = { "default", "chain", "kernel", "ramdisk", "options" };

/* Take the EFI command line apart; the program's own name has been removed. */
void cfg_args_parse(struct slice text, struct cfg_args *out)
{
    struct kv word;

    *out = (struct cfg_args){ .config.len = 0 };
    while (kv_word(&text, &word)) {
        struct slice whole = { .at = word.key.at, .len = word.key.len };

        if (word.has_value) {
            whole.len += 1 + word.value.len;
        }
        if (slice_eq(whole, "--")) {
            out->options = text;
            return;
        }
        if (slice_eq(word.key, "-cfg") && word.has_value) {
            out->config = word.value;
        } else if (whole.at[0] == '-') {
            out->unknown = whole;
        } else if (out->section.len == 0) {
            out->section = whole;
        } else {
            out->unknown = whole;
        }
    }
}

/* Put SUFFIX at the last `.`, `-` or `_` of the name before position `end`; false if there is none
 * or no room. */
static bool shorten(char *name, size_t size, size_t end)
{
    size_t cut = end;

    while (cut > 0) {
        cut--;
        if (name[cut] == '\\' || name[cut] == '/') {
            return false;
        }
        if (name[cut] == '.' || name[cut] == '-' || name[cut] == '_') {
            if (cut == 0 || cut + sizeof(SUFFIX) > size) {
                return false;
            }
            memcpy(name + cut, SUFFIX, sizeof(SUFFIX));
            return true;
        }
    }
    return false;
}

/* The first configuration file's name to try for a program called `own`: its suffix replaced. False
 * if there is none. */
bool cfg_name_first(const char *own, char *name, size_t size)
{
    size_t n = str_copy(name, size, own);

    return n < size && shorten(name, size, n);
}

/* The next one: `a-1.2.cfg`, `a-1.cfg`, `a.cfg`. False when the name can shrink no more. */
bool cfg_name_next(char *name, size_t size)
{
    size_t n = strlen(name);

    return n > sizeof(SUFFIX) - 1 && shorten(name, size, n - (sizeof(SUFFIX) - 1));
}

/*
 * Find `key` in a section of a configuration file; a section of length 0 means anywhere. The first
 * occurrence wins. False if it is not there.
 */
bool cfg_get(struct slice file, struct slice section, const char *key, struct slice *out)
{
    bool inside = section.len == 0;
    unsigned int line = 0;
    struct kv kv;

    for (;;) {
        switch (kv_next_line(&file, &line, &kv)) {
        case KV_END:
            return false;
        case KV_SECTION:
            inside = section.len == 0 ||
                     (section.len == kv.key.len && memcmp(section.at, kv.key.at, section.len) == 0);
            break;
        case KV_PAIR:
            if (inside && slice_eq(kv.key, key)) {
                *out = kv.value;
                return true;
            }
            break;
        case KV_BAD:
            break;
        }
    }
}

/* True if the file has such a section. */
bool cfg_has_section(struct slice file, struct slice section)
{
    unsigned int line = 0;
    struct kv kv;
    enum kv_line kind;

    while ((kind = kv_next_line(&file, &line, &kv)) != KV_END) {
        if (kind == KV_SECTION && section.len == kv.key.len &&
            memcmp(section.at, kv.key.at, section.len) == 0) {
            return true;
        }
    }
    return false;
}

/* Go through a file for what is worth a warning: malformed lines and unknown keys. *rest and *line
 * keep the place. */
bool cfg_problem_next(struct slice *rest, unsigned int *line, struct cfg_problem *out)
{
    struct kv kv;
    enum kv_line kind;

    while ((kind = kv_next_line(rest, line, &kv)) != KV_END) {
        bool known = kind == KV_SECTION;

        for (size_t i = 0; kind == KV_PAIR && i < sizeof(known_keys) / sizeof(known_keys[0]); i++) {
            known = known || slice_eq(kv.key, known_keys[i]);
        }
        if (!known) {
            *out =
                (struct cfg_problem){ .line = *line, .bad_line = kind == KV_BAD, .text = kv.key };
            return true;
        }
    }
    return false;
}
