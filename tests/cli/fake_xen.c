/* SPDX-License-Identifier: MIT */
/* The pretended hypervisor behind libjoist's seam: see fake.h. */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "abi/event.h"
#include "abi/grant.h"
#include "abi/hcall_nr.h"
#include "abi/memory.h"
#include "abi/mmu.h"
#include "abi/sysctl.h"
#include "abi/version.h"
#include "libjoist/port.h"

#define LOG_TEXT "(JOIST) a pretended machine\n"

static struct fake *fake;
static int fake_fd = -1;

struct fake *fake_get(void)
{
    const char *path = getenv("JOIST_FAKE");
    void *at;

    if (fake != NULL || path == NULL) {
        return fake;
    }
    fake_fd = open(path, O_RDWR | O_CLOEXEC);
    if (fake_fd < 0) {
        return NULL;
    }
    at = mmap(NULL, FAKE_OFFSET + (size_t)FAKE_FRAMES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
              fake_fd, 0);
    fake = at != MAP_FAILED && ((struct fake *)at)->magic == FAKE_MAGIC ? at : NULL;
    return fake;
}

/* Each process needs an open file of its own for the lock to count. */
void fake_lock(void)
{
    static pid_t owner;

    if (owner != getpid()) {
        owner = getpid();
        fake_fd = open(getenv("JOIST_FAKE"), O_RDWR | O_CLOEXEC);
    }
    flock(fake_fd, LOCK_EX);
}

void fake_unlock(void)
{
    flock(fake_fd, LOCK_UN);
}

void *fake_frame(uint64_t mfn)
{
    return (char *)fake + FAKE_OFFSET + mfn * 4096;
}

uint64_t fake_free_frames(const struct fake *f)
{
    uint64_t n = 0;
    uint64_t i;

    for (i = 0; i < FAKE_FRAMES; i++) {
        n += f->owner[i] == 0;
    }
    return n;
}

/* --- domains --------------------------------------------------------------------------------- */

static struct fake_domain *domain(uint16_t id)
{
    return id < FAKE_DOMAINS && fake->domain[id].is_used ? &fake->domain[id] : NULL;
}

static uint64_t take_frame(uint16_t owner)
{
    uint64_t i;

    for (i = FAKE_CONTROL; i < FAKE_FRAMES; i++) {
        if (fake->owner[i] == 0) {
            fake->owner[i] = owner;
            memset(fake_frame(i), 0xa5, 4096); /* what a builder does not write must not matter */
            return i;
        }
    }
    return 0;
}

static int create(struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *cd = &op->u.createdomain;
    struct fake_domain *d;
    uint32_t tries;

    if (cd->flags != 0 || (cd->grant_opts & 0xf) != 1 || cd->max_vcpus < 1 ||
        cd->max_vcpus > FAKE_VCPUS) {
        return -EINVAL;
    }
    for (tries = 0; tries < FAKE_DOMAINS; tries++) {
        fake->next_domid = fake->next_domid % (FAKE_DOMAINS - 1) + 1;
        d = &fake->domain[fake->next_domid];
        if (!d->is_used) {
            *d = (struct fake_domain){ .is_used = 1, .is_paused = 1, .weight = 256 };
            memcpy(d->handle, cd->handle, 16);
            d->shared_mfn = take_frame(0xffff);
            d->grant_mfn = take_frame(0xffff);
            memset(fake_frame(d->grant_mfn), 0, 4096);
            memset(d->affinity, (1 << FAKE_CPUS) - 1, sizeof(d->affinity));
            op->domain = (uint16_t)fake->next_domid;
            return d->grant_mfn != 0 ? 0 : -ENOMEM;
        }
    }
    return -ENOMEM;
}

static int destroy(struct fake_domain *d, uint16_t id)
{
    uint64_t i;

    if (id == 0) {
        return -EINVAL;
    }
    for (i = 0; i < FAKE_FRAMES; i++) {
        if (fake->owner[i] == id + 1) {
            fake->owner[i] = 0;
        }
    }
    fake->owner[d->shared_mfn] = 0;
    fake->owner[d->grant_mfn] = 0;
    memset(d, 0, sizeof(*d));
    fake->generation++;
    return 0;
}

static void info(const struct fake_domain *d, uint16_t id, struct xen_domctl_getdomaininfo *out)
{
    *out = (struct xen_domctl_getdomaininfo){
        .domain = id,
        .tot_pages = d->tot_pages,
        .max_pages = d->max_pages,
        .shared_info_frame = d->shared_mfn,
        .cpu_time = 1500000000,
        .nr_online_vcpus = 1,
        .max_vcpu_id = d->max_vcpus - 1,
    };
    out->flags = (d->is_paused ? XEN_DOMINF_paused : 0) |
                 (d->is_shutdown ? XEN_DOMINF_shutdown | (uint32_t)d->reason << 16 : 0) |
                 (!d->is_paused && !d->is_shutdown ? XEN_DOMINF_running : 0);
    memcpy(out->handle, d->handle, 16);
}

static int set_context(struct fake_domain *d, const struct xen_domctl_vcpucontext *vc)
{
    const struct vcpu_guest_context *ctx = (const void *)(uintptr_t)vc->ctxt.va;

    if (vc->vcpu != 0 || xen_cr3_to_pfn(ctx->ctrlreg[3]) != d->root_mfn || d->root_mfn == 0) {
        return -EINVAL;
    }
    d->entry = ctx->user_regs.rip;
    d->start_info = ctx->user_regs.rsi;
    d->is_built = 1;
    return 0;
}

static int affinity(struct fake_domain *d, struct xen_domctl_vcpuaffinity *va, bool set)
{
    uint8_t *hard = (void *)(uintptr_t)va->cpumap_hard.bitmap.va;
    uint8_t *soft = (void *)(uintptr_t)va->cpumap_soft.bitmap.va;

    if (va->vcpu >= d->max_vcpus) {
        return -EINVAL;
    }
    if (set && (hard[0] & ((1 << FAKE_CPUS) - 1)) == 0) {
        return -EINVAL;
    }
    if (set) {
        d->affinity[va->vcpu] = hard[0] & ((1 << FAKE_CPUS) - 1);
    }
    hard[0] = d->affinity[va->vcpu];
    if (!set) {
        soft[0] = (1 << FAKE_CPUS) - 1;
    }
    return 0;
}

static int scheduler(struct fake_domain *d, struct xen_domctl_scheduler_op *so)
{
    if (so->sched_id != XEN_SCHEDULER_CREDIT2) {
        return -EINVAL;
    }
    if (so->cmd == XEN_DOMCTL_SCHEDOP_putinfo) {
        d->weight = so->u.credit2.weight;
        d->cap = so->u.credit2.cap;
    }
    so->u.credit2.weight = d->weight;
    so->u.credit2.cap = d->cap;
    return 0;
}

static int vcpu_info(const struct fake_domain *d, struct xen_domctl_getvcpuinfo *vi)
{
    if (vi->vcpu >= d->max_vcpus) {
        return -ESRCH;
    }
    vi->online = vi->vcpu == 0;
    vi->running = vi->vcpu == 0 && !d->is_paused;
    vi->cpu_time = 500000000;
    vi->cpu = vi->vcpu % FAKE_CPUS;
    return 0;
}

static int get_info(struct xen_domctl *op)
{
    uint32_t id;

    for (id = op->domain; id < FAKE_DOMAINS; id++) {
        if (fake->domain[id].is_used) {
            info(&fake->domain[id], (uint16_t)id, &op->u.getdomaininfo);
            return 0;
        }
    }
    return -ESRCH;
}

static int domctl(struct xen_domctl *op)
{
    struct fake_domain *d = domain(op->domain);

    if (op->interface_version != XEN_DOMCTL_INTERFACE_VERSION) {
        return -EACCES;
    }
    if (op->cmd == XEN_DOMCTL_createdomain) {
        return create(op);
    }
    if (op->cmd == XEN_DOMCTL_getdomaininfo) {
        return get_info(op);
    }
    if (d == NULL) {
        return -ESRCH;
    }
    switch (op->cmd) {
    case XEN_DOMCTL_destroydomain:
        return destroy(d, op->domain);
    case XEN_DOMCTL_pausedomain:
        d->is_paused++; /* the control ABI counts */
        return 0;
    case XEN_DOMCTL_unpausedomain:
        if (d->is_paused == 0) {
            return -EINVAL;
        }
        d->is_paused--;
        return d->is_built || op->domain == 0 ? 0 : -EINVAL;
    case XEN_DOMCTL_max_vcpus:
        d->max_vcpus = op->u.max_vcpus.max;
        return 0;
    case XEN_DOMCTL_max_mem:
        d->max_pages = op->u.max_mem.max_memkb / 4;
        return 0;
    case XEN_DOMCTL_settscinfo:
        return op->u.tsc_info.tsc_mode <= 2 ? 0 : -EINVAL;
    case XEN_DOMCTL_setvcpuaffinity:
        return affinity(d, &op->u.vcpuaffinity, true);
    case XEN_DOMCTL_getvcpuaffinity:
        return affinity(d, &op->u.vcpuaffinity, false);
    case XEN_DOMCTL_scheduler_op:
        return scheduler(d, &op->u.scheduler_op);
    case XEN_DOMCTL_getvcpuinfo:
        return vcpu_info(d, &op->u.getvcpuinfo);
    case XEN_DOMCTL_setvcpucontext:
        return set_context(d, &op->u.vcpucontext);
    case XEN_DOMCTL_hypercall_init:
        return op->u.hypercall_init.gmfn < FAKE_FRAMES &&
                       fake->owner[op->u.hypercall_init.gmfn] == op->domain + 1
                   ? 0
                   : -EINVAL;
    default:
        return -ENOSYS;
    }
}

/* --- the machine ----------------------------------------------------------------------------- */

static int list(struct xen_sysctl_getdomaininfolist *gl)
{
    struct xen_domctl_getdomaininfo *out = (void *)(uintptr_t)gl->buffer.va;
    uint32_t id;

    gl->num_domains = 0;
    for (id = gl->first_domain; id < FAKE_DOMAINS && gl->num_domains < gl->max_domains; id++) {
        if (fake->domain[id].is_used) {
            info(&fake->domain[id], (uint16_t)id, &out[gl->num_domains++]);
        }
    }
    return 0;
}

/* Two counters of two CPUs each. */
static int counters(struct xen_sysctl_perfc_op *p)
{
    struct xen_sysctl_perfc_desc *desc = (void *)(uintptr_t)p->desc.va;
    uint32_t *val = (void *)(uintptr_t)p->val.va;
    uint32_t i;

    p->nr_counters = 2;
    p->nr_vals = 4;
    for (i = 0; desc != NULL && i < 2; i++) {
        desc[i].nr_vals = 2;
        snprintf(desc[i].name, sizeof(desc[i].name), "%s", i == 0 ? "tlb_flushes" : "grant_maps");
    }
    for (i = 0; val != NULL && i < 4; i++) {
        val[i] = 10 * i + 1;
    }
    return 0;
}

static int sysctl(struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *pi = &op->u.physinfo;

    if (op->interface_version != XEN_SYSCTL_INTERFACE_VERSION) {
        return -EACCES;
    }
    switch (op->cmd) {
    case XEN_SYSCTL_getdomaininfolist:
        return list(&op->u.getdomaininfolist);
    case XEN_SYSCTL_sched_id:
        op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT2;
        return 0;
    case XEN_SYSCTL_physinfo:
        *pi = (struct xen_sysctl_physinfo){
            .threads_per_core = 1,
            .cores_per_socket = FAKE_CPUS,
            .nr_cpus = FAKE_CPUS,
            .max_cpu_id = FAKE_CPUS - 1,
            .nr_nodes = 1,
            .cpu_khz = 1000000,
            .capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1,
            .total_pages = FAKE_FRAMES,
            .free_pages = fake_free_frames(fake),
        };
        return 0;
    case XEN_SYSCTL_perfc_op:
        return counters(&op->u.perfc_op);
    case XEN_SYSCTL_cpupool_op:
        return op->u.cpupool_op.op == XEN_SYSCTL_CPUPOOL_OP_FREEINFO ? 0 : -EINVAL;
    case XEN_SYSCTL_readconsole:
        if (fake->log_cleared) {
            op->u.readconsole.count = 0;
            return 0;
        }
        op->u.readconsole.count = sizeof(LOG_TEXT) - 1;
        memcpy((void *)(uintptr_t)op->u.readconsole.buffer.va, LOG_TEXT, sizeof(LOG_TEXT) - 1);
        fake->log_cleared = op->u.readconsole.clear;
        return 0;
    default:
        return -ENOSYS;
    }
}

static long populate(const struct xen_memory_reservation *r)
{
    struct fake_domain *d = domain(r->domid);
    uint64_t *extent = (void *)(uintptr_t)r->extent_start.va;
    uint64_t i;

    if (d == NULL || r->domid == 0) {
        return -ESRCH;
    }
    if (r->extent_order != 0) {
        return 0; /* a machine whose memory is patchy: only single frames */
    }
    while (fake->is_held) {
        fake_unlock();
        usleep(20000);
        fake_lock();
    }
    for (i = 0; i < r->nr_extents; i++) {
        uint64_t mfn = d->tot_pages < d->max_pages ? take_frame((uint16_t)(r->domid + 1)) : 0;

        if (mfn == 0) {
            break;
        }
        d->tot_pages++;
        extent[i] = mfn;
    }
    return (long)i;
}

static long memory_op(unsigned int cmd, void *arg)
{
    struct xen_foreign_memory_map *map = arg;
    struct fake_domain *d;

    if (cmd == XENMEM_populate_physmap) {
        return populate(arg);
    }
    if (cmd == XENMEM_get_sharing_freed_pages || cmd == XENMEM_get_sharing_shared_pages) {
        return 0;
    }
    if (cmd != XENMEM_set_memory_map) {
        return -ENOSYS;
    }
    d = domain(map->domid);
    if (d == NULL || map->map.nr_entries != 1) {
        return -EINVAL;
    }
    d->map_bytes = ((struct e820entry *)(uintptr_t)map->map.buffer.va)->size;
    return 0;
}

static int mmuext(const struct mmuext_op *op, uint64_t count, uint64_t domid)
{
    struct fake_domain *d = domain((uint16_t)domid);

    if (d == NULL || count != 1 || op->cmd != MMUEXT_PIN_L4_TABLE || op->arg1.mfn >= FAKE_FRAMES ||
        fake->owner[op->arg1.mfn] != domid + 1) {
        return -EINVAL;
    }
    d->root_mfn = op->arg1.mfn;
    return 0;
}

static int event_op(uint64_t cmd, struct evtchn_alloc_unbound *op)
{
    struct fake_domain *d = domain(op->dom);
    uint32_t port;

    if (d == NULL || cmd != EVTCHNOP_alloc_unbound) {
        return -EINVAL;
    }
    for (port = 1; port < FAKE_PORTS; port++) {
        if (d->remote[port] == 0) {
            d->remote[port] = (uint16_t)(op->remote_dom + 1);
            op->port = port;
            return 0;
        }
    }
    return -ENOSPC;
}

static long version(uint64_t cmd, void *arg)
{
    switch (cmd) {
    case XENVER_version:
        return 4 << 16 | 17;
    case XENVER_pagesize:
        return 4096;
    case XENVER_extraversion:
        strcpy(arg, ".0-fake");
        return 0;
    case XENVER_capabilities:
        strcpy(arg, "xen-3.0-x86_64");
        return 0;
    default:
        return 0;
    }
}

/* True when this is the call that was to fail. */
static bool is_to_fail(void)
{
    return fake->fail_in > 0 && --fake->fail_in == 0;
}

static long call(unsigned int nr, const uint64_t *a)
{
    void *p0 = (void *)(uintptr_t)a[0];
    void *p1 = (void *)(uintptr_t)a[1];

    if (is_to_fail()) {
        return -ENOMEM;
    }
    switch (nr) {
    case __HYPERVISOR_domctl:
        return domctl(p0);
    case __HYPERVISOR_sysctl:
        return sysctl(p0);
    case __HYPERVISOR_memory_op:
        return memory_op((unsigned int)a[0], p1);
    case __HYPERVISOR_mmuext_op:
        return mmuext(p0, a[1], a[3]);
    case __HYPERVISOR_event_channel_op:
        return event_op(a[0], p1);
    case __HYPERVISOR_xen_version:
        return version(a[0], p1);
    default:
        return -ENOSYS;
    }
}

/* --- the seam -------------------------------------------------------------------------------- */

int port_call_open(struct port_call **out)
{
    *out = (struct port_call *)fake_get();
    return *out != NULL ? 0 : -ENOENT;
}

void port_call_close(struct port_call *p)
{
    (void)p;
}

long port_call(struct port_call *p, unsigned int nr, const struct joist_args *args)
{
    long rc;

    (void)p;
    fake_lock();
    rc = call(nr, args->arg);
    fake_unlock();
    return rc;
}

void *port_call_buf_alloc(struct port_call *p, size_t size)
{
    (void)p;
    return calloc(1, size);
}

void port_call_buf_free(struct port_call *p, void *buf)
{
    (void)p;
    free(buf);
}

struct port_evtchn {
    int fd;
    uint32_t seen; /* generation that was reported */
    uint32_t next_port;
    uint32_t virq_port;
};

int port_evtchn_open(struct port_evtchn **out)
{
    struct itimerspec every = { { 0, 10000000 }, { 0, 10000000 } };

    *out = calloc(1, sizeof(**out));
    if (*out == NULL || fake_get() == NULL) {
        return -ENOENT;
    }
    (*out)->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    timerfd_settime((*out)->fd, 0, &every, NULL);
    return 0;
}

void port_evtchn_close(struct port_evtchn *p)
{
    close(p->fd);
    free(p);
}

int port_evtchn_fd(struct port_evtchn *p)
{
    return p->fd;
}

int port_evtchn_bind_virq(struct port_evtchn *p, unsigned int virq)
{
    (void)virq;
    p->virq_port = ++p->next_port;
    return (int)p->virq_port;
}

int port_evtchn_bind_interdomain(struct port_evtchn *p, uint16_t domid, uint32_t remote_port)
{
    struct fake_domain *d = domain(domid);

    if (domid != 0 && (d == NULL || remote_port >= FAKE_PORTS || d->remote[remote_port] != 1)) {
        return -EINVAL;
    }
    return (int)++p->next_port;
}

int port_evtchn_bind_unbound(struct port_evtchn *p, uint16_t domid)
{
    (void)domid;
    return (int)++p->next_port;
}

int port_evtchn_unbind(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    (void)port;
    return 0;
}

int port_evtchn_notify(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    (void)port;
    return 0;
}

int port_evtchn_pending(struct port_evtchn *p)
{
    uint64_t ticks;

    if (read(p->fd, &ticks, sizeof(ticks)) < 0 || p->seen == fake->generation ||
        p->virq_port == 0) {
        return -EAGAIN;
    }
    p->seen = fake->generation;
    return (int)p->virq_port;
}

int port_evtchn_unmask(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    (void)port;
    return 0;
}

int port_gnttab_open(struct port_gnttab **out)
{
    *out = (struct port_gnttab *)fake_get();
    return *out != NULL ? 0 : -ENOENT;
}

void port_gnttab_close(struct port_gnttab *p)
{
    (void)p;
}

void *port_gnttab_map(struct port_gnttab *p, uint16_t domid, uint32_t ref, int *rc)
{
    struct fake_domain *d = domain(domid);
    const struct grant_entry_v1 *e;

    (void)p;
    *rc = -EINVAL;
    if (d == NULL || ref >= GNTTAB_NR_RESERVED_ENTRIES) {
        return NULL;
    }
    e = (const struct grant_entry_v1 *)fake_frame(d->grant_mfn) + ref;
    if ((e->flags & GTF_type_mask) != GTF_permit_access || e->domid != 0 ||
        e->frame >= FAKE_FRAMES || fake->owner[e->frame] != domid + 1) {
        return NULL;
    }
    *rc = 0;
    return fake_frame(e->frame);
}

int port_gnttab_unmap(struct port_gnttab *p, void *page)
{
    (void)p;
    (void)page;
    return 0;
}

int port_foreign_open(struct port_foreign **out)
{
    *out = (struct port_foreign *)fake_get();
    return *out != NULL ? 0 : -ENOENT;
}

void port_foreign_close(struct port_foreign *p)
{
    (void)p;
}

static bool may_map(uint16_t domid, uint64_t mfn)
{
    const struct fake_domain *d = domain(domid);

    return d != NULL && mfn < FAKE_FRAMES &&
           (fake->owner[mfn] == domid + 1 || mfn == d->shared_mfn);
}

int port_evtchn_restrict(struct port_evtchn *p, uint16_t domid)
{
    (void)p;
    (void)domid;
    return 0;
}

int port_foreign_restrict(struct port_foreign *p, uint16_t domid)
{
    (void)p;
    (void)domid;
    fake_lock(); /* opens the file: later the process may not */
    fake_unlock();
    return 0;
}

void *port_foreign_map(struct port_foreign *p, const struct joist_foreign *req, int *rc)
{
    char *at = mmap(NULL, req->pfn_count * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t i;

    (void)p;
    *rc = 0;
    fake_lock();
    for (i = 0; i < req->pfn_count && *rc == 0; i++) {
        if (is_to_fail()) {
            *rc = -ENOMEM;
        } else if (!may_map(req->domid, req->pfns[i])) {
            *rc = -EINVAL;
        } else if (mmap(at + i * 4096, 4096, req->prot, MAP_SHARED | MAP_FIXED, fake_fd,
                        (off_t)(FAKE_OFFSET + req->pfns[i] * 4096)) == MAP_FAILED) {
            *rc = -errno;
        }
    }
    fake_unlock();
    if (*rc != 0) {
        munmap(at, req->pfn_count * 4096);
        return NULL;
    }
    return at;
}

int port_foreign_unmap(struct port_foreign *p, void *addr, size_t pfn_count)
{
    (void)p;
    return munmap(addr, pfn_count * 4096) == 0 ? 0 : -errno;
}

int port_resource_map(struct port_foreign *p, struct joist_resource *res)
{
    struct fake_domain *d = domain(res->domid);
    bool fails;

    (void)p;
    fake_lock();
    fails = is_to_fail();
    fake_unlock();
    if (fails) {
        return -ENOMEM;
    }
    if (d == NULL || res->type != XENMEM_resource_grant_table || res->frame != 0 ||
        res->frame_count != 1) {
        return -EINVAL;
    }
    res->addr = fake_frame(d->grant_mfn);
    res->cookie = res->addr;
    return 0;
}

int port_resource_unmap(struct port_foreign *p, struct joist_resource *res)
{
    (void)p;
    res->addr = NULL;
    return 0;
}

void *port_xsd_map(uint32_t *port, int *rc)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *port = 1;
    *rc = page != MAP_FAILED ? 0 : -errno;
    return *rc == 0 ? page : NULL;
}

void port_xsd_unmap(void *page)
{
    munmap(page, 4096);
}

bool port_has_hypervisor(void)
{
    return fake_get() != NULL;
}
