/* SPDX-License-Identifier: MIT */
/*
 * The tool library: control calls, event channels, grants and foreign memory for the daemons.
 *
 * Every function that can fail returns 0 (or a count, a port, a file descriptor) or a negative
 * errno of the host. Nothing here locks: a handle belongs to one thread. Devices of the kernel
 * are opened when they are first needed, so a program that only uses event channels never
 * touches privcmd.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct joist;
struct xen_domctl;
struct xen_sysctl;

#define JOIST_PAGE_SIZE 4096u

/* --- handle ------------------------------------------------------------------------------- */

int joist_open(struct joist **out);
void joist_close(struct joist *h);
/* Opens every device now, so that none is missing later and descriptors do not grow with use. */
int joist_open_devices(struct joist *h);
/* Opens event channels and foreign mapping, both for one domain only, for good: what else this
   handle could do is closed. Negative errno of the kernel. */
int joist_restrict(struct joist *h, uint16_t domid);
/* False on a machine without a hypervisor (no /proc/xen/privcmd and no /dev/xen/privcmd). */
bool joist_has_hypervisor(void);

/* --- control calls ------------------------------------------------------------------------ */

struct joist_args {
    uint64_t arg[5];
};

/* Issue hypercall nr; returns what the hypervisor returned, or the negative errno. Pointers in
   the arguments must lie in memory from joist_buf_alloc(). */
long joist_hypercall(struct joist *h, unsigned int nr, const struct joist_args *args);
/* Memory that a hypercall may read and write; zeroed. */
void *joist_buf_alloc(struct joist *h, size_t size);
void joist_buf_free(struct joist *h, void *buf);

/* The caller fills cmd, domain and u; the interface version is filled in here and the whole
   structure is copied back. Guest handles inside u must point to joist_buf_alloc() memory. */
int joist_domctl(struct joist *h, struct xen_domctl *op);
int joist_sysctl(struct joist *h, struct xen_sysctl *op);
/* memory_op and xen_version: arg of size bytes is copied in and back out. */
long joist_memory_op(struct joist *h, unsigned int cmd, void *arg, size_t size);
long joist_xen_version(struct joist *h, unsigned int cmd, void *arg, size_t size);

/* What the daemons need to know about one domain. */
struct joist_dominfo {
    uint16_t domid;
    bool is_dying;
    bool is_shutdown;
    uint8_t shutdown_code; /* SHUTDOWN_*, valid when is_shutdown */
};

/* 0, or -ESRCH when the domain does not exist. */
int joist_dominfo(struct joist *h, uint16_t domid, struct joist_dominfo *out);

/* --- event channels ----------------------------------------------------------------------- */

int joist_evtchn_fd(struct joist *h);
/* Each of the three returns the local port. */
int joist_evtchn_bind_virq(struct joist *h, unsigned int virq);
int joist_evtchn_bind_interdomain(struct joist *h, uint16_t domid, uint32_t remote_port);
int joist_evtchn_bind_unbound(struct joist *h, uint16_t domid);
int joist_evtchn_unbind(struct joist *h, uint32_t port);
int joist_evtchn_notify(struct joist *h, uint32_t port);
/* The next pending port (now masked), or -EAGAIN when there is none. */
int joist_evtchn_pending(struct joist *h);
int joist_evtchn_unmask(struct joist *h, uint32_t port);

/* --- grants ------------------------------------------------------------------------------- */

/* Maps one granted page read-write; NULL with *rc set on failure. */
void *joist_grant_map(struct joist *h, uint16_t domid, uint32_t ref, int *rc);
int joist_grant_unmap(struct joist *h, void *page);

/* --- foreign memory ----------------------------------------------------------------------- */

struct joist_foreign {
    uint16_t domid;
    int prot;             /* PROT_READ | PROT_WRITE */
    const uint64_t *pfns; /* guest frame numbers (machine frames for a PV guest) */
    size_t pfn_count;
    int *errs; /* one negative errno (or 0) per frame, or NULL: then any failure fails the map */
};

void *joist_foreign_map(struct joist *h, const struct joist_foreign *req, int *rc);
int joist_foreign_unmap(struct joist *h, void *addr, size_t pfn_count);

struct joist_resource {
    uint16_t domid;
    uint32_t type; /* XENMEM_resource_* */
    uint32_t id;
    uint64_t frame;
    uint64_t frame_count;
    void *addr;   /* out */
    void *cookie; /* out, for joist_resource_unmap() */
};

int joist_resource_map(struct joist *h, struct joist_resource *res);
int joist_resource_unmap(struct joist *h, struct joist_resource *res);

/* --- store ring of the control domain itself ---------------------------------------------- */

/* Maps the page that the kernel of this domain shares with the store daemon, and says which of
   its ports to bind to. Returns NULL with *rc set on failure. */
void *joist_xsd_map(uint32_t *port, int *rc);
void joist_xsd_unmap(void *page);

/* --- errors ------------------------------------------------------------------------------- */

/* The text of an errno, positive or negative. */
const char *joist_strerror(int rc);
/* The name ("EINVAL") of an errno, positive or negative, "EIO" for one without a name here. */
const char *joist_errname(int rc);
/* The positive errno of a name, or 0. */
int joist_errno_of(const char *name);
