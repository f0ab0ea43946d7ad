/* SPDX-License-Identifier: MIT */
/*
 * Packet rules of one interface: what a guest may send (anti-spoofing of ip=) and address
 * translation.  Each interface has tables of its own, named after domain and device, so that
 * removing them touches nothing else; the rules against spoofing hang on the interface itself
 * (netdev family, ingress), whatever it is connected to, and the kernel drops them with it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "joistd/vif.h"

#define NET_RULES_MAX 16384 /* bytes of the text of one interface's rules */

/*
 * The text, in nft's language, that sets the rules of an interface in one transaction, replacing
 * what was there: against spoofing if the guest's addresses are known, translation with VIF_NAT.
 * An empty text if there are none.  -E2BIG for more than `size`.
 */
int net_rules_text(char *text, size_t size, uint16_t domid, unsigned int devid, const char *name,
                   const struct vif *v);

/* The text that removes the tables of an interface, whether there are any or not. */
int net_rules_removal(char *text, size_t size, uint16_t domid, unsigned int devid);

/* Runs such a text through libnftables; 0, or -EIO with the failure set. */
int net_rules_run(const char *text, const char *name, struct fail *f);

/* Removes the tables of all interfaces of a domain that are still there. */
void net_rules_sweep(uint16_t domid);
