/* SPDX-License-Identifier: MIT */
/* Interfaces of the host, asked for and changed over rtnetlink: no programs are run. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "joistd/vif.h"

#define NET_MESSAGE_MAX 512 /* bytes of any request made here */

struct net; /* a netlink socket */

struct net_link {
    unsigned int index;
    unsigned int mtu;
    unsigned int master; /* index of the bridge it is a port of; 0: none */
    bool is_up;
    bool is_bridge;
    uint8_t mac[6];
    char name[VIF_NAME_MAX + 1];
};

/* What to change of an interface; members left 0 change nothing. */
struct net_change {
    unsigned int index;
    const char *name;
    unsigned int mtu;
    unsigned int master;
    bool up;
};

/* Opens a socket; 0 or a negative errno. */
int net_open(struct net **n);
void net_close(struct net *n);

/* The interface of that name; -ENODEV if there is none, -EPROTO for an answer that is none. */
int net_find(struct net *n, const char *name, struct net_link *link);

/* All that is asked for in one request; the negative errno that the kernel answers. */
int net_change(struct net *n, const struct net_change *c);

/* Gives an interface an address (its prefix counts); -EEXIST if it has it. */
int net_add_address(struct net *n, unsigned int index, const struct vif_ip *ip);

/* Sends traffic for an address (or its network) to an interface, replacing an equal route. */
int net_add_route(struct net *n, unsigned int index, const struct vif_ip *ip,
                  const struct vif_ip *source);

/* The first IPv4 address of an interface; -EADDRNOTAVAIL if it has none. */
int net_first_address(struct net *n, unsigned int index, struct vif_ip *ip);

/* The requests as bytes, in buffers of NET_MESSAGE_MAX; the size is in the message's header. */
void net_message_change(void *buf, const struct net_change *c);
void net_message_address(void *buf, unsigned int index, const struct vif_ip *ip);
/* `source`: the address that the host itself uses on that route, or NULL */
void net_message_route(void *buf, unsigned int index, const struct vif_ip *ip,
                       const struct vif_ip *source);

/* Reads the answer to a request for one interface; -EPROTO for one that lacks something. */
int net_read_link(const void *message, size_t size, struct net_link *link);
