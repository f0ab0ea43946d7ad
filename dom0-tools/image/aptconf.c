/* SPDX-License-Identifier: MIT */
/* Sources of packages, from a mirror's address or from this machine's apt. */
#include "image/aptconf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_MAX   256
#define SOURCES_MAX 8192

struct lines {
    const char *suite;
    char text[SOURCES_MAX];
    size_t used;
};

int aptconf_check_mirror(const char *mirror, struct fail *f)
{
    static const char *const schemes[] = { "http://", "https://", "ftp://", "file:/", "copy:/" };
    size_t i;

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t n = strlen(schemes[i]);

        if (strncmp(mirror, schemes[i], n) == 0 && mirror[n] != '\0' &&
            strlen(mirror) < FIELD_MAX && mirror[strcspn(mirror, " \t\n\"'[]")] == '\0') {
            return 0;
        }
    }
    fail_set(f, -EINVAL, "image", mirror, "is no address of a mirror");
    return fail_remedy(f, "write http://HOST/debian, https://HOST/debian or file:/DIRECTORY");
}

int aptconf_line(const char *text, const char *suite, char *out, unsigned int size)
{
    char uri[FIELD_MAX];
    char release[FIELD_MAX];
    char component[FIELD_MAX];
    char origin[FIELD_MAX];
    size_t n = strlen(suite);

    if (sscanf(text, "%255[^|]|%255[^|]|%255[^|]|%255[^|\n]", uri, release, component, origin) !=
            4 ||
        strcmp(origin, "Debian") != 0 || strncmp(release, suite, n) != 0 ||
        (release[n] != '\0' && strcmp(release + n, "-updates") != 0 &&
         strcmp(release + n, "-security") != 0) ||
        strpbrk(uri, " []") != NULL || strpbrk(component, " []") != NULL) {
        return -ENOENT;
    }
    snprintf(out, size, "deb %s %s %s\n", uri, release, component);
    return 0;
}

static void take_source(void *arg, const char *text)
{
    struct lines *l = arg;
    char line[4 * FIELD_MAX];

    if (aptconf_line(text, l->suite, line, sizeof(line)) == 0 && strstr(l->text, line) == NULL &&
        l->used + strlen(line) < sizeof(l->text)) {
        l->used += (size_t)snprintf(l->text + l->used, sizeof(l->text) - l->used, "%s", line);
    }
}

/* Settings about how to reach archives, not about which: proxies and their certificates. */
static void take_option(void *arg, const char *text)
{
    struct lines *l = arg;

    if (strncmp(text, "Acquire::", 9) == 0 && strstr(text, "\"\"") == NULL &&
        (strstr(text, "::Proxy") != NULL || strstr(text, "::CaInfo") != NULL ||
         strstr(text, "::CAInfo") != NULL) &&
        l->used + strlen(text) + 1 < sizeof(l->text)) {
        l->used += (size_t)snprintf(l->text + l->used, sizeof(l->text) - l->used, "%s\n", text);
    }
}

int aptconf_write(const struct work *w, const char *suite, const char *mirror, struct fail *f)
{
    char *targets[] = { (char *)"apt-get",
                        (char *)"indextargets",
                        (char *)"--format",
                        (char *)"$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)",
                        (char *)"Created-By: Packages",
                        NULL };
    char *dump[] = { (char *)"apt-config", (char *)"dump", NULL };
    struct lines l = { .suite = suite };
    int rc;

    if (work_run(dump, take_option, &l, NULL) == -EINTR) {
        return work_check_stopped(f);
    }
    rc = work_write(w->dir, "aptopts", l.text, 0644, f);
    if (rc != 0) {
        return rc;
    }
    l = (struct lines){ .suite = suite };
    if (mirror != NULL) {
        snprintf(l.text, sizeof(l.text), "deb %s %s main\n", mirror, suite);
    } else if (work_run(targets, take_source, &l, NULL) == -EINTR) {
        return work_check_stopped(f);
    }
    if (l.text[0] == '\0') {
        fail_set(f, -ENOENT, "image", suite, "this machine's apt knows no Debian archive of it");
        return fail_remedy(f, "name one with --mirror, or run apt-get update");
    }
    return work_write(w->dir, "sources.list", l.text, 0644, f);
}
