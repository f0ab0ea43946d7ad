/* SPDX-License-Identifier: MIT */
/* A fuzzer is one function; the driver, libFuzzer or AFL calls it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Feed one input. Returns 0; every failure is an abort (sanitizers, assert). */
int fuzz_one(const uint8_t *data, size_t size);

/*
 * Inputs to begin with: fills at most `size` bytes and returns their number, 0 for no more. Weak
 * default in the driver: none. A fuzzer of a checksummed or structured format makes some valid
 * inputs here.
 */
size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size);

/* The longest input that libFuzzer should make. Weak default: 0, as it likes. */
size_t fuzz_length(void);
