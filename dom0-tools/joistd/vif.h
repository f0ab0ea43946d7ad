/* SPDX-License-Identifier: MIT */
/* Network interfaces of guests: what `vif=` says, and what is made of it on the host. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "joistd/dev.h"

#define VIF_NAME_MAX   15  /* bytes of an interface's name, as the kernel limits them */
#define VIF_IPS_MAX    8   /* addresses of one interface */
#define VIF_TEXT_MAX   511 /* bytes of one entry of vif= */
#define VIF_SCRIPT_MAX 255
#define VIF_DEVID_MAX  255
#define VIF_MTU_MIN    68
#define VIF_MTU_MAX    65517 /* netback's limit */

#define VIF_DEFAULT_BRIDGE "xenbr0"
#define VIF_SCRIPT_DIR     "/etc/xen/scripts"

enum vif_mode {
    VIF_BRIDGE, /* a port of a bridge */
    VIF_ROUTE,  /* host routes to its addresses */
    VIF_NAT,    /* as VIF_ROUTE, and leaving traffic gets the host's address */
    VIF_SCRIPT, /* the administrator's own program does it */
};

struct vif_ip {
    uint8_t family; /* 4 or 6 */
    uint8_t prefix; /* bits of the network that it may use addresses of; 32 or 128: only this one */
    uint8_t addr[16];
};

struct vif {
    bool has_mac;
    bool is_trusted;
    uint8_t mac[6];
    enum vif_mode mode;
    char bridge[VIF_NAME_MAX + 1];     /* empty: not given */
    char vifname[VIF_NAME_MAX + 1];    /* empty: vifDOMID.DEVID */
    char gatewaydev[VIF_NAME_MAX + 1]; /* empty: any */
    char script[VIF_SCRIPT_MAX + 1];   /* path, with VIF_SCRIPT only */
    unsigned int mtu;                  /* 0: the bridge's */
    uint32_t rate_bytes;               /* what the guest may send in one interval; 0: any amount */
    uint32_t rate_usec;                /* length of that interval */
    char ip_text[VIF_TEXT_MAX + 1];    /* ip= as it was written; empty: none */
    unsigned int ip_count;
    struct vif_ip ip[VIF_IPS_MAX];
};

/*
 * The class's parse(): one entry of vif= in xl's syntax ("mac=...,bridge=...") into dev->own, a
 * struct vif.  Facts: xl-network-configuration(5) of Xen 4.17.
 */
int vif_parse(struct dev_parse *p, struct device *dev);

/* "aa:bb:cc:dd:ee:ff"; `text` has 18 bytes. */
void vif_mac_format(const uint8_t mac[6], char *text);

/* -EINVAL for text that is no MAC address. */
int vif_mac_parse(uint8_t mac[6], const char *text);

/*
 * The address of a guest's n-th interface for which none is given: in the range of Xen's vendor
 * number 00:16:3e, and always the same for the same UUID and number.
 */
void vif_mac_generate(uint8_t mac[6], const uint8_t uuid[16], unsigned int devid);

/* An address as text without its prefix; `text` has at least 46 bytes. */
void vif_ip_format(const struct vif_ip *ip, char *text, size_t size);

/* The address that the host has on a routed or NAT interface: the first of the guest's network. */
void vif_gateway(const struct vif_ip *ip, struct vif_ip *gateway);
