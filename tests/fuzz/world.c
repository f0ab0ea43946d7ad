/* SPDX-License-Identifier: MIT */
/* See world.h. */
#include "tests/fuzz/world.h"

#include <stdlib.h>
#include <string.h>

#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "sched/sched.h"

struct kit_guest world_guest[2];
static uint64_t free_before;
static bool made;

uint8_t world_byte(struct world_input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

uint64_t world_word(struct world_input *in)
{
    uint64_t x = 0;

    for (unsigned int i = 0; i < 8; i++) {
        x = x << 8 | world_byte(in);
    }
    return x;
}

struct frame *world_frame(struct world_input *in)
{
    uint8_t b = world_byte(in);
    struct kit_guest *g = &world_guest[b >> 7];
    struct frame *tables[4] = { g->l1, g->l2, g->l3, g->l4 };

    return (b & 0x60) == 0x60 ? tables[b & 3] : g->data[b % KIT_DATA];
}

uint64_t world_number(struct world_input *in)
{
    static const uint64_t edges[] = { UINT64_MAX,
                                      UINT64_C(1) << 63,
                                      UINT64_C(0x7fffffffffffffff),
                                      UINT32_MAX,
                                      UINT64_C(1) << 32,
                                      UINT64_C(0x80000000),
                                      UINT64_C(0x7fffffff),
                                      UINT64_C(0x0000800000000000),
                                      UINT64_C(0x00007fffffffffff),
                                      UINT64_C(0xffff800000000000),
                                      UINT64_C(0xffff87ff80000000),
                                      UINT64_C(0xffff880000000000),
                                      DOMID_SELF,
                                      4096,
                                      4095,
                                      8191 };
    uint8_t b = world_byte(in);

    if (b < 100) {
        return b;
    }
    if (b < 150) {
        return edges[b % 16];
    }
    if (b < 210) {
        return frame_mfn(world_frame(in)).n;
    }
    return b < 230 ? world_guest[b & 1].d->id : world_word(in);
}

void world_fill(struct world_input *in, void *to, size_t n)
{
    uint8_t *p = to;
    bool words = (world_byte(in) & 1) != 0;

    for (size_t i = 0; i < n; i += 8) {
        uint64_t w = in->left == 0 ? 0 : words ? world_number(in) : world_word(in);
        memcpy(p + i, &w, n - i < 8 ? n - i : 8);
    }
}

void world_put(uint64_t va, const void *from, size_t n)
{
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t w;
        memcpy(&w, (const uint8_t *)from + i, 8);
        (void)host_access(port_current(), va + i, true, &w);
    }
}

static void count(struct audit *a)
{
    struct domain *d;

    for (domid_t id = 0; (d = domain_get_next(id)) != NULL; domain_put(d)) {
        id = (domid_t)(d->id + 1);
        gnttab_audit_refs(d, a);
        for (uint32_t i = 0; i < d->max_vcpus; i++) {
            const struct vcpu *v = vcpu_get(d, i);
            if (v != NULL && v->info_frame != NULL) {
                audit_add(a, v->info_frame, FT_WRITABLE);
            }
        }
    }
}

void world_audit(void)
{
    static unsigned int calls;
    struct domain *d;

    if (++calls % 4 == 0) { /* a count that is wrong stays so: world_end() looks in any case */
        audit_all(count);
    }
    host_tlb_audit();
    domain_audit();
    for (domid_t id = 0; (d = domain_get_next(id)) != NULL; domain_put(d)) {
        id = (domid_t)(d->id + 1);
        gnttab_audit(d);
        evtchn_audit(d);
    }
}

void world_begin(void)
{
    if (!made) {
        kit_machine(4096, 2);
        made = true;
    }
    free_before = heap_free_frames();
    kit_guest(&world_guest[0], true, 1);
    kit_guest(&world_guest[1], false, 2);
}

void world_end(void)
{
    struct domain *d;

    host_inject_yields(0, 0);
    host_fault_at(0);
    host_guest_flat(true);
    host_load(NULL);
    audit_all(count);
    for (domid_t id = 1; (d = domain_get_next(id)) != NULL;) {
        id = (domid_t)(d->id + 1);
        host_domain_end(d);
        domain_put(d);
        domain_deferred_run();
    }
    kit_guest_end(&world_guest[0]);
    domain_deferred_run();
    (void)port_cpu_take_work();
    if (domain_get_next(0) != NULL || heap_free_frames() != free_before) {
        abort();
    }
}
