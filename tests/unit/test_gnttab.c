/* SPDX-License-Identifier: MIT */
/* Grant tables: every operation, every refusal with everything undone, and both deaths; an audit of
 * all frames each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "abi/grant.h"
#include "arch/host/machine.h"
#include "gnttab/gnttab.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "tests/unit/mm_kit.h"

#define VA(i)    (KIT_VA + (i)*PAGE_SIZE)
#define FIRST    8u
#define FREE_PTE 100u /* level-1 entries of the mapper from here on are empty */

static struct kit_guest back, front; /* who maps, who grants */
static struct grant_entry_v1 *table; /* front's */
static uint64_t free_before;

static void count_pins(struct audit *a)
{
    domid_t id = 0;
    struct domain *d;

    while ((d = domain_get_next(id)) != NULL) {
        gnttab_audit_refs(d, a);
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
}

static void audit(void)
{
    audit_all(count_pins);
    host_tlb_audit();
    if (back.d != NULL) {
        gnttab_audit(back.d);
    }
    if (front.d != NULL) {
        gnttab_audit(front.d);
    }
}

static int64_t op(unsigned int cmd, void *arg, unsigned int count)
{
    int64_t rc = kit_call(hc_grant_table_op, cmd, (uintptr_t)arg, count, 0);

    audit();
    return rc;
}

static void as(struct kit_guest *g)
{
    host_load(g->v);
}

static void table_make(void)
{
    uint64_t mfn = 0;
    struct gnttab_setup_table s = { .dom = DOMID_SELF,
                                    .nr_frames = 1,
                                    .frame_list = { (uintptr_t)&mfn } };

    as(&front);
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_okay);
    table = port_frame_va(MFN(mfn));
    as(&back);
}

static int setup(void **state)
{
    (void)state;
    free_before = heap_free_frames();
    kit_guest(&back, true, 2);
    kit_guest(&front, false, 1);
    table_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_inject_yields(0, 0);
    host_fault_at(0);
    if (back.d != NULL) {
        kit_guest_end(&back);
    }
    if (front.d != NULL) {
        kit_guest_end(&front);
    }
    domain_audit();
    assert_int_equal(heap_free_frames(), free_before);
    return 0;
}

static void grant(uint32_t ref, const struct frame *f, uint16_t flags)
{
    table[ref] = (struct grant_entry_v1){ .flags = flags,
                                          .domid = back.d->id,
                                          .frame = (uint32_t)frame_mfn(f).n };
}

static struct gnttab_map_grant_ref map(uint64_t addr, uint32_t flags, uint32_t ref)
{
    struct gnttab_map_grant_ref m = {
        .host_addr = addr, .flags = flags, .ref = ref, .dom = front.d->id
    };

    assert_int_equal(op(GNTTABOP_map_grant_ref, &m, 1), 0);
    return m;
}

static int16_t map_status(uint64_t addr, uint32_t flags, uint32_t ref)
{
    uint32_t pinned = gnttab_pinned(front.d);
    uint32_t mapped = gnttab_mapped(back.d);
    int16_t status = map(addr, flags, ref).status;

    /* A refusal leaves nothing behind. */
    assert_true(status == GNTST_okay ||
                (gnttab_pinned(front.d) == pinned && gnttab_mapped(back.d) == mapped));
    return status;
}

static int16_t unmap(uint64_t addr, uint64_t dev, uint32_t handle)
{
    struct gnttab_unmap_grant_ref u = {
        .host_addr = addr, .dev_bus_addr = dev, .handle = handle, .status = 77
    };

    assert_int_equal(op(GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

static void test_map_unmap(void **state)
{
    static const uint32_t kinds[] = { 0,
                                      GNTMAP_readonly,
                                      GNTMAP_application_map,
                                      GNTMAP_contains_pte,
                                      GNTMAP_contains_pte | GNTMAP_readonly |
                                          GNTMAP_application_map,
                                      1u << 16 };

    (void)state;
    assert_int_equal(gnttab_handle_frames(back.d), 0);
    grant(FIRST, front.data[0], GTF_permit_access);
    kit_poke(front.data[0], 0, 0x1234567);
    for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool by_pte = (kinds[i] & GNTMAP_contains_pte) != 0;
        bool readonly = (kinds[i] & GNTMAP_readonly) != 0;
        uint64_t addr = by_pte ? kit_maddr(back.l1, FREE_PTE) : VA(FREE_PTE);
        struct gnttab_map_grant_ref m = map(addr, GNTMAP_host_map | kinds[i], FIRST);
        uint64_t val = 0;
        assert_int_equal(m.status, GNTST_okay);
        assert_int_equal(table[FIRST].flags,
                         GTF_permit_access | GTF_reading | (readonly ? 0 : GTF_writing));
        assert_true(host_access(back.v, VA(FREE_PTE), false, &val));
        assert_int_equal(val, 0x1234567);
        assert_int_equal(host_access(back.v, VA(FREE_PTE), true, &val), !readonly);
        assert_int_equal((kit_entry(back.l1, FREE_PTE) & PTE_AVL) >> 9, kinds[i] >> 16);
        assert_int_equal(gnttab_pinned(front.d), 1);
        assert_int_equal(gnttab_mapped(back.d), 1);

        assert_int_equal(unmap(addr + 8 * 4096, 0, m.handle), GNTST_general_error);
        assert_int_equal(unmap(addr, 0, m.handle), GNTST_okay);
        assert_int_equal(table[FIRST].flags, GTF_permit_access);
        assert_false(host_access(back.v, VA(FREE_PTE), false, &val));
        assert_int_equal(unmap(addr, 0, m.handle), GNTST_bad_handle);
        assert_int_equal(gnttab_pinned(front.d), 0);
        assert_int_equal(gnttab_mapped(back.d), 0);
        assert_int_equal(gnttab_handle_frames(back.d), 3); /* kept: one, and two of pointers */
    }
}

static void test_refusals(void **state)
{
    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    grant(FIRST + 1, front.data[1], GTF_permit_access | GTF_readonly);
    grant(FIRST + 2, front.l1, GTF_permit_access);     /* a page table */
    grant(FIRST + 3, back.data[0], GTF_permit_access); /* not his */
    table[FIRST + 4] = (struct grant_entry_v1){ GTF_permit_access, back.d->id, UINT32_MAX };
    table[FIRST + 5] = (struct grant_entry_v1){ GTF_permit_access, 99, table[FIRST].frame };
    table[FIRST + 6] =
        (struct grant_entry_v1){ GTF_accept_transfer, back.d->id, table[FIRST].frame };
    table[FIRST + 7] =
        (struct grant_entry_v1){ GTF_permit_access | GTF_sub_page, back.d->id, table[FIRST].frame };

    assert_int_equal(map_status(VA(FREE_PTE), 0, FIRST), GNTST_bad_gntref);
    assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_readonly, FIRST), GNTST_bad_gntref);
    assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_host_map, 512), GNTST_bad_gntref);
    assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_host_map, UINT32_MAX), GNTST_bad_gntref);
    assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_host_map, FIRST + 1), GNTST_general_error);
    assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_host_map, FIRST + 2), GNTST_general_error);
    assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_host_map, FIRST + 3), GNTST_general_error);
    assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_host_map, FIRST + 4), GNTST_bad_page);
    for (uint32_t i = 5; i < 9; i++) {
        assert_int_equal(map_status(VA(FREE_PTE), GNTMAP_host_map, FIRST + i), GNTST_general_error);
    }
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(table[FIRST + i].flags & (GTF_reading | GTF_writing), 0);
    }
    /* Places that are none. */
    assert_int_equal(map_status(VA(512 * 512), GNTMAP_host_map, FIRST), GNTST_general_error);
    assert_int_equal(map_status(HV_VIRT_START, GNTMAP_host_map, FIRST), GNTST_general_error);
    assert_int_equal(map_status(UINT64_C(1) << 60, GNTMAP_host_map, FIRST), GNTST_general_error);
    assert_int_equal(
        map_status(kit_maddr(back.l1, FREE_PTE) + 4, GNTMAP_host_map | GNTMAP_contains_pte, FIRST),
        GNTST_general_error);
    assert_int_equal(
        map_status(kit_maddr(back.l2, 5), GNTMAP_host_map | GNTMAP_contains_pte, FIRST),
        GNTST_general_error);
    assert_int_equal(
        map_status(kit_maddr(front.l1, 5), GNTMAP_host_map | GNTMAP_contains_pte, FIRST),
        GNTST_general_error);
    assert_int_equal(
        map_status(kit_maddr(back.data[0], 5), GNTMAP_host_map | GNTMAP_contains_pte, FIRST),
        GNTST_general_error);
    assert_int_equal(map_status(~UINT64_C(7), GNTMAP_host_map | GNTMAP_contains_pte, FIRST),
                     GNTST_general_error);

    struct gnttab_map_grant_ref m = {
        .host_addr = VA(FREE_PTE), .flags = GNTMAP_host_map, .ref = FIRST, .dom = 77
    };
    assert_int_equal(op(GNTTABOP_map_grant_ref, &m, 1), 0);
    assert_int_equal(m.status, GNTST_bad_domain);
    m.dom = DOMID_SELF;
    assert_int_equal(op(GNTTABOP_map_grant_ref, &m, 1), 0);
    assert_int_equal(m.status, GNTST_bad_domain);

    assert_int_equal(unmap(VA(FREE_PTE), 0, 0), GNTST_bad_handle);
    assert_int_equal(unmap(VA(FREE_PTE), 0, UINT32_MAX), GNTST_bad_handle);
    assert_int_equal(unmap(VA(FREE_PTE), 0, 1023), GNTST_bad_handle);
    for (unsigned int cmd = 0; cmd < 20; cmd++) {
        assert_int_equal(op(cmd, &m, UINT32_MAX), -EINVAL);
    }
    assert_int_equal(op(GNTTABOP_transfer, &m, 1), -ENOSYS);
    assert_int_equal(op(GNTTABOP_get_status_frames, &m, 1), -ENOSYS);
    assert_int_equal(op(GNTTABOP_cache_flush, &m, 1), -ENOSYS);
    assert_int_equal(op(99, &m, 1), -ENOSYS);
}

static void test_table(void **state)
{
    uint64_t mfns[8] = { 0 };
    struct gnttab_query_size q = { .dom = DOMID_SELF };
    struct gnttab_setup_table s = { .dom = DOMID_SELF,
                                    .nr_frames = 5,
                                    .frame_list = { (uintptr_t)mfns } };
    struct gnttab_set_version v = { 1 };
    struct gnttab_get_version gv = { .dom = DOMID_SELF };

    (void)state;
    as(&front);
    assert_int_equal(op(GNTTABOP_query_size, &q, 1), 0);
    assert_int_equal(q.status, GNTST_okay);
    assert_int_equal(q.nr_frames, 1);
    assert_int_equal(q.max_nr_frames, 4);
    assert_int_equal(op(GNTTABOP_query_size, &q, 2), -EINVAL);
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_general_error);
    s.nr_frames = 4;
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_okay);
    assert_ptr_equal(port_frame_va(MFN(mfns[0])), table);
    assert_ptr_equal(frame_of(MFN(mfns[3]))->owner, front.d);
    s.dom = back.d->id;
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_permission_denied);
    s.dom = 99;
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_bad_domain);
    s = (struct gnttab_setup_table){ .dom = DOMID_SELF,
                                     .nr_frames = 1,
                                     .frame_list = { HV_VIRT_START } };
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), -EFAULT);

    assert_int_equal(op(GNTTABOP_set_version, &v, 1), 0);
    v.version = 2;
    assert_int_equal(op(GNTTABOP_set_version, &v, 1), -ENOSYS);
    v.version = 3;
    assert_int_equal(op(GNTTABOP_set_version, &v, 1), -EINVAL);
    assert_int_equal(op(GNTTABOP_get_version, &gv, 1), 0);
    assert_int_equal(gv.version, 1);
    gv.dom = back.d->id;
    assert_int_equal(op(GNTTABOP_get_version, &gv, 1), -EPERM);
    as(&back); /* the control domain may ask of others */
    gv = (struct gnttab_get_version){ .dom = front.d->id };
    assert_int_equal(op(GNTTABOP_get_version, &gv, 1), 0);
    q.dom = front.d->id;
    assert_int_equal(op(GNTTABOP_query_size, &q, 1), 0);
    assert_int_equal(q.nr_frames, 4);
    /* Nothing set up: every operation has an answer. */
    struct gnttab_swap_grant_ref w = { 0, 1, 0 };
    assert_int_equal(op(GNTTABOP_swap_grant_ref, &w, 1), 0);
    assert_int_equal(w.status, GNTST_bad_gntref);
}

/* Several users of one grant; the entry changes under them. */
static void test_pins(void **state)
{
    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    struct gnttab_map_grant_ref ro = map(VA(FREE_PTE), GNTMAP_host_map | GNTMAP_readonly, FIRST);
    struct gnttab_map_grant_ref rw = map(VA(FREE_PTE + 1), GNTMAP_host_map, FIRST);
    assert_int_equal(ro.status | rw.status, 0);
    assert_int_equal(gnttab_pinned(front.d), 1);
    assert_int_equal(unmap(VA(FREE_PTE + 1), 0, rw.handle), GNTST_okay);
    assert_int_equal(table[FIRST].flags, GTF_permit_access | GTF_reading);
    /* Another frame, another domain: refused while it is in use. */
    table[FIRST].frame = (uint32_t)frame_mfn(front.data[1]).n;
    assert_int_equal(map_status(VA(FREE_PTE + 1), GNTMAP_host_map, FIRST), GNTST_general_error);
    table[FIRST].frame = (uint32_t)frame_mfn(front.data[0]).n;
    table[FIRST].flags |= GTF_readonly;
    assert_int_equal(map_status(VA(FREE_PTE + 1), GNTMAP_host_map, FIRST), GNTST_general_error);
    assert_int_equal(unmap(VA(FREE_PTE), 0, ro.handle), GNTST_okay);
    assert_int_equal(table[FIRST].flags, GTF_permit_access | GTF_readonly);
    /* The granter may revoke the bits; that harms nobody but himself. */
    rw = map(VA(FREE_PTE), GNTMAP_host_map | GNTMAP_readonly, FIRST);
    table[FIRST].flags = 0;
    assert_int_equal(unmap(VA(FREE_PTE), 0, rw.handle), GNTST_okay);
    assert_int_equal(table[FIRST].flags, 0);
}

/* Both ways to map at once, given back in either order; addresses that do not fit are refused. */
static void test_device(void **state)
{
    (void)state;
    uint64_t dev = mfn_to_paddr(frame_mfn(front.data[0]));
    grant(FIRST, front.data[0], GTF_permit_access);
    struct gnttab_map_grant_ref m = map(VA(FREE_PTE), GNTMAP_host_map | GNTMAP_device_map, FIRST);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(m.dev_bus_addr, dev);
    assert_int_equal(unmap(0, 0, m.handle), GNTST_okay); /* nothing asked, nothing done */
    assert_int_equal(unmap(0, dev + 4096, m.handle), GNTST_bad_dev_addr);
    assert_int_equal(unmap(VA(FREE_PTE), dev + 4096, m.handle), GNTST_bad_dev_addr);
    assert_int_equal(unmap(VA(FREE_PTE), 0, m.handle), GNTST_okay);
    assert_int_equal(gnttab_mapped(back.d), 1);
    assert_int_equal(table[FIRST].flags & GTF_writing, GTF_writing);
    assert_int_equal(unmap(0, dev, m.handle), GNTST_okay);
    assert_int_equal(gnttab_mapped(back.d), 0);
    m = map(VA(FREE_PTE), GNTMAP_host_map | GNTMAP_device_map, FIRST);
    assert_int_equal(unmap(0, dev, m.handle), GNTST_okay);
    assert_int_equal(unmap(VA(FREE_PTE), dev, m.handle), GNTST_okay);
    m = map(VA(FREE_PTE), GNTMAP_host_map | GNTMAP_device_map, FIRST);
    assert_int_equal(unmap(VA(FREE_PTE), dev, m.handle), GNTST_okay);
    m = map(0, GNTMAP_device_map | GNTMAP_readonly, FIRST);
    assert_int_equal(unmap(0, dev, m.handle), GNTST_okay);
    assert_int_equal(table[FIRST].flags, GTF_permit_access);
}

/* The guest overwrites the entry of a mapping, or changes what it may: counts stay right. */
static void test_overwritten(void **state)
{
    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    struct gnttab_map_grant_ref m = map(VA(FREE_PTE), GNTMAP_host_map, FIRST);
    assert_int_equal(kit_update_va(VA(FREE_PTE), 0, 0), 0);
    audit();
    assert_int_equal(unmap(VA(FREE_PTE), 0, m.handle), GNTST_general_error);
    assert_int_equal(gnttab_pinned(front.d), 1); /* until its mapper dies */
    kit_guest_end(&back);
    assert_int_equal(gnttab_pinned(front.d), 0);
    assert_int_equal(table[FIRST].flags, GTF_permit_access);
}

static void test_granter_dies(void **state)
{
    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    struct gnttab_map_grant_ref m = map(VA(FREE_PTE), GNTMAP_host_map, FIRST);
    struct domain *d = front.d;
    domid_t id = d->id;
    kit_poke(front.data[0], 3, 42);
    host_load(NULL);
    domain_ref(d);
    front.d = NULL;
    while (domain_kill(d) != 0) {
    }
    domain_put(d);
    domain_deferred_run();
    as(&back);
    d = domain_get(id); /* still listed, dying */
    assert_non_null(d);
    assert_true(domain_is_dying(d));
    domain_put(d);
    uint64_t val = 0;
    assert_true(host_access(back.v, VA(FREE_PTE) + 24, false, &val));
    assert_int_equal(val, 42);
    struct gnttab_map_grant_ref again = {
        .host_addr = VA(FREE_PTE + 1), .flags = GNTMAP_host_map, .ref = FIRST, .dom = id
    };
    assert_int_equal(op(GNTTABOP_map_grant_ref, &again, 1), 0);
    assert_int_equal(again.status, GNTST_bad_domain);
    assert_int_equal(unmap(VA(FREE_PTE), 0, m.handle), GNTST_okay);
    domain_deferred_run();
    assert_null(domain_get(id));
}

static void test_mapper_dies(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        grant(FIRST + i, front.data[i], GTF_permit_access);
        assert_int_equal(
            map(VA(FREE_PTE + i), GNTMAP_host_map | (i & 1 ? GNTMAP_readonly : 0), FIRST + i)
                .status,
            0);
    }
    host_inject_yields(1, 5);
    kit_guest_end(&back);
    audit();
    assert_int_equal(gnttab_pinned(front.d), 0);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(table[FIRST + i].flags, GTF_permit_access);
    }
}

static struct gnttab_copy copy_op(uint32_t from_ref, const struct frame *to)
{
    struct gnttab_copy c = { .source.u.ref = from_ref,
                             .source.domid = front.d->id,
                             .dest.u.gmfn = frame_mfn(to).n,
                             .dest.domid = DOMID_SELF,
                             .len = 4096,
                             .flags = GNTCOPY_source_gref };
    return c;
}

static int16_t copy(struct gnttab_copy c)
{
    c.status = 77;
    assert_int_equal(op(GNTTABOP_copy, &c, 1), 0);
    assert_int_equal(gnttab_pinned(front.d), 0);
    return c.status;
}

static void test_copy(void **state)
{
    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access | GTF_readonly);
    grant(FIRST + 1, front.data[1], GTF_permit_access);
    for (unsigned int i = 0; i < 512; i++) {
        kit_poke(front.data[0], i, i * 0x0101010101010101u);
    }
    const unsigned char *src = port_frame_va(frame_mfn(front.data[0]));
    const unsigned char *dst = port_frame_va(frame_mfn(back.data[0]));
    struct gnttab_copy c = copy_op(FIRST, back.data[0]);
    assert_int_equal(copy(c), GNTST_okay);
    assert_memory_equal(dst, src, 4096);
    memset((void *)(uintptr_t)dst, 0, 4096);
    c.source.offset = 4090;
    c.dest.offset = 1;
    c.len = 6;
    assert_int_equal(copy(c), GNTST_okay);
    assert_memory_equal(dst + 1, src + 4090, 6);
    assert_int_equal(dst[0] + dst[7], 0);
    c.len = 7;
    assert_int_equal(copy(c), GNTST_bad_copy_arg);
    c.source.offset = 0;
    c.dest.offset = 65535;
    assert_int_equal(copy(c), GNTST_bad_copy_arg);
    c = copy_op(FIRST, back.data[0]);
    c.flags = 4;
    assert_int_equal(copy(c), GNTST_bad_copy_arg);
    c = copy_op(FIRST + 1, back.l1); /* no copy writes a page table */
    assert_int_equal(copy(c), GNTST_general_error);
    c = copy_op(FIRST, back.data[0]);
    c.dest.domid = front.d->id;
    assert_int_equal(copy(c), GNTST_permission_denied);
    c.dest.domid = DOMID_SELF;
    c.dest.u.gmfn = frame_mfn(front.data[2]).n;
    assert_int_equal(copy(c), GNTST_bad_page);
    c.dest.u.gmfn = UINT64_MAX;
    assert_int_equal(copy(c), GNTST_bad_page);
    c = copy_op(511, back.data[0]);
    assert_int_equal(copy(c), GNTST_general_error);
    c = copy_op(512, back.data[0]);
    assert_int_equal(copy(c), GNTST_bad_gntref);
    c.source.domid = 99;
    assert_int_equal(copy(c), GNTST_bad_domain);
    /* Onto a grant, and between two. */
    c = copy_op(FIRST, back.data[0]);
    c.dest.u.ref = FIRST;
    c.dest.domid = front.d->id;
    c.flags |= GNTCOPY_dest_gref;
    assert_int_equal(copy(c), GNTST_general_error); /* read-only */
    c.dest.u.ref = FIRST + 1;
    assert_int_equal(copy(c), GNTST_okay);
    assert_memory_equal(port_frame_va(frame_mfn(front.data[1])), src, 4096);
    assert_int_equal(table[FIRST + 1].flags, GTF_permit_access);
}

static void test_swap(void **state)
{
    struct gnttab_swap_grant_ref w = { FIRST, FIRST + 1, 0 };

    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    grant(FIRST + 1, front.data[1], GTF_permit_access | GTF_readonly);
    uint32_t f0 = table[FIRST].frame;
    as(&front);
    assert_int_equal(op(GNTTABOP_swap_grant_ref, &w, 1), 0);
    assert_int_equal(w.status, GNTST_okay);
    assert_int_equal(table[FIRST + 1].frame, f0);
    assert_int_equal(table[FIRST].flags, GTF_permit_access | GTF_readonly);
    w.ref_b = FIRST;
    assert_int_equal(op(GNTTABOP_swap_grant_ref, &w, 1), 0);
    assert_int_equal(w.status, GNTST_okay);
    w.ref_b = 512;
    assert_int_equal(op(GNTTABOP_swap_grant_ref, &w, 1), 0);
    assert_int_equal(w.status, GNTST_bad_gntref);
    as(&back);
    struct gnttab_map_grant_ref m = map(VA(FREE_PTE), GNTMAP_host_map, FIRST + 1);
    as(&front);
    w.ref_b = FIRST + 1;
    assert_int_equal(op(GNTTABOP_swap_grant_ref, &w, 1), 0);
    assert_int_equal(w.status, GNTST_eagain);
    as(&back);
    assert_int_equal(unmap(VA(FREE_PTE), 0, m.handle), GNTST_okay);
}

static void test_replace(void **state)
{
    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    struct gnttab_map_grant_ref m = map(VA(FREE_PTE), GNTMAP_host_map, FIRST);
    struct gnttab_unmap_and_replace r = { .host_addr = VA(FREE_PTE),
                                          .new_addr = VA(FREE_PTE + 1),
                                          .handle = m.handle };
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &r, 1), 0);
    assert_int_equal(r.status, GNTST_general_error); /* nothing there */
    r.new_addr = 0;
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &r, 1), 0);
    assert_int_equal(r.status, GNTST_bad_virt_addr);
    r.new_addr = VA(2);
    pte_t was = kit_entry(back.l1, 2);
    r.host_addr = VA(FREE_PTE + 3);
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &r, 1), 0);
    assert_int_equal(r.status, GNTST_general_error);
    assert_int_equal(kit_entry(back.l1, 2), was);
    r.host_addr = VA(FREE_PTE);
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &r, 1), 0);
    assert_int_equal(r.status, GNTST_okay);
    assert_true(mfn_eq(pte_mfn(kit_entry(back.l1, FREE_PTE)), frame_mfn(back.data[2])));
    assert_int_equal(kit_entry(back.l1, 2), 0);
    assert_int_equal(gnttab_pinned(front.d), 0);
}

/* A batch that yields at every look, with bad ones among the good: each has its own status, once.
 */
static void test_batch(void **state)
{
    static struct gnttab_map_grant_ref m[100];
    static struct gnttab_unmap_grant_ref u[100];
    uint64_t val = 0;

    (void)state;
    host_inject_yields(1, 7);
    for (uint32_t i = 0; i < 100; i++) {
        grant(FIRST + i, front.data[i % 8], GTF_permit_access);
        m[i] = (struct gnttab_map_grant_ref){ .host_addr = VA(FREE_PTE + i),
                                              .flags = GNTMAP_host_map,
                                              .ref = i % 10 == 3 ? 5000 : FIRST + i,
                                              .dom = front.d->id,
                                              .status = 77 };
    }
    uint64_t flushes = host_flush_count;
    assert_int_equal(op(GNTTABOP_map_grant_ref, m, 100), 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(m[i].status, i % 10 == 3 ? GNTST_bad_gntref : GNTST_okay);
        u[i] = (struct gnttab_unmap_grant_ref){ .host_addr = VA(FREE_PTE + i),
                                                .handle = i % 10 == 3 ? 60000 : m[i].handle,
                                                .status = 77 };
    }
    assert_int_equal(gnttab_mapped(back.d), 90);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(host_access(back.v, VA(FREE_PTE + i), false, &val), i % 10 != 3);
    }
    flushes = host_flush_count;
    assert_int_equal(op(GNTTABOP_unmap_grant_ref, u, 100), 0);
    assert_in_range(host_flush_count - flushes, 1, 8); /* one for 32, not one for each */
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(u[i].status, i % 10 == 3 ? GNTST_bad_handle : GNTST_okay);
    }
    assert_int_equal(gnttab_mapped(back.d), 0);
    assert_int_equal(gnttab_pinned(front.d), 0);
}

/* One flush for a batch as large as back ends make them; none for what was never accessed. */
static void test_flushes(void **state)
{
    static struct gnttab_map_grant_ref m[256];
    static struct gnttab_unmap_grant_ref u[256];
    uint64_t val = 0;

    (void)state;
    for (uint32_t used = 0; used < 2; used++) {
        for (uint32_t i = 0; i < 256; i++) {
            grant(FIRST + i, front.data[i % 8], GTF_permit_access);
            m[i] = (struct gnttab_map_grant_ref){ .host_addr = VA(FREE_PTE + i),
                                                  .flags = GNTMAP_host_map,
                                                  .ref = FIRST + i,
                                                  .dom = front.d->id };
        }
        assert_int_equal(op(GNTTABOP_map_grant_ref, m, 256), 0);
        for (uint32_t i = 0; i < 256; i++) {
            u[i] = (struct gnttab_unmap_grant_ref){ .host_addr = VA(FREE_PTE + i),
                                                    .handle = m[i].handle };
            assert_true(used == 0 || host_access(back.v, VA(FREE_PTE + i), false, &val));
        }
        uint64_t flushes = host_flush_count;
        (void)port_cpu_take_work(); /* nothing to give way to */
        assert_int_equal(op(GNTTABOP_unmap_grant_ref, u, 256), 0);
        assert_int_equal(host_flush_count - flushes, used);
        assert_int_equal(gnttab_mapped(back.d), 0);
    }
}

/* The mark of an access cannot be taken from a granted page: it says whether a flush is due. */
static void test_mark_stays(void **state)
{
    uint64_t val = 0;

    (void)state;
    for (uint32_t how = 0; how < 2; how++) {
        grant(FIRST, front.data[0], GTF_permit_access);
        struct gnttab_map_grant_ref m = map(VA(FREE_PTE), GNTMAP_host_map, FIRST);
        pte_t e = kit_entry(back.l1, FREE_PTE);
        assert_int_equal(e & PTE_A, 0);
        assert_true(host_access(back.v, VA(FREE_PTE), false, &val));
        assert_int_equal(kit_entry(back.l1, FREE_PTE) & PTE_A, PTE_A);
        if (how == 0) {
            assert_int_equal(kit_update_va(VA(FREE_PTE), e, 0), 0);
        } else {
            assert_int_equal(kit_mmu_update(kit_maddr(back.l1, FREE_PTE), e), 0);
        }
        assert_int_equal(kit_entry(back.l1, FREE_PTE) & PTE_A, PTE_A);
        uint64_t flushes = host_flush_count;
        assert_int_equal(unmap(VA(FREE_PTE), 0, m.handle), GNTST_okay);
        assert_int_equal(host_flush_count - flushes, 1);
        assert_false(host_access(back.v, VA(FREE_PTE), false, &val));
    }
}

/* Handles run out, in the middle of a batch: the rest gets an error, and nothing is lost. */
static void test_handles_run_out(void **state)
{
    static uint32_t handle[1100];
    uint64_t dev = mfn_to_paddr(frame_mfn(front.data[0]));
    unsigned int n = 0;
    int16_t status = GNTST_okay;

    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    while (status == GNTST_okay) {
        struct gnttab_map_grant_ref m = { .flags = GNTMAP_device_map,
                                          .ref = FIRST,
                                          .dom = front.d->id };
        assert_int_equal(kit_call(hc_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)&m, 1, 0),
                         0);
        status = m.status;
        handle[n] = m.handle;
        n += status == GNTST_okay;
    }
    assert_int_equal(status, GNTST_no_device_space);
    assert_int_equal(n, 4 * 256);
    audit();
    while (n-- > 0) {
        struct gnttab_unmap_grant_ref u = { .dev_bus_addr = dev, .handle = handle[n] };
        assert_int_equal(kit_call(hc_grant_table_op, GNTTABOP_unmap_grant_ref, (uintptr_t)&u, 1, 0),
                         0);
        assert_int_equal(u.status, GNTST_okay);
    }
    audit();
}

/* A fault at every byte that the call touches: it says so, and the counts are right. */
static void test_faults(void **state)
{
    (void)state;
    grant(FIRST, front.data[0], GTF_permit_access);
    for (uint64_t at = 1;; at++) {
        struct gnttab_map_grant_ref m = {
            .host_addr = VA(FREE_PTE), .flags = GNTMAP_host_map, .ref = FIRST, .dom = front.d->id
        };
        host_fault_at(at);
        int64_t rc = op(GNTTABOP_map_grant_ref, &m, 1);
        host_fault_at(0);
        if (rc == 0) {
            assert_int_equal(unmap(VA(FREE_PTE), 0, m.handle), GNTST_okay);
            assert_true(at > 32);
            break;
        }
        assert_int_equal(rc, -EFAULT);
        if (gnttab_mapped(back.d) !=
            0) { /* done, but the handle was lost: handles are given out from 0 */
            assert_int_equal(unmap(VA(FREE_PTE), 0, 0), GNTST_okay);
        }
    }
    assert_int_equal(gnttab_pinned(front.d), 0);
}

int main(void)
{
    kit_machine(4096, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_map_unmap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_granter_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mapper_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flushes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handles_run_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
