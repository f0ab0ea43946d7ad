/* SPDX-License-Identifier: MIT */
/* Any bytes as an instruction: what is decoded lies within the bytes, needs all of them and nothing
 * after them. */
#include <assert.h>
#include <string.h>

#include "guest/insn.h"
#include "tests/fuzz/drive.h"

static void check_one(const struct insn *i, size_t n, bool code64)
{
    assert(i->length >= 1 && i->length <= INSN_MAX && i->length <= n);
    assert(i->op_size == 1 || i->op_size == 2 || i->op_size == 4 || i->op_size == 8);
    assert(i->addr_size == 4 || (i->addr_size == 8 && code64));
    assert(i->reg < 16 && i->rm < 16 && i->mod < 4 && i->seg <= SEG_GS);
    assert(i->rep == 0 || i->rep == 0xf2 || i->rep == 0xf3);
    assert(code64 || (i->rex == 0 && i->op_size < 8 && i->ea <= UINT32_MAX));
    assert(!i->has_mem || i->has_modrm || (i->opcode & 0xfe) == 0xa2);
}

/* The common forms, so that mutations have something to begin with. */
size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const uint8_t seeds[][16] = {
        { 1, 0x48, 0x89, 0x84, 0xcb, 1, 2, 3, 4 },
        { 1, 0xf0, 0x48, 0x0f, 0xba, 0x37, 1 },
        { 0, 0x66, 0x81, 0x05, 1, 2, 3, 4, 5, 6 },
        { 1, 0x65, 0x49, 0xc7, 0x44, 0x24, 8, 1, 2, 3, 4 },
        { 1, 0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8 },
        { 1, 0x0f, 0x01, 0xd1 },
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]) || size < sizeof(seeds[0])) {
        return 0;
    }
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct regs r;
    struct insn i, again;
    uint8_t bytes[16];

    if (size < 2) {
        return 0;
    }
    const struct insn_env env = { .code64 = data[0] & 1, .fs_base = 0x10000, .gs_base = 0x20000 };
    size_t n = size - 1 < sizeof bytes ? size - 1 : sizeof bytes;
    memset(&r, data[0], sizeof r);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, data + 1, n);
    if (insn_decode(&i, bytes, n, &r, &env) != 0) {
        return 0;
    }
    check_one(&i, n, env.code64);
    assert(insn_decode(&again, bytes, i.length - 1u, &r, &env) != 0);
    memset(bytes + i.length, 0xa5, sizeof bytes - i.length);
    memset(&again, 0, sizeof again);
    assert(insn_decode(&again, bytes, i.length, &r, &env) == 0);
    assert(again.length == i.length && again.ea == i.ea && again.imm == i.imm);
    insn_reg_set(&i, &r, i.reg, i.op_size, 0x1122334455667788);
    uint64_t want = i.op_size == 8 ? 0x1122334455667788
                                   : 0x1122334455667788 & ((UINT64_C(1) << (i.op_size * 8)) - 1);
    assert(insn_reg_get(&i, &r, i.reg, i.op_size) == want);
    return 0;
}
