/* SPDX-License-Identifier: MIT */
/* Memory maps: the machine's as E820 records for dom0, a domain's own, and where the
 * machine-to-physical table lies. */

#include "abi/arch_x86_64.h"
#include "abi/errno.h"
#include "abi/memory.h"
#include "cpu/machine.h"
#include "domain/domain.h"
#include "domain/priv.h"
#include "domain/vcpu.h"
#include "hcall/hcall.h"
#include "lib/str.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/ctl.h"
#include "start/boot_info.h"

/* A domain's map is one frame. */
#define DOMAIN_MAP_MAX (PAGE_SIZE / sizeof(struct e820entry))

static struct e820entry machine_map[BOOT_RANGES_MAX];
static uint32_t machine_map_count;
static uint64_t ram_frames;

/* What the hypervisor and the loader occupy is RAM of the machine too: dom0 lays out its own memory
 * by this map. */
static uint32_t map_type(uint32_t type)
{
    switch (type) {
    case BOOT_USABLE:
    case BOOT_IMAGE:
    case BOOT_LOADER:
    case BOOT_MODULE:
        return E820_RAM;
    case BOOT_ACPI:
        return E820_ACPI;
    case BOOT_ACPI_NVS:
        return E820_NVS;
    case BOOT_UNUSABLE:
        return E820_UNUSABLE;
    default:
        return E820_RESERVED;
    }
}

/* Records in ascending order, neighbours of one type joined. Called once, alone. */
void port_memory_map_init(const struct boot_info *bi)
{
    struct e820entry *last = NULL;

    machine_map_count = 0;
    ram_frames = 0;
    for (uint32_t i = 0; i < bi->range_count; i++) {
        const struct boot_range *r = &bi->ranges[i];
        uint32_t type = map_type(r->type);

        if (type == E820_RAM) {
            ram_frames += (r->end - r->start) >> PAGE_SHIFT;
        }
        if (last && last->type == type && last->addr + last->size == r->start) {
            last->size += r->end - r->start;
            continue;
        }
        last = &machine_map[machine_map_count++];
        *last = (struct e820entry){ .addr = r->start, .size = r->end - r->start, .type = type };
    }
}

uint64_t port_ram_frames(void)
{
    return ram_frames;
}

/* Up to nr_entries of a map, and how many it has. -EFAULT. */
static int64_t map_answer(gptr_t arg, const struct e820entry *map, uint32_t count)
{
    struct xen_memory_map m;

    if (guest_read(&m, arg, sizeof(m))) {
        return -EFAULT;
    }
    m.nr_entries = m.nr_entries < count ? m.nr_entries : count;
    if (guest_write(m.buffer, map, m.nr_entries * sizeof(*map)) ||
        guest_write(arg, &m, sizeof(m))) {
        return -EFAULT;
    }
    return 0;
}

/* All of it or nothing: -EINVAL if the caller's array is too small. */
int64_t port_machine_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct xen_memory_map m;

    (void)a;
    if (!v->d->is_hw) {
        return -EPERM;
    }
    if (guest_read(&m, arg, sizeof(m))) {
        return -EFAULT;
    }
    if (m.nr_entries < machine_map_count) {
        return -EINVAL;
    }
    m.nr_entries = machine_map_count;
    if (guest_write(m.buffer, machine_map, m.nr_entries * sizeof(machine_map[0])) ||
        guest_write(arg, &m, sizeof(m))) {
        return -EFAULT;
    }
    return 0;
}

/* The caller's own map; -ENOSYS if it was given none: then its memory is one piece from 0. */
int64_t port_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct domain *d = v->d;
    struct e820entry *copy;
    uint32_t count = 0;
    int64_t rc;

    (void)a;
    copy = heap_alloc(0, HEAP_NOSCRUB);
    if (!copy) {
        return -ENOMEM;
    }
    spin_lock(&d->life_lock);
    if (d->arch.e820) {
        count = d->arch.e820_count;
        memcpy(copy, d->arch.e820, count * sizeof(*copy));
    }
    spin_unlock(&d->life_lock);
    rc = count ? map_answer(arg, copy, count) : -ENOSYS;
    heap_free(copy, 0);
    return rc;
}

static int64_t set_map(struct domain *d, const struct xen_memory_map *m)
{
    void *map = heap_alloc(0, HEAP_ANY);
    void *old;

    if (!map) {
        return -ENOMEM;
    }
    if (guest_read(map, m->buffer, m->nr_entries * sizeof(struct e820entry))) {
        heap_free(map, 0);
        return -EFAULT;
    }
    spin_lock(&d->life_lock);
    old = d->arch.e820;
    d->arch.e820 = map;
    d->arch.e820_count = m->nr_entries;
    spin_unlock(&d->life_lock);
    if (old) {
        heap_free(old, 0);
    }
    return 0;
}

/* For the control domain: another domain's map. 0, -EPERM, -EFAULT, -EINVAL (too many), -ESRCH,
 * -ENOMEM. */
int64_t port_set_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct xen_foreign_memory_map fm;
    struct domain *d;
    int64_t rc;

    (void)a;
    if (guest_read(&fm, arg, sizeof(fm))) {
        return -EFAULT;
    }
    if (fm.map.nr_entries > DOMAIN_MAP_MAX) {
        return -EINVAL;
    }
    d = domain_get_self_or(v, fm.domid);
    if (!d) {
        return -ESRCH;
    }
    rc = v->d->is_ctl ? set_map(d, &fm.map) : -EPERM;
    domain_put(d);
    return rc;
}

/* The table is mapped at the same place for everybody; the ABI wants the size that its window could
 * have. */
int64_t port_machphys_mapping(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct xen_machphys_mapping m = {
        .v_start = MACH2PHYS_VIRT_START,
        .v_end = MACH2PHYS_VIRT_END,
        .max_mfn = MACH2PHYS_NR_ENTRIES - 1,
    };

    (void)v;
    (void)a;
    return guest_write(arg, &m, sizeof(m)) ? -EFAULT : 0;
}

/* One frame number for each 2 MiB of the table; a hole in it repeats the one before, as the ABI's
 * users map them all. */
int64_t port_machphys_mfn_list(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct xen_machphys_mfn_list list;
    mfn_t mfn = MFN(0);
    mfn_t next;
    uint32_t n = 0;

    (void)v;
    (void)a;
    if (guest_read(&list, arg, sizeof(list)) != 0) {
        return -EFAULT;
    }
    for (; n < list.max_extents && cpu_m2p_extent(n, &next); n++) {
        mfn = mfn_eq(next, INVALID_MFN) ? mfn : next;
        if (guest_write(gptr_at(list.extent_start, n, sizeof(mfn.n)), &mfn.n, sizeof(mfn.n)) != 0) {
            return -EFAULT;
        }
    }
    list.nr_extents = n;
    return guest_write(arg, &list, sizeof(list)) ? -EFAULT : 0;
}
