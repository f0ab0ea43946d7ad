/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of MMU calls of the vcpus of two domains, with yields injected at every point where
 * a call may stop, and an audit of translation caches after each step, of all frames after some.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/host/machine.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/copy.h"
#include "port/mmu.h"
#include "tests/fuzz/drive.h"
#include "tests/fuzz/input.h"
#include "tests/unit/mm_kit.h"

#define POOL  20u /* frames of each domain that the steps name */
#define VCPUS 2u

#define FUZZ_LENGTH 512u
#define STEPS_MAX   600u

struct actor {
    struct kit_guest g;
    struct frame *pool[POOL];
};

/* A call that yielded and is to be continued. */
struct pending {
    hcall_fn *fn; /* NULL: none */
    struct hcall_args a;
    struct mmu_update u[4];
    struct mmuext_op op[2];
    uint32_t done;
};

static struct actor actors[2]; /* 0 is dom0 */
static struct pending pending[2][VCPUS];

static void pool_fill(struct actor *a)
{
    unsigned int n = 0;

    memset(a->pool, 0, sizeof a->pool);
    a->pool[n++] = a->g.l4;
    a->pool[n++] = a->g.l3;
    a->pool[n++] = a->g.l2;
    a->pool[n++] = a->g.l1;
    for (unsigned int i = 0; i < KIT_DATA; i++) {
        a->pool[n++] = a->g.data[i];
    }
    while (n < POOL) {
        a->pool[n++] = kit_frame(&a->g);
    }
}

static void actor_make(unsigned int i)
{
    host_inject_yields(0, 1);
    host_cpu_enter(i * VCPUS);
    kit_guest(&actors[i].g, i == 0, VCPUS);
    pool_fill(&actors[i]);
    memset(pending[i], 0, sizeof pending[i]);
}

/* A frame number: mostly of one's own pool, else the other's, and now and then one that nobody may
 * have. */
static uint64_t pick_mfn(struct input *in, unsigned int who)
{
    uint8_t b = byte(in);
    struct actor *a = &actors[b < 216 ? who : !who];

    if (b >= 240) {
        return b == 255   ? ~UINT64_C(0) >> 12
               : b == 254 ? frame_limit
               : b >= 250 ? frame_limit - frame_limit / 8
                          : b;
    }
    struct frame *f = a->pool[b % POOL];
    return f != NULL ? frame_mfn(f).n : 1;
}

static uint64_t pick_flags(struct input *in)
{
    static const uint64_t sets[] = { K_RW, K_RO, U_RW, TAB, PTE_P, TAB, K_RW, 0 };
    uint8_t b = byte(in);
    uint64_t flags = sets[b & 7];

    if ((b & 0xf0) == 0xf0) {
        flags ^= UINT64_C(1) << (byte(in) & 63);
    }
    return flags & ~PTE_ADDR;
}

static pte_t pick_entry(struct input *in, unsigned int who)
{
    uint64_t mfn = pick_mfn(in, who);

    return pte_make(MFN(mfn), pick_flags(in));
}

static unsigned int pick_index(struct input *in)
{
    uint8_t b = byte(in);

    return b < 200 ? b & 15u : b < 240 ? 128 + (b & 1u) : 250 + (b & 31u);
}

static uint64_t pick_va(struct input *in)
{
    uint8_t b = byte(in);
    uint64_t page = (uint64_t)(b & 15) << PAGE_SHIFT;

    switch (b >> 5) {
    case 0:
        return KIT_VA + (UINT64_C(1) << 21) + page;
    case 1:
        return HV_VIRT_START + page;
    default:
        return KIT_VA + page;
    }
}

static uint64_t pick_foreign(struct input *in)
{
    static const uint16_t ids[] = { DOMID_IO, DOMID_XEN, 0, 4321 };
    uint8_t b = byte(in);

    if (b < 180) {
        return DOMID_SELF;
    }
    uint64_t other = actors[1].g.d->id;
    uint64_t frames = b < 220 ? other : ids[b & 3];
    return b & 16 ? frames | (other + 1) << 16 : frames;
}

static void run(unsigned int who, struct pending *p)
{
    int64_t rc = p->fn(port_current(), &p->a);

    (void)who;
    if (rc != HC_AGAIN) {
        p->fn = NULL;
    }
}

static void step_mmu_update(struct input *in, unsigned int who, struct pending *p)
{
    unsigned int n = 1 + (byte(in) & 3);

    for (unsigned int i = 0; i < n; i++) {
        uint8_t b = byte(in);
        unsigned int cmd = b < 160 ? 0 : b < 220 ? 2 : b & 7;
        p->u[i].ptr = pick_mfn(in, who) << PAGE_SHIFT | pick_index(in) * 8 | cmd;
        p->u[i].val = pick_entry(in, who);
    }
    p->fn = hc_mmu_update;
    p->a =
        (struct hcall_args){ { (uintptr_t)p->u, n, (uintptr_t)&p->done, pick_foreign(in), 0, 0 } };
}

static void step_mmuext(struct input *in, unsigned int who, struct pending *p)
{
    static const uint8_t often[] = { 0, 1, 2, 3, 4, 4, 5, 15, 3, 4, 13, 16, 17, 8, 9, 11 };
    unsigned int n = 1 + (byte(in) & 1);

    for (unsigned int i = 0; i < n; i++) {
        uint8_t b = byte(in);
        p->op[i].cmd = b < 240 ? often[b & 15] : b & 31;
        p->op[i].arg1.mfn = pick_mfn(in, who);
        p->op[i].arg2.src_mfn = pick_mfn(in, who);
        if (p->op[i].cmd == MMUEXT_SET_LDT) {
            p->op[i].arg1.linear_addr = pick_va(in);
            p->op[i].arg2.src_mfn = (uint64_t)byte(in) << 3;
        } else if (p->op[i].cmd >= 7 && p->op[i].cmd <= 11) {
            p->op[i].arg1.linear_addr = pick_va(in);
            p->op[i].arg2.vcpumask = gptr((uintptr_t)&p->done);
        }
    }
    p->fn = hc_mmuext_op;
    p->a =
        (struct hcall_args){ { (uintptr_t)p->op, n, (uintptr_t)&p->done, pick_foreign(in), 0, 0 } };
}

static void step_va(struct input *in, unsigned int who, struct pending *p)
{
    static const uint64_t flags[] = { UVMF_NONE, UVMF_INVLPG, UVMF_INVLPG | UVMF_ALL,
                                      UVMF_TLB_FLUSH };
    uint8_t b = byte(in);

    p->fn = b < 220 ? hc_update_va_mapping : hc_update_va_mapping_otherdomain;
    p->a = (struct hcall_args){ { pick_va(in), pick_entry(in, who), flags[b & 3], pick_foreign(in),
                                  0, 0 } };
}

static void step_desc(struct input *in, unsigned int who)
{
    struct vcpu *v = port_current();
    uint64_t mfns[2] = { pick_mfn(in, who), pick_mfn(in, who) };
    struct hcall_args a = { { 0 } };
    uint8_t b = byte(in);

    switch (b & 3) {
    case 0:
        a.arg[0] = (uintptr_t)mfns;
        a.arg[1] = b < 128 ? 0 : b * 4u;
        (void)hc_set_gdt(v, &a);
        break;
    case 1:
        a.arg[0] = mfns[0] << PAGE_SHIFT | pick_index(in) * 8;
        a.arg[1] = word(in);
        (void)hc_update_descriptor(v, &a);
        break;
    default:
        (void)pt_map_ldt_page(v, (uint32_t)(b >> 4) << PAGE_SHIFT);
        break;
    }
}

/* The guest writes a page of its own that it can map writable now. */
static void step_store(struct input *in, unsigned int who)
{
    struct frame *f = frame_of(MFN(pick_mfn(in, who)));
    unsigned int i = pick_index(in);
    pte_t e = pick_entry(in, who);

    if (f != NULL && f->owner == actors[who].g.d && frame_get_writable(f, f->owner) == 0) {
        kit_poke(f, i, e);
        frame_put_writable(f);
    }
}

/* The guest touches memory through its tables, which fills the translation cache. */
static void step_access(struct input *in, unsigned int who)
{
    uint64_t val = pick_entry(in, who);

    (void)host_access(port_current(), pick_va(in) + pick_index(in) % 512 * 8, byte(in) & 1, &val);
}

/* A store of the guest kernel to something that it sees read-only: mov, xchg, cmpxchg, and, bts. */
static void step_emulate(struct input *in, unsigned int who)
{
    static const uint8_t code[][8] = {
        { 0x48, 0x89, 0x07 },
        { 0x48, 0x87, 0x07 },
        { 0xf0, 0x48, 0x0f, 0xb1, 0x0f },
        { 0xf0, 0x48, 0x21, 0x07 },
        { 0x89, 0x07 },
        { 0x88, 0x07 },
        { 0xf0, 0x48, 0x0f, 0xba, 0x2f, 1 },
        { 0x48, 0xc7, 0x07, 0, 0, 0, 0 },
    };
    static uint8_t text[16];
    struct regs r = { 0 };
    uint64_t va = pick_va(in) + pick_index(in) % 512 * 8;

    uint8_t which = byte(in);

    memcpy(text, code[which & 7], 8);
    for (unsigned int i = 0; which >= 192 && i < sizeof text; i++) {
        text[i] = byte(in); /* or any instruction at all */
    }
    r.rip = (uintptr_t)text;
    r.rdi = va + (byte(in) > 240 ? 3 : 0);
    r.rax = pick_entry(in, who);
    r.rcx = pick_entry(in, who);
    (void)pt_write_emulate(port_current(), &r, va);
}

static void step_memory(struct input *in, unsigned int who)
{
    struct actor *a = &actors[who];
    unsigned int i = byte(in) % POOL;

    if (a->pool[i] == NULL) {
        a->pool[i] = heap_alloc_domain(a->g.d, 0, HEAP_ANY, M2P_INVALID);
        return;
    }
    struct frame *f = a->pool[i];
    if (byte(in) & 1) {
        if (frame_release(f, a->g.d) == 0) {
            a->pool[i] = NULL;
        }
    } else if (frame_take(f, a->g.d) == 0) {
        if (byte(in) & 1) {
            frame_untake(f, a->g.d);
        } else {
            frame_free_taken(f, a->g.d);
            a->pool[i] = NULL;
        }
    }
}

static void step_grant(struct input *in, unsigned int who)
{
    struct frame *f = frame_of(MFN(pick_mfn(in, !who)));
    struct domain *owner = actors[!who].g.d;
    bool writable = byte(in) & 1;
    uint64_t va = pick_va(in);
    pte_t old = 0;

    if (f == NULL || (writable ? frame_get_writable(f, owner) : frame_get(f, owner)) != 0) {
        return;
    }
    pte_t e = kit_pte(f, writable ? K_RW : K_RO);
    if (pt_set_l1_by_va(port_current(), va, e, &old) != 0) {
        old = e;
    }
    pt_entry_put(actors[who].g.d, old);
}

static void unload(unsigned int who)
{
    for (unsigned int i = 0; i < VCPUS; i++) {
        host_cpu_enter(who * VCPUS + i);
        host_load(NULL);
    }
    host_cpu_enter(0);
}

static void kill_and_make(unsigned int who)
{
    unload(who);
    memset(pending[who], 0, sizeof pending[who]);
    host_domain_end(actors[who].g.d);
    actor_make(who);
}

/* The loaded vcpu touches what it can of its first pages, and so remembers the translations. */
static void touch_all(uint8_t b)
{
    for (unsigned int i = 0; i < 16; i++) {
        uint64_t val = 0;
        if (!host_access(port_current(), KIT_VA + i * PAGE_SIZE + 4088, false, &val)) {
            continue;
        }
        if ((b & 8) != 0) {
            (void)host_access(port_current(), KIT_VA + i * PAGE_SIZE + 4088, true, &val);
        }
    }
}

static void step(struct input *in)
{
    uint8_t b = byte(in);
    unsigned int who = b & 1;
    unsigned int vcpu = (b >> 1) & 1;
    struct pending *p = &pending[who][vcpu];
    uint8_t kind = byte(in);

    /* Every vcpu has a cpu of its own, so that translations stay where they are until somebody
     * flushes them. */
    host_cpu_enter(who * VCPUS + vcpu);
    if (port_current() != actors[who].g.d->vcpu[vcpu]) {
        host_load(actors[who].g.d->vcpu[vcpu]);
    }
    if (port_current()->arch.root_kernel == NULL) {
        (void)mm_set_root(port_current(), frame_mfn(actors[who].g.l4), false);
        if (port_current()->arch.root_kernel == NULL) {
            return;
        }
    }
    touch_all(b);
    if (p->fn != NULL && (b & 0xc0) != 0xc0) {
        run(who, p); /* the rest of the time the request is forgotten, as a guest may do */
        return;
    }
    switch (kind % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
        step_mmu_update(in, who, p);
        run(who, p);
        break;
    case 4:
    case 5:
    case 6:
        step_mmuext(in, who, p);
        run(who, p);
        break;
    case 7:
    case 8:
        step_va(in, who, p);
        run(who, p);
        break;
    case 9:
        step_desc(in, who);
        break;
    case 10:
    case 11:
        step_store(in, who);
        break;
    case 12:
        step_access(in, who);
        break;
    case 13:
        step_emulate(in, who);
        break;
    case 14:
        step_memory(in, who);
        break;
    default:
        if (kind == 255 && who == 1) {
            kill_and_make(who);
        } else {
            step_grant(in, who);
        }
        break;
    }
}

/* Any bytes are a valid sequence. */
/* An input of that length takes some 10 ms: more would leave libFuzzer too few of them. */
size_t fuzz_length(void)
{
    return FUZZ_LENGTH;
}

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    uint32_t x = index * 2654435761u + 1;

    if (index >= 32 || size < FUZZ_LENGTH) {
        return 0;
    }
    for (size_t i = 0; i < FUZZ_LENGTH; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (uint8_t)(x >> 24);
    }
    return FUZZ_LENGTH;
}

static uint64_t baseline;

int fuzz_one(const uint8_t *data, size_t size)
{
    static bool is_ready;
    struct input in = { data, size };

    if (!is_ready) {
        kit_machine(1024, 4);
        is_ready = true;
    }
    actor_make(0);
    actor_make(1);
    host_inject_yields(1u + (byte(&in) & 3u) * 2u, byte(&in));
    for (unsigned int steps = 0; in.left != 0 && steps < STEPS_MAX; steps++) {
        step(&in);
        /* The caches each time, the counts often: a count that is wrong stays so. */
        host_tlb_audit();
        if (steps % 4 == 3) {
            kit_audit();
        }
    }
    unload(0);
    unload(1);
    /* Both at once: what one holds of the other must not keep it alive. */
    host_domain_end(actors[1].g.d);
    host_domain_end(actors[0].g.d);
    kit_audit();
    uint64_t now = heap_free_frames();
    if (baseline != 0 && now + 8 < baseline) {
        abort(); /* frames are lost (a few stay in object pools) */
    }
    baseline = baseline == 0 ? now : baseline;
    return 0;
}
