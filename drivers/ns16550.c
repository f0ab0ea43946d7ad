/* SPDX-License-Identifier: MIT */
/* The PC's serial port (NS16550 and compatible) behind I/O ports.  Facts: PC16550D data sheet. */
#include "drivers/uart.h"

#include "port/io.h"

#define REG_DATA 0u /* also divisor low */
#define REG_IER  1u /* also divisor high */
#define REG_FCR  2u
#define REG_LCR  3u
#define REG_MCR  4u
#define REG_LSR  5u
#define REG_SCR  7u

#define IER_RX      0x01u
#define FCR_ENABLE  0x07u /* on, both fifos cleared */
#define LCR_DLAB    0x80u
#define LCR_STOP2   0x04u
#define LCR_PARITY  0x08u
#define LCR_EVEN    0x10u
#define MCR_READY   0x0bu /* DTR, RTS, OUT2 (gates the interrupt) */
#define LSR_RX      0x01u
#define LSR_TX_FREE 0x20u

#define BASE_BAUD 115200u
#define FIFO_SIZE 16u
/* A port that never gets ready (unplugged, powered down) must not hang the machine. */
#define SPIN_MAX 100000u

static uint16_t base;

static uint8_t in(unsigned int reg)
{
    return port_in8((uint16_t)(base + reg));
}

static void out(unsigned int reg, unsigned int val)
{
    port_out8((uint16_t)(base + reg), (uint8_t)val);
}

static unsigned int line_control(const struct uart_config *c)
{
    unsigned int lcr = c->data_bits >= 5 && c->data_bits <= 8 ? c->data_bits - 5u : 3u;

    if (c->stop_bits == 2) {
        lcr |= LCR_STOP2;
    }
    if (c->parity == 'o' || c->parity == 'e') {
        lcr |= LCR_PARITY | (c->parity == 'e' ? LCR_EVEN : 0);
    }
    return lcr;
}

static bool probe(const struct uart_config *c)
{
    if (c->base == 0 || c->base > 0xfff8) {
        return false;
    }
    base = (uint16_t)c->base;
    out(REG_SCR, 0x5a);
    if (in(REG_SCR) != 0x5a) {
        base = 0;
        return false;
    }
    unsigned int lcr = line_control(c);
    out(REG_IER, 0);
    if (c->baud != 0 && c->baud <= BASE_BAUD) {
        unsigned int divisor = BASE_BAUD / c->baud;
        out(REG_LCR, lcr | LCR_DLAB);
        out(REG_DATA, divisor);
        out(REG_IER, divisor >> 8);
    }
    out(REG_LCR, lcr);
    out(REG_FCR, FCR_ENABLE);
    out(REG_MCR, MCR_READY);
    return true;
}

static void put(const char *text, size_t len)
{
    size_t room = 0;

    for (size_t i = 0; i < len; i++) {
        if (room == 0) {
            unsigned int spin = 0;
            while (!(in(REG_LSR)&LSR_TX_FREE)) {
                if (++spin > SPIN_MAX) {
                    return;
                }
            }
            room = FIFO_SIZE;
        }
        out(REG_DATA, (unsigned char)text[i]);
        room--;
    }
}

static int get(void)
{
    if (base == 0) {
        return -1;
    }
    unsigned int lsr = in(REG_LSR);
    if (lsr == 0xff || !(lsr & LSR_RX)) {
        return -1;
    }
    return in(REG_DATA);
}

static void irq_enable(void)
{
    out(REG_IER, IER_RX);
}

static void put_checked(const char *text, size_t len)
{
    if (base != 0) {
        put(text, len);
    }
}

const struct uart_ops ns16550 = {
    .name = "ns16550",
    .probe = probe,
    .write = put_checked,
    .read = get,
    .irq_enable = irq_enable,
};
