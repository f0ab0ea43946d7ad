/* SPDX-License-Identifier: MIT */
/* The ring transport: a page shared with a domain's kernel, and an event channel. */
#pragma once

#include "stored/conn.h"

struct ring_place {
    uint16_t domid;
    uint64_t gfn; /* of the ring page, used when its reserved grant cannot be mapped */
    uint32_t remote_port;
};

/* A connection of domid that has no page yet. */
struct conn *ring_conn_new(struct server *s, uint16_t domid);
/* Maps the page and binds the port. A new ring is taken as it is; otherwise the positions that
   the journal gave are put into it. 0 or a negative errno. */
int ring_attach(struct conn *c, const struct ring_place *place, bool is_new);
int ring_rebind(struct conn *c, uint32_t remote_port);
/* Serves rings that have something for us, or room for us, without an event: Linux stores its
   position and loads ours with no barrier between, so that it may see us behind, and send none,
   when we see nothing new. Twice after a ring has last moved: by then each end's stores are seen.
 */
void rings_look(struct ev_timer *src);
/* The event channel of the daemon fired. */
void ring_on_event(struct ev_fd *src, short revents);
