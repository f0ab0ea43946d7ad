/* SPDX-License-Identifier: MIT */
/* The log: formats a line, keeps it in a ring for dom0, writes it to the console. */
#include "base/log.h"

#include "base/lock.h"
#include "base/upcall.h"
#include "lib/fmt.h"
#include "lib/mem.h"
#include "port/console.h"
#include "port/time.h"

#include "config.h"

#define RING_SIZE (CONFIG_LOG_RING_KB * 1024u)
#define LINE_SIZE 320u
_Static_assert((RING_SIZE & (RING_SIZE - 1)) == 0, "the log ring's size is a power of two");

/* A domain may cause so many lines at once, and so many a second after that. */
#define GUEST_BURST  20u
#define NS_PER_TOKEN UINT64_C(200000000)

static struct spinlock lock = SPINLOCK(LOCK_log);
static char ring[RING_SIZE]; /* [log] */
static uint32_t ring_end;    /* bytes ever written, modulo 2^32 [log] */
static uint32_t ring_start;  /* oldest byte kept; moved by `clear` too [log] */
static char last_out;        /* last byte on the console [log] */
static enum log_level level_hypervisor = CONFIG_LOG_LEVEL;
static enum log_level level_guest = LOG_WARN;

static const char prefix[] = "(JOIST) ";

static void ring_put(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ring[ring_end++ & (RING_SIZE - 1)] = text[i];
    }
    if (ring_end - ring_start > RING_SIZE) {
        ring_start = ring_end - RING_SIZE;
    }
}

/* Terminals want CR LF; text that has it already is left alone. */
static void console_put(const char *text, size_t len)
{
    size_t from = 0;

    for (size_t i = 0; i < len; i++) {
        char before = i > 0 ? text[i - 1] : last_out;
        if (text[i] == '\n' && before != '\r') {
            port_console_write(text + from, i - from);
            port_console_write("\r\n", 2);
            from = i + 1;
        }
    }
    port_console_write(text + from, len - from);
    if (len > 0) {
        last_out = text[len - 1];
    }
}

static void emit(const char *text, size_t len, bool keep)
{
    unsigned long flags = spin_lock_irqsave(&lock);

    if (keep) {
        ring_put(text, len);
    }
    console_put(text, len);
    spin_unlock_irqrestore(&lock, flags);
}

/* Text longer than a line is cut; there is always exactly one newline at the end. */
static void put_line(const char *who, const char *fmt, va_list args)
{
    char line[LINE_SIZE];
    size_t n = fmt_snprintf(line, sizeof line, "%s%s", prefix, who);

    n += fmt_vsnprintf(line + n, sizeof line - n, fmt, args);
    if (n > sizeof line - 2) {
        n = sizeof line - 2;
    }
    if (n == 0 || line[n - 1] != '\n') {
        line[n++] = '\n';
    }
    emit(line, n, true);
}

void log_at(enum log_level level, const char *fmt, ...)
{
    va_list args;

    if (level > level_hypervisor) {
        return;
    }
    va_start(args, fmt);
    put_line("", fmt, args);
    va_end(args);
}

void log_guest(struct domain *d, enum log_level level, const char *fmt, ...)
{
    char who[16];
    va_list args;

    if (level > level_guest || !upcall_log_allowed(d, port_time_now(), GUEST_BURST, NS_PER_TOKEN)) {
        return;
    }
    (void)fmt_snprintf(who, sizeof who, "d%u ", upcall_domain_id(d));
    va_start(args, fmt);
    put_line(who, fmt, args);
    va_end(args);
}

void log_raw(const char *text, size_t len)
{
    emit(text, len, false);
}

size_t log_read(char *dst, size_t size, uint32_t *index, bool incremental, bool clear)
{
    unsigned long flags = spin_lock_irqsave(&lock);
    uint32_t from = ring_start;
    size_t n = 0;

    /* An index that the ring has left behind, or one of the future, starts at the oldest byte. */
    if (incremental && ring_end - *index <= ring_end - ring_start) {
        from = *index;
    }
    while (n < size && from != ring_end) {
        dst[n++] = ring[from++ & (RING_SIZE - 1)];
    }
    *index = from;
    if (clear) {
        ring_start = ring_end;
    }
    spin_unlock_irqrestore(&lock, flags);
    return n;
}

void log_set_levels(enum log_level hypervisor, enum log_level guest)
{
    level_hypervisor = hypervisor;
    level_guest = guest;
}

void log_break_lock(void)
{
    spin_init(&lock, LOCK_log);
}
