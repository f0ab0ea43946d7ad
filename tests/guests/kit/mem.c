/* SPDX-License-Identifier: MIT */
/* Memory of the test guests: frame numbers, page-table entries, a few pages to play with. */
#include "kit/kit.h"

#define POOL_PAGES 160

static u8 pool[POOL_PAGES][PAGE] __attribute__((aligned(4096)));
static u32 pool_used;

void *memset(void *p, int c, size_t n)
{
    void *d = p;

    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return p;
}

void *memcpy(void *d, const void *s, size_t n)
{
    void *to = d;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(s), "+c"(n) : : "memory");
    return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;

    for (; n; n--, x++, y++) {
        if (*x != *y) {
            return *x < *y ? -1 : 1;
        }
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n]) {
        n++;
    }
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (u8)*a - (u8)*b;
}

static u64 *mfn_slot(const void *va)
{
    return &((u64 *)si->mfn_list)[(U64(va) - KIT_BASE) / PAGE];
}

u64 mfn_of(const void *va)
{
    return *mfn_slot(va);
}

void mfn_set(const void *va, u64 mfn)
{
    *mfn_slot(va) = mfn;
}

u64 mfn_to_pfn(u64 mfn)
{
    return ((const u64 *)HYPERVISOR_VIRT_START)[mfn];
}

void *page_alloc(void)
{
    if (pool_used == POOL_PAGES) {
        print("kit: no page left\r\n");
        kit_stop(SHUTDOWN_crash);
    }
    memset(pool[pool_used], 0, PAGE);
    return pool[pool_used++];
}

u64 *pte_ptr(const void *va, int level)
{
    u64 *table = (u64 *)si->pt_base;

    for (int l = 4;; l--) {
        u64 *entry = &table[U64(va) >> (12 + 9 * (l - 1)) & 511];

        if (l == level) {
            return entry;
        }
        table = (u64 *)(KIT_BASE + mfn_to_pfn((*entry & PTE_ADDR) / PAGE) * PAGE);
    }
}

u64 pte_maddr(const void *va, int level)
{
    u64 *p = pte_ptr(va, level);

    return mfn_of(p) * PAGE + (U64(p) & (PAGE - 1));
}

void page_remap(const void *va, u64 pte)
{
    long rc = update_va(va, pte, UVMF_INVLPG);

    if (rc) {
        check_at(false, __FILE__, __LINE__, "page_remap %p to 0x%lx: %ld", va, pte, rc);
    }
}

void page_protect(const void *va, bool writable)
{
    page_remap(va, mfn_of(va) * PAGE | (writable ? PTE_RW : PTE_RO));
}

void page_restore(const void *va)
{
    page_protect(va, true);
}

static u8 windows[4][PAGE] __attribute__((aligned(4096)));

void *frame_open(u32 which, u64 mfn, u64 flags)
{
    page_remap(windows[which], mfn * PAGE | flags);
    return windows[which];
}

void frame_close(u32 which)
{
    page_restore(windows[which]);
}

/* One mmu_update of the calling domain; the error, or -EINVAL if the count is wrong. */
long mmu_update1(u64 ptr, u64 val)
{
    struct mmu_update u = { .ptr = ptr, .val = val };
    u32 done = 77;
    long rc = hc4(__HYPERVISOR_mmu_update, U64(&u), 1, U64(&done), DOMID_SELF);

    check_at(done == (rc ? 0 : 1), __FILE__, __LINE__, "mmu_update returned %ld, done %u", rc,
             done);
    return rc;
}

long mmuext1(u32 cmd, u64 mfn)
{
    struct mmuext_op op = { .cmd = cmd, .arg1.mfn = mfn };
    u32 done = 77;

    return hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, U64(&done), DOMID_SELF);
}

u64 *l4_clone(void)
{
    u64 *l4 = page_alloc(), *old = (u64 *)si->pt_base;

    for (u32 i = 0; i < 512; i++) {
        l4[i] = i >= 256 && i < 272 ? 0 : old[i];
    }
    page_protect(l4, false);
    return l4;
}
