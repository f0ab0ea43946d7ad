/* SPDX-License-Identifier: MIT */
/* Access lists of nodes. */

#include "stored/perm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int perm_parse(const char *text, struct perm *out)
{
    static const char letters[] = "nrwb"; /* in the order of the bits */
    const char *letter = text[0] ? strchr(letters, text[0]) : NULL;
    unsigned int domid = 0;
    size_t i = 1;

    if (!letter || !text[1]) {
        return -EINVAL;
    }
    for (; text[i]; i++) {
        if (text[i] < '0' || text[i] > '9' || i > 5) {
            return -EINVAL;
        }
        domid = domid * 10 + (unsigned int)(text[i] - '0');
    }
    if (domid > UINT16_MAX) {
        return -EINVAL;
    }
    out->domid = (uint16_t)domid;
    out->bits = (uint8_t)(letter - letters);
    return 0;
}

void perm_format(struct buf *out, const struct perms *perms)
{
    for (size_t i = 0; i < perms->count; i++) {
        const struct perm *p = &perms->list[i];
        buf_printf(out, "%c%u", "nrwb"[p->bits & (PERM_READ | PERM_WRITE)], p -> domid);
        buf_add(out, "", 1);
    }
}

static bool is_one_of(uint16_t domid, const struct who *who)
{
    return domid == who->domid || domid == who->target;
}

unsigned int perm_rights(const struct who *who, const struct perms *perms)
{
    if (who->is_privileged || is_one_of(perms->list[0].domid, who)) {
        return PERM_READ | PERM_WRITE | PERM_OWNER;
    }
    for (size_t i = 1; i < perms->count; i++) {
        const struct perm *p = &perms->list[i];
        if (is_one_of(p->domid, who) && !(p->bits & PERM_IGNORED)) {
            return p->bits & (PERM_READ | PERM_WRITE);
        }
    }
    return perms->list[0].bits & (PERM_READ | PERM_WRITE);
}

struct perms perms_copy(const struct perms *from)
{
    return (struct perms){ .list = xmemdup(from->list, from->count * sizeof(*from->list)),
                           .count = from->count };
}

void perms_free(struct perms *p)
{
    free(p->list);
    *p = (struct perms){ 0 };
}

bool perms_equal(const struct perms *a, const struct perms *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->list[i].domid != b->list[i].domid || a->list[i].bits != b->list[i].bits) {
            return false;
        }
    }
    return true;
}
