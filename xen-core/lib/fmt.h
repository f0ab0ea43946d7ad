/* SPDX-License-Identifier: MIT */
/* Formatted text into a buffer: the part of printf that the hypervisor and the loader use. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define FMT_PRINTF(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

size_t fmt_vsnprintf(char *buf, size_t size, const char *format, va_list args) FMT_PRINTF(3, 0);
size_t fmt_snprintf(char *buf, size_t size, const char *format, ...) FMT_PRINTF(3, 4);
