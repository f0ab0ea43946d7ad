/* SPDX-License-Identifier: MIT */
/*
 * Access lists of nodes.
 *
 * The first entry names the owner, who may do everything, and the rights of those not listed;
 * each further entry gives one domain its rights.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define PERM_NONE    0u
#define PERM_READ    1u
#define PERM_WRITE   2u
#define PERM_OWNER   4u
#define PERM_IGNORED 8u /* the domain did not exist when the entry was made: it grants nothing */

struct perm {
    uint16_t domid;
    uint8_t bits;
};

struct perms {
    struct perm *list;
    uint16_t count;
};

/* On whose behalf something is asked. */
struct who {
    uint16_t domid;
    uint16_t target;    /* a second identity (device-model domains), else equal to domid */
    bool is_privileged; /* the control domain: everything is allowed */
};

/* "r5" -> entry; -EINVAL when malformed. */
int perm_parse(const char *text, struct perm *out);
/* Appends the list in wire form, each entry with its nul. */
void perm_format(struct buf *out, const struct perms *perms);
/* The rights (PERM_*) that who has by this list. */
unsigned int perm_rights(const struct who *who, const struct perms *perms);
struct perms perms_copy(const struct perms *from);
void perms_free(struct perms *p);
bool perms_equal(const struct perms *a, const struct perms *b);
