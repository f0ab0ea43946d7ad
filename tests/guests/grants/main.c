/* SPDX-License-Identifier: MIT */
/* Grant table version 1: set-up, map and unmap of one's own frames, copy, query, every refusal. */
#include "kit/kit.h"

const char kit_name[] = "grants";

#define FIRST_REF 16

static u8 table_page[PAGE] __attribute__((aligned(4096)));
static volatile struct grant_entry_v1 *const grants = (void *)table_page;
static domid_t me;

static void grant(u32 ref, const void *page, u16 flags)
{
    grants[ref].domid = me;
    grants[ref].frame = (u32)mfn_of(page);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    grants[ref].flags = flags;
}

/* An address to map grants at: a page whose own mapping is taken away. */
static u8 *window(void)
{
    u8 *va = page_alloc();

    page_remap(va, 0);
    return va;
}

/* The domain's own number, found from the status of a port. */
static domid_t own_domid(void)
{
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
    struct evtchn_status s = { .dom = DOMID_SELF };

    check_eq(event_op(EVTCHNOP_alloc_unbound, &a), 0);
    s.port = a.port;
    check_eq(event_op(EVTCHNOP_status, &s), 0);
    event_close(a.port);
    return s.u.unbound.dom;
}

static s16 map(u32 ref, const void *va, u32 flags, grant_handle_t *handle)
{
    struct gnttab_map_grant_ref m = { .host_addr = U64(va), .flags = flags, .ref = ref, .dom = me };

    check_eq(grant_op(GNTTABOP_map_grant_ref, &m, 1), 0);
    *handle = m.handle;
    return m.status;
}

static s16 unmap(const void *va, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref u = { .host_addr = U64(va), .handle = handle };

    check_eq(grant_op(GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

static void test_setup(void)
{
    xen_pfn_t frames[1] = { 0 };
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 1, .frame_list = gptr(frames) };
    struct gnttab_query_size q = { .dom = DOMID_SELF };
    struct gnttab_setup_table big = { .dom = DOMID_SELF, .nr_frames = 100000 };

    check_eq(grant_op(GNTTABOP_setup_table, &s, 1), 0);
    check_eq(s.status, GNTST_okay);
    check(frames[0] != 0);
    page_remap(table_page, frames[0] * PAGE | PTE_RW);
    check_eq(grant_op(GNTTABOP_query_size, &q, 1), 0);
    check_eq(q.status, GNTST_okay);
    check(q.nr_frames >= 1);
    check(q.max_nr_frames >= 4);
    check_eq(grant_op(GNTTABOP_setup_table, &big, 1), 0);
    check_eq(big.status, GNTST_general_error);
    s.dom = 4321;
    check_eq(grant_op(GNTTABOP_setup_table, &s, 1), 0);
    check_eq(s.status, GNTST_bad_domain);
    q.dom = 4321;
    check_eq(grant_op(GNTTABOP_query_size, &q, 1), 0);
    check_eq(q.status, GNTST_bad_domain);
    check_eq(grant_op(GNTTABOP_setup_table, &s, 2), -EINVAL);
}

static void test_version(void)
{
    struct gnttab_set_version v = { .version = 1 };
    struct gnttab_get_version g = { .dom = DOMID_SELF };

    check_eq(grant_op(GNTTABOP_set_version, &v, 1), 0);
    v.version = 7;
    check_eq(grant_op(GNTTABOP_set_version, &v, 1), -EINVAL);
    if (on_joist) {
        v.version = 2;
        check_eq(grant_op(GNTTABOP_set_version, &v, 1), -ENOSYS);
    }
    check_eq(grant_op(GNTTABOP_get_version, &g, 1), 0);
    check_eq(g.version, 1);
}

static void test_map(void)
{
    u8 *page = page_alloc(), *win = window();
    grant_handle_t h, h2;

    memset(page, 0x5a, PAGE);
    grant(FIRST_REF, page, GTF_permit_access);
    check_eq(map(FIRST_REF, win, GNTMAP_host_map, &h), GNTST_okay);
    check_eq(win[123], 0x5a);
    win[7] = 0x77;
    check_eq(page[7], 0x77);
    check_eq(grants[FIRST_REF].flags & (GTF_reading | GTF_writing), GTF_reading | GTF_writing);
    check_eq(unmap(win, h), GNTST_okay);
    check_eq(*pte_ptr(win, 1) & PTE_P, 0);
    check_eq(grants[FIRST_REF].flags, GTF_permit_access);
    check_eq(unmap(win, h), GNTST_bad_handle);
    page_restore(win);

    /* read-only mapping of a writable grant, twice */
    u8 *win2 = window();

    check_eq(map(FIRST_REF, win, GNTMAP_host_map | GNTMAP_readonly, &h), GNTST_okay);
    check_eq(map(FIRST_REF, win2, GNTMAP_host_map | GNTMAP_readonly, &h2), GNTST_okay);
    check_eq(*pte_ptr(win, 1) & PTE_W, 0);
    check_eq(grants[FIRST_REF].flags & (GTF_reading | GTF_writing), GTF_reading);
    check_eq(unmap(win, h), GNTST_okay);
    check_eq(grants[FIRST_REF].flags & (GTF_reading | GTF_writing), GTF_reading);
    check_eq(unmap(win2, h2), GNTST_okay);
    check_eq(grants[FIRST_REF].flags & (GTF_reading | GTF_writing), 0);
    page_restore(win);
    page_restore(win2);
}

static void write_byte(u64 va)
{
    *(volatile u8 *)va = 1;
}

static void test_readonly_grant(void)
{
    u8 *page = page_alloc(), *win = window();
    grant_handle_t h;

    grant(FIRST_REF + 1, page, GTF_permit_access | GTF_readonly);
    check_eq(map(FIRST_REF + 1, win, GNTMAP_host_map, &h), GNTST_general_error);
    check_eq(map(FIRST_REF + 1, win, GNTMAP_host_map | GNTMAP_readonly, &h), GNTST_okay);
    check_fault(write_byte, win, 14, 3);
    /* the mapping cannot be made writable behind the grant's back */
    check(update_va(win, mfn_of(page) * PAGE | PTE_RO, UVMF_INVLPG) == 0);
    check_eq(unmap(win, h), GNTST_okay);
    page_restore(win);
}

static void test_map_refusals(void)
{
    u8 *page = page_alloc(), *win = window();
    struct gnttab_map_grant_ref m = { .host_addr = U64(win), .flags = GNTMAP_host_map, .dom = me };
    grant_handle_t h;

    grant(FIRST_REF + 2, page, 0);
    check_eq(map(FIRST_REF + 2, win, GNTMAP_host_map, &h), GNTST_general_error);
    check_eq(map(100000, win, GNTMAP_host_map, &h), GNTST_bad_gntref);
    check_eq(map(~0U, win, GNTMAP_host_map, &h), GNTST_bad_gntref);
    grant(FIRST_REF + 2, page, GTF_permit_access);
    check_eq(map(FIRST_REF + 2, win, 0, &h), GNTST_bad_gntref);
    grants[FIRST_REF + 2].domid = 4321;
    check_eq(map(FIRST_REF + 2, win, GNTMAP_host_map, &h), GNTST_general_error);
    grants[FIRST_REF + 2].domid = me;
    grants[FIRST_REF + 2].frame = 0x7fffffff;
    check_eq(map(FIRST_REF + 2, win, GNTMAP_host_map, &h), GNTST_bad_page);
    check_eq(grants[FIRST_REF + 2].flags, GTF_permit_access);
    m.dom = 4321;
    check_eq(grant_op(GNTTABOP_map_grant_ref, &m, 1), 0);
    check_eq(m.status, GNTST_bad_domain);
    grant(FIRST_REF + 2, page, GTF_permit_access);
    /* an address that no page table maps */
    check_eq(map(FIRST_REF + 2, (void *)0x12345000, GNTMAP_host_map, &h), GNTST_general_error);
    check_eq(map(FIRST_REF + 2, (void *)(U64(win) + 8), GNTMAP_host_map, &h), GNTST_okay);
    check_eq(unmap((void *)(U64(win) + 8), h), GNTST_okay);
    check_eq(unmap(win, 100000), GNTST_bad_handle);
    check_eq(unmap(win, ~0U), GNTST_bad_handle);
    page_restore(win);
    check_eq(hc3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, 8, 1), -EFAULT);
    check_eq(hc3(__HYPERVISOR_grant_table_op, 99, U64(&m), 1), -ENOSYS);
    check_eq(hc3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, U64(&m), ~0U), -EINVAL);
}

/* GNTMAP_contains_pte: the address is that of the page-table entry. */
static void test_map_by_pte(void)
{
    u8 *page = page_alloc(), *win = window();
    grant_handle_t h;
    u64 pte = pte_maddr(win, 1);

    page[5] = 0x42;
    grant(FIRST_REF + 3, page, GTF_permit_access);
    check_eq(map(FIRST_REF + 3, (void *)pte, GNTMAP_host_map | GNTMAP_contains_pte, &h),
             GNTST_okay);
    mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0);
    check_eq(win[5], 0x42);
    check_eq(unmap((void *)pte, h), GNTST_okay);
    check_eq(*pte_ptr(win, 1), 0);
    page_restore(win);
    check_eq(map(FIRST_REF + 3, (void *)(mfn_of(page) * PAGE),
                 GNTMAP_host_map | GNTMAP_contains_pte, &h),
             GNTST_general_error);
}

static void test_unmap_and_replace(void)
{
    u8 *page = page_alloc(), *win = window(), *other = page_alloc();
    struct gnttab_unmap_and_replace r = { .host_addr = U64(win), .new_addr = U64(other) };
    grant_handle_t h;

    other[9] = 0x99;
    grant(FIRST_REF + 4, page, GTF_permit_access);
    check_eq(map(FIRST_REF + 4, win, GNTMAP_host_map, &h), GNTST_okay);
    r.handle = h;
    check_eq(grant_op(GNTTABOP_unmap_and_replace, &r, 1), 0);
    check_eq(r.status, GNTST_okay);
    check_eq(win[9], 0x99);
    check_eq(*pte_ptr(other, 1), 0);
    check_eq(grants[FIRST_REF + 4].flags, GTF_permit_access);
    page_restore(win);
    page_restore(other);
}

static s16 copy(struct gnttab_copy *c)
{
    check_eq(grant_op(GNTTABOP_copy, c, 1), 0);
    return c->status;
}

static void test_copy(void)
{
    u8 *from = page_alloc(), *to = page_alloc();
    struct gnttab_copy c = { .flags = GNTCOPY_source_gref, .len = 100 };

    for (u32 i = 0; i < PAGE; i++) {
        from[i] = (u8)(i * 7);
    }
    grant(FIRST_REF + 5, from, GTF_permit_access | GTF_readonly);
    c.source.u.ref = FIRST_REF + 5;
    c.source.domid = me;
    c.source.offset = 300;
    c.dest.u.gmfn = mfn_of(to);
    c.dest.domid = DOMID_SELF;
    c.dest.offset = 1000;
    check_eq(copy(&c), GNTST_okay);
    check_eq(memcmp(to + 1000, from + 300, 100), 0);
    check_eq(to[1100], 0);
    check_eq(to[999], 0);
    c.len = 4000;
    check_eq(copy(&c), GNTST_bad_copy_arg);
    c.len = 100;
    c.source.offset = 4090;
    check_eq(copy(&c), GNTST_bad_copy_arg);
    c.source.offset = 0;
    c.dest.u.gmfn = 0x7fffffff;
    check_eq(copy(&c), GNTST_bad_page);
    c.dest.u.gmfn = mfn_of(to);
    c.source.u.ref = 100000;
    check_eq(copy(&c), GNTST_bad_gntref);
    c.source.u.ref = FIRST_REF + 5;
    c.source.domid = 4321;
    check_eq(copy(&c), GNTST_bad_domain);
    c.source.domid = me;
    c.flags = 0; /* by frame number from a domain that is not DOMID_SELF */
    check_eq(copy(&c), GNTST_permission_denied);
    /* onto a read-only grant */
    c.flags = GNTCOPY_dest_gref;
    c.source.u.gmfn = mfn_of(from);
    c.source.domid = DOMID_SELF;
    c.dest.u.ref = FIRST_REF + 5;
    c.dest.domid = me;
    check_eq(copy(&c), GNTST_general_error);
    /* both by grant; then onto a page table, which no copy may write */
    grant(FIRST_REF + 6, to, GTF_permit_access);
    c = (struct gnttab_copy){ .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref, .len = PAGE };
    c.source.u.ref = FIRST_REF + 5;
    c.source.domid = me;
    c.dest.u.ref = FIRST_REF + 6;
    c.dest.domid = me;
    check_eq(copy(&c), GNTST_okay);
    check_eq(memcmp(to, from, PAGE), 0);
    check_eq(grants[FIRST_REF + 6].flags, GTF_permit_access);
    c.flags = GNTCOPY_source_gref;
    c.dest.u.gmfn = mfn_of((void *)si->pt_base);
    c.dest.domid = DOMID_SELF;
    c.len = 8;
    check_eq(copy(&c), GNTST_general_error);
}

/* A batch: each element gets its own status. */
static void test_batch(void)
{
    static struct gnttab_map_grant_ref m[32];
    static struct gnttab_unmap_grant_ref u[32];
    static u8 *pages[32], *wins[32];
    u32 bad = 0;

    for (u32 i = 0; i < 32; i++) {
        pages[i] = page_alloc();
        wins[i] = window();
        pages[i][0] = (u8)i;
        grant(64 + i, pages[i], i == 13 ? 0 : GTF_permit_access);
        m[i] = (struct gnttab_map_grant_ref){
            .host_addr = U64(wins[i]), .flags = GNTMAP_host_map, .ref = 64 + i, .dom = me
        };
    }
    check_eq(grant_op(GNTTABOP_map_grant_ref, m, 32), 0);
    for (u32 i = 0; i < 32; i++) {
        bad += m[i].status != (i == 13 ? GNTST_general_error : GNTST_okay);
        bad += i != 13 && wins[i][0] != i;
        u[i] = (struct gnttab_unmap_grant_ref){ .host_addr = U64(wins[i]), .handle = m[i].handle };
    }
    check_eq(bad, 0);
    u[13].handle = ~0U;
    check_eq(grant_op(GNTTABOP_unmap_grant_ref, u, 32), 0);
    for (u32 i = 0; i < 32; i++) {
        bad += u[i].status != (i == 13 ? GNTST_bad_handle : GNTST_okay);
        page_restore(wins[i]);
    }
    check_eq(bad, 0);
}

void test_main(void)
{
    me = own_domid();
    test_version();
    test_setup();
    test_map();
    test_map_refusals();
    test_map_by_pte();
    test_unmap_and_replace();
    test_copy();
    test_batch();
    test_readonly_grant();
}
