/* SPDX-License-Identifier: MIT */
/* Host port: guest memory, flat (the process's own) or through the loaded vcpu's page tables; can
 * fault on demand. */
#include "port/copy.h"

#include <string.h>

#include "arch/host/host_int.h"
#include "arch/host/machine.h"
#include "mm/frame.h"

bool host_flat = true;
static _Thread_local uint64_t fault_at;

void host_guest_flat(bool flat)
{
    host_flat = flat;
}

void host_fault_at(uint64_t n)
{
    fault_at = n;
}

/* How many of n bytes may be touched before the fault that a test has asked for. */
static size_t allowed(size_t n)
{
    if (fault_at == 0) {
        return n;
    }
    if (fault_at > n) {
        fault_at -= n;
        return n;
    }
    size_t ok = (size_t)(fault_at - 1);
    fault_at = 0;
    return ok;
}

static bool range_ok(uint64_t va, size_t n)
{
    uint64_t end = va + n;

    return end >= va && va_canonical(va) && (n == 0 || va_guest_ok(end - 1)) && va_guest_ok(va) &&
           !(va < HV_VIRT_START && end > HV_VIRT_START);
}

enum copy_kind { COPY_IN, COPY_OUT, COPY_CLEAR };

/* One byte at a time: slow, and right at every page edge. */
static size_t copy(enum copy_kind kind, unsigned char *mine, uint64_t va, size_t n)
{
    size_t most = range_ok(va, n) ? allowed(n) : 0;

    for (size_t i = 0; i < most; i++) {
        unsigned char *at = (unsigned char *)(uintptr_t)(va + i);
        uint64_t word;
        if (!host_flat) {
            uint64_t base = (va + i) & ~UINT64_C(7);
            if (!host_access(port_current(), base, false, &word)) {
                return n - i;
            }
            at = (unsigned char *)&word + ((va + i) & 7);
        }
        if (kind == COPY_IN) {
            mine[i] = *at;
            continue;
        }
        *at = kind == COPY_OUT ? mine[i] : 0;
        if (!host_flat && !host_access(port_current(), (va + i) & ~UINT64_C(7), true, &word)) {
            return n - i;
        }
    }
    return n - most;
}

size_t guest_read(void *dst, gptr_t src, size_t n)
{
    if (host_flat && fault_at == 0 && range_ok(src.va, n)) {
        memcpy(dst, (const void *)(uintptr_t)src.va, n);
        return 0;
    }
    return copy(COPY_IN, dst, src.va, n);
}

size_t guest_write(gptr_t dst, const void *src, size_t n)
{
    if (host_flat && fault_at == 0 && range_ok(dst.va, n)) {
        memcpy((void *)(uintptr_t)dst.va, src, n);
        return 0;
    }
    return copy(COPY_OUT, (unsigned char *)(uintptr_t)src, dst.va, n);
}

size_t guest_clear(gptr_t dst, size_t n)
{
    return copy(COPY_CLEAR, NULL, dst.va, n);
}

bool host_guest_load(uint64_t *to, uint64_t va)
{
    return guest_read(to, gptr(va), sizeof *to) == 0;
}

bool host_guest_store(uint64_t va, uint64_t val)
{
    return guest_write(gptr(va), &val, sizeof val) == 0;
}
