/* SPDX-License-Identifier: MIT */
/* The console ring. Each position of the guest is read once and checked before use. */

#include "consoled/ring.h"

#include <errno.h>
#include <string.h>

#define IN_SIZE  ((uint32_t)sizeof(((struct xencons_interface *)0)->in))
#define OUT_SIZE ((uint32_t)sizeof(((struct xencons_interface *)0)->out))

static uint32_t load(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

long ring_peek(const struct xencons_interface *ring, uint8_t *data, size_t max)
{
    uint32_t cons = load(&ring->out_cons);
    uint32_t waiting = load(&ring->out_prod) - cons;
    uint32_t at = cons & (OUT_SIZE - 1);

    if (waiting > OUT_SIZE) {
        return -EPROTO;
    }
    size_t n = waiting < max ? waiting : max;
    size_t first = n < OUT_SIZE - at ? n : OUT_SIZE - at;
    memcpy(data, ring->out + at, first);
    memcpy(data + first, ring->out, n - first);
    return (long)n;
}

void ring_drop(struct xencons_interface *ring, size_t n)
{
    uint32_t cons = load(&ring->out_cons);

    __atomic_store_n(&ring->out_cons, cons + (uint32_t)n, __ATOMIC_RELEASE);
}

size_t ring_room(const struct xencons_interface *ring)
{
    uint32_t used = load(&ring->in_prod) - load(&ring->in_cons);

    return used > IN_SIZE ? 0 : IN_SIZE - used;
}

size_t ring_put(struct xencons_interface *ring, const uint8_t *data, size_t len)
{
    uint32_t prod = load(&ring->in_prod);
    uint32_t at = prod & (IN_SIZE - 1);
    size_t room = ring_room(ring);
    size_t n = len < room ? len : room;
    size_t first = n < IN_SIZE - at ? n : IN_SIZE - at;

    memcpy(ring->in + at, data, first);
    memcpy(ring->in, data + first, n - first);
    __atomic_store_n(&ring->in_prod, prod + (uint32_t)n, __ATOMIC_RELEASE);
    return n;
}
