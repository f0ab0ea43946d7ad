/* SPDX-License-Identifier: MIT */
/* Names of nodes. */

#include "stored/path.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '/' || c == '_' || c == '@';
}

bool path_is_special(const char *name)
{
    return name[0] == '@';
}

size_t path_domain_prefix(const char *name)
{
    static const char top[] = "/local/domain/";
    size_t i = sizeof(top) - 1;

    if (strncmp(name, top, i) != 0 || !isdigit((unsigned char)name[i])) {
        return 0;
    }
    while (isdigit((unsigned char)name[i])) {
        i++;
    }
    return name[i] == '/' ? i + 1 : 0;
}

static bool is_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > PATH_ABS_MAX || len - path_domain_prefix(name) > PATH_ABS_MAX) {
        return false;
    }
    if (path_domain_prefix(name) && len - path_domain_prefix(name) > PATH_REL_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_name_char(name[i])) {
            return false;
        }
    }
    if (name[0] != '/') {
        return false;
    }
    return len == 1 || (name[len - 1] != '/' && !strstr(name, "//"));
}

/* The special names are the two events, the release event also for one domain: "/<domid>". */
static bool is_valid_special(const char *name)
{
    static const char *const names[] = { PATH_INTRODUCE, PATH_RELEASE };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        if (strncmp(name, names[i], len) != 0) {
            continue;
        }
        if (name[len] == '\0') {
            return true;
        }
        const char *digits = name + len + 1;
        size_t count = strspn(digits, "0123456789");
        return name[len] == '/' && count > 0 && count <= 5 && digits[count] == '\0';
    }
    return false;
}

int path_absolute(struct path *out, const char *name, uint16_t base)
{
    int n;

    if (path_is_special(name)) {
        if (!is_valid_special(name)) {
            return -EINVAL;
        }
        n = snprintf(out->name, sizeof(out->name), "%s", name);
        return n > 0 && n < (int)sizeof(out->name) ? 0 : -EINVAL;
    }
    if (name[0] == '/' || base == PATH_NO_BASE) {
        n = snprintf(out->name, sizeof(out->name), "%s", name);
    } else {
        n = snprintf(out->name, sizeof(out->name), "/local/domain/%u/%s", base, name);
    }
    return n > 0 && n < (int)sizeof(out->name) && is_valid(out->name) ? 0 : -EINVAL;
}

void path_parent(struct path *out, const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t len = slash && slash != name ? (size_t)(slash - name) : 1;

    memcpy(out->name, len == 1 ? "/" : name, len);
    out->name[len] = '\0';
}

bool path_is_below(const char *name, const char *top)
{
    size_t len = strlen(top);

    if (len == 1 && top[0] == '/') {
        return name[0] == '/';
    }
    return strncmp(name, top, len) == 0 && (name[len] == '\0' || name[len] == '/');
}

unsigned int path_depth(const char *name)
{
    unsigned int depth = 0;

    if (strcmp(name, "/") == 0) {
        return 0;
    }
    for (; *name; name++) {
        depth += *name == '/';
    }
    return depth;
}
