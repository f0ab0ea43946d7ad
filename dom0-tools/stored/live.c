/* SPDX-License-Identifier: MIT */
/* Changes of the live tree and their journal records. */

#include "stored/live.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

static void record_perms(struct server *s, const struct perms *perms)
{
    journal_u16(&s->journal, perms->count);
    for (size_t i = 0; i < perms->count; i++) {
        journal_u16(&s->journal, perms->list[i].domid);
        journal_u8(&s->journal, perms->list[i].bits);
    }
}

/* A list read from a record; an empty one when that is malformed. */
static struct perms apply_perms(struct record *r)
{
    struct perms perms = { .count = record_u16(r) };

    perms.list = xalloc(perms.count * sizeof(struct perm));
    for (size_t i = 0; i < perms.count; i++) {
        perms.list[i].domid = record_u16(r);
        perms.list[i].bits = record_u8(r);
    }
    if (r->is_bad || perms.count == 0) {
        r->is_bad = true;
    }
    return perms;
}

void live_record_node(struct server *s, const char *path, const struct node *n)
{
    journal_begin(&s->journal, REC_NODE);
    journal_str(&s->journal, path);
    journal_bytes(&s->journal, n->value, n->value_len);
    record_perms(s, &n->perms);
    journal_end(&s->journal);
}

void live_record_special(struct server *s, enum special which)
{
    journal_begin(&s->journal, REC_SPECIAL);
    journal_u8(&s->journal, (uint8_t)which);
    record_perms(s, &s->special[which]);
    journal_end(&s->journal);
}

/* An empty store: the root and the events belong to the control domain, for nobody else. */
void live_init(struct server *s)
{
    struct perm none = { .domid = 0, .bits = PERM_NONE };
    struct perms perms = { .list = &none, .count = 1 };

    tree_init(&s->live, &perms);
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        s->special[i] = perms_copy(&perms);
    }
}

void live_create(struct server *s, const char *path, const struct perms *perms, struct value value)
{
    tree_create(&s->live, path, perms, value);
    live_record_node(s, path, tree_find(&s->live, path));
}

void live_set_value(struct server *s, const char *path, struct value value)
{
    tree_set_value(&s->live, path, value);
    live_record_node(s, path, tree_find(&s->live, path));
}

void live_set_perms(struct server *s, const char *path, const struct perms *perms)
{
    tree_set_perms(&s->live, path, perms);
    live_record_node(s, path, tree_find(&s->live, path));
}

void live_remove(struct server *s, const char *path)
{
    tree_remove(&s->live, path);
    journal_begin(&s->journal, REC_NODE_GONE);
    journal_str(&s->journal, path);
    journal_end(&s->journal);
}

void live_set_special(struct server *s, enum special which, const struct perms *perms)
{
    struct perms fresh = perms_copy(perms);

    perms_free(&s->special[which]);
    s->special[which] = fresh;
    live_record_special(s, which);
}

void live_apply_node(struct server *s, struct record *r)
{
    struct path parent;
    struct path path;
    struct value value;
    const char *name = record_str(r);

    value.data = record_bytes(r, &value.len);
    struct perms perms = apply_perms(r);
    if (r->is_bad || path_absolute(&path, name, PATH_NO_BASE) < 0) {
        log_error("journal: malformed node record");
    } else if (tree_find(&s->live, name)) {
        tree_set_value(&s->live, name, value);
        tree_set_perms(&s->live, name, &perms);
    } else {
        path_parent(&parent, name);
        if (tree_find(&s->live, parent.name)) {
            tree_create(&s->live, name, &perms, value);
        } else {
            log_error("journal: node %s has no parent", name);
        }
    }
    perms_free(&perms);
}

void live_apply_node_gone(struct server *s, struct record *r)
{
    const char *name = record_str(r);

    if (!r->is_bad && name[0] == '/' && name[1] && tree_find(&s->live, name)) {
        tree_remove(&s->live, name);
    }
}

void live_apply_special(struct server *s, struct record *r)
{
    uint8_t which = record_u8(r);
    struct perms perms = apply_perms(r);

    if (!r->is_bad && which < SPECIAL_COUNT) {
        perms_free(&s->special[which]);
        s->special[which] = perms;
    } else {
        perms_free(&perms);
    }
}
