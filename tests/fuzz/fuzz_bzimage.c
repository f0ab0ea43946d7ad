/* SPDX-License-Identifier: MIT */
/* Any bytes as a kernel file: a payload that is found lies inside the file. */

#include <assert.h>
#include <string.h>

#include "lib/bzimage.h"
#include "tests/fuzz/drive.h"

/* A bzImage with each kind of payload. */
size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const char *const heads[] = { "\xfd"
                                         "7zXZ",
                                         "\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "\x02\x21\x4c\x18",
                                         "\177ELF" };
    static const uint8_t fields[] = { 0, 0, 0, 0, 0x80, 0, 0, 0 };

    if (index >= sizeof(heads) / sizeof(heads[0]) || size < 0x500) {
        return 0;
    }
    memset(data, 0x5a, 0x500);
    data[0x1f1] = 1;
    memset(data + 0x1f4, 0, 4);
    data[0x1f4] = 0x10;
    data[0x1fe] = 0x55;
    data[0x1ff] = 0xaa;
    memcpy(data + 0x202, "HdrS\x0f\x02", 6);
    memcpy(data + 0x248, fields, sizeof(fields));
    memcpy(data + 0x400, heads[index], strlen(heads[index]) + 1);
    return 0x500;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct payload p;
    int rc = bzimage_find(data, size, &p);

    assert(bzimage_strerror(rc) != NULL);
    if (rc == 0) {
        assert(p.offset <= size && p.size <= size - p.offset);
        assert(p.kind != PAYLOAD_UNKNOWN && payload_kind_name(p.kind) != NULL);
    }
    return 0;
}
