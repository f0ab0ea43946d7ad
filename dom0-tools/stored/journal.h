/* SPDX-License-Identifier: MIT */
/*
 * The journal: what a daemon that was killed finds again when it is started.
 *
 * A file mapped shared; a store into it survives the death of the process, so adding to it needs
 * no system call. Records collect in memory during a turn of the loop and become one unit with a
 * checksum when journal_commit() appends them. Only after that may an effect of the turn be seen
 * outside: a reply, a consumed request. The file belongs to one boot of the machine; after
 * another boot it is empty.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum record_type {
    REC_NODE = 1,    /* path, value, access list: the node is now so */
    REC_NODE_GONE,   /* path: removed with all below it */
    REC_SPECIAL,     /* index, access list of a special event */
    REC_DOMAIN,      /* domid, flags, frame, port, target, features, quotas */
    REC_DOMAIN_GONE, /* domid: its connection, watches, transactions are gone */
    REC_WATCH,       /* domid, path, token, relative, depth */
    REC_WATCH_GONE,  /* domid, path, token */
    REC_RESET,       /* domid: all watches and transactions are gone */
    REC_TXN,         /* domid, id: begun */
    REC_TXN_GONE,    /* domid, id */
    REC_INPUT,       /* domid, position, ignored, bytes of an incomplete request */
    REC_OUTPUT,      /* domid, position, bytes: appended to what the guest is to read */
    REC_OUTPUT_MARK, /* domid, position: the output starts afresh here */
    REC_QUOTAS,      /* the defaults */
};

struct journal {
    char *path;
    int fd;
    uint8_t *map;
    size_t map_size;
    size_t used;         /* bytes of the file in units, its header included */
    size_t rewritten;    /* used after the last rewrite */
    struct buf pending;  /* records of this turn */
    size_t record_start; /* of the open record in pending */
    size_t cursor;       /* of journal_next() */
    size_t unit_end;
    bool is_failed;        /* a write failed: the daemon runs on unprotected and tries again */
    unsigned int patience; /* turns until it does */
};

struct record {
    uint8_t type;
    const uint8_t *data;
    size_t len;
    bool is_bad; /* a field did not fit: the rest reads as zero */
};

/* Opens or makes the file; *is_fresh when there is nothing of this boot in it. 0 or -errno. */
int journal_open(struct journal *j, const char *path, bool *is_fresh);
void journal_close(struct journal *j);
/* The records of all complete units, oldest first; false at the end. */
bool journal_next(struct journal *j, struct record *rec);

void journal_begin(struct journal *j, enum record_type type);
void journal_u8(struct journal *j, uint8_t v);
void journal_u16(struct journal *j, uint16_t v);
void journal_u32(struct journal *j, uint32_t v);
void journal_u64(struct journal *j, uint64_t v);
void journal_bytes(struct journal *j, const void *data, size_t len);
void journal_str(struct journal *j, const char *text);
void journal_end(struct journal *j);
/* Makes the records since the last commit durable, as one unit. 0 or -errno (then logged). */
int journal_commit(struct journal *j);
/* True when the file has grown so much that writing the state anew is cheaper. */
bool journal_is_long(struct journal *j);
/* The records that follow describe the whole state; the commit puts them into a new file, which
   replaces the old one in one step. On failure the old one is not added to any more. */
int journal_commit_anew(struct journal *j);

uint8_t record_u8(struct record *r);
uint16_t record_u16(struct record *r);
uint32_t record_u32(struct record *r);
uint64_t record_u64(struct record *r);
const uint8_t *record_bytes(struct record *r, size_t *len);
/* A string with its nul, or "" when malformed. */
const char *record_str(struct record *r);
