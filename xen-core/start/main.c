/* SPDX-License-Identifier: MIT */
/* The boot order: this list is all there is; nothing registers itself. */
#include "start/start.h"

#include "abi/version.h"
#include "base/console.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/timer.h"
#include "domain/domain.h"
#include "irq/irq.h"
#include "mm/boot_alloc.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/console.h"
#include "port/cpu.h"
#include "port/ctl.h"
#include "port/irq.h"
#include "port/start.h"
#include "port/time.h"
#include "sched/sched.h"
#include "start/boot_info.h"
#include "start/cmdline.h"
#include "version.h"

static void check_boot_info(const struct boot_info *bi)
{
    if (bi->magic != BOOT_INFO_MAGIC || bi->size != sizeof *bi) {
        panic("the loader and this hypervisor are of different versions");
    }
    if (bi->range_count > BOOT_RANGES_MAX) {
        panic("the loader's memory map has %u ranges", bi->range_count);
    }
    for (uint32_t i = 0; i < bi->range_count; i++) {
        const struct boot_range *r = &bi->ranges[i];
        if (r->start >= r->end || (i > 0 && r->start < bi->ranges[i - 1].end)) {
            panic("the loader's memory map is not sorted at %#lx", (unsigned long)r->start);
        }
    }
}

static void banner(const struct boot_info *boot)
{
    log_at(LOG_ERR, "Joist %s (Xen 4.17 ABI), loaded by %s", JOIST_VERSION, boot->loader_name);
    log_info("options: %s", boot->options);
}

static void report_memory(const struct boot_info *boot)
{
    uint64_t ram = 0;

    for (uint32_t i = 0; i < boot->range_count; i++) {
        const struct boot_range *r = &boot->ranges[i];
        if (r->type == BOOT_USABLE || r->type == BOOT_LOADER || r->type == BOOT_MODULE ||
            r->type == BOOT_IMAGE) {
            ram += r->end - r->start;
        }
    }
    log_at(LOG_ERR, "%u cpus, %lu MiB of memory", port_cpu_count(), (unsigned long)(ram >> 20));
}

void start(const struct boot_info *bi)
{
    check_boot_info(bi); /* every later step may trust it */
    const struct boot_info *boot = boot_info_keep(bi);
    cmdline_parse(boot->options);
    port_console_early(boot); /* first visible line */
    banner(boot);
    port_memory_map_init(boot); /* kept for dom0 and control calls */
    port_cpu_init(boot);
    boot_alloc_init(boot);   /* bump allocator over the memory map */
    port_mmu_init(boot);     /* own tables; frame table and M2P are backed */
    frame_init();            /* every frame is owned by nobody */
    boot_alloc_finish(boot); /* the heap takes over */
    domain_init();           /* pseudo-domains, idle vcpus */
    irq_init();
    port_irq_init(boot);
    port_time_init(boot);
    timer_cpu_init(0);
    sched_init();
    sched_cpu_init(0);
    port_cpu_start_others();
    port_late_init(boot);
    report_memory(boot);
    dom0_build(boot);
    start_release_boot_memory(boot);
    console_give_to_dom0();
    log_at(LOG_ERR, "starting domain 0 (%lu ms since start)",
           (unsigned long)(port_time_now() / 1000000));
    port_console_screen_off();
    sched_idle(); /* this is the boot cpu's idle vcpu from here on */
}

void start_release_boot_memory(const struct boot_info *bi)
{
    for (uint32_t i = 0; i < bi->range_count; i++) {
        const struct boot_range *r = &bi->ranges[i];
        if (r->type == BOOT_LOADER || r->type == BOOT_MODULE) {
            heap_add(paddr_to_mfn(r->start), paddr_to_mfn(r->end));
        }
    }
}
