/* SPDX-License-Identifier: MIT */
/*
 * The walker.  Words of walked frames go through these states (mm(d) held for every change):
 *
 *   any type, no type references --take_type--> PTn, 1 type reference, PARTIAL --all entries
 * taken--> VALID VALID, last type reference   --drop_type--> PTn, 1 type reference, PARTIAL --all
 * entries dropped--> PTn, none
 *
 * so a PARTIAL frame is always on the path of the cursor, or is a level-1 table inside one unit of
 * work.
 */
#include "guest/pt_walk.h"

#include "base/panic.h"
#include "guest/pt_l1.h"
#include "guest/x86_slots.h"

/* take_type(): a new use of the type, or the first one. */
#define TAKEN_VALID 0
#define TAKEN_FRESH 1

static enum frame_type level_type(unsigned int level)
{
    return (enum frame_type)(FT_PT1 + level - 1);
}

static unsigned int type_level(enum frame_type t)
{
    return (unsigned int)t - FT_PT1 + 1;
}

/*
 * A reference and a type reference on f as page table.  TAKEN_VALID; TAKEN_FRESH: it is PARTIAL now
 * and its entries are to be taken; -EINVAL.
 */
static int take_type(struct domain *d, struct frame *f, enum frame_type t)
{
    const uint64_t is_valid = FW_TYPE(t) | FW_VALID;
    uint64_t next;

    /* A reference before all else: without one a word may be another owner's. */
    if (frame_get(f, d) != 0) {
        return -EINVAL;
    }
    uint64_t w = frame_word(f);
    for (;;) {
        /* Under the lock nobody else makes d's valid tables something else. */
        bool is_ready = (w & (FW_TYPE_MASK | FW_VALID)) == is_valid;
        if (!is_ready && (w & (FW_TREFS_MASK | FW_PARTIAL)) != 0) {
            frame_put(f);
            return -EINVAL;
        }
        next = is_ready ? w : (w & ~(FW_TYPE_MASK | FW_VALID)) | FW_TYPE(t) | FW_PARTIAL;
        if (!is_ready && frame_word_type(w) != FT_NONE && frame_word_type(w) != t) {
            next |= FW_SETTLING;
        }
        if (frame_cas(f, &w, next + FW_TREF)) {
            break;
        }
    }
    if ((w & (FW_TYPE_MASK | FW_VALID)) == is_valid) {
        return TAKEN_VALID;
    }
    if ((next & FW_SETTLING) != 0) {
        frame_settle(f, frame_word_type(w));
    }
    return TAKEN_FRESH;
}

/* Drop a use of the type; the last one keeps the references, makes the frame PARTIAL and returns
 * true. */
static bool drop_type(struct frame *f)
{
    uint64_t w = frame_word(f);
    bool last;

    for (;;) {
        last = (w & FW_TREFS_MASK) == FW_TREF;
        bug_if((w & FW_VALID) == 0);
        if (last && (w & FW_LOCK) != 0) {
            port_cpu_relax();
            w = frame_word(f);
        } else if (frame_cas(f, &w, last ? (w & ~FW_VALID) | FW_PARTIAL : w - FW_REF - FW_TREF)) {
            return last;
        }
    }
}

static void set_valid(struct frame *f)
{
    /* Others may add and drop plain references meanwhile. */
    uint64_t w = frame_word(f);

    while (!frame_cas(f, &w, (w & ~FW_PARTIAL) | FW_VALID)) {
    }
}

/* A PARTIAL table holds nothing any more: its last type reference and a reference go. */
static void end_type(struct frame *f)
{
    uint64_t w = frame_word(f);

    /* Nobody else takes or drops a type of a PARTIAL table: the clock may be read first. */
    f->stamp = port_tlb_stamp();
    while (!frame_cas(f, &w, (w & ~(FW_PARTIAL | FW_VALID)) - FW_TREF)) {
    }
    frame_put(f);
}

static void l1_drop(struct domain *d, struct frame *f, unsigned int n)
{
    const pte_t *p = pt_entries(f);

    for (unsigned int i = 0; i < n; i++) {
        pte_t e = pt_read(&p[i]);
        if ((e & PTE_P) != 0) {
            pt_l1_put(d, e);
        }
    }
}

/* All entries of a level-1 table that nobody can write now. */
static int l1_validate(struct domain *d, struct frame *f)
{
    pte_t *p = pt_entries(f);

    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        pte_t e = pt_read(&p[i]);
        int rc = 0;
        if (e == 0) {
            continue; /* most of them */
        }
        if ((e & PTE_P) != 0) {
            rc = pt_l1_adjust(d, &e);
            if (rc == 0) {
                rc = pt_l1_get(d, d, &e);
            }
        } else if (__builtin_expect(!pt_absent_leaks(d, e), 1)) {
            continue;
        } else {
            rc = -EINVAL;
        }
        if (__builtin_expect(rc != 0, 0)) {
            l1_drop(d, f, i);
            return rc == -EAGAIN ? -EINVAL : rc;
        }
        pt_write(&p[i], e);
    }
    return 0;
}

uint64_t x86_l1tf_mask;
uint64_t x86_l1tf_span;
bool x86_root_watched;
_Atomic uint64_t x86_root_changes;

/* The hypervisor's part of a top-level table is there before the table can be loaded, and gone
 * before it is memory again. */
static void l4_slots(struct frame *f, bool fill)
{
    pte_t *p = pt_entries(f);

    for (unsigned int i = PT4_HV_FIRST; i <= PT4_HV_LAST; i++) {
        pt_write(&p[i], fill ? x86_hv_slots[i - PT4_HV_FIRST] : 0);
    }
    x86_root_changed();
}

static void hold_add(struct domain *d, struct frame *f, enum frame_type t, int error)
{
    struct pt_cursor *c = &d->arch.pt;
    struct pt_hold *h = NULL;

    for (unsigned int i = 0; i < PT_HOLDS && h == NULL; i++) {
        h = c->hold[i].who == NULL ? &c->hold[i] : NULL;
    }
    bug_if(h == NULL); /* a walk begins only when there is a place for its result */
    c->holds++;
    *h = (struct pt_hold){ .who = c->who, .f = f, .type = t, .error = error };
}

/* The walk is over: what it was for waits in a hold. */
static void cursor_end(struct domain *d)
{
    struct pt_cursor *c = &d->arch.pt;

    c->active = false;
    if (!c->drop) {
        hold_add(d, c->f[c->top], level_type(c->top), 0);
    } else if (c->failed) {
        hold_add(d, c->f[c->top], level_type(c->top), c->error);
    }
}

static void begin(struct domain *d, struct frame *f, enum frame_type t, bool drop)
{
    struct pt_cursor *c = &d->arch.pt;

    c->active = true;
    c->drop = drop;
    c->failed = false;
    c->error = 0;
    c->top = (uint8_t)type_level(t);
    c->level = c->top;
    c->who = port_current();
    c->f[c->top] = f;
    c->next[c->top] = drop ? PT_ENTRIES : 0;
    if (t == FT_PT4 && !drop) {
        l4_slots(f, true);
    }
}

static void descend(struct pt_cursor *c, struct frame *f)
{
    c->level--;
    c->f[c->level] = f;
    c->next[c->level] = c->drop ? PT_ENTRIES : 0;
}

/* The entry at the cursor is taken. */
static void entry_done(struct pt_cursor *c)
{
    pte_t *p = &pt_entries(c->f[c->level])[c->next[c->level]];

    pt_write(p, pt_upper_adjust(pt_read(p)));
    c->next[c->level]++;
}

/* From here on the walk gives back what it has taken. */
static void fail(struct pt_cursor *c, int error)
{
    c->drop = true;
    c->failed = true;
    c->error = error;
}

/* One step of a validation; true after a unit of work. */
static bool validate_step(struct domain *d)
{
    struct pt_cursor *c = &d->arch.pt;
    struct frame *f = c->f[c->level];
    unsigned int i = c->next[c->level];

    if (i == PT_ENTRIES) {
        set_valid(f);
        if (c->level == c->top) {
            cursor_end(d);
        } else {
            c->level++;
            entry_done(c);
        }
        return false;
    }
    pte_t e = pt_read(&pt_entries(f)[i]);
    if (e == 0 || pt_slot_is_hv(c->level, i) || ((e & PTE_P) == 0 && !pt_absent_leaks(d, e))) {
        c->next[c->level]++;
        return false;
    }
    struct frame *child = (e & PTE_P) != 0 ? frame_of(pte_mfn(e)) : NULL;
    unsigned int level = c->level - 1u;
    int rc = pt_upper_check(e);
    if (rc == 0) {
        rc = child == NULL ? -EINVAL : take_type(d, child, level_type(level));
    }
    if (rc == TAKEN_VALID) {
        entry_done(c);
        return false;
    }
    if (rc < 0) {
        fail(c, rc);
        return false;
    }
    if (level > 1) {
        descend(c, child);
        return false;
    }
    rc = l1_validate(d, child);
    if (rc == 0) {
        set_valid(child);
        entry_done(c);
    } else {
        end_type(child);
        fail(c, rc);
    }
    return true;
}

/* One step of giving up; true after a unit of work. */
static bool drop_step(struct domain *d)
{
    struct pt_cursor *c = &d->arch.pt;
    struct frame *f = c->f[c->level];

    if (c->next[c->level] == 0) {
        if (c->level == 4) {
            l4_slots(f, false);
        }
        bool was_top = c->level == c->top;
        if (was_top) {
            cursor_end(d);
        } else {
            c->level++;
        }
        end_type(f);
        return false;
    }
    unsigned int i = --c->next[c->level];
    pte_t e = pt_read(&pt_entries(f)[i]);
    if ((e & PTE_P) == 0 || pt_slot_is_hv(c->level, i)) {
        return false;
    }
    struct frame *child = frame_of(pte_mfn(e));
    if (!drop_type(child)) {
        return false;
    }
    if (c->level > 2) {
        descend(c, child);
        return false;
    }
    l1_drop(d, child, PT_ENTRIES);
    end_type(child);
    return true;
}

/* Also when another cpu waits for us to be done: it does nothing else meanwhile. */
static bool is_to_pause(const struct domain *d)
{
    return hcall_preempt_check() || spin_is_wanted(&d->mm_lock) || spin_is_wanted(&d->life_lock);
}

/* Runs the cursor to its end or to the next pause. 0 or HC_AGAIN. */
static int64_t run(struct domain *d)
{
    struct pt_cursor *c = &d->arch.pt;
    unsigned int steps = 0;

    while (c->active) {
        bool unit = c->drop ? drop_step(d) : validate_step(d);
        steps++;
        if ((unit || steps % PT_ENTRIES == 0) && c->active && is_to_pause(d)) {
            return HC_AGAIN;
        }
    }
    return 0;
}

int64_t pt_finish(struct domain *d)
{
    return d->arch.pt.active ? run(d) : 0;
}

int64_t pt_finish_unlocked(struct domain *d)
{
    spin_lock(&d->mm_lock);
    int64_t rc = pt_finish(d);
    spin_unlock(&d->mm_lock);
    return rc;
}

/* The hold of the current vcpu's request; NULL if it has none. */
static struct pt_hold *hold_mine(struct domain *d)
{
    const struct vcpu *who = port_current();

    if (__builtin_expect(d->arch.pt.holds == 0, 1)) {
        return NULL;
    }
    for (unsigned int i = 0; i < PT_HOLDS; i++) {
        if (d->arch.pt.hold[i].who == who) {
            return &d->arch.pt.hold[i];
        }
    }
    return NULL;
}

static void hold_end(struct domain *d, struct pt_hold *h)
{
    h->who = NULL;
    d->arch.pt.holds--;
}

/* Give up a hold. 0 or HC_AGAIN: given up, but a walk is pending. */
static int64_t hold_drop(struct domain *d, struct pt_hold *h)
{
    struct frame *f = h->f;

    hold_end(d, h);
    return h->error == 0 ? pt_put(d, f) : 0;
}

/* There is room for the result of the walk that is about to begin. 0 or HC_AGAIN. */
static int64_t hold_room(struct domain *d)
{
    struct pt_cursor *c = &d->arch.pt;

    return c->holds < PT_HOLDS ? 0 : hold_drop(d, &c->hold[c->hold_next++ % PT_HOLDS]);
}

int64_t pt_drop_holds(struct domain *d)
{
    int64_t rc = pt_finish(d);

    for (unsigned int i = 0; i < PT_HOLDS && rc == 0; i++) {
        if (d->arch.pt.hold[i].who != NULL) {
            rc = hold_drop(d, &d->arch.pt.hold[i]);
        }
    }
    return rc;
}

/* A level-1 table of its own: one unit of work. */
static int64_t l1_first(struct domain *d, struct frame *f)
{
    int rc = l1_validate(d, f);

    if (rc != 0) {
        end_type(f);
        return rc;
    }
    set_valid(f);
    return 0;
}

/*
 * A table for a request of the current vcpu.  What an earlier pass of the same request has left in
 * a hold is used; what is left of another request is given up.
 */
int64_t pt_get_valid(struct domain *d, struct frame *f, enum frame_type t)
{
    int64_t rc = pt_finish(d);

    if (rc != 0) {
        return rc;
    }
    struct pt_hold *h = hold_mine(d);
    if (__builtin_expect(h != NULL, 0)) {
        if (h->f == f && h->type == t) {
            hold_end(d, h);
            return h->error;
        }
        rc = hold_drop(d, h);
        if (rc != 0) {
            return rc;
        }
    }
    rc = hold_room(d);
    if (rc != 0) {
        return rc;
    }
    int taken = take_type(d, f, t);
    if (__builtin_expect(taken != TAKEN_FRESH, 1)) {
        return taken;
    }
    if (t == FT_PT1) {
        return l1_first(d, f);
    }
    begin(d, f, t, false);
    rc = run(d);
    if (rc != 0) {
        return rc;
    }
    h = hold_mine(d);
    bug_if(h == NULL || h->f != f);
    hold_end(d, h);
    return h->error;
}

int64_t pt_put(struct domain *d, struct frame *f)
{
    enum frame_type t = frame_word_type(frame_word(f));

    if (!drop_type(f)) {
        return 0;
    }
    if (t == FT_PT1) {
        l1_drop(d, f, PT_ENTRIES);
        end_type(f);
        return 0;
    }
    begin(d, f, t, true);
    return run(d);
}
