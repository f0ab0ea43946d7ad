/* SPDX-License-Identifier: MIT */
/*
 * The seam below libjoist: everything that reaches the hypervisor or the kernel.
 *
 * port_xen.c implements it with the stable libxen* libraries. A test links another file that
 * answers from the host build of the hypervisor or from plain memory. Results are negative errno.
 */
#pragma once

#include "libjoist/joist.h"

struct port_call;
struct port_evtchn;
struct port_gnttab;
struct port_foreign;

int port_call_open(struct port_call **out);
void port_call_close(struct port_call *p);
long port_call(struct port_call *p, unsigned int nr, const struct joist_args *args);
void *port_call_buf_alloc(struct port_call *p, size_t size);
void port_call_buf_free(struct port_call *p, void *buf);

int port_evtchn_open(struct port_evtchn **out);
void port_evtchn_close(struct port_evtchn *p);
/* From now on only channels to that domain, and frames of it. */
int port_evtchn_restrict(struct port_evtchn *p, uint16_t domid);
int port_evtchn_fd(struct port_evtchn *p);
int port_evtchn_bind_virq(struct port_evtchn *p, unsigned int virq);
int port_evtchn_bind_interdomain(struct port_evtchn *p, uint16_t domid, uint32_t remote_port);
int port_evtchn_bind_unbound(struct port_evtchn *p, uint16_t domid);
int port_evtchn_unbind(struct port_evtchn *p, uint32_t port);
int port_evtchn_notify(struct port_evtchn *p, uint32_t port);
int port_evtchn_pending(struct port_evtchn *p);
int port_evtchn_unmask(struct port_evtchn *p, uint32_t port);

int port_gnttab_open(struct port_gnttab **out);
void port_gnttab_close(struct port_gnttab *p);
void *port_gnttab_map(struct port_gnttab *p, uint16_t domid, uint32_t ref, int *rc);
int port_gnttab_unmap(struct port_gnttab *p, void *page);

int port_foreign_open(struct port_foreign **out);
void port_foreign_close(struct port_foreign *p);
int port_foreign_restrict(struct port_foreign *p, uint16_t domid);
void *port_foreign_map(struct port_foreign *p, const struct joist_foreign *req, int *rc);
int port_foreign_unmap(struct port_foreign *p, void *addr, size_t pfn_count);
int port_resource_map(struct port_foreign *p, struct joist_resource *res);
int port_resource_unmap(struct port_foreign *p, struct joist_resource *res);

void *port_xsd_map(uint32_t *port, int *rc);
void port_xsd_unmap(void *page);
bool port_has_hypervisor(void);
