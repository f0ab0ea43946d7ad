/* SPDX-License-Identifier: MIT */
/* Kernel files: mapping, finding the payload, unpacking it, reading the ELF image's notes. */
#include "build/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/unpack.h"
#include "lib/bzimage.h"

#define FILE_MAX_BYTES (INT64_C(16) << 30)

int file_map(struct file_map *m, const char *phase, const char *path, struct fail *f)
{
    struct stat st;
    void *data;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = 0;

    *m = (struct file_map){ 0 };
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = -errno;
        fail_set(f, rc, phase, path, "cannot be opened: %s", strerror(-rc));
        fail_remedy(f, "name a file that exists in the control domain");
    } else if (!S_ISREG(st.st_mode)) {
        rc = fail_set(f, -EINVAL, phase, path, "is no regular file");
    } else if (st.st_size == 0) {
        rc = fail_set(f, -EINVAL, phase, path, "is empty");
    } else if (st.st_size > FILE_MAX_BYTES) {
        rc = fail_set(f, -E2BIG, phase, path, "has %lld bytes, too many", (long long)st.st_size);
    } else {
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            rc = fail_set(f, -errno, phase, path, "cannot be read: %s", strerror(errno));
        } else {
            m->data = data;
            m->size = (size_t)st.st_size;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

void file_unmap(struct file_map *m)
{
    if (m->data != NULL) {
        munmap((void *)m->data, m->size);
    }
    *m = (struct file_map){ 0 };
}

static int unpack_failed(const char *path, const struct payload *p, int rc, struct fail *f)
{
    const char *kind = payload_kind_name(p->kind);

    switch (rc) {
    case -EBADMSG:
        fail_set(f, rc, "kernel", path, "the %s payload (%zu bytes at %zu) is damaged or cut short",
                 kind, p->size, p->offset);
        return fail_remedy(f, "get the file again");
    case -E2BIG:
        return fail_set(f, rc, "kernel", path, "the %s payload unpacks to more than %llu MiB", kind,
                        (unsigned long long)(UNPACK_MAX >> 20));
    case -EOPNOTSUPP:
        fail_set(f, rc, "kernel", path, "the payload is compressed with %s", kind);
        return fail_remedy(f,
                           "use a kernel packed with gzip, xz, zstd or lz4, or a plain ELF file");
    default:
        return fail_set(f, rc, "kernel", path, "no memory in the control domain to unpack it");
    }
}

int image_load(struct image *im, const char *path, struct fail *f)
{
    struct payload p;
    int rc;

    *im = (struct image){ 0 };
    rc = file_map(&im->file, "kernel", path, f);
    if (rc != 0) {
        return rc;
    }
    rc = bzimage_find(im->file.data, im->file.size, &p);
    if (rc != 0) {
        fail_set(f, -ENOEXEC, "kernel", path, "%s", bzimage_strerror(rc));
        fail_remedy(f, "name a bzImage (vmlinuz) or an ELF file of a PV kernel");
        image_free(im);
        return f->code;
    }
    if (p.kind == PAYLOAD_ELF) {
        im->elf = im->file.data + p.offset;
        im->elf_size = p.size;
    } else {
        rc = unpack(p.kind, im->file.data + p.offset, p.size, p.unpacked_size, &im->unpacked,
                    &im->elf_size);
        if (rc != 0) {
            unpack_failed(path, &p, rc, f);
            image_free(im);
            return f->code;
        }
        im->elf = im->unpacked;
    }
    rc = elf_parse(im->elf, im->elf_size, &im->info);
    if (rc != 0) {
        fail_set(f, -ENOEXEC, "kernel", path, "no PV kernel: %s", elf_strerror(rc));
        fail_remedy(f, "use a kernel built to run as a Xen PV guest");
        image_free(im);
        return f->code;
    }
    return 0;
}

void image_free(struct image *im)
{
    free(im->unpacked);
    file_unmap(&im->file);
    *im = (struct image){ 0 };
}
