/* SPDX-License-Identifier: MIT */
/* ACPI tables: the input is memory from physical address 0 on; whatever its checksums, they are
 * made right where a table begins. */

#include <stdlib.h>
#include <string.h>

#include "drivers/acpi.h"
#include "tests/fuzz/drive.h"

#define MEMORY_MAX 4096u

static uint8_t *memory;
static size_t memory_size;

/* An exact copy per mapping, so that a byte beyond its end is one beyond an allocation. */
static uint8_t *mapped[64];
static unsigned int mapped_count;

static void fix_sum(uint8_t *p, size_t size, size_t at)
{
    uint8_t sum = 0;

    p[at] = 0;
    for (size_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    p[at] = (uint8_t)-sum;
}

static const void *map(uint64_t pa, uint64_t size)
{
    if (pa > memory_size || size > memory_size - pa || size == 0 || mapped_count == 64) {
        return NULL;
    }
    uint8_t *copy = malloc(size);
    memcpy(copy, memory + pa, size);
    if (size >= 36 && pa != 0) {
        fix_sum(copy, size, 9);
    }
    mapped[mapped_count++] = copy;
    return copy;
}

/* Root table, MADT, FADT, HPET, MCFG; addresses are 16 less here than in memory. */
size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const struct {
        const char *signature;
        uint32_t length;
    } tables[] = {
        { "APIC", 100 }, { "FACP", 200 }, { "HPET", 60 }, { "MCFG", 60 }, { "SPCR", 80 }
    };
    const uint32_t count = sizeof(tables) / sizeof(tables[0]);
    uint32_t length = 36 + 8 * count;
    uint64_t at = 64;

    if (index != 0 || size < 1024) {
        return 0;
    }
    memset(data, 0, 1024);
    data[15] = 2;
    memcpy(data + 24, &at, 8);
    memcpy(data + 48, "XSDT", 4);
    memcpy(data + 52, &length, 4);
    at = 192;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *t = data + at - 16;

        memcpy(data + 48 + 36 + 8 * i, &at, 8);
        memcpy(t, tables[i].signature, 4);
        memcpy(t + 4, &tables[i].length, 4);
        if (i == 0) {
            static const uint8_t entries[] = { 0, 8, 1, 0, 1, 0,  0, 0, 1, 12, 9, 0, 0,  0, 0, 0,
                                               0, 0, 0, 0, 2, 10, 0, 9, 9, 0,  0, 0, 15, 0, 5, 12 };
            memcpy(t + 44, entries, sizeof(entries));
        }
        at += tables[i].length;
    }
    return 1024;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct acpi_info info;

    if (size < 64 || size > MEMORY_MAX) {
        return 0;
    }
    memory_size = size;
    memory = malloc(size);
    memcpy(memory, data, size);
    memmove(memory + 16, memory, size - 16); /* the RSDP may not lie at 0 */
    memcpy(memory + 16, "RSD PTR ", 8);
    fix_sum(memory + 16, 20, 8);
    if (size >= 52) {
        fix_sum(memory + 16, 36, 32);
    }
    if (acpi_read(16, map, &info) == 0 &&
        (info.cpu_count == 0 || info.cpu_count > ACPI_CPUS_MAX ||
         info.ioapic_count > ACPI_IOAPICS_MAX || info.override_count > ACPI_OVERRIDES_MAX ||
         info.mcfg_count > ACPI_MCFG_MAX)) {
        abort();
    }
    while (mapped_count > 0) {
        free(mapped[--mapped_count]);
    }
    free(memory);
    return 0;
}
