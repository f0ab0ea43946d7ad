/* SPDX-License-Identifier: MIT */
/* Changes of the live tree: each is made and entered in the journal. No watch fires here. */
#pragma once

#include "stored/server.h"

void live_init(struct server *s);
/* Preconditions as of the tree functions of the same name. */
void live_create(struct server *s, const char *path, const struct perms *perms, struct value value);
void live_set_value(struct server *s, const char *path, struct value value);
void live_set_perms(struct server *s, const char *path, const struct perms *perms);
void live_remove(struct server *s, const char *path);
void live_set_special(struct server *s, enum special which, const struct perms *perms);
/* Journal records of one node and of a special event as they are now. */
void live_record_node(struct server *s, const char *path, const struct node *n);
void live_record_special(struct server *s, enum special which);
/* Replay. */
void live_apply_node(struct server *s, struct record *r);
void live_apply_node_gone(struct server *s, struct record *r);
void live_apply_special(struct server *s, struct record *r);
