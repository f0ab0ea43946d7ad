/* SPDX-License-Identifier: MIT */
/* Glyphs of printable ASCII, drawn for this program. */
#pragma once

#include <stdint.h>

#define FONT_FIRST   ' '
#define FONT_LAST    '~'
#define FONT_ROWS    7u
#define FONT_COLUMNS 5u

/* Rows from the top; bit 4 is the leftmost point. */
extern const uint8_t font_5x7[FONT_LAST - FONT_FIRST + 1][FONT_ROWS];
