/* SPDX-License-Identifier: MIT */
/* Hypervisor options, with Xen's names: one row each. */
#include "start/cmdline.h"

#include <stddef.h>

#include "base/console.h"
#include "base/log.h"
#include "base/panic.h"
#include "lib/mem.h"
#include "lib/str.h"

struct options options = {
    .console = "com1,vga",
    .com1 = "115200,8n1",
    .conswitch = 1,
    .loglvl = LOG_INFO,
    .guest_loglvl = LOG_WARN,
    .smep = true,
    .smap = true,
    .x2apic = true,
    .xpti = -1,
    .xpti_dom0 = -1,
};
char cmdline_raw[2048];

#define VALUE_MAX 128u

typedef bool parse_fn(const char *val, void *to);

static bool parse_u32(const char *val, void *to)
{
    uint64_t n;

    if (!str_u64(val, strlen(val), 0, &n) || n > UINT32_MAX) {
        return false;
    }
    *(uint32_t *)to = (uint32_t)n;
    return true;
}

/* -1 unless it is one of the words. */
static int word_bool(const char *val)
{
    static const char *const yes[] = { "", "1", "yes", "on", "true", "enable" };
    static const char *const no[] = { "0", "no", "off", "false", "disable" };

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (str_eq(val, yes[i])) {
            return 1;
        }
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (str_eq(val, no[i])) {
            return 0;
        }
    }
    return -1;
}

static bool parse_bool(const char *val, void *to)
{
    int b = word_bool(val);

    if (b >= 0) {
        *(bool *)to = b != 0;
    }
    return b >= 0;
}

/* One of xpti='s words, of `n` characters. */
static bool xpti_word(const char *s, size_t n, struct options *o)
{
    char word[16];
    bool dom0 = n > 5 && str_eq_n(s, 5, "dom0=");
    bool domu = n > 5 && str_eq_n(s, 5, "domu=");

    s += dom0 || domu ? 5 : 0;
    n -= dom0 || domu ? 5 : 0;
    if (n >= sizeof word) {
        return false;
    }
    memcpy(word, s, n);
    word[n] = 0;
    int b = word_bool(word);
    if (b < 0 && !str_eq(word, "default")) {
        return false;
    }
    if (!domu) {
        o->xpti_dom0 = b;
    }
    if (!dom0) {
        o->xpti = b;
    }
    return true;
}

/* xpti=default | <bool> | dom0=<bool> | domu=<bool>, a list. */
static bool parse_xpti(const char *val, void *to)
{
    struct options set = *(struct options *)to;
    const char *end;

    for (;; val = end + 1) {
        for (end = val; *end != 0 && *end != ','; end++) {
        }
        if (!xpti_word(val, (size_t)(end - val), &set)) {
            return false;
        }
        if (*end == 0) {
            *(struct options *)to = set;
            return true;
        }
    }
}

/* "N%" of 0 to 99. */
static bool parse_percent(const char *s, size_t n, uint32_t *out)
{
    uint64_t value;

    if (n == 0 || s[n - 1] != '%' || !str_u64(s, n - 1, 10, &value) || value >= 100) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

/* [-]<size>[+<n>%] or [-]<n>%, as Xen 4.17's documents describe dom0_mem. */
static bool parse_amount(const char *s, size_t n, struct mem_amount *out)
{
    struct mem_amount a = { .all_but = n > 0 && s[0] == '-' };
    size_t size = 0;

    s += a.all_but;
    n -= a.all_but;
    if (!parse_percent(s, n, &a.percent)) {
        while (size < n && s[size] != '+') {
            size++;
        }
        if (!str_size(s, size, &a.bytes) ||
            (size < n && !parse_percent(s + size + 1, n - size - 1, &a.percent))) {
            return false;
        }
    }
    *out = a;
    return true;
}

/* dom0_mem=[min:<amount>,][max:<amount>,][<amount>] */
static bool parse_dom0_mem(const char *val, void *to)
{
    struct options *o = to;
    struct mem_amount mem = o->dom0_mem;
    struct mem_amount min = o->dom0_mem_min;
    struct mem_amount max = o->dom0_mem_max;

    while (*val != '\0') {
        struct mem_amount *field = &mem;
        size_t n = 0;

        if (str_starts(val, "min:")) {
            field = &min;
            val += 4;
        } else if (str_starts(val, "max:")) {
            field = &max;
            val += 4;
        }
        while (val[n] != '\0' && val[n] != ',') {
            n++;
        }
        if (!parse_amount(val, n, field)) {
            return false;
        }
        val += n + (val[n] == ',');
    }
    o->dom0_mem = mem;
    o->dom0_mem_min = min;
    o->dom0_mem_max = max;
    return true;
}

uint64_t mem_amount_of(const struct mem_amount *a, uint64_t avail)
{
    uint64_t part = avail / 100 * a->percent + avail % 100 * a->percent / 100;
    uint64_t sum = a->bytes > UINT64_MAX - part ? UINT64_MAX : a->bytes + part;

    return !a->all_but ? sum : sum < avail ? avail - sum : 0;
}

static bool parse_text32(const char *val, void *to)
{
    return strlen(val) < sizeof options.console &&
           str_copy(to, sizeof options.console, val) < sizeof options.console;
}

static bool parse_text64(const char *val, void *to)
{
    return strlen(val) < sizeof options.com1 &&
           str_copy(to, sizeof options.com1, val) < sizeof options.com1;
}

/* conswitch=<character>[x] */
static bool parse_conswitch(const char *val, void *to)
{
    struct options *o = to;
    unsigned int c = (unsigned int)(unsigned char)val[0] | 32u;

    if (c < 'a' || c > 'z' || (val[1] != '\0' && (val[1] != 'x' || val[2] != '\0'))) {
        return false;
    }
    o->conswitch = c - 'a' + 1;
    o->conswitch_keep = val[1] == 'x';
    return true;
}

/* none, error, warning, info, debug, all; "a/b" names a rate-limited part too, of which the first
 * counts. */
static bool parse_level(const char *val, void *to)
{
    static const struct {
        const char *word;
        uint32_t level;
    } words[] = { { "none", LOG_ERR },  { "error", LOG_ERR },   { "warning", LOG_WARN },
                  { "info", LOG_INFO }, { "debug", LOG_DEBUG }, { "all", LOG_DEBUG } };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i].word);
        if (str_starts(val, words[i].word) && (val[n] == '\0' || val[n] == '/')) {
            *(uint32_t *)to = words[i].level;
            return true;
        }
    }
    return false;
}

struct option_row {
    const char *name;
    parse_fn *parse;
    void *to;
};

static const struct option_row rows[] = {
    { "console", parse_text32, options.console },
    { "com1", parse_text64, options.com1 },
    { "conswitch", parse_conswitch, &options },
    { "loglvl", parse_level, &options.loglvl },
    { "guest_loglvl", parse_level, &options.guest_loglvl },
    { "dom0_mem", parse_dom0_mem, &options },
    { "dom0_max_vcpus", parse_u32, &options.dom0_max_vcpus },
    { "dom0_vcpus_pin", parse_bool, &options.dom0_vcpus_pin },
    { "maxcpus", parse_u32, &options.maxcpus },
    { "noreboot", parse_bool, &options.noreboot },
    { "smep", parse_bool, &options.smep },
    { "smap", parse_bool, &options.smap },
    { "x2apic", parse_bool, &options.x2apic },
    { "xpti", parse_xpti, &options },
    { "spec-ctrl", parse_text64, options.spec_ctrl },
    { "sync_console", parse_bool, &options.sync_console },
};

static const struct option_row *find_row(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* One word of the command line: name, name=value or no-name. */
static void parse_word(const char *word, size_t len)
{
    char val[VALUE_MAX] = "";
    size_t name_len = 0;
    bool has_value;

    while (name_len < len && word[name_len] != '=') {
        name_len++;
    }
    has_value = name_len < len;
    const struct option_row *row = find_row(word, name_len);
    if (row == NULL && !has_value && len > 3 && memcmp(word, "no-", 3) == 0) {
        row = find_row(word + 3, len - 3);
        if (row != NULL && row->parse != parse_bool) {
            row = NULL;
        }
        memcpy(val, "no", sizeof "no");
    }
    if (row == NULL) {
        log_warn("unknown option '%.*s' ignored", (int)len, word);
        return;
    }
    size_t val_len = has_value ? len - name_len - 1 : 0;
    if (val_len >= sizeof val) {
        log_warn("option '%s': value too long", row->name);
        return;
    }
    if (has_value) {
        memcpy(val, word + name_len + 1, val_len);
        val[val_len] = '\0';
    }
    if (!row->parse(val, row->to)) {
        log_warn("option '%s': bad value '%s' ignored", row->name, val);
    }
}

void cmdline_parse(const char *text)
{
    (void)str_copy(cmdline_raw, sizeof cmdline_raw, text);
    while (*text != '\0') {
        size_t len = 0;
        while (*text == ' ' || *text == '\t') {
            text++;
        }
        while (text[len] != '\0' && text[len] != ' ' && text[len] != '\t') {
            len++;
        }
        if (len > 0) {
            parse_word(text, len);
        }
        text += len;
    }
    console_set_switch(options.conswitch, options.conswitch_keep);
    panic_halts = options.noreboot;
    log_set_levels((enum log_level)options.loglvl, (enum log_level)options.guest_loglvl);
}
