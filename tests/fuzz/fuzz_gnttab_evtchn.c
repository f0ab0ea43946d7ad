/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of grant and event calls of two domains, with yields injected and guest memory that
 * faults, while the granter writes what it likes into its table and domains die; every fourth step
 * is followed by the rooms' audits.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/event.h"
#include "abi/grant.h"
#include "arch/host/machine.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "tests/fuzz/drive.h"
#include "tests/fuzz/input.h"
#include "tests/unit/mm_kit.h"

#define FUZZ_LENGTH 512u
#define STEPS_MAX   800u
#define REFS        6u /* grants that the steps name */
#define PTES        8u /* empty level-1 entries, from here */
#define FIRST_PTE   100u
#define HANDLES     8u /* handles lately given out, by mapper */

static struct kit_guest guest[2]; /* 0 is dom0 */
static uint32_t handle[2][HANDLES];

/* Mostly small, now and then out of all bounds. */
static uint32_t number(struct input *in, uint32_t below)
{
    uint8_t b = byte(in);

    if (b < 248) {
        return b % below;
    }
    return b < 252 ? 4090u + b % 16 : UINT32_MAX - (255u - b);
}

static domid_t who(struct input *in)
{
    uint8_t b = byte(in);

    if (b < 200) {
        return guest[b & 1].d->id;
    }
    return b < 240 ? (domid_t)DOMID_SELF : (domid_t)(b * 257u);
}

static struct grant_entry_v1 *entries(unsigned int g)
{
    mfn_t mfn;

    return gnttab_table_frame(guest[g].d, 0, &mfn) == 0 ? port_frame_va(mfn) : NULL;
}

static struct frame *some_frame(struct input *in)
{
    uint8_t b = byte(in);
    struct kit_guest *g = &guest[b >> 7];
    struct frame *tables[4] = { g->l1, g->l2, g->l3, g->l4 };

    return (b & 0x70) == 0x70 ? tables[b & 3] : g->data[b % KIT_DATA];
}

static uint64_t some_place(struct input *in, unsigned int g, uint32_t *flags)
{
    uint8_t b = byte(in);
    unsigned int pte = FIRST_PTE + b % PTES;

    if (b < 128) {
        return KIT_VA + pte * PAGE_SIZE;
    }
    *flags |= GNTMAP_contains_pte;
    if (b < 250) {
        return kit_maddr(guest[g].l1, pte) + (b == 249 ? 4 : 0);
    }
    return kit_maddr(some_frame(in), pte);
}

static void grant_call(unsigned int cmd, void *arg, unsigned int n)
{
    (void)kit_call(hc_grant_table_op, cmd, (uintptr_t)arg, n, 0);
}

/* The granter changes an entry, the hypervisor's bits included. */
static void step_entry(struct input *in, unsigned int g)
{
    struct grant_entry_v1 *e = entries(g);
    uint8_t b = byte(in);
    uint32_t ref = 8 + b % REFS;

    if (e == NULL) {
        return;
    }
    e[ref].flags = byte(in);
    e[ref].domid = b < 250 ? guest[1 - g].d->id : guest[g].d->id;
    e[ref].frame = (uint32_t)frame_mfn(some_frame(in)).n + (b == 77 ? 4096u : 0);
    if (b < 128) {
        e[ref].flags = GTF_permit_access;
    }
}

static void step_map(struct input *in, unsigned int g)
{
    struct gnttab_map_grant_ref m[3];
    unsigned int n = 1 + byte(in) % 3;

    for (unsigned int i = 0; i < n; i++) {
        m[i] = (struct gnttab_map_grant_ref){ .flags = byte(in) & 0xf,
                                              .ref = 8 + number(in, REFS),
                                              .dom = who(in) };
        if (byte(in) < 200) {
            m[i].flags |= GNTMAP_host_map;
        }
        m[i].host_addr = some_place(in, g, &m[i].flags);
    }
    grant_call(GNTTABOP_map_grant_ref, m, n);
    for (unsigned int i = 0; i < n; i++) {
        if (m[i].status == GNTST_okay) {
            handle[g][byte(in) % HANDLES] = m[i].handle;
        } else if (m[i].status > 0 || m[i].status < GNTST_no_space) {
            abort(); /* a status that is none */
        }
    }
}

static void step_unmap(struct input *in, unsigned int g)
{
    struct gnttab_unmap_grant_ref u[3];
    unsigned int n = 1 + byte(in) % 3;

    for (unsigned int i = 0; i < n; i++) {
        uint32_t flags = 0;
        u[i] = (struct gnttab_unmap_grant_ref){ .handle = handle[g][byte(in) % HANDLES] };
        u[i].host_addr = some_place(in, g, &flags);
        if (byte(in) < 60) {
            u[i].dev_bus_addr = mfn_to_paddr(frame_mfn(some_frame(in)));
        }
        if (byte(in) > 250) {
            u[i].handle = number(in, 300);
        }
    }
    grant_call(GNTTABOP_unmap_grant_ref, u, n);
}

static void step_copy(struct input *in)
{
    struct gnttab_copy c = { .flags = byte(in) & 3, .len = (uint16_t)(byte(in) * 17) };

    c.source.domid = who(in);
    c.dest.domid = who(in);
    c.source.u.gmfn =
        (c.flags & GNTCOPY_source_gref) != 0 ? 8 + number(in, REFS) : frame_mfn(some_frame(in)).n;
    c.dest.u.gmfn =
        (c.flags & GNTCOPY_dest_gref) != 0 ? 8 + number(in, REFS) : frame_mfn(some_frame(in)).n;
    c.source.offset = (uint16_t)number(in, 64);
    c.dest.offset = (uint16_t)number(in, 64);
    if ((c.flags & GNTCOPY_source_gref) == 0 && byte(in) < 200) {
        c.source.domid = DOMID_SELF;
    }
    if ((c.flags & GNTCOPY_dest_gref) == 0 && byte(in) < 200) {
        c.dest.domid = DOMID_SELF;
    }
    /* A fault while the entry is read is one thing, data in a table another: keep tables as they
     * are. */
    grant_call(GNTTABOP_copy, &c, 1);
}

static void step_other_grant(struct input *in, unsigned int g)
{
    struct gnttab_swap_grant_ref w = { 8 + number(in, REFS), 8 + number(in, REFS), 0 };
    struct gnttab_unmap_and_replace r = { .handle = handle[g][byte(in) % HANDLES] };
    uint32_t flags = 0;

    if (byte(in) & 1) {
        grant_call(GNTTABOP_swap_grant_ref, &w, 1);
        return;
    }
    r.host_addr = some_place(in, g, &flags);
    r.new_addr = KIT_VA + (uint64_t)(byte(in) % 16) * PAGE_SIZE;
    grant_call(GNTTABOP_unmap_and_replace, &r, 1);
}

/* The mapper writes over the entry of a mapping. */
static void step_overwrite(struct input *in)
{
    (void)kit_update_va(KIT_VA + (FIRST_PTE + byte(in) % PTES) * PAGE_SIZE,
                        byte(in) & 1 ? 0 : kit_pte(some_frame(in), byte(in) & 1 ? K_RO : K_RW), 0);
}

static void step_event(struct input *in)
{
    union {
        struct evtchn_bind_interdomain inter;
        struct evtchn_bind_virq virq;
        struct evtchn_bind_pirq pirq;
        struct evtchn_alloc_unbound unbound;
        struct evtchn_bind_vcpu vcpu;
        struct evtchn_status status;
        struct evtchn_send port;
    } u;
    unsigned int cmd = byte(in) % 16;

    memset(&u, 0, sizeof u);
    switch (cmd) {
    case EVTCHNOP_bind_interdomain:
        u.inter.remote_dom = who(in);
        u.inter.remote_port = number(in, 12);
        break;
    case EVTCHNOP_alloc_unbound:
        u.unbound.dom = who(in);
        u.unbound.remote_dom = who(in);
        break;
    case EVTCHNOP_status:
        u.status.dom = who(in);
        u.status.port = number(in, 12);
        break;
    case EVTCHNOP_reset:
        if (byte(in) < 240) {
            return;
        }
        u.status.dom = who(in);
        break;
    default:
        u.vcpu.port = number(in, 24);
        u.vcpu.vcpu = number(in, 4);
        break;
    }
    (void)kit_call(hc_event_channel_op, cmd, (uintptr_t)&u, 0, 0);
}

static void count_pins(struct audit *a)
{
    for (domid_t id = 0;; id++) {
        struct domain *d = domain_get_next(id);
        if (d == NULL) {
            return;
        }
        gnttab_audit_refs(d, a);
        id = d->id;
        domain_put(d);
    }
}

static void audit(bool whole)
{
    for (unsigned int g = 0; g < 2; g++) {
        evtchn_audit(guest[g].d);
        gnttab_audit(guest[g].d);
    }
    if (whole) {
        audit_all(count_pins);
        host_tlb_audit();
    }
}

/* Both vcpus run on the same tables. */
static void make(unsigned int g)
{
    kit_guest(&guest[g], g == 0, 2);
    host_load(guest[g].d->vcpu[1]);
    if (kit_mmuext(MMUEXT_NEW_BASEPTR, frame_mfn(guest[g].l4).n, 0) != 0) {
        abort();
    }
    memset(handle[g], 0, sizeof handle[g]);
}

/* The guest dies with all that it has mapped, granted and bound, and another takes its place. */
static void kill_and_make(unsigned int g)
{
    struct domain *d = guest[g].d;

    host_load(NULL);
    host_domain_end(d);
    make(g);
}

static void step(struct input *in)
{
    uint8_t kind = byte(in);
    unsigned int g = kind >> 7;

    host_load(guest[g].d->vcpu[kind >> 6 & 1]);
    if ((kind & 63) == 63) {
        host_fault_at(1u + byte(in));
    }
    switch (kind & 15) {
    case 0:
    case 1:
    case 2:
        step_entry(in, g);
        break;
    case 3:
    case 4:
    case 5:
        step_map(in, g);
        break;
    case 6:
    case 7:
    case 8:
        step_unmap(in, g);
        break;
    case 9:
        step_copy(in);
        break;
    case 10:
        step_other_grant(in, g);
        break;
    case 11:
        step_overwrite(in);
        break;
    case 12:
        if (g == 1 && byte(in) > 250) {
            kill_and_make(g);
        }
        break;
    default:
        step_event(in);
        break;
    }
    host_fault_at(0);
}

/* An input of that length takes some 10 ms: more would leave libFuzzer too few of them. */
size_t fuzz_length(void)
{
    return FUZZ_LENGTH;
}

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    uint32_t x = index * 2654435761u + 7;

    if (index >= 32 || size < FUZZ_LENGTH) {
        return 0;
    }
    for (size_t i = 0; i < FUZZ_LENGTH; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (uint8_t)(x >> 24);
    }
    return FUZZ_LENGTH;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static bool is_ready;
    static uint64_t baseline;
    struct input in = { data, size };

    if (!is_ready) {
        kit_machine(1024, 2);
        is_ready = true;
    }
    for (unsigned int g = 0; g < 2; g++) {
        make(g);
    }
    host_inject_yields(1u + (byte(&in) & 3u), byte(&in));
    for (unsigned int n = 0; in.left != 0 && n < STEPS_MAX; n++) {
        step(&in);
        if (n % 4 == 3) { /* a count that is wrong stays so */
            audit(n % 8 == 7);
        }
    }
    audit(true);
    /* Both at once: what one holds of the other must not keep it alive. */
    host_load(NULL);
    host_domain_end(guest[1].d);
    host_domain_end(guest[0].d);
    domain_deferred_run();
    audit_all(NULL);
    domain_audit();
    if (domain_get_next(0) != NULL) {
        abort();
    }
    uint64_t now = heap_free_frames();
    if (baseline != 0 && now != baseline) {
        abort(); /* frames are lost */
    }
    baseline = baseline == 0 ? now : baseline;
    return 0;
}
