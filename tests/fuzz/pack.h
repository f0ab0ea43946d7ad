/* SPDX-License-Identifier: MIT */
/*
 * Corpora as the tree keeps them: tests/fuzz/corpus/TARGET.pack, inputs one after the other, each
 * after its length in four bytes, the lowest first. scripts/corpus.py makes them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_MAX (64u << 10)

/* Calls fn with each input. Returns how many, or -1 with a line on standard error if the file
 * cannot be read or is damaged. */
int pack_each(const char *path, void (*fn)(const uint8_t *data, size_t size, void *arg), void *arg);
