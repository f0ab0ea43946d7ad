/* SPDX-License-Identifier: MIT */
/* joist image snapshot: an overlay that takes the writes while the image below it stays as it is.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

/*
 * The format of the lower image by its name's ending, never by its content: the content is what a
 * guest has written, and could claim to be a format that names other files.
 */
static const char *format_of(const char *path)
{
    static const struct {
        const char *ending;
        const char *format;
    } known[] = {
        { ".qcow2", "qcow2" }, { ".qcow", "qcow" }, { ".vhd", "vpc" }, { ".vhdx", "vhdx" },
        { ".vmdk", "vmdk" },   { ".qed", "qed" },   { ".vdi", "vdi" },
    };
    size_t size = strlen(path);
    size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t n = strlen(known[i].ending);

        if (size > n && strcasecmp(path + size - n, known[i].ending) == 0) {
            return known[i].format;
        }
    }
    return "raw";
}

static int failed(const char *object, const char *cause)
{
    fprintf(stderr, "joist: snapshot: %s: %s\n", object, cause);
    return EXIT_FAILED;
}

static int make_overlay(const char *base, const char *overlay)
{
    const char *argv[] = { "qemu-img", "create",        "-q", "-f",    "qcow2", "-b", base,
                           "-F",       format_of(base), "--", overlay, NULL };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return failed(overlay, strerror(errno));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        return failed(overlay, "qemu-img is not installed; install qemu-utils");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        unlink(overlay); /* it did not exist before */
        return failed(overlay, "qemu-img could not make it");
    }
    return EXIT_DONE;
}

int cmd_image_snapshot(struct cli *c, const struct parsed *p)
{
    char base[PATH_MAX];
    struct stat st;
    int rc;

    if (p->count != 3 || strcmp(p->words[0], "snapshot") != 0) {
        fprintf(stderr, "joist: image: usage: joist image snapshot IMAGE OVERLAY\n");
        return EXIT_USAGE;
    }
    if (realpath(p->words[1], base) == NULL) {
        return failed(p->words[1], strerror(errno));
    }
    if (lstat(p->words[2], &st) == 0) {
        return failed(p->words[2], "it exists; choose another name, or remove it");
    }
    rc = make_overlay(base, p->words[2]);
    if (rc == EXIT_DONE && c->is_json) {
        json_t *v = json_pack("{s:b, s:{s:s, s:s, s:s}}", "ok", 1, "result", "path", p->words[2],
                              "base", base, "base_format", format_of(base));
        char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;

        puts(text != NULL ? text : "{\"ok\":true}");
        free(text);
        json_decref(v);
    }
    return rc;
}
