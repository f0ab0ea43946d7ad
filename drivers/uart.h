/* SPDX-License-Identifier: MIT */
/* Serial ports, as base/console.c uses them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uart_config {
    uint32_t baud; /* 0 = leave as it is */
    uint8_t data_bits;
    char parity; /* n, o, e */
    uint8_t stop_bits;
    uint64_t base; /* I/O port or machine address */
    uint32_t irq;  /* 0 = poll */
};

struct uart_ops {
    const char *name;
    bool (*probe)(const struct uart_config *c);  /* true: it is there and set up */
    void (*write)(const char *text, size_t len); /* waits for room; any context */
    int (*read)(void);                           /* a character, or -1 */
    void (*irq_enable)(void);                    /* receive interrupts on */
};

extern const struct uart_ops ns16550;
