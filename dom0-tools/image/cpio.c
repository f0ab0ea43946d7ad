/* SPDX-License-Identifier: MIT */
/* The newc writer: a header of hexadecimal fields, the name, the data, each padded to 4 bytes. */
#include "image/cpio.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (64u << 20) /* bytes of one file: modules and programs are far smaller */

static void put(struct cpio *c, const void *data, size_t size)
{
    if (c->error == 0 && size > 0 && fwrite(data, size, 1, c->file) != 1) {
        c->error = errno != 0 ? -errno : -EIO;
    }
}

static void pad(struct cpio *c, size_t size)
{
    put(c, "\0\0\0", (4 - size % 4) % 4);
}

static void head(struct cpio *c, const char *name, mode_t mode, size_t size,
                 const unsigned int *dev)
{
    size_t n = strlen(name) + 1;
    char text[128];

    snprintf(text, sizeof(text), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
             ++c->inode, (unsigned int)mode, 0u, 0u, 1u, 0u, (unsigned int)size, 0u, 0u, dev[0],
             dev[1], (unsigned int)n, 0u);
    put(c, text, 110);
    put(c, name, n);
    pad(c, 110 + n);
}

static const unsigned int no_device[2];

void cpio_dir(struct cpio *c, const char *name)
{
    head(c, name, S_IFDIR | 0755, 0, no_device);
}

void cpio_data(struct cpio *c, const char *name, mode_t mode, const void *data, size_t size)
{
    head(c, name, S_IFREG | mode, size, no_device);
    put(c, data, size);
    pad(c, size);
}

static bool read_all(int fd, char *data, size_t size)
{
    size_t at = 0;
    ssize_t n = 1;

    while (at < size && n > 0) {
        n = read(fd, data + at, size - at);
        at += n > 0 ? (size_t)n : 0;
    }
    return at == size;
}

void cpio_file(struct cpio *c, const char *name, mode_t mode, int fd)
{
    struct stat st;
    char *data = NULL;
    int rc = 0;

    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = -errno;
    } else if (!S_ISREG(st.st_mode)) {
        rc = -EINVAL;
    } else if (st.st_size > FILE_MOST) {
        rc = -EFBIG;
    } else if ((data = malloc((size_t)st.st_size + 1)) == NULL ||
               !read_all(fd, data, (size_t)st.st_size)) {
        rc = -EIO;
    } else {
        cpio_data(c, name, mode, data, (size_t)st.st_size);
    }
    c->error = c->error != 0 ? c->error : rc;
    free(data);
    if (fd >= 0) {
        close(fd);
    }
}

void cpio_device(struct cpio *c, const char *name, unsigned int major, unsigned int minor)
{
    head(c, name, S_IFCHR | 0600, 0, (unsigned int[2]){ major, minor });
}

int cpio_finish(struct cpio *c)
{
    head(c, "TRAILER!!!", 0, 0, no_device);
    if (c->error == 0 && fflush(c->file) != 0) {
        c->error = -errno;
    }
    return c->error;
}
