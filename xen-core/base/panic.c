/* SPDX-License-Identifier: MIT */
/* The end of the hypervisor: say why, show where, then restart or stop. */
#include "base/panic.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "base/log.h"
#include "lib/fmt.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "port/power.h"

bool panic_halts;

void panic(const char *fmt, ...)
{
    static _Atomic uint32_t entered;
    char text[256];
    va_list args;

    port_irq_disable();
    if (atomic_fetch_add(&entered, 1) != 0) {
        port_halt(); /* another cpu's panic is being shown, or ours has gone wrong */
    }
    log_break_lock();
    va_start(args, fmt);
    (void)fmt_vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_err("*** Panic on cpu %u: %s", port_cpu_id(), text);
    port_panic_report();
    if (panic_halts) {
        log_err("stopped ('noreboot')");
        port_halt();
    }
    log_err("restarting");
    port_reboot();
}
