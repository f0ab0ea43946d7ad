/* SPDX-License-Identifier: MIT */
/* Printing of the test guests: to the hypervisor's console as dom0, else to the console ring. */
#include "kit/kit.h"

#include "abi/io.h"

static struct lock print_lock;

/* Adds c to buf if there is room for it and the end mark. */
static size_t add(char *buf, size_t size, size_t at, char c)
{
    if (at + 1 < size) {
        buf[at++] = c;
    }
    return at;
}

static size_t add_number(char *buf, size_t size, size_t at, u64 v, u32 base, u32 width, char pad)
{
    char digits[24];
    u32 n = 0;

    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    while (width > n) {
        at = add(buf, size, at, pad);
        width--;
    }
    while (n) {
        at = add(buf, size, at, digits[--n]);
    }
    return at;
}

static size_t add_string(char *buf, size_t size, size_t at, const char *s)
{
    for (; *s; s++) {
        at = add(buf, size, at, *s);
    }
    return at;
}

/* Formats %s %c %p and %d %u %x with an optional l, zero padding and width. */
void vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
    size_t at = 0;

    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            at = add(buf, size, at, *fmt);
            continue;
        }
        char pad = *++fmt == '0' ? '0' : ' ';
        u32 width = 0;
        bool is_long = false;

        for (; *fmt >= '0' && *fmt <= '9'; fmt++) {
            width = width * 10 + (u32)(*fmt - '0');
        }
        for (; *fmt == 'l'; fmt++) {
            is_long = true;
        }
        if (*fmt == 's') {
            at = add_string(buf, size, at, va_arg(ap, const char *));
        } else if (*fmt == 'c') {
            at = add(buf, size, at, (char)va_arg(ap, int));
        } else if (*fmt == 'd') {
            s64 v = is_long ? va_arg(ap, long) : va_arg(ap, int);

            at = v < 0 ? add(buf, size, at, '-') : at;
            at = add_number(buf, size, at, v < 0 ? 0 - (u64)v : (u64)v, 10, width, pad);
        } else if (*fmt == 'u' || *fmt == 'x' || *fmt == 'p') {
            u64 v = is_long || *fmt == 'p' ? va_arg(ap, u64) : va_arg(ap, u32);

            at = add_number(buf, size, at, v, *fmt == 'u' ? 10 : 16, width, pad);
        } else {
            at = add(buf, size, at, *fmt);
        }
    }
    buf[at < size ? at : size - 1] = 0;
}

static void ring_put(const char *s, size_t n)
{
    u64 pfn = mfn_to_pfn(si->console.domU.mfn);
    volatile struct xencons_interface *r = (void *)(KIT_BASE + pfn * PAGE);
    struct evtchn_send send = { .port = si->console.domU.evtchn };

    while (n) {
        u32 prod = r->out_prod;

        if (prod - r->out_cons >= sizeof(r->out)) {
            event_op(EVTCHNOP_send, &send);
            sched_op(SCHEDOP_yield, NULL);
            continue;
        }
        r->out[prod % sizeof(r->out)] = *s++;
        __atomic_thread_fence(__ATOMIC_RELEASE);
        r->out_prod = prod + 1;
        n--;
    }
    event_op(EVTCHNOP_send, &send);
}

/* Writes n bytes to the console. */
void console_put(const char *s, size_t n)
{
    if (is_dom0) {
        hc3(__HYPERVISOR_console_io, CONSOLEIO_write, n, U64(s));
    } else {
        ring_put(s, n);
    }
}

/* Prints a formatted text; whole calls do not mix with those of other vCPUs. */
void print(const char *fmt, ...)
{
    char buf[512];
    va_list ap;

    va_start(ap, fmt);
    vformat(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    lock(&print_lock);
    console_put(buf, strlen(buf));
    unlock(&print_lock);
}
