/* SPDX-License-Identifier: MIT */
/* The seam below libjoist on a real machine: the stable libxen* libraries and /proc/xen. */

#include "libjoist/port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xencall.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

/* The libraries' handles are passed through as ours: the structures below are never defined. */
static inline xencall_handle *call_of(struct port_call *p)
{
    return (xencall_handle *)(void *)p;
}

static inline xenevtchn_handle *evtchn_of(struct port_evtchn *p)
{
    return (xenevtchn_handle *)(void *)p;
}

static inline xengnttab_handle *gnttab_of(struct port_gnttab *p)
{
    return (xengnttab_handle *)(void *)p;
}

static inline xenforeignmemory_handle *foreign_of(struct port_foreign *p)
{
    return (xenforeignmemory_handle *)(void *)p;
}

/* The libraries return -1 with errno set; some paths leave errno at 0. */
static int last_error(void)
{
    return errno ? -errno : -EIO;
}

static int result(int rc)
{
    return rc < 0 ? last_error() : rc;
}

int port_call_open(struct port_call **out)
{
    errno = 0;
    *out = (struct port_call *)(void *)xencall_open(NULL, 0);
    return *out ? 0 : last_error();
}

void port_call_close(struct port_call *p)
{
    xencall_close(call_of(p));
}

long port_call(struct port_call *p, unsigned int nr, const struct joist_args *args)
{
    const uint64_t *a = args->arg;

    errno = 0;
    return result(xencall5(call_of(p), nr, a[0], a[1], a[2], a[3], a[4]));
}

void *port_call_buf_alloc(struct port_call *p, size_t size)
{
    void *buf = xencall_alloc_buffer(call_of(p), size);

    if (buf) {
        memset(buf, 0, size);
    }
    return buf;
}

void port_call_buf_free(struct port_call *p, void *buf)
{
    xencall_free_buffer(call_of(p), buf);
}

int port_evtchn_open(struct port_evtchn **out)
{
    int flags;

    errno = 0;
    xenevtchn_handle *x = xenevtchn_open(NULL, 0);
    if (!x) {
        return last_error();
    }
    /* A pending read must never block a daemon's loop. */
    flags = fcntl(xenevtchn_fd(x), F_GETFL);
    if (flags < 0 || fcntl(xenevtchn_fd(x), F_SETFL, flags | O_NONBLOCK) < 0) {
        int rc = last_error();
        xenevtchn_close(x);
        return rc;
    }
    *out = (struct port_evtchn *)(void *)x;
    return 0;
}

void port_evtchn_close(struct port_evtchn *p)
{
    xenevtchn_close(evtchn_of(p));
}

int port_evtchn_restrict(struct port_evtchn *p, uint16_t domid)
{
    errno = 0;
    return result(xenevtchn_restrict(evtchn_of(p), domid));
}

int port_evtchn_fd(struct port_evtchn *p)
{
    return xenevtchn_fd(evtchn_of(p));
}

int port_evtchn_bind_virq(struct port_evtchn *p, unsigned int virq)
{
    errno = 0;
    return result(xenevtchn_bind_virq(evtchn_of(p), virq));
}

int port_evtchn_bind_interdomain(struct port_evtchn *p, uint16_t domid, uint32_t remote_port)
{
    errno = 0;
    return result(xenevtchn_bind_interdomain(evtchn_of(p), domid, remote_port));
}

int port_evtchn_bind_unbound(struct port_evtchn *p, uint16_t domid)
{
    errno = 0;
    return result(xenevtchn_bind_unbound_port(evtchn_of(p), domid));
}

int port_evtchn_unbind(struct port_evtchn *p, uint32_t port)
{
    errno = 0;
    return result(xenevtchn_unbind(evtchn_of(p), port));
}

int port_evtchn_notify(struct port_evtchn *p, uint32_t port)
{
    errno = 0;
    return result(xenevtchn_notify(evtchn_of(p), port));
}

int port_evtchn_pending(struct port_evtchn *p)
{
    errno = 0;
    return result(xenevtchn_pending(evtchn_of(p)));
}

int port_evtchn_unmask(struct port_evtchn *p, uint32_t port)
{
    errno = 0;
    return result(xenevtchn_unmask(evtchn_of(p), port));
}

int port_gnttab_open(struct port_gnttab **out)
{
    errno = 0;
    *out = (struct port_gnttab *)(void *)xengnttab_open(NULL, 0);
    return *out ? 0 : last_error();
}

void port_gnttab_close(struct port_gnttab *p)
{
    xengnttab_close(gnttab_of(p));
}

void *port_gnttab_map(struct port_gnttab *p, uint16_t domid, uint32_t ref, int *rc)
{
    errno = 0;
    void *page = xengnttab_map_grant_ref(gnttab_of(p), domid, ref, PROT_READ | PROT_WRITE);
    *rc = page ? 0 : last_error();
    return page;
}

int port_gnttab_unmap(struct port_gnttab *p, void *page)
{
    errno = 0;
    return result(xengnttab_unmap(gnttab_of(p), page, 1));
}

int port_foreign_open(struct port_foreign **out)
{
    errno = 0;
    *out = (struct port_foreign *)(void *)xenforeignmemory_open(NULL, 0);
    return *out ? 0 : last_error();
}

void port_foreign_close(struct port_foreign *p)
{
    xenforeignmemory_close(foreign_of(p));
}

int port_foreign_restrict(struct port_foreign *p, uint16_t domid)
{
    errno = 0;
    return result(xenforeignmemory_restrict(foreign_of(p), domid));
}

void *port_foreign_map(struct port_foreign *p, const struct joist_foreign *req, int *rc)
{
    errno = 0;
    void *addr = xenforeignmemory_map(foreign_of(p), req->domid, req->prot, req->pfn_count,
                                      (const xen_pfn_t *)req->pfns, req->errs);
    *rc = addr ? 0 : last_error();
    return addr;
}

int port_foreign_unmap(struct port_foreign *p, void *addr, size_t pfn_count)
{
    errno = 0;
    return result(xenforeignmemory_unmap(foreign_of(p), addr, pfn_count));
}

int port_resource_map(struct port_foreign *p, struct joist_resource *res)
{
    void *addr = NULL;

    errno = 0;
    res->cookie =
        xenforeignmemory_map_resource(foreign_of(p), res->domid, res->type, res->id, res->frame,
                                      res->frame_count, &addr, PROT_READ | PROT_WRITE, 0);
    if (!res->cookie) {
        return last_error();
    }
    res->addr = addr;
    return 0;
}

int port_resource_unmap(struct port_foreign *p, struct joist_resource *res)
{
    errno = 0;
    int rc = result(xenforeignmemory_unmap_resource(foreign_of(p), res->cookie));
    res->cookie = NULL;
    res->addr = NULL;
    return rc;
}

static int xsd_port(uint32_t *port)
{
    char text[32];
    char *end;
    int fd = open("/proc/xen/xsd_port", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) {
        return -EIO;
    }
    text[n] = '\0';
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || value == 0 || value > INT32_MAX) {
        return -EIO;
    }
    *port = (uint32_t)value;
    return 0;
}

void *port_xsd_map(uint32_t *port, int *rc)
{
    *rc = xsd_port(port);
    if (*rc < 0) {
        return NULL;
    }
    int fd = open("/proc/xen/xsd_kva", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        *rc = -errno;
        return NULL;
    }
    void *page = mmap(NULL, JOIST_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *rc = page == MAP_FAILED ? -errno : 0;
    close(fd);
    return *rc < 0 ? NULL : page;
}

void port_xsd_unmap(void *page)
{
    munmap(page, JOIST_PAGE_SIZE);
}

bool port_has_hypervisor(void)
{
    return access("/dev/xen/privcmd", F_OK) == 0 || access("/proc/xen/privcmd", F_OK) == 0;
}
