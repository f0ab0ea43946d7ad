/* SPDX-License-Identifier: MIT */
/*
 * Time.  The TSC counts; it is calibrated once against the HPET (or the ACPI timer, or the PIT) and
 * read everywhere. Deadlines: the local APIC's timer, in TSC-deadline mode where the processor has
 * it.
 *
 * The wall clock is the RTC's, which shows whole seconds: it is read once at boot, and looked at
 * every few ms until a second ends, which sets the fraction.
 */
#include "hw/tsc.h"

#include <stddef.h>

#include "base/log.h"
#include "base/panic.h"
#include "base/timer.h"
#include "cpu/msr.h"
#include "drivers/acpi.h"
#include "hw/lapic.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "port/time.h"
#include "sched/systime.h"

#define NS_PER_SEC UINT64_C(1000000000)

/* Long enough that the reading errors (a microsecond or two in a virtual machine) are a few parts
 * in 10^5. */
#define CALIBRATE_NS UINT64_C(50000000)
#define SAMPLES      16u
/* Of the TSC: a second at 16 GHz, after which the reference does not count. */
#define CALIBRATE_TICKS_MAX (UINT64_C(1) << 34)

#define HPET_CAP     0x000u
#define HPET_CONFIG  0x010u
#define HPET_COUNTER 0x0f0u
#define HPET_ENABLE  1u
#define HPET_FS_MAX  100000000u /* the specification's longest period, fs */
#define PM_TIMER_HZ  UINT64_C(3579545)
#define PIT_HZ       UINT64_C(1193182)
#define PIT_CHANNEL2 0x42u
#define PIT_COMMAND  0x43u
#define PIT_GATE     0x61u

/* Further away is armed again by timer_run(). */
#define DEADLINE_MAX_NS (3600 * NS_PER_SEC)

#define RTC_EDGE_POLL_NS UINT64_C(5000000)
/* A second that ended while nobody looked for longer than this (the first domain was being built)
 * tells too little about when: the next one is waited for. */
#define RTC_EDGE_GAP_NS UINT64_C(30000000)
/* Where every look is that late, one of the next is taken all the same; and an RTC whose seconds do
 * not end is left alone: the wall clock stays as it was read first. */
#define RTC_EDGE_LOOKS      1000u
#define RTC_EDGE_LAST_LOOKS 2000u

#define CPUID_EXT_POWER UINT32_C(0x80000007)

/* A counter of known frequency that only goes up, `mask` wide. */
struct reference {
    const char *name;
    uint64_t hz;
    uint64_t mask;
    uint64_t (*read)(void);
};

static volatile uint8_t *hpet;
static uint16_t pm_port;
static uint64_t tsc_hz;
static uint64_t tsc0; /* TSC at ns 0 */
static uint32_t scale_mul;
static int8_t scale_shift;
static uint64_t lapic_hz; /* 0 in deadline mode */
static bool deadline_mode;
static uint64_t wall_sec; /* at ns 0 */
static uint32_t wall_nsec;
static uint8_t century_reg;

static struct timer edge_timer;
static uint64_t edge_looked; /* when the RTC was last read */
static uint32_t edge_looks;
static uint8_t edge_second;

static uint64_t read_hpet(void)
{
    return *(volatile uint32_t *)(hpet + HPET_COUNTER);
}

static uint64_t read_pm(void)
{
    return cpu_in(pm_port, 4);
}

static uint64_t read_pit(void)
{
    cpu_out(PIT_COMMAND, 1, 0x80); /* latch channel 2 */
    uint32_t low = cpu_in(PIT_CHANNEL2, 1);
    return 0xffff - (low | cpu_in(PIT_CHANNEL2, 1) << 8);
}

static bool find_hpet(const struct acpi_info *acpi, struct reference *r)
{
    if (acpi->hpet_base == 0 || (hpet = port_map_device(acpi->hpet_base, PAGE_SIZE)) == NULL) {
        return false;
    }
    uint32_t period = *(volatile uint32_t *)(hpet + HPET_CAP + 4);
    if (period == 0 || period > HPET_FS_MAX) {
        return false;
    }
    *(volatile uint32_t *)(hpet + HPET_CONFIG) |= HPET_ENABLE;
    *r = (struct reference){ "HPET", UINT64_C(1000000000000000) / period, UINT32_MAX, read_hpet };
    return true;
}

static void find_reference(const struct acpi_info *acpi, struct reference *r)
{
    if (find_hpet(acpi, r)) {
        return;
    }
    if (acpi->pm_timer.address != 0 && acpi->pm_timer.space == 1 &&
        acpi->pm_timer.address <= 0xfffc) {
        pm_port = (uint16_t)acpi->pm_timer.address;
        *r = (struct reference){ "ACPI timer", PM_TIMER_HZ,
                                 acpi->pm_timer_32 ? UINT32_MAX : 0xffffff, read_pm };
        return;
    }
    cpu_out(PIT_GATE, 1, (cpu_in(PIT_GATE, 1) & 0xfcu) | 1);
    cpu_out(PIT_COMMAND, 1, 0xb0); /* channel 2, both bytes, mode 0 */
    cpu_out(PIT_CHANNEL2, 1, 0xff);
    cpu_out(PIT_CHANNEL2, 1, 0xff);
    *r = (struct reference){ "PIT", PIT_HZ, 0xffff, read_pit };
}

/* One moment on both clocks: of several tries the one that took the least time. */
struct moment {
    uint64_t tsc;
    uint64_t ref;
};

static struct moment sample(const struct reference *r)
{
    struct moment best = { 0, 0 };
    uint64_t best_cost = UINT64_MAX;

    for (unsigned int i = 0; i < SAMPLES; i++) {
        uint64_t before = port_ticks();
        uint64_t ref = r->read();
        uint64_t after = port_ticks();
        if (after - before < best_cost) {
            best_cost = after - before;
            best = (struct moment){ before + (after - before) / 2, ref };
        }
    }
    return best;
}

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low;
    uint64_t high;

    /* The compiler's own division of 128 bits is a library call. The callers' quotients fit. */
    __asm__("mulq %3\n"
            "divq %4"
            : "=&a"(low), "=&d"(high)
            : "0"(a), "r"(b), "r"(c)
            : "cc");
    return low;
}

static void set_scale(uint64_t hz)
{
    uint64_t tps = hz;

    scale_shift = 0;
    while (tps > 2 * NS_PER_SEC) {
        tps >>= 1;
        scale_shift--;
    }
    while (tps <= NS_PER_SEC) {
        tps <<= 1;
        scale_shift++;
    }
    /* Exact from hz: 2^32 * 10^9 / (hz * 2^shift). */
    uint64_t num = scale_shift < 0 ? NS_PER_SEC << -scale_shift : NS_PER_SEC;
    uint64_t den = scale_shift > 0 ? hz << scale_shift : hz;
    scale_mul = (uint32_t)mul_div(num, UINT64_C(1) << 32, den);
    tsc_hz = hz;
}

static void calibrate(const struct reference *r)
{
    uint64_t want = mul_div(CALIBRATE_NS, r->hz, NS_PER_SEC);

    if (want > r->mask / 2) {
        want = r->mask / 2;
    }
    lapic_timer_setup(false);
    lapic_timer_oneshot(UINT32_MAX);
    struct moment start = sample(r);
    uint32_t lapic_start = lapic_timer_count();
    while (((r->read() - start.ref) & r->mask) < want &&
           port_ticks() - start.tsc < CALIBRATE_TICKS_MAX) {
        port_cpu_relax();
    }
    struct moment end = sample(r);
    uint32_t lapic_end = lapic_timer_count();
    lapic_timer_oneshot(0);

    uint64_t ref = (end.ref - start.ref) & r->mask;
    if (ref == 0 || end.tsc <= start.tsc) {
        panic("the %s does not count: no time", r->name);
    }
    set_scale(mul_div(end.tsc - start.tsc, r->hz, ref));
    lapic_hz = mul_div(lapic_start - lapic_end, r->hz, ref);
}

bool tsc_is_invariant(void)
{
    struct cpuid_leaf l;

    cpu_cpuid(UINT32_C(0x80000000), 0, &l);
    if (l.a < CPUID_EXT_POWER) {
        return false;
    }
    cpu_cpuid(CPUID_EXT_POWER, 0, &l);
    return (l.d >> 8 & 1) != 0;
}

static bool rtc_updating(void)
{
    return (cpu_cmos_read(0x0a) & 0x80) != 0;
}

static uint32_t unbcd(uint8_t v, bool binary)
{
    return binary ? v : (uint32_t)(v >> 4) * 10 + (v & 15);
}

/* Days since 1970-01-01 of a civil date (Gregorian). */
static uint64_t days_from_civil(uint32_t y, uint32_t m, uint32_t d)
{
    y -= m <= 2;
    uint32_t era = y / 400;
    uint32_t yoe = y - era * 400;
    uint32_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    uint32_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (uint64_t)era * 146097 + doe - 719468;
}

/* Seconds since 1970, as the RTC shows now. The registers are read twice until they agree. */
static uint64_t rtc_read(uint8_t *raw_second)
{
    uint8_t now[7];
    uint8_t last[7] = { 0 };

    for (unsigned int tries = 0; tries < 100; tries++) {
        static const uint8_t reg[6] = { 0, 2, 4, 7, 8, 9 };
        for (unsigned int spin = 0; rtc_updating() && spin < 100000; spin++) {
            port_cpu_relax();
        }
        for (unsigned int i = 0; i < 6; i++) {
            now[i] = cpu_cmos_read(reg[i]);
        }
        now[6] = century_reg != 0 ? cpu_cmos_read(century_reg) : 0;
        bool same = true;
        for (unsigned int i = 0; i < 7; i++) {
            same = same && now[i] == last[i];
            last[i] = now[i];
        }
        if (same) {
            break;
        }
    }
    uint8_t mode = cpu_cmos_read(0x0b);
    bool binary = (mode & 4) != 0;
    uint32_t hour = unbcd(now[2] & 0x7f, binary);
    if (!(mode & 2)) {
        hour = hour % 12 + ((now[2] & 0x80) ? 12 : 0);
    }
    uint32_t century = unbcd(now[6], binary);
    uint32_t year = unbcd(now[5], binary) + (century >= 19 && century < 30 ? century * 100 : 2000);
    uint64_t days = days_from_civil(year, unbcd(now[4], binary), unbcd(now[3], binary));
    *raw_second = now[0];
    return days * 86400 + hour * 3600 + unbcd(now[1], binary) * 60 + unbcd(now[0], binary);
}

static void watch_edge(void *data)
{
    uint8_t second;

    (void)data;
    uint64_t sec = rtc_read(&second);
    uint64_t now = port_time_now();
    uint64_t gap = now - edge_looked;
    edge_looked = now;
    edge_looks++;
    if (second == edge_second || (gap > RTC_EDGE_GAP_NS && edge_looks <= RTC_EDGE_LOOKS)) {
        edge_second = second;
        if (edge_looks < RTC_EDGE_LAST_LOOKS) {
            timer_set(&edge_timer, now + RTC_EDGE_POLL_NS);
        }
        return;
    }
    systime_wallclock_set(sec, 0, now - gap / 2);
}

void tsc_init(const struct acpi_info *acpi)
{
    struct reference r;

    century_reg = acpi->century;
    find_reference(acpi, &r);
    calibrate(&r);
    deadline_mode = lapic_has_deadline() && tsc_is_invariant();
    tsc0 = port_ticks();
    wall_sec = rtc_read(&edge_second);
    wall_nsec = 0;
    log_info("TSC %lu kHz by the %s%s, timer %s", (unsigned long)(tsc_hz / 1000), r.name,
             tsc_is_invariant() ? ", invariant" : "",
             deadline_mode ? "in TSC-deadline mode" : "one-shot");
    tsc_init_cpu();
}

void tsc_init_cpu(void)
{
    lapic_timer_setup(deadline_mode);
}

void tsc_watch_rtc(void)
{
    edge_looks = 0;
    timer_init(&edge_timer, watch_edge, NULL, 0);
    timer_set(&edge_timer, port_time_now() + RTC_EDGE_POLL_NS);
}

static uint64_t scale(uint64_t ticks)
{
    unsigned __int128 t = ticks;

    t = scale_shift < 0 ? t >> -scale_shift : t << scale_shift;
    return (uint64_t)(t * scale_mul >> 32);
}

uint64_t port_time_now(void)
{
    return scale(port_ticks() - tsc0);
}

uint64_t port_ticks_to_ns(uint64_t ticks)
{
    return scale(ticks - tsc0);
}

void port_time_scale(struct port_time_scale *s)
{
    uint64_t now = port_ticks();

    *s = (struct port_time_scale){
        .mul = scale_mul, .shift = scale_shift, .ticks0 = now, .ns0 = scale(now - tsc0)
    };
}

uint64_t port_ticks_khz(void)
{
    return tsc_hz / 1000;
}

void port_time_wall_base(uint64_t *sec, uint32_t *nsec)
{
    *sec = wall_sec;
    *nsec = wall_nsec;
}

void port_time_set_deadline(uint64_t ns)
{
    if (ns == UINT64_MAX) {
        if (deadline_mode) {
            lapic_timer_deadline(0);
        } else {
            lapic_timer_oneshot(0);
        }
        return;
    }
    uint64_t now = port_time_now();
    if (ns <= now) {
        port_cpu_raise(port_cpu_id(), CW_TIMER);
        return;
    }
    uint64_t delta = ns - now;
    if (delta > DEADLINE_MAX_NS) {
        delta = DEADLINE_MAX_NS;
    }
    if (deadline_mode) {
        /* A little late rather than early: an early interrupt would only arm the timer again. */
        lapic_timer_deadline(port_ticks() + mul_div(delta, tsc_hz, NS_PER_SEC) + 1);
        return;
    }
    if (delta > NS_PER_SEC) {
        delta = NS_PER_SEC; /* timer_run() arms it again */
    }
    uint64_t ticks = mul_div(delta, lapic_hz, NS_PER_SEC) + 1;
    lapic_timer_oneshot(ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks);
}
