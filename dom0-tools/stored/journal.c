/* SPDX-License-Identifier: MIT */
/* The journal of the store daemon. */

#include "stored/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

#define JOURNAL_MAGIC    0x4c4e524a54534f4aull /* "JOSTJRNL" as bytes */
#define JOURNAL_MIN_SIZE (1u << 20)
#define RETRY_TURNS      1000u
#define JOURNAL_SLACK    (4u << 20) /* growth before a rewrite is worth while */

struct file_header {
    uint64_t magic;
    uint64_t version;
    char boot_id[40]; /* of the kernel that the file belongs to */
    uint64_t used;    /* published last: bytes beyond it are not there */
};

struct unit_header {
    uint32_t len; /* of the records that follow */
    uint32_t sum;
};

/* CRC-32 (the reflected polynomial 0xedb88320), from a table made at the first use. */
static uint32_t checksum(const uint8_t *data, size_t len)
{
    static uint32_t table[256];
    uint32_t crc = 0xffffffff;

    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t v = i;
            for (int bit = 0; bit < 8; bit++) {
                v = (v >> 1) ^ (v & 1 ? 0xedb88320u : 0);
            }
            table[i] = v;
        }
    }
    for (size_t i = 0; i < len; i++) {
        crc = (crc >> 8) ^ table[(crc ^ data[i]) & 0xff];
    }
    return ~crc;
}

static void read_boot_id(char out[40])
{
    memset(out, 0, 40);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t n = read(fd, out, 36);
    if (n != 36) {
        memset(out, 0, 40);
    }
    close(fd);
}

static struct file_header *header_of(struct journal *j)
{
    return (struct file_header *)(void *)j->map;
}

/* Makes the mapping at least size bytes long. The blocks are allocated first: a store into a
   mapped hole of a full file system would be a fatal signal. */
static int grow(struct journal *j, size_t size)
{
    size_t want = j->map_size ? j->map_size : JOURNAL_MIN_SIZE;

    while (want < size) {
        want *= 2;
    }
    if (want == j->map_size) {
        return 0;
    }
    int rc = posix_fallocate(j->fd, 0, (off_t)want);
    if (rc) {
        return -rc;
    }
    void *map = j->map ? mremap(j->map, j->map_size, want, MREMAP_MAYMOVE)
                       : mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    j->map = map;
    j->map_size = want;
    return 0;
}

static void unmap(struct journal *j)
{
    if (j->map) {
        munmap(j->map, j->map_size);
    }
    if (j->fd >= 0) {
        close(j->fd);
    }
    j->map = NULL;
    j->map_size = 0;
    j->fd = -1;
}

static bool is_of_this_boot(struct journal *j, size_t size)
{
    const struct file_header *h = header_of(j);
    char boot_id[40];

    read_boot_id(boot_id);
    return h->magic == JOURNAL_MAGIC && h->version == 1 && h->used >= sizeof(*h) &&
           h->used <= size && memcmp(h->boot_id, boot_id, sizeof(boot_id)) == 0;
}

static void write_header(struct journal *j)
{
    struct file_header *h = header_of(j);

    h->magic = JOURNAL_MAGIC;
    h->version = 1;
    read_boot_id(h->boot_id);
    j->used = sizeof(*h);
    j->rewritten = j->used;
    __atomic_store_n(&h->used, j->used, __ATOMIC_RELEASE);
}

int journal_open(struct journal *j, const char *path, bool *is_fresh)
{
    *j = (struct journal){ .path = xstrdup(path), .fd = -1 };
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->fd < 0) {
        return -errno;
    }
    off_t size = lseek(j->fd, 0, SEEK_END);
    int rc = grow(j, size > 0 ? (size_t)size : 1);
    if (rc < 0) {
        unmap(j);
        return rc;
    }
    *is_fresh = !is_of_this_boot(j, j->map_size);
    if (*is_fresh) {
        write_header(j);
    }
    j->used = header_of(j)->used;
    j->rewritten = j->used;
    j->cursor = sizeof(struct file_header);
    j->unit_end = j->cursor;
    return 0;
}

void journal_close(struct journal *j)
{
    unmap(j);
    buf_free(&j->pending);
    free(j->path);
    j->path = NULL;
}

/* Moves into the next unit if it is whole; what is behind a damaged one is dropped. */
static bool next_unit(struct journal *j)
{
    struct unit_header unit;

    if (j->used - j->cursor < sizeof(unit)) {
        return false;
    }
    memcpy(&unit, j->map + j->cursor, sizeof(unit));
    const uint8_t *data = j->map + j->cursor + sizeof(unit);
    if (unit.len > j->used - j->cursor - sizeof(unit) || checksum(data, unit.len) != unit.sum) {
        log_error("journal %s is damaged at byte %zu: what follows is lost", j->path, j->cursor);
        j->used = j->cursor;
        return false;
    }
    j->cursor += sizeof(unit);
    j->unit_end = j->cursor + unit.len;
    return true;
}

bool journal_next(struct journal *j, struct record *rec)
{
    uint32_t len;

    if (j->cursor >= j->unit_end && !next_unit(j)) {
        return false;
    }
    if (j->unit_end - j->cursor < sizeof(len) + 1) {
        return false;
    }
    memcpy(&len, j->map + j->cursor, sizeof(len));
    if (len < 1 || len > j->unit_end - j->cursor - sizeof(len)) {
        return false;
    }
    const uint8_t *data = j->map + j->cursor + sizeof(len);
    *rec = (struct record){ .type = data[0], .data = data + 1, .len = len - 1 };
    j->cursor += sizeof(len) + len;
    return true;
}

void journal_begin(struct journal *j, enum record_type type)
{
    uint32_t len = 0;

    j->record_start = j->pending.len;
    buf_add(&j->pending, &len, sizeof(len));
    journal_u8(j, (uint8_t)type);
}

void journal_end(struct journal *j)
{
    uint32_t len = (uint32_t)(j->pending.len - j->record_start - sizeof(len));

    memcpy((uint8_t *)buf_data(&j->pending) + j->record_start, &len, sizeof(len));
}

void journal_u8(struct journal *j, uint8_t v)
{
    buf_add(&j->pending, &v, sizeof(v));
}

void journal_u16(struct journal *j, uint16_t v)
{
    buf_add(&j->pending, &v, sizeof(v));
}

void journal_u32(struct journal *j, uint32_t v)
{
    buf_add(&j->pending, &v, sizeof(v));
}

void journal_u64(struct journal *j, uint64_t v)
{
    buf_add(&j->pending, &v, sizeof(v));
}

void journal_bytes(struct journal *j, const void *data, size_t len)
{
    journal_u32(j, (uint32_t)len);
    buf_add(&j->pending, data, len);
}

void journal_str(struct journal *j, const char *text)
{
    journal_bytes(j, text, strlen(text) + 1);
}

/* Appends the pending records to the mapping and publishes them. */
static int append(struct journal *j)
{
    struct unit_header unit = { .len = (uint32_t)j->pending.len };
    int rc = grow(j, j->used + sizeof(unit) + unit.len);

    if (rc < 0) {
        return rc;
    }
    unit.sum = checksum(buf_data(&j->pending), unit.len);
    memcpy(j->map + j->used, &unit, sizeof(unit));
    memcpy(j->map + j->used + sizeof(unit), buf_data(&j->pending), unit.len);
    j->used += sizeof(unit) + unit.len;
    __atomic_store_n(&header_of(j)->used, j->used, __ATOMIC_RELEASE);
    return 0;
}

int journal_commit(struct journal *j)
{
    int rc = 0;

    if (j->pending.len > 0 && j->fd >= 0 && !j->is_failed) {
        rc = append(j);
        if (rc < 0) {
            /* A gap would make the rest a lie: nothing is added until a rewrite succeeds. */
            j->is_failed = true;
            j->patience = RETRY_TURNS;
            log_error("journal %s: %s: a restart would lose what changes from now on", j->path,
                      strerror(-rc));
        }
    }
    buf_clear(&j->pending);
    return rc;
}

bool journal_is_long(struct journal *j)
{
    if (j->fd < 0) {
        return false;
    }
    if (j->is_failed) {
        return j->patience-- == 0;
    }
    return j->used > 2 * j->rewritten + JOURNAL_SLACK;
}

int journal_commit_anew(struct journal *j)
{
    struct journal fresh = { .fd = -1, .path = j->path, .pending = j->pending };
    char name[4096];
    int rc;

    int n = snprintf(name, sizeof(name), "%s.new", j->path);
    if (n < 0 || n >= (int)sizeof(name)) {
        return -ENAMETOOLONG;
    }
    fresh.fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = fresh.fd < 0 ? -errno : grow(&fresh, 1);
    if (rc == 0) {
        write_header(&fresh);
        rc = append(&fresh);
    }
    if (rc == 0 && rename(name, j->path) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        if (!j->is_failed) {
            log_error(
                "cannot rewrite journal %s: %s: a restart would lose what changes from now on",
                j->path, strerror(-rc));
        }
        j->is_failed = true;
        j->patience = RETRY_TURNS;
        unmap(&fresh);
        buf_clear(&j->pending);
        return rc;
    }
    if (j->is_failed) {
        log_error("journal %s: is whole again", j->path);
    }
    unmap(j);
    fresh.rewritten = fresh.used;
    *j = fresh;
    buf_clear(&j->pending);
    return 0;
}

static void take(struct record *r, void *out, size_t n)
{
    memset(out, 0, n);
    if (r->is_bad || r->len < n) {
        r->is_bad = true;
        return;
    }
    memcpy(out, r->data, n);
    r->data += n;
    r->len -= n;
}

uint8_t record_u8(struct record *r)
{
    uint8_t v;

    take(r, &v, sizeof(v));
    return v;
}

uint16_t record_u16(struct record *r)
{
    uint16_t v;

    take(r, &v, sizeof(v));
    return v;
}

uint32_t record_u32(struct record *r)
{
    uint32_t v;

    take(r, &v, sizeof(v));
    return v;
}

uint64_t record_u64(struct record *r)
{
    uint64_t v;

    take(r, &v, sizeof(v));
    return v;
}

const uint8_t *record_bytes(struct record *r, size_t *len)
{
    uint32_t n = record_u32(r);

    *len = 0;
    if (r->is_bad || n > r->len) {
        r->is_bad = true;
        return NULL;
    }
    const uint8_t *data = r->data;
    r->data += n;
    r->len -= n;
    *len = n;
    return data;
}

const char *record_str(struct record *r)
{
    size_t len;
    const uint8_t *data = record_bytes(r, &len);

    if (!data || len == 0 || data[len - 1] != '\0' || strlen((const char *)data) != len - 1) {
        r->is_bad = true;
        return "";
    }
    return (const char *)data;
}
