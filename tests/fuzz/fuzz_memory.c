/* SPDX-License-Identifier: MIT */
/* Memory operations of both domains, on themselves and on each other, with lists of any numbers. */
#include <stdlib.h>
#include <string.h>

#include "abi/memory.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "guest/trap.h"
#include "mm/heap.h"
#include "tests/fuzz/drive.h"
#include "tests/fuzz/world.h"

#define STEPS_MAX 60u
#define LIST      40u

/* Where the guests' structure and lists lie. */
#define STRUCT_VA KIT_VA
#define LIST_VA   (KIT_VA + PAGE_SIZE)
#define LIST2_VA  (KIT_VA + 2 * PAGE_SIZE)

static void reservation(struct world_input *in, struct xen_memory_reservation *r, uint64_t list)
{
    uint8_t b = world_byte(in);

    *r = (struct xen_memory_reservation){
        .extent_start = { list },
        .nr_extents = b < 240 ? b % (LIST + 1) : world_number(in) % 5000,
        .extent_order = b < 200 ? b % 4 : world_byte(in),
        .mem_flags = b < 220 ? 0 : (uint32_t)world_number(in),
        .domid = b & 64 ? DOMID_SELF : world_guest[b & 1].d->id,
    };
    if (r->nr_extents > LIST) {
        r->extent_start.va = UINT64_C(0xffff800000000000); /* its list cannot be read */
    }
}

static void step(struct world_input *in)
{
    static uint64_t list[2][LIST];
    static const uint8_t cmds[] = { 0, 1, 3, 4, 6, 11, 11, 14, 24, 28, 5, 9, 12, 13 };
    union {
        struct xen_memory_reservation res;
        struct xen_memory_exchange ex;
        uint8_t bytes[128];
    } u;
    uint8_t how = world_byte(in);
    unsigned int who = how & 1;
    uint8_t cmd = cmds[world_byte(in) % sizeof cmds];

    memset(&u, 0, sizeof u);
    for (unsigned int i = 0; i < LIST; i++) {
        list[0][i] = in->left != 0 ? world_number(in) : i;
        list[1][i] = 3000 + i * 4;
    }
    if (cmd == 11) {
        reservation(in, &u.ex.in, LIST_VA);
        reservation(in, &u.ex.out, LIST2_VA);
        u.ex.nr_exchanged = how >= 250 ? world_number(in) : 0;
    } else if (cmd < 11 && cmd != 5 && cmd != 9) {
        reservation(in, &u.res, LIST_VA);
    } else if (cmd == 24) {
        reservation(in, &u.res, LIST_VA);
        u.res.nr_extents = world_number(in);
    } else {
        world_fill(in, &u, 64);
    }
    host_load(world_guest[who].v);
    host_inject_yields(how & 2 ? 1 + (how >> 2) % 4 : 0, 5);
    if ((how & 0xf0) == 0xe0) {
        host_fault_at(1 + world_byte(in) * 4u);
    }
    uint64_t other = world_guest[0].d->owned_frames;
    world_put(STRUCT_VA, &u, sizeof u);
    world_put(LIST_VA, list[0], sizeof list[0]);
    world_put(LIST2_VA, list[1], sizeof list[1]);
    host_guest_flat(false);
    (void)kit_call(hc_memory_op, cmd, STRUCT_VA, 0, 0);
    host_guest_flat(true);
    host_inject_yields(0, 0);
    host_fault_at(0);
    if (who == 1 && world_guest[0].d->owned_frames != other) {
        abort();
    }
    for (unsigned int i = 0; i < 2; i++) {
        struct domain *d = world_guest[i].d;
        if (d->owned_frames > atomic_load(&d->max_frames)) {
            abort();
        }
    }
    world_audit();
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct world_input in = { data, size };

    world_begin();
    for (unsigned int i = 0; i < STEPS_MAX && in.left != 0; i++) {
        step(&in);
    }
    world_end();
    return 0;
}

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    if (index >= 28 || size < 256) {
        return 0;
    }
    for (unsigned int i = 0; i < 256; i++) {
        data[i] = (uint8_t)(i % 60);
    }
    data[0] = (uint8_t)(index & 3);
    data[1] = (uint8_t)(index / 2);
    return 256;
}
