/* SPDX-License-Identifier: MIT */
/* joist image: disk images, made without the daemon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/fail.h"
#include "common/program.h"
#include "image/debian.h"
#include "image/ramdisk.h"
#include "image/work.h"

#define SIZE_DEFAULT (UINT64_C(2) << 30)

int say_fail(const struct fail *f)
{
    char line[1024];

    fail_text(f, line, sizeof(line));
    fprintf(stderr, "joist: %s\n", line);
    return EXIT_FAILED;
}

/* The value of a size option, or `otherwise`. */
int size_option(const struct parsed *p, char letter, uint64_t least, uint64_t otherwise,
                uint64_t *out)
{
    const char *text = p->value[(int)letter];
    unsigned long long bytes = otherwise;

    if (text != NULL && work_parse_size(text, least, &bytes) != 0) {
        fprintf(stderr, "joist: size \"%s\": write MiB or a number with M, G or T, from %lluM on\n",
                text, (unsigned long long)(least >> 20));
        return EXIT_USAGE;
    }
    *out = bytes;
    return 0;
}

static int build_debian(struct cli *c, const struct parsed *p)
{
    struct debian_spec s = {
        .path = p->words[2],
        .suite = p->value['S'] != NULL ? p->value['S'] : "bookworm",
        .mirror = p->value['m'],
        .packages = p->value['p'],
        .hostname = p->value['H'],
        .label = p->value['l'] != NULL ? p->value['l'] : "joist-root",
        .root_password = p->value['P'],
        .ssh_key = p->value['k'],
        .overlay = p->value['o'],
        .is_forced = p->flag['f'],
        .is_quiet = p->flag['q'] || c->is_json,
    };
    struct debian_result out;
    struct fail f = { 0 };
    int rc = size_option(p, 's', DEBIAN_SIZE_LEAST, SIZE_DEFAULT, &s.size);

    if (rc != 0) {
        return rc;
    }
    if (debian_build(&s, &out, &f) != 0) {
        say_fail(&f);
        return f.code == -EINTR ? EXIT_INTERRUPTED : EXIT_FAILED;
    }
    if (c->is_json) {
        json_t *v = json_pack("{s:b, s:{s:s, s:I, s:s, s:s*}}", "ok", 1, "result", "path", s.path,
                              "size", (json_int_t)s.size, "label", s.label, "root_password",
                              out.password[0] != '\0' ? out.password : NULL);
        char *text = json_dumps(v, JSON_COMPACT);

        puts(text != NULL ? text : "{}");
        free(text);
        json_decref(v);
        return EXIT_DONE;
    }
    if (!p->flag['q']) {
        printf("%s: Debian %s, %llu MiB, root file system \"%s\", %.0f s\n", s.path, s.suite,
               (unsigned long long)(s.size >> 20), s.label, out.seconds);
    }
    if (out.password[0] != '\0') {
        printf("password of root: %s\n", out.password);
    }
    return EXIT_DONE;
}

static int image_build(struct cli *c, const struct parsed *p)
{
    if (p->count != 3) {
        fprintf(stderr, "joist: image: usage: joist image build debian [OPTION...] FILE\n");
        return EXIT_USAGE;
    }
    if (strcmp(p->words[1], "debian") != 0) {
        fprintf(stderr, "joist: image: \"%s\" cannot be built; debian can\n", p->words[1]);
        return EXIT_USAGE;
    }
    return build_debian(c, p);
}

/* The ramdisk that `make install` puts beside a kernel for `joist run`. */
static int image_ramdisk(struct cli *c, const struct parsed *p)
{
    char version[RAMDISK_VERSION_MAX];
    char init[WORK_PATH_MAX];
    const char *kernel = p->value['K'];
    struct fail f = { 0 };
    int rc;

    (void)c;
    if (p->count != 2 || kernel == NULL) {
        fprintf(stderr, "joist: image: usage: joist image ramdisk --kernel=VMLINUZ FILE\n");
        return EXIT_USAGE;
    }
    rc = ramdisk_kernel_version(kernel, version);
    if (rc != 0) {
        fail_set(&f, rc, "kernel", kernel, "%s",
                 rc == -ENOEXEC ? "no bzImage that tells its version" : strerror(-rc));
    } else {
        program_find("joist-run-init", init, sizeof(init));
        ramdisk_make(version, p->value['M'] != NULL ? p->value['M'] : "/", init, p->words[1], &f);
    }
    return f.code == 0 ? EXIT_DONE : say_fail(&f);
}

int cmd_image(struct cli *c, const struct parsed *p)
{
    static const struct {
        const char *name;
        int (*run)(struct cli *c, const struct parsed *p);
    } works[] = {
        { "build", image_build },
        { "ramdisk", image_ramdisk },
        { "snapshot", cmd_image_snapshot },
    };
    size_t i;

    for (i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        if (strcmp(p->words[0], works[i].name) == 0) {
            return works[i].run(c, p);
        }
    }
    fprintf(stderr,
            "joist: image: there is no \"image %s\"; joist help image shows what there is\n",
            p->words[0]);
    return EXIT_USAGE;
}
