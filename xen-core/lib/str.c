/* SPDX-License-Identifier: MIT */
/* Strings: comparison, bounded copies, numbers. */

#include "lib/str.h"

/* Order of two strings as by unsigned bytes: negative, 0 or positive. */
int str_cmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

/* True if the strings are equal. */
bool str_eq(const char *a, const char *b)
{
    return str_cmp(a, b) == 0;
}

/* True if the `n` bytes at `a` are exactly the string `b`. */
bool str_eq_n(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++) {
        if (b[i] == '\0' || a[i] != b[i]) {
            return false;
        }
    }
    return b[n] == '\0';
}

/* True if `s` begins with `prefix`. */
bool str_starts(const char *s, const char *prefix)
{
    while (*prefix != '\0') {
        if (*s++ != *prefix++) {
            return false;
        }
    }
    return true;
}

/* Length of `s`, looking at no more than `max` bytes. */
size_t str_nlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n] != '\0') {
        n++;
    }
    return n;
}

/*
 * Copy a string into a buffer of `size` bytes (not 0), cut to fit and always ended. Returns the
 * length of `from`: a result of `size` or more says that it was cut.
 */
size_t str_copy(char *to, size_t size, const char *from)
{
    size_t n = strlen(from);
    size_t fit = n < size ? n : size - 1;

    memcpy(to, from, fit);
    to[fit] = '\0';
    return n;
}

static unsigned int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned int)(c - '0');
    }
    if (c >= 'a' && c <= 'z') {
        return (unsigned int)(c - 'a') + 10;
    }
    if (c >= 'A' && c <= 'Z') {
        return (unsigned int)(c - 'A') + 10;
    }
    return 255;
}

/*
 * Read the whole of `n` bytes as a number in `base`, or for base 0 as C does (0x…, 0…, decimal).
 * False, with *out untouched, for anything else and for a number above 64 bits.
 */
bool str_u64(const char *s, size_t n, unsigned int base, uint64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;

    if ((base == 0 || base == 16) && n > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        i = 2;
    } else if (base == 0) {
        base = n > 1 && s[0] == '0' ? 8 : 10;
    }
    if (i == n) {
        return false;
    }
    for (; i < n; i++) {
        unsigned int digit = digit_value(s[i]);

        if (digit >= base || value > (UINT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *out = value;
    return true;
}

/*
 * Read a memory size in bytes: a number with an optional suffix B, K, M, G or T in either case;
 * without suffix it counts KiB, as Xen's documents say for its memory options. False, with *out
 * untouched, if it is malformed or above 64 bits.
 */
bool str_size(const char *s, size_t n, uint64_t *out)
{
    static const char suffixes[] = "bkmgt";
    unsigned int shift = 10;
    uint64_t value;

    if (n == 0) {
        return false;
    }
    for (unsigned int i = 0; suffixes[i] != '\0'; i++) {
        if ((s[n - 1] | 0x20) == suffixes[i] &&
            !(n > 2 && s[0] == '0' && (s[1] | 0x20) == 'x' && suffixes[i] == 'b')) {
            shift = 10 * i;
            n--;
            break;
        }
    }
    if (!str_u64(s, n, 0, &value) || value > UINT64_MAX >> shift) {
        return false;
    }
    *out = value << shift;
    return true;
}
