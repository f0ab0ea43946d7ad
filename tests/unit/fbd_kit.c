/* SPDX-License-Identifier: MIT */
/* A pretended guest, below libjoist: memory by frames, two event channels, nothing else. */

#include "tests/unit/fbd_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libjoist/port.h"

struct fbd_guest fbd_guest;

static void want(bool holds)
{
    if (!holds) {
        abort();
    }
}

void fbd_guest_begin(void)
{
    fbd_guest = (struct fbd_guest){ .memory = memfd_create("guest", MFD_CLOEXEC) };
    want(fbd_guest.memory >= 0);
    want(ftruncate(fbd_guest.memory, (off_t)KIT_FRAMES * WIRE_PAGE_SIZE) == 0);
    fbd_guest.bytes = mmap(NULL, (size_t)KIT_FRAMES * WIRE_PAGE_SIZE, PROT_READ | PROT_WRITE,
                           MAP_SHARED, fbd_guest.memory, 0);
    want(fbd_guest.bytes != MAP_FAILED);
    want(pipe2(fbd_guest.evtchn, O_NONBLOCK | O_CLOEXEC) == 0);
}

void fbd_guest_end(void)
{
    want(fbd_guest.mapped == 0 && fbd_guest.bound == 0);
    munmap(fbd_guest.bytes, (size_t)KIT_FRAMES * WIRE_PAGE_SIZE);
    close(fbd_guest.memory);
    close(fbd_guest.evtchn[0]);
    close(fbd_guest.evtchn[1]);
}

void *fbd_page(uint32_t frame)
{
    want(frame >= KIT_FIRST && frame < KIT_FIRST + KIT_FRAMES);
    return fbd_guest.bytes + (size_t)(frame - KIT_FIRST) * WIRE_PAGE_SIZE;
}

struct fb_page *fbd_make_screen(int32_t width, int32_t height, uint8_t depth)
{
    struct fb_page *page = fbd_page(KIT_FIRST);
    uint32_t line = (uint32_t)width * (depth == 16 ? 2 : 4);
    uint32_t length = line * (uint32_t)height;
    uint32_t count = (length + WIRE_PAGE_SIZE - 1) / WIRE_PAGE_SIZE;

    memset(page, 0, WIRE_PAGE_SIZE);
    page->width = width;
    page->height = height;
    page->depth = depth;
    page->line_length = line;
    page->mem_length = length;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t dir = KIT_FIRST + 2 + i / FB_DIR_ENTRIES;

        page->dir[i / FB_DIR_ENTRIES] = dir;
        ((uint64_t *)fbd_page(dir))[i % FB_DIR_ENTRIES] = KIT_FB_FRAME + count - 1 - i;
    }
    return page;
}

uint32_t *fbd_pixel(const struct fb_page *page, uint32_t x, uint32_t y)
{
    uint32_t at = y * page->line_length + x * 4;
    uint32_t count = (page->mem_length + WIRE_PAGE_SIZE - 1) / WIRE_PAGE_SIZE;
    uint32_t frame = KIT_FB_FRAME + count - 1 - at / WIRE_PAGE_SIZE;

    return (uint32_t *)(void *)((uint8_t *)fbd_page(frame) + at % WIRE_PAGE_SIZE);
}

void fbd_put(struct fb_page *page, const union fb_event *e)
{
    memcpy((uint8_t *)page + FB_OUT_OFFSET + (page->out_prod % FB_OUT_LENGTH) * sizeof(*e), e,
           sizeof(*e));
    page->out_prod++;
    fbd_raise(0);
}

void fbd_raise(uint32_t port)
{
    fbd_guest.is_pending[port] = true;
    want(write(fbd_guest.evtchn[1], "x", 1) == 1);
}

/* --- the seam ----------------------------------------------------------------------------- */

int port_evtchn_open(struct port_evtchn **out)
{
    *out = (struct port_evtchn *)(void *)&fbd_guest;
    return 0;
}

void port_evtchn_close(struct port_evtchn *p)
{
    (void)p;
}

int port_evtchn_restrict(struct port_evtchn *p, uint16_t domid)
{
    (void)p;
    fbd_guest.restricted_to = domid;
    return 0;
}

int port_evtchn_fd(struct port_evtchn *p)
{
    (void)p;
    return fbd_guest.evtchn[0];
}

int port_evtchn_bind_virq(struct port_evtchn *p, unsigned int virq)
{
    (void)p;
    (void)virq;
    return -EPERM;
}

int port_evtchn_bind_unbound(struct port_evtchn *p, uint16_t domid)
{
    (void)p;
    (void)domid;
    return -EPERM;
}

/* The guest's ports 0 to 3 lead to local ports of the same number. */
int port_evtchn_bind_interdomain(struct port_evtchn *p, uint16_t domid, uint32_t remote_port)
{
    (void)p;
    if (domid != 1 || remote_port > 3) {
        return -EINVAL;
    }
    fbd_guest.bound++;
    return (int)remote_port;
}

int port_evtchn_unbind(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    want(port <= 3 && fbd_guest.bound > 0);
    fbd_guest.bound--;
    return 0;
}

int port_evtchn_notify(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    (void)port;
    fbd_guest.kicks++;
    return 0;
}

int port_evtchn_pending(struct port_evtchn *p)
{
    char byte[16];

    (void)p;
    while (read(fbd_guest.evtchn[0], byte, sizeof(byte)) > 0) {
    }
    for (int i = 0; i < 4; i++) {
        if (fbd_guest.is_pending[i]) {
            fbd_guest.is_pending[i] = false;
            return i;
        }
    }
    return -EAGAIN;
}

int port_evtchn_unmask(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    (void)port;
    return 0;
}

int port_foreign_open(struct port_foreign **out)
{
    *out = (struct port_foreign *)(void *)&fbd_guest;
    return 0;
}

void port_foreign_close(struct port_foreign *p)
{
    (void)p;
}

int port_foreign_restrict(struct port_foreign *p, uint16_t domid)
{
    (void)p;
    want(domid == fbd_guest.restricted_to);
    return 0;
}

void *port_foreign_map(struct port_foreign *p, const struct joist_foreign *req, int *rc)
{
    size_t size = req->pfn_count * WIRE_PAGE_SIZE;

    (void)p;
    *rc = -EINVAL;
    for (size_t i = 0; i < req->pfn_count; i++) {
        if (req->domid != 1 || req->pfns[i] < KIT_FIRST || req->pfns[i] >= KIT_FIRST + KIT_FRAMES) {
            return NULL;
        }
    }
    uint8_t *all = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    want(all != MAP_FAILED);
    for (size_t i = 0; i < req->pfn_count; i++) {
        want(mmap(all + i * WIRE_PAGE_SIZE, WIRE_PAGE_SIZE, req->prot, MAP_SHARED | MAP_FIXED,
                  fbd_guest.memory,
                  (off_t)((req->pfns[i] - KIT_FIRST) * WIRE_PAGE_SIZE)) != MAP_FAILED);
    }
    fbd_guest.mapped += (unsigned int)req->pfn_count;
    *rc = 0;
    return all;
}

int port_foreign_unmap(struct port_foreign *p, void *addr, size_t pfn_count)
{
    (void)p;
    want(fbd_guest.mapped >= pfn_count);
    fbd_guest.mapped -= (unsigned int)pfn_count;
    return munmap(addr, pfn_count * WIRE_PAGE_SIZE);
}

int port_resource_map(struct port_foreign *p, struct joist_resource *res)
{
    (void)p;
    (void)res;
    return -EPERM;
}

int port_resource_unmap(struct port_foreign *p, struct joist_resource *res)
{
    (void)p;
    (void)res;
    return -EPERM;
}

void *port_xsd_map(uint32_t *port, int *rc)
{
    (void)port;
    *rc = -EPERM;
    return NULL;
}

void port_xsd_unmap(void *page)
{
    (void)page;
}

bool port_has_hypervisor(void)
{
    return true;
}

int port_call_open(struct port_call **out)
{
    *out = NULL;
    return -EPERM;
}

void port_call_close(struct port_call *p)
{
    (void)p;
}

long port_call(struct port_call *p, unsigned int nr, const struct joist_args *args)
{
    (void)p;
    (void)nr;
    (void)args;
    return -EPERM;
}

void *port_call_buf_alloc(struct port_call *p, size_t size)
{
    (void)p;
    (void)size;
    return NULL;
}

void port_call_buf_free(struct port_call *p, void *buf)
{
    (void)p;
    (void)buf;
}

int port_gnttab_open(struct port_gnttab **out)
{
    *out = NULL;
    return -EPERM;
}

void port_gnttab_close(struct port_gnttab *p)
{
    (void)p;
}

void *port_gnttab_map(struct port_gnttab *p, uint16_t domid, uint32_t ref, int *rc)
{
    (void)p;
    (void)domid;
    (void)ref;
    *rc = -EPERM;
    return NULL;
}

int port_gnttab_unmap(struct port_gnttab *p, void *page)
{
    (void)p;
    (void)page;
    return -EPERM;
}
