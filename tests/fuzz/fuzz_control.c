/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of control and memory calls, with their structures and lists in guest memory that
 * ends somewhere, with yields injected; audits of all frames after some steps, and nothing left
 * when all domains are gone.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/domctl.h"
#include "abi/memory.h"
#include "abi/sysctl.h"
#include "arch/host/machine.h"
#include "hcall/hcall.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/mmu.h"
#include "tests/fuzz/drive.h"
#include "tests/fuzz/input.h"
#include "tests/unit/mm_kit.h"

#define STEPS_MAX   300u
#define AGAIN_MAX   10000u
#define SPARE_ORDER 3u

static struct kit_guest dom[2]; /* 0 is dom0 and the caller of control calls */
static uint64_t baseline;
static void *spare; /* for the audit, whatever the domains have taken */

/* Small numbers, the ends of ranges, frames of the machine, addresses of guest memory, or anything.
 */
static uint64_t value(struct input *in)
{
    uint8_t kind = byte(in);

    switch (kind & 7) {
    case 0:
        return 0;
    case 1:
        return byte(in) & 3;
    case 2:
        return byte(in);
    case 3:
        return UINT64_C(1) << (byte(in) & 63);
    case 4:
        return (uint64_t)0 - byte(in);
    case 5:
        return frame_mfn(dom[kind >> 3 & 1].data[byte(in) % KIT_DATA]).n;
    case 6:
        return KIT_VA + (uint64_t)(byte(in) % KIT_DATA) * PAGE_SIZE + byte(in) * UINT64_C(8);
    default:
        return word(in);
    }
}

/* Words at the start of a data page of the caller; half a word where the input says so. */
static void fill(struct kit_guest *g, struct input *in, unsigned int page, unsigned int words)
{
    unsigned char *to = port_frame_va(frame_mfn(g->data[page]));

    for (unsigned int i = 0; i < words; i++) {
        uint64_t x = value(in);

        if (byte(in) & 1) {
            x = (x & UINT32_MAX) | value(in) << 32;
        }
        memcpy(to + i * 8, &x, 8);
    }
}

/* The first words of the caller's first page: an interface structure up to its union. */
static uint32_t *head(void)
{
    return port_frame_va(frame_mfn(dom[0].data[0]));
}

static void call(struct kit_guest *g, hcall_fn *fn, uint64_t a0, uint64_t a1)
{
    struct hcall_args a = { { a0, a1, 0, 0, 0, 0 } };
    unsigned int rounds = 0;

    host_load(g->v);
    while (fn(g->v, &a) == HC_AGAIN) {
        if (++rounds > AGAIN_MAX) {
            abort(); /* no progress */
        }
    }
    host_load(NULL);
}

static void step(struct input *in)
{
    uint8_t what = byte(in);
    struct kit_guest *g = &dom[what >> 7];

    fill(g, in, 1u + (what >> 4 & 3u), byte(in) & 31u);
    switch (what & 3) {
    case 0:
        fill(&dom[0], in, 0, 18);
        head()[0] = byte(in) % 90u;
        head()[1] = XEN_DOMCTL_INTERFACE_VERSION;
        head()[2] = byte(in) & 7u;
        /* The fixed domains stay: their tables are the test's. */
        if (head()[0] != XEN_DOMCTL_destroydomain || head()[2] != dom[1].d->id) {
            call(&dom[0], hc_domctl, KIT_VA, 0);
        }
        break;
    case 1:
        fill(&dom[0], in, 0, 17);
        head()[0] = byte(in) % 31u;
        head()[1] = XEN_SYSCTL_INTERFACE_VERSION;
        call(&dom[0], hc_sysctl, KIT_VA, 0);
        break;
    default:
        fill(g, in, 0, 9);
        call(g, hc_memory_op, (byte(in) & 31u) | (uint64_t)(byte(in) & 1u) << 6, KIT_VA);
        break;
    }
}

static void end_others(void)
{
    for (domid_t id = 0;;) {
        struct domain *d = domain_get_next(id);

        if (!d) {
            break;
        }
        id = (domid_t)(d->id + 1);
        domain_put(d);
        if (d != dom[0].d && d != dom[1].d) {
            host_domain_end(d);
        }
    }
}

/* A domain made and destroyed, then noise. */
size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    uint32_t x = index * 2654435761u + 1;
    size_t n = size < 1500 ? size : 1500;

    if (index >= 16) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        x = x * 1103515245u + 12345u;
        data[i] = (uint8_t)(x >> 16);
    }
    return n;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static bool is_ready;
    struct input in = { data, size };
    uint64_t now;

    if (!is_ready) {
        kit_machine(2048, 2);
        is_ready = true;
    }
    kit_guest(&dom[0], true, 1);
    host_load(NULL);
    kit_guest(&dom[1], false, 1);
    host_load(NULL);
    spare = heap_alloc(SPARE_ORDER, HEAP_ANY);
    host_guest_flat(false);
    host_inject_yields(1u + (byte(&in) & 3u) * 2u, byte(&in));
    for (unsigned int steps = 0; in.left && steps < STEPS_MAX; steps++) {
        step(&in);
        heap_free(spare, SPARE_ORDER);
        host_tlb_audit();
        if (steps % 4 == 3) {
            kit_audit();
        }
        spare = heap_alloc(SPARE_ORDER, HEAP_ANY);
        if (!spare) {
            abort();
        }
    }
    heap_free(spare, SPARE_ORDER);
    host_inject_yields(0, 0);
    host_guest_flat(true);
    end_others();
    host_domain_end(dom[1].d);
    host_domain_end(dom[0].d);
    kit_audit();
    now = heap_free_frames();
    if (baseline && now + 8 < baseline) {
        abort(); /* frames are lost (a few stay in object pools) */
    }
    baseline = baseline ? baseline : now;
    return 0;
}
