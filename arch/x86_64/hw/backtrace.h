/* SPDX-License-Identifier: MIT */
/* Who called whom, from the words on the stack. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cpu/regs.h"

/* The report of this cpu is about r, not about panic()'s caller. */
void backtrace_from(const struct regs *r);
/* Name and offset of a code address of ours; false if it is none. */
bool symbol_of(uint64_t addr, const char **name, uint32_t *offset);
