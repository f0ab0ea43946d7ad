/* SPDX-License-Identifier: MIT */
/*
 * Processors: numbers, start, work bits.
 *
 * The others are started one after the other from a frame below 1 MiB (head.S, ap_trampoline) with
 * tables of their own that map it at its address.  These frames are ordinary memory: they are saved
 * and put back.
 */
#include "hw/smp.h"

#include "base/cpumask.h"
#include "base/log.h"
#include "base/timer.h"
#include "cpu/machine.h"
#include "domain/domain.h"
#include "drivers/acpi.h"
#include "guest/spec.h"
#include "hw/asm.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/lapic.h"
#include "hw/paging.h"
#include "hw/percpu.h"
#include "hw/seg.h"
#include "hw/tlb.h"
#include "hw/tsc.h"
#include "hw/x86.h"
#include "hw/xstate.h"
#include "lib/mem.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "port/mmu.h"
#include "port/time.h"
#include "sched/sched.h"
#include "start/boot_info.h"
#include "start/cmdline.h"

#define LOW_FRAMES 4u /* trampoline, top-level table, two below */
#define LOW_LIMIT  UINT64_C(0xa0000)
#define TABLE      (PTE_P | PTE_RW)

#define INIT_WAIT_NS   UINT64_C(10000000) /* SDM vol. 3A 8.4.4 */
#define INIT_WAIT_VM   UINT64_C(100000)
#define START_WAIT_NS  UINT64_C(200000)
#define ONLINE_WAIT_NS UINT64_C(2000000000)

struct cpumask cpu_online_mask;

static struct {
    uint32_t apic_id;
    uint32_t acpi_id;
} ids[CONFIG_MAX_CPUS];

static struct cpu_info *infos[CONFIG_MAX_CPUS];
static const struct acpi_info *acpi;
static const struct boot_info *boot;
static unsigned int cpu_count = 1;
static unsigned int starting; /* the cpu that comes up now */

extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern uint8_t ap_stack[], ap_entry[], ap_efer[], ap_start[];
_Noreturn void ap_main(void);

void smp_init(const struct acpi_info *tables, const struct boot_info *bi)
{
    acpi = tables;
    boot = bi;
    ids[0].apic_id = lapic_id();
    for (uint32_t i = 0; i < acpi->cpu_count; i++) {
        if (acpi->cpu[i].apic_id == ids[0].apic_id) {
            ids[0].acpi_id = acpi->cpu[i].acpi_id;
        }
    }
    infos[0] = cpu_info();
    cpu_info()->apic_id = ids[0].apic_id;
    cpumask_set(&cpu_online_mask, 0);
}

bool cpu_ids(unsigned int cpu, uint32_t *apic_id, uint32_t *acpi_id)
{
    if (cpu >= CONFIG_MAX_CPUS || !cpumask_test(&cpu_online_mask, cpu)) {
        return false;
    }
    *apic_id = ids[cpu].apic_id;
    *acpi_id = ids[cpu].acpi_id;
    return true;
}

unsigned int port_cpu_count(void)
{
    return cpu_count;
}

void smp_send(unsigned int cpu, uint8_t vector)
{
    unsigned long flags = port_irq_save();

    lapic_send(ids[cpu].apic_id, vector);
    port_irq_restore(flags);
}

void smp_nmi_others(void)
{
    cpumask_for_each(cpu, &cpu_online_mask)
    {
        if (cpu != port_cpu_id()) {
            lapic_send_nmi(ids[cpu].apic_id);
        }
    }
}

/*
 * A cpu looks at its own bits before it leaves the hypervisor or halts, so only the bits of another
 * need an interrupt, and only the first of them: it takes all at once.
 */
void port_cpu_raise(unsigned int cpu, uint32_t bits)
{
    struct cpu_info *ci = infos[cpu];

    if (ci == NULL) {
        return;
    }
    uint32_t old = atomic_fetch_or(&ci->work, bits);
    if (old == 0 && cpu != port_cpu_id()) {
        smp_send(cpu, VEC_IPI_WORK);
    }
}

/* STI takes effect after the next instruction: no interrupt is lost between the look and HLT. */
void port_cpu_idle_wait(void)
{
    port_irq_disable();
    if (port_cpu_work_pending()) {
        port_irq_enable();
    } else {
        __asm__ volatile("sti; hlt" ::: "memory");
    }
}

void ap_main(void)
{
    unsigned int cpu = starting;
    struct cpu_info *ci = cpu_info();

    cpu_setup();
    ci->cpu = cpu;
    ci->apic_id = ids[cpu].apic_id;
    ci->current = dom_idle->vcpu[cpu];
    tlb_flush_load(paging_root());
    seg_cpu_init(cpu);
    xstate_cpu_init();
    spec_cpu_init();
    lapic_init_cpu();
    tsc_init_cpu();
    timer_cpu_init(cpu);
    sched_cpu_init(cpu);
    infos[cpu] = ci;
    cpumask_set(&cpu_online_mask, cpu);
    port_irq_enable();
    sched_idle();
}

static void wait_ns(uint64_t ns)
{
    uint64_t end = port_time_now() + ns;

    while (port_time_now() < end) {
        port_cpu_relax();
    }
}

static bool wait_online(unsigned int cpu, uint64_t ns)
{
    uint64_t end = port_time_now() + ns;

    while (!cpumask_test(&cpu_online_mask, cpu)) {
        if (port_time_now() >= end) {
            return false;
        }
        port_cpu_relax();
    }
    return true;
}

/* Frames for the start below 1 MiB; 0 = there are none. */
static paddr_t find_low(void)
{
    for (uint32_t i = 0; i < boot->range_count; i++) {
        const struct boot_range *r = &boot->ranges[i];
        paddr_t at = r->start < PAGE_SIZE ? PAGE_SIZE : r->start;

        if (r->type == BOOT_USABLE && at + LOW_FRAMES * PAGE_SIZE <= r->end &&
            at + LOW_FRAMES * PAGE_SIZE <= LOW_LIMIT) {
            return at;
        }
    }
    return 0;
}

static void set(uint8_t *low, const uint8_t *symbol, const void *val, size_t n)
{
    memcpy(low + (symbol - ap_trampoline), val, n);
}

static void fill_low(uint8_t *low, paddr_t pa)
{
    uint64_t *root = (uint64_t *)(void *)(low + PAGE_SIZE);
    uint64_t *l3 = (uint64_t *)(void *)(low + 2 * PAGE_SIZE);
    uint64_t *l2 = (uint64_t *)(void *)(low + 3 * PAGE_SIZE);
    uint64_t entry = (uint64_t)ap_start;
    uint32_t efer = EFER_NXE | EFER_SCE;

    memset(low, 0, LOW_FRAMES * PAGE_SIZE);
    memcpy(low, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    root[0] = (pa + 2 * PAGE_SIZE) | TABLE;
    for (unsigned int i = PT4_HV_FIRST; i <= PT4_HV_LAST; i++) {
        root[i] = x86_hv_slots[i - PT4_HV_FIRST];
    }
    l3[0] = (pa + 3 * PAGE_SIZE) | TABLE;
    l2[0] = TABLE | PTE_PSE;
    set(low, ap_entry, &entry, sizeof entry);
    set(low, ap_efer, &efer, sizeof efer);
}

static bool start_cpu(unsigned int cpu, uint8_t *low, paddr_t pa)
{
    uint64_t stack = seg_block(cpu) + BLOCK_SIZE - 256;
    uint32_t apic_id = ids[cpu].apic_id;

    set(low, ap_stack, &stack, sizeof stack);
    starting = cpu;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    port_irq_disable();
    lapic_send_init(apic_id);
    wait_ns(cpu_features.hypervisor ? INIT_WAIT_VM : INIT_WAIT_NS);
    lapic_send_startup(apic_id, (uint8_t)(pa >> PAGE_SHIFT));
    port_irq_enable();
    if (wait_online(cpu, START_WAIT_NS)) {
        return true;
    }
    port_irq_disable();
    lapic_send_startup(apic_id, (uint8_t)(pa >> PAGE_SHIFT));
    port_irq_enable();
    return wait_online(cpu, ONLINE_WAIT_NS);
}

static uint32_t cpus_wanted(void)
{
    return options.maxcpus != 0 && options.maxcpus < CONFIG_MAX_CPUS ? options.maxcpus
                                                                     : CONFIG_MAX_CPUS;
}

/* Give numbers to the cpus that are to run, and make their areas: how many, this one included. */
static unsigned int prepare_cpus(void)
{
    unsigned int n = 1;

    for (uint32_t i = 0; i < acpi->cpu_count && n < cpus_wanted(); i++) {
        if (acpi->cpu[i].apic_id != ids[0].apic_id) {
            ids[n].apic_id = acpi->cpu[i].apic_id;
            ids[n].acpi_id = acpi->cpu[i].acpi_id;
            percpu_init(n);
            n++;
        }
    }
    if (n < acpi->cpu_count) {
        log_warn("%u cpus used of %u", n, acpi->cpu_count);
    }
    return n;
}

unsigned int port_cpu_start_others(void)
{
    static uint8_t saved[LOW_FRAMES * PAGE_SIZE];
    paddr_t pa = find_low();
    uint8_t *low = port_frame_va(paddr_to_mfn(pa));
    unsigned int wanted = prepare_cpus();

    if (wanted == 1) {
        return 1;
    }
    if (pa == 0) {
        log_warn("no free memory below 1 MiB: other cpus stay off");
        return 1;
    }
    /* Nothing is allocated while these frames are borrowed: they are the heap's. */
    memcpy(saved, low, sizeof saved);
    fill_low(low, pa);
    while (cpu_count < wanted) {
        if (!start_cpu(cpu_count, low, pa)) {
            /* It may yet come, and would use what we would give to the next: no further ones. */
            log_err("the cpu with APIC id %u does not start", ids[cpu_count].apic_id);
            break;
        }
        cpu_count++;
    }
    memcpy(low, saved, sizeof saved);
    return cpu_count;
}
