/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's lines on the firmware's framebuffer.
 *
 * The screen is never read and never scrolled, which would be slow on uncached memory: after the
 * last line writing goes on at the top, and the line after the current one is kept blank.
 */
#include "drivers/efifb.h"

#include "drivers/font.h"

#define CELL_WIDTH  8u
#define CELL_HEIGHT 16u
#define TOP_MARGIN  1u /* pixel rows above a glyph, each of whose rows is drawn twice */
#define SIDE_MARGIN 1u

static struct efifb_mode mode;
static uint32_t columns, lines;
static uint32_t column, line;
static bool active;

static void put_cell(uint32_t x, uint32_t y, char c)
{
    const uint8_t *glyph = font_5x7[(unsigned char)c - FONT_FIRST];
    uint8_t *row = mode.base + (uint64_t)y * CELL_HEIGHT * mode.pitch + x * CELL_WIDTH * 4;

    for (uint32_t i = 0; i < CELL_HEIGHT; i++, row += mode.pitch) {
        uint32_t k = (i - TOP_MARGIN) / 2;
        uint32_t bits = i >= TOP_MARGIN && k < FONT_ROWS ? glyph[k] : 0;
        volatile uint32_t *pixel = (volatile uint32_t *)(void *)row;

        /* Bit 4 of a row is the leftmost of the five. */
        bits = bits << (CELL_WIDTH - FONT_COLUMNS - SIDE_MARGIN);
        for (uint32_t p = 0; p < CELL_WIDTH; p++) {
            pixel[p] = bits >> (CELL_WIDTH - 1 - p) & 1 ? mode.colour : 0;
        }
    }
}

static void blank_line(uint32_t y)
{
    uint8_t *row = mode.base + (uint64_t)y * CELL_HEIGHT * mode.pitch;

    for (uint32_t i = 0; i < CELL_HEIGHT; i++, row += mode.pitch) {
        volatile uint32_t *pixel = (volatile uint32_t *)(void *)row;

        for (uint32_t p = 0; p < columns * CELL_WIDTH; p++) {
            pixel[p] = 0;
        }
    }
}

static void next_line(void)
{
    column = 0;
    line = (line + 1) % lines;
    blank_line(line);
    blank_line((line + 1) % lines);
}

bool efifb_init(const struct efifb_mode *m)
{
    columns = m->width / CELL_WIDTH;
    lines = m->height / CELL_HEIGHT;
    if (columns < 40 || lines < 3 || m->pitch / 4 < m->width || m->pitch % 4 != 0 ||
        (uint64_t)m->pitch * m->height > m->size) {
        return false;
    }
    mode = *m;
    column = 0;
    line = 0;
    for (uint32_t y = 0; y < lines; y++) {
        blank_line(y);
    }
    active = true;
    return true;
}

void efifb_write(const char *text, size_t len)
{
    for (size_t i = 0; i < len && active; i++) {
        if (text[i] == '\n') {
            next_line();
        } else if (text[i] >= FONT_FIRST && text[i] <= FONT_LAST) {
            if (column == columns) {
                next_line();
            }
            put_cell(column++, line, text[i]);
        }
    }
}

void efifb_stop(void)
{
    active = false;
}
