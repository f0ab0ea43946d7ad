/* SPDX-License-Identifier: MIT */
/* Interrupt messages: what is written to a function's registers and to its table, in which order,
 * and what is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "base/lock.h"
#include "cpu/machine.h"
#include "guest/pte.h"
#include "hw/msi.h"
#include "hw/pci_cfg.h"
#include "irq/irq.h"
#include "mm/frame.h"
#include "port/mmu.h"

#define BUS    3u
#define DEVFN  0x28u
#define CAP    0x50u /* of MSI */
#define CAP_X  0x70u /* of MSI-X: 4 entries, at 0x800 of BAR 2 */
#define FRAMES 64u
#define LIMIT  (UINT64_C(1) << 28)
#define BAR    UINT64_C(0x1fe000000)
#define IRQ    40u
#define MASKED 1u

struct frame *frame_table;
uint64_t frame_limit;
static struct frame frames[FRAMES];

static uint8_t config[256]; /* of the one function that is there */
static uint32_t table[1024];
static uint64_t mapped_at;
static unsigned int map_count;
static bool no_window;
static int locks_held;
static struct {
    uint8_t reg;
    uint32_t val;
} writes[32];
static unsigned int write_count;

void lock_wait(struct spinlock *l, uint32_t ticket)
{
    (void)l;
    (void)ticket;
    fail_msg("a lock is held");
}

void lock_check_take(const struct spinlock *l)
{
    (void)l;
    locks_held++;
}

void lock_check_drop(const struct spinlock *l)
{
    (void)l;
    locks_held--;
}

uint64_t cpu_mfn_limit(void)
{
    return LIMIT;
}

void *port_map_device(paddr_t pa, uint64_t size)
{
    assert_int_equal(pa & (PAGE_SIZE - 1), 0);
    assert_int_equal(size, PAGE_SIZE);
    if (no_window) {
        return NULL;
    }
    mapped_at = pa;
    map_count++;
    return table;
}

uint32_t pci_cfg_read(uint8_t bus, uint8_t devfn, uint8_t reg, unsigned int size)
{
    uint32_t val = UINT32_MAX;

    assert_true(reg % size == 0);
    if (bus == BUS && devfn == DEVFN) {
        val = 0;
        memcpy(&val, &config[reg], size);
    }
    return val;
}

void pci_cfg_write(uint8_t bus, uint8_t devfn, uint8_t reg, unsigned int size, uint32_t val)
{
    assert_true(bus == BUS && devfn == DEVFN && reg % size == 0);
    memcpy(&config[reg], &val, size);
    assert_in_range(write_count, 0, 31);
    writes[write_count].reg = reg;
    writes[write_count++].val = val;
}

uint8_t pci_find_cap(uint8_t bus, uint8_t devfn, uint8_t id)
{
    assert_true(bus == BUS && devfn == DEVFN);
    return id == 0x05 ? CAP : id == 0x11 ? CAP_X : 0;
}

static void put(uint8_t reg, unsigned int size, uint32_t val)
{
    memcpy(&config[reg], &val, size);
}

/* A function with both capabilities: 64-bit addresses and a mask bit, a table in a 64-bit BAR. */
static int begin(void **state)
{
    (void)state;
    for (unsigned int irq = 0; irq < IRQ_MAX; irq++) {
        msi_teardown(irq);
    }
    memset(config, 0, sizeof(config));
    memset(table, 0, sizeof(table));
    frame_table = frames;
    frame_limit = FRAMES;
    for (unsigned int i = 0; i < FRAMES; i++) {
        atomic_store(&frames[i].word, FW_RAM);
    }
    put(0, 4, 0x12348086);
    put(4, 2, 0x0006);
    put(0x18, 4, (uint32_t)BAR | 4);
    put(0x1c, 4, (uint32_t)(BAR >> 32));
    put(CAP + 2, 2, 0x0180 | 0x0031); /* left enabled, with eight messages */
    put(CAP_X + 2, 2, 0x4003);
    put(CAP_X + 4, 4, 0x800 | 2);
    write_count = 0;
    return 0;
}

static struct msi_source source(bool is_msix, uint16_t entry)
{
    return (struct msi_source){ .bus = BUS, .devfn = DEVFN, .entry = entry, .is_msix = is_msix };
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(locks_held, 0);
    return 0;
}

static int set_up(bool is_msix, uint16_t entry, unsigned int irq)
{
    struct msi_source s = source(is_msix, entry);

    return msi_setup(&s, irq);
}

static void wrote(unsigned int i, uint8_t reg, uint32_t val)
{
    assert_in_range(i, 0, write_count - 1);
    assert_int_equal(writes[i].reg, reg);
    assert_int_equal(writes[i].val, val);
}

/* Off until there is an address, one message only; enabled when it is let send, masked by its bit,
 * off at the end. */
static void test_msi(void **state)
{
    (void)state;
    assert_int_equal(set_up(false, 1, IRQ), -EINVAL);
    assert_int_equal(set_up(false, 0, IRQ), 0);
    assert_int_equal(write_count, 1);
    wrote(0, CAP + 2, 0x0180);
    msi_route(IRQ, 0x55, 7);
    wrote(1, CAP + 4, 0xfee07000);
    wrote(2, CAP + 8, 0);
    wrote(3, CAP + 12, 0x55);
    wrote(4, CAP + 16, MASKED);
    assert_int_equal(write_count, 5);
    msi_unmask(IRQ);
    wrote(8, CAP + 16, 0);
    wrote(9, CAP + 2, 0x0181);
    write_count = 0;
    msi_unmask(IRQ); /* nothing new */
    assert_int_equal(write_count, 0);
    msi_mask(IRQ);
    wrote(3, CAP + 16, MASKED);
    write_count = 0;
    msi_teardown(IRQ);
    wrote(0, CAP + 2, 0x0180);
    msi_route(IRQ, 0x56, 1); /* in use by nobody: nothing is written */
    msi_unmask(IRQ);
    msi_teardown(IRQ);
    assert_int_equal(write_count, 1);
}

/* 32-bit addresses and no mask bit. */
static void test_msi_narrow(void **state)
{
    (void)state;
    put(CAP + 2, 2, 0);
    assert_int_equal(set_up(false, 0, IRQ), 0);
    write_count = 0;
    msi_route(IRQ, 0x55, 0xff);
    wrote(0, CAP + 4, 0xfeeff000);
    wrote(1, CAP + 8, 0x55);
    assert_int_equal(write_count, 2);
    msi_unmask(IRQ);
    wrote(4, CAP + 2, 1);
    assert_int_equal(write_count, 5);
}

static void test_msix(void **state)
{
    uint32_t *entry = &table[0x800 / 4 + 4 * 3];

    (void)state;
    assert_int_equal(set_up(true, 3, IRQ), 0);
    assert_int_equal(mapped_at, BAR);
    wrote(0, CAP_X + 2, 0x8003); /* on, and no longer masked as a whole */
    assert_int_equal(entry[3], MASKED);
    msi_route(IRQ, 0x77, 2);
    assert_int_equal(entry[0], 0xfee02000);
    assert_int_equal(entry[1], 0);
    assert_int_equal(entry[2], 0x77);
    assert_int_equal(entry[3], MASKED);
    msi_unmask(IRQ);
    assert_int_equal(entry[3], 0);
    unsigned int maps = map_count;
    assert_int_equal(set_up(true, 3, IRQ + 1), -EBUSY);
    assert_int_equal(set_up(true, 2, IRQ + 1), 0); /* the page is mapped already */
    assert_int_equal(map_count, maps);
    /* After a reset of the function everything is as it was. */
    memset(table, 0, sizeof(table));
    put(CAP_X + 2, 2, 0x0003);
    assert_int_equal(msi_restore(0, BUS, DEVFN), 0);
    assert_int_equal(config[CAP_X + 3], 0x80);
    assert_int_equal(entry[0], 0xfee02000);
    assert_int_equal(entry[3], 0);
    assert_int_equal(entry[3 - 4], MASKED);
    msi_teardown(IRQ);
    assert_int_equal(entry[3], MASKED);
    assert_int_equal(msi_restore(0, BUS, DEVFN + 1), -ENODEV);
}

/* Nothing is mapped, nothing written to the function, nothing in use afterwards. */
static void test_refused(void **state)
{
    unsigned int maps = map_count;
    struct msi_source s = source(true, 0);

    (void)state;
    assert_int_equal(set_up(true, 4, IRQ), -EINVAL);
    assert_int_equal(set_up(true, 0, IRQ_MAX), -EINVAL);
    s.segment = 1;
    assert_int_equal(msi_setup(&s, IRQ), -EINVAL);
    s.segment = 0;
    s.bus = BUS + 1;
    assert_int_equal(msi_setup(&s, IRQ), -ENODEV);
    put(CAP_X + 4, 4, 0x800 | 6);
    assert_int_equal(set_up(true, 0, IRQ), -EINVAL); /* no such BAR */
    put(CAP_X + 4, 4, 0x800 | 2);
    put(4, 2, 0x0004);
    assert_int_equal(set_up(true, 0, IRQ), -ENXIO); /* does not decode */
    put(4, 2, 0x0006);
    put(0x18, 4, 0xc001);
    assert_int_equal(set_up(true, 0, IRQ), -ENXIO); /* ports */
    put(0x18, 4, 0);
    put(0x1c, 4, 0);
    assert_int_equal(set_up(true, 0, IRQ), -ENXIO); /* none */
    put(0x18, 4, (FRAMES - 1) * PAGE_SIZE);
    put(CAP_X + 4, 4, 2);
    assert_int_equal(set_up(true, 0, IRQ), -ENXIO); /* memory */
    put(0x18, 4, 4);
    put(0x1c, 4, (uint32_t)(LIMIT * PAGE_SIZE >> 32));
    assert_int_equal(set_up(true, 0, IRQ), -ENXIO); /* beyond every address */
    put(0x1c, 4, 1);
    no_window = true;
    assert_int_equal(set_up(true, 0, IRQ), -ENOMEM);
    no_window = false;
    assert_int_equal(map_count, maps);
    assert_int_equal(write_count, 0);
    assert_int_equal(msi_restore(0, BUS, DEVFN), -ENODEV);
    assert_int_equal(set_up(true, 0, IRQ), 0);
}

/* A virtual function reads as one that is not there but for its capabilities: what it lacks is
 * taken from the call, and looked at like a BAR. */
static void test_virtual(void **state)
{
    struct msi_source s = source(true, 1);

    (void)state;
    memset(config, 0xff, 4);
    memset(&config[0x10], 0, 0x18);
    put(4, 2, 0x0004);
    s.table_base = BAR + PAGE_SIZE + 4;
    assert_int_equal(msi_setup(&s, IRQ), 0);
    assert_int_equal(mapped_at, BAR + PAGE_SIZE);
    assert_int_equal(table[0x800 / 4 + 4 + 3], MASKED);
    s.entry = 2;
    s.table_base = PAGE_SIZE;
    assert_int_equal(msi_setup(&s, IRQ + 1), -ENXIO); /* memory */
    s.table_base = 0;
    assert_int_equal(msi_setup(&s, IRQ + 1), -ENXIO);
    s.table_base = ~UINT64_C(0);
    assert_int_equal(msi_setup(&s, IRQ + 1), -ENXIO);
    put(CAP_X + 4, 4, FRAMES * PAGE_SIZE + 0x10); /* would be beyond memory, around the end */
    assert_int_equal(msi_setup(&s, IRQ + 1), -ENXIO);
    memset(config, 0xff, sizeof(config));
    s.table_base = BAR;
    assert_int_equal(msi_setup(&s, IRQ + 1), -ENODEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_msi, begin, end),
        cmocka_unit_test_setup_teardown(test_msi_narrow, begin, end),
        cmocka_unit_test_setup_teardown(test_msix, begin, end),
        cmocka_unit_test_setup_teardown(test_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_virtual, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
