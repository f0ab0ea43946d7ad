/* SPDX-License-Identifier: MIT */
/* Any bytes as a command line, a configuration file, the loader's arguments and its memory option.
 */

#include <assert.h>
#include <string.h>

#include "arch/efi/cfg.h"
#include "arch/efi/dom0mem.h"
#include "lib/str.h"
#include "tests/fuzz/drive.h"

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const char *const texts[] = {
        "[global]\ndefault=x\nchain=y.cfg\n[x]\nkernel=vmlinuz a=b\nramdisk=i # no\n# "
        "c\noptions=console=com1 noreboot\n",
        "-cfg=a.cfg section -- loglvl=all dom0_mem=512M,max:1G \"q r\"=s",
        "dom0_mem=min:1G,max:2G,-5k a b== =c",
        "xen-4.17_a.efi",
    };

    if (index >= sizeof(texts) / sizeof(texts[0]) || size < 256) {
        return 0;
    }
    memcpy(data, texts[index], strlen(texts[index]));
    return strlen(texts[index]);
}

static void inside(struct slice s, const uint8_t *data, size_t size)
{
    assert(s.len == 0 || (s.at >= (const char *)data && s.at + s.len <= (const char *)data + size));
}

static void names(const uint8_t *data, size_t size)
{
    char own[64];
    char name[48];
    size_t n = size < sizeof(own) - 1 ? size : sizeof(own) - 1;
    size_t last = sizeof(name);
    bool ok;

    memcpy(own, data, n);
    own[n] = '\0';
    for (ok = cfg_name_first(own, name, sizeof(name)); ok; ok = cfg_name_next(name, sizeof(name))) {
        assert(strlen(name) < last);
        last = strlen(name);
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct slice all = { .at = (const char *)data, .len = size };
    struct slice rest = all;
    struct slice value;
    struct cfg_args args;
    struct cfg_problem problem;
    struct kv kv;
    unsigned int line = 0;
    uint64_t number;

    while (kv_word(&rest, &kv)) {
        inside(kv.key, data, size);
        inside(kv.value, data, size);
        str_size(kv.value.at, kv.value.len, &number);
        str_u64(kv.value.at, kv.value.len, 0, &number);
    }
    rest = all;
    while (kv_next_line(&rest, &line, &kv) != KV_END) {
        inside(kv.key, data, size);
        inside(kv.value, data, size);
        if (cfg_get(all, kv.key, "kernel", &value)) {
            inside(value, data, size);
        }
    }
    cfg_args_parse(all, &args);
    inside(args.config, data, size);
    inside(args.section, data, size);
    inside(args.options, data, size);
    inside(args.unknown, data, size);
    rest = all;
    line = 0;
    while (cfg_problem_next(&rest, &line, &problem)) {
        inside(problem.text, data, size);
    }
    dom0mem_check(all, 1u << 30, &number);
    names(data, size);
    return 0;
}
