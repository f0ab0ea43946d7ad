/* SPDX-License-Identifier: MIT */
/* Fuzz target: entries of device lists.  What is taken must be taken again from what is saved of
   it, with the same meaning; what is refused must be refused with a reason on one line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/disk.h"

#include "tests/fuzz/drive.h"

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const char *const seeds[] = {
        "/dev/vg/lv,raw,xvda,rw",
        "format=qcow2, vdev=xvdb1, access=ro, devtype=cdrom, no-discard, target=/x,y=z",
        "phy:vg/lv,sda,w!",
        "tap:qcow2:/i,hdb:cdrom,r,untrusted,direct-io-safe",
    };
    size_t n;

    if (index >= sizeof(seeds) / sizeof(seeds[0])) {
        return 0;
    }
    n = strlen(seeds[index]);
    memcpy(data, seeds[index], n < size ? n : size);
    return n < size ? n : size;
}

static int read_entry(struct config *c, const char *text, struct fail *f, struct device **dev)
{
    json_t *warnings = json_array();
    struct dev_parse p = {
        .text = text,
        .cwd = "/dir",
        .file = "fuzz",
        .line = 1,
        .column = 1,
        .warnings = warnings,
        .f = f,
    };
    int rc = dev_read_one(c, &disk_class, &p, dev);

    json_decref(warnings);
    return rc;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct config first;
    static struct config second;
    struct fail f = { 0 };
    struct device *a;
    struct device *b;
    char text[4096];
    char line[1024];

    if (size >= sizeof(text)) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    if (read_entry(&first, text, &f, &a) == 0) {
        const struct disk *x = a->own;
        const struct disk *y;

        if (read_entry(&second, a->text, &f, &b) != 0) {
            if (strlen(a->text) <= DEV_TEXT_MAX) {
                abort();
            }
        } else {
            y = b->own;
            if (memcmp(x, y, sizeof(*x)) != 0 || a->id != b->id || strcmp(a->text, b->text) != 0) {
                abort();
            }
        }
    } else if (f.code >= 0 || f.cause[0] == '\0') {
        abort();
    }
    fail_text(&f, line, sizeof(line));
    if (strpbrk(line, "\n\r") != NULL) {
        abort();
    }
    config_drop(&first);
    config_drop(&second);
    return 0;
}
