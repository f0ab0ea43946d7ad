/* SPDX-License-Identifier: MIT */
/* The console ring: a page shared with a guest, which is never trusted. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "abi/io.h"

/* Looks at what the guest printed: up to max bytes, which stay in the ring until ring_drop().
   -EPROTO when the guest's positions make no sense. */
long ring_peek(const struct xencons_interface *ring, uint8_t *data, size_t max);
/* Takes n peeked bytes out of the ring. */
void ring_drop(struct xencons_interface *ring, size_t n);
/* Bytes that fit for the guest to read; 0 as well when its positions make no sense. */
size_t ring_room(const struct xencons_interface *ring);
/* Hands up to len bytes to the guest; returns how many fitted. */
size_t ring_put(struct xencons_interface *ring, const uint8_t *data, size_t len);
