/* SPDX-License-Identifier: MIT */
/* Text on a linear framebuffer: 5x7 glyphs in cells of 8x16 pixels; write-only, so that it works on
 * any memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct efifb_mode {
    uint8_t *base; /* mapped */
    uint64_t size; /* bytes */
    uint32_t width, height, pitch;
    uint32_t colour; /* of the text, as a pixel */
};

/* Clears the screen. False if the mode is none of 32 bits a pixel that fits its memory, or too
 * small for text. */
bool efifb_init(const struct efifb_mode *m);
/* Bytes other than printable ASCII and newline are not shown. */
void efifb_write(const char *text, size_t len);
/* Nothing is drawn from now on. */
void efifb_stop(void);
